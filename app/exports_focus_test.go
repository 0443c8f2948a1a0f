package app_test

import (
	"encoding/csv"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/period"
	"tollbook/app/usage"
)

func rational(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	require.True(t, ok, text)
	return r
}

// TestFocusIsTheMonthToTheCent re-reads the file with another's reader and exact fractions.
func TestFocusIsTheMonthToTheCent(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	_, err := h.exports.Focus(t.Context(), fin, novemberBooks(), false)
	require.Equal(t, "export_empty", fault.From(err).Code)

	october := time.Date(2026, 10, 30, 9, 0, 0, 0, time.UTC)
	h.lock(t, h.one, period.MonthOf(october))
	all := func(e *usage.Event) { e.Counts.Tokens = usage.Tokens{1_237, 771, 3_331, 17, 90_001} }
	shared := func(e *usage.Event) {
		all(e)
		e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 333_333}, {Placement: h.one.places["CC-3"], PPM: 666_667}}
	}
	moved := h.one.event(november(3), "CC-2", all)
	h.flush(t, h.one, h.one.event(november(2), "CC-1", all), h.one.event(november(2), "CC-1", all), h.one.event(november(2), "P-1", all), h.one.event(november(3), "CC-1", shared), moved, h.one.event(october, "CC-2", all),
		h.one.event(november(10), "CC-1", all))
	h.accrue(t, h.one)
	cfo := h.person(t, h.one, app.RoleController, "cfo")
	_, err = h.approveChange(t, cfo, h.propose(t, fin, retagTo(ids([]usage.Event{moved}), "CC-3")))
	require.NoError(t, err)
	h.accrue(t, h.one)

	b, err := h.exports.Focus(t.Context(), fin, novemberBooks(), false)
	require.NoError(t, err)
	require.Equal(t, "TB-one-202611-focus-DRAFT.csv", b.Name)
	rows, err := csv.NewReader(strings.NewReader(string(b.Content))).ReadAll()
	require.NoError(t, err)
	at := func(row []string, name string) string { return row[slices.Index(rows[0], name)] }
	billed, effective := new(big.Rat), new(big.Rat)
	classes, tokens := map[string]int{}, int64(0)
	for _, row := range rows[1:] {
		billed.Add(billed, rational(t, at(row, "BilledCost")))
		effective.Add(effective, rational(t, at(row, "EffectiveCost")))
		classes[at(row, "ChargeCategory")+" "+at(row, "ChargeClass")]++
		require.Empty(t, at(row, "InvoiceId"))
		require.NotContains(t, at(row, "ChargePeriodStart"), "2026-11-10", "a day that is not posted is left out")
		if at(row, "ChargeCategory") != "Usage" {
			continue
		}
		product := new(big.Rat).Mul(rational(t, at(row, "ListUnitPrice")), rational(t, at(row, "PricingQuantity")))
		require.Zero(t, product.Cmp(rational(t, at(row, "ListCost"))))
		if at(row, "x_CostCenter") == "CC-1" && strings.HasPrefix(at(row, "ChargePeriodStart"), "2026-11-02") && at(row, "SkuMeter") == "Input Tokens" && at(row, "x_Project") == "" {
			require.Equal(t, "4", at(row, "ListUnitPrice"))
			require.Equal(t, "0.002474", at(row, "PricingQuantity"))
			tokens += 2_474
		}
	}
	require.Equal(t, int64(2_474), tokens)
	require.Positive(t, classes["Usage "])
	require.Positive(t, classes["Usage Correction"], "October was closed: its late request is of an earlier period")
	require.Positive(t, classes["Adjustment "], "what was shared and what was moved")
	owed := h.number(t, `select -sum(l.cents) from journal_line l join journal_entry e using (tenant_id, entry_id) where tenant_id = $1 and account = 'accrued_liability' and e.source_period = '2026-11-01'`, h.one.tenant)
	require.Zero(t, billed.Cmp(big.NewRat(owed, 100)), "billed %s, owed %d", billed.FloatString(2), owed)
	require.Equal(t, h.text(t, `select sum(charge_pico)::text from rollup_placement_day where tenant_id = $1 and posting_period = '2026-11-01' and day < '2026-11-10'`, h.one.tenant),
		new(big.Rat).Mul(effective, big.NewRat(1_000_000_000_000, 1)).FloatString(0))
	again, err := h.exports.Focus(t.Context(), fin, novemberBooks(), false)
	require.NoError(t, err)
	require.Equal(t, b.Content, again.Content)
	p, err := h.exports.Focus(t.Context(), fin, novemberBooks(), true)
	require.NoError(t, err)
	require.Equal(t, "PAR1", string(p.Content[:4]))
	_, err = h.exports.Focus(t.Context(), h.person(t, h.two, app.RoleFinanceAdmin, "other"), novemberBooks(), false)
	require.Equal(t, "export_empty", fault.From(err).Code)
}

// focusSums re-reads a month's file: what is billed by invoice, and what else has to hold.
func (h *house) focusSums(t *testing.T, who app.Actor, month period.Month) (billed map[string]string, categories map[string]int) {
	t.Helper()
	b, err := h.exports.Focus(t.Context(), who, month, false)
	require.NoError(t, err)
	again, err := h.exports.Focus(t.Context(), who, month, false)
	require.NoError(t, err)
	require.Equal(t, b.Content, again.Content, "byte for byte")
	rows, err := csv.NewReader(strings.NewReader(string(b.Content))).ReadAll()
	require.NoError(t, err)
	at := func(row []string, name string) string { return row[slices.Index(rows[0], name)] }
	sums := map[string]*big.Rat{}
	categories = map[string]int{}
	for _, row := range rows[1:] {
		number := at(row, "InvoiceId")
		if sums[number] == nil {
			sums[number] = new(big.Rat)
		}
		sums[number].Add(sums[number], rational(t, at(row, "BilledCost")))
		categories[at(row, "ChargeCategory")]++
		if price := at(row, "ListUnitPrice"); price != "" {
			product := new(big.Rat).Mul(rational(t, price), rational(t, at(row, "PricingQuantity")))
			require.Zero(t, product.Cmp(rational(t, at(row, "ListCost"))))
		}
		if at(row, "ChargeCategory") == "Tax" {
			require.Empty(t, at(row, "ListUnitPrice")+at(row, "SkuId"))
		}
	}
	billed = map[string]string{}
	for number, sum := range sums {
		billed[number] = sum.FloatString(2)
	}
	return billed, categories
}

// TestFocusTiesToTheInvoice: rows of an invoice sum to it, by category; what is charged after
// it was booked is on no invoice, and is what the books owe beside it.
func TestFocusTiesToTheInvoice(t *testing.T) {
	t.Parallel()
	h, fin, cfo := closeOf(t)
	books := period.MonthOf(october(1))
	billed1, _ := h.focusSums(t, fin, books)
	require.Equal(t, map[string]string{"": "0.90"}, billed1, "nothing is booked yet")
	inv := h.enter(t, fin, billed("INV-1", [4]string{"usage", "Claude API", "5.93", ""}, [4]string{"discount", "contract", "-0.03", ""}, [4]string{"tax", "sales tax", "0.47", ""},
		[4]string{"credit", "goodwill", "-0.31", ""}, [4]string{"seats", "20 seats", "600.07", "CC-3"}, [4]string{"commitment", "prepaid", "11.11", ""}, [4]string{"fee", "code execution", "0.13", ""}))
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "as split")))
	require.NoError(t, err)
	sums, categories := h.focusSums(t, fin, books)
	require.Equal(t, map[string]string{"INV-1": inv.Total.String()}, sums)
	for _, category := range []string{"Usage", "Tax", "Credit", "Purchase", "Adjustment"} {
		require.Positive(t, categories[category], category)
	}

	h.flush(t, h.one, h.one.event(time.Date(2026, 10, 2, 10, 0, 0, 0, time.UTC), "CC-2", costs(25_000)))
	require.Equal(t, 1, h.accrue(t, h.one))
	sums, _ = h.focusSums(t, fin, books)
	require.Equal(t, inv.Total.String(), sums["INV-1"])
	require.Equal(t, "0.10", sums[""])
}

// TestAnInvoiceAcrossMonthsIsTheSumOfTheirFiles.
func TestAnInvoiceAcrossMonthsIsTheSumOfTheirFiles(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.flush(t, h.one, h.one.event(october(2), "CC-1", costs(100_000)), h.one.event(october(20), "CC-1", costs(100_000)), h.one.event(october(21), "CC-3", costs(33_333)),
		h.one.event(november(2), "CC-1", costs(70_001)), h.one.event(november(3), "P-1", costs(50_000)))
	h.accrue(t, h.one)
	inv := h.enter(t, fin, billedFor("INV-7", "2026-10-15", "2026-11-08", [4]string{"usage", "Claude API", "1.03", ""}, [4]string{"tax", "sales tax", "0.11", ""}))
	_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskAllocation(inv.ID, "as split")))
	require.NoError(t, err)
	first, _ := h.focusSums(t, fin, period.MonthOf(october(1)))
	second, _ := h.focusSums(t, fin, novemberBooks())
	require.Equal(t, "0.40", first[""], "before its cycle")
	whole := new(big.Rat).Add(rational(t, first["INV-7"]), rational(t, second["INV-7"]))
	require.Equal(t, inv.Total.String(), whole.FloatString(2))
	require.NotEqual(t, "0.00", first["INV-7"])
	require.NotEqual(t, "0.00", second["INV-7"])
}
