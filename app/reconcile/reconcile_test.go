package reconcile_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/reconcile"
)

func day() time.Time { return time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC) }

func tokenMeters() []reconcile.Meter {
	return []reconcile.Meter{reconcile.MeterInput, reconcile.MeterOutput, reconcile.MeterCacheWrite5m, reconcile.MeterCacheWrite1h, reconcile.MeterCacheRead}
}

// rate is pico-dollars per unit of a model's meter; half of it in the batch tier.
func rate(model int, tier string, meter reconcile.Meter) int64 {
	r := map[reconcile.Meter]int64{
		reconcile.MeterInput: 4_000_000, reconcile.MeterOutput: 20_000_000, reconcile.MeterCacheWrite5m: 5_000_000, reconcile.MeterCacheWrite1h: 8_000_000,
		reconcile.MeterCacheRead: 200_000, reconcile.MeterWebSearch: 10_000_000_000,
	}[meter] * int64(model+1)
	if tier == "batch" && meter != reconcile.MeterWebSearch {
		r /= 2
	}
	return r
}

func sum(n int64) money.Sum {
	var s money.Sum
	s.Add(money.Pico(n))
	return s
}

// net takes a discount off, as the provider does: half up, once a row.
func net(list *money.Sum, bps int64) money.Sum {
	return list.Scaled(big.NewInt(10_000-bps), big.NewInt(10_000))
}

// world is both sides of a day that agree, until something is planted.
type world struct {
	day   reconcile.Day
	nodes []id.Node
	bps   int64
}

func group(model int, tier string) reconcile.Group {
	return reconcile.Group{Surface: reconcile.SurfaceGateway, Model: fmt.Sprintf("model-%d", model), Tier: tier, Speed: "standard", Geography: "global"}
}

// agreeing makes a day on which both sides agree: each model with some requests in the
// standard tier.
func agreeing(models int, bps int64) *world {
	w := &world{bps: bps, day: reconcile.Day{Day: day(), CoversUsage: true, CoversCost: true, Complete: true, DiscountBps: bps}}
	for range 3 {
		w.nodes = append(w.nodes, id.NewNode(day()))
	}
	for m := range models {
		for k, meter := range append(tokenMeters(), reconcile.MeterWebSearch) {
			w.both(m, "standard", meter, int64(1000+100*m+10*k), 10)
		}
		w.both(m, "standard", reconcile.MeterRequests, 10, 10)
	}
	return w
}

// both adds to both sides.
func (w *world) both(model int, tier string, meter reconcile.Meter, quantity, requests int64) {
	w.ours(model, tier, meter, quantity, requests)
	w.theirs(group(model, tier), meter, quantity, quantity*rate(model, tier, meter))
}

func (w *world) ours(model int, tier string, meter reconcile.Meter, quantity, requests int64) *reconcile.Fact {
	list := sum(quantity * rate(model, tier, meter))
	f := reconcile.Fact{
		Cell: reconcile.Cell{Group: group(model, tier), Meter: meter}, Quantity: quantity, List: list, Net: net(&list, w.bps), Requests: requests, Largest: quantity, DiscountBps: w.bps,
		RateLow: money.Pico(rate(model, tier, meter)), RateHigh: money.Pico(rate(model, tier, meter)),
	}
	if meter == reconcile.MeterRequests {
		f.Largest = 1
	}
	for i, node := range w.nodes {
		f.Nodes = append(f.Nodes, reconcile.Charged{Node: node, Amount: sum(int64(i + 1))})
	}
	w.day.Facts = append(w.day.Facts, f)
	return &w.day.Facts[len(w.day.Facts)-1]
}

// theirs adds to the provider's side; a quantity of zero is a cost alone.
func (w *world) theirs(g reconcile.Group, meter reconcile.Meter, quantity, list int64) {
	cell := reconcile.Cell{Group: g, Meter: meter}
	if quantity != 0 {
		w.day.Counts = append(w.day.Counts, reconcile.Count{Cell: cell, Quantity: quantity})
	}
	if meter == reconcile.MeterRequests {
		return
	}
	l := sum(list)
	w.day.Costs = append(w.day.Costs, reconcile.Cost{Cell: cell, List: l, Amount: net(&l, w.bps), Rows: 1})
}

// fact finds one of ours.
func (w *world) fact(model int, meter reconcile.Meter) *reconcile.Fact {
	k := slices.IndexFunc(w.day.Facts, func(f reconcile.Fact) bool { return f.Group == group(model, "standard") && f.Meter == meter })
	return &w.day.Facts[k]
}

// want is what one planted discrepancy has to be found as.
type want struct {
	subject reconcile.Subject
	amount  int64 // list, pico-dollars, before the discount
	credit  int64 // as it is
}

func gateway(class reconcile.Class, model int) reconcile.Subject {
	return reconcile.Subject{Class: class, Surface: reconcile.SurfaceGateway, Model: fmt.Sprintf("model-%d", model)}
}

// plants are discrepancies by name, each about one model.
func plants() map[string]func(*world, int, int64) want {
	return map[string]func(*world, int, int64) want{
		"late": func(w *world, m int, n int64) want {
			for _, meter := range []reconcile.Meter{reconcile.MeterRequests, reconcile.MeterInput} {
				w.ours(m, "standard", meter, n, 1)
				w.day.After = append(w.day.After, reconcile.Count{Cell: reconcile.Cell{Group: group(m, "standard"), Meter: meter}, Quantity: n})
			}
			return want{subject: gateway(reconcile.ClassLate, m), amount: -n * rate(m, "standard", reconcile.MeterInput)}
		},
		"aborted": func(w *world, m int, n int64) want {
			w.day.Loose = append(w.day.Loose, reconcile.Loose{Model: fmt.Sprintf("model-%d", m), Unfinished: 1, Nodes: []reconcile.Charged{{Node: w.nodes[0], Amount: sum(1)}}})
			w.theirs(group(m, "standard"), reconcile.MeterOutput, n, n*rate(m, "standard", reconcile.MeterOutput))
			return want{subject: gateway(reconcile.ClassAborted, m), amount: n * rate(m, "standard", reconcile.MeterOutput)}
		},
		"open": func(w *world, m int, n int64) want {
			w.day.Loose = append(w.day.Loose, reconcile.Loose{Model: fmt.Sprintf("model-%d", m), Blind: 2})
			w.theirs(group(m, "standard"), reconcile.MeterRequests, 1, 0)
			w.theirs(group(m, "standard"), reconcile.MeterCacheRead, n, n*rate(m, "standard", reconcile.MeterCacheRead))
			return want{subject: gateway(reconcile.ClassAborted, m), amount: n * rate(m, "standard", reconcile.MeterCacheRead)}
		},
		"bypass": func(w *world, m int, n int64) want {
			g := group(m, "standard")
			g.Surface, g.Key = reconcile.SurfaceKey, "apikey_other"
			w.theirs(g, reconcile.MeterRequests, 1, 0)
			w.theirs(g, reconcile.MeterOutput, n, n*rate(m, "standard", reconcile.MeterOutput))
			return want{subject: reconcile.Subject{Class: reconcile.ClassBypass, Surface: g.Surface, Key: g.Key, Model: g.Model}, amount: n * rate(m, "standard", reconcile.MeterOutput)}
		},
		"unknown price": func(w *world, m int, n int64) want {
			f := w.ours(m, "priority", reconcile.MeterInput, n, 1)
			f.Unpriced = f.List
			w.theirs(f.Group, reconcile.MeterInput, n, n*rate(m, "batch", reconcile.MeterInput))
			return want{subject: gateway(reconcile.ClassUnknownPrice, m), amount: n*rate(m, "batch", reconcile.MeterInput) - n*rate(m, "priority", reconcile.MeterInput)}
		},
		"tier": func(w *world, m int, n int64) want {
			w.ours(m, "standard", reconcile.MeterRequests, 1, 1)
			w.ours(m, "standard", reconcile.MeterOutput, n, 1)
			w.theirs(group(m, "batch"), reconcile.MeterRequests, 1, 0)
			w.theirs(group(m, "batch"), reconcile.MeterOutput, n, n*rate(m, "batch", reconcile.MeterOutput))
			return want{subject: gateway(reconcile.ClassTier, m), amount: n*rate(m, "batch", reconcile.MeterOutput) - n*rate(m, "standard", reconcile.MeterOutput)}
		},
		"class": func(w *world, m int, n int64) want {
			w.ours(m, "standard", reconcile.MeterCacheWrite5m, n, 1)
			w.theirs(group(m, "standard"), reconcile.MeterCacheWrite1h, n, n*rate(m, "standard", reconcile.MeterCacheWrite1h))
			return want{subject: gateway(reconcile.ClassMeter, m), amount: n*rate(m, "standard", reconcile.MeterCacheWrite1h) - n*rate(m, "standard", reconcile.MeterCacheWrite5m)}
		},
		"price": func(w *world, m int, n int64) want {
			w.theirs(group(m, "standard"), reconcile.MeterInput, 0, n)
			return want{subject: gateway(reconcile.ClassPrice, m), amount: n}
		},
		"fee": func(w *world, m int, n int64) want {
			g := reconcile.Group{Surface: reconcile.SurfaceConsole, Model: fmt.Sprintf("fee-%d", m)}
			w.theirs(g, reconcile.MeterCodeExecution, 0, n)
			return want{subject: reconcile.Subject{Class: reconcile.ClassFee, Surface: g.Surface, Model: g.Model}, amount: n}
		},
		"credit": func(w *world, m int, n int64) want {
			c := reconcile.Cost{Cell: reconcile.Cell{Group: group(m, "standard"), Meter: reconcile.MeterOutput}, Rows: 1, Amount: sum(-n * 1000)}
			w.day.Costs = append(w.day.Costs, c)
			return want{subject: gateway(reconcile.ClassCredit, m), credit: -n * 1000}
		},
		"credit apart": func(w *world, m int, n int64) want {
			w.day.Costs = append(w.day.Costs, reconcile.Cost{Cell: reconcile.Cell{Group: group(m, ""), Meter: reconcile.MeterCredit}, Rows: 1, Amount: sum(-n)})
			return want{subject: gateway(reconcile.ClassCredit, m), credit: -n}
		},
		"missing at provider": func(w *world, m int, n int64) want {
			w.ours(m, "standard", reconcile.MeterRequests, 1, 1)
			w.ours(m, "standard", reconcile.MeterOutput, n, 1)
			return want{subject: gateway(reconcile.ClassMissingAtProvider, m), amount: -n * rate(m, "standard", reconcile.MeterOutput)}
		},
		"missing with us": func(w *world, m int, n int64) want {
			w.theirs(group(m, "standard"), reconcile.MeterRequests, 1, 0)
			w.theirs(group(m, "standard"), reconcile.MeterInput, n, n*rate(m, "standard", reconcile.MeterInput))
			return want{subject: gateway(reconcile.ClassMissingWithUs, m), amount: n * rate(m, "standard", reconcile.MeterInput)}
		},
		"reports": func(w *world, m int, n int64) want {
			w.day.Counts = append(w.day.Counts, reconcile.Count{Cell: reconcile.Cell{Group: group(m, "standard"), Meter: reconcile.MeterInput}, Quantity: n})
			return want{subject: gateway(reconcile.ClassReports, m)}
		},
	}
}

func names() []string {
	var list []string
	for name := range plants() {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// requireExact: the items are the difference, and shares by node their amounts.
func requireExact(t require.TestingT, r *reconcile.Result) {
	var total money.Sum
	for i := range r.Items {
		it := &r.Items[i]
		total.AddSum(&it.Amount)
		var shared money.Sum
		for k := range it.Nodes {
			shared.AddSum(&it.Nodes[k].Amount)
		}
		require.True(t, len(it.Nodes) == 0 || shared.Cmp(&it.Amount) == 0, "%s: %s by node, %s in all", it.Class, shared.String(), it.Amount.String())
		require.True(t, it.Class.Known())
		require.NotEmpty(t, it.Explanation)
	}
	require.Zero(t, total.Cmp(&r.Difference), "items %s, difference %s", total.String(), r.Difference.String())
}

// TestAnyDisjointPlantsAreFoundAndNothingElse plants any of them, each on a model of its own.
func TestAnyDisjointPlantsAreFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	all := plants()
	rapid.Check(t, func(t *rapid.T) {
		bps := rapid.SampledFrom([]int64{0, 1500, 733}).Draw(t, "discount")
		chosen := rapid.SliceOfN(rapid.SampledFrom(names()), 0, 6).Draw(t, "plants")
		w := agreeing(len(chosen)+1, bps)
		wanted := map[reconcile.Subject]want{}
		for m, name := range chosen {
			one := all[name](w, m, rapid.Int64Range(1, 200_000).Draw(t, "n"))
			wanted[one.subject] = one
		}
		seed := rapid.Permutation(w.day.Facts).Draw(t, "order")
		w.day.Facts = seed
		r := w.day.Match()
		requireExact(t, &r)
		require.Zero(t, r.Gross.Sign(), "%v", r.Items)
		found := map[reconcile.Subject]*money.Sum{}
		for i := range r.Items {
			it := &r.Items[i]
			if it.Class == reconcile.ClassRounding {
				size, most := it.Amount, sum(int64(4*10*len(w.day.Facts)))
				require.LessOrEqual(t, size.Cmp(&most), 0)
				continue
			}
			if found[it.Subject()] == nil {
				found[it.Subject()] = &money.Sum{}
			}
			found[it.Subject()].AddSum(&it.Amount)
		}
		require.Len(t, found, len(wanted), "%v", r.Items)
		for subject, one := range wanted {
			require.Contains(t, found, subject)
			list := sum(one.amount)
			expected := net(&list, bps)
			expected.Add(money.Pico(one.credit))
			var off money.Sum
			off.AddSum(found[subject])
			off.SubSum(&expected)
			// Each of at most four amounts of a plant rounds by itself where there is a discount.
			low, high := sum(-4), sum(4)
			if bps == 0 {
				low, high = sum(0), sum(0)
			}
			require.True(t, off.Cmp(&low) >= 0 && off.Cmp(&high) <= 0, "%s: found %s, planted %s", subject.Class, found[subject].String(), expected.String())
		}
	})
}

// TestItemsAreTheDifferenceOfAnyTwoSides draws sides that have nothing to do with one another.
func TestItemsAreTheDifferenceOfAnyTwoSides(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{bps: rapid.SampledFrom([]int64{0, 1500}).Draw(t, "discount"), nodes: []id.Node{id.NewNode(day()), id.NewNode(day())}}
		w.day = reconcile.Day{Day: day(), CoversUsage: rapid.Bool().Draw(t, "usage"), CoversCost: rapid.Bool().Draw(t, "cost"), Complete: rapid.Bool().Draw(t, "complete"), DiscountBps: w.bps}
		cell := func() (int, string, reconcile.Meter) {
			return rapid.IntRange(0, 2).Draw(t, "model"), rapid.SampledFrom([]string{"standard", "batch", ""}).Draw(t, "tier"), rapid.SampledFrom(reconcile.Meters()[:7]).Draw(t, "meter")
		}
		for range rapid.IntRange(0, 12).Draw(t, "ours") {
			m, tier, meter := cell()
			f := w.ours(m, tier, meter, rapid.Int64Range(0, 1000).Draw(t, "quantity"), 1)
			f.Net.Add(money.Pico(rapid.SampledFrom([]int64{0, 0, 1, -1, 1_000_000}).Draw(t, "off")))
			if rapid.Bool().Draw(t, "unpriced") {
				f.Unpriced = f.List
			}
			f.Held = rapid.Int64Range(0, f.Quantity).Draw(t, "held")
			f.DiscountBps = rapid.SampledFrom([]int64{w.bps, w.bps, 100}).Draw(t, "taken")
		}
		for range rapid.IntRange(0, 12).Draw(t, "theirs") {
			m, tier, meter := cell()
			g := group(m, tier)
			g.Surface = rapid.SampledFrom([]reconcile.Surface{reconcile.SurfaceGateway, reconcile.SurfaceGateway, reconcile.SurfaceKey, reconcile.SurfaceConsole}).Draw(t, "surface")
			w.theirs(g, meter, rapid.Int64Range(0, 1000).Draw(t, "count"), rapid.Int64Range(0, 1e12).Draw(t, "list"))
			if n := len(w.day.Costs); n > 0 {
				w.day.Costs[n-1].Amount.Add(money.Pico(rapid.Int64Range(-2e6, 2).Draw(t, "credit")))
			}
		}
		for m := range 3 {
			w.day.Loose = append(w.day.Loose, reconcile.Loose{Model: fmt.Sprintf("model-%d", m), Unfinished: rapid.Int64Range(0, 3).Draw(t, "unfinished"), Blind: rapid.Int64Range(0, 3).Draw(t, "blind")})
		}
		r := w.day.Match()
		requireExact(t, &r)
		again := w.day.Match()
		require.Equal(t, fmt.Sprint(r.Items), fmt.Sprint(again.Items), "the same sides give the same items")
	})
}

// TestWhatNothingExplainsIsUnknown: counts that are off without any evidence, and what is
// above what a class can explain.
func TestWhatNothingExplainsIsUnknown(t *testing.T) {
	t.Parallel()
	w := agreeing(2, 0)
	w.theirs(group(0, "standard"), reconcile.MeterOutput, 50, 50*rate(0, "standard", reconcile.MeterOutput))
	r := w.day.Match()
	requireExact(t, &r)
	require.Len(t, r.Items, 1)
	require.Equal(t, reconcile.ClassUnknown, r.Items[0].Class)
	require.Equal(t, int64(50), r.Items[0].Quantity)
	require.Equal(t, "0.001000000000", r.Gross.String())

	w = agreeing(1, 0)
	w.day.Loose = []reconcile.Loose{{Model: "model-0", Unfinished: 1}}
	w.theirs(group(0, "standard"), reconcile.MeterOutput, 256_007, 256_007*rate(0, "standard", reconcile.MeterOutput))
	r = w.day.Match()
	requireExact(t, &r)
	require.Len(t, r.Items, 2, "one stream holds so much, and no more")
	require.Equal(t, int64(256_000), r.Items[0].Quantity)
	require.Equal(t, reconcile.ClassUnknown, r.Items[1].Class)
	require.Equal(t, int64(7), r.Items[1].Quantity)
	require.Equal(t, 7*rate(0, "standard", reconcile.MeterOutput), number(t, &r.Gross))
}

func number(t *testing.T, s *money.Sum) int64 {
	t.Helper()
	p, err := s.Pico()
	require.NoError(t, err)
	return int64(p)
}

// TestRoundingTakesNoMoreThanItsBound: two pico-dollars on one rounded request are no rounding.
func TestRoundingTakesNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	for off, class := range map[int64]reconcile.Class{1: reconcile.ClassRounding, 2: reconcile.ClassUnknown} {
		w := &world{bps: 733}
		w.day = reconcile.Day{Day: day(), CoversUsage: true, CoversCost: true, Complete: true, DiscountBps: w.bps}
		w.both(0, "standard", reconcile.MeterInput, 100, 1)
		w.day.Facts[0].Net.Add(money.Pico(off))
		r := w.day.Match()
		requireExact(t, &r)
		require.Len(t, r.Items, 1)
		require.Equal(t, class, r.Items[0].Class)
	}
}

// TestAQuantityAndAPriceInOneCellAreToldApart: the quantity at our rate, the price the rest.
func TestAQuantityAndAPriceInOneCellAreToldApart(t *testing.T) {
	t.Parallel()
	w := agreeing(1, 0)
	price := rate(0, "standard", reconcile.MeterInput)
	w.theirs(group(0, "standard"), reconcile.MeterRequests, 1, 0)
	w.theirs(group(0, "standard"), reconcile.MeterInput, 10, 10*price+777)
	r := w.day.Match()
	requireExact(t, &r)
	amounts := map[reconcile.Class]int64{}
	for i := range r.Items {
		amounts[r.Items[i].Class] += number(t, &r.Items[i].Amount)
	}
	require.Equal(t, map[reconcile.Class]int64{reconcile.ClassMissingWithUs: 10 * price, reconcile.ClassPrice: 777}, amounts)
}

// TestADayThatIsNotCoveredYetIsProvisional: what the provider lacks is late until its report
// has all of the day, and missing from then on.
func TestADayThatIsNotCoveredYetIsProvisional(t *testing.T) {
	t.Parallel()
	for _, covered := range []bool{false, true} {
		w := agreeing(1, 0)
		w.ours(0, "standard", reconcile.MeterRequests, 1, 1)
		w.ours(0, "standard", reconcile.MeterOutput, 500_000, 1)
		w.day.CoversUsage, w.day.CoversCost = covered, covered
		r := w.day.Match()
		requireExact(t, &r)
		verdict := r.Judge(reconcile.Standard())
		for i := range r.Items {
			if covered {
				require.Equal(t, reconcile.ClassMissingAtProvider, r.Items[i].Class)
				continue
			}
			require.Equal(t, reconcile.ClassLate, r.Items[i].Class)
		}
		if !covered {
			require.Equal(t, reconcile.Verdict{State: reconcile.StateProvisional}, verdict)
			continue
		}
		require.Equal(t, reconcile.StateException, verdict.State)
		require.Len(t, verdict.Findings, 1)
		require.Equal(t, "-10.000000000000", verdict.Findings[0].Amount.String())
	}
}

// left is one request of the same size that one side has alone: above zero, the provider.
func left(sign int64) []reconcile.Count {
	if sign == 0 {
		return nil
	}
	g := group(0, "standard")
	return []reconcile.Count{{Cell: reconcile.Cell{Group: g, Meter: reconcile.MeterInput}, Quantity: sign * 1000}, {Cell: reconcile.Cell{Group: g, Meter: reconcile.MeterRequests}, Quantity: sign}}
}

// late tells, of a row of days on each of which one side alone has a request, which are late.
func late(t *testing.T, days []int64) string {
	t.Helper()
	at := func(i int) int64 {
		if i < 0 || i >= len(days) {
			return 0
		}
		return days[i]
	}
	said := ""
	for i, sign := range days {
		w := agreeing(0, 0)
		switch {
		case sign < 0:
			w.ours(0, "standard", reconcile.MeterInput, 1000, 1)
			w.ours(0, "standard", reconcile.MeterRequests, 1, 1)
		case sign > 0:
			w.theirs(group(0, "standard"), reconcile.MeterInput, 1000, 1000*rate(0, "standard", reconcile.MeterInput))
			w.theirs(group(0, "standard"), reconcile.MeterRequests, 1, 0)
		}
		w.day.Before, w.day.After = left(at(i-1)), left(at(i+1))
		for k := i - 2; w.day.AsksEarlier(); k-- {
			w.day.Earlier = append(w.day.Earlier, left(at(k)))
		}
		r := w.day.Match()
		requireExact(t, &r)
		switch {
		case len(r.Items) == 0:
			said += "."
		case r.Items[0].Class == reconcile.ClassLate:
			said += "l"
		default:
			said += "x"
		}
	}
	return said
}

// TestOneDayMirrorsOneDayBesideItAndNotTwo: whatever row of days, each looked at by itself,
// what is late comes to nothing.
func TestOneDayMirrorsOneDayBesideItAndNotTwo(t *testing.T) {
	t.Parallel()
	for want, days := range map[string][]int64{
		"ll": {-1, 1}, "llx": {-1, 1, -1}, "xx": {1, 1}, "ll.ll": {1, -1, 0, -1, 1}, "llllllx": {1, -1, 1, -1, 1, -1, 1}, "llllllxxxx": {1, -1, 1, -1, 1, -1, 1, -1, 1, -1}, "xll": {1, 1, -1}, "x.x": {1, 0, -1},
	} {
		require.Equal(t, want, late(t, days), days)
	}
	rapid.Check(t, func(rt *rapid.T) {
		days := rapid.SliceOfN(rapid.Int64Range(-1, 1), 1, 20).Draw(rt, "days")
		var total int64
		for i, c := range late(t, days) {
			if c == 'l' {
				total += days[i]
			}
		}
		require.Zero(rt, total, days)
	})
}

// TestWhatTheBillSettlesMirrorsNothing: the usage report of the day before has a request too
// many, which its cost report does not charge.
func TestWhatTheBillSettlesMirrorsNothing(t *testing.T) {
	t.Parallel()
	before := agreeing(1, 0)
	before.day.Counts = append(before.day.Counts, left(1)...)
	w := agreeing(1, 0)
	w.ours(0, "standard", reconcile.MeterInput, 1000, 1)
	w.ours(0, "standard", reconcile.MeterRequests, 1, 1)
	w.day.Before = before.day.Differing()
	r := w.day.Match()
	requireExact(t, &r)
	require.Equal(t, reconcile.ClassMissingAtProvider, r.Items[0].Class)
}

func TestAToleranceHoldsBothItsLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount, charged string
		want            bool
	}{
		{"0", "0", false}, {"0.000000000001", "0", true}, {"0.05", "100", false}, {"0.050000000001", "100", true}, {"-0.06", "100", true},
		{"1.00", "1000000", false}, {"1.01", "1000000", true}, {"-1.01", "-1000000", true},
	} {
		amount, err := money.ParseSum(c.amount)
		require.NoError(t, err)
		charged, err := money.ParseSum(c.charged)
		require.NoError(t, err)
		require.Equal(t, c.want, reconcile.Standard().Exceeds(&amount, &charged), c)
	}
	require.Error(t, reconcile.Tolerance{Absolute: -1}.Check())
	require.Error(t, reconcile.Tolerance{RelativeBps: 1001}.Check())
	require.NoError(t, reconcile.Standard().Check())
}

// TestManyThatAreSmallAreLargeTogether: sixty keys that pass the gateway by, each below a dollar,
// on a day of three thousand; and two classes below it that are above it together.
func TestManyThatAreSmallAreLargeTogether(t *testing.T) {
	t.Parallel()
	large := func() *world {
		w := agreeing(0, 0)
		w.both(0, "standard", reconcile.MeterInput, 750_000_000, 1000)
		w.both(0, "standard", reconcile.MeterRequests, 1000, 1000)
		return w
	}
	past := func(w *world, key string, tokens int64) {
		g := group(0, "standard")
		g.Surface, g.Key = reconcile.SurfaceKey, key
		w.theirs(g, reconcile.MeterInput, tokens, tokens*rate(0, "standard", reconcile.MeterInput))
	}
	w := large()
	for i := range 60 {
		past(w, fmt.Sprint("apikey_", i), 240_000)
	}
	past(w, "apikey_large", 1_000_000)
	r := w.day.Match()
	verdict := r.Judge(reconcile.Standard())
	require.Equal(t, reconcile.StateException, verdict.State)
	require.Len(t, verdict.Findings, 2)
	require.Equal(t, reconcile.Subject{Class: reconcile.ClassBypass, Surface: reconcile.SurfaceKey, Key: "apikey_large", Model: "model-0"}, verdict.Findings[0].Subject)
	require.Equal(t, reconcile.Subject{Class: reconcile.ClassBypass}, verdict.Findings[1].Subject, "what has a variance of its own is not counted twice")
	require.Equal(t, 60*240_000*rate(0, "standard", reconcile.MeterInput), number(t, &verdict.Findings[1].Amount))
	require.EqualValues(t, 60*240_000, verdict.Findings[1].Quantity)

	// A fee and a bypass of seventy cents each, one against the other with a credit.
	w = large()
	past(w, "apikey_0", 175_000)
	fee := reconcile.Group{Surface: reconcile.SurfaceConsole}
	w.theirs(fee, reconcile.MeterCodeExecution, 0, 700_000_000_000)
	r = w.day.Match()
	verdict = r.Judge(reconcile.Standard())
	require.Equal(t, reconcile.StateException, verdict.State)
	require.Len(t, verdict.Findings, 1)
	require.Equal(t, reconcile.Subject{Class: reconcile.ClassSeveral}, verdict.Findings[0].Subject)
	require.Equal(t, "1.400000000000", verdict.Findings[0].Amount.String())
	require.Equal(t, reconcile.StateReconciled, r.Judge(reconcile.Tolerance{Absolute: 140, RelativeBps: 5}).State)
}

// TestErrorsThatOffsetOneAnotherShow: two nodes with opposite errors, nothing in all.
func TestErrorsThatOffsetOneAnotherShow(t *testing.T) {
	t.Parallel()
	w := agreeing(2, 0)
	for m, sign := range []int64{1, -1} {
		f := w.fact(m, reconcile.MeterOutput)
		f.Nodes = f.Nodes[m : m+1]
		n := 100_000 * sign / int64(m+1)
		w.theirs(group(m, "standard"), reconcile.MeterOutput, n, n*rate(m, "standard", reconcile.MeterOutput))
	}
	r := w.day.Match()
	requireExact(t, &r)
	require.Zero(t, r.Difference.Sign())
	require.Zero(t, r.Unexplained.Sign())
	require.Equal(t, "4.000000000000", r.Gross.String())
	verdict := r.Judge(reconcile.Standard())
	require.Equal(t, reconcile.StateException, verdict.State)
	require.Len(t, verdict.Findings, 2)

	wide := reconcile.Tolerance{Absolute: 300, RelativeBps: 1000}
	r.Items[0].Amount, r.Gross = sum(1), sum(1) // in all it is nothing now, and still much at one node
	require.Equal(t, reconcile.StateException, r.Judge(reconcile.Tolerance{Absolute: 100, RelativeBps: 1000}).State)
	require.NotEmpty(t, r.Judge(wide).Findings)
}

// TestCoverageIsByKey: what went past the gateway shows by the key it was sent with.
func TestCoverageIsByKey(t *testing.T) {
	t.Parallel()
	w := agreeing(1, 0)
	g := group(0, "standard")
	g.Surface = reconcile.SurfaceConsole
	w.theirs(g, reconcile.MeterInput, 10, 40_000_000)
	r := w.day.Match()
	require.Len(t, r.Coverage, 2)
	require.Equal(t, reconcile.SurfaceConsole, r.Coverage[0].Surface)
	require.Equal(t, int64(0), r.Coverage[0].Bps)
	require.Equal(t, int64(10_000), r.Coverage[1].Bps)
	require.Equal(t, int64(-1), reconcile.CoverageBps(&money.Sum{}, &money.Sum{}))
}
