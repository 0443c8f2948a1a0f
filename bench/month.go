package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// The company whose month is viewed.
const (
	monthSlug       = "bench-month"
	monthCenters    = 12
	monthKeys       = 40
	monthDevelopers = 60
)

// books are a company with a month to fill, and what its requests are made of.
type books struct {
	tenant     id.Tenant
	month      period.Month
	keys       []id.Key // of center i%monthCenters
	developers []id.Developer
	sealed     [][]byte                           // their labels
	places     [monthCenters][]attribution.Answer // of each center: itself, then its projects
	replica    id.Replica
	snapshot   int64
	sample     usage.Event // one of the middle of the month
}

// filled is the company with its month, which is filled for whoever asks first.
func (s *stage) filled(ctx context.Context) (*books, []*figure, error) {
	if s.books != nil {
		return s.books, nil, nil
	}
	b, err := s.house.openBooks(ctx, s.o.projects)
	if err != nil {
		return nil, nil, err
	}
	speed := newFigure(fmt.Sprintf("rows a second into the ledger, %d rows", s.o.rows), "/s", 0)
	took, err := s.fill(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	speed.add(nameGateway, float64(s.o.rows)/took.Seconds())
	s.books = b
	return b, []*figure{speed}, nil
}

// monthView fills a month and times what its page and its report read.
func (s *stage) monthView(ctx context.Context) ([]*figure, error) {
	b, figures, err := s.filled(ctx)
	if err != nil {
		return nil, err
	}
	reports, who := app.NewReports(s.house.db, s.house.areas.access, s.house.areas.ring), app.Command(b.tenant)
	for _, by := range []string{"node", "developer", "model", "key"} {
		got, err := s.timed(ctx, "month of "+strconv.Itoa(s.o.rows)+" requests by "+by, func() error {
			sum, err := reports.Chargeback(ctx, who, b.month, by, time.Time{})
			if err == nil && (sum.Requests != int64(s.o.rows) || sum.Control.Difference.Sign() != 0) {
				err = fmt.Errorf("the month holds %d requests, off by %s, but %d were posted", sum.Requests, sum.Control.Difference.Digits(), s.o.rows)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		figures = append(figures, got...)
	}
	return figures, nil
}

// timed takes a read many times, one after the other.
func (s *stage) timed(ctx context.Context, what string, read func() error) ([]*figure, error) {
	half, late := newFigure(what+", median", "ms", 2), newFigure("95th percentile", "ms", 2)
	late.part = true
	for range s.o.rounds {
		seen := make([]time.Duration, 0, s.o.views)
		for range s.o.views {
			before := time.Now()
			if err := read(); err != nil {
				return nil, err
			}
			seen = append(seen, time.Since(before))
		}
		half.add(nameGateway, milliseconds(quantile(seen, 0.5)))
		late.add(nameGateway, milliseconds(quantile(seen, 0.95)))
	}
	return []*figure{half, late}, ctx.Err()
}

// longMonth is the latest month of 31 days that is over.
func longMonth(now time.Time) period.Month {
	m := period.MonthOf(now).Previous()
	for m.Days() < 31 {
		m = m.Previous()
	}
	return m
}

// openBooks settles the company through the use cases and places its requests by
// the product's own rules.
func (h *house) openBooks(ctx context.Context, projects int) (*books, error) {
	b := &books{month: longMonth(h.opened), replica: id.ReplicaFromBytes([16]byte{0: 0xbe, 6: 0x80, 8: 0x80})}
	var err error
	if b.tenant, err = h.areas.tenants.Create(ctx, monthSlug, "Bench", b.month.Start()); err != nil {
		return nil, err
	}
	who := app.Command(b.tenant)
	tree := []app.NewNode{{Code: "BU-1", Name: "Unit", Kind: "business_unit", Capitalization: "expense"}}
	for c := range monthCenters {
		tree = append(tree, app.NewNode{Code: center(c), Name: "Center", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"})
		for p := 1; p <= projects; p++ {
			tree = append(tree, app.NewNode{Code: project(c, p), Name: "Project", Kind: "project", ParentCode: center(c), Capitalization: "capitalize"})
		}
	}
	if err := h.areas.nodes.Create(ctx, who, tree, b.month.Start(), reason); err != nil {
		return nil, err
	}
	for k := range monthKeys {
		made, err := h.areas.keys.Create(ctx, who, app.NewKey{Label: "Key " + strconv.Itoa(k), CostCenter: center(k % monthCenters)}, reason)
		if err != nil {
			return nil, err
		}
		b.keys = append(b.keys, made.ID)
	}
	return b, h.place(ctx, b, projects)
}

func center(c int) string { return "CC-" + strconv.Itoa(c) }

func project(c, p int) string {
	if p == 0 {
		return ""
	}
	return "P-" + strconv.Itoa(c) + "-" + strconv.Itoa(p)
}

// place gives the books what a gateway takes from its snapshot.
func (h *house) place(ctx context.Context, b *books, projects int) error {
	snapshots := app.NewSnapshots(h.db, h.areas.ring, h.log, time.Now)
	if err := snapshots.Load(ctx, b.tenant); err != nil {
		return err
	}
	snapshot := snapshots.Current().Tenants[monthSlug]
	if snapshot == nil {
		return fmt.Errorf("%s is not in the snapshot", monthSlug)
	}
	b.snapshot = snapshot.Number
	labels := app.NewLabels(h.areas.ring)
	for d := range monthDevelopers {
		label := "developer-" + strconv.Itoa(d) + "@bench.test"
		b.developers = append(b.developers, snapshot.Pseudonyms.Developer(label))
		b.sealed = append(b.sealed, labels.Seal(b.developers[d], label))
	}
	for c := range b.places {
		node, ok := snapshot.Tree.Code(center(c))
		if !ok {
			return fmt.Errorf("there is no cost center %s", center(c))
		}
		for p := range projects + 1 {
			answer, err := attribution.Decide(snapshot.Tree, attribution.Facts{CostCenter: node.Node, Request: attribution.Request{Project: project(c, p)}})
			if err != nil {
				return err
			}
			b.places[c] = append(b.places[c], answer)
		}
	}
	return nil
}

// fillers post at once, each its own days: two flushes of one day would wait for
// each other's rollup rows.
const fillers = 3

// fill posts the month's requests through the product's flush.
func (s *stage) fill(ctx context.Context, b *books) (time.Duration, error) {
	metering, err := app.NewMetering(s.house.db)
	if err != nil {
		return 0, err
	}
	before, days := time.Now(), b.month.Days()
	var posted atomic.Int64
	err = inParallel(days, fillers, func(day int) error {
		g := newDay(b, day)
		for left := s.o.rows*(day+1)/days - s.o.rows*day/days; left > 0; {
			n := min(left, app.FlushLimit)
			events := g.events(n)
			if day == days/2 {
				b.sample = events[0]
			}
			added, err := metering.Flush(ctx, b.tenant, events)
			if err != nil {
				return err
			}
			if added != n {
				return fmt.Errorf("%d of %d requests were posted", added, n)
			}
			left -= n
			s.progress(int(posted.Add(int64(n))), n, time.Since(before))
		}
		return nil
	})
	took := time.Since(before)
	if err != nil {
		return took, err
	}
	before = time.Now()
	err = s.house.db.ReadTenant(ctx, b.tenant, func(tx *db.Tx) error {
		rows, err := prove(tx, b.month)
		if err == nil && rows != int64(s.o.rows) {
			err = fmt.Errorf("the ledger holds %d requests, but %d were posted", rows, s.o.rows)
		}
		s.proven += rows
		return err
	})
	s.say(fmt.Sprintf("%d requests posted in %.0f s and counted in %.0f s", s.o.rows, took.Seconds(), time.Since(before).Seconds()))
	return took, err
}

const progressEvery = 250_000

func (s *stage) progress(posted, last int, took time.Duration) {
	if posted/progressEvery > (posted-last)/progressEvery {
		s.say(fmt.Sprintf("%d of %d requests posted, %.0f a second", posted, s.o.rows, float64(posted)/took.Seconds()))
	}
}

// models that were on sale long enough to have a price in any month a run fills.
func monthModels() []string {
	return []string{
		"claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-opus-4-5",
		"claude-sonnet-4-6", "claude-sonnet-4-5", "claude-sonnet-4", "claude-haiku-4-5",
	}
}
