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
// A book is CSV with one header line. kind=rate: rates in US dollars per million
// tokens, at most six decimals, from effective_from until the next row of the same
// model, speed and prompt_over. kind=factor: num/den applied to every token rate
// when the response says so. kind=tool: US dollars per use. kind=discount: basis
// points off list. Lines that start with # are comments.
package pricing
