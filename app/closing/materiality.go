package closing

import (
	"cmp"
	"slices"

	"tollbook/app/fault"
	"tollbook/app/money"
)

// Materiality is how much of a month may stay unexplained when it is locked, and what else a
// company asks of one. Amounts are compared without their signs, so that errors that offset
// one another show.
type Materiality struct {
	Month money.Cents `json:"month_cents"` // of the whole month, in all
	Node  money.Cents `json:"node_cents"`  // of it, at any one node
	// DaysSigned asks for two signatures of each day's reconciliation.
	DaysSigned bool `json:"days_signed"`
	// Answered asks for an answer wherever commentary was asked for; without it, somebody
	// says why the month is closed without one.
	Answered bool `json:"commentary_answered"`
}

// Standard is the materiality where nobody said another: fifty dollars of a month, ten at a node.
func Standard() Materiality { return Materiality{Month: 50_00, Node: 10_00} }

const maxMaterial = 100_000_000_00

// Check refuses amounts that are none, and a node's that is above the month's.
func (m Materiality) Check() error {
	switch {
	case m.Month < 0 || m.Month > maxMaterial:
		return fault.Invalid("month", "materiality_month", "The amount for a month is 0 to 100,000,000 dollars.")
	case m.Node < 0 || m.Node > m.Month:
		return fault.Invalid("node", "materiality_node", "The amount for a cost center is 0 dollars up to that for the month.")
	}
	return nil
}

// NodeAmount is what lies at a node, by finance's code.
type NodeAmount struct {
	Code   string
	Amount money.Sum
}

// Unexplained is what nobody can say of a month's charges, as its latest reconciliations and
// its invoices have it. Amounts are sums without signs.
type Unexplained struct {
	Materiality

	Unknown  money.Sum    // of the class unknown, and nobody explained it
	Residual money.Cents  // of invoices
	Nodes    []NodeAmount // what of Unknown lies at which node
	// Explained is of the class unknown, and somebody explained it and a second person agreed;
	// Rounding is of that class. Neither is unexplained, and both could hide what is.
	Explained, Rounding money.Sum
}

// UnexplainedFacts are those of the step unexplained.
func UnexplainedFacts(u *Unexplained) Facts {
	f := Facts{Step: StepUnexplained}
	slices.SortFunc(u.Nodes, func(a, b NodeAmount) int { return cmp.Or(b.Amount.Cmp(&a.Amount), cmp.Compare(a.Code, b.Code)) })
	var total, absorbed money.Sum
	total.AddSum(&u.Unknown)
	total.AddCents(u.Residual)
	absorbed.AddSum(&u.Explained)
	absorbed.AddSum(&u.Rounding)
	f.dollars("unexplained_usd", &total)
	f.cents("materiality_usd", u.Month)
	f.cents("node_materiality_usd", u.Node)
	f.dollars("unknown_usd", &u.Unknown)
	f.cents("invoice_residual_usd", u.Residual)
	if len(u.Nodes) > 0 {
		f.text("largest_node", u.Nodes[0].Code)
		f.dollars("largest_node_usd", &u.Nodes[0].Amount)
	}
	f.dollars("explained_unknown_usd", &u.Explained)
	f.dollars("rounding_usd", &u.Rounding)
	if above(&total, u.Month) {
		code := "unknown"
		if !above(&u.Unknown, u.Residual) {
			code = "residual"
		}
		f.blockf(code, "$%s of the month is unexplained, and $%s is material.", total.Display(), u.Month)
	}
	u.nodesAbove(&f)
	switch {
	case above(&absorbed, u.Month):
		f.Asks = "More than is material was explained as unknown, or is rounding: say why it is neither an error nor somebody else’s cost."
	case total.Sign() != 0:
		f.Asks = "Something is unexplained, and is not material: say what is known of it."
	}
	return f
}

// nodesAbove names the nodes at which more than is material is unexplained.
func (u *Unexplained) nodesAbove(f *Facts) {
	for i := range u.Nodes {
		n := &u.Nodes[i]
		if !above(&n.Amount, u.Node) {
			return
		}
		if i == listed {
			f.blockf("unknown", "And at other nodes more than $%s is unexplained, too.", u.Node)
			return
		}
		f.blockf("unknown", "$%s at %s is unexplained, and $%s at one node is material.", n.Amount.Display(), n.Code, u.Node)
	}
}

// above tells whether an amount is more than so many cents.
func above(amount *money.Sum, cents money.Cents) bool {
	var most money.Sum
	most.AddCents(cents)
	return amount.Cmp(&most) > 0
}
