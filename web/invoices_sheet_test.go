package web

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/app/invoice"
)

// TestAFileOfInvoicesAddsUpToItsControlTotal, with every row that is in it.
func TestAFileOfInvoicesAddsUpToItsControlTotal(t *testing.T) {
	t.Parallel()
	out := invoicesSheet()
	addInvoices(out, []app.InvoiceView{{Invoice: invoice.Invoice{Total: 91}, Superseded: true}, {Invoice: invoice.Invoice{Total: 93}}})
	require.Contains(t, out.controls(), export.Pair{Name: "total_usd", Value: "1.840000000000"})
}
