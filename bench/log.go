package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/secret"
	"tollbook/db"
)

const (
	logSlug    = "bench-log"
	logWriters = 20 // decide at once
	logPortion = 100
)

// auditLog writes a log and times what reads and proves it.
func (s *stage) auditLog(ctx context.Context) ([]*figure, error) {
	h := s.house
	tenant, err := h.areas.tenants.Create(ctx, logSlug, "Bench", time.Now().AddDate(0, -1, 0))
	if err != nil {
		return nil, err
	}
	audit := app.NewAudit(h.db, h.log)
	records, err := app.NewLog(h.db, h.areas.access, app.NewMembers(h.db, app.NewChanges(h.areas.access), h.areas.ring), secret.NewMaster(), h.log)
	if err != nil {
		return nil, err
	}
	n := s.o.records
	written := newFigure(fmt.Sprintf("records a second into an audit log, by %d at once, %d records", logWriters, n), "/s", 0)
	placed := newFigure("… given their places in it", "/s", 0)
	verified := newFigure("that log verified from its stored bytes", "s", 2)

	before := time.Now()
	if err := inParallel((n+logPortion-1)/logPortion, logWriters, func(portion int) error {
		return h.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
			for i := range min(logPortion, n-portion*logPortion) {
				detail := map[string]any{"kind": "bench", "number": portion*logPortion + i, "reason": "as long as reasons are, in a record of the usual size"}
				if err := tx.StoreAudit(auditlog.Record{Action: "change.applied", Actor: string(app.ActorSystem), Subject: fmt.Sprintf("chg_%d", portion), Detail: detail}); err != nil {
					return err
				}
			}
			return nil
		})
	}); err != nil {
		return nil, err
	}
	written.add(nameGateway, float64(n)/time.Since(before).Seconds())

	before = time.Now()
	for {
		got, err := audit.Sequence(ctx, tenant)
		if err != nil {
			return nil, err
		}
		if got == 0 {
			break
		}
	}
	placed.add(nameGateway, float64(n)/time.Since(before).Seconds())
	if err := records.Sign(ctx, tenant); err != nil {
		return nil, err
	}
	for range s.o.rounds {
		before = time.Now()
		check, err := records.Verify(ctx, tenant)
		if err != nil {
			return nil, err
		}
		if !check.Good || check.Size < int64(n) {
			return nil, errors.New("the log is not whole: " + check.Why)
		}
		verified.add(nameGateway, time.Since(before).Seconds())
	}
	figures := []*figure{written, placed, verified}
	who := app.Command(tenant)
	view, err := records.Read(ctx, who, app.LogQuery{Action: "change.applied"})
	if err != nil {
		return nil, err
	}
	for what, read := range map[string]func() error{
		"a page of that log":              func() error { _, err := records.Read(ctx, who, app.LogQuery{}); return err },
		"one record of it with its proof": func() error { _, err := records.Record(ctx, who, view.Entries[0].Record); return err },
	} {
		got, err := s.timed(ctx, what, read)
		if err != nil {
			return nil, err
		}
		figures = append(figures, got...)
	}
	return figures, nil
}
