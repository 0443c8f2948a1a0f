// Package period decides what may happen to a month of the books.
//
// It owns the month, its states and which month a charge posts to. It does not
// own balances (ledger) nor who may close (app/access).
//
// Invariants: a month is a UTC calendar month; one that is shut (locked or closed) takes
// nothing, what is late posts to the next that is not and names its own day; months are
// shut and closed in their order and reopened from the latest back, so that there is no
// gap; reopening begins another revision.
//
// Words: month, open, closing, locked, closed, shut, reopen, revision, posting period.
package period
