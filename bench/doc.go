// Command bench compares, in one run on one machine, what the gateway costs with
// what a plain reverse proxy costs that does nothing but check and swap a key.
//
// It owns the load, the stand-in provider it is sent to, the control, the months of
// requests it fills, the measuring and the table. It does not own what is measured:
// the gateway, its house and its ledger are the product's own, on a PostgreSQL that
// really syncs; companies are settled and months are posted by the use cases.
//
// Invariants: targets take turns within a round and the same load is sent to each;
// every byte of every answer is compared with what the provider sent; after each
// run against the gateway the ledger holds exactly the requests sent, or the whole
// run fails; everything is bounded in count and time; traffic stays on the
// loopback; a child ends when its parent does.
//
// Words: control (the plain proxy), target (what load is sent to), child (this
// program again, in another role), role, shot (one prepared request), direct (the
// load without anything between), round, slice (half a second of one target's turn),
// trial (of one rate, in the search for the highest), door (where one company's
// requests come in, and with which key).
package main
