package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/allocation"
	"tollbook/app/id"
	"tollbook/app/period"
)

// allocated proposes an invoice's allocation and has it decided.
func (h *house) allocated(t *testing.T, fin, cfo app.Actor, of id.Invoice) {
	t.Helper()
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(of, "as split")))
	require.NoError(t, err)
}

// entryNumbered finds an entry by its number.
func (h *house) entryNumbered(t *testing.T, number int) id.Entry {
	t.Helper()
	var entry id.Entry
	require.NoError(t, h.admin.QueryRow(`select entry_id from journal_entry where tenant_id = $1 and number = $2`, h.one.tenant, number).Scan(&entry))
	return entry
}

// TestWhoPaysMayChangeWithinACycle: what was accrued in another's books is cleared there, and
// so is what entities owe one another for it.
func TestWhoPaysMayChangeWithinACycle(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	h.superuser(t, `insert into books_version (tenant_id, version, treatment, payer, workspace, effective_from, recorded_at, change_id)
		select tenant_id, 1, 'chargeback', 'US02', 'default', '2026-10-21', now(), change_id from change where tenant_id = $1 limit 1`, h.one.tenant)
	h.allocated(t, fin, cfo, h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""})).ID)
	has := h.balances(t, h.one)
	require.Zero(t, has["US01 accrued_liability"])
	require.Zero(t, has["US02 accrued_liability"])
	require.Equal(t, int64(-91), has["US02 payable"])
	require.Equal(t, int64(61), has["US02 intercompany_due_from US01"])
	require.Equal(t, int64(-61), has["US01 intercompany_due_to US02"])
	require.Zero(t, has["US01 intercompany_due_from US02"])
}

// TestWhatIsOwedIsNotBookedTwiceByTakingBackATakingBack: neither the first entry of an invoice
// nor the accrual it takes the place of comes back beside another that stands.
func TestWhatIsOwedIsNotBookedTwiceByTakingBackATakingBack(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	month := period.MonthOf(october(1))
	back := func(entry id.Entry) error {
		made, err := h.approvals.Propose(t.Context(), fin, app.AskReversal(entry, month, "x"), "")
		if err == nil {
			_, err = h.approveChange(t, cfo, made)
		}
		return err
	}
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}))
	h.allocated(t, fin, cfo, inv.ID)
	require.Equal(t, "reversal_billed", codeOf(back(h.entryNumbered(t, 1))), "an accrual in whose place an invoice is")
	require.NoError(t, back(h.entryNumbered(t, 3)))
	h.allocated(t, fin, cfo, inv.ID)
	require.Equal(t, "reversal_invoice", codeOf(back(h.entryNumbered(t, 4))), "the invoice is allocated again instead")
	require.Equal(t, int64(-91), h.balances(t, h.one)["US01 payable"])
	require.Zero(t, h.balances(t, h.one)["US01 accrued_liability"])
}

// TestAnAccrualThatCameBackIsCleared: taken back, and the taking back taken back, it stands.
func TestAnAccrualThatCameBackIsCleared(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	for _, number := range []int{1, 3} {
		_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskReversal(h.entryNumbered(t, number), period.MonthOf(october(1)), "x")))
		require.NoError(t, err)
	}
	require.Equal(t, int64(-90), h.balances(t, h.one)["US01 accrued_liability"])
	h.allocated(t, fin, cfo, h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""})).ID)
	has := h.balances(t, h.one)
	require.Zero(t, has["US01 accrued_liability"])
	require.Equal(t, int64(-91), has["US01 payable"])
}

// TestDaysAreBilledOnceHoweverManyInvoicesAreThere: a hundred others do not hide the one.
func TestDaysAreBilledOnceHoweverManyInvoicesAreThere(t *testing.T) {
	t.Parallel()
	h, fin, _ := closeOf(t)
	h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""}))
	var file strings.Builder
	file.Write(billed("FEE-1", [4]string{"fee", "support", "1.00", ""}))
	for n := range 99 {
		file.WriteString(strings.SplitN(string(billed(fmt.Sprintf("FEE-%d", n+2), [4]string{"fee", "support", "1.00", ""})), "\n", 2)[1])
	}
	h.enter(t, fin, []byte(file.String()))
	d, err := h.invoices.DryRun(t.Context(), fin, billed("INV-2", [4]string{"usage", "Claude API", "0.91", ""}))
	require.NoError(t, err)
	require.NotEmpty(t, d.Flaws)
	require.Contains(t, d.Flaws[0].Message, "days are billed once")
}

// TestAnInvoiceOfDaysToComeIsOwedNow: what is billed ahead is not put off until its last month.
func TestAnInvoiceOfDaysToComeIsOwedNow(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billedFor("SEATS-1", "2026-11-01", "2027-10-31", [4]string{"seats", "a year of 10 seats", "2400.00", "CC-1"}))
	shown, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	require.Equal(t, "2026-11", shown.Posting.String())
	h.allocated(t, fin, cfo, inv.ID)
	require.Equal(t, "2026-11 2026-11-02", h.text(t, `select to_char(posting_period, 'YYYY-MM') || ' ' || entry_date from journal_entry where tenant_id = $1 and kind = 'invoice'`, h.one.tenant))
}

// TestDaysThatNoCalendarHas are refused where they are typed.
func TestDaysThatNoCalendarHas(t *testing.T) {
	t.Parallel()
	h, fin, _ := closeOf(t)
	d, err := h.invoices.DryRun(t.Context(), fin, billedFor("INV-9", "9999-12-01", "9999-12-31", [4]string{"seats", "seats", "1.00", ""}))
	require.NoError(t, err)
	require.NotEmpty(t, d.Flaws)
	made := h.propose(t, fin, app.AskInvoices(billed("INV-1", [4]string{"fee", "x", "1.00", ""}), &app.PaperAsk{Name: "..\\in\x00v\r\n.pdf", Content: []byte("x")}, "x"))
	list, err := h.invoices.Entered(t.Context(), fin, made.ID)
	require.NoError(t, err)
	require.Equal(t, "inv.pdf", list[0].PaperName, "a name of one line, as of any file of a change")
}

// TestAnInvoiceThatBookedNothingIsCorrected: there is no entry to take back.
func TestAnInvoiceThatBookedNothingIsCorrected(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	h.allocated(t, fin, cfo, h.enter(t, fin, billed("INV-1", [4]string{"fee", "support", "1.00", "CC-1"}, [4]string{"credit", "goodwill", "-1.00", "CC-1"})).ID)
	second := h.enter(t, fin, billed("INV-1", [4]string{"fee", "support", "1.00", "CC-1"}))
	require.Equal(t, 2, second.Revision)
	h.allocated(t, fin, cfo, second.ID)
	require.Equal(t, int64(-1_00), h.balances(t, h.one)["US01 payable"])
}

// TestSeatsWithoutARuleGoByWhatWasCharged, as their page says.
func TestSeatsWithoutARuleGoByWhatWasCharged(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billed("SEATS-1", [4]string{"seats", "9 seats", "9.00", ""}))
	shown, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"BU-1 0 600", "BU-1 / CC-1 400 600", "BU-1 / CC-1 / P-1 200 200", "BU-2 0 300", "BU-2 / CC-3 300 300"}, borne(&shown))
	require.Empty(t, shown.Owed, "what is accrued stays accrued")
	ahead := h.enter(t, fin, billedFor("SEATS-2", "2026-11-01", "2027-10-31", [4]string{"seats", "a year of seats", "9.00", ""}))
	_, err = h.approvals.Propose(t.Context(), fin, app.AskAllocation(ahead.ID, "x"), "")
	require.Equal(t, "invoice_cycle_open", codeOf(err), "what will be charged is not known")
	h.allocated(t, fin, cfo, inv.ID)
	require.Equal(t, int64(-90), h.balances(t, h.one)["US01 accrued_liability"])
	require.Equal(t, int64(-9_00), h.balances(t, h.one)["US01 payable"])
}

// TestABookedInvoiceStaysAsItWasDecided: rules, charges and nodes that change later change
// nothing of what its page says.
func TestABookedInvoiceStaysAsItWasDecided(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "3.90", ""}))
	h.allocated(t, fin, cfo, inv.ID)
	was, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	rule := app.AskSharing(allocation.Rules{{Kind: "usage", Method: allocation.Even, Parts: []allocation.Part{{Code: "CC-2"}}}}, "evenly")
	_, err = h.approveChange(t, cfo, h.propose(t, fin, rule))
	require.NoError(t, err)
	h.flush(t, h.one, h.one.event(october(2), "CC-2", costs(25_000)))
	require.Equal(t, 1, h.accrue(t, h.one))
	is, err := h.invoices.Show(t.Context(), fin, inv.ID)
	require.NoError(t, err)
	require.Equal(t, was.Rules, is.Rules)
	require.Equal(t, said(was.Match.Items), said(is.Match.Items))
	require.Equal(t, borne(&was), borne(&is))
}

// TestWhatWasEnteredTakesNoLineLater, whoever runs.
func TestWhatWasEnteredTakesNoLineLater(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	h.allocated(t, fin, cfo, h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "0.91", ""})).ID)
	for _, statement := range []string{
		`insert into invoice_line select tenant_id, invoice_id, 99, kind, description, node_code, 500 from invoice_line where tenant_id = $1`,
		`insert into allocation_share select tenant_id, allocation_id, 99, invoice_place, node_id, node_code, node_path, entity, gl_account, capitalization, weight, 500 from allocation_share where tenant_id = $1 and place = 1`,
		`insert into invoice select tenant_id, gen_random_uuid(), number, workspace, 2, issuer, issued_on, due_on, service_from, service_to, currency, reference, lines, total_cents, bills_usage, canonical, digest, change_id, record_id, recorded_at
			from invoice where tenant_id = $1`,
	} {
		require.ErrorContains(t, h.asApp(t, h.one.tenant, statement), "TB013", statement)
	}
}
