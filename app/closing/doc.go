// Package closing is the checklist of a month of the books: what has to be true before it
// is shut, who answers for each step, and which signatures still count.
//
// It owns the steps and their order, the figures each rests on and the digest of those,
// what blocks a step, how much may stay unexplained, the due day, and what a step's state is,
// given who signed what. It
// does not own the states of a month (period), where figures come from (app, db), nor who
// may sign (app/access).
//
// Invariants: a signature is of a step's figures and counts only while they are the same;
// who prepared a step does not review it; a review is of a preparation that counts; a step
// is done only when those it follows are; nothing depends on the time but the due day.
//
// Words: checklist, step, stage, figure, block, materiality, unexplained, prepare, review,
// sign-off, fall, waive, due day.
package closing
