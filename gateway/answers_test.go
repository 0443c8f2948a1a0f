package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/gateway"
)

// plainOf is a plain answer of about n bytes, its usage at the end.
func plainOf(n int) string {
	return strings.Replace(plainAnswer, `"text":"hi"`, `"text":"`+strings.Repeat("a", n)+`"`, 1)
}

// streamOf is a stream whose first event, the one with the usage, has about n bytes.
func streamOf(n int) string {
	return strings.Replace(stream(streamEnd), `"stop_reason":null`, `"stop_reason":null,"new":"`+strings.Repeat("a", n)+`"`, 1)
}

// wanting names the answer that an upstream of serving gives.
func wanting(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Want", name) }
}

// serving answers what a request wants. One that wants to be held is sent but for its
// end, which waits for release.
func serving(answers map[string]string, begun chan<- string, release <-chan struct{}) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		name, hold := strings.CutPrefix(r.Header.Get("X-Want"), "held ")
		text := answers[name]
		if strings.HasPrefix(text, "event:") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		if !hold {
			_, _ = io.WriteString(w, text)
			return
		}
		_, _ = io.WriteString(w, text[:len(text)-10])
		_ = http.NewResponseController(w).Flush()
		begun <- name
		<-release
		_, _ = io.WriteString(w, text[len(text)-10:])
	}
}

// TestAnswersInMemoryAreBounded fills one company's share and then the whole with
// answers that are kept to be metered: what has no room passes all the same, byte for
// byte, and its row says why it has no counts.
func TestAnswersInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	answers := map[string]string{"small": plainOf(20 << 10), "plain": plainOf(100 << 10), "stream": streamOf(100 << 10), "long": plainOf(200 << 10)}
	release, open := gate(t)
	begun := make(chan string, 10)
	_, url := upstream(t, serving(answers, begun, release))
	h := build(t, url)
	const whole = 256 << 10 // of which a company may have 128 KiB: one answer of 100 KiB
	h.restart(t, func(c *gateway.Config) { c.MaxAnswersBytes = whole })
	held := map[string]*http.Response{}
	hold := func(slug, name string) {
		held[slug+name] = h.post(t, slug, question, wanting("held "+name))
		<-begun
	}
	read := func(res *http.Response, name string) string {
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, answers[name], string(got), "what is kept or not, nothing is changed")
		return res.Header.Get("X-Tollbook-Request-Id")
	}
	wanted := map[string]string{} // the flag of each request's row
	ask := func(slug, name, flag string) { wanted[read(h.post(t, slug, question, wanting(name)), name)] = flag }

	ask("one", "plain", "")
	ask("one", "stream", "")
	ask("one", "long", "answer_no_room") // more than the company's share
	require.Zero(t, h.gateway.Metrics().AnswersBytes, "what ended holds nothing")
	hold("one", "plain")
	require.Eventually(t, func() bool { return h.gateway.Metrics().AnswersBytes == whole/2 }, 10*time.Second, time.Millisecond)
	ask("one", "plain", "answer_no_room")
	ask("one", "stream", "answer_no_room")
	ask("one", "small", "") // needs no room
	hold("two", "stream")   // has its own share
	require.Eventually(t, func() bool { return h.gateway.Metrics().AnswersBytes > whole/2+32<<10 }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, h.gateway.Metrics().AnswersBytes, int64(whole))
	open()
	wanted[read(held["oneplain"], "plain")] = ""
	wanted[read(held["twostream"], "stream")] = ""
	require.Eventually(t, func() bool { return h.gateway.Metrics().AnswersBytes == 0 }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 3, h.gateway.Metrics().AnswersUnkept)
	ask("one", "plain", "")

	for _, row := range append(h.rows(t, "one", 8), h.rows(t, "two", 1)...) {
		flag, known := wanted[row.ID.String()]
		require.True(t, known)
		if flag == "" {
			require.Equal(t, "complete", row.State)
			require.Equal(t, "0.014000000000", row.Amount.String())
			continue
		}
		require.Equal(t, "incomplete", row.State)
		require.Contains(t, row.Flags, flag)
		require.Equal(t, "claude-opus-5-5", row.ModelServed)
	}
}

// TestAnAnswerBeyondItsOwnBoundPassesUnmetered sends more than any one answer may
// take, with room enough.
func TestAnAnswerBeyondItsOwnBoundPassesUnmetered(t *testing.T) {
	t.Parallel()
	answers := map[string]string{"huge": plainOf(33 << 20)}
	_, url := upstream(t, serving(answers, nil, nil))
	h := build(t, url)
	got, err := io.ReadAll(h.post(t, "one", question, wanting("huge")).Body)
	require.NoError(t, err)
	require.True(t, answers["huge"] == string(got)) //nolint:testifylint // 33 MiB are not printed
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "incomplete", row.State)
	require.Equal(t, []string{"answer_too_long"}, row.Flags)
	require.Zero(t, h.gateway.Metrics().AnswersBytes)
}
