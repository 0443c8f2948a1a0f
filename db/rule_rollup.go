package db

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/pricing"
)

// ruleDay is what one of the tenant's rules placed on one day.
type ruleDay struct {
	day     string
	rule    string
	version int64
}

type ruleTally struct {
	requests int64
	amount   money.Sum
}

// rollRules adds newly inserted events to the rollup by rule: those that a rule of the
// tenant's placed.
func (t *Tx) rollRules(rated []pricing.Rated, posting period.Month) error {
	sums := map[ruleDay]*ruleTally{}
	for i := range rated {
		e := &rated[i].Event
		if !strings.HasPrefix(e.Rule, "rule:") {
			continue
		}
		key := ruleDay{e.OccurredAt().Format(time.DateOnly), e.Rule, e.RuleVersion}
		sum := sums[key]
		if sum == nil {
			sum = &ruleTally{}
			sums[key] = sum
		}
		sum.requests++
		sum.amount.Add(rated[i].Charge.Net)
	}
	if len(sums) == 0 {
		return nil
	}
	keys := make([]ruleDay, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	// One order for every writer, as in the other rollups.
	slices.SortFunc(keys, func(a, b ruleDay) int {
		return cmp.Or(strings.Compare(a.day, b.day), strings.Compare(a.rule, b.rule), cmp.Compare(a.version, b.version))
	})
	var days, rules, amounts []string
	var versions, requests []int64
	for _, k := range keys {
		days, rules, versions = append(days, k.day), append(rules, k.rule), append(versions, k.version)
		requests, amounts = append(requests, sums[k].requests), append(amounts, sums[k].amount.Digits())
	}
	return t.exec("roll rules", `insert into rollup_rule_day as r (tenant_id, posting_period, day, rule, rule_version, requests, charge_pico)
		select $1, $2, d::date, u, v::integer, n, a::numeric from unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[]) as x(d, u, v, n, a)
		on conflict (tenant_id, posting_period, day, rule, rule_version) do update set requests = r.requests + excluded.requests, charge_pico = r.charge_pico + excluded.charge_pico`,
		t.Tenant, posting.Start(), days, rules, versions, requests, amounts)
}

// RuleRow is what one rule placed in a month.
type RuleRow struct {
	Rule       string
	Requests   int64
	ChargePico string
}

// RuleMonth sums a posting period by the rule that placed it.
func (t *Tx) RuleMonth(m period.Month) ([]RuleRow, error) {
	var rows []RuleRow
	err := t.scan("sum rules", &rows, `select rule, sum(requests)::bigint as requests, sum(charge_pico)::text as charge_pico
		from rollup_rule_day where tenant_id = ? and posting_period = ? group by rule order by rule`, t.Tenant, m.Start())
	return rows, err
}
