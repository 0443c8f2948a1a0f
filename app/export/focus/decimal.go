package focus

import (
	"math/big"
	"strings"

	"tollbook/app/fault"
)

// What Parquet holds: 38 digits, 18 of them after the point.
const (
	maxDigits = 38
	maxPlaces = 18
)

// Decimal is an exact decimal, or none (the zero value). It never changes.
type Decimal struct {
	digits *big.Int // nil: none
	places int      // digits after the point; digits has no zero at its end unless places is 0
}

// ErrDecimal reports a text that is no decimal.
var ErrDecimal = fault.New(fault.KindInvalid, "decimal", "A decimal has digits, perhaps a minus before and a point between them, at most 38 digits in all, 18 of them after the point.")

// ParseDecimal reads a decimal such as -12.5; the empty text is none.
func ParseDecimal(text string) (Decimal, error) {
	if text == "" {
		return Decimal{}, nil
	}
	before, after, point := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if before == "" || (point && after == "") || len(before)+len(after) > maxDigits || len(after) > maxPlaces || strings.Trim(before+after, "0123456789") != "" {
		return Decimal{}, ErrDecimal
	}
	digits, ok := new(big.Int).SetString(before+after, 10)
	if !ok {
		return Decimal{}, ErrDecimal
	}
	if strings.HasPrefix(text, "-") {
		digits.Neg(digits)
	}
	return shortest(digits, len(after)), nil
}

// Scaled is digits with the last places of them after the point: Scaled(5, 3) is 0.005.
// Places is not negative.
func Scaled(digits int64, places int) Decimal { return shortest(big.NewInt(digits), places) }

func shortest(digits *big.Int, places int) Decimal {
	ten, rest := big.NewInt(10), new(big.Int)
	for places > 0 {
		shorter, _ := new(big.Int).QuoRem(digits, ten, rest)
		if rest.Sign() != 0 {
			break
		}
		digits, places = shorter, places-1
	}
	return Decimal{digits: digits, places: places}
}

// None says whether there is no value.
func (d Decimal) None() bool { return d.digits == nil }

// Zero says whether the value is there and 0.
func (d Decimal) Zero() bool { return d.digits != nil && d.digits.Sign() == 0 }

// Times is the exact product; none if either is.
func (d Decimal) Times(other Decimal) Decimal {
	if d.None() || other.None() {
		return Decimal{}
	}
	return shortest(new(big.Int).Mul(d.digits, other.digits), d.places+other.places)
}

// Plus is the exact sum; none counts as 0.
func (d Decimal) Plus(other Decimal) Decimal {
	places := max(d.places, other.places)
	return shortest(new(big.Int).Add(d.at(places), other.at(places)), places)
}

// Equal says whether two values are the same.
func (d Decimal) Equal(other Decimal) bool {
	if d.None() || other.None() {
		return d.None() == other.None()
	}
	return d.places == other.places && d.digits.Cmp(other.digits) == 0
}

// at is the digits with so many places, no fewer than there are.
func (d Decimal) at(places int) *big.Int {
	if d.None() {
		return new(big.Int)
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places-d.places)), nil)
	return scale.Mul(scale, d.digits)
}

// fits says whether the value has room in 38 digits with 18 places.
func (d Decimal) fits() bool {
	return d.None() || (d.places <= maxPlaces && len(new(big.Int).Abs(d.at(maxPlaces)).String()) <= maxDigits)
}

// String is the value as the specification writes numbers: no plus, no separators, no
// exponent; empty for none.
func (d Decimal) String() string {
	if d.None() {
		return ""
	}
	text := new(big.Int).Abs(d.digits).String()
	if missing := d.places + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	if d.places > 0 {
		text = text[:len(text)-d.places] + "." + text[len(text)-d.places:]
	}
	if d.digits.Sign() < 0 {
		text = "-" + text
	}
	return text
}
