// Package db is the only way to Postgres.
//
// It owns the connection pools, the two transaction openers (InTenant, InSystem),
// migrations, every query, job enqueueing and change notices. It does not own
// what a query is for or who may ask (app).
//
// Invariants: tenant data is reached only inside InTenant, which sets the tenant
// for row-level security and freezes Now; InSystem only reads, as another role,
// and states its reason; a job joins the transaction that asks for it; append-only
// tables are never updated; no query joins across tenants.
//
// Words: transaction (SQL, never a journal entry), tenant scope, notice.
package db
