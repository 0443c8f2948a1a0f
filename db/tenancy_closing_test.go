package db_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// shut is the month of a scene that is being closed; long before its requests'.
func (s *scene) shut() period.Month { return s.month.Previous().Previous().Previous() }

func (s *scene) signOff(tx *db.Tx, place int) *db.SignOffRow {
	return &db.SignOffRow{
		Place: place, Revision: 1, Step: "usage", Part: "prepared", MemberID: s.member, PersonID: s.person, Facts: []byte(s.mark("facts")), Note: s.mark("note"), RecordID: id.NewRecord(tx.Now),
	}
}

func (s *scene) move(place int, from, to string, change id.Change) *db.PeriodMoveRow {
	return &db.PeriodMoveRow{Month: s.shut().Start(), Place: place, FromState: from, ToState: to, Revision: 1, Actor: s.member.String(), Reason: s.mark("reason"), ChangeID: change}
}

func (s *scene) frozen(revision int, node id.Node) (*db.FreezeRow, []byte, []db.FrozenRow) {
	head := &db.FreezeRow{Revision: revision, Requests: 2, ChargePico: "7", Cents: 1, ChangeID: s.change.ID}
	return head, []byte(s.mark("frozen")), []db.FrozenRow{{Kind: "node", NodeID: &node, Code: s.mark("code"), Path: s.mark("path"), Requests: 2, ChargePico: "7"}}
}

func (s *scene) closing(t *testing.T, tx *db.Tx) {
	t.Helper()
	row, err := tx.HoldPeriod(s.shut())
	require.NoError(t, err)
	require.Equal(t, "open", row.State)
	require.NoError(t, tx.AddPeriodMove(s.move(1, "open", "closing", s.change.ID)))
	sign := s.signOff(tx, 1)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: sign.RecordID, Action: "close.signed", Actor: "test"}))
	require.NoError(t, tx.AddSignOff(s.shut(), sign))
	require.NoError(t, tx.AddFall(s.shut(), 1, "figures", []byte(s.mark("facts now")), sign.RecordID))
	require.NoError(t, tx.AddWaiver(s.shut(), 1, "suspense", s.change.ID))
	head, canonical, figures := s.frozen(1, s.node)
	require.NoError(t, tx.AddFreeze(s.shut(), head, canonical, figures))
	require.NoError(t, tx.AddMateriality(s.materiality(s.change.ID)))
	require.NoError(t, tx.AddHolidays(s.holidays(), tx.Now, s.change.ID))
}

func (s *scene) materiality(change id.Change) *db.MaterialityRow {
	return &db.MaterialityRow{MonthCents: 500, NodeCents: 100, EffectiveFrom: s.month.Start(), ChangeID: change}
}

func (s *scene) holidays() []db.HolidayRow {
	return []db.HolidayRow{{Day: s.month.Start(), Name: s.mark("holiday")}}
}

func readingClosing() map[string]query {
	return map[string]query{
		"Periods": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.Periods(10)
			if len(rows) != 3 {
				err = errors.Join(errors.New("not one's own months"), err)
			}
			return rows, err
		}},
		"PeriodStanding": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			stands, err := tx.PeriodStanding(mine.shut())
			if stands.State != period.StateClosing {
				err = errors.Join(errors.New("another's month"), err)
			}
			return stands, err
		}},
		"AnyClosing":  {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.AnyClosing() }},
		"PeriodMoves": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.PeriodMoves(mine.shut(), 10) }},
		"MonthUsage": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			row, err := tx.MonthUsage(mine.month)
			if row.Requests != 1 {
				err = errors.Join(errors.New("another's requests"), err)
			}
			return row, err
		}},
		"MonthUnpriced": {absent, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.MonthUnpriced(mine.month) }},
		"ChargedIn":     {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ChargedIn(mine.month) }},
		"JournalSum": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			row, err := tx.JournalSum(mine.month)
			if row.Entries != 1 {
				err = errors.Join(errors.New("another's entries"), err)
			}
			return row, err
		}},
		"SignOffs": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.SignOffs(mine.shut(), 10) }},
		"Waivers":  {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Waivers(mine.shut(), 1) }},
		"Freezes":  {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Freezes(mine.shut(), 10) }},
		"Frozen":   {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Frozen(mine.shut(), 1, 10) }},
		"FrozenBytes": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			canonical, _, err := tx.FrozenBytes(mine.shut(), 1)
			return string(canonical), err
		}},
		"Materialities": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Materialities(10) }},
		"HolidayLists":  {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.HolidayLists(10) }},
		"Holidays":      {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Holidays(10) }},
		"Following":     {absent, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Following(mine.month.End(), 10) }},
		"DayItems": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return tx.DayItems(mine.month, []reconcile.Class{reconcile.ClassFee})
		}},
		"Outside": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			seen, err := tx.Outside(theirs.change.ID)
			if seen {
				err = errors.Join(errors.New("another's record"), err)
			}
			return nil, err
		}},
	}
}

func writingClosing() map[string]query {
	return map[string]query{
		"LockClosing":    {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockClosing()) }},
		"HoldPeriod":     {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.HoldPeriod(theirs.shut()) }},
		"LockCloseTerms": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockCloseTerms()) }},
		"AddMateriality": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddMateriality(mine.materiality(theirs.change.ID)))
		}},
		"AddHolidays": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddHolidays(mine.holidays(), tx.Now, theirs.change.ID))
		}},
		"AddPeriodMove": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddPeriodMove(mine.move(2, "closing", "locked", theirs.change.ID)))
		}},
		"AddSignOff": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			sign := mine.signOff(tx, 2)
			sign.MemberID, sign.PersonID = theirs.member, theirs.person
			if err := tx.AppendAudit(auditlog.Record{ID: sign.RecordID, Action: "close.signed", Actor: "test"}); err != nil {
				return nil, err
			}
			return onlyError(tx.AddSignOff(mine.shut(), sign))
		}},
		"AddFall": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddFall(mine.shut(), 7, "figures", []byte("{}"), theirs.batch.Record))
		}},
		"AddWaiver": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddWaiver(mine.shut(), 1, "usage", theirs.change.ID))
		}},
		"AddFreeze": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			head, canonical, figures := mine.frozen(2, theirs.node)
			return onlyError(tx.AddFreeze(mine.shut(), head, canonical, figures))
		}},
	}
}
