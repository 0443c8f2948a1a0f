package pricing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/money"
	"tollbook/app/pricing"
	"tollbook/app/usage"
)

func TestUncachedPricesTheWholePromptAsInput(t *testing.T) {
	t.Parallel()
	rates := pricing.Rates{4_000_000, 20_000_000, 5_000_000, 8_000_000, 200_000} // $4, $20, $5, $8 and $0.20 a million
	for _, c := range []struct {
		name   string
		tokens usage.Tokens
		bps    int64
		want   string
	}{
		{"nothing", usage.Tokens{}, 0, "0.000000000000"},
		{"no cache, as charged", usage.Tokens{1000, 500}, 0, "0.014000000000"},
		{"reads", usage.Tokens{0, 0, 0, 0, 1_000_000}, 0, "4.000000000000"},
		{"writes cost more with the cache", usage.Tokens{0, 0, 1_000_000}, 0, "4.000000000000"},
		{"all of them", usage.Tokens{1, 1, 1, 1, 1}, 0, "0.000036000000"},
		{"less a discount", usage.Tokens{1000, 500, 0, 0, 9000}, 1234, "0.043830000000"},
		{"a discount that rounds half to even, once a class", usage.Tokens{1}, 1, "0.000003999600"},
	} {
		got, err := pricing.Uncached(rates, c.tokens, c.bps)
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got.String(), c.name)
	}
	half, err := pricing.Uncached(pricing.Rates{1}, usage.Tokens{1}, 5000)
	require.NoError(t, err)
	require.Zero(t, half, "half a pico-dollar goes to the even side")
	_, err = pricing.Uncached(pricing.Rates{1 << 62}, usage.Tokens{4}, 0)
	require.ErrorIs(t, err, money.ErrOverflow)
}

// TestUncachedAgreesWithTheBook prices the same request twice with the book that
// charged it: as it was, and with its prompt all input.
func TestUncachedAgreesWithTheBook(t *testing.T) {
	t.Parallel()
	book, err := pricing.Parse(pricing.VendorList())
	require.NoError(t, err)
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(r *rapid.T) {
		count := rapid.Int64Range(0, 200_000)
		counts := usage.Counts{Model: rapid.SampledFrom(book.Models()).Draw(r, "model"), Geography: rapid.SampledFrom([]string{"", "us"}).Draw(r, "geography")}
		for class := range counts.Tokens {
			counts.Tokens[class] = count.Draw(r, "tokens")
		}
		charged, err := book.Price(counts, at)
		if err != nil {
			r.Fatal(err)
		}
		plain := counts
		plain.Tokens = usage.Tokens{counts.Tokens.Prompt(), counts.Tokens[usage.ClassOutput]}
		want, err := book.Price(plain, at)
		if err != nil {
			r.Fatal(err)
		}
		got, err := pricing.Uncached(charged.Rates, counts.Tokens, charged.DiscountBps)
		if err != nil || got != want.Net {
			r.Fatalf("%v, want %v (%v)", got, want.Net, err)
		}
	})
}
