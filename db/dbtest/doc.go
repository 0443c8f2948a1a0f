// Package dbtest gives each test a database of its own, cloned from a migrated
// template on a real Postgres that lives as long as the test binary.
//
// It owns the test server, the template and the clones. It does not own what a
// test puts into them.
//
// Invariants: tests speak as tollbook_app and tollbook_system, never as a
// superuser, but through Admin, which exists to look at the catalog; a missing
// Postgres is a failure, never a skip.
//
// Words: template, clone.
package dbtest
