package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
)

// ChargeRow is what one day's requests used of a token class of a model, at one price,
// below one placement; or what is left of that day beside them.
type ChargeRow struct {
	Day            time.Time
	NodeID         id.Node
	Path           string // codes from the root down, separated by the unit separator, 0x1f
	Entity         string
	Capitalization string
	Model          string
	Class          string
	Rest           bool  // of requests charged to several nodes, of adjustments and of what is not priced by tokens: it has no price
	RatePico       int64 // list, a token
	DiscountBps    int64
	Tokens         int64
	ChargePico     string // net
}

// chargeRows reads the days of a month of charges that are posted. The first part is requests
// that one node is charged for, by price; the second what the sums of a day have beside them.
const chargeRows = `with posted as (
		select distinct source_day as day from journal_entry where tenant_id = @tenant and source_period = @month and source_day is not null
	), whole as (
		select (e.occurred_at at time zone 'UTC')::date as day, e.placement_id, coalesce(e.model_served, e.model_requested) as model, c.class, c.rate, e.discount_bps::bigint as bps,
			sum(c.tokens)::bigint as tokens, sum(c.pico) as pico
		from usage_event e cross join lateral (values ('input', e.input_tokens, e.input_rate_pico, e.input_charge_pico), ('output', e.output_tokens, e.output_rate_pico, e.output_charge_pico),
			('cache_write_5m', e.cache_write_5m_tokens, e.cache_write_5m_rate_pico, e.cache_write_5m_charge_pico), ('cache_write_1h', e.cache_write_1h_tokens, e.cache_write_1h_rate_pico, e.cache_write_1h_charge_pico),
			('cache_read', e.cache_read_tokens, e.cache_read_rate_pico, e.cache_read_charge_pico)) as c(class, tokens, rate, pico)
		where e.tenant_id = @tenant and e.posting_period = @month and e.placement_id is not null and (c.tokens <> 0 or c.pico <> 0)
			and e.occurred_at >= (select min(day) from posted) and e.occurred_at < (select max(day) + 1 from posted) and (e.occurred_at at time zone 'UTC')::date in (select day from posted)
		group by 1, 2, 3, 4, 5, 6
	), rest as (
		select r.day, r.placement_id, r.model, r.class, sum(r.pico) as pico from (
			select day, placement_id, model, class, charge_pico as pico from rollup_class_day where tenant_id = @tenant and posting_period = @month and day in (select day from posted)
			union all select day, placement_id, model, class, -pico from whole) r
		group by 1, 2, 3, 4 having sum(r.pico) <> 0
	), listed as (
		select day, placement_id, model, class, false as rest, rate, bps, tokens, pico from whole
		union all select day, placement_id, model, class, true, 0, 0, 0, pico from rest
	)
	select l.day, p.node_id, array_to_string(p.path, E'\x1f') as path, p.entity, p.capitalization, l.model, l.class, l.rest, l.rate as rate_pico, l.bps as discount_bps, l.tokens, l.pico::text as charge_pico
	from listed l join placement p on p.tenant_id = @tenant and p.placement_id = l.placement_id
	order by l.day, path, p.entity, p.capitalization, l.model, l.class, l.rest, l.rate, l.bps limit @limit`

// ChargeRows lists the charges of a month whose days are posted, in one order, at most so many.
func (t *Tx) ChargeRows(m period.Month, limit int) ([]ChargeRow, error) {
	var rows []ChargeRow
	err := t.scan("list charges by price", &rows, chargeRows, map[string]any{"tenant": t.Tenant, "month": m.Start(), "limit": limit})
	return rows, err
}
