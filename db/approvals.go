package db

import (
	"crypto/sha256"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// LockPolicies makes the transaction the only one that changes a tenant's policies.
func (t *Tx) LockPolicies() error {
	return t.exec("lock policies", `select pg_advisory_xact_lock(hashtextextended('policies:' || $1, 0))`, t.Tenant.UUID())
}

// PolicyRow is one version of a tenant's policies.
type PolicyRow struct {
	Version       int
	Document      []byte
	EffectiveFrom time.Time
	RecordedAt    time.Time
	ChangeID      id.Change
	Number        int64
	Reason        string
	Maker         string
}

const policySelect = `select p.version, p.document, p.effective_from, p.recorded_at, p.change_id, c.number, c.reason, c.maker
	from policy_version p join change c on c.tenant_id = p.tenant_id and c.change_id = p.change_id where p.tenant_id = ?`

// Policies is the version of a tenant's policies in effect at an instant; found is false
// before the first.
func (t *Tx) Policies(at time.Time) (PolicyRow, bool, error) {
	var rows []PolicyRow
	err := t.scan("read policies", &rows, policySelect+` and p.effective_from <= ? order by p.version desc limit 1`, t.Tenant, at)
	if err != nil || len(rows) == 0 {
		return PolicyRow{}, false, err
	}
	return rows[0], true, nil
}

// PolicyVersions lists the versions of a tenant's policies, newest first.
func (t *Tx) PolicyVersions(limit int) ([]PolicyRow, error) {
	rows := []PolicyRow{}
	err := t.scan("list policies", &rows, policySelect+` order by p.version desc limit ?`, t.Tenant, limit)
	return rows, err
}

// AddPolicies stores the next version of a tenant's policies.
func (t *Tx) AddPolicies(document []byte, from time.Time, change id.Change) (int, error) {
	digest := sha256.Sum256(document)
	var version int
	_, err := t.row("add policies", []any{&version}, `insert into policy_version (tenant_id, version, document, digest, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6 from policy_version where tenant_id = $1 returning version`,
		t.Tenant, document, digest[:], from, t.Now, change)
	return version, err
}

// AddRevision stores what an edit made of a change that waits.
func (t *Tx) AddRevision(c approval.Change, revision int, actor string) error {
	return t.exec("revise change", `insert into change_revision (tenant_id, change_id, revision, payload, digest, reason, effective_from, actor, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.Tenant, c.ID, revision, c.Payload, c.Digest[:], c.Reason, c.EffectiveFrom, actor, t.Now)
}

// RevisionRow is one content a change had, without what its maker wrote into it.
type RevisionRow struct {
	Revision   int
	Digest     []byte
	Reason     string
	Actor      string
	RecordedAt time.Time
}

// Revisions lists what edits made of a change, oldest first.
func (t *Tx) Revisions(change id.Change) ([]RevisionRow, error) {
	rows := []RevisionRow{}
	err := t.scan("list revisions", &rows, `select revision, digest, reason, actor, recorded_at from change_revision where tenant_id = ? and change_id = ? order by revision`, t.Tenant, change)
	return rows, err
}

// TermsRow is what a change is held to.
type TermsRow struct {
	ChangeID      id.Change
	Revision      int
	PolicyVersion *int // nil for the policy that holds without a tenant's say
	Policy        []byte
	Impact        []byte
	ExpiresAt     *time.Time // nil: never
	RemindDays    int        // 0: never
	EscalateAt    *time.Time // nil: never
}

// AddTerms stores what a change is held to since one of its revisions.
func (t *Tx) AddTerms(r TermsRow) error {
	return t.exec("add terms of change", `insert into change_terms (tenant_id, change_id, revision, policy_version, policy, impact, expires_at, remind_days, escalate_at, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		t.Tenant, r.ChangeID, r.Revision, r.PolicyVersion, r.Policy, r.Impact, r.ExpiresAt, r.RemindDays, r.EscalateAt, t.Now)
}

// Terms reads what changes are held to, by change; one without is not in the answer.
func (t *Tx) Terms(changes ...id.Change) (map[id.Change]TermsRow, error) {
	found := map[id.Change]TermsRow{}
	if len(changes) == 0 {
		return found, nil
	}
	var rows []TermsRow
	err := t.scan("read terms of changes", &rows, `select distinct on (change_id) change_id, revision, policy_version, policy, impact, expires_at, remind_days, escalate_at from change_terms
		where tenant_id = ? and change_id in ? order by change_id, revision desc`, t.Tenant, changes)
	for _, r := range rows {
		found[r.ChangeID] = r
	}
	return found, err
}

// VoteRow is one person's approval of one step.
type VoteRow struct {
	ChangeID     id.Change
	VoteID       id.Vote
	Step         int
	MemberID     id.Member
	PersonID     id.Person // as the accounts are linked now
	ForMemberID  id.Member
	ForPersonID  id.Person
	DelegationID id.Delegation
	Digest       []byte
	Basis        string
	Reason       string
	DecidedAt    time.Time
	// Void says that the person, or whom they stood in for, cannot sign in any more.
	Void bool
}

// AddVote stores a person's approval of a step.
func (t *Tx) AddVote(v VoteRow) error {
	return t.exec("add vote", `insert into change_vote (tenant_id, change_id, vote_id, step, member_id, person_id, for_member_id, for_person_id, delegation_id, digest, basis, reason, decided_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		t.Tenant, v.ChangeID, v.VoteID, v.Step, v.MemberID, v.PersonID, v.ForMemberID, v.ForPersonID, v.DelegationID, v.Digest, v.Basis, v.Reason, t.Now)
}

// Votes lists the approvals of changes in the order they were given, whatever content they
// were about.
func (t *Tx) Votes(changes ...id.Change) ([]VoteRow, error) {
	rows := []VoteRow{}
	if len(changes) == 0 {
		return rows, nil
	}
	err := t.scan("list votes", &rows, `select v.change_id, v.vote_id, v.step, v.member_id, m.person_id, v.for_member_id, f.person_id as for_person_id, v.delegation_id, v.digest, v.basis,
			v.reason, v.decided_at, (m.suspended_at is not null or f.suspended_at is not null) as void
		from change_vote v join member m on m.tenant_id = v.tenant_id and m.member_id = v.member_id
		left join member f on f.tenant_id = v.tenant_id and f.member_id = v.for_member_id
		where v.tenant_id = ? and v.change_id in ? order by v.decided_at, v.vote_id`, t.Tenant, changes)
	return rows, err
}

// RemarkRow is something said about a change, or done about its waiting.
type RemarkRow struct {
	RemarkID   id.Remark
	Kind       string // comment, question, reminder or escalation
	Actor      string
	Body       string
	RecordedAt time.Time
}

// AddRemark stores a remark.
func (t *Tx) AddRemark(change id.Change, r RemarkRow) error {
	return t.exec("add remark", `insert into change_remark (tenant_id, change_id, remark_id, kind, actor, body, recorded_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, change, r.RemarkID, r.Kind, r.Actor, r.Body, t.Now)
}

// Remarks lists what was said about a change, oldest first.
func (t *Tx) Remarks(change id.Change, limit int) ([]RemarkRow, error) {
	rows := []RemarkRow{}
	err := t.scan("list remarks", &rows, `select remark_id, kind, actor, body, recorded_at from change_remark where tenant_id = ? and change_id = ? order by recorded_at, kind, remark_id limit ?`,
		t.Tenant, change, limit)
	return rows, err
}

// AttachmentRow is a file that belongs to a change.
type AttachmentRow struct {
	AttachmentID id.Attachment
	Name         string
	MediaType    string
	SHA256       []byte `gorm:"column:sha256"`
	Bytes        int64
	Actor        string
	RecordedAt   time.Time
}

// AddAttachment stores a file.
func (t *Tx) AddAttachment(change id.Change, r AttachmentRow, content []byte) error {
	return t.exec("add attachment", `insert into change_attachment (tenant_id, change_id, attachment_id, name, media_type, sha256, content, actor, recorded_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.Tenant, change, r.AttachmentID, r.Name, r.MediaType, r.SHA256, content, r.Actor, t.Now)
}

// Attachments lists the files of a change in the order its digest covers them.
func (t *Tx) Attachments(change id.Change) ([]AttachmentRow, error) {
	rows := []AttachmentRow{}
	err := t.scan("list attachments", &rows, `select attachment_id, name, media_type, sha256, length(content) as bytes, actor, recorded_at from change_attachment
		where tenant_id = ? and change_id = ? order by attachment_id`, t.Tenant, change)
	return rows, err
}

// ErrAttachmentAbsent reports a file that no change has.
var ErrAttachmentAbsent = fault.New(fault.KindNotFound, "attachment_absent", "There is no such attachment.")

// Attachment reads a file of a change.
func (t *Tx) Attachment(change id.Change, attachment id.Attachment) (AttachmentRow, []byte, error) {
	r := AttachmentRow{AttachmentID: attachment}
	var content []byte
	found, err := t.row("read attachment", []any{&r.Name, &r.MediaType, &r.SHA256, &content, &r.Actor, &r.RecordedAt},
		`select name, media_type, sha256, content, actor, recorded_at from change_attachment where tenant_id = $1 and change_id = $2 and attachment_id = $3`, t.Tenant, change, attachment)
	if err == nil && !found {
		err = ErrAttachmentAbsent
	}
	r.Bytes = int64(len(content))
	return r, content, err
}

// DelegationRow is one person standing in for another.
type DelegationRow struct {
	DelegationID id.Delegation
	FromMemberID id.Member
	FromPersonID id.Person
	ToMemberID   id.Member
	ToPersonID   id.Person
	StartsAt     time.Time
	EndsAt       time.Time
	EndedAt      *time.Time // when it was taken back
	RecordedAt   time.Time
	Number       int64 // of the change
	Reason       string
}

const delegationSelect = `select d.delegation_id, d.from_member_id, f.person_id as from_person_id, d.to_member_id, m.person_id as to_person_id, d.starts_at, d.ends_at, e.ended_at, d.recorded_at, c.number, c.reason
	from delegation d join member f on f.tenant_id = d.tenant_id and f.member_id = d.from_member_id join member m on m.tenant_id = d.tenant_id and m.member_id = d.to_member_id
	join change c on c.tenant_id = d.tenant_id and c.change_id = d.change_id
	left join delegation_end e on e.tenant_id = d.tenant_id and e.delegation_id = d.delegation_id where d.tenant_id = ?`

// AddDelegation stores that one person stands in for another.
func (t *Tx) AddDelegation(d DelegationRow, change id.Change) error {
	return t.exec("add delegation", `insert into delegation (tenant_id, delegation_id, from_member_id, to_member_id, starts_at, ends_at, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.Tenant, d.DelegationID, d.FromMemberID, d.ToMemberID, d.StartsAt, d.EndsAt, t.Now, change)
}

// ErrDelegationAbsent reports a delegation that is not there, or over.
var ErrDelegationAbsent = fault.New(fault.KindNotFound, "delegation_absent", "There is no such delegation any more.")

// EndDelegation takes a delegation back.
func (t *Tx) EndDelegation(d id.Delegation, change id.Change) error {
	return t.exec("end delegation", `insert into delegation_end (tenant_id, delegation_id, ended_at, change_id) values ($1, $2, $3, $4)`, t.Tenant, d, t.Now, change)
}

// Delegations lists the delegations of a tenant, newest first; those in force now, of
// persons who can both sign in, where only they are asked for.
func (t *Tx) Delegations(inForce bool, limit int) ([]DelegationRow, error) {
	rows := []DelegationRow{}
	err := t.scan("list delegations", &rows, delegationSelect+` and (not ? or (d.starts_at <= ? and d.ends_at > ? and e.ended_at is null and f.suspended_at is null and m.suspended_at is null))
		order by d.recorded_at desc, d.delegation_id desc limit ?`, t.Tenant, inForce, t.Now, t.Now, limit)
	return rows, err
}

// Persons lists every account that can sign in, with each role it has now; an account
// without a role is there once.
func (t *Tx) Persons(limit int) ([]PersonRoleRow, error) {
	rows := []PersonRoleRow{}
	err := t.scan("list persons", &rows, `select m.person_id, m.member_id, coalesce(r.role, '') as role, r.node_id from member m
		left join member_role r on r.tenant_id = m.tenant_id and r.member_id = m.member_id and r.effective_from <= ? and (r.effective_to is null or r.effective_to > ?)
		where m.tenant_id = ? and m.kind = 'person' and m.suspended_at is null order by m.member_id, r.role limit ?`, t.Now, t.Now, t.Tenant, limit)
	return rows, err
}

// Waiting lists the changes of some kinds that wait for a decision, the oldest first.
func (t *Tx) Waiting(kinds []string, limit int) ([]ChangeRow, error) {
	rows := []ChangeRow{}
	if len(kinds) == 0 {
		return rows, nil
	}
	err := t.scan("list waiting changes", &rows, changeSelect+` and c.kind in ? and not exists (select from change_move d where d.tenant_id = c.tenant_id and d.change_id = c.change_id and d.place > 0)
		order by c.number limit ?`, t.Tenant, kinds, limit)
	return rows, err
}

// TendRow is a change whose waiting calls for something now.
type TendRow struct {
	ChangeID id.Change
	Expired  bool
	Escalate bool
	Remind   bool
}

// ToTend lists the waiting changes that have expired, whose escalation is due, or whose
// deciders have not been reminded for as long as the policy says.
func (t *Tx) ToTend(limit int) ([]TendRow, error) {
	rows := []TendRow{}
	err := t.scan("list changes to tend", &rows, `with waiting as (
			select distinct on (h.change_id) h.change_id, h.expires_at, h.remind_days, h.escalate_at, h.recorded_at from change_terms h
			where h.tenant_id = @tenant and not exists (select from change_move m where m.tenant_id = h.tenant_id and m.change_id = h.change_id and m.place > 0)
			order by h.change_id, h.revision desc),
		seen as (select w.*, (select max(r.recorded_at) from change_remark r where r.tenant_id = @tenant and r.change_id = w.change_id and r.kind = 'reminder') as reminded_at,
			exists (select from change_remark r where r.tenant_id = @tenant and r.change_id = w.change_id and r.kind = 'escalation') as escalated from waiting w),
		due as (select change_id, (expires_at <= @now) is true as expired, (escalate_at <= @now and not escalated) is true as escalate,
			remind_days > 0 and greatest(recorded_at, reminded_at) + make_interval(days => remind_days) <= @now as remind from seen)
		select change_id, expired, escalate, remind from due where expired or escalate or remind order by change_id limit @limit`,
		map[string]any{"tenant": t.Tenant, "now": t.Now, "limit": limit})
	return rows, err
}

// KeepDocument stores what a change only names by its digest.
func (t *Tx) KeepDocument(change id.Change, document []byte) error {
	return t.exec("keep document of change", `insert into change_document (tenant_id, change_id, document, recorded_at) values ($1, $2, $3, $4)`, t.Tenant, change, document, t.Now)
}

// KeepSealed stores what a change only names by its digest and nobody may read. What was
// sealed with a key of its own can be erased.
func (t *Tx) KeepSealed(change id.Change, sealed []byte) error {
	return t.exec("keep document of change", `insert into change_document (tenant_id, change_id, document_sealed, recorded_at) values ($1, $2, $3, $4)`, t.Tenant, change, sealed, t.Now)
}

// KeptDocument reads what KeepDocument or KeepSealed stored.
func (t *Tx) KeptDocument(change id.Change) ([]byte, error) {
	var document []byte
	found, err := t.row("read document of change", []any{&document}, `select coalesce(document, with_shard(tenant_id, 'change', change_id, 'document', document_sealed))
		from change_document where tenant_id = $1 and change_id = $2`, t.Tenant, change)
	if err == nil && !found {
		err = ErrChangeAbsent
	}
	return document, err
}
