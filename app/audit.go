package app

import (
	"context"
	"fmt"
	"log/slog"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/period"
	"tollbook/db"
)

// Audit is the area of the log and of the proof that sums agree.
type Audit struct {
	db  *db.DB
	log *slog.Logger
}

// NewAudit makes the area.
func NewAudit(d *db.DB, log *slog.Logger) *Audit { return &Audit{db: d, log: log} }

// maxSequenceRounds bounds one job; what is left is the next job's.
const maxSequenceRounds = 100

// Sequence gives every pending record of a tenant its place in the log.
func (a *Audit) Sequence(ctx context.Context, tenant id.Tenant) (int, error) {
	total := 0
	for range maxSequenceRounds {
		placed := 0
		err := a.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
			var err error
			placed, err = tx.SequenceAudit()
			return err
		})
		total += placed
		if err != nil || placed == 0 {
			return total, err
		}
	}
	return total, nil
}

// Tick does what is due: it asks the database, for every tenant, whether records
// wait and proves the sums of the month once an hour.
func (a *Audit) Tick(ctx context.Context) error {
	var tenants []db.TenantRow
	if err := a.db.InSystem(ctx, "the clock serves every tenant", func(tx *db.SystemTx) error {
		var err error
		tenants, err = tx.Tenants()
		return err
	}); err != nil {
		return err
	}
	for _, t := range tenants {
		if err := a.db.InTenant(ctx, t.ID, func(tx *db.Tx) error {
			for _, month := range []period.Month{period.MonthOf(tx.Now), period.MonthOf(tx.Now).Next()} {
				if err := tx.EnsureUsageMonth(month); err != nil {
					return err
				}
			}
			waiting, err := tx.PendingAudit()
			if err != nil {
				return err
			}
			if waiting > 0 {
				if err := tx.Enqueue(job.SequenceAudit{Tenant: t.ID.String()}); err != nil {
					return err
				}
			}
			if tx.Now.Hour() == proveHour && tx.Now.Minute() == 0 {
				return tx.Enqueue(job.ProveSums{Tenant: t.ID.String()})
			}
			return nil
		}); err != nil {
			return fmt.Errorf("tick for %s: %w", t.ID, err)
		}
	}
	return nil
}

// proveHour is the hour, UTC, at which every tenant's sums are proved.
const proveHour = 3

// ProveSums compares this month and the last, summed from events, from batches and
// from the rollup, and records the outcome (DESIGN 5.5).
func (a *Audit) ProveSums(ctx context.Context, tenant id.Tenant) (agree bool, err error) {
	agree = true
	err = a.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		agree = true
		now := period.MonthOf(tx.Now)
		detail := map[string]any{}
		for _, month := range []period.Month{now.Previous(), now} {
			c, err := tx.ProveMonth(month)
			if err != nil {
				return err
			}
			same := c.EventPico == c.BatchPico && c.BatchPico == c.RollupPico && c.EventRequests == c.BatchRequests && c.BatchRequests == c.RollupRequests
			agree = agree && same
			detail[month.String()] = map[string]any{
				"agree": same, "events": c.EventRequests, "events_pico": c.EventPico, "batches": c.BatchRequests, "batches_pico": c.BatchPico,
				"rollup": c.RollupRequests, "rollup_pico": c.RollupPico,
			}
		}
		return tx.AppendAudit(auditlog.Record{Action: "sums.proved", Actor: "system", Detail: detail})
	})
	if err == nil && !agree {
		a.log.ErrorContext(ctx, "sums disagree", "tenant", tenant.String())
	}
	return agree, err
}
