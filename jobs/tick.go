package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/job"
)

type tick struct {
	river.WorkerDefaults[job.Tick]
	audit  *app.Audit
	prices *app.Prices
}

// Work asks the database what is due and fans out.
func (w *tick) Work(ctx context.Context, _ *river.Job[job.Tick]) error {
	return answer(w.audit.Tick(ctx, w.prices.VendorDigest()))
}
