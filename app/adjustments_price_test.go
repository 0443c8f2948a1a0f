package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/usage"
)

// settled does what the job does.
func (h *house) settled(t *testing.T, c *company) {
	t.Helper()
	for after := (id.Event{}); ; {
		var err error
		after, err = h.adjusts.SettlePrices(t.Context(), c.tenant, after)
		require.NoError(t, err)
		if after.IsZero() {
			return
		}
	}
}

func (h *house) story(t *testing.T, event id.Event) app.Story {
	t.Helper()
	story, found, err := h.reports.Request(t.Context(), h.one.who, event)
	require.NoError(t, err)
	require.True(t, found)
	return story
}

// TestAnAppliedPriceSettlesWhatItKnows flushes requests while a discount waits, and others
// that no book knows: with the decision the first are settled by adjustments.
func TestAnAppliedPriceSettlesWhatItKnows(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	made := h.propose(t, fin, discount(1000))
	contested, searched, unknown, strange := h.one.event(november(2), "CC-1"),
		h.one.event(november(3), "CC-1", func(e *usage.Event) {
			e.Counts.WebSearches = 2
			e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 333_333}, {Placement: h.one.places["CC-3"], PPM: 666_667}}
		}),
		h.one.event(november(4), "CC-1", func(e *usage.Event) { e.Counts.Model = "claude-opus-99" }),
		h.one.event(november(4), "CC-1", func(e *usage.Event) { e.Counts.Unknown = []string{"moon_tokens"} })
	late := h.one.event(october(20), "CC-1", func(e *usage.Event) { e.Counts.Model = "claude-opus-99" })
	h.flush(t, h.one, contested, searched, unknown, strange, late)
	h.flush(t, h.two, h.two.event(november(2), "CC-1", func(e *usage.Event) { e.Counts.Model = "claude-opus-99" }))
	h.settled(t, h.one)
	require.Zero(t, h.number(t, `select count(*) from adjustment`), "nothing is settled while a proposal contests it")
	require.Equal(t, "unpriced", h.story(t, contested.ID).State)

	_, err := h.approveChange(t, cfo, made)
	require.NoError(t, err)
	require.EqualValues(t, 1, h.number(t, `select count(*) from river.river_job where kind = 'settle_prices' and args->>'change' = $1`, made.ID.String()))
	h.lock(t, h.one, months("2026-10"))
	h.settled(t, h.one)
	h.proved(t, h.one)
	one := h.story(t, contested.ID)
	require.Equal(t, "complete 0.012600000000 0.014000000000", one.State+" "+one.Amount.String()+" "+one.RecordedAmount.String())
	require.Equal(t, "price "+made.ID.String(), one.History[0].Kind+" "+one.History[0].Change.String())
	require.Equal(t, "-0.001400000000", one.History[0].Delta.String())
	last := one.Charges[len(one.Charges)-1]
	require.Equal(t, "price_adjustment -0.001400000000", last.Class+" "+last.Amount.String())
	two := h.story(t, searched.ID)
	require.Equal(t, "complete", two.State)
	require.Equal(t, two.Amount, two.Allocations[0].Amount+two.Allocations[1].Amount)
	for name, event := range map[string]id.Event{"an unknown model": unknown.ID, "an unknown count": strange.ID, "a closed month": late.ID} {
		require.Equal(t, "unpriced", h.story(t, event).State, name)
	}
	page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{State: app.Provisional})
	require.NoError(t, err)
	require.Len(t, page.Rows, 3)
	page, err = h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{State: "complete"})
	require.NoError(t, err)
	require.Len(t, page.Rows, 2)
	require.EqualValues(t, 2, h.number(t, `select count(*) from adjustment`))
	h.settled(t, h.one)
	require.EqualValues(t, 2, h.number(t, `select count(*) from adjustment`), "what is settled is not settled again")
	sum := h.chargeback(t, h.one.who, period.MonthOf(november(1)), "node")
	require.Zero(t, sum.Control.Difference.Sign())
	require.EqualValues(t, 2, sum.Provisional)

	require.NoError(t, h.carries(t, fin, retagTo([]id.Event{contested.ID}, "CC-2")))
	require.Equal(t, "CC-2 0.012600000000", h.lies(t, h.one.who, contested.ID), "what it costs goes along")
	h.proved(t, h.one)
	h.exploredAlike(t, []string{"CC-1"})

	ask, err := app.AskDocument(append(pricing.VendorList(), []byte("rate,claude-opus-99,standard,0,2026-09-22,,4,20,5,8,0.20,,,,release notes\n")...), "a new model")
	require.NoError(t, err)
	require.NoError(t, h.carries(t, fin, ask))
	h.settled(t, h.one)
	h.proved(t, h.one)
	require.Equal(t, "complete", h.story(t, unknown.ID).State)
	require.Equal(t, "unpriced", h.story(t, late.ID).State, "its month is closed")
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	require.Zero(t, h.number(t, `select count(*) from adjustment where tenant_id = $1`, h.two.tenant))
}

// TestARejectedPriceSettlesToo makes final what only a proposal contested.
func TestARejectedPriceSettlesToo(t *testing.T) {
	t.Parallel()
	h := build(t)
	made := h.propose(t, h.person(t, h.one, app.RoleFinanceAdmin, "fin"), discount(1000))
	event := h.one.event(november(2), "CC-1")
	h.flush(t, h.one, event)
	_, err := h.ruleFor(t, h.person(t, h.one, app.RoleController, "cfo"), made, approval.VerdictReject, id.Member{})
	require.NoError(t, err)
	h.settled(t, h.one)
	h.proved(t, h.one)
	story := h.story(t, event.ID)
	require.Equal(t, "complete 0.014000000000", story.State+" "+story.Amount.String())
	require.EqualValues(t, 0, h.number(t, `select sum(provisional) from rollup_placement_day where tenant_id = $1`, h.one.tenant))
}
