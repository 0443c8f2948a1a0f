// Package hierarchy decides what belongs where, at any instant.
//
// It owns nodes, their effective-dated versions, the tree as of an instant and
// as known at an instant, and placements. It does not own who may move a node
// (app) nor how a request finds its node (attribution).
//
// Invariants: a version is never edited, only its end is closed once; where two
// versions of a node cover one instant, the later recorded one is the correction
// and wins; a code is unique at an instant; the tree has no cycle; a node's total
// is its own plus its descendants'.
//
// Words: node, kind (business_unit, cost_center, project), code, path, placement,
// capitalization, effective, known.
package hierarchy
