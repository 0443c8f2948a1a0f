package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
)

// TestMovesRetagsAndPricesEndAlikeInEveryOrder has a project move from a day back, some of its
// requests charged elsewhere and their prices settled, in all six orders.
func TestMovesRetagsAndPricesEndAlikeInEveryOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ends := map[string]string{}
	t.Run("orders", func(t *testing.T) {
		for _, order := range []string{"mrp", "mpr", "rmp", "rpm", "pmr", "prm"} {
			t.Run(order, func(t *testing.T) {
				t.Parallel()
				end := endOf(t, order)
				mu.Lock()
				defer mu.Unlock()
				ends[order] = end
			})
		}
	})
	require.Len(t, ends, 6)
	for order, end := range ends {
		require.Equal(t, ends["mrp"], end, order)
	}
}

func endOf(t *testing.T, order string) string {
	t.Helper()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	price := h.propose(t, fin, discount(777))
	whole := h.one.event(november(6), "P-1")
	split := h.one.event(november(7), "P-1", func(e *usage.Event) {
		e.Counts.WebSearches = 1
		e.Counts.Tokens = usage.Tokens{1001, 77, 13, 5, 99_999}
		e.Shares = []usage.Share{{Placement: h.one.places["P-1"], PPM: 333_333}, {Placement: h.one.places["CC-2"], PPM: 666_667}}
	})
	beside, before := h.one.event(november(8), "CC-1"), h.one.event(november(2), "P-1")
	h.flush(t, h.one, whole, split, beside, before)
	steps := map[rune]func(){
		'm': func() { h.movedAlong(t, h.reorganize(t, november(5), movesP1).ID) },
		'r': func() {
			require.NoError(t, h.carries(t, fin, retagTo([]id.Event{beside.ID, split.ID}, "P-1", "CC-2", "CC-3")))
		},
		'p': func() {
			_, err := h.approveChange(t, cfo, price)
			require.NoError(t, err)
			h.settled(t, h.one)
		},
	}
	for _, step := range order {
		steps[step]()
		h.proved(t, h.one)
	}
	h.exploredAlike(t, []string{"x"})
	sum := h.chargeback(t, h.one.who, period.MonthOf(november(1)), "node")
	require.Zero(t, sum.Control.Difference.Sign())
	var lines strings.Builder
	for _, r := range sum.Rows {
		fmt.Fprintln(&lines, r.Path, r.Own.String(), r.Actual.String(), r.Requests)
	}
	for _, event := range []id.Event{whole.ID, split.ID, beside.ID, before.ID} {
		fmt.Fprintln(&lines, h.lies(t, h.one.who, event), h.story(t, event).State)
	}
	return lines.String()
}

// TestTwoRetagsOfOneRequestAtOnceMoveItOnce has two persons approve, at the same time, two
// changes of the same request.
func TestTwoRetagsOfOneRequestAtOnceMoveItOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo, two := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.person(t, h.one, app.RoleController, "two")
	event := h.one.event(november(2), "CC-1")
	h.flush(t, h.one, event)
	for i := range 5 {
		to := [][2]string{{"CC-2", "CC-3"}, {"P-1", "BU-1"}}[i%2]
		first, second := h.propose(t, fin, retagTo([]id.Event{event.ID}, to[0])), h.propose(t, fin, retagTo([]id.Event{event.ID}, to[1]))
		var wait sync.WaitGroup
		errs := make([]error, 2)
		wait.Go(func() { _, errs[0] = h.approveChange(t, cfo, first) })
		wait.Go(func() { _, errs[1] = h.approveChange(t, two, second) })
		wait.Wait()
		require.NotEqual(t, errs[0] == nil, errs[1] == nil, "%v %v", errs[0], errs[1])
		h.proved(t, h.one)
	}
	require.EqualValues(t, 5, h.number(t, `select count(*) from adjustment`))
}
