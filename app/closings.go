package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/id"
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

	holidays closing.Calendar
}

const maxPeriods = 1200

func readCalendar(tx *db.Tx) (*calendar, error) {
	rows, err := tx.Periods(maxPeriods)
	if err != nil {
		return nil, err
	}
	free, err := holidayCalendar(tx)
	if err != nil {
		return nil, err
	}
	c := &calendar{first: period.MonthOf(tx.Now), stands: map[period.Month]db.PeriodRow{}, holidays: free}
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

// work is a month's checklist as it stands, with all that was signed.
type work struct {
	month    period.Month
	standing period.Standing
	holidays closing.Calendar
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
	w := &work{month: m, standing: cal.at(m), holidays: cal.holidays, bytes: map[closing.Step][]byte{}}
	var err error
	if w.facts, err = c.facts(tx, m, through); err != nil {
		return nil, err
	}
	if w.standing.State.Shut() {
		if err := laterFacts(tx, m, w.facts); err != nil {
			return nil, err
		}
	}
	now := closing.Now{Facts: w.facts, Digests: map[closing.Step][]byte{}, Waived: map[closing.Step]bool{}, Shut: w.standing.State.Shut(), Closed: w.standing.State == period.StateClosed}
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
	if w.standing.State == period.StateClosed {
		return w, nil
	}
	w.blocks = closing.Open(w.steps, w.stage())
	waiting, err := c.openChanges(tx, m)
	if err != nil {
		return nil, err
	}
	for i := range waiting {
		w.blocks = append(w.blocks, closing.Block{
			Code: closing.ChangeBlock + waiting[i].ID.String(), Text: fmt.Sprintf("Change %d would still change the month, and nobody has decided about it.", waiting[i].Number),
		})
	}
	return w, nil
}

// stage is which steps a month has before it that may move on.
func (w *work) stage() closing.Stage {
	if w.standing.State.Shut() {
		return closing.ToClose
	}
	return closing.ToLock
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

// signable refuses to sign a step of a month that does not stand where it is asked for.
func (w *work) signable(d *closing.Definition) error {
	switch state := w.standing.State; {
	case state == period.StateClosing && d.Stage == closing.ToLock, state == period.StateLocked && d.Stage == closing.ToClose:
		return nil
	case state == period.StateOpen:
		return fault.New(fault.KindConflict, "period_open", w.month.String()+" is open: begin to close it first.")
	case d.Stage == closing.ToClose && !state.Shut():
		return fault.New(fault.KindConflict, "period_not_locked", w.month.String()+" is not locked: this step is signed when it is.")
	}
	return fault.New(fault.KindConflict, "period_closed", w.month.String()+" is "+string(w.standing.State)+": have it reopened to sign anything again.")
}

// Tend notes each signature of months that are being closed which counts no more, because a figure
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
			if state := cal.at(m).State; state == period.StateClosing || state == period.StateLocked {
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
