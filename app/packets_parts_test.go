package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/commentary"
	"tollbook/app/export/packet"
	"tollbook/app/id"
	"tollbook/app/period"
)

// told is the figures of a packet as its file has them.
func told(t *testing.T, files map[string]string) packet.Figures {
	t.Helper()
	var doc struct{ Figures packet.Figures }
	require.NoError(t, json.Unmarshal([]byte(files[packet.FileFigures]), &doc))
	return doc.Figures
}

// shutOctober is an office whose October is billed, signed, locked and exported.
func shutOctober(t *testing.T) *office {
	t.Helper()
	o := openOffice(t)
	o.exec(t, `alter table node_version disable trigger all`)
	o.exec(t, `update node_version set gl_account = '6410' where tenant_id = $1 and code in ('BU-1', 'BU-2')`, o.one.tenant)
	o.mapsTo(t, o.one, "netsuite", netSuiteRules("period,period,2026-10,Oct 2026", "account,kind,payable,2000", "account,kind,residual,6998"))
	inv := o.enter(t, o.fin, billed("INV-10", [4]string{"usage", "Claude API", "0.72", ""}, [4]string{"credit", "goodwill", "-0.02", ""}, [4]string{"tax", "sales tax", "0.07", ""}))
	o.allocated(t, o.fin, o.cfo, inv.ID)
	o.begin(t, o.october)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	_, err := o.exports.Make(t.Context(), o.fin, "netsuite", o.october)
	require.NoError(t, err)
	return o
}

func (o *office) packet(t *testing.T, scope string) (packet.Checked, map[string]string) {
	t.Helper()
	made, _, err := o.packets.Build(t.Context(), o.one.who, o.october, scope)
	require.NoError(t, err)
	return o.archive(t, o.one.who, made)
}

func TestAPacketHoldsEveryPartOfTheClose(t *testing.T) {
	t.Parallel()
	o := shutOctober(t)
	checked, files := o.packet(t, "")
	require.True(t, checked.Figures, "every file says what the figures say")
	require.Empty(t, checked.Other)
	require.Equal(t, packet.Final, checked.Manifest.State)
	require.False(t, checked.Manifest.Corrected)
	require.Empty(t, checked.Manifest.LeftOut)
	f := told(t, files)

	require.Len(t, f.Invoices, 1)
	inv := &f.Invoices[0]
	require.Equal(t, []string{"INV-10", "0.77", "0.700000000000"}, []string{inv.Number, inv.Total.String(), inv.Ledger.String()})
	require.True(t, inv.Booked)
	classes := map[string]string{}
	for i := range inv.Items {
		classes[inv.Items[i].Class] = inv.Items[i].Amount.String()
	}
	require.Equal(t, "0.070000000000", classes["tax"])
	require.Equal(t, "-0.020000000000", classes["credit"])
	var borne int64
	for i := range f.Shares {
		borne += int64(f.Shares[i].Amount)
	}
	require.Equal(t, int64(inv.Total), borne+int64(inv.Residual))

	// Files of finance's systems and of the exports are the exported bytes, and kept once.
	views, err := o.exports.Current(t.Context(), o.fin, "netsuite", o.october)
	require.NoError(t, err)
	require.NotEmpty(t, views)
	for i := range views {
		file, err := o.exports.File(t.Context(), o.fin, views[i].ID, 1)
		require.NoError(t, err)
		require.Equal(t, string(file.Content), files[file.Name])
		require.Equal(t, string(file.Document), files[file.Name+".manifest.json"])
	}
	require.Equal(t, int64(2*len(views)), o.number(t, `select count(*) from packet_file where tenant_id = $1 and content is null`, o.one.tenant))
	text, err := o.exports.Focus(t.Context(), o.fin, o.october, false)
	require.NoError(t, err)
	require.Equal(t, string(text.Content), files[packet.FileFocus])
	columns, err := o.exports.Focus(t.Context(), o.fin, o.october, true)
	require.NoError(t, err)
	require.Equal(t, string(columns.Content), files[packet.FileFocusColumns])
	bill, err := o.exports.Bills(t.Context(), o.fin, o.october)
	require.NoError(t, err)
	require.Equal(t, string(bill.Content), files[bill.Name])

	// Who signed what, and the changes that locked the month.
	page := pdfText(t, files[packet.FileSummary])
	for _, step := range f.Steps {
		if step.Unsigned {
			continue
		}
		require.NotNil(t, step.Reviewer, step.Step)
		require.NotEqual(t, step.Preparer.Subject, step.Reviewer.Subject)
		require.Contains(t, strings.ReplaceAll(page, "\n", ""), step.Digest[:32], step.Step)
	}
	last := f.Moves[len(f.Moves)-1]
	require.Equal(t, period.StateLocked, last.To)
	require.Positive(t, last.Change)
	require.Contains(t, page, "locked")
}

// TestAPartOfTheCompanyBearsItsPartAlone: of the allocation it has its nodes' lines; no
// invoice, file, signature or reconciliation of the company.
func TestAPartOfTheCompanyBearsItsPartAlone(t *testing.T) {
	t.Parallel()
	o := shutOctober(t)
	checked, files := o.packet(t, "CC-3")
	require.Equal(t, "CC-3", checked.Manifest.Scope.Code)
	f := told(t, files)
	require.Nil(t, f.Invoices)
	require.Nil(t, f.Steps)
	require.Nil(t, f.Exported)
	require.Nil(t, f.Reconciled)
	require.NotEmpty(t, f.Shares)
	for i := range f.Shares {
		require.Equal(t, "CC-3", f.Shares[i].Path)
	}
	all := o.printed(t, files)
	for _, other := range []string{"CC-1", "CC-2", "BU-1", "BU-2", "US01", "0.77", "journal for"} {
		require.NotContains(t, all, other)
	}
}

// TestTheReconciliationIsInThePacketAsItWasThen: what is reconciled after the lock is not the
// closed month's.
func TestTheReconciliationIsInThePacket(t *testing.T) {
	t.Parallel()
	h := build(t)
	day := october(6)
	v := h.vendor(t, october(1))
	var l ledgers
	h.ordinary(&l, day.Truncate(24*time.Hour))
	l.tell(t, v)
	h.clock.add(25 * time.Hour)
	require.True(t, v.reconciled(t, day.Truncate(24*time.Hour)))
	h.accrue(t, h.one)
	made, _, err := h.packets.Build(t.Context(), h.one.who, period.MonthOf(day), "")
	require.NoError(t, err)
	checked, files := h.archive(t, h.one.who, made)
	require.True(t, checked.Figures)
	f := told(t, files)
	require.True(t, f.Simulated)
	require.Len(t, f.Reconciled, 31)
	w, err := h.days.Day(t.Context(), h.one.who, day.Truncate(24*time.Hour))
	require.NoError(t, err)
	one := &f.Reconciled[5]
	require.Equal(t, w.Ours.String(), one.Ledger.String())
	require.Equal(t, w.Billed.String(), one.Billed.String())
	require.Equal(t, w.OurTokens, one.OurTokens)
	require.Equal(t, string(w.State), one.State)
	require.Equal(t, "no_report", f.Reconciled[6].State)
	require.Contains(t, pdfText(t, files[packet.FileSummary]), "Tested against a simulator")
}

// TestACorrectedPacketSaysWhatItReplaces: after the month was reopened and closed again.
func TestACorrectedPacketSaysWhatItReplaces(t *testing.T) {
	t.Parallel()
	o := shutOctober(t)
	first, _, err := o.packets.Build(t.Context(), o.one.who, o.october, "")
	require.NoError(t, err)
	was, _ := o.archive(t, o.one.who, first)
	o.reopens(t)
	o.flush(t, o.one, o.one.event(in(o.october, 7), "CC-1", costs(100_000)))
	o.accrue(t, o.one)
	draft, fresh, err := o.packets.Build(t.Context(), o.one.who, o.october, "")
	require.NoError(t, err)
	require.True(t, fresh)
	between, _ := o.archive(t, o.one.who, draft)
	require.Equal(t, packet.Draft, between.Manifest.State)
	require.False(t, between.Manifest.Corrected)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))

	checked, files := o.packet(t, "")
	m := &checked.Manifest
	require.True(t, m.Corrected)
	require.Equal(t, packet.Final, m.State)
	require.Equal(t, &packet.Corrected{Revision: was.Manifest.Revision, Packet: first.String(), Manifest: o.text(t, `select encode(manifest_digest, 'hex') from packet where packet_id = $1`, first.UUID())}, m.Corrects)
	require.Contains(t, m.Changes, packet.Change{Of: packet.OfNode, What: "BU-1", Before: "$0.50", After: "$0.90"})
	page := strings.Split(pdfText(t, files[packet.FileSummary]), "\f")[0]
	for _, want := range []string{"CORRECTED", "revision 1", m.Corrects.Manifest[:32], "$0.90", "Entries added"} {
		require.Contains(t, page, want)
	}
	// Earlier revisions stay, and say so.
	view, err := o.packets.Packet(t.Context(), o.fin, first, id.Delivery{})
	require.NoError(t, err)
	require.Equal(t, m.Revision, view.SupersededBy)
	_, err = o.packets.Download(t.Context(), o.fin, first, "")
	require.NoError(t, err)
}

// reopens takes October back by two people.
func (o *office) reopens(t *testing.T) {
	t.Helper()
	o.clock.add(time.Hour)
	_, err := o.approveChange(t, o.cfo, o.propose(t, o.fin, app.AskReopen(o.october, "a charge was missing")))
	require.NoError(t, err)
	o.clock.add(time.Hour)
}

// TestWhatPeopleSaidIsInThePacket: commentary with the figures it is about, and disputes that
// nobody has decided about; of a part of the company its own alone.
func TestWhatPeopleSaidIsInThePacket(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	require.NoError(t, n.writes(t, n.other, "BU-2", "the ventures team grew"))
	require.NoError(t, n.reviews(t, n.fin, "BU-2", commentary.Accepted, ""))
	_, err := n.disputes.Raise(t.Context(), n.other, app.NewDispute{Month: n.october, Node: "CC-3", To: "CC-1", Reason: "they run in our name"})
	require.NoError(t, err)
	checked, files := n.packet(t, "")
	require.True(t, checked.Figures)
	f := told(t, files)
	require.Len(t, f.Comments, 1)
	require.Equal(t, []string{"BU-2", "the ventures team grew", "accepted", "0.200000000000"}, []string{f.Comments[0].Code, f.Comments[0].Text, f.Comments[0].State, f.Comments[0].Actual.String()})
	require.NotEmpty(t, f.Comments[0].AcceptedBy)
	require.Contains(t, files[packet.FileCommentary], "> the ventures team grew")
	require.Len(t, f.Disputes, 1)
	require.True(t, f.Disputes[0].Open)
	require.Equal(t, "0.200000000000", f.Disputes[0].Amount.String())
	page := pdfText(t, files[packet.FileSummary])
	require.Contains(t, page, "they run in our name")
	require.Contains(t, page, "the ventures team grew")
	_, files = n.packet(t, "BU-2")
	f = told(t, files)
	require.Len(t, f.Comments, 1)
	require.Equal(t, "BU-2", f.Comments[0].Path)
	require.Len(t, f.Disputes, 1)
	_, files = n.packet(t, "CC-2")
	f = told(t, files)
	require.Empty(t, f.Comments)
	require.Empty(t, f.Disputes)
}
