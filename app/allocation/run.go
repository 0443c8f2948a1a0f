package allocation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
)

// Leaf is who bears cost: a node as it was when it was charged.
type Leaf struct {
	Node           id.Node
	Code           string
	Path           []string // codes from the root down to it
	Entity         string
	GLAccount      string
	Capitalization string
	Suspense       bool
	Charge         money.Sum // exact, of the cycle
}

func (l *Leaf) compare(other *Leaf) int {
	return cmp.Or(strings.Compare(l.Entity, other.Entity), strings.Compare(l.Code, other.Code), strings.Compare(l.Capitalization, other.Capitalization), strings.Compare(l.Node.UUID(), other.Node.UUID()))
}

// Line is one line of an invoice to split.
type Line struct {
	Kind   string
	Node   string // code of the one node that bears it; empty: by its kind's rule
	Amount money.Cents
}

// Input is all a run is made of.
type Input struct {
	Lines    []Line
	Leaves   []Leaf          // what was charged in the cycle
	Nodes    map[string]Leaf // every node there is, by code: who is named without a charge
	Rules    Rules
	Suspense Leaf // bears what nothing weighs
	// Residual is what nothing explains of the line it is in: it is booked apart and borne by
	// nobody until somebody explains it.
	Residual     money.Cents
	ResidualLine int
}

// Share is what a leaf bears of a line.
type Share struct {
	Line   int
	Leaf   int // of the run
	Weight money.Sum
	Amount money.Cents
}

// Run is an invoice as it is split.
type Run struct {
	Leaves []Leaf // by entity, code and capitalization
	Shares []Share
	Borne  []money.Cents // by leaf
	// Residual is booked apart; with what is borne it is the invoice.
	Residual money.Cents
}

// maxShares bounds a run.
const maxShares = 500_000

// Split splits an invoice.
func Split(in *Input) (Run, error) {
	run := Run{Residual: in.Residual}
	p := &split{in: in, run: &run, at: map[string]int{}}
	leaves := slices.Clone(in.Leaves)
	slices.SortFunc(leaves, func(a, b Leaf) int { return a.compare(&b) })
	for i := range leaves {
		p.place(leaves[i])
	}
	for i := range in.Lines {
		amount := in.Lines[i].Amount
		if in.Residual != 0 && i == in.ResidualLine {
			amount -= in.Residual
		}
		if err := p.line(i, amount); err != nil {
			return Run{}, err
		}
		if len(run.Shares) > maxShares {
			return Run{}, fault.New(fault.KindConflict, "allocation_size", "The invoice would be split into more parts than one allocation holds.")
		}
	}
	p.order()
	return run, nil
}

type split struct {
	in  *Input
	run *Run
	at  map[string]int
}

// place finds a leaf's place, or gives it one.
func (p *split) place(l Leaf) int {
	key := strings.Join([]string{l.Entity, l.Code, l.Capitalization, l.Node.UUID()}, "\x00")
	if at, there := p.at[key]; there {
		p.run.Leaves[at].Charge.AddSum(&l.Charge)
		return at
	}
	p.at[key] = len(p.run.Leaves)
	fresh := l
	fresh.Charge = money.Sum{}
	fresh.Charge.AddSum(&l.Charge)
	p.run.Leaves = append(p.run.Leaves, fresh)
	return p.at[key]
}

// bearer is the place of a node that is named, whatever it was charged: as it is now.
func (p *split) bearer(code string) (int, error) {
	leaf, known := p.in.Nodes[code]
	if !known {
		return 0, fault.Invalid("node", "allocation_node", "There is no node %.60q to bear the line.", code)
	}
	leaf.Charge = money.Sum{}
	return p.place(leaf), nil
}

func (p *split) line(n int, amount money.Cents) error {
	if amount == 0 {
		return nil
	}
	line := &p.in.Lines[n]
	places, weights, err := p.weigh(line)
	if err != nil {
		return err
	}
	amounts, err := money.SplitSums(amount, weights)
	if err != nil {
		return err
	}
	for i, cents := range amounts {
		if cents != 0 || weights[i].Sign() != 0 {
			p.run.Shares = append(p.run.Shares, Share{Line: n, Leaf: places[i], Weight: weights[i], Amount: cents})
		}
	}
	return nil
}

// weigh lists who bears a line and how heavy each is, in an order that is the same for the
// same leaves and rules.
func (p *split) weigh(line *Line) (places []int, weights []money.Sum, err error) {
	if line.Node != "" {
		at, err := p.bearer(line.Node)
		return []int{at}, []money.Sum{one()}, err
	}
	rule := p.in.Rules.Of(line.Kind)
	if rule.Method == Proportional {
		places, weights = p.charged(&rule)
	} else {
		places, weights, err = p.named(&rule)
	}
	if err == nil && !slices.ContainsFunc(weights, func(w money.Sum) bool { return w.Sign() > 0 }) {
		return []int{p.place(p.in.Suspense)}, []money.Sum{one()}, nil
	}
	return places, weights, err
}

func one() money.Sum {
	var s money.Sum
	s.Add(1)
	return s
}

// charged weighs leaves by what they were charged.
func (p *split) charged(rule *Rule) (places []int, weights []money.Sum) {
	for at := range p.run.Leaves {
		leaf := &p.run.Leaves[at]
		under := len(rule.Parts) == 0 || slices.ContainsFunc(rule.Parts, func(part Part) bool { return slices.Contains(leaf.Path, part.Code) })
		if under && leaf.Charge.Sign() > 0 {
			places, weights = append(places, at), append(weights, leaf.Charge)
		}
	}
	return places, weights
}

// named weighs the nodes of a rule, by code.
func (p *split) named(rule *Rule) (places []int, weights []money.Sum, err error) {
	parts := slices.Clone(rule.Parts)
	slices.SortFunc(parts, func(a, b Part) int { return strings.Compare(a.Code, b.Code) })
	for _, part := range parts {
		at, err := p.bearer(part.Code)
		if err != nil {
			return nil, nil, err
		}
		weight := one()
		if rule.Method != Even {
			weight = money.Sum{}
			weight.Add(money.Pico(part.Weight))
		}
		places, weights = append(places, at), append(weights, weight)
	}
	return places, weights, nil
}

// order puts leaves, with those that came in by name, into their order, and adds up.
func (p *split) order() {
	to := make([]int, len(p.run.Leaves))
	by := make([]int, len(p.run.Leaves))
	for i := range by {
		by[i] = i
	}
	slices.SortFunc(by, func(a, b int) int { return p.run.Leaves[a].compare(&p.run.Leaves[b]) })
	sorted := make([]Leaf, len(by))
	for place, was := range by {
		sorted[place], to[was] = p.run.Leaves[was], place
	}
	p.run.Leaves, p.run.Borne = sorted, make([]money.Cents, len(sorted))
	for i := range p.run.Shares {
		s := &p.run.Shares[i]
		s.Leaf = to[s.Leaf]
		p.run.Borne[s.Leaf] += s.Amount
	}
	slices.SortStableFunc(p.run.Shares, func(a, b Share) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Leaf, b.Leaf)) })
}

// statement is a run as the bytes a digest covers.
type statement struct {
	Invoice  string           `json:"invoice_sha256"`
	Total    money.Cents      `json:"total_cents"`
	Residual money.Cents      `json:"residual_cents"`
	Shares   []statementShare `json:"shares"`
}

type statementShare struct {
	Line           int         `json:"line"` // of the invoice, from 1
	Node           string      `json:"node"`
	Code           string      `json:"code"`
	Entity         string      `json:"entity"`
	GLAccount      string      `json:"gl_account"`
	Capitalization string      `json:"capitalization"`
	Weight         string      `json:"weight"`
	Amount         money.Cents `json:"cents"`
}

// Total is what is borne and what is booked apart: the invoice.
func (r *Run) Total() money.Cents {
	total := r.Residual
	for _, cents := range r.Borne {
		total += cents
	}
	return total
}

// Canonical is the run of an invoice, which its digest names, as bytes: the same run gives
// the same ones.
func (r *Run) Canonical(invoice string) ([]byte, error) {
	out := statement{Invoice: invoice, Total: r.Total(), Residual: r.Residual, Shares: []statementShare{}}
	for i := range r.Shares {
		s := &r.Shares[i]
		l := &r.Leaves[s.Leaf]
		out.Shares = append(out.Shares, statementShare{
			Line: s.Line + 1, Node: l.Node.String(), Code: l.Code, Entity: l.Entity, GLAccount: l.GLAccount, Capitalization: l.Capitalization, Weight: s.Weight.Digits(), Amount: s.Amount,
		})
	}
	document, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode allocation: %w", err)
	}
	return document, nil
}
