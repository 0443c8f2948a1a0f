package demo_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/notice"
	"tollbook/demo"
	"tollbook/jobs/deliver"
)

func TestWhatWouldHaveBeenSentIsShown(t *testing.T) {
	t.Parallel()
	box, err := demo.CatchMail()
	require.NoError(t, err)
	t.Cleanup(func() { _ = box.Close() })
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		box.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return w
	}
	require.Contains(t, get(http.MethodGet, "/mail").Body.String(), "None yet.")
	server, err := deliver.ParseSMTP(box.URL())
	require.NoError(t, err)
	letter := &app.Letter{
		ToName: "Zoë <b>", To: "zoe@one.test", Purpose: notice.Asked, Company: "Müller", Number: 7, Kind: "prices", Made: "Ada", Effective: time.Now(), Reason: "<script>alert(1)</script>",
		URL: "http://127.0.0.1:8080/t/one/changes/chg_1",
	}
	for range 201 {
		out := server.Send(t.Context(), "dlv_1", letter)
		require.True(t, out.Accepted, out.Answer)
	}
	require.Len(t, box.Mails(), 200, "the latest are kept")
	newest := box.Mails()[0]
	require.Equal(t, []any{201, "[Müller] Decide about change 7, prices", "<dlv_1@demo.invalid>"}, []any{newest.Number, newest.Subject, newest.MessageID})
	list := get(http.MethodGet, "/mail").Body.String()
	require.Contains(t, list, `<a href="/mail/201">[Müller] Decide about change 7, prices</a>`)
	one := get(http.MethodGet, "/mail/201")
	require.Contains(t, one.Body.String(), "http://127.0.0.1:8080/t/one/changes/chg_1")
	require.Contains(t, one.Body.String(), "zoe@one.test")
	require.NotContains(t, one.Body.String(), "<script")
	require.Contains(t, one.Header().Get("Content-Security-Policy"), "default-src 'none'")
	page := get(http.MethodGet, "/mail/201/page")
	require.Contains(t, page.Header().Get("Content-Security-Policy"), "sandbox allow-popups")
	require.NotContains(t, page.Body.String(), "<script")
	require.Contains(t, get(http.MethodGet, "/mail/mail.css").Header().Get("Content-Type"), "text/css")
	for _, gone := range []string{"/mail/1", "/mail/0", "/mail/x", "/mail/201/x", "/mail/" + strconv.Itoa(1<<40)} {
		require.Equal(t, http.StatusNotFound, get(http.MethodGet, gone).Code, gone)
	}
	require.Equal(t, http.StatusMethodNotAllowed, get(http.MethodPost, "/mail/201").Code)
	require.True(t, strings.HasPrefix(box.URL(), "smtp://127.0.0.1:"), "for this machine alone")
}
