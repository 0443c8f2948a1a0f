// Package signer holds the keys of the audit logs apart from the database and from what
// serves, and signs for it.
//
// It owns what was signed last of each log (one file each, written through to the disk
// before a signature leaves), the rule that a head is signed only where it is the one signed
// before with the records since, which it adds itself, the conversation over a local socket or a
// loopback port, and both ends of it. It does not own the keys' derivation, the rule's
// arithmetic or what is signed (app/auditlog), nor when (app).
//
// Invariants: whoever may ask it, and whoever rewrites the database, gets no second log of
// one name: a head that contradicts the last one is refused, over any number of restarts;
// a file that cannot be read stops the signing of that log, and never begins it anew; one
// process owns a directory; the seed is in no answer, error or log line; every body, wait
// and number of logs is bounded.
//
// Words: keeper (holds keys and files), log, head, first (a log's first head is trusted,
// being the first), fork.
package signer
