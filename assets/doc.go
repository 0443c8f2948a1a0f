// Package assets holds what browsers fetch: style, script, fonts.
//
// It owns the files and their addresses. It does not own pages (web).
//
// Invariants: an address contains a hash of everything here, so that an answer may
// be kept for ever and a page never mixes two releases; nothing is fetched from
// anywhere else; third-party files lie here with their licenses.
package assets
