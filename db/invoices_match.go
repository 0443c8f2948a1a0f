package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
)

// AllocationMatch reads how an invoice compared with report and ledger when it was allocated;
// nil where that was not kept.
func (t *Tx) AllocationMatch(of id.Allocation) ([]byte, error) {
	var rows []struct{ MatchDocument []byte }
	err := t.scan("read the match of an allocation", &rows, `select match_document from allocation where tenant_id = ? and allocation_id = ?`, t.Tenant, of)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0].MatchDocument, nil
}

// CostDay is what the provider's cost report has of a day, by the pull that counts.
type CostDay struct {
	Day        time.Time
	AsOf       time.Time // complete up to then
	AmountPico string    // to be paid
}

// CostDays sums the cost report of UTC days, from one up to another, by day; days that were
// never reported are left out.
func (t *Tx) CostDays(from, to time.Time) ([]CostDay, error) {
	var rows []CostDay
	err := t.scan("sum the cost report by day", &rows, `select g.day, g.as_of, coalesce(sum(f.amount_pico), 0)::text as amount_pico from (
			select distinct on (p.day) p.day, e.as_of, coalesce(e.same_as, p.pull_id) as holder from provider_pull p
			join provider_pull_end e on e.tenant_id = p.tenant_id and e.pull_id = p.pull_id and e.state in ('finished', 'unchanged')
			where p.tenant_id = ? and p.report = 'cost' and p.day >= ? and p.day < ? order by p.day, p.number desc) g
		left join provider_figure f on f.tenant_id = ? and f.pull_id = g.holder group by g.day, g.as_of order by g.day`, t.Tenant, from, to, t.Tenant)
	return rows, err
}

// ItemDay is what one class of a day's reconciliation comes to.
type ItemDay struct {
	Day        time.Time
	Class      string
	AmountPico string
}

// ItemDays sums the items of the reconciliations that count for UTC days, from one up to
// another, by day and class.
func (t *Tx) ItemDays(from, to time.Time) ([]ItemDay, error) {
	var rows []ItemDay
	err := t.scan("sum reconciling items by day", &rows, `select g.day, i.class, sum(i.amount_pico)::text as amount_pico
		from (select distinct on (r.day) r.day, r.run_id from reconciliation r where r.tenant_id = ? and r.day >= ? and r.day < ? order by r.day, r.number desc) g
		join reconciliation_item i on i.tenant_id = ? and i.run_id = g.run_id group by g.day, i.class having sum(i.amount_pico) <> 0 order by g.day, i.class`, t.Tenant, from, to, t.Tenant)
	return rows, err
}

// AdjustedDays sums what adjustments of requests of UTC days, from one up to another, came
// to, by the requests' day; days without any are left out.
func (t *Tx) AdjustedDays(from, to time.Time) (map[time.Time]money.Sum, error) {
	var rows []struct {
		Day       time.Time
		DeltaPico string
	}
	if err := t.scan("sum adjustments by day", &rows, `select day, sum(delta_pico)::text as delta_pico from adjustment
		where tenant_id = ? and occurred_at >= ? and occurred_at < ? group by day having sum(delta_pico) <> 0`, t.Tenant, from, to); err != nil {
		return nil, err
	}
	days := make(map[time.Time]money.Sum, len(rows))
	for _, r := range rows {
		sum, err := money.SumOfPico(r.DeltaPico)
		if err != nil {
			return nil, err
		}
		days[r.Day.UTC()] = sum
	}
	return days, nil
}

// AccruedAfter is what accruals and corrections booked for UTC days, from one up to another,
// behind an entry's number, of charges that are of a month: by node, rounding at none. Their
// sum is what is owed of it.
func (t *Tx) AccruedAfter(from, to time.Time, m period.Month, after int64) ([]ledger.Line, error) {
	var rows []JournalLineRow
	if err := t.scan("sum what is accrued behind an entry", &rows, `select 'expense' as account, case when l.account = 'rounding' then '' else l.entity end as entity, '' as counterparty, l.node_id, l.node_code,
			max(l.node_path) as node_path, '' as gl_account, l.capitalization, '' as workspace, l.currency, sum(l.cents)::bigint as cents, '0' as basis_pico
		from journal_entry e join journal_line l on l.tenant_id = e.tenant_id and l.entry_id = e.entry_id
		where e.tenant_id = ? and e.source_day >= ? and e.source_day < ? and e.source_period = ? and e.number > ? and l.account in ('expense', 'capitalized_asset', 'suspense', 'rounding') and `+stands+`
		group by 2, l.node_id, l.node_code, l.capitalization, l.currency having sum(l.cents) <> 0 order by node_path, l.node_id, 2, l.capitalization`, t.Tenant, from, to, m.Start(), after); err != nil {
		return nil, err
	}
	lines := make([]ledger.Line, 0, len(rows))
	for i := range rows {
		line, err := rows[i].Line()
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}
