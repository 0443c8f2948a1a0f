package app

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// NewInvitation is somebody to be invited.
type NewInvitation struct {
	Issuer      id.Issuer
	Name, Email string
	Role        Role
	NodeCode    string
	Life        time.Duration
}

const (
	maxInvitationLife = 30 * 24 * time.Hour
	maxInvitations    = 500
)

func (want *NewInvitation) validate() error {
	at := strings.LastIndexByte(want.Email, '@')
	switch {
	case strings.TrimSpace(want.Name) == "" || usage.Clip(want.Name, maxNameBytes) != want.Name:
		return fault.Invalid("name", "member_text", "The name has 1 to %d bytes of printable UTF-8.", maxNameBytes)
	case at < 1 || !domainForm.MatchString(strings.ToLower(want.Email[at+1:])) || usage.Clip(want.Email, maxEmailBytes) != want.Email:
		return fault.Invalid("email", "email_syntax", "An invitation is for one e-mail address: the one the issuer will confirm.")
	case want.Life < time.Hour || want.Life > maxInvitationLife:
		return fault.Invalid("days", "invitation_life", "An invitation is valid for 1 to %d days.", int(maxInvitationLife/(24*time.Hour)))
	}
	return RoleWish{Role: want.Role, NodeCode: want.NodeCode}.validate(false)
}

// MadeInvitation is a fresh invitation: the only time its code is seen.
type MadeInvitation struct {
	ID        id.Invitation
	Name      string
	ExpiresAt time.Time
	Code      secret.Text `json:"-"` // stored answers carry it apart, sealed
	Change    approval.Change
}

type rememberedInvitation struct {
	MadeInvitation
	Plain string
}

// Invite makes a link with which one address at one issuer becomes a member with a role,
// as one change. Name and address are sealed; the change names opaque ids.
func (m *Members) Invite(ctx context.Context, who Actor, want NewInvitation, reason, once string) (MadeInvitation, error) {
	if err := m.changes.allowed(who, changeInvitation); err != nil {
		return MadeInvitation{}, err
	}
	want.Name, want.Email = strings.TrimSpace(want.Name), strings.TrimSpace(want.Email)
	if err := want.validate(); err != nil {
		return MadeInvitation{}, err
	}
	var made MadeInvitation
	err := m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		stored, err := doOnce(tx, m.ring, who, once, "member.invite", map[string]any{"want": want, "reason": reason}, func() (rememberedInvitation, error) {
			fresh, err := m.invite(tx, who, want, reason)
			return rememberedInvitation{MadeInvitation: fresh, Plain: fresh.Code.Reveal()}, err
		})
		made = stored.MadeInvitation
		made.Code = secret.NewText(stored.Plain)
		return err
	})
	return made, err
}

func (m *Members) invite(tx *db.Tx, who Actor, want NewInvitation, reason string) (MadeInvitation, error) {
	if err := lockPeople(tx, who); err != nil {
		return MadeInvitation{}, err
	}
	issuers, err := tx.Issuers()
	if err != nil {
		return MadeInvitation{}, err
	}
	if !slices.ContainsFunc(issuers, func(r db.IssuerRow) bool { return r.IssuerID == want.Issuer }) {
		return MadeInvitation{}, fault.Invalid("issuer", "issuer_absent", "Choose one of the issuers people sign in with.")
	}
	node, err := nodeOf(tx, want.NodeCode)
	if err != nil {
		return MadeInvitation{}, err
	}
	open, err := tx.OpenInvitations(maxInvitations)
	if err != nil {
		return MadeInvitation{}, err
	}
	if len(open) >= maxInvitations {
		return MadeInvitation{}, fault.Invalid("email", "invitations_many", "%d invitations are open. Withdraw some first.", maxInvitations)
	}
	invitation := id.NewInvitation(tx.Now)
	made := MadeInvitation{ID: invitation, Name: want.Name, ExpiresAt: tx.Now.Add(want.Life)}
	made.Code = secret.NewText(tx.Tenant.String() + "." + invitation.String() + "." + secret.Mint("").Reveal())
	row := db.InvitationRow{
		InvitationID: invitation, IssuerID: want.Issuer, NameSealed: m.ring.Seal(purposeName, invitation.String(), []byte(want.Name)),
		EmailSealed: m.ring.Seal(purposeEmail, invitation.String(), []byte(want.Email)), Role: string(want.Role), NodeID: node, ExpiresAt: made.ExpiresAt,
	}
	payload := invitationPayload{Invitation: invitation, Issuer: want.Issuer, Role: row.Role, Node: node, ExpiresAt: made.ExpiresAt.Format(time.RFC3339Nano)}
	hash := m.codes.Current(made.Code.Reveal())
	made.Change, err = m.changes.issue(tx, who, proposal{kind: changeInvitation, payload: payload, reason: reason},
		func(c approval.Change) error {
			return m.keepInvited(tx, c, invitedDocument{Name: row.NameSealed, Email: row.EmailSealed, Hash: hash[:]})
		},
		func(c approval.Change) error {
			row.ChangeID = c.ID
			return tx.AddInvitation(&row, hash)
		})
	return made, err
}

// Invited is an invitation as the one who has the link sees it.
type Invited struct {
	ID        id.Invitation
	Tenant    id.Tenant
	Company   string
	Slug      string
	Issuer    id.Issuer
	Name      string
	Role      Role
	ExpiresAt time.Time
}

var (
	// ErrInvitation reports a link that is unknown, used, withdrawn or too old.
	ErrInvitation   = fault.New(fault.KindNotFound, "invitation_expired", "This invitation is unknown, used, withdrawn or too old. Ask for another one.")
	errInvitedOther = fault.New(fault.KindForbidden, "invitation_other", "This invitation is for another address than the one your identity provider confirmed. Sign in with that one, or ask for another invitation.")
)

// ByInvitation finds an open invitation by the code in its link.
func (m *Members) ByInvitation(ctx context.Context, code secret.Text) (Invited, error) {
	tenantText, rest, _ := strings.Cut(code.Reveal(), ".")
	invitationText, _, _ := strings.Cut(rest, ".")
	tenant, errTenant := id.ParseTenant(tenantText)
	invitation, errInvitation := id.ParseInvitation(invitationText)
	if errTenant != nil || errInvitation != nil || tenant.IsZero() {
		return Invited{}, ErrInvitation
	}
	var found Invited
	err := m.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		row, err := tx.Invitation(invitation)
		if err != nil {
			return ErrInvitation
		}
		match := false
		for _, h := range m.codes.Accepted(code.Reveal()) {
			match = match || subtle.ConstantTimeCompare(h[:], row.CodeHash) == 1
		}
		if !match || row.AcceptedAt != nil || row.RevokedAt != nil || !tx.Now.Before(row.ExpiresAt) {
			return ErrInvitation
		}
		company, err := tx.TenantRow()
		if err != nil {
			return err
		}
		name, err := m.ring.Open(purposeName, invitation.String(), row.NameSealed)
		found = Invited{
			ID: invitation, Tenant: tenant, Company: company.Name, Slug: company.Slug, Issuer: row.IssuerID, Name: string(name), Role: Role(row.Role), ExpiresAt: row.ExpiresAt.UTC(),
		}
		return err
	})
	return found, err
}

// join makes a verified identity a member by the invitation its sign-in began with, as
// one change, while the caller holds people: it cannot be withdrawn or taken meanwhile. Whoever invited is who gave the role.
func (m *Members) join(tx *db.Tx, claims Claims) (db.MemberRow, error) {
	row, err := tx.Invitation(claims.Invitation)
	if err != nil || row.IssuerID != claims.IssuerID || row.AcceptedAt != nil || row.RevokedAt != nil || !tx.Now.Before(row.ExpiresAt) {
		return db.MemberRow{}, ErrInvitation
	}
	email, err := m.ring.Open(purposeEmail, row.InvitationID.String(), row.EmailSealed)
	if err != nil {
		return db.MemberRow{}, err
	}
	if claims.EmailRefused || !strings.EqualFold(strings.TrimSpace(claims.Email), string(email)) {
		return db.MemberRow{}, errInvitedOther
	}
	name, err := m.ring.Open(purposeName, row.InvitationID.String(), row.NameSealed)
	if err != nil {
		return db.MemberRow{}, err
	}
	person, member := id.NewPerson(tx.Now), id.NewMember(tx.Now)
	payload := map[string]any{
		"invitation": row.InvitationID.String(), "member": member.String(), "person": person.String(), "kind": memberPerson, "role": row.Role, "node": row.NodeID.String(),
	}
	p := proposal{kind: changeMember, payload: payload, reason: "the invitation was accepted", rule: approval.RuleInvitation}
	_, err = m.changes.change(tx, System(tx.Tenant), p, func(c approval.Change) error {
		want := NewMember{Issuer: claims.Issuer, Subject: claims.Subject, Name: string(name), Email: string(email)}
		if err := m.addPerson(tx, person, want); err != nil {
			return err
		}
		if err := tx.AddMember(member, person, memberPerson, want.Issuer, want.Subject); err != nil {
			return err
		}
		taken, err := tx.TakeInvitation(row.InvitationID, member)
		if err != nil || !taken {
			return cmp.Or(err, errors.New("the invitation was open a moment ago"))
		}
		return tx.GrantRole(db.NewGrant{Version: id.NewVersion(tx.Now), Member: member, Role: row.Role, Node: row.NodeID, From: c.EffectiveFrom, Change: row.ChangeID})
	})
	if err != nil {
		return db.MemberRow{}, err
	}
	return tx.Member(member)
}

// InvitationView is an open invitation as lists show it.
type InvitationView struct {
	ID          id.Invitation
	Name, Email string
	Role        Role
	NodeCode    string
	RecordedAt  time.Time
	ExpiresAt   time.Time
	By          Hand
	Number      int64 // of the change
}

// Invitations lists the open invitations, newest first.
func (m *Members) Invitations(ctx context.Context, who Actor) ([]InvitationView, error) {
	if err := m.access.Check(who, "member", "read"); err != nil {
		return nil, err
	}
	var list []InvitationView
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.OpenInvitations(maxInvitations)
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
		list = make([]InvitationView, 0, len(rows))
		for i := range rows {
			r := &rows[i]
			name, err := m.ring.Open(purposeName, r.InvitationID.String(), r.NameSealed)
			if err != nil {
				return err
			}
			email, err := m.ring.Open(purposeEmail, r.InvitationID.String(), r.EmailSealed)
			if err != nil {
				return err
			}
			list = append(list, InvitationView{
				ID: r.InvitationID, Name: string(name), Email: string(email), Role: Role(r.Role), NodeCode: nodeWords(tree, r.NodeID).Code,
				RecordedAt: r.RecordedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), By: hands[r.Maker], Number: r.Number,
			})
		}
		return nil
	})
	return list, err
}

// WithdrawInvitation ends an open invitation as one change.
func (m *Members) WithdrawInvitation(ctx context.Context, who Actor, invitation id.Invitation, reason string) error {
	if err := m.changes.allowed(who, changeInviteEnd); err != nil {
		return err
	}
	return m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := lockPeople(tx, who); err != nil {
			return err
		}
		if _, err := tx.Invitation(invitation); err != nil {
			return err
		}
		p := proposal{kind: changeInviteEnd, payload: map[string]any{"invitation": invitation.String()}, reason: reason}
		_, err := m.changes.change(tx, who, p, func(c approval.Change) error {
			ended, err := tx.RevokeInvitation(invitation, c.ID)
			if err == nil && !ended {
				err = ErrInvitation
			}
			return err
		})
		return err
	})
}
