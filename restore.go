package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/backup"
	"tollbook/db"
	"tollbook/gateway"
	"tollbook/gateway/journal"
)

// restoreRun is one restore: the files, and where they go.
type restoreRun struct {
	from       string // the data
	keysFrom   string // the keys' file, or a directory whose newest is taken
	laterKeys  string // another keys' file, for the erasures it names
	checkpoint string // heads held outside
	writeKeys  string // where the keys are written for the configuration
	database   string // a superuser's URL
	journals   string // root of the gateways' journals here
	opening    backup.Opening
	out        io.Writer
	progress   io.Writer

	keys   *backup.Keys
	erased []backup.Erased
	again  int // subjects of them that these rows held
	house  *house
}

// commandRestore brings a backup into a database that does not exist yet.
func commandRestore(ctx context.Context, args []string, out, progress io.Writer) error {
	r := &restoreRun{out: out, progress: progress}
	var identity string
	if _, err := parse("restore", args, func(f *flag.FlagSet) {
		f.StringVar(&r.from, "from", "", "")
		f.StringVar(&r.keysFrom, "keys", "", "")
		f.StringVar(&r.laterKeys, "later-keys", "", "")
		f.StringVar(&identity, "identity", "", "")
		f.StringVar(&r.checkpoint, "checkpoint", "", "")
		f.StringVar(&r.writeKeys, "write-keys", "", "")
	}, false); err != nil {
		return err
	}
	if r.from == "" {
		return misuse("restore: say what from, with --from FILE.zip")
	}
	e := &environment{lookup: os.LookupEnv}
	if identity != "" {
		content, err := os.ReadFile(identity)
		if err != nil {
			return fmt.Errorf("--identity: %w", err)
		}
		r.opening.Identities = secret.NewText(string(content))
	} else {
		r.opening.Passphrase = secret.NewText(e.need("TOLLBOOK_BACKUP_PASSPHRASE", "the passphrase that the keys were encrypted with, or give --identity FILE"))
	}
	r.database, r.journals = e.database("TOLLBOOK_MIGRATE_DATABASE_URL", "superuser"), e.text("TOLLBOOK_JOURNAL_DIR")
	if err := e.err(); err != nil {
		return err
	}
	return r.run(ctx)
}

func (r *restoreRun) run(ctx context.Context) error {
	heads, err := readHeads(r.checkpoint)
	if err != nil {
		return err
	}
	if err := r.readKeys(); err != nil {
		return err
	}
	ring, err := secret.NewKeyring(r.keys.MasterKeys...)
	if err != nil {
		return fmt.Errorf("the keys' file: %w", err)
	}
	data, err := backup.Open(r.from, ring.DeriveEach(backup.SealPurpose))
	if err != nil {
		return err
	}
	defer data.Close()
	if len(data.Manifest.Journals) > 0 && r.journals == "" {
		return errors.New("this backup holds gateways' journals: set TOLLBOOK_JOURNAL_DIR to the directory where they go until they are in the ledger")
	}
	into, err := db.OpenRestore(ctx, r.database)
	if err != nil {
		return err
	}
	defer into.Close(ctx)
	if err := r.load(ctx, data, into); err != nil {
		return err
	}
	if err := r.move(ctx, into); err != nil {
		return fmt.Errorf("the rows are in, and the database stays closed to all but a superuser: %w", err)
	}
	defer r.house.db.Close()
	if err := r.writeConfiguration(); err != nil {
		return err
	}
	bad, err := r.verify(ctx, heads)
	if err != nil {
		return err
	}
	if err := r.note(ctx, &data.Manifest); err != nil {
		return err
	}
	if err := r.adopt(ctx, data, ring); err != nil {
		return err
	}
	if err := into.Finish(ctx); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(r.out, "restored %s as of %s: %d rows of %d tables\n", data.Manifest.Name, data.Manifest.AsOf.Format(time.RFC3339), data.Manifest.Rows(), len(data.Manifest.Tables))
	return bad
}

// readKeys opens the keys. Of a directory the newest are taken: keys that were destroyed
// since the backup are not in them, and they name whose.
func (r *restoreRun) readKeys() error {
	path := r.keysFrom
	if path == "" {
		path = filepath.Dir(r.from)
	}
	if at, err := os.Stat(path); err == nil && at.IsDir() {
		found, err := filepath.Glob(filepath.Join(path, "*"+keysSuffix))
		if err != nil || len(found) == 0 {
			return fmt.Errorf("there is no file *%s in %s; name one with --keys", keysSuffix, path)
		}
		path = slices.Max(found) // their names begin with their time
	}
	var err error
	if r.keys, err = backup.ReadKeys(path, r.opening); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(r.progress, "keys of %s from %s\n", r.keys.AsOf.UTC().Format(time.RFC3339), path)
	r.erased = slices.Clone(r.keys.Erased)
	if r.laterKeys != "" {
		later, err := backup.ReadKeys(r.laterKeys, r.opening)
		if err != nil {
			return fmt.Errorf("--later-keys: %w", err)
		}
		r.erased = append(r.erased, later.Erased...)
	}
	return nil
}

// load writes every table in one transaction, or nothing.
func (r *restoreRun) load(ctx context.Context, data *backup.Reader, into *db.Restore) error {
	m := &data.Manifest
	if err := into.Prepare(ctx, m.SchemaVersion, m.Months); err != nil {
		return err
	}
	tables := make([]db.BackupTable, 0, len(m.Tables))
	for _, t := range m.Tables {
		tables = append(tables, db.BackupTable{Schema: t.Schema, Name: t.Name, Columns: t.Columns})
	}
	return into.Load(ctx, tables, func(l *db.Loading) error {
		for i, t := range m.Tables {
			var rows int64
			err := data.Read(t.File, func(from io.Reader) (err error) {
				rows, err = l.Table(tables[i], from)
				return err
			})
			if err == nil && rows != t.Rows {
				err = fmt.Errorf("%s has %d rows and its manifest says %d", t.Name, rows, t.Rows)
			}
			if err != nil {
				return err
			}
			if rows > 0 {
				_, _ = fmt.Fprintf(r.progress, "%3d/%d %-28s %d rows\n", i+1, len(tables), t.Name, rows)
			}
		}
		return nil
	})
}

// move brings the rows to this release's schema, gives back the keys of people, and applies
// again what was erased since the backup, before anybody can read it.
func (r *restoreRun) move(ctx context.Context, into *db.Restore) error {
	taken, err := into.Migrate(ctx)
	if err != nil {
		return err
	}
	for _, step := range taken {
		_, _ = fmt.Fprintln(r.progress, "migrated", step.Name)
	}
	tables := make([]db.BackupTable, 0, len(r.keys.Tables))
	for _, t := range r.keys.Tables {
		tables = append(tables, db.BackupTable{Schema: t.Schema, Name: t.Name, Columns: t.Columns})
	}
	if err := into.LoadKeys(ctx, tables, func(i int) io.Reader { return bytes.NewReader(r.keys.Tables[i].Content) }); err != nil {
		return err
	}
	list := make([]db.DumpedErasure, 0, len(r.erased))
	for _, e := range r.erased {
		list = append(list, db.DumpedErasure{Tenant: e.Tenant, Kind: e.Kind, Subject: e.Subject, Change: e.Change, ErasedAt: e.ErasedAt})
	}
	if r.again, err = into.Erase(ctx, list); err != nil {
		return err
	}
	if r.again > 0 {
		_, _ = fmt.Fprintf(r.out, "erasures applied again: %d\n", r.again)
	}
	return r.assemble(ctx, into)
}

// assemble opens the restored database as the roles that run; they cannot connect by
// themselves yet.
func (r *restoreRun) assemble(ctx context.Context, into *db.Restore) error {
	asApp, err := into.AsRole("tollbook_app")
	if err != nil {
		return err
	}
	asSystem, err := into.AsRole("tollbook_system")
	if err != nil {
		return err
	}
	r.house, err = assemble(ctx, settings{
		DatabaseURL: asApp, SystemDatabaseURL: asSystem, MasterKeys: r.keys.MasterKeys, LogKey: r.keys.LogKey, JournalDir: r.journals,
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, Only: []string{"jobs"}, Limits: standardLimits(),
	}, slog.New(slog.NewTextHandler(r.progress, &slog.HandlerOptions{Level: slog.LevelError})))
	return err
}

// verify recomputes every tenant's log and compares it with what was signed, and with the
// heads held outside.
func (r *restoreRun) verify(ctx context.Context, outside map[id.Tenant][]byte) (bad, err error) {
	tenants, err := r.house.tenants.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		if _, err := r.house.audit.Sequence(ctx, t.ID); err != nil {
			return nil, err
		}
		check, err := r.house.records.Verify(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		if !check.Good {
			bad = errors.Join(bad, fmt.Errorf("the log of %s is broken at record %d: %s", t.Slug, check.Sequence, check.Why))
			continue
		}
		said := fmt.Sprintf("%d records recomputed, and they agree with every head that was signed", check.Size)
		if message, ok := outside[t.ID]; ok {
			found, err := r.house.records.CompareOutside(ctx, t.ID, message)
			if err != nil {
				bad = errors.Join(bad, fmt.Errorf("the log of %s: %w", t.Slug, err))
				continue
			}
			if found.Why != "" {
				bad = errors.Join(bad, fmt.Errorf("the log of %s: %s", t.Slug, found.Why))
				continue
			}
			said += fmt.Sprintf("; it begins with the %d whose head is held outside", found.Head)
		} else if len(outside) > 0 {
			said += "; no head of it is held outside"
		}
		_, _ = fmt.Fprintf(r.out, "log of %s: %s\n", t.Slug, said)
	}
	for tenant := range outside {
		if !slices.ContainsFunc(tenants, func(t app.TenantView) bool { return t.ID == tenant }) {
			bad = errors.Join(bad, fmt.Errorf("a head of %s is held outside, and that company is not in the backup", tenant))
		}
	}
	return bad, nil
}

// adopt brings what gateways had not flushed into the ledger. A journal that is here
// already stays: its gateway's disk survived, and it has at least as much.
func (r *restoreRun) adopt(ctx context.Context, data *backup.Reader, ring *secret.Keyring) error {
	keys := ring.DeriveEach(journalPurpose)
	cfg := journal.Config{Root: r.journals, MACKey: keys[0], OldKeys: keys[1:]}
	for replica, segments := range byReplica(data.Manifest.Journals) {
		made, err := journal.Place(r.journals, replica, func(segment func(string, io.Reader) error) error {
			for _, s := range segments {
				if err := data.Read(s.File, func(from io.Reader) error { return segment(s.Name, from) }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("restore journal %s: %w", replica, err)
		}
		if !made {
			_, _ = fmt.Fprintf(r.progress, "journal %s is here already and stays; a gateway that starts here adopts it\n", replica)
			continue
		}
		done, err := gateway.Adopt(ctx, cfg, replica, r.house.metering)
		if err != nil {
			return fmt.Errorf("journal %s stays in %s for a gateway to adopt: %w", replica, r.journals, err)
		}
		_, _ = fmt.Fprintf(r.progress, "journal %s: %d requests, %d new in the ledger, %d open\n", replica, done.Requests, done.Added, done.Open)
	}
	return nil
}

func byReplica(segments []backup.Segment) map[string][]backup.Segment {
	list := map[string][]backup.Segment{}
	for _, s := range segments {
		list[s.Replica] = append(list[s.Replica], s)
	}
	return list
}

// writeConfiguration writes the keys for an environment file, where that was asked for.
func (r *restoreRun) writeConfiguration() error {
	if r.writeKeys == "" {
		return nil
	}
	masters := make([]string, 0, len(r.keys.MasterKeys))
	for _, m := range r.keys.MasterKeys {
		masters = append(masters, m.Reveal())
	}
	text := "TOLLBOOK_MASTER_KEY=" + strings.Join(masters, ",") + "\n"
	if !r.keys.LogKey.IsZero() {
		text += "TOLLBOOK_LOG_KEY=" + r.keys.LogKey.Reveal() + "\n"
	}
	return backup.Plain(r.writeKeys, []byte(text))
}

// readHeads reads heads that were held outside: the file that a backup wrote, or one
// checkpoint as the log's page gives it.
func readHeads(path string) (map[id.Tenant][]byte, error) {
	list := map[id.Tenant][]byte{}
	if path == "" {
		return list, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--checkpoint: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		origin, _, _ := strings.Cut(string(content), "\n")
		tenant, err := id.ParseTenant(origin[strings.LastIndex(origin, "/")+1:])
		if err != nil || auditlog.Origin(tenant) != origin {
			return nil, fmt.Errorf("--checkpoint: %s is neither the file that a backup wrote nor a checkpoint of a log", path)
		}
		list[tenant] = content
		return list, nil
	}
	var file heads
	if err := json.Unmarshal(content, &file); err != nil || file.Format != headsFormat {
		return nil, fmt.Errorf("--checkpoint: %s is no file of checkpoints", path)
	}
	for _, l := range file.Logs {
		tenant, err := id.ParseTenant(l.Tenant)
		if err != nil {
			return nil, fmt.Errorf("--checkpoint: %w", err)
		}
		if l.Checkpoint != "" {
			list[tenant] = []byte(l.Checkpoint)
		}
	}
	return list, nil
}

// note records in every tenant's log that it comes from a backup.
func (r *restoreRun) note(ctx context.Context, m *backup.Manifest) error {
	tenants, err := r.house.tenants.List(ctx)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		if err := r.house.records.NoteRestored(ctx, t.ID, app.Restored{Backup: m.Name, AsOf: m.AsOf.Format(time.RFC3339), Rows: m.Rows(), Erased: r.again, Release: m.CodeVersion}); err != nil {
			return err
		}
	}
	return nil
}
