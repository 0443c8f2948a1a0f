package approval

import (
	"tollbook/app/id"
	"tollbook/app/money"
)

// Impact is what a change would have done to a month that is over: its charges, placed
// again as if the change had been in effect then. A checker decides on it and a policy
// measures it; it is worked out when a change is proposed and kept with it.
type Impact struct {
	Sentence string // what the change does, in words
	// Month is the month whose charges were placed again, as 2026-10; empty where no
	// charge moves.
	Month string
	// Exact says that these very charges land elsewhere, and no replay of others: of
	// several months, Month is the last.
	Exact bool `json:",omitempty"`
	// Moved is the charge that lands somewhere else, counted once.
	Moved money.Sum
	// Beside is what other changes of its maker move, that are like it, of a month: a policy
	// measures both together, so that portions are what the whole would be.
	Beside      money.Sum    `json:",omitzero"`
	Nodes       []NodeImpact // those whose own charge differs; by path
	Capitalized Swing
	Expensed    Swing
	// PlanMovedCents is the approved plan that moves along, for the year of the effective date.
	PlanMovedCents money.Cents
	Keys, Rules    int // virtual keys and attribution rules touched
	// Touches are the nodes a change is about: whose owner may be asked, and whose subtree
	// a policy may be for.
	Touches []id.Node
}

// NodeImpact is one node's own charge before and after a change.
type NodeImpact struct {
	Node       id.Node
	Code, Path string
	Swing
}

// Swing is a charge before and after.
type Swing struct{ Before, After money.Sum }
