package anthropic_test

import (
	"fmt"
	"math/big"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/gateway/anthropic"
)

// chargeCase is one answer of the provider and what it costs; testdata/charges.txt
// says how a case is written.
type chargeCase struct {
	name, at, discount string
	worked             []string
	raw                string
	want               map[string]string
	steps              []string
}

func readCharges(t testing.TB) []chargeCase {
	t.Helper()
	file, err := os.ReadFile("testdata/charges.txt")
	require.NoError(t, err)
	var all []chargeCase
	for _, block := range strings.Split(string(file), "\n== ")[1:] {
		c := chargeCase{want: map[string]string{}}
		before, raw, found := strings.Cut(block, "\n<<<\n")
		require.True(t, found, block)
		raw, after, found := strings.Cut(raw, "\n>>>\n")
		require.True(t, found, block)
		c.raw = raw
		for i, line := range strings.Split(before+"\n"+after, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch {
			case i == 0:
				c.name = line
			case strings.HasPrefix(line, "# "):
				c.worked = append(c.worked, line)
			case key == "at":
				c.at = value
			case key == "discount":
				c.discount = value
			case key == "step":
				c.steps = append(c.steps, value)
			case line != "":
				c.want[key] = value
			}
		}
		all = append(all, c)
	}
	return all
}

// metered reads the answer whole and, if it is a stream, in pieces too.
func (c chargeCase) metered(t *testing.T) anthropic.Metered {
	t.Helper()
	if strings.HasPrefix(c.raw, "{") {
		return anthropic.ParseMessage([]byte(c.raw))
	}
	stream := c.raw + "\n\n"
	whole, _ := tapped([]byte(stream))
	var tap anthropic.Tap
	for rest := []byte(stream); len(rest) > 0; {
		n := min(7, len(rest))
		tap.Write(rest[:n])
		rest = rest[n:]
	}
	require.Equal(t, whole, tap.Metered())
	return whole
}

func TestEveryAnswerCostsWhatIsWorkedOut(t *testing.T) {
	t.Parallel()
	all := readCharges(t)
	require.GreaterOrEqual(t, len(all), 60)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, c.at)
			require.NoError(t, err)
			document := pricing.VendorList()
			if bps, from, ok := strings.Cut(c.discount, " from "); ok {
				document = fmt.Appendf(document, "discount,contract,,,%s,,,,,,,,%s,,the contract\n", from, bps)
			}
			book, err := pricing.Parse(document)
			require.NoError(t, err)
			m := c.metered(t)
			e := usage.Event{
				ID: id.NewEvent(at), State: usage.StateComplete, HTTPStatus: 200, Counts: m.Counts, Flags: m.Incomplete,
				Shares: []usage.Share{{Placement: id.DerivePlacement([]byte("p")), PPM: usage.Whole}},
			}
			if !m.Finished || len(m.Incomplete) > 0 {
				e.State = usage.StateIncomplete // as the gateway's relay does
			}
			r, err := pricing.Rate(e, book, 1)
			require.NoError(t, err)
			require.Equal(t, c.want["counts"], strings.Trim(fmt.Sprint(m.Counts.Tokens), "[]"))
			require.Equal(t, c.want["searches"], strings.TrimPrefix(strconv.FormatInt(m.Counts.WebSearches, 10), "0"))
			require.Equal(t, c.steps, stepsOf(m.Counts))
			require.Equal(t, c.want["flags"], strings.Join(r.Event.Flags, " "))
			require.Equal(t, c.want["state"], string(r.Event.State))
			require.Equal(t, c.want["charge"], r.Charge.Net.String())
			require.Equal(t, c.want["charge"], sumOf(t, c.worked).FloatString(12), "the charge is not what the comments add up to")
		})
	}
}

func stepsOf(c usage.Counts) []string {
	var steps []string
	for _, s := range c.Iterations {
		text := s.Kind + " " + s.Model + " " + strings.Trim(fmt.Sprint(s.Tokens), "[]")
		if s.Free {
			text += " free"
		}
		steps = append(steps, text)
	}
	return steps
}

// workedLine is "# 1000 input x 4/M x 1.1 = 0.0044": a quantity, what of, its price
// a million or a piece, factors, US dollars.
var workedLine = regexp.MustCompile(`^# (\d+) [a-z0-9 .-]+? x ([\d.]+)(/M)?((?: x [\d.]+)*) = ([\d.]+)( \(half to even\))?$`)

// sumOf checks the arithmetic of the comments and adds it up.
func sumOf(t *testing.T, worked []string) *big.Rat {
	t.Helper()
	sum := new(big.Rat)
	for _, line := range worked {
		m := workedLine.FindStringSubmatch(line)
		require.NotNil(t, m, "not worked out: %s", line)
		product := rational(t, m[1])
		product.Mul(product, rational(t, m[2]))
		if m[3] != "" {
			product.Quo(product, rational(t, "1000000"))
		}
		for factor := range strings.FieldsSeq(strings.ReplaceAll(m[4], "x", "")) {
			product.Mul(product, rational(t, factor))
		}
		dollars := rational(t, m[5])
		if m[6] == "" {
			require.Zero(t, product.Cmp(dollars), "%s: it is %s", line, product.FloatString(13))
		} else {
			off := new(big.Rat).Sub(product, dollars)
			require.LessOrEqual(t, off.Abs(off).Cmp(big.NewRat(1, 2_000_000_000_000)), 0, line)
		}
		sum.Add(sum, dollars)
	}
	return sum
}

func rational(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	require.True(t, ok, text)
	return r
}
