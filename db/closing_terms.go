package db

import (
	"encoding/json"
	"fmt"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
)

// MaterialityRow is how much of a month may stay unexplained from an instant on.
type MaterialityRow struct {
	Version            int
	MonthCents         int64
	NodeCents          int64
	DaysSigned         bool
	CommentaryAnswered bool
	EffectiveFrom      time.Time
	ChangeID           id.Change
}

// LockCloseTerms makes the transaction the only one that changes the materiality, or the
// holidays.
func (t *Tx) LockCloseTerms() error {
	return t.exec("lock terms of closing", `select pg_advisory_xact_lock(hashtextextended('close_terms:' || $1, 0))`, t.Tenant.UUID())
}

// AddMateriality stores the next version of the materiality.
func (t *Tx) AddMateriality(r *MaterialityRow) error {
	return t.exec("add materiality", `insert into materiality_version (tenant_id, version, month_cents, node_cents, days_signed, commentary_answered, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, $8 from materiality_version where tenant_id = $1`,
		t.Tenant, r.MonthCents, r.NodeCents, r.DaysSigned, r.CommentaryAnswered, r.EffectiveFrom, t.Now, r.ChangeID)
}

// Materialities lists the versions of the materiality, the latest first.
func (t *Tx) Materialities(limit int) ([]MaterialityRow, error) {
	var rows []MaterialityRow
	err := t.scan("list materialities", &rows, `select version, month_cents, node_cents, days_signed, commentary_answered, effective_from, change_id from materiality_version
		where tenant_id = ? order by version desc limit ?`, t.Tenant, limit)
	return rows, err
}

// DayItem is an item of the reconciliation of a day that counts.
type DayItem struct {
	reconcile.Item

	Day time.Time
}

// DayItems lists the items of some classes in the reconciliations that count of a month's days.
func (t *Tx) DayItems(m period.Month, classes []reconcile.Class) ([]DayItem, error) {
	names := make([]string, 0, len(classes))
	for _, c := range classes {
		names = append(names, string(c))
	}
	var rows []struct {
		Day                           time.Time
		Class, Surface, APIKey, Model string
		AmountPico                    string
		Nodes                         *string
	}
	if err := t.scan("list items of a month", &rows, `select r.day, i.class, i.surface, i.api_key, i.model, i.amount_pico::text as amount_pico, i.nodes::text as nodes
		from (select distinct on (day) day, tenant_id, run_id from reconciliation where tenant_id = ? and day >= ? and day < ? order by day, number desc) r
		join reconciliation_item i on i.tenant_id = r.tenant_id and i.run_id = r.run_id
		where i.class in ? order by r.day, i.place`, t.Tenant, m.Start(), m.End(), names); err != nil {
		return nil, err
	}
	items := make([]DayItem, len(rows))
	for i := range rows {
		r, it := &rows[i], &items[i]
		it.Day, it.Class = r.Day.UTC(), reconcile.Class(r.Class)
		it.Cell.Group = reconcile.Group{Surface: reconcile.Surface(r.Surface), Key: r.APIKey, Model: r.Model}
		var err error
		if it.Amount, err = money.SumOfPico(r.AmountPico); err != nil {
			return nil, err
		}
		if r.Nodes != nil {
			if err := json.Unmarshal([]byte(*r.Nodes), &it.Nodes); err != nil {
				return nil, fmt.Errorf("read nodes of an item: %w", err)
			}
		}
	}
	return items, nil
}

// HolidayListRow is one version of a company's holidays.
type HolidayListRow struct {
	Version       int
	Days          int
	EffectiveFrom time.Time
	ChangeID      id.Change
}

// HolidayRow is one of them.
type HolidayRow struct {
	Day  time.Time
	Name string
}

// AddHolidays stores the next version of the holidays, whole.
func (t *Tx) AddHolidays(list []HolidayRow, effective time.Time, change id.Change) error {
	var version int
	if _, err := t.row("add holidays", []any{&version}, `insert into holiday_version (tenant_id, version, days, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5 from holiday_version where tenant_id = $1 returning version`, t.Tenant, len(list), effective, t.Now, change); err != nil {
		return err
	}
	days, names := make([]string, len(list)), make([]string, len(list))
	for i := range list {
		days[i], names[i] = list[i].Day.Format(time.DateOnly), list[i].Name
	}
	return t.exec("add holidays", `insert into holiday (tenant_id, version, day, name) select $1, $2, d::date, n from unnest($3::text[], $4::text[]) as s(d, n)`, t.Tenant, version, days, names)
}

// HolidayLists lists the versions of the holidays, the latest first.
func (t *Tx) HolidayLists(limit int) ([]HolidayListRow, error) {
	var rows []HolidayListRow
	err := t.scan("list versions of holidays", &rows, `select version, days, effective_from, change_id from holiday_version where tenant_id = ? order by version desc limit ?`, t.Tenant, limit)
	return rows, err
}

// Holidays lists the days of the version in force, in their order.
func (t *Tx) Holidays(limit int) ([]HolidayRow, error) {
	var rows []HolidayRow
	err := t.scan("list holidays", &rows, `select day, name from holiday where tenant_id = ? and version = (select max(version) from holiday_version where tenant_id = ?) order by day limit ?`,
		t.Tenant, t.Tenant, limit)
	return rows, err
}
