package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type tendCloses struct {
	river.WorkerDefaults[job.TendCloses]
	closing *app.Closing
}

// Work notes which signatures of months that are closing count no more.
func (w *tendCloses) Work(ctx context.Context, j *river.Job[job.TendCloses]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.closing.Tend(ctx, tenant)
	return answer(err)
}
