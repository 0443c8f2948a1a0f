package gateway_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/gateway"
	"tollbook/gateway/journal"
)

// TestAnAdoptedReplicaIsEndedBeforeItsJournalGoes takes the database away between the
// rows and the replica's end: were the journal gone by then, the replica would hold up
// every day for ever. The journal also holds a request that was carried to its end.
func TestAnAdoptedReplicaIsEndedBeforeItsJournalGoes(t *testing.T) {
	t.Parallel()
	h := build(t, "http://127.0.0.1:1")
	cfg := journal.Config{Root: t.TempDir(), MACKey: h.ring.Derive("journal-mac"), SegmentBytes: 512, MaxBytes: 1 << 20}
	dead, err := journal.Open(cfg)
	require.NoError(t, err)
	key, found := h.snapshots.Find(h.snapshots.Current().Tenants["one"], h.key["one"])
	require.True(t, found)
	shares := `"s":[{"placement":"` + key.Answer.Shares[0].Placement.String() + `","ppm":1000000}]`
	in := []byte(`{"t":"` + h.tenant["one"].String() + `","k":"` + h.keyID["one"].String() + `","m":"claude-opus-5-5",` + shares + `,"r":"key","n":1,"q":1}`)
	out := []byte(`{"st":"complete","h":200,"u":{"Model":"claude-opus-5-5","Tokens":[1,1,0,0,0]}}`)
	carried, other := id.NewEvent(time.Now()), id.NewEvent(time.Now())
	for _, at := range []id.Event{carried, other} {
		_, err = dead.AppendIntent(at.Bytes(), in)
		require.NoError(t, err)
		_, err = dead.AppendOutcome(at.Bytes(), out)
		require.NoError(t, err)
	}
	require.NoError(t, dead.Carry(t.Context(), carried.Bytes(), in, out))
	require.NoError(t, dead.Close())

	super := h.clone.Admin(t)
	_, err = super.ExecContext(t.Context(), `alter table replica add constraint away check (ended_at is null)`)
	require.NoError(t, err)
	_, err = gateway.Adopt(t.Context(), cfg, dead.Replica().String(), h.metering)
	require.Error(t, err)
	names, err := journal.Orphans(cfg.Root)
	require.NoError(t, err)
	require.Equal(t, []string{dead.Replica().String()}, names, "it is tried again")

	_, err = super.ExecContext(t.Context(), `alter table replica drop constraint away`)
	require.NoError(t, err)
	done, err := gateway.Adopt(t.Context(), cfg, dead.Replica().String(), h.metering)
	require.NoError(t, err)
	require.Equal(t, gateway.Adopted{Requests: 2}, done)
	names, err = journal.Orphans(cfg.Root)
	require.NoError(t, err)
	require.Empty(t, names)
	h.rows(t, "one", 2)
}
