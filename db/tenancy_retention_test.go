package db_test

import (
	"errors"

	"tollbook/db"
)

// readingRetention is every query that reads what was erased or is kept how long.
func readingRetention() map[string]query {
	return map[string]query{
		"Erasures": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			rows, err := tx.Erasures(theirs.change.ID, 10)
			return len(rows), err
		}},
		"TraceOf": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			found, err := tx.TraceOf(theirs.person)
			if found != (db.Trace{}) {
				err = errors.Join(errors.New("found"), err)
			}
			return found, err
		}},
		"ErasedBy": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.ErasedBy(theirs.person) }},
		"PersonErased": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			at, err := tx.PersonErased(theirs.person)
			return at, err
		}},
	}
}

// writingRetention is every query that erases or purges.
func writingRetention() map[string]query {
	return map[string]query{
		"Erase": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.Erase(theirs.change.ID)) }},
	}
}
