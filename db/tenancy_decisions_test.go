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

// decisions puts a row into every table of decisions that an issuer confirms.
func (s *scene) decisions(t *testing.T, tx *db.Tx) {
	t.Helper()
	s.decision = id.NewDecision(tx.Now)
	require.NoError(t, tx.AddKeySet(s.keySet(s.mark("keys"))))
	require.NoError(t, tx.AddDecisionDocument(s.decided(s.decision)))
	votes, err := tx.Votes(s.change.ID)
	require.NoError(t, err)
	first, err := tx.EndDecision(s.decision, "")
	require.NoError(t, err)
	require.True(t, first)
	again, err := tx.EndDecision(s.decision, "late")
	require.NoError(t, err)
	require.False(t, again, "nothing comes of a decision twice")
	require.NoError(t, tx.AddConfirmation(s.confirmation(votes[0].VoteID)))
}

func sum(text string) []byte {
	digest := sha256.Sum256([]byte(text))
	return digest[:]
}

func (s *scene) keySet(document string) db.KeySetRow {
	return db.KeySetRow{Digest: sum(document), Issuer: "https://idp", Document: []byte(document), RecordID: s.batch.Record}
}

func (s *scene) decided(decision id.Decision) db.DecisionRow {
	document := s.mark("document " + decision.String())
	return db.DecisionRow{
		DecisionID: decision, ChangeID: s.change.ID, MemberID: s.member, IssuerID: s.issuer, Digest: sum(document), Document: []byte(document), Reason: s.mark("reason"),
		StateHash: []byte(s.mark("state")), TicketSealed: []byte("sealed"), ExpiresAt: time.Now().Add(time.Hour),
	}
}

func (s *scene) confirmation(vote id.Vote) db.ConfirmationRow {
	return db.ConfirmationRow{
		DecisionID: s.decision, ChangeID: s.change.ID, VoteID: vote, KeySetDigest: sum(s.mark("keys")), KeyID: s.mark("kid"), TokenSealed: []byte(s.mark("token")),
		TokenDigest: sum(s.mark("token")), ClaimsDigest: sum(s.mark("claims")), AuthTime: time.Now(), Signature: []byte(s.mark("signature")),
	}
}

// readingDecisions is every query that reads decisions which an issuer confirms.
func readingDecisions() map[string]query {
	none := func(found bool, err error) error {
		if found {
			err = errors.Join(errors.New("found"), err)
		}
		return err
	}
	return map[string]query{
		"KeySet": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.KeySet(sum(theirs.mark("keys")))
			return string(row.Document), none(found, err)
		}},
		"DecisionDocument": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, err := tx.DecisionDocument(theirs.decision)
			return string(row.Document), err
		}},
		"Confirmation": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.Confirmation(theirs.decision)
			return row.KeyID, none(found, err)
		}},
		"ConfirmedVotes": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			found, err := tx.ConfirmedVotes(theirs.change.ID)
			return len(found), err
		}},
	}
}

// writingDecisions is every query that writes them.
func writingDecisions() map[string]query {
	return map[string]query{
		"LockKeySets": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockKeySets()) }},
		"AddKeySet": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddKeySet(theirs.keySet("other")))
		}},
		"AddDecisionDocument": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddDecisionDocument(theirs.decided(id.NewDecision(tx.Now))))
		}},
		"EndDecision": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.EndDecision(theirs.decision, "x")
			return nil, err
		}},
		"AddConfirmation": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddConfirmation(theirs.confirmation(id.NewVote(tx.Now))))
		}},
	}
}
