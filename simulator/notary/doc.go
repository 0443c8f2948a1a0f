// Package notary stands in for those outside who witness a log: another log that cosigns
// what grew (C2SP tlog-witness), a timestamp authority (RFC 3161), and an object store with
// lock (a real S3 server, started and stopped).
//
// It owns their keys, what they have seen, and a check of proofs and signatures of its own,
// by the standards' words. It does not own, and does not know, Tollbook's code: it must be
// able to disagree.
//
// Invariants: it imports nothing of ours; a log's size never goes back; what it refuses is
// refused as the standard says.
//
// Words: log (the witness), origin (of a log that it watches), cosignature, timestamp.
package notary
