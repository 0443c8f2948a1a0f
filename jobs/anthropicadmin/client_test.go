package anthropicadmin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/jobs/anthropicadmin"
)

const adminKey = "sk-ant-admin01-hush"

// asked is a client whose waits take no time and are remembered.
type asked struct {
	*anthropicadmin.Client

	requests []*http.Request
	waits    []time.Duration
}

func newAsked(t *testing.T, answers ...http.HandlerFunc) (*asked, anthropicadmin.Question) {
	t.Helper()
	a := &asked{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.requests = append(a.requests, r.Clone(context.WithoutCancel(r.Context())))
		answers[min(len(a.requests), len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	a.Client = anthropicadmin.New(anthropicadmin.Config{
		Ask: http.DefaultTransport.RoundTrip, Now: time.Now, Version: "7",
		Wait: func(ctx context.Context, d time.Duration) error { a.waits = append(a.waits, d); return ctx.Err() },
	})
	return a, anthropicadmin.Question{
		BaseURL: server.URL + "/base/", Credential: secret.NewText(adminKey), API: provider.Analytics, Report: provider.Cost, Day: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
	}
}

func says(status int, body string, head ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(head); i += 2 {
			w.Header().Set(head[i], head[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

const page = `{"data":[],"has_more":false}`

func TestEachReportIsAskedForAsItIsDocumented(t *testing.T) {
	t.Parallel()
	five := []string{"api_key_id", "model", "service_tier", "speed", "inference_geo"}
	for _, c := range []struct {
		api    provider.API
		report provider.Report
		path   string
		group  []string
		width  string
		cursor string
	}{
		{provider.Analytics, provider.Usage, "/base/v1/organizations/analytics/usage", five, "time_bucket_width", "page"},
		{provider.Analytics, provider.Cost, "/base/v1/organizations/analytics/cost", append(append([]string{}, five...), "cost_type", "token_type"), "time_bucket_width", "page"},
		{provider.Legacy, provider.Usage, "/base/v1/organizations/usage_report/messages", append(append([]string{}, five...), "workspace_id"), "bucket_width", "page"},
		{provider.Legacy, provider.Cost, "/base/v1/organizations/cost_report", []string{"workspace_id", "description"}, "bucket_width", "page"},
		{provider.Organization, provider.Keys, "/base/v1/organizations/api_keys", nil, "", "after_id"},
		{provider.Organization, provider.Workspaces, "/base/v1/organizations/workspaces", nil, "", "after_id"},
	} {
		a, q := newAsked(t, says(200, page))
		q.API, q.Report, q.Cursor = c.api, c.report, "next one"
		got, err := a.Page(t.Context(), &q)
		require.NoError(t, err)
		require.Equal(t, page, string(got.Body))
		r := a.requests[0]
		query := r.URL.Query()
		require.Equal(t, c.path, r.URL.Path)
		require.Equal(t, c.group, query["group_by[]"])
		require.Equal(t, "next one", query.Get(c.cursor))
		if c.width != "" {
			require.Equal(t, []string{"1d", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"}, []string{query.Get(c.width), query.Get("starting_at"), query.Get("ending_at")})
		}
		require.Equal(t, []string{adminKey, "2023-06-01", "Tollbook/7", "identity"}, []string{r.Header.Get("x-api-key"), r.Header.Get("anthropic-version"), r.UserAgent(), r.Header.Get("Accept-Encoding")})
		require.Contains(t, r.Header.Get("anthropic-beta"), "analytics-usage-cost-2026-08-24")
		require.Equal(t, r.URL.RequestURI(), got.Request)
		require.NotContains(t, got.Request, "sk-ant")
	}
}

func TestWhatMayPassIsTriedAgainWithinBounds(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(page))
	}
	gone := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	wrong := `{"type":"error","error":{"type":"x"}}`
	for _, c := range []struct {
		name    string
		answers []http.HandlerFunc
		err     error
		waits   []time.Duration
	}{
		{"limited, then well", []http.HandlerFunc{says(429, wrong, "Retry-After", "7"), says(200, page)}, nil, []time.Duration{7 * time.Second}},
		{"limited for an hour", []http.HandlerFunc{says(429, wrong, "Retry-After", "3600")}, anthropicadmin.ErrLimited, nil},
		{"a date is not honored", []http.HandlerFunc{says(429, wrong, "Retry-After", "Mon, 23 Nov 2026 14:02:00 GMT"), says(200, page)}, nil, []time.Duration{time.Second}},
		{"limited without end", []http.HandlerFunc{says(429, wrong)}, anthropicadmin.ErrLimited, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{"failing, then well", []http.HandlerFunc{says(529, wrong), says(502, "<html>"), says(200, page)}, nil, []time.Duration{time.Second, 2 * time.Second}},
		{"failing without end", []http.HandlerFunc{says(500, wrong)}, anthropicadmin.ErrFailing, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{"cut, then well", []http.HandlerFunc{cut, says(200, page)}, nil, []time.Duration{time.Second}},
		{"no head, then well", []http.HandlerFunc{gone, gone, says(200, page)}, nil, []time.Duration{time.Second, 2 * time.Second}},
		{"a proxy’s page", []http.HandlerFunc{says(200, "<html>")}, anthropicadmin.ErrForeign, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{"a redirect is not followed", []http.HandlerFunc{says(307, "", "Location", "/elsewhere")}, anthropicadmin.ErrForeign, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{"a credential that is refused", []http.HandlerFunc{says(401, wrong)}, anthropicadmin.ErrRefused, nil},
		{"a report that is not there", []http.HandlerFunc{says(404, wrong)}, anthropicadmin.ErrAbsent, nil},
		{"a report that is not for it", []http.HandlerFunc{says(403, wrong)}, anthropicadmin.ErrAbsent, nil},
		{"a question that is refused", []http.HandlerFunc{says(400, wrong)}, anthropicadmin.ErrQuestion, nil},
		{"more than a page may be", []http.HandlerFunc{says(200, `{"a":"`+strings.Repeat("x", provider.MaxPageBytes)+`"}`)}, anthropicadmin.ErrLarge, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, q := newAsked(t, c.answers...)
			_, err := a.Page(t.Context(), &q)
			if c.err == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.err)
				require.NotContains(t, fmt.Sprintf("%v %+v", err, q), "hush")
			}
			require.Equal(t, c.waits, a.waits)
		})
	}
}

func TestAPageEndsWithWhoAskedForIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	a, q := newAsked(t, func(http.ResponseWriter, *http.Request) { cancel(); panic(http.ErrAbortHandler) })
	_, err := a.Page(ctx, &q)
	require.ErrorIs(t, err, anthropicadmin.ErrSilent)
	q.BaseURL = "://"
	_, err = a.Page(t.Context(), &q)
	require.ErrorIs(t, err, anthropicadmin.ErrQuestion)
	// Without a Wait of its own a client waits by the clock, no longer than its context.
	client := anthropicadmin.New(anthropicadmin.Config{Ask: func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded }, Now: time.Now})
	limited, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	q.BaseURL = "http://127.0.0.1:1"
	_, err = client.Page(limited, &q)
	require.ErrorIs(t, err, anthropicadmin.ErrSilent)
}
