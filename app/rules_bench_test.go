package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// BenchmarkReplay places a month of requests again under rules that look at models, tags
// and time; a replay has ReplayLimit for all of it.
func BenchmarkReplay(b *testing.B) {
	const requests = 400_000
	h := build(b)
	finance := h.person(b, h.one, app.RoleFinanceAdmin, "fin")
	h.flush(b, h.one, h.one.event(time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC), "CC-1"))
	columns := h.text(b, `select string_agg(case attname when 'occurred_at' then 'occurred_at + n * interval ''6 seconds''' when 'event_id' then 'gen_random_uuid()'
		when 'tags' then $$jsonb_build_object('team', 't' || n % 50)$$ else attname::text end, ', ' order by attnum)
		from pg_attribute where attrelid = 'usage_event'::regclass and attnum > 0 and not attisdropped`)
	h.exec(b, `insert into usage_event select `+columns+` from usage_event, generate_series(1, $1) n`, requests-1)
	rules := parseRules(b, ruleText("haiku", onHaiku, "CC-2", 1_000_000), ruleText("night", `{"field":"hours","is":["22-6"]}`, "CC-3", 1_000_000),
		ruleText("team", `{"field":"tag","tag":"team","is":["t1*","t7"]}`, "CC-2", 400_000, "CC-3", 600_000))
	for b.Loop() {
		done, err := h.rules.Replay(b.Context(), finance, app.ReplayAsk{Rules: rules})
		require.NoError(b, err)
		require.True(b, done.Complete)
		require.EqualValues(b, requests, done.Read)
	}
	b.ReportMetric(float64(requests*b.N)/b.Elapsed().Seconds(), "requests/s")
}
