package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Approvals is the area of changes that wait for a decision: proposing them from
// outside, listing and deciding them, whatever their kind.
type Approvals struct {
	db      *db.DB
	access  *Access
	changes *Changes
	ring    *secret.Keyring
}

// NewApprovals makes the area. Kinds are governed by the areas made before and after.
func NewApprovals(d *db.DB, access *Access, changes *Changes, ring *secret.Keyring) *Approvals {
	return &Approvals{db: d, access: access, changes: changes, ring: ring}
}

// ChangeView is a change as lists and pages show it.
type ChangeView struct {
	approval.Change
	MovedAt       time.Time
	Decider       string // the actor's id, or a rule; empty while open
	Basis         approval.Basis
	VerdictReason string
	Impact        approval.Impact
}

// Open says whether it waits for a decision.
func (c *ChangeView) Open() bool { return c.State == approval.StateProposed }

func changeView(r *db.ChangeRow) (ChangeView, error) {
	if len(r.Digest) != len(approval.Change{}.Digest) {
		return ChangeView{}, approval.ErrDigest
	}
	return ChangeView{
		Change: approval.Change{
			ID: r.ChangeID, Number: r.Number, Kind: r.Kind, Payload: r.Payload, Digest: [32]byte(r.Digest), Reason: r.Reason,
			EffectiveFrom: r.EffectiveFrom.UTC(), Maker: r.Maker, ProposedAt: r.ProposedAt.UTC(), State: approval.State(r.State),
		},
		MovedAt: r.MovedAt.UTC(), Decider: r.Decider, Basis: approval.Basis(r.Basis), VerdictReason: r.VerdictReason,
	}, nil
}

// changeOf reads a change for moving it: nothing else moves it until commit.
func changeOf(tx *db.Tx, change id.Change) (ChangeView, error) {
	if err := tx.LockChange(change); err != nil {
		return ChangeView{}, err
	}
	row, err := tx.Change(change)
	if err != nil {
		return ChangeView{}, err
	}
	return changeView(&row)
}

// Ask is a proposal as it comes from outside.
type Ask struct {
	Kind          string
	Payload       []byte // JSON
	EffectiveFrom time.Time
	Reason        string
}

// Propose makes a change of a governed kind; it waits for a person's decision.
func (a *Approvals) Propose(ctx context.Context, who Actor, ask Ask, once string) (ChangeView, error) {
	if err := a.access.Check(who, "change", "propose"); err != nil {
		return ChangeView{}, err
	}
	kind, ok := a.changes.governed[ask.Kind]
	if !ok {
		return ChangeView{}, fault.Invalid("kind", "kind_unknown", "A change of kind %.40q cannot be proposed here. Known: %v.", ask.Kind, slices.Sorted(maps.Keys(a.changes.governed)))
	}
	if err := a.changes.allowed(who, ask.Kind); err != nil {
		return ChangeView{}, err
	}
	var made ChangeView
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		made, err = doOnce(tx, a.ring, who, once, "change.propose", ask, func() (ChangeView, error) {
			d, err := kind.draft(tx, who, ask.Payload, ask.EffectiveFrom)
			if err != nil {
				return ChangeView{}, err
			}
			change, err := a.changes.submit(tx, who, ask.Kind, ask.Reason, d)
			if err != nil {
				return ChangeView{}, err
			}
			view := ChangeView{Change: change, MovedAt: tx.Now}
			view.Impact, err = kind.impact(tx, change)
			return view, err
		})
		return err
	})
	return made, err
}

// ChangePage is one page of changes, newest first.
type ChangePage struct {
	Rows []ChangeView
	Next int64 // the number to go on below; zero on the last page
}

// MaxChanges bounds one page of changes.
const MaxChanges = 500

// List shows changes of the governed kinds the actor may read.
func (a *Approvals) List(ctx context.Context, who Actor, state approval.State, below int64, limit int) (ChangePage, error) {
	if err := a.access.Check(who, "change", "read"); err != nil {
		return ChangePage{}, err
	}
	if state != "" && !slices.Contains([]approval.State{approval.StateProposed, approval.StateApproved, approval.StateRejected, approval.StateApplied}, state) {
		return ChangePage{}, fault.Invalid("state", "state_unknown", "A change is proposed, approved, rejected or applied; not %.40q.", string(state))
	}
	limit = min(max(limit, 1), MaxChanges)
	kinds := []string{}
	for kind := range a.changes.governed {
		if a.access.Check(who, objectOf(kind), "read") == nil {
			kinds = append(kinds, kind)
		}
	}
	var page ChangePage
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Changes(kinds, string(state), below, limit+1)
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			page.Next = rows[limit-1].Number
		}
		for i := range rows {
			view, err := changeView(&rows[i])
			if err != nil {
				return err
			}
			page.Rows = append(page.Rows, view)
		}
		return nil
	})
	return page, err
}

// Decide gives a person's verdict on a proposal; approved, it is applied in the same
// commit. Seen is the digest the person was shown. A refused attempt is recorded too.
func (a *Approvals) Decide(ctx context.Context, who Actor, change id.Change, verdict approval.Verdict, seen [32]byte, reason string) (ChangeView, error) {
	var decided ChangeView
	found := false
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Change(change)
		if err != nil {
			return err
		}
		kind, ok := a.changes.governed[row.Kind]
		if !ok {
			return db.ErrChangeAbsent
		}
		found = true
		if err := a.access.Check(who, kind.checks, "approve"); err != nil {
			return err
		}
		if err := kind.lock(tx); err != nil {
			return err
		}
		view, err := changeOf(tx, change)
		if err != nil {
			return err
		}
		decided, err = a.decide(tx, who, view, kind, verdict, seen, reason)
		return err
	})
	if k := fault.KindOf(err); err != nil && found && (k == fault.KindForbidden || k == fault.KindConflict) {
		refusal := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
			return tx.AppendAudit(auditlog.Record{
				Action: "change.decision_refused", Actor: who.ID(), Subject: change.String(),
				Detail: map[string]any{"code": fault.From(err).Code, "verdict": string(verdict)},
			})
		})
		if refusal != nil {
			return ChangeView{}, fmt.Errorf("record a refused decision: %w", refusal)
		}
	}
	return decided, err
}

func (a *Approvals) decide(tx *db.Tx, who Actor, view ChangeView, kind governed, verdict approval.Verdict, seen [32]byte, reason string) (ChangeView, error) {
	others, err := a.others(tx, who, kind.checks)
	if err != nil {
		return ChangeView{}, err
	}
	maker, err := tx.MakerPersons(view.Maker)
	if err != nil {
		return ChangeView{}, err
	}
	moved, basis, err := view.Decide(approval.Checker{ID: who.ID(), Person: who.Person, Others: others}, maker, verdict, seen, reason)
	if err != nil {
		return ChangeView{}, err
	}
	if err := tx.AddDecision(moved.ID, 1, moved.State, who.ID(), moved.Digest, basis, reason); err != nil {
		return ChangeView{}, err
	}
	if moved.State == approval.StateApproved {
		if err := a.refuseConflicted(tx, who); err != nil {
			return ChangeView{}, err
		}
		if err := kind.apply(tx, moved); err != nil {
			return ChangeView{}, err
		}
		if moved, err = a.changes.move(tx, moved, approval.StateApplied, 2, who.ID()); err != nil {
			return ChangeView{}, err
		}
		tx.Notify()
	}
	view.Change, view.MovedAt, view.Decider, view.Basis, view.VerdictReason = moved, tx.Now, who.ID(), basis, reason
	return view, record(tx, "change."+string(moved.State), who, moved, map[string]any{
		"decided_by": who.ID(), "basis": string(basis), "maker": moved.Maker, "seen": hex.EncodeToString(seen[:]), "verdict_reason": reason,
	})
}

// refuseConflicted refuses a checker whose accounts together hold what must not meet.
func (a *Approvals) refuseConflicted(tx *db.Tx, who Actor) error {
	held, err := tx.PersonRoles(who.Person)
	if err != nil {
		return err
	}
	if len(a.access.Conflicts(rolesOf(held))) > 0 {
		return ErrDuty
	}
	return nil
}

// others counts the persons but the actor who may decide, too.
func (a *Approvals) others(tx *db.Tx, who Actor, object string) (int, error) {
	var roles []string
	for _, role := range Roles() {
		if a.access.may(who.Tenant, []Grant{{Role: role}}, object, "approve") {
			roles = append(roles, string(role))
		}
	}
	rows, err := tx.PersonsWith(roles)
	if err != nil {
		return 0, err
	}
	grants, persons := map[id.Member][]Grant{}, map[id.Member]id.Person{}
	for _, r := range rows {
		grants[r.MemberID] = append(grants[r.MemberID], Grant{Role: Role(r.Role), Node: r.NodeID})
		persons[r.MemberID] = r.PersonID
	}
	seen := map[id.Person]bool{}
	for member, held := range grants {
		if person := persons[member]; person != who.Person && a.access.may(who.Tenant, held, object, "approve") {
			seen[person] = true
		}
	}
	return len(seen), nil
}
