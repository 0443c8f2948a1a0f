package api

import (
	"tollbook/app"
	"tollbook/app/period"
)

// Chargeback is a month by one dimension.
type Chargeback struct {
	Period   string          `json:"period"`
	State    string          `json:"state" enum:"open,closing,locked"`
	Total    string          `json:"total" format:"decimal"`
	Rows     []ChargebackRow `json:"rows"`
	Suspense string          `json:"suspense" format:"decimal" doc:"What no rule could place; part of total."`
	Control  *Control        `json:"control" doc:"Null when the token sees only part of the tenant."`
}

// ChargebackRow is one group. A node's figures include everything below it.
type ChargebackRow struct {
	Key      string  `json:"key" doc:"A code, a developer's id, a model or a key's id."`
	Label    string  `json:"label"`
	Path     *string `json:"path"`
	Actual   string  `json:"actual" format:"decimal"`
	Plan     *string `json:"plan" format:"decimal" doc:"Null until a plan is approved."`
	Variance *string `json:"variance" format:"decimal"`
	Requests int64   `json:"requests"`
	Tokens   int64   `json:"tokens"`
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
	AsOf    Instant      `query:"as_of" doc:"Names and places in the tree as of that instant. Default: now."`
}

func (a *API) chargeback(c *call, q ChargebackQuery) (Chargeback, error) {
	if q.Period == (period.Month{}) {
		q.Period = period.MonthOf(a.cfg.Now())
	}
	if q.GroupBy == "" {
		q.GroupBy = "node"
	}
	sum, err := a.areas.Reports.Chargeback(c.Request().Context(), c.who, q.Period, q.GroupBy, q.AsOf.Time)
	if err != nil {
		return Chargeback{}, err
	}
	return chargebackOf(&sum), nil
}

func chargebackOf(sum *app.Chargeback) Chargeback {
	out := Chargeback{
		Period: sum.Period.String(), State: string(sum.State), Total: sum.Total.String(), Suspense: sum.Suspense.String(),
		Rows: make([]ChargebackRow, 0, len(sum.Rows)),
	}
	for i := range sum.Rows {
		r := &sum.Rows[i]
		out.Rows = append(out.Rows, ChargebackRow{
			Key: r.Key, Label: r.Label, Path: textOrNil(r.Path), Actual: r.Actual.String(), Requests: r.Requests, Tokens: r.Tokens,
		})
	}
	if sum.Control != nil {
		out.Control = &Control{Requests: sum.Control.Requests, Total: sum.Control.Total.String(), Difference: sum.Control.Difference.String()}
	}
	return out
}
