package erp

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Flaw is what is wrong in a file that is read, and where.
type Flaw struct {
	Line    int    // of the file, from 1
	Column  int    // field of the line, from 1; 0: the line as a whole
	Head    string // of that column
	Message string
}

const (
	maxFile  = 8 << 20
	maxFlaws = 200
)

// table reads a CSV whose first line names its columns, in any order.
type table struct {
	heads  []string // those there may be; the first ones must be there
	needed int
	flaws  []Flaw
	places []int // of heads among the file's columns; -1: not there
	lines  []tableLine
}

type tableLine struct {
	number int
	cells  []string
}

func (t *table) flawf(line, head int, format string, args ...any) {
	if len(t.flaws) >= maxFlaws {
		return
	}
	one := Flaw{Line: line, Message: fmt.Sprintf(format, args...)}
	if head >= 0 {
		one.Head = t.heads[head]
		if head < len(t.places) && t.places[head] >= 0 {
			one.Column = t.places[head] + 1
		}
	}
	t.flaws = append(t.flaws, one)
}

// read fills lines with cells in the order of heads. A file with a flaw is taken not at all.
func (t *table) read(file []byte, maxLines int) {
	if len(file) > maxFile {
		t.flawf(1, -1, "The file has more than %d MB.", maxFile>>20)
		return
	}
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff"))))
	in.FieldsPerRecord = -1 // told by line below
	for {
		fields, err := in.Read()
		switch {
		case errors.Is(err, io.EOF):
			if t.places == nil {
				t.flawf(1, -1, "The file is empty: its first line names the columns %s.", strings.Join(t.heads, ", "))
			}
			return
		case err != nil:
			line := 1
			if bad, ok := errors.AsType[*csv.ParseError](err); ok {
				line = bad.StartLine
			}
			t.flawf(line, -1, "The line cannot be read as CSV: %s. Nothing after it was read.", err)
			return
		}
		line, _ := in.FieldPos(0)
		switch {
		case t.places == nil:
			if !t.columns(line, fields) {
				return
			}
		case len(fields) != t.width():
			t.flawf(line, -1, "The line has %d fields; the first line names %d.", len(fields), t.width())
		case len(t.lines) == maxLines:
			t.flawf(line, -1, "There are more than %d lines. Nothing from here on was read.", maxLines)
			return
		default:
			t.lines = append(t.lines, t.pick(line, fields))
		}
	}
}

// width is kept behind the places of the heads.
func (t *table) width() int { return t.places[len(t.places)-1] }

func (t *table) columns(line int, fields []string) bool {
	t.places = slices.Repeat([]int{-1}, len(t.heads)+1)
	t.places[len(t.heads)] = len(fields)
	before := len(t.flaws)
	for i, name := range fields {
		place := slices.Index(t.heads, name)
		switch {
		case place < 0:
			t.flaws = append(t.flaws, Flaw{Line: line, Column: i + 1, Head: name, Message: fmt.Sprintf("%.60q is no column here. Known: %s.", name, strings.Join(t.heads, ", "))})
		case t.places[place] >= 0:
			t.flaws = append(t.flaws, Flaw{Line: line, Column: i + 1, Head: name, Message: fmt.Sprintf("The column %s is named twice.", name)})
		default:
			t.places[place] = i
		}
		if len(t.flaws) >= maxFlaws {
			break
		}
	}
	for i, name := range t.heads[:t.needed] {
		if t.places[i] < 0 {
			t.flawf(line, -1, "The column %s is missing.", name)
		}
	}
	return len(t.flaws) == before
}

func (t *table) pick(line int, fields []string) tableLine {
	cells := make([]string, len(t.heads))
	for i := range t.heads {
		if place := t.places[i]; place >= 0 {
			cells[i] = fields[place]
		}
	}
	return tableLine{number: line, cells: cells}
}
