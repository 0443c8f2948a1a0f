package db

import (
	"time"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
)

type nodeVersionRow struct {
	TenantID       id.Tenant
	VersionID      id.Version
	NodeID         id.Node
	Code           string
	Name           string
	Kind           string
	ParentID       id.Node
	OwnerID        id.Member
	Entity         string
	GLAccount      string `gorm:"column:gl_account"`
	Capitalization string
	EffectiveFrom  time.Time
	EffectiveTo    *time.Time
	RecordedAt     time.Time
	ClosedAt       *time.Time
	ChangeID       id.Change
}

func (r nodeVersionRow) version() hierarchy.Version {
	return hierarchy.Version{
		ID: r.VersionID, Node: r.NodeID, Code: r.Code, Name: r.Name, Kind: hierarchy.Kind(r.Kind), Parent: r.ParentID, Owner: r.OwnerID,
		Entity: r.Entity, GLAccount: r.GLAccount, Capitalization: hierarchy.Capitalization(r.Capitalization),
		EffectiveFrom: r.EffectiveFrom.UTC(), EffectiveTo: instant(r.EffectiveTo), RecordedAt: r.RecordedAt.UTC(),
		ClosedAt: instant(r.ClosedAt), Change: r.ChangeID,
	}
}

func instant(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

// NodeVersions reads every version of every node, as the tree needs them.
func (t *Tx) NodeVersions() ([]hierarchy.Version, error) {
	var rows []nodeVersionRow
	if err := t.scan("read nodes", &rows, `select * from node_version where tenant_id = ? order by recorded_at, version_id`, t.Tenant); err != nil {
		return nil, err
	}
	return versions(rows), nil
}

func versions(rows []nodeVersionRow) []hierarchy.Version {
	list := make([]hierarchy.Version, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.version())
	}
	return list
}

// LockNodes makes this transaction the only one that changes the tenant's tree.
func (t *Tx) LockNodes() error {
	return t.exec("lock hierarchy", `select pg_advisory_xact_lock(hashtextextended('nodes:' || $1, 0))`, t.Tenant.UUID())
}

// AddNode records that a node exists.
func (t *Tx) AddNode(node id.Node) error {
	return t.exec("add node", `insert into node (tenant_id, node_id, recorded_at) values ($1, $2, $3)`, t.Tenant, node, t.Now)
}

// AddNodeVersion records how a node is from an instant on.
func (t *Tx) AddNodeVersion(v hierarchy.Version) error {
	return t.exec("add node version", `insert into node_version (tenant_id, version_id, node_id, code, name, kind, parent_id, owner_id, entity, gl_account,
		capitalization, effective_from, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		t.Tenant, v.ID, v.Node, v.Code, v.Name, string(v.Kind), v.Parent, v.Owner, v.Entity, v.GLAccount, string(v.Capitalization), v.EffectiveFrom, t.Now, v.Change)
}

// CloseVersion ends an open effective-dated row, once; false when it was closed
// already or is not there.
func (t *Tx) CloseVersion(table string, version id.Version, ends time.Time) (bool, error) {
	var closed bool
	_, err := t.row("close "+table, []any{&closed}, `select close_version($1, $2, $3, $4)`, table, version, ends, t.Now)
	return closed, err
}

// AddPlacement interns a placement; one that exists is left as it is.
func (t *Tx) AddPlacement(p hierarchy.Placement) error {
	ancestors := make([]string, 0, len(p.Ancestors))
	for _, n := range p.Ancestors {
		ancestors = append(ancestors, n.UUID())
	}
	return t.exec("intern placement", `insert into placement (tenant_id, placement_id, node_id, ancestor_ids, path, entity, capitalization, recorded_at)
		values ($1, $2, $3, $4::uuid[], $5, $6, $7, $8) on conflict do nothing`,
		t.Tenant, p.ID, p.Node, ancestors, p.Path, p.Entity, string(p.Capitalization), t.Now)
}
