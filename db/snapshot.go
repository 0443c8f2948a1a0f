package db

import (
	"time"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
)

// SnapshotKey is what a gateway needs of one secret of a virtual key.
type SnapshotKey struct {
	TenantID  id.Tenant
	KeyID     id.Key
	KeyHash   []byte
	Label     string
	ExpiresAt *time.Time // the key's end, or this secret's where a newer one replaces it
	NodeID    id.Node
	Projects  string // ids of projects outside the cost center, separated by commas
	Models    string // names and prefixes, separated by commas; empty for all
	// RequestsPerMinute bounds the key at each gateway; 0 for no limit.
	RequestsPerMinute int64
	// Whose credential it is, where somebody signed in for it.
	DeveloperID id.Developer
	LabelSealed []byte
	ChangeID    id.Change // what gave the key its cost center; zero where a person chose it by signing in
}

// SnapshotTenant is everything a gateway needs of one tenant.
type SnapshotTenant struct {
	TenantID         id.Tenant
	Slug             string
	Number           int64 // of the latest change
	BaseURL          string
	CredentialSealed []byte
	PseudonymSealed  []byte
	Suspended        bool
	Keys             []SnapshotKey       `gorm:"-"`
	Versions         []hierarchy.Version `gorm:"-"`
	Rules            []RuleVersionRow    `gorm:"-"` // in force, and to come; by version
	Turns            []time.Time         `gorm:"-"` // when keys charge something else, and when another provider is asked; to come, in order
}

// Snapshot reads all tenants, or one, at one instant.
func (t *SystemTx) Snapshot(only id.Tenant) ([]SnapshotTenant, error) {
	var tenants []SnapshotTenant
	if err := t.scan("read tenants", &tenants, `select t.tenant_id, t.slug, coalesce(u.base_url, '') as base_url, u.credential_sealed,
		coalesce((select s.state = 'suspended' from tenant_state s where s.tenant_id = t.tenant_id order by s.place desc limit 1), false) as suspended,
		(select key_sealed from pseudonym_key p where p.tenant_id = t.tenant_id) as pseudonym_sealed,
		(select coalesce(max(number), 0) from change c where c.tenant_id = t.tenant_id) as number
		from tenant t left join lateral (select base_url, credential_sealed from upstream u where u.tenant_id = t.tenant_id and length(u.credential_sealed) > 0
			and u.effective_from <= @now and (u.effective_to is null or u.effective_to > @now) order by recorded_at desc limit 1) u on true
		where cast(@only as uuid) is null or t.tenant_id = @only `, t.named(only)); err != nil {
		return nil, err
	}
	var keys []SnapshotKey
	if err := t.scan("read keys", &keys, `select k.tenant_id, k.key_id, s.key_hash, k.label, least(k.expires_at, s.ends_at) as expires_at, a.node_id, a.change_id,
			array_to_string(a.project_ids, ',') as projects, array_to_string(k.models, ',') as models, k.requests_per_minute
		from virtual_key k join `+secretsOf+` s on s.tenant_id = k.tenant_id and s.key_id = k.key_id
		join lateral (select node_id, project_ids, change_id from key_assignment a where a.tenant_id = k.tenant_id and a.key_id = k.key_id
			and a.effective_from <= @now and (a.effective_to is null or a.effective_to > @now) order by a.recorded_at desc limit 1) a on true
		where (cast(@only as uuid) is null or k.tenant_id = @only ) and k.sign_in_node is null and (k.expires_at is null or k.expires_at > @now) and (s.ends_at is null or s.ends_at > @now)
		and not exists (select from key_revocation r where r.tenant_id = k.tenant_id and r.key_id = k.key_id)`, t.named(only)); err != nil {
		return nil, err
	}
	credentials, err := t.credentials(only)
	if err != nil {
		return nil, err
	}
	keys = append(keys, credentials...)
	var rows []nodeVersionRow
	if err := t.scan("read nodes", &rows, `select * from node_version where cast(@only as uuid) is null or tenant_id = @only `, t.named(only)); err != nil {
		return nil, err
	}
	at := map[id.Tenant]*SnapshotTenant{}
	for i := range tenants {
		at[tenants[i].TenantID] = &tenants[i]
	}
	for _, k := range keys {
		if one := at[k.TenantID]; one != nil {
			one.Keys = append(one.Keys, k)
		}
	}
	for i := range rows {
		one := at[rows[i].TenantID]
		if one == nil {
			continue
		}
		v, err := rows[i].version()
		if err != nil {
			return nil, err
		}
		one.Versions = append(one.Versions, v)
	}
	if err := t.turns(at, t.named(only)); err != nil {
		return nil, err
	}
	return tenants, t.rules(at, t.named(only))
}

// turns are the instants at which what was decided of keys and providers takes effect.
func (t *SystemTx) turns(tenants map[id.Tenant]*SnapshotTenant, named map[string]any) error {
	var rows []struct {
		TenantID      id.Tenant
		EffectiveFrom time.Time
	}
	if err := t.scan("read turns of keys and providers", &rows, `select tenant_id, effective_from from key_assignment
			where effective_from > @now and (cast(@only as uuid) is null or tenant_id = @only )
		union select tenant_id, effective_from from upstream where effective_from > @now and (cast(@only as uuid) is null or tenant_id = @only )
		order by effective_from`, named); err != nil {
		return err
	}
	for _, row := range rows {
		if one := tenants[row.TenantID]; one != nil {
			one.Turns = append(one.Turns, row.EffectiveFrom)
		}
	}
	return nil
}

// credentials are those of people who signed in: with the person, and with what their
// login charges now.
func (t *SystemTx) credentials(only id.Tenant) ([]SnapshotKey, error) {
	var rows []SnapshotKey
	err := t.scan("read login credentials", &rows, `select c.tenant_id, n.key_id, k.label, c.key_hash, least(c.expires_at, l.expires_at) as expires_at, n.node_id, l.developer_id,
			with_shard(l.tenant_id, 'login', l.login_id, 'label', l.label_sealed) as label_sealed
		from login_credential c join login l on l.tenant_id = c.tenant_id and l.login_id = c.login_id
		join member m on m.tenant_id = l.tenant_id and m.member_id = l.member_id and m.suspended_at is null
		join lateral (select node_id, key_id from login_charge n where n.tenant_id = l.tenant_id and n.login_id = l.login_id order by n.place desc limit 1) n on true
		join virtual_key k on k.tenant_id = l.tenant_id and k.key_id = n.key_id
		where (cast(@only as uuid) is null or c.tenant_id = @only ) and c.expires_at > @now and l.expires_at > @now
		and not exists (select from login_end e where e.tenant_id = l.tenant_id and e.login_id = l.login_id)`, t.named(only))
	return rows, err
}

func (t *SystemTx) named(only id.Tenant) map[string]any {
	return map[string]any{"now": t.Now, "only": only}
}
