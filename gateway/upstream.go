package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// upstreamConn writes what is in memory as it is, where net/http would copy it
// through a buffer of its own, and is silent for a bounded time.
type upstreamConn struct {
	*net.TCPConn
	silence time.Duration
	made    time.Time
	until   atomic.Int64 // the read deadline that is set, in nanoseconds since made
	heads   *sync.Pool   // of *[writeBuffer]byte
	// follows says that a body of more than net/http's buffer follows the next full one.
	follows bool
	// held is that buffer, the request's head and the first of its body: it waits for
	// the rest, with which it goes out in one write.
	held *[writeBuffer]byte
}

// writeBuffer is the size of net/http's buffer of what it sends. An open stream keeps
// it; a large body passes by it.
const writeBuffer = 4 << 10

// Write implements net.Conn.
func (c *upstreamConn) Write(p []byte) (int, error) {
	if c.follows && len(p) == writeBuffer {
		if head, ok := c.heads.Get().(*[writeBuffer]byte); ok {
			c.follows, c.held = false, head
			return copy(head[:], p), nil
		}
	}
	c.follows = false
	if c.held == nil {
		return c.TCPConn.Write(p)
	}
	head := c.held
	c.held = nil
	defer c.heads.Put(head)
	pieces := net.Buffers{head[:], p}
	n, err := pieces.WriteTo(c.TCPConn)
	return int(max(n-writeBuffer, 0)), err
}

// Read implements net.Conn.
func (c *upstreamConn) Read(p []byte) (int, error) {
	if err := c.allow(); err != nil {
		return 0, err
	}
	return c.TCPConn.Read(p)
}

// allow moves the deadline on when less than the whole silence is left, to a quarter more
// than that: moving it with every read would cost more than the read of a small event.
func (c *upstreamConn) allow() error {
	now := time.Since(c.made)
	if time.Duration(c.until.Load())-now >= c.silence {
		return nil
	}
	until := now + c.silence + c.silence/4
	c.until.Store(int64(until))
	return c.SetReadDeadline(c.made.Add(until))
}

// traced is the context of a round trip whose request, with a body of so many bytes,
// goes out by sent.
func traced(ctx context.Context, bytes int, sent func(httptrace.WroteRequestInfo)) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			if c, plain := got.Conn.(*upstreamConn); plain {
				c.follows = bytes > writeBuffer
			}
			if got.WasIdle {
				notIdle(got.Conn)
			}
		},
		WroteRequest: sent,
	})
}

// notIdle begins the silence of a request on a connection that idled, whose reader has
// been waiting since the request before.
func notIdle(c net.Conn) {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	if upstream, ok := c.(*upstreamConn); ok {
		_ = upstream.allow() // what is wrong with the connection, the request finds out
	}
}

// ReadFrom implements io.ReaderFrom, by which net/http sends a body.
func (c *upstreamConn) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if whole, ok := limited.R.(io.WriterTo); ok { // a body of ours: the limit is its length
			n, err := whole.WriteTo(onlyWriter{c})
			limited.N -= n
			return n, err
		}
	}
	return io.Copy(onlyWriter{c}, r)
}

// onlyWriter hides that a connection reads from others, so that they write to it.
type onlyWriter struct{ io.Writer }

// dialer makes connections to providers.
func dialer(within, silence time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	heads := &sync.Pool{New: func() any { return new([writeBuffer]byte) }}
	d := &net.Dialer{Timeout: within, KeepAlive: keepAliveEvery}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if tcp, ok := c.(*net.TCPConn); ok {
			return &upstreamConn{TCPConn: tcp, silence: silence, made: time.Now(), heads: heads}, err
		}
		return c, err
	}
}
