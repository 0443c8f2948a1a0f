// Package attest is the way to the witnesses of the audit logs' heads: an object store
// with lock (S3), another log (C2SP tlog-witness), a timestamp authority (RFC 3161).
//
// It owns the dialogue with each and the check of what it answers. It does not own what a
// sight means (app/witness), when a witness is asked and what is kept of it (app).
//
// Invariants: an object is never overwritten, is locked (COMPLIANCE) before its sight
// counts, and is read back and compared; what a log or an authority answers is checked by
// keys the operator configured before it counts; every dialogue is bounded in time and in
// bytes; nothing follows a redirect; no secret is in an error.
//
// Words: witness, sight, receipt.
package attest
