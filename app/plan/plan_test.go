package plan_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
)

func month(t require.TestingT, text string) period.Month {
	m, err := period.ParseMonth(text)
	require.NoError(t, err)
	return m
}

func day(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }

func TestYears(t *testing.T) {
	t.Parallel()
	calendar := plan.CalendarYear(month(t, "2026-11"))
	require.Equal(t, "2026-01 2026", calendar.String()+" "+calendar.Name())
	fiscal, err := plan.ParseYear("2026-07")
	require.NoError(t, err)
	require.Equal(t, "Jul 2026 to Jun 2027", fiscal.Name())
	require.Equal(t, "2025-07 2027-07", fiscal.Previous().String()+" "+fiscal.Next().String())
	place, in := fiscal.Place(month(t, "2027-06"))
	require.True(t, in)
	require.Equal(t, 11, place)
	_, in = fiscal.Place(month(t, "2027-07"))
	require.False(t, in)
	_, err = plan.ParseYear("2026")
	require.ErrorContains(t, err, "plan_year")
}

func TestTheVersionInForce(t *testing.T) {
	t.Parallel()
	year := plan.CalendarYear(month(t, "2026-11"))
	fiscal := plan.YearFrom(month(t, "2026-07"))
	versions := []plan.Version{
		{Number: 1, Year: year, EffectiveFrom: day(1), RecordedAt: day(5)},
		{Number: 2, Year: year, Ordinal: 1, EffectiveFrom: day(20), RecordedAt: day(10)},
		{Number: 3, Year: year, Ordinal: 2, EffectiveFrom: day(2), RecordedAt: day(25)}, // backdated: a correction
		{Number: 4, Year: plan.YearFrom(month(t, "2027-07")), EffectiveFrom: day(1), RecordedAt: day(1)},
	}
	for _, c := range []struct {
		asOf, known time.Time
		month       string
		want        int
	}{
		{day(1).Add(-1), time.Time{}, "2026-11", 0},                         // nothing had taken effect
		{day(1), time.Time{}, "2026-11", 1}, {day(1), day(4), "2026-11", 0}, // nobody knew of it
		{day(19), day(24), "2026-11", 1}, {day(20), day(24), "2026-11", 2}, {day(20), day(9), "2026-11", 1},
		{day(3), time.Time{}, "2026-11", 3}, {day(28), day(25), "2026-01", 3},
		{day(28), time.Time{}, "2027-01", 0}, {day(28), time.Time{}, "2027-07", 4},
	} {
		got, ok := plan.InForce(versions, month(t, c.month), c.asOf, c.known)
		require.Equal(t, c.want, got.Number, "%+v", c)
		require.Equal(t, c.want > 0, ok)
	}
	latest, ok := plan.Latest(versions, year)
	require.True(t, ok)
	require.Equal(t, "Reforecast 2", latest.Name())
	_, ok = plan.Latest(versions, fiscal)
	require.False(t, ok)
	require.Equal(t, "Original", versions[0].Name())
	// A plan of another year that holds the month, approved later, is the later word.
	versions = append(versions, plan.Version{Number: 5, Year: fiscal, EffectiveFrom: day(26), RecordedAt: day(26)})
	got, _ := plan.InForce(versions, month(t, "2026-11"), day(26), time.Time{})
	require.Equal(t, 5, got.Number)
	got, _ = plan.InForce(versions, month(t, "2026-06"), day(26), time.Time{})
	require.Equal(t, 3, got.Number)
}

// TestInForceNeverChangesBehindAnInstant adds versions recorded later: what was known
// before stays known.
func TestInForceNeverChangesBehindAnInstant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := month(t, "2026-11")
		n := rapid.IntRange(0, 6).Draw(t, "n")
		var versions []plan.Version
		at := day(1)
		for i := range n {
			at = at.AddDate(0, 0, rapid.IntRange(1, 4).Draw(t, "later"))
			versions = append(versions, plan.Version{
				Number: i + 1, Year: plan.CalendarYear(m), EffectiveFrom: day(rapid.IntRange(1, 28).Draw(t, "from")), RecordedAt: at,
			})
		}
		asOf, known := day(rapid.IntRange(1, 28).Draw(t, "as of")), at
		before, found := plan.InForce(versions, m, asOf, known)
		versions = append(versions, plan.Version{Number: n + 1, Year: plan.CalendarYear(m), EffectiveFrom: day(1), RecordedAt: at.Add(time.Hour)})
		after, again := plan.InForce(versions, m, asOf, known)
		require.Equal(t, before, after)
		require.Equal(t, found, again)
		now, ok := plan.InForce(versions, m, asOf, time.Time{})
		require.True(t, ok)
		require.Equal(t, n+1, now.Number)
	})
}

func TestElapsedDays(t *testing.T) {
	t.Parallel()
	m := month(t, "2026-11")
	require.Equal(t, 0, plan.Elapsed(m, day(1).Add(-time.Nanosecond)))
	require.Equal(t, 1, plan.Elapsed(m, day(1)))
	require.Equal(t, 23, plan.Elapsed(m, time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)))
	require.Equal(t, 30, plan.Elapsed(m, day(31)))
	require.Equal(t, 30, plan.Elapsed(m, day(400)))
	require.Equal(t, money.Cents(7_360_000), plan.ToDate(9_600_000, 23, 30))
	require.Equal(t, money.Cents(33), plan.ToDate(100, 10, 30))
}

// TestPlanToDateSumsToTheMonth: the days of a month sum to its amount, grow with every
// day, and are never a cent from the exact share.
func TestPlanToDateSumsToTheMonth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := money.Cents(rapid.Int64Range(0, int64(plan.MaxCents)).Draw(t, "amount"))
		days := rapid.IntRange(28, 31).Draw(t, "days")
		require.Zero(t, plan.ToDate(amount, 0, days))
		require.Equal(t, amount, plan.ToDate(amount, days, days))
		before := money.Cents(0)
		for n := 1; n <= days; n++ {
			part := plan.ToDate(amount, n, days)
			require.GreaterOrEqual(t, part, before)
			before = part
			off := int64(part)*int64(days) - int64(amount)*int64(n) // in cents times days
			require.LessOrEqual(t, max(off, -off), int64(days))
		}
	})
}

func TestParseAmount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]plan.Amount{
		"": {}, "  ": {}, "0": plan.Of(0), "12000": plan.Of(1_200_000), "12,000.5": plan.Of(1_200_050), "$1,234,567.89": plan.Of(123_456_789),
		" 7.00 ": plan.Of(700), "10000000000": plan.Of(plan.MaxCents),
	} {
		got, err := plan.ParseAmount(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"x", "1,2", "12,00", "1234,567", ",100", "1.234,00", "1.005", "-1", "-1,000", "1e3", "$", "10000000000.01", "∞", "99999999999999999999"} {
		_, err := plan.ParseAmount(text)
		require.Error(t, err, text)
	}
}

func row(cents ...money.Cents) plan.Row {
	var r plan.Row
	for i, c := range cents {
		r[i] = plan.Of(c)
	}
	return r
}

func TestAGridRollsUpAndKeepsTheTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		nodes, parents := make([]id.Node, n), make([]int, n)
		g := plan.Grid{}
		for i := range nodes {
			nodes[i] = id.NewNode(day(1))
			parents[i] = rapid.IntRange(-1, i-1).Draw(t, "parent")
			var r plan.Row
			for m := range r {
				if rapid.Bool().Draw(t, "set") {
					r[m] = plan.Of(money.Cents(rapid.Int64Range(0, 1_000_000).Draw(t, "cents")))
				}
			}
			g.Set(nodes[i], r)
		}
		gone := id.NewNode(day(2))
		g.Set(gone, row(5))
		above := func(node id.Node) []id.Node {
			var chain []id.Node
			for i := range nodes {
				if nodes[i] == node {
					for at := i; at >= 0; at = parents[at] {
						chain = append(chain, nodes[at])
					}
				}
			}
			return chain
		}
		rolled := g.Rolled(above)
		var roots plan.Row
		for i := range nodes {
			if parents[i] < 0 {
				roots = roots.Plus(rolled[nodes[i]])
			}
		}
		require.Equal(t, g.Total(), roots.Plus(rolled[gone]), "roots and what is in no tree are the whole")
		require.Equal(t, row(5), rolled[gone])
		require.Equal(t, g.Document(plan.YearFrom(month(t, "2026-01"))), g.Clone().Document(plan.YearFrom(month(t, "2026-01"))))
	})
}

func write(year plan.Year, lines []plan.Line) []byte {
	var out strings.Builder
	out.WriteString("code")
	for _, m := range year.Each() {
		out.WriteString("," + m.String())
	}
	for _, l := range lines {
		out.WriteString("\r\n" + l.Code)
		for _, c := range l.Cells {
			out.WriteByte(',')
			if c.Amount.Set {
				out.WriteString(c.Amount.Cents.String())
			}
		}
	}
	return []byte(out.String())
}

func TestALockedMonthKeepsItsPlan(t *testing.T) {
	t.Parallel()
	year := plan.YearFrom(month(t, "2026-01"))
	node := id.NewNode(day(1))
	base := plan.Grid{node: row(100, 200)}
	lines, problems := plan.Read(year, []byte("code,2026-03,2026-02,2026-01\nA,1,5,1.00\n"), map[string]id.Node{"A": node})
	require.Empty(t, problems)
	require.Empty(t, plan.Locked(year, base, lines, [plan.Months]bool{true}), "the amount it has is no change")
	got := plan.Locked(year, base, lines, [plan.Months]bool{true, true, true})
	require.Len(t, got, 2)
	require.Equal(t, []int{2, 3}, []int{got[1].Line, got[1].Column})
	require.Contains(t, got[1].Message, "2026-02 are locked")
}

// TestAFileReadsBackAsWhatItWasWrittenFrom writes any plan and reads it.
func TestAFileReadsBackAsWhatItWasWrittenFrom(t *testing.T) {
	t.Parallel()
	year := plan.YearFrom(month(t, "2026-07"))
	rapid.Check(t, func(t *rapid.T) {
		nodes, base, lines := map[string]id.Node{}, plan.Grid{}, []plan.Line{}
		for i := range rapid.IntRange(1, 8).Draw(t, "n") {
			code := "CC-" + strconv.Itoa(i)
			nodes[code] = id.NewNode(day(1))
			base.Set(nodes[code], row(rapid.SliceOfN(rapid.Map(rapid.Int64Range(0, 99_999), func(n int64) money.Cents { return money.Cents(n) }), 0, 12).Draw(t, "base")...))
			l := plan.Line{Number: i + 2, Code: code, Node: nodes[code]}
			for m := range plan.Months {
				var a plan.Amount
				if rapid.Bool().Draw(t, "set") {
					a = plan.Of(money.Cents(rapid.Int64Range(0, int64(plan.MaxCents)).Draw(t, "cents")))
				}
				l.Cells = append(l.Cells, plan.Cell{Place: m, Column: m + 2, Amount: a})
			}
			lines = append(lines, l)
		}
		read, problems := plan.Read(year, write(year, lines), nodes)
		require.Empty(t, problems)
		require.Equal(t, lines, read)
		next, effects := plan.Apply(base, read)
		for _, e := range effects {
			require.Equal(t, base[e.Node], e.Before)
			require.Equal(t, next[e.Node], e.After)
			require.Equal(t, e.Before == e.After, e.Kind() == "unchanged")
			require.Equal(t, e.Kind() == "unchanged", len(e.Moved()) == 0)
		}
		require.Equal(t, year.Month(3), year.Each()[3])
	})
}

func TestWhatIsNotInAFileStays(t *testing.T) {
	t.Parallel()
	year := plan.YearFrom(month(t, "2026-01"))
	a, b, c := id.NewNode(day(1)), id.NewNode(day(1)), id.NewNode(day(1))
	nodes := map[string]id.Node{"A": a, "B": b, "C": c}
	base := plan.Grid{a: row(100, 200), b: row(300)}
	lines, problems := plan.Read(year, []byte("\ufeffname,2026-02,Code\r\n\"Team, A\",\"$1,250.00\",A\r\nx,,C\r\n"), nodes)
	require.Empty(t, problems)
	next, effects := plan.Apply(base, lines)
	require.Equal(t, plan.Grid{a: row(100, 125_000), b: row(300)}, next)
	require.Equal(t, []string{"changed", "unchanged"}, []string{effects[0].Kind(), effects[1].Kind()})
	require.Equal(t, []int{1}, effects[0].Moved())
	require.Equal(t, 2, effects[0].Line)
	require.Equal(t, row(100, 200), base[a], "the base is not touched")
	lines, problems = plan.Read(year, []byte("code,2026-01\nB,\nC,5\n"), nodes)
	require.Empty(t, problems)
	next, effects = plan.Apply(base, lines)
	require.Equal(t, plan.Grid{a: row(100, 200), c: row(500)}, next)
	require.Equal(t, []string{"removed", "added"}, []string{effects[0].Kind(), effects[1].Kind()})
}

func TestABadFileIsRefusedWholeAndEveryErrorIsTold(t *testing.T) {
	t.Parallel()
	year := plan.YearFrom(month(t, "2026-01"))
	nodes := map[string]id.Node{"A": id.NewNode(day(1)), "B": id.NewNode(day(1))}
	for name, c := range map[string]struct {
		file string
		want []string // line:column message
	}{
		"empty":             {"", []string{"1:0 The file is empty"}},
		"no lines":          {"code,2026-01\n", []string{"2:0 The file names columns"}},
		"semicolons":        {"code;2026-01\nA;1\n", []string{"1:1 The columns are not separated by commas"}},
		"not UTF-8":         {"code,2026-01\nA\xff,1\n", []string{"1:0 The file is not UTF-8"}},
		"columns":           {"name,2027-01,2026-13,2026-02,2026-02\nx,1,1,1,1\n", []string{"1:2 2027-01 is not in 2026", `1:3 "2026-13" is no column`, `1:5 Column "2026-02" is there twice`, `1:0 There is no column "code"`}},
		"no month":          {"code,name\nA,x\n", []string{"1:0 There is no column of a month"}},
		"amounts and nodes": {"code,2026-01,2026-02\nA,x,-5\nZ,1,2\nA,1,1.005\nB,1\n,1,1\n", []string{`2:2 "x" is not an amount`, `2:3 "-5" is below zero`, `3:1 No node has the code "Z"`, "4:1 A is in line 2, too", `4:3 "1.005" is not`, "5:3 The line has 2 fields", "6:1 The node's code is missing"}},
		"quotes":            {"code,2026-01\nA,\"1\nB,2\n", []string{"2:0 The line cannot be read as CSV", "Nothing after it was read"}},
		"too large":         {"code,2026-01\n" + strings.Repeat("A,1\n", plan.MaxFile/4), []string{"1:0 The file has more than"}},
	} {
		lines, problems := plan.Read(year, []byte(c.file), nodes)
		require.Nil(t, lines, name)
		var told strings.Builder
		for _, p := range problems {
			told.WriteString(strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) + " " + p.Message + "\n")
		}
		for _, want := range c.want {
			require.Contains(t, told.String(), want, name)
		}
	}
	_, problems := plan.Read(year, []byte("code,2026-01\n"+strings.Repeat("Z,x\n", 5000)), nodes)
	require.Len(t, problems, plan.MaxProblems)
	require.Equal(t, "2026-01", problems[1].Head)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("code,2026-01\nA,1\n"))
	f.Add([]byte("code,name,2026-01\nA,\"x,y\",\"1,000.00\"\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		year := plan.YearFrom(month(t, "2026-01"))
		nodes := map[string]id.Node{"A": id.NewNode(day(1))}
		lines, problems := plan.Read(year, file, nodes)
		require.Equal(t, len(problems) == 0, len(lines) > 0)
		require.LessOrEqual(t, len(problems), plan.MaxProblems+1)
		for _, l := range lines {
			require.Equal(t, nodes["A"], l.Node)
		}
	})
}
