package table

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Flaw is what is wrong in a file, and where.
type Flaw struct {
	Line    int    // of the file, from 1; 0: the whole file
	Column  int    // field of the line, from 1; 0: the line as a whole
	Head    string // of that column
	Message string
}

// String is the flaw as one line of text.
func (f Flaw) String() string {
	switch {
	case f.Line == 0:
		return f.Message
	case f.Column == 0:
		return fmt.Sprintf("Line %d: %s", f.Line, f.Message)
	}
	return fmt.Sprintf("Line %d, column %d (%s): %s", f.Line, f.Column, f.Head, f.Message)
}

// Layout is what a file of a kind looks like.
type Layout struct {
	Must     []string // columns it cannot be without
	May      []string // columns it may have
	MaxLines int
	// Exact files mean every character: cells and heads are not trimmed, and columns without
	// lines are a file too.
	Exact bool
}

// Bounds of any file.
const (
	MaxBytes = 8 << 20
	MaxFlaws = 200 // are told; there may be more
)

// Table is a file as it was read. Its lines count only where it has no flaw.
type Table struct {
	Lines []Line
	Flaws []Flaw

	layout Layout
	heads  []string // of the file, in its order
}

// Line is one line of the file below the first.
type Line struct {
	Number int // of the file, from 1

	heads, cells []string
}

// Cell is what a line has in a column, without blanks around it; nothing where the file has
// no such column.
func (l Line) Cell(head string) string {
	if at := slices.Index(l.heads, head); at >= 0 {
		return l.cells[at]
	}
	return ""
}

// Has tells whether the file has a column.
func (t *Table) Has(head string) bool { return slices.Contains(t.heads, head) }

// Column is where a column stands in the file, from 1; 0 where it does not.
func (t *Table) Column(head string) int { return slices.Index(t.heads, head) + 1 }

// Flawf adds a flaw of a line's cell; of the line as a whole where the head is empty.
func (t *Table) Flawf(line int, head, format string, args ...any) {
	if len(t.Flaws) < MaxFlaws {
		t.Flaws = append(t.Flaws, Flaw{Line: line, Column: t.Column(head), Head: head, Message: fmt.Sprintf(format, args...)})
	}
}

// Read reads a file by its layout.
func Read(file []byte, layout Layout) *Table {
	t := &Table{layout: layout}
	if len(file) > MaxBytes {
		t.Flawf(0, "", "The file has more than %d MB.", MaxBytes>>20)
		return t
	}
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff"))))
	in.FieldsPerRecord = -1 // told by line below
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line := 1
			if bad, ok := errors.AsType[*csv.ParseError](err); ok {
				line = bad.StartLine
			}
			t.Flawf(line, "", "The line cannot be read as CSV: %s. Nothing after it was read.", err)
			return t
		}
		line, _ := in.FieldPos(0)
		if t.heads == nil {
			if !t.columns(line, fields) {
				return t
			}
			continue
		}
		if !t.take(line, fields) {
			return t
		}
	}
	switch {
	case t.heads == nil:
		t.Flawf(0, "", "The file is empty: its first line names the columns %s.", strings.Join(layout.Must, ", "))
	case len(t.Lines) == 0 && len(t.Flaws) == 0 && !layout.Exact:
		t.Flawf(0, "", "The file has columns and no lines.")
	}
	return t
}

// text is a field as the layout means it.
func (l *Layout) text(field string) string {
	if l.Exact {
		return field
	}
	return strings.TrimSpace(field)
}

// take adds a line, and tells whether to read on.
func (t *Table) take(line int, fields []string) bool {
	switch {
	case len(fields) != len(t.heads):
		t.Flawf(line, "", "The line has %d fields; the first line names %d.", len(fields), len(t.heads))
	case len(t.Lines) == t.layout.MaxLines:
		t.Flawf(line, "", "There are more than %d lines. Nothing from here on was read.", t.layout.MaxLines)
		return false
	default:
		for i := range fields {
			fields[i] = t.layout.text(fields[i])
		}
		t.Lines = append(t.Lines, Line{Number: line, heads: t.heads, cells: fields})
	}
	return true
}

func (t *Table) columns(line int, fields []string) bool {
	known := slices.Concat(t.layout.Must, t.layout.May)
	t.heads = make([]string, 0, len(fields))
	for i, field := range fields {
		head := t.layout.text(field)
		switch {
		case !slices.Contains(known, head):
			t.Flaws = append(t.Flaws, Flaw{Line: line, Column: i + 1, Head: fmt.Sprintf("%.60s", head), Message: fmt.Sprintf("%.60q is no column here. Known: %s.", head, strings.Join(known, ", "))})
		case slices.Contains(t.heads, head):
			t.Flaws = append(t.Flaws, Flaw{Line: line, Column: i + 1, Head: head, Message: fmt.Sprintf("The column %s is named twice.", head)})
		}
		t.heads = append(t.heads, head)
		if len(t.Flaws) >= MaxFlaws {
			break
		}
	}
	for _, head := range t.layout.Must {
		if !slices.Contains(t.heads, head) {
			t.Flawf(line, "", "The column %s is missing.", head)
		}
	}
	return len(t.Flaws) == 0
}
