package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// purposeAsked seals what was given out with a change that waits: the keyed hash of a
// secret, and whom an invitation is for.
const purposeAsked = "asked"

// tokenPayload is what a change says of the API token it makes: everything but its secret.
type tokenPayload struct {
	Token     id.Token  `json:"token"`
	Member    id.Member `json:"member"`
	Label     string    `json:"label"`
	Roles     []Role    `json:"roles"`
	ExpiresAt string    `json:"expires_at"`
}

func addToken(tx *db.Tx, p tokenPayload, hash secret.Hash, c approval.Change) error {
	ends, err := time.Parse(time.RFC3339Nano, p.ExpiresAt)
	if err != nil {
		return fmt.Errorf("read end of token %s: %w", p.Token, err)
	}
	if !ends.After(tx.Now) {
		return errOvertaken("expires_past", "The token would have ended before it was decided. Ask for another.")
	}
	return tx.AddToken(db.NewToken{ID: p.Token, Member: p.Member, Label: p.Label, Hash: hash, Roles: joinRoles(p.Roles), ExpiresAt: ends, Change: c.ID})
}

// applyToken has a token work whose secret its maker holds.
func (m *Members) applyToken(tx *db.Tx, c approval.Change) error {
	var p tokenPayload
	if err := stored(c, &p); err != nil {
		return err
	}
	row, err := tx.Member(p.Member)
	if err != nil {
		return err
	}
	if row.SuspendedAt != nil {
		return errOvertaken("member_suspended", "The member was suspended since. A suspended member gets no token.")
	}
	if err := m.checkScope(tx, NewToken{Member: p.Member, Roles: p.Roles}); err != nil {
		return errOvertaken("token_scope", "The member lost a role since that the token would have. Ask for another.")
	}
	kept, err := tx.KeptDocument(c.ID)
	if err != nil {
		return err
	}
	plain, err := m.ring.Open(purposeAsked, c.ID.String(), kept)
	if err != nil || len(plain) != len(secret.Hash{}) {
		return fmt.Errorf("open hash of token %s: %d bytes, %w", p.Token, len(plain), err)
	}
	return addToken(tx, p, secret.Hash(plain), c)
}

func (m *Members) tokenImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var p tokenPayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	scope := "every role they have when it is used"
	if len(p.Roles) > 0 {
		scope = strings.ReplaceAll(joinRoles(p.Roles), ",", ", ")
	}
	return approval.Impact{Sentence: fmt.Sprintf("Programs act as %s with an API token %q: %s. Its maker holds the secret already, which works once this is approved.", p.Member, p.Label, scope)}, nil
}

// invitationPayload is what a change says of an invitation; whom it is for is sealed.
type invitationPayload struct {
	Invitation id.Invitation `json:"invitation"`
	Issuer     id.Issuer     `json:"issuer"`
	Role       string        `json:"role"`
	Node       id.Node       `json:"node"`
	ExpiresAt  string        `json:"expires_at"`
}

// invitedDocument is kept with an invitation that waits: name and address as they are
// sealed for it, and the keyed hash of its code.
type invitedDocument struct {
	Name  []byte `json:"name"`
	Email []byte `json:"email"`
	Hash  []byte `json:"hash"`
}

func (m *Members) keepInvited(tx *db.Tx, c approval.Change, d invitedDocument) error {
	document, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode invitation: %w", err)
	}
	return tx.KeepSealed(c.ID, m.ring.SealApart(purposeAsked, c.ID.String(), document)) // erasing whom it brings in reaches it
}

func (m *Members) keptInvited(tx *db.Tx, c approval.Change) (d invitedDocument, err error) {
	kept, err := tx.KeptDocument(c.ID)
	if err != nil {
		return d, err
	}
	plain, err := m.ring.Open(purposeAsked, c.ID.String(), kept)
	if err == nil {
		err = json.Unmarshal(plain, &d)
	}
	if err == nil && len(d.Hash) != len(secret.Hash{}) {
		err = fmt.Errorf("a hash of %d bytes", len(d.Hash))
	}
	if err != nil {
		return d, fmt.Errorf("open invitation of %s: %w", c.ID, err)
	}
	return d, nil
}

// applyInvitation opens an invitation whose link its maker holds.
func (m *Members) applyInvitation(tx *db.Tx, c approval.Change) error {
	var p invitationPayload
	if err := stored(c, &p); err != nil {
		return err
	}
	kept, err := m.keptInvited(tx, c)
	if err != nil {
		return err
	}
	ends, err := time.Parse(time.RFC3339Nano, p.ExpiresAt)
	if err != nil {
		return fmt.Errorf("read end of invitation %s: %w", p.Invitation, err)
	}
	if !ends.After(tx.Now) {
		return errOvertaken("expires_past", "The invitation would have ended before it was decided. Invite again.")
	}
	issuers, err := tx.Issuers()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(issuers, func(r db.IssuerRow) bool { return r.IssuerID == p.Issuer }) {
		return errOvertaken("issuer_absent", "The issuer was retired since. Invite with one that people sign in with.")
	}
	return tx.AddInvitation(&db.InvitationRow{
		InvitationID: p.Invitation, IssuerID: p.Issuer, NameSealed: kept.Name, EmailSealed: kept.Email, Role: p.Role, NodeID: p.Node, ExpiresAt: ends, ChangeID: c.ID,
	}, secret.Hash(kept.Hash))
}

// invitationImpact names the domain of the address and no more: what a change says stays
// with it, also when the person is gone.
func (m *Members) invitationImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p invitationPayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	kept, err := m.keptInvited(tx, c)
	if err != nil {
		return approval.Impact{}, err
	}
	email, err := m.ring.Open(purposeEmail, p.Invitation.String(), kept.Email)
	if err != nil {
		return approval.Impact{}, fmt.Errorf("open address of %s: %w", p.Invitation, err)
	}
	_, domain, _ := strings.Cut(string(email), "@")
	out := approval.Impact{Sentence: fmt.Sprintf("Somebody with an address at %s joins as %s. The inviter holds the link already, which works once this is approved.", domain, strings.ReplaceAll(p.Role, "_", " "))}
	if !p.Node.IsZero() {
		out.Touches = []id.Node{p.Node}
	}
	return out, nil
}
