package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"tollbook/app/usage"
	"tollbook/gateway/anthropic"
)

// relay passes the answer on and settles before its last byte.
func (x *exchange) relay() {
	h := x.w.Header()
	clientHeaders(h, x.upstream.Header)
	h.Set("X-Tollbook-Request-Id", x.event.String())
	h.Set("X-Tollbook-Cost-Center", x.answer.Code)
	h.Set("X-Tollbook-Policy", "none")
	// The connection serves other requests after this one; net/http clears no deadline it did not set.
	defer func() { _ = http.NewResponseController(x.w).SetWriteDeadline(time.Time{}) }()
	defer func() { x.g.metrics.answerBytes.Add(x.answered) }()
	if strings.HasPrefix(x.upstream.Header.Get("Content-Type"), "text/event-stream") && x.upstream.StatusCode == http.StatusOK {
		h.Del("Content-Length")
		x.relayStream()
		return
	}
	x.relayPlain()
}

// relayStream passes each read on as it came, metering beside it, and holds the
// read that ends the stream until the outcome is durable.
func (x *exchange) relayStream() {
	tap, chunk := x.g.borrow()
	defer x.g.giveBack(tap, chunk)
	x.g.metrics.openStreams.Add(1)
	defer x.g.metrics.openStreams.Add(-1)
	flusher := http.NewResponseController(x.w)
	x.awaitIntent()
	x.w.WriteHeader(x.upstream.StatusCode)
	gone := false
	for {
		n, err := x.upstream.Body.Read(*chunk)
		x.answered += int64(n)
		if n > 0 {
			if lacks := tap.Lacks(n); lacks > 0 && x.keepMore(int64(lacks)) {
				tap.Allow(lacks)
			}
			tap.Write((*chunk)[:n])
			if tap.Stopped() {
				x.conclude(tap.Metered(), nil)
			}
			if !gone {
				x.extendPatience(flusher)
				if _, wrote := x.w.Write((*chunk)[:n]); wrote != nil || flusher.Flush() != nil {
					gone = true // read on for the meter's sake, within the drain's bound
				}
			}
		}
		if err == nil {
			continue
		}
		x.conclude(tap.Metered(), err)
		if !errors.Is(err, io.EOF) {
			// The provider's stream broke: a clean end here would be a lie.
			panic(http.ErrAbortHandler)
		}
		return
	}
}

// extendPatience moves the write deadline on, at most every few seconds: a client that
// stops reading must not hold an answer, and its upstream, for ever.
func (x *exchange) extendPatience(connection *http.ResponseController) {
	now := time.Now()
	if x.patience.Sub(now) > x.g.cfg.ReadWithin/2 {
		return
	}
	x.patience = now.Add(x.g.cfg.ReadWithin)
	_ = connection.SetWriteDeadline(x.patience) // as in read: not every writer has deadlines
}

// conclude settles a metered answer, or cuts the client off if it cannot.
func (x *exchange) conclude(m anthropic.Metered, ended error) {
	if !x.settled {
		x.judge(m, ended)
	}
	if err := x.settle(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// judge turns what was metered into the outcome's state and counts.
func (x *exchange) judge(m anthropic.Metered, ended error) {
	out := &x.outcome
	out.MessageID, out.Stop, out.Counts, out.Raw = usage.Clip(m.MessageID, 100), usage.Clip(m.StopReason, 40), clipCounts(m.Counts), m.RawUsage
	out.Flags = m.Incomplete
	out.State = usage.StateComplete
	if m.Finished && len(m.Incomplete) == 0 {
		return
	}
	out.State = usage.StateIncomplete
	switch {
	case errors.Is(ended, context.Canceled): // by ourselves, some time after the client left
		out.State = usage.StateEstimated
		out.Flags = append(out.Flags, "client_gone")
	case ended != nil && !errors.Is(ended, io.EOF):
		out.Flags = append(out.Flags, "upstream_dropped")
	}
	if floor := m.OutputBytes / bytesPerToken; !m.Finished && floor > out.Counts.Tokens[usage.ClassOutput] {
		// A floor of what was produced; the provider's report settles it later.
		out.Counts.Tokens[usage.ClassOutput] = floor
		out.Flags = append(out.Flags, "output_estimated")
	}
	if out.Counts.Model == "" {
		out.Counts.Model = x.intent.Model
	}
}

// bytesPerToken is the provider's own rule of thumb for English text.
const bytesPerToken = 4

// clipCounts bounds the texts the provider sent to what a row may hold.
func clipCounts(c usage.Counts) usage.Counts {
	c.Model, c.Speed = usage.Clip(c.Model, 200), usage.Clip(c.Speed, 40)
	c.Geography, c.Tier = usage.Clip(c.Geography, 40), usage.Clip(c.Tier, 40)
	for i := range c.Unknown {
		c.Unknown[i] = usage.Clip(c.Unknown[i], 64)
	}
	return c
}

// relayPlain passes a whole answer on, keeping one read back until the next shows
// whether it was the last: that one waits for the outcome. An answer of one read, as
// most are, needs no sync of its intent alone: the outcome's covers both.
func (x *exchange) relayPlain() {
	tap, chunk := x.g.borrow()
	defer x.g.giveBack(tap, chunk)
	seen := x.keepAnswer()
	defer seen.release()
	var held []byte // the last read, in the buffer that holds all of them while there is room
	gone := false
	for {
		n, err := x.upstream.Body.Read(*chunk)
		x.answered += int64(n)
		if n > 0 {
			if len(held) > 0 && !gone {
				x.awaitIntent()
				gone = x.pass(held) != nil
			}
			held = seen.add((*chunk)[:n])
		}
		if err == nil {
			continue
		}
		x.concludePlain(&seen, err)
		if !errors.Is(err, io.EOF) {
			panic(http.ErrAbortHandler)
		}
		if !gone {
			_ = x.pass(held) // a client that left has its outcome in the journal
		}
		return
	}
}

// pass gives the client a piece of a plain answer, the head before the first.
func (x *exchange) pass(piece []byte) error {
	if !x.headed {
		x.headed = true
		x.w.WriteHeader(x.upstream.StatusCode)
		x.extendPatience(http.NewResponseController(x.w))
	}
	_, err := x.w.Write(piece)
	return err
}

// concludePlain settles an answer that was no stream: an error is not billed, a
// message is metered whole.
func (x *exchange) concludePlain(seen *answerCopy, ended error) {
	if x.upstream.StatusCode >= http.StatusBadRequest {
		x.outcome.State = usage.StateError
		if err := x.settle(); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	if seen.lost != "" {
		x.conclude(anthropic.Metered{Incomplete: []string{seen.lost}}, ended)
		return
	}
	x.conclude(anthropic.ParseMessage(seen.bytes), ended)
}

func (g *Gateway) borrow() (*anthropic.Tap, *[]byte) {
	tap, okTap := g.taps.Get().(*anthropic.Tap)
	chunk, okChunk := g.reads.Get().(*[]byte)
	if !okTap || !okChunk {
		panic("a pool holds a stranger")
	}
	tap.Reset()
	tap.Limit()
	return tap, chunk
}

func (g *Gateway) giveBack(tap *anthropic.Tap, chunk *[]byte) {
	g.taps.Put(tap)
	g.reads.Put(chunk)
}
