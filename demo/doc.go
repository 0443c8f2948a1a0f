// Package demo fills a fresh installation with a company one can look around in.
//
// It owns the example company, its months of traffic, the demo's secrets, demo.json and
// the mail server that keeps what would have been sent. It does not own how the product prices, attributes or stores (it goes
// through app like everything else), nor the provider's side (the simulator prices
// the same facts with its own prices), nor the wiring (main).
//
// Invariants: nothing here is imported by the product; a seed that was interrupted
// is thrown away and begun anew, never half kept; every secret is in files of mode
// 0600.
//
// Words: company, traffic, seed, state, postbox (what catches mail).
package demo
