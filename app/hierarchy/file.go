package hierarchy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// The file of a hierarchy is CSV (RFC 4180) in UTF-8. Its first line names the columns, in
// any order: "code", and any of name, kind, parent_code, owner (a member's id), entity,
// gl_account, capitalization, those of the evidence (standard, authorized_on,
// authorization_document, funding_commitment, uncertain, started_on, ready_for_use_on,
// in_service_on, category, capitalizable_percent) and ERP dimensions as system.dimension
// (netsuite.department). The columns an export adds for people are read over. Each line
// after it is one node as it shall be; parents may come after children. A blank cell takes
// the value away, but for name and kind, which a node cannot be without, and
// capitalization, which is then expense for a new node and stays for one that is there.
// Columns that are not in the file keep what there is; of a system that has any column, the
// columns are all its dimensions. A cell that begins with one of = + - @ would be a formula
// where the file is opened: it is written, and read, with an apostrophe before it.

// Problem is an error in a file, where it is.
type Problem struct {
	Line, Column int // from 1; 0: the whole file, or the whole line
	Head         string
	Message      string
}

// Bounds of a file.
const (
	MaxProblems = 200 // are told; a file with more is not read on
	MaxFile     = 4 << 20
	maxColumns  = 120
)

const formulaStarts = "=+-@"

// fields are the columns that say something of a node, without its code and dimensions.
func fields() []string {
	return []string{
		"name", "kind", "parent_code", "owner", "entity", "gl_account", "capitalization", "standard", "authorized_on", "authorization_document",
		"funding_commitment", "uncertain", "started_on", "ready_for_use_on", "in_service_on", "category", "capitalizable_percent",
	}
}

// beside are the columns that exports carry for people.
func beside() []string {
	return []string{"version", "path", "id", "effective_from", "effective_to", "period", "own_usd", "total_usd"}
}

// File is a hierarchy as somebody wants it.
type File struct {
	Head  []string // columns, in the file's order
	Lines []FileLine
}

// FileLine is one node as it shall be.
type FileLine struct {
	Number int // of the file
	Code   string
	Cells  map[string]string // by column; only what says something of the node
}

// Column is where a column stands, from 1; 0 where it does not.
func (f *File) Column(name string) int { return slices.Index(f.Head, name) + 1 }

// ReadFile reads a file. One with any problem is refused whole: no lines come back.
func ReadFile(file []byte) (File, []Problem) {
	r := &fileReader{seen: map[string]int{}}
	switch {
	case len(file) > MaxFile:
		r.refuse(1, 0, fmt.Sprintf("The file has more than %d bytes.", MaxFile))
	case !utf8.Valid(file):
		r.refuse(1, 0, "The file is not UTF-8. Save it as CSV UTF-8.")
	default:
		r.read(bytes.TrimPrefix(file, []byte("\ufeff")))
	}
	if len(r.problems) > 0 {
		return File{Head: r.file.Head}, r.problems
	}
	return r.file, nil
}

type fileReader struct {
	file     File
	seen     map[string]int // codes by line
	problems []Problem
}

func (r *fileReader) refuse(line, column int, message string) {
	p := Problem{Line: line, Column: column, Message: message}
	if column > 0 && column <= len(r.file.Head) {
		p.Head = r.file.Head[column-1]
	}
	if len(r.problems) < MaxProblems {
		r.problems = append(r.problems, p)
	}
}

func (r *fileReader) read(file []byte) {
	in := csv.NewReader(bytes.NewReader(file))
	in.FieldsPerRecord = -1 // told by line and column below
	in.ReuseRecord = true
	for first := true; len(r.problems) < MaxProblems; first = false {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			if first {
				r.refuse(1, 0, "The file is empty.")
			} else if len(r.file.Lines) == 0 && len(r.problems) == 0 {
				r.refuse(2, 0, "The file names columns but no node.")
			}
			return
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			r.refuse(bad.Line, fieldAt(file, bad), fmt.Sprintf("The line cannot be read as CSV: %s, at character %d. Nothing after it was read.", bad.Err, bad.Column))
			return
		}
		if err != nil {
			r.refuse(1, 0, "The file cannot be read.")
			return
		}
		number, _ := in.FieldPos(0)
		switch {
		case first && !r.columns(number, cells):
			return // without columns no line can be read
		case first:
		case len(r.file.Lines) == MaxNodes:
			r.refuse(number, 0, fmt.Sprintf("A file has at most %d nodes.", MaxNodes))
			return
		default:
			r.line(number, cells)
		}
	}
}

// fieldAt is the field in which a line stops being CSV; 0 where the field began in a line before.
func fieldAt(file []byte, bad *csv.ParseError) int {
	if bad.Line != bad.StartLine {
		return 0
	}
	var line []byte
	for range bad.Line {
		line, file, _ = bytes.Cut(file, []byte("\n"))
	}
	field, quoted := 1, false
	for _, b := range line[:min(bad.Column, len(line))] {
		switch {
		case b == '"':
			quoted = !quoted
		case b == ',' && !quoted:
			field++
		}
	}
	return field
}

// columns reads the first line.
func (r *fileReader) columns(number int, cells []string) bool {
	if len(cells) > maxColumns {
		r.refuse(number, maxColumns+1, fmt.Sprintf("A file has at most %d columns.", maxColumns))
		return false
	}
	taken := map[string]int{}
	for i, c := range cells {
		name := columnName(c)
		r.file.Head = append(r.file.Head, name)
		if before, twice := taken[name]; twice {
			r.refuse(number, i+1, fmt.Sprintf("Column %.60q is there twice: it is column %d, too.", name, before))
		}
		taken[name] = i + 1
		system, dimension, isDimension := strings.Cut(name, ".")
		switch {
		case name == "code", slices.Contains(fields(), name), slices.Contains(beside(), name):
		case isDimension && slices.Contains(Systems(), system) && dimensionForm.MatchString(dimension):
		default:
			r.refuse(number, i+1, fmt.Sprintf("%.60q is no column of a hierarchy. Known: code, %s, and dimensions such as netsuite.department.", c, strings.Join(fields(), ", ")))
		}
	}
	switch {
	case len(cells) == 1 && strings.ContainsAny(cells[0], ";\t"):
		r.problems = nil
		r.refuse(number, 1, "The columns are not separated by commas.")
	case taken["code"] == 0:
		r.refuse(number, 0, `There is no column "code".`)
	}
	return len(r.problems) == 0
}

// columnName is a column's name however it is written. A dimension keeps its letters: an
// ERP's may be told apart by them.
func columnName(text string) string {
	text = strings.TrimSpace(text)
	if system, dimension, is := strings.Cut(text, "."); is {
		return strings.ToLower(system) + "." + dimension
	}
	return strings.ToLower(text)
}

// line reads the line of one node.
func (r *fileReader) line(number int, cells []string) {
	if len(cells) != len(r.file.Head) {
		r.refuse(number, min(len(cells), len(r.file.Head))+1, fmt.Sprintf("The line has %d fields, the first one has %d.", len(cells), len(r.file.Head)))
		return
	}
	l := FileLine{Number: number, Cells: make(map[string]string, len(cells))}
	for i, text := range cells {
		column := r.file.Head[i]
		if slices.Contains(beside(), column) {
			continue
		}
		text, message := readCell(text)
		if message != "" {
			r.refuse(number, i+1, message)
		}
		if column == "code" {
			l.Code = text
			continue
		}
		l.Cells[column] = text
	}
	code := r.file.Column("code")
	before, twice := r.seen[l.Code]
	switch {
	case l.Code == "":
		r.refuse(number, code, "The node's code is missing.")
	case twice:
		r.refuse(number, code, fmt.Sprintf("%.60s is in line %d, too.", l.Code, before))
	case !codeForm.MatchString(l.Code):
		r.refuse(number, code, fmt.Sprintf("A code is 1 to 40 letters, digits, dots, dashes or underscores; %.60q is not.", l.Code))
	}
	r.seen[l.Code] = number
	r.file.Lines = append(r.file.Lines, l)
}

// readCell takes the guard off a cell, and refuses what would be run where a file is opened.
func readCell(text string) (cell, problem string) {
	text = strings.Trim(text, " ")
	switch {
	case !printable(text, maxEvidenceBytes):
		return "", fmt.Sprintf("A cell has at most %d bytes of text on one line.", maxEvidenceBytes)
	case text != "" && strings.Contains(formulaStarts, text[:1]):
		return "", fmt.Sprintf("The cell begins with %s, as a formula does. If it is meant, write an apostrophe before it.", text[:1])
	}
	return unguarded(text), ""
}

// guarded and unguarded undo each other.
func guarded(text string) string {
	if bare := strings.TrimLeft(text, "'"); bare != "" && strings.Contains(formulaStarts, bare[:1]) {
		return "'" + text
	}
	return text
}

func unguarded(text string) string {
	if bare := strings.TrimLeft(text, "'"); bare != "" && bare != text && strings.Contains(formulaStarts, bare[:1]) {
		return text[1:]
	}
	return text
}

// Listed is a node with what a file says of its place.
type Listed struct {
	Version

	ParentCode, Path string
}

// Sheet is a hierarchy as rows of a file, with the first line: every field of every node,
// and a column for each dimension that any of them has.
func Sheet(nodes []Listed) (head []string, rows [][]string) {
	dimensions := map[string]bool{}
	for i := range nodes {
		for system, codes := range nodes[i].Dimensions.Codes() {
			for name := range codes {
				dimensions[system+"."+name] = true
			}
		}
	}
	erp := slices.Sorted(maps.Keys(dimensions))
	head = slices.Concat([]string{"code"}, fields(), erp, []string{"path", "id", "effective_from", "effective_to"})
	for i := range nodes {
		n := &nodes[i]
		row := []string{n.Code}
		for _, column := range fields() {
			row = append(row, guarded(fieldOf(&n.Version, column, n.ParentCode)))
		}
		codes := n.Dimensions.Codes()
		for _, column := range erp {
			system, name, _ := strings.Cut(column, ".")
			row = append(row, guarded(codes[system][name]))
		}
		until := ""
		if !n.EffectiveTo.IsZero() {
			until = n.EffectiveTo.UTC().Format("2006-01-02T15:04:05Z07:00")
		}
		rows = append(rows, append(row, n.Path, n.Node.String(), n.EffectiveFrom.UTC().Format("2006-01-02T15:04:05Z07:00"), until))
	}
	return head, rows
}

// fieldOf is what a version says under a column.
func fieldOf(v *Version, column, parent string) string {
	switch e := &v.Evidence; column {
	case "name":
		return v.Name
	case "kind":
		return string(v.Kind)
	case "parent_code":
		return parent
	case "owner":
		return v.Owner.String()
	case "entity":
		return v.Entity
	case "gl_account":
		return v.GLAccount
	case "capitalization":
		return string(v.Capitalization)
	case "standard":
		return string(e.Standard)
	case "authorized_on":
		return e.AuthorizedOn
	case "authorization_document":
		return e.AuthorizationDocument
	case "funding_commitment":
		return e.FundingCommitment
	case "uncertain":
		if e.Uncertain {
			return "yes"
		}
	case "started_on":
		return e.StartedOn
	case "ready_for_use_on":
		return e.ReadyForUseOn
	case "in_service_on":
		return e.InServiceOn
	case "category":
		return string(e.Category)
	case "capitalizable_percent":
		return percent(e.CapitalizableBps)
	}
	return ""
}

// percent prints hundredths of a percent; nothing for none.
func percent(bps int64) string {
	if bps == 0 {
		return ""
	}
	text := fmt.Sprintf("%d.%02d", bps/100, bps%100)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// parsePercent reads 75, 75.5 or 75.25 %.
func parsePercent(text string) (int64, bool) {
	whole, fraction, _ := strings.Cut(strings.TrimSpace(strings.TrimSuffix(text, "%")), ".")
	for len(fraction) < 2 {
		fraction += "0"
	}
	if whole == "" || len(whole) > 3 || len(fraction) > 2 {
		return 0, false
	}
	bps, err := strconv.ParseUint(whole+fraction, 10, 32)
	return int64(bps), err == nil && bps <= wholeBps
}

// put sets what a cell says; the fault's message says what is wrong with it.
func put(v *Version, column, text string, fresh bool) error {
	switch column {
	case "name":
		if v.Name = text; text == "" {
			return fault.Invalid("name", "name_length", "A node needs a name.")
		}
	case "kind":
		if v.Kind = Kind(text); text == "" {
			return fault.Invalid("kind", "kind_unknown", "A node needs a kind.")
		}
	case "owner":
		v.Owner = id.Member{}
		if text != "" {
			member, err := id.ParseMember(text)
			if err != nil {
				return fault.Invalid("owner", "owner_absent", "No member has the id %.60q.", text)
			}
			v.Owner = member
		}
	case "entity":
		v.Entity = text
	case "gl_account":
		v.GLAccount = text
	case "capitalization":
		if text != "" {
			v.Capitalization = Capitalization(strings.ToLower(text))
		} else if fresh {
			v.Capitalization = Expense
		}
	default:
		return putEvidence(&v.Evidence, column, text)
	}
	return nil
}

// putEvidence sets what a cell says of the evidence.
func putEvidence(e *Evidence, column, text string) error {
	switch column {
	case "uncertain":
		if !slices.Contains([]string{"", "yes", "no", "true", "false"}, strings.ToLower(text)) {
			return fault.Invalid("uncertain", "evidence_flag", "This is yes or no, not %.40q.", text)
		}
		e.Uncertain = slices.Contains([]string{"yes", "true"}, strings.ToLower(text))
	case "capitalizable_percent":
		bps, ok := parsePercent(text)
		if text != "" && !ok {
			return fault.Invalid("capitalizable_percent", "evidence_share", "%.40q is no share of 0 to 100 percent with at most two decimals.", text)
		}
		e.CapitalizableBps = bps
	case "standard":
		e.Standard = Standard(text)
	case "authorized_on":
		e.AuthorizedOn = text
	case "authorization_document":
		e.AuthorizationDocument = text
	case "funding_commitment":
		e.FundingCommitment = text
	case "started_on":
		e.StartedOn = text
	case "ready_for_use_on":
		e.ReadyForUseOn = text
	case "in_service_on":
		e.InServiceOn = text
	case "category":
		e.Category = Category(text)
	}
	return nil
}
