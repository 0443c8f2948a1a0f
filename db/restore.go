package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tollbook/app/fault"
)

// Restore writes a backup into an empty database. Until Finish only a superuser can
// connect to it.
type Restore struct {
	url  string
	conn *pgx.Conn
	name string // quoted
}

var (
	errRestoreRole = fault.New(fault.KindForbidden, "restore_role", "A restore needs a superuser's URL: it makes the roles, and loads rows that refer to one another.")
	errNotEmpty    = fault.New(fault.KindConflict, "restore_not_empty",
		"This database is not empty, and a restore never writes over what is there: name one that does not exist yet, and it is made.")
	errUnfinished = fault.New(fault.KindConflict, "restore_unfinished",
		"This database holds a restore that did not finish. Nobody but a superuser can connect to it: drop it, and restore again.")
)

// roles that run, and the one that migrates.
const runningRoles = "tollbook_app, tollbook_system, tollbook_migrator"

// OpenRestore connects to the database a backup goes into; one that does not exist is made.
func OpenRestore(ctx context.Context, url string) (*Restore, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the restore's database URL cannot be read; it should look like postgres://superuser:password@host:5432/name")
	}
	cfg.RuntimeParams["application_name"] = "tollbook restore"
	cfg.RuntimeParams["timezone"] = "UTC"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "3D000" { // there is no such database
		if err := makeDatabase(ctx, cfg); err != nil {
			return nil, err
		}
		conn, err = pgx.ConnectConfig(ctx, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("connect for the restore: %w", err)
	}
	r := &Restore{url: url, conn: conn, name: pgx.Identifier{cfg.Database}.Sanitize()}
	var super bool
	if err = conn.QueryRow(ctx, `select rolsuper from pg_roles where rolname = current_user`).Scan(&super); err == nil && !super {
		err = errRestoreRole
	}
	if err != nil {
		r.Close(ctx)
		return nil, err
	}
	return r, nil
}

func makeDatabase(ctx context.Context, cfg *pgx.ConnConfig) error {
	name := pgx.Identifier{cfg.Database}.Sanitize()
	cfg = cfg.Copy()
	cfg.Database = "postgres"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to make the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "create database "+name+" encoding 'UTF8' template template0"); err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	return nil
}

// Prepare brings an empty database to the schema a backup is of, and closes it to
// everybody else. One that holds anything is refused.
func (r *Restore) Prepare(ctx context.Context, schema int64, months []string) error {
	if err := r.empty(ctx, schema); err != nil {
		return err
	}
	sqlDB, err := openAdmin(r.url)
	if err != nil {
		return err
	}
	defer sqlDB.Close()
	provider, err := newProvider(sqlDB)
	if err != nil {
		return err
	}
	if known := provider.ListSources(); len(known) == 0 || known[len(known)-1].Version < schema {
		return fault.New(fault.KindConflict, "restore_newer", fmt.Sprintf("This backup is of schema %d, which a later release made: restore it with that release.", schema))
	}
	if _, err := r.conn.Exec(ctx, "revoke connect on database "+r.name+" from public"); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	if _, err := provider.UpTo(ctx, schema); err != nil {
		return fmt.Errorf("make schema %d: %w", schema, err)
	}
	if err := migrateRiver(ctx, sqlDB); err != nil {
		return err
	}
	for _, month := range months {
		if _, err := r.conn.Exec(ctx, `select ensure_usage_month($1::text::date)`, month); err != nil {
			return fmt.Errorf("make usage month %s: %w", month, err)
		}
	}
	return nil
}

// empty refuses a database that holds anything but an empty schema of ours that is no
// newer than the backup's.
func (r *Restore) empty(ctx context.Context, schema int64) error {
	var open, ours bool
	var tables int
	if err := r.conn.QueryRow(ctx, `select has_database_privilege('public', current_database(), 'connect'), to_regclass('public.tenant') is not null and to_regclass('public.goose_db_version') is not null,
		(select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast'))`).Scan(&open, &ours, &tables); err != nil {
		return fmt.Errorf("look into the database: %w", err)
	}
	if tables == 0 {
		return nil
	}
	if !ours {
		if !open {
			return errUnfinished
		}
		return errNotEmpty
	}
	var rows bool
	var version int64
	if err := r.conn.QueryRow(ctx, `select exists(select from tenant), (select coalesce(max(version_id), 0) from goose_db_version where is_applied)`).Scan(&rows, &version); err != nil {
		return fmt.Errorf("look into the database: %w", err)
	}
	switch {
	case rows && !open:
		return errUnfinished
	case rows:
		return errNotEmpty
	case version > schema:
		return fault.New(fault.KindConflict, "restore_schema", fmt.Sprintf("This database has schema %d and the backup is of %d: name one that does not exist yet, and it is made.", version, schema))
	}
	return nil
}

// Loading takes tables one after the other, in one transaction.
type Loading struct {
	ctx  context.Context //nolint:containedctx // a transaction lives exactly as long as the call that opened it
	conn *pgx.Conn
}

// Table writes a table's rows and tells how many there were.
func (l *Loading) Table(t BackupTable, from io.Reader) (int64, error) {
	tag, err := l.conn.PgConn().CopyFrom(l.ctx, from, fmt.Sprintf("copy %s (%s) from stdin", t.quoted(), t.list()))
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", t.Name, err)
	}
	return tag.RowsAffected(), nil
}

// Load opens one transaction for all tables: when fn returns an error, nothing was
// written. Triggers do not run: the rows passed them when they were first written.
func (r *Restore) Load(ctx context.Context, tables []BackupTable, fn func(*Loading) error) error {
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local session_replication_role = replica`); err != nil {
			return fmt.Errorf("begin restore: %w", err)
		}
		names := make([]string, 0, len(tables))
		for _, t := range tables {
			names = append(names, t.quoted())
		}
		slices.Sort(names)
		if len(names) > 0 { // what migrating wrote comes again with the rows
			if _, err := tx.Exec(ctx, "truncate "+strings.Join(names, ", ")+" cascade"); err != nil {
				return fmt.Errorf("clear tables: %w", err)
			}
		}
		if err := fn(&Loading{ctx: ctx, conn: r.conn}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `select setval(pg_get_serial_sequence('river.river_job', 'id'), (select coalesce(max(id), 0) + 1 from river.river_job), false)`); err != nil {
			return fmt.Errorf("set the queue's numbers: %w", err)
		}
		return nil
	})
	return translate(err)
}

// Migrate takes the steps that this release has beyond the backup's schema.
func (r *Restore) Migrate(ctx context.Context) ([]Migration, error) { return Migrate(ctx, r.url) }

// LoadKeys writes the keys of people that a keys' file holds, in one transaction. They may
// be of a later day than the rows: those of tenants that are not here are left out.
func (r *Restore) LoadKeys(ctx context.Context, tables []BackupTable, rows func(i int) io.Reader) error {
	return r.Load(ctx, tables, func(l *Loading) error {
		for i, t := range tables {
			if !t.IsKeys() {
				return fmt.Errorf("the keys' file holds a table %s, which is none of keys", t.Name)
			}
			if _, err := l.Table(t, rows(i)); err != nil {
				return err
			}
			if _, err := r.conn.Exec(ctx, "delete from "+t.quoted()+" k where not exists (select from tenant o where o.tenant_id = k.tenant_id)"); err != nil {
				return fmt.Errorf("load %s: %w", t.Name, err)
			}
		}
		return nil
	})
}

// Finish opens the database to the roles that run.
func (r *Restore) Finish(ctx context.Context) error {
	if _, err := r.conn.Exec(ctx, "analyze"); err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	if _, err := r.conn.Exec(ctx, "grant connect on database "+r.name+" to public, "+runningRoles); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return nil
}

// AsRole is the restore's own URL, speaking as one of the roles that run: nobody else can
// connect before Finish.
func (r *Restore) AsRole(role string) (string, error) {
	cfg, err := pgx.ParseConfig(r.url)
	if err != nil {
		return "", fmt.Errorf("read the restore's URL: %w", err)
	}
	text := cfg.ConnString()
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		mark := "?"
		if strings.Contains(text, "?") {
			mark = "&"
		}
		return text + mark + "role=" + role, nil
	}
	return text + " role=" + role, nil
}

// Close lets go of the database.
func (r *Restore) Close(ctx context.Context) { _ = r.conn.Close(context.WithoutCancel(ctx)) }
