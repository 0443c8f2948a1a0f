package attribution

import (
	"fmt"
	"slices"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/money"
	"tollbook/app/usage"
)

// Measured is all of one request that its placements share: what was counted and what is
// charged for it.
type Measured struct {
	Tokens  usage.Tokens
	Classes [usage.ClassCount]money.Pico // after discount
	Charge  money.Pico                   // the classes, and what has none (server tools)
	State   usage.State
}

// Portion is one placement's part of a request. The portions of a request sum to it in
// every figure; the request itself is counted once, at the first.
type Portion struct {
	usage.Share

	Tokens                        usage.Tokens
	Classes                       [usage.ClassCount]money.Pico
	Other                         money.Pico // of the charge, what no class says
	Charge                        money.Pico
	Requests, Errors, Provisional int64 // one or none; negative where it leaves
}

// Portions divides a request among its shares, each figure by largest remainder, as the
// ledger divided it when it was recorded.
func Portions(m *Measured, shares []usage.Share) ([]Portion, error) {
	weights := make([]int64, len(shares))
	out := make([]Portion, len(shares))
	for i, s := range shares {
		weights[i], out[i].Share = s.PPM, s
	}
	charges, err := money.Split(m.Charge, weights)
	if err != nil {
		return nil, err
	}
	for i, part := range charges {
		out[i].Charge, out[i].Other = part, part
	}
	for class := range usage.ClassCount {
		tokens, err := money.Split(m.Tokens[class], weights)
		if err != nil {
			return nil, err
		}
		parts, err := money.Split(m.Classes[class], weights)
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i].Tokens[class], out[i].Classes[class] = tokens[i], parts[i]
			if out[i].Other, err = out[i].Other.Plus(-parts[i]); err != nil {
				return nil, err
			}
		}
	}
	out[0].Requests = 1
	switch m.State {
	case usage.StateError:
		out[0].Errors = 1
	case usage.StateComplete:
	case usage.StateIncomplete, usage.StateEstimated, usage.StateUnpriced, usage.StateOpen:
		out[0].Provisional = 1
	}
	return out, nil
}

// Leaving is a portion that leaves.
func (p *Portion) Leaving() Portion {
	out := Portion{Share: p.Share, Other: -p.Other, Charge: -p.Charge, Requests: -p.Requests, Errors: -p.Errors, Provisional: -p.Provisional}
	for class := range usage.ClassCount {
		out.Tokens[class], out.Classes[class] = -p.Tokens[class], -p.Classes[class]
	}
	return out
}

// Lying is a request and where it is charged.
type Lying struct {
	Measured

	Shares []usage.Share
}

// Restate is what has to be posted so that a request lies and costs as after says instead
// of as before: what leaves, below zero, and then what arrives. Nothing where both are the
// same. The lines sum to the difference of the two charges, exactly.
func Restate(before, after *Lying) ([]Portion, error) {
	if before.Measured == after.Measured && slices.Equal(before.Shares, after.Shares) {
		return nil, nil
	}
	leaving, err := Portions(&before.Measured, before.Shares)
	if err != nil {
		return nil, err
	}
	arriving, err := Portions(&after.Measured, after.Shares)
	if err != nil {
		return nil, err
	}
	lines := make([]Portion, 0, len(leaving)+len(arriving))
	for i := range leaving {
		lines = append(lines, leaving[i].Leaving())
	}
	return append(lines, arriving...), nil
}

// CheckParts refuses parts of a request that are not a whole, or name a node twice.
func CheckParts(parts []Part) error {
	if len(parts) == 0 || len(parts) > MaxParts {
		return fault.Invalid("to", "parts_count", "A request is charged to 1 to %d nodes.", MaxParts)
	}
	var whole int64
	for i, p := range parts {
		at := fmt.Sprintf("to[%d]", i)
		switch {
		case p.Node.IsZero() == (p.Code == ""):
			return fault.Invalid(at, "parts_node", "Name each node by its code or by its id.")
		case p.PPM < 1 || p.PPM > usage.Whole:
			return fault.Invalid(at, "parts_share", "A share is from 1 to 1,000,000 parts per million, not %d.", p.PPM)
		case slices.ContainsFunc(parts[:i], func(q Part) bool { return q.Node == p.Node && q.Code == p.Code }):
			return fault.Invalid(at, "parts_twice", "One node is named twice.")
		}
		whole += p.PPM
	}
	if whole != usage.Whole {
		return fault.Invalid("to", "parts_whole", "The shares come to %s percent; a whole is 100.", percent(whole))
	}
	return nil
}

// percent prints parts per million, which here may be more than a whole.
func percent(ppm int64) string { return fmt.Sprintf("%d.%04d", ppm/10_000, ppm%10_000) }

// PlaceParts lays parts, named by id, on a tree; the placements stand in their order.
func PlaceParts(tree *hierarchy.Tree, parts []Part) ([]usage.Share, []hierarchy.Placement, error) {
	shares := make([]usage.Share, 0, len(parts))
	places := make([]hierarchy.Placement, 0, len(parts))
	for _, p := range parts {
		placement, err := tree.Place(p.Node)
		if err != nil {
			return nil, nil, err
		}
		shares = append(shares, usage.Share{Placement: placement.ID, PPM: p.PPM})
		places = append(places, placement)
	}
	return shares, places, nil
}
