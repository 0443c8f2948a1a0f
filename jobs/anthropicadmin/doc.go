// Package anthropicadmin asks the provider's admin API for its reports, a page at a time.
//
// It owns the paths, queries and headers of each report, the bounds of an answer, and what
// is tried again: an answer that is cut, no JSON, limited or failing, a few times, after the
// wait that the provider asks for. It does not own what a page says (app/provider), which is
// asked for, or where it is kept (app), nor how a host is reached: whoever makes a Client
// hands it the way.
//
// Invariants: a credential is a header of a request to the address that it was given for,
// and in no error, query or log; redirects are not followed; bodies, tries and waits are
// bounded; what is returned are the bytes as they were received.
//
// Words: question, answer, cursor (app/provider's), try.
package anthropicadmin
