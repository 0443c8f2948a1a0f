package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/gateway/anthropic"
	"tollbook/gateway/journal"
)

func TestEveryReasonToRefuseIsCountedByName(t *testing.T) {
	t.Parallel()
	faults := []error{
		errKey, errBodyTooLarge, errEncoded, errStale, errNoUpstream, errUpstream, errNotMetered, errPath, errBaseURL, errBusy, errTenantBusy, errPace, journal.ErrFull, journal.ErrNoSpace,
		fault.From(http.ErrBodyNotAllowed), // no fault: internal
	}
	for _, body := range []string{"", `{"messages":[]}`, `{"model":"a","model":"b"}`, `{"model":3}`} {
		_, err := anthropic.ScanRequest([]byte(body))
		require.Error(t, err, body)
		faults = append(faults, err)
	}
	for _, tags := range []string{"[1]", `{"":"x"}`, `{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","10":"","11":""}`} {
		_, err := usage.ParseTags(tags)
		require.Error(t, err, tags)
		faults = append(faults, err)
	}
	_, err := usage.ParseLabel("x-tollbook-project", "\x00")
	faults = append(faults, err)
	g := &Gateway{metrics: newMetrics(), cfg: Config{}}
	g.cfg.JournalDir, g.cfg.JournalKey = "x", make([]byte, 32)
	require.NoError(t, g.cfg.Validate())
	e := echo.New()
	for _, err := range faults {
		g.refuse(e.NewContext(httptest.NewRequest(http.MethodPost, "/", nil), httptest.NewRecorder()), err, id.NewEvent(time.Now()))
		code := fault.From(err).Code
		require.Contains(t, refusalCodes, code)
		require.Positive(t, g.metrics.refusals[code].Load(), code)
	}
	require.Zero(t, g.metrics.refusals[otherReason].Load())
	g.metrics.refused("a_code_of_tomorrow")
	require.EqualValues(t, 1, g.metrics.refusals[otherReason].Load())
}

func TestAHistogramPutsEachDurationIntoOneBucket(t *testing.T) {
	t.Parallel()
	h := newHistogram([]time.Duration{time.Second, time.Minute})
	for _, d := range []time.Duration{-time.Hour, 0, time.Second, time.Second + 1, time.Minute, time.Hour} {
		h.observe(d)
	}
	read := h.read()
	require.Equal(t, []int64{3, 2, 1}, read.Counts)
	require.Equal(t, time.Second+time.Second+1+time.Minute+time.Hour, read.Sum)
}

// countRequest is everything that one request counts, and the question whether it has a
// span, as the handler asks it.
func countRequest(g *Gateway, event id.Event, in *intent, out *outcome) bool {
	m := g.metrics
	m.admit(in)
	m.openStreams.Add(1)
	defer m.openStreams.Add(-1)
	m.answerBytes.Add(5000)
	m.settled(event.Time(), out)
	return g.cfg.Spans.Sampled(event.Bytes())
}

func TestCountingARequestAllocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts for the whole program
	g, event, in, out := counting()
	require.Zero(t, testing.AllocsPerRun(100, func() { countRequest(g, event, in, out) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { g.metrics.refused("key_not_accepted"); g.metrics.refused("unheard_of") }))
}

func counting() (*Gateway, id.Event, *intent, *outcome) {
	event := id.NewEvent(time.Now())
	return &Gateway{metrics: newMetrics()}, event, &intent{Bytes: 100}, &outcome{
		State: usage.StateComplete, Status: http.StatusOK, SentAt: event.Time(), FirstAt: event.Time().Add(time.Second), EndedAt: event.Time().Add(9 * time.Second),
	}
}

func BenchmarkCountingARequest(b *testing.B) {
	g, event, in, out := counting()
	b.ReportAllocs()
	for b.Loop() {
		countRequest(g, event, in, out)
	}
}

func BenchmarkCountingRequestsAtOnce(b *testing.B) {
	g, event, in, out := counting()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			countRequest(g, event, in, out)
		}
	})
}
