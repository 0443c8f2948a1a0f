package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// Closing is the area of months of the books: their checklist, who signed what, and the
// moves from open to closed and back.
type Closing struct {
	db      *db.DB
	access  *Access
	changes *Changes
	members *Members
}

// NewClosing makes the area.
func NewClosing(d *db.DB, access *Access, changes *Changes, members *Members) *Closing {
	c := &Closing{db: d, access: access, changes: changes, members: members}
	c.govern()
	return c
}

// calendar is how every month of the books stands.
type calendar struct {
	first  period.Month // the earliest that has anything in it
	stands map[period.Month]db.PeriodRow
	months []period.Month // the latest first: from the first to the present one
}

const maxPeriods = 1200

func readCalendar(tx *db.Tx) (*calendar, error) {
	rows, err := tx.Periods(maxPeriods)
	if err != nil {
		return nil, err
	}
	c := &calendar{first: period.MonthOf(tx.Now), stands: map[period.Month]db.PeriodRow{}}
	for i := range rows {
		month := period.MonthOf(rows[i].Month)
		c.stands[month] = rows[i]
		if rows[i].Moves > 0 && month.Start().Before(c.first.Start()) {
			c.first = month
		}
	}
	books, err := tx.BookMonths(tx.Now)
	if err != nil {
		return nil, err
	}
	for i := range books {
		if month := period.MonthOf(books[i].Month); month.Start().Before(c.first.Start()) {
			c.first = month
		}
	}
	for month := period.MonthOf(tx.Now); !month.Start().Before(c.first.Start()) && len(c.months) < maxPeriods; month = month.Previous() {
		c.months = append(c.months, month)
	}
	return c, nil
}

func (c *calendar) at(m period.Month) period.Standing {
	if row, there := c.stands[m]; there {
		return row.Standing()
	}
	return period.Begun()
}

// move is how a month stands after a move.
func (c *calendar) move(m period.Month, to period.State, now time.Time) (period.Standing, error) {
	if !slices.Contains(c.months, m) {
		return period.Standing{}, ErrPeriodAbsent
	}
	return period.Move(m, to, c.first, c.at, now)
}

// ErrPeriodAbsent reports a month of which the books have nothing.
var ErrPeriodAbsent = fault.New(fault.KindNotFound, "period_absent", "The books have no such month.")

// facts are what every step of a month's checklist rests on, from rollups and entries.
func (c *Closing) facts(tx *db.Tx, m period.Month, through time.Time) (map[closing.Step]closing.Facts, error) {
	usage, err := monthUsage(tx, m, through)
	if err != nil {
		return nil, err
	}
	charged, err := tx.ChargedIn(m)
	if err != nil {
		return nil, err
	}
	suspense, capital, err := weighCharges(tx, m, charged)
	if err != nil {
		return nil, err
	}
	accrual, err := monthAccrual(tx, m)
	if err != nil {
		return nil, err
	}
	journal, err := monthJournal(tx, m)
	if err != nil {
		return nil, err
	}
	billed, err := monthInvoices(tx, m)
	if err != nil {
		return nil, err
	}
	found := map[closing.Step]closing.Facts{}
	for _, f := range []closing.Facts{
		closing.UsageFacts(usage), closing.PriceFacts(usage), closing.InvoiceFacts(billed), suspense, closing.AllocationFacts(billed), closing.CapitalFacts(capital), closing.AccrualFacts(accrual),
		closing.JournalFacts(closing.StepJournal, journal), closing.JournalFacts(closing.StepApproved, journal),
	} {
		found[f.Step] = f
	}
	return found, nil
}

func monthUsage(tx *db.Tx, m period.Month, through time.Time) (*closing.Usage, error) {
	row, err := tx.MonthUsage(m)
	if err != nil {
		return nil, err
	}
	u := &closing.Usage{Days: row.Days, Requests: row.Requests, Provisional: row.Provisional, Flushed: !through.Before(m.End())}
	var broken error
	if u.Charges, err = money.SumOfPico(row.ChargePico); err != nil {
		broken = err
	}
	if u.Repriced, err = money.SumOfPico(row.RepricedPico); err != nil {
		broken = errors.Join(broken, err)
	}
	if broken == nil && row.Provisional > 0 {
		u.Unpriced, broken = tx.MonthUnpriced(m)
	}
	return u, broken
}

// weighCharges sums what lies in suspense, and what is capitalized.
func weighCharges(tx *db.Tx, m period.Month, charged []db.NodeMonthRow) (closing.Facts, *closing.Capital, error) {
	tree, err := treeAt(tx, m.End().Add(-time.Microsecond))
	if err != nil {
		return closing.Facts{}, nil, err
	}
	var requests int64
	var suspense money.Sum
	capital := &closing.Capital{}
	seen := map[id.Node]bool{}
	for i := range charged {
		row := &charged[i]
		charge, err := money.SumOfPico(row.ChargePico)
		if err != nil {
			return closing.Facts{}, nil, err
		}
		code := row.Path[strings.LastIndexByte(row.Path, 0x1f)+1:]
		switch {
		case code == hierarchy.SuspenseCode:
			requests += row.Requests
			suspense.AddSum(&charge)
		case row.Capitalization != string(hierarchy.Capitalize):
			capital.Expensed.AddSum(&charge)
		default:
			capital.Capitalized.AddSum(&charge)
			if !seen[row.NodeID] {
				seen[row.NodeID] = true
				capital.Nodes++
				if v, _ := tree.Node(row.NodeID); v.Evidence.AuthorizationDocument == "" {
					capital.Unevidenced = append(capital.Unevidenced, code)
				}
			}
		}
	}
	return closing.SuspenseFacts(requests, &suspense), capital, nil
}

func monthAccrual(tx *db.Tx, m period.Month) (*closing.Accrual, error) {
	proof, err := proveJournal(tx, m)
	if err != nil {
		return nil, err
	}
	a := &closing.Accrual{Days: proof.days, Wrong: proof.wrong, Waiting: proof.waiting, Owed: proof.owed, Rounded: proof.rounded}
	a.Charges.AddSum(&proof.charges)
	a.Basis.AddSum(&proof.basis)
	return a, nil
}

// maxMonthInvoices bounds the invoices of one month.
const maxMonthInvoices = 500

var errInvoicesMany = fault.New(fault.KindConflict, "invoices_many", "The month has more than 500 invoices: what is left out could not be told from what is not there.")

// invoicesOf are the invoices with a day in a month, each in its latest revision.
func invoicesOf(tx *db.Tx, m period.Month) ([]db.InvoiceRow, error) {
	rows, err := tx.Invoices(&db.InvoiceFilter{From: m.Start(), To: m.End(), Standing: true, Limit: maxMonthInvoices + 1})
	if err == nil && len(rows) > maxMonthInvoices {
		err = errInvoicesMany
	}
	return rows, err
}

// monthInvoices are the invoices of usage with a day in a month, as they stand.
func monthInvoices(tx *db.Tx, m period.Month) (*closing.Invoices, error) {
	rows, err := invoicesOf(tx, m)
	if err != nil {
		return nil, err
	}
	v := &closing.Invoices{}
	billed := map[time.Time]bool{}
	h := sha256.New()
	for i := range rows {
		r := &rows[i]
		for day := r.ServiceFrom.UTC(); r.BillsUsage && day.Before(r.ServiceTo); day = day.AddDate(0, 0, 1) {
			billed[day] = true
		}
		if period.MonthOf(r.ServiceTo.UTC().AddDate(0, 0, -1)) != m {
			continue // it is of the month that its cycle ends in
		}
		v.Entered++
		v.Total += money.Cents(r.TotalCents)
		_, _ = h.Write(r.Digest)
		if r.AllocationID == nil {
			v.Waiting = append(v.Waiting, r.Number)
			continue
		}
		v.Allocated++
		v.Residual += money.Cents(r.ResidualCents)
		allocation := r.AllocationID.Bytes()
		_, _ = h.Write(allocation[:])
	}
	v.Digest = hex.EncodeToString(h.Sum(nil))
	for day := m.Start(); day.Before(m.End()); day = day.AddDate(0, 0, 1) {
		if !billed[day] {
			v.Unbilled++
		}
	}
	return v, nil
}

func monthJournal(tx *db.Tx, m period.Month) (*closing.Journal, error) {
	sum, err := tx.JournalSum(m)
	if err != nil {
		return nil, err
	}
	j := &closing.Journal{Entries: sum.Entries, Digest: sum.Digest, Balanced: true}
	rows, err := tx.Balances(m, time.Time{})
	if err != nil {
		return nil, err
	}
	off := map[string]money.Cents{}
	for i := range rows {
		row, err := trialRow(&rows[i])
		if err != nil {
			return nil, err
		}
		j.Debits += row.Debits
		j.Credits += row.Credits
		off[row.Entity+"\x1f"+row.Currency] += row.Closing
	}
	for _, cents := range off {
		j.Balanced = j.Balanced && cents == 0
	}
	return j, nil
}

// work is a month's checklist as it stands, with all that was signed.
type work struct {
	month    period.Month
	standing period.Standing
	facts    map[closing.Step]closing.Facts
	bytes    map[closing.Step][]byte // of the figures, that signatures cover
	signed   []db.SignOffRow         // of every revision
	waivers  []db.WaiverRow
	steps    []closing.Standing
	blocks   []closing.Block // what keeps it from moving on
}

const maxSignOffs = 2000 // of one month, over all its revisions

// working works a month's checklist out.
func (c *Closing) working(tx *db.Tx, cal *calendar, m period.Month, through time.Time) (*work, error) {
	w := &work{month: m, standing: cal.at(m), bytes: map[closing.Step][]byte{}}
	var err error
	if w.facts, err = c.facts(tx, m, through); err != nil {
		return nil, err
	}
	now := closing.Now{Facts: w.facts, Digests: map[closing.Step][]byte{}, Waived: map[closing.Step]bool{}, Shut: w.standing.State.Shut()}
	for step, f := range w.facts {
		if w.bytes[step], err = f.Canonical(m); err != nil {
			return nil, err
		}
		digest := closing.Digest(w.bytes[step])
		now.Digests[step] = digest[:]
	}
	if w.signed, err = tx.SignOffs(m, maxSignOffs); err != nil {
		return nil, err
	}
	for i := range w.signed {
		s := &w.signed[i]
		if s.Revision == w.standing.Revision {
			now.Signatures = append(now.Signatures, closing.Signature{
				Place: s.Place, Step: closing.Step(s.Step), Part: closing.Part(s.Part), Of: s.OfPlace, Person: s.PersonID, Digest: s.Digest, Fell: s.FellAt != nil,
			})
		}
	}
	if w.waivers, err = tx.Waivers(m, w.standing.Revision); err != nil {
		return nil, err
	}
	for i := range w.waivers {
		now.Waived[closing.Step(w.waivers[i].Step)] = true
	}
	if w.standing.State == period.StateClosed {
		if now.Witnessed, err = witnessed(tx, m); err != nil {
			return nil, err
		}
	}
	w.steps = now.Work()
	w.blocks = closing.Open(w.steps)
	waiting, err := c.openChanges(tx, m)
	if err != nil {
		return nil, err
	}
	for i := range waiting {
		w.blocks = append(w.blocks, closing.Block{
			Code: "change:" + waiting[i].ID.String(), Text: fmt.Sprintf("Change %d would still change the month, and nobody has decided about it.", waiting[i].Number),
		})
	}
	return w, nil
}

// witnessed tells whether somebody outside has seen the record of the month's last move.
func witnessed(tx *db.Tx, m period.Month) (bool, error) {
	moves, err := tx.PeriodMoves(m, 1)
	if err != nil || len(moves) == 0 {
		return false, err
	}
	return tx.Outside(moves[0].ChangeID)
}

// step finds a step of the checklist.
func (w *work) step(step closing.Step) (*closing.Standing, error) {
	for i := range w.steps {
		if w.steps[i].Step == step {
			return &w.steps[i], nil
		}
	}
	return nil, closing.ErrStep
}

// openChanges are the changes that wait for a decision and would take effect in a month.
func (c *Closing) openChanges(tx *db.Tx, m period.Month) ([]ChangeView, error) {
	var kinds []string
	for kind, g := range c.changes.governed {
		if g.dated || g.months != nil {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	rows, err := tx.Waiting(kinds, maxWaiting)
	if err != nil {
		return nil, err
	}
	var list []ChangeView
	for i := range rows {
		view, err := changeView(&rows[i])
		if err != nil {
			return nil, err
		}
		g := c.changes.governed[view.Kind]
		months, err := g.touched(tx, view.Change)
		if err != nil {
			return nil, err
		}
		if slices.Contains(months, m) {
			list = append(list, view)
		}
	}
	return list, nil
}

const maxWaiting = 1000

// closing refuses to sign anything of a month that is not closing.
func (w *work) closing() error {
	switch w.standing.State {
	case period.StateClosing:
		return nil
	case period.StateOpen:
		return fault.New(fault.KindConflict, "period_open", w.month.String()+" is open: begin to close it first.")
	case period.StateLocked, period.StateClosed:
	}
	return fault.New(fault.KindConflict, "period_closed", w.month.String()+" is "+string(w.standing.State)+": have it reopened to sign anything again.")
}

// Tend notes each signature of months that are closing which counts no more, because a figure
// it rests on is another one. It tells how many.
func (c *Closing) Tend(ctx context.Context, tenant id.Tenant) (int, error) {
	through, err := flushedThrough(ctx, c.db)
	if err != nil {
		return 0, err
	}
	var months []period.Month
	if err := c.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		cal, err := readCalendar(tx)
		if err != nil {
			return err
		}
		months = nil
		for _, m := range cal.months {
			if cal.at(m).State == period.StateClosing {
				months = append(months, m)
			}
		}
		return nil
	}); err != nil {
		return 0, err
	}
	fell := 0
	for _, m := range months {
		err := c.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
			w, _, err := c.held(tx, m, through)
			if err != nil {
				return err
			}
			n, err := w.falls(tx)
			fell += n
			return err
		})
		if err != nil {
			return fell, err
		}
	}
	return fell, nil
}

// held works a month's checklist out while nobody else signs or moves any.
func (c *Closing) held(tx *db.Tx, m period.Month, through time.Time) (*work, *calendar, error) {
	if err := tx.LockClosing(); err != nil {
		return nil, nil, err
	}
	cal, err := readCalendar(tx)
	if err != nil {
		return nil, nil, err
	}
	if !slices.Contains(cal.months, m) {
		return nil, nil, ErrPeriodAbsent
	}
	w, err := c.working(tx, cal, m, through)
	return w, cal, err
}
