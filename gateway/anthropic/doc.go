// Package anthropic reads the Messages API's wire format beside the bytes: it
// never changes, re-encodes or delays what passes.
//
// It owns the scan of a request's top-level keys, the tap that meters a stream,
// the reading of usage objects, and the bodies of refusals. It does not own
// prices (app/pricing), what is refused and when (package gateway), or the
// relaying of bytes.
//
// Invariants: no error, reason or name that leaves here carries content of a
// prompt or an answer; memory per stream is bounded (1 MiB for the event being
// read, of which a limited tap has to ask for what is beyond 32 KiB; 16 KiB of raw usage); a count is only ever one the provider sent, or the
// record says why it is not; any chunking of the same bytes gives the same
// result.
//
// Usage is read by these rules. A stream's counts are cumulative: each field is
// overwritten by its last value, never added. message_start alone carries the
// split of cache writes into 5 minutes and 1 hour; writes that a later total has
// beyond the split are 5-minute ones. Iterations of kind compaction and
// advisor_message are not in the top level and are listed to be billed at their
// own model; when a fallback model served the turn, the top level is the serving
// attempt's and every declined attempt is listed, free if it put out nothing. A
// refusal without any output is free. A redeemed fallback credit is noted.
//
// Words: tap (the scanner beside a stream), metered (what was read of one
// response), reason (why a metering is incomplete, snake_case).
package anthropic
