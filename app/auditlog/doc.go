// Package auditlog turns what happened into bytes that can be proved later.
//
// It owns the canonical bytes of a record, leaf and node hashes (RFC 6962,
// through golang.org/x/mod/sumdb/tlog) and Merkle roots. It does not own
// sequencing (db) nor who may read the log (app).
//
// Invariants: canonical bytes carry their version and are stored as they were
// hashed; verification never encodes anything again; a record holds opaque ids,
// never a name, a label or a secret.
//
// Words: record, leaf, root, canonical bytes, sequence.
//
// Canonical bytes, version 1: one JSON object whose keys are sorted, without
// insignificant space, numbers as integers only, strings in UTF-8; the first key
// in every record is "action" and "v" is 1.
package auditlog
