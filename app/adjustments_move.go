package app

import (
	"context"
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/db"
)

const (
	// moveBatch is how many requests one transaction of the job moves: what was posted
	// stays when its process ends, and the rest is found again.
	moveBatch = 500
	// moveWaits bounds how long the job waits for gateways whose journal holds requests of
	// that time: one that is gone for good is not waited for.
	moveWaits = 24 * time.Hour
)

// MoveState is how far the charges have followed a change of the hierarchy that lies back.
type MoveState int

// The states.
const (
	MoveGoesOn MoveState = iota // there is more to move
	MoveWaits                   // for a gateway whose journal may hold requests of that time
	MoveEnded
)

// MoveCharges posts one batch of adjustments for a change of the hierarchy whose effective
// instant lies back: requests since then that lie at a placement which, as is now known, was
// another at their time. It finds what is left by looking, so that it may be ended anywhere
// and begun again. A month that was closed meanwhile ends it with an error, and nothing of
// that month is moved.
func (a *Adjustments) MoveCharges(ctx context.Context, tenant id.Tenant, change id.Change) (MoveState, error) {
	through, err := flushedThrough(ctx, a.db)
	if err != nil {
		return MoveGoesOn, err
	}
	state := MoveGoesOn
	err = a.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.LockAdjustments(); err != nil {
			return err
		}
		row, err := tx.Change(change)
		if err != nil {
			return err
		}
		view, err := changeView(&row)
		if err != nil {
			return err
		}
		if view.Kind != changeNode || view.State != approval.StateApplied {
			return fault.New(fault.KindInvalid, "change_state", "Charges follow an applied change of the hierarchy.")
		}
		sum, err := tx.AdjustmentsOf(change)
		if err != nil || sum.EndedAt != nil {
			state = MoveEnded
			return err
		}
		list, places, more, err := a.following(tx, view.EffectiveFrom)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			if err := internAll(tx, places); err != nil {
				return err
			}
			if err := a.post(tx, db.AdjustMove, change, list); err != nil {
				return err
			}
		}
		switch {
		case more:
		case through.Before(view.MovedAt) && tx.Now.Before(view.MovedAt.Add(moveWaits)):
			state = MoveWaits
		default:
			state = MoveEnded
			return endMoves(tx, change)
		}
		return nil
	})
	return state, err
}

// endMoves notes, and records, that all is posted that had to be.
func endMoves(tx *db.Tx, change id.Change) error {
	sum, err := tx.AdjustmentsOf(change)
	if err != nil {
		return err
	}
	if err := tx.AppendAudit(auditlog.Record{
		Action: "adjustment.ended", Actor: string(ActorSystem), Subject: change.String(), Detail: map[string]any{"kind": string(db.AdjustMove), "requests": sum.Adjustments},
	}); err != nil {
		return err
	}
	return tx.EndAdjustments(change)
}

// flushedThrough is the instant before which every request is in the ledger, as far as the
// gateways say that have not ended.
func flushedThrough(ctx context.Context, d *db.DB) (time.Time, error) {
	replicas, err := d.Replicas(ctx)
	if err != nil {
		return time.Time{}, err
	}
	through := time.Unix(1<<40, 0)
	for i := range replicas {
		if replicas[i].FlushedThrough.Before(through) {
			through = replicas[i].FlushedThrough
		}
	}
	return through, nil
}

// following finds the first requests since an instant that lie where their node was not, and
// where it was instead; more says that there may be others.
func (a *Adjustments) following(tx *db.Tx, from time.Time) (list []db.Adjusted, made map[id.Placement]hierarchy.Placement, more bool, err error) {
	trees, err := forestSince(tx, from)
	if err != nil {
		return nil, nil, false, err
	}
	places, err := placements(tx)
	if err != nil {
		return nil, nil, false, err
	}
	made = map[id.Placement]hierarchy.Placement{}
	for i, begins := range trees.instants {
		if begins.After(tx.Now) {
			break
		}
		ends := tx.Now.Add(time.Second)
		if i+1 < len(trees.instants) && trees.instants[i+1].Before(ends) {
			ends = trees.instants[i+1]
		}
		follow, err := trees.followers(begins, places)
		if err != nil {
			return nil, nil, false, err
		}
		if len(follow) == 0 {
			continue
		}
		stale := make([]id.Placement, 0, len(follow))
		for was, is := range follow {
			stale, made[is.ID] = append(stale, was), is
		}
		rows, err := tx.LyingIn(begins, ends, stale, id.Event{}, moveBatch-len(list))
		if err != nil {
			return nil, nil, false, err
		}
		if err := openBooks(tx, rows); err != nil {
			return nil, nil, false, err
		}
		for k := range rows {
			one, err := followed(&rows[k], follow)
			if err != nil {
				return nil, nil, false, err
			}
			list = append(list, one)
		}
		if len(list) >= moveBatch {
			return list, made, true, nil
		}
	}
	return list, made, false, nil
}

// followers are the placements that were another at an instant, as is now known, with what
// they were. A node that was not there then keeps its charges.
func (f *forest) followers(at time.Time, places map[id.Placement]placed) (map[id.Placement]hierarchy.Placement, error) {
	tree, err := f.at(at)
	if err != nil {
		return nil, err
	}
	follow := map[id.Placement]hierarchy.Placement{}
	for was, p := range places {
		if _, there := tree.Node(p.node); !there {
			continue
		}
		is, err := tree.Place(p.node)
		if err != nil {
			return nil, err
		}
		if is.ID != was {
			follow[was] = is
		}
	}
	return follow, nil
}

// followed restates a request at what its placements were.
func followed(row *db.LyingRow, follow map[id.Placement]hierarchy.Placement) (db.Adjusted, error) {
	was, err := row.Lying()
	if err != nil {
		return db.Adjusted{}, err
	}
	now := attribution.Lying{Measured: was.Measured, Shares: make([]usage.Share, 0, len(was.Shares))}
	for _, share := range was.Shares {
		if is, moves := follow[share.Placement]; moves {
			share.Placement = is.ID
		}
		now.Shares = append(now.Shares, share)
	}
	lines, err := attribution.Restate(&was, &now)
	if err != nil {
		return db.Adjusted{}, fmt.Errorf("restate %s: %w", row.EventID, err)
	}
	return db.Adjusted{Was: row, Now: now, Lines: lines}, nil
}
