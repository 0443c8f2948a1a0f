package pricing_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/pricing"
	"tollbook/app/usage"
)

// span is one line of the vendor's list as a reviewer reads it: text, not through
// the parser under test.
type span struct {
	model, speed, over, from, to string
	classes                      []string
	factors                      string
}

// readVendor reads the file afresh and checks what every line must have.
func readVendor(t *testing.T) (rates map[string][]span, factors map[string]*big.Rat) {
	t.Helper()
	reader := csv.NewReader(bytes.NewReader(pricing.VendorList()))
	reader.Comment = '#'
	all, err := reader.ReadAll()
	require.NoError(t, err)
	at := map[string]int{}
	for i, name := range all[0] {
		at[name] = i
	}
	rates, factors = map[string][]span{}, map[string]*big.Rat{}
	for _, row := range all[1:] {
		get := func(name string) string { return row[at[name]] }
		require.NotEmpty(t, strings.TrimSpace(get("source")), row)
		require.Regexp(t, `^\d{4}-\d\d-\d\d$`, get("effective_from"), row)
		if get("kind") == "factor" {
			factors[get("name")], _ = new(big.Rat).SetString(get("num") + "/" + get("den"))
		}
		if get("kind") != "rate" {
			continue
		}
		s := span{model: get("name"), speed: get("speed"), over: get("prompt_over"), from: get("effective_from"), to: get("effective_to"), factors: get("factors")}
		for class := range usage.ClassCount {
			require.Regexp(t, `^\d+(\.\d{1,6})?$`, get(class.String()), row)
			s.classes = append(s.classes, get(class.String()))
		}
		key := s.model + " " + s.speed + " " + s.over
		rates[key] = append(rates[key], s)
	}
	return rates, factors
}

func TestVendorListHasNeitherGapNorOverlap(t *testing.T) {
	t.Parallel()
	rates, _ := readVendor(t)
	for key, list := range rates {
		slices.SortFunc(list, func(a, b span) int { return strings.Compare(a.from, b.from) })
		for i, s := range list {
			if i+1 < len(list) {
				require.Equal(t, s.to, list[i+1].from, key)
			}
			require.True(t, s.to == "" || s.to > s.from, key)
		}
		if fields := strings.Fields(key); fields[2] != "0" || fields[1] != "standard" {
			base := rates[fields[0]+" standard 0"]
			require.NotEmpty(t, base, "%s stands beside a standard price for short prompts", key)
			require.GreaterOrEqual(t, list[0].from, base[0].from, key)
			if last := base[len(base)-1].to; last != "" {
				require.True(t, list[len(list)-1].to != "" && list[len(list)-1].to <= last, "%s outlives its model", key)
			}
		}
	}
}

// TestVendorListMultipliers checks each line against how the provider says the
// classes relate: writes 1.25 and 2 times the input, reads a tenth or less.
func TestVendorListMultipliers(t *testing.T) {
	t.Parallel()
	rates, _ := readVendor(t)
	times := func(text, by string) *big.Rat {
		a, _ := new(big.Rat).SetString(text)
		b, _ := new(big.Rat).SetString(by)
		return a.Mul(a, b)
	}
	reads := map[string]string{
		"claude-fable-5-2": "0.025", "claude-mythos-5-2": "0.025", "claude-fable-5-1": "0.025", "claude-mythos-5-1": "0.025",
		"claude-opus-5-5": "0.05", "claude-sonnet-5-5 2026-10-07": "0.05",
		"claude-3-haiku": "0.12", // listed at 0.03, and its write at 0.30
	}
	for key, list := range rates {
		for _, s := range list {
			write, read := "1.25", "0.1"
			if s.model == "claude-3-haiku" {
				write = "1.2"
			}
			for _, name := range []string{s.model, s.model + " " + s.from} {
				if special, ok := reads[name]; ok {
					read = special
				}
			}
			require.Zero(t, times(s.classes[0], write).Cmp(times(s.classes[2], "1")), "%s: 5m write", key)
			require.Zero(t, times(s.classes[0], "2").Cmp(times(s.classes[3], "1")), "%s: 1h write", key)
			require.Zero(t, times(s.classes[0], read).Cmp(times(s.classes[4], "1")), "%s: read", key)
		}
	}
}

// TestVendorListStacksExactly prices one token of every class of every line under
// every stack of factors it allows, and compares with exact fractions.
func TestVendorListStacksExactly(t *testing.T) {
	t.Parallel()
	rates, factors := readVendor(t)
	book := vendor(t)
	for key, list := range rates {
		for _, s := range list {
			at := day(s.from)
			var over int64
			_, err := fmt.Sscan(s.over, &over)
			require.NoError(t, err)
			for _, stack := range []struct{ geography, tier string }{{"", ""}, {"us", ""}, {"", "batch"}, {"us", "batch"}} {
				factor, sold := big.NewRat(1, 1), true
				for _, name := range []string{"geography:" + stack.geography, "tier:" + stack.tier} {
					if f := factors[name]; f != nil {
						factor.Mul(factor, f)
						sold = sold && strings.Contains(s.factors, name)
					}
				}
				begun := s.from >= "2026-02-05" || stack.geography == "" && s.from >= "2024-10-08" || stack.geography+stack.tier == ""
				if !sold || !begun {
					continue
				}
				counts := usage.Counts{Model: s.model, Speed: s.speed, Geography: stack.geography, Tier: stack.tier}
				counts.Tokens[usage.ClassCacheRead] = over + 1 // so that the tier is hit
				charge, err := book.Price(counts, at)
				require.NoError(t, err)
				require.Empty(t, charge.Provisional, key)
				for class, text := range s.classes {
					want, _ := new(big.Rat).SetString(text)
					want.Mul(want, factor).Mul(want, big.NewRat(1_000_000, 1)) // dollars per million is pico-dollars x 1e6
					require.True(t, want.IsInt(), "%s, class %s, %+v", key, usage.Class(class), stack)
					require.Equal(t, want.Num().Int64(), int64(charge.Rates[class]), "%s, class %s, %+v", key, usage.Class(class), stack)
				}
			}
		}
	}
}

// TestVendorListHoldsEveryModel names the models of the provider's page, so that
// one cannot be lost by an edit.
func TestVendorListHoldsEveryModel(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"claude-3-5-haiku", "claude-3-7-sonnet", "claude-3-haiku",
		"claude-fable-5", "claude-fable-5-1", "claude-fable-5-2", "claude-haiku-4-5", "claude-haiku-5-5",
		"claude-mythos-5", "claude-mythos-5-1", "claude-mythos-5-2",
		"claude-opus-4", "claude-opus-4-1", "claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5", "claude-opus-5-5",
		"claude-sonnet-3-7", "claude-sonnet-4", "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-sonnet-5", "claude-sonnet-5-5",
	}, vendor(t).Models())
	rates, _ := readVendor(t)
	early := []string{"claude-opus-4-5", "claude-opus-4-1", "claude-opus-4", "claude-sonnet-4-5", "claude-sonnet-4", "claude-haiku-4-5", "claude-3-7-sonnet", "claude-sonnet-3-7", "claude-3-5-haiku", "claude-3-haiku"}
	for key, list := range rates {
		for _, s := range list {
			require.Equal(t, !slices.Contains(early, s.model), strings.Contains(s.factors, "geography:us"), "%s: US inference is for 4.6 and later", key)
			require.Equal(t, s.speed == "standard", strings.Contains(s.factors, "tier:batch"), "%s: no fast mode in a batch", key)
		}
	}
}
