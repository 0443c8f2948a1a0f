package gateway_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestALookupReachesNothingButModels asks with one company's key for what lies beside
// the list of models at the provider, in every spelling a router may read differently.
func TestALookupReachesNothingButModels(t *testing.T) {
	t.Parallel()
	a, url := upstream(t, jsonAnswer(http.StatusOK, `{"data":[]}`))
	h := build(t, url)
	ask := func(path string) (*http.Request, string) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: tollbook\r\nX-Api-Key: "+h.key["one"]+"\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		status, _, _ := strings.Cut(string(got), "\r\n")
		return a.asked.Load(), status
	}
	for _, path := range []string{
		"/v1/models/..%2fmessages%2fbatches", "/v1/models/x%2f..%2f..%2ffiles", "/v1/models/%2e%2e%2ffiles%2ffile_1%2fcontent",
		"/v1/models/..", "/v1/models/.", "/v1/models/%2e%2e", "/v1/models/..%5c..%5cfiles", "/v1/models/%252e%252e%252ffiles", "/v1/models/a%2fb",
		"/v1/models/a;b=..", "/v1/models/a%3flimit=1", "/v1/models/a%0d%0aX-Api-Key:%20x", "/v1/models/%00", "/v1/models/" + strings.Repeat("m", 300),
	} {
		asked, status := ask("/gw/one" + path)
		require.Contains(t, status, " 404 ", path)
		require.Nil(t, asked, path)
	}
	for _, path := range []string{"/v1/models/claude-opus-5-5", "/v1/models/us.anthropic.claude-haiku-4-5-20251001-v1:0", "/v1/models?limit=1000"} {
		asked, status := ask("/gw/one" + path)
		require.Contains(t, status, " 200 ", path)
		require.Equal(t, path, asked.URL.String())
		a.asked.Store(nil)
	}
}
