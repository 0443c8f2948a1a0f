// Package web is the people's way in: pages, sign-in, and the API mounted beside them.
//
// It owns routes (routes.go), streams that say when to look again (live.go), sessions' cookies, sign-in at an issuer, the
// pages, what they carry on paper, and how a failure looks. It does not own rules, access or queries (app), the
// API's types (web/api), components (web/ui, web/chart) or files (assets).
//
// Invariants: a handler parses, calls one area, renders; a page works without script;
// the URL is the whole state of a page; nothing inline, so that the strict policy holds;
// writes answer 303, or 422 with the form; no page is kept by a cache.
//
// Words: visit (one signed-in request), door (pages before sign-in), strip (what a page says of
// a first set-up that is not finished), control (what must hold for the audit log to prove
// anything), case (the page of one change, with all it takes to decide about it).
package web
