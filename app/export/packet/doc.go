// Package packet makes what is sent at close: one archive that a controller reads, a
// spreadsheet continues and anybody can verify without asking us.
//
// It owns the figures of a packet, how they tie to one another, and the tables they are laid
// out in, the summary on paper, the workbook with its pivot table, the journal in its neutral
// form, the commentary, the file of all figures, the manifest that names every file with its
// digest and what it was made of, the archive, and its offline verification, which makes each
// file again. It does not own
// where figures come from, who gets which, or when (app), and not the log that seals the
// manifest (auditlog).
//
// Invariants: the same figures at the same instant are the same bytes; every file is in the
// manifest with its digest, but for the manifest itself and what the log says of it (the
// seal); a file that has no room is named with its digest; every file that is laid out here
// is made of figures.json alone; figures that do not tie make no packet; amounts in cents add up to their total at
// every level of the hierarchy; no developer is named anywhere; text stays text, in a
// spreadsheet and beyond.
//
// Words: figures, table, part (a file and what makes it), seal (the record of the manifest,
// its proof, the signed head and the keys), revision, scope.
package packet
