package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/db"
)

// govern tells the funnel of terms, holds and purges. Setting a hold only ever keeps more, so
// that nobody has to decide about it unless a policy asks; all else takes two persons.
func (r *Retentions) govern() {
	r.changes.govern(changeRetention, governed{
		checks: "finance", floor: approval.FloorPair, dated: true, revisable: true, lock: (*db.Tx).LockRetention, draft: r.draftTerms, apply: r.applyTerms, impact: r.termsImpact,
	})
	r.changes.govern(changeHold, governed{checks: "finance", lock: (*db.Tx).LockRetention, draft: r.draftHold, apply: r.applyHold, impact: r.holdImpact})
	r.changes.govern(changeHoldEnd, governed{checks: "finance", floor: approval.FloorPair, lock: (*db.Tx).LockRetention, draft: r.draftHoldEnd, apply: r.applyHoldEnd, impact: r.holdEndImpact})
	r.changes.govern(changePurge, governed{checks: "finance", floor: approval.FloorPair, lock: (*db.Tx).LockRetention, draft: r.draftPurge, apply: r.applyPurge, impact: r.purgeImpact})
}

// RetentionYears are terms by class; a class that is zero stays as it is.
type RetentionYears struct {
	Usage    int `json:"usage,omitempty"`
	Audit    int `json:"audit,omitempty"`
	Notices  int `json:"notices,omitempty"`
	Sessions int `json:"sessions,omitempty"`
}

// Of is a class's term.
func (y RetentionYears) Of(class retention.Class) int {
	switch class {
	case retention.Usage:
		return y.Usage
	case retention.Audit:
		return y.Audit
	case retention.Notices:
		return y.Notices
	case retention.Sessions:
		return y.Sessions
	}
	return 0
}

// AskRetention is the proposal of terms from an instant on (zero: when it is decided).
func AskRetention(years RetentionYears, from time.Time, reason string) Ask {
	asked := ask(changeRetention, reason, years)
	asked.EffectiveFrom = from
	return asked
}

func (r *Retentions) draftTerms(tx *db.Tx, _ Actor, payload []byte, from time.Time) (draft, error) {
	var asked RetentionYears
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	k, err := readTerms(tx)
	if err != nil {
		return draft{}, err
	}
	differ := false
	for _, class := range retention.Classes() {
		years := asked.Of(class)
		if years == 0 {
			continue
		}
		if err := class.Check(years); err != nil {
			return draft{}, err
		}
		differ = differ || years != retention.InForce(k.terms, class, later(from, tx.Now)).Years
	}
	if !differ {
		return draft{}, fault.Invalid("usage", "retention_same", "Those are the terms in force: change one of them.")
	}
	return draft{payload: asked, effective: from}, nil
}

func (r *Retentions) applyTerms(tx *db.Tx, c approval.Change) error {
	var years RetentionYears
	if err := stored(c, &years); err != nil {
		return err
	}
	for _, class := range retention.Classes() {
		if n := years.Of(class); n != 0 {
			if err := tx.AddRetentionTerm(class, n, later(c.EffectiveFrom, tx.Now), c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Retentions) termsImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var years RetentionYears
	if err := stored(c, &years); err != nil {
		return approval.Impact{}, err
	}
	k, err := readTerms(tx)
	if err != nil {
		return approval.Impact{}, err
	}
	from := later(c.EffectiveFrom, tx.Now)
	var parts []string
	for _, class := range retention.Classes() {
		n, was := years.Of(class), retention.InForce(k.terms, class, from).Years
		if n == 0 || n == was {
			continue
		}
		list, err := months(tx, class)
		if err != nil {
			return approval.Impact{}, err
		}
		// What would be expired on that day, under the one term and under the other.
		before := retention.Expired(class, list, k.terms, k.bars, from)
		after := retention.Expired(class, list, append(k.terms, retention.Term{Class: class, Years: n, EffectiveFrom: from, RecordedAt: tx.Now.Add(1)}), k.bars, from)
		parts = append(parts, fmt.Sprintf("%s %s instead of %d (months expired then: %d instead of %d)", ClassWords(class), yearWords(n), was, len(after), len(before)))
	}
	return approval.Impact{Sentence: "Kept from then on: " + strings.Join(parts, "; ") + ". Nothing is purged by this: a purge is a change of its own."}, nil
}

func yearWords(n int) string {
	if n == 1 {
		return "1 year"
	}
	return strconv.Itoa(n) + " years"
}

// ClassWords names a class in a sentence.
func ClassWords(class retention.Class) string {
	switch class {
	case retention.Usage:
		return "requests with their adjustments"
	case retention.Audit:
		return "the bytes of audit records"
	case retention.Notices:
		return "notices and their deliveries"
	case retention.Sessions:
		return "sign-ins at the pages"
	}
	return string(class)
}

// holdAsk is what a maker sends of a hold: a range of months, both included, or none for all.
type holdAsk struct {
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
}

// AskHold is the proposal of a legal hold on months, both included; two zero months hold all.
func AskHold(first, last, reason string) Ask {
	return ask(changeHold, reason, holdAsk{First: first, Last: last})
}

func (h holdAsk) months() (first, last period.Month, err error) {
	if h.First == "" && h.Last == "" {
		return first, last, nil
	}
	if first, err = period.ParseMonth(h.First); err != nil {
		return first, last, fault.Invalid("first", "period_syntax", "A month is YYYY-MM, as in 2026-11. Leave both empty to hold every month.")
	}
	if last, err = period.ParseMonth(h.Last); err != nil {
		return first, last, fault.Invalid("last", "period_syntax", "A month is YYYY-MM, as in 2026-11. Leave both empty to hold every month.")
	}
	if last.Start().Before(first.Start()) {
		return first, last, fault.Invalid("last", "hold_range", "The last month is before the first; both are included.")
	}
	return first, last, nil
}

func (h holdAsk) words() string {
	switch h.First {
	case "":
		return "every month"
	case h.Last:
		return h.First
	}
	return h.First + " to " + h.Last
}

func (r *Retentions) draftHold(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked holdAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if _, _, err := asked.months(); err != nil {
		return draft{}, err
	}
	k, err := readTerms(tx)
	if err != nil {
		return draft{}, err
	}
	inForce := 0
	for _, h := range k.bars {
		if !h.Ended {
			inForce++
		}
	}
	if inForce >= maxHolds {
		return draft{}, fault.New(fault.KindConflict, "holds_many", fmt.Sprintf("%d legal holds are in force: end one first.", maxHolds))
	}
	return draft{payload: asked}, nil
}

func (r *Retentions) applyHold(tx *db.Tx, c approval.Change) error {
	var asked holdAsk
	if err := stored(c, &asked); err != nil {
		return err
	}
	first, last, err := asked.months()
	if err != nil {
		return err
	}
	if err := tx.LockRetention(); err != nil {
		return err
	}
	return tx.AddLegalHold(first, last, c.ID)
}

func (r *Retentions) holdImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var asked holdAsk
	err := stored(c, &asked)
	return approval.Impact{Sentence: "Nothing recorded in " + asked.words() + " can be purged until this hold is ended by a change that two persons decide."}, err
}

// holdEndAsk is what a maker sends of a hold's end: the change that set it.
type holdEndAsk struct {
	Hold id.Change `json:"hold"`
}

// AskHoldEnd is the proposal that a hold ends, named by the change that set it.
func AskHoldEnd(hold id.Change, reason string) Ask {
	return ask(changeHoldEnd, reason, holdEndAsk{Hold: hold})
}

var (
	errHoldAbsent = fault.New(fault.KindNotFound, "hold_absent", "There is no such legal hold.")
	errHoldEnded  = fault.New(fault.KindConflict, "hold_ended", "That legal hold was ended already.")
)

// holdNamed finds a hold that is in force.
func holdNamed(tx *db.Tx, hold id.Change) (LegalHold, error) {
	k, err := readTerms(tx)
	if err != nil {
		return LegalHold{}, err
	}
	for i := range k.holds {
		if k.holds[i].Change != hold {
			continue
		}
		if !k.holds[i].EndedBy.IsZero() {
			return LegalHold{}, errHoldEnded
		}
		return k.holds[i], nil
	}
	return LegalHold{}, errHoldAbsent
}

func (r *Retentions) draftHoldEnd(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked holdEndAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	_, err := holdNamed(tx, asked.Hold)
	return draft{payload: asked}, err
}

func (r *Retentions) applyHoldEnd(tx *db.Tx, c approval.Change) error {
	var asked holdEndAsk
	if err := stored(c, &asked); err != nil {
		return err
	}
	if _, err := holdNamed(tx, asked.Hold); err != nil {
		return err
	}
	return tx.EndLegalHold(asked.Hold, c.ID)
}

func (r *Retentions) holdEndImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var asked holdEndAsk
	if err := stored(c, &asked); err != nil {
		return approval.Impact{}, err
	}
	h, err := holdNamed(tx, asked.Hold)
	if err != nil {
		return approval.Impact{}, err
	}
	over := holdAsk{}
	if !h.Everything() {
		over = holdAsk{First: h.First.String(), Last: h.Last.String()}
	}
	return approval.Impact{Sentence: fmt.Sprintf("The legal hold of Change %d on %s ends. What was kept for its term there can be purged from then on, unless another hold is on it.", h.Number, over.words())}, nil
}

// purgeAsk is what a maker sends of a purge: a class, and months of it that have expired; with
// none, all that have, the oldest first and at most maxPurge.
type purgeAsk struct {
	Class  string   `json:"class"`
	Months []string `json:"months,omitempty"`
}

// purgePayload is what a purge says; the database reads it. Months are their first days.
type purgePayload struct {
	Class  retention.Class `json:"class"`
	Months []string        `json:"months"`
}

// AskPurge is the proposal that months of a class are purged; without months, those that
// have expired, the oldest first.
func AskPurge(class string, months []string, reason string) Ask {
	return ask(changePurge, reason, purgeAsk{Class: class, Months: months})
}

func (r *Retentions) draftPurge(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked purgeAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	class, err := retention.Parse(asked.Class)
	if err != nil {
		return draft{}, err
	}
	if len(asked.Months) > maxPurge {
		return draft{}, fault.Invalid("months", "purge_many", "One purge takes at most %d months.", maxPurge)
	}
	named := make([]period.Month, 0, len(asked.Months))
	for _, text := range asked.Months {
		m, err := period.ParseMonth(text)
		if err != nil {
			return draft{}, fault.Invalid("months", "period_syntax", "A month is YYYY-MM, as in 2026-11.")
		}
		named = append(named, m)
	}
	expired, err := expiredOf(tx, class)
	if err != nil {
		return draft{}, err
	}
	if len(named) == 0 {
		if len(expired) == 0 {
			return draft{}, fault.New(fault.KindConflict, "purge_nothing", "Nothing of this class has expired, or a legal hold is on all that has.")
		}
		named = expired[:min(len(expired), maxPurge)]
	}
	p := purgePayload{Class: class, Months: []string{}}
	for _, m := range named {
		p.Months = append(p.Months, m.Start().Format(time.DateOnly))
	}
	return draft{payload: p}, stillExpired(tx, p)
}

func expiredOf(tx *db.Tx, class retention.Class) ([]period.Month, error) {
	k, err := readTerms(tx)
	if err != nil {
		return nil, err
	}
	list, err := months(tx, class)
	return retention.Expired(class, list, k.terms, k.bars, tx.Now), err
}

// stillExpired refuses months that have not expired, are held, or have nothing of the class.
func stillExpired(tx *db.Tx, p purgePayload) error {
	expired, err := expiredOf(tx, p.Class)
	if err != nil {
		return err
	}
	may := map[string]bool{}
	for _, m := range expired {
		may[m.Start().Format(time.DateOnly)] = true
	}
	for _, m := range p.Months {
		if !may[m] {
			return fault.New(fault.KindConflict, "purge_kept", fmt.Sprintf("%s of %.7s cannot be purged: its term runs, its books are open, a legal hold is on it, or nothing of it is here.", p.Class, m))
		}
		delete(may, m) // named twice is once too often
	}
	return nil
}

func (r *Retentions) applyPurge(tx *db.Tx, c approval.Change) error {
	var p purgePayload
	if err := stored(c, &p); err != nil {
		return err
	}
	if p.Class != classCompany {
		if err := stillExpired(tx, p); err != nil {
			return errOvertaken("purge_kept", fault.From(err).Message)
		}
	}
	if err := tx.Purge(c.ID); err != nil {
		return fmt.Errorf("purge for %s: %w", c.ID, err)
	}
	rows, err := tx.Tombstones(c.ID, maxPurge)
	if err != nil {
		return err
	}
	list, err := tombstones(rows)
	if err != nil {
		return err
	}
	for i := range list {
		if err := tx.AppendAudit(list[i].record(tx)); err != nil {
			return err
		}
	}
	return nil
}

// record is what the log keeps of a tombstone: whoever has it needs no word of the database's.
func (d *Tombstone) record(tx *db.Tx) auditlog.Record {
	return auditlog.Record{
		ID: id.NewRecord(tx.Now), Action: "retention.purged", Actor: string(ActorSystem), Subject: d.Change.String(),
		Detail: map[string]any{
			"class": string(d.Class), "month": d.Month.String(), "change": d.Change.String(), "number": d.Number, "rows": d.Rows, "requests": d.Requests,
			"charge_pico": d.Charge.Digits(), "first_sequence": d.First, "last_sequence": d.Last, "digest": d.Digest,
		},
	}
}

func (r *Retentions) purgeImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p purgePayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	names := make([]string, 0, len(p.Months))
	for _, m := range p.Months {
		names = append(names, m[:len("2026-11")])
	}
	words := fmt.Sprintf("All %s of %s are deleted for good.", ClassWords(p.Class), strings.Join(names, ", "))
	switch p.Class {
	case retention.Usage:
		requests, charge, err := controlOf(tx, p.Months)
		if err != nil {
			return approval.Impact{}, err
		}
		words += fmt.Sprintf(" These are %d requests of $%s; sums by day stay, and so do the roots that prove the rest. What was inside can never be shown or proved again.", requests, charge)
	case retention.Audit:
		words += " Who did what when stays, and so do the hashes that prove the rest; what the records said besides can never be shown again."
	case retention.Notices, retention.Sessions:
		words += " How many there were stays."
	}
	return approval.Impact{Sentence: words + " A tombstone names this change. It cannot be undone."}, nil
}
