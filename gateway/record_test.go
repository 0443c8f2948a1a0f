package gateway

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/id"
	"tollbook/app/usage"
)

// filled fails when a struct has a field that the test below does not set: whoever
// adds one to a record or to the counts has to write it down, too.
func filled(t *testing.T, value any) {
	t.Helper()
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		require.False(t, v.Field(i).IsZero(), "%T.%s", value, v.Type().Field(i).Name)
	}
}

func TestEveryFieldOfARecordSurvivesTheJournal(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 11, 12, 131415, time.UTC)
	in := intent{
		Tenant: id.NewTenant(now), Key: id.NewKey(now), Developer: id.DeriveDeveloper([]byte("d")), Label: []byte{0, 255, 7}, Verified: true, Model: "claude \"quoted\" \\ é\u2028<",
		Shares: []usage.Share{{Placement: id.DerivePlacement([]byte("a")), PPM: 400_000}, {Placement: id.DerivePlacement([]byte("b")), PPM: 600_000}},
		Rule:   "key", Version: 3, Change: id.NewChange(now), Snapshot: 7, Project: "P", Tags: map[string]string{"team": "x\n"}, Session: "s", Agent: "a", Parent: "p", Class: "c", Bytes: 10, MaxTokens: 11, Sequence: math.MaxInt64,
	}
	filled(t, in)
	payload, err := encodeIntent(&in)
	require.NoError(t, err)
	back, err := decodeIntent(payload)
	require.NoError(t, err)
	require.Equal(t, &in, back)

	// What an earlier release wrote says nothing of rules.
	old, err := decodeIntent([]byte(`{"t":"` + in.Tenant.String() + `","k":"` + in.Key.String() + `","m":"x","s":[{"placement":"` + in.Shares[0].Placement.String() + `","ppm":1000000}],"r":"key","n":7,"q":9}`))
	require.NoError(t, err)
	require.Zero(t, old.Version)
	require.True(t, old.Change.IsZero())
	require.Equal(t, "key", old.Rule)

	out := outcome{
		State: usage.StateIncomplete, Status: 200, RequestID: "req", MessageID: "msg", Stop: "s", Counts: usage.Counts{Model: "m"}, Flags: []string{"f"},
		Raw: []byte("{}"), SentAt: now, FirstAt: now, EndedAt: now,
	}
	filled(t, out)
	joined := event(id.NewEvent(now), id.ReplicaFromBytes([16]byte{1}), &in, &out)
	inAgain, outAgain := records(in.Tenant, &joined)
	inAgain.Bytes, inAgain.MaxTokens = in.Bytes, in.MaxTokens // for an estimate alone: a request with an outcome needs none
	require.Equal(t, &in, inAgain, "what is carried to the journal's end is what it was")
	require.Equal(t, &out, outAgain)

	rare := usage.Counts{
		Model: "m", Tokens: usage.Tokens{1, 2, 3, 4, 5}, WebSearches: 1, Iterations: []usage.Iteration{{Kind: "k", Model: "m", Tokens: usage.Tokens{9}, Free: true}},
		Speed: "fast", Geography: "us", Tier: "batch", Free: true, CreditRedeemed: true, Unknown: []string{"u"},
	}
	filled(t, rare)
	filled(t, rare.Iterations[0])
	usual := usage.Counts{Model: rare.Model, Tokens: rare.Tokens, Speed: rare.Speed, Geography: rare.Geography, Tier: rare.Tier}
	for _, counts := range []usage.Counts{rare, usual, {Unknown: []string{"u"}}, {Free: true}, {CreditRedeemed: true}, {WebSearches: 1}, {Iterations: rare.Iterations}} {
		out := outcome{
			State: usage.StateComplete, Status: 200, RequestID: "req_1", MessageID: "msg", Stop: "end_turn", Counts: counts, Flags: []string{"f", "é\""},
			Raw: []byte(`{"x":1}`), SentAt: now, FirstAt: now.Add(1), EndedAt: now.Add(time.Second),
		}
		filled(t, out)
		payload, err := encodeOutcome(&out)
		require.NoError(t, err)
		back, err := decodeOutcome(payload)
		require.NoError(t, err)
		require.Equal(t, &out, back)
	}
}

// TestRecordsAreWhatTheGeneralEncoderMeans compares by what is read back, for any
// text the world may send.
func TestRecordsAreWhatTheGeneralEncoderMeans(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, number := rapid.String(), rapid.Int64()
		in := intent{Model: text.Draw(t, "model"), Rule: text.Draw(t, "rule"), Project: text.Draw(t, "project"), Session: text.Draw(t, "session"), Snapshot: number.Draw(t, "snapshot")}
		mine, err := encodeIntent(&in)
		require.NoError(t, err)
		general, err := json.Marshal(&in)
		require.NoError(t, err)
		require.JSONEq(t, string(general), string(mine))

		out := outcome{
			State: usage.State(text.Draw(t, "state")), Status: rapid.Int().Draw(t, "status"), Stop: text.Draw(t, "stop"), Raw: rapid.SliceOf(rapid.Byte()).Draw(t, "raw"),
			Counts: usage.Counts{Model: text.Draw(t, "served"), Tokens: usage.Tokens{number.Draw(t, "tokens")}, Tier: text.Draw(t, "tier"), WebSearches: rapid.Int64Range(0, 1).Draw(t, "searches")},
			SentAt: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")).UTC(),
		}
		written, err := encodeOutcome(&out)
		require.NoError(t, err)
		mineBack, err := decodeOutcome(written)
		require.NoError(t, err)
		encoded, err := json.Marshal(&out)
		require.NoError(t, err)
		generalBack, err := decodeOutcome(encoded)
		require.NoError(t, err)
		require.Equal(t, generalBack, mineBack)
	})
}

func BenchmarkEncodeRecords(b *testing.B) {
	now := time.Now().UTC()
	in := intent{
		Tenant: id.NewTenant(now), Key: id.NewKey(now), Developer: id.DeriveDeveloper([]byte("d")), Label: make([]byte, 60), Model: "claude-opus-5-5",
		Shares: []usage.Share{{Placement: id.DerivePlacement([]byte("a")), PPM: usage.Whole}}, Rule: "key", Snapshot: 7, Session: "7f6f2a10-0000-4000-8000-000000000001", Sequence: 12345,
	}
	out := outcome{
		State: usage.StateComplete, Status: 200, RequestID: "req_bench1", MessageID: "msg_01Bench", Stop: "end_turn", SentAt: now, FirstAt: now, EndedAt: now,
		Counts: usage.Counts{Model: in.Model, Tokens: usage.Tokens{1, 2, 3, 4, 5}, Tier: "standard"}, Raw: make([]byte, 300),
	}
	for name, encode := range map[string]func() error{
		"by hand": func() error {
			_, err := encodeIntent(&in)
			_, errOut := encodeOutcome(&out)
			return errors.Join(err, errOut)
		},
		"in general": func() error {
			_, err := json.Marshal(&in)
			_, errOut := json.Marshal(&out)
			return errors.Join(err, errOut)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := encode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
