package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tollbook/app/id"
)

// Config says where the database is and as whom to speak.
type Config struct {
	URL       string // as role tollbook_app
	SystemURL string // as role tollbook_system
	MaxConns  int32  // of the app pool; 0 means 16
	Later     bool   // a database that does not answer yet is no error: it is asked again with each use
	Log       *slog.Logger
	Now       func() time.Time
	Release   string // of this program; audit records name it
}

// DB is an open database.
type DB struct {
	pool    *pgxpool.Pool
	look    *pgxpool.Pool // the system role's
	app     *gorm.DB
	system  *gorm.DB
	close   []func()
	insert  *river.Client[*sql.Tx]
	driver  *riverdatabasesql.Driver
	log     *slog.Logger
	now     func() time.Time
	release string
}

const (
	defaultMaxConns = 16
	systemMaxConns  = 4
	// statementLimit ends a statement nobody waits for any more.
	statementLimit = 60 * time.Second
	// connectLimit ends a connection attempt into a void, unless the URL says otherwise.
	connectLimit = 5 * time.Second
)

// Open connects both pools and checks that each speaks as the role it should: an
// app that owns tables or bypasses row security would void every promise. With Later
// the check is made on the first connection there is; none is used before.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	d := &DB{log: cfg.Log, now: cfg.Now, release: cfg.Release}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	var err error
	var appSQL *sql.DB
	if d.app, d.pool, appSQL, err = d.connect(ctx, cfg, false); err != nil {
		return nil, fmt.Errorf("connect as app: %w", err)
	}
	if d.system, d.look, _, err = d.connect(ctx, cfg, true); err != nil {
		d.Close()
		return nil, fmt.Errorf("connect as system: %w", err)
	}
	d.driver = riverdatabasesql.NewWithPgxListener(appSQL, d.pool)
	if d.insert, err = river.NewClient(d.driver, &river.Config{Schema: riverSchema, Logger: d.log}); err != nil {
		d.Close()
		return nil, fmt.Errorf("open job client: %w", err)
	}
	return d, nil
}

func (d *DB) connect(ctx context.Context, from Config, system bool) (*gorm.DB, *pgxpool.Pool, *sql.DB, error) {
	url, maxConns := from.URL, from.MaxConns
	if system {
		url, maxConns = from.SystemURL, systemMaxConns
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, nil, nil, errors.New("the database URL cannot be read; it should look like postgres://role:password@host:5432/name")
	}
	cfg.MaxConns = maxConns
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	cfg.ConnConfig.RuntimeParams["application_name"] = "tollbook"
	cfg.ConnConfig.RuntimeParams["jit"] = "off" // compiling took five seconds of a list that reads for a tenth of one
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(statementLimit.Milliseconds(), 10)
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(statementLimit.Milliseconds(), 10)
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectLimit
	}
	cfg.AfterConnect = checkOnce(system)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	sqlDB := stdlib.OpenDBFromPool(pool)
	sqlDB.SetMaxIdleConns(0) // the pool below keeps connections; two layers of idling starve it
	d.close = append(d.close, func() { _ = sqlDB.Close(); pool.Close() })
	if err := pool.Ping(ctx); err != nil && (!from.Later || !errors.Is(translate(err), ErrUnavailable)) {
		return nil, nil, nil, err
	}
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: sqlDB}), &gorm.Config{
		SkipDefaultTransaction: true, DisableNestedTransaction: true, DisableAutomaticPing: true,
		Logger: logger.Discard, NowFunc: d.now,
	})
	return g, pool, sqlDB, err
}

// checkOnce checks the role of a pool's connections until one has been found right.
func checkOnce(system bool) func(context.Context, *pgx.Conn) error {
	var right atomic.Bool
	return func(ctx context.Context, conn *pgx.Conn) error {
		if right.Load() {
			return nil
		}
		err := checkRole(ctx, conn, system)
		right.Store(err == nil)
		return err
	}
}

func checkRole(ctx context.Context, conn *pgx.Conn, system bool) error {
	var name string
	var super, bypass bool
	var owns int
	err := conn.QueryRow(ctx, `select rolname, rolsuper, rolbypassrls,
		(select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relowner = r.oid and n.nspname = 'public')
		from pg_roles r where rolname = current_user`).Scan(&name, &super, &bypass, &owns)
	if err != nil {
		return err
	}
	if super || owns > 0 || bypass != system {
		return fmt.Errorf("role %s must own no table, be no superuser and have bypassrls=%t; use the roles that `tollbook migrate` made", name, system)
	}
	return nil
}

// Close lets go of both pools.
func (d *DB) Close() {
	for _, f := range d.close {
		f()
	}
}

// Ping tells whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return d.pool.Ping(ctx) }

// Tx is one transaction in the scope of one tenant.
type Tx struct {
	Tenant id.Tenant
	// Now is the same instant for everything the transaction writes, UTC, microseconds.
	Now time.Time

	ctx     context.Context //nolint:containedctx // a transaction lives exactly as long as the call that opened it
	g       *gorm.DB
	sql     *sql.Tx
	db      *DB
	jobs    []queued
	notices []string
	limited bool // by LimitStatements
}

// LimitStatements ends every statement of this transaction that takes longer than a
// limit, with ErrSlow: for what a reader asks for without knowing what it takes. Each is
// planned for its own values: a plan for all of them would read a whole log for an action
// that is rare, as it does for one that is not.
func (t *Tx) LimitStatements(limit time.Duration) error {
	t.limited = true
	return t.exec("limit statements", `select set_config('statement_timeout', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true)`, strconv.FormatInt(limit.Milliseconds(), 10))
}

// InTenant opens a transaction, sets the tenant for row-level security, freezes
// Now and runs fn. It commits when fn returns nil and rolls back otherwise. There
// is no other way to a tenant's data but ReadTenant, its reading form.
func (d *DB) InTenant(ctx context.Context, tenant id.Tenant, fn func(*Tx) error) error {
	return d.inTenant(ctx, tenant, nil, fn)
}

// ReadTenant is InTenant for what only reads: every statement sees the same instant,
// so that figures which are compared belong together, and none can write.
func (d *DB) ReadTenant(ctx context.Context, tenant id.Tenant, fn func(*Tx) error) error {
	return d.inTenant(ctx, tenant, []*sql.TxOptions{{ReadOnly: true, Isolation: sql.LevelRepeatableRead}}, fn)
}

func (d *DB) inTenant(ctx context.Context, tenant id.Tenant, options []*sql.TxOptions, fn func(*Tx) error) error {
	if tenant.IsZero() {
		return errors.New("open transaction: no tenant")
	}
	limited := false
	err := d.app.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		sqlTx, ok := g.Statement.ConnPool.(*sql.Tx)
		if !ok {
			return fmt.Errorf("open transaction: gorm gave a %T", g.Statement.ConnPool)
		}
		if _, err := sqlTx.ExecContext(ctx, `select set_config('app.tenant_id', $1, true)`, tenant.UUID()); err != nil {
			return fmt.Errorf("set tenant: %w", err)
		}
		tx := &Tx{Tenant: tenant, Now: d.now().UTC().Truncate(time.Microsecond), ctx: ctx, g: g, sql: sqlTx, db: d}
		if err := fn(tx); err != nil {
			limited = tx.limited
			return err
		}
		if err := tx.insertJobs(); err != nil {
			return err
		}
		return tx.sendNotices()
	}, options...)
	if limited && timedOut(err) {
		return ErrSlow.Because(err)
	}
	return translate(err)
}

// SystemTx is one read-only transaction across tenants.
type SystemTx struct {
	Now time.Time
	ctx context.Context //nolint:containedctx // as in Tx
	g   *gorm.DB
}

// InSystem reads across tenants as the system role. The reason is logged; it is a
// sentence about why no tenant scope would do.
func (d *DB) InSystem(ctx context.Context, reason string, fn func(*SystemTx) error) error {
	d.log.DebugContext(ctx, "read across tenants", "reason", reason)
	err := d.system.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		return fn(&SystemTx{Now: d.now().UTC().Truncate(time.Microsecond), ctx: ctx, g: g})
	}, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	return translate(err)
}

// exec runs one statement inside the transaction.
func (t *Tx) exec(step, query string, args ...any) error {
	if _, err := t.sql.ExecContext(t.ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

// Context is that of the call that opened the transaction: for what has to be asked
// elsewhere before it can commit.
func (t *Tx) Context() context.Context { return t.ctx }

// row reads one row; found is false when there is none.
func (t *Tx) row(step string, dest []any, query string, args ...any) (bool, error) {
	err := t.sql.QueryRowContext(t.ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", step, err)
	}
	return true, nil
}

// scan reads rows into a slice of structs by column name.
func (t *Tx) scan(step string, into any, query string, args ...any) error {
	if err := t.g.Raw(query, args...).Scan(into).Error; err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

func (t *SystemTx) scan(step string, into any, query string, args ...any) error {
	if err := t.g.Raw(query, args...).Scan(into).Error; err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

// Counter takes the next human number of a tenant's counter, starting at 1.
func (t *Tx) Counter(name string) (int64, error) {
	var value int64
	_, err := t.row("take number "+name, []any{&value}, `insert into tenant_counter (tenant_id, counter, value) values ($1, $2, 1)
		on conflict (tenant_id, counter) do update set value = tenant_counter.value + 1 returning value`, t.Tenant, name)
	return value, err
}
