package db

import (
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
)

// AddChange stores a proposal as its maker made it.
func (t *Tx) AddChange(c approval.Change) error {
	return t.exec("add change", `insert into change (tenant_id, change_id, number, kind, payload, digest, reason, effective_from, maker, proposed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		t.Tenant, c.ID, c.Number, c.Kind, c.Payload, c.Digest[:], c.Reason, c.EffectiveFrom, c.Maker, c.ProposedAt)
}

// AddChangeMove stores one step of a change.
func (t *Tx) AddChangeMove(change id.Change, place int, state approval.State, actor string, digest [32]byte) error {
	return t.exec("move change", `insert into change_move (tenant_id, change_id, place, state, actor, digest, moved_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, change, place, string(state), actor, digest[:], t.Now)
}

// AddDecision stores a person's verdict as a step of a change.
func (t *Tx) AddDecision(change id.Change, place int, state approval.State, actor string, digest [32]byte, basis approval.Basis, reason string) error {
	return t.exec("decide change", `insert into change_move (tenant_id, change_id, place, state, actor, digest, moved_at, basis, reason) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.Tenant, change, place, string(state), actor, digest[:], t.Now, string(basis), reason)
}

// LockChange makes the transaction the only one that moves a change, until it ends.
func (t *Tx) LockChange(change id.Change) error {
	return t.exec("lock change", `select pg_advisory_xact_lock(hashtextextended('change:' || $1 || ':' || $2, 0))`, t.Tenant.UUID(), change.UUID())
}

// ChangeRow is a change with its latest step.
type ChangeRow struct {
	ChangeID      id.Change
	Number        int64
	Kind          string
	Payload       []byte
	Digest        []byte
	Reason        string
	EffectiveFrom time.Time
	Revision      int // 1 for what was proposed, then counting edits
	Maker         string
	ProposedAt    time.Time
	State         string
	MovedAt       time.Time
	Attachments   string // SHA-256 of each in hexadecimal, in their order, separated by commas
	// The verdict, where a person gave one.
	Decider       string
	Basis         string
	VerdictReason string
}

// ErrChangeAbsent reports a change nobody made.
var ErrChangeAbsent = fault.New(fault.KindNotFound, "change_absent", "There is no such change.")

// An edited change is what its latest revision says.
const changeSelect = `select c.change_id, c.number, c.kind, coalesce(edit.payload, c.payload) as payload, coalesce(edit.digest, c.digest) as digest,
	coalesce(edit.reason, c.reason) as reason, coalesce(edit.effective_from, c.effective_from) as effective_from, coalesce(edit.revision, 1) as revision,
	c.maker, c.proposed_at, last.state, last.moved_at,
	coalesce(verdict.actor, '') as decider, coalesce(verdict.basis, '') as basis, coalesce(verdict.reason, '') as verdict_reason,
	coalesce((select string_agg(encode(a.sha256, 'hex'), ',' order by a.attachment_id) from change_attachment a where a.tenant_id = c.tenant_id and a.change_id = c.change_id), '') as attachments
	from change c
	join lateral (select m.state, m.moved_at from change_move m where m.tenant_id = c.tenant_id and m.change_id = c.change_id order by m.place desc limit 1) last on true
	left join lateral (select m.actor, m.basis, m.reason from change_move m where m.tenant_id = c.tenant_id and m.change_id = c.change_id and m.place = 1) verdict on true
	left join lateral (select r.revision, r.payload, r.digest, r.reason, r.effective_from from change_revision r
		where r.tenant_id = c.tenant_id and r.change_id = c.change_id order by r.revision desc limit 1) edit on true
	where c.tenant_id = ?`

// Change reads one change.
func (t *Tx) Change(change id.Change) (ChangeRow, error) {
	var rows []ChangeRow
	err := t.scan("read change", &rows, changeSelect+` and c.change_id = ?`, t.Tenant, change)
	if err == nil && len(rows) == 0 {
		err = ErrChangeAbsent
	}
	if err != nil {
		return ChangeRow{}, err
	}
	return rows[0], nil
}

// Following lists the applied changes of the hierarchy that take effect before an instant and
// before they were applied, and of which it is not noted that what they concern has followed;
// the oldest first.
func (t *Tx) Following(before time.Time, limit int) ([]ChangeRow, error) {
	var rows []ChangeRow
	err := t.scan("list changes that reach back", &rows, `select * from (`+changeSelect+` and c.kind = 'node') c where c.state = 'applied' and c.effective_from < c.moved_at and c.effective_from < ?
		and convert_from(c.payload, 'UTF8')::jsonb ->> 'takes_effect' is distinct from 'when_decided'
		and not exists (select from adjustment_end e where e.tenant_id = ? and e.change_id = c.change_id) order by c.number limit ?`, t.Tenant, before, t.Tenant, limit)
	return rows, err
}

// StandingBy lists the changes of a kind that some makers proposed since an instant, and that
// wait or are applied, the newest first.
func (t *Tx) StandingBy(kind string, makers []string, since time.Time, limit int) ([]id.Change, error) {
	if len(makers) == 0 {
		return nil, nil
	}
	var rows []struct{ ChangeID id.Change }
	err := t.scan("list standing changes", &rows, `select c.change_id from change c
		join lateral (select m.state from change_move m where m.tenant_id = c.tenant_id and m.change_id = c.change_id order by m.place desc limit 1) last on true
		where c.tenant_id = ? and c.kind = ? and c.maker in ? and c.proposed_at >= ? and last.state in ('proposed', 'applied') order by c.number desc limit ?`,
		t.Tenant, kind, makers, since, limit)
	ids := make([]id.Change, 0, len(rows))
	for _, r := range rows {
		ids = append(ids, r.ChangeID)
	}
	return ids, err
}

// ChangeFilter asks for changes of some kinds; whatever else is empty asks for all.
type ChangeFilter struct {
	Kinds   []string
	State   string
	Decided bool // only those that do not wait any more
	Maker   string
	Below   int64 // a number: only those before it
	Limit   int
}

// Changes lists changes, newest first.
func (t *Tx) Changes(f ChangeFilter) ([]ChangeRow, error) {
	rows := []ChangeRow{}
	if len(f.Kinds) == 0 {
		return rows, nil
	}
	err := t.scan("list changes", &rows, changeSelect+` and c.kind in ? and (? = '' or last.state = ?) and (not ? or last.state <> 'proposed') and (? = '' or c.maker = ?)
		and (? = 0 or c.number < ?) order by c.number desc limit ?`, t.Tenant, f.Kinds, f.State, f.State, f.Decided, f.Maker, f.Maker, f.Below, f.Below, f.Limit)
	return rows, err
}

// MakerPersons lists the persons behind a maker: of an account, and for a token whose
// it is and who made it.
func (t *Tx) MakerPersons(maker string) ([]id.Person, error) {
	var rows []struct{ PersonID id.Person }
	err := t.scan("read maker", &rows, `select p as person_id from maker_persons(?) p`, maker)
	persons := make([]id.Person, 0, len(rows))
	for _, r := range rows {
		persons = append(persons, r.PersonID)
	}
	return persons, err
}

// MakerActs says whether anybody behind a maker has an account that is not suspended; who has
// no person, the product itself, always does.
func (t *Tx) MakerActs(maker string) (bool, error) {
	var acts bool
	_, err := t.row("read maker", []any{&acts}, `select not exists (select from maker_persons($2)) or exists (select from maker_persons($2) p
		join member m on m.tenant_id = $1 and m.person_id = p where m.suspended_at is null)`, t.Tenant, maker)
	return acts, err
}

// PersonRoleRow is one role of a person who can sign in now.
type PersonRoleRow struct {
	PersonID id.Person
	MemberID id.Member
	Role     string
	NodeID   id.Node
}

// PersonsWith lists every role, now, of the accounts that hold any of some roles.
func (t *Tx) PersonsWith(roles []string) ([]PersonRoleRow, error) {
	rows := []PersonRoleRow{}
	if len(roles) == 0 {
		return rows, nil
	}
	err := t.scan("list persons by role", &rows, `with held as (select m.person_id, m.member_id, r.role, r.node_id from member m
			join member_role r on r.tenant_id = m.tenant_id and r.member_id = m.member_id
			where m.tenant_id = ? and m.kind = 'person' and m.suspended_at is null and r.effective_from <= ? and (r.effective_to is null or r.effective_to > ?))
		select person_id, member_id, role, node_id from held where member_id in (select member_id from held where role in ?) order by member_id, role`,
		t.Tenant, t.Now, t.Now, roles)
	return rows, err
}

// LastChangeNumber is the number of the tenant's latest change: the number of the
// snapshot built on it.
func (t *Tx) LastChangeNumber() (int64, error) {
	var n int64
	_, err := t.row("read snapshot number", []any{&n}, `select coalesce(max(number), 0) from change where tenant_id = $1`, t.Tenant)
	return n, err
}

// AppendAudit stores a record and asks for its place in the log. The place is
// given later, so that writers never wait for one another.
func (t *Tx) AppendAudit(r auditlog.Record) error {
	if err := t.StoreAudit(r); err != nil {
		return err
	}
	return t.Enqueue(job.SequenceAudit{Tenant: t.Tenant.String()})
}

// StoreAudit stores a record without asking for its place: for who writes many
// transactions in a second, and asks once for all of them.
func (t *Tx) StoreAudit(r auditlog.Record) error {
	r.Tenant, r.RecordedAt, r.Provenance, r.Release = t.Tenant, t.Now, auditlog.ProvenanceOf(t.ctx), t.db.release
	if r.ID.IsZero() {
		r.ID = id.NewRecord(t.Now)
	}
	canonical, err := r.Canonical()
	if err != nil {
		return err
	}
	return t.exec("append audit record", `with stored as (
			insert into audit_record (tenant_id, record_id, action, version, canonical, recorded_at, actor, subject) values ($1, $2, $3, $4, $5, $6, $7, $8)
			returning tenant_id, record_id)
		insert into audit_pending (tenant_id, record_id) select tenant_id, record_id from stored`,
		t.Tenant, r.ID, r.Action, auditlog.Version, canonical, t.Now, r.Actor, r.Subject)
}

// Remembered reads the stored response to an idempotency key; found is false when
// the key is new.
func (t *Tx) Remembered(actor, key string) (digest, sealed []byte, found bool, err error) {
	// The lock makes two requests with one key wait for each other, so that one does the work.
	if err := t.exec("lock idempotency key", `select pg_advisory_xact_lock(hashtextextended('idempotency:' || $1 || ':' || $2 || ':' || $3, 0))`, t.Tenant.UUID(), actor, key); err != nil {
		return nil, nil, false, err
	}
	found, err = t.row("read idempotency key", []any{&digest, &sealed},
		`select request_digest, response_sealed from idempotency where tenant_id = $1 and actor = $2 and idempotency_key = $3 and recorded_at > $4`,
		t.Tenant, actor, key, t.Now.Add(-idempotencyLife))
	return digest, sealed, found, err
}

// idempotencyLife is how long an idempotency key is remembered.
const idempotencyLife = 24 * time.Hour

// Remember stores the response to an idempotency key.
func (t *Tx) Remember(actor, key string, digest, sealed []byte) error {
	if err := t.exec("forget old idempotency keys", `delete from idempotency where tenant_id = $1 and recorded_at <= $2`, t.Tenant, t.Now.Add(-idempotencyLife)); err != nil {
		return err
	}
	return t.exec("remember idempotency key", `insert into idempotency (tenant_id, actor, idempotency_key, request_digest, response_sealed, recorded_at) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, actor, key, digest, sealed, t.Now)
}
