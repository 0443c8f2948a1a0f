package db

import (
	"strings"
	"time"

	"tollbook/app/id"
)

// ViewRow is a view of spend that somebody saved.
type ViewRow struct {
	ViewID     id.View
	Name       string
	Query      string
	RecordedAt time.Time
}

// AddView saves a view for a member.
func (t *Tx) AddView(view id.View, member id.Member, name, query string, change id.Change) error {
	return t.exec("save view", `insert into saved_view (tenant_id, view_id, member_id, name, query, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, view, member, name, query, t.Now, change)
}

// RemoveView records that a view is no longer kept.
func (t *Tx) RemoveView(view id.View, change id.Change) error {
	return t.exec("remove view", `insert into saved_view_removal (tenant_id, view_id, recorded_at, change_id) values ($1, $2, $3, $4)`, t.Tenant, view, t.Now, change)
}

// Views lists a member's views by name.
func (t *Tx) Views(member id.Member) ([]ViewRow, error) {
	var rows []ViewRow
	err := t.scan("list views", &rows, `select v.view_id, v.name, v.query, v.recorded_at from saved_view v
		where v.tenant_id = ? and v.member_id = ? and not exists (select from saved_view_removal r where r.tenant_id = v.tenant_id and r.view_id = v.view_id)
		order by lower(v.name), v.view_id`, t.Tenant, member)
	return rows, err
}

// DeclareTags sets which tag keys requests may be grouped by.
func (t *Tx) DeclareTags(keys []string, change id.Change) error {
	return t.exec("declare tags", `insert into tag_declaration (tenant_id, change_id, tag_keys, recorded_at) values ($1, $2, $3, $4)`, t.Tenant, change, keys, t.Now)
}

// DeclaredTags reads the tag keys that requests may be grouped by.
func (t *Tx) DeclaredTags() ([]string, error) {
	var joined string
	found, err := t.row("read tags", []any{&joined}, `select array_to_string(tag_keys, E'\x1f') from tag_declaration where tenant_id = $1 order by recorded_at desc, change_id desc limit 1`, t.Tenant)
	if err != nil || !found || joined == "" {
		return nil, err
	}
	return strings.Split(joined, "\x1f"), nil
}
