package db

import (
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// MappingRow is one group of an issuer and the role its people have.
type MappingRow struct {
	VersionID     id.Version
	IssuerID      id.Issuer
	GroupName     string
	Role          string
	NodeID        id.Node
	EffectiveFrom time.Time
	ChangeID      id.Change
	IssuerName    string
	Number        int64
	Maker         string
	Held          int64 // how many accounts have the role from it now
}

// ErrMappingAbsent reports a mapping that is not there, or not this tenant's.
var ErrMappingAbsent = fault.New(fault.KindNotFound, "mapping_absent", "There is no such group mapping.")

// AddMapping maps a group to a role from an instant on.
func (t *Tx) AddMapping(r *MappingRow) error {
	return t.exec("add group mapping", `insert into group_mapping (tenant_id, version_id, issuer_id, group_name, role, node_id, effective_from, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.Tenant, r.VersionID, r.IssuerID, r.GroupName, r.Role, r.NodeID, r.EffectiveFrom, t.Now, r.ChangeID)
}

// Mappings lists the group mappings in force, of one issuer or all (zero).
func (t *Tx) Mappings(issuer id.Issuer, limit int) ([]MappingRow, error) {
	var rows []MappingRow
	err := t.scan("list group mappings", &rows, `select g.version_id, g.issuer_id, g.group_name, g.role, g.node_id, g.effective_from, g.change_id, i.name as issuer_name, c.number, c.maker,
		(select count(*) from member_role r where r.tenant_id = g.tenant_id and r.mapping_id = g.version_id and r.effective_to is null) as held
		from group_mapping g join issuer i on i.tenant_id = g.tenant_id and i.issuer_id = g.issuer_id join change c on c.tenant_id = g.tenant_id and c.change_id = g.change_id
		where g.tenant_id = ? and (?::uuid is null or g.issuer_id = ?::uuid) and g.effective_from <= ? and (g.effective_to is null or g.effective_to > ?)
		order by i.name, g.group_name, g.role, g.version_id limit ?`, t.Tenant, issuer, issuer, t.Now, t.Now, limit)
	return rows, err
}
