package app

import (
	"context"
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
	if len(r.take) == 0 {
		return nil
	}
	return takeBack(tx, member) // budget owners charge their part by being that
}

// refuseConflict refuses what a person's accounts would hold together.
func (m *Members) refuseConflict(tx *db.Tx, person id.Person) error {
	held, err := tx.PersonRoles(person)
	if err != nil {
		return err
	}
	return m.access.refuseConflict(rolesOf(held))
}

// keepOwner is asked before a change and sees to it after the change that somebody
// remains who can give roles, and can sign in if anybody could. The command line may do
// without: it gives the first one.
func keepOwner(tx *db.Tx, who Actor) (func() error, error) {
	if who.Kind == ActorCommand {
		return func() error { return nil }, nil
	}
	_, before, err := owners(tx)
	return func() error {
		all, able, err := owners(tx)
		if err == nil && (len(all) == 0 || (len(able) == 0 && len(before) > 0)) {
			err = errNoOwner
		}
		return err
	}, err
}

// owners lists the accounts that are tenant owners, and those of them with an issuer to
// sign in at.
func owners(tx *db.Tx) (all, able []id.Member, err error) {
	rows, err := tx.PersonsWith([]string{string(RoleTenantOwner)})
	if err != nil {
		return nil, nil, err
	}
	issuers, err := tx.Issuers()
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if Role(r.Role) != RoleTenantOwner || slices.Contains(all, r.MemberID) {
			continue
		}
		account, err := tx.Member(r.MemberID)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, r.MemberID)
		if slices.ContainsFunc(issuers, func(i db.IssuerRow) bool { return i.URL == account.Issuer }) {
			able = append(able, r.MemberID)
		}
	}
	return all, able, nil
}

// lockPeople makes the transaction the only one that changes who may what, and refuses
// an actor who was suspended while it waited.
func lockPeople(tx *db.Tx, who Actor) error {
	if err := tx.LockPeople(); err != nil || who.Member.IsZero() {
		return err
	}
	row, err := tx.Member(who.Member)
	if err == nil && row.SuspendedAt != nil {
		err = ErrNotAllowed
	}
	return err
}

// LinkAccounts makes another account one of a member's person's, as one change: maker
// and checker are compared by person.
func (m *Members) LinkAccounts(ctx context.Context, who Actor, member, other id.Member, reason string) error {
	if err := m.changes.allowed(who, changeLink); err != nil {
		return err
	}
	return m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := lockPeople(tx, who); err != nil {
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
