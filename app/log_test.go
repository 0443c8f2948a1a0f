package app_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// logged is a house whose first company has a log of a few dozen records, signed twice.
func logged(t *testing.T) *house {
	t.Helper()
	h := busy(t)
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	h.note(t, h.one, 20)
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	h.note(t, h.one, 3)
	h.place(t, h.one)
	h.place(t, h.two)
	return h
}

func (h *house) place(t *testing.T, c *company) {
	t.Helper()
	_, err := h.audit.Sequence(t.Context(), c.tenant)
	require.NoError(t, err)
}

// superuser runs a statement as somebody whom no trigger, policy or constraint stops.
func (h *house) superuser(t *testing.T, query string, args ...any) {
	t.Helper()
	tx, err := h.admin.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `set local session_replication_role = replica`)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
}

// note writes n records, each about something of its own.
func (h *house) note(t *testing.T, c *company, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, h.clone.InTenant(t.Context(), c.tenant, func(tx *db.Tx) error {
			return tx.AppendAudit(auditlog.Record{Action: "test.noted", Actor: "test", Subject: fmt.Sprintf("thing_%d", i)})
		}))
	}
}

func TestAWholeLogIsVerifiedAndSaysSo(t *testing.T) {
	t.Parallel()
	h := logged(t)
	for range 2 { // the second time the record of the first is in it
		check, err := h.log.Verify(t.Context(), h.one.tenant)
		require.NoError(t, err)
		require.True(t, check.Good, check.Why)
		view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Limit: 5})
		require.NoError(t, err)
		require.True(t, view.State.Checked.Good)
		require.Equal(t, check.Size, view.State.Checked.Size)
		require.Equal(t, check.Size, view.State.Size)
		require.Positive(t, view.State.Signed)
		require.Less(t, view.State.Signed, view.State.Size, "the newest records wait for the next head")
		require.Len(t, view.State.Keys, 1)
		require.Len(t, view.Entries, 5)
		require.Equal(t, "log.verified", view.Entries[0].Action)
		h.place(t, h.one)
	}
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant), "a head of a size is signed once")
	require.EqualValues(t, 3, h.number(t, `select count(*) from audit_checkpoint where tenant_id = $1`, h.one.tenant))
}

// TestTamperingIsNamed changes stored bytes as a superuser who disables every trigger and
// policy: the verifier names the first bad record each time.
func TestTamperingIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper   func(t *testing.T, h *house)
		sequence int64
		why      string
	}{
		"a record edited": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_record set canonical = replace(convert_from(canonical, 'UTF8'), '"test"', '"tent"')::bytea where record_id = (select record_id from audit_leaf where sequence = 21 and tenant_id = $1)`, h.one.tenant)
		}, 21, "its bytes are not those that were hashed"},
		"a record and its leaf edited": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_record set canonical = replace(convert_from(canonical, 'UTF8'), 'thing_2', 'thing_9')::bytea, subject = 'thing_9' where subject = 'thing_2' and tenant_id = $1`, h.one.tenant)
			h.superuser(t, `update audit_leaf l set leaf = sha256('\x00'::bytea || r.canonical) from audit_record r where r.record_id = l.record_id and r.subject = 'thing_9' and l.tenant_id = $1`, h.one.tenant)
		}, -2, "is not what was signed"},
		"a column edited": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_record set actor = 'somebody' where record_id = (select record_id from audit_leaf where sequence = 17 and tenant_id = $1)`, h.one.tenant)
		}, 17, "the columns beside its bytes say something else"},
		"a record deleted": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `delete from audit_leaf where sequence = 19 and tenant_id = $1`, h.one.tenant)
		}, 19, "it is missing"},
		"two records swapped": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_leaf set sequence = sequence + 1000 where sequence in (15, 16) and tenant_id = $1`, h.one.tenant)
			h.superuser(t, `update audit_leaf set sequence = case sequence when 1015 then 16 else 15 end where sequence > 1000 and tenant_id = $1`, h.one.tenant)
		}, -2, "is not what was signed"},
		"the end cut off": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `delete from audit_leaf where sequence >= 25 and tenant_id = $1`, h.one.tenant)
		}, 25, "records from here on are missing"},
		"all of it cut off": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `truncate audit_leaf`)
		}, 0, "records from here on are missing"},
		"a head edited": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_checkpoint set root = sha256('x') where tenant_id = $1`, h.one.tenant)
		}, -1, "is not what was signed"},
		"a node edited": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_node set hash = sha256('x') where level = 3 and tenant_id = $1`, h.one.tenant)
		}, -1, "the stored tree"},
		"a node inside edited": {func(t *testing.T, h *house) { // its parent, which the head is made of, is not
			t.Helper()
			h.superuser(t, `update audit_node set hash = sha256('x') where level = 1 and position = 2 and tenant_id = $1`, h.one.tenant)
		}, -1, "the stored tree"},
		"a node inside deleted": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `delete from audit_node where level = 1 and position = 2 and tenant_id = $1`, h.one.tenant)
		}, -1, "the stored tree"},
		"usage edited": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update usage_batch set canonical = (select canonical from usage_batch b where b.tenant_id <> $1) where tenant_id = $1`, h.one.tenant)
		}, -2, "the requests of its batch are not those that were hashed"},
		"a number of requests edited": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `update audit_record set canonical = regexp_replace(convert_from(canonical, 'UTF8'), '"requests":[0-9]+', '"requests":-1')::bytea where action = 'usage.batch' and tenant_id = $1`, h.one.tenant)
			h.superuser(t, `update audit_leaf l set leaf = sha256('\x00'::bytea || r.canonical) from audit_record r where r.record_id = l.record_id and r.action = 'usage.batch' and l.tenant_id = $1`, h.one.tenant)
		}, -2, "the requests of its batch are not those that were hashed"},
		"usage deleted": {func(t *testing.T, h *house) {
			t.Helper()
			h.superuser(t, `delete from usage_batch where tenant_id = $1`, h.one.tenant)
		}, -2, "the batch it names is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := logged(t)
			c.tamper(t, h)
			check, err := h.log.Verify(t.Context(), h.one.tenant)
			require.NoError(t, err)
			require.False(t, check.Good)
			_, broken, _ := h.log.Checked()
			require.EqualValues(t, 1, broken)
			require.Contains(t, check.Why, c.why)
			if c.sequence > -2 {
				require.Equal(t, c.sequence, check.Sequence)
			} else {
				require.GreaterOrEqual(t, check.Sequence, int64(0))
			}
			other, err := h.log.Verify(t.Context(), h.two.tenant)
			require.NoError(t, err)
			if name != "all of it cut off" { // which cut off everybody's
				require.True(t, other.Good, other.Why)
			}
		})
	}
}

// TestALogThatWasForkedIsNotSigned rewrites what was signed, tree and all: the next head
// would contradict the one before.
func TestALogThatWasForkedIsNotSigned(t *testing.T) {
	t.Parallel()
	h := logged(t)
	h.superuser(t, `update audit_leaf set leaf = sha256('other') where sequence = 3 and tenant_id = $1`, h.one.tenant)
	h.superuser(t, `update audit_node set hash = sha256('other') where tenant_id = $1`, h.one.tenant)
	err := h.log.Sign(t.Context(), h.one.tenant)
	require.Equal(t, "log_forked", fault.From(err).Code)
	h.superuser(t, `delete from audit_leaf where sequence >= 5 and tenant_id = $1`, h.one.tenant)
	err = h.log.Sign(t.Context(), h.one.tenant)
	require.Equal(t, "log_forked", fault.From(err).Code)
	_, _, refused := h.log.Checked()
	require.EqualValues(t, 2, refused)
}

// TestALogThatWasForkedWithItsHeadIsNotSigned changes the root beside what was signed too:
// what was signed says otherwise.
func TestALogThatWasForkedWithItsHeadIsNotSigned(t *testing.T) {
	t.Parallel()
	h := logged(t)
	h.superuser(t, `update audit_node set hash = sha256('other') where tenant_id = $1`, h.one.tenant)
	size := h.number(t, `select max(size) from audit_checkpoint where tenant_id = $1`, h.one.tenant)
	var root auditlog.Hash
	require.NoError(t, h.clone.ReadTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		var err error
		root, err = auditlog.RootAt(size, tx.LogNodes)
		return err
	}))
	h.superuser(t, `update audit_checkpoint set root = $2 where size = $3 and tenant_id = $1`, h.one.tenant, root[:], size)
	err := h.log.Sign(t.Context(), h.one.tenant)
	require.Equal(t, "log_forked", fault.From(err).Code)
}

func TestEachRecordHasItsProof(t *testing.T) {
	t.Parallel()
	h := logged(t)
	view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Limit: app.MaxRows})
	require.NoError(t, err)
	keys, err := auditlog.Verifiers(view.State.Keys)
	require.NoError(t, err)
	proved := 0
	for _, entry := range view.Entries {
		p, err := h.log.Record(t.Context(), h.one.who, entry.Record)
		require.NoError(t, err)
		if entry.Sequence >= view.State.Signed {
			require.Empty(t, p.Proof, "no head covers it yet")
			continue
		}
		proof, err := auditlog.ParseProof(p.Proof)
		require.NoError(t, err)
		head, err := proof.Check(p.Canonical, keys)
		require.NoError(t, err)
		require.Equal(t, p.Head, head.Size)
		require.Equal(t, entry.Sequence, proof.Sequence)
		proved++
		_, err = h.log.Record(t.Context(), h.two.who, entry.Record)
		require.Equal(t, fault.KindNotFound, fault.KindOf(err), "another company's record is not there")
	}
	require.EqualValues(t, view.State.Signed, proved)
}

func TestTheLogIsReadByPagesAndFilters(t *testing.T) {
	t.Parallel()
	h := logged(t)
	var seen []id.Record
	for cursor := ""; ; {
		view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Limit: 7, Cursor: cursor})
		require.NoError(t, err)
		for _, entry := range view.Entries {
			require.NotContains(t, seen, entry.Record)
			seen = append(seen, entry.Record)
		}
		if cursor = view.Next; cursor == "" {
			break
		}
	}
	require.EqualValues(t, h.number(t, `select count(*) from audit_record where tenant_id = $1`, h.one.tenant), len(seen))
	for want, q := range map[int]app.LogQuery{
		23: {Action: "test.noted"}, 24: {Action: "test.", Limit: 24}, 2: {Subject: "thing_2"}, 0: {Actor: "nobody"},
	} {
		view, err := h.log.Read(t.Context(), h.one.who, q)
		require.NoError(t, err)
		if q.Action == "test." {
			want = 23
		}
		require.Len(t, view.Entries, want, "%+v", q)
	}
	_, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Cursor: "x"})
	require.Equal(t, fault.KindInvalid, fault.KindOf(err))
	view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{From: h.clock.now().Add(time.Hour)})
	require.NoError(t, err)
	require.Empty(t, view.Entries)
}

// TestAnExportIsVerifiedOffline exports a time with its usage, checks it with nothing but
// the file, and finds the export in the log.
func TestAnExportIsVerifiedOffline(t *testing.T) {
	t.Parallel()
	h := logged(t)
	var out bytes.Buffer
	ask := app.LogExport{From: founded(), To: h.clock.now().Add(time.Hour), Usage: true, Version: "test"}
	require.NoError(t, h.log.Export(t.Context(), h.one.who, ask, &out))
	bundle, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Action: "log.exported"})
	require.NoError(t, err)
	require.Len(t, view.Entries, 1)
	checked, err := auditlog.Check(bundle, view.State.Keys)
	require.NoError(t, err)
	require.True(t, checked.Trusted)
	require.Equal(t, view.State.Size, checked.Manifest.Size, "the newest records are signed for it")
	require.Equal(t, view.State.Size, checked.Records)
	require.EqualValues(t, h.number(t, `select count(*) from usage_event where tenant_id = $1`, h.one.tenant), checked.Requests)
	require.Equal(t, 2, checked.Checkpoints)

	_, err = auditlog.Check(bundle, []string{otherKey(t, h)})
	require.Error(t, err, "signed by no key that is trusted")

	out.Reset()
	require.NoError(t, h.log.Export(t.Context(), h.one.who, app.LogExport{From: h.clock.now().Add(time.Hour), To: h.clock.now().Add(2 * time.Hour)}, &out), "a time without records")
	bundle, err = zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	checked, err = auditlog.Check(bundle, view.State.Keys)
	require.NoError(t, err)
	require.Zero(t, checked.Records)
}

func TestAnExportHasATimeOfAYearAtMost(t *testing.T) {
	t.Parallel()
	h := logged(t)
	for code, to := range map[string]time.Time{"range_empty": founded(), "range_long": founded().Add(367 * 24 * time.Hour)} {
		var out bytes.Buffer
		err := h.log.Export(t.Context(), h.one.who, app.LogExport{From: founded(), To: to}, &out)
		require.Equal(t, code, fault.From(err).Code)
		require.Equal(t, "to", fault.From(err).Field)
		require.Zero(t, out.Len())
	}
	view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Action: "log.exported"})
	require.NoError(t, err)
	require.Empty(t, view.Entries)
}

// otherKey is the second company's.
func otherKey(t *testing.T, h *house) string {
	t.Helper()
	require.NoError(t, h.log.Sign(t.Context(), h.two.tenant))
	view, err := h.log.Read(t.Context(), h.two.who, app.LogQuery{})
	require.NoError(t, err)
	require.Len(t, view.State.Keys, 1)
	return view.State.Keys[0]
}

func TestWithoutAKeyNothingIsSignedAndTheLogSaysSo(t *testing.T) {
	t.Parallel()
	h := busy(t)
	h.place(t, h.one)
	unsigned, err := app.NewLog(h.clone.DB, h.access, h.members, secret.Text{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, unsigned.Sign(t.Context(), h.one.tenant))
	view, err := unsigned.Read(t.Context(), h.one.who, app.LogQuery{})
	require.NoError(t, err)
	require.False(t, view.State.Signs)
	require.Zero(t, view.State.Signed)
	err = unsigned.Export(t.Context(), h.one.who, app.LogExport{From: founded(), To: h.clock.now()}, &bytes.Buffer{})
	require.Equal(t, "log_unsigned", fault.From(err).Code)
	check, err := unsigned.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, "what is stored agrees with itself")
}

func TestHeadsAreSignedByTheClock(t *testing.T) {
	t.Parallel()
	h := busy(t)
	h.place(t, h.one)
	require.NoError(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()))
	require.EqualValues(t, 1, h.jobs(t, "sign_log", h.one.tenant))
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	h.exec(t, `delete from river.river_job`)
	h.note(t, h.one, 1)
	h.place(t, h.one)
	require.NoError(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()))
	require.Zero(t, h.jobs(t, "sign_log", h.one.tenant), "signed a moment ago")
	h.clock.add(app.SignEvery)
	require.NoError(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()))
	require.EqualValues(t, 1, h.jobs(t, "sign_log", h.one.tenant))
}
