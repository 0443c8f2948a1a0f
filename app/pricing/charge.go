package pricing

import (
	"slices"
	"strings"
	"time"

	"tollbook/app/money"
	"tollbook/app/usage"
)

// Line is one open-ended part of a charge: a server tool or a billed iteration.
type Line struct {
	Class    string     `json:"class"` // "web_search", "compaction/output", …
	Quantity int64      `json:"quantity"`
	Rate     money.Pico `json:"rate_pico"`
	Amount   money.Pico `json:"amount_pico"`
	// Model is that of a billed iteration, where it is not the one that served the answer:
	// the provider reports it there. What the provider said of it, word for word, is covered
	// by the digest of its usage.
	Model string `json:"model,omitempty"`
}

// Charge is what one request costs: list and net, in pico-dollars, with the
// rates that made it.
type Charge struct {
	Rates       Rates                        // after factors
	Classes     [usage.ClassCount]money.Pico // net per class
	Lines       []Line                       // net
	List        money.Pico
	Net         money.Pico
	DiscountBps int64
	// Provisional says why the price is not final; empty when it is.
	Provisional []string
}

// Price prices counts as of an instant. It fails only on overflow; what it does
// not know it prices provisionally and says so.
func (b *Book) Price(counts usage.Counts, at time.Time) (Charge, error) {
	c := Charge{DiscountBps: b.discount(at)}
	for _, field := range counts.Unknown {
		c.because(reasonField + field)
	}
	if counts.Free {
		// A refusal before any output is not billed (Messages API, "refusals").
		return c, nil
	}
	if counts.CreditRedeemed && counts.Tokens[usage.ClassCacheWrite5m]+counts.Tokens[usage.ClassCacheWrite1h] > 0 {
		c.because(reasonCredit)
	}
	rates, reasons := b.rate(counts.Model, counts, counts.Tokens.Prompt(), at)
	c.Rates = rates
	c.because(reasons...)
	for class := range counts.Tokens {
		net, err := c.add(rates[class], counts.Tokens[class])
		if err != nil {
			return Charge{}, err
		}
		c.Classes[class] = net
	}
	if err := b.priceSearches(&c, counts, at); err != nil {
		return Charge{}, err
	}
	for _, step := range counts.Iterations {
		if err := b.priceIteration(&c, counts, step, at); err != nil {
			return Charge{}, err
		}
	}
	return c, nil
}

// because notes why the price is provisional, each reason once.
func (c *Charge) because(reasons ...string) {
	for _, reason := range reasons {
		if !slices.Contains(c.Provisional, reason) {
			c.Provisional = append(c.Provisional, reason)
		}
	}
}

// add charges a quantity at a rate and returns the net amount of that line.
func (c *Charge) add(rate money.Pico, quantity int64) (money.Pico, error) {
	list, err := rate.Times(quantity)
	if err != nil {
		return 0, err
	}
	net, err := list.Net(c.DiscountBps)
	if err != nil {
		return 0, err
	}
	if c.List, err = c.List.Plus(list); err != nil {
		return 0, err
	}
	c.Net, err = c.Net.Plus(net)
	return net, err
}

// WebSearch is the class of the line for searches of the web.
const WebSearch = "web_search"

func (b *Book) priceSearches(c *Charge, counts usage.Counts, at time.Time) error {
	if counts.WebSearches == 0 {
		return nil
	}
	unit, known := b.tool(WebSearch, at)
	if !known {
		c.because(reasonTool + WebSearch)
	}
	net, err := c.add(unit, counts.WebSearches)
	if err != nil {
		return err
	}
	c.Lines = append(c.Lines, Line{Class: WebSearch, Quantity: counts.WebSearches, Rate: unit, Amount: net})
	return nil
}

// priceIteration bills a step the response's top level does not hold, at the
// rate of the model that served it.
func (b *Book) priceIteration(c *Charge, counts usage.Counts, step usage.Iteration, at time.Time) error {
	if step.Free {
		return nil
	}
	model := step.Model
	if model == "" {
		model = counts.Model
	}
	rates, reasons := b.rate(model, counts, step.Tokens.Prompt(), at)
	c.because(reasons...)
	for class, quantity := range step.Tokens {
		if quantity == 0 {
			continue
		}
		net, err := c.add(rates[class], quantity)
		if err != nil {
			return err
		}
		line := Line{Class: step.Kind + "/" + usage.Class(class).String(), Quantity: quantity, Rate: rates[class], Amount: net}
		if model != counts.Model {
			line.Model = model
		}
		c.Lines = append(c.Lines, line)
	}
	return nil
}

// Why a price is provisional. They end up in the ledger, some with what they are
// about after a colon.
const (
	reasonModel   = "model_unknown"
	reasonSpeed   = "speed_unknown"
	reasonEnded   = "rate_ended"     // no longer sold then
	reasonEarly   = "rate_not_begun" // not sold yet then
	reasonTool    = "tool_unknown:"
	reasonField   = "field_unknown:"
	reasonUnsold  = "_not_sold:" // geography or tier that the model is not sold with
	reasonUnknown = "_unknown:"  // geography or tier that the book does not have
	// A redeemed credit bills the part of a retry's cache writes that was warm
	// before at the rate of reads. What the provider reports has those among the
	// reads already; whether all that is left are writes, only its bill tells.
	reasonCredit = "fallback_credit_redeemed"
	// A change of prices that would move this one waits for a decision.
	reasonProposed = "price_proposed"
)

// rate finds the rates for what the response says it was, and why they are
// provisional if they are.
func (b *Book) rate(model string, counts usage.Counts, prompt int64, at time.Time) (Rates, []string) {
	var reasons []string
	row, reason := b.find(model, counts.Speed, prompt, at)
	var rates Rates
	if row == nil {
		rates = b.guess(model, prompt, at)
	} else {
		rates = row.Rates
	}
	if reason != "" {
		reasons = append(reasons, reason)
	}
	for _, of := range [...]struct{ what, value string }{{"geography", counts.Geography}, {"tier", counts.Tier}} {
		if plainWord(of.value) {
			continue
		}
		name := of.what + ":" + of.value
		f, _ := inForce(b.factors[name], at)
		switch {
		case f == nil:
			reasons = append(reasons, of.what+reasonUnknown+of.value)
			continue
		case row != nil && !row.stacks(name):
			reasons = append(reasons, of.what+reasonUnsold+of.value)
			if f.Num < f.Den {
				continue // a provisional price errs high
			}
		}
		for class := range rates {
			rates[class] = rates[class] * money.Pico(f.Num) / money.Pico(f.Den) // exact: checked by Parse
		}
	}
	return rates, reasons
}

// find is lookup by the name a response gives, dated or not; a speed the book does
// not have for the model falls back to standard.
func (b *Book) find(model, speed string, prompt int64, at time.Time) (*Row, string) {
	if speed == "" {
		speed = standardSpeed
	}
	for _, try := range [...]struct{ speed, reason string }{{speed, ""}, {standardSpeed, reasonSpeed}} {
		for _, name := range [...]string{model, undated(model)} {
			row, reason := b.lookup(name, try.speed, prompt, at)
			if row == nil {
				continue
			}
			if try.reason != "" {
				reason = try.reason
			}
			return row, reason
		}
	}
	return nil, reasonModel
}

const standardSpeed = "standard"

// plainWord tells values of geography and tier that are known to change no price.
func plainWord(value string) bool {
	switch value {
	case "", "global", "not_available", "standard", "priority":
		return true
	}
	return false
}

// guess prices a model the book does not know: for each class the dearest rate of
// its family at that instant, else the dearest of all, so that a provisional figure
// errs high, is never zero and is the same whoever asks.
func (b *Book) guess(model string, prompt int64, at time.Time) Rates {
	var family, all, ever Rates
	for key := range b.rates {
		if key.speed != standardSpeed {
			continue
		}
		row, reason := b.lookup(key.model, key.speed, prompt, at)
		ever.raise(row.Rates)
		if reason != "" {
			continue
		}
		all.raise(row.Rates)
		if sameFamily(key.model, model) {
			family.raise(row.Rates)
		}
	}
	for _, r := range [...]Rates{family, all} {
		if r[usage.ClassOutput] > 0 {
			return r
		}
	}
	return ever // nothing was on sale at that instant: a clock is far off
}

// raise takes the dearer of each class.
func (r *Rates) raise(other Rates) {
	for class := range r {
		r[class] = max(r[class], other[class])
	}
}

func sameFamily(a, b string) bool {
	for _, family := range []string{"opus", "sonnet", "haiku", "fable", "mythos"} {
		if strings.Contains(a, family) {
			return strings.Contains(b, family)
		}
	}
	return false
}

// tool is the price of one use, and whether the book has one; else the dearest.
func (b *Book) tool(name string, at time.Time) (money.Pico, bool) {
	if row, _ := inForce(b.tools[name], at); row != nil {
		return row.Unit, true
	}
	var dearest money.Pico
	for _, list := range b.tools {
		for _, row := range list {
			dearest = max(dearest, row.Unit)
		}
	}
	return dearest, false
}

// DiscountAt is the contract's discount at an instant, in basis points off list.
func (b *Book) DiscountAt(at time.Time) int64 { return b.discount(at) }

// discount is the contract's, in basis points off list.
func (b *Book) discount(at time.Time) int64 {
	if row, _ := inForce(b.discounts, at); row != nil {
		return row.Num
	}
	return 0
}
