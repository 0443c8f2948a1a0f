package db

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ExportTable is one table of a tenant as an export has it.
type ExportTable struct {
	Name    string
	Columns []string // as the table has them, without those left out
	LeftOut []string // what is sealed, and hashes of secrets
	order   []string // columns of the primary key that are not left out
}

// plainBytes are the columns of bytes that hold no secret: documents, digests and records
// as they were hashed. Every other column of bytes is left out of an export, so that one
// that is added later is until somebody says otherwise here.
func plainBytes() []string {
	return []string{
		"change.payload", "change.digest", "change_move.digest", "change_revision.payload", "change_revision.digest", "change_terms.policy", "change_terms.impact", "change_vote.digest", "change_document.document",
		"change_attachment.sha256", "change_attachment.content", "policy_version.document", "policy_version.digest", "audit_record.canonical", "audit_leaf.leaf", "audit_node.hash",
		"audit_checkpoint.root", "audit_checkpoint.message", "audit_key.endorsed", "audit_witness.receipt", "idempotency.request_digest",
		"rule_version.document", "rule_version.digest",
		"price_version.document", "price_version.digest", "price_version.vendor_digest", "price_proposal.vendor_digest", "price_proposal.document", "price_proposal.digest",
		"notice_delivery.content", "notice_delivery.content_sha256",
		"node_version.evidence", "node_version.dimensions", "node_operations.document", "node_operations.digest",
		"plan_version.document", "plan_version.digest", "branding.logo_sha256", "logo.sha256", "logo.content", "usage_batch.root", "usage_batch.canonical", "usage_event.raw_usage",
		"adjustment_batch.root", "adjustment_batch.canonical", "tombstone.digest", "tombstone_batch.root", "tenant_export.manifest_sha256", "offboarding.manifest_sha256", "request_selection.digest", "request_selection.document",
		"journal_entry.canonical", "journal_entry.digest", "reconciliation.fingerprint", "reconciliation.canonical", "reconciliation.digest",
		"commentary_step.figures_sha256", "dispute.requests_sha256",
		"provider_page.content", "provider_page.content_sha256", "provider_pull_end.pages_digest", "provider_pull_end.digest",
		"account_mapping.document", "account_mapping.digest", "journal_export.digest", "journal_export_file.content", "journal_export_file.digest", "journal_export_file.manifest",
		"gl_actuals.content", "gl_actuals.digest",
		"sharing_version.rules", "invoice.canonical", "invoice.digest", "invoice_paper.sha256", "invoice_paper.content", "allocation.canonical", "allocation.digest", "allocation.match_document",
		"close_sign_off.facts", "close_sign_off.digest", "close_fall.facts", "close_freeze.canonical", "close_freeze.digest",
		"packet.figures_digest", "packet.manifest", "packet.manifest_digest", "packet.snapshot", "packet_file.content", "packet_file.content_digest",
		"packet_seal.record", "packet_seal.proof", "packet_seal.checkpoint", "packet_seal.keys", "packet_seal.archive_digest", "packet_delivery.content_digest",
		"issuer_key_set.digest", "issuer_key_set.document", "decision_document.digest", "decision_document.document",
		"decision_confirmation.key_set_digest", "decision_confirmation.token_digest", "decision_confirmation.claims_digest", "decision_confirmation.signature",
	}
}

// ExportTables lists every table that has rows of tenants, by name. The rows of a
// partitioned one are read through it.
func (t *Tx) ExportTables() ([]ExportTable, error) {
	var columns []struct {
		Name, Attribute, Type string
		Key                   int // place in the primary key, from 1; 0: not of it
	}
	if err := t.scan("list tables", &columns, `select c.relname as name, a.attname as attribute, format_type(a.atttypid, null) as type,
			coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0) as key
		from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		left join pg_index i on i.indrelid = c.oid and i.indisprimary
		where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition
			and exists (select from pg_attribute o where o.attrelid = c.oid and o.attname = 'tenant_id' and not o.attisdropped)
		order by c.relname, a.attnum`); err != nil {
		return nil, err
	}
	var list []ExportTable
	places := map[string]map[int]string{}
	for _, c := range columns {
		if len(list) == 0 || list[len(list)-1].Name != c.Name {
			list = append(list, ExportTable{Name: c.Name})
			places[c.Name] = map[int]string{}
		}
		table := &list[len(list)-1]
		if c.Type == "bytea" && !slices.Contains(plainBytes(), c.Name+"."+c.Attribute) {
			table.LeftOut = append(table.LeftOut, c.Attribute)
			continue
		}
		table.Columns = append(table.Columns, c.Attribute)
		if c.Key > 0 {
			places[c.Name][c.Key] = c.Attribute
		}
	}
	for i := range list {
		for place := 1; place <= len(places[list[i].Name]); place++ {
			list[i].order = append(list[i].order, places[list[i].Name][place])
		}
	}
	return list, nil
}

// exportRows is how many rows a cursor is asked for at once: each question is short, and
// no more of the answer is in memory than the connection holds.
const exportRows = 2000

// StreamTable reads the tenant's rows of a table in the order of its key, each column as
// Postgres prints it; nil is null. The row is valid until the next one.
func (t *Tx) StreamTable(table ExportTable, row func([]*string) error) error {
	printed := make([]string, 0, len(table.Columns))
	for _, c := range table.Columns {
		printed = append(printed, pgx.Identifier{c}.Sanitize()+"::text")
	}
	order := make([]string, 0, len(table.order))
	for _, c := range table.order {
		order = append(order, pgx.Identifier{c}.Sanitize())
	}
	cursor := pgx.Identifier{"export_" + table.Name}.Sanitize()
	// A cursor takes no parameters; row-level security knows the same tenant.
	query := fmt.Sprintf(`declare %s no scroll cursor for select %s from %s where tenant_id = current_tenant() order by %s`,
		cursor, strings.Join(printed, ", "), pgx.Identifier{table.Name}.Sanitize(), strings.Join(order, ", "))
	if err := t.exec("open "+table.Name, query); err != nil {
		return err
	}
	for {
		n, err := t.fetch(cursor, len(table.Columns), row)
		if err != nil {
			return fmt.Errorf("read %s: %w", table.Name, err)
		}
		if n < exportRows {
			return t.exec("close "+table.Name, "close "+cursor)
		}
	}
}

// fetch reads some rows and tells how many there were.
func (t *Tx) fetch(cursor string, columns int, row func([]*string) error) (int, error) {
	rows, err := t.sql.QueryContext(t.ctx, fmt.Sprintf("fetch forward %d from %s", exportRows, cursor))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	values, into, line := make([]sql.NullString, columns), make([]any, columns), make([]*string, columns)
	for i := range values {
		into[i] = &values[i]
	}
	n := 0
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		for i := range values {
			line[i] = nil
			if values[i].Valid {
				line[i] = &values[i].String
			}
		}
		if err := row(line); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

// SchemaVersion is the number of the last migration that was taken.
func (t *Tx) SchemaVersion() (int64, error) {
	var version int64
	_, err := t.row("read schema version", []any{&version}, `select schema_version()`)
	return version, err
}
