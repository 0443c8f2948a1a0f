package dispute_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/approval"
	"tollbook/app/dispute"
	"tollbook/app/fault"
	"tollbook/app/id"
)

func at(hour int) time.Time {
	return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(hour) * time.Hour)
}

func TestOneSideRaisesAndTheOtherAnswers(t *testing.T) {
	t.Parallel()
	raiser, receiver, fin := id.NewPerson(at(1)), id.NewPerson(at(2)), id.NewPerson(at(3))
	_, err := dispute.Raise(&dispute.Step{Person: raiser})
	require.Equal(t, "dispute_reason", fault.From(err).Code)
	s, err := dispute.Raise(&dispute.Step{Kind: dispute.Raised, Person: raiser, Note: "theirs", At: at(1)})
	require.NoError(t, err)
	for _, c := range []struct {
		kind dispute.Kind
		by   id.Person
		note string
		code string
	}{
		{dispute.Accepted, raiser, "mine", "maker_is_checker"},
		{dispute.Kept, raiser, "mine", "maker_is_checker"},
		{dispute.Withdrawn, receiver, "mine", "dispute_not_yours"},
		{dispute.Accepted, receiver, "", "dispute_reason"},
		{dispute.Raised, receiver, "again", "dispute_step_unknown"},
		{"shelved", receiver, "later", "dispute_step_unknown"},
	} {
		_, err := s.Take(&dispute.Step{Kind: c.kind, Person: c.by, Note: c.note, At: at(2)})
		require.Equal(t, c.code, fault.From(err).Code, c.kind)
	}
	accepted, err := s.Take(&dispute.Step{Kind: dispute.Accepted, Person: receiver, Note: "ours", At: at(2)})
	require.NoError(t, err)
	require.Equal(t, dispute.WaitsFinance, accepted.State.Waits(true))
	_, err = accepted.Take(&dispute.Step{Kind: dispute.Declined, Person: receiver, Note: "no", At: at(3)})
	require.Equal(t, "dispute_out_of_turn", fault.From(err).Code)
	proposed, err := accepted.Take(&dispute.Step{Kind: dispute.Proposed, Person: fin, Note: "agreed", At: at(3)})
	require.NoError(t, err)
	_, err = proposed.Take(&dispute.Step{Kind: dispute.Withdrawn, Person: raiser, Note: "no", At: at(4)})
	require.Equal(t, "dispute_under_way", fault.From(err).Code)
	require.Equal(t, proposed, proposed.Resolved(approval.StateProposed, at(4)))
	moved := proposed.Resolved(approval.StateApplied, at(4))
	require.Equal(t, dispute.StateMoved, moved.State)
	require.Equal(t, at(4), moved.Since)
	_, err = moved.Take(&dispute.Step{Kind: dispute.Kept, Person: fin, Note: "no", At: at(5)})
	require.Equal(t, "dispute_ended", fault.From(err).Code)
	require.Equal(t, dispute.StateAccepted, proposed.Resolved(approval.StateRejected, at(4)).State, "it stands where it stood")
	require.Equal(t, accepted, accepted.Resolved(approval.StateApplied, at(4)), "another's change is nothing to it")
	require.Equal(t, []dispute.Waits{dispute.WaitsFinance, dispute.WaitsOwner, dispute.WaitsApprover, dispute.WaitsNobody}, []dispute.Waits{
		dispute.StateOpen.Waits(false), dispute.StateOpen.Waits(true), dispute.StateProposed.Waits(true), dispute.StateKept.Waits(true),
	})
	require.Equal(t, []int{0, 1, 0}, []int{dispute.AgeDays(at(0), at(23)), dispute.AgeDays(at(0), at(47)), dispute.AgeDays(at(9), at(0))})
}

// TestNoSequenceOfStepsRevivesADispute takes any steps in any order: what has ended stays so, and
// only a change that was applied moves charges.
func TestNoSequenceOfStepsRevivesADispute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		people := []id.Person{id.NewPerson(at(1)), id.NewPerson(at(2)), id.NewPerson(at(3))}
		s, err := dispute.Raise(&dispute.Step{Kind: dispute.Raised, Person: people[0], Note: "x", At: at(1)})
		require.NoError(t, err)
		applied := false
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			ended := s.State.Ended()
			before := s
			if rapid.Bool().Draw(t, "decide") {
				change := rapid.SampledFrom([]approval.State{approval.StateProposed, approval.StateApproved, approval.StateRejected, approval.StateExpired, approval.StateApplied}).Draw(t, "change")
				s = s.Resolved(change, at(2))
				applied = applied || (before.State == dispute.StateProposed && change == approval.StateApplied)
			} else {
				kind := rapid.SampledFrom([]dispute.Kind{dispute.Raised, dispute.Accepted, dispute.Declined, dispute.Withdrawn, dispute.Proposed, dispute.Kept}).Draw(t, "kind")
				next, err := s.Take(&dispute.Step{Kind: kind, Person: rapid.SampledFrom(people).Draw(t, "who"), Note: "x", At: at(2)})
				if err != nil {
					require.Equal(t, s, next)
				}
				s = next
			}
			require.True(t, s.State.Known())
			require.False(t, ended && s != before, "what has ended stays as it is")
			require.Equal(t, applied, s.State == dispute.StateMoved)
		}
	})
}
