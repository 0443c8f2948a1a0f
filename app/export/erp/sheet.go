package erp

import (
	"slices"

	"tollbook/app/table"
)

// Flaw is what is wrong in a file that is read, and where.
type Flaw = table.Flaw

// sheet is a file whose first line names its columns, in any order.
type sheet struct {
	heads  []string // those there may be; the first ones must be there
	needed int
	flaws  []Flaw
	places []int // of heads among the file's columns; -1: not there
	lines  []sheetLine
}

type sheetLine struct {
	number int
	cells  []string // in the order of heads
}

func (t *sheet) flawf(line, head int, format string, args ...any) {
	var one table.Table
	one.Flawf(line, "", format, args...)
	if len(t.flaws) >= table.MaxFlaws {
		return
	}
	if head >= 0 {
		one.Flaws[0].Head = t.heads[head]
		if head < len(t.places) {
			one.Flaws[0].Column = t.places[head] + 1
		}
	}
	t.flaws = append(t.flaws, one.Flaws...)
}

// read fills lines with cells in the order of heads. A file with a flaw is taken not at all.
func (t *sheet) read(file []byte, maxLines int) {
	in := table.Read(file, table.Layout{Must: t.heads[:t.needed], May: t.heads[t.needed:], MaxLines: maxLines, Exact: true})
	t.flaws = slices.Clone(in.Flaws)
	for i := range t.flaws {
		t.flaws[i].Line = max(t.flaws[i].Line, 1) // of the whole file: at its beginning
	}
	for _, head := range t.heads {
		t.places = append(t.places, in.Column(head)-1)
	}
	for _, line := range in.Lines {
		cells := make([]string, len(t.heads))
		for i, head := range t.heads {
			cells[i] = line.Cell(head)
		}
		t.lines = append(t.lines, sheetLine{number: line.Number, cells: cells})
	}
}
