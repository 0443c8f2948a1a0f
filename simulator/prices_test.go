package simulator

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every expected amount is worked out by hand from the published dollars per million
// tokens; 1 dollar per million is 0.000001 per token.
func TestCharge(t *testing.T) {
	t.Parallel()
	all := Tokens{Input: 1000, Output: 100, CacheWrite5m: 10, CacheWrite1h: 20, CacheRead: 10000}
	for _, tc := range []struct {
		name   string
		fact   Fact
		day    string
		dollar string
	}{
		// 1000x4 + 100x20 + 10x5 + 20x8 + 10000x0.20 = 4000+2000+50+160+2000 = 8210 millionths
		{"opus 5.5", Fact{Model: "claude-opus-5-5", Tokens: all}, "2026-11-01", "0.008210000000"},
		// the same, twice
		{"opus 5.5 fast", Fact{Model: "claude-opus-5-5", Tokens: all, Speed: "fast"}, "2026-11-01", "0.016420000000"},
		// 8210 x 1.1 = 9031
		{"opus 5.5 us", Fact{Model: "claude-opus-5-5", Tokens: all, InferenceGeo: "us"}, "2026-11-01", "0.009031000000"},
		// 8210 x 2 x 1.1 = 18062
		{"opus 5.5 fast us", Fact{Model: "claude-opus-5-5", Tokens: all, Speed: "fast", InferenceGeo: "us"}, "2026-11-01", "0.018062000000"},
		// 8210 / 2 = 4105
		{"opus 5.5 batch", Fact{Model: "claude-opus-5-5", Tokens: all, ServiceTier: "batch"}, "2026-11-01", "0.004105000000"},
		// 1000x8 + 100x40 + 10x10 + 20x16 + 10000x0.20 = 8000+4000+100+320+2000 = 14420
		{"fable 5.2", Fact{Model: "claude-fable-5-2", Tokens: all}, "2026-11-09", "0.014420000000"},
		// 1000x10 + 100x50 + 10x12.5 + 20x20 + 10000x0.25 = 10000+5000+125+400+2500 = 18025
		{"mythos 5.1", Fact{Model: "claude-mythos-5-1", Tokens: all}, "2026-11-09", "0.018025000000"},
		// as above but reads at 1.00: 15525 + 10000 = 25525
		{"fable 5", Fact{Model: "claude-fable-5", Tokens: all}, "2026-11-09", "0.025525000000"},
		// 1000x2 + 100x10 + 10x2.5 + 20x4 = 3105; reads at 0.20: +2000 = 5105; at 0.10: +1000 = 4105
		{"sonnet 5.5 before", Fact{Model: "claude-sonnet-5-5", Tokens: all}, "2026-10-06", "0.005105000000"},
		{"sonnet 5.5 after", Fact{Model: "claude-sonnet-5-5", Tokens: all}, "2026-10-07", "0.004105000000"},
		{"sonnet 5", Fact{Model: "claude-sonnet-5", Tokens: all}, "2026-10-07", "0.005105000000"},
		// 1000x3 + 100x15 + 10x3.75 + 20x6 + 10000x0.30 = 3000+1500+37.5+120+3000 = 7657.5
		{"sonnet 4.5 dated", Fact{Model: "claude-sonnet-4-5-20250929", Tokens: all}, "2026-10-07", "0.007657500000"},
		// 1000x1 + 100x5 + 10x1.25 + 20x2 + 10000x0.10 = 1000+500+12.5+40+1000 = 2552.5
		{"haiku 4.5", Fact{Model: "claude-haiku-4-5-20251001", Tokens: all}, "2026-10-07", "0.002552500000"},
		// prompt of exactly 100,000: 100000x0.10 + 10x0.50 = 10000+5
		{"haiku 5.5 at the line", Fact{Model: "claude-haiku-5-5", Tokens: Tokens{Input: 100_000, Output: 10}}, "2026-11-01", "0.010005000000"},
		// one token more: 1x0.50 + 100000x0.05 + 10x2.50 = 0.5+5000+25 = 5025.5
		{"haiku 5.5 over it", Fact{Model: "claude-haiku-5-5", Tokens: Tokens{Input: 1, CacheRead: 100_000, Output: 10}}, "2026-11-01", "0.005025500000"},
		// the smallest step there is: one read, batch, us: 0.01 x 0.5 x 1.1 = 0.0055 millionths
		{
			"smallest", Fact{Model: "claude-haiku-5-5", Tokens: Tokens{CacheRead: 1}, ServiceTier: "batch", InferenceGeo: "us"},
			"2026-11-01", "0.000000005500",
		},
		// searches are not touched by geography or speed: 1x4x2x1.1 + 3 x 10000 = 30008.8
		{
			"search", Fact{Model: "claude-opus-5-5", Tokens: Tokens{Input: 1}, WebSearchRequests: 3, Speed: "fast", InferenceGeo: "us"},
			"2026-11-01", "0.030008800000",
		},
		// history: 300,000 x 10 and 1 x 37.50; a day later 300,000 x 5 and 1 x 25
		{"opus 4.6 long", Fact{Model: "claude-opus-4-6", Tokens: Tokens{Input: 300_000, Output: 1}}, "2026-03-12", "3.000037500000"},
		{"opus 4.6 flat", Fact{Model: "claude-opus-4-6", Tokens: Tokens{Input: 300_000, Output: 1}}, "2026-03-13", "1.500025000000"},
		// fast 4.6 and 4.7: 30/150
		{"opus 4.7 fast", Fact{Model: "claude-opus-4-7", Tokens: Tokens{Input: 10, Output: 10}, Speed: "fast"}, "2026-06-01", "0.001800000000"},
		// fast 4.6 with a long prompt, while there was such a price: 300,000 x 60 and 1 x 225; then 30/150
		{"opus 4.6 long fast", Fact{Model: "claude-opus-4-6", Tokens: Tokens{Input: 300_000, Output: 1}, Speed: "fast"}, "2026-03-12", "18.000225000000"},
		{"opus 4.6 flat fast", Fact{Model: "claude-opus-4-6", Tokens: Tokens{Input: 300_000, Output: 1}, Speed: "fast"}, "2026-03-13", "9.000150000000"},
		// fast 5 and 4.8: 10/50; fable 5.2: 16/80; mythos 5.2 has no fast: 8/40
		{"opus 5 fast", Fact{Model: "claude-opus-5", Tokens: Tokens{Input: 10, Output: 10}, Speed: "fast"}, "2026-11-01", "0.000600000000"},
		{"opus 4.8 fast", Fact{Model: "claude-opus-4-8", Tokens: Tokens{Input: 10, Output: 10}, Speed: "fast"}, "2026-11-01", "0.000600000000"},
		{"fable 5.2 fast", Fact{Model: "claude-fable-5-2", Tokens: Tokens{Input: 10, Output: 10}, Speed: "fast"}, "2026-11-10", "0.000960000000"},
		{"mythos 5.2", Fact{Model: "claude-mythos-5-2", Tokens: Tokens{Input: 10, Output: 10}, Speed: "fast"}, "2026-11-10", "0.000480000000"},
		// sonnets above 200,000: input and cache count together; 200,000 x 0.60 and 1 x 6 and 1 x 22.50; at the line 200,000 x 0.30 and 1 x 15
		{"sonnet 4.5 long", Fact{Model: "claude-sonnet-4-5", Tokens: Tokens{CacheRead: 200_000, Input: 1, Output: 1}}, "2026-04-29", "0.120028500000"},
		{"sonnet 4.5 at the line", Fact{Model: "claude-sonnet-4-5", Tokens: Tokens{CacheRead: 200_000, Output: 1}}, "2026-04-29", "0.060015000000"},
		{"sonnet 4 flat", Fact{Model: "claude-sonnet-4-20250514", Tokens: Tokens{CacheRead: 200_000, Input: 1, Output: 1}}, "2026-04-30", "0.060018000000"},
		{"sonnet 4.6 long", Fact{Model: "claude-sonnet-4-6", Tokens: Tokens{Input: 200_001, Output: 1}}, "2026-03-12", "1.200028500000"},
		{"sonnet 4.6 flat", Fact{Model: "claude-sonnet-4-6", Tokens: Tokens{Input: 200_001, Output: 1}}, "2026-03-13", "0.600018000000"},
		// 15, 75 and 1.50; 0.80, 4, 1, 1.60, 0.08
		{"opus 4.1", Fact{Model: "claude-opus-4-1-20250805", Tokens: Tokens{Input: 10, Output: 10, CacheRead: 10}}, "2026-03-01", "0.000915000000"},
		{"haiku 3.5", Fact{Model: "claude-3-5-haiku-20241022", Tokens: Tokens{10, 10, 10, 10, 10}}, "2026-03-01", "0.000074800000"},
		// everything at once: 8210 / 2 x 1.1 = 4515.5; batches do not run fast
		{"batch us", Fact{Model: "claude-opus-5-5", Tokens: all, ServiceTier: "batch", InferenceGeo: "us", Speed: "fast"}, "2026-11-01", "0.004515500000"},
		{"priority", Fact{Model: "claude-opus-5-5", Tokens: all, ServiceTier: "priority"}, "2026-11-01", "0.008210000000"},
		// over the line in batch: 100,001 x 0.50 / 2 and 10 x 2.50 / 2
		{"haiku 5.5 batch", Fact{Model: "claude-haiku-5-5", Tokens: Tokens{Input: 100_001, Output: 10}, ServiceTier: "batch"}, "2026-11-01", "0.025012750000"},
		// the surcharge starts with 4.6: 10 x 5 x 1.1 and 10 x 5
		{"us 4.6", Fact{Model: "claude-opus-4-6", Tokens: Tokens{Input: 10}, InferenceGeo: "us"}, "2026-06-01", "0.000055000000"},
		{"no us 4.5", Fact{Model: "claude-opus-4-5-20251101", Tokens: Tokens{Input: 10}, InferenceGeo: "us"}, "2026-06-01", "0.000050000000"},
		// sonnet was never sold fast, haiku 4.5 has no us surcharge: 10x3, 10x1
		{"never fast", Fact{Model: "claude-sonnet-4-6", Tokens: Tokens{Input: 10}, Speed: "fast"}, "2026-06-01", "0.000030000000"},
		{"no us", Fact{Model: "claude-haiku-4-5", Tokens: Tokens{Input: 10}, InferenceGeo: "us"}, "2026-06-01", "0.000010000000"},
		// 3 haiku: 10x0.30 + 20x0.50 + 100x0.03 = 3+10+3
		{"haiku 3", Fact{Model: "claude-3-haiku-20240307", Tokens: Tokens{CacheWrite5m: 10, CacheWrite1h: 20, CacheRead: 100}}, "2026-03-01", "0.000016000000"},
		// a model only the provider knows: 10x6
		{"unknown", Fact{Model: "claude-unknown-9", Tokens: Tokens{Input: 10}}, "2026-06-01", "0.000060000000"},
		{"refused", Fact{Model: "claude-opus-5-5", Tokens: all, Refused: true}, "2026-11-01", "0.000000000000"},
		{"error", Fact{Model: "claude-opus-5-5", Tokens: all, Status: 529}, "2026-11-01", "0.000000000000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			prices, err := newPriceList()
			require.NoError(t, err)
			tc.fact.OccurredAt, err = time.Parse(time.DateOnly, tc.day)
			require.NoError(t, err)
			pico, err := prices.charge(&tc.fact)
			require.NoError(t, err)
			require.Equal(t, tc.dollar, dollars(big.NewInt(pico)))
		})
	}
}

func TestWhenFastIsSold(t *testing.T) {
	t.Parallel()
	prices, err := newPriceList()
	require.NoError(t, err)
	for words, sold := range map[string]bool{
		"claude-opus-4-6 2026-02-06": false, "claude-opus-4-6 2026-02-07": true, "claude-opus-4-6 2026-06-28": true, "claude-opus-4-6 2026-06-29": false,
		"claude-opus-4-7 2026-05-11": false, "claude-opus-4-7 2026-05-12": true, "claude-opus-4-7 2026-07-24": false,
		"claude-opus-4-8 2026-11-29": true, "claude-opus-4-8 2026-11-30": false, "claude-opus-5-5 2027-01-01": true, "claude-sonnet-5-5 2026-11-01": false,
	} {
		model, day, _ := strings.Cut(words, " ")
		at, err := time.Parse(time.DateOnly, day)
		require.NoError(t, err)
		l, known := prices.listed(model)
		require.True(t, known)
		require.Equal(t, sold, l.sellsFast(at), words)
	}
}

// Every rate of the list is whole pico-dollars under every combination of factors.
func TestEveryRateIsExact(t *testing.T) {
	t.Parallel()
	prices, err := newPriceList()
	require.NoError(t, err)
	require.Len(t, prices.byModel, 26)
	for model, l := range prices.byModel {
		for _, e := range l.eras {
			for _, tier := range []string{tierStandard, tierBatch} {
				for _, speed := range []string{speedStandard, speedFast} {
					for _, geo := range []string{geoGlobal, geoUS} {
						f := Fact{
							Model: model, OccurredAt: e.from, Speed: speed, ServiceTier: tier, InferenceGeo: geo,
							Tokens: Tokens{1, 1, 1, 1, 1},
						}
						_, err := prices.charge(&f)
						require.NoError(t, err, model)
					}
				}
			}
		}
	}
}

func TestChargeRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, err := exactRate(1, ratio{1, 3})
	require.ErrorContains(t, err, "not whole")
	_, err = parsePico("0.1234567")
	require.ErrorContains(t, err, "more than six decimals")
	_, err = parsePico("1e3")
	require.ErrorContains(t, err, "not a plain decimal")
	prices, err := newPriceList()
	require.NoError(t, err)
	require.Error(t, prices.addRow(strings.Fields("a b c")))
	_, err = prices.charge(&Fact{Model: "claude-opus-4-1", OccurredAt: noon(), Tokens: Tokens{Output: 1 << 62}})
	require.ErrorContains(t, err, "too large")
}
