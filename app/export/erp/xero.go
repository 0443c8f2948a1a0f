package erp

import "strings"

// Xero is the import of manual journals: at most 300 lines of a file, and lines of one
// narration and date are one journal, so that the narration begins with the external id.
func Xero() Format {
	return Format{
		Name: "xero", version: 1, document: 300, file: 300, suffix: ".csv",
		fields: []field{
			{name: "account", natural: []string{SourceAccount, SourceKind}, must: true},
			{name: "tax_rate", natural: []string{SourceAccount, SourceKind}, must: true}, // its full name there, such as "Tax Exempt"
			{name: "date_format", header: true, fallback: "DD/MM/YYYY", choices: []string{"DD/MM/YYYY", "DD MMM YYYY"}},
			{name: "tracking1_name", header: true},
			{name: "tracking1", natural: []string{SourceNode}},
			{name: "tracking2_name", header: true},
			{name: "tracking2", natural: []string{SourceNode}},
		},
		columns: func(*looked) []column {
			return []column{
				{head: "Narration", must: true, value: func(w *row) string { return strings.TrimSpace(w.doc.id + " " + w.title()) }},
				{head: "Date", must: true, value: func(w *row) string { return w.day(w.journal.PostedOn, "") }},
				{head: "Description", value: (*row).memo},
				fieldColumn("AccountCode", "account"),
				fieldColumn("TaxRate", "tax_rate"),
				{head: "Amount", numeric: true, must: true, value: signed},
				{head: "TrackingName1", value: func(w *row) string { return w.tracking("tracking1_name", "tracking1") }},
				fieldColumn("TrackingOption1", "tracking1"),
				{head: "TrackingName2", value: func(w *row) string { return w.tracking("tracking2_name", "tracking2") }},
				fieldColumn("TrackingOption2", "tracking2"),
			}
		},
	}
}

// signed is a line's amount, a debit positive.
func signed(w *row) string { return (w.leg.debit - w.leg.credit).String() }

// tracking is a category's name where the line has an option of it.
func (w *row) tracking(name, option string) string {
	if w.mapped(option) == "" {
		return ""
	}
	if title := w.mapped(name); title != "" {
		return title
	}
	w.add(Problem{Field: name, Subject: "every journal", Code: "unmapped", Message: "The mapping of xero has " + option + ", but no " + name + " to say of which category."})
	return ""
}
