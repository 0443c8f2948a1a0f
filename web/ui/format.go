package ui

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/money"
)

// RoleWords are the roles somebody holds, each once.
func RoleWords(grants []app.Grant) string {
	var words []string
	for _, g := range grants {
		if word := Words(string(g.Role)); !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return "No role"
	}
	return strings.Join(words, ", ")
}

// minus is U+2212: as wide as a digit in tabular figures.
const minus = "\u2212"

// group puts commas into the whole part of a decimal and the right minus before it.
func group(decimal string) string {
	sign := ""
	if rest, negative := strings.CutPrefix(decimal, "-"); negative {
		sign, decimal = minus, rest
	}
	whole, fraction, hasFraction := strings.Cut(decimal, ".")
	var out strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}
	if hasFraction {
		out.WriteString("." + fraction)
	}
	return sign + out.String()
}

// Money prints an exact total at two decimals, for a column whose head names the
// currency.
func Money(s *money.Sum) string { return group(s.Display().String()) }

// Cents prints an amount of the books, for a column whose head names the currency.
func Cents(c money.Cents) string { return group(c.String()) }

// Dollars prints an exact total at two decimals with its currency.
func Dollars(s *money.Sum) string { return dollars(Money(s)) }

func dollars(text string) string {
	if rest, negative := strings.CutPrefix(text, minus); negative {
		return minus + "$" + rest
	}
	return "$" + text
}

// Fine prints a charge at six decimals: a single request costs cents or less.
func Fine(p money.Pico) string { return rounded(big.NewInt(int64(p)), 6) }

// Cost prints an exact total at four decimals: what a session's parts cost is cents and
// less.
func Cost(s *money.Sum) string { return rounded(integer(s), 4) }

// rounded prints pico-dollars at some decimals, rounded half away from zero.
func rounded(n *big.Int, decimals int) string {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(12-decimals)), nil)
	quotient, rest := new(big.Int).QuoRem(n, unit, new(big.Int))
	if twice := new(big.Int).Abs(rest); twice.Lsh(twice, 1).Cmp(unit) >= 0 {
		quotient.Add(quotient, big.NewInt(int64(n.Sign())))
	}
	sign := ""
	if quotient.Sign() < 0 {
		sign = "-"
	}
	digits := new(big.Int).Abs(quotient).String()
	digits = strings.Repeat("0", max(decimals+1-len(digits), 0)) + digits
	return group(sign + digits[:len(digits)-decimals] + "." + digits[len(digits)-decimals:])
}

// Exact prints a charge with every decimal it has.
func Exact(p money.Pico) string { return dollars(group(p.String())) }

// PerMillion prints a rate of one token as US dollars for a million, as price lists do.
func PerMillion(rate money.Pico) string {
	whole, fraction := int64(rate)/1_000_000, int64(rate)%1_000_000
	text := strings.TrimRight(fmt.Sprintf("%06d", fraction), "0")
	for len(text) < 2 {
		text += "0"
	}
	return group(strconv.FormatInt(whole, 10) + "." + text)
}

// Count prints a whole number.
func Count(n int64) string { return group(strconv.FormatInt(n, 10)) }

// Permille is part of whole in tenths of a per cent, cut to 0…1000.
func Permille(part, whole *money.Sum) int {
	n := ratio(part, whole, 1000)
	return int(min(max(n, 0), 1000))
}

// Percent prints part of whole with some decimals; "–" when there is no whole.
func Percent(part, whole *money.Sum, decimals int) string {
	if whole.Sign() == 0 {
		return "–"
	}
	scale := int64(100)
	for range decimals {
		scale *= 10
	}
	n := ratio(part, whole, scale)
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	digits := fmt.Sprintf("%0*d", decimals+1, n)
	text := digits[:len(digits)-decimals]
	if decimals > 0 {
		text += "." + digits[len(digits)-decimals:]
	}
	return group(sign+text) + "%"
}

// ratio is part*scale/whole, rounded half away from zero; 0 when there is no whole.
func ratio(part, whole *money.Sum, scale int64) int64 {
	a, b := integer(part), integer(whole)
	if b.Sign() == 0 {
		return 0
	}
	a.Mul(a, big.NewInt(2*scale))
	a.Quo(a, b)
	n := a.Int64()
	if n >= 0 {
		return (n + 1) / 2
	}
	return (n - 1) / 2
}

func integer(s *money.Sum) *big.Int {
	n, _ := new(big.Int).SetString(s.Digits(), 10) // a Sum prints digits
	return n
}

// Signed prints a difference with its sign, a plus too.
func Signed(s *money.Sum) string {
	text := Dollars(s)
	if s.Sign() > 0 {
		return "+" + text
	}
	return text
}

// Instant prints a time to the second.
func Instant(at time.Time) string { return at.UTC().Format("2 Jan 2006 15:04:05") + " UTC" }

// Millis prints a time to the millisecond, for a column whose head says UTC.
func Millis(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000") }

// Minute prints a time to the minute.
func Minute(at time.Time) string { return at.UTC().Format("2 Jan 2006 15:04") + " UTC" }

// Clock prints a time for a column whose head says UTC.
func Clock(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") }

// Day prints a UTC day.
func Day(at time.Time) string { return at.UTC().Format("2 Jan 2006") }

// Date prints a UTC day as inputs and URLs have it.
func Date(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.DateOnly)
}

// ShortID keeps the ends of an id: enough to recognize, and the whole is one click away.
func ShortID(text string) string {
	if len(text) <= 16 {
		return text
	}
	return text[:10] + "…" + text[len(text)-4:]
}

// Words makes a code of ours readable: "business_unit" to "Business unit".
func Words(code string) string {
	if code == "" {
		return ""
	}
	words := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// Plural counts things: "1 error", "2 errors".
func Plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + one + "s"
}

// Plain prints a charge with every decimal, for a column whose head names the currency.
func Plain(p money.Pico) string { return group(p.String()) }
