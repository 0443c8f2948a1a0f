package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/provider"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// ReconciledDay is one day as it was last reconciled.
type ReconciledDay struct {
	Day        time.Time
	State      reconcile.State
	Run        id.Run // zero: it was not reconciled
	Number     int64
	Ours       money.Sum // net, what the ledger charged
	Listed     money.Sum // the same at list price
	Billed     money.Sum // what the provider reports to be paid
	ListPrice  money.Sum // the same at list price
	Difference money.Sum
	// Unexplained is the amount of what is unknown, Gross the same without signs.
	Unexplained, Gross         money.Sum
	OurRequests, TheirRequests int64
	OurTokens, TheirTokens     int64
	Coverage                   []reconcile.Coverage
	Bps                        int64 // of all traffic that passed the gateway; -1: there was none
	Open                       int   // variances that are not resolved
	Tolerance                  reconcile.Tolerance
	ToleranceVersion           int // 0: the standard one
	Digest                     string
	Record                     id.Record
	At                         time.Time
	Preparer, Reviewer         *SignedOff // nil: nobody, of these figures
	UsageBatches               int64
	AdjustmentBatches          int64
	usagePull, costPull        string
}

// SignedOff is who signed a day, and when.
type SignedOff struct {
	Hand   Hand
	At     time.Time
	Change id.Change
}

// Calendar is the days of a month.
type Calendar struct {
	Month period.Month
	Days  []ReconciledDay // each that is over or begun, in order
	Total ReconciledDay   // amounts of all
	// Simulated says that the reports come from an address that is not Anthropic's; Sourced that
	// they come from anywhere.
	Simulated, Sourced bool
	Tolerance          reconcile.Tolerance // in force
	ToleranceVersion   int
	FirstDay           time.Time // that is pulled
	// Elsewhere is what was stated to be spent without passing the gateway, and is in no figure.
	Elsewhere money.Cents
}

// mayRead refuses whoever may not see every node's figures.
func (r *Reconciliations) mayRead(who Actor) error {
	if err := r.access.Check(who, "reconciliation", "read"); err != nil {
		return err
	}
	if r.access.Scope(who, "reconciliation", "read") != nil {
		return ErrNotAllowed
	}
	return nil
}

// takesSteps tells whether somebody may take steps.
func (r *Reconciliations) takesSteps(who Actor) bool { return r.mayAct(who, changeVariance) == nil }

// mayReview tells whether somebody may review what others explained.
func (r *Reconciliations) mayReview(who Actor) bool { return r.mayAct(who, changeReview) == nil }

// Calendar lists the days of a month.
func (r *Reconciliations) Calendar(ctx context.Context, who Actor, month period.Month) (Calendar, error) {
	c := Calendar{Month: month}
	if err := r.mayRead(who); err != nil {
		return c, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		c.Days, c.Total = nil, ReconciledDay{Bps: -1}
		if err := c.terms(tx); err != nil {
			return err
		}
		if spent, found, err := tx.Elsewhere(month); err != nil {
			return err
		} else if found {
			c.Elsewhere = money.Cents(spent.TotalCents)
		}
		rows, err := tx.RunDays(month.Start(), month.End())
		if err != nil {
			return err
		}
		for at := month.Start(); at.Before(month.End()) && at.Before(tx.Now); at = at.Add(oneDay) {
			d := ReconciledDay{Day: at, State: reconcile.StateNoReport, Bps: -1}
			if k := slices.IndexFunc(rows, func(row db.RunRow) bool { return row.Day.UTC().Equal(at) }); k >= 0 {
				if d, err = reconciledDay(&rows[k]); err != nil {
					return err
				}
			}
			c.Days = append(c.Days, d)
			c.Total.add(&d)
		}
		c.Total.bps()
		return r.signed(tx, c.Days, month.Start(), month.End())
	})
	return c, err
}

// terms reads what days are held to, and where reports come from.
func (c *Calendar) terms(tx *db.Tx) error {
	tolerance, err := toleranceInForce(tx)
	if err != nil {
		return err
	}
	c.Tolerance, c.ToleranceVersion = reconcile.Tolerance{Absolute: money.Cents(tolerance.AbsoluteCents), RelativeBps: tolerance.RelativeBps}, tolerance.Version
	sources, err := tx.Sources(1)
	if err != nil {
		return err
	}
	c.Sourced, c.Simulated = len(sources) > 0, len(sources) > 0 && simulated(sources[0].BaseURL)
	if c.Sourced {
		c.FirstDay = sources[0].FirstDay.UTC()
	}
	return nil
}

// simulated tells whether an address is not the provider's own.
func simulated(baseURL string) bool {
	return !strings.HasPrefix(strings.TrimSuffix(baseURL, "/")+"/", "https://api.anthropic.com/")
}

func (d *ReconciledDay) add(other *ReconciledDay) {
	d.Ours.AddSum(&other.Ours)
	d.Listed.AddSum(&other.Listed)
	d.Billed.AddSum(&other.Billed)
	d.ListPrice.AddSum(&other.ListPrice)
	d.Difference.AddSum(&other.Difference)
	d.Unexplained.AddSum(&other.Unexplained)
	d.Gross.AddSum(&other.Gross)
	d.OurRequests += other.OurRequests
	d.TheirRequests += other.TheirRequests
	d.OurTokens += other.OurTokens
	d.TheirTokens += other.TheirTokens
	d.Open += other.Open
	for i := range other.Coverage {
		o := &other.Coverage[i]
		k := slices.IndexFunc(d.Coverage, func(c reconcile.Coverage) bool { return c.Surface == o.Surface && c.Key == o.Key })
		if k < 0 {
			k = len(d.Coverage)
			d.Coverage = append(d.Coverage, reconcile.Coverage{Surface: o.Surface, Key: o.Key})
		}
		d.Coverage[k].Ours.AddSum(&o.Ours)
		d.Coverage[k].Theirs.AddSum(&o.Theirs)
	}
}

// bps works out how much of all traffic passed the gateway.
func (d *ReconciledDay) bps() {
	var ours, theirs money.Sum
	for i := range d.Coverage {
		c := &d.Coverage[i]
		c.Bps = reconcile.CoverageBps(&c.Ours, &c.Theirs)
		ours.AddSum(&c.Ours)
		theirs.AddSum(&c.Theirs)
	}
	d.Bps = reconcile.CoverageBps(&ours, &theirs)
}

func reconciledDay(r *db.RunRow) (ReconciledDay, error) {
	d := ReconciledDay{
		Day: r.Day.UTC(), State: reconcile.State(r.State), Run: r.RunID, Number: r.Number, OurRequests: r.OurRequests, TheirRequests: r.TheirRequests, OurTokens: r.OurTokens, TheirTokens: r.TheirTokens,
		Open: r.Open, Tolerance: reconcile.Tolerance{Absolute: money.Cents(r.AbsoluteCents), RelativeBps: r.RelativeBps}, ToleranceVersion: r.ToleranceVersion, Digest: hex.EncodeToString(r.Digest),
		Record: r.RecordID, At: r.RecordedAt.UTC(), UsageBatches: r.UsageBatches, AdjustmentBatches: r.AdjustmentBatches, usagePull: r.UsagePull, costPull: r.CostPull,
	}
	for _, one := range [...]struct {
		text string
		into *money.Sum
	}{{r.OursPico, &d.Ours}, {r.ListedPico, &d.Listed}, {r.BilledPico, &d.Billed}, {r.ListPricePico, &d.ListPrice}, {r.UnexplainedPico, &d.Unexplained}, {r.GrossPico, &d.Gross}} {
		sum, err := money.SumOfPico(one.text)
		if err != nil {
			return d, err
		}
		*one.into = sum
	}
	d.Difference.AddSum(&d.Billed)
	d.Difference.SubSum(&d.Ours)
	if err := json.Unmarshal([]byte(r.Coverage), &d.Coverage); err != nil {
		return d, fmt.Errorf("read coverage: %w", err)
	}
	d.bps()
	return d, nil
}

// countingSignOffs lists who signed the days of a span: of their present figures only as far as
// that counts, and of those before them, which are marked as superseded. A signature counts while
// the day is charged what was signed and none of its variances is due; a review, while none waits
// for its own.
func countingSignOffs(tx *db.Tx, from, to time.Time) ([]db.DaySignOffRow, error) {
	rows, err := tx.DaySignOffs(from, to)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	moved, err := tx.DaysMoved(from, to)
	if err != nil {
		return nil, err
	}
	open, err := tx.VarianceDays(from, to, tx.Now.Truncate(oneDay))
	return slices.DeleteFunc(rows, func(s db.DaySignOffRow) bool {
		return !s.Superseded && (slices.ContainsFunc(moved, s.Day.Equal) || slices.ContainsFunc(open, func(d db.VarianceDay) bool {
			return d.Day.Equal(s.Day) && (d.Due || (d.Review && s.Part == PartReviewer))
		}))
	}), err
}

// signed puts the sign-offs that count on days.
func (r *Reconciliations) signed(tx *db.Tx, days []ReconciledDay, from, to time.Time) error {
	rows, err := countingSignOffs(tx, from, to)
	if err != nil || len(rows) == 0 {
		return err
	}
	actors := make([]string, 0, len(rows))
	for i := range rows {
		actors = append(actors, rows[i].Actor)
	}
	hands, err := r.members.hands(tx, actors)
	if err != nil {
		return err
	}
	for i := range rows {
		for k := range days {
			if days[k].Run.IsZero() || days[k].Run != rows[i].RunID {
				continue
			}
			s := &SignedOff{Hand: hands[rows[i].Actor], At: rows[i].RecordedAt.UTC(), Change: rows[i].ChangeID}
			if rows[i].Part == PartPreparer {
				days[k].Preparer = s
			} else {
				days[k].Reviewer = s
			}
		}
	}
	return nil
}

// NodeShare is what of an item lies at one node.
type NodeShare struct {
	Node   id.Node
	Code   string
	Amount money.Sum
}

// ItemView is one reconciling item, with its nodes by code.
type ItemView struct {
	reconcile.Item

	Shares  []NodeShare
	AgeDays int
}

// Workbench is one day with everything that was compared.
type Workbench struct {
	ReconciledDay

	Items      []ItemView
	Totals     []ClassTotal // by class, in the order of classes; those without an item are left out
	Variances  []VarianceView
	Runs       []ReconciledDay // every reconciliation of the day, this one first
	Usage      *PullFacts      // nil: never pulled
	Cost       *PullFacts
	Simulated  bool
	Withdrawn  bool // somebody signed figures that are not these any more
	Moved      bool // the day is charged another amount by now: it is about to be reconciled again
	CanAct     bool
	CanReview  bool // and signed no part of it, with any account
	PeriodOpen period.State
	TrueUp     TrueUpOffer
}

// TrueUpOffer is what of a day waits to be trued up.
type TrueUpOffer struct {
	Requests int           // that broke off and were not trued up
	Amount   money.Sum     // what the provider counted more of them
	Can      bool          // somebody may propose it now
	Waiting  []ChangeBrief // changes that would, while somebody decides
}

// reviewable tells whether somebody who reviews days may review this one.
func (w *Workbench) reviewable(tx *db.Tx, who Actor) (bool, error) {
	if !w.CanReview {
		return false, nil
	}
	signed, err := tx.DaySignOffs(w.Day, w.Day.Add(oneDay))
	if err != nil {
		return false, err
	}
	for i := range signed {
		if signed[i].RunID != w.Run {
			continue
		}
		if same, err := signedBy(tx, who, &signed[i]); err != nil || same {
			return false, err
		}
	}
	return true, nil
}

// ClassTotal is what the items of one class come to.
type ClassTotal struct {
	Class    reconcile.Class
	Items    int
	Quantity int64 // of tokens
	Amount   money.Sum
}

const maxRuns = 50

// Day is one day's workbench.
func (r *Reconciliations) Day(ctx context.Context, who Actor, day time.Time) (Workbench, error) {
	var w Workbench
	if err := r.mayRead(who); err != nil {
		return w, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		w = Workbench{ReconciledDay: ReconciledDay{Day: day, State: reconcile.StateNoReport, Bps: -1}, CanAct: r.takesSteps(who), CanReview: r.mayReview(who)}
		var c Calendar
		if err := c.terms(tx); err != nil {
			return err
		}
		w.Simulated, w.Tolerance, w.ToleranceVersion = c.Simulated, c.Tolerance, c.ToleranceVersion
		reported, err := reportedDay(tx, day)
		if err != nil {
			return err
		}
		w.Usage, w.Cost = reported.Usage, reported.Cost
		if w.PeriodOpen, err = tx.PeriodState(period.MonthOf(day)); err != nil {
			return err
		}
		rows, err := tx.Runs(day, maxRuns)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			one, err := reconciledDay(&rows[i])
			if err != nil {
				return err
			}
			w.Runs = append(w.Runs, one)
		}
		if err := r.signed(tx, w.Runs, day, day.Add(oneDay)); err != nil {
			return err
		}
		w.ReconciledDay = w.Runs[0]
		if w.CanReview, err = w.reviewable(tx, who); err != nil {
			return err
		}
		if err := w.withdrawals(tx); err != nil {
			return err
		}
		if w.Variances, err = r.variances(tx, &db.VarianceFilter{Day: day, Limit: maxVariances}); err != nil {
			return err
		}
		if err := w.items(tx); err != nil {
			return err
		}
		return w.broken(tx)
	})
	return w, err
}

// broken says what of the day broke off and waits to be trued up.
func (w *Workbench) broken(tx *db.Tx) error {
	rows, err := tx.LooseStreams(w.Day, w.Day.Add(oneDay), MaxTrueUp)
	if err != nil || len(rows) == 0 {
		return err
	}
	w.TrueUp.Requests = len(rows)
	for i := range w.Totals {
		if w.Totals[i].Class == reconcile.ClassAborted {
			w.TrueUp.Amount.AddSum(&w.Totals[i].Amount)
		}
	}
	waiting, err := tx.Waiting([]string{changeTrueUp}, maxWaitingTrueUps)
	if err != nil {
		return err
	}
	for i := range waiting {
		c, err := changeView(&waiting[i])
		if err != nil {
			return err
		}
		var said trueUpDocument
		if err := stored(c.Change, &said); err != nil {
			return err
		}
		if said.Day == dateText(w.Day) {
			w.TrueUp.Waiting = append(w.TrueUp.Waiting, ChangeBrief{c.ID, c.Number})
		}
	}
	_, err = trueUp(tx, w.Day, posted)
	if w.TrueUp.Can = err == nil && w.CanAct && len(w.TrueUp.Waiting) == 0; fault.KindOf(err) == fault.KindConflict || fault.KindOf(err) == fault.KindNotFound {
		return nil // it says itself why not
	}
	return err
}

// maxWaitingTrueUps bounds how many are looked through.
const maxWaitingTrueUps = 500

// withdrawals tells whether signatures of the day do not count any more.
func (w *Workbench) withdrawals(tx *db.Tx) error {
	moved, err := tx.DaysMoved(w.Day, w.Day.Add(oneDay))
	w.Moved = len(moved) > 0
	if err != nil || w.Preparer != nil {
		return err
	}
	signed, err := tx.DaySignOffs(w.Day, w.Day.Add(oneDay))
	w.Withdrawn = len(signed) > 0
	return err
}

// items reads the reconciling items with the codes that nodes had that day.
func (w *Workbench) items(tx *db.Tx) error {
	items, err := tx.RunItems(w.Run)
	if err != nil {
		return err
	}
	codes, err := codesAt(tx, w.Day)
	if err != nil {
		return err
	}
	totals := map[reconcile.Class]*ClassTotal{}
	for i := range items {
		view := ItemView{Item: items[i], AgeDays: reconcile.AgeDays(w.Day, tx.Now)}
		for _, n := range items[i].Nodes {
			view.Shares = append(view.Shares, NodeShare{Node: n.Node, Code: codes(n.Node), Amount: n.Amount})
		}
		w.Items = append(w.Items, view)
		t := totals[view.Class]
		if t == nil {
			t = &ClassTotal{Class: view.Class}
			totals[view.Class] = t
		}
		t.Items++
		t.Amount.AddSum(&items[i].Amount)
		if view.Cell.Meter.Tokens() {
			t.Quantity += view.Quantity
		}
	}
	for _, class := range reconcile.Classes() {
		if t := totals[class]; t != nil {
			w.Totals = append(w.Totals, *t)
		}
	}
	return nil
}

// codesAt finds finance's codes of nodes at the end of a day.
func codesAt(tx *db.Tx, day time.Time) (func(id.Node) string, error) {
	trees, err := forestSince(tx, day)
	if err != nil {
		return nil, err
	}
	tree, err := trees.at(day.Add(oneDay - time.Microsecond))
	if err != nil {
		return nil, err
	}
	return func(node id.Node) string { return codeIn(tree, node) }, nil
}

func codeIn(tree *hierarchy.Tree, node id.Node) string {
	if v, there := tree.Node(node); there {
		return v.Code
	}
	return node.String()
}

// SurfaceWords names a surface in a table.
func SurfaceWords(s reconcile.Surface, key string, names []provider.Name) string {
	c := reconcile.Coverage{Surface: s, Key: key}
	for _, n := range names {
		if n.Kind == provider.KindKey && n.ID == key && n.Name != "" {
			return "Key " + n.Name + " (" + key + ")"
		}
	}
	return c.Words()
}
