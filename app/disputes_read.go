package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"tollbook/app/dispute"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// DisputeView is one dispute as it stands.
type DisputeView struct {
	ID                 id.Dispute
	Number             int64
	Month              period.Month
	Node, To           id.Node
	NodeCode, NodePath string // that was charged
	ToCode, ToPath     string // that should be
	Narrowed           RetagFilter
	Listed             bool // chosen one by one
	Requests           int  // that would move
	Amount             money.Sum
	AmountNow          money.Sum // as of the latest step: what its change moves, once there is one
	Reason             string
	State              dispute.State
	Waits              dispute.Waits
	WaitsFor           string // by name, where it waits for one person
	Raiser             Hand
	RaisedAt           time.Time
	Since              time.Time // in this state
	AgeDays            int       // from raising to its end, or to now
	WaitDays           int       // in this state; 0 once it has ended
	Resolution         id.Change // zero: none was proposed
	ResolutionNumber   int64
}

// DisputeQuery narrows the list of disputes.
type DisputeQuery struct {
	Month  period.Month // zero: all
	State  string       // one of dispute.States, or standing; empty: all
	Before int64        // numbers below it; 0: the newest
	Limit  int
}

// DisputeStanding asks for all disputes that have not ended.
const DisputeStanding = "standing"

// DisputePage is disputes, the newest number first.
type DisputePage struct {
	Disputes []DisputeView
	Next     int64 // Before of the next page; 0: there is none
	CanRaise bool
}

// List lists disputes of what the actor may see: the node that was charged, or the one that
// should be.
func (d *Disputes) List(ctx context.Context, who Actor, q DisputeQuery) (DisputePage, error) {
	var page DisputePage
	if err := d.access.Check(who, "dispute", "read"); err != nil {
		return page, err
	}
	if q.State != "" && q.State != DisputeStanding && !dispute.State(q.State).Known() {
		return page, fault.Invalid("state", "dispute_state_unknown", "A dispute is open, accepted, proposed, moved, declined, withdrawn or kept, or standing for all that have not ended; %.40q is none.", q.State)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Limit = min(q.Limit, MaxRows)
	err := d.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		page = DisputePage{CanRaise: d.mayTake(who, changeDispute) == nil}
		within, err := nodesBelow(tx, d.access.Scope(who, "dispute", "read"))
		if err != nil {
			return err
		}
		rows, err := tx.Disputes(&db.DisputeFilter{Month: q.Month, State: q.State, Within: within, Before: q.Before, Limit: q.Limit + 1})
		if err != nil {
			return err
		}
		if len(rows) > q.Limit {
			rows = rows[:q.Limit]
			page.Next = rows[q.Limit-1].Number
		}
		page.Disputes, err = disputeViews(tx, d.members, rows)
		return err
	})
	return page, err
}

// disputeViews shapes rows, with names.
func disputeViews(tx *db.Tx, members *Members, rows []db.DisputeRow) ([]DisputeView, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var names []string
	for i := range rows {
		names = append(names, rows[i].Actor)
		if rows[i].AnswererMemberID != nil {
			names = append(names, rows[i].AnswererMemberID.String())
		}
	}
	hands, err := members.hands(tx, names)
	if err != nil {
		return nil, err
	}
	trees, err := forestSince(tx, rows[len(rows)-1].Month.UTC())
	if err != nil {
		return nil, err
	}
	list := make([]DisputeView, 0, len(rows))
	for i := range rows {
		v, err := disputeView(&rows[i], trees, hands, tx.Now)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func disputeView(row *db.DisputeRow, trees *forest, hands map[string]Hand, now time.Time) (DisputeView, error) {
	v := DisputeView{
		ID: row.DisputeID, Number: row.Number, Month: period.MonthOf(row.Month), Node: row.NodeID, To: row.ToNodeID, Requests: row.Requests, Reason: row.Reason, State: dispute.State(row.State),
		Raiser: hands[row.Actor], RaisedAt: row.RecordedAt.UTC(), Since: row.Since.UTC(), ResolutionNumber: row.ResolutionNumber, Listed: row.Narrowed == "{}",
	}
	if err := json.Unmarshal([]byte(row.Narrowed), &v.Narrowed); err != nil {
		return v, fmt.Errorf("read how dispute %d was narrowed: %w", row.Number, err)
	}
	tree, err := trees.at(row.RecordedAt.UTC())
	if err != nil {
		return v, err
	}
	v.NodeCode, v.NodePath = nodeNames(tree, row.NodeID)
	v.ToCode, v.ToPath = nodeNames(tree, row.ToNodeID)
	if v.Amount, err = money.SumOfPico(row.AmountPico); err != nil {
		return v, err
	}
	if v.AmountNow, err = money.SumOfPico(row.NowPico); err != nil {
		return v, err
	}
	if row.ResolutionChangeID != nil {
		v.Resolution = *row.ResolutionChangeID
	}
	v.Waits = v.State.Waits(row.AnswererMemberID != nil)
	if v.Waits == dispute.WaitsOwner {
		v.WaitsFor = hands[row.AnswererMemberID.String()].Name
	}
	until := now
	if v.State.Ended() {
		until = v.Since
	} else {
		v.WaitDays = dispute.AgeDays(v.Since, now)
	}
	v.AgeDays = dispute.AgeDays(v.RaisedAt, until)
	return v, nil
}

// nodeNames are a node's code and path in a tree.
func nodeNames(tree *hierarchy.Tree, node id.Node) (code, path string) {
	v, there := tree.Node(node)
	if !there {
		return node.String(), ""
	}
	return v.Code, tree.Path(node)
}

// DisputeStepView is one step of a dispute.
type DisputeStepView struct {
	Kind             dispute.Kind
	State            dispute.State
	Hand             Hand
	Note             string
	Amount           money.Sum
	Change           id.Change
	Resolution       id.Change // zero: none
	ResolutionNumber int64
	At               time.Time
}

// DisputeCase is one dispute with its steps, and what the reader may do.
type DisputeCase struct {
	DisputeView

	Steps      []DisputeStepView
	Change     ChangeView // that would move the charges; zero: none was proposed
	CanAnswer  bool
	CanTake    bool // back
	CanPropose bool
	CanKeep    bool
}

// Dispute is one dispute.
func (d *Disputes) Dispute(ctx context.Context, who Actor, of id.Dispute) (DisputeCase, error) {
	var c DisputeCase
	if err := d.access.Check(who, "dispute", "read"); err != nil {
		return c, err
	}
	err := d.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.Dispute(of)
		if err != nil {
			return err
		}
		seen, err := d.sees(tx, who, &row, found)
		if err != nil {
			return err
		}
		if !seen {
			return ErrDisputeAbsent
		}
		views, err := disputeViews(tx, d.members, []db.DisputeRow{row})
		if err != nil {
			return err
		}
		c = DisputeCase{DisputeView: views[0]}
		if err := d.caseSteps(tx, &c); err != nil {
			return err
		}
		return d.mayDo(tx, who, &c, &row)
	})
	return c, err
}

// mayDo fills in which steps the reader may take.
func (d *Disputes) mayDo(tx *db.Tx, who Actor, c *DisputeCase, row *db.DisputeRow) error {
	if c.State.Ended() || c.State == dispute.StateProposed {
		return nil
	}
	own := row.PersonID == who.Person && !who.Person.IsZero()
	if d.mayTake(who, changeDisputeAnswer) == nil {
		receives, err := d.receives(tx, who, row)
		if err != nil {
			return err
		}
		c.CanAnswer, c.CanTake = receives && !own && c.State == dispute.StateOpen, own
	}
	if d.mayTake(who, changeDisputeReview) == nil {
		c.CanKeep, c.CanPropose = !own, d.changes.allowed(who, changeRetag) == nil
	}
	return nil
}

func (d *Disputes) caseSteps(tx *db.Tx, c *DisputeCase) error {
	rows, err := tx.DisputeSteps(c.ID, dispute.MaxSteps)
	if err != nil {
		return err
	}
	var names []string
	for i := range rows {
		names = append(names, rows[i].Actor)
	}
	hands, err := d.members.hands(tx, names)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		one := DisputeStepView{Kind: dispute.Kind(r.Kind), State: dispute.State(r.State), Hand: hands[r.Actor], Note: r.Note, Change: r.ChangeID, At: r.RecordedAt.UTC()}
		if one.Amount, err = money.SumOfPico(r.AmountPico); err != nil {
			return err
		}
		if r.ResolutionChangeID != nil {
			change, err := tx.Change(*r.ResolutionChangeID)
			if err != nil {
				return err
			}
			one.Resolution, one.ResolutionNumber = *r.ResolutionChangeID, change.Number
			if c.Resolution == one.Resolution {
				if c.Change, err = changeView(&change); err != nil {
					return err
				}
			}
		}
		c.Steps = append(c.Steps, one)
	}
	return nil
}

// readDisputes are a month's disputes of some subtrees (nil: all) as they stand, the oldest
// first: what a packet reads. Ended ones are among them.
func readDisputes(tx *db.Tx, members *Members, m period.Month, within []id.Node) ([]DisputeView, error) {
	nodes, err := nodesBelow(tx, within)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Disputes(&db.DisputeFilter{Month: m, Within: nodes, Limit: maxStanding})
	if err != nil {
		return nil, err
	}
	list, err := disputeViews(tx, members, rows)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, err
}

// Of lists a month's disputes of what the actor may see, the oldest first, those that have
// ended among them.
func (d *Disputes) Of(ctx context.Context, who Actor, m period.Month) ([]DisputeView, error) {
	if err := d.access.Check(who, "dispute", "read"); err != nil {
		return nil, err
	}
	var list []DisputeView
	err := d.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		list, err = readDisputes(tx, d.members, m, d.access.Scope(who, "dispute", "read"))
		return err
	})
	return list, err
}

// disputesStanding is how a month's disputes stand together, for the step of its close.
type disputesStanding struct {
	Raised, Open, Accepted, Proposed, Ended int
	Amount                                  money.Sum // of those that have not ended
	Numbers                                 []int64   // of the same
	Digest                                  string    // over all, so that an answer is another figure
}

// disputesStand reads it.
func disputesStand(tx *db.Tx, m period.Month) (*disputesStanding, error) {
	rows, err := tx.Disputes(&db.DisputeFilter{Month: m, Limit: maxStanding})
	if err != nil {
		return nil, err
	}
	out := &disputesStanding{}
	h := sha256.New()
	for i := range rows {
		r := &rows[len(rows)-1-i]
		out.Raised++
		_, _ = fmt.Fprintf(h, "%d %s %s\n", r.Number, r.State, r.NowPico)
		state := dispute.State(r.State)
		switch state {
		case dispute.StateOpen:
			out.Open++
		case dispute.StateAccepted:
			out.Accepted++
		case dispute.StateProposed:
			out.Proposed++
		case dispute.StateMoved, dispute.StateDeclined, dispute.StateWithdrawn, dispute.StateKept:
			out.Ended++
		}
		if state.Ended() {
			continue
		}
		amount, err := money.SumOfPico(r.NowPico)
		if err != nil {
			return nil, err
		}
		out.Amount.AddSum(&amount)
		out.Numbers = append(out.Numbers, r.Number)
	}
	out.Digest = hex.EncodeToString(h.Sum(nil))
	return out, nil
}
