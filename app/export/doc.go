// Package export makes files for others to rely on.
//
// It owns the manifest that goes with every file: what an auditor asks of information a
// company produced itself (IPE): which report of which version, whose, by which filters,
// as of when, run by whom and when, how many rows and whether all, what they sum to, how
// far the audit log reached, and the digest of the file; how it goes in headers beside
// the file; and the archive that holds a file with its
// manifest; and which texts a spreadsheet would run as formulas. It does not own the rows (app) nor how they are laid out (the encoders below, erp and focus,
// or a page).
//
// Invariants: a manifest is never inside the file it is about, so that the file stays
// what an importer takes; it is of exactly those bytes; the same manifest is always the
// same bytes; an archive made again of the same parts is the same archive.
//
// Words: manifest, control total, filter, archive.
package export
