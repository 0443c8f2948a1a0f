package plan

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
)

// Amount is what is approved for a node and month, or that nothing was planned.
type Amount struct {
	Cents money.Cents
	Set   bool
}

// Of is an approved amount.
func Of(cents money.Cents) Amount { return Amount{Cents: cents, Set: true} }

// MaxCents bounds one amount: ten billion dollars for a node's month is a slip of the hand.
const MaxCents money.Cents = 1_000_000_000_000

// ParseAmount reads US dollars as people and spreadsheets write them: 12000, 12,000.5,
// $12,000.50. A blank is no plan.
func ParseAmount(text string) (Amount, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Amount{}, nil
	}
	plain, ok := ungroup(strings.TrimPrefix(text, "$"))
	if !ok {
		return Amount{}, fault.Invalid("amount", "plan_amount", "%.40q is not an amount: commas stand between groups of three digits.", text)
	}
	cents, err := money.ParseCents(plain)
	switch {
	case err != nil:
		return Amount{}, fault.Invalid("amount", "plan_amount", "%.40q is not an amount in US dollars with at most two decimals.", text)
	case cents < 0:
		return Amount{}, fault.Invalid("amount", "plan_amount", "%.40q is below zero; a plan is not.", text)
	case cents > MaxCents:
		return Amount{}, fault.Invalid("amount", "plan_amount", "%.40q is more than ten billion dollars.", text)
	}
	return Of(cents), nil
}

// ungroup takes the commas out of 1,234,567.89 and refuses 12,34.
func ungroup(text string) (string, bool) {
	if !strings.Contains(text, ",") {
		return text, true
	}
	whole, fraction, _ := strings.Cut(text, ".")
	groups := strings.Split(whole, ",")
	for i, g := range groups {
		if (i > 0 && len(g) != 3) || (i == 0 && (g == "" || len(g) > 3)) {
			return "", false
		}
	}
	if strings.Contains(fraction, ",") {
		return "", false
	}
	return strings.ReplaceAll(text, ",", ""), true
}

// Row is one node's own twelve months.
type Row [Months]Amount

// Total sums a row; Set when any month is.
func (r Row) Total() Amount {
	var sum Amount
	for _, a := range r {
		sum.Cents += a.Cents
		sum.Set = sum.Set || a.Set
	}
	return sum
}

// Plus adds another row month by month.
func (r Row) Plus(other Row) Row {
	for i, a := range other {
		r[i].Cents += a.Cents
		r[i].Set = r[i].Set || a.Set
	}
	return r
}

// blank tells whether nothing is planned.
func (r Row) blank() bool { return r == Row{} }

// Grid is a plan: the own amounts of each node that has any.
type Grid map[id.Node]Row

// MaxNodes bounds a plan.
const MaxNodes = 5000

// Set replaces a node's row; a blank one leaves the plan.
func (g Grid) Set(node id.Node, row Row) {
	if row.blank() {
		delete(g, node)
		return
	}
	g[node] = row
}

// Clone copies a plan.
func (g Grid) Clone() Grid {
	out := make(Grid, len(g))
	maps.Copy(out, g)
	return out
}

// Total sums every node, each by its own amounts.
func (g Grid) Total() Row {
	var sum Row
	for _, row := range g {
		sum = sum.Plus(row)
	}
	return sum
}

// Nodes lists the planned nodes in one order.
func (g Grid) Nodes() []id.Node {
	list := make([]id.Node, 0, len(g))
	for node := range g {
		list = append(list, node)
	}
	slices.SortFunc(list, func(a, b id.Node) int { return strings.Compare(a.UUID(), b.UUID()) })
	return list
}

// Rolled adds each node's amounts to all that is above it: above lists a node and its
// ancestors, or nothing for a node that is in no tree any more, which then stands alone.
func (g Grid) Rolled(above func(id.Node) []id.Node) Grid {
	out := Grid{}
	for node, row := range g {
		chain := above(node)
		if len(chain) == 0 {
			chain = []id.Node{node}
		}
		for _, n := range chain {
			out[n] = out[n].Plus(row)
		}
	}
	return out
}

// Document is the plan as bytes: the same amounts always give the same ones. It is what
// a change's digest stands for, and is stored as it is.
func (g Grid) Document(year Year) []byte {
	var out bytes.Buffer
	out.WriteString("tollbook plan 1\n" + year.String() + "\n")
	for _, node := range g.Nodes() {
		out.WriteString(node.String())
		for _, a := range g[node] {
			out.WriteByte(',')
			if a.Set {
				out.WriteString(a.Cents.String())
			}
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}
