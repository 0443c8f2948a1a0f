package app

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// The faults of steps and sign-offs.
var (
	ErrVarianceAbsent = fault.New(fault.KindNotFound, "variance_absent", "There is no such variance.")
	errNoRun          = fault.New(fault.KindNotFound, "day_unreconciled", "This day was not reconciled: the provider has not reported it.")
	errRunMoved       = fault.New(fault.KindConflict, "day_moved", "The day was reconciled again meanwhile, or is charged another amount by now: look at its figures as they are then, and sign those.")
	errProvisional    = fault.New(fault.KindConflict, "day_provisional", "One side does not have all of the day yet: it is signed when both have.")
	errVariancesOpen  = fault.New(fault.KindConflict, "day_variances_open", "A variance of this day is open: it is explained, adjusted or made to wait first.")
	errReviewsOpen    = fault.New(fault.KindConflict, "day_variances_unreviewed", "A variance of this day waits for its review: the day is reviewed after that.")
	errPrepareFirst   = fault.New(fault.KindConflict, "day_unprepared", "Nobody has prepared this day: it is reviewed after that.")
	errDaySigned      = fault.New(fault.KindConflict, "day_signed", "That was signed already.")
	errSamePreparer   = fault.New(fault.KindForbidden, "day_same_person", "Who prepared a day does not review it.")
)

// VarianceStep is what a person says of a variance.
type VarianceStep struct {
	Kind       reconcile.StepKind // assigned, explained, waiting, adjusted; accepted or returned by a reviewer
	Note       string             // why, or the explanation itself
	Owner      id.Member          // of assigned
	WaitUntil  time.Time          // of waiting
	Adjustment int64              // of adjusted: the number of the change that settles it
	Evidence   *NewAttachment     // of explained; nil: none
	// Seen is what the step is about; of a review it has to be said, and be so still.
	Seen *VarianceSeen
}

// VarianceSeen is a variance as somebody looked at it.
type VarianceSeen struct {
	Place  int // of its latest step
	Amount money.Sum
}

// errVarianceMoved refuses a step of what is another by now.
var errVarianceMoved = errOvertaken("variance_moved", "The variance is another than the one this is about: its amount changed, or somebody took a step. Look at it as it is now.")

// seenAs refuses a step that is about another amount, and a review of anything but what was
// shown.
func seenAs(v *reconcile.Variance, places int, s *VarianceStep) error {
	switch review := reviewsDay(s.Kind); {
	case s.Seen == nil && !review:
	case s.Seen == nil, s.Seen.Amount.Cmp(&v.Amount) != 0, review && s.Seen.Place != places:
		return errVarianceMoved
	}
	return nil
}

const (
	maxNote   = 1000
	maxWaits  = 60 * 24 * time.Hour // the provider revises a day for thirty
	noteField = "note"
)

// adjusting are the kinds of changes that may settle a variance.
func adjusting() []string {
	return []string{changePrices, changeTrueUp, changeRetag, changeNode, changeKeyMove, changeReversal, changeBooks, changeUpstream, changeSource, changeKeyEnd}
}

// reviewsDay tells whether a step is a second person's.
func reviewsDay(kind reconcile.StepKind) bool {
	return kind == reconcile.StepAccepted || kind == reconcile.StepReturned
}

// Step takes a step of a variance: somebody answers for it, explains it, makes it wait, names
// what adjusted it, or reviews that. It is recorded for good; only a later step says otherwise.
func (r *Reconciliations) Step(ctx context.Context, who Actor, variance id.Variance, s *VarianceStep) error {
	kind := changeVariance
	if reviewsDay(s.Kind) {
		kind = changeReview
	}
	if err := r.mayAct(who, kind); err != nil {
		return err
	}
	return r.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockReconciliation(); err != nil {
			return err
		}
		row, found, err := tx.Variance(variance)
		if err != nil {
			return err
		}
		if !found {
			return ErrVarianceAbsent
		}
		step, err := r.asStep(tx, who, s)
		if err != nil {
			return err
		}
		v, places, err := standingOf(tx, variance)
		if err != nil {
			return err
		}
		if err := seenAs(&v, places, s); err != nil {
			return err
		}
		if v, err = v.Take(&step); err != nil {
			return err
		}
		payload := map[string]any{"variance": variance.String(), "number": row.Number, "step": string(s.Kind), "amount_pico": v.Amount.Digits(), "state": string(v.Standing)}
		switch {
		case s.Kind == reconcile.StepAssigned:
			payload["owner"] = s.Owner.String()
		case s.Kind == reconcile.StepWaiting:
			payload["until"] = s.WaitUntil.Format(time.DateOnly)
		case s.Kind == reconcile.StepAdjusted:
			payload["adjusted_by"] = step.Adjustment.String()
		case s.Evidence != nil:
			payload["evidence_sha256"] = hex.EncodeToString(digestOf(s.Evidence.Content))
		}
		_, err = r.changes.change(tx, who, proposal{kind: kind, payload: payload, reason: s.Note}, func(c approval.Change) error {
			if s.Evidence != nil {
				file := db.AttachmentRow{AttachmentID: id.NewAttachment(tx.Now), Name: fileName(s.Evidence.Name), MediaType: mediaType(s.Evidence.MediaType), SHA256: digestOf(s.Evidence.Content), Actor: who.ID()}
				if err := tx.AddAttachment(c.ID, file, s.Evidence.Content); err != nil {
					return err
				}
			}
			return tx.AddVarianceStep(variance, stepRow(&v, &step, places+1, nil, &c.ID))
		})
		return err
	})
}

// mayAct refuses who may not take a step: it is a person's word, of somebody who sees all nodes.
func (r *Reconciliations) mayAct(who Actor, kind string) error {
	if err := r.changes.allowed(who, kind); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	return r.mayRead(who)
}

// asStep checks what a person says.
func (r *Reconciliations) asStep(tx *db.Tx, who Actor, s *VarianceStep) (reconcile.Step, error) {
	step := reconcile.Step{Kind: s.Kind, Actor: who.ID(), Person: who.Person, Note: strings.TrimSpace(s.Note)}
	var err error
	if step.Persons, err = tx.MakerPersons(who.ID()); err != nil {
		return step, err
	}
	if step.Note == "" || len(step.Note) > maxNote {
		return step, fault.Invalid(noteField, "variance_note", "Say why, in 1 to %d bytes: it is kept with the variance.", maxNote)
	}
	if s.Evidence != nil {
		switch {
		case s.Kind != reconcile.StepExplained:
			return step, fault.Invalid("file", "variance_evidence", "Evidence goes with an explanation.")
		case fileName(s.Evidence.Name) == "":
			return step, fault.Invalid("file", "attachment_name", "The file has a name of 1 to 200 bytes.")
		case len(s.Evidence.Content) == 0 || len(s.Evidence.Content) > MaxAttachment:
			return step, fault.Invalid("file", "attachment_size", "A file has 1 byte to 5 MB.")
		}
	}
	switch s.Kind {
	case reconcile.StepAssigned:
		step.Owner = s.Owner
		return step, r.answers(tx, s.Owner)
	case reconcile.StepWaiting:
		today := tx.Now.Truncate(oneDay)
		step.WaitUntil = s.WaitUntil.UTC().Truncate(oneDay)
		if step.WaitUntil.Before(today) || step.WaitUntil.Sub(today) > maxWaits {
			return step, fault.Invalid("until", "variance_until", "A variance waits until a day from today to 60 days from now.")
		}
	case reconcile.StepAdjusted:
		rows, err := tx.Changes(db.ChangeFilter{Kinds: adjusting(), State: string(approval.StateApplied), Below: s.Adjustment + 1, Limit: 1})
		if err != nil {
			return step, err
		}
		if len(rows) == 0 || rows[0].Number != s.Adjustment {
			return step, fault.Invalid("change", "variance_change", "Change %d is none that was applied and could settle this: prices, a re-tag, the hierarchy, a key, the books or where reports come from.", s.Adjustment)
		}
		step.Adjustment = rows[0].ChangeID
	case reconcile.StepExplained, reconcile.StepAccepted, reconcile.StepReturned:
	case reconcile.StepFound, reconcile.StepGone:
		return step, fault.Invalid("step", "variance_step_unknown", "%.40q is no step that a person takes.", string(s.Kind))
	default:
		return step, fault.Invalid("step", "variance_step_unknown", "%.40q is no step that a person takes.", string(s.Kind))
	}
	return step, nil
}

// answers refuses who cannot answer for a variance: a person of the company who can sign in.
func (r *Reconciliations) answers(tx *db.Tx, owner id.Member) error {
	members, err := r.members.membersAt(tx, tx.Now)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(members, func(m MemberView) bool { return m.ID == owner && m.State() == MemberActive && !m.Service }) {
		return fault.Invalid("owner", "variance_owner", "Who answers for a variance is a member who can sign in.")
	}
	return nil
}

// Parts of a sign-off.
const (
	PartPreparer = "preparer"
	PartReviewer = "reviewer"
)

// SignOff signs a day as it was last reconciled: first who prepared it, then somebody else
// who reviewed it. A figure that changes afterwards takes both away.
func (r *Reconciliations) SignOff(ctx context.Context, who Actor, day time.Time, number int64, part, note string) error {
	kind := changeSignOff
	if part == PartReviewer {
		kind = changeDayReview
	}
	if err := r.mayAct(who, kind); err != nil {
		return err
	}
	return r.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockReconciliation(); err != nil {
			return err
		}
		run, found, err := tx.LastRun(day)
		switch {
		case err != nil:
			return err
		case !found:
			return errNoRun
		case run.Number != number:
			return errRunMoved
		case run.State == string(reconcile.StateProvisional):
			return errProvisional
		}
		moved, err := tx.DaysMoved(day, day.Add(oneDay))
		if err != nil {
			return err
		}
		if len(moved) > 0 {
			return errRunMoved
		}
		if err := signable(tx, who, &run, part); err != nil {
			return err
		}
		payload := map[string]any{"run": run.RunID.String(), "number": run.Number, "day": day.Format(time.DateOnly), "part": part, "digest": hex.EncodeToString(run.Digest)}
		_, err = r.changes.change(tx, who, proposal{kind: kind, payload: payload, reason: note}, func(c approval.Change) error {
			return tx.AddDaySignOff(&db.DaySignOffRow{RunID: run.RunID, Part: part, Actor: who.ID(), PersonID: who.Person, ChangeID: c.ID})
		})
		return err
	})
}

// signable refuses a sign-off that is out of turn.
func signable(tx *db.Tx, who Actor, run *db.RunRow, part string) error {
	open, err := tx.VarianceDays(run.Day, run.Day.Add(oneDay), tx.Now.Truncate(oneDay))
	if err != nil {
		return err
	}
	for i := range open {
		switch {
		case open[i].Due:
			return errVariancesOpen
		case open[i].Review && part == PartReviewer:
			return errReviewsOpen
		}
	}
	signed, err := tx.DaySignOffs(run.Day, run.Day.Add(oneDay))
	if err != nil {
		return err
	}
	signed = slices.DeleteFunc(signed, func(s db.DaySignOffRow) bool { return s.RunID != run.RunID })
	prepared := false
	for _, s := range signed {
		if s.Part == part {
			return errDaySigned
		}
		same, err := signedBy(tx, who, &s)
		if err != nil {
			return err
		}
		if same {
			return errSamePreparer
		}
		prepared = prepared || s.Part == PartPreparer
	}
	if part == PartReviewer && !prepared {
		return errPrepareFirst
	}
	return nil
}

// signedBy tells whether somebody is who signed: with this account, or as a person that both
// accounts are or were.
func signedBy(tx *db.Tx, who Actor, s *db.DaySignOffRow) (bool, error) {
	present := &presently{tx: tx}
	signer, err := present.author(s.Actor, s.PersonID)
	if err != nil {
		return false, err
	}
	mine, err := present.author(who.ID(), who.Person)
	return mine.Is(signer), err
}
