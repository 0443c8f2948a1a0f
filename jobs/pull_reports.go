package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/provider"
	"tollbook/jobs/anthropicadmin"
)

type pullReports struct {
	river.WorkerDefaults[job.PullReports]
	reports *app.ProviderReports
	client  *anthropicadmin.Client
}

// Timeout implements river.Worker.
func (w *pullReports) Timeout(*river.Job[job.PullReports]) time.Duration { return pullsWithin }

// maxTurn bounds how long a day waits until it asks again for its turn.
const maxTurn = 30 * time.Second

// pullsWithin bounds one attempt at all reports of a day. What is left of a pull is taken up
// by the next.
const pullsWithin = 10 * time.Minute

// Work pulls the names of keys and workspaces, where they are not current, and a day's usage
// and cost. What went wrong with one does not keep the others.
func (w *pullReports) Work(ctx context.Context, j *river.Job[job.PullReports]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	day, err := time.Parse(time.DateOnly, j.Args.Day)
	if err != nil {
		return answer(fault.Invalid("day", "day_syntax", "A day is YYYY-MM-DD, not %.20q.", j.Args.Day))
	}
	var failed error
	ran, err := w.reports.Alone(ctx, tenant, func(ctx context.Context) error {
		for _, report := range []provider.Report{provider.Keys, provider.Workspaces, provider.Usage, provider.Cost} {
			failed = errors.Join(failed, w.pull(ctx, tenant, report, day, j.Attempt >= j.MaxAttempts))
		}
		return nil
	})
	if err == nil && !ran { // another day of this company's is pulled: the worker is free for other companies
		return river.JobSnooze(waitsFor(j.Metadata))
	}
	return answer(errors.Join(err, failed))
}

// waitsFor is how long a day waits for another of its company, by how often it did: soon at
// first, as most take a second.
func waitsFor(metadata []byte) time.Duration {
	var waited struct {
		Snoozes int `json:"snoozes"`
	}
	_ = json.Unmarshal(metadata, &waited) // without it: as the first time
	return min(time.Second<<min(max(waited.Snoozes, 0), 6), maxTurn)
}

// pull pulls one report. What may pass leaves the pull open for the next attempt; the last one
// ends it, so that somebody sees why.
func (w *pullReports) pull(ctx context.Context, tenant id.Tenant, report provider.Report, day time.Time, last bool) error {
	pull, err := w.reports.Begin(ctx, tenant, report, day)
	if err != nil || pull == nil {
		return err
	}
	if err = w.pages(ctx, pull); err == nil {
		_, err = w.reports.Finish(ctx, pull)
		return err
	}
	kind := fault.KindOf(err)
	if kind == fault.KindConflict || kind == fault.KindInternal || (!last && (kind == fault.KindUnavailable || kind == fault.KindLimited)) {
		return err
	}
	f := fault.From(err)
	if failed := w.reports.Fail(context.WithoutCancel(ctx), pull, f.Code, f.Message); failed != nil {
		return failed
	}
	if kind == fault.KindNotFound { // the provider does not have it: that is how it is, and no reason to ask again soon
		return nil
	}
	if kind == fault.KindInvalid && !last { // a page that is wrong today may be right in a moment, from the start
		return fault.New(fault.KindUnavailable, f.Code, f.Message)
	}
	return err
}

// pages asks for every page that is missing of a pull and keeps each; where there are none
// of the report of today, those of the legacy one.
func (w *pullReports) pages(ctx context.Context, pull *app.Pull) error {
	for {
		err := w.client.Pages(ctx, anthropicadmin.Question{BaseURL: pull.BaseURL, Credential: pull.Credential, API: pull.API, Report: pull.Report, Day: pull.Day}, pull,
			func(page anthropicadmin.Answer) error { return w.reports.KeepPage(ctx, pull, app.Received(page)) })
		if !errors.Is(err, anthropicadmin.ErrAbsent) || !pull.UseLegacy() {
			return err
		}
	}
}
