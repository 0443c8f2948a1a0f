package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// tenants measures what many companies in one house cost: the gateway flushes each
// on its own. One company alone comes first; then, in turns, the load of one among
// many and the same load spread over all.
func (s *stage) tenants(ctx context.Context) ([]*figure, error) {
	w := s.workloads["plain-1kb"]
	about := func(what string) [2]*figure {
		pair := [2]*figure{newFigure("CPU per request, 1 KB in, "+what, "µs", 0), newFigure("of it PostgreSQL", "µs", 0)}
		pair[1].part = true
		return pair
	}
	take := func(into [2]*figure, doors int) func(*target) error {
		return func(t *target) error {
			if t.meters() {
				defer func(one []door) { t.doors = one }(t.doors)
				t.doors = s.house.doors[:doors]
			}
			_, spent, err := s.closedRun(ctx, t, w, s.o.connections, s.o.requests)
			into[0].add(t.name, microseconds(spent.proxy+spent.database, s.o.requests))
			if t.meters() {
				into[1].add(t.name, microseconds(spent.database, s.o.requests))
			}
			return err
		}
	}
	targets := []string{nameControl, nameOther, nameGateway}
	alone := about(fmt.Sprintf("%d tenant, %d in the house", 1, len(s.house.tenants)))
	if err := s.each(ctx, targets, take(alone, 1)); err != nil {
		return nil, err
	}
	if err := s.moveIn(ctx); err != nil {
		return nil, err
	}
	among, all := about(fmt.Sprintf("1 tenant, %d in the house", s.o.tenants)), about(fmt.Sprintf("%d tenants, %d in the house", s.o.tenants, s.o.tenants))
	for range s.o.rounds {
		for _, name := range targets {
			t := s.targets[name]
			if t == nil {
				continue
			}
			for _, turn := range []func(*target) error{take(among, 1), take(all, s.o.tenants)} {
				if err := s.turn(ctx, t, turn); err != nil {
					return nil, err
				}
			}
		}
	}
	return slices.Concat(alone[:], among[:], all[:]), nil
}

// moveIn fills the house while no gateway stands: one that did would hear of every
// company, several times.
func (s *stage) moveIn(ctx context.Context) error {
	meters := []string{nameOther, nameGateway}
	meters = slices.DeleteFunc(meters, func(name string) bool { return s.targets[name] == nil })
	for _, name := range meters {
		if err := s.stopTarget(name); err != nil {
			return err
		}
	}
	before := time.Now()
	if err := s.house.settle(ctx, s.o.tenants); err != nil {
		return err
	}
	s.say(fmt.Sprintf("%d tenants settled in %.1f s", len(s.house.tenants), time.Since(before).Seconds()))
	for _, name := range meters {
		var err error
		if s.targets[name], err = s.startTarget(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
