package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"tollbook/app/fault"
	"tollbook/gateway/anthropic"
)

// body is a request body in a pooled buffer. Whoever holds it releases it once: the
// handler until it is sent, then the transport.
type body struct {
	g      *Gateway
	buffer *bytes.Buffer
}

const (
	readChunk      = 8 << 10
	maxPooledBytes = 1 << 20 // larger buffers are left to the collector
)

func (g *Gateway) pools() {
	g.bodies.New = func() any { return new(bytes.Buffer) }
	g.reads.New = func() any { chunk := make([]byte, readChunk); return &chunk }
	g.taps.New = func() any { return new(anthropic.Tap) }
}

// readBody reads a request's body whole, within the bound.
func (g *Gateway) readBody(r *http.Request) (*body, error) {
	buffer, ok := g.bodies.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	buffer.Reset()
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

func (b *body) release() {
	if b.buffer.Cap() <= maxPooledBytes {
		b.g.bodies.Put(b.buffer)
	}
}

// reader hands the bytes to the transport, which closes it when it has sent them,
// possibly after the answer began: that is when the handler's hold ends.
func (b *body) reader() io.ReadCloser { return &bodyReader{of: b} }

// bodyReader offers Read and nothing else, under a lock with Close: a transport may
// close a body while it is still writing it, and bytes that went back to the pool
// may belong to another tenant's request a moment later.
type bodyReader struct {
	mu     sync.Mutex
	of     *body
	at     int
	closed bool
}

var errBodyClosed = errors.New("the body was given back")

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, errBodyClosed
	}
	n := copy(p, r.of.bytes()[r.at:])
	r.at += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close gives the buffer back, once.
func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.of.release()
	}
	return nil
}
