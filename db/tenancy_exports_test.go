package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/export/erp"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
	"tollbook/db/dbtest"
)

// over is a month whose books take no entry any more.
func (s *scene) over() period.Month { return s.month.Previous() }

func (s *scene) accounts(change id.Change, version int) *db.AccountMappingRow {
	return &db.AccountMappingRow{System: "netsuite", Version: version, InUse: true, Document: []byte(s.mark("mapping")), Rules: 1, EffectiveFrom: s.month.Start(), ChangeID: change}
}

func (s *scene) freshExport(number int64, entries ...id.Entry) *db.FreshExport {
	return &db.FreshExport{
		ExportRow: db.ExportRow{
			ExportID: id.NewExport(time.Now()), Number: number, System: "netsuite", PostingPeriod: s.over().Start(), Entity: s.mark("entity"), Revision: int(number), ExternalID: s.mark("external") + string(rune('0'+number)),
			MappingVersion: 1, Lines: 2, TotalCents: 5, Digest: make([]byte, 32), RecordID: s.batch.Record,
		},
		EntryIDs: entries, Contents: []db.ExportFileRow{{Name: s.mark("file"), Content: []byte(s.mark("content")), Manifest: []byte(s.mark("manifest"))}},
		Postings: []erp.Posting{{Document: s.mark("document"), Entity: s.mark("subsidiary"), Account: s.mark("account"), Debit: 5, Credit: 5}},
	}
}

func (s *scene) said(export id.Export, change id.Change, place int) []db.AcknowledgmentRow {
	return []db.AcknowledgmentRow{{ExportID: export, Document: s.mark("document"), Place: place, ErpID: s.mark("erp"), PostedOn: s.over().Start(), ChangeID: change}}
}

func (s *scene) actuals(change id.Change, place int) (*db.ActualsRow, []db.ActualLineRow) {
	return &db.ActualsRow{System: "netsuite", PostingPeriod: s.over().Start(), Place: place, Content: []byte(s.mark("actuals")), DebitCents: 5, CreditCents: 5, ChangeID: change},
		[]db.ActualLineRow{{Line: 2, Entity: s.mark("subsidiary"), Account: s.mark("account"), DebitCents: 5, CreditCents: 5, ExternalID: s.mark("document"), ErpID: s.mark("erp")}}
}

func (s *scene) exports(t *testing.T, tx *db.Tx) {
	t.Helper()
	_, err := tx.HoldPeriod(s.over())
	require.NoError(t, err)
	for i, to := range []string{"closing", "locked"} {
		move := s.move(i+1, []string{"open", "closing"}[i], to, s.change.ID)
		move.Month = s.over().Start()
		require.NoError(t, tx.AddPeriodMove(move))
	}
	require.NoError(t, tx.AddAccountMapping(s.accounts(s.change.ID, 1)))
	f := s.freshExport(1, s.entry)
	require.NoError(t, tx.AddExport(f))
	s.export = f.ExportID
	require.NoError(t, tx.AddAcknowledgments(s.said(s.export, s.change.ID, 1)))
	require.NoError(t, tx.AddActuals(s.actuals(s.change.ID, 1)))
}

func readingExports() map[string]query {
	return map[string]query{
		"AccountMappings":        {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.AccountMappings() }},
		"AccountMappingVersions": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.AccountMappingVersions("netsuite", 50) }},
		"PostedLines":            {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.PostedLines(mine.month, 50) }},
		"Exports":                {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Exports(mine.over(), 50) }},
		"Export": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.Export(theirs.export)
			if found {
				err = errors.Join(errors.New("another's export"), err)
			}
			return row, err
		}},
		"Unexported":      {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Unexported("netsuite", mine.month) }},
		"ExportedEntries": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ExportedEntries("netsuite", mine.over()) }},
		"ExportEntries":   {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.ExportEntries(theirs.export) }},
		"ExportFiles":     {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.ExportFiles(theirs.export) }},
		"ExportFile": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.ExportFile(theirs.export, 1)
			if found {
				err = errors.Join(errors.New("another's file"), err)
			}
			return row, err
		}},
		"ExportPostings":  {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ExportPostings("netsuite", mine.over()) }},
		"ExportDocuments": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.ExportDocuments("netsuite", 50) }},
		"Acknowledgments": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Acknowledgments("netsuite", mine.over()) }},
		"Actuals":         {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Actuals("netsuite", mine.over(), 50) }},
		"ChargeRows":      {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ChargeRows(mine.month, 50) }},
		"ActualLines":     {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ActualLines("netsuite", mine.over(), 1) }},
	}
}

func writingExports() map[string]query {
	return map[string]query{
		"LockExports": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockExports()) }},
		"AddAccountMapping": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddAccountMapping(mine.accounts(theirs.change.ID, 2)))
		}},
		"AddExport": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddExport(mine.freshExport(2, theirs.entry)))
		}},
		"AddAcknowledgments": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddAcknowledgments(mine.said(theirs.export, mine.change.ID, 2)))
		}},
		"AddActuals": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			row, lines := mine.actuals(theirs.change.ID, 2)
			return onlyError(tx.AddActuals(row, lines))
		}},
	}
}

// TestAnEntryGoesToASystemOnce: what the use cases see to, the database holds too.
func TestAnEntryGoesToASystemOnce(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	s := newScene("one").furnish(t, clone)
	try := func(change func(tx *db.Tx, f *db.FreshExport)) error {
		return clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			f := s.freshExport(3, s.entry)
			change(tx, f)
			if err := tx.AppendAudit(auditlog.Record{Action: "test", Actor: "test"}); err != nil {
				return err
			}
			return tx.AddExport(f)
		})
	}
	require.ErrorContains(t, try(func(*db.Tx, *db.FreshExport) {}), "holds an entry that went to netsuite before")
	require.ErrorContains(t, try(func(_ *db.Tx, f *db.FreshExport) { f.PostingPeriod, f.EntryIDs = s.month.Start(), []id.Entry{s.entry} }), "TB013")
	require.NoError(t, try(func(_ *db.Tx, f *db.FreshExport) { f.Draft = true }))
	require.NoError(t, try(func(_ *db.Tx, f *db.FreshExport) {
		f.Number, f.Revision, f.ExternalID, f.Supersedes = 4, 4, "another", &s.export
	}))
	require.ErrorContains(t, clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
		f := s.freshExport(5, s.entry)
		f.Draft = true
		if err := errors.Join(tx.AddExport(f), tx.AppendAudit(auditlog.Record{Action: "test", Actor: "test"})); err != nil {
			return err
		}
		return tx.AddAcknowledgments(s.said(f.ExportID, s.change.ID, 1))
	}), "a draft is not acknowledged")
}
