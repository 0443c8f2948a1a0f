package app

import (
	"context"
	"fmt"

	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/db"
)

// The kinds of remarks Tollbook makes.
const (
	RemarkReminder   = "reminder"
	RemarkEscalation = "escalation"
)

// ruleExpired is who decides about a change that nobody decided in time.
const ruleExpired = "policy:expired"

// maxTend bounds the changes that are tended in one go; the rest is a minute later.
const maxTend = 200

// Tend expires changes whose time is over, asks others where a policy says so, and reminds
// whoever has been asked for long. Nothing is ever approved by waiting.
func (a *Approvals) Tend(ctx context.Context, tenant id.Tenant) error {
	var due []db.TendRow
	err := a.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		var err error
		due, err = tx.ToTend(maxTend)
		return err
	})
	if err != nil {
		return err
	}
	for _, one := range due {
		if err := a.db.InTenant(ctx, tenant, func(tx *db.Tx) error { return a.tend(tx, one) }); err != nil {
			return fmt.Errorf("tend change %s: %w", one.ChangeID, err)
		}
	}
	return nil
}

func (a *Approvals) tend(tx *db.Tx, due db.TendRow) error {
	view, err := changeOf(tx, due.ChangeID)
	if err != nil || !view.Open() { // somebody decided meanwhile
		return err
	}
	one := []ChangeView{view}
	if err := a.terms(tx, one); err != nil {
		return err
	}
	view = one[0]
	who := System(tx.Tenant)
	if due.Expired {
		moved, err := view.Move(approval.StateExpired)
		if err != nil {
			return err
		}
		if err := tx.AddDecision(view.ID, 1, moved.State, ruleExpired, view.Digest, approval.BasisExpired, "nobody decided in time"); err != nil {
			return err
		}
		return record(tx, "change.expired", who, moved, nil)
	}
	if due.Escalate {
		if err := a.nudge(tx, &view, RemarkEscalation, "Others may decide now as well, as the policy says."); err != nil {
			return err
		}
	}
	if due.Remind {
		return a.nudge(tx, &view, RemarkReminder, "Whoever is asked was reminded.")
	}
	return nil
}

func (a *Approvals) nudge(tx *db.Tx, view *ChangeView, kind, body string) error {
	who := System(tx.Tenant)
	if err := tx.AddRemark(view.ID, db.RemarkRow{RemarkID: id.NewRemark(tx.Now), Kind: kind, Actor: who.ID(), Body: body}); err != nil {
		return err
	}
	action := map[string]string{RemarkReminder: "change.reminded", RemarkEscalation: "change.escalated"}[kind]
	return record(tx, action, who, view.Change, nil)
}
