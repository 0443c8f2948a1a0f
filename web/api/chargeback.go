package api

import (
	"tollbook/app"
	"tollbook/app/period"
)

// Chargeback is a month by one dimension.
type Chargeback struct {
	Period   string          `json:"period"`
	State    string          `json:"state" enum:"open,closing,locked,closed"`
	Total    string          `json:"total" format:"decimal"`
	Rows     []ChargebackRow `json:"rows"`
	Suspense string          `json:"suspense" format:"decimal" doc:"What no rule could place; part of total."`
	// Capitalized and the rest, expensed, are as the nodes were when the charges came.
	Capitalized string    `json:"capitalized" format:"decimal" doc:"The part of total that was to be capitalized when it was charged; the rest is expensed."`
	Plan        *PlanUsed `json:"plan" doc:"What it is compared with; null while no plan is in force."`
	Control     *Control  `json:"control" doc:"Null when the token sees only part of the tenant."`
}

// ChargebackRow is one group. A node's figures include everything below it.
type ChargebackRow struct {
	Key      string  `json:"key" doc:"A code, a developer's id, a model or a key's id."`
	Label    string  `json:"label"`
	Path     *string `json:"path"`
	Actual   string  `json:"actual" format:"decimal"`
	Plan     *string `json:"plan" format:"decimal" doc:"Plan to date: the month's approved amount times days elapsed over days in the month, today counted whole. Null where nothing is planned at or below the node, and for what is no node."`
	Variance *string `json:"variance" format:"decimal" doc:"Actual less plan: above zero is over."`
	// PlanMonth is the whole month's.
	PlanMonth *string `json:"plan_month" format:"decimal" doc:"The whole month's approved amount."`
	Requests  int64   `json:"requests"`
	Tokens    int64   `json:"tokens"`
}

// PlanUsed is the plan a month is compared with.
type PlanUsed struct {
	Version     int     `json:"version"`
	Name        string  `json:"name" doc:"Original, or Reforecast and its number."`
	Year        string  `json:"year" doc:"The first month of the year it covers, YYYY-MM."`
	DaysElapsed int     `json:"days_elapsed" doc:"Today counted whole."`
	Days        int     `json:"days"`
	Month       string  `json:"month" format:"decimal" doc:"The whole month's approved amount."`
	ToDate      string  `json:"to_date" format:"decimal"`
	Variance    string  `json:"variance" format:"decimal" doc:"Total less to_date."`
	EffectiveAt Instant `json:"effective_from"`
}

// Control is the month summed independently, from what was flushed.
type Control struct {
	Requests   int64  `json:"requests"`
	Total      string `json:"total" format:"decimal"`
	Difference string `json:"difference" format:"decimal" doc:"Zero, or something is wrong."`
}

// ChargebackQuery names a month and how to group it.
type ChargebackQuery struct {
	Period  period.Month `query:"period" doc:"YYYY-MM. Default: this month."`
	GroupBy string       `query:"group_by" enum:"node,developer,model,key,project" doc:"Default: node."`
	AsOf    Instant      `query:"as_of" doc:"Names, places in the tree and the plan as of that instant. Default: now."`
	KnownAt Instant      `query:"known_at" doc:"As of, as it was known at that instant. Charges are all that are posted. Default: now."`
}

func (a *API) chargeback(c *call, q ChargebackQuery) (Chargeback, error) {
	if q.Period == (period.Month{}) {
		q.Period = period.MonthOf(a.cfg.Now())
	}
	if q.GroupBy == "" {
		q.GroupBy = "node"
	}
	sum, err := a.areas.Reports.Month(c.Request().Context(), c.who, app.MonthQuery{Month: q.Period, GroupBy: q.GroupBy, AsOf: q.AsOf.Time, Known: q.KnownAt.Time})
	if err != nil {
		return Chargeback{}, err
	}
	c.chosen["period"], c.chosen["group_by"] = q.Period.String(), q.GroupBy
	c.control("total_usd", &sum.Total)
	c.control("capitalized_usd", &sum.Capitalized)
	c.control("suspense_usd", &sum.Suspense)
	return chargebackOf(&sum), nil
}

func chargebackOf(sum *app.Chargeback) Chargeback {
	out := Chargeback{
		Period: sum.Period.String(), State: string(sum.State), Total: sum.Total.String(), Suspense: sum.Suspense.String(),
		Rows: make([]ChargebackRow, 0, len(sum.Rows)), Capitalized: sum.Capitalized.String(),
	}
	for i := range sum.Rows {
		r := &sum.Rows[i]
		one := ChargebackRow{
			Key: r.Key, Label: r.Label, Path: textOrNil(r.Path), Actual: r.Actual.String(), Requests: r.Requests, Tokens: r.Tokens,
		}
		if r.Plan != nil {
			toDate, month, difference := r.Plan.ToDate.String(), r.Plan.Month.String(), r.Plan.Variance(&r.Actual)
			over := difference.String()
			one.Plan, one.PlanMonth, one.Variance = &toDate, &month, &over
		}
		out.Rows = append(out.Rows, one)
	}
	if p := sum.Plan; p != nil {
		over := p.Variance(&sum.Total)
		out.Plan = &PlanUsed{
			Version: p.Version.Number, Name: p.Version.Name(), Year: p.Version.Year.String(), DaysElapsed: p.Elapsed, Days: p.Days,
			Month: p.Month.String(), ToDate: p.ToDate.String(), Variance: over.String(), EffectiveAt: Instant{p.Version.EffectiveFrom},
		}
	}
	if sum.Control != nil {
		out.Control = &Control{Requests: sum.Control.Requests, Total: sum.Control.Total.String(), Difference: sum.Control.Difference.String()}
	}
	return out
}
