package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/notice"
	"tollbook/jobs/deliver"
)

type notifyChange struct {
	river.WorkerDefaults[job.NotifyChange]
	notices *app.Notices
}

// Work works out who is told of an event of a change.
func (w *notifyChange) Work(ctx context.Context, j *river.Job[job.NotifyChange]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	event, err := id.ParseRecord(j.Args.Record)
	if err != nil {
		return answer(err)
	}
	return answer(w.notices.Prepare(ctx, tenant, event))
}

type deliverNotice struct {
	river.WorkerDefaults[job.DeliverNotice]
	notices *app.Notices
	office  *deliver.Office
}

// Timeout implements river.Worker.
func (w *deliverNotice) Timeout(*river.Job[job.DeliverNotice]) time.Duration {
	return notice.AttemptWithin
}

// finishWithin bounds the commit of an outcome, which outlives a canceled attempt.
const finishWithin = 5 * time.Second

var errNotTaken = errors.New("the recipient's server did not take it this time")

// Work makes one attempt to deliver a message. The attempt is stored first and its outcome
// after, each in a transaction of its own: none is open while somebody else's server talks.
func (w *deliverNotice) Work(ctx context.Context, j *river.Job[job.DeliverNotice]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	delivery, err := id.ParseDelivery(j.Args.Delivery)
	if err != nil {
		return answer(err)
	}
	made, err := w.notices.Begin(ctx, tenant, delivery, j.Args.Round)
	if errors.Is(err, app.ErrUnderWay) {
		return river.JobSnooze(notice.AttemptWithin)
	}
	if err != nil || made == nil {
		return answer(err)
	}
	out := w.office.Send(ctx, made)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	again, err := w.notices.Finish(limited, made, out)
	if err == nil && again {
		err = errNotTaken
	}
	return err
}
