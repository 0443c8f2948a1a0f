package pricing

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// firstHeader begins the books of the first release. Those that were applied stay as
// they are in the ledgers they priced, and have to be read as they were then: a line
// held until the next one for the same began, and every factor stacked on every rate.
const firstHeader = "kind,name,speed,prompt_over,effective_from,input,output,cache_write_5m,cache_write_1h,cache_read,num,den,source"

// fromFirst puts the cells of a first book's line where parseRow looks for them.
func fromFirst(cells []string) []string {
	out := slices.Insert(slices.Clone(cells), columnTo, "")
	out = slices.Insert(out, columnFactors, "")
	if out[columnSource] == "" {
		out[columnSource] = "a book of the first release, without a source"
	}
	return out
}

// endFirst writes into a first book's lines what it left to its reader.
func (b *Book) endFirst() {
	factors := slices.Sorted(maps.Keys(b.factors))
	lists := [][]*Row{b.discounts}
	for _, tiers := range b.rates {
		for _, t := range tiers {
			lists = append(lists, t.rows)
			for _, row := range t.rows {
				row.Factors = factors
			}
		}
	}
	for _, more := range []map[string][]*Row{b.factors, b.tools} {
		lists = slices.AppendSeq(lists, maps.Values(more))
	}
	for _, list := range lists {
		ended := slices.SortedFunc(slices.Values(list), func(x, y *Row) int {
			return cmp.Or(x.From.Compare(y.From), cmp.Compare(x.Source, y.Source))
		})
		var next time.Time
		for _, row := range slices.Backward(ended) {
			row.To, next = next, row.From
		}
	}
}
