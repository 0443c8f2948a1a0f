package api

import (
	"reflect"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
)

// Invoice is what the provider bills for a cycle. Amounts are US dollars with two decimals;
// exact charges have twelve.
type Invoice struct {
	ID             string  `json:"id"`
	Number         string  `json:"number"`
	Revision       int     `json:"revision" doc:"A corrected invoice is the next revision of its number."`
	Workspace      string  `json:"workspace"`
	Issuer         string  `json:"issuer"`
	IssuedOn       string  `json:"issued_on" format:"date"`
	DueOn          string  `json:"due_on" format:"date"`
	ServiceFrom    string  `json:"service_from" format:"date"`
	ServiceThrough string  `json:"service_through" format:"date" doc:"The last UTC day it bills."`
	Reference      *string `json:"reference"`
	Lines          int     `json:"lines" doc:"How many."`
	Total          string  `json:"total" format:"decimal" doc:"With tax."`
	State          string  `json:"state" enum:"entered,booked,superseded"`
	JournalEntry   *string `json:"journal_entry" doc:"The id of the entry that books it."`
	Unexplained    *string `json:"unexplained" format:"decimal" doc:"Booked apart; null until it is booked."`
	SHA256         string  `json:"sha256" doc:"Of the bytes that its record in the audit log covers."`
	PaperSHA256    *string `json:"paper_sha256" doc:"Of the file that came with it."`
	Record         string  `json:"record"`
	RecordedAt     Instant `json:"recorded_at"`
}

// InvoiceCase is one invoice, how it compares with the ledger, and who bears it: as it is
// booked, or as it would be now.
type InvoiceCase struct {
	Invoice

	LineList    []InvoiceLine   `json:"line_list"`
	Ledger      string          `json:"ledger" format:"decimal" doc:"Exact charges of its days."`
	Adjusted    string          `json:"adjusted" format:"decimal" doc:"Of them, what adjustments of requests came to: without these is the difference before adjustment."`
	Report      *string         `json:"cost_report" format:"decimal" doc:"What the provider's cost report has of its days; null where it has none of them."`
	DaysWhole   int             `json:"days_reported" doc:"Days that the cost report has whole."`
	DaysPartial int             `json:"days_in_part" doc:"Days of which more may come."`
	DaysMissing int             `json:"days_missing" doc:"Days without a cost report."`
	Differences []InvoiceItem   `json:"differences" doc:"They add up to what the invoice has above the ledger, exactly."`
	Bearers     []InvoiceBearer `json:"bearers" doc:"With what is unexplained they add up to the invoice."`
	Refused     *string         `json:"refused" doc:"Why it cannot be booked now; null where it can or is."`
}

// InvoiceLine is one line of an invoice.
type InvoiceLine struct {
	Kind        string  `json:"kind" enum:"usage,discount,credit,fee,seats,commitment,tax"`
	Description string  `json:"description"`
	Node        *string `json:"node" doc:"The code of the one node that bears it; null where its kind's rule says who does."`
	Amount      string  `json:"amount" format:"decimal"`
}

// InvoiceItem is one reason for a difference.
type InvoiceItem struct {
	Class  string `json:"class"`
	Amount string `json:"amount" format:"decimal"`
	Why    string `json:"why"`
	// Days are those that the reason lies on, where a reconciliation named it.
	Days []InvoiceItemDay `json:"days"`
}

// InvoiceItemDay is what of a reason lies on one day.
type InvoiceItemDay struct {
	Day    string `json:"day" format:"date"`
	Amount string `json:"amount" format:"decimal"`
}

// InvoiceBearer is what a node bears.
type InvoiceBearer struct {
	Node           string  `json:"node" doc:"Finance's code."`
	Path           string  `json:"path"`
	Entity         *string `json:"entity"`
	GLAccount      *string `json:"gl_account"`
	Capitalization *string `json:"capitalization" enum:"capitalize,expense"`
	Charges        string  `json:"charges" format:"decimal" doc:"Its own, exactly."`
	Accrued        string  `json:"accrued" format:"decimal" doc:"Booked for it before the invoice."`
	Own            string  `json:"own" format:"decimal" doc:"It bears itself."`
	Total          string  `json:"total" format:"decimal" doc:"It and what lies below it."`
}

// listed is one row: the invoice itself.
func (i InvoiceCase) listed() (columns []string, rows int, more bool) {
	return members(reflect.TypeFor[InvoiceCase]()), 1, false
}

// InvoicesAsk narrows the invoices.
type InvoicesAsk struct {
	Period period.Month `query:"period" doc:"That the invoice bills a day of, YYYY-MM. Default: every month."`
	Limit  Limit        `query:"limit"`
	Cursor string       `query:"cursor"`
}

func (a *API) listInvoices(c *call, q InvoicesAsk) (Page[Invoice], error) {
	list, err := a.areas.Invoices.List(c.Request().Context(), c.who, app.InvoiceQuery{Month: q.Period, Before: q.Cursor, Limit: q.Limit.rows()})
	if err != nil {
		return Page[Invoice]{}, err
	}
	rows := make([]Invoice, 0, len(list.Invoices))
	var total money.Sum
	for i := range list.Invoices {
		rows = append(rows, invoiceOf(&list.Invoices[i]))
		total.AddCents(list.Invoices[i].Total)
	}
	c.control("total_usd", &total)
	return page(rows, list.Next), nil
}

func invoiceOf(v *app.InvoiceView) Invoice {
	out := Invoice{
		ID: v.ID.String(), Number: v.Number, Revision: v.Revision, Workspace: v.Workspace, Issuer: v.Issuer, IssuedOn: v.IssuedOn.Format(time.DateOnly), DueOn: v.DueOn.Format(time.DateOnly),
		ServiceFrom: v.From.Format(time.DateOnly), ServiceThrough: v.Through().Format(time.DateOnly), Reference: textOrNil(v.Reference), Lines: v.LineCount, Total: v.Total.String(), State: "entered",
		SHA256: v.Digest, PaperSHA256: textOrNil(v.PaperHash), Record: v.Record.String(), RecordedAt: Instant{v.RecordedAt},
	}
	if v.Superseded {
		out.State = "superseded"
	}
	if v.Allocated() {
		unexplained := v.Residual.String()
		out.State, out.Unexplained = "booked", &unexplained
		if !v.Entry.IsZero() {
			out.JournalEntry = textOrNil(v.Entry.String())
		}
	}
	return out
}

func (a *API) showInvoice(c *call, _ NoQuery) (InvoiceCase, error) {
	of, err := id.ParseInvoice(c.Param("id"))
	if err != nil {
		return InvoiceCase{}, err
	}
	shown, err := a.areas.Invoices.Show(c.Request().Context(), c.who, of)
	if err != nil {
		return InvoiceCase{}, err
	}
	out := InvoiceCase{
		Invoice: invoiceOf(&shown.InvoiceView), Ledger: shown.Match.Ledger.String(), Adjusted: shown.Match.Adjusted.String(), LineList: []InvoiceLine{}, Differences: []InvoiceItem{}, Bearers: []InvoiceBearer{},
	}
	out.DaysWhole, out.DaysPartial, out.DaysMissing = shown.Match.Coverage()
	if shown.Match.Report != nil {
		out.Report = textOrNil(shown.Match.Report.String())
	}
	for i := range shown.Lines {
		l := &shown.Lines[i]
		out.LineList = append(out.LineList, InvoiceLine{Kind: string(l.Kind), Description: l.Description, Node: textOrNil(l.Node), Amount: l.Amount.String()})
	}
	for i := range shown.Match.Items {
		d := &shown.Match.Items[i]
		one := InvoiceItem{Class: string(d.Class), Amount: d.Amount.String(), Why: d.Why, Days: []InvoiceItemDay{}}
		for k := range d.Days {
			one.Days = append(one.Days, InvoiceItemDay{Day: d.Days[k].Day.Format(time.DateOnly), Amount: d.Days[k].Amount.String()})
		}
		out.Differences = append(out.Differences, one)
	}
	for i := range shown.Bearers {
		b := &shown.Bearers[i]
		out.Bearers = append(out.Bearers, InvoiceBearer{
			Node: b.Code, Path: b.Path, Entity: textOrNil(b.Entity), GLAccount: textOrNil(b.GLAccount), Capitalization: textOrNil(b.Capitalization), Charges: b.Charge.String(),
			Accrued: b.Accrued.String(), Own: b.Own.String(), Total: b.Rolled.String(),
		})
	}
	if shown.Refused != nil && !shown.Allocated() {
		out.Refused = textOrNil(shown.Refused.Message)
	}
	var total money.Sum
	total.AddCents(shown.Total)
	c.control("invoice_usd", &total)
	return out, nil
}

// InvoicePayload is what a change of kind invoice enters: a file of invoices, as the page takes it.
type InvoicePayload struct {
	File  string        `json:"file" doc:"CSV, a line for each of an invoice: invoice_number, workspace, issued_on, due_on, service_from, service_through, currency, kind, description, amount, invoice_total; issuer, reference, node."`
	Paper *InvoicePaper `json:"paper,omitempty" doc:"The file that the invoices came as."`
}

// InvoicePaper is such a file.
type InvoicePaper struct {
	Name    string `json:"name"`
	Content string `json:"content" doc:"Base64, at most 5 MB of it decoded."`
}

// AllocationPayload is what a change of kind allocation books, as it is split when it is proposed.
type AllocationPayload struct {
	Invoice string `json:"invoice" doc:"The id of the invoice."`
}

// SharingPayload is what a change of kind sharing proposes: who bears which kind of line.
type SharingPayload struct {
	Rules []SharingRule `json:"rules" doc:"One per kind at most; a kind without one is borne by what each node was charged."`
}

// SharingRule is one of them.
type SharingRule struct {
	Kind   string        `json:"kind" enum:"usage,discount,credit,fee,seats,commitment,tax"`
	Method string        `json:"method" enum:"proportional,even,percent,driver"`
	Driver string        `json:"driver,omitempty" doc:"What a driver counts, in words."`
	Parts  []SharingPart `json:"parts,omitempty"`
}

// SharingPart is a node in a rule.
type SharingPart struct {
	Code   string `json:"code"`
	Weight int64  `json:"weight,omitempty" doc:"Basis points of percent, the count of a driver."`
}
