package app

import (
	"time"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
	"tollbook/db"
)

// Planned is what was approved for a node and everything below it in one month.
type Planned struct {
	Month  money.Cents // the whole month
	ToDate money.Cents // by the day the month has come to
}

// Variance is what was spent less the plan to date: above zero is over.
func (p *Planned) Variance(actual *money.Sum) money.Sum {
	var difference money.Sum
	difference.AddSum(actual)
	difference.AddCents(-p.ToDate)
	return difference
}

// MonthPlan is the plan a month is compared with.
type MonthPlan struct {
	Planned
	Version plan.Version
	Elapsed int // days that count as gone, today among them
	Days    int
}

// plan reads what is approved for the month and rolls it up the tree. Each amount comes
// to its part of the month by itself, so that rows sum to the total to the cent. Nothing
// is planned for suspense: once there is a plan, all of it is over.
func (c *Chargeback) plan(tx *db.Tx, q MonthQuery, tree *hierarchy.Tree, scope []id.Node) (map[id.Node]*Planned, error) {
	rows, err := tx.Plans(maxPlanVersions)
	if err != nil {
		return nil, err
	}
	if q.AsOf.IsZero() {
		q.AsOf = tx.Now
	}
	version, found := plan.InForce(planVersions(rows), q.Month, q.AsOf, q.Known)
	if !found {
		return map[id.Node]*Planned{}, nil
	}
	amounts, err := tx.PlanMonth(version.Number, q.Month)
	if err != nil {
		return nil, err
	}
	c.Plan = &MonthPlan{Version: version, Elapsed: plan.Elapsed(q.Month, tx.Now), Days: q.Month.Days()}
	planned := map[id.Node]*Planned{}
	for node, cents := range amounts {
		if scope != nil && !visible(tree, node, scope) {
			continue
		}
		toDate := plan.ToDate(cents, c.Plan.Elapsed, c.Plan.Days)
		chain := tree.Above(node)
		if chain == nil {
			chain = []id.Node{node} // in the tree no more: it stands alone
		}
		for _, n := range chain {
			if planned[n] == nil {
				planned[n] = &Planned{}
			}
			planned[n].Month += cents
			planned[n].ToDate += toDate
		}
		c.Plan.Month += cents
		c.Plan.ToDate += toDate
	}
	if suspense, ok := tree.Code(hierarchy.SuspenseCode); ok && planned[suspense.Node] == nil {
		planned[suspense.Node] = &Planned{}
	}
	return planned, nil
}

// planOf sums what is approved for a month, for a list of months.
func planOf(tx *db.Tx, versions []plan.Version, month period.Month, at MonthQuery, tree *hierarchy.Tree, scope []id.Node) (*Planned, error) {
	version, found := plan.InForce(versions, month, at.AsOf, at.Known)
	if !found {
		return nil, nil //nolint:nilnil // no plan is no failure
	}
	amounts, err := tx.PlanMonth(version.Number, month)
	if err != nil {
		return nil, err
	}
	var sum Planned
	elapsed := plan.Elapsed(month, tx.Now)
	for node, cents := range amounts {
		if scope == nil || visible(tree, node, scope) {
			sum.Month += cents
			sum.ToDate += plan.ToDate(cents, elapsed, month.Days())
		}
	}
	return &sum, nil
}

// whole tells how many days of a month are over, and how many of the month before stand
// against them: all, once the month is over.
func whole(month period.Month, now time.Time) (through, before int) {
	switch now = now.UTC(); {
	case now.Before(month.Start()):
		return 0, 0
	case !now.Before(month.End()):
		return month.Days(), month.Previous().Days()
	}
	through = now.Day() - 1 // today is not over
	return through, min(through, month.Previous().Days())
}
