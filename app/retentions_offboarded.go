package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/db"
)

// ruleOffboarding approves the purges of a company that was let go: the two persons who
// decided about that decided about these.
const ruleOffboarding = "offboarding"

// classCompany is all that remains of a company when every class of it is gone. Nobody can
// propose it.
const classCompany retention.Class = "company"

// maxClearing bounds the purges of one job; what is left is the next day's.
const maxClearing = 100

// ClearOffboarded purges what of an offboarded company was kept for its term, each purge a
// change and a commit of its own; at last, when no class has anything left, all that remains.
// It tells how many purges there were.
func (r *Retentions) ClearOffboarded(ctx context.Context, tenant id.Tenant) (int, error) {
	for n := range maxClearing {
		done := false
		err := r.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
			var err error
			done, err = r.clearNext(tx)
			return err
		})
		if err != nil || done {
			return n, err
		}
	}
	return maxClearing, nil
}

// clearNext purges what is due next; done when there is nothing.
func (r *Retentions) clearNext(tx *db.Tx) (done bool, err error) {
	gone, found, err := tx.Offboarding()
	if err != nil || !found {
		return true, err
	}
	if _, whole, err := tx.PurgedWhole(); err != nil || whole {
		return true, err
	}
	if err := tx.LockRetention(); err != nil {
		return false, err
	}
	p, found, err := dueOf(tx, gone.OffboardedAt.UTC())
	if err != nil || !found {
		return true, err
	}
	proposed := proposal{kind: changePurge, payload: p, rule: ruleOffboarding, reason: fmt.Sprintf("Kept for its term; Change %d offboarded the company.", gone.Number)}
	_, err = r.changes.change(tx, System(tx.Tenant), proposed, func(c approval.Change) error { return r.applyPurge(tx, c) })
	return false, err
}

// dueOf finds the next purge of a company that was let go.
func dueOf(tx *db.Tx, gone time.Time) (purgePayload, bool, error) {
	k, err := readTerms(tx)
	if err != nil {
		return purgePayload{}, false, err
	}
	held := slices.ContainsFunc(k.bars, func(h retention.Hold) bool { return !h.Ended })
	var used []retention.Kept
	left := 0
	for _, class := range []retention.Class{retention.Usage, retention.Notices, retention.Sessions, retention.Audit} { // records prove requests: they go after them
		list, err := monthsLeft(tx, class, gone)
		if err != nil {
			return purgePayload{}, false, err
		}
		if class == retention.Usage {
			used = list
		}
		left += len(list)
		expired := retention.Expired(class, list, k.terms, k.bars, tx.Now)
		if class == retention.Audit {
			expired = slices.DeleteFunc(expired, func(m period.Month) bool {
				return slices.ContainsFunc(used, func(u retention.Kept) bool { return !u.Month.Start().After(m.Start()) })
			})
		}
		if len(expired) > 0 {
			p := purgePayload{Class: class, Months: []string{}}
			for _, m := range expired[:min(len(expired), maxPurge)] {
				p.Months = append(p.Months, m.Start().Format(time.DateOnly))
			}
			return p, true, nil
		}
	}
	if left > 0 || held {
		return purgePayload{}, false, nil
	}
	return purgePayload{Class: classCompany, Months: []string{period.MonthOf(gone).Start().Format(time.DateOnly)}}, true, nil
}
