// Package approval decides how a proposed change becomes an applied one.
//
// It owns the change (canonical payload, attachments, digest, reason, effective date), its
// states and the moves between them; the policies of a company, which of them a change is
// held to, and its steps; what a checker may say, and on what basis; and the shape of a
// change's impact. It does not own what applying or measuring means (app), who holds which
// role (app), nor storage (db).
//
// Invariants: a digest covers kind, payload, effective date, reason and attachments, so that
// a decision is about exactly one content, and an edit leaves no decision standing; tokens
// and service accounts propose and never decide; maker is not checker, by person and not by
// account, for themselves or for whom they stand in, while another person may decide: the
// only one who may decides alone, and the record says so, except where a kind always needs
// two. One person counts once, whatever the number of steps. A maker may always take a
// proposal back. No policy asks less than a kind's floor. Where nobody is asked, the change
// is approved by the rule "policy:none"; what the operator forces is approved by
// "policy:break_glass"; both are in the record.
//
// Words: change, maker, checker, decision, policy, step, quorum, floor, vote, impact;
// proposed, approved, rejected, applied, expired.
package approval
