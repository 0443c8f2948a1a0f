package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// shot is one prepared request: its bytes and the bytes the answer must have.
type shot struct {
	head []byte
	body []byte
	want string
}

// shots prepares a workload's requests for a target, with the headers Claude Code
// sends, spread over developers and sessions and over the target's doors.
func (t *target) shots(w workload) []shot {
	list, body := make([]shot, max(variants, len(t.doors))), []byte(w.body)
	for i := range list {
		n, at := strconv.Itoa(i%variants), t.doors[i%len(t.doors)]
		list[i] = shot{body: body, want: w.want, head: []byte("POST " + at.path + "/v1/messages?beta=true HTTP/1.1\r\nHost: " + t.address +
			"\r\nAccept: application/json\r\nContent-Type: application/json\r\nUser-Agent: claude-cli/2.5.0 (external, cli)\r\nX-App: cli\r\nX-Api-Key: " + at.key +
			"\r\nAnthropic-Version: 2023-06-01\r\nAnthropic-Beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\nAnthropic-Dangerous-Direct-Browser-Access: true" +
			"\r\nX-Stainless-Lang: js\r\nX-Stainless-Package-Version: 0.70.0\r\nX-Stainless-Os: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: node" +
			"\r\nX-Stainless-Runtime-Version: v24.3.0\r\nX-Stainless-Retry-Count: 0\r\nX-Stainless-Timeout: 600\r\nX-Claude-Code-Session-Id: 7f6f2a10-0000-4000-8000-0000000000" + n +
			"\r\nX-Tollbook-Developer: developer-" + n + "@bench.test\r\n" + modeHeader + ": " + w.mode + "\r\nContent-Length: " + strconv.Itoa(len(w.body)) + "\r\n\r\n")}
	}
	return list
}

// wire is one client connection. It does by hand what net/http's client does, at a
// fraction of its cost: the load must not eat the core it measures.
type wire struct {
	net.Conn
	in      *bufio.Reader
	scratch []byte
	answer  *http.Response
	rest    string // of the answer, still to come
}

const answerWithin = 30 * time.Second

func dial(ctx context.Context, address string) (*wire, error) {
	c, err := (&net.Dialer{Control: segmentSize, Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c, in: bufio.NewReaderSize(c, 16<<10), scratch: make([]byte, 16<<10)}, nil
}

// begin sends a shot and returns when the first bytes of the answer's body are here.
func (c *wire) begin(s *shot) error {
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	buffers := net.Buffers{s.head, s.body}
	if _, err := buffers.WriteTo(c.Conn); err != nil {
		return err
	}
	var err error
	if c.answer, err = http.ReadResponse(c.in, nil); err != nil { //nolint:bodyclose // end reads it out
		return err
	}
	if c.answer.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(c.answer.Body, 300))
		return fmt.Errorf("status %d: %s", c.answer.StatusCode, said)
	}
	c.rest = s.want
	_, err = c.take()
	return err
}

// take reads once and compares with what the provider sent.
func (c *wire) take() (ended bool, err error) {
	n, err := c.answer.Body.Read(c.scratch)
	if n > len(c.rest) || string(c.scratch[:n]) != c.rest[:n] {
		return false, errors.New("the answer's bytes are not the provider's")
	}
	c.rest = c.rest[n:]
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// end reads the answer out.
func (c *wire) end() error {
	for {
		ended, err := c.take()
		if err != nil {
			return err
		}
		if !ended {
			continue
		}
		if c.rest != "" {
			return fmt.Errorf("the answer lacks %d bytes", len(c.rest))
		}
		return nil
	}
}

// timings are what a load saw.
type timings struct {
	first    []time.Duration // to the first byte of the answer's body
	whole    []time.Duration
	answered int64 // whole answers, the untimed ones too
	took     time.Duration
	rate     float64 // a second, at which timed requests left; open loop only
	gaveUp   bool    // for lack of patience
}

func (t *timings) merge(o timings) {
	t.first, t.whole = append(t.first, o.first...), append(t.whole, o.whole...)
	t.answered += o.answered
}

// fire sends a shot and takes the whole answer.
func (c *wire) fire(s *shot, from time.Time, into *timings) (first, whole time.Duration, err error) {
	if err := c.begin(s); err != nil {
		return 0, 0, err
	}
	first = time.Since(from)
	if err := c.end(); err != nil {
		return 0, 0, err
	}
	into.answered++
	return first, time.Since(from), nil
}

// closedLoop sends n requests over some connections, each sending its next when it
// has its answer.
func (t *target) closedLoop(ctx context.Context, w workload, connections, n int) (timings, error) {
	list, before := t.shots(w), time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	got, err := t.together(ctx, min(connections, n), func(c *wire, into *timings) error {
		for {
			i := left.Add(-1)
			if i < 0 || ctx.Err() != nil {
				return ctx.Err()
			}
			first, whole, err := c.fire(&list[i%int64(len(list))], time.Now(), into)
			if err != nil {
				return err
			}
			into.first, into.whole = append(into.first, first), append(into.whole, whole)
		}
	})
	got.took = time.Since(before)
	return got, err
}

// together opens the connections, then runs one function for each and gathers what
// they saw. Every answer that came whole counts as sent.
func (t *target) together(ctx context.Context, connections int, fn func(*wire, *timings) error) (timings, error) {
	wires, seen, errs := make([]*wire, connections), make([]timings, connections), make([]error, connections)
	defer func() {
		for _, c := range wires {
			if c != nil {
				_ = c.Close() // read out, or the run has failed
			}
		}
	}()
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() { wires[i], errs[i] = dial(ctx, t.address) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return timings{}, fmt.Errorf("connect to %s: %w", t.name, errors.Join(slices.Compact(errs)...))
	}
	for i := range connections {
		all.Go(func() { errs[i] = fn(wires[i], &seen[i]) })
	}
	all.Wait()
	var sum timings
	for i := range seen {
		sum.merge(seen[i])
	}
	t.sent += sum.answered
	if err := errors.Join(errs...); err != nil {
		return sum, fmt.Errorf("load on %s: %w", t.name, errors.Join(slices.Compact(errs)...))
	}
	return sum, nil
}

// heldOpen opens streams and keeps them open while fn runs, then reads them out.
func (t *target) heldOpen(ctx context.Context, w workload, streams int, fn func() error, release func() error) error {
	list, held := t.shots(w), make([]*wire, streams)
	defer func() {
		for _, c := range held {
			if c != nil {
				_ = c.Close() // read out, or the run has failed
			}
		}
	}()
	const opening = 16
	var next atomic.Int64
	if _, err := t.together(ctx, opening, func(_ *wire, _ *timings) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= streams || ctx.Err() != nil {
				return ctx.Err()
			}
			c, err := dial(ctx, t.address)
			if err != nil {
				return err
			}
			held[i] = c
			if err := c.begin(&list[i%len(list)]); err != nil {
				return err
			}
		}
	}); err != nil {
		return err
	}
	if err := errors.Join(fn(), release()); err != nil {
		return err
	}
	for _, c := range held {
		if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
			return err
		}
		if err := c.end(); err != nil {
			return fmt.Errorf("a held stream: %w", err)
		}
		t.sent++
	}
	return nil
}

// quantile of a list, which it sorts.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(q*float64(len(list))))]
}
