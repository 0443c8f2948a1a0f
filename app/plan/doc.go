// Package plan decides what was approved to be spent, by node and month.
//
// It owns the amounts of a plan (whole cents per node and month of a year), its versions
// (the original and the reforecasts after it), which of them is in force as of an
// instant, what a month's amount comes to by a day of it, and the file a plan is sent
// and fetched as. It does not own what was spent (app's reports), the tree (hierarchy),
// who may propose (app) nor what a gateway enforces (caps).
//
// Invariants: a version is never edited, a reforecast is a new one; amounts are a node's
// own, so that a node's plan is its own plus its descendants', as its spend is; a blank
// is no plan and differs from a plan of nothing; an amount's days sum to it exactly; a
// file is taken whole or not at all.
//
// Words: plan, year, original, reforecast, in force, own, plan to date.
package plan
