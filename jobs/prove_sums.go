package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type proveSums struct {
	river.WorkerDefaults[job.ProveSums]
	audit *app.Audit
	books *app.Books
}

// Timeout implements river.Worker: a proof reads every row of its months.
func (w *proveSums) Timeout(*river.Job[job.ProveSums]) time.Duration { return proofWithin }

const proofWithin = 5 * time.Minute

// Work proves that events, batches, rollup and journal agree, of the months that are due,
// once what is due is posted.
func (w *proveSums) Work(ctx context.Context, j *river.Job[job.ProveSums]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	if _, err := w.books.Accrue(ctx, tenant); err != nil {
		return answer(err)
	}
	_, err = w.audit.ProveSums(ctx, tenant)
	return answer(err)
}
