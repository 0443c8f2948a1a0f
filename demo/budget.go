package demo

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"tollbook/app"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
)

// budgets are what the company approved for a month of full traffic, in dollars: some
// of it too little for what was used, some too much.
func budgets() map[string]int64 {
	return map[string]int64{
		"CC-4100": 190, "P-4100-07": 150, "P-4100-11": 150, "CC-4200": 150, "P-4200-02": 300, "CC-4300": 75, "P-4300-01": 110, "CC-4400": 100,
		"CC-5100": 80, "P-5100-03": 130, "CC-5200": 140, "CC-5300": 95, "CC-5400": 60, "P-5400-01": 85, "CC-6100": 60, "CC-6200": 95, "CC-6300": 105, "CC-6400": 40,
	}
}

// monthlyGrowth is what the board expected use to grow by, in per cent.
const monthlyGrowth = 2

// approvePlans approves what may be spent from the first month of the history to the end
// of this year, and a reforecast of this year as of this month: one cost center grew.
func approvePlans(ctx context.Context, areas Areas, who app.Actor, p Plan) error {
	first, current := period.MonthOf(p.start()), period.MonthOf(p.Now)
	for year := plan.CalendarYear(first); !year.First().Start().After(current.Start()); year = year.Next() {
		ask := app.PlanAsk{Year: year, File: budget(year, first, p.Requests, nil), EffectiveFrom: p.start(), Reason: "annual plan, approved by the board"}
		if _, err := areas.Plans.Propose(ctx, who, ask, ""); err != nil {
			return fmt.Errorf("approve the plan of %s: %w", year.Name(), err)
		}
	}
	year := plan.CalendarYear(current)
	file := budget(year, current, p.Requests, map[string]int64{"CC-4300": 95, "P-4300-01": 150})
	draft, err := areas.Plans.DryRun(ctx, who, year, file)
	if err != nil {
		return fmt.Errorf("reforecast: %w", err)
	}
	_, err = areas.Plans.Propose(ctx, who, app.PlanAsk{
		Year: year, File: file, Base: draft.Base,
		EffectiveFrom: current.Start(), Reason: "Simulation hired two engineers",
	}, "")
	if err != nil {
		return fmt.Errorf("approve the reforecast: %w", err)
	}
	return nil
}

// budget is the file of a year's plan from a month on, for as much traffic as is made.
// With only some nodes, the others keep what they have.
func budget(year plan.Year, from period.Month, requests int, only map[string]int64) []byte {
	amounts := budgets()
	if only != nil {
		amounts = only
	}
	var months []period.Month
	var file bytes.Buffer
	file.WriteString("code")
	for _, m := range year.Each() {
		if !m.Start().Before(from.Start()) {
			months = append(months, m)
			file.WriteString("," + m.String())
		}
	}
	for _, n := range hierarchy() {
		dollars, planned := amounts[n.Code]
		if !planned {
			continue
		}
		file.WriteString("\n" + n.Code)
		for _, m := range months {
			grown := dollars * 100 * int64(100+monthlyGrowth*monthsBetween(from.Start(), m.Start())) / 100
			cents := money.Cents(grown * int64(requests) / DefaultRequests)
			file.WriteString("," + cents.String())
		}
	}
	return file.Bytes()
}

func monthsBetween(from, to time.Time) int {
	return (to.Year()-from.Year())*12 + int(to.Month()) - int(from.Month())
}
