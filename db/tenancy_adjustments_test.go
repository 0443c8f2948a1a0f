package db_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/attribution"
	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/db"
)

// adjusted is the scene's request, posted anew to a placement.
func (s *scene) adjusted(t require.TestingT, tx *db.Tx, of *scene, to id.Placement) []db.Adjusted {
	rows, err := tx.LyingUsage([]id.Event{s.rated.Event.ID})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	was, err := rows[0].Lying()
	require.NoError(t, err)
	now := attribution.Lying{Measured: was.Measured, Shares: []usage.Share{{Placement: to, PPM: usage.Whole}}}
	lines, err := attribution.Restate(&attribution.Lying{Measured: was.Measured, Shares: []usage.Share{{Placement: of.placement.ID, PPM: usage.Whole - 1}, {Placement: of.placement.ID, PPM: 1}}}, &now)
	require.NoError(t, err)
	return []db.Adjusted{{Was: &rows[0], Now: now, Lines: lines}}
}

func (s *scene) adjustments(t *testing.T, tx *db.Tx) {
	t.Helper()
	batch := s.adjustmentBatch(tx)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: batch.Record, Action: auditlog.AdjustmentBatch, Actor: "system"}))
	list := s.adjusted(t, tx, s, s.placement.ID)
	require.NoError(t, tx.AddAdjustments(batch, list))
	require.NoError(t, tx.RollAdjusted(list, s.month))
	require.NoError(t, tx.AddRequestSelection([]byte(s.mark("selection"))))
	require.NoError(t, tx.EndAdjustments(s.change.ID))
	s.adjustment = batch.ID
}

func (s *scene) adjustmentBatch(tx *db.Tx) *db.AdjustmentBatch {
	return &db.AdjustmentBatch{
		ID: id.NewBatch(tx.Now), Change: s.change.ID, Kind: db.AdjustRetag, Posting: s.month, Count: 1, Canonical: []byte(s.mark("adjustment")), Record: id.NewRecord(tx.Now),
	}
}

func readingAdjustments() map[string]query {
	return map[string]query{
		"LyingUsage": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.LyingUsage([]id.Event{theirs.rated.Event.ID})
		}},
		"LyingIn": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.LyingIn(theirs.month.Start(), theirs.month.End(), []id.Placement{theirs.placement.ID}, id.Event{}, 50)
		}},
		"Unpriced": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Unpriced(id.Event{}, 50) }},
		"UsageIDs": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			events, err := tx.UsageIDs(db.UsageFilter{Limit: 500})
			if len(events) != 1 || events[0] != mine.rated.Event.ID {
				err = errors.Join(errors.New("not one's own request"), err)
			}
			return events, err
		}},
		"Adjustments": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Adjustments(theirs.rated.Event.ID) }},
		"AdjustmentsOf": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			sum, err := tx.AdjustmentsOf(theirs.change.ID)
			if sum.Adjustments != 0 || sum.DeltaPico != "0" || sum.LastAt != nil || sum.EndedAt != nil {
				err = errors.Join(errors.New("another's adjustments"), err)
			}
			return nil, err
		}},
		"AdjustedLines": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.AdjustedLines(theirs.adjustment) }},
		"AdjustmentBytes": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			compressed, found, err := tx.AdjustmentBytes(theirs.adjustment)
			if found {
				err = errors.Join(errors.New("another's adjustments"), err)
			}
			return compressed, err
		}},
		"RequestSelection": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			document, err := tx.RequestSelection(sha256.Sum256([]byte(mine.mark("selection"))))
			others, err2 := tx.RequestSelection(sha256.Sum256([]byte(theirs.mark("selection"))))
			if len(others) > 0 {
				err = errors.Join(errors.New("another's requests"), err)
			}
			return string(document), errors.Join(err, err2)
		}},
	}
}

func writingAdjustments() map[string]query {
	return map[string]query{
		"LockAdjustments": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockAdjustments()) }},
		"AddAdjustments": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			batch := mine.adjustmentBatch(tx)
			batch.Change = theirs.change.ID
			if err := tx.AppendAudit(auditlog.Record{ID: batch.Record, Action: auditlog.AdjustmentBatch, Actor: "system"}); err != nil {
				return nil, err
			}
			return onlyError(tx.AddAdjustments(batch, nil))
		}},
		"RollAdjusted": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			rows, err := tx.LyingUsage([]id.Event{mine.rated.Event.ID})
			if err != nil {
				return nil, err
			}
			line := attribution.Portion{Share: usage.Share{Placement: theirs.placement.ID, PPM: usage.Whole}, Requests: 1}
			return onlyError(tx.RollAdjusted([]db.Adjusted{{Was: &rows[0], Lines: []attribution.Portion{line}}}, mine.month))
		}},
		"EndAdjustments": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.EndAdjustments(theirs.change.ID)) }},
		"AddRequestSelection": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddRequestSelection([]byte(theirs.mark("selection"))))
		}},
	}
}
