package app

import (
	"context"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Members is the area of people, their roles and their tokens.
type Members struct {
	db      *db.DB
	changes *Changes
	ring    *secret.Keyring
	tokens  *secret.Hasher
	emails  *secret.Hasher
	labels  *Labels
}

// NewMembers makes the area.
func NewMembers(d *db.DB, changes *Changes, ring *secret.Keyring) *Members {
	return &Members{
		db: d, changes: changes, ring: ring, tokens: ring.Hasher("api-token"), emails: ring.Hasher("email"), labels: NewLabels(ring),
	}
}

const (
	purposeName  = "person-name"
	purposeEmail = "person-email"
)

// NewMember is an identity to be admitted with a role.
type NewMember struct {
	Service         bool
	Issuer, Subject string
	Name, Email     string
	Role            Role
	NodeCode        string // the subtree, for a budget owner
}

// Add admits a member with a role as one change. The change names the opaque ids
// only; name and address are sealed apart, so that they can be erased.
func (m *Members) Add(ctx context.Context, who Actor, want NewMember, reason string) (id.Member, error) {
	var member id.Member
	err := m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		person := id.NewPerson(tx.Now)
		member = id.NewMember(tx.Now)
		var node id.Node
		if want.NodeCode != "" {
			tree, err := treeAt(tx, time.Time{})
			if err != nil {
				return err
			}
			v, ok := tree.Code(want.NodeCode)
			if !ok {
				return fault.Invalid("node", "node_absent", "No node has code %.60q.", want.NodeCode)
			}
			node = v.Node
		}
		kind := "person"
		if want.Service {
			kind = "service"
		}
		payload := map[string]any{"member": member.String(), "person": person.String(), "kind": kind, "role": string(want.Role), "node": node.String()}
		p := proposal{kind: changeMember, payload: payload, reason: reason}
		_, err := m.changes.change(tx, who, p, func(c approval.Change) error {
			email := m.emails.Current(strings.ToLower(want.Email))
			if err := tx.AddPerson(person, m.ring.Seal(purposeName, person.String(), []byte(want.Name)),
				m.ring.Seal(purposeEmail, person.String(), []byte(want.Email)), email[:]); err != nil {
				return err
			}
			if err := tx.AddMember(member, person, kind, want.Issuer, want.Subject); err != nil {
				return err
			}
			return tx.GrantRole(id.NewVersion(tx.Now), member, string(want.Role), node, c.EffectiveFrom, c.ID)
		})
		return err
	})
	return member, err
}

const (
	tokenPrefix  = "tbt_"
	maxTokenLife = 366 * 24 * time.Hour
)

// AddToken makes an API token for a member as one change; its secret is seen once.
func (m *Members) AddToken(ctx context.Context, who Actor, member id.Member, label string, life time.Duration, reason string) (secret.Text, error) {
	if life <= 0 || life > maxTokenLife {
		return secret.Text{}, fault.Invalid("expires_at", "token_life", "A token lives at most a year.")
	}
	plain := secret.Mint(tokenPrefix)
	err := m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if _, err := tx.Member(member); err != nil {
			return err
		}
		token := id.NewToken(tx.Now)
		p := proposal{kind: changeToken, payload: map[string]any{"token": token.String(), "member": member.String(), "label": label}, reason: reason}
		_, err := m.changes.change(tx, who, p, func(c approval.Change) error {
			return tx.AddToken(token, member, label, m.tokens.Current(plain.Reveal()), tx.Now.Add(life), c.ID)
		})
		return err
	})
	return plain, err
}

// ErrToken reports a token that is unknown, expired, revoked, or whose member is
// suspended.
var ErrToken = fault.New(fault.KindUnauthenticated, "token_unknown", "The token is missing, unknown, expired or revoked. Send Authorization: Bearer with a token made in Tollbook.")

// ByToken is the actor behind an API token.
func (m *Members) ByToken(ctx context.Context, token secret.Text) (Actor, error) {
	if !strings.HasPrefix(token.Reveal(), tokenPrefix) {
		return Actor{}, ErrToken
	}
	row, found, err := m.db.LiveToken(ctx, m.tokens.Accepted(token.Reveal()))
	if err != nil {
		return Actor{}, err
	}
	if !found {
		return Actor{}, ErrToken
	}
	who := Actor{Tenant: row.TenantID, Kind: ActorToken, Token: row.TokenID, Member: row.MemberID}
	err = m.db.InTenant(ctx, row.TenantID, func(tx *db.Tx) error { return m.load(tx, &who) })
	if fault.KindOf(err) == fault.KindNotFound {
		return Actor{}, ErrToken
	}
	return who, err
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
	who.Person = row.PersonID
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
	who.Developer, err = m.ownDeveloper(tx, who.Person)
	return err
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
	return m.labels.Developer(tx.Tenant, string(email)), nil
}
