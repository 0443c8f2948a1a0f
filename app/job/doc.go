// Package job names the background work: arguments only.
//
// It owns job kinds and their arguments (a tenant and ids, nothing else). It does
// not own queues and unique options (db), nor the work (jobs).
//
// Invariants: no amount, name or secret is an argument; a kind, once released,
// keeps its meaning.
//
// Words: kind, arguments.
package job
