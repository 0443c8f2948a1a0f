package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type postAccruals struct {
	river.WorkerDefaults[job.PostAccruals]
	books *app.Books
}

// Timeout implements river.Worker.
func (w *postAccruals) Timeout(*river.Job[job.PostAccruals]) time.Duration { return accrualsWithin }

const accrualsWithin = 5 * time.Minute

// Work posts each day that is due, a commit for each. What is left when its time is over is
// found again by the next attempt, or the next day.
func (w *postAccruals) Work(ctx context.Context, j *river.Job[job.PostAccruals]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.books.Accrue(ctx, tenant)
	return answer(err)
}
