package packet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/ledger"
	"tollbook/app/money"
)

// kind is what a column holds, which says how it is laid out.
type kind int

const (
	text     kind = iota
	code          // text in letters of one width: ids, digests
	cents         // money.Cents
	change        // money.Cents with its sign
	exact         // all twelve decimals, as text: a spreadsheet's numbers hold fewer digits
	number        // int64
	fraction      // a percentage, in words
)

// column is one column of a table. Share is that of a page's width; 0 leaves it out on
// paper.
type column struct {
	head  string
	kind  kind
	share float64
}

// cell is a string, a money.Cents, an int64, or nil for nothing.
type cell any

// table is one table of a packet: a sheet of the workbook and, where it prints, a part of
// the summary.
type table struct {
	sheet    string // name of the sheet
	title    string
	note     string // its basis, in words
	columns  []column
	rows     [][]cell
	indents  []int // beside rows: how deep a row lies; nil: all alike
	total    []cell
	controls []export.Pair
	printed  bool
	plain    bool // its sheet is columns and rows alone, from the first cell on
}

// tables are the packet's, in their order: what a later part of the product adds to a
// packet as rows is one more entry here.
func (f *Figures) tables() ([]table, error) {
	s, err := f.settle()
	if err != nil {
		return nil, err
	}
	list := []table{}
	for _, lay := range []func(*Figures, *settled) *table{
		byMeasure, byNode, byProject, byClass, byVariance, byComment, byDispute, byMovement, byInvoice, byInvoiceLine, byReason, byShare, byReconciled, byItem, byException, bySpend, byStep, byMove, byDecision, byExport, byLine, byDay, byPivot,
	} {
		if t := lay(f, s); t != nil {
			list = append(list, *t)
		}
	}
	return list, nil
}

func pair(name, value string) export.Pair { return export.Pair{Name: name, Value: value} }

// control are the totals that every table of charges comes to.
func (s *settled) control() []export.Pair {
	return []export.Pair{pair("total_usd", s.total.String()), pair("total_cents_usd", s.cents.String())}
}

// byMeasure is the month in a few lines.
func byMeasure(f *Figures, s *settled) *table {
	t := &table{
		sheet: "Summary", title: "Summary", note: "What the month came to, in US dollars, and what it is compared with.",
		columns: []column{{"Measure", text, 0}, {"US dollars", cents, 0}, {"Exact", exact, 0}, {"Basis", text, 0}}, controls: s.control(),
	}
	add := func(name string, c money.Cents, whole *money.Sum, basis string) {
		row := []cell{name, c, nil, basis}
		if whole != nil {
			row[2] = whole.String()
		}
		t.rows = append(t.rows, row)
	}
	add("Actual", s.cents, &s.total, "charges with their adjustments, posted to "+f.Month.String())
	add("Actual of "+f.Month.Previous().String(), s.priorCents, &s.prior, "the whole month before")
	add("Change", s.cents-s.priorCents, nil, "against the month before")
	if f.Plan != nil {
		add("Plan to date", f.Plan.ToDate, nil, "version "+strconv.Itoa(f.PlanVersion)+", by the day the month has come to")
		add("Variance", s.cents-f.Plan.ToDate, nil, "actual less plan to date: above zero is over")
		add("Plan of the month", f.Plan.Month, nil, "version "+strconv.Itoa(f.PlanVersion))
	}
	if f.Suspense != nil {
		add("Suspense", f.Suspense.Display(), f.Suspense, "charged, and no rule could place it; part of the actual")
	}
	add("To be capitalized", f.Capitalized.Display(), &f.Capitalized, "as the node said when it was charged; part of the actual")
	if f.Books != nil {
		add("Accrued liability", f.Books.Accrued, nil, "owed to the provider at the month’s end, by the journal")
		add("Rounding", f.Books.Rounding, nil, "between days in cents and rounded months, by the journal")
	}
	if f.Control != nil {
		add("Flushed by gateways", f.Control.Total.Display(), &f.Control.Total, "summed independently, from batches")
		add("Difference", f.Control.Difference.Display(), &f.Control.Difference, "zero, or something is wrong")
	}
	return t
}

func byNode(f *Figures, s *settled) *table {
	t := &table{
		sheet: "By cost center", title: "By cost center", printed: true,
		note: "Each line with all below it; cents are rounded once, at the leaves, so that every level adds up. Nodes are where they are now; a charge counts where its node was then.",
		columns: []column{
			{"Code", text, 21}, {"Name", text, 31}, {"Path", text, 0}, {"Kind", text, 0}, {"Capitalization", text, 0}, {"Actual", cents, 14}, {"Own", cents, 0}, {"Plan to date", cents, 14},
			{"Variance", change, 13}, {"Prior month", cents, 14}, {"Change", change, 13}, {"Requests", number, 0}, {"Tokens", number, 0},
		},
		controls: s.control(),
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		row := []cell{n.Code, n.Name, n.Path, word(n.Kind), n.Capitalization, s.node[i], s.own[i], nil, nil, s.priorNode[i], s.node[i] - s.priorNode[i], n.Requests, n.Tokens}
		if n.Plan != nil {
			row[7], row[8] = n.Plan.ToDate, s.node[i]-n.Plan.ToDate
		}
		t.rows = append(t.rows, row)
		t.indents = append(t.indents, n.Depth)
	}
	t.total = []cell{"Total", nil, nil, nil, nil, s.cents, s.cents, nil, nil, s.priorCents, s.cents - s.priorCents, f.Requests, f.Tokens}
	if f.Plan != nil {
		t.total[7], t.total[8] = f.Plan.ToDate, s.cents-f.Plan.ToDate
	}
	return t
}

// kindProject is a project, as the hierarchy says it.
const kindProject = "project"

func byProject(f *Figures, s *settled) *table {
	t := &table{
		sheet: "By project", title: "By project", printed: true, note: "Projects lie within cost centers: these amounts are part of theirs, and most charges are of none.",
		columns: []column{
			{"Code", text, 21}, {"Name", text, 31}, {"Path", text, 0}, {"Capitalization", text, 14}, {"Actual", cents, 14}, {"Plan to date", cents, 14}, {"Prior month", cents, 14}, {"Change", change, 13},
			{"Requests", number, 0}, {"Tokens", number, 0},
		},
	}
	var sum, before money.Cents
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Kind != kindProject {
			continue
		}
		row := []cell{n.Code, n.Name, n.Path, n.Capitalization, s.node[i], nil, s.priorNode[i], s.node[i] - s.priorNode[i], n.Requests, n.Tokens}
		if n.Plan != nil {
			row[5] = n.Plan.ToDate
		}
		t.rows = append(t.rows, row)
		if !f.inProject(i) {
			sum += s.node[i]
			before += s.priorNode[i]
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	t.total = []cell{"All projects", nil, nil, nil, sum, nil, before, sum - before, nil, nil}
	t.controls = []export.Pair{pair("projects_usd", sum.String())}
	return t
}

// inProject tells whether a project lies below another one, which counts it already.
func (f *Figures) inProject(i int) bool {
	for path := above(f.Nodes[i].Path); path != ""; path = above(path) {
		if slices.ContainsFunc(f.Nodes, func(n Node) bool { return n.Path == path && n.Kind == kindProject }) {
			return true
		}
	}
	return false
}

func byClass(f *Figures, s *settled) *table {
	t := &table{
		sheet: "By model and class", title: "By model and token class", printed: true, note: "Priced by the book in force when each request was made; “other” is what is not counted in tokens.",
		columns:  []column{{"Model", text, 44}, {"Token class", text, 26}, {"Tokens", number, 22}, {"US dollars", cents, 16}, {"Share", fraction, 12}, {"Exact", exact, 0}},
		controls: s.control(),
	}
	var tokens int64
	for i := range f.Classes {
		c := &f.Classes[i]
		tokens += c.Tokens
		t.rows = append(t.rows, []cell{c.Model, word(c.Class), c.Tokens, s.class[i], percent(s.class[i], s.cents), c.Amount.String()})
	}
	t.total = []cell{"Total", nil, tokens, s.cents, nil, s.total.String()}
	return t
}

// byVariance is every node against plan and the month before, the largest change first.
func byVariance(f *Figures, s *settled) *table {
	t := &table{
		sheet: "Variance", title: "Variance", note: "Actual against plan to date and against the month before, the largest change first. Above zero is over.",
		columns: []column{
			{"Code", text, 0}, {"Name", text, 0}, {"Path", text, 0}, {"Actual", cents, 0}, {"Plan to date", cents, 0}, {"Variance", change, 0}, {"Variance %", fraction, 0}, {"Prior month", cents, 0}, {"Change", change, 0}, {"Change %", fraction, 0},
			{"Commentary", text, 0},
		},
		controls: s.control(),
	}
	for _, i := range f.movers(s) {
		n := &f.Nodes[i]
		row := []cell{n.Code, n.Name, n.Path, s.node[i], nil, nil, nil, s.priorNode[i], s.node[i] - s.priorNode[i], percent(s.node[i]-s.priorNode[i], s.priorNode[i]), f.comment(n.Path)}
		if n.Plan != nil {
			row[4], row[5], row[6] = n.Plan.ToDate, s.node[i]-n.Plan.ToDate, percent(s.node[i]-n.Plan.ToDate, n.Plan.ToDate)
		}
		t.rows = append(t.rows, row)
	}
	t.total = []cell{"Total", nil, nil, s.cents, nil, nil, nil, s.priorCents, s.cents - s.priorCents, percent(s.cents-s.priorCents, s.priorCents), nil}
	if f.Plan != nil {
		t.total[4], t.total[5], t.total[6] = f.Plan.ToDate, s.cents-f.Plan.ToDate, percent(s.cents-f.Plan.ToDate, f.Plan.ToDate)
	}
	return t
}

// movers are the nodes that changed against the month before, the largest change first.
func (f *Figures) movers(s *settled) []int {
	order := make([]int, 0, len(f.Nodes))
	for i := range f.Nodes {
		if s.node[i] != 0 || s.priorNode[i] != 0 || f.Nodes[i].Plan != nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(abs(s.node[b]-s.priorNode[b]), abs(s.node[a]-s.priorNode[a])), cmp.Compare(a, b))
	})
	return order
}

// basis says which days a movement compares.
func (m *Movement) basis() string {
	switch {
	case m.Through == 0:
		return "The first day of the month is not over: nothing is compared yet."
	case m.Whole:
		return "Both months whole."
	}
	return fmt.Sprintf("Days 1 to %d of this month, all over, against days 1 to %d of the one before.", m.Through, m.Before)
}

func byMovement(f *Figures, _ *settled) *table {
	m := &f.Movement
	if len(m.Split.Parts) == 0 {
		return nil
	}
	t := &table{
		sheet: "Why it moved", title: "Why it moved", note: "The change by price, volume and mix, exact. " + m.basis(),
		columns: []column{
			{"Model", text, 0}, {"Token class", text, 0}, {"Tokens before", number, 0}, {"Tokens", number, 0}, {"Before", exact, 0}, {"Actual", exact, 0},
			{"Change", exact, 0}, {"Price", exact, 0}, {"Volume", exact, 0}, {"Mix", exact, 0}, {"Tools", exact, 0},
		},
	}
	for i := range m.Split.Parts {
		p := &m.Split.Parts[i]
		t.rows = append(t.rows, []cell{
			p.Model, word(p.Class), p.TokensBefore, p.TokensAfter, p.Before.String(), p.After.String(), p.Difference.String(), p.Price.String(), p.Volume.String(), p.Mix.String(), p.Tools.String(),
		})
	}
	all := &m.Split.Total
	t.total = []cell{
		"Total", nil, all.TokensBefore, all.TokensAfter, all.Before.String(), all.After.String(), all.Difference.String(), all.Price.String(), all.Volume.String(), all.Mix.String(), all.Tools.String(),
	}
	t.controls = []export.Pair{pair("change_usd", all.Difference.String())}
	return t
}

func byDecision(f *Figures, _ *settled) *table {
	if len(f.Decisions) == 0 {
		return nil
	}
	t := &table{
		sheet: "Decisions", title: "Decisions", note: "What people decided that these figures rest on, by whom, and the digest of what they decided.",
		columns: []column{
			{"Change", number, 0}, {"About", text, 0}, {"Name", text, 0}, {"Role", text, 0}, {"For", text, 0}, {"Verdict", text, 0}, {"Decided at", text, 0}, {"Issuer", text, 0}, {"Subject", text, 0}, {"Digest", code, 0},
		},
	}
	if f.DecisionsLeft > 0 {
		t.note += " " + f.decisionsLeft()
	}
	for i := range f.Decisions {
		d := &f.Decisions[i]
		t.rows = append(t.rows, []cell{d.Number, d.Kind, d.Name, d.Role, d.For, word(d.Verdict), d.At.UTC().Format(time.RFC3339), d.Issuer, d.Subject, d.Digest})
	}
	return t
}

// byLine is the journal, line by line.
func byLine(f *Figures, _ *settled) *table {
	if f.Books == nil {
		return nil
	}
	t := &table{
		sheet: "Journal", title: "Journal", note: "Every entry posted to the month, line by line. Lines of zero cents are kept for their basis.",
		columns: []column{
			{"Entry", number, 0}, {"Kind", text, 0}, {"Date", text, 0}, {"Line", number, 0}, {"Entity", text, 0}, {"Account", text, 0}, {"Node", text, 0}, {"Node path", text, 0}, {"GL account", text, 0}, {"Capitalization", text, 0},
			{"Counterparty", text, 0}, {"Debit", cents, 0}, {"Credit", cents, 0}, {"Memo", text, 0},
		},
	}
	var debits, credits money.Cents
	for i := range f.Books.Entries {
		e := &f.Books.Entries[i]
		for k := range e.Lines {
			l := &e.Lines[k]
			debits += l.Debit()
			credits += l.Credit()
			t.rows = append(t.rows, []cell{
				e.Number, word(string(e.Kind)), e.Date.Format(time.DateOnly), int64(k + 1), l.Entity, word(string(l.Account)), l.NodeCode, l.NodePath, l.GLAccount, l.Capitalization, l.Counterparty,
				side(l.Debit(), l.Cents), side(l.Credit(), -l.Cents), l.Memo,
			})
		}
	}
	t.total = []cell{"Total", nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, debits, credits, nil}
	t.controls = journalControls(f.Books)
	return t
}

// side is a debit or a credit; the other one stays empty.
func side(value, signed money.Cents) cell {
	if signed < 0 {
		return nil
	}
	return value
}

func journalControls(b *Books) []export.Pair {
	debits, credits := b.totals()
	return []export.Pair{pair("entries", strconv.Itoa(len(b.Entries))), pair("debits_usd", debits.String()), pair("credits_usd", credits.String())}
}

func (b *Books) totals() (debits, credits money.Cents) {
	for i := range b.Entries {
		for k := range b.Entries[i].Lines {
			debits += b.Entries[i].Lines[k].Debit()
			credits += b.Entries[i].Lines[k].Credit()
		}
	}
	return debits, credits
}

// account is one account of one entity over the month, for the summary.
type account struct {
	entity         string
	name           ledger.Account
	debit, credits money.Cents
}

func (b *Books) accounts() []account {
	list := []account{}
	for i := range b.Entries {
		for k := range b.Entries[i].Lines {
			l := &b.Entries[i].Lines[k]
			at := slices.IndexFunc(list, func(a account) bool { return a.entity == l.Entity && a.name == l.Account })
			if at < 0 {
				at, list = len(list), append(list, account{entity: l.Entity, name: l.Account})
			}
			list[at].debit += l.Debit()
			list[at].credits += l.Credit()
		}
	}
	slices.SortFunc(list, func(a, b account) int {
		return cmp.Or(strings.Compare(a.entity, b.entity), cmp.Compare(slices.Index(ledger.Accounts(), a.name), slices.Index(ledger.Accounts(), b.name)))
	})
	return list
}

// byDay is each node by UTC day, its own alone.
func byDay(f *Figures, s *settled) *table {
	t := &table{
		sheet: "Detail", title: "Detail by node and day", note: "Each node’s own charges by UTC day. No developer is named.",
		columns:  []column{{"Day", text, 0}, {"Code", text, 0}, {"Path", text, 0}, {"US dollars", cents, 0}, {"Exact", exact, 0}, {"Requests", number, 0}, {"Tokens", number, 0}},
		controls: s.control(),
	}
	for i := range f.Days {
		d := &f.Days[i]
		t.rows = append(t.rows, []cell{d.Day.Format(time.DateOnly), d.Code, d.Path, s.day[i], d.Amount.String(), d.Requests, d.Tokens})
	}
	t.total = []cell{"Total", nil, nil, s.cents, s.total.String(), f.Requests, f.Tokens}
	return t
}
