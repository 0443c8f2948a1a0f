package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type signLog struct {
	river.WorkerDefaults[job.SignLog]
	log *app.Log
}

// Work signs the head of a tenant's log.
func (w *signLog) Work(ctx context.Context, j *river.Job[job.SignLog]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	return answer(w.log.Sign(ctx, tenant))
}

type witnessLog struct {
	river.WorkerDefaults[job.WitnessLog]
	log *app.Log
}

// Work shows the newest head of a tenant's log to a witness. What the witness said is
// stored either way; that it could not be asked is tried again.
func (w *witnessLog) Work(ctx context.Context, j *river.Job[job.WitnessLog]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	return answer(w.log.See(ctx, tenant, j.Args.Witness))
}

type verifyLog struct {
	river.WorkerDefaults[job.VerifyLog]
	log *app.Log
}

// verifyWithin bounds the recomputation of a log of many millions of records.
const verifyWithin = time.Hour

// Timeout implements river.Worker.
func (w *verifyLog) Timeout(*river.Job[job.VerifyLog]) time.Duration { return verifyWithin }

// Work recomputes a tenant's log from its stored bytes; that it is broken is in the log
// and on its page, and is no reason to try the same again.
func (w *verifyLog) Work(ctx context.Context, j *river.Job[job.VerifyLog]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.log.Verify(ctx, tenant)
	return answer(err)
}
