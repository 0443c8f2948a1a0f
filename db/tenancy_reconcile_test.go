package db_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/reconcile"
	"tollbook/db"
	"tollbook/db/dbtest"
)

func pico(n int64) money.Sum {
	var s money.Sum
	s.Add(money.Pico(n))
	return s
}

func (s *scene) item() reconcile.Item {
	return reconcile.Item{
		Class: reconcile.ClassFee, Amount: pico(7), Explanation: s.mark("explanation"), Nodes: []reconcile.Charged{{Node: s.node, Amount: pico(7)}},
		Cell: reconcile.Cell{Group: reconcile.Group{Surface: reconcile.SurfaceKey, Key: s.mark("apikey"), Model: s.mark("model")}, Meter: reconcile.MeterSession},
	}
}

func (s *scene) finding() *reconcile.Finding {
	it := s.item()
	return &reconcile.Finding{Subject: it.Subject(), Node: it.Nodes[0], Amount: it.Amount}
}

func (s *scene) runRow(tx *db.Tx, number int64) *db.RunRow {
	return &db.RunRow{
		RunID: id.NewRun(tx.Now), Number: number, Day: s.month.Start(), State: "exception", UsagePull: s.pull.UUID(), CostPull: s.pull.UUID(), Fingerprint: make([]byte, 32),
		OursPico: "3", ListedPico: "3", BilledPico: "10", ListPricePico: "10", UnexplainedPico: "0", GrossPico: "0", Coverage: "[]", RecordID: s.batch.Record,
	}
}

func (s *scene) varianceStep(variance id.Variance, tx *db.Tx) error {
	return tx.AddVarianceStep(variance, &db.VarianceStepRow{Place: 1, Kind: "found", State: "open", Actor: "system", AmountPico: "7", RunID: &s.run, OwnerMemberID: &s.member, Note: s.mark("note")})
}

func (s *scene) tolerance(change id.Change) *db.ToleranceRow {
	return &db.ToleranceRow{AbsoluteCents: 100, RelativeBps: 5, EffectiveFrom: s.month.Start(), ChangeID: change}
}

func (s *scene) reconciliation(t *testing.T, tx *db.Tx) {
	t.Helper()
	run := s.runRow(tx, 1)
	s.run, s.variance = run.RunID, id.NewVariance(tx.Now)
	require.NoError(t, tx.AddRun(run, []byte(s.mark("run")), []reconcile.Item{s.item()}))
	require.NoError(t, tx.AddDaySignOff(&db.DaySignOffRow{RunID: s.run, Part: "preparer", Actor: s.mark("actor"), PersonID: s.person, ChangeID: s.change.ID}))
	require.NoError(t, tx.AddVariance(s.variance, 1, s.month.Start(), s.finding()))
	require.NoError(t, s.varianceStep(s.variance, tx))
	require.NoError(t, tx.AddTolerance(s.tolerance(s.change.ID)))
	require.NoError(t, tx.AddElsewhere(s.month, s.spent(s.node), s.change.ID))
}

func (s *scene) spent(node id.Node) []db.SpendLine {
	return []db.SpendLine{{NodeID: node, Source: s.mark("source"), Memo: s.mark("memo"), Cents: 5}}
}

func readingReconciliation() map[string]query {
	return map[string]query{
		"Facts": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.Facts(mine.month.Start(), mine.month.End())
			if len(rows) == 0 || rows[0].Model != mine.mark("model") {
				err = errors.Join(errors.New("not one's own requests"), err)
			}
			return rows, err
		}},
		"FactNodes": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.FactNodes(mine.month.Start(), mine.month.End())
			if len(rows) == 0 || rows[0].NodeID != mine.node {
				err = errors.Join(fmt.Errorf("not one's own nodes: %v", rows), err)
			}
			return rows, err
		}},
		"LooseRequests": {absent, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return tx.LooseRequests(mine.month.Start(), mine.month.End())
		}},
		"LooseStreams": {absent, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return tx.LooseStreams(mine.month.Start(), mine.month.End(), 50)
		}},
		"LastRun": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			row, found, err := tx.LastRun(mine.month.Start())
			if !found || row.RunID != mine.run || row.Open != 1 {
				err = errors.Join(errors.New("not one's own reconciliation"), err)
			}
			return row, err
		}},
		"Runs":     {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Runs(mine.month.Start(), 50) }},
		"RunDays":  {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.RunDays(mine.month.Start(), mine.month.End()) }},
		"RunItems": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.RunItems(theirs.run) }},
		"DaySignOffs": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return tx.DaySignOffs(mine.month.Start(), mine.month.End())
		}},
		"DaysReconciled": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			days, err := tx.DaysReconciled([]time.Time{mine.month.Start(), mine.month.End()})
			if len(days) != 1 || !days[0].Equal(mine.month.Start()) {
				err = errors.Join(errors.New("not one's own days"), err)
			}
			return days, err
		}},
		"DaysMoved": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return tx.DaysMoved(mine.month.Start(), mine.month.End())
		}},
		"VarianceDays": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.VarianceDays(mine.month.Start(), mine.month.End(), mine.month.End())
			if len(rows) != 1 || !rows[0].Due {
				err = errors.Join(errors.New("not one's own days"), err)
			}
			return rows, err
		}},
		"Variances": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.Variances(&db.VarianceFilter{Limit: 50})
			narrow, err2 := tx.Variances(&db.VarianceFilter{Day: mine.month.Start(), Month: mine.month, State: "unresolved", Class: "fee", Owner: mine.member, Before: 2, Limit: 50})
			if len(rows) != 1 || len(narrow) != 1 {
				err = errors.Join(errors.New("not one's own variances"), err)
			}
			return rows, errors.Join(err, err2)
		}},
		"Variance": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.Variance(theirs.variance)
			if found {
				err = errors.Join(errors.New("another's variance"), err)
			}
			return row, err
		}},
		"VarianceSteps": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.VarianceSteps(theirs.variance, 50) }},
		"Elsewhere": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			row, found, err := tx.Elsewhere(mine.month)
			if !found || row.ChangeID != mine.change.ID {
				err = errors.Join(errors.New("not one's own spend"), err)
			}
			return row, err
		}},
		"ElsewhereLines": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ElsewhereLines(mine.month, 1) }},
		"Tolerances":     {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Tolerances(50) }},
	}
}

func writingReconciliation() map[string]query {
	return map[string]query{
		"LockReconciliation": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockReconciliation()) }},
		"LockTolerance":      {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockTolerance()) }},
		"AddRun": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			run := mine.runRow(tx, 2)
			run.UsagePull = theirs.pull.UUID()
			return onlyError(tx.AddRun(run, []byte("x"), []reconcile.Item{mine.item()}))
		}},
		"AddDaySignOff": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddDaySignOff(&db.DaySignOffRow{RunID: theirs.run, Part: "reviewer", Actor: "x", PersonID: id.NewPerson(tx.Now), ChangeID: mine.change.ID}))
		}},
		"AddVariance": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddVariance(id.NewVariance(tx.Now), 2, mine.month.Start(), theirs.finding()))
		}},
		"AddVarianceStep": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(mine.varianceStep(theirs.variance, tx))
		}},
		"LockElsewhere": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockElsewhere()) }},
		"AddElsewhere": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddElsewhere(mine.month, mine.spent(theirs.node), mine.change.ID))
		}},
		"AddTolerance": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddTolerance(mine.tolerance(theirs.change.ID)))
		}},
	}
}

// TestAReconciliationThatDoesNotAddUpIsRefused: the database has the last word.
func TestAReconciliationThatDoesNotAddUpIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene("one")
	clone := dbtest.New(t)
	s.furnish(t, clone)
	for name, spoil := range map[string]func(*db.RunRow, *[]reconcile.Item){
		"an amount": func(r *db.RunRow, _ *[]reconcile.Item) { r.BilledPico = "11" },
		"an item":   func(_ *db.RunRow, items *[]reconcile.Item) { *items = append(*items, s.item()) },
		"unknown":   func(r *db.RunRow, _ *[]reconcile.Item) { r.UnexplainedPico = "7" },
	} {
		err := clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			run, items := s.runRow(tx, 3), []reconcile.Item{s.item()}
			spoil(run, &items)
			run.RecordID = id.NewRecord(tx.Now)
			if err := tx.AppendAudit(auditlog.Record{ID: run.RecordID, Action: "reconciliation.made", Actor: "system"}); err != nil {
				return err
			}
			return tx.AddRun(run, []byte("x"), items)
		})
		require.ErrorContains(t, err, "TB018", name)
	}
}
