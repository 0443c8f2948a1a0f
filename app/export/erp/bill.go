package erp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/money"
)

// Bill is a supplier's invoice as accounts payable takes it.
type Bill struct {
	ExternalID    string
	VendorID      string
	VendorName    string
	InvoiceNumber string
	InvoicedOn    time.Time // UTC days
	DueOn         time.Time
	Currency      string
	Total         money.Cents // with tax; negative: a credit note
	Entity        string
	Lines         []BillLine
}

// BillLine is one line of a bill. Accounts and places are finance's own by now.
type BillLine struct {
	GLAccount    string
	CostCenter   string
	Project      string
	Capitalize   bool
	Description  string
	Amount       money.Cents // without tax; negative: a credit
	TaxCode      string
	Tax          money.Cents
	ServiceStart time.Time // UTC days; the end is inclusive
	ServiceEnd   time.Time
}

// billHeads are the columns of the neutral bill.
func billHeads() []string {
	return []string{
		"vendor_id", "vendor_name", "invoice_number", "invoice_date", "due_date", "currency", "invoice_total", "line_number", "gl_account", "cost_center",
		"project", "entity", "capitalizable", "description", "line_amount", "tax_code", "tax_amount", "service_start", "service_end", "external_id",
	}
}

// CheckBill tells all that keeps a bill from being exported, before it is.
func CheckBill(b *Bill) []Problem {
	var p problems
	if !externalIDs.MatchString(b.ExternalID) {
		p.add(Problem{Field: "external_id", Code: "external_id", Message: fmt.Sprintf("%.90q is no external id: a letter, then 2 to 79 letters, digits and hyphens.", b.ExternalID)})
	}
	if b.Currency != "USD" {
		p.add(Problem{Field: "currency", Code: "currency", Message: fmt.Sprintf("The books are in USD; this bill says %.20q.", b.Currency)})
	}
	if !day(b.InvoicedOn) || !day(b.DueOn) || b.DueOn.Before(b.InvoicedOn) {
		p.add(Problem{Field: "due_date", Code: "dates", Message: "A bill has the UTC day of its invoice and, that day or later, the one it is due on."})
	}
	for _, cell := range [][2]string{{"vendor_id", b.VendorID}, {"vendor_name", b.VendorName}, {"invoice_number", b.InvoiceNumber}, {"entity", b.Entity}} {
		p.cell(0, cell[0], cell[1], true)
	}
	if len(b.Lines) == 0 || len(b.Lines) > maxLines {
		p.add(Problem{Code: "lines", Message: fmt.Sprintf("A bill has 1 to %d lines; this one has %d.", maxLines, len(b.Lines))})
		return p.list
	}
	var sum money.Cents
	for i := range b.Lines {
		l := &b.Lines[i]
		if !within(l.Amount) || !within(l.Tax) {
			p.add(Problem{Line: i + 1, Field: "line_amount", Code: "amount", Message: fmt.Sprintf("An amount is at most %s.", maxAmount)})
			continue
		}
		sum += l.Amount + l.Tax
		l.examine(&p, i+1)
	}
	if sum != b.Total {
		p.add(Problem{Field: "invoice_total", Code: "total", Message: fmt.Sprintf("Lines and tax sum to %s; the invoice says %s.", sum, b.Total)})
	}
	return p.list
}

func within(c money.Cents) bool { return c >= -maxAmount && c <= maxAmount }

func (l *BillLine) examine(p *problems, n int) {
	p.cell(n, "gl_account", l.GLAccount, true)
	p.cell(n, "description", l.Description, true)
	for _, cell := range [][2]string{{"cost_center", l.CostCenter}, {"project", l.Project}, {"tax_code", l.TaxCode}} {
		p.cell(n, cell[0], cell[1], false)
	}
	if l.Amount == 0 && l.Tax == 0 {
		p.add(Problem{Line: n, Field: "line_amount", Code: "zero", Message: "A line has an amount."})
	}
	if l.ServiceStart.IsZero() != l.ServiceEnd.IsZero() || (!l.ServiceStart.IsZero() && (!day(l.ServiceStart) || !day(l.ServiceEnd) || l.ServiceEnd.Before(l.ServiceStart))) {
		p.add(Problem{Line: n, Field: "service_end", Code: "service", Message: "A service has its first and its last UTC day, or neither."})
	}
}

// cell examines a text that goes into a file as it is.
func (p *problems) cell(line int, field, text string, must bool) {
	p.text("", line, field, text)
	switch {
	case must && text == "":
		p.add(Problem{Line: line, Field: field, Code: "empty", Message: field + " must not be empty."})
	case export.Formula(text):
		p.add(Problem{Line: line, Field: field, Code: "formula", Message: fmt.Sprintf("%s begins with %q, which a spreadsheet would take for a formula.", field, text[:1])})
	}
}

// EncodeBill writes a bill as a file with its manifest. The file depends on the bill alone.
func EncodeBill(b *Bill, about export.Manifest) (File, error) {
	if found := CheckBill(b); len(found) > 0 {
		return File{}, ErrRefused.Because(errors.New(found[0].String()))
	}
	rows := [][]string{billHeads()}
	var lines, tax money.Cents
	for i := range b.Lines {
		l := &b.Lines[i]
		capitalizable := "N"
		if l.Capitalize {
			capitalizable = "Y"
		}
		rows = append(rows, []string{
			b.VendorID, b.VendorName, b.InvoiceNumber, b.InvoicedOn.Format(time.DateOnly), b.DueOn.Format(time.DateOnly), b.Currency, b.Total.String(), strconv.Itoa(i + 1),
			l.GLAccount, l.CostCenter, l.Project, b.Entity, capitalizable, l.Description, l.Amount.String(), l.TaxCode, l.Tax.String(),
			dated(l.ServiceStart), dated(l.ServiceEnd), b.ExternalID,
		})
		lines, tax = lines+l.Amount, tax+l.Tax
	}
	content, err := encode(rows)
	if err != nil {
		return File{}, err
	}
	m := about
	m.Report, m.ReportVersion, m.File = "ap_bill", 1, strings.Join([]string{b.ExternalID, "ap.csv"}, "-")
	m.Columns, m.Rows, m.Journals = rows[0], len(b.Lines), []string{b.ExternalID}
	m.ControlTotals = append([]export.Pair{
		{Name: "invoice_total", Value: b.Total.String()}, {Name: "line_total", Value: lines.String()}, {Name: "tax_total", Value: tax.String()},
	}, about.ControlTotals...)
	return File{Name: m.File, Content: content, Manifest: m.Of(content)}, nil
}

func dated(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}
