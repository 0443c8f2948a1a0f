package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/gateway"
	"tollbook/gateway/journal"
	"tollbook/simulator"
)

// commandMigrate brings the schema up to date, or lists its steps.
func commandMigrate(ctx context.Context, args []string, out io.Writer) error {
	rest, err := parse("migrate", args, func(*flag.FlagSet) {}, true)
	if err != nil {
		return err
	}
	if len(rest) > 1 || (len(rest) == 1 && rest[0] != "status") {
		return misuse("migrate takes nothing, or status")
	}
	e := &environment{lookup: os.LookupEnv}
	url := e.database("TOLLBOOK_MIGRATE_DATABASE_URL", "tollbook_migrator")
	if err := e.err(); err != nil {
		return err
	}
	if len(rest) == 1 {
		steps, err := db.MigrationStatus(ctx, url)
		for _, s := range steps {
			state := "pending"
			if !s.AppliedAt.IsZero() {
				state = s.AppliedAt.UTC().Format(time.RFC3339)
			}
			_, _ = fmt.Fprintf(out, "%-28s %s\n", s.Name, state)
		}
		return err
	}
	taken, err := db.Migrate(ctx, url)
	for _, s := range taken {
		_, _ = fmt.Fprintln(out, "migrated", s.Name)
	}
	if err == nil && len(taken) == 0 {
		_, _ = fmt.Fprintln(out, "the schema is up to date")
	}
	return err
}

// commandSimulate serves the stand-in provider by itself.
func commandSimulate(ctx context.Context, args []string, out io.Writer) error {
	var address, dir string
	var cfg simulator.Config
	if _, err := parse("simulate", args, func(f *flag.FlagSet) {
		f.StringVar(&address, "listen", "127.0.0.1:8090", "")
		f.StringVar(&dir, "data", ".tollbook/simulator", "")
		f.Uint64Var(&cfg.Seed, "seed", 1, "")
		f.StringVar(&cfg.Faults, "faults", "", "")
		f.Int64Var(&cfg.DiscountBps, "discount-bps", 0, "")
		f.StringVar(&cfg.DiscountFrom, "discount-from", "", "")
		f.DurationVar(&cfg.ReportDelay, "report-delay", 0, "")
	}, false); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	cfg.Dir = dir
	sim, err := simulator.Open(cfg)
	if err != nil {
		return err
	}
	l, err := listen(address)
	if err != nil {
		return errors.Join(err, sim.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ready\n") })
	mux.Handle("/", sim.Handler())
	_, _ = fmt.Fprintf(out, "A stand-in for Anthropic listens on http://%s; its books are at /books\n", l.Addr())
	return errors.Join(serveUntil(ctx, l, mux, settings{}, slog.New(slog.DiscardHandler)), sim.Close())
}

// commandJournal looks into a gateway's journal, or brings what a dead one left into
// the ledger.
func commandJournal(ctx context.Context, args []string, out io.Writer) error {
	rest, err := parse("journal", args, func(*flag.FlagSet) {}, true)
	if err != nil {
		return err
	}
	if len(rest) != 2 || (rest[0] != "show" && rest[0] != "drain") {
		return misuse("journal takes show DIR or drain DIR, where DIR is one replica's directory below TOLLBOOK_JOURNAL_DIR")
	}
	path, err := filepath.Abs(rest[1])
	if err != nil {
		return fmt.Errorf("journal directory: %w", err)
	}
	e := &environment{lookup: os.LookupEnv}
	if rest[0] == "show" {
		return showJournal(path, out)
	}
	s, err := readSettings(func(name string) (string, bool) {
		value, ok := e.lookup(name)
		if !ok && name == "TOLLBOOK_PUBLIC_URL" {
			return "http://127.0.0.1", true // draining serves nobody
		}
		return value, ok
	}, []string{"jobs"})
	if err != nil {
		return err
	}
	h, err := assemble(ctx, s, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	defer h.db.Close()
	cfg := journal.Config{Root: filepath.Dir(path), MACKey: h.journalKeys()[0], OldKeys: h.journalKeys()[1:]}
	done, err := gateway.Adopt(ctx, cfg, filepath.Base(path), h.metering)
	if errors.Is(err, journal.ErrLocked) {
		return fmt.Errorf("a gateway that is running owns %s; it drains its own journal", path)
	}
	_, _ = fmt.Fprintf(out, "%d requests found, %d new in the ledger, %d open, %d bytes cut short by the crash\n", done.Requests, done.Added, done.Open, done.Torn)
	return err
}

func showJournal(path string, out io.Writer) error {
	var keys [][]byte
	if e := (&environment{lookup: os.LookupEnv}); e.text("TOLLBOOK_MASTER_KEY") != "" {
		masters := e.masterKeys()
		if err := e.err(); err != nil {
			return err
		}
		ring, err := secret.NewKeyring(masters...)
		if err != nil {
			return fmt.Errorf("TOLLBOOK_MASTER_KEY: %w", err)
		}
		keys = ring.DeriveEach(journalPurpose)
	}
	encoder := json.NewEncoder(out)
	seen, err := journal.Inspect(path, keys, func(r journal.Record) error {
		return encoder.Encode(map[string]any{
			"position": r.Position, "kind": r.Kind.String(), "id": id.EventFromBytes(r.ID).String(), "record": json.RawMessage(r.Payload),
		})
	})
	_, _ = fmt.Fprintf(out, "# replica %s, live %t, chain verified %t, %d segments, %d bytes torn\n", seen.Replica, seen.Live, seen.Verified, len(seen.Segments), seen.Torn)
	return err
}

// commandBootstrap is the operator's way in: tenants, first nodes and keys. Every use
// leaves a record in the tenant's log.
func commandBootstrap(ctx context.Context, noun string, args []string, out io.Writer) error {
	rest, err := parse(noun, args, func(*flag.FlagSet) {}, true)
	if err != nil {
		return err
	}
	s, err := readSettings(func(name string) (string, bool) {
		value, ok := os.LookupEnv(name)
		if !ok && name == "TOLLBOOK_PUBLIC_URL" {
			return "http://127.0.0.1", true // this command serves nobody
		}
		return value, ok
	}, []string{"jobs"})
	if err != nil {
		return err
	}
	h, err := assemble(ctx, s, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	defer h.db.Close()
	return h.bootstrap(ctx, noun, rest, out)
}

const byCommand = "by the installation's command line"

// bootstrap takes one noun, verb and their arguments to a use case.
func (h *house) bootstrap(ctx context.Context, noun string, args []string, out io.Writer) error {
	switch {
	case noun == "tenant" && len(args) == 1 && args[0] == "list":
		return h.listTenants(ctx, out)
	case noun == "tenant" && len(args) == 3 && args[0] == "create":
		return h.createTenant(ctx, args[1], args[2], out)
	case len(args) < 2:
		return misuse("%s: say what to do", noun)
	}
	tenant, _, err := h.tenants.BySlug(ctx, args[1])
	if err != nil {
		return err
	}
	who, rest := app.Command(tenant), args[2:]
	switch verb := noun + " " + args[0]; {
	case noun == "tenant":
		return h.commandTenant(ctx, who, args[0], rest, out)
	case noun == "prices":
		return h.commandPrices(ctx, who, args[0], rest, out)
	case verb == "node create" && (len(rest) == 2 || len(rest) == 3):
		return h.createNode(ctx, who, rest)
	case verb == "key create" && len(rest) == 2:
		return h.createKey(ctx, who, rest[0], rest[1], out)
	case verb == "key revoke" && len(rest) == 2:
		key, err := id.ParseKey(rest[0])
		if err != nil {
			return err
		}
		return h.keys.Revoke(ctx, who, key, rest[1])
	}
	return misuse("%s: %q with %d arguments means nothing", noun, args[0], len(args)-1)
}

func (h *house) createNode(ctx context.Context, who app.Actor, args []string) error {
	n := app.NewNode{Code: args[0], Name: args[1], Kind: "cost_center", Capitalization: "expense"}
	if len(args) == 3 {
		n.ParentCode = args[2]
	}
	return h.nodes.Create(ctx, who, []app.NewNode{n}, time.Time{}, byCommand)
}

func (h *house) createKey(ctx context.Context, who app.Actor, costCenter, label string, out io.Writer) error {
	made, err := h.keys.Create(ctx, who, app.NewKey{CostCenter: costCenter, Label: label}, byCommand)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s  %s\nThis is the only time the key is shown.\n", made.ID, made.Secret.Reveal())
	return err
}
