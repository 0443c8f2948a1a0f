package simulator

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The words of usage.speed, usage.service_tier and usage.inference_geo.
const (
	speedStandard = "standard"
	speedFast     = "fast"
	tierStandard  = "standard"
	tierBatch     = "batch"
	tierPriority  = "priority"
	geoGlobal     = "global"
	geoUS         = "us"
)

// webSearchPico is $10 per 1,000 searches.
const webSearchPico = 10_000_000_000

// maxPartPico bounds each of a charge's six parts, and maxFactPico all iterations of
// a request together, so that no sum can overflow: 100,000 dollars for one class of
// one turn, a million for the iterations.
const (
	maxPartPico = 100_000_000_000_000_000
	maxFactPico = 1_000_000_000_000_000_000
)

// ratio is an exact multiplier of a base price.
type ratio struct{ num, den int64 }

// base is the price of plain input and of output, pico-dollars per token.
type base struct{ input, output int64 }

// era is a stretch of time during which a model's price held.
type era struct {
	from     time.Time // inclusive; the first era also covers everything before it
	price    base
	longOver int64 // prompts of more tokens than this pay long, whole request; 0 = flat
	long     base
	write5m  ratio
	write1h  ratio
	read     ratio
}

// listing is what the provider publishes about one model.
type listing struct {
	eras     []era
	us       bool      // has the US inference surcharge (4.6 and later)
	fast     ratio     // zero: never sold fast
	fastFrom time.Time // zero: since the model is sold
	fastTo   time.Time // zero: still sold fast
	minCache int64     // shortest prompt prefix that is cached, tokens
}

// priceList is the provider's own list. Prices are stated as the provider states
// them (dollars per million tokens for input and output) and everything else as
// multipliers, so that no table of the product's can be copied into it by mistake.
type priceList struct {
	byModel  map[string]*listing
	fallback *listing // any other claude model: the provider knows a price that the product cannot
	dated    *regexp.Regexp
}

func newPriceList() (*priceList, error) {
	p := &priceList{byModel: map[string]*listing{}, dated: regexp.MustCompile(`-20\d{6}$`)}
	for row := range strings.Lines(priceTable) {
		fields := strings.Fields(row)
		if len(fields) == 0 {
			continue
		}
		if err := p.addRow(fields); err != nil {
			return nil, fmt.Errorf("price row %q: %w", strings.TrimSpace(row), err)
		}
	}
	p.addFast()
	p.fallback = p.byModel["*"]

	return p, nil
}

// priceTable: models, from, input, output, [over:tokens:input:output | flat], read
// multiplier, shortest cached prefix, us or -. Writes cost 1.25 and 2 times base
// input everywhere but on claude-3-haiku. Rows of one model are in order of time.
// Retired models keep their last price. "*" prices every claude model not listed.
const priceTable = `
claude-fable-5-2,claude-mythos-5-2   2026-11-09  8     40    flat                 1/40   512  us
claude-fable-5-1,claude-mythos-5-1   2026-09-01  10    50    flat                 1/40   512  us
claude-fable-5,claude-mythos-5       2026-06-09  10    50    flat                 1/10   512  us
claude-opus-5-5                      2026-09-22  4     20    flat                 1/20   512  us
claude-opus-5                        2026-07-24  5     25    flat                 1/10   512  us
claude-opus-4-8                      2026-05-28  5     25    flat                 1/10   1024 us
claude-opus-4-7                      2026-04-16  5     25    flat                 1/10   2048 us
claude-opus-4-6                      2026-02-05  5     25    over:200000:10:37.50 1/10   4096 us
claude-opus-4-6                      2026-03-13  5     25    flat                 1/10   4096 us
claude-opus-4-5                      2025-11-24  5     25    flat                 1/10   4096 -
claude-opus-4-1,claude-opus-4        2025-05-22  15    75    flat                 1/10   1024 -
claude-sonnet-5-5                    2026-09-28  2     10    flat                 1/10   1024 us
claude-sonnet-5-5                    2026-10-07  2     10    flat                 1/20   1024 us
claude-sonnet-5                      2026-06-30  2     10    flat                 1/10   1024 us
claude-sonnet-4-6                    2026-02-17  3     15    over:200000:6:22.50  1/10   1024 us
claude-sonnet-4-6                    2026-03-13  3     15    flat                 1/10   1024 us
claude-sonnet-4-5,claude-sonnet-4    2025-05-22  3     15    over:200000:6:22.50  1/10   1024 -
claude-sonnet-4-5,claude-sonnet-4    2026-04-30  3     15    flat                 1/10   1024 -
claude-3-7-sonnet,claude-sonnet-3-7  2025-02-24  3     15    flat                 1/10   1024 -
claude-haiku-5-5                     2026-10-07  0.10  0.50  over:100000:0.50:2.50 1/10  1024 us
claude-haiku-4-5                     2025-10-15  1     5     flat                 1/10   4096 -
claude-3-5-haiku                     2024-11-04  0.80  4     flat                 1/10   2048 -
claude-3-haiku                       2024-03-13  0.25  1.25  flat                 3/25   2048 -
*                                    2026-01-01  6     30    flat                 1/10   1024 us
`

// addFast states who is or was sold fast, when, and for how much of the standard
// price: long prompts included, so that Opus 4.6 above 200,000 tokens was 60/225.
func (p *priceList) addFast() {
	day := func(month time.Month, day int) time.Time { return time.Date(2026, month, day, 0, 0, 0, 0, time.UTC) }
	for model, f := range map[string]struct {
		times    int64
		from, to time.Time
	}{
		"claude-fable-5-2": {2, time.Time{}, time.Time{}},
		"claude-opus-5-5":  {2, time.Time{}, time.Time{}},
		"claude-opus-5":    {2, time.Time{}, time.Time{}},
		"claude-opus-4-8":  {2, time.Time{}, day(11, 30)},
		"claude-opus-4-7":  {6, day(5, 12), day(7, 24)}, // 30/150
		"claude-opus-4-6":  {6, day(2, 7), day(6, 29)},  // 30/150
	} {
		l := p.byModel[model]
		l.fast, l.fastFrom, l.fastTo = ratio{f.times, 1}, f.from, f.to
	}
}

func (p *priceList) addRow(fields []string) error {
	if len(fields) != 8 {
		return fmt.Errorf("%d columns, want 8", len(fields))
	}
	from, err := time.Parse(time.DateOnly, fields[1])
	if err != nil {
		return err
	}
	e := era{from: from, write5m: ratio{5, 4}, write1h: ratio{2, 1}}
	if e.price, err = parseBase(fields[2], fields[3]); err != nil {
		return err
	}
	if long, found := strings.CutPrefix(fields[4], "over:"); found {
		parts := strings.Split(long, ":")
		if len(parts) != 3 {
			return fmt.Errorf("long prompt price %q", long)
		}
		if _, err = fmt.Sscanf(parts[0], "%d", &e.longOver); err != nil {
			return err
		}
		if e.long, err = parseBase(parts[1], parts[2]); err != nil {
			return err
		}
	}
	if _, err = fmt.Sscanf(fields[5], "%d/%d", &e.read.num, &e.read.den); err != nil {
		return err
	}
	var minCache int64
	if _, err = fmt.Sscanf(fields[6], "%d", &minCache); err != nil {
		return err
	}
	for model := range strings.SplitSeq(fields[0], ",") {
		if model == "claude-3-haiku" {
			e.write5m = ratio{6, 5} // listed at 0.30, not at 1.25 x 0.25
		}
		l := p.byModel[model]
		if l == nil {
			l = &listing{us: fields[7] == "us", minCache: minCache}
			p.byModel[model] = l
		}
		l.eras = append(l.eras, e)
	}

	return nil
}

func parseBase(input, output string) (base, error) {
	in, err := parsePico(input)
	if err != nil {
		return base{}, err
	}
	out, err := parsePico(output)

	return base{in, out}, err
}

// parsePico reads dollars per million tokens, which as a number with six decimals
// is exactly pico-dollars per token.
func parsePico(dollars string) (int64, error) {
	whole, fraction, _ := strings.Cut(dollars, ".")
	if len(fraction) > 6 {
		return 0, fmt.Errorf("price %q has more than six decimals", dollars)
	}
	var pico int64
	for _, digit := range whole + fraction + strings.Repeat("0", 6-len(fraction)) {
		if digit < '0' || digit > '9' || pico > 1<<50 {
			return 0, fmt.Errorf("price %q is not a plain decimal", dollars)
		}
		pico = pico*10 + int64(digit-'0')
	}

	return pico, nil
}

// listed finds a model by its name or by its name with a release date.
func (p *priceList) listed(model string) (*listing, bool) {
	if model == "*" {
		return p.fallback, false
	}
	if l, found := p.byModel[model]; found {
		return l, true
	}
	if l, found := p.byModel[p.dated.ReplaceAllString(model, "")]; found {
		return l, true
	}

	return p.fallback, false
}

// sellsFast reports whether a request for fast would be served fast at that time.
func (l *listing) sellsFast(at time.Time) bool {
	return l.fast.num > 0 && !at.Before(l.fastFrom) && (l.fastTo.IsZero() || at.Before(l.fastTo))
}

func (l *listing) at(when time.Time) *era {
	current := &l.eras[0]
	for i := range l.eras {
		if !when.Before(l.eras[i].from) {
			current = &l.eras[i]
		}
	}

	return current
}

// parts is a charge by what it was for, pico-dollars.
type parts struct{ input, output, write5m, write1h, read, search int64 }

// charge prices a fact and its iterations: pico-dollars at list. Errors and refusals
// are free.
func (p *priceList) charge(f *Fact) (int64, error) {
	var sum int64
	for i := range f.Iterations {
		turn := &f.Iterations[i]
		turn.BilledPico = 0
		if turn.Free {
			continue
		}
		c, err := p.parts(f, *turn)
		if err != nil {
			return 0, err
		}
		turn.BilledPico = c.sum()
		if sum += turn.BilledPico; sum > maxFactPico {
			return 0, fmt.Errorf("charge of request %s is too large to be true", f.RequestID)
		}
	}
	c, err := p.parts(f, Iteration{Kind: kindAnswer, Model: f.Model, Tokens: f.Tokens})
	if err != nil {
		return 0, err
	}

	return sum + c.sum(), nil
}

func (c *parts) sum() int64 { return c.input + c.output + c.write5m + c.write1h + c.read + c.search }

// parts prices one turn of a fact class by class.
func (p *priceList) parts(f *Fact, turn Iteration) (parts, error) {
	if f.Status >= 300 || f.Refused {
		return parts{}, nil
	}
	l, _ := p.listed(turn.Model)
	e := l.at(f.OccurredAt)
	price := e.price
	if e.longOver > 0 && turn.Tokens.prompt() > e.longOver {
		price = e.long
	}
	factor := l.factor(f)
	one := ratio{1, 1}
	write5m, write1h := e.write5m, e.write1h
	if f.CreditRedeemed && turn.Kind == kindAnswer {
		write5m, write1h = e.read, e.read
	}
	var c parts
	if turn.Kind == kindAnswer {
		c.search = f.WebSearchRequests * webSearchPico // no factor touches searches
	}
	for _, part := range []struct {
		to              *int64
		count, perToken int64
		times           ratio
	}{
		{&c.input, turn.Tokens.Input, price.input, one},
		{&c.output, turn.Tokens.Output, price.output, one},
		{&c.write5m, turn.Tokens.CacheWrite5m, price.input, write5m},
		{&c.write1h, turn.Tokens.CacheWrite1h, price.input, write1h},
		{&c.read, turn.Tokens.CacheRead, price.input, e.read},
	} {
		rate, err := exactRate(part.perToken, part.times, factor)
		if err != nil {
			return parts{}, fmt.Errorf("price %s: %w", turn.Model, err)
		}
		if rate > 0 && part.count > maxPartPico/rate {
			return parts{}, fmt.Errorf("charge of request %s is too large to be true", f.RequestID)
		}
		*part.to = part.count * rate
	}

	return c, nil
}

// factor is what speed, tier and geography make of every token rate.
func (l *listing) factor(f *Fact) ratio {
	factor := ratio{1, 1}
	switch {
	case f.ServiceTier == tierBatch: // half price; batches do not run fast
		factor.den *= 2
	case f.Speed == speedFast && l.fast.num > 0: // what was served counts, not what was on sale
		factor.num *= l.fast.num
		factor.den *= l.fast.den
	}
	if f.InferenceGeo == geoUS && l.us {
		factor.num *= 11
		factor.den *= 10
	}

	return factor
}

// exactRate is whole pico-dollars per token; a price that is not is a mistake in
// the table, never something to round.
func exactRate(perToken int64, factors ...ratio) (int64, error) {
	num, den := perToken, int64(1)
	for _, f := range factors {
		num, den = num*f.num, den*f.den
	}
	if num%den != 0 {
		return 0, fmt.Errorf("rate %d/%d is not whole pico-dollars", num, den)
	}

	return num / den, nil
}
