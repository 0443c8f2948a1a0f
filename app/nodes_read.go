package app

import (
	"context"
	"errors"
	"time"

	"tollbook/app/approval"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// TreeQuery asks for the hierarchy as of an instant, as it was known at another; zero is
// now for both.
type TreeQuery struct{ AsOf, Known time.Time }

// Tree shows the hierarchy with every field, parents first: the part that is the actor's.
func (n *Nodes) Tree(ctx context.Context, who Actor, q TreeQuery) ([]NodeView, error) {
	if err := n.access.Check(who, "node", "read"); err != nil {
		return nil, err
	}
	scope := n.access.Scope(who, "node", "read")
	var list []NodeView
	err := n.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tree, err := treeKnown(tx, q.AsOf, q.Known)
		if err != nil {
			return err
		}
		list = nil
		for _, v := range tree.All() {
			if scope == nil || visible(tree, v.Node, scope) {
				list = append(list, nodeView(tree, v))
			}
		}
		return nil
	})
	return list, err
}

// NodeDifference is a node that is not the same in two trees. Before and After are nil
// where the node is not in that one.
type NodeDifference struct {
	Node          id.Node
	Before, After *NodeView
	Fields        []string // that differ, as the API names them; empty for one that came or went
}

// Diff compares the hierarchy as of two dates, or of one date as known at two instants.
func (n *Nodes) Diff(ctx context.Context, who Actor, from, to TreeQuery) ([]NodeDifference, error) {
	if err := n.access.Check(who, "node", "read"); err != nil {
		return nil, err
	}
	scope := n.access.Scope(who, "node", "read")
	var list []NodeDifference
	err := n.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		before, err := treeKnown(tx, from.AsOf, from.Known)
		if err != nil {
			return err
		}
		after, err := treeKnown(tx, to.AsOf, to.Known)
		if err != nil {
			return err
		}
		list = differences(before, after, scope)
		return nil
	})
	return list, err
}

// differences are those of nodes that lie in the scope in either tree, seen from there.
func differences(before, after *hierarchy.Tree, scope []id.Node) []NodeDifference {
	view := func(tree *hierarchy.Tree, v *hierarchy.Version) *NodeView {
		if v == nil || (scope != nil && !visible(tree, v.Node, scope)) {
			return nil
		}
		return new(nodeView(tree, *v))
	}
	var list []NodeDifference
	for _, d := range hierarchy.Diff(before, after) {
		one := NodeDifference{Node: d.Node, Before: view(before, d.Before), After: view(after, d.After), Fields: d.Fields}
		if one.Before == nil || one.After == nil {
			one.Fields = nil // for whoever looks, it came or went
		}
		if one.Before != nil || one.After != nil {
			list = append(list, one)
		}
	}
	return list
}

// NodeChange is the change behind a moment of a node.
type NodeChange struct {
	ID         id.Change
	Number     int64
	Maker      string // the actor's id
	Reason     string
	RecordedAt time.Time
}

// NodeMoment is what a node was, is or will be for a span, and by which change.
type NodeMoment struct {
	hierarchy.Moment
	ParentCode string // at the moment's beginning
	Change     NodeChange
}

// NodeTimeline is a node's life as now known, and everything that was ever recorded of it.
type NodeTimeline struct {
	Node    id.Node
	Code    string // as it was asked for
	Moments []NodeMoment
	Records []NodeRecord // oldest first; those that later ones corrected among them
}

// NodeRecord is one version as it was recorded.
type NodeRecord struct {
	hierarchy.Version
	Change NodeChange
}

// maxMoments bounds a timeline to the latest.
const maxMoments = 500

// Timeline tells the life of the node that has a code as of an instant (zero: now), oldest
// first, what is planned among it.
func (n *Nodes) Timeline(ctx context.Context, who Actor, code string, asOf time.Time) (NodeTimeline, error) {
	if err := n.access.Check(who, "node", "read"); err != nil {
		return NodeTimeline{}, err
	}
	scope := n.access.Scope(who, "node", "read")
	var line NodeTimeline
	err := n.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
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
		v, there := tree.Code(code)
		if !there || (scope != nil && !visible(tree, v.Node, scope)) {
			return ErrNodeAbsent
		}
		line = NodeTimeline{Node: v.Node, Code: code}
		return line.fill(tx, versions, scope)
	})
	return line, err
}

func (l *NodeTimeline) fill(tx *db.Tx, versions []hierarchy.Version, scope []id.Node) error {
	made := map[id.Change]NodeChange{}
	change := func(v *hierarchy.Version) (NodeChange, error) {
		if known, ok := made[v.Change]; ok {
			return known, nil
		}
		row, err := tx.Change(v.Change)
		if err != nil && !errors.Is(err, db.ErrChangeAbsent) {
			return NodeChange{}, err
		}
		made[v.Change] = NodeChange{ID: v.Change, Number: row.Number, Maker: row.Maker, Reason: row.Reason, RecordedAt: v.RecordedAt}
		return made[v.Change], nil
	}
	moments, records := hierarchy.Timeline(versions, l.Node, time.Time{}), hierarchy.Records(versions, l.Node)
	moments, records = moments[max(0, len(moments)-maxMoments):], records[max(0, len(records)-maxMoments):]
	for i := range moments {
		tree, err := hierarchy.Build(versions, moments[i].From, time.Time{})
		if err != nil {
			return err
		}
		m := NodeMoment{Moment: moments[i]}
		if m.Change, err = change(&m.Version); err != nil {
			return err
		}
		if parent, there := tree.Node(m.Version.Parent); there && (scope == nil || visible(tree, parent.Node, scope)) {
			m.ParentCode = parent.Code
		}
		l.Moments = append(l.Moments, m)
	}
	for i := range records {
		by, err := change(&records[i])
		if err != nil {
			return err
		}
		l.Records = append(l.Records, NodeRecord{Version: records[i], Change: by})
	}
	return nil
}

// Instants lists the instants at which the hierarchy turned or will turn, oldest first: the
// notches of a slider. The first is when it began.
func (n *Nodes) Instants(ctx context.Context, who Actor) ([]time.Time, error) {
	if err := n.access.Check(who, "node", "read"); err != nil {
		return nil, err
	}
	var list []time.Time
	err := n.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		versions, err := tx.NodeVersions()
		if err != nil || len(versions) == 0 {
			return err
		}
		list = hierarchy.Instants(versions, time.Time{})[1:] // without the zero instant itself
		list = list[max(0, len(list)-maxMoments):]
		return nil
	})
	return list, err
}

// NodePreview is what operations would do, before anybody proposes them.
type NodePreview struct {
	approval.Impact
	EffectiveFrom time.Time
	Operations    []hierarchy.Operation // each saying what it replaces
	Differences   []NodeDifference      // of the tree at the effective instant
	// Totals are the nodes whose charge with everything below them differs, of the actor's
	// part of the tree; Impact.Nodes are their own.
	Totals []approval.NodeImpact
}

// Preview says what a proposal would do, or why it would be refused, and writes nothing.
// The payload is that of the proposal: {"operations":[…]}; a zero instant is when it is
// decided.
func (n *Nodes) Preview(ctx context.Context, who Actor, payload []byte, from time.Time) (NodePreview, error) {
	if err := n.changes.allowed(who, changeNode); err != nil {
		return NodePreview{}, err
	}
	operations, err := hierarchy.ParseOperations(payload)
	if err != nil {
		return NodePreview{}, err
	}
	var shown NodePreview
	// Not a reading transaction: what refuses a closed month holds it.
	err = n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if shown, err = n.preview(tx, who, operations, from); err != nil {
			return err
		}
		return errPreview // so that nothing of it stays
	})
	if errors.Is(err, errPreview) {
		err = nil
	}
	return shown, err
}

func (n *Nodes) preview(tx *db.Tx, who Actor, operations []hierarchy.Operation, from time.Time) (NodePreview, error) {
	at, err := nodesDated(tx, from)
	if err != nil {
		return NodePreview{}, err
	}
	versions, err := tx.NodeVersions()
	if err != nil {
		return NodePreview{}, err
	}
	step := nodeStep{at: at, operations: operations, scope: n.access.Scope(who, "node", "propose")}
	if err := step.take(tx, versions); err != nil {
		return NodePreview{}, err
	}
	if len(step.outcome.Add)+len(step.outcome.Close) == 0 {
		return NodePreview{}, errNodesSame
	}
	effect, err := step.effect(tx, versions)
	if err != nil {
		return NodePreview{}, err
	}
	shown := NodePreview{
		Impact: effect.Impact, EffectiveFrom: at, Operations: step.outcome.Operations,
		Differences: differences(effect.before, effect.after, n.access.Scope(who, "node", "read")),
	}
	scope := n.access.Scope(who, "chargeback", "read")
	for _, total := range effect.above {
		if scope == nil || visible(effect.before, total.Node, scope) || visible(effect.after, total.Node, scope) {
			if _, there := effect.before.Node(total.Node); !there {
				total.Node = id.Node{} // made by the change: no id yet
			}
			shown.Totals = append(shown.Totals, total)
		}
	}
	return shown, nil
}
