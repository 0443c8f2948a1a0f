// Package retention says how long what is recorded is kept: terms in whole years for each
// class of it, legal holds on months, and what of it has been kept long enough at an instant.
//
// It owns the arithmetic of terms and holds. It does not own the rows: the database's own
// function purge looks all of this up again before it takes a single one.
//
// Invariants: usage and the bytes of audit records are kept for seven years at least after the
// end of the month in which their books closed; a month whose books are open never ends,
// but for a company that was offboarded, whose terms run from then; a
// hold stops every class.
//
// Words: class (usage, audit, notices, sessions), term (years), hold, tombstone (what stands
// where a month's rows were).
package retention
