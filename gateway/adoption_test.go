package gateway

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/gateway/journal"
)

// dead writes a journal as a killed gateway leaves it.
type dead struct {
	t    *testing.T
	cfg  journal.Config
	open *journal.Journal
}

func newDead(t *testing.T) *dead {
	t.Helper()
	d := &dead{t: t, cfg: journal.Config{Root: t.TempDir(), MACKey: make([]byte, journal.KeyBytes), SegmentBytes: 64 << 10, MaxBytes: 64 << 20}}
	var err error
	d.open, err = journal.Open(d.cfg)
	require.NoError(t, err)
	return d
}

func (d *dead) intent(at id.Event, tenant id.Tenant) []byte {
	d.t.Helper()
	payload, err := encodeIntent(&intent{Tenant: tenant, Model: "m", Rule: "key"})
	require.NoError(d.t, err)
	_, err = d.open.AppendIntent(at.Bytes(), payload)
	require.NoError(d.t, err)
	return payload
}

func (d *dead) outcome(at id.Event) []byte {
	d.t.Helper()
	payload, err := encodeOutcome(&outcome{State: usage.StateComplete, Status: 200})
	require.NoError(d.t, err)
	_, err = d.open.AppendOutcome(at.Bytes(), payload)
	require.NoError(d.t, err)
	return payload
}

// adopt ends the writer and reads what it left into a.
func (d *dead) adopt(a *adoption) error {
	d.t.Helper()
	require.NoError(d.t, d.open.Close())
	orphan, err := journal.Adopt(d.cfg, d.open.Replica().String())
	require.NoError(d.t, err)
	defer orphan.Close()
	return errors.Join(orphan.Replay(a.read), a.finish())
}

// TestAnAdoptedJournalIsReadInPortions adopts a journal many times larger than what may
// be held of it, of a few companies, with requests that overlap and some that never ended.
func TestAnAdoptedJournalIsReadInPortions(t *testing.T) {
	t.Parallel()
	d := newDead(t)
	tenants := []id.Tenant{id.NewTenant(time.Now()), id.NewTenant(time.Now()), id.NewTenant(time.Now())}
	want := map[id.Event]usage.State{}
	const requests, overlap, limit, most = 3000, 40, 100, 30_000
	var running []id.Event
	for n := range requests {
		at := id.NewEvent(time.Now())
		d.intent(at, tenants[n*n%7%3])
		running = append(running, at)
		if len(running) < overlap {
			continue
		}
		ended := running[n%overlap]
		running[n%overlap] = running[overlap-1]
		running = running[:overlap-1]
		d.outcome(ended)
		want[ended] = usage.StateComplete
	}
	for _, at := range running {
		want[at] = usage.StateOpen
	}
	written := d.open.Stats().Bytes
	require.Greater(t, written, int64(10*most))

	got := map[id.Event]usage.State{}
	var a *adoption
	flushes, full := 0, 0
	a = newAdoption(id.ReplicaFromBytes(d.open.Replica()), func(tenant id.Tenant, events []usage.Event) (int, map[id.Event]error, error) {
		flushes++
		require.LessOrEqual(t, len(events), limit)
		require.LessOrEqual(t, len(a.open), overlap, "what runs at once")
		require.LessOrEqual(t, a.bytes, most+2*journal.MaxPayload, "of all companies")
		held := 0
		for _, whole := range a.whole {
			held += len(whole.events)
		}
		require.LessOrEqual(t, held, len(tenants)*limit)
		for i := range events {
			require.NotContains(t, got, events[i].ID, "once each")
			got[events[i].ID] = events[i].State
			_ = tenant
		}
		if len(events) == limit {
			full++
		}
		return len(events), nil, nil
	})
	a.limit, a.most = limit, most
	require.NoError(t, d.adopt(a))
	require.Equal(t, want, got)
	require.Equal(t, Adopted{Requests: requests, Open: len(running), Added: requests}, a.done)
	require.Positive(t, full, "a company's requests are flushed when they are a flush full")
	require.Less(t, full, flushes, "and all of them when together they are too many")
	require.Empty(t, a.whole)
}

// TestARefusedRequestThatWasCarriedStaysRefused reads one that the ledger refuses, twice,
// the second time cut short by the crash: without its outcome it must not become an open row,
// which would take the place of the one that is refused.
func TestARefusedRequestThatWasCarriedStaysRefused(t *testing.T) {
	t.Parallel()
	d := newDead(t)
	tenant := id.NewTenant(time.Now())
	refused, twice := id.NewEvent(time.Now()), id.NewEvent(time.Now())
	for _, at := range []id.Event{refused, twice} {
		d.intent(at, tenant)
		d.outcome(at)
	}
	for range 20 {
		at := id.NewEvent(time.Now())
		d.intent(at, tenant)
		d.outcome(at)
	}
	require.NoError(t, d.open.Release([]journal.ID{refused.Bytes(), twice.Bytes()}))
	d.intent(twice, tenant)
	d.outcome(twice)
	d.intent(refused, tenant)
	states := map[id.Event][]usage.State{}
	a := newAdoption(id.ReplicaFromBytes(d.open.Replica()), func(_ id.Tenant, events []usage.Event) (int, map[id.Event]error, error) {
		stuck := map[id.Event]error{}
		for i := range events {
			states[events[i].ID] = append(states[events[i].ID], events[i].State)
			if events[i].ID == refused {
				stuck[refused] = errors.New("refused")
			}
		}
		return len(events) - len(stuck), stuck, nil
	})
	a.limit = 4
	require.NoError(t, d.adopt(a))
	require.Equal(t, []usage.State{usage.StateComplete}, states[refused])
	require.Zero(t, a.done.Open)
	require.ErrorContains(t, a.stuck(), refused.String())
}

// TestAnAdoptionStopsWhereTheLedgerIsAway reads no further than it can bring in.
func TestAnAdoptionStopsWhereTheLedgerIsAway(t *testing.T) {
	t.Parallel()
	d := newDead(t)
	tenant := id.NewTenant(time.Now())
	for range 50 {
		at := id.NewEvent(time.Now())
		d.intent(at, tenant)
		d.outcome(at)
	}
	away, calls := errors.New("away"), 0
	a := newAdoption(id.Replica{}, func(_ id.Tenant, events []usage.Event) (int, map[id.Event]error, error) {
		if calls++; calls > 2 {
			return 0, nil, away
		}
		return len(events), nil, nil
	})
	a.limit = 10
	require.ErrorIs(t, d.adopt(a), away)
	require.Equal(t, 3, calls)
	require.Equal(t, 20, a.done.Added)
}

// TestRefusalsAreNamedUpToABound has the ledger refuse everything.
func TestRefusalsAreNamedUpToABound(t *testing.T) {
	t.Parallel()
	a := newAdoption(id.Replica{}, func(_ id.Tenant, events []usage.Event) (int, map[id.Event]error, error) {
		stuck := map[id.Event]error{}
		for i := range events {
			stuck[events[i].ID] = errors.New("no")
		}
		return 0, stuck, nil
	})
	a.limit = 100
	tenant := id.NewTenant(time.Now())
	in, err := encodeIntent(&intent{Tenant: tenant})
	require.NoError(t, err)
	out, err := encodeOutcome(&outcome{State: usage.StateComplete})
	require.NoError(t, err)
	for range maxStuck + 500 {
		at := id.NewEvent(time.Now()).Bytes()
		require.NoError(t, a.read(journal.Record{Kind: journal.Intent, ID: at, Payload: in}))
		require.NoError(t, a.read(journal.Record{Kind: journal.Outcome, ID: at, Payload: out}))
	}
	require.NoError(t, a.finish())
	require.LessOrEqual(t, len(a.refused), maxStuck)
	require.ErrorContains(t, a.stuck(), fmt.Sprintf("%d more", 500))
}
