package app

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// Members is the area of people, their roles and their tokens.
type Members struct {
	db      *db.DB
	access  *Access
	changes *Changes
	ring    *secret.Keyring
	tokens  *secret.Hasher
	emails  *secret.Hasher
	codes   *secret.Hasher
	labels  *Labels
	sources *secret.Hasher
}

// NewMembers makes the area.
func NewMembers(d *db.DB, changes *Changes, ring *secret.Keyring) *Members {
	m := &Members{
		db: d, access: changes.access, changes: changes, ring: ring, codes: ring.Hasher("invitation"), tokens: ring.Hasher("api-token"), emails: ring.Hasher("email"), labels: NewLabels(ring),
		sources: ring.Hasher("source"),
	}
	m.govern()
	return m
}

const (
	purposeName  = "person-name"
	purposeEmail = "person-email"

	memberPerson  = "person"
	memberService = "service"
)

// NewMember is an identity to be admitted with a role.
type NewMember struct {
	Service         bool
	Issuer, Subject string
	Name, Email     string
	Role            Role
	NodeCode        string // the subtree, for a budget owner
}

// Bounds of what an identity says.
const (
	maxIdentityBytes = 255 // OpenID Connect Core 2: a subject has at most 255 characters
	maxNameBytes     = 200
	maxEmailBytes    = 254 // RFC 5321
)

func (want NewMember) validate() error {
	texts := []struct {
		field, text string
		least, most int
	}{
		{"issuer", want.Issuer, 1, maxIdentityBytes},
		{"subject", want.Subject, 1, maxIdentityBytes},
		{"name", want.Name, 1, maxNameBytes},
		{"email", want.Email, 0, maxEmailBytes},
	}
	for _, c := range texts {
		if len(strings.TrimSpace(c.text)) < c.least || usage.Clip(c.text, c.most) != c.text {
			return fault.Invalid(c.field, "member_text", "The %s has %d to %d bytes of printable UTF-8.", c.field, c.least, c.most)
		}
	}
	switch {
	case !slices.Contains(Roles(), want.Role):
		return fault.Invalid("role", "role_unknown", "There is no role %.40q.", string(want.Role))
	case want.Service != (want.Role == RoleServiceAccount):
		return fault.Invalid("role", "role_kind", "The role service_account is for service accounts, and they have no other.")
	case (want.Role == RoleBudgetOwner) != (want.NodeCode != ""):
		return fault.Invalid("node", "role_scope", "A budget owner has a node, and nobody else does.")
	}
	return nil
}

// Add admits a member with a role as one change. The change names the opaque ids
// only; name and address are sealed apart, so that they can be erased.
func (m *Members) Add(ctx context.Context, who Actor, want NewMember, reason string) (id.Member, error) {
	var member id.Member
	if err := m.changes.allowed(who, changeMember); err != nil {
		return member, err
	}
	if err := want.validate(); err != nil {
		return member, err
	}
	err := m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		person := id.NewPerson(tx.Now)
		member = id.NewMember(tx.Now)
		node, err := nodeOf(tx, want.NodeCode)
		if err != nil {
			return err
		}
		kind := memberPerson
		if want.Service {
			kind = memberService
		}
		payload := map[string]any{"member": member.String(), "person": person.String(), "kind": kind, "role": string(want.Role), "node": node.String()}
		p := proposal{kind: changeMember, payload: payload, reason: reason}
		_, err = m.changes.change(tx, who, p, func(c approval.Change) error {
			if err := m.addPerson(tx, person, want); err != nil {
				return err
			}
			if err := tx.AddMember(member, person, kind, want.Issuer, want.Subject); err != nil {
				return err
			}
			return tx.GrantRole(db.NewGrant{Version: id.NewVersion(tx.Now), Member: member, Role: string(want.Role), Node: node, From: c.EffectiveFrom, Change: c.ID})
		})
		return err
	})
	return member, err
}

// nodeOf finds the node a role is for; no code is the whole tenant.
func nodeOf(tx *db.Tx, code string) (id.Node, error) {
	if code == "" {
		return id.Node{}, nil
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return id.Node{}, err
	}
	v, ok := tree.Code(code)
	if !ok {
		return id.Node{}, fault.Invalid("node", "node_absent", "No node has code %.60q.", code)
	}
	return v.Node, nil
}

func (m *Members) addPerson(tx *db.Tx, person id.Person, want NewMember) error {
	name := m.ring.SealApart(purposeName, person.String(), []byte(want.Name))
	if want.Email == "" {
		return tx.AddPerson(person, name, nil, nil) // no address is nobody's address
	}
	hash := m.emails.Current(strings.ToLower(want.Email))
	return tx.AddPerson(person, name, m.ring.SealApart(purposeEmail, person.String(), []byte(want.Email)), hash[:])
}

// load reads what the actor's member is and may do now.
func (m *Members) load(tx *db.Tx, who *Actor) error {
	row, err := tx.Member(who.Member)
	if err != nil {
		return err
	}
	if row.SuspendedAt != nil {
		return db.ErrMemberAbsent
	}
	who.Person, who.issuer, who.subject = row.PersonID, row.Issuer, row.Subject
	name, err := m.ring.Open(purposeName, row.PersonID.String(), row.NameSealed)
	if err != nil {
		return err
	}
	who.Name = string(name)
	roles, err := tx.Roles(who.Member)
	if err != nil {
		return err
	}
	for _, r := range roles {
		who.Grants = append(who.Grants, Grant{Role: Role(r.Role), Node: r.NodeID})
	}
	if who.Developer, err = m.ownDeveloper(tx, who.Person); err != nil {
		return err
	}
	return shut(tx) // told to who belongs there, and to nobody else
}

// ownDeveloper is the developer whose label is the person's own address.
func (m *Members) ownDeveloper(tx *db.Tx, person id.Person) (id.Developer, error) {
	sealed, err := tx.PersonEmail(person)
	if err != nil || len(sealed) == 0 {
		return id.Developer{}, err
	}
	email, err := m.ring.Open(purposeEmail, person.String(), sealed)
	if err != nil || len(email) == 0 {
		return id.Developer{}, err
	}
	known, err := m.labels.pseudonyms(tx)
	if err != nil {
		return id.Developer{}, err
	}
	return known.Developer(string(email)), nil
}

// The ways a person or a token comes in, as a provenance names them.
const (
	ViaPage = "page"
	ViaAPI  = "api"
)

// Under gives what is done under a context its provenance: every record that is written then
// says by which session or token, with which roles, and from where.
func (m *Members) Under(ctx context.Context, who Actor, via, address string) context.Context {
	source := m.sources.Current(address)
	by := auditlog.Provenance{Via: via, Session: who.Session.String(), Token: who.Token.String(), SignedInAt: who.SignedInAt, Source: hex.EncodeToString(source[:sourceBytes])}
	for _, g := range who.Grants {
		role := string(g.Role)
		if !g.Node.IsZero() {
			role += ":" + g.Node.String()
		}
		by.Roles = append(by.Roles, role)
	}
	slices.Sort(by.Roles)
	return auditlog.WithProvenance(ctx, by)
}

// sourceBytes are enough of a keyed hash to tell sources apart.
const sourceBytes = 16
