package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/allocation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/period"
)

// billed is a file with one invoice of October; each line is kind, description, amount and node.
func billed(number string, lines ...[4]string) []byte {
	return billedFor(number, "2026-10-01", "2026-10-31", lines...)
}

func billedFor(number, from, through string, lines ...[4]string) []byte {
	var total money.Cents
	for _, l := range lines {
		cents, err := money.ParseCents(l[2])
		if err != nil {
			panic(err)
		}
		total += cents
	}
	var file strings.Builder
	file.WriteString("invoice_number,workspace,issued_on,due_on,service_from,service_through,currency,kind,description,amount,node,invoice_total\n")
	for _, l := range lines {
		fmt.Fprintf(&file, "%s,default,2026-11-02,2026-12-02,%s,%s,USD,%s,%s,%s,%s,%s\n", number, from, through, l[0], l[1], l[2], l[3], total)
	}
	return []byte(file.String())
}

// enter enters the invoices of a file and gives the first.
func (h *house) enter(t *testing.T, who app.Actor, file []byte) app.InvoiceView {
	t.Helper()
	change := h.propose(t, who, app.AskInvoices(file, nil, "the invoice came"))
	list, err := h.invoices.Entered(t.Context(), who, change.ID)
	require.NoError(t, err)
	require.NotEmpty(t, list)
	return list[0]
}

// closeOf is a house whose October was charged: CC-1 40, P-1 20, CC-3 30 cents, and so accrued.
func closeOf(t *testing.T) (h *house, fin, cfo app.Actor) {
	t.Helper()
	h = build(t)
	h.flush(t, h.one, h.one.event(october(2), "CC-1", costs(100_000)), h.one.event(october(2), "P-1", costs(50_000)), h.one.event(october(20), "CC-3", costs(75_000)))
	require.Equal(t, 2, h.accrue(t, h.one))
	return h, h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
}

// balances are the accounts of a company, by entity, account and node.
func (h *house) balances(t *testing.T, c *company) map[string]int64 {
	t.Helper()
	rows, err := h.admin.Query(`select entity || ' ' || account || rtrim(' ' || node_code || counterparty), sum(cents) from journal_line where tenant_id = $1 group by 1 having sum(cents) <> 0`, c.tenant)
	require.NoError(t, err)
	defer rows.Close()
	has := map[string]int64{}
	for rows.Next() {
		var name string
		var cents int64
		require.NoError(t, rows.Scan(&name, &cents))
		has[name] = cents
	}
	require.NoError(t, rows.Err())
	return has
}

func TestAnInvoiceTakesThePlaceOfWhatWasAccrued(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}, [4]string{"tax", "sales tax", "0.09", ""}))
	shown, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	require.Nil(t, shown.Refused)
	require.Equal(t, money.Cents(90), shown.Owed)
	require.Equal(t, "2026-10", shown.Posting.String())
	require.Equal(t, []string{"tax 0.090000000000", "rounding 0.010000000000"}, said(shown.Match.Items))
	require.Equal(t, []string{"BU-1 0 67", "BU-1 / CC-1 45 67", "BU-1 / CC-1 / P-1 22 22", "BU-2 0 33", "BU-2 / CC-3 33 33"}, borne(&shown))

	change := h.propose(t, fin, app.AskAllocation(inv.ID, "as split"))
	require.Contains(t, change.Impact.Sentence, "Invoice INV-1, $1.00 for 2026-10-01 through 2026-10-31, takes the place of $0.90")
	_, err = h.approveChange(t, fin, change)
	require.Error(t, err, "a maker does not decide")
	waiting, err := h.invoices.Show(t.Context(), cfo, inv.ID)
	require.NoError(t, err)
	require.Equal(t, []app.ChangeBrief{{ID: change.ID, Number: change.Number}}, waiting.Waiting)
	require.Equal(t, int64(90), -h.balances(t, h.one)["US01 accrued_liability"])
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{
		"US01 expense CC-1": 45, "US01 capitalized_asset P-1": 22, "US01 intercompany_due_from US02": 33, "US02 expense CC-3": 33, "US02 intercompany_due_to US01": -33, "US01 payable": -100,
	}, h.balances(t, h.one))
	h.proved(t, h.one)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "invoice.entered"))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "invoice.allocated"))

	shown, err = h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	require.True(t, shown.Allocated())
	require.Equal(t, []string{"BU-1 0 67", "BU-1 / CC-1 45 67", "BU-1 / CC-1 / P-1 22 22", "BU-2 0 33", "BU-2 / CC-3 33 33"}, borne(&shown), "frozen as it was approved")
	_, err = h.approvals.Propose(t.Context(), fin, app.AskAllocation(inv.ID, "again"), "")
	require.Equal(t, "invoice_allocated", fault.From(err).Code)

	// What comes later is accrued by itself, and does not touch what is frozen.
	h.flush(t, h.one, h.one.event(october(2), "CC-2", costs(25_000)))
	require.Equal(t, 1, h.accrue(t, h.one))
	require.Equal(t, int64(-10), h.balances(t, h.one)["US01 accrued_liability"])
	h.proved(t, h.one)
}

func said(items []invoice.Item) []string {
	var list []string
	for i := range items {
		list = append(list, string(items[i].Class)+" "+items[i].Amount.String())
	}
	return list
}

func borne(shown *app.InvoiceShown) []string {
	var list []string
	for _, b := range shown.Bearers {
		list = append(list, fmt.Sprintf("%s %d %d", b.Path, b.Own, b.Rolled))
	}
	return list
}

func TestWhatNothingExplainsIsBookedApart(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "3.90", ""}))
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "as split")))
	require.NoError(t, err)
	has := h.balances(t, h.one)
	require.Equal(t, int64(300), has["US01 reconciliation_residual"])
	require.Equal(t, int64(-390), has["US01 payable"])
	require.Equal(t, int64(40), has["US01 expense CC-1"])
	require.Equal(t, int64(30), has["US02 expense CC-3"])
}

// TestAnInvoiceThatIsTakenBackIsAllocatedAgain: the corrected one follows, and nothing is left of the first.
func TestAnInvoiceThatIsTakenBackIsAllocatedAgain(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	first := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}))
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(first.ID, "as split")))
	require.NoError(t, err)
	d, err := h.invoices.DryRun(t.Context(), fin, billed("INV-1", [4]string{"usage", "Claude API", "0.93", ""}))
	require.NoError(t, err)
	require.Contains(t, d.Flaws[0].Message, "is booked as Journal 3: take that entry back first")

	shown, err := h.invoices.Show(t.Context(), fin, first.ID)
	require.NoError(t, err)
	_, err = h.approveChange(t, cfo, h.propose(t, fin, app.AskReversal(shown.Entry, period.MonthOf(october(1)), "a corrected invoice came")))
	require.NoError(t, err)
	require.Equal(t, int64(-90), h.balances(t, h.one)["US01 accrued_liability"])
	second := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.93", ""}))
	require.Equal(t, 2, second.Revision)
	_, err = h.approvals.Propose(t.Context(), fin, app.AskAllocation(first.ID, "the old one"), "")
	require.Equal(t, "invoice_superseded", fault.From(err).Code)
	_, err = h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(second.ID, "as split")))
	require.NoError(t, err)
	has := h.balances(t, h.one)
	require.Equal(t, int64(-93), has["US01 payable"])
	require.Zero(t, has["US01 accrued_liability"])
	h.proved(t, h.one)
}

// TestAnAllocationIsWhatItsApproverSaw: charges that move meanwhile have it proposed again.
func TestAnAllocationIsWhatItsApproverSaw(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}))
	change := h.propose(t, fin, app.AskAllocation(inv.ID, "as split"))
	h.flush(t, h.one, h.one.event(october(2), "CC-2", costs(25_000)))
	_, err := h.approveChange(t, cfo, change)
	require.Equal(t, "invoice_days_waiting", fault.From(err).Code)
	require.Equal(t, 1, h.accrue(t, h.one))
	_, err = h.approveChange(t, cfo, change)
	require.Equal(t, "allocation_moved", fault.From(err).Code)
	require.Zero(t, h.balances(t, h.one)["US01 payable"])
}

func TestFixedCostGoesByItsRule(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	rules := allocation.Rules{{Kind: "seats", Method: allocation.Driver, Driver: "heads", Parts: []allocation.Part{{Code: "CC-1", Weight: 3}, {Code: "CC-2", Weight: 1}}}}
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskSharing(rules, "by heads")))
	require.NoError(t, err)
	_, err = h.approvals.Propose(t.Context(), fin, app.AskSharing(rules, "again"), "")
	require.Equal(t, "sharing_same", fault.From(err).Code)
	inv := h.enter(t, fin, billed("SEATS-1", [4]string{"seats", "4 seats", "80.00", ""}, [4]string{"fee", "support of one team", "5.00", "CC-3"}))
	_, err = h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "as split")))
	require.NoError(t, err)
	has := h.balances(t, h.one)
	require.Equal(t, []int64{40 + 60_00, 20_00, 30 + 5_00, -85_00, -90}, []int64{has["US01 expense CC-1"], has["US01 expense CC-2"], has["US02 expense CC-3"], has["US01 payable"], has["US01 accrued_liability"]},
		"seats bill no requests: what is accrued stays accrued")
}

func TestFilesOfInvoicesThatAreRefusedWhole(t *testing.T) {
	t.Parallel()
	h, fin, _ := closeOf(t)
	h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}))
	before := h.contents(t)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"entered already": {billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}), "is entered already, word for word"},
		"billed twice":    {billedFor("INV-2", "2026-10-31", "2026-11-30", [4]string{"usage", "Claude API", "1.00", ""}), "Invoice INV-1 bills usage of default from 2026-10-01 through 2026-10-31 already"},
		"no such node":    {billed("INV-3", [4]string{"fee", "support", "1.00", "CC-9"}), `There is no node "CC-9"`},
		"two in one file": {slices.Concat(billedFor("INV-4", "2026-09-01", "2026-09-30", [4]string{"usage", "API", "1.00", ""}), []byte(strings.SplitN(string(billedFor("INV-5", "2026-09-30", "2026-09-30", [4]string{"usage", "API", "1.00", ""})), "\n", 2)[1])), "Invoice INV-4, from line 2 on, bills usage of the same days"},
	} {
		d, err := h.invoices.DryRun(t.Context(), fin, c.file)
		require.NoError(t, err)
		require.NotEmpty(t, d.Flaws, name)
		require.Contains(t, d.Flaws[0].String(), c.want, name)
		_, err = h.approvals.Propose(t.Context(), fin, app.AskInvoices(c.file, nil, "x"), "")
		require.Equal(t, "invoice_file", fault.From(err).Code, name)
	}
	require.Equal(t, before, h.contents(t), "nothing is half loaded")
	_, err := h.approvals.Propose(t.Context(), fin, app.AskAllocation(h.enter(t, fin, billedFor("INV-6", "2026-11-01", "2026-11-30", [4]string{"usage", "API", "1.00", ""})).ID, "x"), "")
	require.Equal(t, "invoice_cycle_open", fault.From(err).Code)
}

func TestAnInvoiceIsItsCompanysAlone(t *testing.T) {
	t.Parallel()
	h, fin, _ := closeOf(t)
	paper := &app.PaperAsk{Name: "INV-1.pdf", Content: []byte("%PDF-1.7\nan invoice")}
	change := h.propose(t, fin, app.AskInvoices(billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}), paper, "the invoice came"))
	list, err := h.invoices.Entered(t.Context(), fin, change.ID)
	require.NoError(t, err)
	require.Len(t, list, 1)
	name, media, content, err := h.invoices.Paper(t.Context(), fin, list[0].ID)
	require.NoError(t, err)
	require.Equal(t, []string{"INV-1.pdf", "application/pdf", string(paper.Content)}, []string{name, media, string(content)})
	require.Len(t, list[0].PaperHash, 64)

	theirs := h.person(t, h.two, app.RoleFinanceAdmin, "fin2")
	_, err = h.invoices.Show(t.Context(), theirs, list[0].ID)
	require.Equal(t, "invoice_absent", fault.From(err).Code)
	name, _, _, err = h.invoices.Paper(t.Context(), theirs, list[0].ID)
	require.Empty(t, name)
	require.Equal(t, "invoice_paper_absent", fault.From(err).Code)
	page, err := h.invoices.List(t.Context(), theirs, app.InvoiceQuery{})
	require.NoError(t, err)
	require.Empty(t, page.Invoices)
	_, err = h.approvals.Propose(t.Context(), theirs, app.AskAllocation(list[0].ID, "x"), "")
	require.Equal(t, "invoice_absent", fault.From(err).Code)
	owner := h.personAt(t, h.one, app.RoleBudgetOwner, "bo", "BU-1")
	_, err = h.invoices.List(t.Context(), owner, app.InvoiceQuery{})
	require.Error(t, err)
	_, err = h.invoices.Show(t.Context(), fin, id.NewInvoice(october(1)))
	require.Equal(t, "invoice_absent", fault.From(err).Code)
}

// TestAnInvoiceOfAClosedMonthIsBookedInTheNext: the month that was closed stays as it is.
func TestAnInvoiceOfAClosedMonthIsBookedInTheNext(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	h.lock(t, h.one, period.MonthOf(october(1)))
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}))
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "it came late")))
	require.NoError(t, err)
	require.Equal(t, "2026-11 2026-11-02", h.text(t, `select to_char(posting_period, 'YYYY-MM') || ' ' || entry_date from journal_entry where tenant_id = $1 and kind = 'invoice'`, h.one.tenant))
	in := func(month, account string) string {
		return h.text(t, `select coalesce(sum(l.cents), 0)::text from journal_line l join journal_entry e using (tenant_id, entry_id) where tenant_id = $1 and to_char(e.posting_period, 'YYYY-MM') = $2 and account = $3`, h.one.tenant, month, account)
	}
	// October keeps its accrual; November takes it off again, owes the invoice, and bears the true-up.
	require.Equal(t, []string{"-90", "0"}, []string{in("2026-10", "accrued_liability"), in("2026-10", "payable")})
	require.Equal(t, []string{"90", "-91"}, []string{in("2026-11", "accrued_liability"), in("2026-11", "payable")})
	require.Equal(t, "1", h.text(t, `select sum(l.cents)::text from journal_line l join journal_entry e using (tenant_id, entry_id) where tenant_id = $1 and e.posting_period = '2026-11-01' and account in ('expense', 'capitalized_asset')`, h.one.tenant))
	h.proved(t, h.one)
}

// TestAnInvoiceOfDaysBeforeTheCompanyWasHere has nodes of today to bear it.
func TestAnInvoiceOfDaysBeforeTheCompanyWasHere(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billedFor("OLD-1", "2025-11-01", "2025-11-30", [4]string{"usage", "Claude API", "4.00", ""}, [4]string{"fee", "support", "1.00", "CC-2"}))
	shown, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"BU-1 0 100", "BU-1 / CC-2 100 100"}, borne(&shown))
	require.Equal(t, money.Cents(4_00), shown.Residual, "nothing was charged then: it is explained before it is borne")
	_, err = h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "as split")))
	require.NoError(t, err)
	require.Equal(t, int64(-5_00), h.balances(t, h.one)["US01 payable"])
}
