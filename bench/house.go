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
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/postgres"
	"tollbook/gateway"
)

// house is a database of our own with companies in it.
type house struct {
	server   *postgres.Server
	dir      string // of the server's files
	db       *db.DB
	master   secret.Text
	log      *slog.Logger
	upstream string // of every company
	opened   time.Time
	areas    areas
	tenants  []id.Tenant
	doors    []door // of the companies, in the order of tenants
}

// areas are the use cases the house is furnished with.
type areas struct {
	ring    *secret.Keyring
	access  *app.Access
	nodes   *app.Nodes
	keys    *app.Keys
	tenants *app.Tenants
}

const (
	database = "bench"
	reason   = "bench"

	gatewayPath = "/gw/"
	// connections of this process: what it does with many companies, it does with a few at a time.
	houseConnections = 8
)

// openHouse starts a PostgreSQL that syncs as in production and settles a company
// in it whose provider is upstream.
func openHouse(ctx context.Context, upstream string, log io.Writer) (*house, error) {
	dir, err := os.MkdirTemp("", "tollbook-bench-database-")
	if err != nil {
		return nil, err
	}
	h := &house{dir: dir, master: secret.NewMaster(), log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})), upstream: upstream, opened: time.Now()}
	if h.server, err = postgres.Start(ctx, postgres.Config{Dir: dir, Log: log, Install: true}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := h.furnish(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) furnish(ctx context.Context) error {
	if err := db.Recreate(ctx, h.server.DSN("postgres", postgres.Superuser), database); err != nil {
		return err
	}
	if _, err := db.Migrate(ctx, h.server.DSN(database, postgres.Superuser)); err != nil {
		return err
	}
	var err error
	h.db, err = db.Open(ctx, db.Config{URL: h.url("tollbook_app"), SystemURL: h.url("tollbook_system"), MaxConns: houseConnections})
	if err != nil {
		return err
	}
	if h.areas, err = newAreas(h.db, h.master); err != nil {
		return err
	}
	return h.settle(ctx, 1)
}

func newAreas(d *db.DB, master secret.Text) (areas, error) {
	ring, err := secret.NewKeyring(master)
	if err != nil {
		return areas{}, err
	}
	access, err := app.NewAccess()
	if err != nil {
		return areas{}, err
	}
	changes := app.NewChanges(access)
	nodes := app.NewNodes(d, access, changes)
	return areas{
		ring: ring, access: access, nodes: nodes, keys: app.NewKeys(d, access, changes, ring),
		tenants: app.NewTenants(d, changes, nodes, ring, time.Now),
	}, nil
}

// settle adds companies until there are n, each with a tree, a provider and a key.
func (h *house) settle(ctx context.Context, n int) error {
	first := len(h.tenants)
	if n <= first {
		return nil
	}
	h.tenants, h.doors = slices.Grow(h.tenants, n-first)[:n], slices.Grow(h.doors, n-first)[:n]
	return inParallel(n-first, houseConnections, func(i int) error {
		var err error
		h.tenants[first+i], h.doors[first+i], err = h.settleCompany(ctx, "bench-"+strconv.Itoa(first+i))
		return err
	})
}

func (h *house) settleCompany(ctx context.Context, slug string) (id.Tenant, door, error) {
	from := time.Now().Add(-24 * time.Hour)
	tenant, err := h.areas.tenants.Create(ctx, slug, "Bench", from)
	if err != nil {
		return id.Tenant{}, door{}, err
	}
	who := app.Command(tenant)
	if err := h.areas.nodes.Create(ctx, who, []app.NewNode{
		{Code: "BU-1", Name: "Unit", Kind: "business_unit", Capitalization: "expense"},
		{Code: "CC-1", Name: "Center", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"},
		{Code: "P-1", Name: "Project", Kind: "project", ParentCode: "CC-1", Capitalization: "capitalize"},
	}, from, reason); err != nil {
		return id.Tenant{}, door{}, err
	}
	if err := h.areas.tenants.SetUpstream(ctx, who, h.upstream, secret.NewText(upstreamCredential), reason); err != nil {
		return id.Tenant{}, door{}, err
	}
	made, err := h.areas.keys.Create(ctx, who, app.NewKey{Label: "bench", CostCenter: "CC-1"}, reason)
	return tenant, door{path: gatewayPath + slug, key: made.Secret.Reveal()}, err
}

func (h *house) url(role string) string { return h.server.DSN(database, role) }

// rows counts the ledger of all companies, each in its three ways, which must agree.
func (h *house) rows(ctx context.Context) (int64, error) {
	var count atomic.Int64
	err := inParallel(len(h.tenants), houseConnections, func(i int) error {
		return h.db.ReadTenant(ctx, h.tenants[i], func(tx *db.Tx) error {
			for m := period.MonthOf(h.opened); !tx.Now.Before(m.Start()); m = m.Next() { // a run may cross midnight
				requests, err := prove(tx, m)
				if err != nil {
					return err
				}
				count.Add(requests)
			}
			return nil
		})
	})
	return count.Load(), err
}

// prove counts a month of one company in three ways.
func prove(tx *db.Tx, m period.Month) (int64, error) {
	c, err := tx.ProveMonth(m)
	if err != nil {
		return 0, err
	}
	if c.EventRequests != c.BatchRequests || c.EventRequests != c.RollupRequests || c.EventPico != c.BatchPico || c.EventPico != c.RollupPico || c.Misplaced > 0 {
		return 0, fmt.Errorf("the ledger disagrees with itself in %s: %+v", m, c)
	}
	return c.EventRequests, nil
}

// inParallel calls fn for 0 to n-1, some at a time, until one fails.
func inParallel(n, atOnce int, fn func(int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, min(n, atOnce))
	for w := range errs {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if errs[w] = fn(i); errs[w] != nil {
					next.Store(int64(n)) // the others end
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
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
	gateway.MakeRoom()
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
	snapshots.KeepIn(filepath.Join(told.Dir, "snapshot"))
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
