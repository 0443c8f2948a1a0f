package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/reconcile"
	"tollbook/app/usage"
)

// measured reads the requests of a span as they lie now, one row a meter: what the provider
// counts, at the rates we charged. A refusal before any output, an error and an open request
// are charged nothing and counted by nobody. Where an adjustment settled a price, the list
// amount follows from the net one. Billed turns behind an answer stand under their own model;
// what a true-up added is in the cell whose item it is of, and not in the request's own.
const measured = `with lying as (
		select u.*, a.sequence, coalesce(a.state, u.state) as now_state, coalesce(u.model_served, u.model_requested) as now_model,
			case when a.sequence is null then u.placement_id else a.placement_id end as now_placement, case when a.sequence is null then u.split else a.split end as now_split,
			coalesce(a.charge_pico, u.charge_pico) - g.charge as now_charge, array[coalesce(a.input_charge_pico, u.input_charge_pico) - g.input, coalesce(a.output_charge_pico, u.output_charge_pico) - g.output,
				coalesce(a.cache_write_5m_charge_pico, u.cache_write_5m_charge_pico) - g.write_5m, coalesce(a.cache_write_1h_charge_pico, u.cache_write_1h_charge_pico) - g.write_1h,
				coalesce(a.cache_read_charge_pico, u.cache_read_charge_pico) - g.read] as now_classes, g.gains
		from usage_event u ` + latestAdjustment + gained + ` where u.tenant_id = ? and u.occurred_at >= ? and u.occurred_at < ?
	), metered as (
		select l.event_id, l.now_model as model, l.now_state, l.tier, l.speed, l.geography, l.now_placement, l.now_split, l.discount_bps, m.meter, m.quantity, m.rate::numeric as rate, m.was, m.charge, null::numeric as given
		from lying l cross join lateral (values ('input', l.input_tokens, l.input_rate_pico, l.input_charge_pico, l.now_classes[1]),
			('output', l.output_tokens, l.output_rate_pico, l.output_charge_pico, l.now_classes[2]), ('cache_write_5m', l.cache_write_5m_tokens, l.cache_write_5m_rate_pico, l.cache_write_5m_charge_pico, l.now_classes[3]),
			('cache_write_1h', l.cache_write_1h_tokens, l.cache_write_1h_rate_pico, l.cache_write_1h_charge_pico, l.now_classes[4]), ('cache_read', l.cache_read_tokens, l.cache_read_rate_pico, l.cache_read_charge_pico, l.now_classes[5]))
			as m(meter, quantity, rate, was, charge)
		where m.quantity <> 0 and (m.rate <> 0 or m.charge <> 0)
		union all
		select l.event_id, coalesce(j->>'model', l.now_model), l.now_state, l.tier, l.speed, l.geography, l.now_placement, l.now_split, l.discount_bps, regexp_replace(j->>'class', '^.*/', ''), (j->>'quantity')::bigint,
			(j->>'rate_pico')::numeric, (j->>'amount_pico')::bigint, (j->>'amount_pico')::bigint, null
		from lying l cross join lateral jsonb_array_elements(l.lines) j where (j->>'amount_pico')::bigint <> 0 or (j->>'rate_pico')::numeric <> 0
		union all
		select l.event_id, l.now_model, l.now_state, l.tier, l.speed, l.geography, l.now_placement, l.now_split, l.discount_bps, 'web_search', 0, 0, 0, r.rest, null
		from lying l cross join lateral (select l.now_charge - (select sum(c) from unnest(l.now_classes) c) - coalesce((select sum((j->>'amount_pico')::bigint) from jsonb_array_elements(l.lines) j), 0) as rest) r
		where l.sequence is not null and r.rest <> 0
		union all
		select l.event_id, l.now_model, l.now_state, l.tier, l.speed, l.geography, l.now_placement, l.now_split, l.discount_bps, 'requests', 1, 0, 0, 0, null
		from lying l where l.http_status < 300 and l.now_state not in ('error', 'open') and (l.list_pico <> 0 or l.now_charge <> 0)
		union all
		select l.event_id, i.model, l.now_state, i.tier, i.speed, i.geography, l.now_placement, l.now_split, (g->>'discount_bps')::bigint, i.meter, (g->>'quantity')::bigint,
			0, (g->>'amount_pico')::bigint, (g->>'amount_pico')::bigint, (g->>'list_pico')::numeric
		from lying l cross join lateral jsonb_array_elements(l.gains) g
		join reconciliation_item i on i.tenant_id = l.tenant_id and i.run_id = (g->>'run')::uuid and i.place = (g->>'place')::integer
	), listed as (
		select *, case when given is not null then given when was = charge then quantity * rate else div(charge * 10000::numeric, greatest(10000 - discount_bps, 1)) end as list from metered
	) `

// gained sums what true-ups added to a request u, by meter, whatever came after them.
const gained = ` cross join lateral (select coalesce(sum(v), 0)::bigint as charge, coalesce(sum(v) filter (where meter = 'input'), 0)::bigint as input, coalesce(sum(v) filter (where meter = 'output'), 0)::bigint as output,
		coalesce(sum(v) filter (where meter = 'cache_write_5m'), 0)::bigint as write_5m, coalesce(sum(v) filter (where meter = 'cache_write_1h'), 0)::bigint as write_1h,
		coalesce(sum(v) filter (where meter = 'cache_read'), 0)::bigint as read, jsonb_agg(e) as gains
	from (select e, (e->>'amount_pico')::bigint as v, i.meter from adjustment b cross join lateral jsonb_array_elements(b.true_up) e
		join reconciliation_item i on i.tenant_id = b.tenant_id and i.run_id = (e->>'run')::uuid and i.place = (e->>'place')::integer
		where a.sequence is not null and b.tenant_id = u.tenant_id and b.occurred_at = u.occurred_at and b.event_id = u.event_id) x) g`

// truedUp tells of a request u that what it broke off at is settled, wherever that was posted.
const truedUp = `exists (select from adjustment k where k.tenant_id = u.tenant_id and k.occurred_at = u.occurred_at and k.event_id = u.event_id and k.kind = 'true_up')`

// brokenOff keeps requests u, with their latest adjustment a, that ended without their final
// usage and were not trued up.
const brokenOff = `coalesce(a.state, u.state) in ('incomplete', 'estimated', 'open') and not ` + truedUp

// StreamRow is a request that ended without its final usage, as it lies now.
type StreamRow struct {
	LyingRow

	Tier      string
	Speed     string
	Geography string
}

// Stream is the row as a reconciliation takes it.
func (r *StreamRow) Stream() reconcile.Stream {
	held := map[reconcile.Meter]int64{
		reconcile.MeterRequests: 1, reconcile.MeterInput: r.InputTokens, reconcile.MeterOutput: r.OutputTokens, reconcile.MeterCacheWrite5m: r.CacheWrite5mTokens,
		reconcile.MeterCacheWrite1h: r.CacheWrite1hTokens, reconcile.MeterCacheRead: r.CacheReadTokens,
	}
	counted := r.InputTokens + r.OutputTokens + r.CacheWrite5mTokens + r.CacheWrite1hTokens + r.CacheReadTokens
	return reconcile.Stream{
		Group: reconcile.Group{Surface: reconcile.SurfaceGateway, Model: r.Model, Tier: r.Tier, Speed: r.Speed, Geography: r.Geography}.Plain(),
		Blind: r.State == string(usage.StateOpen) || counted == 0, Held: held,
	}
}

// LooseStreams lists the requests of a span that ended without their final usage and were not
// trued up, oldest first: at most so many.
func (t *Tx) LooseStreams(from, to time.Time, limit int) ([]StreamRow, error) {
	var rows []StreamRow
	err := t.scan("list unfinished requests", &rows, `select `+lyingColumns+`, coalesce(u.tier, '') as tier, coalesce(u.speed, '') as speed, coalesce(u.geography, '') as geography
		from usage_event u `+latestAdjustment+` where u.tenant_id = ? and u.occurred_at >= ? and u.occurred_at < ? and `+brokenOff+` order by u.occurred_at, u.event_id limit ?`, t.Tenant, from, to, limit)
	return rows, err
}

// FactRow is what we measured in one cell of a span.
type FactRow struct {
	Model         string
	Tier          string
	Speed         string
	Geography     string
	Meter         string
	Quantity      int64
	ListPico      string
	NetPico       string
	Requests      int64
	Largest       int64
	Held          int64
	UnpricedPico  string
	RateLow       int64
	RateHigh      int64
	Derived       int64
	DiscountBps   int64
	MixedDiscount bool
}

// Fact is the row as a reconciliation takes it.
func (r *FactRow) Fact() (reconcile.Fact, error) {
	f := reconcile.Fact{
		Cell: reconcile.Cell{
			Group: reconcile.Group{Surface: reconcile.SurfaceGateway, Model: r.Model, Tier: r.Tier, Speed: r.Speed, Geography: r.Geography}.Plain(), Meter: reconcile.Meter(r.Meter),
		},
		Quantity: r.Quantity, Requests: r.Requests, Largest: r.Largest, Held: r.Held, RateLow: money.Pico(r.RateLow), RateHigh: money.Pico(r.RateHigh), Derived: r.Derived,
		DiscountBps: r.DiscountBps, MixedDiscount: r.MixedDiscount,
	}
	for text, into := range map[*string]*money.Sum{&r.ListPico: &f.List, &r.NetPico: &f.Net, &r.UnpricedPico: &f.Unpriced} {
		sum, err := money.SumOfPico(*text)
		if err != nil {
			return f, err
		}
		*into = sum
	}
	return f, nil
}

// Facts sums the requests of a span cell by cell, as they lie now.
func (t *Tx) Facts(from, to time.Time) ([]FactRow, error) {
	var rows []FactRow
	err := t.scan("sum cells", &rows, measured+`select model, coalesce(tier, '') as tier, coalesce(speed, '') as speed, coalesce(geography, '') as geography, meter,
			sum(quantity)::bigint as quantity, sum(list)::text as list_pico, sum(charge)::text as net_pico, count(*) as requests, max(quantity) as largest,
			coalesce(sum(quantity) filter (where now_state in ('incomplete', 'estimated')), 0)::bigint as held, coalesce(sum(list) filter (where now_state = 'unpriced'), 0)::text as unpriced_pico,
			min(case when quantity = 0 then rate else div(list, quantity) end)::bigint as rate_low, max(case when quantity = 0 then rate else ceil(list / quantity) end)::bigint as rate_high,
			count(*) filter (where was <> charge and discount_bps <> 0) as derived, max(discount_bps) as discount_bps, min(discount_bps) <> max(discount_bps) as mixed_discount
		from listed group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5`, t.Tenant, from, to)
	return rows, err
}

// FactNodeRow is what one node is charged in one cell of a span.
type FactNodeRow struct {
	Model     string
	Tier      string
	Speed     string
	Geography string
	Meter     string
	NodeID    id.Node
	NetPico   string // of requests: how many of a million of them
}

// FactNodes divides the cells of a span over the nodes that requests are charged to, split
// ones by their shares.
func (t *Tx) FactNodes(from, to time.Time) ([]FactNodeRow, error) {
	var rows []FactNodeRow
	err := t.scan("sum cells by node", &rows, measured+`select l.model, coalesce(l.tier, '') as tier, coalesce(l.speed, '') as speed, coalesce(l.geography, '') as geography, l.meter, p.node_id,
			sum(case when l.meter = 'requests' then s.ppm else div(l.charge * s.ppm::numeric, 1000000) end)::text as net_pico
		from listed l cross join lateral (select l.now_placement as placement_id, 1000000 as ppm where l.now_split is null
			union all select (x->>'placement')::text::uuid, (x->>'ppm')::bigint from (select jsonb_set(e, '{placement}', to_jsonb(regexp_replace(e->>'placement', '^plc_', ''))) as x from jsonb_array_elements(l.now_split) e) y) s
		join placement p on p.tenant_id = ? and p.placement_id = s.placement_id group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6`, t.Tenant, from, to, t.Tenant)
	return rows, err
}

// LooseRow is requests of a model of which not all is known, at one node.
type LooseRow struct {
	Model      string
	NodeID     id.Node
	Unfinished int64
	Blind      int64
}

// LooseRequests counts requests of a span that ended without their final usage, and those of
// which nothing is known, by model and node; a split one at its first part.
func (t *Tx) LooseRequests(from, to time.Time) ([]LooseRow, error) {
	var rows []LooseRow
	err := t.scan("count unfinished requests", &rows, `select coalesce(u.model_served, u.model_requested) as model, p.node_id,
			count(*) filter (where b.blind is false) as unfinished, count(*) filter (where b.blind) as blind
		from usage_event u `+latestAdjustment+` cross join lateral (select coalesce(a.state, u.state) = 'open'
			or u.input_tokens + u.output_tokens + u.cache_write_5m_tokens + u.cache_write_1h_tokens + u.cache_read_tokens = 0 as blind) b
		join placement p on p.tenant_id = u.tenant_id and p.placement_id = coalesce(case when a.sequence is null then u.placement_id else a.placement_id end,
			regexp_replace((case when a.sequence is null then u.split else a.split end)->0->>'placement', '^plc_', '')::uuid)
		where u.tenant_id = ? and u.occurred_at >= ? and u.occurred_at < ? and `+brokenOff+` group by 1, 2 order by 1, 2`, t.Tenant, from, to)
	return rows, err
}
