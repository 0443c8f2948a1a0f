//go:build clients

package e2e_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// scenario is something a client does, and what the provider does to it.
type scenario struct {
	faults []string // of the nth billed request at the provider
	states []string // of the rows, in the order of the requests
	rough  bool     // the order of requests depends on timing: compare them as a set
	words  bool     // the user sees other words or another order, rightly
	ids    bool     // ids in requests depend on timing: compare their number only
}

// client does its work at a base URL and returns what its user got to see.
type client func(t *testing.T, base, key, session string) string

// both is a scenario done twice.
type both struct {
	direct, through string   // what the user saw
	before          *station // between the client and the provider, when there is no gateway
	client          *station // between the client and the gateway
	upstream        *station // between the gateway and its provider
	rows            []ledgerRow
	session         string
}

// twice runs a client at a provider and then through the gateway, and requires that
// nobody can tell the difference: not its user, not the client, not the provider; and
// that the ledger has what the provider booked, row by row.
func (h *house) twice(t *testing.T, s scenario, run client) *both {
	t.Helper()
	b := &both{session: uuid.NewString()}
	straight, behind := fresh(t), fresh(t)
	b.before = newStation(t, straight, s.faults...)
	b.direct = plain(run(t, b.before.listen(t), "sk-direct", b.session))

	b.upstream = newStation(t, behind, s.faults...)
	h.lines.Store(b.session, b.upstream)
	b.client = newStation(t, h.card.GatewayURL)
	b.through = plain(run(t, b.client.listen(t), h.card.VirtualKeys["CC-4200"], b.session))

	if !s.words {
		sameText(t, b.direct, b.through, "what the user sees")
	}
	require.Len(t, b.upstream.messages(), len(s.states), "requests that the provider bills")
	if s.ids {
		require.Len(t, b.client.all(), len(b.before.all()), "the client sends another number of requests")
	} else {
		sameRequests(t, b.before.all(), b.client.all(), s.rough)
	}
	provided := func() []booked { return books(t, behind, url.Values{"session": {b.session}}) }
	b.rows = h.sameRows(t, provided, b.session, s.states)
	sameBytes(t, b.client.all(), b.upstream.all())
	sameBookings(t, books(t, straight, url.Values{"session": {b.session}}), provided(), s.rough)
	return b
}

var (
	address = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	unique  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	agent   = regexp.MustCompile(`\ba[0-9a-f]{16}\b`)
	taken   = regexp.MustCompile(`(duration_ms|ms): ?\d+`)
)

// plain takes out of a text what differs from run to run by nature.
func plain(text string) string {
	text = address.ReplaceAllString(text, "HOST")
	text = unique.ReplaceAllString(text, "UUID")
	text = agent.ReplaceAllString(text, "AGENT")
	return taken.ReplaceAllString(text, "$1: N")
}

// sameText compares long texts and shows where they part.
func sameText(t *testing.T, want, got, what string) {
	t.Helper()
	if want == got {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	around := func(text string) string { return text[max(0, at-200):min(len(text), at+200)] }
	require.Equal(t, around(want), around(got), "%s: straight, and through the gateway, from byte %d", what, max(0, at-200))
	require.Len(t, got, len(want), what)
}

// sameRequests compares what a client sent in two runs.
func sameRequests(t *testing.T, one, two []*passed, rough bool) {
	t.Helper()
	lines := func(all []*passed) []string {
		var lines []string
		for _, p := range all {
			lines = append(lines, p.method+" "+p.uri+"\n"+strings.Join(headLines(p.header), "\n")+"\n"+plain(string(p.body)))
		}
		if rough {
			slices.Sort(lines)
		}
		return lines
	}
	got, want := lines(two), lines(one)
	require.Len(t, got, len(want), "the client sends another number of requests")
	for i := range want {
		sameText(t, want[i], got[i], fmt.Sprintf("request %d", i+1))
	}
}

// headLines are the headers that a client sends the same way each time.
func headLines(h http.Header) []string {
	var lines []string
	for name, values := range h {
		switch name {
		case "Authorization", "X-Api-Key", "Content-Length", "X-Claude-Code-Prompt-Id", "X-Claude-Code-Prev-Tool-Durations", "Connection":
			continue
		}
		lines = append(lines, name+": "+agent.ReplaceAllString(strings.Join(values, ", "), "AGENT"))
	}
	slices.Sort(lines)
	return lines
}

// sameBytes requires that the gateway passed every request and every answer on as it
// was: the bodies to the byte, the headers but for those that are its own business.
func sameBytes(t *testing.T, outside, inside []*passed) {
	t.Helper()
	require.Len(t, inside, len(outside), "the provider sees another number of requests than the client sent")
	left := slices.Clone(inside)
	for _, out := range outside {
		// Of requests that were on their way together either may have arrived first.
		i := slices.IndexFunc(left, func(in *passed) bool {
			same := in.uri == out.uri && string(in.body) == string(out.body) && in.header.Get("X-Claude-Code-Agent-Id") == out.header.Get("X-Claude-Code-Agent-Id")
			return same && (!in.begun() || in.answer.Get("Request-Id") == out.answer.Get("Request-Id"))
		})
		require.GreaterOrEqual(t, i, 0, "the provider never got, as it was sent: %s %.300s", out.uri, out.body)
		in := left[i]
		left = slices.Delete(left, i, i+1)
		sent, got := out.header.Clone(), in.header.Clone()
		for _, name := range []string{"Authorization", "X-Api-Key", "Accept-Encoding", "Connection", "X-Tollbook-Project", "X-Tollbook-Tags"} {
			sent.Del(name)
			got.Del(name)
		}
		require.Equal(t, sent, got)
		require.Equal(t, "identity", in.header.Get("Accept-Encoding"))
		sameAnswer(t, in, out)
	}
}

// sameAnswer compares an answer at the provider with what reached the client.
func sameAnswer(t *testing.T, in, out *passed) {
	t.Helper()
	if in.status == 0 {
		require.Equal(t, 529, out.status, "a provider that does not answer")
		return
	}
	require.Equal(t, in.status, out.status)
	if out.left {
		require.True(t, bytes.HasPrefix(in.bytes, out.bytes))
	} else {
		require.Equal(t, in.cut, out.cut, "a cut must stay one, and nothing else become one")
		sameText(t, string(in.bytes), string(out.bytes), "an answer")
	}
	given, got := in.answer.Clone(), out.answer.Clone()
	for name := range in.answer {
		if strings.HasPrefix(name, "Anthropic-Ratelimit-") {
			given.Del(name)
			require.NotContains(t, got, name, "the shared key's limits are not the client's business")
		}
	}
	for _, name := range []string{"X-Tollbook-Request-Id", "X-Tollbook-Cost-Center", "X-Tollbook-Policy"} {
		got.Del(name)
	}
	require.Equal(t, given, got)
}

// sameBookings compares the provider's books of two runs.
func sameBookings(t *testing.T, one, two []booked, rough bool) {
	t.Helper()
	if rough { // the cache decides who wrote and who read by who came first
		require.Len(t, two, len(one))
		return
	}
	require.Equal(t, one, two)
}

// ledgerRow is a row of the usage API with what it is charged for.
type ledgerRow struct {
	usageRow
	AgentID string   `json:"agent_id"`
	Flags   []string `json:"flags"`
	Charges []struct {
		Class    string `json:"class"`
		Quantity int64  `json:"quantity"`
	} `json:"charges"`
}

// billed is the tokens by class as the provider counts them: those of iterations, which
// the ledger lists apart, included.
func (r *ledgerRow) billed() map[string]int64 {
	tokens := maps.Clone(r.Tokens)
	for _, c := range r.Charges {
		if _, class, ok := strings.Cut(c.Class, "/"); ok {
			tokens[class] += c.Quantity
		}
	}
	return tokens
}

// ledger reads a session's rows, oldest first.
func (h *house) ledger(t *testing.T, session string) []ledgerRow {
	t.Helper()
	var page struct {
		Data       []ledgerRow `json:"data"`
		NextCursor *string     `json:"next_cursor"`
	}
	require.Equal(t, http.StatusOK, h.get(t, h.card.APITokens["finance_admin"], "/api/v1/usage?limit=500&session="+session, &page))
	require.Nil(t, page.NextCursor)
	slices.Reverse(page.Data)
	return page.Data
}

// sameRows requires one row for each request in the provider's books, in its state and
// at its price. Of an answer that was cut nobody knows the end: its row is a floor.
func (h *house) sameRows(t *testing.T, provided func() []booked, session string, states []string) []ledgerRow {
	t.Helper()
	var rows []ledgerRow
	require.Eventually(t, func() bool {
		rows = h.ledger(t, session)
		return len(rows) >= len(states)
	}, 10*time.Second, 50*time.Millisecond, "rows appear within two seconds of the response's end")
	require.Len(t, rows, len(states), "a row too many")
	byID := map[string]booked{}
	for _, b := range provided() {
		byID[b.RequestID] = b
	}
	unnamed := 0
	for i, row := range rows {
		require.Equal(t, states[i], row.State, "row %d: %v", i+1, row.Flags)
		require.Equal(t, "CC-4200", row.Node.Code)
		if row.RequestID == "" {
			unnamed++ // the provider never said which request it was
			continue
		}
		b, ok := byID[row.RequestID]
		require.True(t, ok, "the provider never saw %s, or it is in the ledger twice", row.RequestID)
		delete(byID, row.RequestID)
		require.Equal(t, b.HTTPStatus, row.HTTPStatus)
		tokens := row.billed()
		if row.State == "incomplete" || row.State == "estimated" {
			require.LessOrEqual(t, tokens["output"], b.Tokens["output"])
			tokens["output"], b.Tokens["output"] = 0, 0
		} else {
			require.Equal(t, b.Amount, row.Amount, row.RequestID)
		}
		require.Equal(t, b.Tokens, tokens, row.RequestID)
	}
	require.Len(t, byID, unnamed, "requests that the provider booked and the ledger does not name")
	return rows
}
