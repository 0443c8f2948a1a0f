// Package witness says what it means that somebody outside has seen a log's head.
//
// It owns the kinds of witness, what each is shown and answers, the cosignatures of other
// logs (C2SP tlog-cosignature), timestamps (RFC 3161), and the check of what an export
// carries of them, offline. It does not own the way to a witness (jobs/attest), when one
// is asked and what is kept of it (app, db), nor heads and proofs themselves (auditlog).
//
// Invariants: what came back is kept word for word, and is checked against the head before
// it counts; a witness is trusted only by keys that came another way than what it vouches
// for; everything read has a bound.
//
// Words: witness, sight (that a witness saw a head), receipt (what came back), cosignature,
// timestamp, object.
package witness
