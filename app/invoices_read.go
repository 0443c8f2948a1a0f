package app

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"tollbook/app/allocation"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// InvoiceView is an invoice in a list, and what became of it.
type InvoiceView struct {
	invoice.Invoice

	ID           id.Invoice
	Revision     int
	LineCount    int
	Digest       string // SHA-256 of the bytes that its record covers
	Change       id.Change
	ChangeNumber int64
	Maker        string
	Record       id.Record
	RecordedAt   time.Time
	Superseded   bool
	Allocation   id.Allocation // zero: none stands
	Entry        id.Entry      // zero: nothing differed, or it is not booked
	EntryNumber  int64
	Residual     money.Cents // of the allocation that stands
	PaperName    string      // empty: none came with it
	PaperHash    string
	PaperBytes   int
}

// Allocated tells whether the invoice is booked.
func (v *InvoiceView) Allocated() bool { return !v.Allocation.IsZero() }

// Through is the last day the invoice bills.
func (v *InvoiceView) Through() time.Time { return v.To.AddDate(0, 0, -1) }

func invoiceView(r *db.InvoiceRow) InvoiceView {
	view := InvoiceView{
		Invoice: r.Invoice(), ID: r.InvoiceID, Revision: r.Revision, LineCount: r.Lines, Digest: hex.EncodeToString(r.Digest), Change: r.ChangeID, ChangeNumber: r.ChangeNumber, Maker: r.Maker,
		Record: r.RecordID, RecordedAt: r.RecordedAt.UTC(), Superseded: r.Superseded, EntryNumber: r.EntryNumber, Residual: money.Cents(r.ResidualCents),
		PaperName: r.PaperName, PaperHash: hex.EncodeToString(r.PaperHash), PaperBytes: r.PaperBytes,
	}
	if r.AllocationID != nil {
		view.Allocation = *r.AllocationID
	}
	if r.EntryID != nil {
		view.Entry = *r.EntryID
	}
	return view
}

// mayRead refuses whoever may not see every node's lines.
func (v *Invoices) mayRead(who Actor) error {
	if err := v.access.Check(who, "invoice", "read"); err != nil {
		return err
	}
	if v.access.Scope(who, "invoice", "read") != nil {
		return ErrNotAllowed
	}
	return nil
}

// InvoiceQuery narrows the list of invoices.
type InvoiceQuery struct {
	Month  period.Month // that their cycle has a day in; zero: all
	Before string       // cursor; empty: the newest
	Limit  int
}

// InvoicePage is invoices, the one issued last first.
type InvoicePage struct {
	Invoices []InvoiceView
	Next     string // cursor of the next page; empty: there is none
}

// List lists invoices.
func (v *Invoices) List(ctx context.Context, who Actor, q InvoiceQuery) (InvoicePage, error) {
	var page InvoicePage
	if err := v.mayRead(who); err != nil {
		return page, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultEntries
	}
	q.Limit = min(q.Limit, MaxRows)
	filter := db.InvoiceFilter{Limit: q.Limit + 1}
	if q.Month != (period.Month{}) {
		filter.From, filter.To = q.Month.Start(), q.Month.End()
	}
	if q.Before != "" {
		day, of, found := strings.Cut(q.Before, "~")
		var err, other error
		filter.Before, err = time.Parse(time.DateOnly, day)
		if filter.BeforeID, other = id.ParseInvoice(of); !found || err != nil || other != nil {
			return page, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	err := v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Invoices(&filter)
		if len(rows) > q.Limit {
			rows = rows[:q.Limit]
			last := &rows[q.Limit-1]
			page.Next = dateText(last.IssuedOn) + "~" + last.InvoiceID.String()
		}
		for i := range rows {
			page.Invoices = append(page.Invoices, invoiceView(&rows[i]))
		}
		return err
	})
	return page, err
}

// BearerView is a node with what it bears of an invoice, itself and below it.
type BearerView struct {
	Code, Path     string
	Depth          int
	Entity         string
	GLAccount      string
	Capitalization string
	Charge         money.Sum   // exact, of the cycle, its own
	Accrued        money.Cents // booked for it before the invoice, its own
	Own            money.Cents
	Rolled         money.Cents
}

// ShareView is what a node bears of one line.
type ShareView struct {
	Line   int // of the invoice, from 1
	Code   string
	Path   string
	Entity string
	Weight string
	Amount money.Cents
}

// InvoiceShown is one invoice with all there is of it.
type InvoiceShown struct {
	InvoiceView

	Match     invoice.Match
	Parts     []invoice.Part
	Rules     allocation.Rules // it would be, or was, split by
	Bearers   []BearerView
	Shares    []ShareView
	More      bool          // there are more shares than shown
	Booking   []ledger.Line // lines of the entry it would make; nil where it is booked
	Posting   period.Month  // where
	Owed      money.Cents   // accrued for its cycle
	Refused   *fault.Fault  // why it cannot be booked now; nil: it can
	Waiting   []ChangeBrief // changes that would book it, while somebody decides
	Revisions []InvoiceView // of its number, the latest first
}

// ChangeBrief names a change.
type ChangeBrief struct {
	ID     id.Change
	Number int64
}

// maxShown bounds the shares a page lists; the file has all.
const maxShown = 500

// Show shows one invoice: as it is booked, or as it would be now.
func (v *Invoices) Show(ctx context.Context, who Actor, of id.Invoice) (InvoiceShown, error) {
	return v.show(ctx, who, of, maxShown)
}

// ShowWhole is Show with every share.
func (v *Invoices) ShowWhole(ctx context.Context, who Actor, of id.Invoice) (InvoiceShown, error) {
	return v.show(ctx, who, of, maxAllShares)
}

// maxAllShares is more than any allocation has.
const maxAllShares = 1_000_000

func (v *Invoices) show(ctx context.Context, who Actor, of id.Invoice, limit int) (InvoiceShown, error) {
	var shown InvoiceShown
	if err := v.mayRead(who); err != nil {
		return shown, err
	}
	err := v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		a, err := allocate(tx, of)
		if err != nil {
			return err
		}
		shown.InvoiceView = invoiceView(&a.row)
		shown.Invoice, shown.Match, shown.Parts, shown.Rules, shown.Owed = a.invoice, a.match, a.parts, a.rules, a.owed()
		if err := shown.refused(tx, a); err != nil {
			return err
		}
		if !shown.Allocated() {
			shown.Booking = a.lines
		}
		shown.bearers(a)
		shown.shares(a, limit)
		same, err := tx.Invoices(&db.InvoiceFilter{Workspace: a.invoice.Workspace, Number: a.invoice.Number, Limit: maxRevisions})
		for i := range same {
			shown.Revisions = append(shown.Revisions, invoiceView(&same[i]))
		}
		return err
	})
	return shown, err
}

// refused fills in whether the invoice can be booked, and where.
func (s *InvoiceShown) refused(tx *db.Tx, a *allocating) error {
	if err := a.refused(tx.Now); err != nil {
		s.Refused = fault.From(err)
	}
	var err error
	if s.Posting, err = posted(tx, a.month(tx.Now)); err != nil {
		return err
	}
	waiting, err := tx.Waiting([]string{changeAllocation}, maxWaitingAllocations)
	if err != nil {
		return err
	}
	for i := range waiting {
		c, err := changeView(&waiting[i])
		if err != nil {
			return err
		}
		var doc allocationDocument
		if err := stored(c.Change, &doc); err != nil {
			return err
		}
		if doc.Invoice == a.row.InvoiceID.String() {
			s.Waiting = append(s.Waiting, ChangeBrief{c.ID, c.Number})
		}
	}
	return nil
}

// maxWaitingAllocations bounds how many are looked through.
const maxWaitingAllocations = 500

// booked takes the stored run, whatever would be made now.
func (a *allocating) booked(tx *db.Tx, of id.Allocation) error {
	rows, err := tx.Shares(of, maxAllShares)
	if err != nil {
		return err
	}
	at := map[string]int{}
	run := allocation.Run{Residual: money.Cents(a.row.ResidualCents)}
	for i := range rows {
		r := &rows[i]
		key := r.NodeID.UUID() + r.Capitalization + r.Entity
		k, there := at[key]
		if !there {
			k = len(run.Leaves)
			at[key] = k
			run.Leaves = append(run.Leaves, allocation.Leaf{
				Node: r.NodeID, Code: r.NodeCode, Path: strings.Split(r.NodePath, hierarchy.PathSeparator), Entity: r.Entity, GLAccount: r.GLAccount, Capitalization: r.Capitalization,
				Suspense: r.NodeCode == hierarchy.SuspenseCode,
			})
			run.Borne = append(run.Borne, 0)
		}
		weight, err := money.SumOfPico(r.Weight)
		if err != nil {
			return err
		}
		if l := &a.invoice.Lines[r.InvoicePlace-1]; l.Node == "" && r.Weight != "1" && a.rules.Of(string(l.Kind)).Method == allocation.Proportional {
			run.Leaves[k].Charge = weight // what weighed was what it was charged; 1 is what suspense weighs
		}
		run.Shares = append(run.Shares, allocation.Share{Line: r.InvoicePlace - 1, Leaf: k, Weight: weight, Amount: money.Cents(r.Cents)})
		run.Borne[k] += money.Cents(r.Cents)
	}
	a.run = run
	return nil
}

// bearers lays what leaves bear on the tree: each node with its own and what lies below it.
func (s *InvoiceShown) bearers(a *allocating) {
	at := map[string]int{}
	place := func(path []string) *BearerView {
		key := strings.Join(path, hierarchy.PathSeparator)
		k, there := at[key]
		if !there {
			k = len(s.Bearers)
			at[key] = k
			s.Bearers = append(s.Bearers, BearerView{Code: path[len(path)-1], Path: key, Depth: len(path) - 1})
		}
		return &s.Bearers[k]
	}
	for i := range a.run.Leaves {
		l := &a.run.Leaves[i]
		if a.run.Borne[i] == 0 && l.Charge.Sign() == 0 {
			continue
		}
		for depth := range l.Path {
			place(l.Path[:depth+1]).Rolled += a.run.Borne[i]
		}
		b := place(l.Path)
		b.Own += a.run.Borne[i]
		b.Charge.AddSum(&l.Charge)
		b.Entity, b.GLAccount, b.Capitalization = l.Entity, l.GLAccount, l.Capitalization
	}
	for i := range a.accrued {
		if l := &a.accrued[i]; l.Account.OfCharges() && l.NodePath != "" {
			place(strings.Split(l.NodePath, hierarchy.PathSeparator)).Accrued += l.Cents
		}
	}
	slices.SortFunc(s.Bearers, func(x, y BearerView) int { return cmp.Compare(x.Path, y.Path) })
}

func (s *InvoiceShown) shares(a *allocating, limit int) {
	for i := range a.run.Shares {
		if i == limit {
			s.More = true
			return
		}
		one := &a.run.Shares[i]
		l := &a.run.Leaves[one.Leaf]
		s.Shares = append(s.Shares, ShareView{Line: one.Line + 1, Code: l.Code, Path: strings.Join(l.Path, hierarchy.PathSeparator), Entity: l.Entity, Weight: one.Weight.Digits(), Amount: one.Amount})
	}
	s.Residual = a.run.Residual
}

// Paper is the file that came with an invoice.
func (v *Invoices) Paper(ctx context.Context, who Actor, of id.Invoice) (name, mediaType string, content []byte, err error) {
	if err := v.mayRead(who); err != nil {
		return "", "", nil, err
	}
	err = v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		paper, found, err := tx.Paper(of)
		if err == nil && !found {
			err = fault.New(fault.KindNotFound, "invoice_paper_absent", "No file came with this invoice.")
		}
		name, mediaType, content = paper.Name, paper.MediaType, paper.Content
		return err
	})
	return name, mediaType, content, err
}

// Entered lists the invoices that a change entered.
func (v *Invoices) Entered(ctx context.Context, who Actor, change id.Change) ([]InvoiceView, error) {
	if err := v.mayRead(who); err != nil {
		return nil, err
	}
	var list []InvoiceView
	err := v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Invoices(&db.InvoiceFilter{Change: change, Limit: maxRevisions})
		for i := range rows {
			list = append(list, invoiceView(&rows[i]))
		}
		return err
	})
	return list, err
}
