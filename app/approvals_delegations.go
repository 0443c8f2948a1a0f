package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// Delegation is one person standing in for another, who decides, for a while.
type Delegation struct {
	ID       id.Delegation
	From, To Hand
	StartsAt time.Time
	EndsAt   time.Time
	EndedAt  time.Time // when it was taken back; zero if it was not
	Reason   string
	Number   int64 // of the change
	Mine     bool  // the actor is the one who decides, and may take it back
	InForce  bool
}

// maxDelegation bounds how long somebody stands in for somebody.
const maxDelegation = 92 * 24 * time.Hour

// Delegate lets another member decide in the actor's stead, from an instant to another,
// about whatever the actor may decide about; never about what that member proposed.
func (a *Approvals) Delegate(ctx context.Context, who Actor, email string, from, to time.Time, reason string) (id.Delegation, error) {
	if err := a.changes.allowed(who, changeDelegation); err != nil {
		return id.Delegation{}, err
	}
	if who.Kind != ActorPerson {
		return id.Delegation{}, ErrNoPerson
	}
	var made id.Delegation
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if from.IsZero() {
			from = tx.Now
		}
		if !to.After(from) || !to.After(tx.Now) || to.Sub(from) > maxDelegation {
			return fault.Invalid("to", "delegation_dates", "A delegation ends after it starts, in the future, and lasts at most 92 days.")
		}
		member, found, err := tx.MemberByEmail(a.members.emails.Accepted(strings.ToLower(strings.TrimSpace(email))))
		if err != nil {
			return err
		}
		if !found {
			return fault.Invalid("email", "email_absent", "No member here has the address %.100q.", email)
		}
		room, err := a.room(tx)
		if err != nil {
			return err
		}
		if err := a.mayStandIn(tx, who, room.account(member)); err != nil {
			return err
		}
		row := db.DelegationRow{DelegationID: id.NewDelegation(tx.Now), FromMemberID: who.Member, ToMemberID: member, StartsAt: from.UTC(), EndsAt: to.UTC()}
		made = row.DelegationID
		payload := map[string]any{"delegation": made.String(), "from": who.Member.String(), "to": member.String(), "starts_at": from.UTC().Format(time.RFC3339), "ends_at": to.UTC().Format(time.RFC3339)}
		_, err = a.changes.change(tx, who, proposal{kind: changeDelegation, payload: payload, reason: reason}, func(c approval.Change) error { return tx.AddDelegation(row, c.ID) })
		return err
	})
	return made, err
}

// mayStandIn refuses whom conflicts of duty keep from deciding, and the actor's own accounts.
func (a *Approvals) mayStandIn(tx *db.Tx, who Actor, to *account) error {
	switch {
	case to == nil:
		return fault.Invalid("email", "member_absent", "That member cannot sign in now.")
	case to.person == who.Person:
		return fault.Invalid("email", "delegation_self", "That is you. Name somebody else.")
	}
	for _, object := range []string{"finance", "access", "owned"} {
		if a.access.denies(to.grants, object) {
			return fault.Invalid("email", "delegation_duty", "That member's role may never approve, for themselves or for somebody else.")
		}
	}
	held, err := tx.PersonRoles(to.person)
	if err != nil {
		return err
	}
	mine, err := tx.PersonRoles(who.Person)
	if err != nil {
		return err
	}
	if found := a.access.Conflicts(rolesOf(slices.Concat(held, mine))); len(found) > 0 {
		return fault.Invalid("email", "duty_conflict", "Your roles and that member's must not meet in one person. %s", found[0].Words)
	}
	return nil
}

// EndDelegation takes a delegation back at once.
func (a *Approvals) EndDelegation(ctx context.Context, who Actor, delegation id.Delegation, reason string) error {
	if err := a.changes.allowed(who, changeDelegationEnd); err != nil {
		return err
	}
	return a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Delegations(false, maxDelegations)
		if err != nil {
			return err
		}
		for i := range rows {
			d := &rows[i]
			if d.DelegationID != delegation || d.EndedAt != nil || (d.FromPersonID != who.Person && d.ToPersonID != who.Person) {
				continue
			}
			_, err := a.changes.change(tx, who, proposal{kind: changeDelegationEnd, payload: map[string]any{"delegation": delegation.String()}, reason: reason},
				func(c approval.Change) error { return tx.EndDelegation(delegation, c.ID) })
			return err
		}
		return db.ErrDelegationAbsent
	})
}

// Delegations lists who stands in for whom: all of them for who may read the policies.
func (a *Approvals) Delegations(ctx context.Context, who Actor) ([]Delegation, error) {
	if err := a.access.Check(who, "policy", "read"); err != nil {
		return nil, err
	}
	var list []Delegation
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Delegations(false, maxDelegations)
		if err != nil {
			return err
		}
		live, err := tx.Delegations(true, maxDelegations)
		if err != nil {
			return err
		}
		var makers []string
		for i := range rows {
			makers = append(makers, rows[i].FromMemberID.String(), rows[i].ToMemberID.String())
		}
		hands, err := a.members.hands(tx, makers)
		if err != nil {
			return err
		}
		for i := range rows {
			r := &rows[i]
			d := Delegation{
				ID: r.DelegationID, From: hands[r.FromMemberID.String()], To: hands[r.ToMemberID.String()], StartsAt: r.StartsAt.UTC(), EndsAt: r.EndsAt.UTC(), Reason: r.Reason, Number: r.Number,
				Mine: r.FromPersonID == who.Person, InForce: slices.ContainsFunc(live, func(l db.DelegationRow) bool { return l.DelegationID == r.DelegationID }),
			}
			if r.EndedAt != nil {
				d.EndedAt = r.EndedAt.UTC()
			}
			list = append(list, d)
		}
		return nil
	})
	return list, err
}
