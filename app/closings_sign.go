package app

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"tollbook/app/auditlog"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// Signing is a person's signature of a step, of the figures they looked at.
type Signing struct {
	Month period.Month
	Step  closing.Step
	Part  closing.Part
	Seen  string // the digest of the figures, in hexadecimal
	Note  string // what they say; a reason where the step asks for one
}

const maxNoteBytes = 2000

// The refusals of a signature.
var (
	errFiguresMoved = fault.New(fault.KindConflict, "figures_changed", "A figure of this step changed while you looked. Look at it again before you sign.")
	errNoteLength   = fault.Invalid("note", "note_length", "A note has at most %d bytes of printable UTF-8.", maxNoteBytes)
	errSameHand     = fault.New(fault.KindForbidden, "maker_is_checker", "Who prepared a step does not review it, under whichever account: somebody else has to.")
	errNotSigned    = fault.New(fault.KindNotFound, "signature_absent", "There is no such signature of yours that counts.")
)

// Sign signs a step of a month that is closing: as who prepared it, or as who reviewed that.
func (c *Closing) Sign(ctx context.Context, who Actor, s Signing) error {
	d, err := closing.Defined(s.Step)
	if err != nil {
		return err
	}
	if err := c.maySign(who, &d, s.Part); err != nil {
		return err
	}
	s.Note = strings.TrimSpace(s.Note)
	if usage.Clip(s.Note, maxNoteBytes) != s.Note {
		return errNoteLength
	}
	through, err := flushedThrough(ctx, c.db)
	if err != nil {
		return err
	}
	return c.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		w, _, err := c.held(tx, s.Month, through)
		if err != nil {
			return err
		}
		if err := w.signable(&d); err != nil {
			return err
		}
		if s.Part == closing.Reviewed {
			held, err := tx.PersonRoles(who.Person)
			if err != nil {
				return err
			}
			if len(c.access.Conflicts(rolesOf(held))) > 0 {
				return ErrDuty
			}
		}
		return c.sign(tx, who, w, &s)
	})
}

// maySign says whether an actor may sign a step at all. Signing is a person's decision.
func (c *Closing) maySign(who Actor, d *closing.Definition, part closing.Part) error {
	switch {
	case who.Kind != ActorPerson:
		return ErrNoPerson
	case !d.Signed():
		return fault.Invalid("step", "step_unsigned", "Nobody signs that step: its figures say it all.")
	case part == closing.Prepared:
		return c.access.Check(who, "close", "propose")
	case part == closing.Reviewed:
		return c.access.Check(who, d.Reviewer, "approve")
	}
	return fault.Invalid("part", "sign_part", "A step is prepared, or reviewed.")
}

func (c *Closing) sign(tx *db.Tx, who Actor, w *work, s *Signing) error {
	step, err := w.step(s.Step)
	if err != nil {
		return err
	}
	digest := closing.Digest(w.bytes[s.Step])
	if hex.EncodeToString(digest[:]) != s.Seen {
		return errFiguresMoved
	}
	row := db.SignOffRow{
		Place: len(w.signed) + 1, Revision: w.standing.Revision, Step: string(s.Step), Part: string(s.Part), MemberID: who.Member, PersonID: who.Person, Facts: w.bytes[s.Step], Note: s.Note,
		RecordID: id.NewRecord(tx.Now),
	}
	if s.Part == closing.Prepared {
		err = c.prepares(who, step, s.Note)
	} else {
		err = reviews(tx, who, w, step, &row)
	}
	if err != nil {
		return err
	}
	detail := map[string]any{
		"period": w.month.String(), "revision": w.standing.Revision, "step": string(s.Step), "part": string(s.Part), "place": row.Place, "facts": string(row.Facts),
		"digest": s.Seen, "note": s.Note, "signed_in_at": who.SignedInAt.UTC().Format("2006-01-02T15:04:05Z"),
	}
	if row.OfPlace > 0 {
		detail["of"] = row.OfPlace
	}
	if err := tx.AppendAudit(auditlog.Record{ID: row.RecordID, Action: "close.signed", Actor: who.ID(), Subject: w.month.String(), Detail: detail}); err != nil {
		return err
	}
	return tx.AddSignOff(w.month, &row)
}

// prepares refuses to prepare a step that is not ready, or without the reason it asks for.
func (c *Closing) prepares(who Actor, step *closing.Standing, note string) error {
	switch step.State {
	case closing.Ready:
	case closing.Waiting, closing.Blocked:
		return fault.New(fault.KindConflict, "step_not_ready", "This step is not ready to be signed: "+inTheWay(step))
	case closing.Signed, closing.Done, closing.Waived, closing.NotAsked:
		return fault.New(fault.KindConflict, "step_signed", "This step is signed already, or is not asked for.")
	}
	if step.Facts.Asks == "" {
		return nil
	}
	if note == "" {
		return fault.Invalid("note", "note_missing", "%s", step.Facts.Asks)
	}
	return c.access.Check(who, "finance", "approve")
}

func inTheWay(step *closing.Standing) string {
	if len(step.Facts.Blocks) > 0 {
		return step.Facts.Blocks[0].Text
	}
	return "a step before it is not done."
}

// reviews says what a review is of, and refuses whoever prepared that.
func reviews(tx *db.Tx, who Actor, w *work, step *closing.Standing, row *db.SignOffRow) error {
	if step.State != closing.Signed {
		return fault.New(fault.KindConflict, "step_unprepared", "There is nothing to review: nobody prepared this step as it is now, or it is reviewed already.")
	}
	prepared := &w.signed[step.Prepared-1]
	persons, err := tx.MakerPersons(prepared.MemberID.String())
	if err != nil {
		return err
	}
	if prepared.PersonID == who.Person || slices.Contains(persons, who.Person) {
		return errSameHand
	}
	row.OfPlace, row.OfPerson = prepared.Place, prepared.PersonID
	return nil
}

// TakeBack takes an own signature back that still counts. With a preparation goes the review
// of it.
func (c *Closing) TakeBack(ctx context.Context, who Actor, m period.Month, place int, reason string) error {
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	if err := c.access.Check(who, "period", "read"); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" || usage.Clip(reason, maxNoteBytes) != reason {
		return fault.Invalid("reason", "reason_missing", "Say why, in at most %d bytes.", maxNoteBytes)
	}
	through, err := flushedThrough(ctx, c.db)
	if err != nil {
		return err
	}
	return c.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		w, _, err := c.held(tx, m, through)
		if err != nil {
			return err
		}
		for i := range w.steps {
			s := &w.steps[i]
			if place == 0 || (s.Prepared != place && s.Reviewed != place) || w.signed[place-1].PersonID != who.Person {
				continue
			}
			if err := w.signable(&s.Definition); err != nil {
				return err
			}
			if err := w.fall(tx, place, "withdrawn", who.ID(), reason); err != nil {
				return err
			}
			fell := []int{place}
			if s.Prepared == place && s.Reviewed != 0 {
				if err := w.fall(tx, s.Reviewed, "preparation", who.ID(), reason); err != nil {
					return err
				}
				fell = append(fell, s.Reviewed)
			}
			return w.tellFalls(tx, fell, who.ID(), reason)
		}
		return errNotSigned
	})
}
