package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type tendChanges struct {
	river.WorkerDefaults[job.TendChanges]
	approvals *app.Approvals
}

// Work expires, reminds of and escalates a tenant's changes that wait.
func (w *tendChanges) Work(ctx context.Context, j *river.Job[job.TendChanges]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return river.JobCancel(err)
	}
	return answer(w.approvals.Tend(ctx, tenant))
}
