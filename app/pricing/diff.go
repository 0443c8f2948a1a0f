package pricing

import (
	"cmp"
	"slices"
	"time"

	"tollbook/app/usage"
)

// Difference is one row that two books do not share: Before nil says that it is new,
// After nil that it is gone.
type Difference struct{ Before, After *Row }

// Row is the row a difference is about.
func (d Difference) Row() *Row {
	if d.After != nil {
		return d.After
	}
	return d.Before
}

// Begins is the first instant from which a price may differ; a source alone moves none.
func (d Difference) Begins() time.Time {
	if d.Before == nil || d.After == nil || !d.samePrice() {
		return d.Row().From
	}
	return earlier(d.Before.To, d.After.To)
}

// Moves says whether any price may differ.
func (d Difference) Moves() bool {
	return d.Before == nil || d.After == nil || !d.samePrice() || !d.Before.To.Equal(d.After.To)
}

func (d Difference) samePrice() bool {
	a, b := d.Before, d.After
	return a.Rates == b.Rates && slices.Equal(a.Factors, b.Factors) && a.Num == b.Num && a.Den == b.Den && a.Unit == b.Unit
}

// earlier is the first of two ends, of which a zero one is open.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Diff compares two books row by row, in the order of kind, name, speed, prompt and date.
func Diff(before, after *Book) []Difference {
	old := map[identity]*Row{}
	for _, row := range before.rows {
		old[row.identity()] = row
	}
	var list []Difference
	for _, row := range after.rows {
		key := row.identity()
		was := old[key]
		delete(old, key)
		d := Difference{Before: was, After: row}
		if was == nil || !d.samePrice() || !was.To.Equal(row.To) || was.Source != row.Source {
			list = append(list, d)
		}
	}
	for _, row := range old {
		list = append(list, Difference{Before: row})
	}
	slices.SortFunc(list, func(a, b Difference) int { return a.Row().compare(b.Row()) })
	return list
}

// identity is what makes a row the same one in two books.
type identity struct {
	kind, name, speed string
	over              int64
	from              time.Time
}

func (r *Row) identity() identity {
	return identity{kind: r.Kind, name: r.Name, speed: r.Speed, over: r.PromptOver, from: r.From}
}

func (r *Row) compare(other *Row) int {
	order := []string{KindDiscount, KindRate, KindFactor, KindTool}
	return cmp.Or(
		cmp.Compare(slices.Index(order, r.Kind), slices.Index(order, other.Kind)), cmp.Compare(r.Name, other.Name), cmp.Compare(other.Speed, r.Speed),
		cmp.Compare(r.PromptOver, other.PromptOver), r.From.Compare(other.From),
	)
}

// Begins is the first instant from which any of the differences may move a price;
// zero when none does.
func Begins(list []Difference) time.Time {
	var first time.Time
	for _, d := range list {
		if d.Moves() {
			first = earlier(first, d.Begins())
		}
	}
	return first
}

// Touches says whether a difference may move the price of a model as responses name
// it: a factor, a tool or a discount may move any.
func (d Difference) Touches(model string) bool {
	row := d.Row()
	return d.Moves() && (row.Kind != KindRate || row.Name == model || row.Name == undated(model))
}

// Contest prices the event with books that are proposed and not decided. Where one
// gives another price the figure is not final.
func (r *Rated) Contest(proposed []*Book) error {
	if r.Event.State == usage.StateError || r.Event.State == usage.StateOpen {
		return nil
	}
	for _, book := range proposed {
		other, err := book.Price(r.Event.Counts, r.Event.OccurredAt())
		if err != nil {
			return err
		}
		if other.Net == r.Charge.Net {
			continue
		}
		r.Event.Flags = append(slices.Clone(r.Event.Flags), reasonProposed)
		if r.Event.State == usage.StateComplete {
			r.Event.State = usage.StateUnpriced
		}
		return nil
	}
	return nil
}
