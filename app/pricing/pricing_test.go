package pricing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/pricing"
	"tollbook/app/usage"
)

func vendor(t testing.TB) *pricing.Book {
	t.Helper()
	book, err := pricing.Parse(pricing.VendorList())
	require.NoError(t, err)
	return book
}

func day(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

func TestGoldenPrices(t *testing.T) {
	t.Parallel()
	book := vendor(t)
	for _, c := range []struct {
		name   string
		counts usage.Counts
		at     string
		want   string
	}{
		// 1000 in x $4/M = 0.004; 500 out x $20/M = 0.010; 2000 5m x $5/M = 0.010;
		// 1000 1h x $8/M = 0.008; 10000 read x $0.20/M = 0.002
		{"opus 5.5, every class", usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1000, 500, 2000, 1000, 10000}}, "2026-11-23", "0.034000000000"},
		// reads: 1M x $0.20 before 7 October, $0.10 from then on
		{"sonnet 5.5 read, old", usage.Counts{Model: "claude-sonnet-5-5", Tokens: usage.Tokens{0, 0, 0, 0, 1_000_000}}, "2026-10-06", "0.200000000000"},
		{"sonnet 5.5 read, new", usage.Counts{Model: "claude-sonnet-5-5", Tokens: usage.Tokens{0, 0, 0, 0, 1_000_000}}, "2026-10-07", "0.100000000000"},
		// prompt 100,000 is still short: 100,000 x $0.10/M + 1000 x $0.50/M
		{"haiku 5.5, 100000", usage.Counts{Model: "claude-haiku-5-5", Tokens: usage.Tokens{100_000, 1000}}, "2026-11-01", "0.010500000000"},
		// 100,001 prices every token long: 50,001 x $0.50/M + 50,000 x $0.05/M + 1000 x $2.50/M
		{"haiku 5.5, 100001", usage.Counts{Model: "claude-haiku-5-5", Tokens: usage.Tokens{50_001, 1000, 0, 0, 50_000}}, "2026-11-01", "0.030000500000"},
		// the smallest step there is: haiku read x batch x US = $0.0055/M
		{"haiku, batch, us", usage.Counts{Model: "claude-haiku-5-5", Tier: "batch", Geography: "us", Tokens: usage.Tokens{0, 0, 0, 0, 1}}, "2026-11-01", "0.000000005500"},
		// fast doubles: 1000 x $8/M + 1000 x $40/M
		{"opus 5.5 fast", usage.Counts{Model: "claude-opus-5-5", Speed: "fast", Tokens: usage.Tokens{1000, 1000}}, "2026-11-01", "0.048000000000"},
		{"dated name", usage.Counts{Model: "claude-haiku-4-5-20251001", Tokens: usage.Tokens{1_000_000}}, "2026-11-01", "1.000000000000"},
		// 3 searches x $0.01 + 100 x $2/M
		{"web search", usage.Counts{Model: "claude-sonnet-5", WebSearches: 3, Tokens: usage.Tokens{100}}, "2026-11-01", "0.030200000000"},
		{"free refusal", usage.Counts{Model: "claude-opus-5-5", Free: true, Tokens: usage.Tokens{5000}}, "2026-11-01", "0.000000000000"},
		// compaction at the request's model, advisor at its own: 1000 x $4/M + 1000 x $20/M + 1000 x $2/M; the declined attempt is free
		{"iterations", usage.Counts{Model: "claude-opus-5-5", Iterations: []usage.Iteration{
			{Kind: "compaction", Tokens: usage.Tokens{1000, 1000}},
			{Kind: "advisor_message", Model: "claude-sonnet-5", Tokens: usage.Tokens{1000}},
			{Kind: "fallback_message", Model: "claude-fable-5-2", Free: true, Tokens: usage.Tokens{9000}},
		}}, "2026-11-01", "0.026000000000"},
	} {
		charge, err := book.Price(c.counts, day(c.at))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, charge.Net.String(), c.name)
		require.Empty(t, charge.Provisional, c.name)
	}
}

func TestTheUnknownIsProvisionalAndNeverZero(t *testing.T) {
	t.Parallel()
	book := vendor(t)
	for name, counts := range map[string]usage.Counts{
		"model_unknown":            {Model: "claude-opus-9", Tokens: usage.Tokens{1}},
		"speed_unknown":            {Model: "claude-sonnet-5", Speed: "fast", Tokens: usage.Tokens{1}},
		"geography_unknown:eu":     {Model: "claude-sonnet-5", Geography: "eu", Tokens: usage.Tokens{1}},
		"tier_unknown:flex":        {Model: "claude-sonnet-5", Tier: "flex", Tokens: usage.Tokens{1}},
		"field_unknown:new_tokens": {Model: "claude-sonnet-5", Unknown: []string{"new_tokens"}, Tokens: usage.Tokens{1}},
	} {
		charge, err := book.Price(counts, day("2026-11-01"))
		require.NoError(t, err)
		require.Equal(t, []string{name}, charge.Provisional)
		require.Positive(t, int64(charge.Net), name)
	}
	long, err := book.Price(usage.Counts{Model: "gpt-9", Tokens: usage.Tokens{1}}, day("1999-01-01"))
	require.NoError(t, err)
	require.Positive(t, int64(long.Net), "a clock far off must not make requests free")
}

func TestARateThatIsNotInForceIsProvisional(t *testing.T) {
	t.Parallel()
	book := vendor(t)
	input := usage.Tokens{usage.ClassInput: 1_000_000}
	for _, c := range []struct {
		name   string
		counts usage.Counts
		at     string
		want   string
		flag   string
	}{
		{"the last day of fast", usage.Counts{Model: "claude-opus-4-8", Speed: "fast", Tokens: input}, "2026-11-29", "10.000000000000", ""},
		{"fast has ended", usage.Counts{Model: "claude-opus-4-8", Speed: "fast", Tokens: input}, "2026-11-30", "10.000000000000", "rate_ended"},
		{"fast has not begun", usage.Counts{Model: "claude-opus-4-7", Speed: "fast", Tokens: input}, "2026-05-11", "30.000000000000", "rate_not_begun"},
		{"a retired model", usage.Counts{Model: "claude-opus-4-1-20250805", Tokens: input}, "2026-08-05", "15.000000000000", "rate_ended"},
		{"a model before its day", usage.Counts{Model: "claude-opus-5-5", Tokens: input}, "2026-09-21", "4.000000000000", "rate_not_begun"},
		{"long prompts are one price again", usage.Counts{Model: "claude-opus-4-6", Tokens: input}, "2026-03-13", "5.000000000000", ""},
		{"long prompts are not sold any more", usage.Counts{Model: "claude-sonnet-4-5", Tokens: input}, "2026-04-30", "6.000000000000", "rate_ended"},
		{"nor were they yet, and the short price holds", usage.Counts{Model: "claude-sonnet-4", Tokens: input}, "2025-08-11", "3.000000000000", ""},
		{"no US inference before 4.6", usage.Counts{Model: "claude-haiku-4-5", Geography: "us", Tokens: input}, "2026-11-01", "1.100000000000", "geography_not_sold:us"},
		{"no fast mode in a batch", usage.Counts{Model: "claude-opus-5-5", Speed: "fast", Tier: "batch", Tokens: input}, "2026-11-01", "8.000000000000", "tier_not_sold:batch"},
		{"US inference before its day", usage.Counts{Model: "claude-sonnet-4-5", Geography: "us", Tokens: usage.Tokens{1000}}, "2026-02-04", "0.003000000000", "geography_unknown:us"},
		{"credit with writes left", usage.Counts{Model: "claude-opus-5-5", CreditRedeemed: true, Tokens: usage.Tokens{usage.ClassCacheWrite1h: 1000}}, "2026-11-01", "0.008000000000", "fallback_credit_redeemed"},
		{"credit without", usage.Counts{Model: "claude-opus-5-5", CreditRedeemed: true, Tokens: usage.Tokens{usage.ClassCacheRead: 1000}}, "2026-11-01", "0.000200000000", ""},
	} {
		charge, err := book.Price(c.counts, day(c.at))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, charge.Net.String(), c.name)
		require.Equal(t, c.flag, strings.Join(charge.Provisional, " "), c.name)
	}
}

func TestADiscountRoundsOncePerClass(t *testing.T) {
	t.Parallel()
	document := string(pricing.VendorList()) + "discount,contract,,,2026-11-01,,,,,,,,1234,,order form 7\n"
	book, err := pricing.Parse([]byte(document))
	require.NoError(t, err)
	counts := usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1, 1, 1, 1, 1}}
	before, err := book.Price(counts, day("2026-10-31"))
	require.NoError(t, err)
	require.Equal(t, before.List, before.Net)
	after, err := book.Price(counts, day("2026-11-01"))
	require.NoError(t, err)
	require.Equal(t, before.List, after.List)
	// 4,000,000 x 0.8766 = 3,506,400; 20M -> 17,532,000; 5M -> 4,383,000; 8M -> 7,012,800; 200,000 -> 175,320
	require.Equal(t, [usage.ClassCount]money.Pico{3_506_400, 17_532_000, 4_383_000, 7_012_800, 175_320}, after.Classes)
}

func TestParseRefusesAnAmbiguousBook(t *testing.T) {
	t.Parallel()
	good := string(pricing.VendorList())
	for name, document := range map[string]string{
		"empty":           "",
		"another header":  "kind,name\nrate,x\n",
		"no rates":        strings.SplitAfter(good, "source\n")[0],
		"twice":           good + "rate,claude-opus-5,standard,0,2026-07-24,,5,25,6.25,10,0.50,,,,again\n",
		"overlap":         good + "rate,claude-sonnet-4,standard,0,2026-06-14,,5,25,6.25,10,0.50,,,,again\n",
		"overlap within":  good + "rate,claude-x,standard,0,2026-01-01,2026-03-01,5,25,5,10,0.50,,,,x\nrate,claude-x,standard,0,2026-02-01,,5,25,5,10,0.50,,,,x\n",
		"pause":           good + "rate,claude-sonnet-4,standard,0,2026-06-16,,5,25,6.25,10,0.50,,,,again\n",
		"two discounts":   good + "discount,a,,,2026-01-01,,,,,,,,1,,x\ndiscount,b,,,2026-02-01,,,,,,,,1,,x\n",
		"two factors":     good + "factor,geography:us,,,2026-03-01,,,,,,,,12,10,x\n",
		"no class":        good + "rate,claude-x,standard,0,2026-07-24,,5,25,,10,0.50,,,,x\n",
		"no short prompt": good + "rate,claude-x,standard,1000,2026-07-24,,5,25,5,10,0.50,,,,x\n",
		"fraction":        good + "rate,claude-x,standard,0,2026-07-24,,0.000001,25,5,10,0.50,,,,x\n",
		"bad date":        good + "rate,claude-x,standard,0,yesterday,,5,25,5,10,0.50,,,,x\n",
		"ends at once":    good + "rate,claude-x,standard,0,2026-07-24,2026-07-24,5,25,5,10,0.50,,,,x\n",
		"bad kind":        good + "price,claude-x,standard,0,2026-07-24,,5,25,5,10,0.50,,,,x\n",
		"negative":        good + "rate,claude-x,standard,0,2026-07-24,,-5,25,5,10,0.50,,,,x\n",
		"no source":       good + "rate,claude-x,standard,0,2026-07-24,,5,25,5,10,0.50,,,, \n",
		"no speed":        good + "rate,claude-x,,0,2026-07-24,,5,25,5,10,0.50,,,,x\n",
		"unknown factor":  good + "rate,claude-x,standard,0,2026-07-24,,5,25,5,10,0.50,tier:flex,,,x\n",
		"zero factor":     good + "factor,tier:x,,,2026-01-01,,,,,,,,0,1,x\n",
		"bad discount":    good + "discount,a,,,2026-01-01,,,,,,,,10001,,x\n",
	} {
		_, err := pricing.Parse([]byte(document))
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), name)
	}
}

func TestABookOfTheFirstReleaseIsReadAsItWasThen(t *testing.T) {
	t.Parallel()
	book, err := pricing.Parse([]byte(`# applied before lines had an end
kind,name,speed,prompt_over,effective_from,input,output,cache_write_5m,cache_write_1h,cache_read,num,den,source
rate,claude-sonnet-5-5,standard,0,2026-10-07,2,10,2.50,4,0.10,,,release notes
rate,claude-sonnet-5-5,standard,0,2026-09-28,2,10,2.50,4,0.20,,,release notes
rate,claude-haiku-4-5,standard,0,2025-10-01,1,5,1.25,2,0.10,,,models page
factor,geography:us,,,2025-01-01,,,,,,11,10,models page
tool,web_search,,,2025-01-01,0.01,,,,,,,
`))
	require.NoError(t, err)
	for at, want := range map[string]int64{"2026-10-06": 200_000, "2026-10-07": 100_000, "2027-01-01": 100_000} {
		charge, err := book.Price(usage.Counts{Model: "claude-sonnet-5-5", Tokens: usage.Tokens{0, 0, 0, 0, 1_000_000}}, day(at))
		require.NoError(t, err)
		require.Equal(t, money.Pico(want*1_000_000), charge.Net, at)
		require.Empty(t, charge.Provisional)
	}
	charge, err := book.Price(usage.Counts{Model: "claude-haiku-4-5", Geography: "us", WebSearches: 1, Tokens: usage.Tokens{1_000_000}}, day("2026-11-01"))
	require.NoError(t, err)
	require.Equal(t, "1.110000000000", charge.Net.String()) // 1 x 1.1 + 0.01
	require.Empty(t, charge.Provisional, "every factor stacked on every rate then")
}

func TestPriceIsAdditiveOverTokens(t *testing.T) {
	t.Parallel()
	book := vendor(t)
	models := book.Models()
	rapid.Check(t, func(t *rapid.T) {
		counts := usage.Counts{Model: rapid.SampledFrom(models).Draw(t, "model")}
		for c := range counts.Tokens {
			counts.Tokens[c] = rapid.Int64Range(0, 1_000_000).Draw(t, "tokens")
		}
		charge, err := book.Price(counts, day("2026-11-20"))
		require.NoError(t, err)
		var sum money.Sum
		for class, amount := range charge.Classes {
			require.Equal(t, int64(charge.Rates[class])*counts.Tokens[class], int64(amount))
			sum.Add(amount)
		}
		require.Equal(t, charge.Net.String(), sum.String())
	})
}

func FuzzParse(f *testing.F) {
	f.Add(pricing.VendorList())
	f.Add([]byte("kind\nrate"))
	f.Fuzz(func(_ *testing.T, document []byte) {
		book, err := pricing.Parse(document)
		if err == nil {
			_, _ = book.Price(usage.Counts{Model: "x", Tokens: usage.Tokens{1, 1, 1, 1, 1}}, time.Now())
		}
	})
}
