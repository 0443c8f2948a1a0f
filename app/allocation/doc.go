// Package allocation says who bears the lines of an invoice.
//
// It owns the rules by which fixed and shared cost is split, and the run that splits an
// invoice to the cent. It does not own the invoice (invoice), the charges that weigh
// (ledger, usage), or the entry that books it (ledger).
//
// Invariants: the shares of a line add up to it, and so do those of the invoice at every
// level; each share is within a cent of its exact part; neither the order of lines nor of
// leaves changes what a leaf bears; where nothing weighs, suspense bears it.
//
// Words: leaf (who bears cost: a node as it was), weight, rule, share, run, residual.
package allocation
