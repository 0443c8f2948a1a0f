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
