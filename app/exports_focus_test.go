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
