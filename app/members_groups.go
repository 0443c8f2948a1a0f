package app

import (
	"context"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

const (
	maxMappings   = 500
	maxGroupBytes = 200
	maxMapped     = 10_000 // accounts with a role from one mapping
)

// NewMapping is a group of an issuer and the role its people are to have.
type NewMapping struct {
	Issuer   id.Issuer
	Group    string // exactly as the groups claim spells it
	Role     Role
	NodeCode string
}

var errMappingKnown = fault.Invalid("group", "mapping_known", "That group has this role already.")

func (m *Members) checkMapping(tx *db.Tx, want NewMapping, node id.Node) error {
	issuers, err := tx.Issuers()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(issuers, func(r db.IssuerRow) bool { return r.IssuerID == want.Issuer }) {
		return fault.Invalid("issuer", "issuer_absent", "Choose one of the issuers people sign in with.")
	}
	rows, err := tx.Mappings(id.Issuer{}, maxMappings)
	if err != nil {
		return err
	}
	if len(rows) >= maxMappings {
		return fault.Invalid("group", "mappings_many", "A company has at most %d group mappings.", maxMappings)
	}
	// Roles that one group gives together must not be in conflict by themselves.
	roles := []Role{want.Role}
	for i := range rows {
		if rows[i].IssuerID == want.Issuer && rows[i].GroupName == want.Group {
			if rows[i].Role == string(want.Role) && rows[i].NodeID == node {
				return errMappingKnown
			}
			roles = append(roles, Role(rows[i].Role))
		}
	}
	return m.access.refuseConflict(roles)
}

func (m *Members) endMapping(tx *db.Tx, mapping id.Version, c approval.Change) error {
	held, err := tx.GrantsFrom(mapping, maxMapped)
	if err != nil {
		return err
	}
	for i := range held {
		if _, err := tx.EndRole(held[i].VersionID, c.ID); err != nil {
			return err
		}
	}
	if len(held) > 0 && Role(held[0].Role) == RoleBudgetOwner { // a mapping has one role
		if err := takeBack(tx, id.Member{}); err != nil {
			return err
		}
	}
	ended, err := tx.CloseVersion("group_mapping", mapping, tx.Now)
	if err == nil && !ended {
		err = db.ErrMappingAbsent
	}
	return err
}

// MappingView is a group mapping as lists show it.
type MappingView struct {
	ID       id.Version
	Issuer   string // its name
	Group    string
	Role     Role
	NodeCode string
	Since    time.Time
	By       Hand
	Number   int64 // of the change
	Held     int64 // accounts with the role from it
}

// Mappings lists the group mappings in force.
func (m *Members) Mappings(ctx context.Context, who Actor) ([]MappingView, error) {
	if err := m.access.Check(who, "member", "read"); err != nil {
		return nil, err
	}
	var list []MappingView
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Mappings(id.Issuer{}, maxMappings)
		if err != nil {
			return err
		}
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		makers := make([]string, 0, len(rows))
		for i := range rows {
			makers = append(makers, rows[i].Maker)
		}
		hands, err := m.hands(tx, makers)
		if err != nil {
			return err
		}
		list = make([]MappingView, 0, len(rows))
		for i := range rows {
			r := &rows[i]
			list = append(list, MappingView{
				ID: r.VersionID, Issuer: r.IssuerName, Group: r.GroupName, Role: Role(r.Role), NodeCode: nodeWords(tree, r.NodeID).Code, Since: r.EffectiveFrom.UTC(),
				By: hands[r.Maker], Number: r.Number, Held: r.Held,
			})
		}
		return nil
	})
	return list, err
}

// applyGroups gives an account the roles its groups are mapped to at this issuer and
// takes those whose group it is not in any more, as one change, while the caller holds
// people. A token without the claim has no groups: what is not said is not held. A role
// that a conflict of duty forbids is left out, and the last tenant owner stays one; the
// record says so.
func (m *Members) applyGroups(tx *db.Tx, row db.MemberRow, claims Claims) error {
	mappings, err := tx.Mappings(claims.IssuerID, maxMappings)
	if err != nil || len(mappings) == 0 {
		return err
	}
	held, err := tx.GrantsOf(row.MemberID)
	if err != nil {
		return err
	}
	var move roleMove
	var wanted []roleGiven
	for i := range mappings {
		r := &mappings[i]
		at := slices.IndexFunc(held, func(g db.GrantRow) bool { return g.MappingID == r.VersionID })
		switch in := slices.Contains(claims.Groups, r.GroupName); {
		case in && at < 0:
			wanted = append(wanted, roleGiven{role: Role(r.Role), node: r.NodeID, mapping: r.VersionID})
		case !in && at >= 0:
			move.take = append(move.take, held[at])
		}
	}
	if err := m.keepLastOwner(tx, row.MemberID, held, &move); err != nil {
		return err
	}
	roles, err := rolesWithout(tx, row.PersonID, move.take)
	if err != nil {
		return err
	}
	for _, w := range wanted {
		if len(m.access.Conflicts(append(slices.Clone(roles), w.role))) > 0 {
			if err := noteMapping(tx, "role.mapping_refused", row.MemberID, w.mapping, w.role); err != nil {
				return err
			}
			continue
		}
		move.give, roles = append(move.give, w), append(roles, w.role)
	}
	if len(move.give)+len(move.take) == 0 {
		return nil
	}
	p := proposal{kind: changeMapped, payload: move.payload(row.MemberID), reason: "the groups in the identity token at sign-in", rule: approval.RuleGroupMapping}
	_, err = m.changes.change(tx, System(tx.Tenant), p, func(c approval.Change) error { return move.apply(tx, row.MemberID, c) })
	return err
}

// keepLastOwner leaves an account the role of tenant owner when nobody else has it.
func (m *Members) keepLastOwner(tx *db.Tx, member id.Member, held []db.GrantRow, move *roleMove) error {
	isOwner := func(g db.GrantRow) bool { return Role(g.Role) == RoleTenantOwner }
	if !slices.ContainsFunc(move.take, isOwner) {
		return nil
	}
	taken := func(g db.GrantRow) bool {
		return slices.ContainsFunc(move.take, func(t db.GrantRow) bool { return t.VersionID == g.VersionID })
	}
	if slices.ContainsFunc(held, func(g db.GrantRow) bool { return isOwner(g) && !taken(g) }) {
		return nil
	}
	_, able, err := owners(tx)
	if err != nil || slices.ContainsFunc(able, func(other id.Member) bool { return other != member }) {
		return err
	}
	at := slices.IndexFunc(move.take, isOwner)
	if err := noteMapping(tx, "role.last_owner_kept", member, move.take[at].MappingID, RoleTenantOwner); err != nil {
		return err
	}
	move.take = slices.Delete(move.take, at, at+1)
	return nil
}

// rolesWithout lists the roles of a person's accounts but for some that end.
func rolesWithout(tx *db.Tx, person id.Person, ending []db.GrantRow) ([]Role, error) {
	accounts, err := tx.Accounts(person)
	if err != nil {
		return nil, err
	}
	var roles []Role
	for _, a := range accounts {
		held, err := tx.GrantsOf(a.MemberID)
		if err != nil {
			return nil, err
		}
		for i := range held {
			if !slices.ContainsFunc(ending, func(g db.GrantRow) bool { return g.VersionID == held[i].VersionID }) {
				roles = append(roles, Role(held[i].Role))
			}
		}
	}
	return roles, nil
}

// noteMapping records what a group's mapping did not do to a member.
func noteMapping(tx *db.Tx, action string, member id.Member, mapping id.Version, role Role) error {
	return tx.AppendAudit(auditlog.Record{
		Action: action, Actor: "system", Subject: member.String(), Detail: map[string]any{"mapping": mapping.String(), "role": string(role)},
	})
}
