package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type settlePrices struct {
	river.WorkerDefaults[job.SettlePrices]
	adjustments *app.Adjustments
}

// Timeout implements river.Worker.
func (w *settlePrices) Timeout(*river.Job[job.SettlePrices]) time.Duration { return movesWithin }

// Work settles what the price book in force knows, a batch after the other, each a commit.
// What is left when its time is over is found again by the next attempt, or the next day.
func (w *settlePrices) Work(ctx context.Context, j *river.Job[job.SettlePrices]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	for after := (id.Event{}); ; {
		if after, err = w.adjustments.SettlePrices(ctx, tenant, after); err != nil || after.IsZero() {
			return answer(err)
		}
	}
}
