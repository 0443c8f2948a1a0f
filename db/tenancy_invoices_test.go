package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/allocation"
	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/db"
)

// freshInvoice bills the scene's month.
func (s *scene) freshInvoice(tx *db.Tx, number string, change id.Change) *db.FreshInvoice {
	day := s.month.Start()
	i := &invoice.Invoice{
		Number: number, Workspace: s.mark("workspace"), Issuer: "Anthropic", IssuedOn: day, DueOn: day, From: day, To: s.month.End(), Currency: "USD", Total: 100,
		Lines: []invoice.Line{{Kind: invoice.Usage, Description: s.mark("line"), Amount: 100}},
	}
	return &db.FreshInvoice{ID: id.NewInvoice(tx.Now), Revision: 1, Invoice: i, Canonical: []byte(s.mark("canonical")), Change: change, Record: id.NewRecord(tx.Now)}
}

// freshRun has the scene's node bear an invoice whole.
func (s *scene) freshRun(tx *db.Tx, of id.Invoice, node id.Node, change id.Change) *db.FreshAllocation {
	run := &allocation.Run{
		Leaves: []allocation.Leaf{{Node: node, Code: s.mark("code"), Path: []string{s.mark("code")}, Entity: s.mark("entity"), Capitalization: "expense"}},
		Shares: []allocation.Share{{Amount: 100}}, Borne: []money.Cents{100},
	}
	return &db.FreshAllocation{ID: id.NewAllocation(tx.Now), Invoice: of, Run: run, Canonical: []byte(s.mark("run")), Match: []byte(s.mark("match")), Change: change, Record: id.NewRecord(tx.Now)}
}

func (s *scene) invoices(t *testing.T, tx *db.Tx) {
	t.Helper()
	f := s.freshInvoice(tx, "INV-1", s.change.ID)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: f.Record, Action: "invoice.entered", Actor: "system"}))
	require.NoError(t, tx.AddInvoice(f))
	require.NoError(t, tx.AddPaper(s.change.ID, &db.Paper{Name: s.mark("paper"), MediaType: "application/pdf", Content: []byte(s.mark("pdf"))}))
	run := s.freshRun(tx, f.ID, s.node, s.change.ID)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: run.Record, Action: "invoice.allocated", Actor: "system"}))
	require.NoError(t, tx.AddAllocation(run))
	require.NoError(t, tx.AddSharing([]byte(s.mark("rules")), s.change.ID))
	s.invoice, s.allocation = f.ID, run.ID
}

func readingInvoices() map[string]query {
	from := func(s *scene) time.Time { return s.month.Start() }
	until := func(s *scene) time.Time { return s.month.End() }
	return map[string]query{
		"Invoices": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Invoices(&db.InvoiceFilter{Limit: 50}) }},
		"Invoice": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, lines, err := tx.Invoice(theirs.invoice)
			if errors.Is(err, db.ErrInvoiceAbsent) {
				err = nil
			}
			if row.Number != "" {
				err = errors.Join(errors.New("another's invoice"), err)
			}
			return lines, err
		}},
		"Paper": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			paper, found, err := tx.Paper(theirs.invoice)
			if found {
				err = errors.Join(errors.New("another's paper"), err)
			}
			return paper.Content, err
		}},
		"ChargedOver": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ChargedOver(from(mine), until(mine)) }},
		"ChargedDays": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			days, err := tx.ChargedDays(from(mine), until(mine))
			if len(days) != 1 {
				err = errors.Join(errors.New("not one's own day"), err)
			}
			return len(days), err
		}},
		"AccruedOver":     {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.AccruedOver(from(mine), until(mine), 0) }},
		"AllocationMatch": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.AllocationMatch(theirs.allocation) }},
		"AccruedAfter": {absent, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return tx.AccruedAfter(mine.month.Start(), mine.month.End(), mine.month, 1<<40)
		}},
		"CostDays": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.CostDays(mine.month.Start(), mine.month.End()) }},
		"ItemDays": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.ItemDays(mine.month.Start(), mine.month.End()) }},
		"AdjustedDays": {harmless, func(tx *db.Tx, mine, _ *scene) (any, error) {
			days, err := tx.AdjustedDays(mine.month.Start(), mine.month.End())
			if len(days) != 0 {
				err = errors.Join(errors.New("not one's own adjustments, which move and add nothing"), err)
			}
			return onlyError(err)
		}},
		"Shares":    {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Shares(theirs.allocation, 50) }},
		"SharingAt": {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.SharingAt(tx.Now); return text(rows), err }},
		"Sharing":   {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Sharing(50); return text(rows), err }},
	}
}

func writingInvoices() map[string]query {
	recorded := func(tx *db.Tx, record id.Record) error {
		return tx.AppendAudit(auditlog.Record{ID: record, Action: "invoice.entered", Actor: "system"})
	}
	return map[string]query{
		"LockInvoices": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockInvoices()) }},
		"AddInvoice": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			f := mine.freshInvoice(tx, "INV-2", theirs.change.ID)
			return onlyError(errors.Join(recorded(tx, f.Record), tx.AddInvoice(f)))
		}},
		"AddPaper": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddPaper(theirs.change.ID, &db.Paper{Name: "x", MediaType: "x", Content: []byte(mine.mark("pdf"))}))
		}},
		"AddAllocation": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			f := mine.freshRun(tx, theirs.invoice, mine.node, mine.change.ID)
			return onlyError(errors.Join(recorded(tx, f.Record), tx.AddAllocation(f)))
		}},
		"AddSharing": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddSharing([]byte("x"), theirs.change.ID))
		}},
	}
}
