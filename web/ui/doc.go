// Package ui holds the components pages are made of and how values look.
//
// It owns the layout, tables' parts, tags, empty states and formatting. It does not
// own pages (web), geometry of charts (web/chart) or the style sheet (assets).
//
// Invariants: no inline script or style; color never says anything alone; money has a
// U+2212 minus, thousands separators and equal decimals within a column; times are
// UTC and say so; nothing here reads a request or asks a use case.
//
// Words: frame (what is around every page), figure (a number with its basis in words),
// tag, delta, seal, blank (an empty state).
package ui
