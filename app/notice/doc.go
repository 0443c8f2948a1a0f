// Package notice decides what is said once, what may be muted, and when an attempt to
// deliver is due.
//
// It owns the purposes a message has, the topics a person may mute, the content that
// makes a message the same message, the states of a delivery and what follows from them,
// and the form in which a company's own systems are told. It does not own who is told
// (app), how a message is worded or sent (jobs/deliver), nor storage (db).
//
// Invariants: a message is due once per content, and its content names people by opaque
// ids alone; attempts are bounded; an attempt that ended with its process is known as
// one; what concerns a company's issuers or somebody's own delegations cannot be muted.
//
// Words: notice, purpose, topic, due, delivery, attempt, round, channel (a company's own
// system that hears of changes).
package notice
