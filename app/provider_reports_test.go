package app_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/db"
)

const (
	adminKey   = "sk-ant-admin01-one"
	otherAdmin = "sk-ant-admin01-two"
)

func reportSource() app.ReportSource {
	return app.ReportSource{BaseURL: "https://api.anthropic.com", GatewayKeys: []string{"apikey_2", "apikey_1", "apikey_2"}, FirstDay: "2026-11-01"}
}

// report is one page of usage of a day with one row.
func report(day time.Time, key string, tokens int, next string) app.Received {
	cursor := "null"
	if next != "" {
		cursor = `"` + next + `"`
	}
	return app.Received{Status: 200, FetchedAt: day.Add(48 * time.Hour), Request: "/usage", Body: fmt.Appendf(nil, `{"data":[{"starting_at":%q,"ending_at":%q,"group":{"api_key_id":%q},"usage":{"output_tokens":%d}}],
		"has_more":%t,"next_page":%s,"data_refreshed_at":%q}`, day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339), key, tokens, next != "", cursor, day.Add(30*time.Hour).Format(time.RFC3339))}
}

func novemberDay(day int) time.Time { return time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC) }

func TestASourceIsDecidedByTwo(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, ctl := h.member(t, h.one, app.RoleFinanceAdmin, ""), h.member(t, h.one, app.RoleController, "")
	require.ErrorIs(t, h.provider.SetSource(t.Context(), fin, reportSource(), secret.NewText(adminKey), "x"), app.ErrMustPropose)
	require.Equal(t, fault.KindForbidden, fault.KindOf(h.provider.SetSource(t.Context(), ctl, reportSource(), secret.NewText(adminKey), "x")))
	made, err := h.approvals.Propose(t.Context(), fin, app.AskReportSource(reportSource(), secret.NewText(adminKey), "to reconcile"), "")
	require.NoError(t, err)
	require.Contains(t, made.Impact.Sentence, "from https://api.anthropic.com instead of nowhere, of days from 2026-11-01 on, and again for 30 days; a day settles after 24 hours. The gateway alone uses 2 of the provider’s keys. Added: apikey_1, apikey_2.")
	require.NotContains(t, string(made.Payload), adminKey)
	require.Zero(t, h.number(t, `select count(*) from provider_source`))
	_, err = h.approvals.Decide(t.Context(), h.person(t, h.one, app.RoleFinanceAdmin, "second"), made.ID, approval.VerdictApprove, made.Digest, "yes")
	require.NoError(t, err)
	require.Equal(t, "{apikey_1,apikey_2}", h.text(t, `select gateway_keys::text from provider_source where tenant_id = $1`, h.one.tenant))
	require.Zero(t, h.number(t, `select count(*) from provider_source where encode(credential_sealed, 'escape') like '%sk-ant%'`))
	require.Zero(t, h.number(t, `select count(*) from audit_record where encode(canonical, 'escape') like '%sk-ant%'`))
}

func TestWhatASourceMustBe(t *testing.T) {
	t.Parallel()
	h := build(t)
	set := func(change func(*app.ReportSource), credential string) error {
		want := reportSource()
		change(&want)
		return h.provider.SetSource(t.Context(), h.one.who, want, secret.NewText(credential), "x")
	}
	for _, c := range []struct {
		field, code string
		change      func(*app.ReportSource)
	}{
		{"base_url", "upstream_url", func(s *app.ReportSource) { s.BaseURL = "ftp://x" }},
		{"first_day", "first_day_range", func(s *app.ReportSource) { s.FirstDay = "2025-01-01" }},
		{"first_day", "first_day_range", func(s *app.ReportSource) { s.FirstDay = "2026-12-01" }},
		{"first_day", "first_day_range", func(s *app.ReportSource) { s.FirstDay = "monday" }},
		{"settle_hours", "settle_range", func(s *app.ReportSource) { s.SettleHours = 721 }},
		{"repull_days", "repull_range", func(s *app.ReportSource) { s.RepullDays = -1; s.FirstDay = "2026-11-01" }},
		{"gateway_keys", "gateway_key_syntax", func(s *app.ReportSource) { s.GatewayKeys = []string{"sk-ant-api03-oops"} }},
		{"gateway_keys", "gateway_key_syntax", func(s *app.ReportSource) { s.GatewayKeys = []string{"a b"} }},
		{"gateway_keys", "gateway_keys_many", func(s *app.ReportSource) { s.GatewayKeys = strings.Split(strings.Repeat("k ", 201), " ") }},
	} {
		f := fault.From(set(c.change, adminKey))
		require.Equal(t, []string{c.field, c.code}, []string{f.Field, f.Code})
	}
	same := func(*app.ReportSource) {}
	require.Equal(t, "credential", fault.From(set(same, "")).Field)
	require.NoError(t, set(same, adminKey))
	require.NoError(t, set(same, adminKey)) // nothing changes
	require.NoError(t, set(same, ""))
	require.EqualValues(t, 1, h.number(t, `select count(*) from provider_source`))
	require.Equal(t, "source_credential", fault.From(set(func(s *app.ReportSource) { s.BaseURL = "https://elsewhere.test" }, "")).Code, "a credential stays at its address")
	require.NoError(t, set(func(s *app.ReportSource) { s.SettleHours = 48 }, ""))
	p, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Usage, novemberDay(5))
	require.NoError(t, err)
	require.Equal(t, adminKey, p.Credential.Reveal())
	require.NoError(t, set(same, otherAdmin))
	require.EqualValues(t, 3, h.number(t, `select count(*) from provider_source`))
}

// TestPullsOfTwoCompanies pulls the same day of both: each has its own figures, pages and
// records.
func TestPullsOfTwoCompanies(t *testing.T) {
	t.Parallel()
	h := build(t)
	day := novemberDay(5)
	for i, c := range []*company{h.one, h.two} {
		_, err := h.provider.Begin(t.Context(), c.tenant, provider.Usage, day)
		require.Equal(t, "report_source_absent", fault.From(err).Code)
		require.NoError(t, h.provider.SetSource(t.Context(), c.who, reportSource(), secret.NewText(adminKey), "x"))
		p, err := h.provider.Begin(t.Context(), c.tenant, provider.Usage, day)
		require.NoError(t, err)
		require.NoError(t, h.provider.KeepPage(t.Context(), p, report(day, c.slug+"-1", 10+i, "p2")))
		_, err = h.provider.Finish(t.Context(), p)
		require.ErrorContains(t, err, "pages to come")
		require.NoError(t, h.provider.KeepPage(t.Context(), p, report(day, c.slug+"-2", 20+i, "")))
		state, err := h.provider.Finish(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, app.PullFinished, state)
	}
	for i, c := range []*company{h.one, h.two} {
		require.NoError(t, h.clone.ReadTenant(t.Context(), c.tenant, func(tx *db.Tx) error {
			figures, err := tx.FiguresOf(day)
			require.Len(t, figures, 2)
			require.Equal(t, c.slug+"-1", figures[0].Key)
			require.EqualValues(t, 10+i, figures[0].Quantity)
			return err
		}))
		require.EqualValues(t, 1, h.records(t, c.tenant, "provider.pulled"))
	}
	require.EqualValues(t, 4, h.number(t, `select count(*) from provider_page where content_sha256 = sha256(content)`))
}

// TestAPullThatCannotBeReadEndsWithItsReason keeps the page, and no figure of it.
func TestAPullThatCannotBeReadEndsWithItsReason(t *testing.T) {
	t.Parallel()
	h := build(t)
	day := novemberDay(5)
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, reportSource(), secret.NewText(adminKey), "x"))
	begin := func() *app.Pull {
		p, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Usage, day)
		require.NoError(t, err)
		return p
	}
	p := begin()
	require.NoError(t, h.provider.KeepPage(t.Context(), p, report(day, "k", 1, "p2")))
	require.Equal(t, "row_repeated", fault.From(h.provider.KeepPage(t.Context(), p, report(day, "k", 1, "p3"))).Code)
	require.Equal(t, "failed row_repeated 2", h.text(t, `select state || ' ' || reason || ' ' || pages from provider_pull_end`))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "provider.pull_failed"))
	// The next one begins anew, and is taken up while it is fresh; then it is overdue.
	p = begin()
	require.EqualValues(t, 2, p.Number)
	require.NoError(t, h.provider.KeepPage(t.Context(), p, report(day, "k", 1, "p2")))
	require.Equal(t, p.ID, begin().ID)
	cursor, more := begin().Next()
	require.True(t, more)
	require.Equal(t, "p2", cursor)
	h.clock.add(2 * time.Hour)
	p = begin()
	require.EqualValues(t, 3, p.Number)
	require.Equal(t, "pull_overdue", h.text(t, `select reason from provider_pull_end join provider_pull using (tenant_id, pull_id) where number = 2`))
	// A worker that ended between keeping a page and saying what is wrong with it.
	h.exec(t, `insert into provider_page (tenant_id, pull_id, place, api, request, http_status, content, content_sha256, fetched_at) values ($1, $2, 1, 'analytics', '/x', 200, 'x', sha256('x'), now())`, h.one.tenant, p.ID)
	p = begin()
	require.EqualValues(t, 4, p.Number)
	require.Equal(t, "page_syntax", h.text(t, `select reason from provider_pull_end join provider_pull using (tenant_id, pull_id) where number = 3`))
	// Another source: what was begun with the one before ends.
	want := reportSource()
	want.SettleHours = 12
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, want, secret.Text{}, "x"))
	require.EqualValues(t, 5, begin().Number)
	require.Zero(t, h.number(t, `select count(*) from provider_figure`))
}

// TestTheClockAsksForDaysThatAreDue asks for those since the first day, the latest first, and
// again until they are settled.
func TestTheClockAsksForDaysThatAreDue(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.audit.Tick(t.Context(), "x"))
	require.Zero(t, h.jobs(t, "pull_reports", h.one.tenant))
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, reportSource(), secret.NewText(adminKey), "x"))
	require.NoError(t, h.audit.Tick(t.Context(), "x"))
	require.EqualValues(t, 9, h.jobs(t, "pull_reports", h.one.tenant)) // the 1st to the 9th; today is the 10th
	require.Zero(t, h.jobs(t, "pull_reports", h.two.tenant))
	h.exec(t, `delete from river.river_job`)
	long := reportSource()
	long.FirstDay = "2026-08-01"
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, long, secret.Text{}, "x"))
	require.NoError(t, h.audit.Tick(t.Context(), "x"))
	require.EqualValues(t, 25, h.jobs(t, "pull_reports", h.one.tenant))
	require.Equal(t, "2026-10-16 2026-11-09", h.text(t, `select min(args->>'day') || ' ' || max(args->>'day') from river.river_job where kind = 'pull_reports'`))
	h.exec(t, `delete from river.river_job`)
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, reportSource(), secret.Text{}, "x"))
	for d := 1; d <= 9; d++ {
		for _, r := range []provider.Report{provider.Usage, provider.Cost} {
			p, err := h.provider.Begin(t.Context(), h.one.tenant, r, novemberDay(d))
			require.NoError(t, err)
			page := report(novemberDay(d), "k", 1, "")
			if r == provider.Cost {
				page.Body = []byte(strings.Replace(string(page.Body), `"usage":{"output_tokens":1}`, `"cost":{"amount":"1","list_amount":"1","currency":"USD"}`, 1))
			}
			page.Body = []byte(strings.Replace(string(page.Body), novemberDay(d).Add(30*time.Hour).Format(time.RFC3339), "2026-11-10T11:00:00Z", 1))
			page.FetchedAt = h.clock.now()
			require.NoError(t, h.provider.KeepPage(t.Context(), p, page))
			_, err = h.provider.Finish(t.Context(), p)
			require.NoError(t, err)
		}
	}
	due := func(hours int) int64 {
		h.clock.add(time.Duration(hours) * time.Hour)
		h.exec(t, `delete from river.river_job`)
		require.NoError(t, h.audit.Tick(t.Context(), "x"))
		return h.jobs(t, "pull_reports", h.one.tenant)
	}
	require.Zero(t, due(0))
	require.EqualValues(t, 9, due(6), "none has reported the same for a day")
}

// TestALegacyPullBeginsWithoutAPage turns once, and not after a page.
func TestALegacyPullBeginsWithoutAPage(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, reportSource(), secret.NewText(adminKey), "x"))
	p, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Usage, novemberDay(5))
	require.NoError(t, err)
	require.True(t, p.UseLegacy())
	require.False(t, p.UseLegacy())
	names, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Keys, time.Time{})
	require.NoError(t, err)
	require.False(t, names.UseLegacy())
	require.NoError(t, h.provider.KeepPage(t.Context(), names, app.Received{Status: 200, FetchedAt: h.clock.now(), Request: "/keys", Body: []byte(`{"data":[{"id":"apikey_1","name":"One"}],"has_more":false}`)}))
	_, err = h.provider.Finish(t.Context(), names)
	require.NoError(t, err)
	again, err := h.provider.Begin(t.Context(), h.one.tenant, provider.Keys, time.Time{})
	require.NoError(t, err)
	require.Nil(t, again, "the list is current")
	require.NoError(t, errors.Join(h.provider.Fail(t.Context(), p, "x", "y")))
}
