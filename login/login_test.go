package login

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnAddressIsTheOneClaudeCodeSendsTo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"https://tollbook.example.com/gw/acme":        {"https://tollbook.example.com", "acme"},
		"https://example.com/tools/gw/acme-robotics/": {"https://example.com/tools", "acme-robotics"},
		"http://127.0.0.1:8080/gw/meridian":           {"http://127.0.0.1:8080", "meridian"},
		"http://localhost:8080/gw/meridian":           {"http://localhost:8080", "meridian"},
		"http://[::1]:8080/gw/meridian":               {"http://[::1]:8080", "meridian"},
	} {
		p, err := readPlace(text)
		require.NoError(t, err, text)
		require.Equal(t, want, [2]string{p.base.String(), p.tenant}, text)
	}
	for _, text := range []string{
		"", "example.com/gw/acme", "http://example.com/gw/acme", "https://example.com", "https://example.com/gw/", "https://example.com/gw/acme/v1",
		"https://me:secret@example.com/gw/acme", "ftp://127.0.0.1/gw/a",
	} {
		_, err := readPlace(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "secret")
	}
}

// installation answers for new credentials, as often as it is let.
type installation struct {
	*httptest.Server
	asked atomic.Int64
	say   atomic.Pointer[func(http.ResponseWriter, *http.Request)]
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{}
	in.answer(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"access_token":"fresh-%d","expires_in":3600,"login_ends_at":%q,"person":"Ada","cost_center":"CC-1","cost_center_name":"One"}`,
			in.asked.Load(), time.Now().Add(5*time.Hour).Format(time.RFC3339))
	})
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.asked.Add(1)
		(*in.say.Load())(w, r)
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *installation) answer(f func(http.ResponseWriter, *http.Request)) { in.say.Store(&f) }

func (in *installation) refuse(status int, code string) {
	in.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":"No: %s."}`, code, code)
	})
}

// keep makes a login on this machine whose credential has so long left.
func (in *installation) keep(t *testing.T, left, ends time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, save(dir, kept{
		URL: in.URL, Tenant: "acme", Refresh: "refresh-secret", Credential: "present", ExpiresAt: time.Now().Add(left), LoginEndsAt: time.Now().Add(ends),
	}))
	return dir
}

func printed(t *testing.T, dir string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := token(t.Context(), dir, &out)
	return out.String(), err
}

func TestTokenPrintsTheCredentialAndGetsTheNextInTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		left, ends time.Duration
		asked      int64
		now, next  string // what is printed at once, and the next time
	}{
		{"good for long", 40 * time.Minute, 5 * time.Hour, 0, "present\n", "present\n"},
		{"soon over: the next is got, and used the next time", 10 * time.Minute, 5 * time.Hour, 1, "present\n", "fresh-1\n"},
		{"nearly over", 2 * time.Minute, 5 * time.Hour, 1, "fresh-1\n", "fresh-1\n"},
		{"over", -time.Minute, 5 * time.Hour, 1, "fresh-1\n", "fresh-1\n"},
		{"the last of the login", 2 * time.Minute, 2 * time.Minute, 0, "present\n", "present\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t)
			dir := in.keep(t, c.left, c.ends)
			out, err := printed(t, dir)
			require.NoError(t, err)
			require.Equal(t, c.now, out)
			out, err = printed(t, dir)
			require.NoError(t, err)
			require.Equal(t, c.next, out)
			require.Equal(t, c.asked, in.asked.Load())
		})
	}
}

func TestTokenSaysWhatToDoWhenThereIsNone(t *testing.T) {
	t.Parallel()
	_, err := printed(t, t.TempDir())
	require.ErrorIs(t, err, ErrSignedOut)
	in := newInstallation(t)
	_, err = printed(t, in.keep(t, -time.Minute, -time.Minute))
	require.ErrorIs(t, err, ErrSignedOut, "the login is over")
	require.Zero(t, in.asked.Load())

	in.refuse(http.StatusUnauthorized, "login_expired")
	out, err := printed(t, in.keep(t, 10*time.Minute, time.Hour))
	require.ErrorContains(t, err, "login_expired", "the installation ended it: what is kept is worth nothing")
	require.Empty(t, out)
	in.refuse(http.StatusServiceUnavailable, "database_unavailable")
	out, err = printed(t, in.keep(t, 10*time.Minute, time.Hour))
	require.NoError(t, err)
	require.Equal(t, "present\n", out, "an outage is waited out with what is good still")
	_, err = printed(t, in.keep(t, -time.Minute, time.Hour))
	require.Error(t, err)
	in.answer(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
	})
	_, err = printed(t, in.keep(t, -time.Minute, time.Hour))
	require.ErrorContains(t, err, "307", "secrets follow no redirect")
	require.NotContains(t, err.Error(), "refresh-secret")
	in.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 2<<20)) })
	_, err = printed(t, in.keep(t, -time.Minute, time.Hour))
	require.Error(t, err, "an endless answer is not read")
}

// TestManyHelpersGetOneCredential is Claude Code with its subagents: all ask at once.
func TestManyHelpersGetOneCredential(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	dir := in.keep(t, time.Minute, 5*time.Hour)
	var all sync.WaitGroup
	outs := make([]string, 8)
	errs := make([]error, len(outs))
	for i := range outs {
		all.Go(func() {
			var out bytes.Buffer
			errs[i] = token(context.WithoutCancel(t.Context()), dir, &out)
			outs[i] = out.String()
		})
	}
	all.Wait()
	for i, out := range outs {
		require.NoError(t, errs[i])
		require.Equal(t, "fresh-1\n", out)
	}
	require.EqualValues(t, 1, in.asked.Load())
}

func TestTheFileIsTheUsersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tollbook")
	require.NoError(t, locked(t.Context(), dir, func() error { return save(dir, kept{Credential: "x"}) }))
	for name, mode := range map[string]os.FileMode{"": 0o700, fileName: 0o600, lockName: 0o600} {
		at, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, at.Mode().Perm(), name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), []byte("{"), 0o600))
	_, err := load(dir)
	require.ErrorContains(t, err, "run tollbook login again")
	require.NoError(t, forget(dir))
	require.NoError(t, forget(dir))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "the lock alone")
}

func TestOnlyThePageThatWasOpenedBringsACodeBack(t *testing.T) {
	t.Parallel()
	came := make(chan back, 1)
	h := callback("the-state", came)
	see := func(target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		return w
	}
	for _, target := range []string{"/callback?code=stolen", "/callback?code=stolen&state=other", "/callback?code=stolen&state="} {
		require.Equal(t, http.StatusBadRequest, see(target).Code)
	}
	require.Equal(t, http.StatusNotFound, see("/?state=the-state&code=x").Code)
	require.Empty(t, came)
	w := see("/callback?code=mine&state=the-state")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
	require.NotContains(t, w.Body.String(), "mine")
	see("/callback?code=second&state=the-state") // nobody waits for it any more, and nothing hangs
	require.Equal(t, back{code: "mine"}, <-came)

	see("/callback?error=access_denied&state=the-state")
	require.ErrorContains(t, (<-came).err, "not allowed")
}

func TestADeviceWaitsUntilItIsDecided(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	var polls atomic.Int64
	in.answer(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "device_authorization"):
			_, _ = fmt.Fprint(w, `{"device_code":"the-device","user_code":"BCDF-GHJK","verification_uri":"https://x/device","interval":1}`)
		case polls.Add(1) == 1:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"error":"authorization_pending"}`)
		default:
			_ = json.NewEncoder(w).Encode(map[string]string{"access_token": "got for " + r.FormValue("device_code")})
		}
	})
	p, err := readPlace(in.URL + "/gw/acme")
	require.NoError(t, err)
	var progress bytes.Buffer
	got, err := p.throughDevice(t.Context(), "", &progress)
	require.NoError(t, err)
	require.Equal(t, "got for the-device", got.AccessToken)
	require.Contains(t, progress.String(), "BCDF-GHJK")
	require.NotContains(t, progress.String(), "the-device")
	in.refuse(http.StatusNotFound, "tenant_absent")
	_, err = p.throughDevice(t.Context(), "", &progress)
	require.ErrorContains(t, err, "tenant_absent")
}
