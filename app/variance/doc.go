// Package variance says why one month came to more or less than another: price, volume
// or mix.
//
// It owns the split of a difference between two spans into parts by model and token
// class. It does not own which spans are compared (app) nor the difference between what
// was spent and what was approved, which is a subtraction.
//
// The definitions, with q a cell's tokens, a its charge, Q and A the totals of all cells,
// 0 the earlier span and 1 the later:
//
//	volume  a0*Q1/Q0 - a0       what the cell would have moved had all tokens grown alike
//	price   a1 - a0*q1/q0       the same tokens at other rates (discounts among them)
//	mix     the rest            tokens moved between models and classes; a cell that is
//	                            new has no earlier price and is all mix
//
// What has no tokens (server tools) is its own part, never spread over the others.
//
// Invariants: price + volume + mix + tools = the difference, for every cell and in all,
// to the pico-dollar: price and volume are rounded once each, mix is what is left.
//
// Words: cell, span, price, volume, mix, tools.
package variance
