package web_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/db"
	"tollbook/web"
)

// watching is one open stream of events.
type watching struct {
	status int
	lines  chan string // closed at the stream's end
}

// watch opens a stream of a company as the one whose cookie is given.
func (w *world) watch(t *testing.T, cookie *http.Cookie) *watching {
	t.Helper()
	return w.watchAt(t, cookie, "/live")
}

func (w *world) watchAt(t *testing.T, cookie *http.Cookie, path string) *watching {
	t.Helper()
	site := httptest.NewServer(w.web.Handler())
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); site.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, site.URL+path, nil)
	require.NoError(t, err)
	r.AddCookie(cookie)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	s := &watching{status: res.StatusCode, lines: make(chan string, 100)}
	go func() {
		defer close(s.lines)
		defer res.Body.Close()
		for scan := bufio.NewScanner(res.Body); scan.Scan(); {
			s.lines <- scan.Text()
		}
	}()
	return s
}

// next waits for a line.
func (s *watching) next(t *testing.T, want string) {
	t.Helper()
	for limit := time.After(20 * time.Second); ; {
		select {
		case line, open := <-s.lines:
			require.True(t, open, "the stream ended before %q", want)
			if line == want {
				return
			}
		case <-limit:
			require.Fail(t, "no line "+want)
		}
	}
}

// ends waits for the stream's end.
func (s *watching) ends(t *testing.T) {
	t.Helper()
	for limit := time.After(40 * time.Second); ; {
		select {
		case _, open := <-s.lines:
			if !open {
				return
			}
		case <-limit:
			require.Fail(t, "the stream goes on")
		}
	}
}

func alive(leaving chan struct{}) func(*web.Config) {
	return func(cfg *web.Config) { cfg.Leaving = leaving }
}

func (w *world) spend(t *testing.T, c *company) {
	t.Helper()
	one := c.events[0]
	one.ID, one.RequestID = id.NewEvent(now()), "req_more"
	added, err := w.metering.Flush(t.Context(), c.tenant, []usage.Event{one})
	require.NoError(t, err)
	require.Equal(t, 1, added)
}

func TestAPageHearsThatMoneyArrived(t *testing.T) {
	t.Parallel()
	leaving := make(chan struct{})
	w := newWorld(t, alive(leaving))
	ours, own := w.watch(t, w.session(t, w.one, app.RoleAnalyst)), w.watch(t, w.session(t, w.one, app.RoleDeveloper))
	theirs := w.watch(t, w.session(t, w.two, app.RoleAnalyst))
	for _, s := range []*watching{ours, own, theirs} {
		require.Equal(t, http.StatusOK, s.status)
		s.next(t, ": watching")
	}
	w.spend(t, w.one)
	ours.next(t, "event: usage")
	own.next(t, "event: usage")
	w.spend(t, w.two)
	theirs.next(t, "event: usage")
	select {
	case line := <-ours.lines:
		require.NotEqual(t, "event: usage", line, "another company's money")
	default:
	}
	close(leaving) // what an ending process does
	ours.ends(t)
	own.ends(t)
	theirs.ends(t)
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alive(nil))
	cookie := w.session(t, w.one, app.RoleAnalyst)
	running := w.session(t, w.one, operator)
	s, state := w.watch(t, cookie), w.watchAt(t, running, "/operator/live")
	s.next(t, ": watching")
	state.next(t, ": watching")
	for _, ends := range []*http.Cookie{cookie, running} {
		r := request(http.MethodPost, "/sign-out", "")
		r.AddCookie(ends)
		require.Equal(t, http.StatusSeeOther, w.do(r).status)
	}
	s.ends(t)
	state.ends(t)
}

// TestTheOperatorsPageHearsOfChange watches the installation as an operator, and tries to
// as everybody else.
func TestTheOperatorsPageHearsOfChange(t *testing.T) {
	t.Parallel()
	leaving := make(chan struct{})
	w := newWorld(t, alive(leaving))
	admin := w.clone.Admin(t)
	cookie := w.session(t, w.one, operator)
	require.Contains(t, w.see(t, w.one, operator, "/operator").body, `data-live="/operator/live"`)
	s, other := w.watchAt(t, cookie, "/operator/live"), w.watchAt(t, w.session(t, w.two, operator), "/operator/live")
	require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{s.status, other.status})
	s.next(t, ": watching")
	_, err := admin.Exec(`insert into replica (replica_id, started_at, seen_at, flushed_through, pending, journal_bytes) values (gen_random_uuid(), $1, $1, $1, 17, 3500000)`, now())
	require.NoError(t, err)
	s.next(t, "event: installation")
	s.next(t, "data:") // and nothing with it
	other.next(t, "event: installation")
	w.failJob(t, admin, w.two, "discarded", "the sums")
	s.next(t, "event: installation")

	for _, role := range app.Roles() {
		if role == app.RoleServiceAccount {
			continue
		}
		refused := w.see(t, w.one, role, "/operator/live")
		require.Equal(t, http.StatusNotFound, refused.status, role)
		require.Equal(t, w.see(t, w.one, role, "/operator").status, refused.status)
		require.NotContains(t, refused.body, "data-live")
	}
	require.Equal(t, http.StatusSeeOther, w.do(request(http.MethodGet, "/operator/live", "")).status)
	for range 7 {
		require.Equal(t, http.StatusOK, w.watchAt(t, cookie, "/operator/live").status)
	}
	require.Equal(t, http.StatusServiceUnavailable, w.watchAt(t, cookie, "/operator/live").status, "a session has at most eight")
	close(leaving)
	s.ends(t)
	other.ends(t)
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alive(nil))
	cookie := w.session(t, w.one, app.RoleAnalyst)
	for range 8 {
		require.Equal(t, http.StatusOK, w.watch(t, cookie).status)
	}
	require.Equal(t, http.StatusServiceUnavailable, w.watch(t, cookie).status)
	require.Equal(t, http.StatusOK, w.watch(t, w.session(t, w.one, app.RoleAnalyst)).status, "another session has its own")
}

// TestLookingByItselfIsNoUse checks that what a page does by itself does not keep a
// session from ending.
func TestLookingByItselfIsNoUse(t *testing.T) {
	t.Parallel()
	at := now()
	w := newWorld(t, alive(nil))
	cookie := w.session(t, w.one, app.RoleAnalyst)
	seen := func() (text string) {
		require.NoError(t, w.clone.Admin(t).QueryRow(`select max(seen_at)::text from session where tenant_id = $1`, w.one.tenant.UUID()).Scan(&text))
		return text
	}
	_, err := w.clone.Admin(t).Exec(`update session set seen_at = $1`, at.Add(-5*time.Minute))
	require.NoError(t, err)
	before := seen()
	for _, path := range []string{"/", "/requests"} {
		r := request(http.MethodGet, path, "")
		r.Header.Set("X-Tollbook-Live", "1")
		r.AddCookie(cookie)
		require.Equal(t, http.StatusOK, w.do(r).status)
	}
	require.Equal(t, http.StatusOK, w.watch(t, cookie).status)
	require.Equal(t, before, seen())
	running := w.session(t, w.one, operator)
	_, err = w.clone.Admin(t).Exec(`update session set seen_at = $1`, at.Add(-5*time.Minute))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.watchAt(t, running, "/operator/live").status)
	glance := request(http.MethodGet, "/operator", "")
	glance.Header.Set("X-Tollbook-Live", "1")
	glance.AddCookie(running)
	require.Equal(t, http.StatusOK, w.do(glance).status)
	require.Equal(t, before, seen())
	r := request(http.MethodGet, "/", "")
	r.AddCookie(cookie)
	require.Equal(t, http.StatusOK, w.do(r).status)
	require.NotEqual(t, before, seen())
}

func TestLivePagesSayWhereToListen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, want := range map[string]bool{"/": true, "/requests": true, "/keys": true, "/prices": false, "/requests?cursor=x": false, "/plan": false} {
		require.Equal(t, want, strings.Contains(w.see(t, w.one, app.RoleFinanceAdmin, path).body, `data-live="/live"`), path)
	}
	refused := w.see(t, w.one, app.RoleDeveloper, "/keys")
	require.Equal(t, http.StatusForbidden, refused.status)
	require.NotContains(t, refused.body, "data-live", "a page that says why not has nothing to fetch again")
}

func TestALinkNamesItsCompany(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	require.Contains(t, d.see(t, d.one, app.RoleAnalyst, "/requests?state=error").body, `data-copy="`+d.site+`/t/acme/requests?state=error"`)
	for target, to := range map[string]string{
		"/t/acme":                      "/",
		"/t/acme/":                     "/",
		"/t/acme/requests?state=error": "/requests?state=error",
		"/t/acme//evil.test/x":         "/",
		"/t/zenith/keys":               "/sign-in/zenith?return_to=%2Fkeys",
		"/t/nobody/keys":               "/sign-in/nobody?return_to=%2Fkeys",
	} {
		got := d.see(t, d.one, app.RoleAnalyst, target)
		require.Equal(t, http.StatusSeeOther, got.status, target)
		require.Equal(t, to, got.header.Get("Location"), target)
	}
	stranger := d.do(request(http.MethodGet, "/t/acme/keys", ""))
	require.Equal(t, "/sign-in/acme?return_to=%2Fkeys", stranger.header.Get("Location"))

	client := browser(t, nil)
	_, _ = open(t, client, d.start("u-ada", "/"))
	_, body := open(t, client, d.site+"/t/zenith/requests?state=error")
	require.Contains(t, body, "This page is at Zenith Optics")
	require.Contains(t, body, `name="return_to" value="/requests?state=error"`)
	res, err := client.PostForm(d.site+"/switch", map[string][]string{"tenant": {"zenith"}, "return_to": {"/requests?state=error"}})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "/requests", res.Request.URL.Path)
	require.Equal(t, "state=error", res.Request.URL.RawQuery)
	_, body = open(t, client, d.site+"/t/zenith/requests")
	require.Contains(t, body, "Zenith Optics")
}

// TestTheLogsPageHearsOfRecords watches the audit log while somebody does something.
func TestTheLogsPageHearsOfRecords(t *testing.T) {
	t.Parallel()
	leaving := make(chan struct{})
	w := newWorld(t, alive(leaving))
	ours, theirs := w.watchAt(t, w.session(t, w.one, app.RoleAuditor), "/log/live"), w.watchAt(t, w.session(t, w.two, app.RoleAuditor), "/log/live")
	for _, s := range []*watching{ours, theirs} {
		require.Equal(t, http.StatusOK, s.status)
		s.next(t, ": watching")
	}
	require.NoError(t, w.clone.InTenant(t.Context(), w.one.tenant, func(tx *db.Tx) error {
		return tx.AppendAudit(auditlog.Record{Action: "moon.landed", Actor: "system"})
	}))
	ours.next(t, "event: log")
	select {
	case line := <-theirs.lines:
		require.NotEqual(t, "event: log", line, "another company's record")
	default:
	}
	close(leaving)
	ours.ends(t)
	theirs.ends(t)
	require.Equal(t, http.StatusForbidden, w.see(t, w.one, app.RoleDeveloper, "/log/live").status)
}
