package commentary_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/commentary"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
)

func noon(day int) time.Time { return time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC) }

func take(t require.TestingT, s commentary.Standing, step commentary.Step, code string) commentary.Standing {
	next, err := s.Take(&step)
	if code == "" {
		require.NoError(t, err)
		return next
	}
	require.Error(t, err)
	require.Equal(t, code, fault.From(err).Code)
	require.Equal(t, s, next, "a refused step changes nothing")
	return s
}

func TestACommentaryIsAskedWrittenAndAcceptedBySomebodyElse(t *testing.T) {
	t.Parallel()
	owner, fin := id.NewPerson(noon(1)), id.NewPerson(noon(2))
	var s commentary.Standing
	s = take(t, s, commentary.Step{Kind: commentary.Reminded, At: noon(1)}, "commentary_not_asked")
	s = take(t, s, commentary.Step{Kind: commentary.Accepted, Person: fin, At: noon(1)}, "commentary_unwritten")
	s = take(t, s, commentary.Step{Kind: commentary.Asked, At: noon(1)}, "")
	s = take(t, s, commentary.Step{Kind: commentary.Asked, At: noon(1)}, "commentary_asked")
	s = take(t, s, commentary.Step{Kind: commentary.Reminded, At: noon(1).Add(11 * time.Hour)}, "commentary_reminded")
	s = take(t, s, commentary.Step{Kind: commentary.Reminded, At: noon(2)}, "")
	s = take(t, s, commentary.Step{Kind: commentary.Reminded, At: noon(2)}, "commentary_reminded")
	s = take(t, s, commentary.Step{Kind: commentary.Written, Person: owner, Digest: "a", At: noon(2)}, "commentary_text")
	s = take(t, s, commentary.Step{Kind: commentary.Written, Person: owner, Body: strings.Repeat("x", commentary.MaxText+1), Digest: "a", At: noon(2)}, "commentary_text")
	s = take(t, s, commentary.Step{Kind: commentary.Written, Person: owner, Body: "a\x00b", Digest: "a", At: noon(2)}, "commentary_text")
	s = take(t, s, commentary.Step{Kind: commentary.Written, Person: owner, Body: "a new\nteam", Digest: "a", At: noon(2)}, "")
	require.False(t, s.Stale("a"))
	require.True(t, s.Stale("b"))
	s = take(t, s, commentary.Step{Kind: commentary.Asked, At: noon(3)}, "commentary_answered")
	s = take(t, s, commentary.Step{Kind: commentary.Accepted, Person: owner, Digest: "a", At: noon(3)}, "maker_is_checker")
	s = take(t, s, commentary.Step{Kind: commentary.Accepted, Person: fin, Digest: "b", At: noon(3)}, "commentary_stale")
	s = take(t, s, commentary.Step{Kind: commentary.Returned, Person: fin, At: noon(3)}, "commentary_note")
	s = take(t, s, commentary.Step{Kind: commentary.Returned, Person: fin, Body: "which team?", At: noon(3)}, "")
	require.True(t, s.State.Owed())
	s = take(t, s, commentary.Step{Kind: commentary.Written, Person: owner, Body: "the platform team", Digest: "b", At: noon(4)}, "")
	require.Equal(t, 2, s.Revision)
	s = take(t, s, commentary.Step{Kind: commentary.Accepted, Person: fin, Digest: "b", At: noon(4)}, "")
	require.Equal(t, commentary.StateAccepted, s.State)
	take(t, s, commentary.Step{Kind: "answered", Person: fin, Body: "x", At: noon(4)}, "commentary_step_unknown")
}

func cents(c money.Cents) (s money.Sum) {
	s.AddCents(c)
	return s
}

func TestWhatCallsForACommentary(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		actual, plan, before money.Cents
		planned, want        bool
	}{
		"nothing moved":            {1000_00, 1000_00, 1000_00, true, false},
		"above the amount":         {1050_00, 1000_00, 1050_00, true, true},
		"below it and the percent": {1049_99, 1000_00, 1049_99, true, false},
		"above the percent":        {125_00, 100_00, 125_00, true, true},
		"a percentage of little":   {5_99, 1_00, 1_00, true, false},
		"moved without a plan":     {60_00, 0, 10_00, false, true},
		"no plan is no variance":   {60_00, 0, 60_00, false, false},
		"a plan of nothing":        {60_00, 0, 60_00, true, true},
		"under the plan":           {900_00, 1000_00, 900_00, true, true},
	} {
		f := commentary.Figures{Actual: cents(c.actual), Planned: c.planned, Plan: c.plan, Before: cents(c.before)}
		require.Equal(t, c.want, commentary.Standard().Crossed(&f), name)
	}
	require.Error(t, commentary.Threshold{Above: 0, Percent: 5}.Check())
	require.Error(t, commentary.Threshold{Above: 5, Percent: 1001}.Check())
	require.NoError(t, commentary.Standard().Check())
}

// TestFiguresComeBackAsTheyWere reads canonical bytes back, and any other figure is another digest.
func TestFiguresComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	m, err := period.ParseMonth("2026-10")
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		var f commentary.Figures
		f.Node = id.NewNode(noon(rapid.IntRange(1, 28).Draw(t, "node")))
		sums := []*money.Sum{&f.Actual, &f.Before, &f.Price, &f.Volume, &f.Mix, &f.Tools}
		for _, s := range sums {
			s.Add(money.Pico(rapid.Int64().Draw(t, "pico")))
		}
		if f.Planned = rapid.Bool().Draw(t, "planned"); f.Planned {
			f.Plan = money.Cents(rapid.Int64Range(-1e9, 1e9).Draw(t, "plan"))
		}
		bytes, err := f.Canonical(m)
		require.NoError(t, err)
		back, err := commentary.Read(bytes)
		require.NoError(t, err)
		again, err := back.Canonical(m)
		require.NoError(t, err)
		require.Equal(t, string(bytes), string(again))
		rapid.SampledFrom(sums).Draw(t, "which").Add(1)
		other, err := f.Canonical(m)
		require.NoError(t, err)
		require.NotEqual(t, commentary.Digest(bytes), commentary.Digest(other))
	})
	_, err = commentary.Read([]byte("{"))
	require.Error(t, err)
}

func TestCommentariesOfAMonthAreCounted(t *testing.T) {
	t.Parallel()
	var sum commentary.Sum
	sum.Add(&commentary.Standing{}, false)
	for i, state := range commentary.States() {
		sum.Add(&commentary.Standing{State: state}, i == 2)
	}
	require.Equal(t, commentary.Sum{Asked: 4, Owed: 2, Answered: 1, Accepted: 1, Stale: 1}, sum)
}
