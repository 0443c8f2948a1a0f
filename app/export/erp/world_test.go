package erp_test

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/export"
	"tollbook/app/export/erp"
	"tollbook/app/money"
	"tollbook/app/period"
)

func on(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

func about() export.Manifest {
	return export.Manifest{
		CodeVersion: "test", Tenant: "meridian", TenantID: "ten_1", RunBy: export.RunBy{ID: "mem_1", Name: "Finance", Roles: "finance_admin"},
		RunAt: on(2026, 12, 2), Approvals: []string{"chg_214"}, Checkpoint: &export.Checkpoint{Size: 70, Root: "cm9vdA=="},
	}
}

// journal is a month's accrual of two cost centers, capitalized and expensed.
func journal() *erp.Journal {
	return &erp.Journal{
		Company: "meridian", Entity: "us", Currency: "USD", Period: period.MonthOf(on(2026, 11, 1)), PostedOn: on(2026, 11, 30), PreparedOn: on(2026, 12, 1),
		ReversedOn: on(2026, 12, 1), ExternalID: "TB-meridian-202611-accrual-1", Title: "AI spend Nov 2026", Memo: "AI spend accrued for November 2026, \"net\" of discounts",
		Packet: "PKT-202611-1", Document: "https://tollbook.test/packets/1",
		Entries: []erp.Entry{
			{ID: "ent_1", Lines: []erp.Line{
				{Kind: "expense", GLAccount: "0041", Node: "CC-100", Department: "D1", Capitalization: erp.Expense, Debit: 123_456, Tokens: 4_200_000, Memo: "Platform, Größe"},
				{Kind: "expense", GLAccount: "0041", Node: "CC-200", Capitalization: erp.Expense, Debit: 1, Memo: "Growth"},
				{Kind: "accrued_liability", Credit: 123_457},
			}},
			{ID: "ent_2", Lines: []erp.Line{
				{Kind: "capitalized", GLAccount: "1500", Node: "CC-100", Project: "P-7", Capitalization: erp.Capitalize, Debit: 50_000, Memo: "Ledger rewrite"},
				{Kind: "accrued_liability", Credit: 50_000},
			}},
		},
	}
}

func always(field, value string) erp.Rule {
	return erp.Rule{Field: field, Source: erp.SourceAlways, Value: value}
}

func by(source, code, field, value string) erp.Rule {
	return erp.Rule{Field: field, Source: source, Code: code, Value: value}
}

// journalFor is the journal as a format can say it: not all know of reversals.
func journalFor(name string) *erp.Journal {
	j := journal()
	if !slices.Contains([]string{"netsuite", "oracle", "journal"}, name) {
		j.ReversedOn = time.Time{}
	}
	return j
}

// mapping is what a system calls the things of journal.
func mapping(system string) *erp.Mapping {
	accounts := func(expense, asset, liability string) []erp.Rule {
		return []erp.Rule{by("account", "0041", "account", expense), by("account", "1500", "account", asset), by("kind", "accrued_liability", "account", liability)}
	}
	m := &erp.Mapping{System: system}
	switch system {
	case "netsuite":
		m.Rules = append(accounts("0041", "1500 Internal-use software", "2150"), by("entity", "us", "subsidiary", "Meridian : US"), by("period", "2026-11", "period", "Nov 2026"),
			by("node", "CC-100", "department", "Engineering : Platform"), by("node", "CC-200", "department", "Engineering : Growth"),
			by("capitalization", erp.Capitalize, "segment:Treatment", "CAPEX"), by("capitalization", erp.Expense, "segment:Treatment", "OPEX"))
	case "workday":
		m.Rules = append(accounts("0041", "1500", "2150"), by("entity", "us", "company", "CO_us"), always("journal_source", "Tollbook_EIB"),
			by("node", erp.Any, "cost_center", erp.Any))
	case "sap":
		m.Rules = append(accounts("0000410000", "0000150000", "0000215000"), by("entity", "us", "company_code", "0010"), by("period", erp.Any, "fiscal_period", "11"),
			by("node", "CC-100", "cost_center", "0000001000"), by("node", "CC-200", "cost_center", "0000002000"))
	case "oracle":
		m.Rules = []erp.Rule{
			by("entity", "us", "ledger_id", "300000001"), always("segment1", "01"), by("account", erp.Any, "segment2", erp.Any), by("kind", "accrued_liability", "segment2", "2150"),
			by("node", "CC-100", "segment3", "100"), by("node", "CC-200", "segment3", "200"), by("kind", "accrued_liability", "segment3", "000"),
			by("period", "2026-11", "period", "Nov-26"), by("period", "2026-12", "period", "Dec-26"),
		}
	case "quickbooks":
		m.Rules = append(accounts("Software:AI", "Assets:Software", "Accrued Liabilities"), by("node", erp.Any, "class", erp.Any))
	case "xero":
		m.Rules = append(accounts("0041", "1500", "2150"), always("tax_rate", "Tax Exempt"), always("tracking1_name", "Cost center"), by("node", erp.Any, "tracking1", erp.Any))
	case "journal":
		m.Rules = append(accounts("0041", "1500", "2150"), by("entity", "us", "entity", "0010"), by("node", erp.Any, "department", erp.Any))
	}
	return m
}

func format(t require.TestingT, name string) erp.Format {
	f, err := erp.ByName(name)
	require.NoError(t, err)
	return f
}

// read is one line of an export as a reader that shares nothing with the writer takes it.
type read struct {
	id, account, place, memo string
	debit, credit            int64
}

// split reads RFC 4180 by hand: each row ends with CRLF, and no row is empty.
func split(t require.TestingT, content []byte) [][]string {
	require.False(t, bytes.HasPrefix(content, []byte("\xef\xbb\xbf")), "no byte order mark")
	var rows [][]string
	row, cell, quoted := []string{}, []byte{}, false
	for i := 0; i < len(content); i++ {
		c := content[i]
		switch {
		case quoted && c == '"' && i+1 < len(content) && content[i+1] == '"':
			cell = append(cell, '"')
			i++
		case c == '"':
			if !quoted && len(cell) > 0 {
				require.Fail(t, "a quote inside a cell that has none around it")
			}
			quoted = !quoted
		case quoted:
			cell = append(cell, c)
		case c == ',':
			row, cell = append(row, string(cell)), []byte{}
		case c == '\r':
			if i+1 >= len(content) || content[i+1] != '\n' {
				require.Fail(t, "a carriage return alone")
			}
			rows, row, cell = append(rows, append(row, string(cell))), []string{}, []byte{}
			i++
		case c == '\n':
			require.Fail(t, "rows end with CRLF")
		default:
			cell = append(cell, c)
		}
	}
	require.False(t, quoted)
	require.True(t, len(row) == 0 && len(cell) == 0, "the last row has its end")
	for _, r := range rows {
		if len(r) != len(rows[0]) {
			require.Len(t, r, len(rows[0]))
		}
	}
	return rows
}

func cents(t require.TestingT, text string) int64 {
	if text == "" {
		return 0
	}
	negative := strings.HasPrefix(text, "-")
	before, after, ok := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if !ok || len(after) != 2 || before == "" {
		require.Fail(t, text)
	}
	var n int64
	for _, digit := range before + after {
		if digit < '0' || digit > '9' {
			require.Fail(t, text)
		}
		n = n*10 + int64(digit-'0')
	}
	if negative {
		return -n
	}
	return n
}

func unzip(t require.TestingT, content []byte, name string) []byte {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	require.Len(t, archive.File, 1)
	require.Equal(t, name, archive.File[0].Name)
	opened, err := archive.File[0].Open()
	require.NoError(t, err)
	inside, err := io.ReadAll(opened)
	require.NoError(t, err)
	return inside
}

// reread takes a file of a format as its importer would.
func reread(t require.TestingT, name string, content []byte) []read {
	named := func(rows [][]string, id, account, place, memo, debit, credit string) []read {
		at := map[string]int{}
		for i, head := range rows[0] {
			at[head] = i
		}
		for _, head := range []string{id, account, place, memo, debit, credit} {
			require.Contains(t, at, head)
		}
		var lines []read
		for _, r := range rows[1:] {
			lines = append(lines, read{r[at[id]], r[at[account]], r[at[place]], r[at[memo]], cents(t, r[at[debit]]), cents(t, r[at[credit]])})
		}
		return lines
	}
	switch name {
	case "netsuite":
		const l = "Journal Entry - Line: "
		return named(split(t, content), "External ID", l+"Account", l+"Department", l+"Memo", l+"Debit", l+"Credit")
	case "workday":
		return named(split(t, content), "H_JournalExternalRefID", "L_LedgerAccount", "L_CostCenter", "L_Memo", "L_DebitAmount", "L_CreditAmount")
	case "quickbooks":
		return named(split(t, content), "Journal No.", "Account Name", "Class", "Description", "Debits", "Credits")
	case "journal":
		return named(split(t, content), "external_id", "gl_account", "department", "memo", "debit", "credit")
	case "xero":
		var lines []read
		for _, r := range split(t, content)[1:] {
			amount := cents(t, r[5])
			id, _, _ := strings.Cut(r[0], " ")
			lines = append(lines, read{id, r[3], r[7], r[2], max(amount, 0), max(-amount, 0)})
		}
		return lines
	case "oracle":
		var lines []read
		for _, r := range split(t, unzip(t, content, "GlInterface.csv")) {
			require.Len(t, r, 95)
			require.Equal(t, []string{"NEW", "USD", "A"}, []string{r[0], r[5], r[7]})
			lines = append(lines, read{r[45], r[9], r[10], r[51], cents(t, r[38]), cents(t, r[39])})
		}
		return lines
	default:
		return rereadSAP(t, cells(t, content))
	}
}

// cells reads the sheet of a workbook from its XML. Each cell has to be text.
func cells(t require.TestingT, content []byte) [][]string {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	opened, err := archive.Open("xl/worksheets/sheet1.xml")
	require.NoError(t, err)
	var sheet struct {
		Rows []struct {
			Cells []struct {
				At   string `xml:"r,attr"`
				Kind string `xml:"t,attr"`
				Text string `xml:"is>t"`
			} `xml:"c"`
		} `xml:"sheetData>row"`
	}
	require.NoError(t, xml.NewDecoder(opened).Decode(&sheet))
	var rows [][]string
	for i, r := range sheet.Rows {
		row := make([]string, 15)
		for _, c := range r.Cells {
			if c.Kind != "inlineStr" || c.At[1:] != strconv.Itoa(i+1) {
				require.Fail(t, "a cell is text, in its row", "%+v", c)
			}
			row[c.At[0]-'A'] = c.Text
		}
		rows = append(rows, row)
	}
	return rows
}

// rereadSAP finds blocks by their labels, and columns by their technical names.
func rereadSAP(t require.TestingT, rows [][]string) []read {
	require.Equal(t, "Upload General Journal Entry", rows[0][0])
	require.True(t, strings.HasPrefix(rows[1][0], "//") && strings.HasPrefix(rows[2][0], "//"))
	require.Equal(t, "Batch ID", rows[3][0])
	var lines []read
	for i := 4; i < len(rows); {
		number := rows[i][0]
		require.NotEmpty(t, number)
		require.Equal(t, "Header", rows[i][1])
		require.Equal(t, []string{"BUKRS", "BLART", "BLDAT", "BUDAT", "MONAT", "BKTXT", "WAERS"}, rows[i+1][1:8])
		require.Equal(t, strings.Repeat(",", len(rows[i])-1), strings.Join(rows[i+4], ","))
		require.Equal(t, "Line Items", rows[i+5][1])
		require.Contains(t, rows[i+6], "Transaction Currency")
		technical := rows[i+7]
		at := func(name string) int { return slices.Index(technical, name) }
		for i += 9; i < len(rows) && rows[i][0] == ""; i++ {
			r := rows[i]
			lines = append(lines, read{number, r[at("HKONT")], r[at("KOSTL")], r[at("SGTXT")], cents(t, r[at("WRSOL")]), cents(t, r[at("WRHAB")])})
		}
	}
	return lines
}

// golden holds a file to what was reviewed; -update writes it anew.
func golden(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(content))
}

func manyFor(name string, n int) *erp.Journal {
	j := many(n)
	j.ReversedOn = journalFor(name).ReversedOn
	return j
}

// many is a journal of one entry with n lines: n-1 debits of unlike amounts and one credit.
func many(n int) *erp.Journal {
	j := journal()
	lines := make([]erp.Line, 0, n)
	var total money.Cents
	for i := range n - 1 {
		amount := money.Cents(1 + (i*7919)%5000)
		total += amount
		lines = append(lines, erp.Line{Kind: "expense", GLAccount: "0041", Node: fmt.Sprintf("CC-%d00", i%2+1), Debit: amount, Tokens: 1})
	}
	j.Entries = []erp.Entry{{ID: "ent_1", Lines: append(lines, erp.Line{Kind: "accrued_liability", Credit: total})}}
	return j
}
