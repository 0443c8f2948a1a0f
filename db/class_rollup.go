package db

import (
	"slices"
	"strings"
	"time"

	"tollbook/app/attribution"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/app/variance"
)

type classDay struct {
	day       string
	placement id.Placement
	model     string
	class     string
}

type classTally struct {
	tokens int64
	amount money.Sum
}

// tallyClasses takes an event apart by token class and placement. What no class says
// (server tools, and the pico-dollars by which split classes miss a split total) is
// "other", so that the classes sum to the charge.
func tallyClasses(r *pricing.Rated, into map[classDay]*classTally) error {
	e := &r.Event
	model := e.Counts.Model
	if model == "" {
		model = e.ModelRequested
	}
	tokens, err := splitTokens(e)
	if err != nil {
		return err
	}
	weights := make([]int64, len(e.Shares))
	for i, s := range e.Shares {
		weights[i] = s.PPM
	}
	day := e.OccurredAt().Format(time.DateOnly)
	at := func(share int, class string) *classTally {
		key := classDay{day, e.Shares[share].Placement, model, class}
		sum := into[key]
		if sum == nil {
			sum = &classTally{}
			into[key] = sum
		}
		return sum
	}
	rest := slices.Clone(r.Amounts)
	for class := range usage.ClassCount {
		parts, err := money.Split(r.Charge.Classes[class], weights)
		if err != nil {
			return err
		}
		for i, part := range parts {
			if part == 0 && tokens[i][class] == 0 {
				continue
			}
			sum := at(i, class.String())
			sum.tokens += tokens[i][class]
			sum.amount.Add(part)
			if rest[i], err = rest[i].Plus(-part); err != nil {
				return err
			}
		}
	}
	for i, part := range rest {
		if part != 0 {
			at(i, variance.Other).amount.Add(part)
		}
	}
	return nil
}

// addClasses takes one line of an adjustment apart by token class.
func addClasses(into map[classDay]*classTally, at classDay, line *attribution.Portion) {
	one := func(class string, tokens int64, amount money.Pico) {
		if tokens == 0 && amount == 0 {
			return
		}
		at.class = class
		sum := into[at]
		if sum == nil {
			sum = &classTally{}
			into[at] = sum
		}
		sum.tokens += tokens
		sum.amount.Add(amount)
	}
	for class := range usage.ClassCount {
		one(class.String(), line.Tokens[class], line.Classes[class])
	}
	one(variance.Other, 0, line.Other)
}

func (t *Tx) rollClasses(rated []pricing.Rated, posting period.Month) error {
	sums := map[classDay]*classTally{}
	for i := range rated {
		if err := tallyClasses(&rated[i], sums); err != nil {
			return err
		}
	}
	return t.rollClassSums(sums, posting)
}

func (t *Tx) rollClassSums(sums map[classDay]*classTally, posting period.Month) error {
	keys := make([]classDay, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	// One order for every writer, as in the other rollups.
	slices.SortFunc(keys, func(a, b classDay) int {
		return strings.Compare(a.day+a.placement.UUID()+a.class+a.model, b.day+b.placement.UUID()+b.class+b.model)
	})
	var days, placements, models, classes, amounts []string
	var tokens []int64
	for _, k := range keys {
		s := sums[k]
		days, placements, models = append(days, k.day), append(placements, k.placement.UUID()), append(models, k.model)
		classes, amounts, tokens = append(classes, k.class), append(amounts, s.amount.Digits()), append(tokens, s.tokens)
	}
	return t.exec("roll classes", `insert into rollup_class_day as r (tenant_id, posting_period, day, placement_id, model, class, charge_pico, tokens)
		select $1, $2, d::date, p::uuid, m, c, a::numeric, n
		from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[]) as u(d, p, m, c, a, n)
		on conflict (tenant_id, posting_period, day, placement_id, model, class) do update set charge_pico = r.charge_pico + excluded.charge_pico, tokens = r.tokens + excluded.tokens`,
		t.Tenant, posting.Start(), days, placements, models, classes, amounts, tokens)
}

// ClassRow is what one model and token class used and cost.
type ClassRow struct {
	Model, Class string
	Tokens       int64
	ChargePico   string
}

// Classes sums a posting period by model and token class, of the days before one.
func (t *Tx) Classes(m period.Month, before time.Time, within []id.Node) ([]ClassRow, error) {
	query := `select model, class, sum(tokens)::bigint as tokens, sum(charge_pico)::text as charge_pico from rollup_class_day r
		where r.tenant_id = ? and r.posting_period = ? and r.day < ?`
	args := []any{t.Tenant, m.Start(), before}
	query, args = t.below(query, args, within)
	var rows []ClassRow
	err := t.scan("sum classes", &rows, query+` group by 1, 2 order by 1, 2`, args...)
	return rows, err
}

// below narrows a rollup to what was placed in subtrees; nil is everything.
func (t *Tx) below(query string, args []any, within []id.Node) (string, []any) {
	if within == nil {
		return query, args
	}
	return query + ` and r.placement_id in (select placement_id from placement where tenant_id = ? and ancestor_ids && array[?]::uuid[])`,
		append(args, t.Tenant, nodeList(within))
}

// PostedDay is one UTC day of one posting period.
type PostedDay struct {
	PostingPeriod time.Time
	Day           time.Time
	Requests      int64
	ChargePico    string
}

// PostedDays sums the posting periods from one month through another by UTC day.
func (t *Tx) PostedDays(from, through period.Month, within []id.Node) ([]PostedDay, error) {
	query := `select r.posting_period, r.day, sum(r.requests)::bigint as requests, sum(r.charge_pico)::text as charge_pico from rollup_placement_day r
		where r.tenant_id = ? and r.posting_period between ? and ?`
	args := []any{t.Tenant, from.Start(), through.Start()}
	query, args = t.below(query, args, within)
	var rows []PostedDay
	err := t.scan("sum days", &rows, query+` group by 1, 2 order by 1, 2`, args...)
	return rows, err
}

// Months lists the months anything was posted to, newest first.
func (t *Tx) Months(limit int) ([]period.Month, error) {
	var rows []struct{ Month time.Time }
	err := t.scan("list months", &rows, `select month from period where tenant_id = ? order by month desc limit ?`, t.Tenant, limit)
	list := make([]period.Month, 0, len(rows))
	for _, r := range rows {
		list = append(list, period.MonthOf(r.Month))
	}
	return list, err
}

// LogEnd tells how far the tenant's audit log reaches: its last sequence (-1 for none)
// and how many records wait for their place.
func (t *Tx) LogEnd() (last, waiting int64, err error) {
	_, err = t.row("read log's end", []any{&last, &waiting}, `select coalesce((select max(sequence) from audit_leaf where tenant_id = $1), -1),
		(select count(*) from audit_pending where tenant_id = $1)`, t.Tenant)
	return last, waiting, err
}
