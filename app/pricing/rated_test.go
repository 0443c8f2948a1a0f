package pricing_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/pricing"
	"tollbook/app/usage"
)

func event(t *testing.T, counts usage.Counts, shares ...int64) usage.Event {
	t.Helper()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	e := usage.Event{ID: id.NewEvent(at), State: usage.StateComplete, HTTPStatus: 200, Key: id.NewKey(at), Counts: counts, Rule: "key"}
	for i, ppm := range shares {
		e.Shares = append(e.Shares, usage.Share{Placement: id.DerivePlacement([]byte{byte(i)}), PPM: ppm})
	}
	return e
}

func TestRateSplitsTheChargeExactly(t *testing.T) {
	t.Parallel()
	r, err := pricing.Rate(event(t, usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1}}, 333_333, 333_333, 333_334), vendor(t), 1)
	require.NoError(t, err)
	require.Equal(t, []money.Pico{1_333_332, 1_333_332, 1_333_336}, r.Amounts)
}

func TestRateStates(t *testing.T) {
	t.Parallel()
	unknown := event(t, usage.Counts{Model: "claude-new-1", Tokens: usage.Tokens{10}}, usage.Whole)
	r, err := pricing.Rate(unknown, vendor(t), 1)
	require.NoError(t, err)
	require.Equal(t, usage.StateUnpriced, r.Event.State)
	require.Equal(t, []string{"model_unknown"}, r.Event.Flags)
	require.Positive(t, int64(r.Charge.Net))
	for _, state := range []usage.State{usage.StateError, usage.StateOpen} {
		unknown.State = state
		r, err = pricing.Rate(unknown, vendor(t), 1)
		require.NoError(t, err)
		require.Zero(t, r.Charge.Net)
		require.Equal(t, state, r.Event.State)
	}
}

func TestCanonicalEventIsJSONAndCoversTheMoney(t *testing.T) {
	t.Parallel()
	e := event(t, usage.Counts{Model: "claude-opus-5-5", WebSearches: 1, Tokens: usage.Tokens{1, 2, 3, 4, 5}}, usage.Whole)
	e.Project = "P-\"ü\n"
	r, err := pricing.Rate(e, vendor(t), 3)
	require.NoError(t, err)
	canonical := r.AppendCanonical(nil)
	var back map[string]any
	require.NoError(t, json.Unmarshal(canonical, &back), string(canonical))
	require.Equal(t, e.Project, back["project"])
	require.EqualValues(t, r.Charge.Net, back["charge_pico"])
	require.EqualValues(t, 3, back["price_version"])
	require.Equal(t, "web_search", back["line0_class"])
	r.Charge.Net++
	require.NotEqual(t, canonical, r.AppendCanonical(nil))
}

func TestCanonicalEventCoversEveryFact(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 9, 0, 0, 123_456_789, time.UTC)
	full := func() pricing.Rated {
		e := event(t, usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1}}, usage.Whole)
		e.ID = id.EventFromBytes([16]byte{1, 0xa2, 0x08, 0xb6, 0xaf, 0xc0, 0x70, 1})
		e.RequestID, e.MessageID, e.SessionID, e.AgentID, e.ParentAgentID, e.RequestClass, e.StopReason = "req", "msg", "ses", "agent", "parent", "main", "end_turn"
		e.RuleVersion, e.Change = 4, ruled(t)
		e.Developer, e.DeveloperVerified, e.Project = id.DeriveDeveloper([]byte("d")), true, "P"
		e.Tags = map[string]string{"team": "a", "épic": "\"7\"", "area": "x"}
		e.RawUsage = []byte(`{"input_tokens":1}`)
		e.UpstreamStartedAt, e.FirstByteAt, e.EndedAt = at, at.Add(time.Second), at.Add(time.Minute)
		r, err := pricing.Rate(e, vendor(t), 3)
		require.NoError(t, err)
		return r
	}
	whole := full()
	whole.Event.Key = id.Key{}
	bytes := whole.AppendCanonical(nil)
	require.Equal(t, `{"v":3,"id":"`+whole.Event.ID.String()+`","occurred_at":"`+whole.Event.OccurredAt().Format("2006-01-02T15:04:05.000000Z")+`","state":"complete","http_status":200,`+
		`"request_id":"req","message_id":"msg","session_id":"ses","agent_id":"agent","parent_agent_id":"parent","request_class":"main","stop_reason":"end_turn",`+
		`"developer":"`+whole.Event.Developer.String()+`","model_served":"claude-opus-5-5","rule":"key","project":"P","attribution_change":"chg_00000000000000000000000000000007","developer_verified":1,"rule_version":4,`+
		`"tag0_key":"area","tag0_value":"x","tag1_key":"team","tag1_value":"a","tag2_key":"épic","tag2_value":"\"7\"",`+
		`"raw_usage_sha256":"e29916ba2e92f8217d8f9a8d730a929a0e63281d517006161a7526a29437027d","upstream_started_at":"2026-11-23T09:00:00.123456Z",`+
		`"first_byte_at":"2026-11-23T09:00:01.123456Z","ended_at":"2026-11-23T09:01:00.123456Z","snapshot":0,`+
		`"input":1,"input_rate_pico":4000000,"input_charge_pico":4000000,"share0_placement":"`+whole.Event.Shares[0].Placement.String()+`","share0_ppm":1000000,"share0_charge_pico":4000000,`+
		`"list_pico":4000000,"charge_pico":4000000,"discount_bps":0,"price_version":3,"replica":"","replica_sequence":0}`, string(bytes))
	for name, change := range map[string]func(*usage.Event){
		"tag value": func(e *usage.Event) { e.Tags["team"] = "b" }, "tag key": func(e *usage.Event) { delete(e.Tags, "team") },
		"stop reason": func(e *usage.Event) { e.StopReason = "refusal" }, "request class": func(e *usage.Event) { e.RequestClass = "subagent" },
		"parent": func(e *usage.Event) { e.ParentAgentID = "" }, "verified": func(e *usage.Event) { e.DeveloperVerified = false },
		"rule version": func(e *usage.Event) { e.RuleVersion = 5 }, "change": func(e *usage.Event) { e.Change = id.Change{} },
		"raw usage": func(e *usage.Event) { e.RawUsage = []byte(`{"input_tokens": 1}`) }, "start": func(e *usage.Event) { e.UpstreamStartedAt = at.Add(time.Microsecond) },
		"first byte": func(e *usage.Event) { e.FirstByteAt = time.Time{} }, "end": func(e *usage.Event) { e.EndedAt = at },
	} {
		other := full()
		other.Event.Key = id.Key{}
		change(&other.Event)
		require.NotEqual(t, string(bytes), string(other.AppendCanonical(nil)), name)
	}
}

func ruled(t *testing.T) id.Change {
	t.Helper()
	change, err := id.ParseChange("chg_00000000000000000000000000000007")
	require.NoError(t, err)
	return change
}

func BenchmarkAppendCanonical(b *testing.B) {
	e := usage.Event{
		ID: id.NewEvent(time.Now()), State: usage.StateComplete, HTTPStatus: 200, RequestID: "req_011CVxyz", MessageID: "msg_01Xyz", SessionID: "c0ffee00-0000-4000-8000-000000000000",
		Counts: usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1, 2, 3, 4, 5}}, StopReason: "tool_use", RequestClass: "main", Rule: "key",
		Shares: []usage.Share{{Placement: id.DerivePlacement([]byte("p")), PPM: usage.Whole}}, Tags: map[string]string{"team": "perception"},
		RawUsage: make([]byte, 400), UpstreamStartedAt: time.Now(), FirstByteAt: time.Now(), EndedAt: time.Now(),
	}
	r, err := pricing.Rate(e, vendor(b), 1)
	require.NoError(b, err)
	var out []byte
	for b.Loop() {
		out = r.AppendCanonical(out[:0])
	}
}
