package money_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/money"
)

func TestPicoPrintsTwelveDecimals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]money.Pico{
		"0.000000000000": 0, "0.000000000001": 1, "1.000000000000": 1e12,
		"-0.500000000000": -5e11, "9223372.036854775807": math.MaxInt64,
	} {
		require.Equal(t, text, want.String())
		got, err := money.ParsePico(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestParsePicoRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", ".", "-", "1e3", "+1", "1.0000000000001", "0x1", " 1", "1,0", "9223372.036854775808", "1.-5", "--1"} {
		_, err := money.ParsePico(text)
		require.Error(t, err, text)
	}
}

func TestTimesRefusesOverflow(t *testing.T) {
	t.Parallel()
	got, err := money.Pico(20_000_000).Times(128_000)
	require.NoError(t, err)
	require.Equal(t, money.Pico(2_560_000_000_000), got)
	got, err = money.Pico(-3).Times(4)
	require.NoError(t, err)
	require.Equal(t, money.Pico(-12), got)
	_, err = money.Pico(math.MaxInt64).Times(2)
	require.ErrorIs(t, err, money.ErrOverflow)
	_, err = money.Pico(math.MinInt64).Times(-1)
	require.ErrorIs(t, err, money.ErrOverflow)
	_, err = money.Pico(math.MaxInt64).Plus(1)
	require.ErrorIs(t, err, money.ErrOverflow)
}

func TestNetRoundsHalfToEven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ list, bps, net int64 }{
		{100, 0, 100}, {100, 1500, 85}, {5, 5000, 2}, {7, 5000, 4}, {-5, 5000, -2}, {-7, 5000, -4}, {1, 9999, 0}, {3, 10000, 0},
	} {
		got, err := money.Pico(c.list).Net(c.bps)
		require.NoError(t, err)
		require.Equal(t, money.Pico(c.net), got, c)
	}
	_, err := money.Pico(1).Net(10_001)
	require.Error(t, err)
}

func TestSplitSumsExactlyAndFavorsTheLargestRemainder(t *testing.T) {
	t.Parallel()
	parts, err := money.Split(money.Cents(100), []int64{1, 1, 1})
	require.NoError(t, err)
	require.Equal(t, []money.Cents{34, 33, 33}, parts)
	parts, err = money.Split(money.Cents(-100), []int64{1, 1, 1})
	require.NoError(t, err)
	require.Equal(t, []money.Cents{-34, -33, -33}, parts)
	_, err = money.Split(money.Cents(1), nil)
	require.ErrorIs(t, err, money.ErrWeights)
	_, err = money.Split(money.Cents(1), []int64{2, -1})
	require.ErrorIs(t, err, money.ErrWeights)
}

func TestSplitProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := money.Pico(rapid.Int64().Draw(t, "total"))
		weights := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 12).Draw(t, "weights")
		weights[0] = max(weights[0], 1)
		parts, err := money.Split(total, weights)
		require.NoError(t, err)
		var sum, want money.Sum
		want.Add(total)
		for i, p := range parts {
			sum.Add(p)
			if weights[i] == 0 {
				require.Zero(t, p, "a zero share receives nothing")
			}
		}
		require.Zero(t, sum.Cmp(&want))
	})
}

// TestWholeCentsAddUpToTheirRoundedTotal: each within a cent, whatever the amounts.
func TestWholeCentsAddUpToTheirRoundedTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		picos := rapid.SliceOfN(rapid.Int64Range(-1e15, 1e15), 0, 12).Draw(t, "amounts")
		amounts := make([]money.Sum, len(picos))
		var exact money.Sum
		for i, p := range picos {
			amounts[i].Add(money.Pico(p))
			exact.Add(money.Pico(p))
		}
		parts, err := money.WholeCents(amounts)
		require.NoError(t, err)
		var total money.Cents
		for i, c := range parts {
			total += c
			const cent = 1e10
			off := int64(c)*cent - picos[i]
			require.Less(t, max(off, -off), int64(cent), "within a cent")
		}
		require.Equal(t, exact.Display(), total)
	})
}

func TestWholeCentsFavorTheLargestRemainderAndRefuseWhatBooksCannotHold(t *testing.T) {
	t.Parallel()
	amounts := make([]money.Sum, 4)
	for i, p := range []money.Pico{14e9, 16e9, 20e9, -4e9} {
		amounts[i].Add(p)
	}
	parts, err := money.WholeCents(amounts)
	require.NoError(t, err)
	require.Equal(t, []money.Cents{1, 2, 2, 0}, parts, "4.6 cents are 5; 0.6 goes before 0.4, and what is whole stays")
	huge, err := money.ParseSum("999999999999999999999")
	require.NoError(t, err)
	_, err = money.WholeCents([]money.Sum{huge})
	require.ErrorIs(t, err, money.ErrOverflow)
}

func TestSumIsExactBeyondInt64(t *testing.T) {
	t.Parallel()
	var s money.Sum
	for range 4 {
		s.Add(math.MaxInt64)
	}
	require.Equal(t, "36893488.147419103228", s.String())
	_, err := s.Pico()
	require.ErrorIs(t, err, money.ErrOverflow)
	back, err := money.ParseSum(s.String())
	require.NoError(t, err)
	require.Zero(t, back.Cmp(&s))
	require.Equal(t, "36893488.15", s.Display().String())
}

func FuzzParsePico(f *testing.F) {
	f.Add("1.5")
	f.Add("-0.000000000001")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := money.ParsePico(text)
		if err != nil {
			return
		}
		again, err := money.ParsePico(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

func TestCentsAreExactInASum(t *testing.T) {
	t.Parallel()
	var s money.Sum
	s.AddCents(12_345)
	s.Add(1)
	require.Equal(t, "123.450000000001", s.String())
	s.AddCents(-12_346)
	require.Equal(t, "-0.009999999999", s.String())
	s.AddCents(math.MaxInt64)
	require.Equal(t, "92233720368547758.060000000001", s.String())
}

func TestAFractionOfASumIsRoundedOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, up, down int64
		want        string
	}{
		{10, 1, 3, "3"}, {5, 1, 2, "2"}, {7, 1, 2, "4"}, {-5, 1, 2, "-2"}, {5, -1, -2, "2"}, {5, 1, -2, "-2"}, {0, 1, 7, "0"},
	} {
		var s money.Sum
		s.Add(money.Pico(c.n))
		got := s.Scaled(big.NewInt(c.up), big.NewInt(c.down))
		require.Equal(t, c.want, got.Digits(), c)
	}
	var s, part, whole money.Sum
	s.AddCents(300)
	part.AddCents(1)
	got := s.Share(&part, &whole)
	require.Zero(t, got.Sign(), "of nothing")
	whole.AddCents(3)
	got = s.Share(&part, &whole)
	require.Equal(t, "1.000000000000", got.String())
}

func TestCentsWithDecimalsAreExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"41280.000000": "412.800000000000", "123.78912": "1.237891200000", "0.0000000001": "0.000000000001", "-1.5": "-0.015000000000", "7": "0.070000000000",
		"1.00000000000000": "0.010000000000", "922337203.6854775807": "9223372.036854775807",
	} {
		pico, err := money.PicoOfCents(text)
		require.NoError(t, err, text)
		require.Equal(t, want, pico.String())
	}
	for _, text := range []string{"", "1.", ".5", "1e3", "+1", "1.00000000001", "922337203.6854775808", "1,5", strings.Repeat("1", 65), "1." + strings.Repeat("0", 64)} {
		_, err := money.PicoOfCents(text)
		if text == "1." { // as everywhere here, a point may end a number
			require.NoError(t, err)
			continue
		}
		require.Error(t, err, text)
	}
}
