package db

import (
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/secret"
)

// KeyRow is a virtual key as lists show it; the key itself is never stored.
type KeyRow struct {
	ID                id.Key `gorm:"column:key_id"`
	Label             string
	Hint              string // the last four characters of its newest secret
	NodeID            id.Node
	Projects          string // ids of nodes outside the cost center, separated by commas
	Models            string // names and prefixes, separated by commas; empty for all
	RequestsPerMinute int64  // 0 for no limit
	ExpiresAt         *time.Time
	RecordedAt        time.Time
	RevokedAt         *time.Time
	Reason            string
	ChangeID          id.Change
	SignInNode        id.Node // zero for a key that somebody holds
}

// ErrKeyAbsent reports a key that is not there, or not this tenant's.
var ErrKeyAbsent = fault.New(fault.KindNotFound, "key_absent", "There is no such key.")

// FreshKey is a virtual key to be stored.
type FreshKey struct {
	ID                id.Key
	Label             string
	Hint              string
	Hash              secret.Hash
	ExpiresAt         time.Time
	Models            []string
	RequestsPerMinute int64
	SignInNode        id.Node // set: it stands for everybody who signed in to charge that node
}

// AddKey stores a virtual key's hash and terms.
func (t *Tx) AddKey(k FreshKey, change id.Change) error {
	return t.exec("add key", `insert into virtual_key (tenant_id, key_id, label, key_hash, hint, expires_at, models, requests_per_minute, sign_in_node, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7::text[], $8, $9, $10, $11)`,
		t.Tenant, k.ID, k.Label, k.Hash[:], k.Hint, optional(k.ExpiresAt), append([]string{}, k.Models...), k.RequestsPerMinute, k.SignInNode, t.Now, change)
}

// LockKey makes this transaction the only one that changes a key, until it ends.
func (t *Tx) LockKey(key id.Key) error {
	return t.exec("lock key", `select pg_advisory_xact_lock(hashtextextended('key:' || $1 || $2, 0))`, t.Tenant.UUID(), key.UUID())
}

// SignInKey finds the key that stands for who signed in to charge a node, and keeps
// another from being made meanwhile.
func (t *Tx) SignInKey(node id.Node) (id.Key, bool, error) {
	if err := t.exec("lock sign-in key", `select pg_advisory_xact_lock(hashtextextended('sign-in-key:' || $1 || $2, 0))`, t.Tenant.UUID(), node.UUID()); err != nil {
		return id.Key{}, false, err
	}
	var key id.Key
	found, err := t.row("find sign-in key", []any{&key}, `select key_id from virtual_key where tenant_id = $1 and sign_in_node = $2`, t.Tenant, node)
	return key, found, err
}

// FreshSecret is a further secret of a key.
type FreshSecret struct {
	Version      id.Version
	Key          id.Key
	Place        int // 2 for the one after the first
	Hash         secret.Hash
	Hint         string
	EarlierUntil time.Time // the secrets before it are accepted until then
}

// AddKeySecret stores a further secret's hash.
func (t *Tx) AddKeySecret(s FreshSecret, change id.Change) error {
	return t.exec("add key secret", `insert into key_secret (tenant_id, version_id, key_id, place, key_hash, hint, earlier_until, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.Tenant, s.Version, s.Key, s.Place, s.Hash[:], s.Hint, s.EarlierUntil, t.Now, change)
}

// KeySecretRow is one secret of a key, never the secret itself.
type KeySecretRow struct {
	KeyID      id.Key
	Place      int
	Hint       string
	RecordedAt time.Time
	EndsAt     *time.Time // when a later one ends it; nil for the newest
}

// secretsOf is every secret of every key, and when a later one ends it.
const secretsOf = `(select s.tenant_id, s.key_id, s.place, s.key_hash, s.hint, s.recorded_at,
		(select min(r.earlier_until) from key_secret r where r.tenant_id = s.tenant_id and r.key_id = s.key_id and r.place > s.place) as ends_at
	from (select tenant_id, key_id, 1 as place, key_hash, hint, recorded_at from virtual_key
		union all select tenant_id, key_id, place, key_hash, hint, recorded_at from key_secret) s)`

// KeySecrets lists a key's secrets, the newest first.
func (t *Tx) KeySecrets(key id.Key) ([]KeySecretRow, error) {
	var rows []KeySecretRow
	err := t.scan("list key secrets", &rows, `select key_id, place, hint, recorded_at, ends_at from `+secretsOf+` s where tenant_id = ? and key_id = ? order by place desc`, t.Tenant, key)
	return rows, err
}

// KeyUseRow is what a key was used for.
type KeyUseRow struct {
	KeyID      id.Key
	LastDay    *time.Time // UTC day
	Requests   int64
	ChargePico string
}

// KeyUse sums a posting period by key, and finds each key's latest day with a request
// since the start of another period before it.
func (t *Tx) KeyUse(month, since period.Month) ([]KeyUseRow, error) {
	var rows []KeyUseRow
	err := t.scan("sum key use", &rows, `select key_id, max(day) as last_day, coalesce(sum(requests) filter (where posting_period = ?), 0)::bigint as requests,
			coalesce(sum(charge_pico) filter (where posting_period = ?), 0)::text as charge_pico
		from rollup_placement_day where tenant_id = ? and posting_period >= ? group by key_id`, month.Start(), month.Start(), t.Tenant, since.Start())
	return rows, err
}

// KeyHistory lists the changes that made a key what it is, newest first.
func (t *Tx) KeyHistory(key id.Key) ([]ChangeRow, error) {
	var rows []ChangeRow
	err := t.scan("read key history", &rows, changeSelect+` and c.change_id in (select change_id from virtual_key where tenant_id = c.tenant_id and key_id = ?
		union select change_id from key_secret where tenant_id = c.tenant_id and key_id = ? union select change_id from key_assignment where tenant_id = c.tenant_id and key_id = ?
		union select change_id from key_revocation where tenant_id = c.tenant_id and key_id = ?) order by c.number desc`, t.Tenant, key, key, key, key)
	return rows, err
}

func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// AssignKey records which cost center a key charges from an instant on, and which
// projects outside it.
func (t *Tx) AssignKey(version id.Version, key id.Key, node id.Node, projects []id.Node, from time.Time, change id.Change) error {
	list := make([]string, 0, len(projects))
	for _, p := range projects {
		list = append(list, p.UUID())
	}
	return t.exec("assign key", `insert into key_assignment (tenant_id, version_id, key_id, node_id, project_ids, effective_from, recorded_at, change_id)
		values ($1, $2, $3, $4, $5::uuid[], $6, $7, $8)`, t.Tenant, version, key, node, list, from, t.Now, change)
}

// KeyAssignmentRow is what a key charges for a span of time.
type KeyAssignmentRow struct {
	VersionID     id.Version
	NodeID        id.Node
	EffectiveFrom time.Time
	Open          bool // nothing ended it yet
}

// KeyAssignments lists what a key charged, charges and will charge, the first first.
func (t *Tx) KeyAssignments(key id.Key) ([]KeyAssignmentRow, error) {
	rows := []KeyAssignmentRow{}
	err := t.scan("list a key's assignments", &rows, `select version_id, node_id, effective_from, effective_to is null as open from key_assignment
		where tenant_id = ? and key_id = ? order by effective_from, recorded_at, version_id`, t.Tenant, key)
	return rows, err
}

// KeyCharge is what a key charged a node itself in a month, in pico-dollars.
func (t *Tx) KeyCharge(key id.Key, node id.Node, m period.Month) (string, error) {
	var charge string
	_, err := t.row("sum a key's charges", []any{&charge}, `select coalesce(sum(r.charge_pico), 0)::text from rollup_placement_day r
		join placement p on p.tenant_id = r.tenant_id and p.placement_id = r.placement_id
		where r.tenant_id = $1 and r.posting_period = $2 and r.key_id = $3 and p.node_id = $4`, t.Tenant, m.Start(), key, node)
	return charge, err
}

// RevokeKey records that a key is no longer accepted.
func (t *Tx) RevokeKey(key id.Key, reason string, change id.Change) error {
	return t.exec("revoke key", `insert into key_revocation (tenant_id, key_id, reason, revoked_at, change_id) values ($1, $2, $3, $4, $5)`, t.Tenant, key, reason, t.Now, change)
}

// Keys lists virtual keys, newest first, after a cursor (zero for the start).
func (t *Tx) Keys(after id.Key, limit int) ([]KeyRow, error) {
	var rows []KeyRow
	err := t.scan("list keys", &rows, keySelect+` where k.tenant_id = ? and (?::uuid is null or k.key_id < ?::uuid) order by k.key_id desc limit ?`,
		t.Now, t.Now, t.Tenant, after, after, limit)
	return rows, err
}

// Key reads one virtual key.
func (t *Tx) Key(key id.Key) (KeyRow, error) {
	var rows []KeyRow
	if err := t.scan("read key", &rows, keySelect+` where k.tenant_id = ? and k.key_id = ?`, t.Now, t.Now, t.Tenant, key); err != nil {
		return KeyRow{}, err
	}
	if len(rows) == 0 {
		return KeyRow{}, ErrKeyAbsent
	}
	return rows[0], nil
}

const keySelect = `select k.key_id, k.label, coalesce((select hint from key_secret s where s.tenant_id = k.tenant_id and s.key_id = k.key_id order by place desc limit 1), k.hint) as hint,
		k.expires_at, k.recorded_at, k.change_id, array_to_string(k.models, ',') as models, k.requests_per_minute, k.sign_in_node,
		r.revoked_at, coalesce(r.reason, '') as reason, a.node_id, array_to_string(a.project_ids, ',') as projects
	from virtual_key k
	left join key_revocation r on r.tenant_id = k.tenant_id and r.key_id = k.key_id
	left join lateral (select node_id, project_ids from key_assignment a where a.tenant_id = k.tenant_id and a.key_id = k.key_id
		and a.effective_from <= ? and (a.effective_to is null or a.effective_to > ?) order by a.recorded_at desc limit 1) a on true`

// KeyLabel names one key.
type KeyLabel struct {
	ID    id.Key `gorm:"column:key_id"`
	Label string
}

// KeyLabels names keys by id.
func (t *Tx) KeyLabels(ids []string) ([]KeyLabel, error) {
	rows := []KeyLabel{}
	if len(ids) == 0 {
		return rows, nil
	}
	err := t.scan("name keys", &rows, `select key_id, label from virtual_key where tenant_id = ? and key_id = any(string_to_array(?, ',')::uuid[])`, t.Tenant, strings.Join(ids, ","))
	return rows, err
}
