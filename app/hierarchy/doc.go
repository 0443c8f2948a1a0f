// Package hierarchy decides what belongs where, at any instant.
//
// It owns nodes, their effective-dated versions, the tree as of an instant and
// as known at an instant, placements, the operations that change a tree, what two
// trees differ in, and the file a tree is sent and fetched as. It does not own who may
// move a node or decide on it (app) nor how a request finds its node (attribution).
//
// Invariants: a version is never edited, only its end is closed once; where two
// versions of a node cover one instant, the later recorded one is the correction
// and wins; what was known at an instant that is over never changes; a code is unique
// at an instant; the tree has no cycle, and a child lies within the life of its parent,
// at every instant from a change on; a field that is set holds until a later version
// changes that field itself; a node's total is its own plus its descendants'; a file is
// taken whole or not at all.
//
// Words: node, kind (business_unit, cost_center, project), code, path, placement,
// capitalization, evidence, dimension, effective, known, operation, span, moment, effect.
package hierarchy
