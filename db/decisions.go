package db

import (
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// KeySetRow is an issuer's keys as a decision rests on them.
type KeySetRow struct {
	Digest     []byte
	Issuer     string
	Document   []byte // canonical bytes
	RecordID   id.Record
	RecordedAt time.Time
}

// LockKeySets makes the transaction the only one that adds key sets of a tenant's issuers.
func (t *Tx) LockKeySets() error {
	return t.exec("lock key sets", `select pg_advisory_xact_lock(hashtextextended('key_sets:' || $1, 0))`, t.Tenant.UUID())
}

// AddKeySet stores an issuer's keys.
func (t *Tx) AddKeySet(k KeySetRow) error {
	return t.exec("add key set", `insert into issuer_key_set (tenant_id, digest, issuer, document, record_id, recorded_at) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, k.Digest, k.Issuer, k.Document, k.RecordID, t.Now)
}

// KeySet reads an issuer's keys by their digest.
func (t *Tx) KeySet(digest []byte) (KeySetRow, bool, error) {
	k := KeySetRow{Digest: digest}
	found, err := t.row("read key set", []any{&k.Issuer, &k.Document, &k.RecordID, &k.RecordedAt},
		`select issuer, document, record_id, recorded_at from issuer_key_set where tenant_id = $1 and digest = $2`, t.Tenant, digest)
	return k, found, err
}

// DecisionRow is what a person decided before their issuer was asked, and what came of it.
type DecisionRow struct {
	DecisionID   id.Decision
	ChangeID     id.Change
	MemberID     id.Member
	IssuerID     id.Issuer
	Digest       []byte
	Document     []byte // canonical bytes
	Reason       string
	StateHash    []byte
	TicketSealed []byte
	RecordedAt   time.Time
	ExpiresAt    time.Time

	EndedAt *time.Time // nil: nothing came of it yet
	Refused string     // the code; empty where it was confirmed, or nothing came of it
}

// AddDecisionDocument stores what a person decides.
func (t *Tx) AddDecisionDocument(d DecisionRow) error {
	return t.exec("add decision document", `insert into decision_document
		(tenant_id, decision_id, change_id, member_id, issuer_id, digest, document, reason, state_hash, ticket_sealed, recorded_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		t.Tenant, d.DecisionID, d.ChangeID, d.MemberID, d.IssuerID, d.Digest, d.Document, d.Reason, d.StateHash, d.TicketSealed, t.Now, d.ExpiresAt)
}

// ErrDecisionAbsent reports a decision that is not there.
var ErrDecisionAbsent = fault.New(fault.KindNotFound, "decision_absent", "There is no such decision, or it is not yours to see.")

// DecisionDocument reads what a person decided, and what came of it.
func (t *Tx) DecisionDocument(decision id.Decision) (DecisionRow, error) {
	d := DecisionRow{DecisionID: decision}
	var refused *string
	found, err := t.row("read decision document", []any{
		&d.ChangeID, &d.MemberID, &d.IssuerID, &d.Digest, &d.Document, &d.Reason, &d.StateHash, &d.TicketSealed, &d.RecordedAt, &d.ExpiresAt, &d.EndedAt, &refused,
	}, `select d.change_id, d.member_id, d.issuer_id, d.digest, d.document, d.reason, d.state_hash, d.ticket_sealed, d.recorded_at, d.expires_at, o.recorded_at, o.refused
		from decision_document d left join decision_outcome o on o.tenant_id = d.tenant_id and o.decision_id = d.decision_id
		where d.tenant_id = $1 and d.decision_id = $2`, t.Tenant, decision)
	if err == nil && !found {
		err = ErrDecisionAbsent
	}
	if refused != nil {
		d.Refused = *refused
	}
	return d, err
}

// EndDecision stores what came of a decision, an empty code being that it was confirmed,
// and tells whether it is the first: nothing comes of one twice.
func (t *Tx) EndDecision(decision id.Decision, refused string) (bool, error) {
	var one int
	return t.row("end decision", []any{&one}, `insert into decision_outcome (tenant_id, decision_id, refused, recorded_at) values ($1, $2, nullif($3, ''), $4)
		on conflict do nothing returning 1`, t.Tenant, decision, refused, t.Now)
}

// ConfirmationRow is what confirmed a decision.
type ConfirmationRow struct {
	DecisionID   id.Decision
	ChangeID     id.Change
	VoteID       id.Vote
	KeySetDigest []byte
	KeyID        string
	TokenSealed  []byte
	TokenDigest  []byte
	ClaimsDigest []byte
	AuthTime     time.Time
	Signature    []byte // a signed note
	RecordedAt   time.Time
}

// AddConfirmation stores what confirmed a decision.
func (t *Tx) AddConfirmation(c ConfirmationRow) error {
	return t.exec("add confirmation", `insert into decision_confirmation
		(tenant_id, decision_id, change_id, vote_id, key_set_digest, key_id, token_sealed, token_digest, claims_digest, auth_time, signature, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		t.Tenant, c.DecisionID, c.ChangeID, c.VoteID, c.KeySetDigest, c.KeyID, c.TokenSealed, c.TokenDigest, c.ClaimsDigest, c.AuthTime, c.Signature, t.Now)
}

// Confirmation reads what confirmed a decision.
func (t *Tx) Confirmation(decision id.Decision) (ConfirmationRow, bool, error) {
	c := ConfirmationRow{DecisionID: decision}
	found, err := t.row("read confirmation", []any{
		&c.ChangeID, &c.VoteID, &c.KeySetDigest, &c.KeyID, &c.TokenSealed, &c.TokenDigest, &c.ClaimsDigest, &c.AuthTime, &c.Signature, &c.RecordedAt,
	}, `select change_id, vote_id, key_set_digest, key_id, token_sealed, token_digest, claims_digest, auth_time, signature, recorded_at
		from decision_confirmation where tenant_id = $1 and decision_id = $2`, t.Tenant, decision)
	return c, found, err
}

// ConfirmedVotes tells which votes on a change were confirmed, and by which decisions.
func (t *Tx) ConfirmedVotes(change id.Change) (map[id.Vote]id.Decision, error) {
	var rows []struct {
		VoteID     id.Vote
		DecisionID id.Decision
	}
	err := t.scan("list confirmed votes", &rows, `select vote_id, decision_id from decision_confirmation where tenant_id = ? and change_id = ?`, t.Tenant, change)
	found := map[id.Vote]id.Decision{}
	for _, r := range rows {
		found[r.VoteID] = r.DecisionID
	}
	return found, err
}
