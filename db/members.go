package db

import (
	"strings"
	"time"

	"tollbook/app/id"
)

// MemberListRow is one account as it was at an instant.
type MemberListRow struct {
	MemberID     id.Member
	PersonID     id.Person
	Kind         string
	Issuer       string
	Subject      string
	NameSealed   []byte
	EmailSealed  []byte
	RecordedAt   time.Time
	SuspendedAt  *time.Time // nil: it could sign in
	LastSignInAt *time.Time
}

const memberListSelect = `select m.member_id, m.person_id, m.kind, m.issuer, m.subject, with_shard(p.tenant_id, 'person', p.person_id, 'name', p.name_sealed) as name_sealed,
	with_shard(p.tenant_id, 'person', p.person_id, 'email', p.email_sealed) as email_sealed, m.recorded_at,
	case when s.state = 'suspended' then s.at end as suspended_at, l.at as last_sign_in_at
	from member m join person p on p.tenant_id = m.tenant_id and p.person_id = m.person_id
	left join lateral (select state, at from member_state s where s.tenant_id = m.tenant_id and s.member_id = m.member_id and s.at <= ? order by s.at desc, s.version_id desc limit 1) s on true
	left join lateral (select max(recorded_at) as at from session l where l.tenant_id = m.tenant_id and l.member_id = m.member_id and l.recorded_at <= ?) l on true
	where m.tenant_id = ? and m.recorded_at <= ?`

// MembersAt lists every account there was at an instant.
func (t *Tx) MembersAt(at time.Time, limit int) ([]MemberListRow, error) {
	var rows []MemberListRow
	err := t.scan("list members", &rows, memberListSelect+` order by m.recorded_at, m.member_id limit ?`, at, at, t.Tenant, at, limit)
	return rows, err
}

// MemberNow reads one account with its address and last sign-in.
func (t *Tx) MemberNow(member id.Member) (MemberListRow, error) {
	var rows []MemberListRow
	if err := t.scan("read member", &rows, memberListSelect+` and m.member_id = ?`, t.Now, t.Now, t.Tenant, t.Now, member); err != nil {
		return MemberListRow{}, err
	}
	if len(rows) == 0 {
		return MemberListRow{}, ErrMemberAbsent
	}
	return rows[0], nil
}

// Accounts lists the accounts of a person, oldest first.
func (t *Tx) Accounts(person id.Person) ([]MemberRow, error) {
	var rows []MemberRow
	err := t.scan("list accounts", &rows, memberSelect+` and m.person_id = ? order by m.recorded_at, m.member_id`, t.Tenant, person)
	return rows, err
}

// FormerPersons lists whom accounts of a person were before they were linked, where nobody
// else is that any more: they are this person under another name and address.
func (t *Tx) FormerPersons(person id.Person) ([]id.Person, error) {
	var rows []struct{ FormerPersonID id.Person }
	err := t.scan("list former persons", &rows, `select distinct l.former_person_id from member_link l join member m on m.tenant_id = l.tenant_id and m.member_id = l.member_id
		where l.tenant_id = ? and m.person_id = ? and l.former_person_id <> m.person_id
		and not exists (select from member o where o.tenant_id = l.tenant_id and o.person_id = l.former_person_id) order by 1`, t.Tenant, person)
	list := make([]id.Person, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.FormerPersonID)
	}
	return list, err
}

// PersonRoles lists the roles all of a person's accounts hold now, suspended or not.
func (t *Tx) PersonRoles(person id.Person) ([]string, error) {
	var rows []struct{ Role string }
	err := t.scan("read a person's roles", &rows, `select distinct r.role from member m join member_role r on r.tenant_id = m.tenant_id and r.member_id = m.member_id
		where m.tenant_id = ? and m.person_id = ? and r.effective_from <= ? and (r.effective_to is null or r.effective_to > ?) order by 1`, t.Tenant, person, t.Now, t.Now)
	list := make([]string, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.Role)
	}
	return list, err
}

// GrantRow is one role with the change that gave it.
type GrantRow struct {
	VersionID     id.Version
	MemberID      id.Member
	Role          string
	NodeID        id.Node
	MappingID     id.Version
	GroupName     string // of the mapping it comes from; empty: given directly
	EffectiveFrom time.Time
	ChangeID      id.Change
	Number        int64
	Maker         string
	Reason        string
}

const grantSelect = `select r.version_id, r.member_id, r.role, r.node_id, r.mapping_id, coalesce(g.group_name, '') as group_name, r.effective_from,
	c.change_id, c.number, c.maker, c.reason
	from member_role r join change c on c.tenant_id = r.tenant_id and c.change_id = r.change_id
	left join group_mapping g on g.tenant_id = r.tenant_id and g.version_id = r.mapping_id
	where r.tenant_id = ? and r.effective_from <= ? and (r.effective_to is null or r.effective_to > ?)`

// GrantsAt lists every role that was held at an instant.
func (t *Tx) GrantsAt(at time.Time, limit int) ([]GrantRow, error) {
	var rows []GrantRow
	err := t.scan("list roles", &rows, grantSelect+` order by r.member_id, r.role, r.version_id limit ?`, t.Tenant, at, at, limit)
	return rows, err
}

// GrantsOf lists the roles a member holds now.
func (t *Tx) GrantsOf(member id.Member) ([]GrantRow, error) {
	var rows []GrantRow
	err := t.scan("list a member's roles", &rows, grantSelect+` and r.member_id = ? order by r.role, r.version_id`, t.Tenant, t.Now, t.Now, member)
	return rows, err
}

// GrantsFrom lists the roles held now because of one group mapping.
func (t *Tx) GrantsFrom(mapping id.Version, limit int) ([]GrantRow, error) {
	var rows []GrantRow
	err := t.scan("list a mapping's roles", &rows, grantSelect+` and r.mapping_id = ? order by r.version_id limit ?`, t.Tenant, t.Now, t.Now, mapping, limit)
	return rows, err
}

// EndRole ends a role now; false when it has ended already or is not there.
func (t *Tx) EndRole(version id.Version, change id.Change) (bool, error) {
	ended, err := t.CloseVersion("member_role", version, t.Now)
	if err != nil || !ended {
		return false, err
	}
	return true, t.exec("end role", `insert into role_end (tenant_id, version_id, change_id) values ($1, $2, $3)`, t.Tenant, version, change)
}

// LockPeople makes the transaction the only one that changes who may what.
func (t *Tx) LockPeople() error {
	return t.exec("lock people", `select pg_advisory_xact_lock(hashtextextended('people:' || $1, 0))`, t.Tenant.UUID())
}

// SharePeople keeps who may what as it is until the transaction ends, beside others that
// do the same.
func (t *Tx) SharePeople() error {
	return t.exec("share people", `select pg_advisory_xact_lock_shared(hashtextextended('people:' || $1, 0))`, t.Tenant.UUID())
}

// The states of an account.
const (
	MemberActive    = "active"
	MemberSuspended = "suspended"
)

// SetMemberState suspends or resumes an account from now on.
func (t *Tx) SetMemberState(version id.Version, member id.Member, state string, change id.Change) error {
	if err := t.exec("record member state", `insert into member_state (tenant_id, version_id, member_id, state, at, change_id) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, version, member, state, t.Now, change); err != nil {
		return err
	}
	return t.exec("set member state", `update member set suspended_at = case when $3 = 'suspended' then $4::timestamptz end where tenant_id = $1 and member_id = $2`,
		t.Tenant, member, state, t.Now)
}

// LinkAccount makes an account another person's.
func (t *Tx) LinkAccount(version id.Version, member id.Member, person, former id.Person, change id.Change) error {
	if err := t.exec("record link", `insert into member_link (tenant_id, version_id, member_id, person_id, former_person_id, at, change_id) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, version, member, person, former, t.Now, change); err != nil {
		return err
	}
	return t.exec("link account", `update member set person_id = $3 where tenant_id = $1 and member_id = $2`, t.Tenant, member, person)
}

// RevokeTokens ends every live token of a member and tells how many ended.
func (t *Tx) RevokeTokens(member id.Member, change id.Change) (int64, error) {
	var n int64
	_, err := t.row("revoke tokens", []any{&n}, `with ended as (update api_token set revoked_at = $3, end_change_id = $4
		where tenant_id = $1 and member_id = $2 and revoked_at is null and expires_at > $3 returning 1) select count(*) from ended`, t.Tenant, member, t.Now, change)
	return n, err
}

// OpenChangesBy lists the proposals that wait, of a member and its tokens.
func (t *Tx) OpenChangesBy(member id.Member) ([]ChangeRow, error) {
	rows := []ChangeRow{}
	err := t.scan("list open proposals", &rows, changeSelect+` and last.state = 'proposed' and c.maker in
		(select ?::text union all select 'tok_' || replace(k.token_id::text, '-', '') from api_token k where k.tenant_id = ? and k.member_id = ?) order by c.change_id`,
		t.Tenant, member.String(), t.Tenant, member)
	return rows, err
}

// MakersOf lists the opaque ids under which a person makes changes: those of the person's
// accounts and of the tokens of these.
func (t *Tx) MakersOf(person id.Person) ([]string, error) {
	var rows []struct{ ID string }
	err := t.scan("list a person's makers", &rows, `select 'mem_' || replace(m.member_id::text, '-', '') as id from member m where m.tenant_id = ? and m.person_id = ?
		union all select 'tok_' || replace(k.token_id::text, '-', '') from member m join api_token k on k.tenant_id = m.tenant_id and k.member_id = m.member_id
		where m.tenant_id = ? and m.person_id = ? order by 1`, t.Tenant, person, t.Tenant, person)
	list := make([]string, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.ID)
	}
	return list, err
}

// KnownRow is something live whose secret a maker saw.
type KnownRow struct {
	KeyID   id.Key
	TokenID id.Token
	Label   string
}

// KnownTo lists the live virtual keys and tokens of other persons whose secrets some
// makers, all of them one person, were shown.
func (t *Tx) KnownTo(makers []string, person id.Person, limit int) ([]KnownRow, error) {
	var rows []KnownRow
	if len(makers) == 0 {
		return rows, nil
	}
	err := t.scan("list known secrets", &rows, `with made as (select c.change_id from change c where c.tenant_id = ? and c.maker in ?),
		seen as (select s.key_id, s.place from (select key_id, 1 as place, change_id from virtual_key where tenant_id = ?
			union all select key_id, place, change_id from key_secret where tenant_id = ?) s join made on made.change_id = s.change_id)
		select distinct k.key_id, null::uuid as token_id, k.label from seen join virtual_key k on k.tenant_id = ? and k.key_id = seen.key_id
			where (k.expires_at is null or k.expires_at > ?) and not exists (select from key_revocation r where r.tenant_id = k.tenant_id and r.key_id = k.key_id)
			and not exists (select from key_secret r where r.tenant_id = k.tenant_id and r.key_id = k.key_id and r.place > seen.place and r.earlier_until <= ?)
		union all select null, k.token_id, k.label from made join api_token k on k.tenant_id = ? and k.change_id = made.change_id
			join member m on m.tenant_id = k.tenant_id and m.member_id = k.member_id
			where m.person_id <> ? and m.suspended_at is null and k.revoked_at is null and k.expires_at > ?
		order by 3, 1, 2 limit ?`, t.Tenant, makers, t.Tenant, t.Tenant, t.Tenant, t.Now, t.Now, t.Tenant, person, t.Now, limit)
	return rows, err
}

// StepRow is one step in what an account could do.
type StepRow struct {
	At       time.Time
	What     string // role_given, role_taken, suspended, active, linked, token_made, token_ended
	Role     string
	NodeID   id.Node
	Label    string // of a token, or the group of a mapping
	ChangeID id.Change
	Number   int64
	Kind     string
	Maker    string
	Reason   string
}

// Steps lists what happened to an account, newest first.
func (t *Tx) Steps(member id.Member, limit int) ([]StepRow, error) {
	var rows []StepRow
	err := t.scan("list a member's history", &rows, `with step as (
		select r.effective_from as at, 'role_given' as what, r.role, r.node_id, coalesce(g.group_name, '') as label, r.change_id
			from member_role r left join group_mapping g on g.tenant_id = r.tenant_id and g.version_id = r.mapping_id where r.tenant_id = ? and r.member_id = ?
		union all select r.effective_to, 'role_taken', r.role, r.node_id, '', e.change_id
			from member_role r join role_end e on e.tenant_id = r.tenant_id and e.version_id = r.version_id where r.tenant_id = ? and r.member_id = ?
		union all select s.at, s.state, '', null, '', s.change_id from member_state s where s.tenant_id = ? and s.member_id = ?
		union all select l.at, 'linked', '', null, '', l.change_id from member_link l where l.tenant_id = ? and l.member_id = ?
		union all select k.recorded_at, 'token_made', '', null, k.label, k.change_id from api_token k where k.tenant_id = ? and k.member_id = ?
		union all select k.revoked_at, 'token_ended', '', null, k.label, k.end_change_id from api_token k where k.tenant_id = ? and k.member_id = ? and k.revoked_at is not null)
		select step.at, step.what, step.role, step.node_id, step.label, c.change_id, c.number, c.kind, c.maker, c.reason
		from step join change c on c.tenant_id = ? and c.change_id = step.change_id order by step.at desc, c.number desc, step.what, step.role limit ?`,
		t.Tenant, member, t.Tenant, member, t.Tenant, member, t.Tenant, member, t.Tenant, member, t.Tenant, member, t.Tenant, limit)
	return rows, err
}

// NameRow is the sealed name behind a member or a token.
type NameRow struct {
	ID         string // the opaque id that records carry
	MemberID   id.Member
	PersonID   id.Person
	NameSealed []byte
	Label      string // of the token, where it is one
}

// NamesBehind finds who the makers of changes are: members, and the members behind tokens.
func (t *Tx) NamesBehind(members, tokens []string) ([]NameRow, error) {
	rows := []NameRow{}
	if len(members)+len(tokens) == 0 {
		return rows, nil
	}
	err := t.scan("name makers", &rows, `select 'mem_' || replace(m.member_id::text, '-', '') as id, m.member_id, p.person_id, with_shard(p.tenant_id, 'person', p.person_id, 'name', p.name_sealed) as name_sealed, '' as label
		from member m join person p on p.tenant_id = m.tenant_id and p.person_id = m.person_id where m.tenant_id = ? and m.member_id = any(string_to_array(?, ',')::uuid[])
		union all select 'tok_' || replace(k.token_id::text, '-', ''), m.member_id, p.person_id, with_shard(p.tenant_id, 'person', p.person_id, 'name', p.name_sealed) as name_sealed, k.label
		from api_token k join member m on m.tenant_id = k.tenant_id and m.member_id = k.member_id join person p on p.tenant_id = m.tenant_id and p.person_id = m.person_id
		where k.tenant_id = ? and k.token_id = any(string_to_array(?, ',')::uuid[])`, t.Tenant, strings.Join(members, ","), t.Tenant, strings.Join(tokens, ","))
	return rows, err
}
