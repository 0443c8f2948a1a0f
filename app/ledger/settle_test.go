package ledger_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/ledger"
	"tollbook/app/money"
)

func borne(n int, amount money.Cents) ledger.Borne {
	c := cell(n, 0)
	return ledger.Borne{NodeCode: c.NodeCode, NodePath: c.NodePath, Entity: c.Entity, GLAccount: c.GLAccount, Capitalization: c.Capitalization, Suspense: c.Suspense, Amount: amount}
}

// TestAnInvoiceTakesTheAccrualsPlace: whatever was accrued and whoever bears the invoice,
// afterwards each node has what it bears, nothing stays accrued or rounded, what is owed is
// the invoice, and both books balance.
func TestAnInvoiceTakesTheAccrualsPlace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		b := &book{cells: map[int][]ledger.Cell{}, lines: map[int][]ledger.Line{}}
		for day := range rapid.IntRange(0, 3).Draw(r, "days") {
			for n := range rapid.IntRange(1, 7).Draw(r, "nodes") {
				c := cell(n, money.Pico(rapid.Int64Range(0, 40_000_000_000_000).Draw(r, "charge")))
				c.Node = ledger.Cell{}.Node
				b.cells[day] = append(b.cells[day], c)
			}
			b.post(r, day)
		}
		s := ledger.Settlement{Terms: terms(), Accrued: b.all, Residual: money.Cents(rapid.Int64Range(-500, 500).Draw(r, "residual")), Memo: "Invoice 1"}
		s.Total = s.Residual
		want := map[string]money.Cents{}
		for n := range rapid.IntRange(0, 7).Draw(r, "bearers") {
			one := borne(n, money.Cents(rapid.Int64Range(-1000, 100_000).Draw(r, "amount")))
			s.Borne, s.Total = append(s.Borne, one), s.Total+one.Amount
			want[one.NodeCode] += one.Amount
		}
		lines, err := s.Lines()
		require.NoError(r, err)
		if lines != nil {
			require.NoError(r, ledger.Balance(lines))
		}
		has, by := map[string]money.Cents{}, map[ledger.Account]money.Cents{}
		for _, l := range slices.Concat(b.all, lines) {
			by[l.Account] += l.Cents
			if l.Account.OfCharges() {
				has[l.NodeCode] += l.Cents
			}
		}
		for code, cents := range has {
			require.Equal(r, want[code], cents, code)
		}
		require.Equal(r, -s.Total, by[ledger.AccountPayable])
		require.Equal(r, s.Residual, by[ledger.AccountResidual])
		require.Zero(r, by[ledger.AccountAccrued])
		require.Zero(r, by[ledger.AccountRounding])
		require.Zero(r, by[ledger.AccountDueFrom]+by[ledger.AccountDueTo])

		rand.Shuffle(len(s.Borne), func(i, j int) { s.Borne[i], s.Borne[j] = s.Borne[j], s.Borne[i] })
		again, err := s.Lines()
		require.NoError(r, err)
		require.Equal(r, lines, again, "the order of who bears it changes nothing")
	})
}

func TestAnInvoiceInShowbackStaysWithThePayer(t *testing.T) {
	t.Parallel()
	s := ledger.Settlement{Terms: ledger.Terms{Treatment: ledger.Showback, Payer: "US01", Workspace: "default"}, Borne: []ledger.Borne{borne(1, 250)}, Total: 250, Memo: "Invoice 1"}
	lines, err := s.Lines()
	require.NoError(t, err)
	require.Len(t, lines, 2)
	for _, l := range lines {
		require.Equal(t, "US01", l.Entity)
		require.Equal(t, "Invoice 1", l.Memo)
	}
}
