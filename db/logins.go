package db

import (
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// RightRow is a right to charge a node, and what lies below it, by signing in.
type RightRow struct {
	RightID    id.Right
	MemberID   id.Member // zero: everybody
	NodeID     id.Node
	RecordedAt time.Time
	ChangeID   id.Change
	PersonID   id.Person
	NameSealed []byte
}

// ErrRightAbsent reports a right that is not there, has ended, or is not this tenant's.
var ErrRightAbsent = fault.New(fault.KindNotFound, "right_absent", "There is no such right to charge.")

// AddRight records a right.
func (t *Tx) AddRight(right id.Right, member id.Member, node id.Node, change id.Change) error {
	return t.exec("add right", `insert into charge_right (tenant_id, right_id, member_id, node_id, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, right, member, node, t.Now, change)
}

// EndRight records that a right is no more.
func (t *Tx) EndRight(right id.Right, change id.Change) error {
	return t.exec("end right", `insert into charge_right_end (tenant_id, right_id, ended_at, change_id) values ($1, $2, $3, $4)`, t.Tenant, right, t.Now, change)
}

// TakeCredentials takes back what a login presents; it may get others.
func (t *Tx) TakeCredentials(login id.Login) error {
	return t.exec("take credentials back", `delete from login_credential where tenant_id = $1 and login_id = $2`, t.Tenant, login)
}

const rightSelect = `select r.right_id, r.member_id, r.node_id, r.recorded_at, r.change_id, m.person_id, with_shard(p.tenant_id, 'person', p.person_id, 'name', p.name_sealed) as name_sealed from charge_right r
	left join member m on m.tenant_id = r.tenant_id and m.member_id = r.member_id
	left join person p on p.tenant_id = m.tenant_id and p.person_id = m.person_id
	where r.tenant_id = ? and not exists (select from charge_right_end e where e.tenant_id = r.tenant_id and e.right_id = r.right_id)`

// Rights lists the rights there are, newest first.
func (t *Tx) Rights(limit int) ([]RightRow, error) {
	var rows []RightRow
	err := t.scan("list rights", &rows, rightSelect+` order by r.recorded_at desc, r.right_id desc limit ?`, t.Tenant, limit)
	return rows, err
}

// RightsOf lists the rights of a member, of the same person's other accounts, and those
// everybody has.
func (t *Tx) RightsOf(member id.Member) ([]RightRow, error) {
	var rows []RightRow
	err := t.scan("read rights", &rows, rightSelect+` and (r.member_id is null or m.person_id = (select person_id from member where tenant_id = ? and member_id = ?))`, t.Tenant, t.Tenant, member)
	return rows, err
}

// Right reads one.
func (t *Tx) Right(right id.Right) (RightRow, error) {
	var rows []RightRow
	err := t.scan("read right", &rows, rightSelect+` and r.right_id = ?`, t.Tenant, right)
	if err == nil && len(rows) == 0 {
		err = ErrRightAbsent
	}
	if err != nil {
		return RightRow{}, err
	}
	return rows[0], nil
}

// MemberByEmail finds a member by any hash the address may be stored under; of several
// accounts the last admitted.
func (t *Tx) MemberByEmail(hashes []secret.Hash) (id.Member, bool, error) {
	list := make([][]byte, 0, len(hashes))
	for _, h := range hashes {
		list = append(list, h[:])
	}
	var rows []MemberRow
	err := t.scan("find address", &rows, memberSelect+` and m.kind = 'person' and p.email_hash in ? order by m.recorded_at desc, m.member_id desc limit 1`, t.Tenant, list)
	if err != nil || len(rows) == 0 {
		return id.Member{}, false, err
	}
	return rows[0].MemberID, true, nil
}

// SessionEnds is when a live session ends at the latest.
func (t *Tx) SessionEnds(session id.Session) (time.Time, bool, error) {
	var at time.Time
	found, err := t.row("read session's end", []any{&at}, `select expires_at from session where tenant_id = $1 and session_id = $2 and revoked_at is null and expires_at > $3`, t.Tenant, session, t.Now)
	return at, found, err
}

// AskRow is a command line that waits for somebody at a browser.
type AskRow struct {
	AskID          id.Ask
	SecretHash     []byte
	Challenge      string // of one that waits at a loopback address; empty for one with a user code
	Client         string
	CostCenter     string // the code it asks for, if any
	ExpiresAt      time.Time
	PolledAt       *time.Time
	MemberID       id.Member // who allowed it
	NodeID         id.Node
	LoginExpiresAt *time.Time
	DeniedAt       *time.Time
}

// FreshAsk is one to be stored. A user code, or a challenge.
type FreshAsk struct {
	ID             id.Ask
	Secret         secret.Hash
	UserCode       *secret.Hash
	Challenge      string
	Client         string
	CostCenter     string
	ExpiresAt      time.Time
	MemberID       id.Member
	NodeID         id.Node
	LoginExpiresAt time.Time
}

// AddAsk stores a wish for a login and forgets those that are long over.
func (t *Tx) AddAsk(a FreshAsk) error {
	if err := t.exec("forget old asks", `delete from login_ask where tenant_id = $1 and expires_at < $2`, t.Tenant, t.Now.Add(-time.Hour)); err != nil {
		return err
	}
	var code []byte
	if a.UserCode != nil {
		code = a.UserCode[:]
	}
	return t.exec("add ask", `insert into login_ask (tenant_id, ask_id, secret_hash, user_code_hash, challenge, client, cost_center, recorded_at, expires_at, member_id, node_id, login_expires_at)
		values ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8, $9, $10, $11, $12)`,
		t.Tenant, a.ID, a.Secret[:], code, a.Challenge, a.Client, a.CostCenter, t.Now, a.ExpiresAt, a.MemberID, a.NodeID, optional(a.LoginExpiresAt))
}

// OpenAsks counts those that still wait.
func (t *Tx) OpenAsks() (int64, error) {
	var n int64
	_, err := t.row("count asks", []any{&n}, `select count(*) from login_ask where tenant_id = $1 and expires_at > $2 and used_at is null`, t.Tenant, t.Now)
	return n, err
}

const askSelect = `select ask_id, secret_hash, coalesce(challenge, '') as challenge, client, cost_center, expires_at, polled_at, member_id, node_id, login_expires_at, denied_at
	from login_ask where tenant_id = ? and expires_at > ? and used_at is null`

// AskByCode finds one that nobody has decided by any hash of its user code.
func (t *Tx) AskByCode(hashes []secret.Hash) (AskRow, bool, error) {
	list := make([][]byte, 0, len(hashes))
	for _, h := range hashes {
		list = append(list, h[:])
	}
	return t.oneAsk(` and user_code_hash in ? and member_id is null and denied_at is null for update`, t.Tenant, t.Now, list)
}

// Ask finds one by its id and keeps others from using it meanwhile.
func (t *Tx) Ask(ask id.Ask) (AskRow, bool, error) {
	return t.oneAsk(` and ask_id = ? for update`, t.Tenant, t.Now, ask)
}

func (t *Tx) oneAsk(query string, args ...any) (AskRow, bool, error) {
	var rows []AskRow
	err := t.scan("read ask", &rows, askSelect+query, args...)
	if err != nil || len(rows) == 0 {
		return AskRow{}, false, err
	}
	return rows[0], true, nil
}

// AllowAsk records who allowed it, what it will charge and when its login ends.
func (t *Tx) AllowAsk(ask id.Ask, member id.Member, node id.Node, ends time.Time) error {
	return t.exec("allow ask", `update login_ask set member_id = $3, node_id = $4, login_expires_at = $5 where tenant_id = $1 and ask_id = $2`, t.Tenant, ask, member, node, ends)
}

// DenyAsk records that somebody would not have it.
func (t *Tx) DenyAsk(ask id.Ask) error {
	return t.exec("deny ask", `update login_ask set denied_at = $3 where tenant_id = $1 and ask_id = $2`, t.Tenant, ask, t.Now)
}

// PollAsk notes when it was asked about.
func (t *Tx) PollAsk(ask id.Ask) error {
	return t.exec("poll ask", `update login_ask set polled_at = $3 where tenant_id = $1 and ask_id = $2`, t.Tenant, ask, t.Now)
}

// UseAsk uses it up.
func (t *Tx) UseAsk(ask id.Ask) error {
	return t.exec("use ask", `update login_ask set used_at = $3 where tenant_id = $1 and ask_id = $2`, t.Tenant, ask, t.Now)
}

// LoginRow is a command line's login.
type LoginRow struct {
	LoginID     id.Login
	MemberID    id.Member
	PersonID    id.Person
	NameSealed  []byte
	Client      string
	RefreshHash []byte
	NodeID      id.Node // charged now
	RecordedAt  time.Time
	ExpiresAt   time.Time
	LastSeenAt  time.Time // when it last got a credential
}

// FreshLogin is one to be stored.
type FreshLogin struct {
	ID          id.Login
	MemberID    id.Member
	DeveloperID id.Developer
	LabelSealed []byte
	Client      string
	Refresh     secret.Hash
	ExpiresAt   time.Time
}

// AddLogin stores a login.
func (t *Tx) AddLogin(l FreshLogin) error {
	return t.exec("add login", `insert into login (tenant_id, login_id, member_id, developer_id, label_sealed, client, refresh_hash, recorded_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.Tenant, l.ID, l.MemberID, l.DeveloperID, l.LabelSealed, l.Client, l.Refresh[:], t.Now, l.ExpiresAt)
}

// LockLogin makes this transaction the only one that changes a login, until it ends.
func (t *Tx) LockLogin(login id.Login) error {
	return t.exec("lock login", `select pg_advisory_xact_lock(hashtextextended('login:' || $1 || $2, 0))`, t.Tenant.UUID(), login.UUID())
}

// ChargeLogin records what a login charges from now on, and by which key. Lock the login
// first.
func (t *Tx) ChargeLogin(login id.Login, node id.Node, key id.Key) error {
	return t.exec("charge login", `insert into login_charge (tenant_id, login_id, place, node_id, key_id, recorded_at)
		select $1, $2, 1 + coalesce((select max(place) from login_charge where tenant_id = $1 and login_id = $2), 0), $3, $4, $5`, t.Tenant, login, node, key, t.Now)
}

// EndLogin records that a login is over. It may be already.
func (t *Tx) EndLogin(login id.Login) error {
	return t.exec("end login", `insert into login_end (tenant_id, login_id, ended_at) values ($1, $2, $3) on conflict do nothing`, t.Tenant, login, t.Now)
}

// EndLogins ends what a member signed in from command lines: the live logins, and the
// wishes for one that were allowed and not used. It tells how many logins.
func (t *Tx) EndLogins(member id.Member) (int64, error) {
	if err := t.exec("end allowed asks", `update login_ask set used_at = $3 where tenant_id = $1 and member_id = $2 and used_at is null`, t.Tenant, member, t.Now); err != nil {
		return 0, err
	}
	var n int64
	_, err := t.row("end logins", []any{&n}, `with ended as (insert into login_end (tenant_id, login_id, ended_at) select l.tenant_id, l.login_id, $3 from login l
		where l.tenant_id = $1 and l.member_id = $2 and l.expires_at > $3 on conflict do nothing returning 1) select count(*) from ended`, t.Tenant, member, t.Now)
	return n, err
}

// AddCredential stores a credential's hash and forgets what has long expired.
func (t *Tx) AddCredential(credential id.Version, login id.Login, hash secret.Hash, expires time.Time) error {
	if err := t.exec("forget old credentials", `delete from login_credential where tenant_id = $1 and expires_at < $2`, t.Tenant, t.Now.Add(-time.Hour)); err != nil {
		return err
	}
	return t.exec("add credential", `insert into login_credential (tenant_id, credential_id, login_id, key_hash, recorded_at, expires_at) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, credential, login, hash[:], t.Now, expires)
}

// LiveCredentials counts a login's credentials that are accepted.
func (t *Tx) LiveCredentials(login id.Login) (int64, error) {
	var n int64
	_, err := t.row("count credentials", []any{&n}, `select count(*) from login_credential where tenant_id = $1 and login_id = $2 and expires_at > $3`, t.Tenant, login, t.Now)
	return n, err
}

const loginSelect = `select l.login_id, l.member_id, m.person_id, with_shard(p.tenant_id, 'person', p.person_id, 'name', p.name_sealed) as name_sealed, l.client, l.refresh_hash, l.recorded_at, l.expires_at,
		(select n.node_id from login_charge n where n.tenant_id = l.tenant_id and n.login_id = l.login_id order by n.place desc limit 1) as node_id,
		coalesce((select max(c.recorded_at) from login_credential c where c.tenant_id = l.tenant_id and c.login_id = l.login_id), l.recorded_at) as last_seen_at
	from login l join member m on m.tenant_id = l.tenant_id and m.member_id = l.member_id
	join person p on p.tenant_id = m.tenant_id and p.person_id = m.person_id
	where l.tenant_id = ? and l.expires_at > ? and m.suspended_at is null
	and not exists (select from login_end e where e.tenant_id = l.tenant_id and e.login_id = l.login_id)`

// Login finds a live one.
func (t *Tx) Login(login id.Login) (LoginRow, bool, error) {
	var rows []LoginRow
	err := t.scan("read login", &rows, loginSelect+` and l.login_id = ?`, t.Tenant, t.Now, login)
	if err != nil || len(rows) == 0 {
		return LoginRow{}, false, err
	}
	return rows[0], true, nil
}

// Logins lists the live ones of a member, or of everybody for the zero id, newest first.
func (t *Tx) Logins(member id.Member, limit int) ([]LoginRow, error) {
	var rows []LoginRow
	err := t.scan("list logins", &rows, loginSelect+` and (?::uuid is null or l.member_id = ?::uuid) order by l.recorded_at desc, l.login_id desc limit ?`, t.Tenant, t.Now, member, member, limit)
	return rows, err
}

// LastCharged is what a member's latest login charged.
func (t *Tx) LastCharged(member id.Member) (id.Node, bool, error) {
	var node id.Node
	found, err := t.row("read last charged", []any{&node}, `select n.node_id from login_charge n join login l on l.tenant_id = n.tenant_id and l.login_id = n.login_id
		where n.tenant_id = $1 and l.member_id = $2 order by n.recorded_at desc, n.place desc limit 1`, t.Tenant, member)
	return node, found, err
}
