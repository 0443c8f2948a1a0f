// Package approval decides how a proposed change becomes an applied one.
//
// It owns the change (canonical payload, digest, reason, effective date), its
// states and the moves between them. It does not own what applying means (app)
// nor storage (db).
//
// Invariants: a digest covers kind, payload, effective date and reason, so that a
// decision is about exactly one content; tokens and service accounts propose and
// never decide; where a tenant has no policy for a kind, the change is approved by
// the rule "no_policy" and says so in its record.
//
// Words: change, maker, checker, decision, proposed, approved, rejected, applied.
package approval
