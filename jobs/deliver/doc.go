// Package deliver takes messages to other people's servers: mail by SMTP, and webhooks.
//
// It owns how a message is worded and laid out, the dialogue with a server, what an
// answer means, and which addresses a webhook may reach. It does not own who is told,
// when another attempt is due or what is kept of it (app, app/notice).
//
// Invariants: every dialogue is bounded in time and in the bytes that are read; nothing
// follows a redirect; a webhook never reaches an address of the installation's own network
// unless the operator says so, whatever its name resolves to at the moment of the call; a
// name or a reason cannot add a header; a mail loads nothing from anywhere and its link
// leads to a page, never to a decision; a message has the same id at every attempt.
//
// Words: post office (whatever delivers), letter (mail), post (a webhook).
package deliver
