package erp

import "strings"

// segmentPrefix begins the name of a field for a custom segment; the rest is its head.
const segmentPrefix = "segment:"

// NetSuite is the CSV import "Journal Entry". At most 1,000 lines of a journal, since more
// may not be edited there, and 25,000 rows or 50 MB of a job, which is one file.
func NetSuite() Format {
	return Format{
		Name: "netsuite", version: 1, entity: "subsidiary", document: 1_000, file: 25_000, bytes: 50_000_000, suffix: ".csv", open: segmentPrefix, reverses: true,
		fields: []field{
			{name: "account", natural: []string{SourceAccount, SourceKind}, must: true},
			{name: "subsidiary", natural: []string{SourceEntity}, header: true, must: true},
			{name: "currency", natural: []string{SourceCurrency}, header: true, must: true, fallback: "USD"},
			{name: "exchange_rate", natural: []string{SourceCurrency}, header: true, must: true, fallback: "1.00", figure: true},
			{name: "period", natural: []string{SourcePeriod}, header: true, must: true},
			// Journals that are imported take no way of approval there, so they are not posted by it.
			{name: "approved", header: true, fallback: "F", choices: []string{"T", "F"}},
			{name: "date_format", header: true, fallback: "MM/DD/YYYY", choices: dateFormats()},
			{name: "department", natural: []string{SourceNode}},
			{name: "class", natural: []string{SourceNode}},
			{name: "location", natural: []string{SourceNode}},
		},
		columns: netSuiteColumns,
	}
}

func netSuiteColumns(k *looked) []column {
	const line = "Journal Entry - Line: "
	columns := []column{
		{head: "External ID", must: true, value: func(w *row) string { return w.doc.id }},
		{head: "Date", must: true, value: func(w *row) string { return w.day(w.journal.PostedOn, "") }},
		fieldColumn("Posting Period", "period"),
		fieldColumn("Subsidiary", "subsidiary"),
		fieldColumn("Currency", "currency"),
		{head: "Exchange Rate", numeric: true, must: true, value: func(w *row) string { return w.mapped("exchange_rate") }},
		{head: "Memo", value: func(w *row) string { return w.journal.Memo }},
		fieldColumn("Approved", "approved"),
		{head: "Reversal Date", value: func(w *row) string { return w.day(w.journal.ReversedOn, "") }},
		{head: "Defer Entry", value: func(w *row) string {
			if w.journal.ReversedOn.IsZero() {
				return ""
			}
			return "F"
		}},
		fieldColumn(line+"Account", "account"),
		{head: line + "Debit", numeric: true, digits: 10, value: (*row).debit},
		{head: line + "Credit", numeric: true, digits: 10, value: (*row).credit},
		{head: line + "Memo", value: (*row).memo},
		fieldColumn(line+"Department", "department"),
		fieldColumn(line+"Class", "class"),
		fieldColumn(line+"Location", "location"),
	}
	for _, name := range k.named(segmentPrefix) {
		columns = append(columns, fieldColumn(line+strings.TrimPrefix(name, segmentPrefix), name))
	}
	return columns
}
