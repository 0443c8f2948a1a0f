package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// BackupTable is one table as a backup has it. Columns are named, so that it goes into
// the same table of a later release.
type BackupTable struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

func (t BackupTable) quoted() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

func (t BackupTable) list() string {
	quoted := make([]string, 0, len(t.Columns))
	for _, c := range t.Columns {
		quoted = append(quoted, pgx.Identifier{c}.Sanitize())
	}
	return strings.Join(quoted, ", ")
}

// IsKeys tells whether a table's rows are keys of people, which are backed up apart from
// what they open.
func (t BackupTable) IsKeys() bool {
	return t.Schema == "keys" || t.Schema == "public" && t.Name == "pseudonym_key"
}

// Dump reads a whole installation at one instant.
type Dump struct {
	Schema int64     // number of the last migration
	AsOf   time.Time // UTC
	Months []string  // of usage, as 2026-11-01
	Tables []BackupTable

	conn *pgx.Conn
	tx   pgx.Tx
}

var errBackupRole = fault.New(fault.KindForbidden, "backup_role",
	"This role does not see every row: a backup is made by a superuser, or by a role that bypasses row security and may read all data (create role tollbook_backup login bypassrls in role pg_read_all_data).")

// backupTables are all tables with rows of their own, and what waits in the queue; the
// history of the schema is made anew by migrating.
const backupTables = `select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum)
	from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
	where c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'goose_db_version'
		and (n.nspname in ('public', 'keys') or n.nspname = 'river' and c.relname = 'river_job')
	group by 1, 2 order by 1, 2`

// OpenDump begins to read everything at one instant. Close ends it.
func OpenDump(ctx context.Context, url string) (*Dump, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the backup's database URL cannot be read; it should look like postgres://role:password@host:5432/name")
	}
	cfg.RuntimeParams["application_name"] = "tollbook backup"
	cfg.RuntimeParams["timezone"] = "UTC"
	cfg.RuntimeParams["row_security"] = "off" // what it may not see is an error and never missing
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect for the backup: %w", err)
	}
	d := &Dump{conn: conn}
	if err := d.begin(ctx); err != nil {
		d.Close(ctx)
		return nil, err
	}
	return d, nil
}

func (d *Dump) begin(ctx context.Context) error {
	var sees bool
	if err := d.conn.QueryRow(ctx, `select rolsuper or rolbypassrls from pg_roles where rolname = current_user`).Scan(&sees); err != nil {
		return fmt.Errorf("read the backup's role: %w", err)
	}
	if !sees {
		return errBackupRole
	}
	var err error
	if d.tx, err = d.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
		return fmt.Errorf("begin backup: %w", err)
	}
	if err := d.tx.QueryRow(ctx, `select coalesce(max(version_id), 0), now() from goose_db_version where is_applied`).Scan(&d.Schema, &d.AsOf); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	d.AsOf = d.AsOf.UTC()
	rows, err := d.tx.Query(ctx, backupTables)
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	if d.Tables, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t BackupTable, err error) {
		return t, row.Scan(&t.Schema, &t.Name, &t.Columns)
	}); err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	months, err := d.tx.Query(ctx, `select replace(right(c.relname, 7), '_', '-') || '-01' from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent = 'public.usage_event'::regclass order by 1`)
	if err != nil {
		return fmt.Errorf("list months: %w", err)
	}
	if d.Months, err = pgx.CollectRows(months, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("list months: %w", err)
	}
	return nil
}

// Copy writes a table's rows in Postgres's text format and tells how many there are.
func (d *Dump) Copy(ctx context.Context, t BackupTable, to io.Writer) (int64, error) {
	tag, err := d.conn.PgConn().CopyTo(ctx, to, fmt.Sprintf("copy (select %s from %s) to stdout", t.list(), t.quoted()))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", t.Name, err)
	}
	return tag.RowsAffected(), nil
}

// DumpedLog is the newest signed head of one tenant's log; Message is empty where none was
// signed.
type DumpedLog struct {
	Tenant  id.Tenant
	Slug    string
	Size    int64 // records that have a place
	Message []byte
}

// Logs reads the newest signed head of every tenant's log.
func (d *Dump) Logs(ctx context.Context) ([]DumpedLog, error) {
	rows, err := d.tx.Query(ctx, `select t.tenant_id::text, t.slug, (select coalesce(max(l.sequence) + 1, 0) from audit_leaf l where l.tenant_id = t.tenant_id),
		(select c.message from audit_checkpoint c where c.tenant_id = t.tenant_id order by c.size desc limit 1) from tenant t order by t.slug`)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (DumpedLog, error) {
		var one DumpedLog
		var tenant string
		if err := row.Scan(&tenant, &one.Slug, &one.Size, &one.Message); err != nil {
			return one, err
		}
		one.Tenant, err = id.ParseTenant(tenant)
		return one, err
	})
}

// LiveReplicas reads which gateways had not ended: their journals belong into a backup.
func (d *Dump) LiveReplicas(ctx context.Context) ([]string, error) {
	rows, err := d.tx.Query(ctx, `select replica_id::text from replica where ended_at is null order by 1 limit 1000`)
	if err != nil {
		return nil, fmt.Errorf("list replicas: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Close lets go of the snapshot.
func (d *Dump) Close(ctx context.Context) { _ = d.conn.Close(context.WithoutCancel(ctx)) }
