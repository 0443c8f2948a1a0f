package db

import (
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// KeyRow is a virtual key as lists show it; the key itself is never stored.
type KeyRow struct {
	ID         id.Key `gorm:"column:key_id"`
	Label      string
	Hint       string // the last four characters of the key
	NodeID     id.Node
	ExpiresAt  *time.Time
	RecordedAt time.Time
	RevokedAt  *time.Time
	Reason     string
}

// ErrKeyAbsent reports a key that is not there, or not this tenant's.
var ErrKeyAbsent = fault.New(fault.KindNotFound, "key_absent", "There is no such key.")

// AddKey stores a virtual key's hash.
func (t *Tx) AddKey(key id.Key, label, hint string, hash secret.Hash, expires time.Time, change id.Change) error {
	return t.exec("add key", `insert into virtual_key (tenant_id, key_id, label, key_hash, hint, expires_at, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.Tenant, key, label, hash[:], hint, optional(expires), t.Now, change)
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

const keySelect = `select k.key_id, k.label, k.hint, k.expires_at, k.recorded_at, r.revoked_at, coalesce(r.reason, '') as reason, a.node_id
	from virtual_key k
	left join key_revocation r on r.tenant_id = k.tenant_id and r.key_id = k.key_id
	left join lateral (select node_id from key_assignment a where a.tenant_id = k.tenant_id and a.key_id = k.key_id
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
