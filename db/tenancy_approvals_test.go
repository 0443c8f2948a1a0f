package db_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/db"
)

// approvals puts a row into every table of changes that wait.
func (s *scene) approvals(t *testing.T, tx *db.Tx) {
	t.Helper()
	s.deputy, s.delegation, s.attachment = id.NewMember(tx.Now), id.NewDelegation(tx.Now), id.NewAttachment(tx.Now)
	person, email := id.NewPerson(tx.Now), s.hash("deputy")
	require.NoError(t, tx.AddPerson(person, []byte("sealed"), []byte("sealed"), email[:]))
	require.NoError(t, tx.AddMember(s.deputy, person, "person", "https://"+s.mark("issuer"), s.mark("deputy")))
	_, err := tx.AddPolicies([]byte(`{"policies":["`+s.mark("policy")+`"]}`), tx.Now, s.change.ID)
	require.NoError(t, err)
	require.NoError(t, tx.AddRevision(s.revision(), 2, s.member.String()))
	require.NoError(t, tx.AddTerms(s.terms(2)))
	require.NoError(t, tx.AddDelegation(s.standIn(s.delegation), s.change.ID))
	vote := s.vote(tx)
	vote.MemberID, vote.PersonID = s.deputy, person
	require.NoError(t, tx.AddVote(vote))
	require.NoError(t, tx.AddRemark(s.change.ID, s.remark(tx)))
	require.NoError(t, tx.KeepDocument(s.change.ID, []byte(s.mark("kept"))))
	require.NoError(t, tx.AddAttachment(s.change.ID, s.file(s.attachment), []byte(s.mark("content"))))
}

func (s *scene) revision() approval.Change {
	revised := s.change
	revised.Payload, revised.Reason = []byte(`{"revised":"`+s.mark("revised")+`"}`), s.mark("reason")
	return revised
}

func (s *scene) terms(revision int) db.TermsRow {
	version := 1
	return db.TermsRow{ChangeID: s.change.ID, Revision: revision, PolicyVersion: &version, Policy: []byte(s.mark("held")), Impact: []byte(s.mark("impact")), RemindDays: 1}
}

func (s *scene) vote(tx *db.Tx) db.VoteRow {
	return db.VoteRow{ChangeID: s.change.ID, VoteID: id.NewVote(tx.Now), MemberID: s.member, PersonID: s.person, Digest: s.change.Digest[:], Basis: "second_person", Reason: s.mark("vote")}
}

func (s *scene) remark(tx *db.Tx) db.RemarkRow {
	return db.RemarkRow{RemarkID: id.NewRemark(tx.Now), Kind: "comment", Actor: s.member.String(), Body: s.mark("remark")}
}

func (s *scene) file(attachment id.Attachment) db.AttachmentRow {
	return db.AttachmentRow{AttachmentID: attachment, Name: s.mark("file"), MediaType: "text/plain", SHA256: s.change.Digest[:], Actor: s.member.String()}
}

func (s *scene) standIn(delegation id.Delegation) db.DelegationRow {
	at := delegation.Time()
	return db.DelegationRow{DelegationID: delegation, FromMemberID: s.member, ToMemberID: s.deputy, StartsAt: at.AddDate(0, 0, -1), EndsAt: at.AddDate(0, 0, 1)}
}

// readingApprovals is every query that reads what belongs to changes that wait.
func readingApprovals() map[string]query {
	return map[string]query{
		"Policies": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			row, _, err := tx.Policies(tx.Now)
			return text(row), err
		}},
		"PolicyVersions": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.PolicyVersions(500)
			return text(rows), err
		}},
		"Revisions": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Revisions(theirs.change.ID) }},
		"Terms": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			found, err := tx.Terms(theirs.change.ID)
			return len(found), err
		}},
		"Votes":       {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Votes(theirs.change.ID) }},
		"Remarks":     {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Remarks(theirs.change.ID, 500) }},
		"Attachments": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Attachments(theirs.change.ID) }},
		"Attachment": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, content, err := tx.Attachment(theirs.change.ID, theirs.attachment)
			return content, err
		}},
		"Delegations": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			all, err := tx.Delegations(false, 500)
			if err != nil {
				return nil, err
			}
			live, err := tx.Delegations(true, 500)
			return text([][]db.DelegationRow{all, live}), err
		}},
		"Persons": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.Persons(500)
			return text(rows), err
		}},
		"Waiting": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.Waiting([]string{"node"}, 500)
			return text(rows), err
		}},
		"KeptDocument":   {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.KeptDocument(theirs.change.ID) }},
		"KeyAssignments": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.KeyAssignments(theirs.key) }},
		"KeyCharge": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			charge, err := tx.KeyCharge(theirs.key, theirs.node, theirs.month)
			if charge != "0" {
				err = errors.Join(err, errors.New("another's charge"))
			}
			return charge, err
		}},
		"ToTend": {absent, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.ToTend(500) }},
	}
}

// writingApprovals is every query that writes what belongs to changes that wait.
func writingApprovals() map[string]query {
	return map[string]query{
		"LockPolicies": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockPolicies()) }},
		"AddPolicies": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.AddPolicies([]byte("{}"), tx.Now, theirs.change.ID)
			return nil, err
		}},
		"AddRevision": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddRevision(theirs.revision(), 3, "x"))
		}},
		"AddTerms": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.AddTerms(theirs.terms(3))) }},
		"AddVote": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			vote := mine.vote(tx)
			vote.ChangeID = theirs.change.ID
			return onlyError(tx.AddVote(vote))
		}},
		"AddRemark": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddRemark(theirs.change.ID, mine.remark(tx)))
		}},
		"AddAttachment": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddAttachment(theirs.change.ID, mine.file(id.NewAttachment(tx.Now)), []byte("x")))
		}},
		"KeepDocument": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.KeepDocument(theirs.change.ID, []byte("x")))
		}},
		"KeepSealed": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.KeepSealed(theirs.change.ID, []byte("x")))
		}},
		"AddDelegation": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddDelegation(theirs.standIn(id.NewDelegation(tx.Now)), mine.change.ID))
		}},
		"EndDelegation": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.EndDelegation(theirs.delegation, mine.change.ID))
		}},
	}
}
