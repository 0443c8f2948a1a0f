package variance_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/money"
	"tollbook/app/variance"
)

func cell(model, class string, tokens, pico int64) variance.Cell {
	c := variance.Cell{Model: model, Class: class, Tokens: tokens}
	c.Charge.Add(money.Pico(pico))
	return c
}

func parts(p variance.Part) [4]string {
	return [4]string{p.Price.Digits(), p.Volume.Digits(), p.Mix.Digits(), p.Tools.Digits()}
}

func TestPureMovementsAreNamedAlone(t *testing.T) {
	t.Parallel()
	base := []variance.Cell{cell("a", "input", 100, 1000), cell("b", "output", 100, 4000)}
	for name, c := range map[string]struct {
		after []variance.Cell
		want  [4]string // price, volume, mix, tools
	}{
		"nothing":       {base, [4]string{"0", "0", "0", "0"}},
		"price":         {[]variance.Cell{cell("a", "input", 100, 900), cell("b", "output", 100, 4400)}, [4]string{"300", "0", "0", "0"}},
		"volume":        {[]variance.Cell{cell("a", "input", 150, 1500), cell("b", "output", 150, 6000)}, [4]string{"0", "2500", "0", "0"}},
		"mix":           {[]variance.Cell{cell("a", "input", 150, 1500), cell("b", "output", 50, 2000)}, [4]string{"0", "0", "-1500", "0"}},
		"tools":         {append(base, cell("b", variance.Other, 0, 70)), [4]string{"0", "0", "0", "70"}},
		"a new model":   {append(base, cell("c", "input", 200, 1000)), [4]string{"0", "5000", "-4000", "0"}},
		"a dropped one": {base[:1], [4]string{"0", "-2500", "-1500", "0"}},
		"all of them":   {nil, [4]string{"0", "-5000", "0", "0"}},
	} {
		require.Equal(t, c.want, parts(variance.Between(base, c.after).Total), name)
	}
	fromNothing := variance.Between(nil, base)
	require.Equal(t, [4]string{"0", "0", "5000", "0"}, parts(fromNothing.Total))
	require.Equal(t, "b", fromNothing.Parts[0].Model, "the largest first")
}

func TestRoundingStaysInTheCell(t *testing.T) {
	t.Parallel()
	got := variance.Between([]variance.Cell{cell("a", "input", 3, 10), cell("b", "input", 4, 10)}, []variance.Cell{cell("a", "input", 5, 17), cell("b", "input", 5, 11)})
	require.Len(t, got.Parts, 2)
	for _, p := range got.Parts {
		balanced(t, p)
	}
	balanced(t, got.Total)
}

func balanced(t require.TestingT, p variance.Part) {
	var sum, difference money.Sum
	for _, s := range []*money.Sum{&p.Price, &p.Volume, &p.Mix, &p.Tools} {
		sum.AddSum(s)
	}
	require.Zero(t, sum.Cmp(&p.Difference), "%+v", p)
	difference.AddSum(&p.After)
	difference.SubSum(&p.Before)
	require.Zero(t, difference.Cmp(&p.Difference))
}

// TestReasonsSumToTheDifference holds the promise for any two spans: in every cell and
// in all, to the pico-dollar.
func TestReasonsSumToTheDifference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string) []variance.Cell {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) variance.Cell {
				class := rapid.SampledFrom([]string{"input", "output", "cache_read", variance.Other}).Draw(t, "class")
				tokens := rapid.Int64Range(0, 1e12).Draw(t, "tokens")
				if class == variance.Other {
					tokens = 0
				}
				return cell(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "model"), class, tokens, rapid.Int64Range(-1e6, 1e17).Draw(t, "pico"))
			}), 0, 12).Draw(t, name)
		}
		before, after := span("before"), span("after")
		got := variance.Between(before, after)
		var sum money.Sum
		for _, p := range got.Parts {
			balanced(t, p)
			sum.AddSum(&p.Difference)
			if p.Class == variance.Other {
				require.Zero(t, p.Price.Sign()+p.Volume.Sign()+p.Mix.Sign())
			}
		}
		balanced(t, got.Total)
		require.Zero(t, sum.Cmp(&got.Total.Difference))
		var want money.Sum
		for i := range after {
			want.AddSum(&after[i].Charge)
		}
		for i := range before {
			want.SubSum(&before[i].Charge)
		}
		require.Zero(t, want.Cmp(&got.Total.Difference))
		// The other way round, volume and price are not mirrored, but the whole is.
		back := variance.Between(after, before)
		sum.AddSum(&back.Total.Difference)
		require.Zero(t, sum.Sign())
	})
}
