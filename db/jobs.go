package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app/job"
)

// The queues. Audit work never waits behind anything else.
const (
	queueAudit  = "audit"
	queueNormal = river.QueueDefault
)

// options maps a job kind to its queue and its unique options: pending work of a
// kind and tenant exists once.
func options(args river.JobArgs) *river.InsertOpts {
	switch args.(type) {
	case job.SequenceAudit:
		return &river.InsertOpts{Queue: queueAudit, MaxAttempts: 20, UniqueOpts: river.UniqueOpts{ByArgs: true}}
	case job.Tick:
		return &river.InsertOpts{Queue: queueNormal, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByPeriod: tickEvery}}
	}
	return &river.InsertOpts{Queue: queueNormal, MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// Enqueue adds a job to this transaction: it exists if and when this commits.
func (t *Tx) Enqueue(args river.JobArgs) error {
	if _, err := t.db.insert.InsertTx(t.ctx, t.sql, args, options(args)); err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return nil
}

// EnqueueNow adds a job in a transaction of its own.
func (d *DB) EnqueueNow(ctx context.Context, args river.JobArgs) error {
	if _, err := d.insert.Insert(ctx, args, options(args)); err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), translate(err))
	}
	return nil
}

const (
	tickEvery  = time.Minute
	jobTimeout = 5 * time.Minute
)

// Work starts working jobs and returns how to stop: no new job starts, those that
// run may finish until the context given to stop ends.
func (d *DB) Work(ctx context.Context, workers *river.Workers) (stop func(context.Context) error, err error) {
	client, err := river.NewClient(d.driver, &river.Config{
		Schema: riverSchema, Workers: workers, Logger: d.log, JobTimeout: jobTimeout,
		Queues: map[string]river.QueueConfig{queueNormal: {MaxWorkers: 4}, queueAudit: {MaxWorkers: 2}},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(tickEvery),
			func() (river.JobArgs, *river.InsertOpts) { return job.Tick{}, options(job.Tick{}) },
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
