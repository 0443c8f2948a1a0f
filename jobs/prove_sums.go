package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type proveSums struct {
	river.WorkerDefaults[job.ProveSums]
	audit *app.Audit
}

// Work proves that events, batches and rollup agree for a tenant's open months.
func (w *proveSums) Work(ctx context.Context, j *river.Job[job.ProveSums]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.audit.ProveSums(ctx, tenant)
	return answer(err)
}
