package packet

import (
	"cmp"
	"slices"

	"tollbook/app/money"
)

// stride is one step of a bridge: a difference, or at either end a total.
type stride struct {
	label string
	cents money.Cents
	total bool
}

// maxStrides bounds what a bridge names one by one.
const maxStrides = 5

// fromBefore is the way from the month before to the month: what moved the days that are
// compared by its reasons, and what the other days came to. Its differences add up to the cent.
func (f *Figures) fromBefore(s *settled) []stride {
	list := []stride{{monthName(f.Month.Previous()), s.priorCents, true}}
	left := s.cents - s.priorCents
	all := &f.Movement.Split.Total
	for _, one := range []struct {
		label string
		sum   *money.Sum
	}{{"Price", &all.Price}, {"Volume", &all.Volume}, {"Mix of models, classes", &all.Mix}, {"Server tools", &all.Tools}} {
		if c := one.sum.Display(); c != 0 {
			list = append(list, stride{one.label, c, false})
			left -= c
		}
	}
	if left != 0 {
		label := "Other days, rounding"
		if f.Movement.Whole {
			label = "Rounding"
		}
		if f.Movement.Through == 0 {
			label = "Not compared yet"
		}
		list = append(list, stride{label, left, false})
	}
	return append(list, stride{monthName(f.Month), s.cents, true})
}

// fromPlan is the way from the plan to date to the actual, by the nodes that are off it the
// most. Nothing, where nothing is planned.
func (f *Figures) fromPlan(s *settled) []stride {
	if f.Plan == nil {
		return nil
	}
	list := []stride{{"Plan to date", f.Plan.ToDate, true}}
	left := s.cents - f.Plan.ToDate
	off := []stride{}
	depth := f.bridgeDepth()
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Plan != nil && n.Depth == depth && s.node[i] != n.Plan.ToDate {
			off = append(off, stride{n.Code, s.node[i] - n.Plan.ToDate, false})
		}
	}
	slices.SortStableFunc(off, func(a, b stride) int { return cmp.Compare(abs(b.cents), abs(a.cents)) })
	for _, one := range off[:min(len(off), maxStrides)] {
		list = append(list, one)
		left -= one.cents
	}
	if left != 0 {
		list = append(list, stride{"All others", left, false})
	}
	return append(list, stride{"Actual", s.cents, true})
}

// bridgeDepth is the highest level of the tree with more than one node that has a plan.
func (f *Figures) bridgeDepth() int {
	planned := map[int]int{}
	deepest := 0
	for i := range f.Nodes {
		if f.Nodes[i].Plan != nil {
			planned[f.Nodes[i].Depth]++
			deepest = max(deepest, f.Nodes[i].Depth)
		}
	}
	for depth := range deepest + 1 {
		if planned[depth] > 1 {
			return depth
		}
	}
	return deepest
}

const (
	strideHigh  = 5.0
	strideLabel = 34.0
	strideMoney = 21.0
)

// bridge draws the way between two totals, with each amount beside it.
func (p *paper) bridge(x, y, width float64, title string, list []stride) float64 {
	p.face(faceText, "B", 9, black)
	p.at(x, y, title)
	y += 1.5
	low, high, at := money.Cents(0), money.Cents(0), money.Cents(0)
	for _, one := range list {
		if one.total {
			at = 0
		}
		at += one.cents
		low, high = min(low, at), max(high, at)
	}
	span := max(high-low, 1)
	bars := width - strideLabel - strideMoney - 3
	place := func(c money.Cents) float64 {
		thousandths := int64(c-low) * 1000 / int64(span) // of the bars' width
		return x + strideLabel + bars*float64(thousandths)/1000
	}
	at = 0
	for _, one := range list {
		from := at
		if one.total {
			from = 0
		}
		at = from + one.cents
		p.strideRow(x, y, width, place(min(from, at)), place(max(from, at)), one)
		y += strideHigh * p.strideLines(one)
	}
	return y
}

func (p *paper) strideLines(one stride) float64 {
	p.face(faceText, strideFace(one), 7.5, black)
	return 1 + float64(len(p.wrap(one.label, strideLabel-2))-1)*0.66
}

func strideFace(one stride) string {
	if one.total {
		return "B"
	}
	return ""
}

func (p *paper) strideRow(x, y, width, from, to float64, one stride) {
	color, text := strong, amount(one.cents)
	if !one.total {
		text = signed(one.cents)
		color = over
		if one.cents < 0 {
			color = under
		}
	}
	p.pdf.SetFillColor(color.rgb())
	p.pdf.Rect(from, y+1.2, max(to-from, 0.3), strideHigh-2.2, "F")
	p.face(faceText, strideFace(one), 7.5, black)
	for k, label := range p.wrap(one.label, strideLabel-2) {
		p.at(x, y+strideHigh-1.6+float64(k)*3.3, label)
	}
	p.face(faceText, strideFace(one), 7.5, color)
	if one.total {
		p.face(faceText, "B", 7.5, black)
	}
	p.rightAt(x+width, y+strideHigh-1.6, text)
}

// bridges draws both ways side by side.
func (p *paper) bridges() {
	f, s := p.f, p.f.settled
	before, plan := f.fromBefore(s), f.fromPlan(s)
	p.face(faceText, "", 7.5, black)
	high := 0.0
	for _, list := range [][]stride{before, plan} {
		h := 0.0
		for _, one := range list {
			h += strideHigh * p.strideLines(one)
		}
		high = max(high, h)
	}
	p.need(headingHigh + high + 4)
	p.heading("From the month before, and from plan")
	const gap = 8.0
	half := (wide - gap) / 2
	top := p.y + 5
	end := p.bridge(left, top, half, "Month before to actual", before)
	if plan != nil {
		end = max(end, p.bridge(left+half+gap, top, half, "Plan to actual", plan))
	} else {
		p.face(faceText, "B", 9, black)
		p.at(left+half+gap, top, "Plan to actual")
		p.face(faceText, "", 8, gray)
		p.at(left+half+gap, top+6, "No plan is in force for the month.")
	}
	p.y = end
	p.paragraph(7.5, gray, p.f.Movement.basis()+" Bars are lengths; the figures beside them add up to the cent.")
}
