package app

import (
	"context"
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
	return &Nodes{db: d, access: access, changes: changes}
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

// Create adds nodes, parents before children, as one change.
func (n *Nodes) Create(ctx context.Context, who Actor, nodes []NewNode, effective time.Time, reason string) error {
	return n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		return n.create(tx, who, nodes, effective, reason)
	})
}

const maxNodesAtOnce = 5000

func (n *Nodes) create(tx *db.Tx, who Actor, nodes []NewNode, effective time.Time, reason string) error {
	if len(nodes) == 0 || len(nodes) > maxNodesAtOnce {
		return fault.Invalid("nodes", "nodes_count", "Create 1 to %d nodes at once.", maxNodesAtOnce)
	}
	scope := n.access.Scope(who, "node", "propose")
	p := proposal{kind: changeNode, payload: map[string]any{"create": nodes}, effective: effective, reason: reason}
	_, err := n.changes.change(tx, who, p, func(c approval.Change) error {
		if err := tx.LockNodes(); err != nil {
			return err
		}
		versions, err := tx.NodeVersions()
		if err != nil {
			return err
		}
		tree, err := hierarchy.Build(versions, c.EffectiveFrom, time.Time{})
		if err != nil {
			return err
		}
		added, err := place(tx, tree, scope, nodes, c)
		if err != nil {
			return err
		}
		for _, v := range added {
			if err := tx.AddNode(v.Node); err != nil {
				return err
			}
			if err := tx.AddNodeVersion(v); err != nil {
				return err
			}
		}
		return intern(tx, append(versions, added...), c.EffectiveFrom)
	})
	return err
}

// place turns new nodes into versions, resolving parents by code. Who has only some
// subtrees (scope) adds below them and nowhere else; what is not theirs looks absent.
func place(tx *db.Tx, tree *hierarchy.Tree, scope []id.Node, nodes []NewNode, c approval.Change) ([]hierarchy.Version, error) {
	fresh := map[string]id.Node{}
	var added []hierarchy.Version
	for _, want := range nodes {
		v := hierarchy.Version{
			ID: id.NewVersion(tx.Now), Node: id.NewNode(tx.Now), Code: want.Code, Name: want.Name, Kind: hierarchy.Kind(want.Kind),
			Entity: want.Entity, GLAccount: want.GLAccount, Capitalization: hierarchy.Capitalization(want.Capitalization),
			EffectiveFrom: c.EffectiveFrom, RecordedAt: tx.Now, Change: c.ID,
		}
		if want.ParentCode != "" || scope != nil {
			parent, ok := tree.Code(want.ParentCode)
			switch {
			case ok && (scope == nil || visible(tree, parent.Node, scope)):
				v.Parent = parent.Node
			case !fresh[want.ParentCode].IsZero():
				v.Parent = fresh[want.ParentCode]
			default:
				return nil, fault.Invalid("parent_code", "parent_absent", "No node has code %.60q at that time; create parents before children.", want.ParentCode)
			}
		}
		if err := v.Validate(); err != nil {
			return nil, err
		}
		fresh[want.Code] = v.Node
		added = append(added, v)
	}
	return added, nil
}

// intern stores the placement of every node at every instant from which the tree
// differs, so that a charge finds its placement whenever it occurs.
func intern(tx *db.Tx, versions []hierarchy.Version, from time.Time) error {
	seen := map[id.Placement]bool{}
	for _, at := range hierarchy.Instants(versions, from) {
		tree, err := hierarchy.Build(versions, at, time.Time{})
		if err != nil {
			return err
		}
		for _, v := range tree.All() {
			p, err := tree.Place(v.Node)
			if err != nil {
				return err
			}
			if seen[p.ID] {
				continue
			}
			seen[p.ID] = true
			if err := tx.AddPlacement(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// NodeView is one node as readers see it.
type NodeView struct {
	hierarchy.Version
	ParentCode string
	Path       string
	Depth      int
}

// List shows the hierarchy as of an instant (zero: now), parents first.
func (n *Nodes) List(ctx context.Context, who Actor, asOf time.Time) ([]NodeView, error) {
	if err := n.access.Check(who, "node", "read"); err != nil {
		return nil, err
	}
	var list []NodeView
	err := n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tree, err := treeAt(tx, asOf)
		if err != nil {
			return err
		}
		scope := n.access.Scope(who, "node", "read")
		for _, v := range tree.All() {
			if scope != nil && !visible(tree, v.Node, scope) {
				continue
			}
			parent, _ := tree.Node(v.Parent)
			list = append(list, NodeView{Version: v, ParentCode: parent.Code, Path: tree.Path(v.Node), Depth: tree.Depth(v.Node)})
		}
		return nil
	})
	return list, err
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
