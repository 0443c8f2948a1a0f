// Package gateway stands between Claude Code and the provider: it authenticates,
// attributes, journals, relays the bytes untouched, meters beside them and settles.
//
// It owns one request from its first byte to its outcome, the refusals in the
// caller's own format, the journal's records, the way from the journal to the
// ledger, and what is counted on that way. It does not own the wire format (gateway/anthropic), durability
// (gateway/journal), the export of spans (gateway/span), prices or rows (app).
//
// Invariants: the intent is written before the first upstream byte and synced
// before the first client byte; the read that ends an answer is held until its
// outcome is synced; nothing of a body or a stream is changed; nothing is retried
// after a byte was sent; if the journal fails, the client's connection is cut
// rather than answered; nothing is taken on beyond its bound, overall and for one
// tenant (load.go), nor by a key beyond its own limit at this replica (pace.go), and what is refused for want of room never reached the provider;
// no request goes from one gateway to another, since it could come back for ever;
// an answer that has no room to be kept for the meter (answers.go) passes all the same, and its row says so;
// a tenant whose flushes are slow or fail holds up no other (flusher.go), nor fills the journal for all (apart.go);
// a journal segment is released only after the ledger has committed; counting a
// request allocates nothing, and what tells counts apart comes from closed lists.
//
// Words: intent, outcome, settle, drain (reading on after the client left), flush,
// adopt (a dead replica's journal).
package gateway
