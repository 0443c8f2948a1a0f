package db_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/db"
)

func (s *scene) commentaryStep(node id.Node, place int, kind string) *db.CommentaryStepRow {
	figures := s.mark("figures")
	digest := sha256.Sum256([]byte(figures))
	row := &db.CommentaryStepRow{
		NodeID: node, Place: place, Kind: kind, State: "asked", Actor: s.mark("actor"), PersonID: s.person, OwnerMemberID: &s.member, Body: s.mark("body"), ChangeID: s.change.ID,
	}
	if kind == "written" {
		row.State, row.Revision, row.AuthorPersonID, row.Figures, row.FiguresSHA256 = "written", 1, &s.person, &figures, digest[:]
	}
	return row
}

func (s *scene) disputeRow(tx *db.Tx, number int64) *db.DisputeRow {
	digest := sha256.Sum256([]byte(s.mark("selection")))
	return &db.DisputeRow{
		DisputeID: id.NewDispute(tx.Now), Number: number, Month: s.month.Start(), NodeID: s.node, ToNodeID: s.other, Narrowed: `{"model":"` + s.mark("model") + `"}`, RequestsSHA256: digest[:], Requests: 1, AmountPico: "7",
		Reason: s.mark("reason"), AnswererMemberID: &s.member, Actor: s.mark("actor"), PersonID: s.person, MemberID: s.member, ChangeID: s.change.ID,
	}
}

func (s *scene) disputeStep(place int, kind, state string) *db.DisputeStepRow {
	return &db.DisputeStepRow{Place: place, Kind: kind, State: state, Actor: s.mark("actor"), PersonID: s.person, Note: s.mark("note"), AmountPico: "7", ChangeID: s.change.ID}
}

func (s *scene) disputed(t *testing.T, tx *db.Tx) {
	t.Helper()
	require.NoError(t, tx.AddCommentaryStep(s.month, s.commentaryStep(s.node, 1, "written")))
	require.NoError(t, tx.AddCommentaryStep(s.month, s.commentaryStep(s.node, 2, "reminded")))
	s.other = id.NewNode(tx.Now)
	require.NoError(t, tx.AddNodes([]id.Node{s.other}))
	row := s.disputeRow(tx, 1)
	s.dispute = row.DisputeID
	require.NoError(t, tx.AddDispute(row))
	require.NoError(t, tx.AddDisputeStep(s.dispute, s.disputeStep(1, "raised", "open")))
	step := s.disputeStep(2, "proposed", "proposed")
	step.BeforeState, step.ResolutionChangeID = "open", &s.change.ID
	require.NoError(t, tx.AddDisputeStep(s.dispute, step))
}

func readingDisputes() map[string]query {
	return map[string]query{
		"CommentarySteps": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			rows, err := tx.CommentarySteps(mine.month, id.Node{}, 50)
			other, err2 := tx.CommentarySteps(mine.month, theirs.node, 50)
			if len(rows) != 2 || len(other) != 0 {
				err = errors.Join(errors.New("not one's own commentary"), err)
			}
			return rows, errors.Join(err, err2)
		}},
		"CommentaryReminded": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.CommentaryReminded(tx.Now.Add(-time.Hour))
			if len(rows) != 1 || rows[0] != mine.member {
				err = errors.Join(errors.New("not whom one reminded"), err)
			}
			return rows, err
		}},
		"PlacedClasses": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.PlacedClasses(mine.month, mine.month.End())
			if len(rows) == 0 || rows[0].PlacementID != mine.placement.ID || rows[0].Model != mine.mark("model") {
				err = errors.Join(errors.New("not one's own classes"), err)
			}
			return rows, err
		}},
		"Disputes": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			rows, err := tx.Disputes(&db.DisputeFilter{Limit: 50})
			narrow, err2 := tx.Disputes(&db.DisputeFilter{Month: mine.month, State: "standing", Within: []id.Node{mine.other}, Before: 2, Limit: 50})
			none, err3 := tx.Disputes(&db.DisputeFilter{State: "proposed", Within: []id.Node{theirs.node}, Limit: 50})
			if len(rows) != 1 || len(narrow) != 1 || len(none) != 0 || rows[0].State != "proposed" || rows[0].ResolutionNumber != 1 {
				err = errors.Join(errors.New("not one's own disputes"), err)
			}
			return rows, errors.Join(err, err2, err3)
		}},
		"Dispute": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.Dispute(theirs.dispute)
			if found {
				err = errors.Join(errors.New("another's dispute"), err)
			}
			return row, err
		}},
		"DisputeOf": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			row, found, err := tx.DisputeOf(theirs.change.ID)
			_, own, err2 := tx.DisputeOf(mine.change.ID)
			if found || !own {
				err = errors.Join(errors.New("another's dispute"), err)
			}
			return row, errors.Join(err, err2)
		}},
		"DisputeSteps": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.DisputeSteps(theirs.dispute, 50) }},
	}
}

func writingDisputes() map[string]query {
	return map[string]query{
		"LockCommentary": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockCommentary()) }},
		"LockDisputes":   {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockDisputes()) }},
		"AddCommentaryStep": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddCommentaryStep(mine.month, mine.commentaryStep(theirs.node, 1, "asked")))
		}},
		"AddDispute": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			row := mine.disputeRow(tx, 2)
			row.ToNodeID = theirs.node
			return onlyError(tx.AddDispute(row))
		}},
		"AddDisputeStep": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddDisputeStep(theirs.dispute, mine.disputeStep(3, "kept", "kept")))
		}},
	}
}
