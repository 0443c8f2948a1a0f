package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/postgres"
	"tollbook/gateway"
)

// house is a database of our own with one company in it.
type house struct {
	server *postgres.Server
	dir    string // of the server's files
	db     *db.DB
	tenant id.Tenant
	master secret.Text
	key    string
}

const (
	database = "bench"
	slug     = "bench"

	gatewayPath = "/gw/"
)

// openHouse starts a PostgreSQL that syncs as in production and settles a company
// in it whose provider is upstream.
func openHouse(ctx context.Context, upstream string, log io.Writer) (*house, error) {
	dir, err := os.MkdirTemp("", "tollbook-bench-database-")
	if err != nil {
		return nil, err
	}
	h := &house{dir: dir, master: secret.NewMaster()}
	if h.server, err = postgres.Start(ctx, postgres.Config{Dir: dir, Log: log, Install: true}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := h.furnish(ctx, upstream); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) furnish(ctx context.Context, upstream string) error {
	if err := db.Recreate(ctx, h.server.DSN("postgres", postgres.Superuser), database); err != nil {
		return err
	}
	if _, err := db.Migrate(ctx, h.server.DSN(database, postgres.Superuser)); err != nil {
		return err
	}
	var err error
	h.db, err = db.Open(ctx, db.Config{URL: h.url("tollbook_app"), SystemURL: h.url("tollbook_system"), MaxConns: 2})
	if err != nil {
		return err
	}
	h.tenant, h.key, err = settleCompany(ctx, h.db, h.master, upstream)
	return err
}

// settleCompany makes a tenant with a tree, a provider and a key.
func settleCompany(ctx context.Context, d *db.DB, master secret.Text, upstream string) (id.Tenant, string, error) {
	ring, err := secret.NewKeyring(master)
	if err != nil {
		return id.Tenant{}, "", err
	}
	access, err := app.NewAccess()
	if err != nil {
		return id.Tenant{}, "", err
	}
	changes := app.NewChanges(access)
	nodes := app.NewNodes(d, access, changes)
	tenants := app.NewTenants(d, changes, nodes, ring, time.Now)
	from := time.Now().Add(-24 * time.Hour)
	tenant, err := tenants.Create(ctx, slug, "Bench", from)
	if err != nil {
		return id.Tenant{}, "", err
	}
	who := app.Command(tenant)
	if err := nodes.Create(ctx, who, []app.NewNode{
		{Code: "BU-1", Name: "Unit", Kind: "business_unit", Capitalization: "expense"},
		{Code: "CC-1", Name: "Center", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"},
		{Code: "P-1", Name: "Project", Kind: "project", ParentCode: "CC-1", Capitalization: "capitalize"},
	}, from, "bench"); err != nil {
		return id.Tenant{}, "", err
	}
	if err := tenants.SetUpstream(ctx, who, upstream, secret.NewText(upstreamCredential), "bench"); err != nil {
		return id.Tenant{}, "", err
	}
	made, err := app.NewKeys(d, access, changes, ring).Create(ctx, who, app.NewKey{Label: "bench", CostCenter: "CC-1"}, "bench")
	return tenant, made.Secret.Reveal(), err
}

func (h *house) url(role string) string { return h.server.DSN(database, role) }

// rows counts the ledger in its three ways, which must agree.
func (h *house) rows(ctx context.Context) (int64, error) {
	var count int64
	err := h.db.InTenant(ctx, h.tenant, func(tx *db.Tx) error {
		month := period.MonthOf(tx.Now)
		for _, m := range []period.Month{month.Previous(), month} { // a run may cross midnight
			c, err := tx.ProveMonth(m)
			if err != nil {
				return err
			}
			if c.EventRequests != c.BatchRequests || c.EventRequests != c.RollupRequests || c.EventPico != c.BatchPico || c.EventPico != c.RollupPico {
				return fmt.Errorf("the ledger disagrees with itself in %s: %+v", m, c)
			}
			count += c.EventRequests
		}
		return nil
	})
	return count, err
}

func (h *house) close() error {
	if h.db != nil {
		h.db.Close()
	}
	errs := h.server.Stop()
	files, err := postgres.Files(h.dir)
	if err == nil {
		err = os.RemoveAll(files)
	}
	return errors.Join(errs, err, os.RemoveAll(h.dir))
}

// newGateway is the product's gateway, wired as its own command does.
func newGateway(told brief) (*service, error) {
	ctx, cancel := context.WithCancel(context.Background())
	ring, err := secret.NewKeyring(secret.NewText(told.MasterKey))
	if err != nil {
		cancel()
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := db.Open(ctx, db.Config{URL: told.DatabaseURL, SystemURL: told.SystemURL, Log: log})
	if err != nil {
		cancel()
		return nil, err
	}
	end := func() { cancel(); d.Close() }
	snapshots := app.NewSnapshots(d, ring, log, time.Now)
	if err := snapshots.Load(ctx, id.Tenant{}); err != nil {
		end()
		return nil, err
	}
	g, err := openGateway(d, ring, snapshots, filepath.Join(told.JournalDir, "journal"), log)
	if err != nil {
		end()
		return nil, err
	}
	followed := make(chan struct{})
	go func() { defer close(followed); snapshots.Follow(ctx) }()
	mux := http.NewServeMux()
	mux.Handle(gatewayPath, g.Handler())
	return &service{handler: mux, pending: func() int { return g.Stats().Pending }, end: func(limited context.Context) error {
		err := g.Close(limited)
		cancel()
		<-followed
		d.Close()
		return err
	}}, nil
}

func openGateway(d *db.DB, ring *secret.Keyring, snapshots *app.Snapshots, dir string, log *slog.Logger) (*gateway.Gateway, error) {
	metering, err := app.NewMetering(d)
	if err != nil {
		return nil, err
	}
	return gateway.New(gateway.Config{JournalDir: dir, JournalKey: ring.Derive("journal-mac"), Log: log}, snapshots, metering, app.NewLabels(ring))
}
