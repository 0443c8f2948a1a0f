package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/reconcile"
	"tollbook/app/usage"
	"tollbook/db"
)

// MaxTrueUp bounds the requests of a day that one change trues up.
const MaxTrueUp = 10_000

var (
	errTrueUpDay   = fault.Invalid("day", "true_up_day", "A day is YYYY-MM-DD, as in 2026-10-31.")
	errTrueUpDated = fault.Invalid("effective_from", "true_up_dated", "Streams are trued up when it is decided: leave the date out.")
	errTrueUpEarly = fault.New(fault.KindConflict, "day_provisional", "One side does not have all of the day yet: what broke off is trued up when both have.")
	errTrueUpNone  = fault.New(fault.KindConflict, "true_up_none", "Nothing of this day waits for a true-up: no request broke off, or each was trued up before.")
	errTrueUpMany  = fault.New(fault.KindConflict, "true_up_many", fmt.Sprintf("More than %d requests of this day broke off. That is no day to true up at once: look at what happened.", MaxTrueUp))
	errTrueUpMoved = fault.New(fault.KindConflict, "true_up_moved", "The day was reconciled again, or its requests changed, since this was proposed. Look at the day and propose it again.")
)

// lockTrueUp holds what a true-up changes, and keeps a reconciliation from being made of what
// was there before it.
func lockTrueUp(tx *db.Tx) error {
	if err := tx.LockAdjustments(); err != nil {
		return err
	}
	return tx.LockReconciliation()
}

type trueUpAsk struct {
	Day string `json:"day"`
}

// AskTrueUp is the proposal to charge what the provider counted of a day's streams that broke
// off, as its reconciliation that counts has it.
func AskTrueUp(day time.Time, reason string) Ask {
	return ask(changeTrueUp, reason, trueUpAsk{Day: dateText(day)})
}

// trueUpDocument is what a change says that trues up a day.
type trueUpDocument struct {
	Day            string   `json:"day"`
	Reconciliation int64    `json:"reconciliation"`
	Run            string   `json:"reconciliation_id"`
	Requests       int      `json:"requests"`
	Items          int      `json:"items"`
	Amount         string   `json:"amount"` // US dollars, exact
	Periods        []string `json:"periods"`
	Posting        []string `json:"posted_to"`
	Posted         string   `json:"adjustments_sha256"` // of what is posted, request by request
}

// trueUpMonths are the months whose books a change alters.
func trueUpMonths(_ *db.Tx, c approval.Change) ([]period.Month, error) {
	var said trueUpDocument
	if err := stored(c, &said); err != nil {
		return nil, err
	}
	return period.ParseMonths(said.Posting)
}

// truing is a day's true-up as it would be posted now.
type truing struct {
	day     time.Time
	run     db.RunRow
	items   []reconcile.Item
	list    []db.Adjusted
	into    map[period.Month]period.Month // the months of requests, and where they are posted
	claimed int                           // items that are posted
	amount  money.Sum
}

// posted says where what is of a month is posted now; it holds no month.
func posted(tx *db.Tx, of period.Month) (period.Month, error) {
	var failed error
	into, err := period.Posting(of, func(m period.Month) period.State {
		state, err := tx.PeriodState(m)
		failed = errors.Join(failed, err)
		return state
	})
	return into, errors.Join(failed, err)
}

// trueUp works out what a day's streams that broke off come to by its reconciliation. Who posts
// it holds the months that it is posted to (postingMonth); who looks at it does not (posted).
func trueUp(tx *db.Tx, day time.Time, posting func(*db.Tx, period.Month) (period.Month, error)) (*truing, error) {
	t := &truing{day: day, into: map[period.Month]period.Month{}}
	var found bool
	var err error
	if t.run, found, err = tx.LastRun(day); err != nil {
		return nil, err
	}
	switch {
	case !found:
		return nil, errNoRun
	case t.run.State == string(reconcile.StateProvisional):
		return nil, errTrueUpEarly
	}
	if t.items, err = tx.RunItems(t.run.RunID); err != nil {
		return nil, err
	}
	rows, err := tx.LooseStreams(day, day.Add(oneDay), MaxTrueUp+1)
	if err != nil {
		return nil, err
	}
	if len(rows) > MaxTrueUp {
		return nil, errTrueUpMany
	}
	streams := make([]reconcile.Stream, len(rows))
	for i := range rows {
		streams[i] = rows[i].Stream()
	}
	gains, err := reconcile.TrueUp(t.items, streams)
	if errors.Is(err, reconcile.ErrNoStream) {
		return nil, errTrueUpNone
	}
	if err != nil {
		return nil, err
	}
	if err := t.restate(tx, rows, gains, posting); err != nil {
		return nil, err
	}
	if len(t.list) == 0 {
		return nil, errTrueUpNone
	}
	return t, nil
}

// open tells of which models the day's reconciliation left something open with the gateway's
// key: what of them broke off without an item of its own is not settled by it.
func (t *truing) open() map[string]bool {
	open := map[string]bool{}
	for i := range t.items {
		switch it := &t.items[i]; it.Class {
		case reconcile.ClassUnknown, reconcile.ClassLate, reconcile.ClassMissingAtProvider, reconcile.ClassMissingWithUs, reconcile.ClassTier:
			open[it.Cell.Model] = open[it.Cell.Model] || it.Cell.Surface == reconcile.SurfaceGateway
		case reconcile.ClassAborted, reconcile.ClassBypass, reconcile.ClassUnknownPrice, reconcile.ClassMeter, reconcile.ClassPrice, reconcile.ClassFee, reconcile.ClassCredit,
			reconcile.ClassRounding, reconcile.ClassReports, reconcile.ClassSeveral:
		}
	}
	return open
}

// restate makes what is posted of each request: the figures of its gains, and that it is final
// where its own month takes it. Without any gain the provider counts just what was recorded.
func (t *truing) restate(tx *db.Tx, rows []db.StreamRow, gains []reconcile.Gain, posting func(*db.Tx, period.Month) (period.Month, error)) error {
	bps, err := discountOf(tx, t.day)
	if err != nil {
		return err
	}
	claimed := map[int]bool{}
	byStream := make([][]reconcile.Gain, len(rows))
	for _, g := range gains {
		byStream[g.Stream] = append(byStream[g.Stream], g)
		claimed[g.Item] = true
	}
	t.claimed = len(claimed)
	open := t.open()
	for i := range rows {
		row := &rows[i].LyingRow
		month := period.MonthOf(row.PostingPeriod)
		if _, known := t.into[month]; !known {
			if t.into[month], err = posting(tx, month); err != nil {
				return err
			}
		}
		own := t.into[month] == month
		if len(byStream[i]) == 0 && (!own || open[row.Model]) {
			continue
		}
		one, err := t.gained(row, byStream[i], bps, own)
		if err != nil {
			return err
		}
		if len(one.Lines) > 0 {
			t.list = append(t.list, one)
		}
	}
	return nil
}

// gained is one request with what it gains.
func (t *truing) gained(row *db.LyingRow, gains []reconcile.Gain, bps int64, own bool) (db.Adjusted, error) {
	was, err := row.Lying()
	if err != nil {
		return db.Adjusted{}, err
	}
	now := attribution.Lying{Measured: was.Measured, Shares: was.Shares}
	if own {
		now.State = usage.StateComplete
	}
	one := db.Adjusted{Was: row}
	for i := range gains {
		g := &gains[i]
		amount, err := g.Amount.Pico()
		if err != nil {
			return one, err
		}
		list, err := g.List.Pico()
		if err != nil {
			return one, err
		}
		if now.Charge, err = now.Charge.Plus(amount); err != nil {
			return one, err
		}
		for class := range usage.ClassCount {
			if class.String() == string(g.Meter) {
				if now.Classes[class], err = now.Classes[class].Plus(amount); err != nil {
					return one, err
				}
				if now.Classes[class] < 0 {
					return one, errTrueUpMoved // less than nothing is charged for nothing
				}
			}
		}
		t.amount.Add(amount)
		one.TrueUp = append(one.TrueUp, db.TrueUp{Run: t.run.RunID.UUID(), Place: g.Item + 1, Quantity: g.Quantity, List: int64(list), Amount: int64(amount), DiscountBps: bps})
	}
	one.Now = now
	one.Lines, err = attribution.Restate(&was, &now)
	if err != nil {
		return one, fmt.Errorf("restate %s: %w", row.EventID, err)
	}
	if len(one.Lines) == 0 && len(one.TrueUp) > 0 {
		// A count without money, in a month that is not its own: what was there leaves and comes.
		return one, t.same(&one, &was)
	}
	return one, nil
}

// same posts a request as it is: only what it was counted for is new.
func (t *truing) same(one *db.Adjusted, was *attribution.Lying) error {
	parts, err := attribution.Portions(&was.Measured, was.Shares)
	if err != nil {
		return err
	}
	for i := range parts {
		one.Lines = append(one.Lines, parts[i].Leaving())
	}
	one.Lines = append(one.Lines, parts...)
	return nil
}

// discountOf is the contracted discount of a day, as its reconciliation takes it.
func discountOf(tx *db.Tx, day time.Time) (int64, error) {
	version, _, err := tx.PriceStanding()
	if err != nil {
		return 0, err
	}
	document, err := tx.PriceDocument(version)
	if err != nil {
		return 0, err
	}
	book, err := pricing.Parse(document)
	if err != nil {
		return 0, fmt.Errorf("read price book %d: %w", version, err)
	}
	return book.DiscountAt(day), nil
}

// document is what a change says of it.
func (t *truing) document() (trueUpDocument, error) {
	d := trueUpDocument{
		Day: dateText(t.day), Reconciliation: t.run.Number, Run: t.run.RunID.String(), Requests: len(t.list), Items: t.claimed, Amount: t.amount.String(), Periods: []string{}, Posting: []string{},
	}
	for i := range t.list {
		month := period.MonthOf(t.list[i].Was.PostingPeriod)
		for into, text := range map[*[]string]string{&d.Periods: month.String(), &d.Posting: t.into[month].String()} {
			if !slices.Contains(*into, text) {
				*into = append(*into, text)
			}
		}
	}
	slices.Sort(d.Periods)
	slices.Sort(d.Posting)
	type row struct {
		Event    string      `json:"event"`
		Sequence int         `json:"sequence"`
		State    string      `json:"state"`
		Gains    []db.TrueUp `json:"gains"`
	}
	list := make([]row, 0, len(t.list))
	for i := range t.list {
		one := &t.list[i]
		list = append(list, row{Event: one.Was.EventID.String(), Sequence: one.Was.Sequence + 1, State: string(one.Now.State), Gains: one.TrueUp})
	}
	whole, err := json.Marshal(list)
	if err != nil {
		return d, fmt.Errorf("encode a true-up: %w", err)
	}
	d.Posted = hexDigest(whole)
	return d, nil
}

func (a *Adjustments) draftTrueUp(tx *db.Tx, _ Actor, payload []byte, from time.Time) (draft, error) {
	var asked trueUpAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if !from.IsZero() {
		return draft{}, errTrueUpDated
	}
	day, err := time.Parse(time.DateOnly, asked.Day)
	if err != nil {
		return draft{}, errTrueUpDay
	}
	t, err := trueUp(tx, day, posted)
	if err != nil {
		return draft{}, err
	}
	said, err := t.document()
	return draft{payload: said}, err
}

// proposedTrueUp reads what a change says, and works it out again: what its approver looked at
// is what is posted, or nothing.
func proposedTrueUp(tx *db.Tx, c *approval.Change, posting func(*db.Tx, period.Month) (period.Month, error)) (*truing, error) {
	var said trueUpDocument
	if err := stored(*c, &said); err != nil {
		return nil, err
	}
	day, err := time.Parse(time.DateOnly, said.Day)
	if err != nil {
		return nil, errTrueUpDay
	}
	t, err := trueUp(tx, day, posting)
	if err != nil {
		return nil, err
	}
	now, err := t.document()
	if err != nil {
		return nil, err
	}
	if t.run.Number != said.Reconciliation || now.Posted != said.Posted {
		return nil, errTrueUpMoved
	}
	return t, nil
}

// applyTrueUp posts what an approved change says, and has the day reconciled again.
func (a *Adjustments) applyTrueUp(tx *db.Tx, c approval.Change) error {
	t, err := proposedTrueUp(tx, &c, postingMonth)
	if err != nil {
		return err
	}
	if err := a.postInto(tx, db.AdjustTrueUp, c.ID, t.list, t.into); err != nil {
		return err
	}
	return dueReconciliations(tx, t.day, false)
}

// trueUpImpact is what each node is charged of it.
func (a *Adjustments) trueUpImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	t, err := proposedTrueUp(tx, &c, posted)
	if err != nil {
		return approval.Impact{}, err
	}
	places, err := placements(tx)
	if err != nil {
		return approval.Impact{}, err
	}
	said, err := t.document()
	if err != nil {
		return approval.Impact{}, err
	}
	s := &selection{places: places}
	out := approval.Impact{Month: said.Posting[len(said.Posting)-1], Exact: true}
	nodes := map[id.Node]*approval.NodeImpact{}
	for i := range t.list {
		for j := range t.list[i].Lines {
			s.weigh(&out, nodes, nil, &t.list[i].Lines[j])
		}
	}
	out.Moved.AddSum(&t.amount)
	for _, n := range nodes {
		out.Touches = append(out.Touches, n.Node)
		if n.Before.Cmp(&n.After) != 0 {
			out.Nodes = append(out.Nodes, *n)
		}
	}
	slices.SortFunc(out.Touches, func(x, y id.Node) int { return strings.Compare(x.UUID(), y.UUID()) })
	slices.SortFunc(out.Nodes, func(x, y approval.NodeImpact) int {
		return cmp.Or(strings.Compare(x.Path, y.Path), strings.Compare(x.Node.UUID(), y.Node.UUID()))
	})
	out.Sentence = fmt.Sprintf("%s of %s that broke off, trued up by $%s to what the provider counted, as reconciliation %d found.", requestsWords(len(t.list)), said.Day, t.amount.String(), t.run.Number)
	for month, into := range t.into {
		if month != into {
			out.Sentence += fmt.Sprintf(" %s is closed: its part is posted to %s, and names it.", month, into)
		}
	}
	return out, nil
}

func requestsWords(n int) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}
