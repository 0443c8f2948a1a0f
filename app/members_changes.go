package app

import (
	"context"
	"slices"

	"tollbook/app/id"
	"tollbook/db"
)

// PeopleChange is a change of members, tokens or issuers, with whose hand made it.
type PeopleChange struct {
	ChangeView
	Made Hand
}

// Change shows one change of members, tokens or issuers.
func (m *Members) Change(ctx context.Context, who Actor, change id.Change) (PeopleChange, error) {
	if err := m.access.Check(who, "member", "read"); err != nil {
		return PeopleChange{}, err
	}
	var view PeopleChange
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Change(change)
		if err != nil {
			return err
		}
		if !slices.Contains([]string{"member", "token", "issuer"}, objectOf(row.Kind)) {
			return db.ErrChangeAbsent
		}
		if view.ChangeView, err = changeView(&row); err != nil {
			return err
		}
		hands, err := m.hands(tx, []string{row.Maker})
		view.Made = hands[row.Maker]
		return err
	})
	return view, err
}
