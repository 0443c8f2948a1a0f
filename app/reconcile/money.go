package reconcile

import (
	"fmt"
	"math/big"
	"slices"

	"tollbook/app/money"
)

// money makes the items of one cell: what its quantities come to, then what the price differs
// by, then the discount; their amounts are the cell's difference.
func (m *match) money(c *both) {
	if c.Meter.fee() || c.Meter == MeterCredit {
		m.apart(c)
		return
	}
	off := minus(&c.list, &c.fact.List)
	byQuantity := c.clamp(&off)
	if c.Meter == MeterRequests {
		off, byQuantity = money.Sum{}, money.Sum{}
	}
	at := c.fact.List // the list amount up to the step
	before := c.expected(&at)
	step := func(p part, list *money.Sum) {
		next := plus(&at, list)
		after := c.expected(&next)
		m.add(c, p, list, minus(&after, &before))
		at, before = next, after
	}
	var quantity, done int64
	for _, p := range c.parts {
		quantity += p.quantity
	}
	var given money.Sum
	for _, p := range c.parts {
		done += p.quantity
		upTo := byQuantity
		if quantity != 0 && done != quantity {
			upTo = byQuantity.Scaled(big.NewInt(done), big.NewInt(quantity))
		}
		list := minus(&upTo, &given)
		given = upTo
		step(p, &list)
	}
	byPrice := minus(&off, &given)
	m.price(c, &byPrice, step)
	m.discount(c, &before)
}

// clamp is how much of a list difference the quantities explain at the rates we charged.
func (c *both) clamp(off *money.Sum) money.Sum {
	var quantity int64
	for _, p := range c.parts {
		quantity += p.quantity
	}
	switch {
	case quantity == 0, len(c.parts) > 0 && c.parts[0].class == ClassReports:
		return money.Sum{}
	case c.fact.RateHigh == 0: // nothing of ours to compare with
		return *off
	}
	low, high := pico(int64(c.fact.RateLow)), pico(int64(c.fact.RateHigh))
	low, high = low.Scaled(big.NewInt(quantity), big.NewInt(1)), high.Scaled(big.NewInt(quantity), big.NewInt(1))
	if quantity < 0 {
		low, high = high, low
	}
	switch {
	case off.Cmp(&low) < 0:
		return low
	case off.Cmp(&high) > 0:
		return high
	}
	return *off
}

// price names what the list differs by though the quantities are the same.
func (m *match) price(c *both, off *money.Sum, step func(part, *money.Sum)) {
	size := Magnitude(off)
	bound := pico(2 * c.fact.Derived)
	switch {
	case off.Sign() == 0:
	case c.Surface != SurfaceGateway:
		step(part{class: ClassBypass, why: "The cost report charges it, and the usage report does not count it."}, off)
	case size.Cmp(&bound) <= 0:
		step(part{class: ClassRounding}, off)
	case off.Sign() < 0 && !m.day.CoversCost:
		step(part{class: ClassLate, why: "The provider’s cost report does not have all of the day yet."}, off)
	case c.fact.Unpriced.Sign() > 0:
		m.unpriced(c, off, step)
	case c.counted == 0 && c.fact.Quantity == 0:
		step(part{class: ClassUnknown, why: "The cost report charges for what neither its usage report nor we count."}, off)
	default:
		step(part{class: ClassPrice, why: "The counts are the same, and the provider’s list price is another."}, off)
	}
}

// unpriced: a provisional price explains as much as it came to.
func (m *match) unpriced(c *both, off *money.Sum, step func(part, *money.Sum)) {
	most := c.fact.Unpriced
	if off.Sign() < 0 {
		most = minus(&money.Sum{}, &c.fact.Unpriced)
	}
	if inside := Magnitude(off); inside.Cmp(&c.fact.Unpriced) <= 0 {
		most = *off
	}
	step(part{class: ClassUnknownPrice, why: "We charged a provisional price; this is the provider’s less ours."}, &most)
	if rest := minus(off, &most); rest.Sign() != 0 {
		step(part{class: ClassUnknown, why: "The provider charges more than twice what a provisional price was."}, &rest)
	}
}

// discount names what the amount is off the list price and the contracted discount, and puts
// what is left to rounding as far as that may go.
func (m *match) discount(c *both, reached *money.Sum) {
	exact := c.expected(&c.list)
	if c.Meter == MeterRequests {
		exact = *reached
	}
	off := minus(&c.amount, &exact)
	small := pico(c.rows)
	if c.Surface != SurfaceGateway {
		small = money.Sum{} // all of it is of what went past
	}
	if size := Magnitude(&off); size.Cmp(&small) > 0 {
		class, why := ClassCredit, "The amount is lower than the contracted discount of the list price makes it."
		if off.Sign() > 0 {
			why = "The amount is higher than the contracted discount of the list price makes it."
		}
		if c.Surface != SurfaceGateway {
			class, why = ClassBypass, "The amount is another than the contracted discount of its list price makes it."
		}
		m.add(c, part{class: class, why: why}, &money.Sum{}, off)
		off = money.Sum{}
	}
	ours := c.expected(&c.fact.List)
	ours = minus(&ours, &c.fact.Net)
	bound := pico(c.fact.Requests)
	if size := Magnitude(&ours); size.Cmp(&bound) > 0 {
		m.add(c, part{class: ClassUnknown, why: "Our charges are not the list price less the discount: more than rounding lies between."}, &money.Sum{}, ours)
		ours = money.Sum{}
	}
	off = plus(&off, &ours)
	// The list price that the steps came to is the provider's, but for what no step may take.
	rest := minus(&exact, reached)
	if rest.Sign() != 0 {
		m.add(c, part{class: ClassUnknown, why: "The amounts do not follow from the counts."}, &money.Sum{}, rest)
	}
	m.add(c, part{class: ClassRounding}, &money.Sum{}, off)
}

// apart makes the item of what no request explains, by itself.
func (m *match) apart(c *both) {
	class, why := ClassCredit, "The provider takes it off the amount, without naming what for."
	if c.Meter.fee() {
		class, why = ClassFee, "Managed sessions are charged by the hour, which no answer counts."
	}
	if c.Meter == MeterCodeExecution {
		why = "Code execution is charged by container-hours, which no answer counts."
	}
	if c.amount.Sign() > 0 && class == ClassCredit {
		class, why = ClassUnknown, "The provider charges it without naming what for."
	}
	m.add(c, part{class: class, quantity: c.left, why: why}, &c.list, c.amount)
}

// add makes an item, and divides it over the nodes.
func (m *match) add(c *both, p part, list *money.Sum, amount money.Sum) {
	if p.quantity == 0 && amount.Sign() == 0 && list.Sign() == 0 {
		return
	}
	if p.class == ClassRounding {
		m.rounding.AddSum(&amount)
		return
	}
	weights := c.fact.Nodes
	if l := m.loose[c.Model]; p.loose && l != nil && len(l.Nodes) > 0 {
		weights = l.Nodes
	}
	if c.Surface != SurfaceGateway || p.class == ClassFee || p.class == ClassMissingWithUs {
		weights = nil
	}
	shares := divide(&amount, weights)
	if n := len(m.result.Items); n > 0 && m.result.Items[n-1].Cell == c.Cell && m.result.Items[n-1].Class == p.class {
		it := &m.result.Items[n-1]
		it.Quantity += p.quantity
		it.List, it.Amount = plus(&it.List, list), plus(&it.Amount, &amount)
		it.Nodes = merged(append(it.Nodes, shares...))
		return
	}
	m.result.Items = append(m.result.Items, Item{Class: p.class, Cell: c.Cell, Quantity: p.quantity, List: *list, Amount: amount, Explanation: p.why, Nodes: shares})
}

// round makes one item of what all cells round.
func (m *match) round() {
	if m.rounding.Sign() == 0 {
		return
	}
	m.result.Items = append(m.result.Items, Item{
		Class: ClassRounding, Amount: m.rounding,
		Explanation: "Half a pico-dollar at most for each amount that a discount was taken off, theirs by row and ours by request.",
	})
}

// divide splits an amount over nodes by their weights, exactly; empty where there are none.
func divide(amount *money.Sum, weights []Charged) []Charged {
	weights = merged(weights)
	var whole money.Sum
	for i := range weights {
		size := Magnitude(&weights[i].Amount)
		whole.AddSum(&size)
	}
	if whole.Sign() == 0 || amount.Sign() == 0 {
		return nil
	}
	var upTo, given money.Sum
	var shares []Charged
	for i := range weights {
		size := Magnitude(&weights[i].Amount)
		upTo.AddSum(&size)
		reached := amount.Share(&upTo, &whole)
		if one := minus(&reached, &given); one.Sign() != 0 {
			shares = append(shares, Charged{weights[i].Node, one})
		}
		given = reached
	}
	return shares
}

// merged adds what stands for the same node, in the order of nodes.
func merged(list []Charged) []Charged {
	var out []Charged
	at := map[[16]byte]int{}
	for i := range list {
		k, there := at[list[i].Node.Bytes()]
		if !there {
			k = len(out)
			at[list[i].Node.Bytes()] = k
			out = append(out, Charged{Node: list[i].Node})
		}
		out[k].Amount.AddSum(&list[i].Amount)
	}
	slices.SortFunc(out, func(a, b Charged) int {
		x, y := a.Node.Bytes(), b.Node.Bytes()
		return slices.Compare(x[:], y[:])
	})
	return out
}

// sum makes the day's totals, which the items have to come to.
func (m *match) sum() {
	r := &m.result
	r.settled = m.day.CoversUsage && m.day.CoversCost && m.day.Complete
	var charged []Charged
	for _, c := range m.cells {
		r.Ours.AddSum(&c.fact.Net)
		r.Listed.AddSum(&c.fact.List)
		r.Billed.AddSum(&c.amount)
		r.ListPrice.AddSum(&c.list)
		charged = append(charged, c.fact.Nodes...)
		switch {
		case c.Meter == MeterRequests:
			r.OurRequests += c.fact.Quantity
			r.TheirRequests += c.counted
		case c.Meter.Tokens():
			r.OurTokens += c.fact.Quantity
			r.TheirTokens += c.counted
		}
	}
	r.nodes = merged(charged)
	r.Difference = minus(&r.Billed, &r.Ours)
	for i := range r.Items {
		if it := &r.Items[i]; it.Class == ClassUnknown {
			r.Unexplained.AddSum(&it.Amount)
			size := Magnitude(&it.Amount)
			r.Gross.AddSum(&size)
		}
	}
	r.Coverage = m.coverage()
}

// Coverage is how much of what one key of the provider's is charged passed the gateway.
type Coverage struct {
	Surface Surface   `json:"surface"`
	Key     string    `json:"key,omitempty"`
	Ours    money.Sum `json:"ours"`   // net
	Theirs  money.Sum `json:"theirs"` // net, but for fees and credits
	// Bps is ours in basis points of theirs, rounded down; -1 where they charge nothing.
	Bps int64 `json:"bps"`
}

// coverage is by key, the gateway's first; credits and fees are nobody's traffic.
func (m *match) coverage() []Coverage {
	var list []Coverage
	for _, c := range m.cells {
		if c.Meter.fee() || c.Meter == MeterCredit {
			continue
		}
		k := slices.IndexFunc(list, func(o Coverage) bool { return o.Surface == c.Surface && o.Key == c.Key })
		if k < 0 {
			k = len(list)
			list = append(list, Coverage{Surface: c.Surface, Key: c.Key})
		}
		list[k].Ours.AddSum(&c.fact.Net)
		list[k].Theirs.AddSum(&c.amount)
	}
	for i := range list {
		list[i].Bps = CoverageBps(&list[i].Ours, &list[i].Theirs)
	}
	return list
}

// CoverageBps is a part in basis points of a whole, rounded down; -1 where there is no whole.
func CoverageBps(part, whole *money.Sum) int64 {
	p, okP := new(big.Int).SetString(part.Digits(), 10)
	w, okW := new(big.Int).SetString(whole.Digits(), 10)
	if !okP || !okW || w.Sign() <= 0 {
		return -1
	}
	return p.Mul(p, big.NewInt(10_000)).Div(p, w).Int64()
}

// Words says what a coverage is of.
func (c *Coverage) Words() string {
	switch c.Surface {
	case SurfaceGateway:
		return "The gateway’s keys"
	case SurfaceKey:
		return fmt.Sprintf("Key %s", c.Key)
	case SurfaceConsole:
		return "The Console, without a key"
	}
	return string(c.Surface)
}
