package ui_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/money"
	"tollbook/web/ui"
)

func sum(t require.TestingT, text string) *money.Sum {
	s, err := money.ParseSum(text)
	require.NoError(t, err)
	return &s
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0.00", "0.004": "0.00", "0.005": "0.00", "0.015": "0.02", "1234.5": "1,234.50", "-1695.82": "−1,695.82", "71904.18": "71,904.18", "1234567890.1": "1,234,567,890.10",
		"-0.001": "0.00", "999.999": "1,000.00",
	} {
		require.Equal(t, want, ui.Money(sum(t, text)), text)
	}
	require.Equal(t, "−$1,695.82", ui.Dollars(sum(t, "-1695.82")))
	require.Equal(t, "+$6,020.77", ui.Signed(sum(t, "6020.77")))
	require.Equal(t, "$0.00", ui.Signed(sum(t, "0")))
}

func TestCost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0.0000", "0.00005": "0.0001", "0.000049999999": "0.0000", "12.34565": "12.3457", "-0.00005": "−0.0001", "12345.6": "12,345.6000",
	} {
		require.Equal(t, want, ui.Cost(sum(t, text)), text)
	}
}

func TestFine(t *testing.T) {
	t.Parallel()
	for pico, want := range map[money.Pico]string{
		0: "0.000000", 1: "0.000000", 499_999: "0.000000", 500_000: "0.000001", 712_345_678: "0.000712", 12_345_678_900_000: "12.345679", -1_500_000: "−0.000002",
		1_234_567_000_000_000_000: "1,234,567.000000",
	} {
		require.Equal(t, want, ui.Fine(pico), pico)
	}
	require.Equal(t, "$0.000712345678", ui.Exact(712_345_678))
}

func TestPerMillion(t *testing.T) {
	t.Parallel()
	for pico, want := range map[money.Pico]string{4_000_000: "4.00", 200_000: "0.20", 37_500: "0.0375", 18_750_000: "18.75", 0: "0.00", 10_000_000_000: "10,000.00"} {
		require.Equal(t, want, ui.PerMillion(pico), pico)
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole string
		decimals    int
		want        string
	}{
		{"1", "3", 1, "33.3%"}, {"2", "3", 2, "66.67%"}, {"1", "1", 1, "100.0%"}, {"0", "5", 1, "0.0%"}, {"5", "0", 1, "–"}, {"-1", "8", 1, "−12.5%"}, {"0.0005", "1", 1, "0.1%"}, {"3", "1", 0, "300%"},
	} {
		require.Equal(t, c.want, ui.Percent(sum(t, c.part), sum(t, c.whole), c.decimals), c)
	}
	require.Equal(t, 333, ui.Permille(sum(t, "1"), sum(t, "3")))
	require.Equal(t, 1000, ui.Permille(sum(t, "5"), sum(t, "3")))
	require.Zero(t, ui.Permille(sum(t, "-5"), sum(t, "3")))
}

// TestFineIsWithinHalf: what is shown is never further from the charge than half of the
// last digit.
func TestFineIsWithinHalf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		pico := rapid.Int64().Draw(r, "pico")
		text := strings.NewReplacer(",", "", "−", "-").Replace(ui.Fine(money.Pico(pico)))
		shown, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
		require.True(r, ok, text)
		shown.Mul(shown, big.NewInt(1_000_000))
		shown.Sub(shown, big.NewInt(pico))
		require.LessOrEqual(r, shown.CmpAbs(big.NewInt(500_000)), 0)
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1 error", ui.Plural(1, "error"))
	require.Equal(t, "1,234 errors", ui.Plural(1234, "error"))
	require.Equal(t, "Business unit", ui.Words("business_unit"))
	require.Empty(t, ui.Words(""))
	require.Equal(t, "evt_01a209…8972", ui.ShortID("evt_01a20967be307e64b4831620a4b48972"))
}
