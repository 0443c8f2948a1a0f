package e2e_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sum adds decimal strings of twelve decimals exactly, without the product's own
// arithmetic.
func sum(t *testing.T, amounts []string) string {
	t.Helper()
	total := new(big.Int)
	for _, text := range amounts {
		n, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
		require.True(t, ok, text)
		total.Add(total, n)
	}
	digits := total.String()
	if len(digits) < 13 {
		digits = strings.Repeat("0", 13-len(digits)) + digits
	}
	return digits[:len(digits)-12] + "." + digits[len(digits)-12:]
}
