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
