package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// RoleWish is a role a member is to have, over a subtree or everything.
type RoleWish struct {
	Role     Role
	NodeCode string
}

func (w RoleWish) validate(service bool) error {
	switch {
	case !slices.Contains(Roles(), w.Role):
		return fault.Invalid("role", "role_unknown", "There is no role %.40q.", string(w.Role))
	case service != (w.Role == RoleServiceAccount):
		return fault.Invalid("role", "role_kind", "The role service_account is for service accounts, and they have no other.")
	case (w.Role == RoleBudgetOwner) != (w.NodeCode != ""):
		return fault.Invalid("node", "role_scope", "A budget owner has a node, and nobody else does.")
	}
	return nil
}

const maxWishes = 100

var (
	errNoOwner   = fault.New(fault.KindConflict, "last_owner", "Somebody has to remain who is a tenant owner and can sign in.")
	errSameRoles = fault.Invalid("roles", "roles_same", "These are the roles the member has already.")
)

// SetRoles gives a member exactly these roles beside the mapped ones, as one change.
func (m *Members) SetRoles(ctx context.Context, who Actor, member id.Member, wishes []RoleWish, reason string) error {
	if err := m.changes.allowed(who, changeRoles); err != nil {
		return err
	}
	if len(wishes) > maxWishes {
		return fault.Invalid("roles", "roles_many", "A member has at most %d roles.", maxWishes)
	}
	return m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockPeople(); err != nil {
			return err
		}
		row, err := tx.Member(member)
		if err != nil {
			return err
		}
		move, err := m.plan(tx, row, wishes)
		if err != nil {
			return err
		}
		if len(move.give)+len(move.take) == 0 {
			return errSameRoles
		}
		p := proposal{kind: changeRoles, payload: move.payload(member), reason: reason}
		_, err = m.changes.change(tx, who, p, func(c approval.Change) error {
			if err := move.apply(tx, member, c); err != nil {
				return err
			}
			if err := m.refuseConflict(tx, row.PersonID); err != nil {
				return err
			}
			return m.keepOwner(tx, who)
		})
		return err
	})
}

// roleMove is what roles a member is given and which end.
type roleMove struct {
	give []roleGiven
	take []db.GrantRow
}

type roleGiven struct {
	role    Role
	node    id.Node
	mapping id.Version
}

// plan compares wishes with the roles a member was given directly.
func (m *Members) plan(tx *db.Tx, row db.MemberRow, wishes []RoleWish) (roleMove, error) {
	var move roleMove
	held, err := tx.GrantsOf(row.MemberID)
	if err != nil {
		return move, err
	}
	held = slices.DeleteFunc(held, func(g db.GrantRow) bool { return !g.MappingID.IsZero() })
	kept := map[id.Version]bool{}
	for _, w := range wishes {
		if err := w.validate(row.Kind == memberService); err != nil {
			return move, err
		}
		node, err := nodeOf(tx, w.NodeCode)
		if err != nil {
			return move, err
		}
		at := slices.IndexFunc(held, func(g db.GrantRow) bool { return g.Role == string(w.Role) && g.NodeID == node })
		if at >= 0 {
			kept[held[at].VersionID] = true
		} else if fresh := (roleGiven{role: w.Role, node: node}); !slices.Contains(move.give, fresh) {
			move.give = append(move.give, fresh)
		}
	}
	for _, g := range held {
		if !kept[g.VersionID] {
			move.take = append(move.take, g)
		}
	}
	return move, nil
}

func (r *roleMove) payload(member id.Member) map[string]any {
	words := func(role string, node id.Node) map[string]string {
		return map[string]string{"role": role, "node": node.String()}
	}
	given, taken := []map[string]string{}, []map[string]string{}
	for _, g := range r.give {
		given = append(given, words(string(g.role), g.node))
	}
	for i := range r.take {
		taken = append(taken, words(r.take[i].Role, r.take[i].NodeID))
	}
	return map[string]any{"member": member.String(), "given": given, "taken": taken}
}

func (r *roleMove) apply(tx *db.Tx, member id.Member, c approval.Change) error {
	for i := range r.take {
		if _, err := tx.EndRole(r.take[i].VersionID, c.ID); err != nil {
			return err
		}
	}
	for _, g := range r.give {
		grant := db.NewGrant{Version: id.NewVersion(tx.Now), Member: member, Role: string(g.role), Node: g.node, From: c.EffectiveFrom, Change: c.ID, Mapping: g.mapping}
		if err := tx.GrantRole(grant); err != nil {
			return err
		}
	}
	return nil
}

// refuseConflict refuses what a person's accounts would hold together.
func (m *Members) refuseConflict(tx *db.Tx, person id.Person) error {
	held, err := tx.PersonRoles(person)
	if err != nil {
		return err
	}
	return m.access.refuseConflict(rolesOf(held))
}

// keepOwner sees to it that somebody remains who can give roles. The command line may
// do without: it gives the first one.
func (m *Members) keepOwner(tx *db.Tx, who Actor) error {
	if who.Kind == ActorCommand {
		return nil
	}
	owners, err := tx.PersonsWith([]string{string(RoleTenantOwner)})
	if err != nil {
		return err
	}
	if len(owners) == 0 {
		return errNoOwner
	}
	return nil
}

// LinkAccounts makes another account one of a member's person's, as one change: maker
// and checker are compared by person.
func (m *Members) LinkAccounts(ctx context.Context, who Actor, member, other id.Member, reason string) error {
	if err := m.changes.allowed(who, changeLink); err != nil {
		return err
	}
	return m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockPeople(); err != nil {
			return err
		}
		one, err := tx.Member(member)
		if err != nil {
			return err
		}
		two, err := tx.Member(other)
		switch {
		case err != nil:
			return fault.Invalid("account", "account_absent", "There is no such account to link.")
		case one.Kind != memberPerson || two.Kind != memberPerson:
			return fault.Invalid("account", "account_kind", "A service account is nobody's account.")
		case one.PersonID == two.PersonID:
			return fault.Invalid("account", "account_linked", "These are accounts of one person already.")
		case (one.SuspendedAt == nil) != (two.SuspendedAt == nil):
			return fault.Invalid("account", "account_state", "One of the accounts is suspended. Suspend or resume both before you link them.")
		}
		payload := map[string]any{"person": one.PersonID.String(), "account": other.String(), "former_person": two.PersonID.String()}
		_, err = m.changes.change(tx, who, proposal{kind: changeLink, payload: payload, reason: reason}, func(c approval.Change) error {
			// The whole person moves: accounts linked before stay together.
			accounts, err := tx.Accounts(two.PersonID)
			if err != nil {
				return err
			}
			for _, a := range accounts {
				if err := tx.LinkAccount(id.NewVersion(tx.Now), a.MemberID, one.PersonID, two.PersonID, c.ID); err != nil {
					return err
				}
			}
			return m.refuseConflict(tx, one.PersonID)
		})
		return err
	})
}

// AccountOf finds the one account that an id or an address names, other than those of a
// member's own person.
func (m *Members) AccountOf(ctx context.Context, who Actor, member id.Member, text string) (id.Member, error) {
	if err := m.changes.allowed(who, changeLink); err != nil {
		return id.Member{}, err
	}
	text = strings.TrimSpace(text)
	var found []id.Member
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		own, err := tx.Member(member)
		if err != nil {
			return err
		}
		rows, err := tx.MembersAt(tx.Now, maxMembers)
		if err != nil {
			return err
		}
		found = nil
		for i := range rows {
			r := &rows[i]
			named := r.MemberID.String() == text || (text != "" && strings.EqualFold(m.email(r.PersonID, r.EmailSealed), text))
			if r.PersonID != own.PersonID && r.Kind == memberPerson && named {
				found = append(found, r.MemberID)
			}
		}
		return nil
	})
	if err != nil {
		return id.Member{}, err
	}
	switch len(found) {
	case 0:
		return id.Member{}, fault.Invalid("account", "account_absent", "No other person's account here has that address or id.")
	case 1:
		return found[0], nil
	}
	return id.Member{}, fault.Invalid("account", "account_unclear", "%d accounts have that address. Use the id from the account's own page.", len(found))
}

var (
	errSelf  = fault.New(fault.KindConflict, "own_suspension", "You cannot suspend yourself. Another tenant owner can.")
	errState = fault.New(fault.KindConflict, "member_state", "The member is in that state already.")
)

// Suspended says what a suspension ended.
type Suspended struct {
	Accounts         int
	Sessions, Tokens int64
	Proposals        int
}

// Suspend locks a person out, with every account, as one change: sessions and tokens
// end and proposals that wait are taken back in the same commit.
func (m *Members) Suspend(ctx context.Context, who Actor, member id.Member, reason string) (Suspended, error) {
	if err := m.changes.allowed(who, changeSuspension); err != nil {
		return Suspended{}, err
	}
	var done Suspended
	err := m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		done = Suspended{}
		if err := tx.LockPeople(); err != nil {
			return err
		}
		row, err := tx.Member(member)
		switch {
		case err != nil:
			return err
		case row.PersonID == who.Person:
			return errSelf
		case row.SuspendedAt != nil:
			return errState
		}
		accounts, err := tx.Accounts(row.PersonID)
		if err != nil {
			return err
		}
		open, err := m.lockOpen(tx, accounts)
		if err != nil {
			return err
		}
		p := proposal{kind: changeSuspension, payload: map[string]any{"accounts": memberIDs(accounts), "person": row.PersonID.String()}, reason: reason}
		_, err = m.changes.change(tx, who, p, func(c approval.Change) error {
			return m.lockOut(tx, who, accounts, open, c, &done)
		})
		if err != nil {
			return err
		}
		return m.keepOwner(tx, who)
	})
	return done, err
}

func memberIDs(accounts []db.MemberRow) []string {
	list := make([]string, 0, len(accounts))
	for _, a := range accounts {
		list = append(list, a.MemberID.String())
	}
	return list
}

// lockOpen holds the proposals of some accounts that wait, in the order decisions take
// them: first what the kinds hold, then each change.
func (m *Members) lockOpen(tx *db.Tx, accounts []db.MemberRow) ([]approval.Change, error) {
	var ids []id.Change
	kinds := map[string]bool{}
	for _, a := range accounts {
		rows, err := tx.OpenChangesBy(a.MemberID)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			ids, kinds[rows[i].Kind] = append(ids, rows[i].ChangeID), true
		}
	}
	for _, kind := range sortedKinds(kinds) {
		if g, ok := m.changes.governed[kind]; ok {
			if err := g.lock(tx); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(ids, func(a, b id.Change) int { x, y := a.Bytes(), b.Bytes(); return slices.Compare(x[:], y[:]) })
	var open []approval.Change
	for _, one := range ids {
		view, err := changeOf(tx, one)
		if err != nil {
			return nil, err
		}
		if view.Open() { // else decided while this waited
			open = append(open, view.Change)
		}
	}
	return open, nil
}

func sortedKinds(kinds map[string]bool) []string {
	list := make([]string, 0, len(kinds))
	for kind := range kinds {
		list = append(list, kind)
	}
	slices.Sort(list)
	return list
}

func (m *Members) lockOut(tx *db.Tx, who Actor, accounts []db.MemberRow, open []approval.Change, c approval.Change, done *Suspended) error {
	for _, a := range accounts {
		if err := tx.SetMemberState(id.NewVersion(tx.Now), a.MemberID, MemberSuspended, c.ID); err != nil {
			return err
		}
		sessions, err := tx.RevokeSessions(a.MemberID, id.Session{})
		if err != nil {
			return err
		}
		tokens, err := tx.RevokeTokens(a.MemberID, c.ID)
		if err != nil {
			return err
		}
		done.Accounts, done.Sessions, done.Tokens = done.Accounts+1, done.Sessions+sessions, done.Tokens+tokens
	}
	for _, one := range open {
		if err := m.changes.withdraw(tx, who, one, fmt.Sprintf("its maker was suspended by change %d", c.Number)); err != nil {
			return err
		}
		done.Proposals++
	}
	return nil
}

// Resume lets a suspended person in again, with every account and the roles they had,
// as one change. Sessions and tokens stay ended.
func (m *Members) Resume(ctx context.Context, who Actor, member id.Member, reason string) error {
	if err := m.changes.allowed(who, changeResumption); err != nil {
		return err
	}
	return m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockPeople(); err != nil {
			return err
		}
		row, err := tx.Member(member)
		if err != nil {
			return err
		}
		if row.SuspendedAt == nil {
			return errState
		}
		accounts, err := tx.Accounts(row.PersonID)
		if err != nil {
			return err
		}
		p := proposal{kind: changeResumption, payload: map[string]any{"accounts": memberIDs(accounts), "person": row.PersonID.String()}, reason: reason}
		_, err = m.changes.change(tx, who, p, func(c approval.Change) error {
			for _, a := range accounts {
				if err := tx.SetMemberState(id.NewVersion(tx.Now), a.MemberID, MemberActive, c.ID); err != nil {
					return err
				}
			}
			return m.refuseConflict(tx, row.PersonID)
		})
		return err
	})
}
