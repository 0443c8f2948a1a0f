package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/provider"
	"tollbook/app/reconcile"
	"tollbook/app/retention"
	"tollbook/db"
)

// Reconciliations is the area that holds what we charged against what the provider reports,
// and of what is above tolerance.
type Reconciliations struct {
	db      *db.DB
	access  *Access
	changes *Changes
	members *Members

	made             [4]atomic.Int64 // reconciliations made here, by state, in the order of runStates
	opened, resolved atomic.Int64    // variances
}

// RunCount is how many reconciliations were made here that came to one state, or variances
// that took one turn.
type RunCount struct {
	Outcome string
	Count   int64
}

// runStates are those that a reconciliation can come to.
func runStates() []reconcile.State {
	return []reconcile.State{reconcile.StateProvisional, reconcile.StateReconciled, reconcile.StateWithinTolerance, reconcile.StateException}
}

// Counts are the reconciliations made in this process by the state they came to, and the
// variances they opened and resolved.
func (r *Reconciliations) Counts() (runs, variances []RunCount) {
	for i, state := range runStates() {
		runs = append(runs, RunCount{string(state), r.made[i].Load()})
	}
	return runs, []RunCount{{"opened", r.opened.Load()}, {"resolved", r.resolved.Load()}}
}

// count notes a reconciliation that is stored.
func (r *Reconciliations) count(run *dayRun) {
	if i := slices.Index(runStates(), run.verdict.State); i >= 0 {
		r.made[i].Add(1)
	}
	r.opened.Add(run.opened)
	r.resolved.Add(run.resolved)
}

// NewReconciliations makes the area.
func NewReconciliations(d *db.DB, access *Access, changes *Changes, members *Members) *Reconciliations {
	r := &Reconciliations{db: d, access: access, changes: changes, members: members}
	r.govern()
	return r
}

// Reconcile holds one day's two sides against one another. It does nothing where the provider
// has not reported the day, or where both sides, and the tolerance, are what they were; made
// tells whether it did. It may be called at any time, by any number of workers.
func (r *Reconciliations) Reconcile(ctx context.Context, tenant id.Tenant, day time.Time) (made bool, err error) {
	for range maxOvertaken {
		run, err := r.compare(ctx, tenant, day)
		if err != nil || run == nil {
			return false, err
		}
		err = r.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
			if err := tx.LockReconciliation(); err != nil {
				return err
			}
			last, _, err := tx.LastRun(day)
			if err != nil {
				return err
			}
			if last.Number != run.after {
				return errRunOvertaken
			}
			return run.store(tx)
		})
		if !errors.Is(err, errRunOvertaken) {
			if err == nil {
				r.count(run)
			}
			return err == nil, err
		}
	}
	return false, errRunOvertaken
}

// maxOvertaken is how often a day is read anew because somebody else reconciled it meanwhile.
const maxOvertaken = 5

var errRunOvertaken = fault.New(fault.KindUnavailable, "reconciliation_overtaken", "The day was reconciled by others meanwhile.")

// compare reads both sides of a day as of one instant and matches them; nil where there is
// nothing to compare, or nothing new.
func (r *Reconciliations) compare(ctx context.Context, tenant id.Tenant, day time.Time) (run *dayRun, err error) {
	through, err := flushedThrough(ctx, r.db)
	if err != nil {
		return nil, err
	}
	err = r.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		run = nil
		if gone, err := tx.PurgedMonths(retention.Usage, MaxRows); err != nil || slices.Contains(gone, period.MonthOf(day)) {
			return err // its requests are no longer there to compare with
		}
		sides, err := bothSides(tx, day, through)
		if err != nil || sides == nil {
			return err
		}
		run, err = sides.run(tx)
		return err
	})
	return run, err
}

// ReconcileAll reconciles each day that was pulled and may still change, the latest first, and
// older ones that are charged another amount than when they were, a commit for each; it tells
// how many were made anew.
func (r *Reconciliations) ReconcileAll(ctx context.Context, tenant id.Tenant) (int, error) {
	var days []time.Time
	if err := r.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		days = nil
		sources, err := tx.Sources(1)
		if err != nil || len(sources) == 0 {
			return err
		}
		today := tx.Now.Truncate(oneDay)
		recent := today.AddDate(0, 0, -sources[0].RepullDays-1)
		for at := today.Add(-oneDay); !at.Before(recent) && !at.Before(sources[0].FirstDay.UTC()); at = at.Add(-oneDay) {
			days = append(days, at)
		}
		moved, err := tx.DaysMoved(today.AddDate(0, 0, -provider.OldestDay), recent)
		days = append(days, moved...)
		return err
	}); err != nil {
		return 0, err
	}
	count := 0
	for _, day := range days {
		made, err := r.Reconcile(ctx, tenant, day)
		if err != nil {
			return count, err
		}
		if made {
			count++
		}
	}
	return count, nil
}

// dueReconciliations asks for a day that was pulled to be reconciled; where it reports something
// else, the days beside it, too, which may have what it has not.
func dueReconciliations(tx *db.Tx, day time.Time, changed bool) error {
	due := []time.Time{day}
	if changed {
		beside, err := tx.DaysReconciled([]time.Time{day.Add(-oneDay), day.Add(oneDay)})
		if err != nil {
			return err
		}
		due = append(due, beside...)
	}
	for _, at := range due {
		if err := tx.Enqueue(job.ReconcileDay{Tenant: tx.Tenant.String(), Day: at.Format(time.DateOnly)}); err != nil {
			return err
		}
	}
	return nil
}

// dueAgain asks for the days that something was posted to, and for those beside them, as far as
// they were reconciled before: their signatures are of other figures. Days are UTC. Nothing is
// asked of a day that is not over: it is reconciled when it is reported.
func dueAgain(tx *db.Tx, days []time.Time) error {
	today := tx.Now.Truncate(oneDay)
	var around []time.Time
	for _, day := range days {
		if !day.Before(today) {
			continue
		}
		for _, at := range [...]time.Time{day.Add(-oneDay), day, day.Add(oneDay)} {
			if !slices.ContainsFunc(around, at.Equal) {
				around = append(around, at)
			}
		}
	}
	if len(around) == 0 {
		return nil
	}
	due, err := tx.DaysReconciled(around)
	if err != nil {
		return err
	}
	for _, day := range due {
		if err := tx.Enqueue(job.ReconcileDay{Tenant: tx.Tenant.String(), Day: day.Format(time.DateOnly), Gathered: true}); err != nil {
			return err
		}
	}
	return nil
}

// sides is both sides of a day, and what they were read from.
type sides struct {
	day       reconcile.Day
	reported  ReportedDay
	tolerance db.ToleranceRow // version 0: the standard one
}

// bothSides reads a day; nil where the provider has not reported it.
func bothSides(tx *db.Tx, day, through time.Time) (*sides, error) {
	sources, err := tx.Sources(1)
	if err != nil || len(sources) == 0 {
		return nil, err
	}
	s := &sides{}
	if s.reported, err = reportedDay(tx, day); err != nil || s.reported.Usage == nil || s.reported.Cost == nil {
		return nil, err
	}
	ends := day.Add(oneDay)
	// What comes within the lag after a day may still be of it.
	settles := ends.Add(time.Duration(sources[0].SettleHours) * time.Hour)
	s.day = reconcile.Day{
		Day: day, CoversUsage: !s.reported.Usage.AsOf.Before(settles), CoversCost: !s.reported.Cost.AsOf.Before(settles),
		Complete: !through.Before(ends) || !tx.Now.Before(ends.Add(accrueWaits)),
	}
	if err := s.ours(tx, day, ends); err != nil {
		return nil, err
	}
	s.day.Counts, s.day.Costs = s.reported.cells()
	if len(s.day.Differing()) > 0 {
		if err := s.around(tx, time.Duration(sources[0].SettleHours)*time.Hour); err != nil {
			return nil, err
		}
	}
	s.tolerance, err = toleranceInForce(tx)
	return s, err
}

// ours reads our side of a span.
func (s *sides) ours(tx *db.Tx, from, to time.Time) error {
	version, _, err := tx.PriceStanding()
	if err != nil {
		return err
	}
	document, err := tx.PriceDocument(version)
	if err != nil {
		return err
	}
	book, err := pricing.Parse(document)
	if err != nil {
		return fmt.Errorf("read price book %d: %w", version, err)
	}
	s.day.DiscountBps = book.DiscountAt(from)
	if s.day.Facts, err = facts(tx, from, to); err != nil {
		return err
	}
	loose, err := tx.LooseRequests(from, to)
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i := range loose {
		l := &loose[i]
		k, there := at[l.Model]
		if !there {
			k = len(s.day.Loose)
			at[l.Model] = k
			s.day.Loose = append(s.day.Loose, reconcile.Loose{Model: l.Model})
		}
		one := &s.day.Loose[k]
		one.Unfinished += l.Unfinished
		one.Blind += l.Blind
		var count money.Sum
		count.Add(money.Pico(l.Unfinished + l.Blind))
		one.Nodes = append(one.Nodes, reconcile.Charged{Node: l.NodeID, Amount: count})
	}
	return nil
}

// facts reads the cells of a span with the nodes they are charged to.
func facts(tx *db.Tx, from, to time.Time) ([]reconcile.Fact, error) {
	rows, err := tx.Facts(from, to)
	if err != nil {
		return nil, err
	}
	nodes, err := tx.FactNodes(from, to)
	if err != nil {
		return nil, err
	}
	type cell struct{ model, tier, speed, geography, meter string }
	at := map[cell]int{}
	list := make([]reconcile.Fact, 0, len(rows))
	for i := range rows {
		f, err := rows[i].Fact()
		if err != nil {
			return nil, err
		}
		r := &rows[i]
		at[cell{r.Model, r.Tier, r.Speed, r.Geography, r.Meter}] = len(list)
		list = append(list, f)
	}
	for i := range nodes {
		n := &nodes[i]
		amount, err := money.SumOfPico(n.NetPico)
		if err != nil {
			return nil, err
		}
		k, there := at[cell{n.Model, n.Tier, n.Speed, n.Geography, n.Meter}]
		if !there {
			return nil, fmt.Errorf("read both sides: node %s is charged in a cell that has no requests, %s of %s", n.NodeID, n.Meter, n.Model)
		}
		f := &list[k]
		f.Nodes = append(f.Nodes, reconcile.Charged{Node: n.NodeID, Amount: amount})
	}
	return list, nil
}

// around reads what the days beside differ by, and those before them as far as they matter.
func (s *sides) around(tx *db.Tx, lag time.Duration) error {
	day := s.day.Day
	var err error
	if s.day.Before, err = beside(tx, day.Add(-oneDay), lag); err != nil {
		return err
	}
	if s.day.After, err = beside(tx, day.Add(oneDay), lag); err != nil {
		return err
	}
	for at := day.Add(-2 * oneDay); s.day.AsksEarlier(); at = at.Add(-oneDay) {
		counts, err := beside(tx, at, lag)
		if err != nil {
			return err
		}
		s.day.Earlier = append(s.day.Earlier, counts)
	}
	return nil
}

// beside is what the provider counts more than we do on a day beside another; nothing where
// it has not reported it.
func beside(tx *db.Tx, day time.Time, lag time.Duration) ([]reconcile.Count, error) {
	reported, err := reportedDay(tx, day)
	if err != nil || reported.Usage == nil {
		return nil, err
	}
	rows, err := tx.Facts(day, day.Add(oneDay))
	if err != nil {
		return nil, err
	}
	d := reconcile.Day{Day: day, CoversCost: reported.Cost != nil && !reported.Cost.AsOf.Before(day.Add(oneDay+lag))}
	for i := range rows {
		f, err := rows[i].Fact()
		if err != nil {
			return nil, err
		}
		d.Facts = append(d.Facts, f)
	}
	d.Counts, d.Costs = reported.cells()
	return d.Differing(), nil
}

// cells are the provider's figures as a reconciliation takes them.
func (d *ReportedDay) cells() (counts []reconcile.Count, costs []reconcile.Cost) {
	own := map[string]bool{}
	for _, key := range d.GatewayKeys {
		own[key] = true
	}
	keyless := d.Cost != nil && d.Cost.API == provider.Legacy // that report tells no keys: what it has is taken for the gateway's
	for i := range d.Figures {
		f := &d.Figures[i]
		g := reconcile.Group{Surface: reconcile.SurfaceKey, Key: f.Key, Model: f.Model, Tier: f.Tier, Speed: f.Speed, Geography: f.Geography}
		switch {
		case own[f.Key], keyless && f.Report == provider.Cost:
			g.Surface, g.Key = reconcile.SurfaceGateway, ""
		case f.Key == "":
			g.Surface = reconcile.SurfaceConsole
		}
		cell := reconcile.Cell{Group: g.Plain(), Meter: classMeter(f.Class)}
		if f.Report == provider.Usage {
			counts = append(counts, reconcile.Count{Cell: cell, Quantity: f.Quantity})
			continue
		}
		c := reconcile.Cost{Cell: cell, Rows: 1}
		c.List.Add(f.List)
		c.Amount.Add(f.Amount)
		costs = append(costs, c)
	}
	return counts, costs
}

func classMeter(class string) reconcile.Meter {
	switch class {
	case provider.ClassWebSearches:
		return reconcile.MeterWebSearch
	case provider.ClassUntyped:
		return reconcile.MeterCredit
	}
	return reconcile.Meter(class) // the others are called alike
}

// fingerprint names everything that a reconciliation is made of.
func (s *sides) fingerprint() ([]byte, error) {
	whole, err := json.Marshal(struct {
		Day                   reconcile.Day
		Version               int
		Absolute, RelativeBps int64
	}{s.day, s.tolerance.Version, s.tolerance.AbsoluteCents, s.tolerance.RelativeBps})
	if err != nil {
		return nil, fmt.Errorf("name a reconciliation: %w", err)
	}
	sum := sha256.Sum256(whole)
	return sum[:], nil
}

// dayRun is a reconciliation to store.
type dayRun struct {
	row     db.RunRow
	after   int64 // the number of the one before it; 0: there is none
	result  reconcile.Result
	verdict reconcile.Verdict

	opened, resolved int64 // variances
}

// run matches the sides; nil where it was done with the very same before.
func (s *sides) run(tx *db.Tx) (*dayRun, error) {
	fingerprint, err := s.fingerprint()
	if err != nil {
		return nil, err
	}
	last, found, err := tx.LastRun(s.day.Day)
	if err != nil || (found && string(last.Fingerprint) == string(fingerprint)) {
		return nil, err
	}
	run := &dayRun{result: s.day.Match(), after: last.Number}
	tolerance := reconcile.Tolerance{Absolute: money.Cents(s.tolerance.AbsoluteCents), RelativeBps: s.tolerance.RelativeBps}
	run.verdict = run.result.Judge(tolerance)
	coverage, err := json.Marshal(run.result.Coverage)
	if err != nil {
		return nil, fmt.Errorf("encode coverage: %w", err)
	}
	if len(run.result.Coverage) == 0 {
		coverage = []byte("[]")
	}
	res := &run.result
	run.row = db.RunRow{
		Day: s.day.Day, State: string(run.verdict.State), UsagePull: s.reported.Usage.Pull.UUID(), CostPull: s.reported.Cost.Pull.UUID(), Fingerprint: fingerprint,
		ToleranceVersion: s.tolerance.Version, AbsoluteCents: s.tolerance.AbsoluteCents, RelativeBps: s.tolerance.RelativeBps,
		OursPico: res.Ours.Digits(), ListedPico: res.Listed.Digits(), BilledPico: res.Billed.Digits(), ListPricePico: res.ListPrice.Digits(), UnexplainedPico: res.Unexplained.Digits(),
		GrossPico: res.Gross.Digits(), OurRequests: res.OurRequests, TheirRequests: res.TheirRequests, OurTokens: res.OurTokens, TheirTokens: res.TheirTokens, Coverage: string(coverage),
	}
	run.row.UsageBatches, run.row.AdjustmentBatches, err = tx.BatchCounts(period.MonthOf(s.day.Day))
	return run, err
}

// store writes the run, its record, and what it means for the day's variances.
func (r *dayRun) store(tx *db.Tx) error {
	r.row.RunID, r.row.RecordID = id.NewRun(tx.Now), id.NewRecord(tx.Now)
	var err error
	if r.row.Number, err = tx.Counter("reconciliation"); err != nil {
		return err
	}
	canonical, err := r.canonical()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(canonical)
	if err := tx.AppendAudit(auditlog.Record{ID: r.row.RecordID, Action: "reconciliation.made", Actor: string(ActorSystem), Subject: r.row.RunID.String(), Detail: map[string]any{
		"number": r.row.Number, "day": r.row.Day.Format(time.DateOnly), "state": r.row.State, "ours_pico": r.row.OursPico, "billed_pico": r.row.BilledPico, "unexplained_pico": r.row.UnexplainedPico,
		"items": len(r.result.Items), "digest": hex.EncodeToString(digest[:]),
	}}); err != nil {
		return err
	}
	if err := tx.AddRun(&r.row, canonical, r.result.Items); err != nil {
		return err
	}
	if r.verdict.State == reconcile.StateProvisional {
		return nil
	}
	return r.follow(tx)
}

// canonical is what is kept and hashed of a run: a JSON object, amounts as whole pico-dollars.
func (r *dayRun) canonical() ([]byte, error) {
	row := &r.row
	items := r.result.Items
	if items == nil {
		items = []reconcile.Item{}
	}
	document, err := json.Marshal(map[string]any{
		"v": 1, "id": row.RunID.String(), "number": row.Number, "day": row.Day.Format(time.DateOnly), "state": row.State, "usage_pull": row.UsagePull, "cost_pull": row.CostPull,
		"usage_batches": row.UsageBatches, "adjustment_batches": row.AdjustmentBatches, "fingerprint": hex.EncodeToString(row.Fingerprint),
		"tolerance": map[string]any{"version": row.ToleranceVersion, "absolute_cents": row.AbsoluteCents, "relative_bps": row.RelativeBps},
		"ours_pico": row.OursPico, "listed_pico": row.ListedPico, "billed_pico": row.BilledPico, "list_price_pico": row.ListPricePico, "unexplained_pico": row.UnexplainedPico, "gross_pico": row.GrossPico,
		"our_requests": row.OurRequests, "their_requests": row.TheirRequests, "our_tokens": row.OurTokens, "their_tokens": row.TheirTokens, "coverage": json.RawMessage(row.Coverage), "items": items,
	})
	if err != nil {
		return nil, fmt.Errorf("encode reconciliation: %w", err)
	}
	return document, nil
}
