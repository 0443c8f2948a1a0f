package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// ChargebackRow is one group of a month.
type ChargebackRow struct {
	Key         string // code, developer id, model or key id
	Label       string
	Path        string
	Depth       int
	Kind        string
	Treatment   string // capitalization; empty where it does not apply
	Actual      money.Sum
	Own         money.Sum // a node's own, without its descendants
	Capitalized money.Sum // the part of Actual that was to be capitalized when it was charged
	Plan        *Planned  // nil: nothing is planned for it
	Requests    int64
	Errors      int64
	Provisional int64
	Tokens      int64
}

// Control is the month summed independently from what was flushed.
type Control struct {
	Requests   int64
	Total      money.Sum
	Difference money.Sum // zero, or something is wrong
}

// Chargeback is a posting period by one dimension.
type Chargeback struct {
	Period period.Month
	State  period.State
	// Revision is that of the close the figures were kept with, which they cannot leave; 0: the
	// month is not shut.
	Revision int
	Total    money.Sum
	Suspense money.Sum
	// Capitalized is the part of Total that was to be capitalized when it was charged; the
	// rest is expensed.
	Capitalized money.Sum
	Requests    int64
	Tokens      int64
	// Errors and Provisional count requests that cost nothing and that may still change.
	Errors, Provisional int64
	Rows                []ChargebackRow
	// Control is nil when the actor sees only part of the tenant.
	Control *Control
	// Plan is what all of it is compared with; nil while no plan is in force.
	Plan *MonthPlan
}

// MonthQuery asks for a posting period by one dimension. Names, places in the tree and
// the plan are as of an instant, as known at another; zero is now. Charges are all that
// are posted.
type MonthQuery struct {
	Month   period.Month
	GroupBy string // node, developer, model, key or project
	AsOf    time.Time
	Known   time.Time
}

// Chargeback sums a posting period by node (each with its descendants), developer,
// model, key or project, as of an instant (zero: now) for names and places in the tree.
func (r *Reports) Chargeback(ctx context.Context, who Actor, month period.Month, groupBy string, asOf time.Time) (Chargeback, error) {
	return r.Month(ctx, who, MonthQuery{Month: month, GroupBy: groupBy, AsOf: asOf})
}

// Month is Chargeback, as known at an instant.
func (r *Reports) Month(ctx context.Context, who Actor, q MonthQuery) (Chargeback, error) {
	month, groupBy := q.Month, q.GroupBy
	if !slices.Contains([]string{"node", "developer", "model", "key", "project"}, groupBy) {
		return Chargeback{}, fault.Invalid("group_by", "group_by_unknown", "group_by is node, developer, model, key or project.")
	}
	if err := r.access.Check(who, "chargeback", "read"); err != nil {
		return Chargeback{}, err
	}
	scope := r.access.Scope(who, "chargeback", "read")
	out := Chargeback{Period: month}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		stands, err := tx.PeriodStanding(month)
		if err != nil {
			return err
		}
		if out.State = stands.State; stands.State.Shut() {
			out.Revision = stands.Revision
		}
		places, err := placements(tx)
		if err != nil {
			return err
		}
		byPlacement, err := tx.MonthBy(month, "placement", scope)
		if err != nil {
			return err
		}
		tree, err := treeKnown(tx, q.AsOf, q.Known)
		if err != nil {
			return err
		}
		if err := out.total(byPlacement, places, tree); err != nil {
			return err
		}
		planned, err := out.plan(tx, q, tree, scope)
		if err != nil {
			return err
		}
		switch groupBy {
		case "node", "project":
			err = out.byNode(byPlacement, places, tree, scope, planned, groupBy == "project")
		default:
			err = r.byColumn(tx, &out, groupBy, scope)
		}
		if err != nil || scope != nil {
			return err
		}
		return out.control(tx, month)
	})
	return out, err
}

func (c *Chargeback) total(rows []db.SumRow, places map[id.Placement]placed, tree *hierarchy.Tree) error {
	suspense, _ := tree.Code(hierarchy.SuspenseCode)
	for _, row := range rows {
		amount, placement, err := readSum(row)
		if err != nil {
			return err
		}
		c.Total.AddSum(&amount)
		c.Requests += row.Requests
		c.Tokens += row.Tokens
		c.Errors += row.Errors
		c.Provisional += row.Provisional
		if places[placement].node == suspense.Node {
			c.Suspense.AddSum(&amount)
		}
		if places[placement].treatment == hierarchy.Capitalize {
			c.Capitalized.AddSum(&amount)
		}
	}
	return nil
}

func readSum(row db.SumRow) (money.Sum, id.Placement, error) {
	amount, err := money.SumOfPico(row.ChargePico)
	if err != nil {
		return money.Sum{}, id.Placement{}, err
	}
	placement, _ := id.ParsePlacement(row.Group) // other groups are no placement
	return amount, placement, nil
}

// byNode walks each placement's charge up to every ancestor: a node's total is its
// own plus its descendants', where they were when it was charged.
func (c *Chargeback) byNode(rows []db.SumRow, places map[id.Placement]placed, tree *hierarchy.Tree, scope []id.Node, planned map[id.Node]*Planned, projectsOnly bool) error {
	sums := map[id.Node]*ChargebackRow{}
	at := func(node id.Node) *ChargebackRow {
		if sums[node] == nil {
			sums[node] = &ChargebackRow{}
		}
		return sums[node]
	}
	for _, row := range rows {
		amount, placement, err := readSum(row)
		if err != nil {
			return err
		}
		for _, node := range places[placement].ancestors {
			sum := at(node)
			sum.Actual.AddSum(&amount)
			sum.Requests += row.Requests
			sum.Errors += row.Errors
			sum.Provisional += row.Provisional
			sum.Tokens += row.Tokens
			if places[placement].treatment == hierarchy.Capitalize {
				sum.Capitalized.AddSum(&amount)
			}
		}
		at(places[placement].node).Own.AddSum(&amount)
	}
	for node, p := range planned {
		at(node).Plan = p
	}
	for _, v := range tree.All() {
		if (projectsOnly && v.Kind != hierarchy.KindProject) || (scope != nil && !visible(tree, v.Node, scope)) {
			continue
		}
		row := at(v.Node)
		row.Key, row.Label, row.Path, row.Kind, row.Treatment = v.Code, v.Name, tree.Path(v.Node), string(v.Kind), string(v.Capitalization)
		row.Depth = tree.Depth(v.Node)
		c.Rows = append(c.Rows, *row)
		delete(sums, v.Node)
	}
	// What is left was charged to nodes that no longer exist: it stays visible.
	if !projectsOnly {
		c.gone(sums, places, scope)
	}
	return nil
}

func (c *Chargeback) gone(sums map[id.Node]*ChargebackRow, places map[id.Placement]placed, scope []id.Node) {
	list := slices.SortedFunc(maps.Values(places), func(a, b placed) int { return strings.Compare(a.path, b.path) })
	for _, p := range list {
		row := sums[p.node]
		if row == nil || (scope != nil && !slices.ContainsFunc(p.ancestors, func(n id.Node) bool { return slices.Contains(scope, n) })) {
			continue
		}
		row.Key, row.Label, row.Path, row.Treatment = p.code, p.code+" (retired)", p.path, string(p.treatment)
		c.Rows = append(c.Rows, *row)
		delete(sums, p.node)
	}
}

func (r *Reports) byColumn(tx *db.Tx, out *Chargeback, groupBy string, scope []id.Node) error {
	rows, err := tx.MonthBy(out.Period, groupBy, scope)
	if err != nil {
		return err
	}
	labels, err := r.groupLabels(tx, groupBy, rows)
	if err != nil {
		return err
	}
	for _, row := range rows {
		amount, _, err := readSum(row)
		if err != nil {
			return err
		}
		one := ChargebackRow{Key: row.Group, Label: row.Group, Actual: amount, Own: amount, Requests: row.Requests, Errors: row.Errors, Provisional: row.Provisional, Tokens: row.Tokens}
		if known, ok := labels[row.Group]; ok {
			one.Key, one.Label = known[0], known[1]
		}
		out.Rows = append(out.Rows, one)
	}
	if groupBy == "developer" {
		out.undeclared()
	}
	slices.SortStableFunc(out.Rows, func(a, b ChargebackRow) int {
		if order := b.Actual.Cmp(&a.Actual); order != 0 {
			return order
		}
		return strings.Compare(a.Key, b.Key)
	})
	return nil
}

// undeclared adds what no developer was named for, so that rows sum to the total.
func (c *Chargeback) undeclared() {
	rest := ChargebackRow{Key: Undeclared, Label: "Undeclared", Requests: c.Requests, Tokens: c.Tokens}
	rest.Actual.AddSum(&c.Total)
	for i := range c.Rows {
		rest.Actual.SubSum(&c.Rows[i].Actual)
		rest.Requests -= c.Rows[i].Requests
		rest.Tokens -= c.Rows[i].Tokens
	}
	if rest.Requests != 0 || rest.Actual.Sign() != 0 {
		rest.Own.AddSum(&rest.Actual)
		c.Rows = append(c.Rows, rest)
	}
}

// groupLabels names keys and developers: database text to printed id and label.
func (r *Reports) groupLabels(tx *db.Tx, groupBy string, rows []db.SumRow) (map[string][2]string, error) {
	labels := map[string][2]string{}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.Group)
	}
	switch groupBy {
	case "developer":
		known, err := tx.Developers(ids)
		if err != nil {
			return nil, err
		}
		for _, d := range known {
			label := r.labels.Open(d.DeveloperID, d.LabelSealed)
			if label == "" {
				label = "Erased developer"
			}
			labels[d.DeveloperID.UUID()] = [2]string{d.DeveloperID.String(), label}
		}
	case "key":
		known, err := tx.KeyLabels(ids)
		if err != nil {
			return nil, err
		}
		for _, k := range known {
			labels[k.ID.UUID()] = [2]string{k.ID.String(), k.Label}
		}
	}
	return labels, nil
}

func (c *Chargeback) control(tx *db.Tx, month period.Month) error {
	requests, pico, err := tx.BatchControl(month)
	if err != nil {
		return err
	}
	total, err := money.SumOfPico(pico)
	if err != nil {
		return err
	}
	c.Control = &Control{Requests: requests, Total: total}
	c.Control.Difference.AddSum(&c.Total)
	c.Control.Difference.SubSum(&total)
	return nil
}

// DayTotal is one UTC day of a month.
type DayTotal struct {
	Day      time.Time
	Amount   money.Sum
	Requests int64
}

// Days sums a posting period by UTC day.
func (r *Reports) Days(ctx context.Context, who Actor, month period.Month) ([]DayTotal, error) {
	if err := r.access.Check(who, "chargeback", "read"); err != nil {
		return nil, err
	}
	var days []DayTotal
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.MonthBy(month, "day", r.access.Scope(who, "chargeback", "read"))
		if err == nil {
			days, err = dayTotals(rows)
		}
		return err
	})
	return days, err
}

// OwnDays sums the actor's own posting period by UTC day, as a developer.
func (r *Reports) OwnDays(ctx context.Context, who Actor, month period.Month) ([]DayTotal, error) {
	if r.access.Check(who, "usage", "read_own") != nil && r.access.Check(who, "usage", "read") != nil {
		return nil, ErrNotAllowed
	}
	var days []DayTotal
	if who.Developer.IsZero() {
		return days, nil
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.DeveloperMonth(month, who.Developer)
		if err == nil {
			days, err = dayTotals(rows)
		}
		return err
	})
	return days, err
}

func dayTotals(rows []db.SumRow) ([]DayTotal, error) {
	days := make([]DayTotal, 0, len(rows))
	for _, row := range rows {
		amount, _, err := readSum(row)
		if err != nil {
			return nil, err
		}
		day, err := time.Parse(time.DateOnly, row.Group)
		if err != nil {
			return nil, fmt.Errorf("read day of rollup: %w", err)
		}
		days = append(days, DayTotal{Day: day, Amount: amount, Requests: row.Requests})
	}
	return days, nil
}

// Seal is how far the ledger has been sealed into the audit log.
type Seal struct {
	Batch    id.Batch
	At       time.Time
	Sequence int64
	Placed   bool // false while the record waits for its place
}

// Latest tells the latest flush; found is false before the first request.
func (r *Reports) Latest(ctx context.Context, who Actor) (Seal, bool, error) {
	var seal Seal
	found := false
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		last, ok, err := tx.LatestBatch()
		seal, found = Seal{Batch: last.BatchID, At: last.RecordedAt.UTC()}, ok
		if last.Sequence != nil {
			seal.Sequence, seal.Placed = *last.Sequence, true
		}
		return err
	})
	return seal, found, err
}
