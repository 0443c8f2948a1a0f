// Package id makes and prints the identifiers of the house.
//
// It owns UUIDv7 identifiers typed by what they name and the prefix each is
// shown with (evt_, nod_, key_, chg_ …). It does not own human numbers (a
// per-tenant counter in db) nor identifiers the provider makes (req_, msg_).
//
// Invariants: an id made here sorts by its millisecond; text and database forms
// name the same 16 bytes; an id of one type is never read as another's.
//
// Words: prefix, kind.
package id
