// Package e2e runs the real binary and uses it as its users do: API clients, a
// browser, the command line, and a process that is killed.
//
// It owns the journeys (journeys/, in a real browser), the clients' tests (clients_*,
// with the build tag clients: Claude Code and the SDKs, each scenario once straight at
// a provider and once through the gateway) and the crash tests. It does not own
// anything a unit can show by itself.
//
// Invariants: nothing of ours is imported but the supervisor of PostgreSQL; what is
// compared comes from outside the product (the simulator's books, the client's own view); a missing component fails.
//
// Words: demo (one running installation), site (one of separate processes), round
// (start, load, kill, start again), station (a place on the wire where what passes is
// noted), line (a session's way to its provider).
package e2e
