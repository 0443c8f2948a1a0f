package app

import (
	"context"
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// elsewhereDocument is the whole of a month's spend that passed no gateway, as somebody states it.
type elsewhereDocument struct {
	Period string            `json:"period"`
	Lines  []reconcile.Spend `json:"lines"`
}

// AskElsewhere is the proposal of what a month's spend elsewhere is, in place of what was
// stated before.
func AskElsewhere(month period.Month, lines []reconcile.Spend, reason string) Ask {
	return ask(changeElsewhere, reason, elsewhereDocument{Period: month.String(), Lines: lines})
}

// Elsewhere is what was spent in a month without passing the gateway.
type Elsewhere struct {
	Month   period.Month
	Version int // 0: nothing was stated
	Lines   []ElsewhereLine
	Total   money.Cents
	Change  id.Change
	At      time.Time
	State   period.State
}

// ElsewhereLine is one line of it.
type ElsewhereLine struct {
	Node         id.Node
	Code         string
	Source, Memo string
	Cents        money.Cents
}

// Elsewhere reads what was stated of a month.
func (r *Reconciliations) Elsewhere(ctx context.Context, who Actor, month period.Month) (Elsewhere, error) {
	e := Elsewhere{Month: month}
	if err := r.mayRead(who); err != nil {
		return e, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		e, err = spentElsewhere(tx, month)
		return err
	})
	return e, err
}

func spentElsewhere(tx *db.Tx, month period.Month) (Elsewhere, error) {
	e := Elsewhere{Month: month}
	var err error
	if e.State, err = tx.PeriodState(month); err != nil {
		return e, err
	}
	row, found, err := tx.Elsewhere(month)
	if err != nil || !found {
		return e, err
	}
	e.Version, e.Total, e.Change, e.At = row.Version, money.Cents(row.TotalCents), row.ChangeID, row.RecordedAt.UTC()
	lines, err := tx.ElsewhereLines(month, row.Version)
	if err != nil {
		return e, err
	}
	codes, err := codesAt(tx, month.End().Add(-oneDay))
	if err != nil {
		return e, err
	}
	for i := range lines {
		l := &lines[i]
		e.Lines = append(e.Lines, ElsewhereLine{Node: l.NodeID, Code: codes(l.NodeID), Source: l.Source, Memo: l.Memo, Cents: money.Cents(l.Cents)})
	}
	return e, nil
}

// ReadSpend reads a file of spend elsewhere with the codes that nodes have in a month; it is
// taken whole, or it is said what is wrong with it.
func (r *Reconciliations) ReadSpend(ctx context.Context, who Actor, month period.Month, file []byte) (list []reconcile.Spend, wrong []reconcile.Wrong, err error) {
	if err := r.changes.allowed(who, changeElsewhere); err != nil {
		return nil, nil, err
	}
	if err := r.mayRead(who); err != nil {
		return nil, nil, err
	}
	err = r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		nodes, err := nodesOf(tx, month)
		list, wrong = reconcile.ReadSpend(file, func(code string) bool { return !nodes[code].IsZero() })
		return err
	})
	return list, wrong, err
}

// nodesOf finds nodes by the codes they have at the end of a month, or now while it is not over.
func nodesOf(tx *db.Tx, month period.Month) (map[string]id.Node, error) {
	trees, err := forestSince(tx, month.Start())
	if err != nil {
		return nil, err
	}
	at := month.End().Add(-time.Microsecond)
	if at.After(tx.Now) {
		at = tx.Now
	}
	tree, err := trees.at(at)
	if err != nil {
		return nil, err
	}
	nodes := map[string]id.Node{}
	for _, v := range tree.All() {
		if v.Code != hierarchy.SuspenseCode {
			nodes[v.Code] = v.Node
		}
	}
	return nodes, nil
}

// read checks a document against the hierarchy and the books.
func (d *elsewhereDocument) read(tx *db.Tx) (month period.Month, lines []db.SpendLine, total money.Cents, err error) {
	if month, err = period.ParseMonth(d.Period); err != nil {
		return month, nil, 0, err
	}
	if month.Start().After(tx.Now) || len(d.Lines) == 0 || len(d.Lines) > reconcile.MaxSpendLines {
		return month, nil, 0, fault.Invalid("lines", "elsewhere_lines", "Spend elsewhere is of a month that has begun, in 1 to %d lines.", reconcile.MaxSpendLines)
	}
	state, err := tx.PeriodState(month)
	if err != nil {
		return month, nil, 0, err
	}
	if state.Shut() {
		return month, nil, 0, fault.Invalid("period", "period_closed", "%s is closed: what was spent in it is not stated anew.", month)
	}
	nodes, err := nodesOf(tx, month)
	if err != nil {
		return month, nil, 0, err
	}
	for i := range d.Lines {
		l := &d.Lines[i]
		if err := l.Check(func(code string) bool { return !nodes[code].IsZero() }); err != nil {
			return month, nil, 0, err
		}
		lines = append(lines, db.SpendLine{NodeID: nodes[l.Node], Source: l.Source, Memo: l.Memo, Cents: int64(l.Cents)})
		total += l.Cents
	}
	return month, lines, total, nil
}

func (r *Reconciliations) draftElsewhere(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var want elsewhereDocument
	if err := strict(payload, &want); err != nil {
		return draft{}, err
	}
	_, lines, _, err := want.read(tx)
	if err != nil || len(lines) == 0 {
		return draft{}, err
	}
	return draft{payload: want}, nil
}

func (r *Reconciliations) applyElsewhere(tx *db.Tx, c approval.Change) error {
	var want elsewhereDocument
	if err := stored(c, &want); err != nil {
		return err
	}
	month, lines, _, err := want.read(tx)
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		return errOvertaken(fault.From(err).Code, fault.From(err).Message)
	}
	if err != nil {
		return err
	}
	return tx.AddElsewhere(month, lines, c.ID)
}

func (r *Reconciliations) elsewhereImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var want elsewhereDocument
	if err := stored(c, &want); err != nil {
		return approval.Impact{}, err
	}
	month, lines, total, err := want.read(tx)
	if err != nil {
		return approval.Impact{}, err
	}
	now, err := spentElsewhere(tx, month)
	impact := approval.Impact{Sentence: fmt.Sprintf("Spend of %s that passed no gateway: $%s in %d lines, instead of $%s. It shows beside coverage, marked; no charge, plan or journal entry changes.", month, total, len(lines), now.Total)}
	impact.Moved.AddCents(total)
	return impact, err
}
