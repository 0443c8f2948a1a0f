// Package money holds the three amounts of the house and the only way from one
// to the next.
//
// It owns Pico (a charge: int64 pico-dollars, 1e-12 USD, overflow checked), Sum
// (an exact total of charges, arbitrary precision), Cents (what books hold) and
// Split (largest remainder), with WholeCents for exact amounts. It does not own
// rates (pricing) or accounts (ledger).
//
// Invariants: no float; nothing rounds except Split, WholeCents and Net; the parts
// of a Split add up to its total whatever the weights, and whole cents to the rounded
// total.
//
// Words: pico-dollar, cent, share, weight, basis points.
package money
