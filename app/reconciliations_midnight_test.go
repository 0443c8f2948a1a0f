package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/usage"
)

// TestARequestTooManyIsOfOneDayBesideIt: we have a request on each of two days, and the
// provider one of that size on the day between them. The other is missing.
func TestARequestTooManyIsOfOneDayBesideIt(t *testing.T) {
	t.Parallel()
	h := build(t)
	first := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, first)
	var l ledgers
	days := []time.Time{first, first.AddDate(0, 0, 1), first.AddDate(0, 0, 2)}
	tokens := usage.Tokens{400_000, 40_000}
	for i, day := range days {
		h.ordinary(&l, day)
		e, f := h.traffic(day.Add(time.Hour), "CC-1", opus, tokens)
		if i == 1 {
			l.facts = append(l.facts, f)
		} else {
			l.events = append(l.events, e)
		}
	}
	l.tell(t, v)
	for _, day := range days {
		v.pull(t, day)
	}
	said := map[string]string{}
	for i, day := range days {
		_, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
		require.NoError(t, err)
		_, one := h.difference(t, day)
		for what, amount := range one {
			said[[...]string{"first ", "second ", "third "}[i]+what] = amount
		}
	}
	whole := dollars(1, 400_000*5_000_000+40_000*25_000_000)
	require.Equal(t, map[string]string{
		"first late " + opus + " gateway": "-" + whole, "second late " + opus + " gateway": whole, "third missing_at_provider " + opus + " gateway": "-" + whole,
	}, said)
}
