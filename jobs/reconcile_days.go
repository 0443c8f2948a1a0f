package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
)

const (
	dayWithin  = 2 * time.Minute
	daysWithin = 10 * time.Minute
)

type reconcileDay struct {
	river.WorkerDefaults[job.ReconcileDay]
	reconciliations *app.Reconciliations
}

// Timeout implements river.Worker.
func (w *reconcileDay) Timeout(*river.Job[job.ReconcileDay]) time.Duration { return dayWithin }

// Work reconciles one day.
func (w *reconcileDay) Work(ctx context.Context, j *river.Job[job.ReconcileDay]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	day, err := time.Parse(time.DateOnly, j.Args.Day)
	if err != nil {
		return answer(fault.Invalid("day", "day_syntax", "A day is YYYY-MM-DD, not %.20q.", j.Args.Day))
	}
	_, err = w.reconciliations.Reconcile(ctx, tenant, day)
	return answer(err)
}

type reconcileDays struct {
	river.WorkerDefaults[job.ReconcileDays]
	reconciliations *app.Reconciliations
}

// Timeout implements river.Worker.
func (w *reconcileDays) Timeout(*river.Job[job.ReconcileDays]) time.Duration { return daysWithin }

// Work reconciles every day that may still change, a commit for each: what is late, and what
// adjustments moved.
func (w *reconcileDays) Work(ctx context.Context, j *river.Job[job.ReconcileDays]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.reconciliations.ReconcileAll(ctx, tenant)
	return answer(err)
}
