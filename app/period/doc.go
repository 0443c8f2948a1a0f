// Package period decides what may happen to a month of the books.
//
// It owns the month, its states and which month a charge posts to. It does not
// own balances (ledger) nor who may close (app/access).
//
// Invariants: a month is a UTC calendar month; a locked month takes nothing, what
// is late posts to the next open one and names its own day; the order of closing
// has no gaps.
//
// Words: month, open, closing, locked, posting period.
package period
