package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// NodeStory is everything about one node: where it is, what a month and the months
// before came to, and how it came to be as it is.
type NodeStory struct {
	NodeView
	Owner  string // name; empty when nobody owns it or the name was erased
	Crumbs []hierarchy.Version
	// Month is the posting period, with the node's part of the plan; its rows are the node
	// and what is below it.
	Month      Chargeback
	Own        money.Sum // the node's own, without what is below it
	Trend      []NodeMonth
	Children   []ChargebackRow
	Projects   []ChargebackRow
	Developers []ChargebackRow
	Keys       []ChargebackRow
	History    []NodeStep
}

// NodeMonth is one posting period of a node with everything below it.
type NodeMonth struct {
	Month    period.Month
	Amount   money.Sum
	Requests int64
}

// NodeStep is one version of a node and the change that made it.
type NodeStep struct {
	hierarchy.Version
	ParentCode string
	Number     int64  // of the change
	Reason     string // why it was proposed
	Maker      string // the actor's id
}

const (
	storyMonths = 12
	maxSteps    = 100
)

// ErrNodeAbsent reports a code no node has at that time, or none the actor may see.
var ErrNodeAbsent = fault.New(fault.KindNotFound, "node_absent", "No node has that code at that time, or it is not yours to see.")

// Node tells a node's story for a posting period, with names and places as of an
// instant (zero: now). Charges are where they were when they were charged.
func (r *Reports) Node(ctx context.Context, who Actor, code string, month period.Month, asOf time.Time) (NodeStory, error) {
	if err := r.access.Check(who, "chargeback", "read"); err != nil {
		return NodeStory{}, err
	}
	scope := r.access.Scope(who, "chargeback", "read")
	var story NodeStory
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		story = NodeStory{}
		versions, err := tx.NodeVersions()
		if err != nil {
			return err
		}
		if asOf.IsZero() {
			asOf = tx.Now
		}
		tree, err := hierarchy.Build(versions, asOf, time.Time{})
		if err != nil {
			return err
		}
		v, ok := tree.Code(code)
		if !ok || (scope != nil && !visible(tree, v.Node, scope)) {
			return ErrNodeAbsent
		}
		story.place(tree, v, scope)
		if story.Owner, err = r.ownerName(tx, v.Owner); err != nil {
			return err
		}
		if err := r.month(tx, &story, tree, month); err != nil {
			return err
		}
		if err := story.plan(tx, tree, month, asOf); err != nil {
			return err
		}
		if err := story.trend(tx, month); err != nil {
			return err
		}
		return story.history(tx, versions, func(parent id.Node) bool { return scope == nil || visible(tree, parent, scope) })
	})
	return story, err
}

// place puts the node into the tree, with as much of what is above as the actor may see.
func (s *NodeStory) place(tree *hierarchy.Tree, v hierarchy.Version, scope []id.Node) {
	s.Version, s.Path, s.Depth = v, tree.Path(v.Node), tree.Depth(v.Node)
	for up, ok := tree.Node(v.Parent); ok; up, ok = tree.Node(up.Parent) {
		if scope != nil && !visible(tree, up.Node, scope) {
			break
		}
		s.Crumbs = append(s.Crumbs, up)
	}
	slices.Reverse(s.Crumbs)
	if len(s.Crumbs) > 0 {
		s.ParentCode = s.Crumbs[len(s.Crumbs)-1].Code
	}
}

func (r *Reports) ownerName(tx *db.Tx, owner id.Member) (string, error) {
	if owner.IsZero() {
		return "", nil
	}
	row, err := tx.Member(owner)
	if err != nil {
		return "", err
	}
	return personName(r.labels.ring, row.PersonID, row.NameSealed)
}

// month sums the node's posting period by what is below it, by developer and by key.
func (r *Reports) month(tx *db.Tx, s *NodeStory, tree *hierarchy.Tree, month period.Month) error {
	within := []id.Node{s.Node}
	s.Month = Chargeback{Period: month}
	var err error
	if s.Month.State, err = tx.PeriodState(month); err != nil {
		return err
	}
	places, err := placements(tx)
	if err != nil {
		return err
	}
	rows, err := tx.MonthBy(month, "placement", within)
	if err != nil {
		return err
	}
	if err := s.Month.total(rows, places, tree); err != nil {
		return err
	}
	if err := s.Month.byNode(rows, places, tree, within, nil, false); err != nil {
		return err
	}
	for _, row := range s.Month.Rows {
		switch {
		case row.Key == s.Code:
			s.Own = row.Own
		case row.Kind == "" || row.Depth == s.Depth+1: // was charged below it and is there no more, or is right below it
			s.Children = append(s.Children, row)
		}
		if row.Kind == string(hierarchy.KindProject) && row.Key != s.Code {
			s.Projects = append(s.Projects, row)
		}
	}
	for _, by := range []struct {
		column string
		into   *[]ChargebackRow
	}{{"developer", &s.Developers}, {"key", &s.Keys}} {
		group := s.Month
		group.Rows = nil
		if err := r.byColumn(tx, &group, by.column, within); err != nil {
			return err
		}
		*by.into = group.Rows
	}
	return nil
}

// plan sets the node's part of the plan in force: nothing, where the plan leaves it out.
func (s *NodeStory) plan(tx *db.Tx, tree *hierarchy.Tree, month period.Month, asOf time.Time) error {
	planned, err := s.Month.plan(tx, MonthQuery{Month: month, AsOf: asOf}, tree, nil)
	if err != nil || s.Month.Plan == nil {
		return err
	}
	s.Month.Plan.Planned = Planned{}
	if own := planned[s.Node]; own != nil {
		s.Month.Plan.Planned = *own
	}
	return nil
}

// trend sums the months up to one, oldest first.
func (s *NodeStory) trend(tx *db.Tx, month period.Month) error {
	for range storyMonths {
		one := NodeMonth{Month: month}
		rows, err := tx.MonthBy(month, "day", []id.Node{s.Node})
		if err != nil {
			return err
		}
		for _, row := range rows {
			amount, _, err := readSum(row)
			if err != nil {
				return err
			}
			one.Amount.AddSum(&amount)
			one.Requests += row.Requests
		}
		s.Trend = append(s.Trend, one)
		month = month.Previous()
	}
	slices.Reverse(s.Trend)
	return nil
}

// history lists the node's latest versions, newest first, each with its change.
func (s *NodeStory) history(tx *db.Tx, versions []hierarchy.Version, shown func(parent id.Node) bool) error {
	codes := map[id.Node]string{}
	for _, v := range versions {
		if shown(v.Node) {
			codes[v.Node] = v.Code
		}
	}
	made := map[id.Change]db.ChangeRow{}
	for _, v := range slices.Backward(versions) {
		if v.Node != s.Node || len(s.History) == maxSteps {
			continue
		}
		row, known := made[v.Change]
		if !known {
			var err error
			if row, err = tx.Change(v.Change); err != nil && !errors.Is(err, db.ErrChangeAbsent) {
				return err
			}
			made[v.Change] = row
		}
		s.History = append(s.History, NodeStep{Version: v, ParentCode: codes[v.Parent], Number: row.Number, Reason: row.Reason, Maker: row.Maker})
	}
	return nil
}
