package invoice

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/table"
)

// The file of invoices is CSV with a line for each line of an invoice; the lines of one
// invoice say the same of the invoice itself, and stand together.

const (
	maxInFile  = 100
	maxAmounts = 24 // characters
)

// Layout names the columns of a file of invoices.
func Layout() table.Layout {
	return table.Layout{
		Must:     []string{"invoice_number", "workspace", "issued_on", "due_on", "service_from", "service_through", "currency", "kind", "description", "amount", "invoice_total"},
		May:      []string{"issuer", "reference", "node"},
		MaxLines: maxInFile * MaxLines,
	}
}

// headOf is the column that a field of an invoice comes from.
func headOf(field string) string {
	if _, part, inLine := strings.Cut(field, "]."); inLine {
		return part
	}
	switch field {
	case "number":
		return "invoice_number"
	case "from":
		return "service_from"
	case "to":
		return "service_through"
	case "total":
		return "invoice_total"
	case "lines":
		return ""
	}
	return field
}

// Filed is an invoice of a file, and the line where it begins.
type Filed struct {
	Invoice

	Line int
}

// ReadFile reads a file of invoices. One with any flaw is refused whole.
func ReadFile(file []byte) ([]Filed, []table.Flaw) {
	t := table.Read(file, Layout())
	if len(t.Flaws) > 0 {
		return nil, t.Flaws
	}
	var list []Filed
	var starts []int // the place among the lines where each begins
	seen := map[string]int{}
	for n := range t.Lines {
		line := t.Lines[n]
		key := line.Cell("workspace") + "\x00" + line.Cell("invoice_number")
		before, again := seen[key]
		switch {
		case !again && len(list) == maxInFile:
			t.Flawf(line.Number, "", "There are more than %d invoices in the file.", maxInFile)
			return nil, t.Flaws
		case !again:
			seen[key] = len(list)
			starts = append(starts, n)
			list = append(list, Filed{Invoice: heading(t, line), Line: line.Number})
		case before != len(list)-1:
			t.Flawf(line.Number, "invoice_number", "Invoice %s is in the file already, from line %d on: the lines of one invoice stand together.", line.Cell("invoice_number"), t.Lines[starts[before]].Number)
			continue
		default:
			same(t, t.Lines[starts[before]], line)
		}
		one := &list[len(list)-1]
		one.Lines = append(one.Lines, Line{
			Kind: Kind(line.Cell("kind")), Description: line.Cell("description"), Node: line.Cell("node"), Amount: amount(t, line, "amount"),
		})
	}
	if len(t.Flaws) > 0 {
		return nil, t.Flaws
	}
	for n := range list {
		if err := list[n].Check(); err != nil {
			tell(t, starts[n], err)
		}
	}
	if len(t.Flaws) > 0 {
		return nil, t.Flaws
	}
	return list, nil
}

// tell says where in the file a check refused an invoice that begins at a place.
func tell(t *table.Table, start int, err error) {
	f := fault.From(err)
	place := start
	var nth int
	if _, scanErr := fmt.Sscanf(f.Field, "lines[%d]", &nth); scanErr == nil {
		place += nth
	}
	t.Flawf(t.Lines[place].Number, headOf(f.Field), "%s", f.Message)
}

func heading(t *table.Table, line table.Line) Invoice {
	one := Invoice{
		Number: line.Cell("invoice_number"), Workspace: line.Cell("workspace"), Issuer: line.Cell("issuer"), Currency: line.Cell("currency"), Reference: line.Cell("reference"),
		IssuedOn: day(t, line, "issued_on"), DueOn: day(t, line, "due_on"), From: day(t, line, "service_from"), To: day(t, line, "service_through"), Total: amount(t, line, "invoice_total"),
	}
	if !one.To.IsZero() {
		one.To = one.To.AddDate(0, 0, 1)
	}
	return one
}

// same refuses a line that says something else of its invoice than the first one.
func same(t *table.Table, first, line table.Line) {
	for _, head := range slices.Concat(Layout().Must[2:7], []string{"invoice_total", "issuer", "reference"}) {
		if was, is := first.Cell(head), line.Cell(head); was != is {
			t.Flawf(line.Number, head, "Line %d of the same invoice says %.60q, this one %.60q.", first.Number, was, is)
		}
	}
}

func day(t *table.Table, line table.Line, head string) time.Time {
	at, err := time.Parse(time.DateOnly, line.Cell(head))
	if err != nil {
		t.Flawf(line.Number, head, "A day is YYYY-MM-DD, as in 2026-10-31; %.40q is none.", line.Cell(head))
	}
	return at
}

func amount(t *table.Table, line table.Line, head string) money.Cents {
	text := line.Cell(head)
	cents, err := money.ParseCents(text)
	if err != nil || len(text) > maxAmounts {
		t.Flawf(line.Number, head, "An amount is US dollars with at most two decimals, as in -1250.00; %.40q is none.", text)
	}
	return cents
}

// PrintFile writes an invoice as a file that ReadFile reads.
func PrintFile(i *Invoice) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	layout := Layout()
	rows := [][]string{slices.Concat(layout.Must, layout.May)}
	through := ""
	if !i.To.IsZero() {
		through = i.To.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	for n := range i.Lines {
		l := &i.Lines[n]
		rows = append(rows, []string{
			i.Number, i.Workspace, i.IssuedOn.Format(time.DateOnly), i.DueOn.Format(time.DateOnly), i.From.Format(time.DateOnly), through, i.Currency,
			string(l.Kind), l.Description, l.Amount.String(), i.Total.String(), i.Issuer, i.Reference, l.Node,
		})
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("write invoice: %w", err)
	}
	return out.Bytes(), nil
}
