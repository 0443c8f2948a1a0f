package app_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/app/witness"
	"tollbook/db"
	"tollbook/db/dbtest"
	"tollbook/jobs/attest"
	"tollbook/simulator/notary"
)

// witnesses are one of each kind, as they run outside.
type witnesses struct {
	store   *notary.Store
	objects *attest.Objects
	second  *notary.Log
	server  *httptest.Server // of the second log
	other   *attest.OtherLog
	clock   *attest.Clock
	root    []byte
}

func openWitnesses(t *testing.T, now func() time.Time) *witnesses {
	t.Helper()
	program, err := exec.CommandContext(t.Context(), "../scripts/versitygw").Output()
	require.NoError(t, err)
	w := &witnesses{}
	w.store, err = notary.StartStore(context.WithoutCancel(t.Context()), strings.TrimSpace(string(program)), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(w.store.Stop)
	w.objects, err = attest.NewObjects(attest.S3{
		Endpoint: address(t, w.store.URL), Region: "us-east-1", AccessKey: w.store.AccessKey, SecretKey: secret.NewText(w.store.SecretKey), Bucket: w.store.Bucket, Prefix: "logs", Retain: time.Hour,
	}, time.Now)
	require.NoError(t, err)
	w.second, err = notary.NewLog("witness.test/second", now)
	require.NoError(t, err)
	w.server = httptest.NewServer(w.second)
	t.Cleanup(w.server.Close)
	key, err := witness.ParseCosigner(w.second.Key())
	require.NoError(t, err)
	w.other = attest.NewOtherLog(address(t, w.server.URL), key)
	clock, err := notary.NewClock(now)
	require.NoError(t, err)
	stamps := httptest.NewServer(clock)
	t.Cleanup(stamps.Close)
	w.root = clock.Root()
	roots, _, err := witness.Roots(w.root)
	require.NoError(t, err)
	w.clock = attest.NewClock(address(t, stamps.URL), roots)
	return w
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// watch makes the second log know the first company's key.
func (h *house) watch(t *testing.T, w *witnesses) {
	t.Helper()
	view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Limit: 1})
	require.NoError(t, err)
	for _, key := range view.State.Keys {
		if !strings.Contains(key, "/decisions+") {
			require.NoError(t, w.second.Watch(key))
		}
	}
}

// seen signs the log as it is and shows it to each witness.
func (h *house) seen(t *testing.T) {
	t.Helper()
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	for _, name := range h.log.Witnesses() {
		require.NoError(t, h.log.See(t.Context(), h.one.tenant, name), name)
	}
}

func (h *house) state(t *testing.T) app.LogState {
	t.Helper()
	view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Limit: 1})
	require.NoError(t, err)
	return view.State
}

func witnessed(t *testing.T) (*house, *witnesses) {
	t.Helper()
	h := busy(t)
	w := openWitnesses(t, h.clock.now)
	h.apart(t, t.TempDir(), seedOf(1))
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	h.watch(t, w)
	h.log.WitnessBy(app.WitnessWithin, w.objects, w.other, w.clock)
	h.audit.WitnessBy(h.log.Witnesses())
	return h, w
}

// use goes on with another database.
func (h *house) use(t *testing.T, clone *dbtest.Clone) {
	t.Helper()
	h.clone, h.admin = clone, clone.Admin(t)
	h.wire(t, h.ring)
}

func TestEachWitnessSeesEachHeadAndSaysSo(t *testing.T) {
	t.Parallel()
	h, _ := witnessed(t)
	s := h.state(t)
	require.Len(t, s.Witnesses, 3)
	require.Zero(t, s.Witnessed)
	h.seen(t)
	h.note(t, h.one, 4)
	h.seen(t)
	s = h.state(t)
	require.Equal(t, s.Signed, s.Witnessed)
	for _, w := range s.Witnesses {
		require.Equal(t, s.Signed, w.Size)
		require.False(t, w.Behind)
		require.Empty(t, w.Reason)
	}
	require.EqualValues(t, 6, h.number(t, `select count(*) from audit_witness where tenant_id = $1 and seen`, h.one.tenant))
	for _, name := range h.log.Witnesses() {
		require.NoError(t, h.log.See(t.Context(), h.one.tenant, name), "there is nothing new to see")
	}
	require.EqualValues(t, 6, h.number(t, `select count(*) from audit_witness where tenant_id = $1`, h.one.tenant))
	seen, failed, refused, behind := h.log.Witnessed()
	require.Equal(t, [4]int64{6, 0, 0, 0}, [4]int64{seen, failed, refused, behind})
	first, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Action: "log.witness_first"})
	require.NoError(t, err)
	require.Len(t, first.Entries, 3)
	h.place(t, h.one)
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	require.Equal(t, fault.KindNotFound, fault.KindOf(h.log.See(t.Context(), h.one.tenant, "nobody")))
}

// TestAWitnessThatIsAwayIsToldOfOnce stops the second log: its heads wait, it is behind
// after a while, one record says so, and it catches up.
func TestAWitnessThatIsAwayIsToldOfOnce(t *testing.T) {
	t.Parallel()
	h, w := witnessed(t)
	h.seen(t)
	w.server.CloseClientConnections()
	w.server.Config.Handler = nil
	away := h.log.Witnesses()[1]
	require.NoError(t, w.server.Listener.Close())
	records := func() int64 {
		return h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'log.witness_behind'`, h.one.tenant)
	}
	h.note(t, h.one, 1)
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	require.Error(t, h.log.See(t.Context(), h.one.tenant, away))
	require.Zero(t, records(), "it may be back at once")
	require.False(t, h.state(t).Witnesses[1].Behind)
	require.Equal(t, "It cannot be reached.", h.state(t).Witnesses[1].Reason)
	for range 3 {
		h.clock.add(app.WitnessWithin)
		require.Error(t, h.log.See(t.Context(), h.one.tenant, away))
	}
	require.EqualValues(t, 1, records(), "an alarm once, not each time")
	require.True(t, h.state(t).Witnesses[1].Behind)
	seen, failed, _, behind := h.log.Witnessed()
	require.EqualValues(t, 3, seen)
	require.EqualValues(t, 4, failed)
	require.EqualValues(t, 1, behind)
	h.exec(t, `delete from river.river_job`)
	require.NoError(t, h.audit.Tick(t.Context(), h.prices.VendorDigest()))
	require.EqualValues(t, 3, h.jobs(t, "witness_log", h.one.tenant), "the clock asks again")

	back := httptest.NewServer(w.second)
	t.Cleanup(back.Close)
	key, err := witness.ParseCosigner(w.second.Key())
	require.NoError(t, err)
	h.log.WitnessBy(app.WitnessWithin, w.objects, attest.NewOtherLog(address(t, back.URL), key), w.clock)
	h.seen(t)
	require.False(t, h.state(t).Witnesses[1].Behind)
	seen, _, _, behind = h.log.Witnessed()
	require.EqualValues(t, 6, seen)
	require.Zero(t, behind)
}

// TestARestoredBackupIsNamedByItsWitnesses restores yesterday's database and goes on with
// it: what is missing is named by those who saw it, and by them alone.
func TestARestoredBackupIsNamedByItsWitnesses(t *testing.T) {
	t.Parallel()
	h, w := witnessed(t)
	h.seen(t)
	then := h.state(t).Size
	require.NoError(t, h.admin.Close())
	same, backup := h.clone.Backup(t, func(c *db.Config) { c.Now = h.clock.now })
	h.use(t, same)
	h.log.WitnessBy(app.WitnessWithin, w.objects, w.other, w.clock)
	h.log.SignBy(seedSigner(t, seedOf(1)))
	h.note(t, h.one, 9)
	h.seen(t)
	now := h.state(t).Signed
	h.use(t, backup)
	h.log.SignBy(seedSigner(t, seedOf(1)))
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, "alone it is whole: "+check.Why)

	for name, by := range map[string]app.Witness{"the object store": w.objects, "the second log": w.other} {
		h.log.WitnessBy(app.WitnessWithin, by)
		check, err = h.log.Verify(t.Context(), h.one.tenant)
		require.NoError(t, err)
		require.False(t, check.Good, name)
		require.Equal(t, then, check.Sequence, name)
		require.Contains(t, check.Why, "are missing: witness "+by.Name(), name)
		require.Contains(t, check.Why, "records "+strconv.FormatInt(then, 10)+" to "+strconv.FormatInt(now-1, 10)+" are missing", name)
	}
	h.note(t, h.one, 40) // the log goes on, as another one
	h.place(t, h.one)
	h.log.WitnessBy(app.WitnessWithin, w.objects, w.other)
	check, err = h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, check.Good)
	require.Equal(t, then, check.Sequence, "the last head that both have")
	require.Contains(t, check.Why, "one up to "+strconv.FormatInt(now-1, 10)+", is not what witness s3://heads/logs has seen")
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant), "the seed in this process signs it: it remembers nothing")
	for _, name := range h.log.Witnesses()[1:] {
		err = h.log.See(t.Context(), h.one.tenant, name)
		require.ErrorIs(t, err, witness.ErrOther, name)
	}
	require.EqualValues(t, 1, h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'log.witness_refused'`, h.one.tenant))
	require.True(t, h.state(t).Witnesses[1].Other)
}

// TestWhatWasResignedIsNamedByTheObjectStore rewrites a log with its heads and signs it
// anew, as whoever holds database and seed can: what they cannot write is what the store
// keeps.
func TestWhatWasResignedIsNamedByTheObjectStore(t *testing.T) {
	t.Parallel()
	h, w := witnessed(t)
	h.seen(t)
	first := h.state(t).Signed
	var sizes []int64
	for range 4 {
		h.note(t, h.one, 3)
		h.seen(t)
		sizes = append(sizes, h.state(t).Signed)
	}
	h.note(t, h.one, 2)
	h.place(t, h.one)
	size := h.state(t).Size
	h.superuser(t, `delete from audit_checkpoint where tenant_id = $1`, h.one.tenant)
	h.superuser(t, `delete from audit_witness where tenant_id = $1`, h.one.tenant)
	changed := sizes[1] + 1 // a record that the third of the four heads was the first to cover
	h.rewrite(t, changed)
	h.log.SignBy(seedSigner(t, seedOf(1)))
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	h.log.WitnessBy(app.WitnessWithin)
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, "alone it is whole: "+check.Why)
	require.Equal(t, size, check.Size)
	h.log.WitnessBy(app.WitnessWithin, w.objects)
	check, err = h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, check.Good)
	require.Equal(t, sizes[1], check.Sequence, "the last head that agrees")
	require.Contains(t, check.Why, "one up to "+strconv.FormatInt(sizes[2]-1, 10)+", is not what witness")
	require.Greater(t, sizes[1], first)
	require.GreaterOrEqual(t, changed, check.Sequence)
}

// TestTheUnwitnessedTailIsBoundedAndShown changes what no witness has seen, with database
// and seed: nothing can tell, and the page says how much that is.
func TestTheUnwitnessedTailIsBoundedAndShown(t *testing.T) {
	t.Parallel()
	h, _ := witnessed(t)
	h.log.SignBy(seedSigner(t, seedOf(1)))
	h.seen(t)
	h.note(t, h.one, 5)
	h.place(t, h.one)
	s := h.state(t)
	require.EqualValues(t, 8, s.Size-s.Witnessed, "three records of first sights, and five")
	h.rewrite(t, s.Witnessed+1)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
}

// rewrite changes a record and everything above it, so that the log agrees with itself.
func (h *house) rewrite(t *testing.T, sequence int64) {
	t.Helper()
	h.superuser(t, `update audit_record r set canonical = convert_to(regexp_replace(convert_from(r.canonical, 'UTF8'), '"subject":"thing_', '"subject":"thyng_'), 'UTF8'), subject = replace(subject, 'thing_', 'thyng_')
		from audit_leaf l where l.tenant_id = $1 and l.record_id = r.record_id and l.sequence = $2`, h.one.tenant, sequence)
	var leaves []auditlog.Hash
	rows, err := h.admin.QueryContext(t.Context(), `select r.canonical from audit_leaf l join audit_record r on r.record_id = l.record_id where l.tenant_id = $1 order by l.sequence`, h.one.tenant)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var canonical []byte
		require.NoError(t, rows.Scan(&canonical))
		leaves = append(leaves, auditlog.Leaf(canonical))
	}
	require.NoError(t, rows.Err())
	nodes, err := auditlog.Grow(0, leaves, nil)
	require.NoError(t, err)
	h.superuser(t, `update audit_leaf set leaf = $3 where tenant_id = $1 and sequence = $2`, h.one.tenant, sequence, leaves[sequence][:])
	for _, n := range nodes {
		h.superuser(t, `update audit_node set hash = $4 where tenant_id = $1 and level = $2 and position = $3`, h.one.tenant, n.Level, n.Position, n.Hash[:])
	}
}

// TestASightThatOnlyTheDatabaseKnowsIsNone adds rows by which each witness saw a head that
// nobody showed to it.
func TestASightThatOnlyTheDatabaseKnowsIsNone(t *testing.T) {
	t.Parallel()
	h, w := witnessed(t)
	h.seen(t)
	before := h.state(t).Signed
	h.note(t, h.one, 3)
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	head := h.state(t).Signed
	require.Greater(t, head, before)
	for _, by := range []app.Witness{w.objects, w.other, w.clock} {
		receipt := `(select receipt from audit_witness where witness = $1 order by size desc limit 1)` // of another head
		if by.Kind() == witness.Object {
			receipt = `(select message from audit_checkpoint order by size desc limit 1)`
		}
		h.superuser(t, `insert into audit_witness (tenant_id, witness, kind, size, recorded_at, seen, receipt, object, reason) values ($2, $1, $3, $4, now(), true, `+receipt+`, '', '')`,
			by.Name(), h.one.tenant, string(by.Kind()), head)
	}
	for _, s := range h.state(t).Witnesses {
		if s.Kind != witness.Object { // what it keeps is asked for once a day
			require.Less(t, s.Size, head, s.Name)
		}
	}
	h.log.WitnessBy(app.WitnessWithin, w.objects)
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, check.Good)
	require.Contains(t, check.Why, "which it is said to have seen")
	h.log.WitnessBy(app.WitnessWithin, w.other, w.clock)
	h.clock.add(time.Minute)
	for _, name := range h.log.Witnesses() {
		require.NoError(t, h.log.See(t.Context(), h.one.tenant, name), "it is shown all the same")
	}
}

func seedSigner(t *testing.T, seeds string) app.Signer {
	t.Helper()
	s, err := app.SeedSigner(secret.NewText(seeds))
	require.NoError(t, err)
	return s
}

// TestADecisionWaitsForAWitnessOfItsIssuersKeys takes the witness away: what nobody outside
// has seen, no decision rests on.
func TestADecisionWaitsForAWitnessOfItsIssuersKeys(t *testing.T) {
	t.Parallel()
	h, p, fin, cfo := signed(t)
	w := openWitnesses(t, h.clock.now)
	gone := httptest.NewServer(nil)
	gone.Close()
	h.log.WitnessBy(app.WitnessWithin, attest.NewClock(address(t, gone.URL), nil))
	change := h.propose(t, fin, discount(1000))
	_, err := p.ask(t, cfo, change)
	require.ErrorIs(t, err, app.ErrUnwitnessed)
	require.NotEmpty(t, app.DecisionWords("keys_unwitnessed"))
	require.EqualValues(t, 1, h.number(t, `select count(*) from audit_witness where tenant_id = $1 and not seen`, h.one.tenant))

	h.log.WitnessBy(app.WitnessWithin, attest.NewClock(address(t, gone.URL), nil), w.clock)
	asked, err := p.ask(t, cfo, change)
	require.NoError(t, err, "one of them is enough")
	place := h.number(t, `select l.sequence from audit_record r join audit_leaf l on l.record_id = r.record_id where r.tenant_id = $1 and r.action = 'issuer.keys'`, h.one.tenant)
	require.Greater(t, h.state(t).Witnessed, place)
	sights := h.number(t, `select count(*) from audit_witness where tenant_id = $1`, h.one.tenant)
	h.log.WitnessBy(app.WitnessWithin, w.clock)
	h.clock.add(time.Minute)
	require.NoError(t, p.back(t, cfo, asked, p.token(t, "cfo", asked, nil)))
	require.Equal(t, sights, h.number(t, `select count(*) from audit_witness where tenant_id = $1`, h.one.tenant), "the keys were seen before")
}
