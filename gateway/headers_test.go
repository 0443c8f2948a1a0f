package gateway

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/secret"
)

// requestOf reads a request as the server does, so that what is fuzzed are headers that
// can arrive; nil if they cannot.
func requestOf(lines string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: tollbook.test\r\n" + lines + "\r\n\r\n")))
	if err != nil {
		return nil
	}
	return r
}

// FuzzHeaders passes any headers a client can send to the provider, and any that a
// provider can send to the client: what is private stops, everything else arrives as
// it was.
func FuzzHeaders(f *testing.F) {
	for _, lines := range []string{
		"Authorization: Bearer tbk_1\r\nAnthropic-Version: 2023-06-01\r\nAnthropic-Beta: a\r\nAnthropic-Beta: b",
		"X-Api-Key: tbk_1\r\nConnection: close, X-Extra\r\nX-Extra: 1\r\nX-Tollbook-Tags: {}",
		"connection: keep-alive\r\nConnection: ,,x-api-key, anthropic-version\r\nTE: trailers\r\nUpgrade: h2c",
		"Cookie: a=b\r\nX-Forwarded-For: 10.0.0.1\r\nAccept-Encoding: br\r\nUser-Agent: claude-cli/2.1.330 (external, cli)",
		"Anthropic-Ratelimit-Tokens-Limit: 5\r\nSet-Cookie: a=b\r\nRequest-Id: req_1\r\nX-Tollbook-Policy: x\r\nanthropic-ratelimit-unified-status: allowed",
	} {
		f.Add(lines)
	}
	f.Add("Expect: 100-continue\r\nContent-Length: 3") // the gateway met it: it has the body
	f.Fuzz(func(t *testing.T, lines string) {
		r := requestOf(lines)
		if r == nil {
			return
		}
		before := r.Header.Clone()
		private := map[string]bool{"Authorization": true, "Cookie": true, "X-Api-Key": true, "Accept-Encoding": true, "User-Agent": true, "Host": true, "Content-Length": true, "X-Forwarded-For": true, "Forwarded": true, "X-Real-Ip": true, "Expect": true}
		up := upstreamHeaders(r.Header, secret.NewText("sk-upstream"))
		require.Equal(t, []string{"sk-upstream"}, up["X-Api-Key"], "one credential, the tenant's")
		require.Equal(t, []string{"identity"}, up["Accept-Encoding"])
		down := http.Header{}
		clientHeaders(down, r.Header)
		require.Equal(t, before, r.Header, "nothing is changed on the way")
		named := strings.ToLower(strings.Join(before["Connection"], ","))
		for name, values := range before {
			stops := stopsHere(name, named)
			switch {
			case stops || strings.HasPrefix(name, "X-Tollbook-"):
				require.NotContains(t, without(up, "X-Api-Key", "Accept-Encoding", "User-Agent"), name)
				require.NotContains(t, down, name)
			case strings.HasPrefix(name, "Anthropic-Ratelimit-") || name == "Set-Cookie":
				require.NotContains(t, down, name)
			case !private[name]:
				require.Equal(t, values, up[name], name)
				require.Equal(t, values, down[name], name)
			case name == "User-Agent":
				require.Equal(t, values, up[name])
			default:
				require.NotContains(t, without(up, "X-Api-Key", "Accept-Encoding"), name)
			}
		}
	})
}

// stopsHere says, by other means than the code, whether a header is one connection's.
func stopsHere(name, named string) bool {
	for word := range strings.SplitSeq(named, ",") {
		if strings.EqualFold(strings.TrimSpace(word), name) {
			return true
		}
	}
	hops := strings.Fields("connection proxy-connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade")
	return slices.Contains(hops, strings.ToLower(name))
}

func without(h http.Header, names ...string) http.Header {
	h = h.Clone()
	for _, name := range names {
		h.Del(name)
	}
	return h
}

// FuzzPresented reads the key of any request: at most one of each header, trimmed, and
// in no other scheme than Bearer.
func FuzzPresented(f *testing.F) {
	for _, keys := range [][2]string{{"tbk_1", "Bearer tbk_2"}, {"", "bearer  tbk_3 "}, {" tbk_4 ", "Basic dGJrXzU="}, {"", "Bearer"}, {"", "Bearer "}, {"tbk_6", "tbk_7"}} {
		f.Add(keys[0], keys[1])
	}
	f.Fuzz(func(t *testing.T, key, authorization string) {
		got := presented(http.Header{"X-Api-Key": {key}, "Authorization": {authorization}})
		require.LessOrEqual(t, len(got), 2)
		var want []string
		if text := strings.TrimSpace(key); text != "" {
			want = append(want, text)
		}
		if len(authorization) > 6 && strings.EqualFold(authorization[:7], "bearer ") {
			if text := strings.TrimSpace(authorization[7:]); text != "" {
				want = append(want, text)
			}
		}
		require.Equal(t, want, got)
	})
}
