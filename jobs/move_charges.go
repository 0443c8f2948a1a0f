package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type moveCharges struct {
	river.WorkerDefaults[job.MoveCharges]
	adjustments *app.Adjustments
}

const (
	movesWithin  = 5 * time.Minute
	moveBatches  = 40 // of one attempt; the rest is another's, behind other work
	moveAgain    = time.Second
	journalsLast = 30 * time.Second
)

// Timeout implements river.Worker.
func (w *moveCharges) Timeout(*river.Job[job.MoveCharges]) time.Duration { return movesWithin }

// Work posts adjustments for what was charged since a change's effective instant, a batch
// after the other, each a commit.
func (w *moveCharges) Work(ctx context.Context, j *river.Job[job.MoveCharges]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	change, err := id.ParseChange(j.Args.Change)
	if err != nil {
		return answer(err)
	}
	for range moveBatches {
		state, err := w.adjustments.MoveCharges(ctx, tenant, change)
		switch {
		case err != nil:
			return answer(err)
		case state == app.MoveEnded:
			return nil
		case state == app.MoveWaits:
			return river.JobSnooze(journalsLast)
		}
	}
	return river.JobSnooze(moveAgain)
}
