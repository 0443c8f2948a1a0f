package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
	"tollbook/db"
)

// impact says what a change of the hierarchy would do. One that cannot be applied any more
// says why.
func (n *Nodes) impact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	said, err := proposed(tx, &c)
	if err != nil {
		return approval.Impact{}, err
	}
	at := c.EffectiveFrom
	if said.TakesEffect == whenDecided {
		at = tx.Now
	}
	versions, err := tx.NodeVersions()
	if err != nil {
		return approval.Impact{}, err
	}
	step := nodeStep{at: at, operations: said.Operations}
	if err := step.take(tx, versions); err != nil {
		if kind := fault.KindOf(err); kind != fault.KindInvalid && kind != fault.KindConflict {
			return approval.Impact{}, err
		}
		gone := approval.Impact{Sentence: hierarchy.Sentences(said.Operations) + " It cannot be applied as things are: " + fault.From(err).Message}
		for _, text := range said.Nodes {
			if node, err := id.ParseNode(text); err == nil {
				gone.Touches = append(gone.Touches, node)
			}
		}
		slices.SortFunc(gone.Touches, func(a, b id.Node) int { return strings.Compare(a.UUID(), b.UUID()) })
		return gone, nil
	}
	effect, err := step.effect(tx, versions)
	if at.Before(tx.Now) {
		effect.Sentence += " What was charged since " + at.UTC().Format("2006-01-02 15:04 UTC") + " moves along once it is decided: a job posts adjustments, and says here when it is done."
	}
	return effect.Impact, err
}

// nodeEffect is what operations would have done to the last full month.
type nodeEffect struct {
	approval.Impact
	// above are the nodes whose total, with everything below them, differs.
	above  []approval.NodeImpact
	before *hierarchy.Tree
	after  *hierarchy.Tree
}

// spot is where a charge lands: a node and what is above it, whatever their codes.
type spot struct {
	node      id.Node
	ancestors string
}

// nodeTally is a charge before and after, and how the place is shown.
type nodeTally struct {
	approval.NodeImpact
	nodes []id.Node // the node's ancestors, itself last
}

// effect replays the last full month: every node's own charge is placed on the tree
// without the change and with it, both as of the effective instant, so that what earlier
// changes moved is not counted here. It reads sums of days, no requests.
func (s *nodeStep) effect(tx *db.Tx, versions []hierarchy.Version) (nodeEffect, error) {
	e := nodeEffect{Impact: approval.Impact{Sentence: hierarchy.Sentences(s.outcome.Operations), Touches: s.outcome.Touches}}
	var err error
	if e.before, err = hierarchy.Build(versions, s.at, time.Time{}); err != nil {
		return e, err
	}
	if e.after, err = hierarchy.Build(s.outcome.After(versions), s.at, time.Time{}); err != nil {
		return e, err
	}
	replayed, err := hierarchy.Replay(e.before, e.after, s.outcome.Leaving)
	if err != nil {
		return e, err
	}
	if err := e.charges(tx, replayed, s.outcome.Created); err != nil {
		return e, err
	}
	if err := e.plan(tx, replayed, s.at); err != nil {
		return e, err
	}
	return e, e.rest(tx, replayed, s.at)
}

// charges replays the month's charges.
func (e *nodeEffect) charges(tx *db.Tx, replayed map[id.Node]hierarchy.Replayed, created []id.Node) error {
	month := period.MonthOf(tx.Now).Previous()
	own, err := ownCharges(tx, month)
	if err != nil {
		return err
	}
	spots := map[spot]*nodeTally{}
	for node, charge := range own {
		r, there := replayed[node]
		if !there || charge.Sign() == 0 {
			continue // charged to a node that is there no more: no change places it again
		}
		landing(spots, &r.Before).Before.AddSum(&charge)
		landing(spots, &r.After).After.AddSum(&charge)
		if !r.Moved() {
			continue
		}
		e.Month = month.String()
		e.Moved.AddSum(&charge)
		e.treat(&r, &charge)
	}
	e.list(spots, created)
	return nil
}

// treat adds a moved charge to what is capitalized and what is expensed.
func (e *nodeEffect) treat(r *hierarchy.Replayed, charge *money.Sum) {
	before, after := &e.Expensed, &e.Expensed
	if r.Before.Capitalization == hierarchy.Capitalize {
		before = &e.Capitalized
	}
	if r.After.Capitalization == hierarchy.Capitalize {
		after = &e.Capitalized
	}
	before.Before.AddSum(charge)
	after.After.AddSum(charge)
}

// ownCharges sums a month by node, each its own.
func ownCharges(tx *db.Tx, month period.Month) (map[id.Node]money.Sum, error) {
	places, err := placements(tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.MonthBy(month, "placement", nil)
	if err != nil {
		return nil, err
	}
	own := map[id.Node]money.Sum{}
	for _, row := range rows {
		amount, placement, err := readSum(row)
		if err != nil {
			return nil, err
		}
		node := places[placement].node
		sum := own[node]
		sum.AddSum(&amount)
		own[node] = sum
	}
	return own, nil
}

// landing finds the tally of a place. The same node below others is another place.
func landing(spots map[spot]*nodeTally, p *hierarchy.Placement) *nodeTally {
	var above strings.Builder
	for _, node := range p.Ancestors {
		raw := node.Bytes()
		above.Write(raw[:])
	}
	key := spot{p.Node, above.String()}
	t := spots[key]
	if t == nil {
		t = &nodeTally{nodes: p.Ancestors}
		spots[key] = t
	}
	// Shown as it is with the change, where it is there then.
	t.Node, t.Code, t.Path = p.Node, p.Path[len(p.Path)-1], strings.Join(p.Path, hierarchy.PathSeparator)
	return t
}

// list keeps the places whose own charge differs, and the nodes whose total does. A node
// that the change itself makes has no id yet.
func (e *nodeEffect) list(spots map[spot]*nodeTally, created []id.Node) {
	totals := map[id.Node]*approval.NodeImpact{}
	for _, t := range spots {
		for _, node := range t.nodes {
			sum := totals[node]
			if sum == nil {
				sum = &approval.NodeImpact{Node: node}
				totals[node] = sum
			}
			sum.Before.AddSum(&t.Before)
			sum.After.AddSum(&t.After)
		}
		if t.Before.Cmp(&t.After) != 0 {
			e.Nodes = append(e.Nodes, t.NodeImpact)
		}
	}
	for node, sum := range totals {
		tree := e.after
		if _, there := tree.Node(node); !there {
			tree = e.before
		}
		v, _ := tree.Node(node)
		if sum.Code, sum.Path = v.Code, tree.Path(node); sum.Before.Cmp(&sum.After) != 0 {
			e.above = append(e.above, *sum)
		}
	}
	for i := range e.Nodes {
		if slices.Contains(created, e.Nodes[i].Node) {
			e.Nodes[i].Node = id.Node{}
		}
	}
	for _, list := range [][]approval.NodeImpact{e.Nodes, e.above} {
		slices.SortFunc(list, func(a, b approval.NodeImpact) int {
			return strings.Compare(a.Path+a.Node.UUID(), b.Path+b.Node.UUID())
		})
	}
}

// plan sums what is planned for the nodes that lie below others then: it goes with them.
func (e *nodeEffect) plan(tx *db.Tx, replayed map[id.Node]hierarchy.Replayed, at time.Time) error {
	rows, err := tx.Plans(maxPlanVersions)
	if err != nil {
		return err
	}
	year := yearOf(rows, period.MonthOf(at))
	version, found := plan.InForce(planVersions(rows), year.First(), tx.Now, time.Time{})
	if !found {
		return nil
	}
	grid, err := tx.PlanGrid(version)
	if err != nil {
		return err
	}
	var left money.Cents
	for node, row := range grid {
		r, there := replayed[node]
		switch {
		case !there:
		case r.Gone:
			left += row.Total().Cents
		case r.Relocated():
			e.PlanMovedCents += row.Total().Cents
		}
	}
	if left > 0 {
		e.Sentence += fmt.Sprintf(" The plan of $%s for what retires stays where it is until a reforecast moves it.", left)
	}
	return nil
}

// rest counts what else a change touches: virtual keys, and attribution rules.
func (e *nodeEffect) rest(tx *db.Tx, replayed map[id.Node]hierarchy.Replayed, at time.Time) error {
	var touched []id.Node
	for node, r := range replayed {
		if r.Moved() || r.Gone {
			touched = append(touched, node)
		}
	}
	if len(touched) == 0 {
		return nil
	}
	rows, err := tx.KeysOnNodes(at, touched)
	seen := map[id.Key]bool{}
	for _, row := range rows {
		seen[row.KeyID] = true
	}
	e.Keys = len(seen)
	if err != nil {
		return err
	}
	return e.rules(tx, replayed, at)
}

// rules counts the rules in force then that charge what the change touches, and says what
// becomes of those that charge a node it takes away.
func (e *nodeEffect) rules(tx *db.Tx, replayed map[id.Node]hierarchy.Replayed, at time.Time) error {
	row, found, err := tx.RulesAt(at, tx.Now)
	if err != nil || !found {
		return err
	}
	rules, err := attribution.Parse(row.Document)
	if err != nil {
		return fmt.Errorf("read rules %d: %w", row.Version, err)
	}
	var orphans []string
	for i := range rules.Rules {
		rule := &rules.Rules[i]
		touched, orphan := false, false
		for _, part := range rule.To {
			r, there := replayed[part.Node]
			touched, orphan = touched || there && (r.Moved() || r.Gone), orphan || there && r.Gone
		}
		if touched {
			e.Rules++
		}
		if orphan {
			orphans = append(orphans, rule.Code)
		}
	}
	if len(orphans) > 0 {
		e.Sentence += fmt.Sprintf(" Rules that charge what retires: %s. What they would charge to it goes to suspense until the rules change.", strings.Join(orphans, ", "))
	}
	return nil
}
