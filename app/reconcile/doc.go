// Package reconcile holds what we measured against what the provider reports, and names
// every difference.
//
// It owns the cells of a day, how two sides of one are matched, the closed list of classes
// that a difference may have, what each class can explain at most, coverage, tolerance, and
// the state of a day. It does not own what was measured or charged (usage, pricing), how a
// report is pulled (provider), nor what becomes of an exception (app).
//
// The provider counts by key, model, tier, speed, geography and meter, so we do. Quantities
// are matched first, and then money: what the quantities explain at the rates we charged, then
// what the list price differs by, then what the discount does. Each class takes no more than
// its evidence allows: an aborted stream what its requests may have produced, a missing
// request what one request may hold, rounding half a pico-dollar for every rounded value.
// What is left is unknown, and that alone is unexplained.
//
// Invariants: the amounts of a day's items are the difference of the two sides, exactly,
// whatever these are; an item's shares by node are its amount; rounding and unknown take
// nothing beyond their bounds; the same two sides give the same items in the same order.
//
// Words: cell, group (a cell without its meter), meter (a token class, searches or requests),
// surface (the gateway, another key, the Console), fact (our side), count and cost (the
// provider's), item, class, coverage, tolerance, finding (what is above it), verdict.
package reconcile
