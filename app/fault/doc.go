// Package fault names what kind of thing went wrong, once, for every layer.
//
// It owns the kinds, the stable code and the message that is safe to show. It
// does not own how an edge answers: web, gateway and jobs each map a kind to
// their own format in one place.
//
// Invariants: Message never carries a secret, a prompt or a person's name; a
// code, once published, keeps its meaning.
//
// Words: Kind (what class of failure), Code (snake_case, stable), Fault (one
// failure a caller may see).
package fault
