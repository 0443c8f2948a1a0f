// Package invoice holds what the provider bills and how it compares with what was charged.
//
// It owns the invoice and its lines, their checks, the file they come in, the match of
// invoice, cost report and ledger, and the bridge from an invoice's cycle to months. It
// does not own what happened to single requests (reconcile), who bears the invoice
// (allocation), or its entry in the journal (ledger).
//
// Invariants: the lines of an invoice add up to its total, with tax; amounts are cents;
// what a match explains and what it does not add up to the difference, exactly.
//
// Words: invoice, line, cycle (the days it bills), match, item, unexplained, bridge.
package invoice
