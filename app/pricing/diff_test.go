package pricing_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/fault"
	"tollbook/app/pricing"
	"tollbook/app/usage"
)

func parsed(t *testing.T, document []byte) *pricing.Book {
	t.Helper()
	book, err := pricing.Parse(document)
	require.NoError(t, err)
	return book
}

// edited is the vendor's list with one text replaced by another.
func edited(t *testing.T, from, to string) []byte {
	t.Helper()
	list := string(pricing.VendorList())
	require.Equal(t, 1, strings.Count(list, from))
	return []byte(strings.Replace(list, from, to, 1))
}

func TestDiffSaysWhatMovesAndFromWhen(t *testing.T) {
	t.Parallel()
	before := parsed(t, pricing.VendorList())
	require.Empty(t, pricing.Diff(before, before))
	for _, c := range []struct {
		name     string
		document []byte
		moves    bool
		begins   string
		touches  string // a model it may move
		spares   string // one it may not
	}{
		{"a new model", append(pricing.VendorList(), "rate,claude-opus-6,standard,0,2026-12-01,,4,20,5,8,0.2,,,,x\n"...), true, "2026-12-01", "claude-opus-6-20261201", "claude-opus-5-5"},
		{"another rate", edited(t, "2026-09-22,,4,20,5,8,", "2026-09-22,,4,21,5,8,"), true, "2026-09-22", "claude-opus-5-5", "claude-opus-5"},
		{"an end", edited(t, "rate,claude-opus-5,standard,0,2026-07-24,,", "rate,claude-opus-5,standard,0,2026-07-24,2027-01-01,"), true, "2027-01-01", "claude-opus-5", "claude-opus-5-5"},
		{"a later end", edited(t, "2026-05-28,2026-11-30,", "2026-05-28,2026-12-31,"), true, "2026-11-30", "claude-opus-4-8", "claude-opus-5"},
		{"only a source", edited(t, "fast mode page: 2 times every class; ends 2026-11-30", "fast mode page"), false, "", "", "claude-opus-4-8"},
		{"a factor", edited(t, ",11,10,", ",12,10,"), true, "2026-02-05", "anything", ""},
	} {
		list := pricing.Diff(before, parsed(t, c.document))
		require.Len(t, list, 1, c.name)
		require.Equal(t, c.moves, list[0].Moves(), c.name)
		if c.moves {
			require.Equal(t, c.begins, pricing.Begins(list).Format(time.DateOnly), c.name)
			require.True(t, list[0].Touches(c.touches), c.name)
		} else {
			require.Zero(t, pricing.Begins(list), c.name)
		}
		require.False(t, c.spares != "" && list[0].Touches(c.spares), c.name)
	}
}

func TestADiscountIsSetEndedAndCarried(t *testing.T) {
	t.Parallel()
	at := func(document []byte, on string) int64 {
		charge, err := parsed(t, document).Price(usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1_000_000}}, day(on))
		require.NoError(t, err)
		require.Empty(t, charge.Provisional)
		return charge.DiscountBps
	}
	first, err := pricing.WithDiscount(pricing.VendorList(), 1000, day("2026-11-01"), "order form 7")
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(first, pricing.VendorList()), "nothing else changes")
	second, err := pricing.WithDiscount(first, 1500, day("2026-12-01"), "order form 8, \"renewed\"")
	require.NoError(t, err)
	require.Equal(t, []int64{0, 1000, 1000, 1500}, []int64{at(second, "2026-10-31"), at(second, "2026-11-01"), at(second, "2026-11-30"), at(second, "2026-12-01")})
	again, err := pricing.WithDiscount(second, 2000, day("2026-12-01"), "corrected")
	require.NoError(t, err)
	require.Equal(t, []int64{1000, 2000}, []int64{at(again, "2026-11-30"), at(again, "2026-12-01")})
	ended, err := pricing.WithDiscount(again, 0, day("2027-01-01"), "ended")
	require.NoError(t, err)
	require.Equal(t, []int64{2000, 0}, []int64{at(ended, "2026-12-31"), at(ended, "2027-01-01")})

	vendor := edited(t, "2026-09-22,,4,20,5,8,", "2026-09-22,,4,21,5,8,")
	carried, err := pricing.Carry(vendor, parsed(t, second))
	require.NoError(t, err)
	require.Equal(t, []int64{1000, 1500}, []int64{at(carried, "2026-11-30"), at(carried, "2026-12-01")})
	require.Len(t, pricing.Diff(parsed(t, second), parsed(t, carried)), 1)

	for code, f := range map[string]func() error{
		"discount_range": func() error { _, err := pricing.WithDiscount(first, 10_001, day("2026-11-01"), "x"); return err },
		"discount_day": func() error {
			_, err := pricing.WithDiscount(first, 1, day("2026-11-01").Add(time.Hour), "x")
			return err
		},
		"book_line": func() error { _, err := pricing.WithDiscount(first, 1, day("2026-11-01"), " "); return err },
	} {
		require.Equal(t, code, fault.From(f()).Code)
	}
}

func TestAProposedPriceMakesTheFigureProvisionalOnlyWhereItDiffers(t *testing.T) {
	t.Parallel()
	proposed := parsed(t, edited(t, "2026-10-07,,2,10,2.50,4,0.10,", "2026-10-07,,2,10,2.50,4,0.20,"))
	for _, c := range []struct {
		name   string
		counts usage.Counts
		state  usage.State
		want   usage.State
		flags  []string
	}{
		{"reads differ", usage.Counts{Model: "claude-sonnet-5-5", Tokens: usage.Tokens{usage.ClassCacheRead: 10}}, usage.StateComplete, usage.StateUnpriced, []string{"price_proposed"}},
		{"the rest does not", usage.Counts{Model: "claude-sonnet-5-5", Tokens: usage.Tokens{10, 10, 10, 10}}, usage.StateComplete, usage.StateComplete, nil},
		{"another model", usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{usage.ClassCacheRead: 10}}, usage.StateComplete, usage.StateComplete, nil},
		{"an estimate stays one", usage.Counts{Model: "claude-sonnet-5-5", Tokens: usage.Tokens{usage.ClassCacheRead: 10}}, usage.StateEstimated, usage.StateEstimated, []string{"price_proposed"}},
		{"an error costs nothing", usage.Counts{Model: "claude-sonnet-5-5", Tokens: usage.Tokens{usage.ClassCacheRead: 10}}, usage.StateError, usage.StateError, nil},
	} {
		e := event(t, c.counts, usage.Whole)
		e.State = c.state
		r, err := pricing.Rate(e, vendor(t), 1)
		require.NoError(t, err, c.name)
		require.NoError(t, r.Contest([]*pricing.Book{vendor(t), proposed}), c.name)
		require.Equal(t, c.want, r.Event.State, c.name)
		require.Equal(t, c.flags, r.Event.Flags, c.name)
	}
}

func TestARowPrintsAsItIsRead(t *testing.T) {
	t.Parallel()
	document, err := pricing.WithDiscount(pricing.VendorList(), 1234, day("2026-11-01"), "order form, \"7\"")
	require.NoError(t, err)
	book := parsed(t, document)
	var again strings.Builder
	again.WriteString(strings.SplitAfter(string(document), "source\n")[0])
	for _, row := range book.Rows() {
		again.WriteString(row.String() + "\n")
	}
	require.Empty(t, pricing.Diff(book, parsed(t, []byte(again.String()))))
}
