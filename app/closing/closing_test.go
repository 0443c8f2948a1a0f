package closing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/closing"
	"tollbook/app/money"
	"tollbook/app/period"
)

func cents(n int64) money.Sum {
	var s money.Sum
	s.AddCents(money.Cents(n))
	return s
}

// TestWhatIsMaterialBlocks whatever the amounts are: in all or at one node, and by nothing else.
func TestWhatIsMaterialBlocks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		month := rapid.Int64Range(0, 10_000).Draw(t, "month")
		u := closing.Unexplained{
			Materiality: closing.Materiality{Month: money.Cents(month), Node: money.Cents(rapid.Int64Range(0, month).Draw(t, "node"))},
			Residual:    money.Cents(rapid.Int64Range(0, 8000).Draw(t, "residual")),
			Explained:   cents(rapid.Int64Range(0, 8000).Draw(t, "explained")),
			Rounding:    cents(rapid.Int64Range(0, 2000).Draw(t, "rounding")),
		}
		require.NoError(t, u.Check())
		unknown, most := int64(0), int64(-1)
		for i, n := range rapid.SliceOfN(rapid.Int64Range(0, 3000), 0, 9).Draw(t, "nodes") {
			u.Nodes = append(u.Nodes, closing.NodeAmount{Code: fmt.Sprintf("CC-%d", i), Amount: cents(n)})
			unknown, most = unknown+n, max(most, n)
		}
		u.Unknown = cents(unknown)
		total := unknown + int64(u.Residual)
		f := closing.UnexplainedFacts(&u)
		require.Equal(t, total > month || most > int64(u.Node), len(f.Blocks) > 0, f.Blocks)
		absorbed := u.Explained
		require.Equal(t, total > 0 || absorbedAbove(&absorbed, &u.Rounding, month), f.Asks != "")
		sum := cents(total)
		require.Equal(t, closing.Figure{Name: "unexplained_usd", Value: sum.String()}, f.Figures[0])
		for _, b := range f.Blocks {
			require.Contains(t, []string{"unknown", "residual"}, b.Code)
		}
	})
}

func absorbedAbove(explained, rounding *money.Sum, month int64) bool {
	var sum money.Sum
	sum.AddSum(explained)
	sum.AddSum(rounding)
	most := cents(month)
	return sum.Cmp(&most) > 0
}

func TestWhatIsNoMaterialityIsRefused(t *testing.T) {
	t.Parallel()
	require.NoError(t, closing.Standard().Check())
	for _, m := range []closing.Materiality{{Month: -1}, {Month: 1, Node: 2}, {Month: 10, Node: -1}, {Month: 100_000_000_01}} {
		require.Error(t, m.Check(), m)
	}
}

// TestEachDayThatIsNotFinalIsNamed, the first few of each kind.
func TestEachDayThatIsNotFinalIsNamed(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	days := func(state string, n int) []closing.Day {
		list := make([]closing.Day, n)
		for i := range list {
			list[i] = closing.Day{Day: first.AddDate(0, 0, i), State: state}
		}
		return list
	}
	codes := func(f closing.Facts) string {
		var list []string
		for _, b := range f.Blocks {
			list = append(list, b.Code)
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct {
		name  string
		days  closing.Days
		codes string
		asks  bool
	}{
		{"nobody pulls reports", closing.Days{List: days("no_report", 31), TwoSign: true}, "", true},
		{"all are final", closing.Days{Sourced: true, List: days("reconciled", 31)}, "", false},
		{"within tolerance is final", closing.Days{Sourced: true, List: days("within_tolerance", 2)}, "", false},
		{"some lie before the source", closing.Days{Sourced: true, FirstDay: first.AddDate(0, 0, 1), List: days("no_report", 2)}, "day:2026-10-02", true},
		{"provisional", closing.Days{Sourced: true, List: days("provisional", 1)}, "day:2026-10-01", false},
		{"many", closing.Days{Sourced: true, List: days("no_report", 7)}, "day:2026-10-01 day:2026-10-02 day:2026-10-03 day:2026-10-04 day:2026-10-05 days", false},
		{"unsigned", closing.Days{Sourced: true, List: days("reconciled", 1), TwoSign: true}, "day:2026-10-01", false},
		{"signed", closing.Days{Sourced: true, List: []closing.Day{{Day: first, State: "exception", Signed: true}}, TwoSign: true}, "", false},
		{"open", closing.Days{Sourced: true, List: []closing.Day{{Day: first, State: "exception", Open: 2}}}, "day:2026-10-01", false},
	} {
		f := closing.DayFacts(&c.days)
		require.Equal(t, c.codes, codes(f), c.name)
		require.Equal(t, c.asks, f.Asks != "", c.name)
	}
}

// TestDueDaysPassOverHolidays besides weekends, and a list of nothing else comes to an end.
func TestDueDaysPassOverHolidays(t *testing.T) {
	t.Parallel()
	december, err := period.ParseMonth("2026-12")
	require.NoError(t, err)
	third, err := closing.Defined(closing.StepInvoice)
	require.NoError(t, err)
	due := func(days ...string) string {
		holidays := closing.Calendar{}
		for _, day := range days {
			at, err := time.Parse(time.DateOnly, day)
			require.NoError(t, err)
			holidays[at] = true
		}
		return third.Due(december, holidays).Format(time.DateOnly)
	}
	require.Equal(t, "2027-01-05", due(), "Friday, Monday, Tuesday")
	require.Equal(t, "2027-01-06", due("2027-01-01"))
	require.Equal(t, "2027-01-07", due("2027-01-01", "2027-01-06"))
	require.Equal(t, "2027-01-05", due("2027-01-02", "2027-01-06"), "a Saturday is none either way, and what comes after matters to nobody")
	rapid.Check(t, func(t *rapid.T) {
		holidays := closing.Calendar{}
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 400)).Draw(t, "days") {
			holidays[december.End().AddDate(0, 0, n)] = true
		}
		at := third.Due(december, holidays)
		worked := 0
		for day := december.End(); !day.After(at); day = day.AddDate(0, 0, 1) {
			if holidays.Workday(day) {
				worked++
			}
		}
		require.Equal(t, third.Workday, worked)
		require.True(t, holidays.Workday(at))
	})
}

func TestAListOfHolidaysIsTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	list, flaws := closing.ReadHolidays([]byte("date,name\n2026-12-25,Christmas Day\n2026-01-01,\"New Year, again\"\n"))
	require.Empty(t, flaws)
	require.Equal(t, []closing.Holiday{{Day: "2026-01-01", Name: "New Year, again"}, {Day: "2026-12-25", Name: "Christmas Day"}}, list)
	require.NoError(t, closing.CheckHolidays(list))
	for file, want := range map[string]string{
		"date,name\n2026-12-25,Christmas\n25.12.2026,x\n": "Line 3, column 1 (date)",
		"date,name\n2026-12-25,a\n2026-12-25,b\n":         "Line 3, column 1 (date): Line 2 has that day already",
		"date,name\n2026-12-25,\n":                        "Line 2, column 2 (name)",
		"date,name\n1999-12-25,x\n":                       "Line 2, column 1 (date)",
		"day,name\n2026-12-25,x\n":                        "date",
	} {
		list, flaws := closing.ReadHolidays([]byte(file))
		require.Empty(t, list, file)
		require.Contains(t, fmt.Sprint(flaws), want, file)
	}
	for _, list := range [][]closing.Holiday{{{Day: "2026-12-25"}}, {{Day: "2026-12-25", Name: "a"}, {Day: "2026-12-25", Name: "b"}}, {{Day: "2026-12-26", Name: "a"}, {Day: "2026-12-25", Name: "b"}}, make([]closing.Holiday, 1001)} {
		require.Error(t, closing.CheckHolidays(list))
	}
}

// TestWhatOwnersOweAsksOrBlocks as the company has it.
func TestWhatOwnersOweAsksOrBlocks(t *testing.T) {
	t.Parallel()
	f := closing.CommentaryFacts(&closing.Commented{Asked: 2, Owing: []string{"CC-1"}})
	require.Empty(t, f.Blocks)
	require.Contains(t, f.Asks, "CC-1")
	f = closing.CommentaryFacts(&closing.Commented{Asked: 2, Owing: []string{"CC-1"}, MustAnswer: true})
	require.Equal(t, "commentary", f.Blocks[0].Code)
	require.Empty(t, f.Asks)
	require.Contains(t, closing.CommentaryFacts(&closing.Commented{Asked: 1, Accepted: 1, Stale: []string{"CC-2"}}).Asks, "CC-2")
	f = closing.CommentaryFacts(&closing.Commented{Asked: 1, Accepted: 1, MustAnswer: true})
	require.Empty(t, f.Blocks)
	require.Empty(t, f.Asks)
	d := closing.DisputeFacts(&closing.Disputed{Raised: 3, Amount: cents(1234), Numbers: []int64{7, 9}})
	require.Empty(t, d.Blocks)
	require.Contains(t, d.Figures, closing.Figure{Name: "disputed_usd", Value: "12.340000000000"})
	require.Contains(t, d.Figures, closing.Figure{Name: "open_disputes", Value: "7, 9"})
}

// TestAReasonIsForTheNodesItNames: a reason was given for one node without a document, and
// now it is another.
func TestAReasonIsForTheNodesItNames(t *testing.T) {
	t.Parallel()
	m, err := period.ParseMonth("2026-10")
	require.NoError(t, err)
	bytes := func(nodes ...string) string {
		f := closing.CapitalFacts(&closing.Capital{Nodes: 2, Unevidenced: nodes})
		canonical, err := f.Canonical(m)
		require.NoError(t, err)
		return string(canonical)
	}
	require.NotEqual(t, bytes("P-1"), bytes("P-2"))
	require.Equal(t, bytes("P-1", "P-2"), bytes("P-2", "P-1"))
	require.NotEqual(t, bytes("P-1"), bytes())
}
