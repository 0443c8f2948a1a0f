// Package jobs works what was enqueued: one River worker per file, each calling one
// use case.
//
// It owns the mapping from a job to its use case and from an error to retry or
// cancel. It does not own arguments (app/job), queues (db), the work itself (app) or the
// dialogue with other people's servers (deliver) and with the provider (anthropicadmin).
//
// Invariants: a worker is idempotent by a database key; it carries a tenant and ids
// and nothing else; what can never succeed is cancelled, everything else is retried.
//
// Words: worker, tick.
package jobs
