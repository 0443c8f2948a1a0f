// Package approval decides how a proposed change becomes an applied one.
//
// It owns the change (canonical payload, digest, reason, effective date), its
// states and the moves between them. It does not own what applying means (app)
// nor storage (db).
//
// Invariants: a digest covers kind, payload, effective date and reason, so that a
// decision is about exactly one content; tokens and service accounts propose and
// never decide; maker is not checker, by person and not by account, while another
// person may decide: the only one who may decides alone, and the record says so. A
// maker may always take a proposal back. Where a kind needs no decision, the change
// is approved by the rule "policy:none"; what the operator forces is approved by
// "policy:break_glass"; both are in the record.
//
// Words: change, maker, checker, decision, proposed, approved, rejected, applied.
package approval
