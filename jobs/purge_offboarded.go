package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type purgeOffboarded struct {
	river.WorkerDefaults[job.PurgeOffboarded]
	retentions *app.Retentions
}

// Timeout implements river.Worker.
func (w *purgeOffboarded) Timeout(*river.Job[job.PurgeOffboarded]) time.Duration { return clearWithin }

const clearWithin = 10 * time.Minute

// Work purges what is due, a commit for each purge. What is left when its time is over, or its
// process, is found again by the next attempt, or the next day.
func (w *purgeOffboarded) Work(ctx context.Context, j *river.Job[job.PurgeOffboarded]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.retentions.ClearOffboarded(ctx, tenant)
	return answer(err)
}
