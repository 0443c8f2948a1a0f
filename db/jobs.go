package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"tollbook/app/job"
	"tollbook/app/notice"
)

// The queues. Audit work never waits behind anything else.
const (
	queueAudit = "audit"
	// Deliveries wait for other people's servers: they keep nobody else waiting.
	queueDeliver = "deliver"
	// Pulls wait for the provider, which limits how often it is asked: one at a time of a company,
	// and nobody else waits.
	queuePull   = "pull"
	queueNormal = river.QueueDefault
)

// unfinished are the states of work still to be done. River's own default counts
// completed jobs too, for as long as it keeps them (a day): with it, a tenant's second
// record of the day would have no job.
func unfinished() []rivertype.JobState {
	return []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}
}

// options maps a job kind to its queue and its unique options: unfinished work of a
// kind and tenant exists once; a proof is made once a day, however it ended.
func options(args river.JobArgs, now time.Time) *river.InsertOpts {
	switch args := args.(type) {
	case job.SequenceAudit:
		return &river.InsertOpts{Queue: queueAudit, MaxAttempts: 20, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
	case job.ProveSums, job.ProposePrices, job.VerifyLog, job.SettlePrices, job.PostAccruals, job.PurgeOffboarded, job.ReconcileDays, job.TendCloses:
		return &river.InsertOpts{
			Queue: queueNormal, MaxAttempts: 10,
			UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: 24 * time.Hour, ByState: rivertype.JobStates()},
		}
	case job.SchedulePackets: // the clock asks each minute, and what is due is due to the hour
		return &river.InsertOpts{Queue: queueNormal, MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: scheduleEvery, ByState: rivertype.JobStates()}}
	case job.WitnessLog: // the clock asks again, each minute that one is behind
		return &river.InsertOpts{Queue: queueDeliver, MaxAttempts: 4, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
	case job.DeliverNotice, job.DeliverPacket:
		return &river.InsertOpts{Queue: queueDeliver, MaxAttempts: deliverTries, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
	case job.PullReports:
		return &river.InsertOpts{Queue: queuePull, MaxAttempts: pullTries, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
	case job.ReconcileDay:
		if args.Gathered { // one for a stretch of time, begun when whoever asked within it has surely committed
			return &river.InsertOpts{
				Queue: queueNormal, MaxAttempts: 10, ScheduledAt: now.Truncate(gatherFor).Add(gatherFor + statementLimit),
				UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: gatherFor, ByState: rivertype.JobStates()},
			}
		}
		// one that runs may have begun before what asks for this one: nothing is done twice, and nothing may be left out
		return &river.InsertOpts{Queue: queueNormal, MaxAttempts: 10}
	case job.Tick:
		return &river.InsertOpts{Queue: queueNormal, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByPeriod: tickEvery}}
	}
	return &river.InsertOpts{Queue: queueNormal, MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
}

// queued is a job that this transaction will insert.
type queued struct {
	key  string
	args river.JobArgs
}

// Enqueue adds a job to this transaction: it exists if and when this commits. It is
// inserted last of all, because a unique job's row is held until commit and every
// writer of a tenant wants the same one: usage would wait for governance, and two
// flushes that each hold rollup rows could wait in a circle (DESIGN 6).
func (t *Tx) Enqueue(args river.JobArgs) error {
	encoded, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	key := args.Kind() + string(encoded)
	if !slices.ContainsFunc(t.jobs, func(q queued) bool { return q.key == key }) {
		t.jobs = append(t.jobs, queued{key: key, args: args})
	}
	return nil
}

// insertJobs inserts what was enqueued, in one order for every transaction.
func (t *Tx) insertJobs() error {
	slices.SortFunc(t.jobs, func(a, b queued) int { return strings.Compare(a.key, b.key) })
	for _, q := range t.jobs {
		if _, err := t.db.insert.InsertTx(t.ctx, t.sql, q.args, options(q.args, t.db.now())); err != nil {
			return fmt.Errorf("enqueue %s: %w", q.args.Kind(), err)
		}
	}
	return nil
}

// Job is the arguments of one job, as app/job has them.
type Job = river.JobArgs

// EnqueueNow adds jobs in a transaction of their own.
func (d *DB) EnqueueNow(ctx context.Context, jobs ...Job) error {
	list := make([]river.InsertManyParams, 0, len(jobs))
	for _, args := range jobs {
		list = append(list, river.InsertManyParams{Args: args, InsertOpts: options(args, d.now())})
	}
	if _, err := d.insert.InsertMany(ctx, list); err != nil {
		return fmt.Errorf("enqueue: %w", translate(err))
	}
	return nil
}

const (
	tickEvery = time.Minute
	// gatherFor is how long what is posted to a day that was reconciled before is gathered.
	gatherFor = 5 * time.Minute
	// scheduleEvery bounds how late a packet is that is due.
	scheduleEvery = 5 * time.Minute
	// deliverTries is more than the attempts that app/notice allows a round, by those that
	// ended with their process.
	deliverTries = 2 * notice.MaxTries
	// pullWorkers is how many companies are asked for at a time: each holds a connection.
	pullWorkers = 4
	// pullTries is how often a pull is tried within some minutes; the clock asks again later.
	pullTries = 4
	// jobTimeout is for a worker that states no Timeout of its own. A job whose process
	// was killed is taken up again after it, and until then nothing else of its kind and
	// tenant is: River's own hour would leave records an hour without a place in the log.
	jobTimeout = time.Minute
)

// Work starts working jobs and returns how to stop: no new job starts, those that
// run may finish until the context given to stop ends.
func (d *DB) Work(ctx context.Context, workers *river.Workers) (stop func(context.Context) error, err error) {
	client, err := river.NewClient(d.driver, &river.Config{
		Schema: riverSchema, Workers: workers, Logger: d.log, JobTimeout: jobTimeout, RescueStuckJobsAfter: jobTimeout,
		Queues: map[string]river.QueueConfig{queueNormal: {MaxWorkers: 4}, queueAudit: {MaxWorkers: 2}, queueDeliver: {MaxWorkers: 4}, queuePull: {MaxWorkers: pullWorkers}},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(tickEvery),
			func() (river.JobArgs, *river.InsertOpts) { return job.Tick{}, options(job.Tick{}, d.now()) },
			&river.PeriodicJobOpts{RunOnStart: true})},
	})
	if err != nil {
		return nil, fmt.Errorf("open job client: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("start jobs: %w", translate(err))
	}
	return client.Stop, nil
}

// SQL is the transaction that gorm and River share; tests look through it.
func (t *Tx) SQL() *sql.Tx { return t.sql }
