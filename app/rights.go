package app

import (
	"context"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Rights is the area of who may charge what by signing in. A right is a member's, or
// everybody's, and reaches a node and what lies below it. Budget owners have one to
// their subtree by being that; nobody has any other until somebody gives it.
type Rights struct {
	db      *db.DB
	access  *Access
	changes *Changes
	ring    *secret.Keyring
	emails  *secret.Hasher
}

// NewRights makes the area.
func NewRights(d *db.DB, access *Access, changes *Changes, ring *secret.Keyring) *Rights {
	return &Rights{db: d, access: access, changes: changes, ring: ring, emails: ring.Hasher("email")}
}

// RightView is a right as the list shows it.
type RightView struct {
	ID         id.Right
	Everybody  bool
	Name       string // whose; empty for everybody
	Code       string
	Path       string
	RecordedAt time.Time
}

// maxRights bounds the rights of a tenant that are shown and can be given.
const maxRights = 5000

// List shows the rights in the part of the tenant the actor may read.
func (r *Rights) List(ctx context.Context, who Actor) ([]RightView, error) {
	if err := r.access.Check(who, "key", "read"); err != nil {
		return nil, err
	}
	var list []RightView
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		rows, err := tx.Rights(maxRights)
		if err != nil {
			return err
		}
		scope := r.access.Scope(who, "key", "read")
		for i := range rows {
			if scope == nil || visible(tree, rows[i].NodeID, scope) {
				view, err := r.view(&rows[i], tree)
				if err != nil {
					return err
				}
				list = append(list, view)
			}
		}
		return nil
	})
	return list, err
}

func (r *Rights) view(row *db.RightRow, tree *hierarchy.Tree) (RightView, error) {
	node, _ := tree.Node(row.NodeID)
	view := RightView{ID: row.RightID, Everybody: row.MemberID.IsZero(), Code: node.Code, Path: tree.Path(row.NodeID), RecordedAt: row.RecordedAt.UTC()}
	if view.Everybody {
		return view, nil
	}
	var err error
	view.Name, err = personName(r.ring, row.PersonID, row.NameSealed)
	return view, err
}

// NewRight is a right to be given.
type NewRight struct {
	Email string // a member's address, or Everybody
	Node  string // a code
}

// Everybody is whose right it is when it is nobody's alone.
const Everybody = "everybody"

// Grant gives a right as one change.
func (r *Rights) Grant(ctx context.Context, who Actor, want NewRight, reason string) (id.Right, error) {
	if err := r.access.Check(who, "key", "propose"); err != nil {
		return id.Right{}, err
	}
	var right id.Right
	err := r.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		node, ok := tree.Code(want.Node)
		if scope := r.access.Scope(who, "key", "propose"); !ok || (scope != nil && !visible(tree, node.Node, scope)) {
			return fault.Invalid("node", "node_absent", "No node has code %.60q.", want.Node)
		}
		var member id.Member
		if want.Email = strings.ToLower(strings.TrimSpace(want.Email)); want.Email != Everybody {
			var found bool
			if member, found, err = tx.MemberByEmail(r.emails.Accepted(want.Email)); err != nil {
				return err
			}
			if !found {
				return fault.Invalid("email", "email_absent", "No member here has the address %.100q. Write %q for all of them.", want.Email, Everybody)
			}
		}
		there, err := tx.Rights(maxRights + 1)
		if err != nil {
			return err
		}
		if len(there) >= maxRights {
			return fault.New(fault.KindConflict, "rights_many", "There are as many rights as there may be. End some first.")
		}
		for i := range there {
			if there[i].MemberID == member && there[i].NodeID == node.Node {
				return fault.Invalid("email", "right_there", "That right is there already.")
			}
		}
		right = id.NewRight(tx.Now)
		p := proposal{kind: changeRight, payload: map[string]any{"right": right.String(), "member": member.String(), "node": node.Node.String(), "code": node.Code}, reason: reason}
		_, err = r.changes.change(tx, who, p, func(c approval.Change) error { return tx.AddRight(right, member, node.Node, c.ID) })
		return err
	})
	return right, err
}

// End takes a right back. Whoever charges by it is refused within a second, unless
// another right lets them.
func (r *Rights) End(ctx context.Context, who Actor, right id.Right, reason string) error {
	if err := r.access.Check(who, "key", "propose"); err != nil {
		return err
	}
	return r.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Right(right)
		if err != nil {
			return err
		}
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		if scope := r.access.Scope(who, "key", "propose"); scope != nil && !visible(tree, row.NodeID, scope) {
			return db.ErrRightAbsent
		}
		p := proposal{kind: changeRightEnd, payload: map[string]any{"right": right.String()}, reason: reason}
		_, err = r.changes.change(tx, who, p, func(c approval.Change) error {
			if err := tx.EndRight(right, c.ID); err != nil {
				return err
			}
			return takeBack(tx, id.Member{})
		})
		return err
	})
}

// maxLive bounds the logins that are looked at when a right or a role ends: every member's.
const maxLive = maxMembers * maxLogins

// takeBack takes the credentials of the logins, of one member or of everybody (zero), that
// charge what their member may not charge any more.
func takeBack(tx *db.Tx, member id.Member) error {
	live, err := tx.Logins(member, maxLive)
	if err != nil || len(live) == 0 {
		return err
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return err
	}
	roots := map[id.Member][]id.Node{}
	for i := range live {
		l := &live[i]
		if _, known := roots[l.MemberID]; !known {
			who := Actor{Member: l.MemberID}
			held, err := tx.Roles(l.MemberID)
			if err != nil {
				return err
			}
			for _, h := range held {
				who.Grants = append(who.Grants, Grant{Role: Role(h.Role), Node: h.NodeID})
			}
			if roots[l.MemberID], err = chargeRoots(tx, who); err != nil {
				return err
			}
		}
		if charged, _ := tree.Node(l.NodeID); chargeable(tree, charged, roots[l.MemberID]) {
			continue
		}
		if err := tx.TakeCredentials(l.LoginID); err != nil {
			return err
		}
	}
	return nil
}

// chargeRoots are the nodes at and below which somebody may charge.
func chargeRoots(tx *db.Tx, who Actor) ([]id.Node, error) {
	rows, err := tx.RightsOf(who.Member)
	if err != nil {
		return nil, err
	}
	roots := make([]id.Node, 0, len(rows))
	for i := range rows {
		roots = append(roots, rows[i].NodeID)
	}
	for _, g := range who.Grants {
		if g.Role == RoleBudgetOwner && !g.Node.IsZero() {
			roots = append(roots, g.Node)
		}
	}
	return roots, nil
}

// chargeable tells whether a node can be charged by signing in, given those roots.
func chargeable(tree *hierarchy.Tree, node hierarchy.Version, roots []id.Node) bool {
	return node.Kind != hierarchy.KindBusinessUnit && node.Code != hierarchy.SuspenseCode && visible(tree, node.Node, roots)
}
