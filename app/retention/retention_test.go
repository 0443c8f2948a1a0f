package retention_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/period"
	"tollbook/app/retention"
)

func month(t require.TestingT, text string) period.Month {
	m, err := period.ParseMonth(text)
	require.NoError(t, err)
	return m
}

func day(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

func TestAMonthExpiresWhenItsTermIsOver(t *testing.T) {
	t.Parallel()
	may := month(t, "2019-05")
	for name, c := range map[string]struct {
		class  retention.Class
		closed string
		terms  []retention.Term
		holds  []retention.Hold
		at     string
		gone   bool
	}{
		"books open":                   {class: retention.Usage, at: "2099-01-01"},
		"the day before":               {class: retention.Usage, closed: "2019-06-04", at: "2026-06-30"},
		"the day":                      {class: retention.Usage, closed: "2019-06-04", at: "2026-07-01", gone: true},
		"closed in a leap day's month": {class: retention.Audit, closed: "2020-02-29", at: "2027-02-28"},
		"and after it":                 {class: retention.Audit, closed: "2020-02-29", at: "2027-03-01", gone: true},
		"closed before it was over":    {class: retention.Usage, closed: "2019-05-30", at: "2026-06-01", gone: true},
		"notices wait for no close":    {class: retention.Notices, at: "2026-06-01", gone: true},
		"a shorter term":               {class: retention.Sessions, terms: []retention.Term{{Class: retention.Sessions, Years: 1, EffectiveFrom: day("2019-01-01")}}, at: "2020-06-01", gone: true},
		"a term of another class":      {class: retention.Sessions, terms: []retention.Term{{Class: retention.Notices, Years: 1, EffectiveFrom: day("2019-01-01")}}, at: "2020-06-01"},
		"a term still to come":         {class: retention.Sessions, terms: []retention.Term{{Class: retention.Sessions, Years: 1, EffectiveFrom: day("2020-06-02")}}, at: "2020-06-01"},
		"a longer term since":          {class: retention.Usage, closed: "2019-06-04", terms: []retention.Term{{Class: retention.Usage, Years: 10, EffectiveFrom: day("2026-07-01")}}, at: "2026-07-01"},
		"a hold on everything":         {class: retention.Notices, holds: []retention.Hold{{}}, at: "2026-06-01"},
		"a hold on the month":          {class: retention.Notices, holds: []retention.Hold{{First: may, Last: may}}, at: "2026-06-01"},
		"a hold on the month before":   {class: retention.Notices, holds: []retention.Hold{{First: may.Previous(), Last: may.Previous()}}, at: "2026-06-01", gone: true},
		"a hold that ended":            {class: retention.Notices, holds: []retention.Hold{{Ended: true}}, at: "2026-06-01", gone: true},
		"one of two holds ended":       {class: retention.Notices, holds: []retention.Hold{{Ended: true}, {First: may.Previous(), Last: may.Next()}}, at: "2026-06-01"},
	} {
		kept := retention.Kept{Month: may}
		if c.closed != "" {
			kept.ClosedAt = day(c.closed)
		}
		gone := retention.Expired(c.class, []retention.Kept{kept}, c.terms, c.holds, day(c.at))
		require.Equal(t, c.gone, len(gone) == 1, name)
	}
}

func TestYearsHaveAFloor(t *testing.T) {
	t.Parallel()
	for _, class := range retention.Classes() {
		require.NoError(t, class.Check(class.Floor()))
		require.Error(t, class.Check(class.Floor()-1))
		require.Error(t, class.Check(retention.MaxYears+1))
		parsed, err := retention.Parse(string(class))
		require.NoError(t, err)
		require.Equal(t, class, parsed)
	}
	require.Equal(t, 7, retention.Usage.Floor())
	require.Equal(t, 7, retention.Audit.Floor())
	_, err := retention.Parse("everything")
	require.Error(t, err)
}

// TestWhatExpiredStaysSo holds for any terms and holds: time alone brings nothing back, a hold
// only ever keeps more, and neither does the order in which terms are told matter.
func TestWhatExpiredStaysSo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		class := rapid.SampledFrom(retention.Classes()).Draw(t, "class")
		m := period.MonthOf(day("2015-01-01").AddDate(0, rapid.IntRange(0, 90).Draw(t, "month"), 0))
		kept := retention.Kept{Month: m, ClosedAt: m.Start().AddDate(0, 0, rapid.IntRange(0, 400).Draw(t, "closed"))}
		var terms []retention.Term
		for i := range rapid.IntRange(0, 5).Draw(t, "terms") {
			terms = append(terms, retention.Term{
				Class: class, Years: rapid.IntRange(class.Floor(), 12).Draw(t, "years"), RecordedAt: day("2014-01-01").Add(time.Duration(i)),
				EffectiveFrom: day("2014-01-01").AddDate(0, rapid.IntRange(0, 60).Draw(t, "from"), 0),
			})
		}
		at := day("2020-01-01").AddDate(0, 0, rapid.IntRange(0, 5000).Draw(t, "at"))
		gone := func(holds []retention.Hold, at time.Time) bool {
			return len(retention.Expired(class, []retention.Kept{kept}, terms, holds, at)) == 1
		}
		before := gone(nil, at)
		if before && !gone(nil, at.AddDate(0, 0, rapid.IntRange(0, 5000).Draw(t, "later"))) {
			t.Fatal("it came back")
		}
		hold := retention.Hold{First: m.Previous(), Last: m.Next()}
		if gone([]retention.Hold{hold}, at) {
			t.Fatal("it went under a hold")
		}
		for i, j := 0, len(terms)-1; i < j; i, j = i+1, j-1 {
			terms[i], terms[j] = terms[j], terms[i]
		}
		if gone(nil, at) != before {
			t.Fatal("the order of the terms matters")
		}
	})
}
