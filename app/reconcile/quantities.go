package reconcile

import (
	"fmt"
	"slices"
	"strings"
)

// What one request holds at most: a class explains no more than its requests can.
const (
	maxPrompt   = 2_000_000 // tokens
	maxOutput   = 256_000   // tokens
	maxSearches = 100
)

// mostOf bounds a meter of so many requests.
func mostOf(m Meter, requests int64) int64 {
	switch {
	case m == MeterRequests:
		return requests
	case m == MeterOutput:
		return requests * maxOutput
	case m == MeterWebSearch:
		return requests * maxSearches
	case m.Prompt():
		return requests * maxPrompt
	}
	return 0
}

// quantities gives every difference of a quantity to the classes that can explain it, those
// with the narrowest evidence first.
func (m *match) quantities() {
	groups := m.groups()
	for _, g := range groups {
		m.elsewhere(g)
		m.disagree(g)
		m.midnight(g)
	}
	m.tardy()
	m.tiers()
	m.models(groups)
	for _, g := range groups {
		g.meters()
		m.aborted(g)
		m.whole(g)
		for _, c := range g.cells {
			c.take(ClassUnknown, all, "The counts differ, and nothing that is known of these requests says why.", false)
		}
	}
}

// group is the cells of one group, in the order of meters.
type group struct {
	Group

	cells []*both
}

// groups lists the cells by group, in their order.
func (m *match) groups() []*group {
	var list []*group
	for _, c := range m.cells {
		if n := len(list); n == 0 || list[n-1].Group != c.Group {
			list = append(list, &group{Group: c.Group})
		}
		g := list[len(list)-1]
		g.cells = append(g.cells, c)
	}
	return list
}

// left is what is left of the group's requests.
func (g *group) left() int64 {
	for _, c := range g.cells {
		if c.Meter == MeterRequests {
			return c.left
		}
	}
	return 0
}

// vector is what is left by meter; empty where nothing is.
func (g *group) vector(sign int64) string {
	var b strings.Builder
	for _, c := range g.cells {
		if c.left != 0 {
			fmt.Fprintf(&b, "%s %d,", c.Meter, sign*c.left)
		}
	}
	return b.String()
}

func (g *group) sort() {
	slices.SortFunc(g.cells, func(a, b *both) int { return a.compare(b.Cell) })
}

// take gives all that is left of the group to one class.
func (g *group) take(class Class, why string) {
	for _, c := range g.cells {
		c.take(class, all, why, false)
	}
}

// elsewhere: what was not sent with the gateway's own key never passed it.
func (m *match) elsewhere(g *group) {
	switch g.Surface {
	case SurfaceGateway:
	case SurfaceKey:
		g.take(ClassBypass, fmt.Sprintf("Sent with key %s, which is not the gateway’s.", g.Key))
	case SurfaceConsole:
		g.take(ClassBypass, "Sent without an API key, as the Console does.")
	}
}

// disagree: where the bill agrees with us to the pico-dollar, the count beside it does not
// matter.
func (m *match) disagree(g *group) {
	counts, agree := false, true
	for _, c := range g.cells {
		if c.Meter == MeterRequests || c.left == 0 {
			continue
		}
		counts = true
		agree = agree && c.list.Cmp(&c.fact.List) == 0
	}
	if counts && agree && m.day.CoversCost {
		g.take(ClassReports, "The usage report counts otherwise, and the cost report charges what we did.")
	}
}

// midnight: a group that differs by just what it differs by the other way on the day beside.
// One day's requests are on one day beside it alone: days that mirror one another in a row are
// taken in pairs from the first of them on, so that each of them comes to the same pairs.
func (m *match) midnight(g *group) {
	if g.Surface != SurfaceGateway || g.vector(1) == "" {
		return
	}
	const why = "The provider has these requests on the %s: they were sent at midnight."
	switch n := m.day.mirrors(g); {
	case n == maxMirrors:
	case n%2 == 1:
		g.take(ClassLate, fmt.Sprintf(why, "day before"))
	case g.in(m.day.After).vector(-1) == g.vector(1):
		g.take(ClassLate, fmt.Sprintf(why, "day after"))
	}
}

// maxMirrors bounds the days in a row that are looked at: what is mirrored for longer is no
// midnight. It is even: the last day that is taken ends a pair.
const maxMirrors = 6

// mirrors counts the days in a row before this one of which each mirrors the one after it.
func (d *Day) mirrors(g *group) int {
	mine := g.vector(1)
	n := 0
	for sign := int64(-1); n <= len(d.Earlier); sign = -sign {
		counts := d.Before
		if n > 0 {
			counts = d.Earlier[n-1]
		}
		if g.in(counts).vector(sign) != mine {
			return n
		}
		n++
	}
	return n
}

// AsksEarlier tells whether the day before the earliest that is known decides how this one's
// differences pair with those of the days beside it.
func (d *Day) AsksEarlier() bool {
	known := 1 + len(d.Earlier)
	if known >= maxMirrors {
		return false
	}
	m := &match{day: d, cells: laidOut(d)}
	return slices.ContainsFunc(m.groups(), func(g *group) bool {
		m.disagree(g)
		return g.Surface == SurfaceGateway && g.vector(1) != "" && d.mirrors(g) == known
	})
}

// in is what counts have of the group.
func (g *group) in(counts []Count) *group {
	other := &group{Group: g.Group}
	for i := range counts {
		c := counts[i].Cell
		if c.Group = c.Plain(); c.Group == g.Group {
			other.cells = append(other.cells, &both{Cell: c, left: counts[i].Quantity})
		}
	}
	other.sort()
	return other
}

// tardy: what a side that does not have all of the day yet may still get.
func (m *match) tardy() {
	for _, c := range m.cells {
		switch {
		case c.left < 0 && !m.day.CoversUsage:
			c.take(ClassLate, all, "The provider’s report does not have all of the day yet.", false)
		case c.left > 0 && !m.day.Complete:
			c.take(ClassLate, all, "A gateway’s journal has not reached the ledger yet.", false)
		}
	}
}

// tiers: requests of one model that the provider has in another tier, speed or geography.
func (m *match) tiers() {
	type same struct {
		surface Surface
		key     string
		model   string
	}
	cells := map[same]map[Meter][]*both{}
	var order []same
	for _, c := range m.cells {
		s := same{c.Surface, c.Key, c.Model}
		if cells[s] == nil {
			cells[s] = map[Meter][]*both{}
			order = append(order, s)
		}
		if c.left != 0 {
			cells[s][c.Meter] = append(cells[s][c.Meter], c)
		}
	}
	for _, s := range order {
		if !balanced(cells[s][MeterRequests]) {
			continue
		}
		why := "The same requests are in another " + differing(cells[s][MeterRequests]) + " at the provider."
		for _, meter := range Meters() {
			if !balanced(cells[s][meter]) {
				continue
			}
			for _, c := range cells[s][meter] {
				c.take(ClassTier, all, why, false)
			}
		}
	}
}

// balanced tells whether what is left of some cells is something, and comes to nothing.
func balanced(cells []*both) bool {
	var sum int64
	for _, c := range cells {
		sum += c.left
	}
	return len(cells) > 1 && sum == 0
}

// differing names in what cells are not alike.
func differing(cells []*both) string {
	var tier, speed, geography bool
	for _, c := range cells[1:] {
		tier, speed, geography = tier || c.Tier != cells[0].Tier, speed || c.Speed != cells[0].Speed, geography || c.Geography != cells[0].Geography
	}
	var names []string
	for _, one := range [...]struct {
		differs bool
		name    string
	}{{tier, "tier"}, {speed, "speed"}, {geography, "geography"}} {
		if one.differs {
			names = append(names, one.name)
		}
	}
	return strings.Join(names, " and ")
}

// models: requests that the provider has under another model, all of their meters alike.
func (m *match) models(groups []*group) {
	for i, g := range groups {
		mine := g.vector(1)
		if mine == "" || g.left() == 0 {
			continue
		}
		for _, h := range groups[i+1:] {
			if h.Surface == g.Surface && h.Key == g.Key && h.vector(-1) == mine {
				why := fmt.Sprintf("The same requests are under %s with us and under %s at the provider, or the other way round.", g.Model, h.Model)
				g.take(ClassTier, why)
				h.take(ClassTier, why)
				break
			}
		}
	}
}

// meters: the same tokens of the same requests in another class; first among what the model
// read, then among all.
func (g *group) meters() {
	if g.left() != 0 {
		return
	}
	for _, of := range [...]func(Meter) bool{Meter.Prompt, Meter.Tokens} {
		var off []*both
		for _, c := range g.cells {
			if c.left != 0 && of(c.Meter) {
				off = append(off, c)
			}
		}
		if balanced(off) {
			for _, c := range off {
				c.take(ClassMeter, all, "The same tokens are in another class at the provider.", false)
			}
		}
	}
}

// aborted: streams that ended early, for as much as they may have produced, and what we
// recorded of them that the provider did not charge.
func (m *match) aborted(g *group) {
	l := m.loose[g.Model]
	if l == nil || g.Surface != SurfaceGateway {
		return
	}
	why := fmt.Sprintf("Ended without final usage, or without any: %s of this model. The provider counted what was produced.", requests(l.Unfinished+l.Blind))
	more := min(max(g.left(), 0), l.Blind) // requests that only the provider counts
	switch {
	case g.left() >= 0:
		l.Blind -= more
		for _, c := range g.cells {
			switch {
			case c.left <= 0:
			case c.Meter == MeterOutput || c.Meter == MeterWebSearch:
				c.take(ClassAborted, mostOf(c.Meter, more+l.Unfinished), why, true)
			default:
				c.take(ClassAborted, mostOf(c.Meter, more), why, true)
			}
		}
		if g.left() > 0 {
			return // whole requests are missing, too
		}
	case -g.left() > l.Unfinished:
		return
	}
	for _, c := range g.cells {
		if c.left > 0 || (c.Meter != MeterRequests && -c.left > c.fact.Held) {
			return
		}
	}
	for _, c := range g.cells {
		c.take(ClassAborted, all, fmt.Sprintf("Ended without final usage: %s of this model. The provider counted less than the floor that was recorded.", requests(l.Unfinished)), true)
	}
}

func requests(n int64) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// whole: requests that one side does not have at all.
func (m *match) whole(g *group) {
	switch n := g.left(); {
	case n < 0:
		for _, c := range g.cells {
			if most := -n * c.fact.Largest; c.left < 0 {
				if c.Meter == MeterRequests {
					most = -n
				}
				c.take(ClassMissingAtProvider, most, fmt.Sprintf("Not in the provider’s report, though we have the whole answer: %s.", requests(-n)), false)
			}
		}
	case n > 0:
		for _, c := range g.cells {
			if c.left > 0 {
				c.take(ClassMissingWithUs, mostOf(c.Meter, n), fmt.Sprintf("Sent with the gateway’s key, and not in our ledger: %s. The key is used elsewhere, or a journal was lost.", requests(n)), false)
			}
		}
	}
}
