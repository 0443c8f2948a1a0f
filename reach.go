package main

import (
	"context"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// reachEvery is how long a start waits between two tries to reach the database.
const reachEvery = 2 * time.Second

// whenReachable does what a start needs the database for: at once, or, in a process
// with a gateway, as soon as it answers. A gateway serves without it.
func (h *house) whenReachable(ctx context.Context, p *parts, step string, do func(context.Context) error) error {
	err := do(ctx)
	if err == nil || fault.KindOf(err) != fault.KindUnavailable || !h.settings.runs("gateway") {
		return err
	}
	h.log.WarnContext(ctx, "the database does not answer; it is asked again until it does", "step", step, "error", err)
	trying, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-trying.Done():
				return
			case <-time.After(reachEvery):
			}
			switch err := do(trying); {
			case err == nil:
				h.log.InfoContext(trying, "the database answers", "step", step)
				return
			case fault.KindOf(err) != fault.KindUnavailable && trying.Err() == nil:
				h.log.ErrorContext(trying, "a part of the start failed", "step", step, "error", err)
			}
		}
	}()
	p.close = append(p.close, func(context.Context) error { stop(); <-ended; return nil })
	return nil
}

// loadSnapshot reads tenants and keys from the database or, while it is away, from the
// file that the last gateway here kept. With neither, requests are refused until the
// database answers.
func (h *house) loadSnapshot(ctx context.Context) error {
	err := h.snapshots.Load(ctx, id.Tenant{})
	if err == nil || fault.KindOf(err) != fault.KindUnavailable {
		return err
	}
	if kept := h.snapshots.Restore(ctx); kept != nil {
		h.log.ErrorContext(ctx, "the database does not answer and no kept snapshot can be used; requests are refused until it does", "error", err, "snapshot_file", kept)
		return nil
	}
	loaded := h.snapshots.Current().LoadedAt
	h.log.WarnContext(ctx, "the database does not answer; serving from the kept snapshot", "error", err, "loaded_at", loaded.UTC(), "age", time.Since(loaded).Round(time.Second).String())
	return nil
}
