// Package forecast says what a month will come to if the coming days are like the recent
// ones.
//
// It owns the method (a weekday-adjusted run rate) and the range its own past errors
// give. It does not own which days are read (app) nor what was approved (plan).
//
// The method: each day to come costs the mean of the same weekday in the last whole
// weeks, at most four. Today costs the larger of that mean and what it has cost so far.
// What was spent is added as it is. The range: the method is asked, at up to eight
// earlier weeks, for as many days as are left now, from what was known then, and its
// largest misses on either side, in proportion, are put on the days to come.
//
// Invariants: integers only, one rounding per figure; low <= expected <= high; nothing
// less than what was spent; a month that is over is its actual.
//
// Words: run rate, whole week, range, miss.
package forecast
