package app_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/provider"
	"tollbook/app/secret"
)

// TestASourceThatFailsIsAskedMoreSeldomAndKeepsLittle: first for one day at a time, then, after
// a hundred failures, not at all for a day; another source begins anew.
func TestASourceThatFailsIsAskedMoreSeldomAndKeepsLittle(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, reportSource(), secret.NewText(adminKey), "x"))
	require.NoError(t, h.provider.SetSource(t.Context(), h.two.who, reportSource(), secret.NewText(adminKey), "x"))
	fails := func(times, day int) {
		for range times {
			for _, report := range []provider.Report{provider.Usage, provider.Cost} {
				p, err := h.provider.Begin(t.Context(), h.one.tenant, report, novemberDay(day))
				require.NoError(t, err)
				require.NoError(t, h.provider.Fail(t.Context(), p, "broken", "It is broken."))
			}
		}
	}
	asked := func(after time.Duration) []int64 {
		h.clock.add(after)
		h.exec(t, `delete from river.river_job`)
		require.NoError(t, h.audit.Tick(t.Context(), "x"))
		return []int64{h.jobs(t, "pull_reports", h.one.tenant), h.jobs(t, "pull_reports", h.two.tenant)}
	}
	require.Equal(t, []int64{9, 9}, asked(0))
	fails(1, 9)
	require.Equal(t, []int64{8, 9}, asked(time.Minute), "but the day that just failed")
	fails(2, 8)
	require.Equal(t, []int64{0, 9}, asked(16*time.Minute), "six in a row: half an hour")
	require.Equal(t, []int64{1, 9}, asked(15*time.Minute), "one day, to see")
	fails(47, 7)
	require.Equal(t, []int64{0, 9}, asked(6*time.Hour))
	_, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Usage, novemberDay(7))
	require.Equal(t, "pulls_failed_many", fault.From(err).Code)
	_, err = h.provider.Begin(t.Context(), h.two.tenant, provider.Usage, novemberDay(7))
	require.NoError(t, err)

	other := reportSource()
	other.SettleHours = 48
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, other, secret.Text{}, "x"))
	p, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Usage, novemberDay(7))
	require.NoError(t, err)
	require.NoError(t, h.provider.KeepPage(t.Context(), p, report(novemberDay(7), "k", 1, "")))
	_, err = h.provider.Finish(t.Context(), p)
	require.NoError(t, err)
	require.Greater(t, asked(25 * time.Hour)[0], int64(1))
}

// TestAPullKeepsNoMoreThanItsBound: the page that would be too much is not kept.
func TestAPullKeepsNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, reportSource(), secret.NewText(adminKey), "x"))
	p, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Usage, novemberDay(5))
	require.NoError(t, err)
	keep := func(n int) error {
		page := report(novemberDay(5), fmt.Sprint("k", n), 1, fmt.Sprint("p", n+2))
		page.Body = append(page.Body, bytes.Repeat([]byte(" "), provider.MaxPageBytes-len(page.Body))...)
		return h.provider.KeepPage(t.Context(), p, app.Received{Status: page.Status, FetchedAt: page.FetchedAt, Request: page.Request, Body: page.Body})
	}
	pages := provider.MaxBytes / provider.MaxPageBytes
	for n := range pages {
		require.NoError(t, keep(n))
	}
	require.Equal(t, "bytes_many", fault.From(keep(pages)).Code)
	require.EqualValues(t, pages, h.number(t, `select count(*) from provider_page where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "failed bytes_many", h.text(t, `select state || ' ' || reason from provider_pull_end where tenant_id = $1`, h.one.tenant))
}
