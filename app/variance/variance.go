package variance

import (
	"cmp"
	"math/big"
	"slices"

	"tollbook/app/money"
)

// Other is the class of what is not counted in tokens: server tools, and the pico-dollars
// by which the classes of a split request miss its whole.
const Other = "other"

// Cell is what one model and token class used and cost in a span.
type Cell struct {
	Model, Class string
	Tokens       int64
	Charge       money.Sum
}

// Part is one cell's difference and its reasons.
type Part struct {
	Model, Class              string
	TokensBefore, TokensAfter int64
	Before, After             money.Sum
	Difference                money.Sum
	Price, Volume, Mix, Tools money.Sum
}

// Split is a difference between two spans and its reasons.
type Split struct {
	Parts []Part // largest difference first
	Total Part
}

type key struct{ model, class string }

// Between splits the difference between an earlier and a later span. Cells that name the
// same model and class are added up.
func Between(before, after []Cell) Split {
	parts := map[key]*Part{}
	at := func(c *Cell) *Part {
		k := key{c.Model, c.Class}
		if parts[k] == nil {
			parts[k] = &Part{Model: c.Model, Class: c.Class}
		}
		return parts[k]
	}
	for i := range before {
		p := at(&before[i])
		p.TokensBefore += before[i].Tokens
		p.Before.AddSum(&before[i].Charge)
	}
	for i := range after {
		p := at(&after[i])
		p.TokensAfter += after[i].Tokens
		p.After.AddSum(&after[i].Charge)
	}
	q0, q1 := new(big.Int), new(big.Int)
	for _, p := range parts {
		if p.Class != Other {
			q0.Add(q0, big.NewInt(p.TokensBefore))
			q1.Add(q1, big.NewInt(p.TokensAfter))
		}
	}
	var out Split
	for _, p := range parts {
		p.reason(q0, q1)
		out.Total.add(p)
		out.Parts = append(out.Parts, *p)
	}
	slices.SortFunc(out.Parts, func(a, b Part) int {
		return cmp.Or(size(&b).Cmp(size(&a)), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Class, b.Class))
	})
	return out
}

// size is a difference without its sign.
func size(p *Part) *money.Sum {
	d := p.Difference
	if d.Sign() >= 0 {
		return &d
	}
	var positive money.Sum
	positive.SubSum(&d)
	return &positive
}

// reason fills in why a cell differs; q0 and q1 are the tokens of all cells.
func (p *Part) reason(q0, q1 *big.Int) {
	p.Difference.AddSum(&p.After)
	p.Difference.SubSum(&p.Before)
	if p.Class == Other {
		p.Tools.AddSum(&p.Difference)
		return
	}
	if q0.Sign() > 0 {
		p.Volume = p.Before.Scaled(q1, q0)
		p.Volume.SubSum(&p.Before)
	}
	if p.TokensBefore > 0 && p.TokensAfter > 0 {
		same := p.Before.Scaled(big.NewInt(p.TokensAfter), big.NewInt(p.TokensBefore))
		p.Price.AddSum(&p.After)
		p.Price.SubSum(&same)
	}
	p.Mix.AddSum(&p.Difference)
	p.Mix.SubSum(&p.Price)
	p.Mix.SubSum(&p.Volume)
}

func (p *Part) add(other *Part) {
	p.TokensBefore += other.TokensBefore
	p.TokensAfter += other.TokensAfter
	for _, pair := range [][2]*money.Sum{
		{&p.Before, &other.Before}, {&p.After, &other.After}, {&p.Difference, &other.Difference},
		{&p.Price, &other.Price}, {&p.Volume, &other.Volume}, {&p.Mix, &other.Mix}, {&p.Tools, &other.Tools},
	} {
		pair[0].AddSum(pair[1])
	}
}
