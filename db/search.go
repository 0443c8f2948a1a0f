package db

import (
	"strings"

	"tollbook/app/id"
)

// FindKeys lists virtual keys with a text in their label, or as the end of the key
// itself, newest first.
func (t *Tx) FindKeys(text string, limit int) ([]KeyRow, error) {
	pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
	var rows []KeyRow
	err := t.scan("find keys", &rows, keySelect+` where k.tenant_id = ? and (k.label ilike ? or k.hint = ?) order by k.key_id desc limit ?`, t.Now, t.Now, t.Tenant, pattern, text, limit)
	return rows, err
}

// SeenDevelopers lists developers whose label is known, the latest first; of some
// subtrees, those who were charged there.
func (t *Tx) SeenDevelopers(within []id.Node, limit int) ([]DeveloperRow, error) {
	s := &statement{text: `select d.developer_id, with_shard(d.tenant_id, 'developer', d.developer_id, 'label', d.label_sealed) as label_sealed, d.verified
		from developer d where d.tenant_id = ? and d.label_sealed is not null`, args: []any{t.Tenant}}
	if within != nil {
		s.and(`exists (select from rollup_developer_day r where r.tenant_id = ? and r.developer_id = d.developer_id
			and r.placement_id in (select placement_id from placement where tenant_id = ? and ancestor_ids && string_to_array(?, ',')::uuid[]))`, t.Tenant, t.Tenant, nodeList(within))
	}
	s.add(" order by d.recorded_at desc, d.developer_id limit ?", limit)
	rows := []DeveloperRow{}
	err := t.scan("list developers", &rows, s.text, s.args...)
	return rows, err
}
