// Package pricing turns counts into charges.
//
// It owns the price book (dated, explicit rates for every model and token class,
// prompt-length tiers, speed, geography, batch, server tools, contract discount),
// the vendor's list as a file a reviewer can read (vendor.csv) and the charge. It
// does not own which version applies (app) nor counts (usage).
//
// Invariants: a price is looked up by the response's model, speed, geography and
// tier, as of the event; a rate is whole pico-dollars per token after every
// factor; an unknown model or usage field gives a provisional price and a flag,
// never zero; an applied version's bytes never change.
//
// Words: book, rate (pico-dollars per token), factor, tool, list, net, provisional.
//
// A book is CSV with one header line; lines that start with # are comments. Every
// line names its source and holds from effective_from up to, not including,
// effective_to (UTC days; an empty end is open); two lines for one instant are
// refused, and so is a pause between the rates of one model, speed and prompt_over.
// kind=rate: rates in US dollars per million tokens, at most six decimals, for
// prompts of more tokens than prompt_over; factors names what may apply to it.
// kind=factor: num/den applied to every token rate when the response says so.
// kind=tool: US dollars per use. kind=discount: basis points off list, in num.
// What has ended, has not begun or is not sold together is still priced, as high as
// it ever was, and flagged: see the reasons in charge.go.
package pricing
