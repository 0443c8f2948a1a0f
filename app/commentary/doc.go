// Package commentary is what a node's owner says about what a month of it came to: who is
// asked, what was written about which figures, and whether somebody else accepted it.
//
// It owns the figures a text is about and their digest, when a difference is large enough to
// ask about, the steps of one node's commentary, and where they leave it. It does not own the
// figures themselves (app reads plan, charges and movement), who owns a node or may accept
// (app), nor how a text is shown (web).
//
// Invariants: a text is a revision and is never replaced by the next; it counts as written
// about other figures as soon as the digest of the figures is another; who wrote it does not
// accept it; what is written about other figures is not accepted; nobody is reminded twice on
// one day.
//
// Words: ask, remind, write, accept, return, revision, figures, stale, threshold.
package commentary
