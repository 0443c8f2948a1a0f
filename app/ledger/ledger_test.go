package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
)

func first() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

func terms() ledger.Terms {
	return ledger.Terms{Treatment: ledger.Chargeback, Payer: "US01", Workspace: "default"}
}

// cell is what one of a few nodes was charged.
func cell(n int, charge money.Pico) ledger.Cell {
	code := fmt.Sprintf("CC-%d", n)
	c := ledger.Cell{Node: id.NewNode(first()), NodeCode: code, NodePath: "BU / " + code, GLAccount: "6410", Capitalization: "expense", Entity: []string{"US01", "DE01", ""}[n%3], Suspense: n == 5}
	if n == 4 {
		c.Capitalization = "capitalize"
	}
	c.Charge.Add(charge)
	return c
}

// book is a month's books, by day, as jobs would keep them.
type book struct {
	cells map[int][]ledger.Cell
	lines map[int][]ledger.Line
	all   []ledger.Line
}

func (b *book) month() ledger.Booked {
	var m ledger.Booked
	for i := range b.all {
		l := &b.all[i]
		if l.Account.OfCharges() {
			m.Charges.AddSum(&l.Basis)
		}
		if l.Account == ledger.AccountAccrued {
			m.Owed -= l.Cents
		}
	}
	return m
}

func (b *book) day(n int) ledger.Day {
	return ledger.Day{
		Period: period.MonthOf(first()), Day: first().AddDate(0, 0, n), Terms: terms(), Cells: b.cells[n], Posted: b.lines[n], Month: b.month(),
	}
}

func (b *book) post(t require.TestingT, n int) []ledger.Line {
	day := b.day(n)
	lines, err := day.Lines()
	require.NoError(t, err)
	if len(lines) > 0 {
		require.NoError(t, ledger.Balance(lines))
	}
	b.lines[n], b.all = append(b.lines[n], lines...), append(b.all, lines...)
	return lines
}

func (b *book) exact() money.Sum {
	var total money.Sum
	for _, cells := range b.cells {
		for i := range cells {
			total.AddSum(&cells[i].Charge)
		}
	}
	return total
}

// TestABookAgreesWithItsChargesAfterAnySequence posts days, charges more, moves charges
// between nodes and posts again, in any order.
func TestABookAgreesWithItsChargesAfterAnySequence(t *testing.T) {
	t.Parallel()
	nodes := make([]ledger.Cell, 6)
	for i := range nodes {
		nodes[i] = cell(i, 0)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := &book{cells: map[int][]ledger.Cell{}, lines: map[int][]ledger.Line{}}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.IntRange(0, 3).Draw(t, "day")
			if rapid.Bool().Draw(t, "charge") {
				c := nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "node")]
				c.Charge = money.Sum{}
				c.Charge.Add(money.Pico(rapid.Int64Range(-3e10, 9e12).Draw(t, "charge")))
				b.cells[n] = append(b.cells[n], c)
				continue
			}
			b.post(t, n)
		}
		for n := range 4 {
			b.post(t, n)
			require.Empty(t, b.post(t, n), "a second time there is nothing to post")
			requireDay(t, b, n)
		}
		month, exact := b.month(), b.exact()
		require.Zero(t, month.Charges.Cmp(&exact), "the basis of all lines is what was charged")
		require.Equal(t, exact.Display(), month.Owed, "the liability is the rounded month, to the cent")
		require.NoError(t, balanceOrNothing(b.all))
		requireBetween(t, b.all)
	})
}

func balanceOrNothing(lines []ledger.Line) error {
	if len(lines) == 0 {
		return nil
	}
	return ledger.Balance(lines)
}

// requireDay holds what is posted of a day to what its charges alone come to.
func requireDay(t require.TestingT, b *book, n int) {
	day := b.day(n)
	want, err := day.Charged()
	require.NoError(t, err)
	type place struct{ account, entity, code string }
	sums := map[place]money.Cents{}
	for _, l := range b.lines[n] {
		if l.Account.OfCharges() {
			sums[place{string(l.Account), l.Entity, l.NodeCode}] += l.Cents
		}
	}
	for _, l := range want {
		at := place{string(l.Account), l.Entity, l.NodeCode}
		require.Equal(t, l.Cents, sums[at], "%v", at)
		delete(sums, at)
	}
	for at, cents := range sums {
		require.Zero(t, cents, "%v", at)
	}
}

// requireBetween: what one entity is owed the other owes.
func requireBetween(t require.TestingT, lines []ledger.Line) {
	owed := map[[2]string]money.Cents{}
	for _, l := range lines {
		switch l.Account {
		case ledger.AccountDueFrom:
			owed[[2]string{l.Entity, l.Counterparty}] += l.Cents
		case ledger.AccountDueTo:
			owed[[2]string{l.Counterparty, l.Entity}] += l.Cents
		case ledger.AccountExpense, ledger.AccountCapitalized, ledger.AccountSuspense, ledger.AccountSharedPool, ledger.AccountRounding, ledger.AccountResidual, ledger.AccountAccrued, ledger.AccountPayable:
		}
	}
	for pair, cents := range owed {
		require.Zero(t, cents, "%v", pair)
	}
}

// TestADaysLinesDoNotDependOnTheOrderOfItsCharges shuffles cells and what is posted.
func TestADaysLinesDoNotDependOnTheOrderOfItsCharges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var cells []ledger.Cell
		for n := range rapid.IntRange(1, 12).Draw(t, "cells") {
			cells = append(cells, cell(n%6, money.Pico(rapid.Int64Range(-1e11, 1e12).Draw(t, "charge"))))
			cells[n].Node = id.Node{}
		}
		seed := rapid.Uint64().Draw(t, "seed")
		day := ledger.Day{Period: period.MonthOf(first()), Day: first(), Terms: terms(), Cells: cells}
		want, err := day.Lines()
		require.NoError(t, err)
		shuffled := slices.Clone(cells)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		day.Cells = shuffled
		got, err := day.Lines()
		require.NoError(t, err)
		require.Equal(t, canonical(t, want), canonical(t, got))
	})
}

func canonical(t require.TestingT, lines []ledger.Line) string {
	e := ledger.Entry{Kind: ledger.KindAccrual, Period: period.MonthOf(first()), Date: first(), Lines: lines}
	document, err := e.Canonical()
	require.NoError(t, err)
	return string(document)
}

// TestALineBetweenEntities spells one day out.
func TestALineBetweenEntities(t *testing.T) {
	t.Parallel()
	day := ledger.Day{Period: period.MonthOf(first()), Day: first(), Terms: terms(), Cells: []ledger.Cell{
		cell(0, 1_005_000_000_000), cell(1, 2_004_000_000_000), cell(4, 500_000_000_000), cell(5, 250_000_000_000),
	}}
	lines, err := day.Lines()
	require.NoError(t, err)
	var said []string
	for i := range lines {
		l := &lines[i]
		said = append(said, fmt.Sprintf("%s %s %s%s %s", l.Entity, l.Account, l.NodeCode, l.Counterparty, l.Cents))
	}
	require.Equal(t, []string{
		"DE01 expense CC-1 2.00",
		"DE01 capitalized_asset CC-4 0.50",
		"DE01 intercompany_due_to US01 -2.50",
		"US01 expense CC-0 1.01",
		"US01 suspense CC-5 0.25",
		"US01 intercompany_due_from DE01 2.50",
		"US01 accrued_liability  -3.76",
	}, said)
	require.Equal(t, "6410", lines[0].GLAccount)
	require.Equal(t, "2.004000000000", lines[0].Basis.String())

	day.Terms.Treatment = ledger.Showback
	lines, err = day.Lines()
	require.NoError(t, err)
	for i := range lines {
		require.Equal(t, "US01", lines[i].Entity, "what is only shown stays with the payer")
		require.Empty(t, lines[i].Counterparty)
	}
}

// TestRoundingIsALine: three days of a third of a cent are a cent owed that no day has.
func TestRoundingIsALine(t *testing.T) {
	t.Parallel()
	b := &book{cells: map[int][]ledger.Cell{}, lines: map[int][]ledger.Line{}}
	want := [][]string{{"expense 0.00"}, {"expense 0.00", "rounding 0.01", "accrued_liability -0.01"}, {"expense 0.00"}}
	for n := range 3 {
		b.cells[n] = []ledger.Cell{cell(0, 3_400_000_000)}
		var said []string
		for _, l := range b.post(t, n) {
			said = append(said, fmt.Sprintf("%s %s", l.Account, l.Cents))
		}
		require.Equal(t, want[n], said, "day %d", n)
	}
}

// TestAReversalTakesAnEntryBackOnce and one of a reversal brings it back.
func TestAReversalTakesAnEntryBackOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var cells []ledger.Cell
		for n := range rapid.IntRange(1, 6).Draw(t, "cells") {
			cells = append(cells, cell(n, money.Pico(rapid.Int64Range(1, 1e13).Draw(t, "charge"))))
		}
		day := ledger.Day{Period: period.MonthOf(first()), Day: first(), Terms: terms(), Cells: cells}
		lines, err := day.Lines()
		require.NoError(t, err)
		e := ledger.Entry{ID: id.NewEntry(first()), Kind: ledger.KindAccrual, Period: day.Period, Date: first(), Lines: lines}
		h := ledger.Heading{ID: id.NewEntry(first()), Number: 2, Period: day.Period.Next(), Date: day.Period.Next().Start(), Memo: "Reversal"}
		back, err := e.Reverse(h, false)
		require.NoError(t, err)
		require.Equal(t, e.ID, back.Reverses)
		require.Equal(t, ledger.KindReversal, back.Kind)
		for i := range lines {
			require.Equal(t, -lines[i].Cents, back.Lines[i].Cents)
		}
		require.Equal(t, e.Total(), back.Total())
		again, err := back.Reverse(h, false)
		require.NoError(t, err)
		require.Equal(t, canonical(t, e.Lines), canonical(t, again.Lines))
		_, err = e.Reverse(h, true)
		require.ErrorIs(t, err, ledger.ErrReversed)
	})
}

func TestWhatDoesNotBalanceIsRefused(t *testing.T) {
	t.Parallel()
	line := func(account ledger.Account, entity string, cents money.Cents) ledger.Line {
		return ledger.Line{Account: account, Entity: entity, Currency: ledger.USD, Cents: cents}
	}
	require.NoError(t, ledger.Balance([]ledger.Line{line(ledger.AccountExpense, "A", 5), line(ledger.AccountAccrued, "A", -5)}))
	require.Error(t, ledger.Balance(nil))
	require.ErrorIs(t, ledger.Balance([]ledger.Line{line(ledger.AccountExpense, "A", 5), line(ledger.AccountAccrued, "A", -4)}), ledger.ErrUnbalanced)
	require.ErrorIs(t, ledger.Balance([]ledger.Line{line(ledger.AccountExpense, "A", 5), line(ledger.AccountAccrued, "B", -5)}), ledger.ErrUnbalanced, "each entity by itself")
	other := line(ledger.AccountAccrued, "A", -5)
	other.Currency = "EUR"
	require.ErrorIs(t, ledger.Balance([]ledger.Line{line(ledger.AccountExpense, "A", 5), other}), ledger.ErrUnbalanced, "each currency by itself")
	require.Error(t, ledger.Balance([]ledger.Line{line("petty_cash", "A", 5), line(ledger.AccountAccrued, "A", -5)}))
}

func TestSidesAndDigest(t *testing.T) {
	t.Parallel()
	e := ledger.Entry{
		ID: id.NewEntry(first()), Number: 3, Kind: ledger.KindAccrual, Treatment: ledger.Chargeback, Period: period.MonthOf(first()), Date: first(),
		Source: ledger.Source{Period: period.MonthOf(first()), Day: first(), Requests: 7, UsageBatches: 2},
		Lines:  []ledger.Line{{Account: ledger.AccountExpense, Currency: ledger.USD, Cents: 120}, {Account: ledger.AccountAccrued, Currency: ledger.USD, Cents: -120, Workspace: "default"}},
	}
	require.Equal(t, money.Cents(120), e.Total())
	require.Equal(t, money.Cents(120), e.Lines[0].Debit())
	require.Zero(t, e.Lines[0].Credit())
	require.Equal(t, money.Cents(120), e.Lines[1].Credit())
	document, err := e.Canonical()
	require.NoError(t, err)
	require.JSONEq(t, `{"v":1,"id":"`+e.ID.String()+`","number":3,"kind":"accrual","treatment":"chargeback","period":"2026-11","date":"2026-11-01","memo":"",
		"source":{"period":"2026-11","day":"2026-11-01","requests":7,"usage_batches":2,"adjustment_batches":0,"charges_pico":"0"},
		"lines":[{"account":"expense","entity":"","currency":"USD","cents":120,"memo":""},{"account":"accrued_liability","entity":"","currency":"USD","cents":-120,"memo":"","workspace":"default"}]}`, string(document))
	require.Len(t, ledger.Digest(document), 64)
}
