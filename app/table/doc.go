// Package table reads files whose first line names their columns, whole or not at all.
//
// It owns CSV as companies send it: columns in any order, a byte-order mark, every
// error by line and column. It does not own what a cell means (the nouns that read
// files), nor what is written (export).
//
// Invariants: a file with a flaw gives no lines; lines, bytes and flaws are bounded.
//
// Words: layout, head (a column's name), line, cell, flaw.
package table
