package reconcile_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/id"
	"tollbook/app/reconcile"
)

func TestAVarianceIsReviewedByASecondPerson(t *testing.T) {
	t.Parallel()
	fin, cfo := id.NewPerson(day()), id.NewPerson(day())
	var v reconcile.Variance
	take := func(s reconcile.Step) error {
		next, err := v.Take(&s)
		if err == nil {
			v = next
		}
		return err
	}
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepFound, Amount: sum(500)}))
	require.ErrorIs(t, take(reconcile.Step{Kind: reconcile.StepAccepted, Person: cfo}), reconcile.ErrNotToCheck)
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepExplained, Person: fin}))
	require.ErrorIs(t, take(reconcile.Step{Kind: reconcile.StepAccepted, Person: fin}), reconcile.ErrSamePerson)
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepReturned, Person: cfo}))
	require.True(t, v.Due(day()))
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepExplained, Person: fin}))
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepFound, Amount: sum(500)}))
	require.Equal(t, reconcile.StandingExplained, v.Standing, "the same amount again changes nothing")
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepFound, Amount: sum(501)}))
	require.Equal(t, reconcile.StandingOpen, v.Standing, "what was explained was another amount")
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepWaiting, Person: fin, WaitUntil: day()}))
	require.False(t, v.Due(day()))
	require.True(t, v.Due(day().AddDate(0, 0, 1)))
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepGone}))
	require.Equal(t, reconcile.StandingResolved, v.Standing)
	require.ErrorIs(t, take(reconcile.Step{Kind: reconcile.StepExplained, Person: fin}), reconcile.ErrResolved)
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepFound, Amount: sum(500)}))
	require.Equal(t, reconcile.StandingOpen, v.Standing, "it came back")
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepExplained, Person: fin}))
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepAccepted, Person: cfo}))
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepFound, Amount: sum(500)}))
	require.Equal(t, reconcile.StandingResolved, v.Standing, "just this was explained, and agreed to")
	require.NoError(t, take(reconcile.Step{Kind: reconcile.StepFound, Amount: sum(499)}))
	require.Equal(t, reconcile.StandingOpen, v.Standing, "and not another amount")
}

// TestWhatWasAcceptedStaysAcceptedAtItsAmount: another run that finds just that opens nothing;
// another amount does, and anything that was gone, even an amount of nothing in all.
func TestWhatWasAcceptedStaysAcceptedAtItsAmount(t *testing.T) {
	t.Parallel()
	fin, cfo := id.NewPerson(day()), id.NewPerson(day())
	for _, amount := range []int64{5, 0} {
		var v reconcile.Variance
		for _, c := range []struct {
			step reconcile.Step
			want reconcile.Standing
		}{
			{reconcile.Step{Kind: reconcile.StepFound, Amount: sum(amount)}, reconcile.StandingOpen},
			{reconcile.Step{Kind: reconcile.StepExplained, Person: fin}, reconcile.StandingExplained},
			{reconcile.Step{Kind: reconcile.StepAccepted, Person: cfo}, reconcile.StandingResolved},
			{reconcile.Step{Kind: reconcile.StepFound, Amount: sum(amount), Quantity: 1}, reconcile.StandingResolved},
			{reconcile.Step{Kind: reconcile.StepFound, Amount: sum(amount + 1)}, reconcile.StandingOpen},
			{reconcile.Step{Kind: reconcile.StepGone}, reconcile.StandingResolved},
			{reconcile.Step{Kind: reconcile.StepFound, Amount: sum(0)}, reconcile.StandingOpen},
		} {
			next, err := v.Take(&c.step)
			require.NoError(t, err)
			require.Equal(t, c.want, next.Standing)
			v = next
		}
	}
}

// TestNoSequenceResolvesWhatOnePersonSaid: whatever is tried, in any order.
func TestNoSequenceResolvesWhatOnePersonSaid(t *testing.T) {
	t.Parallel()
	only := id.NewPerson(day())
	kinds := []reconcile.StepKind{reconcile.StepFound, reconcile.StepAssigned, reconcile.StepExplained, reconcile.StepWaiting, reconcile.StepAdjusted, reconcile.StepAccepted, reconcile.StepReturned}
	rapid.Check(t, func(t *rapid.T) {
		v, err := reconcile.Variance{}.Take(&reconcile.Step{Kind: reconcile.StepFound, Amount: sum(1)})
		require.NoError(t, err)
		for _, kind := range rapid.SliceOf(rapid.SampledFrom(kinds)).Draw(t, "steps") {
			next, err := v.Take(&reconcile.Step{Kind: kind, Person: only, Amount: sum(rapid.Int64Range(1, 3).Draw(t, "amount"))})
			if err == nil {
				v = next
			}
			require.NotEqual(t, reconcile.StandingResolved, v.Standing)
			require.True(t, v.Standing.Known())
		}
	})
}

// TestAnAuthorIsKnownByAccountAndByEveryPersonBehindIt, then and now.
func TestAnAuthorIsKnownByAccountAndByEveryPersonBehindIt(t *testing.T) {
	t.Parallel()
	one, two, three := id.NewPerson(day()), id.NewPerson(day()), id.NewPerson(day())
	for name, c := range map[string]struct {
		a, b reconcile.Author
		want bool
	}{
		"others":               {reconcile.Author{Actor: "a", Persons: []id.Person{one}}, reconcile.Author{Actor: "b", Persons: []id.Person{two}}, false},
		"nobody":               {reconcile.Author{}, reconcile.Author{}, false},
		"one account":          {reconcile.Author{Actor: "a", Persons: []id.Person{one}}, reconcile.Author{Actor: "a", Persons: []id.Person{two}}, true},
		"linked since":         {reconcile.Author{Actor: "a", Persons: []id.Person{one, three}}, reconcile.Author{Actor: "b", Persons: []id.Person{two, three}}, true},
		"linked then, not now": {reconcile.Author{Actor: "a", Persons: []id.Person{one, two}}, reconcile.Author{Actor: "b", Persons: []id.Person{one, three}}, true},
	} {
		require.Equal(t, c.want, c.a.Is(c.b), name)
		require.Equal(t, c.want, c.b.Is(c.a), name)
	}
}
