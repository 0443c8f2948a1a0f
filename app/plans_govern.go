package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/plan"
	"tollbook/db"
)

// govern tells the funnel of plans, which a company's policies may have somebody decide about.
func (p *Plans) govern() {
	p.changes.govern(changePlan, governed{checks: "finance", lock: (*db.Tx).LockPlans, draft: p.draftPlan, apply: p.applyPlan, impact: p.planImpact})
}

// planFile is what a maker sends: the file of a year's amounts and the version its dry run
// was made on.
type planFile struct {
	Year        string `json:"year"`
	File        string `json:"file"`
	BaseVersion int    `json:"base_version"`
}

// planDocument is what a change of a plan says while it waits; the file is kept beside.
type planDocument struct {
	Year        string `json:"year"`
	BaseVersion int    `json:"base_version"`
	Document    string `json:"document_sha256"`
	File        string `json:"file_sha256"`
	Nodes       int    `json:"nodes"`
	Moves       int    `json:"moves"`
	TotalUSD    string `json:"total_usd"`
	WasUSD      string `json:"was_usd"`
}

// AskPlanVersion is the proposal of a year's next plan.
func AskPlanVersion(want PlanAsk) Ask {
	asked := ask(changePlan, want.Reason, planFile{Year: want.Year.String(), File: string(want.File), BaseVersion: want.Base})
	asked.EffectiveFrom = want.EffectiveFrom
	return asked
}

func (p *Plans) draftPlan(tx *db.Tx, who Actor, payload []byte, from time.Time) (draft, error) {
	var asked planFile
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	year, err := plan.ParseYear(asked.Year)
	if err != nil {
		return draft{}, err
	}
	if err := planDate(year, from); err != nil {
		return draft{}, err
	}
	if err := tx.LockPlans(); err != nil {
		return draft{}, err
	}
	checked, err := p.checked(tx, who, year, []byte(asked.File), asked.BaseVersion)
	if err != nil {
		return draft{}, err
	}
	digest, file := sha256.Sum256(checked.grid.Document(year)), sha256.Sum256([]byte(asked.File))
	total, was := checked.grid.Total().Total(), checked.Before.Total()
	return draft{
		effective: from,
		payload: planDocument{
			Year: year.String(), BaseVersion: checked.Base, Document: hex.EncodeToString(digest[:]), File: hex.EncodeToString(file[:]),
			Nodes: len(checked.grid), Moves: checked.Moves(), TotalUSD: total.Cents.String(), WasUSD: was.Cents.String(),
		},
		store: func(tx *db.Tx, c approval.Change) error { return tx.KeepDocument(c.ID, []byte(asked.File)) },
	}, nil
}

// planDate refuses a plan that would take effect when its year is over.
func planDate(year plan.Year, from time.Time) error {
	if !from.IsZero() && (from.Year() < 2000 || !from.Before(year.Next().First().Start())) {
		return fault.Invalid("effective_from", "plan_effective", "A plan takes effect before its year ends.")
	}
	return nil
}

// checked is what a file does to a year's latest version, if it can be a version at all.
func (p *Plans) checked(tx *db.Tx, who Actor, year plan.Year, file []byte, base int) (PlanDraft, error) {
	d, err := p.draft(tx, who, year, file)
	switch {
	case err != nil:
		return d, err
	case d.Base != base:
		return d, errPlanMoved
	case len(d.Problems) > 0:
		first := d.Problems[0]
		return d, fault.Invalid("file", "plan_file", "Line %d, column %d: %s Nothing was taken from the file.", first.Line, first.Column, first.Message)
	case d.Moves() == 0:
		return d, errPlanSame
	}
	return d, nil
}

// applyPlan makes the file that was decided about the year's next version. Whoever
// proposed it could plan what is in it, so that nobody's part of the tree is asked for again.
func (p *Plans) applyPlan(tx *db.Tx, c approval.Change) error {
	var doc planDocument
	if err := stored(c, &doc); err != nil {
		return err
	}
	year, err := plan.ParseYear(doc.Year)
	if err != nil {
		return err
	}
	file, err := tx.KeptDocument(c.ID)
	if err != nil {
		return err
	}
	if digest := sha256.Sum256(file); hex.EncodeToString(digest[:]) != doc.File {
		return approval.ErrDigest
	}
	d, err := p.checked(tx, System(tx.Tenant), year, file, doc.BaseVersion)
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		return errOvertaken("plan_moved", fault.From(err).Message)
	}
	if err != nil {
		return err
	}
	if digest := sha256.Sum256(d.grid.Document(year)); hex.EncodeToString(digest[:]) != doc.Document {
		return errPlanMoved
	}
	version, err := p.next(tx, year)
	if err != nil {
		return err
	}
	version.EffectiveFrom, version.Change = c.EffectiveFrom, c.ID
	return tx.AddPlan(version, d.grid)
}

// next is the version a year's plan gets next, and what it is called.
func (p *Plans) next(tx *db.Tx, year plan.Year) (plan.Version, error) {
	rows, err := tx.Plans(maxPlanVersions)
	if err != nil {
		return plan.Version{}, err
	}
	version := plan.Version{Number: 1, Year: year}
	if len(rows) > 0 {
		version.Number = rows[0].Version + 1
	}
	if base, found := plan.Latest(planVersions(rows), year); found {
		version.Ordinal = base.Ordinal + 1
	}
	if version.Number > maxPlanVersions {
		return plan.Version{}, errPlansMany
	}
	return version, nil
}

func (p *Plans) planImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var doc planDocument
	if err := stored(c, &doc); err != nil {
		return approval.Impact{}, err
	}
	total, err := money.ParseCents(doc.TotalUSD)
	if err != nil {
		return approval.Impact{}, err
	}
	was, err := money.ParseCents(doc.WasUSD)
	if err != nil {
		return approval.Impact{}, err
	}
	out := approval.Impact{PlanMovedCents: total - was}
	if out.PlanMovedCents < 0 {
		out.PlanMovedCents = -out.PlanMovedCents
	}
	out.Moved.AddCents(out.PlanMovedCents)
	lines := "1 line"
	if doc.Moves != 1 {
		lines = strconv.Itoa(doc.Moves) + " lines"
	}
	out.Sentence = fmt.Sprintf("The plan of %s is $%s instead of $%s; %s of it differ.", doc.Year, doc.TotalUSD, doc.WasUSD, lines)
	file, err := tx.KeptDocument(c.ID)
	if err != nil {
		return approval.Impact{}, err
	}
	year, err := plan.ParseYear(doc.Year)
	if err != nil {
		return approval.Impact{}, err
	}
	d, err := p.draft(tx, System(tx.Tenant), year, file)
	for i := range d.Effects {
		if d.Effects[i].Before != d.Effects[i].After {
			out.Touches = append(out.Touches, d.Effects[i].Node)
		}
	}
	return out, err
}

// Made is the version that a change of a plan made; found is false while it waits.
func (p *Plans) Made(ctx context.Context, who Actor, change id.Change) (version plan.Version, found bool, err error) {
	if err := p.access.Check(who, "plan", "read"); err != nil {
		return plan.Version{}, false, err
	}
	err = p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Plans(maxPlanVersions)
		for _, v := range planVersions(rows) {
			if v.Change == change {
				version, found = v, true
			}
		}
		return err
	})
	return version, found, err
}
