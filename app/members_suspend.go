package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

var (
	errSelf  = fault.New(fault.KindConflict, "own_suspension", "You cannot suspend yourself. Another tenant owner can.")
	errState = fault.New(fault.KindConflict, "member_state", "The member is in that state already.")
)

// Suspended says what a suspension ended.
type Suspended struct {
	Accounts         int
	Sessions, Tokens int64
	Proposals        int // that waited
	Invitations      int // made by the person, or for an address of theirs
	Logins           int64
}

// Suspend locks a person out, with every account, as one change: sessions, tokens and
// logins of command lines end, at every gateway within a second, and proposals that wait and open invitations are taken back in the same commit.
func (m *Members) Suspend(ctx context.Context, who Actor, member id.Member, reason string) (Suspended, error) {
	if err := m.changes.allowed(who, changeSuspension); err != nil {
		return Suspended{}, err
	}
	var done Suspended
	err := m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		done = Suspended{}
		if err := lockPeople(tx, who); err != nil {
			return err
		}
		row, err := tx.Member(member)
		switch {
		case err != nil:
			return err
		case row.PersonID == who.Person:
			return errSelf
		case row.SuspendedAt != nil:
			return errState
		}
		accounts, err := tx.Accounts(row.PersonID)
		if err != nil {
			return err
		}
		open, err := m.lockOpen(tx, accounts)
		if err != nil {
			return err
		}
		keep, err := keepOwner(tx, who)
		if err != nil {
			return err
		}
		p := proposal{kind: changeSuspension, payload: map[string]any{"accounts": memberIDs(accounts), "person": row.PersonID.String()}, reason: reason}
		_, err = m.changes.change(tx, who, p, func(c approval.Change) error {
			if err := m.lockOut(tx, who, accounts, open, c, &done); err != nil {
				return err
			}
			done.Invitations, err = m.withdrawInvitations(tx, row.PersonID, c)
			return err
		})
		if err != nil {
			return err
		}
		return keep()
	})
	return done, err
}

func memberIDs(accounts []db.MemberRow) []string {
	list := make([]string, 0, len(accounts))
	for _, a := range accounts {
		list = append(list, a.MemberID.String())
	}
	return list
}

// lockOpen holds the proposals of some accounts that wait, in the order decisions take
// them: first what the kinds hold, then each change.
func (m *Members) lockOpen(tx *db.Tx, accounts []db.MemberRow) ([]approval.Change, error) {
	var ids []id.Change
	kinds := map[string]bool{}
	for _, a := range accounts {
		rows, err := tx.OpenChangesBy(a.MemberID)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			ids, kinds[rows[i].Kind] = append(ids, rows[i].ChangeID), true
		}
	}
	for _, kind := range sortedKinds(kinds) {
		if g, ok := m.changes.governed[kind]; ok {
			if err := g.lock(tx); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(ids, func(a, b id.Change) int { x, y := a.Bytes(), b.Bytes(); return slices.Compare(x[:], y[:]) })
	var open []approval.Change
	for _, one := range ids {
		view, err := changeOf(tx, one)
		if err != nil {
			return nil, err
		}
		if view.Open() { // else decided while this waited
			open = append(open, view.Change)
		}
	}
	return open, nil
}

func sortedKinds(kinds map[string]bool) []string {
	list := make([]string, 0, len(kinds))
	for kind := range kinds {
		list = append(list, kind)
	}
	slices.Sort(list)
	return list
}

func (m *Members) lockOut(tx *db.Tx, who Actor, accounts []db.MemberRow, open []approval.Change, c approval.Change, done *Suspended) error {
	for _, a := range accounts {
		if err := tx.SetMemberState(id.NewVersion(tx.Now), a.MemberID, MemberSuspended, c.ID); err != nil {
			return err
		}
		sessions, err := tx.RevokeSessions(a.MemberID, id.Session{})
		if err != nil {
			return err
		}
		tokens, err := tx.RevokeTokens(a.MemberID, c.ID)
		if err != nil {
			return err
		}
		logins, err := tx.EndLogins(a.MemberID)
		if err != nil {
			return err
		}
		done.Accounts, done.Sessions, done.Tokens, done.Logins = done.Accounts+1, done.Sessions+sessions, done.Tokens+tokens, done.Logins+logins
	}
	for _, one := range open {
		if err := m.changes.withdraw(tx, who, one, fmt.Sprintf("its maker was suspended by change %d", c.Number)); err != nil {
			return err
		}
		done.Proposals++
	}
	return nil
}

// Resume lets a suspended person in again, with every account and the roles they had,
// as one change. Sessions, tokens and logins stay ended.
func (m *Members) Resume(ctx context.Context, who Actor, member id.Member, reason string) error {
	if err := m.changes.allowed(who, changeResumption); err != nil {
		return err
	}
	return m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := lockPeople(tx, who); err != nil {
			return err
		}
		row, err := tx.Member(member)
		if err != nil {
			return err
		}
		if row.SuspendedAt == nil {
			return errState
		}
		accounts, err := tx.Accounts(row.PersonID)
		if err != nil {
			return err
		}
		p := proposal{kind: changeResumption, payload: map[string]any{"accounts": memberIDs(accounts), "person": row.PersonID.String()}, reason: reason}
		_, err = m.changes.change(tx, who, p, func(c approval.Change) error {
			for _, a := range accounts {
				if err := tx.SetMemberState(id.NewVersion(tx.Now), a.MemberID, MemberActive, c.ID); err != nil {
					return err
				}
			}
			return m.refuseConflict(tx, row.PersonID)
		})
		return err
	})
}

// withdrawInvitations ends what would let a suspended person in again: the invitations
// they made, and those for the address they have.
func (m *Members) withdrawInvitations(tx *db.Tx, person id.Person, c approval.Change) (int, error) {
	makers, err := tx.MakersOf(person)
	if err != nil {
		return 0, err
	}
	sealed, err := tx.PersonEmail(person)
	if err != nil {
		return 0, err
	}
	address := m.email(person, sealed)
	open, err := tx.OpenInvitations(maxInvitations)
	if err != nil {
		return 0, err
	}
	ended := 0
	for i := range open {
		r := &open[i]
		email, err := m.ring.Open(purposeEmail, r.InvitationID.String(), r.EmailSealed)
		if err != nil {
			return 0, err
		}
		if !slices.Contains(makers, r.Maker) && (address == "" || !strings.EqualFold(address, string(email))) {
			continue
		}
		if _, err := tx.RevokeInvitation(r.InvitationID, c.ID); err != nil {
			return 0, err
		}
		ended++
	}
	return ended, nil
}

// Known is something whose secret a person saw and that goes on without them, because
// others work with it: a virtual key, or an API token of somebody else.
type Known struct {
	Key   id.Key   // zero: a token
	Token id.Token // zero: a key
	Label string
}

const maxKnown = 200

func known(tx *db.Tx, person id.Person) ([]Known, error) {
	makers, err := tx.MakersOf(person)
	if err != nil {
		return nil, err
	}
	rows, err := tx.KnownTo(makers, person, maxKnown)
	list := make([]Known, 0, len(rows))
	for _, r := range rows {
		list = append(list, Known{Key: r.KeyID, Token: r.TokenID, Label: r.Label})
	}
	return list, err
}
