package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/usage"
)

// matched is a house whose October both sides have, with a discrepancy of several classes.
func matched(t *testing.T) (h *house, v *vendor, fin, cfo app.Actor) {
	t.Helper()
	h = build(t)
	first := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	v = h.vendor(t, first)
	var l ledgers
	for day := first; day.Before(first.AddDate(0, 1, 0)); day = day.AddDate(0, 0, 1) {
		h.ordinary(&l, day)
	}
	at := func(n int) time.Time { return first.AddDate(0, 0, n-1).Add(12 * time.Hour) }
	e, f := h.traffic(at(5), "CC-2", opus, usage.Tokens{1000, 200})
	e.State, f.Tokens.Output = usage.StateIncomplete, 700
	l.add(e, f)
	_, f = h.traffic(at(9), "CC-1", opus, usage.Tokens{100_000, 10_000})
	f.KeyHint = strangersKey
	l.facts = append(l.facts, f)
	l.tell(t, v)
	v.plant(t, map[string]any{"class": "fee", "occurred_at": at(12), "cost_type": "code_execution", "amount_pico": 2_000_000_000_000})
	v.plant(t, map[string]any{"class": "credit", "occurred_at": at(14), "api_key_id": gatewayKey, "amount_pico": 1_000_000_000_000})
	for day := first; day.Before(first.AddDate(0, 1, 0)); day = day.AddDate(0, 0, 1) {
		v.pull(t, day)
	}
	n, err := h.days.ReconcileAll(t.Context(), h.one.tenant)
	require.NoError(t, err)
	for day := first; day.Before(first.AddDate(0, 1, 0)); day = day.AddDate(0, 0, 1) { // those that may not be revised any more
		made, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
		require.NoError(t, err)
		if made {
			n++
		}
	}
	require.Equal(t, 31, n)
	h.accrue(t, h.one)
	return h, v, h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
}

// reportOf is what the provider's cost report of October comes to.
func (v *vendor) reportOf(t *testing.T) money.Sum {
	t.Helper()
	s, err := money.SumOfPico(v.h.text(t, `select sum(r.billed_pico)::text from (select distinct on (day) billed_pico from reconciliation where tenant_id = $1 and day >= '2026-10-01' and day < '2026-11-01' order by day, number desc) r`, v.h.one.tenant))
	require.NoError(t, err)
	return s
}

// TestAnInvoiceIsMatchedWithReportAndLedger: what the provider bills as it reports it has no
// unexplained cent, and each reason names its days.
func TestAnInvoiceIsMatchedWithReportAndLedger(t *testing.T) {
	t.Parallel()
	h, v, fin, cfo := matched(t)
	report := v.reportOf(t)
	usageCents := report.Display() - 200 + 100 // the fee and the credit stand on lines of their own
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", usageCents.String(), ""}, [4]string{"fee", "code execution", "2.00", ""}, [4]string{"credit", "goodwill", "-1.00", ""},
		[4]string{"tax", "sales tax", "0.50", ""}))
	shown, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	m := &shown.Match
	require.Zero(t, m.Unknown.Sign(), said(m.Items))
	require.Zero(t, m.Report.Cmp(&report))
	amounts, days := map[invoice.Class]string{}, map[invoice.Class]string{}
	for i := range m.Items {
		amounts[m.Items[i].Class] = m.Items[i].Amount.String()
		for k := range m.Items[i].Days {
			days[m.Items[i].Class] += m.Items[i].Days[k].Day.Format("2 ")
		}
	}
	require.Equal(t, dollars(500, 25_000_000), amounts["aborted_stream"])
	require.Equal(t, dollars(1, 100_000*5_000_000+10_000*25_000_000), amounts["bypass"])
	require.Equal(t, "2.000000000000", amounts["fee"])
	require.Equal(t, "-1.000000000000", amounts["credit"])
	require.Equal(t, "0.500000000000", amounts["tax"])
	require.Equal(t, map[invoice.Class]string{"aborted_stream": "5 ", "bypass": "9 ", "fee": "12 ", "credit": "14 "}, days)
	whole, partial, missing := m.Coverage()
	require.Equal(t, []int{31, 0, 0}, []int{whole, partial, missing})
	require.Len(t, shown.Parts, 1)
	require.Equal(t, 31, shown.Parts[0].Whole)

	// What nobody reported is named, and what the report does not bear out is a residual.
	over := h.enter(t, fin, billedFor("INV-2", "2026-09-30", "2026-09-30", [4]string{"usage", "Claude API", "3.00", ""}))
	late, err := h.invoices.Show(t.Context(), fin, over.ID)
	require.NoError(t, err)
	_, _, missing = late.Match.Coverage()
	require.Equal(t, 1, missing)
	require.Nil(t, late.Match.Report)
	require.Equal(t, []string{"unexplained 3.000000000000"}, said(late.Match.Items))
	require.Equal(t, "between ledger and invoice: the provider reports none of its days", late.Match.Items[0].Why)

	// Booked, it stays as it was compared then.
	change := h.propose(t, fin, app.AskAllocation(inv.ID, "as split"))
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	h.proved(t, h.one)
	v.plant(t, map[string]any{"class": "extra", "occurred_at": time.Date(2026, 10, 20, 3, 0, 0, 0, time.UTC), "api_key_id": "", "model": haiku, "tokens": map[string]int64{"input": 900_000}})
	require.True(t, v.reconciled(t, time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)))
	again, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	require.Equal(t, said(m.Items), said(again.Match.Items))
	require.Equal(t, shown.Parts, again.Parts)
	require.Len(t, again.Match.Days, 31)
}

// TestNothingIsUnexplainedAfterATrueUp: what broke off is charged by then, and the invoice page
// shows the difference before and after.
func TestNothingIsUnexplainedAfterATrueUp(t *testing.T) {
	t.Parallel()
	h, v, fin, cfo := matched(t)
	report := v.reportOf(t)
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", (report.Display() - 200).String(), ""}, [4]string{"fee", "code execution", "2.00", ""}))
	day := time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC)
	before, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	change := h.propose(t, fin, app.AskTrueUp(day, "as the provider counted"))
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	made, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
	require.NoError(t, err)
	require.True(t, made)
	h.accrue(t, h.one)
	after, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	was, still := before.Match.Difference(), after.Match.Before()
	require.Zero(t, was.Cmp(&still), "the difference before adjustment is what it was")
	require.Equal(t, dollars(500, 25_000_000), after.Match.Adjusted.String())
	require.Zero(t, after.Match.Unknown.Sign(), said(after.Match.Items))
	for i := range after.Match.Items {
		require.NotEqual(t, invoice.Class("aborted_stream"), after.Match.Items[i].Class)
	}
	change = h.propose(t, fin, app.AskAllocation(inv.ID, "as split"))
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	h.proved(t, h.one)
}

// TestWhatOneCompanyIsReportedIsNotAnothers.
func TestWhatOneCompanyIsReportedIsNotAnothers(t *testing.T) {
	t.Parallel()
	h, _, _, _ := matched(t)
	other := h.person(t, h.two, app.RoleFinanceAdmin, "fin2")
	inv := h.enter(t, other, billed("INV-1", [4]string{"usage", "Claude API", "3.00", ""}))
	shown, err := h.invoices.Show(t.Context(), other, inv.ID)
	require.NoError(t, err)
	require.Nil(t, shown.Match.Report)
	require.Equal(t, []string{"unexplained 3.000000000000"}, said(shown.Match.Items))
}
