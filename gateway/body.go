package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"

	"tollbook/app/fault"
	"tollbook/gateway/anthropic"
)

// body is a request body in a pooled buffer. Whoever holds it releases it once: the
// handler until it is sent, then written.
type body struct {
	g      *Gateway
	buffer *bytes.Buffer
}

const (
	readChunk      = 4 << 10
	maxPooledBytes = 1 << 20 // larger buffers are left to the collector
)

func (g *Gateway) pools() {
	g.bodies.New = func() any { return new(bytes.Buffer) }
	g.reads.New = func() any { chunk := make([]byte, readChunk); return &chunk }
	g.answers.New = func() any { small := make([]byte, 0, answerRoom); return &small }
	g.taps.New = func() any { return new(anthropic.Tap) }
}

// readBody reads a request's body whole, within the bound.
func (g *Gateway) readBody(r *http.Request) (*body, error) {
	buffer := g.buffer()
	b := &body{g: g, buffer: buffer}
	if r.ContentLength > 0 {
		buffer.Grow(int(min(r.ContentLength, g.cfg.MaxBodyBytes)) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(r.Body, g.cfg.MaxBodyBytes+1))
	switch {
	case err != nil:
		b.release()
		return nil, fault.New(fault.KindInvalid, "body_unread", "The request body ended before it was complete.").Because(fmt.Errorf("read body: %w", err))
	case n > g.cfg.MaxBodyBytes:
		b.release()
		return nil, errBodyTooLarge
	}
	return b, nil
}

func (b *body) bytes() []byte { return b.buffer.Bytes() }

func (b *body) release() { b.g.keep(b.buffer) }

// buffer takes an empty one from the pool; keep gives it back.
func (g *Gateway) buffer() *bytes.Buffer {
	buffer, ok := g.bodies.Get().(*bytes.Buffer)
	if !ok {
		panic("a pool holds a stranger")
	}
	buffer.Reset()
	return buffer
}

func (g *Gateway) keep(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooledBytes {
		g.bodies.Put(buffer)
	}
}

// reader is what the transport sends. It is of a type that net/http knows to be in
// memory, so that it sends head and body together; and it never closes, so that the
// buffer goes back to the pool by written alone.
func (b *body) reader() io.ReadCloser { return io.NopCloser(bytes.NewReader(b.bytes())) }

// written gives the buffer back once the request is sent whole: nobody reads it any
// more. Of a request that was not, nobody says when the transport is done with it;
// its buffer is left to the collector, since the bytes of a buffer that went back
// may belong to another tenant's request a moment later.
func (b *body) written(sent httptrace.WroteRequestInfo) {
	if sent.Err == nil {
		b.release()
	}
}
