package attribution_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/usage"
)

// ledgerOf adds portions up by placement, as the rollups do.
type ledgerOf map[id.Placement]attribution.Portion

func (l ledgerOf) add(lines []attribution.Portion) {
	for i := range lines {
		line := &lines[i]
		sum := l[line.Placement]
		sum.Placement, sum.PPM = line.Placement, 0
		sum.Tokens = sum.Tokens.Plus(line.Tokens)
		for class := range usage.ClassCount {
			sum.Classes[class] += line.Classes[class]
		}
		sum.Other, sum.Charge = sum.Other+line.Other, sum.Charge+line.Charge
		sum.Requests, sum.Errors, sum.Provisional = sum.Requests+line.Requests, sum.Errors+line.Errors, sum.Provisional+line.Provisional
		if sum == (attribution.Portion{Share: usage.Share{Placement: line.Placement}}) {
			delete(l, line.Placement)
			continue
		}
		l[line.Placement] = sum
	}
}

func drawMeasured(r *rapid.T, name string) attribution.Measured {
	m := attribution.Measured{State: rapid.SampledFrom([]usage.State{usage.StateComplete, usage.StateError, usage.StateUnpriced}).Draw(r, name+" state")}
	for class := range usage.ClassCount {
		m.Tokens[class] = rapid.Int64Range(0, 1_000_000_000).Draw(r, name+" tokens")
		m.Classes[class] = money.Pico(rapid.Int64Range(0, 1<<50).Draw(r, name+" charge"))
		m.Charge += m.Classes[class]
	}
	m.Charge += money.Pico(rapid.Int64Range(0, 1<<40).Draw(r, name+" tools"))
	return m
}

func drawShares(r *rapid.T, garden []id.Placement, name string) []usage.Share {
	n := rapid.IntRange(1, len(garden)).Draw(r, name+" parts")
	left := int64(usage.Whole)
	var shares []usage.Share
	for i, placement := range rapid.Permutation(garden).Draw(r, name+" placements")[:n] {
		ppm := left
		if i < n-1 {
			ppm = rapid.Int64Range(1, left-int64(n-1-i)).Draw(r, name+" share")
		}
		left -= ppm
		shares = append(shares, usage.Share{Placement: placement, PPM: ppm})
	}
	return shares
}

// TestAnySequenceOfAdjustmentsEndsWhereTheLastOneSaid posts one correction after the other:
// each sums to the difference of the charges and makes no request and no token, and all of
// them together leave the last and nothing else.
func TestAnySequenceOfAdjustmentsEndsWhereTheLastOneSaid(t *testing.T) {
	t.Parallel()
	garden := make([]id.Placement, 0, 7)
	for i := range 7 {
		garden = append(garden, id.DerivePlacement([]byte{byte(i)}))
	}
	rapid.Check(t, func(r *rapid.T) {
		now := attribution.Lying{Measured: drawMeasured(r, "first"), Shares: drawShares(r, garden, "first")}
		books := ledgerOf{}
		lines, err := attribution.Portions(&now.Measured, now.Shares)
		require.NoError(r, err)
		books.add(lines)
		for range rapid.IntRange(0, 8).Draw(r, "adjustments") {
			next := attribution.Lying{Measured: now.Measured, Shares: drawShares(r, garden, "next")}
			if rapid.Bool().Draw(r, "repriced") {
				tokens := next.Tokens
				next.Measured = drawMeasured(r, "next")
				next.Tokens = tokens
			}
			lines, err := attribution.Restate(&now, &next)
			require.NoError(r, err)
			var sum money.Pico
			var requests int64
			var tokens usage.Tokens
			for i := range lines {
				sum, requests, tokens = sum+lines[i].Charge, requests+lines[i].Requests, tokens.Plus(lines[i].Tokens)
				rest := lines[i].Charge - lines[i].Other
				for class := range usage.ClassCount {
					rest -= lines[i].Classes[class]
				}
				require.Zero(r, rest, "the classes and the rest are the charge")
			}
			require.Equal(r, next.Charge-now.Charge, sum)
			require.Zero(r, requests)
			require.Zero(r, tokens)
			books.add(lines)
			now = next
		}
		last, err := attribution.Portions(&now.Measured, now.Shares)
		require.NoError(r, err)
		want := ledgerOf{}
		want.add(last)
		require.Equal(r, want, books)
	})
}

func TestWhatLiesThereAlreadyIsNotPosted(t *testing.T) {
	t.Parallel()
	g := grow(t, "A", "B")
	lying := attribution.Lying{Measured: attribution.Measured{Charge: 7, State: usage.StateComplete}, Shares: []usage.Share{{Placement: g.placement(t, "A"), PPM: usage.Whole}}}
	same := lying
	same.Shares = []usage.Share{{Placement: g.placement(t, "A"), PPM: usage.Whole}}
	lines, err := attribution.Restate(&lying, &same)
	require.NoError(t, err)
	require.Empty(t, lines)
}

func TestPartsAreAWholeOfDifferentNodes(t *testing.T) {
	t.Parallel()
	many := make([]attribution.Part, attribution.MaxParts+1)
	for name, c := range map[string]struct {
		parts []attribution.Part
		code  string
	}{
		"none":      {nil, "parts_count"},
		"many":      {many, "parts_count"},
		"no name":   {[]attribution.Part{{PPM: usage.Whole}}, "parts_node"},
		"two names": {[]attribution.Part{{Code: "A", Node: id.NewNode(monday()), PPM: usage.Whole}}, "parts_node"},
		"nothing":   {[]attribution.Part{{Code: "A"}, {Code: "B", PPM: usage.Whole}}, "parts_share"},
		"twice":     {[]attribution.Part{{Code: "A", PPM: 500_000}, {Code: "A", PPM: 500_000}}, "parts_twice"},
		"too few":   {[]attribution.Part{{Code: "A", PPM: 500_000}}, "parts_whole"},
		"a whole":   {[]attribution.Part{{Code: "A", PPM: 333_333}, {Code: "B", PPM: 666_667}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := attribution.CheckParts(c.parts)
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.code, fault.From(err).Code)
		})
	}
}
