package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tollbook/app/secret"
	"tollbook/backup"
	"tollbook/db"
	"tollbook/demo"
	"tollbook/gateway/journal"
)

// backupRun is one backup: what is read, and where it goes.
type backupRun struct {
	database string // URL of a role that sees every row
	masters  []secret.Text
	logKey   secret.Text
	journals string // root of the gateways' journals; empty: there is none here
	to       string // directory of the data
	keysTo   string // directory of the keys
	headsTo  string // directory of the logs' heads
	keysOnly bool
	protect  backup.Protection
	now      func() time.Time
	out      io.Writer
	progress io.Writer

	name string
	keys backup.Keys
}

// commandBackup writes database, journals and keys.
func commandBackup(ctx context.Context, args []string, out, progress io.Writer) error {
	b := &backupRun{now: time.Now, out: out, progress: progress}
	var demoDir string
	if _, err := parse("backup", args, func(f *flag.FlagSet) {
		f.StringVar(&b.to, "to", "", "")
		f.StringVar(&b.keysTo, "keys-to", "", "")
		f.StringVar(&b.headsTo, "heads-to", "", "")
		f.StringVar(&demoDir, "data", "", "")
		f.BoolVar(&b.keysOnly, "keys-only", false, "")
		f.Func("recipient", "", func(text string) error { b.protect.Recipients = append(b.protect.Recipients, text); return nil })
	}, false); err != nil {
		return err
	}
	if b.to == "" {
		return misuse("backup: say where to, with --to DIR")
	}
	e := &environment{lookup: os.LookupEnv}
	if len(b.protect.Recipients) == 0 {
		b.protect.Passphrase = secret.NewText(e.need("TOLLBOOK_BACKUP_PASSPHRASE", "a long passphrase that encrypts the keys, or give --recipient age1…"))
	}
	if demoDir != "" {
		if err := b.ofDemo(demoDir); err != nil {
			return err
		}
	} else {
		b.database = backupURL(e)
		b.masters, b.logKey, b.journals = e.masterKeys(), e.logKey(), e.text("TOLLBOOK_JOURNAL_DIR")
	}
	if err := e.err(); err != nil {
		return err
	}
	if err := b.protect.Check(); err != nil {
		return err
	}
	return b.run(ctx)
}

// backupURL is a role's that sees every row; where none is named for backups, the one that
// migrates, which may be a superuser's.
func backupURL(e *environment) string {
	if e.text("TOLLBOOK_BACKUP_DATABASE_URL") == "" && e.text("TOLLBOOK_MIGRATE_DATABASE_URL") != "" {
		return e.database("TOLLBOOK_MIGRATE_DATABASE_URL", "superuser")
	}
	return e.database("TOLLBOOK_BACKUP_DATABASE_URL", "tollbook_backup")
}

// ofDemo reads where the demo of a data directory, which has to be running, keeps things.
func (b *backupRun) ofDemo(dir string) error {
	var card demo.Card
	content, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err == nil {
		err = json.Unmarshal(content, &card)
	}
	if err != nil {
		return fmt.Errorf("--data: is the demo running there? %w", err)
	}
	state, err := demo.LoadState(dir)
	if err != nil {
		return err
	}
	b.database, b.journals = card.DatabaseURL, filepath.Join(dir, "journal")
	b.masters, b.logKey = []secret.Text{secret.NewText(state.MasterKey)}, secret.NewText(state.LogKey)
	return nil
}

// run backs up. The journals are read before the database: what a gateway flushes in
// between is in both, and adoption knows it again; the other way round it would be in
// neither.
func (b *backupRun) run(ctx context.Context) error {
	ring, err := secret.NewKeyring(b.masters...)
	if err != nil {
		return fmt.Errorf("TOLLBOOK_MASTER_KEY: %w", err)
	}
	for _, dir := range []*string{&b.keysTo, &b.headsTo} {
		if *dir == "" {
			*dir = b.to
		}
	}
	for _, dir := range []string{b.to, b.keysTo, b.headsTo} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the backup's directory: %w", err)
		}
	}
	b.name = "tollbook-" + b.now().UTC().Format("20060102T150405Z")
	data := filepath.Join(b.to, b.name+".zip")
	var w *backup.Writer
	var copied []string
	if !b.keysOnly {
		if w, err = backup.Create(data, backup.Manifest{Name: b.name, AsOf: b.now().UTC().Truncate(time.Second), CodeVersion: version, Notes: backupNotes(), Journals: []backup.Segment{}}); err != nil {
			return err
		}
		defer w.Abandon() // does nothing to a file that has its name
		if copied, err = b.copyJournals(w, ring.DeriveEach(journalPurpose)); err != nil {
			return err
		}
	}
	dump, err := db.OpenDump(ctx, b.database)
	if err != nil {
		return err
	}
	defer dump.Close(ctx)
	b.keys = backup.Keys{AsOf: dump.AsOf, CodeVersion: version, SchemaVersion: dump.Schema, MasterKeys: b.masters, LogKey: b.logKey}
	erased, err := dump.Erasures(ctx)
	if err != nil {
		return err
	}
	for _, e := range erased {
		b.keys.Erased = append(b.keys.Erased, backup.Erased{Tenant: e.Tenant, Kind: e.Kind, Subject: e.Subject, Change: e.Change, ErasedAt: e.ErasedAt})
	}
	if err := b.copyTables(ctx, dump, w); err != nil {
		return err
	}
	if w != nil {
		if err := b.missingJournals(ctx, dump, copied); err != nil {
			return err
		}
		if err := w.Finish(ring.Derive(backup.SealPurpose)); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(b.out, "data   %s  (%d rows of %d tables as of %s)\n", data, w.Manifest.Rows(), len(w.Manifest.Tables), dump.AsOf.Format(time.RFC3339))
	}
	path := filepath.Join(b.keysTo, b.name+keysSuffix)
	if err := b.keys.Write(path, b.protect); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.out, "keys   %s  (encrypted; keep it apart from the data)\n", path)
	return b.writeHeads(ctx, dump)
}

const (
	keysSuffix  = ".keys.age"
	headsSuffix = ".checkpoints"
)

func backupNotes() []string {
	return []string{
		"Every table is of one instant, in PostgreSQL's text format for COPY, its columns in the order named here. What row security hides from others is in it: keep it as you keep the database.",
		"Journals hold what gateways had not yet written to the database; a restore brings it in, each request once.",
		"Keys are in a file of their own, encrypted; without them names, labels and credentials cannot be read.",
	}
}

// copyJournals copies what each gateway here has not flushed.
func (b *backupRun) copyJournals(w *backup.Writer, keys [][]byte) ([]string, error) {
	if b.journals == "" {
		return nil, nil
	}
	replicas, err := journal.Replicas(b.journals)
	if err != nil {
		return nil, fmt.Errorf("read the journals: %w", err)
	}
	for _, replica := range replicas {
		segments := 0
		_, err := journal.Copy(filepath.Join(b.journals, replica), keys, func(name string, _ int64, content io.Reader) error {
			segments++
			return w.Segment(replica, name, content)
		})
		var broken *journal.CorruptError
		switch {
		case errors.Is(err, os.ErrNotExist): // adopted and removed meanwhile: it is in the ledger
			continue
		case errors.As(err, &broken):
			_, _ = fmt.Fprintf(b.progress, "journal %s is broken, and only what comes before that is backed up: %v\n", replica, err)
		case err != nil:
			return nil, fmt.Errorf("copy journal %s: %w", replica, err)
		}
		_, _ = fmt.Fprintf(b.progress, "journal %s  %d segments\n", replica, segments)
	}
	return replicas, nil
}

// copyTables writes every table where it belongs: keys of people to the keys.
func (b *backupRun) copyTables(ctx context.Context, dump *db.Dump, w *backup.Writer) error {
	if w != nil {
		w.Manifest.AsOf, w.Manifest.SchemaVersion, w.Manifest.Months, w.Manifest.KeyTables = dump.AsOf, dump.Schema, dump.Months, []string{}
	}
	for i, t := range dump.Tables {
		as := backup.Table{Schema: t.Schema, Name: t.Name, Columns: t.Columns}
		if t.IsKeys() {
			var rows bytes.Buffer
			n, err := dump.Copy(ctx, t, &rows)
			if err != nil {
				return err
			}
			as.Rows = n
			b.keys.Tables = append(b.keys.Tables, backup.KeyTable{Table: as, Content: rows.Bytes()})
			if w != nil {
				w.Manifest.KeyTables = append(w.Manifest.KeyTables, t.Name)
			}
			continue
		}
		if w == nil {
			continue
		}
		var rows int64
		if err := w.Table(as, func(to io.Writer) (n int64, err error) {
			rows, err = dump.Copy(ctx, t, to)
			return rows, err
		}); err != nil {
			return err
		}
		if rows > 0 {
			_, _ = fmt.Fprintf(b.progress, "%3d/%d %-28s %d rows\n", i+1, len(dump.Tables), t.Name, rows)
		}
	}
	return nil
}

// missingJournals says which gateways' journals are not among those copied: they are on
// other machines, and what these have not flushed is in no backup.
func (b *backupRun) missingJournals(ctx context.Context, dump *db.Dump, copied []string) error {
	live, err := dump.LiveReplicas(ctx)
	if err != nil {
		return err
	}
	for _, replica := range live {
		if !slices.Contains(copied, replica) {
			_, _ = fmt.Fprintf(b.progress, "the journal of gateway %s is not on this machine (TOLLBOOK_JOURNAL_DIR): what it has not flushed is not in this backup\n", replica)
		}
	}
	return nil
}

// heads is the file of the logs' newest signed heads, to be held elsewhere.
type heads struct {
	Format string    `json:"format"`
	AsOf   time.Time `json:"as_of"`
	Logs   []head    `json:"logs"`
}

type head struct {
	Tenant     string `json:"tenant"`
	Slug       string `json:"slug"`
	Records    int64  `json:"records"`    // in the backup
	Checkpoint string `json:"checkpoint"` // signed; empty: none was
}

const headsFormat = "tollbook checkpoints 1"

func (b *backupRun) writeHeads(ctx context.Context, dump *db.Dump) error {
	logs, err := dump.Logs(ctx)
	if err != nil {
		return err
	}
	file := heads{Format: headsFormat, AsOf: dump.AsOf, Logs: []head{}}
	for _, l := range logs {
		file.Logs = append(file.Logs, head{Tenant: l.Tenant.String(), Slug: l.Slug, Records: l.Size, Checkpoint: string(l.Message)})
	}
	document, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("encode checkpoints: %w", err)
	}
	path := filepath.Join(b.headsTo, b.name+headsSuffix)
	if err := backup.Plain(path, append(document, '\n')); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.out, "heads  %s  (no secret; hold it where nobody who can change the database can change it)\n", path)
	for _, l := range file.Logs {
		if l.Checkpoint == "" {
			_, _ = fmt.Fprintf(b.out, "\n%s: %d records, and no head was ever signed\n", l.Slug, l.Records)
			continue
		}
		_, _ = fmt.Fprintf(b.out, "\n%s: %d records\n%s\n", l.Slug, l.Records, strings.TrimSpace(l.Checkpoint))
	}
	return nil
}
