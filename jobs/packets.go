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

// packetWithin bounds building the packets of one job.
const packetWithin = 5 * time.Minute

type buildPacket struct {
	river.WorkerDefaults[job.BuildPacket]

	packets *app.Packets
}

// Timeout implements river.Worker.
func (w *buildPacket) Timeout(*river.Job[job.BuildPacket]) time.Duration { return packetWithin }

// Work builds a packet that somebody asked for.
func (w *buildPacket) Work(ctx context.Context, j *river.Job[job.BuildPacket]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	ask, err := id.ParseRecord(j.Args.Ask)
	if err != nil {
		return answer(err)
	}
	return answer(w.packets.BuildAsked(ctx, tenant, ask))
}

type schedulePackets struct {
	river.WorkerDefaults[job.SchedulePackets]

	packets *app.Packets
}

// Timeout implements river.Worker.
func (w *schedulePackets) Timeout(*river.Job[job.SchedulePackets]) time.Duration { return packetWithin }

// Work builds and queues what recipients are due. What is left when its time is over is found
// again by the next.
func (w *schedulePackets) Work(ctx context.Context, j *river.Job[job.SchedulePackets]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	_, err = w.packets.Schedule(ctx, tenant)
	return answer(err)
}

type deliverPacket struct {
	river.WorkerDefaults[job.DeliverPacket]

	packets *app.Packets
	office  *deliver.Office
}

// Timeout implements river.Worker.
func (w *deliverPacket) Timeout(*river.Job[job.DeliverPacket]) time.Duration {
	return notice.AttemptWithin
}

// Work makes one attempt to deliver a packet. The attempt is stored first and its outcome
// after, each in a transaction of its own: none is open while somebody else's server talks.
// A process that dies between the two leaves an attempt without an outcome: it is made
// again, with the same id, so that a mail may arrive twice, an object does not, and a system
// sees the same webhook-id.
func (w *deliverPacket) Work(ctx context.Context, j *river.Job[job.DeliverPacket]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	delivery, err := id.ParseDelivery(j.Args.Delivery)
	if err != nil {
		return answer(err)
	}
	made, err := w.packets.Begin(ctx, tenant, delivery, j.Args.Round)
	if errors.Is(err, app.ErrUnderWay) {
		return river.JobSnooze(notice.AttemptWithin)
	}
	if err != nil || made == nil {
		return answer(err)
	}
	out := w.office.SendPacket(ctx, made)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	again, err := w.packets.Finish(limited, made, out)
	if err == nil && again {
		err = errNotTaken
	}
	return err
}
