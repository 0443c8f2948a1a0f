// Package usage holds what one request consumed: counts by token class, who and
// what it was for, and in which state the measuring ended.
//
// It owns token classes, counts, tags, the event and its canonical bytes. It
// does not own rates and charges (pricing) or nodes (hierarchy); it reads no
// wire format (gateway/anthropic does).
//
// Invariants: an event's id is a UUIDv7 minted at its intent, its OccurredAt is
// that id's millisecond and never changes; counts are never negative; the
// canonical bytes of an event are stored and hashed as they are, never rebuilt.
//
// Words: token class, state, tag, developer (verified or declared).
package usage
