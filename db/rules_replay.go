package db

import (
	"fmt"
	"time"

	"tollbook/app/id"
)

// PlacedRow is what placing one charged request again needs of it.
type PlacedRow struct {
	At        time.Time
	Key       id.Key
	Developer id.Developer
	Verified  bool
	Project   string
	Model     string // as requested
	Tags      []byte // JSON, as declared; empty where not asked for or none
	Rule      string // empty where an adjustment says where it lies
	Placement id.Placement
	Split     []byte // JSON, of Parts, where there is no one placement
	Charge    int64
}

// EachPlaced reads the charged requests that began in a span, one after the other and in
// no order, without holding more than some of them. Each may not ask the transaction
// anything.
func (t *Tx) EachPlaced(from, to time.Time, tags bool, each func(*PlacedRow) error) error {
	rows, err := t.sql.QueryContext(t.ctx, `select u.occurred_at, u.key_id, u.developer_id, u.developer_verified, coalesce(u.declared_project, ''), u.model_requested,
			case when $4 then u.tags::text end, case when a.sequence is null then u.attribution_rule else '' end, case when a.sequence is null then u.placement_id else a.placement_id end,
			(case when a.sequence is null then u.split else a.split end)::text, coalesce(a.charge_pico, u.charge_pico)
		from usage_event u left join (select distinct on (occurred_at, event_id) * from adjustment where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3
			order by occurred_at, event_id, sequence desc) a on a.occurred_at = u.occurred_at and a.event_id = u.event_id
		where u.tenant_id = $1 and u.occurred_at >= $2 and u.occurred_at < $3 and u.charge_pico <> 0`, t.Tenant, from, to, tags)
	if err != nil {
		return fmt.Errorf("read placed requests: %w", err)
	}
	defer rows.Close()
	var r PlacedRow
	for rows.Next() {
		if err := rows.Scan(&r.At, &r.Key, &r.Developer, &r.Verified, &r.Project, &r.Model, &r.Tags, &r.Rule, &r.Placement, &r.Split, &r.Charge); err != nil {
			return fmt.Errorf("read placed requests: %w", err)
		}
		if err := each(&r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read placed requests: %w", err)
	}
	return nil
}

// KeyCenterRow is what a key charged for a time.
type KeyCenterRow struct {
	KeyID         id.Key
	Label         string
	NodeID        id.Node
	Projects      string // ids, separated by commas
	EffectiveFrom time.Time
	ChangeID      id.Change // zero of keys that stand for who signed in
}

// KeyCenters lists what every key charged since when, in the order in which it was
// recorded: of one instant, the last that had begun is in force.
func (t *Tx) KeyCenters() ([]KeyCenterRow, error) {
	var rows []KeyCenterRow
	err := t.scan("read keys' centers", &rows, `select k.key_id, k.label, a.node_id, array_to_string(a.project_ids, ',') as projects, a.effective_from, a.change_id, a.recorded_at
		from virtual_key k join key_assignment a on a.tenant_id = k.tenant_id and a.key_id = k.key_id where k.tenant_id = ? and k.sign_in_node is null
		union all select key_id, label, sign_in_node, '', recorded_at, null, recorded_at from virtual_key where tenant_id = ? and sign_in_node is not null
		order by recorded_at`, t.Tenant, t.Tenant)
	return rows, err
}

// VerifiedDevelopers reads the labels of everybody who was seen signed in.
func (t *Tx) VerifiedDevelopers() ([]DeveloperRow, error) {
	var rows []DeveloperRow
	err := t.scan("read verified developers", &rows, `select developer_id, with_shard(tenant_id, 'developer', developer_id, 'label', label_sealed) as label_sealed, verified from developer where tenant_id = ? and verified`, t.Tenant)
	return rows, err
}
