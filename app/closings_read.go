package app

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"tollbook/app/closing"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// PeriodView is a month in the list of them.
type PeriodView struct {
	Month     period.Month
	Standing  period.Standing
	ChangedAt time.Time // zero: nobody has moved it
	Charges   money.Sum
	Requests  int64
	// Over and All count the steps of the checklist that are asked for before the month is shut.
	Over, All int
	Due       time.Time // the day the last of them is due
}

// CloseStep is a step with who signed it.
type CloseStep struct {
	closing.Standing

	DueOn    time.Time
	Digest   string // of its figures, in hexadecimal
	Preparer *SignView
	Checker  *SignView
	Fallen   []SignView // that counted once, the latest first
	Waiver   *WaiverView
}

// SignView is a signature.
type SignView struct {
	Place    int
	Part     closing.Part
	By       Hand
	At       time.Time
	Note     string
	Digest   string
	Figures  []closing.Figure // that were signed
	Record   id.Record
	FellAt   time.Time // zero: it counts, or its fall is not noted yet
	Cause    string    // of its fall
	Revision int
	Mine     bool
}

// WaiverView is why a step does not apply.
type WaiverView struct {
	Change id.Change
	Number int64
	Reason string
}

// MoveView is one move of a month.
type MoveView struct {
	From, To period.State
	Revision int
	By       Hand
	Reason   string
	Change   id.Change
	At       time.Time
}

// FreezeView is the figures that were kept of a revision.
type FreezeView struct {
	Revision int
	Requests int64
	Charges  money.Sum
	Owed     money.Cents
	Digest   string
	Change   id.Change
	At       time.Time
	Agrees   bool // with what the books say of the month now
}

// CloseView is a month's close.
type CloseView struct {
	PeriodView

	Steps   []CloseStep
	Blocks  []closing.Block // what keeps it from being shut
	Moves   []MoveView      // the latest first
	Freezes []FreezeView    // the latest revision first
	Waiting []ChangeView    // moves and waivers of it that nobody decided about yet
	// Cause is why the next move may not be made, apart from the blocks; empty: it may.
	Cause string
}

const (
	maxMoves   = 200
	maxFreezes = 50
	// listedMonths is how many months the list works out, whose checklists are open.
	listedMonths = 24
)

// Months lists the months of the books, the latest first.
func (c *Closing) Months(ctx context.Context, who Actor) ([]PeriodView, error) {
	if err := c.access.Check(who, "period", "read"); err != nil {
		return nil, err
	}
	through, err := flushedThrough(ctx, c.db)
	if err != nil {
		return nil, err
	}
	var list []PeriodView
	err = c.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		list = nil
		cal, err := readCalendar(tx)
		if err != nil {
			return err
		}
		for i, m := range cal.months {
			if i == listedMonths {
				break
			}
			w := &work{month: m, standing: cal.at(m), holidays: cal.holidays}
			w.steps = (&closing.Now{Shut: w.standing.State.Shut(), Closed: w.standing.State == period.StateClosed}).Work()
			if w.standing.State == period.StateClosing || w.standing.State == period.StateLocked { // of the others the state says it all
				if w, err = c.working(tx, cal, m, through); err != nil {
					return err
				}
			}
			view, err := c.periodView(tx, cal, w)
			if err != nil {
				return err
			}
			list = append(list, view)
		}
		return nil
	})
	return list, err
}

func (c *Closing) periodView(tx *db.Tx, cal *calendar, w *work) (PeriodView, error) {
	view := PeriodView{Month: w.month, Standing: w.standing}
	if row, there := cal.stands[w.month]; there && row.Moves > 0 {
		view.ChangedAt = row.ChangedAt.UTC()
	}
	row, err := tx.MonthUsage(w.month)
	if err != nil {
		return view, err
	}
	view.Requests = row.Requests
	if view.Charges, err = money.SumOfPico(row.ChargePico); err != nil {
		return view, err
	}
	view.Over, view.All = closing.Progress(w.steps)
	for i := range w.steps {
		if due := w.steps[i].Due(w.month, w.holidays); due.After(view.Due) {
			view.Due = due
		}
	}
	return view, nil
}

// Month is a month's close, whole.
func (c *Closing) Month(ctx context.Context, who Actor, m period.Month) (CloseView, error) {
	var view CloseView
	if err := c.access.Check(who, "period", "read"); err != nil {
		return view, err
	}
	through, err := flushedThrough(ctx, c.db)
	if err != nil {
		return view, err
	}
	err = c.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		cal, err := readCalendar(tx)
		if err != nil {
			return err
		}
		if !slices.Contains(cal.months, m) {
			return ErrPeriodAbsent
		}
		w, err := c.working(tx, cal, m, through)
		if err != nil {
			return err
		}
		view = CloseView{Blocks: w.blocks}
		if view.PeriodView, err = c.periodView(tx, cal, w); err != nil {
			return err
		}
		if next := w.standing.State.Forward(); next != "" {
			if _, err := cal.move(m, next, tx.Now); err != nil {
				view.Cause = err.Error()
			}
		}
		return c.fill(tx, who, w, &view)
	})
	return view, err
}

// fill reads who did what.
func (c *Closing) fill(tx *db.Tx, who Actor, w *work, view *CloseView) error {
	moves, err := tx.PeriodMoves(w.month, maxMoves)
	if err != nil {
		return err
	}
	var actors []string
	for i := range w.signed {
		actors = append(actors, w.signed[i].MemberID.String())
	}
	for i := range moves {
		actors = append(actors, moves[i].Actor)
	}
	hands, err := c.members.hands(tx, actors)
	if err != nil {
		return err
	}
	for i := range moves {
		r := &moves[i]
		view.Moves = append(view.Moves, MoveView{
			From: period.State(r.FromState), To: period.State(r.ToState), Revision: r.Revision, By: hands[r.Actor], Reason: r.Reason, Change: r.ChangeID, At: r.MovedAt.UTC(),
		})
	}
	if err := w.sheet(who, hands, view); err != nil {
		return err
	}
	if view.Freezes, err = frozen(tx, w, view); err != nil {
		return err
	}
	view.Waiting, err = c.waiting(tx, w.month)
	return err
}

// sheet lays the checklist out with its signatures.
func (w *work) sheet(who Actor, hands map[string]Hand, view *CloseView) error {
	for i := range w.steps {
		one := CloseStep{Standing: w.steps[i], DueOn: w.steps[i].Due(w.month, w.holidays)}
		if b, there := w.bytes[one.Step]; there {
			digest := closing.Digest(b)
			one.Digest = hex.EncodeToString(digest[:])
		}
		for k := range w.signed {
			r := &w.signed[k]
			if closing.Step(r.Step) != one.Step {
				continue
			}
			sign := SignView{
				Place: r.Place, Part: closing.Part(r.Part), By: hands[r.MemberID.String()], At: r.SignedAt.UTC(), Note: r.Note, Digest: hex.EncodeToString(r.Digest), Record: r.RecordID,
				Cause: r.Cause, Revision: r.Revision, Mine: !who.Person.IsZero() && r.PersonID == who.Person,
			}
			if r.FellAt != nil {
				sign.FellAt = r.FellAt.UTC()
			}
			var err error
			if sign.Figures, err = closing.FiguresOf(r.Facts); err != nil {
				return err
			}
			switch r.Place {
			case one.Prepared:
				one.Preparer = &sign
			case one.Reviewed:
				one.Checker = &sign
			default:
				one.Fallen = append([]SignView{sign}, one.Fallen...)
			}
		}
		for k := range w.waivers {
			if r := &w.waivers[k]; closing.Step(r.Step) == one.Step {
				one.Waiver = &WaiverView{Change: r.ChangeID, Number: r.Number, Reason: r.Reason}
			}
		}
		view.Steps = append(view.Steps, one)
	}
	return nil
}

// frozen reads what was kept of a month, and whether the books still say so.
func frozen(tx *db.Tx, w *work, view *CloseView) ([]FreezeView, error) {
	rows, err := tx.Freezes(w.month, maxFreezes)
	if err != nil {
		return nil, err
	}
	var list []FreezeView
	for i := range rows {
		r := &rows[i]
		one := FreezeView{Revision: r.Revision, Requests: r.Requests, Owed: money.Cents(r.Cents), Digest: hex.EncodeToString(r.Digest), Change: r.ChangeID, At: r.FrozenAt.UTC()}
		if one.Charges, err = money.SumOfPico(r.ChargePico); err != nil {
			return nil, err
		}
		one.Agrees = one.Requests == view.Requests && one.Charges.Cmp(&view.Charges) == 0
		list = append(list, one)
	}
	return list, nil
}

// waiting are the moves and waivers of a month that nobody decided about yet.
func (c *Closing) waiting(tx *db.Tx, m period.Month) ([]ChangeView, error) {
	rows, err := tx.Waiting([]string{changeSoftClose, changeClose, changeReopen, changeWaiver}, maxWaiting)
	if err != nil {
		return nil, err
	}
	var list []ChangeView
	for i := range rows {
		view, err := changeView(&rows[i])
		if err != nil {
			return nil, err
		}
		var doc struct {
			Period string `json:"period"`
		}
		if err := stored(view.Change, &doc); err != nil {
			return nil, err
		}
		if doc.Period == m.String() {
			list = append(list, view)
		}
	}
	return list, nil
}
