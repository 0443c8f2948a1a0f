package db

import (
	"context"
	"time"

	"tollbook/app/id"
	"tollbook/app/secret"
)

// AddSignIn stores an attempt to sign in and forgets expired ones.
func (t *Tx) AddSignIn(signIn id.SignIn, issuer id.Issuer, invitation id.Invitation, state secret.Hash, ticketSealed []byte, returnTo string, expires time.Time) error {
	if err := t.exec("forget old sign-ins", `delete from sign_in where tenant_id = $1 and expires_at < $2`, t.Tenant, t.Now.Add(-time.Hour)); err != nil {
		return err
	}
	return t.exec("add sign-in", `insert into sign_in (tenant_id, sign_in_id, issuer_id, invitation_id, state_hash, ticket_sealed, return_to, recorded_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.Tenant, signIn, issuer, invitation, state[:], ticketSealed, returnTo, t.Now, expires)
}

// SignInRow is an attempt that was taken.
type SignInRow struct {
	IssuerID     id.Issuer
	Invitation   id.Invitation
	StateHash    []byte
	TicketSealed []byte
	ReturnTo     string
}

// TakeSignIn uses an attempt up: a second use, or a late one, finds nothing.
func (t *Tx) TakeSignIn(signIn id.SignIn) (SignInRow, bool, error) {
	var r SignInRow
	found, err := t.row("take sign-in", []any{&r.IssuerID, &r.Invitation, &r.StateHash, &r.TicketSealed, &r.ReturnTo}, `update sign_in set used_at = $3
		where tenant_id = $1 and sign_in_id = $2 and used_at is null and expires_at > $3 returning issuer_id, invitation_id, state_hash, ticket_sealed, return_to`, t.Tenant, signIn, t.Now)
	return r, found, err
}

// NewSession is a signed-in session to be stored.
type NewSession struct {
	ID           id.Session
	Member       id.Member
	Issuer       id.Issuer // where the person signed in; zero when it is not known
	Token        secret.Hash
	ClaimsSealed []byte
	SignedInAt   time.Time
	ExpiresAt    time.Time
}

// AddSession stores a signed-in session.
func (t *Tx) AddSession(s NewSession) error {
	return t.exec("add session", `insert into session (tenant_id, session_id, member_id, issuer_id, token_hash, claims_sealed, signed_in_at, recorded_at, seen_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)`, t.Tenant, s.ID, s.Member, s.Issuer, s.Token[:], s.ClaimsSealed, s.SignedInAt, t.Now, s.ExpiresAt)
}

// SessionRow is a live session.
type SessionRow struct {
	MemberID   id.Member
	IssuerID   id.Issuer
	TokenHash  []byte
	SignedInAt time.Time
	SeenAt     time.Time
	ExpiresAt  time.Time
}

// LiveSession finds a session that is neither expired, idle nor revoked.
func (t *Tx) LiveSession(session id.Session, idle time.Duration) (SessionRow, bool, error) {
	var r SessionRow
	found, err := t.row("read session", []any{&r.MemberID, &r.IssuerID, &r.TokenHash, &r.SignedInAt, &r.SeenAt, &r.ExpiresAt},
		`select member_id, issuer_id, token_hash, signed_in_at, seen_at, expires_at from session
		where tenant_id = $1 and session_id = $2 and revoked_at is null and expires_at > $3 and seen_at > $4`, t.Tenant, session, t.Now, t.Now.Add(-idle))
	return r, found, err
}

// SeeSession moves the idle limit on.
func (t *Tx) SeeSession(session id.Session) error {
	return t.exec("see session", `update session set seen_at = $3 where tenant_id = $1 and session_id = $2`, t.Tenant, session, t.Now)
}

// RevokeSession ends a session.
func (t *Tx) RevokeSession(session id.Session) error {
	return t.exec("revoke session", `update session set revoked_at = $3 where tenant_id = $1 and session_id = $2 and revoked_at is null`, t.Tenant, session, t.Now)
}

// SessionClaims reads what the identity token of a session said, sealed.
func (t *Tx) SessionClaims(session id.Session) ([]byte, error) {
	var sealed []byte
	_, err := t.row("read claims", []any{&sealed}, `select claims_sealed from session where tenant_id = $1 and session_id = $2`, t.Tenant, session)
	return sealed, err
}

// SessionListRow is a session as its person sees it.
type SessionListRow struct {
	SessionID  id.Session
	MemberID   id.Member
	Issuer     string // its name; empty when it is not known
	RecordedAt time.Time
	SeenAt     time.Time
	ExpiresAt  time.Time
	RevokedAt  *time.Time
}

// Sessions lists the sessions of a person's accounts, newest first.
func (t *Tx) Sessions(person id.Person, limit int) ([]SessionListRow, error) {
	var rows []SessionListRow
	err := t.scan("list sessions", &rows, `select s.session_id, s.member_id, coalesce(i.name, '') as issuer, s.recorded_at, s.seen_at, s.expires_at, s.revoked_at
		from session s join member m on m.tenant_id = s.tenant_id and m.member_id = s.member_id
		left join issuer i on i.tenant_id = s.tenant_id and i.issuer_id = s.issuer_id
		where s.tenant_id = ? and m.person_id = ? order by s.recorded_at desc, s.session_id desc limit ?`, t.Tenant, person, limit)
	return rows, err
}

// RevokeSessions ends every session of an account but one (zero: every one) and tells
// how many ended.
func (t *Tx) RevokeSessions(member id.Member, but id.Session) (int64, error) {
	var n int64
	_, err := t.row("revoke sessions", []any{&n}, `with ended as (update session set revoked_at = $3
		where tenant_id = $1 and member_id = $2 and revoked_at is null and expires_at > $3 and ($4::uuid is null or session_id <> $4::uuid) returning 1)
		select count(*) from ended`, t.Tenant, member, t.Now, but)
	return n, err
}

// ElsewhereRow is a tenant where an identity is a member, too.
type ElsewhereRow struct {
	ID   id.Tenant `gorm:"column:tenant_id"`
	Slug string
	Name string
}

// Elsewhere lists the tenants where an identity is a member.
func (d *DB) Elsewhere(ctx context.Context, issuer, subject string, limit int) ([]ElsewhereRow, error) {
	var rows []ElsewhereRow
	err := d.InSystem(ctx, "a person's other companies are other tenants", func(tx *SystemTx) error {
		return tx.scan("find tenants of an identity", &rows, `select t.tenant_id, t.slug, t.name from member m join (`+tenantSelect+`) t on t.tenant_id = m.tenant_id
			where m.issuer = ? and m.subject = ? and m.kind = 'person' and m.suspended_at is null order by t.name, t.slug limit ?`, issuer, subject, limit)
	})
	return rows, err
}

// TenantsByDomain lists the tenants where addresses of a domain sign in.
func (d *DB) TenantsByDomain(ctx context.Context, domain string, limit int) ([]ElsewhereRow, error) {
	var rows []ElsewhereRow
	err := d.InSystem(ctx, "an address comes before its tenant is known", func(tx *SystemTx) error {
		return tx.scan("find tenants of a domain", &rows, `select distinct t.tenant_id, t.slug, t.name from issuer i join (`+tenantSelect+`) t on t.tenant_id = i.tenant_id
			where i.domains @> array[?::text] and i.retired_at is null order by t.name, t.slug limit ?`, domain, limit)
	})
	return rows, err
}
