package erp

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"tollbook/app/export"
	"tollbook/app/money"
)

// Posting is what one document posts to one account, in their words: what the system's
// own figures can be compared with.
type Posting struct {
	Document      string // its external id
	Entity        string
	Account       string
	Debit, Credit money.Cents
}

// Postings sums the documents of a journal without problems by account.
func (f Format) Postings(j *Journal, m *Mapping) []Posting {
	r := f.renderer(j, m)
	sums := map[[3]string]Posting{}
	list := documents(j, f.document)
	for i := range list {
		d := &list[i]
		for k := range d.legs {
			w := r.line(d, k)
			at := [3]string{d.id, j.Entity, ""}
			if f.entity != "" {
				at[1] = w.mapped(f.entity)
			}
			if f.account != nil {
				at[2] = f.account(w)
			} else {
				at[2] = w.mapped("account")
			}
			one := sums[at]
			one.Document, one.Entity, one.Account = at[0], at[1], at[2]
			one.Debit, one.Credit = one.Debit+w.leg.debit, one.Credit+w.leg.credit
			sums[at] = one
		}
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b Posting) int {
		return cmp.Or(strings.Compare(a.Document, b.Document), strings.Compare(a.Entity, b.Entity), strings.Compare(a.Account, b.Account))
	})
}

// combination is the account of a system that has none but segments.
func combination(w *row) string {
	var parts []string
	for i := 1; i <= maxSegments; i++ {
		if i == 1 || w.mapping.rules[segment(i)] != nil {
			parts = append(parts, w.mapped(segment(i)))
		}
	}
	return strings.Join(parts, "-")
}

// References are what a document is called in one system or another: its external id,
// and the short ids of those that have no room for it.
func References(id string) []string {
	return []string{id, keyed(id, shortKey), keyed(id, longKey)}
}

// FieldOf is the field of theirs that a node's own dimension fills, by its name in any
// case and with any separator; none for a dimension that the system has no field for.
func (f Format) FieldOf(dimension string) (string, bool) {
	name := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(dimension))
	if one, ok := f.field(name); ok && !one.header {
		return name, true
	}
	switch {
	case f.open != "":
		return f.open + dimension, true
	case f.anyField && fieldNames.MatchString(name):
		return name, true
	}
	return "", false
}

// ReadTable reads a CSV whose first line names its columns, in any order: those there may
// be, of which the first needed must be there. Rows have their cells in the order of heads,
// and the line they are on. A file with a flaw is taken not at all.
func ReadTable(heads []string, needed int, file []byte, maxLines int) ([]TableRow, []Flaw) {
	t := sheet{heads: heads, needed: needed}
	t.read(file, maxLines)
	rows := make([]TableRow, 0, len(t.lines))
	for _, line := range t.lines {
		row := TableRow{Line: line.number, Cells: line.cells, places: t.places, heads: heads}
		for i, cell := range line.cells {
			if !plain(cell) || export.Formula(cell) {
				t.flawf(line.number, i, "A cell is UTF-8 on one line, at most %d characters, and does not begin as a formula does; %.60q is not.", maxText, cell)
			}
		}
		rows = append(rows, row)
	}
	if len(t.flaws) > 0 {
		return nil, t.flaws
	}
	return rows, nil
}

// TableRow is one line of a file that was read.
type TableRow struct {
	Line   int
	Cells  []string
	places []int
	heads  []string
}

// Flaw is what is wrong with one cell.
func (r *TableRow) Flaw(cell int, message string) Flaw {
	return Flaw{Line: r.Line, Column: r.places[cell] + 1, Head: r.heads[cell], Message: message}
}
