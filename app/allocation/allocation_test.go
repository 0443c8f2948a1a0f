package allocation_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/allocation"
	"tollbook/app/fault"
	"tollbook/app/money"
)

func leaf(code string, pico money.Pico) allocation.Leaf {
	l := allocation.Leaf{Code: code, Path: []string{"BU-" + code[3:4], code}, Entity: "US01", Capitalization: "expense"}
	l.Charge.Add(pico)
	return l
}

func suspense() allocation.Leaf {
	return allocation.Leaf{Code: "SUSPENSE", Path: []string{"SUSPENSE"}, Entity: "US01", Capitalization: "expense", Suspense: true}
}

func nodes(leaves ...allocation.Leaf) map[string]allocation.Leaf {
	all := map[string]allocation.Leaf{}
	for _, l := range leaves {
		l.Charge = money.Sum{}
		all[l.Code] = l
	}
	return all
}

// borne is who bears what, by code.
func borne(run *allocation.Run) map[string]money.Cents {
	by := map[string]money.Cents{}
	for i, cents := range run.Borne {
		if cents != 0 {
			by[run.Leaves[i].Code] += cents
		}
	}
	return by
}

func TestWhoBearsALine(t *testing.T) {
	t.Parallel()
	leaves := []allocation.Leaf{leaf("CC-1100", 600), leaf("CC-1200", 300), leaf("CC-2100", 100)}
	other := leaf("CC-2200", 0)
	for _, c := range []struct {
		name  string
		lines []allocation.Line
		rules allocation.Rules
		left  money.Cents
		want  map[string]money.Cents
	}{
		{"by what was charged", []allocation.Line{{Kind: "usage", Amount: 1000}}, nil, 0, map[string]money.Cents{"CC-1100": 600, "CC-1200": 300, "CC-2100": 100}},
		{"a credit by sign", []allocation.Line{{Kind: "credit", Amount: -1001}}, nil, 0, map[string]money.Cents{"CC-1100": -601, "CC-1200": -300, "CC-2100": -100}},
		{"one node", []allocation.Line{{Kind: "fee", Node: "CC-2200", Amount: 77}}, nil, 0, map[string]money.Cents{"CC-2200": 77}},
		{"below a node", []allocation.Line{{Kind: "fee", Amount: 90}}, allocation.Rules{{Kind: "fee", Method: allocation.Proportional, Parts: []allocation.Part{{Code: "BU-1"}}}}, 0, map[string]money.Cents{"CC-1100": 60, "CC-1200": 30}},
		{"even", []allocation.Line{{Kind: "seats", Amount: 101}}, allocation.Rules{{Kind: "seats", Method: allocation.Even, Parts: []allocation.Part{{Code: "CC-2200"}, {Code: "CC-1100"}}}}, 0, map[string]money.Cents{"CC-1100": 51, "CC-2200": 50}},
		{"percent", []allocation.Line{{Kind: "seats", Amount: 1000}}, allocation.Rules{{Kind: "seats", Method: allocation.Percent, Parts: []allocation.Part{{Code: "CC-2200", Weight: 2500}, {Code: "CC-1100", Weight: 7500}}}}, 0, map[string]money.Cents{"CC-1100": 750, "CC-2200": 250}},
		{"heads", []allocation.Line{{Kind: "seats", Amount: 900}}, allocation.Rules{{Kind: "seats", Method: allocation.Driver, Driver: "heads", Parts: []allocation.Part{{Code: "CC-2200", Weight: 2}, {Code: "CC-1100", Weight: 7}}}}, 0, map[string]money.Cents{"CC-1100": 700, "CC-2200": 200}},
		{"the unexplained apart", []allocation.Line{{Kind: "usage", Amount: 1010}}, nil, 10, map[string]money.Cents{"CC-1100": 600, "CC-1200": 300, "CC-2100": 100}},
		{"nobody weighs", []allocation.Line{{Kind: "fee", Amount: 5}}, allocation.Rules{{Kind: "fee", Method: allocation.Proportional, Parts: []allocation.Part{{Code: "CC-2200"}}}}, 0, map[string]money.Cents{"SUSPENSE": 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run, err := allocation.Split(&allocation.Input{Lines: c.lines, Leaves: leaves, Nodes: nodes(append(leaves, other)...), Rules: c.rules, Suspense: suspense(), Residual: c.left})
			require.NoError(t, err)
			require.Equal(t, c.want, borne(&run))
			require.Equal(t, c.left, run.Residual)
		})
	}
	_, err := allocation.Split(&allocation.Input{Lines: []allocation.Line{{Kind: "fee", Node: "CC-9", Amount: 1}}, Suspense: suspense()})
	require.Equal(t, "allocation_node", fault.From(err).Code)
}

// TestAnyInvoiceIsSplitToTheCent: sums are exact for each line and for the invoice, every
// share lies within a cent of its exact part, and order changes nothing.
func TestAnyInvoiceIsSplitToTheCent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		in := allocation.Input{Suspense: suspense(), Nodes: nodes(leaf("CC-1000", 0), leaf("CC-3001", 0), leaf("CC-9000", 0))}
		for n := range rapid.IntRange(0, 12).Draw(r, "leaves") {
			in.Leaves = append(in.Leaves, leaf(fmt.Sprintf("CC-%d00%d", n%4, n), money.Pico(rapid.Int64Range(0, 9_000_000_000_000_000_000).Draw(r, "charge"))))
		}
		in.Rules = allocation.Rules{{Kind: "seats", Method: allocation.Even, Parts: []allocation.Part{{Code: "CC-9000"}, {Code: "CC-1000"}}}}
		var total money.Cents
		for range rapid.IntRange(1, 6).Draw(r, "lines") {
			line := allocation.Line{Kind: rapid.SampledFrom([]string{"usage", "credit", "seats", "tax"}).Draw(r, "kind"), Amount: money.Cents(rapid.Int64Range(-10_000_00, 90_000_000_00).Draw(r, "amount"))}
			in.Lines, total = append(in.Lines, line), total+line.Amount
		}
		in.Residual, in.ResidualLine = money.Cents(rapid.Int64Range(-100, 100).Draw(r, "residual")), len(in.Lines)-1
		run, err := allocation.Split(&in)
		require.NoError(r, err)

		by, weights := make([]money.Cents, len(in.Lines)), make([]money.Sum, len(in.Lines))
		for _, s := range run.Shares {
			by[s.Line] += s.Amount
			weights[s.Line].AddSum(&s.Weight)
		}
		all := run.Residual
		for _, cents := range run.Borne {
			all += cents
		}
		require.Equal(r, total, all)
		for n, line := range in.Lines {
			want := line.Amount
			if n == in.ResidualLine {
				want -= in.Residual
			}
			require.Equal(r, want, by[n])
			for _, s := range run.Shares {
				if s.Line == n {
					within(r, want, &s.Weight, &weights[n], s.Amount)
				}
			}
		}
		rand.Shuffle(len(in.Leaves), func(i, j int) { in.Leaves[i], in.Leaves[j] = in.Leaves[j], in.Leaves[i] })
		again, err := allocation.Split(&in)
		require.NoError(r, err)
		require.Equal(r, borne(&run), borne(&again))
	})
}

// within: the amount differs from total x weight / weights by less than a cent.
func within(r *rapid.T, total money.Cents, weight, weights *money.Sum, got money.Cents) {
	number := func(s *money.Sum) *big.Int {
		n, ok := new(big.Int).SetString(s.Digits(), 10)
		require.True(r, ok)
		return n
	}
	exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(int64(total)), number(weight)), number(weights))
	off := exact.Sub(exact, new(big.Rat).SetInt64(int64(got)))
	require.Negative(r, off.Abs(off).Cmp(big.NewRat(1, 1)))
}

func TestRulesThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	known := func(code string) bool { return code == "A" || code == "B" }
	a, b := allocation.Part{Code: "A"}, allocation.Part{Code: "B"}
	for code, rules := range map[string]allocation.Rules{
		"sharing_kind":    {{Kind: "rent", Method: allocation.Even, Parts: []allocation.Part{a}}},
		"sharing_twice":   {{Kind: "seats", Method: allocation.Even, Parts: []allocation.Part{a, a}}},
		"sharing_method":  {{Kind: "seats", Method: "fair", Parts: []allocation.Part{a}}},
		"sharing_parts":   {{Kind: "seats", Method: allocation.Even}},
		"sharing_node":    {{Kind: "seats", Method: allocation.Even, Parts: []allocation.Part{{Code: "C"}}}},
		"sharing_weight":  {{Kind: "seats", Method: allocation.Percent, Parts: []allocation.Part{a, b}}},
		"sharing_percent": {{Kind: "seats", Method: allocation.Percent, Parts: []allocation.Part{{Code: "A", Weight: 5000}, {Code: "B", Weight: 4999}}}},
		"sharing_driver":  {{Kind: "seats", Method: allocation.Driver, Parts: []allocation.Part{{Code: "A", Weight: 1}}}},
	} {
		require.Equal(t, code, fault.From(rules.Check([]string{"seats"}, known)).Code)
	}
	require.NoError(t, allocation.Rules{{Kind: "seats", Method: allocation.Percent, Parts: []allocation.Part{{Code: "A", Weight: 5000}, {Code: "B", Weight: 5000}}}}.Check([]string{"seats"}, known))
	require.Equal(t, "sharing_twice", fault.From(allocation.Rules{{Kind: "seats", Method: allocation.Even, Parts: []allocation.Part{a}}, {Kind: "seats", Method: allocation.Even, Parts: []allocation.Part{b}}}.Check([]string{"seats"}, known)).Code)
}
