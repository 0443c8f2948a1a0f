package money

import (
	"errors"
	"math/big"
	"math/bits"
	"strings"

	"tollbook/app/fault"
)

// picoPerDollar is 1e12: Pico has exactly twelve decimals of a US dollar.
const (
	picoPerDollar = 1_000_000_000_000
	picoDecimals  = 12
	picoPerCent   = 10_000_000_000
	// maxDecimalBytes bounds what is read as a decimal number.
	maxDecimalBytes = 64
)

// ErrOverflow reports a charge outside int64 pico-dollars, about 9.2 million US
// dollars: no single request comes near it, so the input is wrong.
var ErrOverflow = fault.New(fault.KindInvalid, "amount_overflow", "An amount is too large for one charge.")

// Pico is a charge in pico-dollars, 1e-12 USD. A rate in US dollars per million
// tokens times 1e6 is pico-dollars per token, always a whole number.
type Pico int64

// Times multiplies a rate per unit by a quantity, refusing overflow.
func (p Pico) Times(quantity int64) (Pico, error) {
	negative := (p < 0) != (quantity < 0)
	hi, lo := bits.Mul64(magnitude(int64(p)), magnitude(quantity))
	if hi != 0 || lo > 1<<63-1 {
		return 0, ErrOverflow
	}
	if negative {
		return -Pico(lo), nil
	}
	return Pico(lo), nil
}

// Plus adds two charges, refusing overflow.
func (p Pico) Plus(q Pico) (Pico, error) {
	total := p + q
	if (q > 0 && total < p) || (q < 0 && total > p) {
		return 0, ErrOverflow
	}
	return total, nil
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-(n + 1)) + 1
	}
	return uint64(n)
}

// Net takes a contracted discount in basis points off a list amount, rounding
// half to even once (DESIGN 5.3). bps is between 0 and 10,000.
func (p Pico) Net(bps int64) (Pico, error) {
	if bps < 0 || bps > 10_000 {
		return 0, fault.Invalid("discount", "discount_range", "A discount is between 0 and 10,000 basis points.")
	}
	if bps == 0 {
		return p, nil
	}
	product := new(big.Int).Mul(big.NewInt(int64(p)), big.NewInt(10_000-bps))
	return Pico(halfEven(product, 10_000).Int64()), nil
}

// halfEven divides by a positive divisor, rounding half to even.
func halfEven(n *big.Int, divisor int64) *big.Int { return half(n, big.NewInt(divisor)) }

func half(n, d *big.Int) *big.Int {
	quotient, remainder := new(big.Int).QuoRem(n, d, new(big.Int))
	twice := new(big.Int).Abs(remainder)
	twice.Lsh(twice, 1)
	switch c := twice.Cmp(d); {
	case c < 0, c == 0 && quotient.Bit(0) == 0:
		return quotient
	}
	return quotient.Add(quotient, big.NewInt(int64(n.Sign())))
}

// String prints US dollars with all twelve decimals, as the API does.
func (p Pico) String() string { return decimal(big.NewInt(int64(p)), picoDecimals) }

// ParsePico reads US dollars with at most twelve decimals.
func ParsePico(text string) (Pico, error) {
	n, err := parseDecimal(text, picoDecimals)
	if err != nil {
		return 0, err
	}
	if !n.IsInt64() {
		return 0, ErrOverflow
	}
	return Pico(n.Int64()), nil
}

// PicoOfCents reads cents with decimals, as the provider's cost reports write them. A
// pico-dollar is ten decimals of a cent: more of them that are not zero are refused.
func PicoOfCents(text string) (Pico, error) {
	if whole, fraction, _ := strings.Cut(text, "."); len(fraction) > picoDecimals-2 && len(text) <= maxDecimalBytes {
		text = whole + "." + fraction[:picoDecimals-2] + strings.TrimRight(fraction[picoDecimals-2:], "0")
	}
	n, err := parseDecimal(text, picoDecimals-2)
	if err != nil {
		return 0, err
	}
	if !n.IsInt64() {
		return 0, ErrOverflow
	}
	return Pico(n.Int64()), nil
}

// Sum is an exact total of charges in pico-dollars; the zero value is zero.
type Sum struct{ n big.Int } //nolint:recvcheck // a sum is printed as JSON wherever it stands, with an address or without

// Add adds one charge in place.
func (s *Sum) Add(p Pico) { s.n.Add(&s.n, big.NewInt(int64(p))) }

// AddCents adds an amount of the books in place: a cent is a whole number of pico-dollars.
func (s *Sum) AddCents(c Cents) {
	n := big.NewInt(int64(c))
	s.n.Add(&s.n, n.Mul(n, big.NewInt(picoPerCent)))
}

// AddSum adds another total in place.
func (s *Sum) AddSum(other *Sum) { s.n.Add(&s.n, &other.n) }

// SubSum takes another total off in place.
func (s *Sum) SubSum(other *Sum) { s.n.Sub(&s.n, &other.n) }

// Scaled is the total times a fraction, rounded half to even once; the fraction's
// lower part must not be zero.
func (s *Sum) Scaled(up, down *big.Int) Sum {
	n := new(big.Int).Mul(&s.n, up)
	d := new(big.Int).Set(down)
	if d.Sign() < 0 {
		n.Neg(n)
		d.Neg(d)
	}
	return Sum{n: *half(n, d)}
}

// Share is the total times part over whole, rounded half to even once; zero when there
// is no whole.
func (s *Sum) Share(part, whole *Sum) Sum {
	if whole.Sign() == 0 {
		return Sum{}
	}
	return s.Scaled(&part.n, &whole.n)
}

// Cmp compares two totals: -1, 0 or 1.
func (s *Sum) Cmp(other *Sum) int { return s.n.Cmp(&other.n) }

// Sign is -1, 0 or 1.
func (s *Sum) Sign() int { return s.n.Sign() }

// String prints US dollars with all twelve decimals.
func (s *Sum) String() string { return decimal(&s.n, picoDecimals) }

// Digits prints the total as a whole number of pico-dollars, as Postgres' numeric
// reads it.
func (s *Sum) Digits() string { return s.n.String() }

// Pico returns the total as one charge, refusing overflow.
func (s *Sum) Pico() (Pico, error) {
	if !s.n.IsInt64() {
		return 0, ErrOverflow
	}
	return Pico(s.n.Int64()), nil
}

// MarshalText is the whole number of pico-dollars, so that a sum survives being kept as JSON.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.Digits()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Sum) UnmarshalText(text []byte) error {
	sum, err := SumOfPico(string(text))
	switch {
	case err != nil:
		return err
	case sum.Sign() == 0:
		*s = Sum{} // so that nothing is equal to nothing, however it came about
	default:
		*s = sum
	}
	return nil
}

// Display rounds to cents, half to even, for a screen: the books get their
// cents from Split alone.
func (s *Sum) Display() Cents { return Cents(halfEven(&s.n, picoPerCent).Int64()) }

// ParseSum reads US dollars with at most twelve decimals.
func ParseSum(text string) (Sum, error) {
	n, err := parseDecimal(text, picoDecimals)
	if err != nil {
		return Sum{}, err
	}
	return Sum{n: *n}, nil
}

// SumOfPico reads a whole number of pico-dollars, as Postgres' sum() of bigint
// prints it (numeric, scale 0).
func SumOfPico(text string) (Sum, error) {
	var s Sum
	if text == "" {
		return s, nil
	}
	if _, ok := s.n.SetString(text, 10); !ok {
		return Sum{}, fault.Invalid("amount", "amount_syntax", "%q is not a whole number of pico-dollars.", text)
	}
	return s, nil
}

// Cents is an amount of the books in hundredths of a US dollar.
type Cents int64

// String prints US dollars with two decimals.
func (c Cents) String() string { return decimal(big.NewInt(int64(c)), 2) }

// ParseCents reads US dollars with at most two decimals.
func ParseCents(text string) (Cents, error) {
	n, err := parseDecimal(text, 2)
	if err != nil {
		return 0, err
	}
	if !n.IsInt64() {
		return 0, ErrOverflow
	}
	return Cents(n.Int64()), nil
}

func decimal(n *big.Int, places int) string {
	digits := new(big.Int).Abs(n).String()
	if len(digits) <= places {
		digits = strings.Repeat("0", places-len(digits)+1) + digits
	}
	text := digits[:len(digits)-places] + "." + digits[len(digits)-places:]
	if n.Sign() < 0 {
		return "-" + text
	}
	return text
}

var errSyntax = errors.New("not a decimal number")

func parseDecimal(text string, places int) (*big.Int, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > places || len(text) > maxDecimalBytes || strings.Trim(fraction, "0123456789") != "" {
		return nil, fault.Invalid("amount", "amount_syntax", "%.64q is not an amount with at most %d decimals.", text, places).Because(errSyntax)
	}
	unsigned := strings.TrimPrefix(whole, "-")
	if unsigned == "" || strings.Trim(unsigned, "0123456789") != "" {
		return nil, fault.Invalid("amount", "amount_syntax", "%.64q is not an amount.", text).Because(errSyntax)
	}
	n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", places-len(fraction)), 10)
	if !ok {
		return nil, fault.Invalid("amount", "amount_syntax", "%.64q is not an amount.", text).Because(errSyntax)
	}
	return n, nil
}
