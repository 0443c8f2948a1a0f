package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// Nodes is the area of the hierarchy.
type Nodes struct {
	db      *db.DB
	access  *Access
	changes *Changes
}

// NewNodes makes the area.
func NewNodes(d *db.DB, access *Access, changes *Changes) *Nodes {
	n := &Nodes{db: d, access: access, changes: changes}
	changes.govern(changeNode, governed{
		checks: "finance", floor: approval.FloorSecond, dated: true, revisable: true, lock: (*db.Tx).LockNodes, draft: n.draft, apply: n.apply, impact: n.impact,
	})
	return n
}

// NewNode is a node to be created.
type NewNode struct {
	Code           string `json:"code"`
	Name           string `json:"name"`
	Kind           string `json:"kind"`
	ParentCode     string `json:"parent_code,omitempty"`
	Entity         string `json:"entity,omitempty"`
	GLAccount      string `json:"gl_account,omitempty"`
	Capitalization string `json:"capitalization"`
}

func (n *NewNode) operation() hierarchy.Operation {
	return hierarchy.Operation{
		Op: hierarchy.OpCreate, Code: n.Code, Name: n.Name, Kind: hierarchy.Kind(n.Kind), ParentCode: &n.ParentCode,
		Entity: &n.Entity, GLAccount: &n.GLAccount, Capitalization: hierarchy.Capitalization(n.Capitalization),
	}
}

// AskNodes is the proposal of new nodes, parents before children.
func AskNodes(nodes []NewNode, from time.Time, reason string) Ask {
	operations := make([]hierarchy.Operation, 0, len(nodes))
	for i := range nodes {
		operations = append(operations, nodes[i].operation())
	}
	asked := ask(changeNode, reason, map[string]any{"operations": operations})
	asked.EffectiveFrom = from
	return asked
}

// Create adds nodes, parents before children, as one change that nobody decides on: what
// the command line and a first set-up do. Whoever else changes the hierarchy proposes.
func (n *Nodes) Create(ctx context.Context, who Actor, nodes []NewNode, effective time.Time, reason string) error {
	return n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		return n.create(tx, who, nodes, effective, reason)
	})
}

const maxNodesAtOnce = hierarchy.MaxNodes

func (n *Nodes) create(tx *db.Tx, who Actor, nodes []NewNode, effective time.Time, reason string) error {
	if len(nodes) == 0 || len(nodes) > maxNodesAtOnce {
		return fault.Invalid("nodes", "nodes_count", "Create 1 to %d nodes at once.", maxNodesAtOnce)
	}
	if err := n.changes.allowed(who, changeNode); err != nil {
		return err
	}
	if err := tx.LockNodes(); err != nil {
		return err
	}
	operations := make([]hierarchy.Operation, 0, len(nodes))
	for i := range nodes {
		operations = append(operations, nodes[i].operation())
	}
	scope := n.access.Scope(who, "node", "propose")
	versions, err := tx.NodeVersions()
	if err != nil {
		return err
	}
	p := proposal{kind: changeNode, payload: map[string]any{"create": nodes}, effective: effective, reason: reason}
	if !slices.ContainsFunc(versions, func(v hierarchy.Version) bool { return v.Code != hierarchy.SuspenseCode }) {
		p.rule = approval.RuleFirstSetUp
	}
	_, err = n.changes.change(tx, who, p, func(c approval.Change) error {
		outcome, err := hierarchy.Apply(versions, hierarchy.Request{Operations: operations, At: c.EffectiveFrom, RecordedAt: tx.Now, Change: c.ID, Scope: scope})
		if err != nil {
			return unplaced(err)
		}
		return write(tx, versions, &outcome, c.EffectiveFrom)
	})
	return err
}

// unplaced takes the place of an operation off the field of a fault, for who sent none.
func unplaced(err error) error {
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		return err
	}
	if _, member, is := hierarchy.OperationOf(f.Field); is {
		plain := *f
		plain.Field = member
		return &plain
	}
	return err
}

// write records what a change does to the versions, and interns every placement that it
// makes possible.
func write(tx *db.Tx, versions []hierarchy.Version, outcome *hierarchy.Outcome, at time.Time) error {
	if len(outcome.Close) > 0 {
		closed, err := tx.CloseNodeVersions(outcome.Close, outcome.RecordedAt)
		if err != nil {
			return err
		}
		if !closed {
			return errTreeMoved
		}
	}
	if err := tx.AddNodes(outcome.Created); err != nil {
		return err
	}
	if err := tx.AddNodeVersions(outcome.Add); err != nil {
		return err
	}
	return intern(tx, versions, outcome.After(versions), at)
}

// intern stores the placement of every node at every instant from which the tree
// differs, so that a charge finds its placement whenever it occurs. What was there before
// the change was interned then.
func intern(tx *db.Tx, before, after []hierarchy.Version, from time.Time) error {
	seen := map[id.Placement]bool{}
	if _, err := unseen(seen, before, from); err != nil {
		return err
	}
	fresh, err := unseen(seen, after, from)
	if err != nil {
		return err
	}
	for few := range slices.Chunk(fresh, maxNodesAtOnce) {
		if err := tx.AddPlacements(few); err != nil {
			return err
		}
	}
	return nil
}

// unseen lists the placements, at an instant and at all to come, that were not seen yet.
func unseen(seen map[id.Placement]bool, versions []hierarchy.Version, from time.Time) ([]hierarchy.Placement, error) {
	var fresh []hierarchy.Placement
	for _, at := range hierarchy.Instants(versions, from) {
		tree, err := hierarchy.Build(versions, at, time.Time{})
		if err != nil {
			return nil, err
		}
		for _, v := range tree.All() {
			p, err := tree.Place(v.Node)
			if err != nil {
				return nil, err
			}
			if !seen[p.ID] {
				seen[p.ID] = true
				fresh = append(fresh, p)
			}
		}
	}
	return fresh, nil
}

// lasting refuses a node that retires later for what would outlive it: a key that charged
// it would charge suspense from then on.
func lasting(tx *db.Tx, node hierarchy.Version) error {
	ends, retires, err := tx.NodeEnds(node.Node)
	if err != nil || !retires {
		return err
	}
	return fault.Invalid("cost_center", "cost_center_ends", "%s retires on %s. Choose a cost center that stays.", node.Code, ends.Format(time.DateOnly))
}

// NodeView is one node as readers see it.
type NodeView struct {
	hierarchy.Version
	ParentCode string
	Path       string
	Depth      int
}

func nodeView(tree *hierarchy.Tree, v hierarchy.Version) NodeView {
	parent, _ := tree.Node(v.Parent)
	return NodeView{Version: v, ParentCode: parent.Code, Path: tree.Path(v.Node), Depth: tree.Depth(v.Node)}
}

// List shows the hierarchy as of an instant (zero: now), parents first.
func (n *Nodes) List(ctx context.Context, who Actor, asOf time.Time) ([]NodeView, error) {
	return n.Tree(ctx, who, TreeQuery{AsOf: asOf})
}

func treeAt(tx *db.Tx, asOf time.Time) (*hierarchy.Tree, error) {
	return treeKnown(tx, asOf, time.Time{})
}

// treeKnown is the tree as of an instant as it was known at another; zero is now.
func treeKnown(tx *db.Tx, asOf, known time.Time) (*hierarchy.Tree, error) {
	versions, err := tx.NodeVersions()
	if err != nil {
		return nil, err
	}
	if asOf.IsZero() {
		asOf = tx.Now
	}
	return hierarchy.Build(versions, asOf, known)
}

func visible(tree *hierarchy.Tree, node id.Node, scope []id.Node) bool {
	for _, root := range scope {
		if tree.Within(node, root) {
			return true
		}
	}
	return false
}
