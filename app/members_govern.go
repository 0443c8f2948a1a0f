package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/db"
)

// govern tells the funnel of the changes of people that a company's policies may have
// somebody decide about. Who administers members approves nothing, so that those who
// approve are others (app/duties.csv).
func (m *Members) govern() {
	m.changes.govern(changeRoles, governed{checks: "access", revisable: true, lock: (*db.Tx).LockPeople, draft: m.draftRoles, apply: m.applyRoles, impact: m.rolesImpact})
	m.changes.govern(changeMapping, governed{checks: "access", revisable: true, lock: (*db.Tx).LockPeople, draft: m.draftMapping, apply: m.applyMapping, impact: m.mappingImpact})
	m.changes.govern(changeToken, governed{checks: "access", lock: (*db.Tx).LockPeople, draft: askedInPlace, apply: m.applyToken, impact: m.tokenImpact})
	m.changes.govern(changeInvitation, governed{checks: "access", lock: (*db.Tx).LockPeople, draft: askedInPlace, apply: m.applyInvitation, impact: m.invitationImpact})
	m.changes.govern(changeMappingEnd, governed{checks: "access", lock: (*db.Tx).LockPeople, draft: m.draftMappingEnd, apply: m.applyMappingEnd, impact: m.mappingEndImpact})
	m.changes.govern(changeErasure, governed{checks: "access", floor: approval.FloorPair, lock: (*db.Tx).LockPeople, draft: m.draftErasure, apply: m.applyErasure, impact: m.erasureImpact})
}

// rolesAsk is what a maker sends of the roles a member is to have.
type rolesAsk struct {
	Member id.Member  `json:"member"`
	Roles  []roleText `json:"roles"`
}

type roleText struct {
	Role string `json:"role"`
	Node string `json:"node,omitempty"` // a code
}

// rolesPayload is what a change of roles says.
type rolesPayload struct {
	Member id.Member   `json:"member"`
	Given  []grantText `json:"given"`
	Taken  []grantText `json:"taken"`
}

type grantText struct {
	Role string  `json:"role"`
	Node id.Node `json:"node"`
}

// AskRoles is the proposal that a member has exactly these roles beside the mapped ones.
func AskRoles(member id.Member, wishes []RoleWish, reason string) Ask {
	asked := rolesAsk{Member: member, Roles: []roleText{}}
	for _, w := range wishes {
		asked.Roles = append(asked.Roles, roleText{Role: string(w.Role), Node: w.NodeCode})
	}
	return ask(changeRoles, reason, asked)
}

func (m *Members) draftRoles(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked rolesAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if len(asked.Roles) > maxWishes {
		return draft{}, fault.Invalid("roles", "roles_many", "A member has at most %d roles.", maxWishes)
	}
	if err := lockPeople(tx, who); err != nil {
		return draft{}, err
	}
	row, err := tx.Member(asked.Member)
	if err != nil {
		return draft{}, err
	}
	var wishes []RoleWish
	var roles []Role
	for _, r := range asked.Roles {
		wishes, roles = append(wishes, RoleWish{Role: Role(r.Role), NodeCode: r.Node}), append(roles, Role(r.Role))
	}
	move, err := m.plan(tx, row, wishes)
	if err != nil {
		return draft{}, err
	}
	if len(move.give)+len(move.take) == 0 {
		return draft{}, errSameRoles
	}
	return draft{payload: move.payload(asked.Member)}, m.access.refuseConflict(roles)
}

func (m *Members) applyRoles(tx *db.Tx, c approval.Change) error {
	var p rolesPayload
	if err := stored(c, &p); err != nil {
		return err
	}
	row, err := tx.Member(p.Member)
	if err != nil {
		return err
	}
	held, err := tx.GrantsOf(p.Member)
	if err != nil {
		return err
	}
	held = slices.DeleteFunc(held, func(g db.GrantRow) bool { return !g.MappingID.IsZero() })
	var move roleMove
	for _, t := range p.Taken {
		at := slices.IndexFunc(held, func(g db.GrantRow) bool { return g.Role == t.Role && g.NodeID == t.Node })
		if at < 0 {
			return errOvertaken("roles_moved", "The member's roles changed since this was proposed. Propose it again.")
		}
		move.take = append(move.take, held[at])
	}
	for _, g := range p.Given {
		if slices.ContainsFunc(held, func(h db.GrantRow) bool { return h.Role == g.Role && h.NodeID == g.Node }) {
			return errOvertaken("roles_moved", "The member's roles changed since this was proposed. Propose it again.")
		}
		move.give = append(move.give, roleGiven{role: Role(g.Role), node: g.Node})
	}
	keep, err := keepOwner(tx, onBehalf(tx, c))
	if err != nil {
		return err
	}
	c.EffectiveFrom = later(c.EffectiveFrom, tx.Now)
	if err := move.apply(tx, p.Member, c); err != nil {
		return err
	}
	if err := m.refuseConflict(tx, row.PersonID); err != nil {
		return err
	}
	return keep()
}

func (m *Members) rolesImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p rolesPayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	out := approval.Impact{}
	words := func(list []grantText) string {
		var names []string
		for _, g := range list {
			names = append(names, g.Role)
			if !g.Node.IsZero() {
				out.Touches = append(out.Touches, g.Node)
			}
		}
		if len(names) == 0 {
			return "nothing"
		}
		return strings.Join(names, ", ")
	}
	out.Sentence = fmt.Sprintf("%s is given %s and loses %s.", p.Member, words(p.Given), words(p.Taken))
	return out, nil
}

// mappingAsk is what a maker sends of a group's role.
type mappingAsk struct {
	Issuer id.Issuer `json:"issuer"`
	Group  string    `json:"group"`
	Role   string    `json:"role"`
	Node   string    `json:"node,omitempty"` // a code
}

// mappingPayload is what a change of a group mapping says.
type mappingPayload struct {
	Mapping id.Version `json:"mapping"`
	Issuer  id.Issuer  `json:"issuer"`
	Group   string     `json:"group"`
	Role    string     `json:"role"`
	Node    id.Node    `json:"node"`
}

// AskMapping is the proposal that everybody in a group of an issuer has a role.
func AskMapping(want NewMapping, reason string) Ask {
	return ask(changeMapping, reason, mappingAsk{Issuer: want.Issuer, Group: want.Group, Role: string(want.Role), Node: want.NodeCode})
}

func (m *Members) draftMapping(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked mappingAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	want := NewMapping{Issuer: asked.Issuer, Group: strings.TrimSpace(asked.Group), Role: Role(asked.Role), NodeCode: asked.Node}
	if want.Group == "" || usage.Clip(want.Group, maxGroupBytes) != want.Group {
		return draft{}, fault.Invalid("group", "group_text", "A group has 1 to %d bytes, exactly as the issuer's claim spells it.", maxGroupBytes)
	}
	if err := (RoleWish{Role: want.Role, NodeCode: want.NodeCode}).validate(false); err != nil {
		return draft{}, err
	}
	if err := lockPeople(tx, who); err != nil {
		return draft{}, err
	}
	node, err := nodeOf(tx, want.NodeCode)
	if err != nil {
		return draft{}, err
	}
	err = m.checkMapping(tx, want, node)
	return draft{payload: mappingPayload{Mapping: id.NewVersion(tx.Now), Issuer: want.Issuer, Group: want.Group, Role: asked.Role, Node: node}}, err
}

func (m *Members) applyMapping(tx *db.Tx, c approval.Change) error {
	var p mappingPayload
	if err := stored(c, &p); err != nil {
		return err
	}
	if err := m.checkMapping(tx, NewMapping{Issuer: p.Issuer, Group: p.Group, Role: Role(p.Role)}, p.Node); err != nil {
		return err
	}
	return tx.AddMapping(&db.MappingRow{
		VersionID: p.Mapping, IssuerID: p.Issuer, GroupName: p.Group, Role: p.Role, NodeID: p.Node, EffectiveFrom: later(c.EffectiveFrom, tx.Now), ChangeID: c.ID,
	})
}

func (m *Members) mappingImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var p mappingPayload
	err := stored(c, &p)
	out := approval.Impact{Sentence: fmt.Sprintf("Whoever the issuer says is in the group %q is %s from their next sign-in on.", p.Group, p.Role)}
	if !p.Node.IsZero() {
		out.Touches = []id.Node{p.Node}
	}
	return out, err
}

// mappingEnd names a mapping that is to end.
type mappingEnd struct {
	Mapping id.Version `json:"mapping"`
}

// AskMappingEnd is the proposal that a mapping ends, with the roles held because of it.
func AskMappingEnd(mapping id.Version, reason string) Ask {
	return ask(changeMappingEnd, reason, mappingEnd{mapping})
}

func (m *Members) draftMappingEnd(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked mappingEnd
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if err := lockPeople(tx, who); err != nil {
		return draft{}, err
	}
	_, err := mappingOf(tx, asked.Mapping)
	return draft{payload: asked}, err
}

func mappingOf(tx *db.Tx, mapping id.Version) (db.MappingRow, error) {
	rows, err := tx.Mappings(id.Issuer{}, maxMappings)
	if err != nil {
		return db.MappingRow{}, err
	}
	for i := range rows {
		if rows[i].VersionID == mapping {
			return rows[i], nil
		}
	}
	return db.MappingRow{}, db.ErrMappingAbsent
}

func (m *Members) applyMappingEnd(tx *db.Tx, c approval.Change) error {
	var p mappingEnd
	if err := stored(c, &p); err != nil {
		return err
	}
	if _, err := mappingOf(tx, p.Mapping); err != nil {
		return err
	}
	keep, err := keepOwner(tx, onBehalf(tx, c))
	if err != nil {
		return err
	}
	if err := m.endMapping(tx, p.Mapping, c); err != nil {
		return err
	}
	return keep()
}

func (m *Members) mappingEndImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p mappingEnd
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	row, err := mappingOf(tx, p.Mapping)
	if err != nil {
		return approval.Impact{}, err
	}
	held, err := tx.GrantsFrom(p.Mapping, maxMapped)
	return approval.Impact{Sentence: fmt.Sprintf("The group %q gives the role %s no more; accounts that lose it: %d.", row.GroupName, row.Role, len(held))}, err
}

// onBehalf is who applies a change as far as keeping an owner goes: the command line, which
// gives the first one, may do without.
func onBehalf(tx *db.Tx, c approval.Change) Actor {
	if c.Maker == string(ActorCommand) {
		return Command(tx.Tenant)
	}
	return System(tx.Tenant)
}
