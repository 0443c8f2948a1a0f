package allocation

import (
	"fmt"
	"slices"

	"tollbook/app/fault"
)

// Method is how a rule splits.
type Method string

// The methods.
const (
	// Proportional splits by what each was charged in the cycle, among the nodes named and
	// those below them; among all where none is named.
	Proportional Method = "proportional"
	// Even gives each node named the same.
	Even Method = "even"
	// Percent gives each node named its part of a hundred, in basis points.
	Percent Method = "percent"
	// Driver splits by a count for each node named, such as its heads.
	Driver Method = "driver"
)

// Methods lists them.
func Methods() []Method { return []Method{Proportional, Even, Percent, Driver} }

// Part is a node in a rule.
type Part struct {
	Code   string `json:"code"`
	Weight int64  `json:"weight,omitempty"` // basis points of percent, the count of a driver
}

// Rule says who bears lines of one kind.
type Rule struct {
	Kind   string `json:"kind"`
	Method Method `json:"method"`
	Driver string `json:"driver,omitempty"` // what a driver counts, in words
	Parts  []Part `json:"parts,omitempty"`
}

// Rules are one per kind of line at most; a kind without one is proportional to all.
type Rules []Rule

// Bounds of rules.
const (
	MaxParts  = 500
	maxWeight = 1_000_000_000
	whole     = 10_000 // basis points
)

// Of is the rule of a kind.
func (r Rules) Of(kind string) Rule {
	for i := range r {
		if r[i].Kind == kind {
			return r[i]
		}
	}
	return Rule{Kind: kind, Method: Proportional}
}

// Check refuses rules that cannot be followed. Known tells which nodes there are.
func (r Rules) Check(kinds []string, known func(code string) bool) error {
	seen := map[string]bool{}
	for i := range r {
		field := fmt.Sprintf("rules[%d]", i)
		switch {
		case !slices.Contains(kinds, r[i].Kind):
			return fault.Invalid(field+".kind", "sharing_kind", "There is no kind of line %.40q.", r[i].Kind)
		case seen[r[i].Kind]:
			return fault.Invalid(field+".kind", "sharing_twice", "%s has two rules.", r[i].Kind)
		}
		seen[r[i].Kind] = true
		if err := r[i].check(field, known); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) check(field string, known func(string) bool) error {
	switch {
	case !slices.Contains(Methods(), r.Method):
		return fault.Invalid(field+".method", "sharing_method", "Cost is split proportional, even, percent or driver, not %.40q.", string(r.Method))
	case len(r.Parts) > MaxParts:
		return fault.Invalid(field+".parts", "sharing_parts", "A rule names at most %d nodes.", MaxParts)
	case len(r.Parts) == 0 && r.Method != Proportional:
		return fault.Invalid(field+".parts", "sharing_parts", "Name the nodes that bear %s.", r.Kind)
	case (r.Driver != "") != (r.Method == Driver) || len(r.Driver) > 100:
		return fault.Invalid(field+".driver", "sharing_driver", "A split by a driver, and no other, says in at most 100 characters what is counted.")
	}
	seen, total := map[string]bool{}, int64(0)
	for _, p := range r.Parts {
		weighs := r.Method == Percent || r.Method == Driver
		switch {
		case seen[p.Code]:
			return fault.Invalid(field+".parts", "sharing_twice", "%.60s is named twice.", p.Code)
		case !known(p.Code):
			return fault.Invalid(field+".parts", "sharing_node", "There is no node %.60q.", p.Code)
		case weighs != (p.Weight > 0) || p.Weight < 0 || p.Weight > maxWeight:
			return fault.Invalid(field+".parts", "sharing_weight", "%.60s: percent and driver give each node a part above zero, the others none.", p.Code)
		}
		seen[p.Code] = true
		total += p.Weight
	}
	if r.Method == Percent && total != whole {
		return fault.Invalid(field+".parts", "sharing_percent", "The parts add up to %d.%02d %%, not to 100 %%.", total/100, total%100)
	}
	return nil
}
