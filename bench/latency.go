package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Latency is measured in short slices, so that whatever else the machine does for
// some seconds meets every target.
const (
	slicesPerRound    = 6
	slice             = 500 * time.Millisecond
	usualRate         = 1000 // a second
	slowestRate       = 50
	streamPart        = 3 // of the rate at which streams begin
	steadyConnections = 64
	fewestConnections = 8
)

// latency measures what stands between adds at a moderate, steady rate.
func (s *stage) latency(ctx context.Context) ([]*figure, error) {
	rate, err := s.steadyRate(ctx)
	if err != nil {
		return nil, err
	}
	at := fmt.Sprintf(" latency at %d/s, 100 KB in", rate)
	return s.inSlices(ctx, s.workloads["plain-100kb"], rate, at, func(t *timings) []time.Duration { return t.whole })
}

// firstByte measures the wait for a stream's first event.
func (s *stage) firstByte(ctx context.Context) ([]*figure, error) {
	rate, err := s.steadyRate(ctx)
	if err != nil {
		return nil, err
	}
	rate = max(1, rate/streamPart)
	at := fmt.Sprintf(" first byte of a stream at %d/s, 100 KB in", rate)
	return s.inSlices(ctx, s.workloads["stream"], rate, at, func(t *timings) []time.Duration { return t.first })
}

// steadyRate is the rate that was asked for or the usual one, halved until all
// targets hold it.
func (s *stage) steadyRate(ctx context.Context) (int, error) {
	if s.pace == 0 {
		s.pace = s.o.rate
	}
	for rate := usualRate; s.pace == 0; rate = max(slowestRate, rate/2) {
		ok, err := s.allHold(ctx, rate)
		if err != nil {
			return 0, err
		}
		if ok || rate == slowestRate {
			s.pace = rate
			break
		}
		s.say(fmt.Sprintf("%d requests a second are more than this machine holds", rate))
	}
	return s.pace, nil
}

func (s *stage) allHold(ctx context.Context, rate int) (bool, error) {
	for _, name := range targetNames() {
		if s.targets[name] == nil {
			continue
		}
		ok, _, err := s.holds(ctx, s.targets[name], s.workloads["plain-100kb"], rate)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// inSlices sends the same steady load to all targets, a slice each in turn and a
// different one first each time. Median and 99th percentile are each slice's own.
func (s *stage) inSlices(ctx context.Context, w workload, rate int, at string, seen func(*timings) []time.Duration) ([]*figure, error) {
	half, late := newFigure("median"+at, "ms", 3), newFigure("99th percentile of"+at, "ms", 2)
	load := steady{rate: rate, connections: max(fewestConnections, min(steadyConnections, rate/10)), timed: max(1, min(s.o.requests, int(int64(rate)*int64(slice)/int64(time.Second))))}
	load.lead = load.connections // each has served once
	for i := range s.o.rounds * slicesPerRound {
		names := targetNames()
		for j := range names {
			t := s.targets[names[(i+j)%len(names)]]
			if t == nil {
				continue
			}
			got, err := t.openLoop(ctx, w, load)
			if err != nil {
				return nil, err
			}
			half.add(t.name, milliseconds(quantile(seen(&got), 0.5)))
			late.add(t.name, milliseconds(quantile(seen(&got), 0.99)))
			if err := s.settle(ctx, t); err != nil {
				return nil, err
			}
		}
		if (i+1)%slicesPerRound > 0 {
			continue
		}
		if err := s.proveRows(ctx, s.targets[nameGateway]); err != nil {
			return nil, err
		}
	}
	return []*figure{half, added(half), late, added(late)}, nil
}

// added is a figure less what direct has in the same slice.
func added(f *figure) *figure {
	more := newFigure("added to direct: "+strings.TrimPrefix(f.measure, "median "), f.unit, f.decimal)
	more.part = true // a proportion of differences says nothing
	direct := f.values[nameDirect]
	for _, name := range proxies() {
		for i, v := range f.values[name] {
			if i < len(direct) {
				more.add(name, v-direct[i])
			}
		}
	}
	return more
}
