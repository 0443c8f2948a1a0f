package app

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
)

// Terms is what a change is held to: the policy as it was when the change was proposed or
// edited.
type Terms struct {
	Policy    approval.Policy
	Version   int       // of the company's policies; 0 for the one that holds without their say
	ExpiresAt time.Time // zero for what Tollbook itself proposed: it waits for somebody
}

// held is the terms of a change with what it would do.
type held struct {
	Terms
	impact   approval.Impact
	document []byte // the impact as it is kept
	revision int
}

// hold works out what a change does and who decides about it, and keeps both with it.
func (c *Changes) hold(tx *db.Tx, who Actor, g governed, change approval.Change, revision int) (held, error) {
	if err := g.dates(tx, change.EffectiveFrom); err != nil {
		return held{}, err
	}
	terms := held{revision: revision}
	var err error
	if terms.impact, err = g.impact(tx, change); err != nil {
		return held{}, fmt.Errorf("work out what the change does: %w", err)
	}
	policies, number, err := inForcePolicies(tx)
	if err != nil {
		return held{}, err
	}
	tree, err := treeAt(tx, later(change.EffectiveFrom, tx.Now))
	if err != nil {
		return held{}, err
	}
	terms.Policy = policies.Fits(change.Kind, g.floor, &terms.impact, func(root id.Node) (some, all bool) {
		return lying(tree, terms.impact.Touches, root)
	})
	if len(terms.Policy.Steps) == 0 && c.access.Check(who, "close", "propose") != nil {
		// Where nobody would have to decide, finance does about what reaches into a month that is closing.
		if closing, err := g.closingMonths(tx, change); err != nil {
			return held{}, err
		} else if len(closing) > 0 {
			terms.Policy = approval.Default(approval.FloorSecond)
		}
	}
	var version *int
	if terms.Policy.Code != approval.RuleDefault {
		terms.Version, version = number, &number
	}
	if change.Maker != string(ActorSystem) {
		terms.ExpiresAt = terms.Policy.ExpiresAt(tx.Now)
	}
	policy, err := json.Marshal(terms.Policy)
	if err != nil {
		return held{}, fmt.Errorf("keep policy: %w", err)
	}
	if terms.document, err = json.Marshal(terms.impact); err != nil {
		return held{}, fmt.Errorf("keep impact: %w", err)
	}
	row := db.TermsRow{ChangeID: change.ID, Revision: revision, PolicyVersion: version, Policy: policy, Impact: terms.document, RemindDays: terms.Policy.RemindDays}
	if !terms.ExpiresAt.IsZero() {
		row.ExpiresAt = &terms.ExpiresAt
	}
	if terms.Policy.EscalateDays > 0 {
		at := tx.Now.AddDate(0, 0, terms.Policy.EscalateDays)
		row.EscalateAt = &at
	}
	return terms, tx.AddTerms(row)
}

// inForcePolicies are a company's policies and their version; none, and 0, before the first.
func inForcePolicies(tx *db.Tx) (approval.Policies, int, error) {
	var policies approval.Policies
	row, found, err := tx.Policies(tx.Now)
	if err != nil || !found {
		return policies, 0, err
	}
	if err := json.Unmarshal(row.Document, &policies); err != nil {
		return policies, 0, fmt.Errorf("read policies %d: %w", row.Version, err)
	}
	return policies, row.Version, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lying says whether some nodes, and whether all of them, lie at or below a root.
func lying(tree *hierarchy.Tree, nodes []id.Node, root id.Node) (some, all bool) {
	all = len(nodes) > 0
	for _, n := range nodes {
		if tree.Within(n, root) {
			some = true
		} else {
			all = false
		}
	}
	return some, all
}

// dates refuses a change that would reach back into a month that is closed.
func (g *governed) dates(tx *db.Tx, from time.Time) error {
	if !g.dated || !from.Before(tx.Now) {
		return nil
	}
	for month := period.MonthOf(from); !month.Start().After(tx.Now); month = month.Next() {
		state, err := tx.PostingState(month)
		if err != nil {
			return err
		}
		if state.Shut() {
			return fault.Invalid("effective_from", "period_closed", "%s is closed. Choose a date from %s on; what is wrong in a closed month is corrected by an adjustment in an open one.",
				month.String(), month.Next().Start().Format(time.DateOnly))
		}
	}
	return nil
}

// touched are the months of the books, up to the present one, that a change would alter.
func (g *governed) touched(tx *db.Tx, c approval.Change) ([]period.Month, error) {
	if g.months != nil {
		return g.months(tx, c)
	}
	var list []period.Month
	if g.dated {
		for month := period.MonthOf(c.EffectiveFrom); !month.Start().After(tx.Now) && len(list) < maxPeriods; month = month.Next() {
			list = append(list, month)
		}
	}
	return list, nil
}

// closingMonths are those of them that are closing.
func (g *governed) closingMonths(tx *db.Tx, c approval.Change) ([]period.Month, error) {
	months, err := g.touched(tx, c)
	if err != nil {
		return nil, err
	}
	var list []period.Month
	for _, month := range months {
		state, err := tx.PeriodState(month)
		if err != nil {
			return nil, err
		}
		if state == period.StateClosing {
			list = append(list, month)
		}
	}
	return list, nil
}

// detail is what a record says of the terms.
func (h *held) detail() map[string]any {
	detail := map[string]any{"policy": h.Policy.Code, "policy_version": h.Version, "revision": h.revision, "impact": string(h.document)}
	if !h.ExpiresAt.IsZero() {
		detail["expires_at"] = h.ExpiresAt.Format(time.RFC3339Nano)
	}
	return detail
}

func heldOf(r *db.TermsRow) (held, error) {
	h := held{revision: r.Revision}
	if r.ExpiresAt != nil {
		h.ExpiresAt = r.ExpiresAt.UTC()
	}
	if r.PolicyVersion != nil {
		h.Version = *r.PolicyVersion
	}
	if err := errors.Join(json.Unmarshal(r.Policy, &h.Policy), json.Unmarshal(r.Impact, &h.impact)); err != nil {
		return held{}, fmt.Errorf("read terms of %s: %w", r.ChangeID, err)
	}
	return h, nil
}

// terms reads what changes are held to. One that was proposed before there were policies
// is held to the one that holds without anybody's say.
func (a *Approvals) terms(tx *db.Tx, views []ChangeView) error {
	ids := make([]id.Change, 0, len(views))
	for i := range views {
		ids = append(ids, views[i].ID)
	}
	rows, err := tx.Terms(ids...)
	if err != nil {
		return err
	}
	for i := range views {
		v := &views[i]
		row, ok := rows[v.ID]
		if !ok {
			v.Terms = Terms{Policy: approval.Default(a.changes.governed[v.Kind].floor)}
			continue
		}
		found, err := heldOf(&row)
		if err != nil {
			return err
		}
		v.Terms, v.Impact = found.Terms, found.impact
	}
	return a.nameMembers(tx, views)
}

var memberText = regexp.MustCompile(`\bmem_[0-9a-f]{32}\b`)

// nameMembers puts names where sentences that are kept name members by their opaque ids:
// what is kept has to outlive an erasure.
func (a *Approvals) nameMembers(tx *db.Tx, views []ChangeView) error {
	var said []string
	for i := range views {
		said = append(said, memberText.FindAllString(views[i].Impact.Sentence, -1)...)
	}
	if len(said) == 0 {
		return nil
	}
	hands, err := a.members.hands(tx, said)
	if err != nil {
		return err
	}
	for i := range views {
		views[i].Impact.Sentence = memberText.ReplaceAllStringFunc(views[i].Impact.Sentence, func(member string) string { return hands[member].Name })
	}
	return nil
}

// Expired says whether the time to decide is over.
func (c *ChangeView) Expired(now time.Time) bool {
	return !c.Terms.ExpiresAt.IsZero() && !now.Before(c.Terms.ExpiresAt)
}

// DigestText is the digest in hexadecimal.
func (c *ChangeView) DigestText() string { return hex.EncodeToString(c.Digest[:]) }
