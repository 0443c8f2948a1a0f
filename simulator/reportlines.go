package simulator

import (
	"math/big"
	"time"
)

// reportLine is one billed thing as the reports see it, before it is grouped. Words
// that do not apply are empty.
type reportLine struct {
	at                              time.Time
	key, workspace                  string // empty: no API key (the Console); the default workspace
	model, tier, speed, geo, window string
	session                         string // the client's; only the Claude Code report looks at it
	requests, searches              int64
	tokens                          Tokens
	cost                            parts // list price by class, pico-dollars
	feeType                         string
	fee, credit                     int64 // pico-dollars: a fee at list; what is taken off the amount alone
	inUsage, inCost                 bool
}

// component is a line's part in a cost report that is broken out by type.
type component struct {
	costType, tokenType string
	pico                int64
}

// The cost types of a cost report; those of its token rows are token classes.
const (
	costTokens        = "tokens"
	costWebSearch     = "web_search"
	costCodeExecution = "code_execution"
	costSessionUsage  = "session_usage"
)

// components lists the parts in the order in which the reports show them.
func (l *reportLine) components() []component {
	all := []component{
		{costTokens, "uncached_input_tokens", l.cost.input},
		{costTokens, "output_tokens", l.cost.output},
		{costTokens, "cache_read_input_tokens", l.cost.read},
		{costTokens, "cache_creation.ephemeral_5m_input_tokens", l.cost.write5m},
		{costTokens, "cache_creation.ephemeral_1h_input_tokens", l.cost.write1h},
		{costWebSearch, "", l.cost.search},
	}
	if l.feeType != "" {
		all = append(all, component{l.feeType, "", l.fee})
	}

	return all
}

func (l *reportLine) list() int64 { return l.cost.sum() + l.fee }

// contextWindow is the price tier that reports split at; Haiku's is not among them.
func contextWindow(prompt int64) string {
	if prompt > 200_000 {
		return "200k-1M"
	}

	return "0-200k"
}

// eachLine yields what the reports show of a stretch of time: the books but for
// errors, free refusals and empty answers, with everything that was planted. Nothing
// after refreshed is in any report yet.
func (s *Simulator) eachLine(from, to, refreshed time.Time, yield func(*reportLine) error) error {
	if to.After(refreshed) {
		to = refreshed
	}
	if !from.Before(to) {
		return nil
	}
	planted := s.books.activePlants(s.now())
	for _, e := range s.books.window(filter{from: from, to: to}) {
		f, err := s.books.readAt(e.offset, int(e.length))
		if err != nil {
			return err
		}
		if err := s.linesOf(f, planted, yield); err != nil {
			return err
		}
	}
	for _, p := range planted.added {
		if p.OccurredAt.Before(from) || !p.OccurredAt.Before(to) {
			continue
		}
		line, err := s.addedLine(p)
		if err != nil {
			return err
		}
		if err := yield(line); err != nil {
			return err
		}
	}

	return nil
}

// linesOf turns one fact into lines and spoils them as planted.
func (s *Simulator) linesOf(f *Fact, planted *activePlants, yield func(*reportLine) error) error {
	if f.Status >= 300 || f.Refused || planted.drops(f, "") {
		return nil
	}
	for turn := range f.billed() {
		if planted.drops(f, turn.Model) || (turn.Tokens == Tokens{} && (turn.Kind != kindAnswer || f.WebSearchRequests == 0)) {
			continue
		}
		line, err := s.lineOf(f, turn)
		if err != nil {
			return err
		}
		if turn.Kind == kindAnswer {
			if err := s.missCount(f, turn, planted, line); err != nil {
				return err
			}
		}
		planted.misprice(f, turn.Model, line)
		if err := yield(line); err != nil {
			return err
		}
	}

	return nil
}

func (s *Simulator) lineOf(f *Fact, turn Iteration) (*reportLine, error) {
	cost, err := s.prices.parts(f, turn)
	if err != nil {
		return nil, err
	}
	line := &reportLine{
		at: f.OccurredAt.UTC(), key: f.KeyHint, workspace: f.WorkspaceID, model: turn.Model, tier: f.ServiceTier, speed: f.Speed,
		geo: f.InferenceGeo, window: contextWindow(turn.Tokens.prompt()), session: f.SessionID, tokens: turn.Tokens, cost: cost,
		inUsage: true, inCost: true,
	}
	if turn.Kind == kindAnswer {
		line.requests, line.searches = 1, f.WebSearchRequests
	}

	return line, nil
}

// missCount applies planted token differences: to the counts, to the cost, or both.
func (s *Simulator) missCount(f *Fact, turn Iteration, planted *activePlants, line *reportLine) error {
	for _, p := range planted.byRequest[f.RequestID] {
		if p.Class != plantTokens {
			continue
		}
		off := turn
		off.Tokens = line.tokens
		p.shift(&off.Tokens)
		cost, err := s.prices.parts(f, off)
		if err != nil {
			return err
		}
		if p.In != inCost {
			line.tokens = off.Tokens
		}
		if p.In != inUsage {
			line.cost = cost
		}
	}

	return nil
}

// addedLine is the line of a plant that stands for nothing in the books.
func (s *Simulator) addedLine(p *Plant) (*reportLine, error) {
	f := p.fact()
	line, err := s.lineOf(f, Iteration{Kind: kindAnswer, Model: f.Model, Tokens: f.Tokens})
	if err != nil {
		return nil, err
	}
	line.inUsage, line.inCost = p.In != inCost, p.In != inUsage
	if p.Class == plantExtra {
		return line, nil
	}
	line.model, line.tier, line.speed, line.geo, line.window, line.requests = p.Model, "", "", "", "", 0
	line.inUsage, line.inCost = false, true
	if p.Class == plantFee {
		line.feeType, line.fee = p.CostType, p.AmountPico
	} else {
		line.credit = p.AmountPico
	}

	return line, nil
}

// reportSum adds lines up.
type reportSum struct {
	requests, searches int64
	tokens             Tokens
	list               big.Int // pico-dollars
	rebate             big.Int // pico-dollars times basis points
	credit             big.Int // pico-dollars
}

func (sum *reportSum) count(l *reportLine) {
	sum.requests += l.requests
	sum.searches += l.searches
	sum.tokens.add(l.tokens)
}

// charge adds pico-dollars of a line, under the discount of its day.
func (sum *reportSum) charge(pico, credit, bps int64) {
	amount := big.NewInt(pico)
	sum.list.Add(&sum.list, amount)
	sum.rebate.Add(&sum.rebate, amount.Mul(amount, big.NewInt(bps)))
	sum.credit.Add(&sum.credit, big.NewInt(credit))
}

// amount is what is to be paid: to the nearest pico-dollar, half up, once per row.
func (sum *reportSum) amount() *big.Int {
	net := new(big.Int).Mul(&sum.list, big.NewInt(10_000))
	net.Sub(net, &sum.rebate).Add(net, big.NewInt(5_000))
	net.Div(net, big.NewInt(10_000)) // Euclidean: down, also below zero

	return net.Sub(net, &sum.credit)
}

// decimal writes an integer with its last places behind the point.
func decimal(n *big.Int, places int) string {
	sign, digits := "", n.String()
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for len(digits) <= places {
		digits = "0" + digits
	}

	return sign + digits[:len(digits)-places] + "." + digits[len(digits)-places:]
}

// dollars writes pico-dollars with all their twelve decimals, cents with all ten:
// nothing is rounded away.
func dollars(pico *big.Int) string { return decimal(pico, 12) }

func cents(pico *big.Int) string { return decimal(pico, 10) }
