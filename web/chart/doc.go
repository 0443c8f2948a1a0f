// Package chart draws small charts as SVG that print and need no script.
//
// It owns geometry. It does not own numbers: callers give parts per thousand and the
// texts, and put a table with the same numbers beside every chart.
//
// Invariants: geometry is in attributes, color in classes (the page's policy allows no
// style attribute); every chart says in words what it shows.
package chart
