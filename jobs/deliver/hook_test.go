package deliver_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/notice"
	"tollbook/app/secret"
	"tollbook/jobs/deliver"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func now() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

func post(url string) *app.Post {
	return &app.Post{Kind: notice.Webhook, URL: secret.NewText(url), Secret: secret.NewText(hookSecret), Body: []byte(`{"type":"change.proposed"}`)}
}

func TestAWebhookIsSignedAndTheSameAtEveryAttempt(t *testing.T) {
	t.Parallel()
	var heads []http.Header
	var bodies []string
	status := http.StatusInternalServerError
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		heads, bodies = append(heads, r.Header), append(bodies, string(body))
		w.WriteHeader(status)
	}))
	t.Cleanup(there.Close)
	hooks := deliver.NewHooks(true, deliver.HookWithin, now)
	out := hooks.Send(t.Context(), "dlv_1", post(there.URL))
	require.Equal(t, notice.Outcome{Answer: "500 Internal Server Error"}, out)
	status = http.StatusOK
	out = hooks.Send(t.Context(), "dlv_1", post(there.URL))
	require.Equal(t, notice.Outcome{Accepted: true, Answer: "200 OK"}, out)
	require.Equal(t, []string{`{"type":"change.proposed"}`, `{"type":"change.proposed"}`}, bodies)
	for _, head := range heads {
		require.Equal(t, "dlv_1", head.Get("webhook-id"))
		seconds, err := strconv.ParseInt(head.Get("webhook-timestamp"), 10, 64)
		require.NoError(t, err)
		want, err := notice.Sign(hookSecret, "dlv_1", time.Unix(seconds, 0), []byte(bodies[0]))
		require.NoError(t, err)
		require.Equal(t, want, head.Get("webhook-signature"))
		require.Equal(t, "application/json", head.Get("Content-Type"))
	}
	slack := post(there.URL)
	slack.Kind, slack.Secret = notice.Slack, secret.Text{}
	require.True(t, hooks.Send(t.Context(), "dlv_2", slack).Accepted)
	require.Empty(t, heads[2].Get("webhook-signature"))
}

func TestAnAnswersStatusDecides(t *testing.T) {
	t.Parallel()
	var status int
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat("secret of theirs ", 10_000))
	}))
	t.Cleanup(there.Close)
	hooks := deliver.NewHooks(true, deliver.HookWithin, now)
	for code, want := range map[int]notice.Outcome{
		200: {Accepted: true}, 201: {Accepted: true}, 202: {Accepted: true}, 204: {Accepted: true}, 301: {Permanent: true}, 302: {Permanent: true}, 307: {Permanent: true}, 400: {}, 401: {}, 404: {},
		410: {Permanent: true}, 429: {}, 500: {}, 502: {}, 503: {},
	} {
		status = code
		out := hooks.Send(t.Context(), "dlv_1", post(there.URL))
		require.Equal(t, []bool{want.Accepted, want.Permanent}, []bool{out.Accepted, out.Permanent}, code)
		require.NotContains(t, out.Answer, "secret")
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere int
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			elsewhere++
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(there.Close)
	require.True(t, deliver.NewHooks(true, deliver.HookWithin, now).Send(t.Context(), "dlv_1", post(there.URL)).Permanent)
	require.Zero(t, elsewhere)
}

func TestAHookThatHangsOrIsDownIsTriedAgain(t *testing.T) {
	t.Parallel()
	hooks := deliver.NewHooks(true, 100*time.Millisecond, now)
	out := hooks.Send(t.Context(), "dlv_1", post("http://"+silent(t)))
	require.Equal(t, notice.Outcome{Answer: "No answer in time."}, out)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	require.Equal(t, notice.Outcome{Answer: "The connection failed."}, hooks.Send(t.Context(), "dlv_1", post(down.URL)))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	out = hooks.Send(canceled, "dlv_1", post(down.URL))
	require.False(t, out.Accepted || out.Permanent)
}

// TestAWebhookDoesNotReachTheInstallationsOwnNetwork asks for addresses in every spelling
// there is; a server listens at the first one.
func TestAWebhookDoesNotReachTheInstallationsOwnNetwork(t *testing.T) {
	t.Parallel()
	var called int
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }))
	t.Cleanup(there.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(there.URL, "http://"), ":")
	hooks := deliver.NewHooks(false, deliver.HookWithin, now)
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]",
		"100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:10.0.0.1]", "[::ffff:0:127.0.0.1]", "[fec0::1]",
	} {
		out := hooks.Send(t.Context(), "dlv_1", post("http://"+host+":"+port+"/"))
		require.False(t, out.Accepted, host)
		require.True(t, out.Permanent, "%s: %s", host, out.Answer)
		require.Contains(t, out.Answer, "private network", host)
		require.NotContains(t, out.Answer, port, "which address it is stays here")
	}
	require.Zero(t, called)
	require.True(t, deliver.NewHooks(true, deliver.HookWithin, now).Send(t.Context(), "dlv_1", post(there.URL)).Accepted, "unless the operator allows it")
}
