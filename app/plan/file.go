package plan

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
)

// The file of a plan is CSV (RFC 4180) in UTF-8. Its first line names the columns: "code"
// and any of the year's months, YYYY-MM, in any order; the columns an export adds for
// people are read over. Each line after it gives a node's own amounts in US dollars. A
// blank cell is no plan. Nodes and months that are not in the file keep what they have.

// Cell is one month of a line.
type Cell struct {
	Place  int // of the month in the year
	Column int // of the file, from 1
	Amount Amount
}

// Line is what was sent for one node.
type Line struct {
	Number int // of the file
	Code   string
	Node   id.Node
	Cells  []Cell
}

// Problem is an error in a file, where it is.
type Problem struct {
	Line, Column int // from 1; the column counts fields
	Head         string
	Message      string
}

// MaxProblems bounds how many are told; a file with more is not read on.
const MaxProblems = 200

// MaxFile bounds a file in bytes.
const MaxFile = 2 << 20

// aside are the columns that exports carry for people.
func aside() []string { return []string{"version", "name", "path", "kind", "year_usd"} }

// Read reads a file against the nodes that may be planned, by code. A file with any
// problem is refused whole: no lines come back.
func Read(year Year, file []byte, nodes map[string]id.Node) ([]Line, []Problem) {
	r := &reader{year: year, nodes: nodes, seen: map[string]int{}}
	switch {
	case len(file) > MaxFile:
		r.refuse(1, 0, fmt.Sprintf("The file has more than %d bytes.", MaxFile))
	case !utf8.Valid(file):
		r.refuse(1, 0, "The file is not UTF-8. Save it as CSV UTF-8.")
	default:
		r.read(bytes.TrimPrefix(file, []byte("\ufeff")))
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return r.lines, nil
}

type reader struct {
	year     Year
	nodes    map[string]id.Node
	head     []string
	code     int
	places   map[int]int // column to place in the year
	seen     map[string]int
	lines    []Line
	problems []Problem
}

func (r *reader) refuse(line, column int, message string) {
	p := Problem{Line: line, Column: column, Message: message}
	if column > 0 && column <= len(r.head) {
		p.Head = r.head[column-1]
	}
	r.problems = append(r.problems, p)
}

func (r *reader) full() bool { return len(r.problems) >= MaxProblems }

func (r *reader) read(file []byte) {
	in := csv.NewReader(bytes.NewReader(file))
	in.FieldsPerRecord = -1 // told by line and column below
	in.ReuseRecord = true
	for first := true; !r.full(); first = false {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			if first {
				r.refuse(1, 0, "The file is empty.")
			} else if len(r.lines) == 0 && len(r.problems) == 0 {
				r.refuse(2, 0, "The file names columns but no node.")
			}
			return
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			r.refuse(bad.StartLine, 0, fmt.Sprintf("The line cannot be read as CSV: %s, at line %d, character %d. Nothing after it was read.", bad.Err, bad.Line, bad.Column))
			return
		}
		if err != nil {
			r.refuse(1, 0, "The file cannot be read.")
			return
		}
		number, _ := in.FieldPos(0)
		switch {
		case first && !r.columns(number, fields):
			return // without columns no line can be read
		case !first && len(r.lines) == MaxNodes:
			r.refuse(number, 0, fmt.Sprintf("A plan has at most %d nodes.", MaxNodes))
			return
		case !first:
			r.line(number, fields)
		}
	}
}

// columns reads the first line.
func (r *reader) columns(number int, fields []string) bool {
	r.head, r.code, r.places = make([]string, len(fields)), -1, map[int]int{}
	taken := map[string]int{}
	for i, f := range fields {
		name := strings.ToLower(strings.TrimSpace(f))
		r.head[i] = name
		if before, twice := taken[name]; twice {
			r.refuse(number, i+1, fmt.Sprintf("Column %.40q is there twice: it is column %d, too.", name, before))
		}
		taken[name] = i + 1
		switch month, err := period.ParseMonth(name); {
		case name == "code":
			r.code = i
		case slices.Contains(aside(), name):
		case err != nil:
			r.refuse(number, i+1, fmt.Sprintf("%.40q is no column of a plan: those are code and months such as %s.", name, r.year))
		default:
			place, in := r.year.Place(month)
			if !in {
				r.refuse(number, i+1, fmt.Sprintf("%s is not in %s.", month, r.year.Name()))
			}
			r.places[i] = place
		}
	}
	switch {
	case len(fields) == 1 && strings.ContainsAny(fields[0], ";\t"):
		r.problems = nil
		r.refuse(number, 1, "The columns are not separated by commas.")
	case r.code < 0:
		r.refuse(number, 0, `There is no column "code".`)
	case len(r.places) == 0:
		r.refuse(number, 0, "There is no column of a month.")
	}
	return len(r.problems) == 0
}

// line reads the line of one node.
func (r *reader) line(number int, fields []string) {
	if len(fields) != len(r.head) {
		r.refuse(number, min(len(fields), len(r.head))+1, fmt.Sprintf("The line has %d fields, the first one has %d.", len(fields), len(r.head)))
		return
	}
	l := Line{Number: number, Code: strings.TrimSpace(fields[r.code])}
	before, twice := r.seen[l.Code]
	node, known := r.nodes[l.Code]
	switch {
	case l.Code == "":
		r.refuse(number, r.code+1, "The node's code is missing.")
	case twice:
		r.refuse(number, r.code+1, fmt.Sprintf("%.60s is in line %d, too.", l.Code, before))
	case !known:
		r.refuse(number, r.code+1, fmt.Sprintf("No node has the code %.60q.", l.Code))
	}
	r.seen[l.Code], l.Node = number, node
	for i, f := range fields {
		place, isMonth := r.places[i]
		if !isMonth {
			continue
		}
		amount, err := ParseAmount(f)
		if err != nil {
			r.refuse(number, i+1, fault.From(err).Message)
			if r.full() {
				return
			}
			continue
		}
		l.Cells = append(l.Cells, Cell{Place: place, Column: i + 1, Amount: amount})
	}
	r.lines = append(r.lines, l)
}
