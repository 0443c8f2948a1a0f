package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// riverSchema holds River's own tables; tollbook_app owns it.
const riverSchema = "river"

// Migration is one step of the schema and whether it was taken.
type Migration struct {
	Version   int64
	Name      string
	AppliedAt time.Time // zero while pending
}

// Migrations returns the embedded files, for the hash that names a test template.
func Migrations() fs.FS { return migrations }

// Migrate brings the schema up to date. The URL's role must be able to create
// roles the first time: a superuser, or tollbook_migrator afterwards.
func Migrate(ctx context.Context, url string) ([]Migration, error) {
	sqlDB, err := openAdmin(url)
	if err != nil {
		return nil, err
	}
	defer sqlDB.Close()
	provider, err := newProvider(sqlDB)
	if err != nil {
		return nil, err
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate schema: %w", err)
	}
	var taken []Migration
	for _, r := range done {
		taken = append(taken, Migration{Version: r.Source.Version, Name: r.Source.Path, AppliedAt: time.Now().UTC()})
	}
	return taken, migrateRiver(ctx, sqlDB)
}

// MigrationStatus lists every step, taken or pending.
func MigrationStatus(ctx context.Context, url string) ([]Migration, error) {
	sqlDB, err := openAdmin(url)
	if err != nil {
		return nil, err
	}
	defer sqlDB.Close()
	provider, err := newProvider(sqlDB)
	if err != nil {
		return nil, err
	}
	status, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read migration status: %w", err)
	}
	var list []Migration
	for _, s := range status {
		list = append(list, Migration{Version: s.Source.Version, Name: s.Source.Path, AppliedAt: s.AppliedAt})
	}
	return list, nil
}

func openAdmin(url string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the migration database URL cannot be read; it should look like postgres://role:password@host:5432/name")
	}
	return stdlib.OpenDB(*cfg), nil
}

func newProvider(sqlDB *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("make migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, sqlDB, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

// migrateRiver takes River's own steps as tollbook_app, which must own the schema
// for River's nightly reindexing.
func migrateRiver(ctx context.Context, sqlDB *sql.DB) error {
	sqlDB.SetMaxOpenConns(1) // one connection, so that SET ROLE holds for all of it
	if _, err := sqlDB.ExecContext(ctx, `set role tollbook_app`); err != nil {
		return fmt.Errorf("become tollbook_app: %w", err)
	}
	migrator, err := rivermigrate.New(riverdatabasesql.New(sqlDB), &rivermigrate.Config{Schema: riverSchema})
	if err != nil {
		return fmt.Errorf("read job migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate jobs: %w", err)
	}
	return nil
}
