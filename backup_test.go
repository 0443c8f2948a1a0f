package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/secret"
	"tollbook/backup"
	"tollbook/db"
	"tollbook/db/dbtest"
	"tollbook/gateway/journal"
)

var passphrase = secret.NewText("correct horse battery staple") //nolint:gochecknoglobals // a constant in all but name

// database is the name of the house's database.
func (s *watched) database() string {
	return regexp.MustCompile(`test_\d+`).FindString(s.settings.DatabaseURL)
}

// backUp makes a backup of the house as it runs, and returns its name without suffix.
func (s *watched) backUp(t *testing.T, dir string, set ...func(*backupRun)) string {
	t.Helper()
	var out bytes.Buffer
	b := &backupRun{
		database: dbtest.URLOf(s.database(), "tollbook"), masters: s.settings.MasterKeys, logKey: s.settings.LogKey, journals: s.settings.JournalDir,
		to: dir, protect: backup.Protection{Passphrase: passphrase}, now: time.Now, out: &out, progress: io.Discard,
	}
	for _, f := range set {
		f(b)
	}
	require.NoError(t, b.run(t.Context()))
	return b.name
}

// restoring is a restore of a backup into a database that does not exist.
func restoring(t *testing.T, from string) (*restoreRun, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	name := "restored_" + strings.ToLower(regexp.MustCompile(`\W`).ReplaceAllString(t.Name(), "_"))
	t.Cleanup(func() { drop(t, name) })
	return &restoreRun{from: from, database: dbtest.URLOf(name, "tollbook"), journals: t.TempDir(), opening: backup.Opening{Passphrase: passphrase}, out: &out, progress: io.Discard}, &out
}

func drop(t *testing.T, name string) {
	t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(t.Context()), dbtest.URLOf("postgres", "tollbook"))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(context.WithoutCancel(t.Context()), "drop database if exists "+name+" with (force)")
	require.NoError(t, err)
}

// row reads one row as superuser.
func row(t *testing.T, url, query string, into ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(into...))
}

const sums = `select (select count(*) from usage_event), (select coalesce(sum(charge_pico), 0)::text from usage_event), (select coalesce(sum(amount_pico), 0)::text from usage_batch),
	(select coalesce(sum(charge_pico), 0)::text from rollup_placement_day)`

// TestABackupOfARunningHouseIsRestoredWithEveryRequestOnce holds the ledger while requests
// come, so that some are in the journal alone, and others in both.
func TestABackupOfARunningHouseIsRestoredWithEveryRequestOnce(t *testing.T) {
	t.Parallel()
	s := openHouse(t, func(s *settings) { s.LogKey = secret.NewMaster() })
	s.tenant(t, "one", providerServer(t), "sk-one")
	s.tenant(t, "two", providerServer(t), "sk-two")
	s.leave(t, "two", false)
	s.begin(t)
	const path = "/v1/messages"
	for range 5 {
		s.post(t, "one", s.key["one"], path, operationsQuestion)
	}
	super := dbtest.URLOf(s.database(), "tollbook")
	settled := func(url string, events int64) bool {
		var n int64
		row(t, url, `select count(*) from usage_event`, &n)
		return n == events
	}
	require.Eventually(t, func() bool { return settled(super, 7) }, 20*time.Second, 10*time.Millisecond)
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	for _, tenant := range list {
		_, err := s.audit.Sequence(t.Context(), tenant.ID)
		require.NoError(t, err)
		require.NoError(t, s.records.Sign(t.Context(), tenant.ID))
	}

	hold, err := pgx.Connect(t.Context(), super)
	require.NoError(t, err)
	defer hold.Close(context.WithoutCancel(t.Context()))
	held, err := hold.Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), `lock table usage_event, usage_batch in exclusive mode`)
	require.NoError(t, err)
	for range 4 {
		s.post(t, "one", s.key["one"], path, operationsQuestion)
	}
	dir, keys := t.TempDir(), t.TempDir()
	name := s.backUp(t, dir, func(b *backupRun) { b.keysTo = keys })
	require.True(t, settled(super, 7), "the four are in the journal alone")
	require.NoError(t, held.Rollback(t.Context()))
	require.Eventually(t, func() bool { return settled(super, 11) }, 20*time.Second, 10*time.Millisecond)

	r, out := restoring(t, filepath.Join(dir, name+".zip"))
	r.keysFrom, r.checkpoint, r.writeKeys = keys, filepath.Join(dir, name+headsSuffix), filepath.Join(t.TempDir(), "keys.env")
	require.NoError(t, r.run(t.Context()))
	require.Equal(t, 2, strings.Count(out.String(), "whose head is held outside"), out)
	var was, is [4]string
	row(t, super, strings.ReplaceAll(sums, "count(*)", "count(*)::text"), &was[0], &was[1], &was[2], &was[3])
	row(t, r.database, strings.ReplaceAll(sums, "count(*)", "count(*)::text"), &is[0], &is[1], &is[2], &is[3])
	require.Equal(t, was, is)
	require.Equal(t, "11", is[0])
	require.Equal(t, is[1], is[2])
	left, err := journal.Replicas(r.journals)
	require.NoError(t, err)
	require.Empty(t, left, "adopted and gone")
	content, err := os.ReadFile(r.writeKeys)
	require.NoError(t, err)
	require.Equal(t, "TOLLBOOK_MASTER_KEY="+s.settings.MasterKeys[0].Reveal()+"\nTOLLBOOK_LOG_KEY="+s.settings.LogKey.Reveal()+"\n", string(content))

	archive, err := os.ReadFile(filepath.Join(dir, name+".zip"))
	require.NoError(t, err)
	require.NotContains(t, string(archive), s.settings.MasterKeys[0].Reveal())
	sealed, err := os.ReadFile(filepath.Join(keys, name+keysSuffix))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(sealed, []byte("age-encryption.org/v1")))

	// The restored house serves, and is never written over.
	require.ErrorContains(t, anew(t, r).run(t.Context()), "not empty")
	again := openRestored(t, r)
	for _, tenant := range list {
		agree, err := again.audit.ProveSums(t.Context(), tenant.ID)
		require.NoError(t, err)
		require.True(t, agree)
		check, err := again.records.Verify(t.Context(), tenant.ID)
		require.NoError(t, err)
		require.True(t, check.Good, check.Why)
	}
}

// anew is the same restore a second time, into the same database.
func anew(t *testing.T, r *restoreRun) *restoreRun {
	t.Helper()
	again := *r
	again.writeKeys, again.journals, again.house = "", t.TempDir(), nil
	return &again
}

// openRestored opens what was restored as the roles that run.
func openRestored(t *testing.T, r *restoreRun) *house {
	t.Helper()
	name := restoredName(r)
	h, err := assemble(t.Context(), settings{
		DatabaseURL: dbtest.URLOf(name, "tollbook_app"), SystemDatabaseURL: dbtest.URLOf(name, "tollbook_system"),
		MasterKeys: r.keys.MasterKeys, LogKey: r.keys.LogKey, JournalDir: r.journals, Limits: standardLimits(),
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, Only: []string{"jobs"},
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(h.db.Close)
	return h
}

// small is a house with one company and a signed head, backed up.
func small(t *testing.T) (s *watched, dir, name string) {
	t.Helper()
	s = openHouse(t, func(s *settings) { s.LogKey = secret.NewMaster() })
	s.tenant(t, "one", "http://127.0.0.1:9", "sk-one")
	s.sign(t)
	dir = t.TempDir()
	return s, dir, s.backUp(t, dir)
}

// sign gives every record its place and signs the heads.
func (s *watched) sign(t *testing.T) {
	t.Helper()
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	for _, tenant := range list {
		_, err := s.audit.Sequence(t.Context(), tenant.ID)
		require.NoError(t, err)
		require.NoError(t, s.records.Sign(t.Context(), tenant.ID))
	}
}

// stopAt ends a restore when it says it has come to a table.
type stopAt struct {
	table string
	stop  context.CancelFunc
}

func (s *stopAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), " "+s.table+" ") {
		s.stop()
	}
	return len(p), nil
}

func TestARestoreThatEndsInTheMiddleWroteNothingAndBeginsAnew(t *testing.T) {
	t.Parallel()
	_, dir, name := small(t)
	r, _ := restoring(t, filepath.Join(dir, name+".zip"))
	ctx, stop := context.WithCancel(t.Context())
	r.progress = &stopAt{"change", stop}
	require.ErrorIs(t, r.run(ctx), context.Canceled)
	var tenants int
	row(t, r.database, `select (select count(*) from tenant) + (select count(*) from audit_record)`, &tenants)
	require.Zero(t, tenants)
	_, err := pgx.Connect(t.Context(), strings.Replace(r.database, "user=tollbook ", "user=tollbook_app ", 1))
	require.ErrorContains(t, err, "permission denied for database", "nobody works with half a restore")
	r.progress = io.Discard
	require.NoError(t, r.run(t.Context()))
	row(t, r.database, `select count(*) from tenant`, &tenants)
	require.Equal(t, 1, tenants)
	openRestored(t, r)
}

func TestARestoreThatEndedAfterItsRowsStaysClosed(t *testing.T) {
	t.Parallel()
	_, dir, name := small(t)
	r, _ := restoring(t, filepath.Join(dir, name+".zip"))
	r.writeKeys = filepath.Join(t.TempDir(), "missing", "keys.env") // cannot be written: the restore ends there
	require.Error(t, r.run(t.Context()))
	_, err := pgx.Connect(t.Context(), strings.Replace(r.database, "user=tollbook ", "user=tollbook_app ", 1))
	require.ErrorContains(t, err, "permission denied for database")
	require.ErrorContains(t, anew(t, r).run(t.Context()), "did not finish")
}

func TestWhatWasChangedInABackupIsNotRestored(t *testing.T) {
	t.Parallel()
	_, dir, name := small(t)
	data, keys := filepath.Join(dir, name+".zip"), filepath.Join(dir, name+keysSuffix)
	flipped := func(path string, at func([]byte) int) string {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		content[at(content)] ^= 1
		to := filepath.Join(t.TempDir(), filepath.Base(path))
		require.NoError(t, os.WriteFile(to, content, 0o600))
		return to
	}
	refuse := func(why string, set func(*restoreRun)) {
		t.Helper()
		r, _ := restoring(t, data)
		r.keysFrom = keys
		set(r)
		require.ErrorContains(t, r.run(t.Context()), why)
	}
	refuse("does not open", func(r *restoreRun) { r.opening.Passphrase = secret.NewText("wrong") })
	refuse("does not open", func(r *restoreRun) { r.keysFrom = flipped(keys, func(b []byte) int { return len(b) - 9 }) })
	entry := func(name string) func([]byte) int {
		return func(b []byte) int { // a byte of the compressed content behind its first local header
			at := bytes.Index(b, []byte(name))
			require.Positive(t, at)
			return at + len(name) + 40
		}
	}
	refuse("is not what was backed up", func(r *restoreRun) { r.from = flipped(data, entry("tables/public.audit_record.copy")) })
	refuse("manifest", func(r *restoreRun) { r.from = flipped(data, entry("manifest.json")) })
	refuse("no whole backup", func(r *restoreRun) {
		r.from = filepath.Join(t.TempDir(), "short.zip")
		content, err := os.ReadFile(data)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(r.from, content[:len(content)/2], 0o600))
	})
	other := openHouse(t, nil)
	others := t.TempDir()
	theirs := other.backUp(t, others)
	refuse("manifest was changed, or its keys are not those", func(r *restoreRun) { r.keysFrom = filepath.Join(others, theirs+keysSuffix) })
	refuse("is neither the file", func(r *restoreRun) { r.checkpoint = keys })
	refuse("there is no file", func(r *restoreRun) { r.keysFrom = t.TempDir() })
	refuse("restore needs a superuser", func(r *restoreRun) { r.database = dbtest.URLOf(other.database(), "tollbook_app") })
}

// TestAnOlderBackupThanTheHeadHeldOutsideIsNamed restores yesterday's backup against
// today's head, as who would like the records since to be forgotten.
func TestAnOlderBackupThanTheHeadHeldOutsideIsNamed(t *testing.T) {
	t.Parallel()
	s, dir, name := small(t)
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	var before int64
	row(t, dbtest.URLOf(s.database(), "tollbook"), `select (select count(*) from audit_leaf) + (select count(*) from audit_pending)`, &before)
	_, err = s.records.Verify(t.Context(), list[0].ID)
	require.NoError(t, err)
	s.sign(t)
	later := t.TempDir()
	newer := s.backUp(t, later)
	r, out := restoring(t, filepath.Join(dir, name+".zip"))
	r.checkpoint = filepath.Join(later, newer+headsSuffix)
	err = r.run(t.Context())
	require.ErrorContains(t, err, "records "+itoa(before)+" to "+itoa(before)+" are missing")
	require.Contains(t, out.String(), "restored "+name, "it is there all the same, and says so")

	// One head alone, as the log's page gives it; and one of a log that was another.
	var alone string
	row(t, dbtest.URLOf(s.database(), "tollbook"), `select convert_from(message, 'UTF8') from audit_checkpoint order by size desc limit 1`, &alone)
	path := filepath.Join(t.TempDir(), "head")
	require.NoError(t, os.WriteFile(path, []byte(alone), 0o600))
	heads, err := readHeads(path)
	require.NoError(t, err)
	require.Equal(t, []byte(alone), heads[list[0].ID])
	h := openRestored(t, r)
	_, err = h.audit.Sequence(t.Context(), list[0].ID)
	require.NoError(t, err)
	found, err := h.records.CompareOutside(t.Context(), list[0].ID, []byte(alone))
	require.NoError(t, err)
	require.Contains(t, found.Why, "are not those whose head is held outside", "the restore's own records came where the lost ones were")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestABackupOfAnOlderSchemaIsBroughtForward(t *testing.T) {
	t.Parallel()
	const older = 27
	s := openHouse(t, nil)
	old, _ := restoring(t, "")
	old.database = strings.Replace(old.database, "dbname=restored_", "dbname=old_restored_", 1)
	into, err := db.OpenRestore(t.Context(), old.database)
	require.NoError(t, err)
	t.Cleanup(func() { drop(t, regexp.MustCompile(`old_restored_\w+`).FindString(old.database)) })
	require.NoError(t, into.Prepare(t.Context(), older, []string{"2026-10-01", "2026-11-01"}))
	require.NoError(t, into.Finish(t.Context()))
	into.Close(t.Context())
	conn, err := pgx.Connect(t.Context(), old.database)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `insert into tenant (tenant_id, slug, name, recorded_at) values (gen_random_uuid(), 'old', E'of an older\nrelease\t\\', now())`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	dir := t.TempDir()
	name := s.backUp(t, dir, func(b *backupRun) { b.database = old.database })

	r, _ := restoring(t, filepath.Join(dir, name+".zip"))
	require.NoError(t, r.run(t.Context()))
	var is, newest int64
	var called string
	row(t, r.database, `select name, (select max(version_id) from goose_db_version) from tenant`, &called, &is)
	row(t, dbtest.URLOf(s.database(), "tollbook"), `select max(version_id) from goose_db_version`, &newest)
	require.Equal(t, newest, is)
	require.Equal(t, "of an older\nrelease\t\\", called)

	data, err := backup.Open(r.from, r.masters(t))
	require.NoError(t, err)
	require.EqualValues(t, older, data.Manifest.SchemaVersion)
	require.NoError(t, data.Close())
	same, err := db.OpenRestore(t.Context(), dbtest.URLOf(s.database(), "tollbook"))
	require.NoError(t, err)
	defer same.Close(t.Context())
	require.ErrorContains(t, same.Prepare(t.Context(), older, nil), "name one that does not exist yet")
	require.ErrorContains(t, same.Prepare(t.Context(), newest+1, nil), "a later release made")
}

// masters are the keys that may have sealed a manifest.
func (r *restoreRun) masters(t *testing.T) [][]byte {
	t.Helper()
	ring, err := secret.NewKeyring(r.keys.MasterKeys...)
	require.NoError(t, err)
	return ring.DeriveEach(backup.SealPurpose)
}

func TestABackupIsNeverWrittenOverNorWithoutProtection(t *testing.T) {
	t.Parallel()
	s := openHouse(t, nil)
	dir := t.TempDir()
	at := time.Date(2026, 11, 26, 7, 0, 0, 0, time.UTC)
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	b := &backupRun{
		database: dbtest.URLOf(s.database(), "tollbook"), masters: s.settings.MasterKeys, to: dir, now: func() time.Time { return at }, out: io.Discard, progress: io.Discard,
		protect: backup.Protection{Recipients: []string{identity.Recipient().String()}},
	}
	require.NoError(t, b.run(t.Context()))
	require.ErrorContains(t, b.run(t.Context()), "exists already")
	k, err := backup.ReadKeys(filepath.Join(dir, "tollbook-20261126T070000Z"+keysSuffix), backup.Opening{Identities: secret.NewText(identity.String())})
	require.NoError(t, err)
	require.Equal(t, s.settings.MasterKeys, k.MasterKeys)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 3, "nothing half made stays")
	for _, f := range files {
		about, err := f.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), about.Mode())
	}
	for _, p := range []backup.Protection{{}, {Recipients: []string{"age1nothing"}}, {Passphrase: passphrase, Recipients: []string{identity.Recipient().String()}}} {
		require.Error(t, p.Check())
	}
	blind := *b
	blind.to, blind.keysTo, blind.headsTo, blind.database = t.TempDir(), "", "", dbtest.URLOf(s.database(), "tollbook_app")
	require.ErrorContains(t, blind.run(t.Context()), "does not see every row")
	left, err := os.ReadDir(blind.to)
	require.NoError(t, err)
	require.Empty(t, left)
	for _, args := range [][]string{{"backup"}, {"restore"}, {"backup", "more"}, {"restore", "--from"}} {
		var misused *usageError
		require.ErrorAs(t, run(t.Context(), args, io.Discard, io.Discard), &misused, args)
	}
}

// TestARestoreAppliesErasuresAgain restores a backup of before an erasure, with the keys of
// after it and with keys of before it.
func TestARestoreAppliesErasuresAgain(t *testing.T) {
	t.Parallel()
	s, _, _ := small(t)
	dir := t.TempDir()
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	ctx, tenant := t.Context(), list[0].ID
	admit := func(role app.Role, subject string) app.Actor {
		_, err := s.members.Add(ctx, app.Command(tenant), app.NewMember{Issuer: "https://idp.test", Subject: subject, Name: subject + " by name", Email: subject + "@one.test", Role: role}, "test")
		require.NoError(t, err)
		cookie, err := s.signIns.Accept(ctx, tenant, app.Claims{Issuer: "https://idp.test", Subject: subject, SignedInAt: time.Now()})
		require.NoError(t, err)
		who, err := s.signIns.BySession(ctx, cookie)
		require.NoError(t, err)
		return who
	}
	owner, fin, ada := admit(app.RoleTenantOwner, "owner"), admit(app.RoleFinanceAdmin, "fin"), admit(app.RoleDeveloper, "ada")
	before := s.backUp(t, dir)
	_, err = s.members.Suspend(ctx, owner, ada.Member, "left")
	require.NoError(t, err)
	change, err := s.approvals.Propose(ctx, owner, app.AskErasure(ada.Member, "asked for it"), "")
	require.NoError(t, err)
	_, err = s.approvals.Rule(ctx, fin, change.ID, app.Ruling{Ruling: approval.Ruling{Verdict: approval.VerdictApprove, Seen: change.Digest, Reason: "asked for it"}})
	require.NoError(t, err)
	later := t.TempDir()
	after := s.backUp(t, later, func(b *backupRun) { b.keysOnly = true })

	data := filepath.Join(dir, before+".zip")
	names := func(r *restoreRun) []string {
		t.Helper()
		require.NoError(t, r.run(ctx))
		h := openRestored(t, r)
		page, err := h.members.List(ctx, owner, app.MemberFilter{})
		require.NoError(t, err)
		var all []string
		for _, m := range page.Rows {
			all = append(all, m.Name+" "+m.Email)
		}
		check, err := h.records.Verify(ctx, tenant)
		require.NoError(t, err)
		require.True(t, check.Good, check.Why)
		slices.Sort(all)
		return all
	}
	erased := []string{app.ErasedName + " ", "fin by name fin@one.test", "owner by name owner@one.test"}
	r, _ := restoring(t, data)
	r.keysFrom = later
	require.Equal(t, erased, names(r))
	require.Equal(t, 1, r.again)
	drop(t, restoredName(r))

	r, _ = restoring(t, data)
	r.keysFrom, r.laterKeys = filepath.Join(dir, before+keysSuffix), filepath.Join(later, after+keysSuffix)
	require.Equal(t, erased, names(r))
	drop(t, restoredName(r))

	r, _ = restoring(t, data) // nothing later is known: the name is back, which is why later keys are kept
	r.keysFrom = filepath.Join(dir, before+keysSuffix)
	require.Equal(t, "ada by name ada@one.test", names(r)[0])
}

// TestTombstonesAndAnOffboardingSurviveARestore purges sign-ins of long ago, lets the company
// go, and finds both in what was restored, with a log that proves them.
func TestTombstonesAndAnOffboardingSurviveARestore(t *testing.T) {
	t.Parallel()
	s, _, _ := small(t)
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	ctx, tenant := t.Context(), list[0].ID
	admit := func(role app.Role, subject string) app.Actor {
		_, err := s.members.Add(ctx, app.Command(tenant), app.NewMember{Issuer: "https://idp.test", Subject: subject, Name: subject, Email: subject + "@one.test", Role: role}, "test")
		require.NoError(t, err)
		cookie, err := s.signIns.Accept(ctx, tenant, app.Claims{Issuer: "https://idp.test", Subject: subject, SignedInAt: time.Now()})
		require.NoError(t, err)
		who, err := s.signIns.BySession(ctx, cookie)
		require.NoError(t, err)
		return who
	}
	owner, fin, ada := admit(app.RoleTenantOwner, "owner"), admit(app.RoleFinanceAdmin, "fin"), admit(app.RoleDeveloper, "ada")
	super, err := pgx.Connect(ctx, dbtest.URLOf(s.database(), "tollbook"))
	require.NoError(t, err)
	defer super.Close(context.WithoutCancel(ctx))
	_, err = super.Exec(ctx, `update session set recorded_at = '2018-11-10' where member_id = $1`, ada.Member.UUID())
	require.NoError(t, err)
	decided := func(ask app.Ask) {
		t.Helper()
		change, err := s.approvals.Propose(ctx, owner, ask, "")
		require.NoError(t, err)
		_, err = s.approvals.Rule(ctx, fin, change.ID, app.Ruling{Ruling: approval.Ruling{Verdict: approval.VerdictApprove, Seen: change.Digest, Reason: "as shown"}})
		require.NoError(t, err)
	}
	decided(app.AskPurge("sessions", nil, "kept long enough"))
	_, err = s.tenants.Export(ctx, app.Command(tenant), "test", io.Discard)
	require.NoError(t, err)
	decided(app.AskOffboarding("one", "", "the contract ended"))
	s.sign(t)

	dir := t.TempDir()
	r, _ := restoring(t, filepath.Join(dir, s.backUp(t, dir)+".zip"))
	require.NoError(t, r.run(ctx))
	const kept = `select (select string_agg(d::text, ' ') from tombstone d) || (select string_agg(o::text, ' ') from offboarding o) || (select string_agg(x::text, ' ') from tenant_export x)`
	var was, is string
	row(t, dbtest.URLOf(s.database(), "tollbook"), kept, &was)
	row(t, r.database, kept, &is)
	require.Equal(t, was, is)
	require.Contains(t, is, "2018-11-01")
	h := openRestored(t, r)
	check, err := h.records.Verify(ctx, tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	require.ErrorIs(t, h.tenants.Resume(ctx, app.Command(tenant), "x"), app.ErrTenantOffboarded)
	var secrets int
	row(t, r.database, `select coalesce(sum(length(credential_sealed)), 0) from upstream`, &secrets)
	require.Zero(t, secrets)
}

func restoredName(r *restoreRun) string {
	return regexp.MustCompile(`restored_\w+`).FindString(r.database)
}
