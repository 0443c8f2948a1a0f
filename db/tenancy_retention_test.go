package db_test

import (
	"errors"

	"tollbook/app/retention"
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
		"ErasedBy":       {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.ErasedBy(theirs.person) }},
		"RetentionTerms": {absent, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.RetentionTerms(10) }},
		"LegalHolds":     {absent, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.LegalHolds(10) }},
		"MonthsKept": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) {
			for _, class := range retention.Classes() {
				if _, err := tx.MonthsKept(class, 10); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}},
		"RetentionEnds": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, _, err := tx.RetentionEnds(retention.Usage, theirs.month)
			return nil, err
		}},
		"Tombstones": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Tombstones(theirs.change.ID, 10) }},
		"TombstoneOf": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.TombstoneOf(retention.Usage, theirs.month)
			return found, err
		}},
		"ClearedLeaves": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.ClearedLeaves(theirs.month, 0, 10) }},
		"PurgedMonths":  {absent, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.PurgedMonths(retention.Usage, 10) }},
		"PurgedBatch": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.PurgedBatch(theirs.batch.ID)
			return found, err
		}},
		"PurgedBatches": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.PurgedBatches(retention.Usage, theirs.month, -1, 10)
		}},
		"LastTenantExport": {absent, func(tx *db.Tx, _, _ *scene) (any, error) {
			_, found, err := tx.LastTenantExport()
			return found, err
		}},
		"TenantExport": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.TenantExport(theirs.change.Digest[:])
			return found, err
		}},
		"BooksHeld": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			held, err := tx.BooksHeld()
			return held.UsageBatches, err
		}},
		"Offboarding": {absent, func(tx *db.Tx, _, _ *scene) (any, error) {
			_, found, err := tx.Offboarding()
			return found, err
		}},
		"Holdings": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			has, err := tx.Holdings()
			return has.Requests, err
		}},
		"RequestsKept": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.RequestsKept() }},
		"WaitingAnyhow": {own, func(tx *db.Tx, _, theirs *scene) (any, error) {
			rows, err := tx.WaitingAnyhow(500)
			for i := range rows {
				if rows[i].ChangeID == theirs.change.ID {
					err = errors.Join(errors.New("theirs"), err)
				}
			}
			return len(rows), err
		}},
		"OffboardingWaits": {absent, func(tx *db.Tx, _, _ *scene) (any, error) {
			_, _, found, err := tx.OffboardingWaits()
			return found, err
		}},
		"PurgedWhole": {absent, func(tx *db.Tx, _, _ *scene) (any, error) {
			_, found, err := tx.PurgedWhole()
			return found, err
		}},
		"PersonErased": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			at, err := tx.PersonErased(theirs.person)
			return at, err
		}},
	}
}

// writingRetention is every query that erases or purges.
func writingRetention() map[string]query {
	return map[string]query{
		"Erase":         {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.Erase(theirs.change.ID)) }},
		"Purge":         {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.Purge(theirs.change.ID)) }},
		"Offboard":      {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.Offboard(theirs.change.ID)) }},
		"EndEverything": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.EndEverything(theirs.change.ID) }},
		"Changing":      {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.Changing()) }},
		"LastToChange": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) {
			yes, err := tx.LastToChange()
			if !yes {
				err = errors.Join(errors.New("another's lock"), err)
			}
			return nil, err
		}},
		"LockOffboarding": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockOffboarding()) }},
		"AddTenantExport": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddTenantExport(&db.TenantExportRow{ManifestSHA256: theirs.change.Digest[:], AsOf: tx.Now, RunBy: "x"}))
		}},
		"LockRetention": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockRetention()) }},
		"AddRetentionTerm": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddRetentionTerm(retention.Usage, 8, tx.Now, theirs.change.ID))
		}},
		"AddLegalHold": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddLegalHold(theirs.month, theirs.month, theirs.change.ID))
		}},
		"EndLegalHold": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.EndLegalHold(theirs.change.ID, theirs.change.ID))
		}},
	}
}
