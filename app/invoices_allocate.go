package app

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/allocation"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// lockAllocation holds what booking an invoice changes: invoices first, then the journal.
func lockAllocation(tx *db.Tx) error {
	if err := tx.LockInvoices(); err != nil {
		return err
	}
	return tx.LockJournal()
}

// What keeps an invoice from being allocated.
var (
	ErrInvoiceSuperseded = fault.New(fault.KindConflict, "invoice_superseded", "A later revision of this invoice is there: allocate that one.")
	ErrInvoiceAllocated  = fault.New(fault.KindConflict, "invoice_allocated", "This invoice is booked already. Take its journal entry back to allocate it again.")
)

// allocating is an invoice as it would be split and booked now.
type allocating struct {
	row     db.InvoiceRow
	invoice invoice.Invoice
	match   invoice.Match
	parts   []invoice.Part
	run     allocation.Run
	accrued []ledger.Line
	terms   ledger.Terms
	lines   []ledger.Line // of its entry
	rules   allocation.Rules
	waiting int // days of the cycle whose charges are not posted yet
}

// allocate splits an invoice by what its cycle was charged, as it is known now.
func allocate(tx *db.Tx, of id.Invoice) (*allocating, error) {
	a := &allocating{}
	row, lines, err := tx.Invoice(of)
	if err != nil {
		return nil, err
	}
	a.row, a.invoice = row, row.Invoice()
	a.invoice.Lines = lines
	trees, err := forestSince(tx, a.invoice.From)
	if err != nil {
		return nil, err
	}
	tree, err := trees.at(a.invoice.To.Add(-time.Microsecond))
	if err != nil {
		return nil, err
	}
	versions, err := tx.Books(maxBooksVersions)
	if err != nil {
		return nil, err
	}
	in := allocation.Input{Nodes: map[string]allocation.Leaf{}}
	now, err := trees.at(tx.Now)
	if err != nil {
		return nil, err
	}
	if a.terms = termsOf(versions, tree, a.invoice.To.Add(-oneDay)); a.terms.Payer == "" {
		a.terms.Payer = firstEntity(now)
	}
	a.terms.Workspace = a.invoice.Workspace
	// As nodes were when the cycle ended; those that came since, as they are.
	for _, known := range []*hierarchy.Tree{now, tree} {
		for _, n := range known.All() {
			in.Nodes[n.Code] = leafOf(known, &n)
		}
	}
	in.Suspense = in.Nodes[hierarchy.SuspenseCode]
	if row.AllocatedAt != nil {
		a.rules, err = rulesAt(tx, *row.AllocatedAt)
	} else {
		a.rules, err = standingRules(tx)
	}
	if err != nil {
		return nil, err
	}
	in.Rules = a.rules
	figures := invoice.Figures{}
	if err := a.charged(tx, tree, &in, &figures); err != nil {
		return nil, err
	}
	if found, err := a.kept(tx); err != nil {
		return nil, err
	} else if !found {
		a.match = invoice.Compare(&a.invoice, &figures)
	}
	a.match.Cover(a.parts)
	if row.AllocationID != nil {
		return a, a.booked(tx, *row.AllocationID)
	}
	largest := -1
	for n := range a.invoice.Lines {
		l := &a.invoice.Lines[n]
		in.Lines = append(in.Lines, allocation.Line{Kind: string(l.Kind), Node: l.Node, Amount: l.Amount})
		if l.Kind == invoice.Usage && (largest < 0 || l.Amount > a.invoice.Lines[largest].Amount) {
			largest = n
		}
	}
	if largest >= 0 {
		in.Residual, in.ResidualLine = a.match.Unknown.Display(), largest
	}
	if a.run, err = allocation.Split(&in); err != nil {
		return nil, err
	}
	a.lines, err = a.settle()
	return a, err
}

// leafOf is a node as it stands in a tree, without charges.
func leafOf(tree *hierarchy.Tree, n *hierarchy.Version) allocation.Leaf {
	leaf := allocation.Leaf{Node: n.Node, Code: n.Code, Path: tree.PathCodes(n.Node), Entity: n.Entity, Capitalization: string(n.Capitalization), Suspense: n.Code == hierarchy.SuspenseCode}
	for _, above := range tree.Above(n.Node) {
		v, _ := tree.Node(above)
		if v.GLAccount != "" {
			leaf.GLAccount = v.GLAccount
		}
		if v.Entity != "" {
			leaf.Entity = v.Entity
		}
	}
	return leaf
}

// charged reads what the cycle was charged, and, of an invoice that bills it, what of it is
// accrued. Of one that is booked it is as it was then.
func (a *allocating) charged(tx *db.Tx, tree *hierarchy.Tree, in *allocation.Input, f *invoice.Figures) error {
	rows, err := tx.ChargedOver(a.invoice.From, a.invoice.To)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		path := strings.Split(r.Path, "\x1f")
		leaf := allocation.Leaf{Node: r.NodeID, Code: path[len(path)-1], Path: path, Entity: r.Entity, Capitalization: r.Capitalization}
		leaf.Suspense = leaf.Code == hierarchy.SuspenseCode
		if n, there := tree.Node(r.NodeID); there {
			leaf.GLAccount = leafOf(tree, &n).GLAccount
		}
		if leaf.Charge, err = money.SumOfPico(r.ChargePico); err != nil {
			return err
		}
		f.Ledger.AddSum(&leaf.Charge)
		in.Leaves = append(in.Leaves, leaf)
	}
	if !a.invoice.HasUsage() {
		f.Ledger = money.Sum{}
		return nil
	}
	if a.row.AllocationID != nil {
		if f.Ledger, err = money.SumOfPico(a.row.LedgerPico); err != nil {
			return err
		}
	}
	days, err := tx.ChargedDays(a.invoice.From, a.invoice.To)
	if err != nil {
		return err
	}
	if a.row.AllocationID == nil {
		if f.Days, err = cycleDays(tx, a.invoice.From, a.invoice.To, days); err != nil {
			return err
		}
	}
	a.parts, err = invoice.Bridge(&a.invoice, func(from, to time.Time) money.Sum {
		var sum money.Sum
		for day, charge := range days {
			if !day.Before(from) && day.Before(to) {
				sum.AddSum(&charge)
			}
		}
		return sum
	})
	if err != nil {
		return err
	}
	if a.accrued, err = tx.AccruedOver(a.invoice.From, a.invoice.To, a.row.EntryNumber); err != nil {
		return err
	}
	return a.unposted(tx)
}

// unposted counts days of the cycle whose charges are not what is posted of them.
func (a *allocating) unposted(tx *db.Tx) error {
	for after := (db.DueDay{}); ; {
		due, err := tx.DueDays(a.invoice.To, after, accrueBatch)
		if err != nil {
			return err
		}
		for i := range due {
			if !due[i].Day.UTC().Before(a.invoice.From) {
				a.waiting++
			}
		}
		if len(due) < accrueBatch {
			return nil
		}
		after = due[len(due)-1]
	}
}

// settle is the entry that puts the invoice in the place of what is accrued.
func (a *allocating) settle() ([]ledger.Line, error) {
	s := ledger.Settlement{Terms: a.terms, Residual: a.run.Residual, Total: a.invoice.Total, Accrued: a.accrued, Memo: a.memo()}
	for i := range a.run.Leaves {
		l := &a.run.Leaves[i]
		if a.run.Borne[i] != 0 {
			s.Borne = append(s.Borne, ledger.Borne{
				Node: l.Node, NodeCode: l.Code, NodePath: strings.Join(l.Path, hierarchy.PathSeparator), Entity: l.Entity, GLAccount: l.GLAccount, Capitalization: l.Capitalization,
				Suspense: l.Suspense, Amount: a.run.Borne[i],
			})
		}
	}
	return s.Lines()
}

func (a *allocating) memo() string { return "Invoice " + a.invoice.Number }

// refused says what keeps the invoice from being booked now.
func (a *allocating) refused(now time.Time) error {
	accrues := slices.ContainsFunc(a.accrued, func(l ledger.Line) bool {
		return l.Account == ledger.AccountAccrued && l.Workspace != a.invoice.Workspace
	})
	switch {
	case a.row.Superseded:
		return ErrInvoiceSuperseded
	case a.row.AllocationID != nil:
		return ErrInvoiceAllocated
	case !a.invoice.HasUsage() && (!a.byCharges() || !a.invoice.To.After(now)):
		return nil
	case !a.invoice.HasUsage():
		return fault.New(fault.KindConflict, "invoice_cycle_open", fmt.Sprintf(
			"A line goes by what is charged through %s, which is not over. Name the node that bears it, or have a rule for its kind that goes by something else.", dateText(a.invoice.To.AddDate(0, 0, -1))))
	case a.invoice.To.After(now):
		return fault.New(fault.KindConflict, "invoice_cycle_open", fmt.Sprintf("The invoice bills days through %s, which are not over.", dateText(a.invoice.To.AddDate(0, 0, -1))))
	case accrues:
		return fault.New(fault.KindConflict, "invoice_workspace", fmt.Sprintf("The books accrue these days for another workspace than %s. Enter the invoice with the workspace of the books, or change how charges are booked.", a.invoice.Workspace))
	case a.waiting > 0:
		return fault.New(fault.KindConflict, "invoice_days_waiting", fmt.Sprintf("The charges of %d of its days are not posted to the journal yet. They are within the hour; then allocate it.", a.waiting))
	}
	return nil
}

// byCharges tells whether a line goes by what nodes are charged in the cycle.
func (a *allocating) byCharges() bool {
	return slices.ContainsFunc(a.invoice.Lines, func(l invoice.Line) bool {
		return l.Node == "" && a.rules.Of(string(l.Kind)).Method == allocation.Proportional
	})
}

// canonical is the run as the bytes that its digest covers.
func (a *allocating) canonical() ([]byte, error) {
	return a.run.Canonical(hex.EncodeToString(a.row.Digest))
}

// allocationAsk is what a maker sends.
type allocationAsk struct {
	Invoice string `json:"invoice"`
}

// AskAllocation is the proposal to book an invoice as it is split now.
func AskAllocation(of id.Invoice, reason string) Ask {
	return ask(changeAllocation, reason, allocationAsk{Invoice: of.String()})
}

// allocationDocument is what a change says that books an invoice.
type allocationDocument struct {
	Invoice     string `json:"invoice"`
	Number      string `json:"number"`
	Revision    int    `json:"revision"`
	From        string `json:"from"`
	Through     string `json:"through"`
	TotalUSD    string `json:"total_usd"`
	LedgerUSD   string `json:"ledger_usd"` // exact
	ResidualUSD string `json:"unexplained_usd"`
	Nodes       int    `json:"nodes"`
	Run         string `json:"allocation_sha256"`
}

func (v *Invoices) draftAllocation(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked allocationAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	of, err := id.ParseInvoice(asked.Invoice)
	if err != nil {
		return draft{}, fault.Invalid("invoice", "id_syntax", "%.60q is no invoice’s id.", asked.Invoice)
	}
	a, err := allocate(tx, of)
	if err != nil {
		return draft{}, err
	}
	if err := a.refused(tx.Now); err != nil {
		return draft{}, err
	}
	canonical, err := a.canonical()
	if err != nil {
		return draft{}, err
	}
	return draft{payload: allocationDocument{
		Invoice: of.String(), Number: a.invoice.Number, Revision: a.row.Revision, From: dateText(a.invoice.From), Through: dateText(a.invoice.To.AddDate(0, 0, -1)),
		TotalUSD: a.invoice.Total.String(), LedgerUSD: a.match.Ledger.String(), ResidualUSD: a.run.Residual.String(), Nodes: a.bearers(), Run: hexDigest(canonical),
	}}, nil
}

func (a *allocating) bearers() int {
	n := 0
	for _, cents := range a.run.Borne {
		if cents != 0 {
			n++
		}
	}
	return n
}

// asked reads which invoice a change books, and how it is split now.
func (d *allocationDocument) asked(tx *db.Tx, c approval.Change) (*allocating, error) {
	if err := stored(c, d); err != nil {
		return nil, err
	}
	of, err := id.ParseInvoice(d.Invoice)
	if err != nil {
		return nil, err
	}
	return allocate(tx, of)
}

// applyAllocation books an invoice as its approver saw it split.
func (v *Invoices) applyAllocation(tx *db.Tx, c approval.Change) error {
	var doc allocationDocument
	a, err := doc.asked(tx, c)
	if err != nil {
		return err
	}
	if err := a.refused(tx.Now); err != nil {
		return err
	}
	canonical, err := a.canonical()
	if err != nil {
		return err
	}
	if hexDigest(canonical) != doc.Run {
		return errOvertaken("allocation_moved", "Charges or rules have moved since this was proposed: the invoice is split in another way now. Propose it again.")
	}
	match, err := a.matchDocument()
	if err != nil {
		return err
	}
	fresh := db.FreshAllocation{
		ID: id.NewAllocation(tx.Now), Invoice: a.row.InvoiceID, Run: &a.run, Ledger: a.match.Ledger, Canonical: canonical, Match: match, Change: c.ID, Record: id.NewRecord(tx.Now),
	}
	if len(a.lines) > 0 {
		if fresh.Entry, err = a.book(tx, c.ID); err != nil {
			return err
		}
	}
	detail := map[string]any{
		"invoice": a.row.InvoiceID.String(), "number": a.invoice.Number, "total_cents": int64(a.invoice.Total), "unexplained_cents": int64(a.run.Residual), "ledger_pico": a.match.Ledger.Digits(),
		"shares": len(a.run.Shares), "digest": doc.Run, "match_digest": hexDigest(match), "change": c.ID.String(), "entry": fresh.Entry.String(),
	}
	if err := tx.AppendAudit(auditlog.Record{ID: fresh.Record, Action: "invoice.allocated", Actor: string(ActorSystem), Subject: a.row.InvoiceID.String(), Detail: detail}); err != nil {
		return err
	}
	return tx.AddAllocation(&fresh)
}

// month is the one whose books an invoice belongs in: that its cycle ends in, or the present
// one where it bills days to come, for it is owed already.
func (a *allocating) month(now time.Time) period.Month {
	last, present := period.MonthOf(a.invoice.To.AddDate(0, 0, -1)), period.MonthOf(now)
	if present.Start().Before(last.Start()) {
		return present
	}
	return last
}

// book posts the entry of an invoice to its month, or the next that is open.
func (a *allocating) book(tx *db.Tx, change id.Change) (id.Entry, error) {
	month, err := postingMonth(tx, a.month(tx.Now))
	if err != nil {
		return id.Entry{}, err
	}
	e := ledger.Entry{ID: id.NewEntry(tx.Now), Kind: ledger.KindInvoice, Treatment: a.terms.Treatment, Period: month, Date: clampDay(a.invoice.IssuedOn, month), Memo: a.memo(), Lines: a.lines}
	if e.Number, err = tx.Counter("journal_entry"); err != nil {
		return e.ID, err
	}
	return e.ID, store(tx, &e, "", change)
}

// clampDay is a day, or the nearest to it within a month.
func clampDay(at time.Time, month period.Month) time.Time {
	switch last := month.End().AddDate(0, 0, -1); {
	case at.Before(month.Start()):
		return month.Start()
	case at.After(last):
		return last
	}
	return at
}

// allocationImpact says what each node bears beside what was accrued.
func (v *Invoices) allocationImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var doc allocationDocument
	a, err := doc.asked(tx, c)
	if err != nil {
		return approval.Impact{}, err
	}
	impact := approval.Impact{Month: a.month(tx.Now).String(), Exact: true}
	swings := a.swings()
	for i := range swings {
		n := &swings[i]
		impact.Nodes, impact.Touches = append(impact.Nodes, n.NodeImpact), append(impact.Touches, n.Node)
		swing := &impact.Expensed
		if n.capitalized {
			swing = &impact.Capitalized
		}
		swing.Before.AddSum(&n.Before)
		swing.After.AddSum(&n.After)
	}
	impact.Moved.AddCents(a.invoice.Total)
	impact.Sentence = fmt.Sprintf("Invoice %s, $%s for %s through %s, takes the place of $%s that was accrued for its days: %d nodes bear it, and it is what is owed.",
		a.invoice.Number, a.invoice.Total, dateText(a.invoice.From), dateText(a.invoice.To.AddDate(0, 0, -1)), a.owed(), a.bearers())
	if a.run.Residual != 0 {
		impact.Sentence += fmt.Sprintf(" $%s that nothing explains is booked apart, as residual.", a.run.Residual)
	}
	return impact, nil
}

// owed is what is accrued for the cycle.
func (a *allocating) owed() money.Cents {
	var owed money.Cents
	for i := range a.accrued {
		if a.accrued[i].Account == ledger.AccountAccrued {
			owed -= a.accrued[i].Cents
		}
	}
	return owed
}

type bearing struct {
	approval.NodeImpact

	capitalized bool
}

// swings are nodes with what is accrued for them and what they bear of the invoice, where
// the two differ; by path.
func (a *allocating) swings() []bearing {
	at := map[string]int{}
	var list []bearing
	find := func(node id.Node, code, path, capitalization string) *bearing {
		key := code + "\x00" + capitalization + "\x00" + node.UUID()
		k, there := at[key]
		if !there {
			k = len(list)
			at[key] = k
			list = append(list, bearing{NodeImpact: approval.NodeImpact{Node: node, Code: code, Path: path}, capitalized: capitalization == "capitalize"})
		}
		return &list[k]
	}
	for i := range a.accrued {
		if l := &a.accrued[i]; l.Account.OfCharges() {
			find(l.Node, l.NodeCode, l.NodePath, l.Capitalization).Before.AddCents(l.Cents)
		}
	}
	for i := range a.run.Leaves {
		l := &a.run.Leaves[i]
		find(l.Node, l.Code, strings.Join(l.Path, hierarchy.PathSeparator), l.Capitalization).After.AddCents(a.run.Borne[i])
	}
	list = slices.DeleteFunc(list, func(b bearing) bool { return b.Before.Cmp(&b.After) == 0 })
	slices.SortStableFunc(list, func(x, y bearing) int { return cmp.Compare(x.Path, y.Path) })
	return list
}
