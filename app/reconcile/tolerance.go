package reconcile

import (
	"maps"
	"math/big"
	"slices"

	"tollbook/app/fault"
	"tollbook/app/money"
)

// Tolerance is how far two sides may be apart before somebody has to look: both limits hold,
// in all and for each node.
type Tolerance struct {
	Absolute    money.Cents `json:"absolute_cents"`
	RelativeBps int64       `json:"relative_bps"` // of what was charged
}

// Standard is the tolerance where nobody said another: a dollar, and 0.05 %.
func Standard() Tolerance { return Tolerance{Absolute: 100, RelativeBps: 5} }

const (
	maxAbsolute    = 100_000_000_00
	maxRelativeBps = 1_000
)

// Check refuses a tolerance that is none, or so wide that it tells nothing.
func (t Tolerance) Check() error {
	switch {
	case t.Absolute < 0 || t.Absolute > maxAbsolute:
		return fault.Invalid("absolute", "tolerance_absolute", "The absolute limit is 0 to 100,000,000 dollars.")
	case t.RelativeBps < 0 || t.RelativeBps > maxRelativeBps:
		return fault.Invalid("relative", "tolerance_relative", "The relative limit is 0 to 10 %%, in hundredths of a percent.")
	}
	return nil
}

// Exceeds tells whether an amount is above either limit, beside what was charged.
func (t Tolerance) Exceeds(amount, charged *money.Sum) bool {
	size, base := Magnitude(amount), Magnitude(charged)
	var most money.Sum
	most.AddCents(t.Absolute)
	if size.Cmp(&most) > 0 {
		return true
	}
	size, base = size.Scaled(big.NewInt(10_000), big.NewInt(1)), base.Scaled(big.NewInt(t.RelativeBps), big.NewInt(1))
	return size.Cmp(&base) > 0
}

// State is where a day stands.
type State string

// The states of a day.
const (
	StateNoReport        State = "no_report"        // nothing of the provider's for it
	StateProvisional     State = "provisional"      // one side does not have all of it yet
	StateReconciled      State = "reconciled"       // every difference has a class, none is above tolerance
	StateWithinTolerance State = "within_tolerance" // something is unknown, within tolerance
	StateException       State = "exception"        // something is above tolerance
)

// States lists them as a day goes through them.
func States() []State {
	return []State{StateNoReport, StateProvisional, StateReconciled, StateWithinTolerance, StateException}
}

// Finding is what is above tolerance on a day.
type Finding struct {
	Subject

	Node     Charged // of what is unknown at one node; the zero node: in all
	Quantity int64   // of requests or tokens, as the meter that shows it has it
	Amount   money.Sum
}

// Verdict is where a day stands, and why.
type Verdict struct {
	State    State
	Findings []Finding
}

// Judge holds a day's differences to a tolerance.
func (r *Result) Judge(t Tolerance) Verdict {
	if !r.settled {
		return Verdict{State: StateProvisional}
	}
	charged := r.Ours
	if charged.Cmp(&r.Billed) < 0 {
		charged = r.Billed
	}
	v := Verdict{State: StateReconciled, Findings: r.above(t, &charged)}
	if !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Class == ClassUnknown }) {
		v.Findings = append(v.Findings, r.nodesAbove(t)...)
	}
	switch {
	case len(v.Findings) > 0:
		v.State = StateException
	case slices.ContainsFunc(r.Items, func(i Item) bool { return i.Class == ClassUnknown }):
		v.State = StateWithinTolerance
	}
	return v
}

// rest is what of some items is above tolerance together, if it is.
type rest struct {
	finding Finding
	gross   money.Sum
}

func (r *rest) add(it *Item) {
	r.finding.Amount = plus(&r.finding.Amount, &it.Amount)
	size := Magnitude(&it.Amount)
	r.gross = plus(&r.gross, &size)
	if it.Cell.Meter.Tokens() {
		r.finding.Quantity += it.Quantity
	}
}

// above lists what is above tolerance in all: first by subject, then what is left of each class
// together, and then of all classes; the amounts without their signs, so that errors do not hide
// one another, nor behind their number.
func (r *Result) above(t Tolerance, charged *money.Sum) []Finding {
	var items []*Item
	for i := range r.Items {
		if !r.Items[i].Class.Waits() {
			items = append(items, &r.Items[i])
		}
	}
	var list []Finding
	for _, together := range [...]func(*Item) Subject{
		(*Item).Subject,
		func(it *Item) Subject { return Subject{Class: it.Class} },
		func(*Item) Subject { return Subject{Class: ClassSeveral} },
	} {
		sums := map[Subject]*rest{}
		for _, it := range items {
			s := together(it)
			if sums[s] == nil {
				sums[s] = &rest{finding: Finding{Subject: s}}
			}
			sums[s].add(it)
		}
		found := func(s Subject) bool {
			size := sums[s].gross
			if s.Class == ClassUnknown { // together: many small ones are a large one
				size = r.Gross
			}
			return t.Exceeds(&size, charged)
		}
		items = slices.DeleteFunc(items, func(it *Item) bool { return found(together(it)) })
		for _, s := range slices.SortedFunc(maps.Keys(sums), Subject.compare) {
			if found(s) {
				list = append(list, sums[s].finding)
			}
		}
	}
	return list
}

// nodesAbove lists nodes whose part of what is unknown is above tolerance beside what they
// were charged.
func (r *Result) nodesAbove(t Tolerance) []Finding {
	var net, gross []Charged
	for i := range r.Items {
		if r.Items[i].Class != ClassUnknown {
			continue
		}
		net = append(net, r.Items[i].Nodes...)
		for _, n := range r.Items[i].Nodes {
			gross = append(gross, Charged{n.Node, Magnitude(&n.Amount)})
		}
	}
	net, gross = merged(net), merged(gross)
	var list []Finding
	for i := range gross {
		var charged money.Sum
		for k := range r.nodes {
			if r.nodes[k].Node == gross[i].Node {
				charged = r.nodes[k].Amount
			}
		}
		if t.Exceeds(&gross[i].Amount, &charged) {
			list = append(list, Finding{Subject: Subject{Class: ClassUnknown, Surface: SurfaceGateway}, Node: net[i], Amount: net[i].Amount})
		}
	}
	return list
}
