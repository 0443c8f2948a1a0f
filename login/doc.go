// Package login is what runs on a developer's machine: it signs in through a browser
// and hands out the credential that Claude Code presents.
//
// It owns the conversation with an installation over HTTP (forms in, JSON out, OAuth
// 2's words), the listener at a loopback address that a browser comes back to (RFC
// 8252, with PKCE), the wait for a code typed in elsewhere (RFC 8628), and the file that
// keeps a login. It does not own who may charge what, or what a credential is worth:
// those are decided where it is given out (app, Logins).
//
// Invariants: a secret is in the file and on standard output of `login token`, and
// nowhere else: not in an address, not on a command line, not in an error; the file is
// the user's alone (0600) and is replaced whole; only one process changes it at a time;
// every answer, wait and body is bounded; plain http is spoken to this machine only.
//
// Words: login, credential, refresh, cost center, switch.
package login
