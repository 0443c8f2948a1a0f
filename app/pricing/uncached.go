package pricing

import (
	"tollbook/app/money"
	"tollbook/app/usage"
)

// Uncached is what a request would have cost without the provider's prompt cache:
// every token of its prompt at the rate of input, as a first sending would be, its
// output as it was. Rates are those the request was charged at, discount and rounding
// (once per class) too. The length of the prompt does not change, so neither does the
// tier of its rates. Server tools and billed inner steps are no part of it.
func Uncached(rates Rates, tokens usage.Tokens, discountBps int64) (money.Pico, error) {
	var total money.Pico
	for _, part := range [...]struct {
		rate     money.Pico
		quantity int64
	}{{rates[usage.ClassInput], tokens.Prompt()}, {rates[usage.ClassOutput], tokens[usage.ClassOutput]}} {
		list, err := part.rate.Times(part.quantity)
		if err != nil {
			return 0, err
		}
		net, err := list.Net(discountBps)
		if err != nil {
			return 0, err
		}
		if total, err = total.Plus(net); err != nil {
			return 0, err
		}
	}
	return total, nil
}
