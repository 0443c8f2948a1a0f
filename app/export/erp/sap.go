package erp

import (
	"strconv"
)

// SAP is the spreadsheet of the app "Upload General Journal Entries" of S/4HANA: blocks of
// rows, one a journal, with the technical names above the labels. At most 999 lines of a
// journal. All cells are text, so that codes keep their zeros and amounts their cents.
func SAP() Format {
	f := SAPText()
	f.suffix, f.wrap = ".xlsx", spreadsheet
	return f
}

// SAPText is the same rows as CSV.
func SAPText() Format {
	return Format{
		Name: "sap", version: 1, entity: "company_code", document: 999, suffix: ".csv", layout: sapBlock, opening: sapOpening,
		columns: func(*looked) []column { return sapLine() },
		fields: []field{
			{name: "company_code", natural: []string{SourceEntity}, header: true, must: true, max: 4},
			{name: "entry_type", header: true, must: true, fallback: "SA", max: 2},
			{name: "fiscal_period", natural: []string{SourcePeriod}, header: true, max: 2},
			{name: "ledger_group", natural: []string{SourceEntity}, header: true, max: 4},
			{name: "account", natural: []string{SourceAccount, SourceKind}, must: true, max: 10},
			{name: "tax_code", natural: []string{SourceAccount, SourceKind}, max: 2},
			{name: "cost_center", natural: []string{SourceNode}, max: 10},
			{name: "profit_center", natural: []string{SourceNode}, max: 10},
			{name: "segment", natural: []string{SourceNode}, max: 10},
			{name: "functional_area", natural: []string{SourceNode}, max: 16},
			{name: "trading_partner", natural: []string{SourcePartner}, max: 6},
			{name: "order", natural: []string{SourceNode}, max: 12},
			{name: "wbs_element", natural: []string{SourceNode, SourceProject}, max: 24},
		},
	}
}

const sapDate = "YYYYMMDD"

// named is a column with its technical name.
type named struct {
	technical string
	column
}

func sapHeader() []named {
	return []named{
		{"BUKRS", fieldColumn("*Company Code (4)", "company_code")},
		{"BLART", fieldColumn("*Journal Entry Type (2)", "entry_type")},
		{"BLDAT", column{head: "*Journal Entry Date", must: true, value: func(w *row) string { return w.day(w.journal.PreparedOn, sapDate) }}},
		{"BUDAT", column{head: "*Posting Date", must: true, value: func(w *row) string { return w.day(w.journal.PostedOn, sapDate) }}},
		{"MONAT", fieldColumn("Fiscal period (2)", "fiscal_period")},
		{"BKTXT", column{head: "Document Header Text (25)", max: 25, value: (*row).title}},
		{"WAERS", column{head: "*Transaction Currency (5)", must: true, max: 5, value: func(w *row) string { return w.journal.Currency }}},
		{"LDGRP", fieldColumn("Ledger Group (4)", "ledger_group")},
		// The app keeps no file with its journals: this leads from one to what explains it.
		{"XBLNR", column{head: "Reference Document Number (16)", max: 16, value: reference}},
	}
}

// reference is the packet's id, or a key of the document where there is none.
func reference(w *row) string {
	if w.journal.Packet != "" {
		return w.journal.Packet
	}
	return keyed(w.doc.id, shortKey)
}

func sapLines() []named {
	return []named{
		{"BUKRS", fieldColumn("Company Code (4)", "company_code")},
		{"HKONT", fieldColumn("G/L Account (10)", "account")},
		{"SGTXT", column{head: "Item Text (50)", max: 50, value: itemText}},
		{"WRSOL", column{head: "Debit", numeric: true, value: (*row).debit}},
		{"WRHAB", column{head: "Credit", numeric: true, value: (*row).credit}},
		{"MWSKZ", fieldColumn("Tax Code (2)", "tax_code")},
		{"KOSTL", fieldColumn("Cost Center (10)", "cost_center")},
		{"PRCTR", fieldColumn("Profit Center (10)", "profit_center")},
		{"SEGMENT", fieldColumn("Segment (10)", "segment")},
		{"FKBER", fieldColumn("Functional Area (16)", "functional_area")},
		{"VBUND", column{head: "Trading Partner (6)", value: tradingPartner}},
		{"AUFNR", fieldColumn("Order (12)", "order")},
		{"PS_POSID", fieldColumn("WBS Element (24)", "wbs_element")},
		{"ACPI_ZUONR", column{head: "Assignment (18)", max: 18, value: func(w *row) string { return keyed(w.doc.id, shortKey) }}},
	}
}

// itemText is a line's memo, or the title: the journal's memo is rarely so short.
func itemText(w *row) string {
	if w.leg.Memo != "" {
		return w.leg.Memo
	}
	return w.title()
}

// tradingPartner is asked for on lines between companies alone.
func tradingPartner(w *row) string {
	if w.leg.Partner == "" {
		return ""
	}
	return w.demanded("trading_partner")
}

func columnsOf(list []named) []column {
	out := make([]column, len(list))
	for i := range list {
		out[i] = list[i].column
	}
	return out
}

func technical(list []named) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].technical
	}
	return out
}

func sapLine() []column { return columnsOf(sapLines()) }

// indented puts cells from column B on, in a row as wide as all others.
func indented(first string, cells []string) []string {
	out := make([]string, len(sapLines())+1)
	out[0] = first
	copy(out[1:], cells)
	return out
}

// sapOpening is what a file begins with. The same file sent again has the same batch id,
// as the app asks for.
func sapOpening(_ *renderer, list []document, _ int) [][]string {
	return [][]string{
		indented("Upload General Journal Entry", nil),
		indented("// Rows that begin with two slashes are comments. Do not change the technical names.", nil),
		indented("// Made by Tollbook. Dates are "+sapDate+"; amounts have a decimal point. Journals wait to be posted by a person.", nil),
		indented("Batch ID", []string{keyed("batch "+list[0].id, 16)}),
	}
}

func sapBlock(r *renderer, d *document, place int) [][]string {
	header, lines := sapHeader(), sapLines()
	above := make([]string, len(lines))
	for i := range lines {
		if lines[i].technical == "WRSOL" {
			above[i] = "Transaction Currency"
		}
	}
	rows := [][]string{
		indented(strconv.Itoa(place), []string{"Header"}),
		indented("", technical(header)),
		indented("", heads(columnsOf(header))),
		indented("", r.cells(columnsOf(header), &row{renderer: r, doc: d})),
		indented("", nil),
		indented("", []string{"Line Items"}),
		indented("", above),
		indented("", technical(lines)),
		indented("", heads(r.columns)),
	}
	for i := range d.legs {
		rows = append(rows, indented("", r.cells(r.columns, r.line(d, i))))
	}
	return rows
}
