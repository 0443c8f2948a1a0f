// Package postgres runs a private PostgreSQL server for the demo and the tests.
//
// It owns finding the server's programs, obtaining them when allowed, the data
// directory, the socket, and the life of the server process. It does not own
// roles, schemas or connections: those are package db's and the callers'.
//
// Invariants: the server listens only on a unix socket in a directory of mode
// 0700, so trust authentication lets in nobody but its own user and root. It
// never runs as root: started by root it runs as the owner of an existing data
// directory, else as postgres or nobody. It does not outlive its parent on
// Linux, not even a killed one; elsewhere the next Start stops the orphan. One
// live Tollbook per data directory, held by a file lock that dies with it.
//
// Words: the data directory is Dir/data. When the server's user cannot enter
// Dir (below a home directory of mode 0700, say), its files are kept under
// /var/lib/tollbook instead, in a folder named after a hash of Dir; the function
// Files says where. A Dir of mode 0700 that is empty is given to that user.
package postgres
