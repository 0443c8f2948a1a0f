package erp

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tollbook/app/export"
	"tollbook/app/table"
)

// fieldNames are names of fields that a layout brings.
var fieldNames = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Workday is a journal for an EIB. No two adopters have one layout, so that the layout is
// a column map; DefaultColumns is a published one.
func Workday(columns []MapColumn) Format {
	return Format{
		Name: "workday", version: 1, entity: "company", suffix: ".csv", anyField: true,
		reverses: slices.ContainsFunc(columns, func(c MapColumn) bool { return c.Source == "reversal_date" }),
		fields: []field{
			{name: "account", natural: []string{SourceAccount, SourceKind}, must: true},
			{name: "company", natural: []string{SourceEntity}, header: true, must: true},
			{name: "journal_source", header: true, must: true},
			{name: "book_code", header: true},
			{name: "balancing_worktag", header: true},
		},
		narrow: func(_ *Journal, p *problems) {
			for _, f := range ValidateColumns(columns) {
				p.add(Problem{Field: "column map", Subject: fmt.Sprintf("column %d", f.Line), Code: "column_map", Message: f.Message})
			}
		},
		columns: func(*looked) []column { return mapColumns(columns) },
	}
}

// MapColumn is one column of a layout: its head as the template spells it, and what fills it.
type MapColumn struct {
	Head     string
	Source   string // one of ColumnSources
	Argument string // of the source: a text, a field of the mapping, or a date's layout
	Required bool   // must not be empty on any row
}

// maxColumns bounds a layout.
const maxColumns = 200

// arguments a source of columns takes.
const (
	argumentNone  = ""
	argumentText  = "text"
	argumentField = "field"
	argumentDate  = "date"
)

// filler is one source of columns.
type filler struct {
	name     string
	argument string
	numeric  bool
	digits   int
	max      int
	value    func(w *row, argument string) string
}

func fillers() []filler {
	plainly := func(name string, value func(*row) string) filler {
		return filler{name: name, value: func(w *row, _ string) string { return value(w) }}
	}
	figure := func(name string, value func(*row) string) filler {
		return filler{name: name, numeric: true, digits: 16, value: func(w *row, _ string) string { return value(w) }}
	}
	return []filler{
		{name: "accounting_date", argument: argumentDate, value: func(w *row, layout string) string { return w.day(w.journal.PostedOn, layout) }},
		plainly("capitalization", func(w *row) string { return w.leg.Capitalization }),
		{name: "constant", argument: argumentText, value: func(_ *row, text string) string { return text }},
		figure("control_total", func(w *row) string { return w.doc.total.String() }),
		figure("credit", (*row).credit),
		plainly("currency", func(w *row) string { return w.journal.Currency }),
		figure("debit", (*row).debit),
		plainly("document_link", func(w *row) string { return w.journal.Document }),
		plainly("empty", func(*row) string { return "" }),
		plainly("entry_id", func(w *row) string { return w.leg.entry }),
		plainly("external_id", func(w *row) string { return w.doc.id }),
		{name: "field", argument: argumentField, value: func(w *row, name string) string { return w.mapped(name) }},
		{name: "if_reversed", argument: argumentText, value: ifReversed},
		// Letters and digits alone, at most 30.
		{name: "journal_key", max: 30, value: func(w *row, _ string) string { return keyed(w.doc.id, longKey) }},
		plainly("journal_memo", func(w *row) string { return w.journal.Memo }),
		plainly("line_memo", (*row).memo),
		figure("line_number", number),
		plainly("node", func(w *row) string { return w.leg.Node }),
		plainly("packet", func(w *row) string { return w.journal.Packet }),
		plainly("period", func(w *row) string { return w.journal.Period.String() }),
		{name: "reversal_date", argument: argumentDate, value: func(w *row, layout string) string { return w.day(w.journal.ReversedOn, layout) }},
		plainly("title", (*row).title),
		figure("tokens", tokens),
	}
}

// ColumnSources lists what can fill a column.
func ColumnSources() []string {
	var names []string
	for _, f := range fillers() {
		names = append(names, f.name)
	}
	return names
}

// DefaultColumns is the layout a university publishes for its manual uploads.
func DefaultColumns() []MapColumn {
	columns := []MapColumn{
		{Head: "H_JournalKey", Source: "journal_key", Required: true},
		{Head: "H_Company", Source: "field", Argument: "company", Required: true},
		{Head: "H_Currency", Source: "currency", Required: true},
		{Head: "H_LedgerType", Source: "constant", Argument: "ACTUALS", Required: true},
		{Head: "H_BookCode", Source: "field", Argument: "book_code"},
		{Head: "H_AccountingDate", Source: "accounting_date", Argument: "MM/DD/YYYY", Required: true},
		{Head: "H_JournalSource", Source: "field", Argument: "journal_source", Required: true},
		{Head: "H_BalancingWorktag", Source: "field", Argument: "balancing_worktag"},
		{Head: "H_JournalEntryMemo", Source: "journal_memo"},
		{Head: "H_JournalExternalRefID", Source: "external_id"},
		{Head: "L_Order", Source: "line_number"},
		{Head: "L_LedgerAccount", Source: "field", Argument: "account"},
		{Head: "L_DebitAmount", Source: "debit"},
		{Head: "L_CreditAmount", Source: "credit"},
		{Head: "L_Currency", Source: "currency"},
		{Head: "L_Memo", Source: "line_memo"},
		{Head: "L_ExternalRefID", Source: "entry_id"},
		{Head: "L_BudgetDate", Source: "empty"},
	}
	for _, worktag := range [][2]string{
		{"SpendCategory", "spend_category"}, {"RevenueCategory", "revenue_category"}, {"Company", "line_company"}, {"CostCenter", "cost_center"},
		{"BusinessUnit", "business_unit"}, {"Fund", "fund"}, {"Gift", "gift"}, {"Grant", "grant"}, {"Designated", "designated"}, {"Project", "project"},
		{"Program", "program"}, {"Function", "function"}, {"Activity", "activity"}, {"Assignee", "assignee"}, {"Internal_Reference", "internal_reference"},
		{"Location", "location"}, {"Loan", "loan"}, {"Region", "region"},
	} {
		columns = append(columns, MapColumn{Head: "L_" + worktag[0], Source: "field", Argument: worktag[1]})
	}
	return columns
}

// mapColumns are the columns of a layout; where it has flaws, which the check tells, none.
func mapColumns(list []MapColumn) []column {
	if len(ValidateColumns(list)) > 0 {
		return nil
	}
	sources := map[string]filler{}
	for _, f := range fillers() {
		sources[f.name] = f
	}
	out := make([]column, len(list))
	for i, c := range list {
		f := sources[c.Source]
		out[i] = column{head: c.Head, must: c.Required, numeric: f.numeric, digits: f.digits, max: f.max, value: func(w *row) string { return f.value(w, c.Argument) }}
	}
	return out
}

// columnHeads are those of the file a column map is kept as.
func columnHeads() []string { return []string{"header", "source", "argument", "required"} }

// ParseColumns reads a column map: a line for each column, in order. A file with a flaw is
// taken not at all.
func ParseColumns(file []byte) ([]MapColumn, []Flaw) {
	t := sheet{heads: columnHeads(), needed: 2}
	t.read(file, maxColumns)
	var columns []MapColumn
	for _, line := range t.lines {
		c := MapColumn{Head: line.cells[0], Source: line.cells[1], Argument: line.cells[2]}
		switch line.cells[3] {
		case "Y":
			c.Required = true
		case "", "N":
		default:
			t.flawf(line.number, 3, "%.40q is neither Y nor N.", line.cells[3])
		}
		columns = append(columns, c)
	}
	if len(t.flaws) > 0 {
		return nil, t.flaws
	}
	for _, f := range ValidateColumns(columns) {
		if f.Line > 0 {
			f.Line = t.lines[f.Line-1].number
		} else {
			f.Line = 1
		}
		if place := slices.Index(t.heads, f.Head); place >= 0 && t.places[place] >= 0 {
			f.Column = t.places[place] + 1
		}
		t.flaws = append(t.flaws, f)
	}
	if len(t.flaws) > 0 {
		return nil, t.flaws
	}
	return columns, nil
}

// PrintColumns writes a column map as the file ParseColumns reads.
func PrintColumns(columns []MapColumn) ([]byte, error) {
	rows := [][]string{columnHeads()}
	for _, c := range columns {
		required := "N"
		if c.Required {
			required = "Y"
		}
		rows = append(rows, []string{c.Head, c.Source, c.Argument, required})
	}
	return encode(rows)
}

// ValidateColumns finds what is wrong with a column map. Lines are places of columns, from
// 1; 0 is the map as a whole.
func ValidateColumns(columns []MapColumn) []Flaw {
	var flaws []Flaw
	tell := func(place int, head, format string, args ...any) {
		if len(flaws) < table.MaxFlaws {
			flaws = append(flaws, Flaw{Line: place, Head: head, Message: fmt.Sprintf(format, args...)})
		}
	}
	if len(columns) == 0 || len(columns) > maxColumns {
		tell(0, "", "A layout has 1 to %d columns; this one has %d.", maxColumns, len(columns))
		return flaws
	}
	heads := map[string]bool{}
	for i, c := range columns {
		switch {
		case c.Head == "" || !plain(c.Head) || export.Formula(c.Head):
			tell(i+1, "header", "%.60q cannot be the head of a column.", c.Head)
		case heads[c.Head]:
			tell(i+1, "header", "The head %s is there twice.", c.Head)
		}
		heads[c.Head] = true
		if message := c.sourceFlaw(); message != "" {
			tell(i+1, "source", "%s", message)
		} else if message := c.argumentFlaw(); message != "" {
			tell(i+1, "argument", "%s", message)
		}
	}
	for _, must := range []struct {
		words string
		is    func(MapColumn) bool
	}{
		{"the journal's key or external id", func(c MapColumn) bool { return c.Source == "journal_key" || c.Source == "external_id" }},
		{"debits", func(c MapColumn) bool { return c.Source == "debit" }},
		{"credits", func(c MapColumn) bool { return c.Source == "credit" }},
		{"accounts", func(c MapColumn) bool { return c.Source == "field" && c.Argument == "account" }},
	} {
		if !slices.ContainsFunc(columns, must.is) {
			tell(0, "", "No column of the layout holds %s.", must.words)
		}
	}
	return flaws
}

func (c MapColumn) filler() (filler, bool) {
	all := fillers()
	i := slices.IndexFunc(all, func(f filler) bool { return f.name == c.Source })
	if i < 0 {
		return filler{}, false
	}
	return all[i], true
}

func (c MapColumn) sourceFlaw() string {
	if _, ok := c.filler(); !ok {
		return fmt.Sprintf("%.60q is no source: %s.", c.Source, strings.Join(ColumnSources(), ", "))
	}
	return ""
}

func (c MapColumn) argumentFlaw() string {
	f, _ := c.filler()
	switch f.argument {
	case argumentNone:
		if c.Argument != "" {
			return fmt.Sprintf("%s takes no argument.", c.Source)
		}
	case argumentText:
		if c.Argument == "" || !plain(c.Argument) || export.Formula(c.Argument) {
			return fmt.Sprintf("%s takes a text that no spreadsheet would take for a formula; not %.60q.", c.Source, c.Argument)
		}
	case argumentField:
		if !fieldNames.MatchString(c.Argument) {
			return fmt.Sprintf("%.60q is no field of a mapping: small letters, digits and underscores, at most 40.", c.Argument)
		}
	case argumentDate:
		if _, ok := layouts()[c.Argument]; !ok {
			return fmt.Sprintf("%.40q is no layout of a date: %s.", c.Argument, strings.Join(dateFormats(), ", "))
		}
	}
	return ""
}
