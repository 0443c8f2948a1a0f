package erp

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tollbook/app/export"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
)

// field is one thing of theirs that a mapping fills.
type field struct {
	name     string
	natural  []string // the sources a missing rule is named by, first one that the line has
	header   bool     // of the document, not of its lines
	must     bool     // to be filled
	fallback string   // what it is where the mapping does not speak of it
	max      int      // characters; 0: no limit known
	choices  []string
	figure   bool // a number without a sign
}

var figures = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

func (f *field) refuses(value string) string {
	switch {
	case f.max > 0 && utf8.RuneCountInString(value) > f.max:
		return fmt.Sprintf("%s has at most %d characters; %.60q has %d.", f.name, f.max, value, utf8.RuneCountInString(value))
	case len(f.choices) > 0 && !slices.Contains(f.choices, value):
		return fmt.Sprintf("%s is one of %s; not %.60q.", f.name, strings.Join(f.choices, ", "), value)
	case f.figure && !figures.MatchString(value):
		return fmt.Sprintf("%s is a number such as 1.00; not %.60q.", f.name, value)
	default:
		return ""
	}
}

// column is one cell of each row.
type column struct {
	head    string
	numeric bool // a figure: never taken for a formula
	digits  int  // at most so many before the decimal point; 0: no limit known
	max     int  // characters; 0: no limit known
	must    bool
	value   func(*row) string
}

// Format is the layout of one system. Formats are made by this package's functions.
type Format struct {
	Name     string
	version  int
	fields   []field
	open     string            // beginning of names of fields that a company makes itself; empty: none
	anyField bool              // fields are named by the layout
	document int               // lines of one document; 0: no limit
	file     int               // lines of one file; 0: no limit
	bytes    int               // of one file; 0: no limit
	suffix   string            // of the file
	entity   string            // the field that names whose books a document is in; empty: our code of the entity
	account  func(*row) string // where it is not the field account
	columns  func(*looked) []column
	headless bool
	reverses bool                                        // its rows say when a journal reverses itself
	wrap     func(*Journal, []byte) ([]byte, error)      // what holds the file, if not itself
	layout   func(*renderer, *document, int) [][]string  // rows of a document where they are not one a line
	opening  func(*renderer, []document, int) [][]string // rows before the first document of a file, for layout
	narrow   func(*Journal, *problems)                   // limits of the whole
}

// File is one finished file and what is known of it.
type File struct {
	Name     string
	Content  []byte
	Manifest export.Manifest
}

// Names lists the formats of journals.
func Names() []string {
	return []string{"journal", "netsuite", "oracle", "quickbooks", "sap", "workday", "xero"}
}

// ErrFormat reports a format that is not there.
var ErrFormat = fault.New(fault.KindNotFound, "export_format", "There is no such format of exports.")

// ByName is the format of a name, with its default layout.
func ByName(name string) (Format, error) {
	switch name {
	case "journal":
		return Neutral(), nil
	case "netsuite":
		return NetSuite(), nil
	case "oracle":
		return Oracle(), nil
	case "quickbooks":
		return QuickBooks(), nil
	case "sap":
		return SAP(), nil
	case "workday":
		return Workday(DefaultColumns()), nil
	case "xero":
		return Xero(), nil
	default:
		return Format{}, ErrFormat
	}
}

func (f Format) field(name string) (*field, bool) {
	for i := range f.fields {
		if f.fields[i].name == name {
			return &f.fields[i], true
		}
	}
	return nil, false
}

func (f Format) knows(name string) bool {
	_, ok := f.field(name)
	return ok || (f.anyField && fieldNames.MatchString(name)) || (f.open != "" && strings.HasPrefix(name, f.open) && len(name) > len(f.open))
}

func (f Format) known() string {
	var names []string
	for i := range f.fields {
		names = append(names, f.fields[i].name)
	}
	if f.open != "" {
		names = append(names, f.open+"NAME")
	}
	if f.anyField {
		names = append(names, "and those of the column map")
	}
	return strings.Join(names, ", ")
}

// Check tells all that keeps a journal from being exported, before it is: each node,
// account, entity and month without a mapping, and each limit broken. None: Encode writes.
func (f Format) Check(j *Journal, m *Mapping) []Problem {
	_, found, err := f.render(j, m)
	if err != nil {
		found = append(found, Problem{Code: "encoding", Message: err.Error()})
	}
	return found
}

// Encode writes a journal as files, each with a manifest made from about, which says who
// exports what and when. The files depend on the journal and the mapping alone.
func (f Format) Encode(j *Journal, m *Mapping, about export.Manifest) ([]File, error) {
	files, found, err := f.render(j, m)
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		return nil, ErrRefused.Because(errors.New(found[0].String()))
	}
	for i := range files {
		files[i].Manifest = f.manifest(&files[i], j, about)
	}
	return files, nil
}

// renderer makes cells, and collects what is wrong with them.
type renderer struct {
	format  Format
	journal *Journal
	mapping *looked
	problems
	columns []column
	header  facts
	layouts map[string]string
}

func (f Format) renderer(j *Journal, m *Mapping) *renderer {
	r := &renderer{format: f, journal: j, mapping: m.as(j.PostedOn), layouts: layouts(), header: headerFacts(j)}
	r.mapping.fillBy(j)
	if f.columns != nil {
		r.columns = f.columns(r.mapping)
	}
	return r
}

func (f Format) render(j *Journal, m *Mapping) ([]File, []Problem, error) {
	r := f.renderer(j, m)
	if m.System != f.Name {
		r.add(Problem{Field: "system", Code: "system", Message: fmt.Sprintf("The mapping is of %.40q; this is an export to %s.", m.System, f.Name)})
	}
	for _, one := range m.Validate() {
		one.Subject = fmt.Sprintf("rule %d", one.Line)
		one.Line = 0
		r.add(one)
	}
	j.examine(&r.problems)
	if f.narrow != nil {
		f.narrow(j, &r.problems)
	}
	if !j.ReversedOn.IsZero() && !f.reverses {
		r.add(Problem{Field: "reversed_on", Code: "reversal", Message: fmt.Sprintf("A file for %s cannot say that a journal reverses itself: export the reversal as a journal of its own.", f.Name)})
	}
	if n := j.lines(); n == 0 || n > maxLines {
		return nil, r.list, nil
	}
	limit := f.document
	if len(r.list) > 0 {
		limit = 0 // an unsound journal cannot be cut, but what it lacks is told all the same
	}
	parts, err := r.parts(documents(j, limit))
	if err != nil || len(r.list) > 0 {
		return nil, r.list, err
	}
	for i := range parts {
		if parts[i].Content, err = r.file(parts[i]); err != nil {
			return nil, nil, err
		}
	}
	files := make([]File, len(parts))
	for i := range parts {
		files[i] = parts[i].File
		files[i].Manifest.Rows, files[i].Manifest.Columns = parts[i].lines, heads(r.columns)
		files[i].Manifest.ControlTotals = []export.Pair{
			{Name: "debit_total", Value: parts[i].debit.String()}, {Name: "credit_total", Value: parts[i].credit.String()},
			{Name: "journals", Value: strconv.Itoa(len(parts[i].documents))}, {Name: "files", Value: strconv.Itoa(len(parts))},
		}
		files[i].Name = j.ExternalID + "-" + f.Name
		if len(parts) > 1 {
			files[i].Name += fmt.Sprintf("-%dof%d", i+1, len(parts))
		}
		files[i].Name += f.suffix
	}
	return files, nil, nil
}

// part is a file in the making.
type part struct {
	File
	documents []document
	body      []byte
	lines     int
	debit     money.Cents
	credit    money.Cents
}

// parts divides documents among files, none of which breaks a limit of the format.
func (r *renderer) parts(list []document) ([]part, error) {
	var parts []part
	for i := range list {
		d := &list[i]
		last := len(parts) - 1
		body, err := encode(r.rows(d, i+1))
		if err != nil {
			return nil, err
		}
		full := last >= 0 && ((r.format.file > 0 && parts[last].lines+len(d.legs) > r.format.file) ||
			(r.format.bytes > 0 && len(parts[last].body)+len(body) > r.format.bytes-maxHead))
		if last < 0 || full {
			parts = append(parts, part{})
			last++
		}
		p := &parts[last]
		p.documents, p.body, p.lines = append(p.documents, *d), append(p.body, body...), p.lines+len(d.legs)
		p.Manifest.Journals = append(p.Manifest.Journals, d.id)
		for _, l := range d.legs {
			p.debit, p.credit = p.debit+l.debit, p.credit+l.credit
		}
		if r.format.bytes > 0 && len(p.body) > r.format.bytes-maxHead {
			r.add(Problem{Code: "bytes", Message: fmt.Sprintf("The journal %s alone takes more than the %d bytes of a file.", d.id, r.format.bytes)})
		}
	}
	return parts, nil
}

// maxHead is room kept for the line of heads.
const maxHead = 64 << 10

func (r *renderer) file(p part) ([]byte, error) {
	var head []byte
	var err error
	switch {
	case r.format.opening != nil:
		head, err = encode(r.format.opening(r, p.documents, p.lines))
	case !r.format.headless:
		head, err = encode([][]string{heads(r.columns)})
	}
	if err != nil {
		return nil, err
	}
	content := slices.Concat(head, p.body)
	if r.format.wrap != nil {
		return r.format.wrap(r.journal, content)
	}
	return content, nil
}

func heads(columns []column) []string {
	list := make([]string, len(columns))
	for i := range columns {
		list[i] = columns[i].head
	}
	return list
}

func (f Format) manifest(file *File, j *Journal, about export.Manifest) export.Manifest {
	m := about
	m.Report, m.ReportVersion, m.File = f.Name+"_journal", f.version, file.Name
	m.Rows, m.Journals = file.Manifest.Rows, file.Manifest.Journals
	m.Columns = file.Manifest.Columns
	m.ControlTotals = append(slices.Clone(file.Manifest.ControlTotals), about.ControlTotals...)
	m.Filters = append([]export.Pair{{Name: "period", Value: j.Period.String()}, {Name: "entity", Value: j.Entity}, {Name: "journal", Value: j.ExternalID}}, about.Filters...)
	return m.Of(file.Content)
}

// rows are a document's rows.
func (r *renderer) rows(d *document, number int) [][]string {
	if r.format.layout != nil {
		return r.format.layout(r, d, number)
	}
	rows := make([][]string, len(d.legs))
	for i := range d.legs {
		rows[i] = r.cells(r.columns, r.line(d, i))
	}
	return rows
}

func (r *renderer) line(d *document, i int) *row {
	return &row{renderer: r, doc: d, leg: &d.legs[i], place: i + 1}
}

// row is what a cell is made from.
type row struct {
	*renderer
	doc   *document
	leg   *leg // nil: the row of a document
	place int  // of the line in its document, from 1
	facts *facts
}

func (r *renderer) cells(columns []column, of *row) []string {
	out := make([]string, len(columns))
	for i := range columns {
		c := &columns[i]
		out[i] = c.value(of)
		switch text := out[i]; {
		case text == "" && c.must:
			of.tell(c.head, "empty", "%s must not be empty.", c.head)
		case !c.numeric && export.Formula(text):
			of.tell(c.head, "formula", "%s begins with %q, which a spreadsheet would take for a formula. Imports must not alter text, so it has to be changed where it comes from.", c.head, text[:1])
		case c.max > 0 && utf8.RuneCountInString(text) > c.max:
			of.tell(c.head, "too_long", "%s has at most %d characters; %.80q has %d.", c.head, c.max, text, utf8.RuneCountInString(text))
		case c.digits > 0 && whole(text) > c.digits:
			of.tell(c.head, "too_large", "%s has at most %d digits before the decimal point; %s has more.", c.head, c.digits, text)
		}
	}
	return out
}

func whole(amount string) int {
	before, _, _ := strings.Cut(strings.TrimPrefix(amount, "-"), ".")
	return len(before)
}

func (w *row) tell(field, code, message string, args ...any) {
	one := Problem{Field: field, Code: code, Message: fmt.Sprintf(message, args...)}
	if w.leg != nil {
		one.Entry, one.Line = w.leg.entry, w.leg.number
	} else {
		one.Subject = "document " + w.doc.id
	}
	w.add(one)
}

func headerFacts(j *Journal) facts {
	return factsOf(map[string]string{SourceEntity: j.Entity, SourcePeriod: j.Period.String(), SourceCurrency: j.Currency})
}

func factsOf(values map[string]string) facts {
	var of facts
	for i, source := range Sources() {
		of[i] = values[source]
	}
	return of
}

func (w *row) known() *facts {
	if w.leg == nil {
		return &w.header
	}
	if w.facts == nil {
		l, of := w.leg, w.header
		// In the order of Sources, before those of the document.
		copy(of[:], []string{l.Node, l.Project, l.Department, l.Class, l.Location, l.GLAccount, l.Kind, l.Capitalization, l.Partner})
		w.facts = &of
	}
	return w.facts
}

// mapped is a field's value on a row, or a problem that names what lacks it: a field that
// must be filled, one the mapping fills by node, on each line that has one, and one of the
// document that it fills for others.
func (w *row) mapped(name string) string {
	f, _ := w.format.field(name)
	if f == nil {
		f = &field{name: name, natural: []string{SourceNode}}
	}
	of := w.known()
	if f.header {
		of = &w.header
	}
	value, found, spoken := w.mapping.find(name, of)
	if w.leg != nil && !f.header && w.leg.Own[name] != "" {
		value, found = w.leg.Own[name], true
	}
	switch {
	case found:
		if message := f.refuses(value); message != "" {
			w.add(Problem{Field: name, Subject: w.mapping.subject(name, of, f.natural...), Code: "value", Message: message})
		}
		return value
	case !spoken && f.fallback != "":
		return f.fallback
	case f.must, f.header && spoken, !f.header && w.leg != nil && w.leg.Node != "" && w.mapping.places(name):
		w.lacks(name)
	}
	return ""
}

// demanded is a field's value on a row, which has to have one.
func (w *row) demanded(name string) string {
	value := w.mapped(name)
	if value == "" {
		w.lacks(name)
	}
	return value
}

// lacks tells of a row without a value for a field.
func (w *row) lacks(name string) {
	f, _ := w.format.field(name)
	if f == nil {
		f = &field{name: name, natural: []string{SourceNode}}
	}
	of := w.known()
	if f.header {
		of = &w.header
	}
	subject := w.mapping.subject(name, of, f.natural...)
	one := Problem{Field: name, Subject: subject, Code: "unmapped", Message: fmt.Sprintf("The mapping of %s has no %s for %s on %s.", w.format.Name, name, subject, w.journal.PostedOn.Format(time.DateOnly))}
	if w.leg != nil && !f.header {
		one.Entry, one.Line = w.leg.entry, w.leg.number
	}
	w.add(one)
}

// reversalPeriod is what they call the month a journal reverses itself in.
func (w *row) reversalPeriod() string {
	if w.journal.ReversedOn.IsZero() {
		return ""
	}
	of := w.header
	month := period.MonthOf(w.journal.ReversedOn).String()
	of[slices.Index(Sources(), SourcePeriod)] = month
	value, found, _ := w.mapping.find("period", &of)
	if !found {
		w.add(Problem{Field: "period", Subject: "period " + month, Code: "unmapped", Message: fmt.Sprintf("The mapping of %s has no period for period %s, in which the journal reverses itself.", w.format.Name, month)})
	}
	return value
}

// fieldColumn is a column that the mapping fills.
func fieldColumn(head, name string) column {
	return column{head: head, value: func(w *row) string { return w.mapped(name) }}
}

func number(w *row) string { return strconv.Itoa(w.place) }

// day writes a date in the layout that the field date_format says, which is checked with the mapping.
func (w *row) day(t time.Time, fixed string) string {
	if t.IsZero() {
		return ""
	}
	if fixed == "" {
		fixed = w.mapped("date_format")
	}
	return t.Format(w.layouts[fixed])
}

func amount(cents money.Cents) string {
	if cents == 0 {
		return ""
	}
	return cents.String()
}

func (w *row) debit() string  { return amount(w.leg.debit) }
func (w *row) credit() string { return amount(w.leg.credit) }

// memo is a line's own, or the journal's.
func (w *row) memo() string {
	if w.leg.Memo != "" {
		return w.leg.Memo
	}
	return w.journal.Memo
}

func (w *row) title() string {
	if w.journal.Title != "" {
		return w.journal.Title
	}
	return w.journal.Memo
}

func tokens(w *row) string {
	if w.leg.tokens == 0 {
		return ""
	}
	return strconv.FormatInt(w.leg.tokens, 10)
}
