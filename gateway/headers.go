package gateway

import (
	"net/http"
	"strings"

	"tollbook/app/secret"
)

// hopByHop headers belong to one connection (RFC 9110, 7.6.1); everything else is
// passed on, known or not.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// ours are the client's headers that stop here: its credential and what it declares
// to Tollbook, and the expectation that was met when its body was read. Content-Length
// and Host are set by the transport.
func ours(name string) bool {
	switch name {
	case "X-Api-Key", "Authorization", "Cookie", "Host", "Content-Length", "Accept-Encoding", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "Expect":
		return true
	}
	return strings.HasPrefix(name, "X-Tollbook-")
}

// upstreamHeaders is what the provider receives: the client's end-to-end headers,
// the tenant's credential, and a wish for bytes that can be read.
func upstreamHeaders(from http.Header, credential secret.Text) http.Header {
	named := connectionNamed(from)
	to := make(http.Header, len(from)+2)
	for name, values := range from {
		if hopByHop(name) || ours(name) || named[name] {
			continue
		}
		to[name] = values
	}
	to["Accept-Encoding"] = []string{"identity"}
	if _, ok := from["User-Agent"]; !ok {
		to["User-Agent"] = []string{""} // net/http would add its own
	}
	to["X-Api-Key"] = []string{credential.Reveal()}
	return to
}

// connectionNamed are headers that the Connection header declares hop-by-hop.
func connectionNamed(h http.Header) map[string]bool {
	if len(h["Connection"]) == 0 {
		return nil
	}
	named := map[string]bool{}
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			named[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	return named
}

// clientHeaders copies the provider's end-to-end headers. The shared key's rate
// limits are not the client's business and would mislead it.
func clientHeaders(to, from http.Header) {
	named := connectionNamed(from)
	for name, values := range from {
		if hopByHop(name) || named[name] || strings.HasPrefix(name, "Anthropic-Ratelimit-") || strings.HasPrefix(name, "X-Tollbook-") || name == "Set-Cookie" {
			continue
		}
		to[name] = values
	}
}

// presented is the virtual key a request carries: x-api-key, Bearer, or both. When
// both are there either may be ours (an apiKeyHelper sends the same twice).
func presented(h http.Header) []string {
	var keys []string
	if key := strings.TrimSpace(h.Get("X-Api-Key")); key != "" {
		keys = append(keys, key)
	}
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		if token = strings.TrimSpace(token); token != "" {
			keys = append(keys, token)
		}
	}
	return keys
}
