package db

import (
	"slices"
	"strings"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/usage"
)

type placementDay struct {
	day       string
	placement id.Placement
	key       id.Key
	model     string
}

type developerDay struct {
	day       string
	placement id.Placement
	developer id.Developer
}

type tally struct {
	requests, errors, provisional int64
	tokens                        usage.Tokens
	amount                        money.Sum
}

// Roll adds newly inserted events to the rollups. A split event's counts are
// split as its charge is, so that every level sums to the whole; the request
// itself is counted once, at its first placement.
func (t *Tx) Roll(rated []pricing.Rated, posting period.Month) error {
	placements, developers := map[placementDay]*tally{}, map[developerDay]*tally{}
	for i := range rated {
		if err := tallyEvent(&rated[i], placements, developers); err != nil {
			return err
		}
	}
	if err := t.rollPlacements(placements, posting); err != nil {
		return err
	}
	if err := t.rollClasses(rated, posting); err != nil {
		return err
	}
	if err := t.rollRules(rated, posting); err != nil {
		return err
	}
	return t.rollDevelopers(developers, posting)
}

func tallyEvent(r *pricing.Rated, placements map[placementDay]*tally, developers map[developerDay]*tally) error {
	e := &r.Event
	day := e.OccurredAt().Format(time.DateOnly)
	model := e.Counts.Model
	if model == "" {
		model = e.ModelRequested
	}
	tokens, err := splitTokens(e)
	if err != nil {
		return err
	}
	for i, share := range e.Shares {
		one := tally{tokens: tokens[i]}
		one.amount.Add(r.Amounts[i])
		if i == 0 {
			one.requests = 1
			one.errors = oneIf(e.State == usage.StateError)
			one.provisional = oneIf(e.State != usage.StateError && e.State != usage.StateComplete)
		}
		add(placements, placementDay{day, share.Placement, e.Key, model}, &one)
		if !e.Developer.IsZero() {
			add(developers, developerDay{day, share.Placement, e.Developer}, &one)
		}
	}
	return nil
}

func oneIf(condition bool) int64 {
	if condition {
		return 1
	}
	return 0
}

func splitTokens(e *usage.Event) ([]usage.Tokens, error) {
	out := make([]usage.Tokens, len(e.Shares))
	if len(e.Shares) == 1 {
		out[0] = e.Counts.Tokens
		return out, nil
	}
	weights := make([]int64, len(e.Shares))
	for i, s := range e.Shares {
		weights[i] = s.PPM
	}
	for class, count := range e.Counts.Tokens {
		parts, err := money.Split(count, weights)
		if err != nil {
			return nil, err
		}
		for i, p := range parts {
			out[i][class] = p
		}
	}
	return out, nil
}

func add[K comparable](into map[K]*tally, key K, one *tally) {
	sum := into[key]
	if sum == nil {
		sum = &tally{}
		into[key] = sum
	}
	sum.requests += one.requests
	sum.errors += one.errors
	sum.provisional += one.provisional
	sum.tokens = sum.tokens.Plus(one.tokens)
	sum.amount.AddSum(&one.amount)
}

func (t *Tx) rollPlacements(sums map[placementDay]*tally, posting period.Month) error {
	keys := make([]placementDay, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	// One order for every writer: two flushes never wait for each other in a circle.
	slices.SortFunc(keys, func(a, b placementDay) int {
		return strings.Compare(a.day+a.placement.UUID()+a.key.UUID()+a.model, b.day+b.placement.UUID()+b.key.UUID()+b.model)
	})
	var days, placements, ids, models, amounts []string
	var counts [3 + int(usage.ClassCount)][]int64
	for _, k := range keys {
		s := sums[k]
		days, placements, ids = append(days, k.day), append(placements, k.placement.UUID()), append(ids, k.key.UUID())
		models, amounts = append(models, k.model), append(amounts, s.amount.Digits())
		row := [...]int64{s.requests, s.errors, s.provisional, s.tokens[0], s.tokens[1], s.tokens[2], s.tokens[3], s.tokens[4]}
		for i := range counts {
			counts[i] = append(counts[i], row[i])
		}
	}
	return t.exec("roll placements", `insert into rollup_placement_day as r (tenant_id, posting_period, day, placement_id, key_id, model, charge_pico,
			requests, errors, provisional, input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens)
		select $1, $2, d::date, p::uuid, k::uuid, m, a::numeric, n1, n2, n3, n4, n5, n6, n7, n8
		from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
			as u(d, p, k, m, a, n1, n2, n3, n4, n5, n6, n7, n8)
		on conflict (tenant_id, posting_period, day, placement_id, key_id, model) do update set charge_pico = r.charge_pico + excluded.charge_pico,
			requests = r.requests + excluded.requests, errors = r.errors + excluded.errors, provisional = r.provisional + excluded.provisional,
			input_tokens = r.input_tokens + excluded.input_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
			cache_write_5m_tokens = r.cache_write_5m_tokens + excluded.cache_write_5m_tokens,
			cache_write_1h_tokens = r.cache_write_1h_tokens + excluded.cache_write_1h_tokens,
			cache_read_tokens = r.cache_read_tokens + excluded.cache_read_tokens`,
		t.Tenant, posting.Start(), days, placements, ids, models, amounts, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], counts[6], counts[7])
}

func (t *Tx) rollDevelopers(sums map[developerDay]*tally, posting period.Month) error {
	if len(sums) == 0 {
		return nil
	}
	keys := make([]developerDay, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b developerDay) int {
		return strings.Compare(a.day+a.placement.UUID()+a.developer.UUID(), b.day+b.placement.UUID()+b.developer.UUID())
	})
	var days, placements, ids, amounts []string
	var requests, tokens []int64
	for _, k := range keys {
		s := sums[k]
		days, placements, ids = append(days, k.day), append(placements, k.placement.UUID()), append(ids, k.developer.UUID())
		amounts, requests = append(amounts, s.amount.Digits()), append(requests, s.requests)
		tokens = append(tokens, s.tokens.Prompt()+s.tokens[usage.ClassOutput])
	}
	return t.exec("roll developers", `insert into rollup_developer_day as r (tenant_id, posting_period, day, placement_id, developer_id, charge_pico, requests, tokens)
		select $1, $2, d::date, p::uuid, v::uuid, a::numeric, n, k
		from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[]) as u(d, p, v, a, n, k)
		on conflict (tenant_id, posting_period, day, placement_id, developer_id) do update set charge_pico = r.charge_pico + excluded.charge_pico,
			requests = r.requests + excluded.requests, tokens = r.tokens + excluded.tokens`,
		t.Tenant, posting.Start(), days, placements, ids, amounts, requests, tokens)
}
