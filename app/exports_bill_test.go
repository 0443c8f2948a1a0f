package app_test

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
)

// TestABookedInvoiceIsABill: lines and tax are the invoice, each at its node, and nothing
// is a bill before it is booked.
func TestABookedInvoiceIsABill(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	// What takes bills wants an account for each node.
	h.exec(t, `alter table node_version disable trigger all`)
	h.exec(t, `update node_version set gl_account = '6410' where tenant_id = $1 and code in ('BU-1', 'BU-2')`, h.one.tenant)
	inv := h.enter(t, fin, billed("INV/2026-10", [4]string{"usage", "Claude API", "0.91", ""}, [4]string{"tax", "sales tax", "0.09", ""}))
	month := period.MonthOf(october(1))
	_, err := h.exports.Bills(t.Context(), fin, month)
	require.Equal(t, "ap_invoice_absent", fault.From(err).Code)
	_, err = h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "as split")))
	require.NoError(t, err)
	shown, err := h.exports.Month(t.Context(), fin, month)
	require.NoError(t, err)
	require.True(t, shown.Billed)

	bill, err := h.exports.Bills(t.Context(), fin, month)
	require.NoError(t, err)
	again, err := h.exports.Bills(t.Context(), cfo, month)
	require.NoError(t, err)
	require.Equal(t, bill.Content, again.Content, "whoever asks gets the same bytes")
	rows, err := csv.NewReader(strings.NewReader(string(bill.Content))).ReadAll()
	require.NoError(t, err)
	column := func(name string, row []string) string {
		for i, head := range rows[0] {
			if head == name {
				return row[i]
			}
		}
		t.Fatalf("no column %s", name)
		return ""
	}
	var total money.Sum
	var said []string
	for _, row := range rows[1:] {
		for _, name := range []string{"line_amount", "tax_amount"} {
			cents, err := money.ParseCents(column(name, row))
			require.NoError(t, err)
			total.AddCents(cents)
		}
		said = append(said, strings.TrimRight(strings.Join([]string{column("gl_account", row), column("cost_center", row), column("project", row), column("capitalizable", row), column("line_amount", row), column("tax_amount", row)}, " "), " "))
		require.Equal(t, "1.00", column("invoice_total", row))
		require.Equal(t, []string{"INV/2026-10", "ANTHROPIC", "US01", "2026-10-01", "2026-10-31"}, []string{column("invoice_number", row), column("vendor_id", row), column("entity", row), column("service_start", row), column("service_end", row)})
	}
	require.Equal(t, "1.000000000000", total.String())
	require.Equal(t, []string{"6410 CC-1  N 0.41 0.04", "6410 CC-1 P-1 Y 0.20 0.02", "6410 CC-3  N 0.30 0.03"}, said)
	require.Equal(t, "1.00", bill.Manifest.ControlTotals[0].Value)

	_, err = h.exports.Bills(t.Context(), h.person(t, h.two, app.RoleFinanceAdmin, "theirs"), month)
	require.Equal(t, "ap_invoice_absent", fault.From(err).Code)
}

func TestWhatIsUnexplainedIsNoBill(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "3.90", ""}))
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "as split")))
	require.NoError(t, err)
	_, err = h.exports.Bills(t.Context(), fin, period.MonthOf(october(1)))
	require.Equal(t, "ap_unexplained", fault.From(err).Code)
}
