// Package auditlog turns what happened into bytes that can be proved later.
//
// It owns the canonical bytes of a record, leaf and node hashes (RFC 6962,
// through golang.org/x/mod/sumdb/tlog), the tree as it grows, signed heads, proofs of a
// record, of growth and of a span, and the check of an export offline. It does not own
// sequencing and storage (db) nor who may read the log and when it is signed (app).
//
// Invariants: canonical bytes carry their version and are stored as they were
// hashed; verification never encodes anything again; a record holds opaque ids,
// never a name, a label or a secret.
//
// Words: record, leaf, node, root, head (a checkpoint: size and root, signed), origin (a
// log's name), span (records next to each other), canonical bytes, sequence.
//
// Canonical bytes, version 1: one JSON object whose keys are sorted, without
// insignificant space, numbers as integers only, strings in UTF-8; the first key
// in every record is "action" and "v" is 1.
package auditlog
