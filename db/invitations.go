package db

import (
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// InvitationRow is an invitation; its link is never stored.
type InvitationRow struct {
	InvitationID id.Invitation
	IssuerID     id.Issuer
	NameSealed   []byte
	EmailSealed  []byte
	CodeHash     []byte
	Role         string
	NodeID       id.Node
	RecordedAt   time.Time
	ExpiresAt    time.Time
	ChangeID     id.Change
	AcceptedAt   *time.Time
	RevokedAt    *time.Time
	Number       int64 // of the change that made it
	Maker        string
}

// ErrInvitationAbsent reports an invitation that is not there, or not this tenant's.
var ErrInvitationAbsent = fault.New(fault.KindNotFound, "invitation_absent", "There is no such invitation.")

// AddInvitation stores an invitation.
func (t *Tx) AddInvitation(r *InvitationRow, code secret.Hash) error {
	return t.exec("add invitation", `insert into invitation (tenant_id, invitation_id, issuer_id, name_sealed, email_sealed, code_hash, role, node_id, recorded_at, expires_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		t.Tenant, r.InvitationID, r.IssuerID, r.NameSealed, r.EmailSealed, code[:], r.Role, r.NodeID, t.Now, r.ExpiresAt, r.ChangeID)
}

const invitationSelect = `select i.invitation_id, i.issuer_id, i.name_sealed, i.email_sealed, i.code_hash, i.role, i.node_id, i.recorded_at, i.expires_at, i.change_id,
	i.accepted_at, i.revoked_at, c.number, c.maker from invitation i join change c on c.tenant_id = i.tenant_id and c.change_id = i.change_id where i.tenant_id = ?`

// Invitation reads one invitation.
func (t *Tx) Invitation(invitation id.Invitation) (InvitationRow, error) {
	var rows []InvitationRow
	if err := t.scan("read invitation", &rows, invitationSelect+` and i.invitation_id = ?`, t.Tenant, invitation); err != nil {
		return InvitationRow{}, err
	}
	if len(rows) == 0 {
		return InvitationRow{}, ErrInvitationAbsent
	}
	return rows[0], nil
}

// OpenInvitations lists the invitations nobody has taken or withdrawn, newest first.
func (t *Tx) OpenInvitations(limit int) ([]InvitationRow, error) {
	var rows []InvitationRow
	err := t.scan("list invitations", &rows, invitationSelect+` and i.accepted_at is null and i.revoked_at is null and i.expires_at > ? order by i.invitation_id desc limit ?`,
		t.Tenant, t.Now, limit)
	return rows, err
}

// TakeInvitation uses an invitation up for a member; false when it is not open any more.
func (t *Tx) TakeInvitation(invitation id.Invitation, member id.Member) (bool, error) {
	var taken bool
	_, err := t.row("take invitation", []any{&taken}, `update invitation set accepted_at = $3, member_id = $4
		where tenant_id = $1 and invitation_id = $2 and accepted_at is null and revoked_at is null and expires_at > $3 returning true`, t.Tenant, invitation, t.Now, member)
	return taken, err
}

// RevokeInvitation withdraws an invitation; false when it is not open any more.
func (t *Tx) RevokeInvitation(invitation id.Invitation, change id.Change) (bool, error) {
	var ended bool
	_, err := t.row("revoke invitation", []any{&ended}, `update invitation set revoked_at = $3, end_change_id = $4
		where tenant_id = $1 and invitation_id = $2 and accepted_at is null and revoked_at is null returning true`, t.Tenant, invitation, t.Now, change)
	return ended, err
}
