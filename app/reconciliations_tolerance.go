package app

import (
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// govern tells the funnel of the tolerance. A second person decides: it says from what amount
// on somebody has to look.
func (r *Reconciliations) govern() {
	r.changes.govern(changeTolerance, governed{
		checks: "finance", floor: approval.FloorSecond, revisable: true, lock: (*db.Tx).LockTolerance, draft: r.draftTolerance, apply: r.applyTolerance, impact: r.toleranceImpact,
	})
	r.changes.govern(changeElsewhere, governed{
		checks: "finance", floor: approval.FloorSecond, lock: (*db.Tx).LockElsewhere, draft: r.draftElsewhere, apply: r.applyElsewhere, impact: r.elsewhereImpact,
	})
}

// AskTolerance is the proposal of how far both sides of a day may be apart.
func AskTolerance(want reconcile.Tolerance, reason string) Ask {
	return ask(changeTolerance, reason, want)
}

// toleranceInForce is the latest version; version 0 is the standard one.
func toleranceInForce(tx *db.Tx) (db.ToleranceRow, error) {
	rows, err := tx.Tolerances(1)
	if err != nil || len(rows) > 0 {
		if len(rows) > 0 {
			return rows[0], err
		}
		return db.ToleranceRow{}, err
	}
	standard := reconcile.Standard()
	return db.ToleranceRow{AbsoluteCents: int64(standard.Absolute), RelativeBps: standard.RelativeBps}, nil
}

func (r *Reconciliations) draftTolerance(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var want reconcile.Tolerance
	if err := strict(payload, &want); err != nil {
		return draft{}, err
	}
	if err := want.Check(); err != nil {
		return draft{}, err
	}
	now, err := toleranceInForce(tx)
	if err != nil {
		return draft{}, err
	}
	if now.AbsoluteCents == int64(want.Absolute) && now.RelativeBps == want.RelativeBps {
		return draft{}, fault.Invalid("absolute", "tolerance_same", "That is the tolerance already: nothing would change.")
	}
	return draft{payload: want}, nil
}

func (r *Reconciliations) applyTolerance(tx *db.Tx, c approval.Change) error {
	var want reconcile.Tolerance
	if err := stored(c, &want); err != nil {
		return err
	}
	return tx.AddTolerance(&db.ToleranceRow{AbsoluteCents: int64(want.Absolute), RelativeBps: want.RelativeBps, EffectiveFrom: tx.Now, ChangeID: c.ID})
}

func (r *Reconciliations) toleranceImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var want reconcile.Tolerance
	if err := stored(c, &want); err != nil {
		return approval.Impact{}, err
	}
	now, err := toleranceInForce(tx)
	if err != nil {
		return approval.Impact{}, err
	}
	was := reconcile.Tolerance{Absolute: money.Cents(now.AbsoluteCents), RelativeBps: now.RelativeBps}
	return approval.Impact{Sentence: fmt.Sprintf("From now on a difference above %s is an exception, instead of above %s. Days that may still change are held to it the next time they are reconciled.",
		ToleranceWords(want), ToleranceWords(was))}, nil
}

// ToleranceWords says a tolerance in a sentence.
func ToleranceWords(t reconcile.Tolerance) string {
	return fmt.Sprintf("$%s, or %d.%02d %% of the day’s charges", t.Absolute, t.RelativeBps/100, t.RelativeBps%100)
}
