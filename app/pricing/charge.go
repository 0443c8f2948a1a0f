package pricing

import (
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
		c.Provisional = append(c.Provisional, "field_unknown:"+field)
	}
	if counts.Free {
		// A refusal before any output is not billed (Messages API, "refusals").
		return c, nil
	}
	rates, reasons := b.rate(counts.Model, counts, counts.Tokens.Prompt(), at)
	c.Rates = rates
	c.Provisional = append(c.Provisional, reasons...)
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

func (b *Book) priceSearches(c *Charge, counts usage.Counts, at time.Time) error {
	if counts.WebSearches == 0 {
		return nil
	}
	unit, known := b.tool("web_search", at)
	if !known {
		c.Provisional = append(c.Provisional, "tool_unknown:web_search")
	}
	net, err := c.add(unit, counts.WebSearches)
	if err != nil {
		return err
	}
	c.Lines = append(c.Lines, Line{Class: "web_search", Quantity: counts.WebSearches, Rate: unit, Amount: net})
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
	c.Provisional = append(c.Provisional, reasons...)
	for class, quantity := range step.Tokens {
		if quantity == 0 {
			continue
		}
		net, err := c.add(rates[class], quantity)
		if err != nil {
			return err
		}
		c.Lines = append(c.Lines, Line{Class: step.Kind + "/" + usage.Class(class).String(), Quantity: quantity, Rate: rates[class], Amount: net})
	}
	return nil
}

// rate finds the rates for what the response says it was, and why they are
// provisional if they are.
func (b *Book) rate(model string, counts usage.Counts, prompt int64, at time.Time) (Rates, []string) {
	var reasons []string
	speed := counts.Speed
	if speed == "" {
		speed = "standard"
	}
	name := model
	rates, ok := b.lookup(name, speed, prompt, at)
	if !ok {
		name = undated(model)
		rates, ok = b.lookup(name, speed, prompt, at)
	}
	if !ok && speed != "standard" {
		if standard, found := b.lookup(name, "standard", prompt, at); found {
			rates, ok = standard, true
			reasons = append(reasons, "speed_unknown")
		}
	}
	if !ok {
		rates = b.guess(model, prompt, at)
		reasons = append(reasons, "model_unknown")
	}
	for _, name := range []string{"geography:" + counts.Geography, "tier:" + counts.Tier} {
		f, known := b.factor(name, at)
		switch {
		case known:
			for class := range rates {
				rates[class] = rates[class] * money.Pico(f.num) / money.Pico(f.den) // exact: checked by Parse
			}
		case !plainFactor(name):
			reasons = append(reasons, strings.Replace(name, ":", "_unknown:", 1))
		}
	}
	return rates, reasons
}

// plainFactor tells values that are known to change no price.
func plainFactor(name string) bool {
	switch name {
	case "geography:", "geography:global", "geography:not_available", "tier:", "tier:standard", "tier:priority":
		return true
	}
	return false
}

// guess prices a model the book does not know: the dearest rate of its family at
// that instant, else the dearest of all, so that a provisional figure errs high
// and is never zero.
func (b *Book) guess(model string, prompt int64, at time.Time) Rates {
	var family, dearest Rates
	for key := range b.rates {
		if key.speed != "standard" {
			continue
		}
		r, ok := b.lookup(key.model, key.speed, prompt, at)
		if !ok {
			continue
		}
		if r[usage.ClassOutput] > dearest[usage.ClassOutput] {
			dearest = r
		}
		if sameFamily(key.model, model) && r[usage.ClassOutput] > family[usage.ClassOutput] {
			family = r
		}
	}
	if family[usage.ClassOutput] > 0 {
		return family
	}
	if dearest[usage.ClassOutput] > 0 {
		return dearest
	}
	// Nothing was on sale at that instant (a clock far off): take the earliest rates.
	for _, list := range b.rates {
		if r := list[len(list)-1].rates; r[usage.ClassOutput] > dearest[usage.ClassOutput] {
			dearest = r
		}
	}
	return dearest
}

func sameFamily(a, b string) bool {
	for _, family := range []string{"opus", "sonnet", "haiku", "fable", "mythos"} {
		if strings.Contains(a, family) {
			return strings.Contains(b, family)
		}
	}
	return false
}

func (b *Book) factor(name string, at time.Time) (factor, bool) {
	for _, f := range b.factors[name] {
		if !at.Before(f.from) {
			return f, true
		}
	}
	return factor{}, false
}

func (b *Book) tool(name string, at time.Time) (money.Pico, bool) {
	var dearest money.Pico
	for _, list := range b.tools {
		for _, t := range list {
			dearest = max(dearest, t.unit)
		}
	}
	for _, t := range b.tools[name] {
		if !at.Before(t.from) {
			return t.unit, true
		}
	}
	return dearest, false
}

func (b *Book) discount(at time.Time) int64 {
	for _, d := range b.discounts {
		if !at.Before(d.from) {
			return d.bps
		}
	}
	return 0
}
