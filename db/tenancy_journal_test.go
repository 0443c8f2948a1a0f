package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/db"
)

// freshEntry is an entry about the scene's day, at its node.
func (s *scene) freshEntry(tx *db.Tx, number int64) *db.FreshEntry {
	e := &ledger.Entry{
		ID: id.NewEntry(tx.Now), Number: number, Kind: ledger.KindAccrual, Treatment: ledger.Chargeback, Period: s.month, Date: s.month.Start(), Memo: s.mark("entry"),
		Source: ledger.Source{Period: s.month, Day: s.month.Start(), Requests: 1},
		Lines: []ledger.Line{
			{Account: ledger.AccountExpense, Entity: s.mark("entity"), Node: s.node, NodeCode: s.mark("code"), Capitalization: "expense", Currency: ledger.USD, Cents: 5, Memo: s.mark("line")},
			{Account: ledger.AccountAccrued, Entity: s.mark("entity"), Workspace: "default", Currency: ledger.USD, Cents: -5},
		},
	}
	return &db.FreshEntry{Entry: e, Fingerprint: s.mark("fingerprint"), Canonical: []byte(s.mark("canonical")), Record: id.NewRecord(tx.Now)}
}

func (s *scene) journal(t *testing.T, tx *db.Tx) {
	t.Helper()
	f := s.freshEntry(tx, 1)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: f.Record, Action: auditlog.JournalEntry, Actor: "system"}))
	require.NoError(t, tx.AddEntry(f))
	require.NoError(t, tx.AddBooks(s.books(s.change.ID)))
	s.entry = f.Entry.ID
}

func (s *scene) books(change id.Change) *db.BooksRow {
	return &db.BooksRow{Treatment: "showback", Payer: s.mark("payer"), Workspace: s.mark("workspace"), EffectiveFrom: s.month.Start(), ChangeID: change}
}

func readingJournal() map[string]query {
	from := func(s *scene) time.Time { return s.month.Start() }
	until := func(s *scene) time.Time { return s.month.End() }
	return map[string]query{
		"DueDays": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			days, err := tx.DueDays(until(mine), db.DueDay{}, 50)
			if len(days) != 1 {
				err = errors.Join(errors.New("not one's own day"), err)
			}
			return days, err
		}},
		"Cells": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Cells(mine.month, from(mine), until(mine)) }},
		"BatchCounts": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			usage, adjustments, err := tx.BatchCounts(mine.month)
			if usage != 1 || adjustments != 1 {
				err = errors.Join(errors.New("another's batches"), err)
			}
			return usage, err
		}},
		"PostedOf": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.PostedOf(mine.month, from(mine), until(mine)) }},
		"Booked": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			b, err := tx.Booked(mine.month)
			if b.Owed != 5 {
				err = errors.Join(errors.New("another's liability"), err)
			}
			return int64(b.Owed), err
		}},
		"LastFingerprints": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.LastFingerprints(mine.month) }},
		"Entries":          {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Entries(&db.EntryFilter{Limit: 50}) }},
		"Entry": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.Entry(theirs.entry)
			if found {
				err = errors.Join(errors.New("another's entry"), err)
			}
			return row, err
		}},
		"EntryOrigin": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, err := tx.EntryOrigin(theirs.entry)
			if row != (db.OriginRow{}) {
				err = errors.Join(errors.New("another's entry"), err)
			}
			return nil, err
		}},
		"EntryBytes": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.EntryBytes(theirs.entry)
			if found {
				err = errors.Join(errors.New("another's entry"), err)
			}
			return row, err
		}},
		"EntryLines":  {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.EntryLines(theirs.entry) }},
		"Balances":    {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Balances(mine.month, time.Time{}) }},
		"EntryMonths": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.EntryMonths(50) }},
		"Books":       {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Books(50) }},
	}
}

func writingJournal() map[string]query {
	return map[string]query{
		"LockJournal": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockJournal()) }},
		"LockBooks":   {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockBooks()) }},
		"AddEntry": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			f := mine.freshEntry(tx, 2)
			f.Entry.Kind, f.Entry.Lines[0].Node = ledger.KindCorrection, theirs.node
			if err := tx.AppendAudit(auditlog.Record{ID: f.Record, Action: auditlog.JournalEntry, Actor: "system"}); err != nil {
				return nil, err
			}
			return onlyError(tx.AddEntry(f))
		}},
		"AddBooks": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddBooks(mine.books(theirs.change.ID)))
		}},
	}
}
