package app

import (
	"slices"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/reconcile"
	"tollbook/db"
)

const (
	// maxVariances bounds those of one day that are looked at: a day has no more subjects.
	maxVariances     = 5000
	maxVarianceSteps = 2000
)

// follow opens what the run found for the first time, tells what it found with another amount,
// and resolves what it did not find any more.
func (r *dayRun) follow(tx *db.Tx) error {
	rows, err := tx.Variances(&db.VarianceFilter{Day: r.row.Day, Limit: maxVariances})
	if err != nil {
		return err
	}
	for i := range r.verdict.Findings {
		f := &r.verdict.Findings[i]
		k := slices.IndexFunc(rows, func(row db.VarianceRow) bool { return about(&row, f) })
		if k < 0 {
			if err := r.open(tx, f); err != nil {
				return err
			}
			continue
		}
		row := rows[k]
		rows = slices.Delete(rows, k, k+1)
		if row.Kind != string(reconcile.StepGone) && row.AmountPico == f.Amount.Digits() && row.Quantity == f.Quantity {
			continue // as it was, and what was accepted of it holds
		}
		if err := r.step(tx, row.VarianceID, row.Number, &reconcile.Step{Kind: reconcile.StepFound, Actor: string(ActorSystem), Amount: f.Amount, Quantity: f.Quantity}); err != nil {
			return err
		}
	}
	for i := range rows {
		if rows[i].State == string(reconcile.StandingResolved) {
			continue
		}
		if err := r.step(tx, rows[i].VarianceID, rows[i].Number, &reconcile.Step{Kind: reconcile.StepGone, Actor: string(ActorSystem)}); err != nil {
			return err
		}
	}
	return nil
}

// about tells whether a variance is what a finding is about.
func about(row *db.VarianceRow, f *reconcile.Finding) bool {
	var node id.Node
	if row.NodeID != nil {
		node = *row.NodeID
	}
	return row.Class == string(f.Class) && row.Surface == string(f.Surface) && row.APIKey == f.Key && row.Model == f.Model && node == f.Node.Node
}

// open opens a variance.
func (r *dayRun) open(tx *db.Tx, f *reconcile.Finding) error {
	number, err := tx.Counter("variance")
	if err != nil {
		return err
	}
	variance := id.NewVariance(tx.Now)
	r.opened++
	if err := tx.AddVariance(variance, number, r.row.Day, f); err != nil {
		return err
	}
	return r.step(tx, variance, number, &reconcile.Step{Kind: reconcile.StepFound, Actor: string(ActorSystem), Amount: f.Amount, Quantity: f.Quantity})
}

// step adds a step of the run's own to a variance, with its record.
func (r *dayRun) step(tx *db.Tx, variance id.Variance, number int64, s *reconcile.Step) error {
	v, places, err := standingOf(tx, variance)
	if err != nil {
		return err
	}
	if v, err = v.Take(s); err != nil {
		return err
	}
	record := auditlog.Record{Action: "variance.found", Actor: string(ActorSystem), Subject: variance.String(), Detail: map[string]any{
		"number": number, "day": r.row.Day.Format(time.DateOnly), "run": r.row.Number, "amount_pico": v.Amount.Digits(), "state": string(v.Standing),
	}}
	if s.Kind == reconcile.StepGone {
		record.Action = "variance.gone"
		r.resolved++
	}
	if err := tx.AppendAudit(record); err != nil {
		return err
	}
	run := r.row.RunID
	return tx.AddVarianceStep(variance, stepRow(&v, s, places+1, &run, nil))
}

// standingOf folds the steps of a variance; places is how many there are.
func standingOf(tx *db.Tx, variance id.Variance) (v reconcile.Variance, places int, err error) {
	rows, err := tx.VarianceSteps(variance, maxVarianceSteps)
	if err != nil {
		return v, 0, err
	}
	present := &presently{tx: tx}
	for i := range rows {
		s, err := present.stepOf(&rows[i])
		if err != nil {
			return v, 0, err
		}
		if v, err = v.Take(&s); err != nil {
			return v, 0, err
		}
	}
	return v, len(rows), nil
}

// stepRow is a step as it is stored, with the variance as it is after it.
func stepRow(v *reconcile.Variance, s *reconcile.Step, place int, run *id.Run, change *id.Change) *db.VarianceStepRow {
	row := &db.VarianceStepRow{
		Place: place, Kind: string(s.Kind), State: string(v.Standing), Actor: s.Actor, AmountPico: v.Amount.Digits(), Quantity: v.Quantity, RunID: run, Note: s.Note, ChangeID: change,
	}
	if !s.Person.IsZero() {
		row.PersonID = &s.Person
	}
	if !v.Owner.IsZero() {
		row.OwnerMemberID = &v.Owner
	}
	if !s.WaitUntil.IsZero() {
		row.WaitUntil = &s.WaitUntil
	}
	if !s.Adjustment.IsZero() {
		row.AdjustmentChangeID = &s.Adjustment
	}
	return row
}

// presently finds the persons behind accounts as they are linked now, each once.
type presently struct {
	tx    *db.Tx
	known map[string][]id.Person
}

func (p *presently) persons(actor string) ([]id.Person, error) {
	if persons, known := p.known[actor]; known {
		return persons, nil
	}
	persons, err := p.tx.MakerPersons(actor)
	if p.known == nil {
		p.known = map[string][]id.Person{}
	}
	p.known[actor] = persons
	return persons, err
}

// author is an account with the person whose it was when it acted, and whoever it is of now.
func (p *presently) author(actor string, person id.Person) (reconcile.Author, error) {
	persons, err := p.persons(actor)
	return reconcile.Author{Actor: actor, Persons: append([]id.Person{person}, persons...)}, err
}

func (p *presently) stepOf(r *db.VarianceStepRow) (reconcile.Step, error) {
	amount, err := money.SumOfPico(r.AmountPico)
	if err != nil {
		return reconcile.Step{}, err
	}
	s := reconcile.Step{Kind: reconcile.StepKind(r.Kind), Actor: r.Actor, Amount: amount, Quantity: r.Quantity, Note: r.Note, At: r.RecordedAt.UTC()}
	if r.PersonID != nil {
		s.Person = *r.PersonID
		s.Persons, err = p.persons(r.Actor)
	}
	if r.OwnerMemberID != nil {
		s.Owner = *r.OwnerMemberID
	}
	if r.WaitUntil != nil {
		s.WaitUntil = r.WaitUntil.UTC()
	}
	if r.AdjustmentChangeID != nil {
		s.Adjustment = *r.AdjustmentChangeID
	}
	return s, err
}
