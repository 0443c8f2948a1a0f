package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// figure is one line of the table: a value per target and round.
type figure struct {
	measure string
	unit    string
	decimal int
	values  map[string][]float64
	part    bool // shown below the line it is a part of, without a ratio
}

func newFigure(measure, unit string, decimals int) *figure {
	return &figure{measure: measure, unit: unit, decimal: decimals, values: map[string][]float64{}}
}

func (f *figure) add(target string, value float64) {
	f.values[target] = append(f.values[target], value)
}

// measure is something a run can be asked for by name.
type measure struct {
	name    string
	take    func(*stage, context.Context) ([]*figure, error)
	onAsked bool // not taken unless named
}

func measures() []measure {
	return []measure{
		{name: "plain-1kb", take: closed("plain-1kb", 1)},
		{name: "plain-100kb", take: closed("plain-100kb", 1)},
		{name: "stream", take: closed("stream", 1)},
		{name: "stream-paced", take: closed("stream-paced", 10)},
		{name: "rate-100kb", take: (*stage).rate},
		{name: "latency", take: (*stage).latency},
		{name: "first-byte", take: (*stage).firstByte},
		{name: "memory", take: (*stage).memory},
		{name: "tenants", take: (*stage).tenants},
		{name: "month-view", take: (*stage).monthView, onAsked: true},
		{name: "pages", take: (*stage).pages, onAsked: true},
		{name: "log", take: (*stage).auditLog, onAsked: true},
	}
}

func measureNames() []string {
	var names []string
	for _, m := range measures() {
		names = append(names, m.name)
	}
	return names
}

// measure takes what was asked for, in the table's order.
func (s *stage) measure(ctx context.Context) ([]*figure, error) {
	var all []*figure
	for _, m := range measures() {
		if !s.wants(m) {
			continue
		}
		s.say("measuring " + m.name)
		got, err := m.take(s, ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		all = append(all, got...)
	}
	return all, nil
}

func (s *stage) wants(m measure) bool {
	if len(s.o.only) == 0 {
		return !m.onAsked
	}
	return slices.Contains(s.o.only, m.name)
}

// each runs fn against the named targets, in turns, round by round, and checks the
// ledger after every turn of the gateway.
func (s *stage) each(ctx context.Context, names []string, fn func(*target) error) error {
	for range s.o.rounds {
		for _, name := range names {
			if s.targets[name] == nil {
				continue // nginx is not installed, or no other build was named
			}
			if err := s.turn(ctx, s.targets[name], fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn is one target's in a round.
func (s *stage) turn(ctx context.Context, t *target, fn func(*target) error) error {
	if err := fn(t); err != nil {
		return err
	}
	if err := s.settle(ctx, t); err != nil {
		return err
	}
	return s.proveRows(ctx, t)
}

func proxies() []string { return targetNames()[1:] }

const warmUp = 200

// closed measures a workload in a closed loop: processor time per request, and the
// highest rate.
func closed(name string, fraction int) func(*stage, context.Context) ([]*figure, error) {
	return func(s *stage, ctx context.Context) ([]*figure, error) {
		w, n, connections := s.workloads[name], max(s.o.requests/fraction, 1), s.o.connections
		if w.mode == modePaced {
			connections *= 2 // a stream lasts a quarter of a second
		}
		cpu, database := newFigure("CPU per request, "+w.about, "µs", 0), newFigure("of it PostgreSQL", "µs", 0)
		rate, late := newFigure(fmt.Sprintf("rate of a closed loop of %d, %s", connections, w.about), "/s", 0), newFigure("99th percentile at that rate", "ms", 1)
		database.part, late.part = true, true
		err := s.each(ctx, proxies(), func(t *target) error {
			got, spent, err := s.closedRun(ctx, t, w, connections, n)
			if err != nil {
				return err
			}
			cpu.add(t.name, microseconds(spent.proxy+spent.database, n))
			if t.meters() {
				database.add(t.name, microseconds(spent.database, n))
			}
			rate.add(t.name, float64(n)/got.took.Seconds())
			late.add(t.name, milliseconds(quantile(got.whole, 0.99)))
			return nil
		})
		if w.mode == modePaced {
			return []*figure{cpu, database}, err // its rate is the pauses'
		}
		return []*figure{cpu, database, rate, late}, err
	}
}

// closedRun warms a target up and runs n requests in a closed loop.
func (s *stage) closedRun(ctx context.Context, t *target, w workload, connections, n int) (timings, bill, error) {
	if _, err := t.closedLoop(ctx, w, connections, min(max(warmUp, len(t.doors)), n)); err != nil {
		return timings{}, bill{}, err
	}
	if err := s.settle(ctx, t); err != nil {
		return timings{}, bill{}, err
	}
	return s.spent(ctx, t, func() (timings, error) { return t.closedLoop(ctx, w, connections, n) })
}

// microseconds of each of n.
func microseconds(d time.Duration, n int) float64 {
	return float64(d) / float64(time.Microsecond) / float64(n)
}

type bill struct{ proxy, database time.Duration }

// spent runs a load and says what it cost, the way to the ledger included.
func (s *stage) spent(ctx context.Context, t *target, load func() (timings, error)) (timings, bill, error) {
	before, err := s.bill(t)
	if err != nil {
		return timings{}, bill{}, err
	}
	if s.o.profile != "" && t.name == nameGateway {
		file, err := filepath.Abs(s.o.profile)
		if err != nil {
			return timings{}, bill{}, err
		}
		if _, err := t.process.ask("profile " + file); err != nil {
			return timings{}, bill{}, err
		}
		defer func() { _, _ = t.process.ask("profiled") }() // a child that is gone fails the next question
	}
	got, err := load()
	if err != nil {
		return got, bill{}, err
	}
	if err := s.settle(ctx, t); err != nil {
		return got, bill{}, err
	}
	after, err := s.bill(t)
	return got, bill{proxy: after.proxy - before.proxy, database: after.database - before.database}, err
}

func (s *stage) bill(t *target) (bill, error) {
	proxy, _, err := tree(t.process.pid())
	if err != nil || !t.meters() {
		return bill{proxy: proxy.cpu}, err
	}
	database, _, err := tree(s.house.server.PID())
	return bill{proxy: proxy.cpu, database: database.cpu}, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// memory measures what an open stream holds in a proxy that did nothing before.
func (s *stage) memory(ctx context.Context) ([]*figure, error) {
	var all []*figure
	for _, streams := range s.o.streams {
		f, err := s.memoryOf(ctx, streams)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (s *stage) memoryOf(ctx context.Context, streams int) (*figure, error) {
	f := newFigure(fmt.Sprintf("memory per open stream, %d open, 100 KB in", streams), "KB", 1)
	release := func() error { _, err := s.upstream.ask("release"); return err }
	for _, name := range proxies() {
		if s.targets[name] == nil {
			continue
		}
		if err := s.fresh(ctx, name); err != nil {
			return nil, err
		}
		t := s.targets[name]
		if _, err := t.closedLoop(ctx, s.workloads["stream"], 4, min(warmUp, s.o.requests)); err != nil {
			return nil, err
		}
		before, _, err := tree(t.process.pid())
		if err != nil {
			return nil, err
		}
		err = t.heldOpen(ctx, s.workloads["hold"], streams, func() error {
			time.Sleep(time.Second) // what was garbage when the last one opened
			during, _, err := tree(t.process.pid())
			f.add(name, float64(during.resident-before.resident)/1024/float64(streams))
			return err
		}, release)
		if err != nil {
			return nil, err
		}
		if err := s.settle(ctx, t); err != nil {
			return nil, err
		}
		if err := s.proveRows(ctx, t); err != nil {
			return nil, err
		}
	}
	return f, nil
}
