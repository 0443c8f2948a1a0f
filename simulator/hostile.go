package simulator

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The answers of an upstream that is not what it should be: something in front of
// it, or someone else.

// answerElsewhere answers instead of a model where a knob asks for that, and books
// nothing but the request.
func (ex *exchange) answerElsewhere() bool {
	k, h := &ex.knobs, ex.w.Header()
	switch {
	case k.redirect != 0:
		ex.fact.Status = k.redirect
		h.Set("Location", "redirected") // beside /v1/messages, where nobody answers
	case k.plainBytes != unset:
		h.Set("Content-Type", "text/plain")
	default:
		return false
	}
	ex.fact.Tokens, ex.fact.WebSearchRequests, ex.fact.Iterations = Tokens{}, 0, nil
	ex.book(true)
	length := max(0, k.plainBytes)
	h.Set("Content-Length", strconv.Itoa(length))
	ex.w.WriteHeader(ex.fact.Status)
	for chunk := bytes.Repeat([]byte("plain "), 1<<12); length > 0; {
		n, err := ex.w.Write(chunk[:min(length, len(chunk))])
		if err != nil {
			break // the client's loss
		}
		length -= n
	}

	return true
}

// skew moves this answer's clock: its Date, and the time in the books.
func (ex *exchange) skew() {
	if ex.knobs.skewSec == 0 {
		return
	}
	off := time.Duration(ex.knobs.skewSec) * time.Second
	ex.fact.OccurredAt = ex.fact.OccurredAt.Add(off)
	ex.w.Header().Set("Date", ex.sim.now().UTC().Add(off).Format(http.TimeFormat))
}

// gzipped compresses an answer that nobody asked to have compressed.
type gzipped struct {
	http.ResponseWriter

	z *gzip.Writer
}

func newGzipped(w http.ResponseWriter) *gzipped { return &gzipped{w, gzip.NewWriter(w)} }

func (g *gzipped) WriteHeader(status int) {
	g.Header().Del("Content-Length")
	g.Header().Set("Content-Encoding", "gzip")
	g.ResponseWriter.WriteHeader(status)
}

func (g *gzipped) Write(p []byte) (int, error) {
	if g.Header().Get("Content-Encoding") == "" {
		g.WriteHeader(http.StatusOK)
	}

	return g.z.Write(p)
}

// FlushError lets a ResponseController flush both layers.
func (g *gzipped) FlushError() error {
	if err := g.z.Flush(); err != nil {
		return fmt.Errorf("flush gzip: %w", err)
	}

	return http.NewResponseController(g.ResponseWriter).Flush()
}
