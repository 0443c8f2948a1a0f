package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/period"
)

// BenchmarkClose posts, signs and locks a month of a million requests: everything is worked
// out from sums, so that it has to take less than a minute of machine time.
func BenchmarkClose(b *testing.B) {
	h := build(b)
	o := &office{house: h, fin: h.person(b, h.one, app.RoleFinanceAdmin, "fin"), cfo: h.person(b, h.one, app.RoleController, "cfo"), october: month(b, "2026-10")}
	for _, code := range []string{"CC-1", "CC-2", "CC-3", "P-1"} {
		h.flush(b, h.one, h.one.event(in(o.october, 1), code))
	}
	// Each day of each node by 200 models, and 41 requests of each.
	h.exec(b, `insert into rollup_placement_day (tenant_id, day, posting_period, placement_id, key_id, model, requests, errors, provisional, input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
			cache_read_tokens, charge_pico)
		select tenant_id, posting_period + d, posting_period, placement_id, key_id, 'model-' || n, 41, 0, 0, 41000, 20500, 0, 0, 0, charge_pico * 41 + n
		from rollup_placement_day, generate_series(0, 30) d, generate_series(1, 200) n where tenant_id = $1`, h.one.tenant)
	requests := h.number(b, `select sum(requests) from rollup_placement_day where tenant_id = $1`, h.one.tenant)
	require.Greater(b, requests, int64(1_000_000))
	made := h.propose(b, o.fin, app.AskSoftClose(o.october, "month end"))
	require.NotZero(b, made.Number)
	for b.Loop() {
		_, err := h.books.Accrue(b.Context(), h.one.tenant)
		require.NoError(b, err)
		o.signAll(b, o.october)
		require.NoError(b, o.shuts(b, o.october, period.StateLocked))
		b.StopTimer()
		require.Equal(b, closing.Done, o.states(b, o.october)[closing.StepLock])
		_, err = o.approveChange(b, o.cfo, h.propose(b, o.fin, app.AskReopen(o.october, "again")))
		require.NoError(b, err)
		b.StartTimer()
	}
	b.ReportMetric(float64(requests), "requests")
}
