package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type sequenceAudit struct {
	river.WorkerDefaults[job.SequenceAudit]
	audit *app.Audit
}

// Work gives a tenant's pending audit records their places in the log.
func (w *sequenceAudit) Work(ctx context.Context, j *river.Job[job.SequenceAudit]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.audit.Sequence(ctx, tenant)
	return answer(err)
}
