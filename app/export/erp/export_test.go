package erp_test

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/export"
	"tollbook/app/export/erp"
	"tollbook/app/money"
)

var update = flag.Bool("update", false, "write the golden files anew") //nolint:gochecknoglobals // a flag of the test binary

// limits are those of the systems: lines of a journal and of a file, 0 where none is known.
func limits(name string) (document, file int) {
	switch name {
	case "netsuite":
		return 1_000, 25_000
	case "sap":
		return 999, 0
	case "xero":
		return 300, 300
	default:
		return 0, 0
	}
}

// hold checks all files of an export together: limits, balance by id, adjacency, sums by
// account and side, manifests, and that a second export is the same bytes.
func hold(t require.TestingT, name string, j *erp.Journal, m *erp.Mapping) []erp.File {
	f := format(t, name)
	files, err := f.Encode(j, m, about())
	require.NoError(t, err)
	if lines := len(j.Entries[0].Lines); lines < 5_000 { // one encoding of long ones is slow enough
		require.Empty(t, f.Check(j, m))
		again, err := f.Encode(j, m, about())
		require.NoError(t, err)
		require.Equal(t, files, again)
	}
	document, file := limits(name)
	want, got := map[string]int64{}, map[string]int64{}
	for _, e := range j.Entries {
		for _, l := range e.Lines {
			want["debit"] += int64(l.Debit)
			want["credit"] += int64(l.Credit)
			want[l.Node] += int64(l.Debit - l.Credit)
		}
	}
	places := map[string]string{}
	for _, e := range j.Entries {
		for _, l := range e.Lines {
			places[placeOf(name, l.Node)] = l.Node
		}
	}
	everywhere := map[string]bool{}
	for i := range files {
		lines := reread(t, name, files[i].Content)
		if file > 0 {
			require.LessOrEqual(t, len(lines), file)
		}
		balance, count, last := map[string]int64{}, map[string]int{}, ""
		for _, l := range lines {
			if l.id != last {
				require.NotContains(t, count, l.id, "lines of one journal are adjacent")
				last = l.id
			}
			if (l.debit > 0) == (l.credit > 0) {
				require.Fail(t, "a line has one side", l.memo)
			}
			balance[l.id] += l.debit - l.credit
			count[l.id]++
			got["debit"] += l.debit
			got["credit"] += l.credit
			got[places[l.place]] += l.debit - l.credit
		}
		for id, rest := range balance {
			require.Zero(t, rest, id)
			require.GreaterOrEqual(t, count[id], 2)
			if document > 0 {
				require.LessOrEqual(t, count[id], document)
			}
			require.NotContains(t, everywhere, id, "a journal is in one file")
			everywhere[id] = name != "sap" // numbered anew in each file there
		}
		holdManifest(t, &files[i], lines, len(balance))
	}
	require.Equal(t, want, got)
	return files
}

func placeOf(name, node string) string {
	if node == "" {
		if name == "oracle" {
			return "000"
		}
		return ""
	}
	for _, r := range mapping(name).Rules {
		if r.Source == "node" && r.Code == node {
			return r.Value
		}
	}
	return node
}

func holdManifest(t require.TestingT, f *erp.File, lines []read, documents int) {
	sheet, err := f.Manifest.JSON()
	require.NoError(t, err)
	m, err := export.Verify(sheet, f.Content)
	require.NoError(t, err)
	require.Equal(t, len(lines), m.Rows)
	require.Len(t, m.Journals, documents)
	require.Equal(t, []string{"chg_214"}, m.Approvals)
	require.Equal(t, f.Name, m.File)
	var debit int64
	for _, l := range lines {
		debit += l.debit
	}
	require.Contains(t, m.ControlTotals, export.Pair{Name: "debit_total", Value: money.Cents(debit).String()})
	require.Contains(t, m.ControlTotals, export.Pair{Name: "credit_total", Value: money.Cents(debit).String()})
}

func TestEveryFormatIsReadBackByAnother(t *testing.T) {
	t.Parallel()
	for _, name := range erp.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := hold(t, name, journalFor(name), mapping(name))
			require.Len(t, files, 1)
			content := files[0].Content
			if name == "oracle" {
				content = unzip(t, content, "GlInterface.csv")
			}
			if name == "sap" {
				plain, err := erp.SAPText().Encode(journalFor(name), mapping(name), about())
				require.NoError(t, err)
				require.Equal(t, "TB-meridian-202611-accrual-1-sap.csv", plain[0].Name)
				content = plain[0].Content
				require.Equal(t, split(t, content), cells(t, files[0].Content), "a spreadsheet has the same cells")
			}
			golden(t, name+".csv", content)
			text := string(content)
			require.Contains(t, text, "Größe")
			switch name {
			case "sap":
				require.Contains(t, text, ",0010,0000410000,")
			case "quickbooks":
				require.Contains(t, text, "Software:AI")
			default:
				require.Contains(t, text, ",0041,")
			}
		})
	}
}

func TestLimitsHoldOneLineBeyondThem(t *testing.T) {
	t.Parallel()
	for _, name := range erp.Names() {
		for _, n := range []int{2, 300, 301, 999, 1_000, 1_001, 10_001, 25_001} {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) {
				t.Parallel()
				files := hold(t, name, manyFor(name, n), mapping(name))
				document, file := limits(name)
				documents := 0
				for i := range files {
					documents += len(files[i].Manifest.Journals)
				}
				if document == 0 || n <= document {
					require.Equal(t, 1, documents)
					require.Equal(t, "TB-meridian-202611-accrual-1", files[0].Manifest.Journals[0])
				} else {
					// Each part repeats the one credit: a line more for each.
					require.Equal(t, (n-1+document-2)/(document-1), documents)
				}
				if file > 0 && documents*2 > file || name == "xero" {
					require.Len(t, files, documents)
				}
			})
		}
	}
}

// TestAFileEndsBeforeARowOrAByteTooMany fills NetSuite's job by rows, then by bytes.
func TestAFileEndsBeforeARowOrAByteTooMany(t *testing.T) {
	t.Parallel()
	files := hold(t, "netsuite", many(25_001), mapping("netsuite"))
	require.Len(t, files, 2)
	require.Equal(t, []string{"TB-meridian-202611-accrual-1-netsuite-1of2.csv", "TB-meridian-202611-accrual-1-netsuite-2of2.csv"}, []string{files[0].Name, files[1].Name})
	require.Equal(t, 25_000, files[0].Manifest.Rows)
	require.Equal(t, 25_001+25, files[0].Manifest.Rows+files[1].Manifest.Rows, "25 of 26 parts end in the one credit, which the next repeats")

	wide := many(7_000)
	wide.Memo = strings.Repeat("𝄞", 1000)
	for i := range wide.Entries[0].Lines {
		wide.Entries[0].Lines[i].Memo = wide.Memo
	}
	files, err := format(t, "netsuite").Encode(wide, mapping("netsuite"), about())
	require.NoError(t, err)
	require.Len(t, files, 2)
	for i := range files {
		require.LessOrEqual(t, len(files[i].Content), 50_000_000)
	}
	require.Greater(t, len(files[0].Content), 40_000_000)
}

func TestTextIsTheSameInASpreadsheet(t *testing.T) {
	t.Parallel()
	j, m := journalFor("sap"), mapping("sap")
	rapid.Check(t, func(t *rapid.T) {
		memo := rapid.StringOfN(rapid.Rune(), 1, 40, -1).Draw(t, "memo")
		j.Entries[0].Lines[0].Memo = memo
		files, err := format(t, "sap").Encode(j, m, about())
		if err != nil {
			require.ErrorIs(t, err, erp.ErrRefused)
			return
		}
		require.Equal(t, memo, reread(t, "sap", files[0].Content)[0].memo)
	})
}

func TestATotalOfTokensSurvivesTheCut(t *testing.T) {
	t.Parallel()
	j := many(4)
	j.Entries[0].Lines[3].Tokens = 0
	files := hold(t, "journal", j, mapping("journal"))
	rows := split(t, files[0].Content)
	sum := 0
	for _, r := range rows[1:] {
		if r[18] != "" {
			sum++
		}
	}
	require.Equal(t, 3, sum)
}

// TestAnyJournalBalancesInEveryFile draws entries of any shape, more lines on either side
// than a journal may have among them.
func TestAnyJournalBalancesInEveryFile(t *testing.T) {
	t.Parallel()
	for _, name := range erp.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { hold(t, name, drawn(t, name), mapping(name)) })
		})
	}
}

func drawn(t *rapid.T, name string) *erp.Journal {
	j := journalFor(name)
	j.Entries = nil
	for e := range rapid.IntRange(1, 6).Draw(t, "entries") {
		debits := rapid.SliceOfN(rapid.Int64Range(1, 900_000_000), 1, rapid.SampledFrom([]int{2, 10, 10, 10, 400}).Draw(t, "width")).Draw(t, "debits")
		var total int64
		entry := erp.Entry{ID: fmt.Sprintf("ent_%d", e)}
		for i, d := range debits {
			total += d
			entry.Lines = append(entry.Lines, erp.Line{Kind: "expense", GLAccount: "0041", Node: []string{"CC-100", "CC-200"}[i%2], Debit: money.Cents(d)})
		}
		for total > 0 {
			part := total
			if len(entry.Lines) < 2*len(debits) {
				part = rapid.Int64Range(1, total).Draw(t, "credit")
			}
			line := erp.Line{Kind: "accrued_liability", Credit: money.Cents(part)}
			at := rapid.IntRange(0, len(entry.Lines)).Draw(t, "at")
			entry.Lines = append(entry.Lines[:at], append([]erp.Line{line}, entry.Lines[at:]...)...)
			total -= part
		}
		j.Entries = append(j.Entries, entry)
	}
	return j
}

func codes(list []erp.Problem) []string {
	var out []string
	for _, p := range list {
		out = append(out, strings.Trim(p.Code+"|"+p.Field+"|"+p.Subject, "|"))
	}
	return out
}

func TestACheckNamesEveryNodeAndAccountWithoutAMapping(t *testing.T) {
	t.Parallel()
	f := format(t, "netsuite")
	m := &erp.Mapping{System: "netsuite", Rules: []erp.Rule{by("account", "1500", "account", "1500"), by("node", "CC-200", "department", "Growth")}}
	found := f.Check(journal(), m)
	require.ElementsMatch(t, []string{
		"unmapped|account|account 0041", "unmapped|account|kind accrued_liability", "unmapped|department|node CC-100", "unmapped|subsidiary|entity us",
		"unmapped|period|period 2026-11",
	}, codes(found))
	_, err := f.Encode(journal(), m, about())
	require.ErrorIs(t, err, erp.ErrRefused)
	for _, name := range erp.Names() {
		require.NotEmpty(t, format(t, name).Check(journalFor(name), &erp.Mapping{System: name}), name)
		require.NotEmpty(t, format(t, name).Check(journalFor(name), mapping("another")), name)
	}
	partner := journalFor("sap")
	partner.Entries[0].Lines[0].Partner = "de"
	require.Contains(t, codes(format(t, "sap").Check(partner, mapping("sap"))), "unmapped|trading_partner|partner de")
	payable := journalFor("quickbooks")
	payable.Entries[0].Lines[2].Kind = "payable"
	m = mapping("quickbooks")
	m.Rules = append(m.Rules, by("kind", "payable", "account", "A/P"))
	require.Equal(t, []string{"unmapped|name|kind payable"}, codes(format(t, "quickbooks").Check(payable, m)))
	m.Rules = append(m.Rules, by("kind", "payable", "name", "Anthropic"))
	require.Empty(t, format(t, "quickbooks").Check(payable, m))
}

func TestRulesHoldOnTheirDays(t *testing.T) {
	t.Parallel()
	m := mapping("netsuite")
	m.Rules[0].EffectiveTo = on(2026, 11, 30)
	f := format(t, "netsuite")
	require.Equal(t, []string{"unmapped|account|account 0041"}, codes(f.Check(journal(), m)))
	m.Rules = append(m.Rules, erp.Rule{Field: "account", Source: "account", Code: "0041", Value: "0042", EffectiveFrom: on(2026, 11, 30)})
	files, err := f.Encode(journal(), m, about())
	require.NoError(t, err)
	require.Contains(t, string(files[0].Content), ",0042,1234.56,")
}

func TestBrokenLimitsAndUnsoundJournalsAreToldAndNotWritten(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, format, want string
		change             func(*erp.Journal, *erp.Mapping)
	}{
		{"a formula", "netsuite", "formula|Journal Entry - Line: Memo", func(j *erp.Journal, _ *erp.Mapping) { j.Entries[0].Lines[0].Memo = "=HYPERLINK(1)" }},
		{"a formula on the journal", "workday", "formula|H_JournalEntryMemo", func(j *erp.Journal, _ *erp.Mapping) { j.Memo = "@sum" }},
		{"an amount of 11 digits", "netsuite", "too_large|Journal Entry - Line: Debit", func(j *erp.Journal, _ *erp.Mapping) {
			j.Entries[1].Lines[0].Debit, j.Entries[1].Lines[1].Credit = 1_000_000_000_000, 1_000_000_000_000
		}},
		{"a long header text", "sap", "too_long|Document Header Text (25)|document TB-meridian-202611-accrual-1", func(j *erp.Journal, _ *erp.Mapping) { j.Title = strings.Repeat("é", 26) }},
		{"a long item text", "sap", "too_long|Item Text (50)", func(j *erp.Journal, _ *erp.Mapping) { j.Entries[0].Lines[0].Memo = strings.Repeat("é", 51) }},
		{"a long cost center", "sap", "value|value|rule 6", func(_ *erp.Journal, m *erp.Mapping) { m.Rules[5].Value = "00000010000" }},
		{"a long cost center of ours", "sap", "value|cost_center|node CC-10000000", func(j *erp.Journal, m *erp.Mapping) {
			j.Entries[0].Lines[0].Node = "CC-10000000"
			m.Rules = append(m.Rules, by("node", erp.Any, "cost_center", erp.Any))
		}},
		{"debits without credits", "xero", "unbalanced", func(j *erp.Journal, _ *erp.Mapping) { j.Entries[0].Lines[0].Debit++ }},
		{"both sides", "xero", "one_side", func(j *erp.Journal, _ *erp.Mapping) { j.Entries[0].Lines[0].Credit = 1 }},
		{"a negative debit", "xero", "one_side", func(j *erp.Journal, _ *erp.Mapping) { j.Entries[0].Lines[0].Debit = -1 }},
		{"a line alone", "xero", "entry_lines", func(j *erp.Journal, _ *erp.Mapping) { j.Entries[0].Lines = j.Entries[0].Lines[:1] }},
		{"nothing", "journal", "lines", func(j *erp.Journal, _ *erp.Mapping) { j.Entries = nil }},
		{"another currency", "journal", "currency|currency", func(j *erp.Journal, _ *erp.Mapping) { j.Currency = "JPY" }},
		{"another month", "journal", "posting_date|posted_on", func(j *erp.Journal, _ *erp.Mapping) { j.PostedOn = on(2026, 10, 31) }},
		{"a reversal before", "journal", "reversal_date|reversed_on", func(j *erp.Journal, _ *erp.Mapping) { j.ReversedOn = on(2026, 11, 30) }},
		{"an id that is a path", "journal", "external_id|external_id", func(j *erp.Journal, _ *erp.Mapping) { j.ExternalID = "../x" }},
		{"a line break", "journal", "text|memo", func(j *erp.Journal, _ *erp.Mapping) { j.Memo = "a\nb" }},
		{"no month of the reversal", "oracle", "unmapped|period|period 2027-01", func(j *erp.Journal, _ *erp.Mapping) { j.ReversedOn = on(2027, 1, 1) }},
		{"a reversal there is no column for", "xero", "reversal|reversed_on", func(j *erp.Journal, _ *erp.Mapping) { j.ReversedOn = on(2026, 12, 1) }},
		{"a reversal that the layout does not say", "workday", "reversal|reversed_on", func(j *erp.Journal, _ *erp.Mapping) { j.ReversedOn = on(2026, 12, 1) }},
		{"a month without a name where others have one", "sap", "unmapped|fiscal_period|period 2026-11", func(_ *erp.Journal, m *erp.Mapping) { m.Rules[4].Code = "2026-10" }},
		{"departments that have ended", "netsuite", "unmapped|department|node CC-100", func(_ *erp.Journal, m *erp.Mapping) {
			m.Rules[5].EffectiveTo, m.Rules[6].EffectiveTo = on(2026, 11, 1), on(2026, 11, 1)
		}},
		{"a node without a mapping in a journal that does not balance", "netsuite", "unmapped|department|node CC-300", func(j *erp.Journal, _ *erp.Mapping) {
			j.Entries[0].Lines[0].Node = "CC-300"
			j.Entries[0].Lines[0].Debit++
		}},
		{"an exchange rate in words", "netsuite", "value|value|rule 10", func(_ *erp.Journal, m *erp.Mapping) { m.Rules = append(m.Rules, always("exchange_rate", "one")) }},
		{"a segment with a gap", "oracle", "unmapped|segment3|node CC-300", func(j *erp.Journal, _ *erp.Mapping) { j.Entries[0].Lines[0].Node = "CC-300" }},
		{"tracking of no category", "xero", "unmapped|tracking1_name|every journal", func(_ *erp.Journal, m *erp.Mapping) { m.Rules[4].Field = "tracking2_name" }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j, m := journalFor(c.format), mapping(c.format)
			require.Empty(t, format(t, c.format).Check(j, m))
			c.change(j, m)
			require.Contains(t, codes(format(t, c.format).Check(j, m)), c.want)
			files, err := format(t, c.format).Encode(j, m, about())
			require.ErrorIs(t, err, erp.ErrRefused)
			require.Nil(t, files)
		})
	}
}

func TestAChecksListHasAnEnd(t *testing.T) {
	t.Parallel()
	j := many(3_000)
	for i := range j.Entries[0].Lines {
		j.Entries[0].Lines[i].Memo = "=1"
	}
	found := format(t, "journal").Check(j, mapping("journal"))
	require.Len(t, found, 1000)
	require.Equal(t, "more", found[999].Code)
}

func TestAnotherLayoutOfWorkdayIsAMapAway(t *testing.T) {
	t.Parallel()
	columns, flaws := erp.ParseColumns([]byte("header,source,argument,required\nJournalKey,journal_key,,Y\nSubmit,constant,0,Y\nControlTotalAmount,control_total,,Y\n" +
		"AccountingDate,accounting_date,YYYY-MM-DD,Y\nCreateReversal,if_reversed,1,N\nReversalDate,reversal_date,YYYY-MM-DD,N\nDocumentLink,document_link,,\n" +
		"LedgerAccount,field,account,Y\nDebit,debit,,\nCredit,credit,,\n"))
	require.Empty(t, flaws)
	m := mapping("workday")
	f := erp.Workday(columns)
	require.Empty(t, f.Check(journal(), m))
	files, err := f.Encode(journal(), m, about())
	require.NoError(t, err)
	rows := split(t, files[0].Content)
	require.Regexp(t, "^[A-Za-z0-9]{30}$", rows[1][0])
	require.Equal(t, []string{"0", "1734.57", "2026-11-30", "1", "2026-12-01", "https://tollbook.test/packets/1", "0041", "1234.56", ""}, rows[1][1:])
	require.Equal(t, []string{"column_map|column map|column 0"}, codes(erp.Workday(columns[:8]).Check(journal(), m))[:1])
	printed, err := erp.PrintColumns(erp.DefaultColumns())
	require.NoError(t, err)
	back, flaws := erp.ParseColumns(printed)
	require.Empty(t, flaws)
	require.Equal(t, erp.DefaultColumns(), back)
}

func bill() *erp.Bill {
	return &erp.Bill{
		ExternalID: "TB-meridian-202611-bill-1", VendorID: "0077", VendorName: "Anthropic, PBC", InvoiceNumber: "INV-0042", InvoicedOn: on(2026, 12, 1), DueOn: on(2026, 12, 31),
		Currency: "USD", Total: 110_000, Entity: "0010", Lines: []erp.BillLine{
			{GLAccount: "0041", CostCenter: "0100", Description: "Usage \"November\"", Amount: 120_000, TaxCode: "T1", Tax: 10_000, ServiceStart: on(2026, 11, 1), ServiceEnd: on(2026, 11, 30)},
			{GLAccount: "1500", CostCenter: "0100", Project: "P-7", Capitalize: true, Description: "Credit", Amount: -20_000},
		},
	}
}

func TestABillSumsToItsInvoice(t *testing.T) {
	t.Parallel()
	f, err := erp.EncodeBill(bill(), about())
	require.NoError(t, err)
	again, err := erp.EncodeBill(bill(), about())
	require.NoError(t, err)
	require.Equal(t, f, again)
	golden(t, "ap.csv", f.Content)
	rows := split(t, f.Content)
	require.Equal(t, "vendor_id,vendor_name,invoice_number,invoice_date,due_date,currency,invoice_total,line_number,gl_account,cost_center,project,entity,capitalizable,description,"+
		"line_amount,tax_code,tax_amount,service_start,service_end,external_id", strings.Join(rows[0], ","))
	var sum int64
	for _, r := range rows[1:] {
		sum += cents(t, r[14]) + cents(t, r[16])
		require.Equal(t, []string{"0077", "1100.00", "0100", "0010"}, []string{r[0], r[6], r[9], r[11]})
	}
	require.Equal(t, int64(110_000), sum)
	for want, change := range map[string]func(*erp.Bill){
		"total|invoice_total":     func(b *erp.Bill) { b.Total++ },
		"formula|description":     func(b *erp.Bill) { b.Lines[0].Description = "+1" },
		"empty|gl_account":        func(b *erp.Bill) { b.Lines[0].GLAccount = "" },
		"empty|invoice_number":    func(b *erp.Bill) { b.InvoiceNumber = "" },
		"dates|due_date":          func(b *erp.Bill) { b.DueOn = on(2026, 11, 1) },
		"service|service_end":     func(b *erp.Bill) { b.Lines[0].ServiceEnd = on(2026, 10, 1) },
		"lines":                   func(b *erp.Bill) { b.Lines = nil },
		"zero|line_amount":        func(b *erp.Bill) { b.Lines = append(b.Lines, erp.BillLine{GLAccount: "1", Description: "x"}) },
		"external_id|external_id": func(b *erp.Bill) { b.ExternalID = "=1" },
		"currency|currency":       func(b *erp.Bill) { b.Currency = "EUR" },
		"amount|line_amount":      func(b *erp.Bill) { b.Lines[0].Tax = 1 << 60 },
	} {
		b := bill()
		change(b)
		require.Contains(t, codes(erp.CheckBill(b)), want)
		_, err := erp.EncodeBill(b, about())
		require.ErrorIs(t, err, erp.ErrRefused)
	}
}

func TestFlawsOfAColumnMapAreNamedByLineAndColumn(t *testing.T) {
	t.Parallel()
	full := "a,journal_key,,\nb,debit,,\nc,credit,,\nd,field,account,\n"
	for file, want := range map[string]string{
		"":                       "1:0 The file is empty",
		"header,origin\n":        "1:2 \"origin\" is no column here",
		"header,source,source\n": "1:3 The column source is named twice",
		"header\n":               "1:0 The column source is missing",
		"header,source\na\n":     "2:0 The line has 1 fields; the first line names 2",
		"header,source\na,\"b\n": "2:0 The line cannot be read as CSV",
		"header,source,argument,required\n" + full + "e,empty,,maybe\n":                   "6:4 \"maybe\" is neither Y nor N",
		"header,source,argument,required\n" + full + "a,empty,,\n":                        "6:1 The head a is there twice",
		"header,source,argument,required\n" + full + "=a,empty,,\n":                       "6:1 \"=a\" cannot be the head of a column",
		"header,source,argument,required\n" + full + "e,weather,,\n":                      "6:2 \"weather\" is no source",
		"header,source,argument,required\n" + full + "e,field,Cost,\n":                    "6:3 \"Cost\" is no field",
		"header,source,argument,required\n" + full + "e,debit,x,\n":                       "6:3 debit takes no argument",
		"header,source,argument,required\n" + full + "e,constant,=1,\n":                   "6:3 constant takes a text",
		"header,source,argument,required\n" + full + "e,accounting_date,MM,\n":            "6:3 \"MM\" is no layout of a date",
		"header,source,argument,required\na,journal_key,,\nb,debit,,\nd,field,account,\n": "1:0 No column of the layout holds credits",
	} {
		columns, flaws := erp.ParseColumns([]byte(file))
		require.Nil(t, columns)
		require.Contains(t, said(flaws), want)
	}
	_, flaws := erp.ParseColumns([]byte("header,source\n" + strings.Repeat("a,debit\n", 201)))
	require.Contains(t, said(flaws), "There are more than 200 lines")
}

func said(flaws []erp.Flaw) string {
	var out []string
	for _, f := range flaws {
		out = append(out, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Message))
	}
	return strings.Join(out, "\n")
}

func TestAMappingIsReadFromAFileAndWrittenBack(t *testing.T) {
	t.Parallel()
	for _, name := range erp.Names() {
		m := mapping(name)
		m.Rules[0].EffectiveFrom, m.Rules[0].EffectiveTo = on(2026, 1, 1), on(2027, 1, 1)
		require.Empty(t, m.Validate(), name)
		printed, err := erp.PrintMapping(m)
		require.NoError(t, err)
		back, flaws := erp.ParseMapping(name, printed)
		require.Empty(t, flaws)
		require.Equal(t, *m, back)
	}
	const head = "field,source,code,value,effective_from,effective_to\n"
	for file, want := range map[string]string{
		head + "weather,always,,x,,\n":                                              "2:1 \"weather\" is no field of netsuite",
		head + "account,moon,1,x,,\n":                                               "2:2 \"moon\" is no source",
		head + "account,account,,x,,\n":                                             "2:3 A rule names the code it is for",
		head + "approved,always,1,T,,\n":                                            "2:3 A rule that holds always has no code",
		head + "account,account,1,,,\n":                                             "2:4 A rule names a value",
		head + "account,account,1,=x,,\n":                                           "2:4 A spreadsheet would take \"=x\" for a formula",
		head + "approved,always,,maybe,,\n":                                         "2:4 approved is one of T, F",
		head + "account,account,1,x,2026-13-01,\n":                                  "2:5 \"2026-13-01\" is no day",
		head + "account,account,1,x,2026-02-01,2026-01-01\n":                        "2:6 A rule holds from a UTC day until a later one",
		head + "account,account,1,x,,\naccount,account,1,y,2026-01-01,\n":           "3:5 The rule 1 fills the same field for the same code on some of these days",
		head + "account,account,1,x,2026-01-01,\naccount,account,1,y,,2026-01-02\n": "3:5 The rule 1 fills",
	} {
		_, flaws := erp.ParseMapping("netsuite", []byte(file))
		require.Contains(t, said(flaws), want)
	}
	_, flaws := erp.ParseMapping("moon", []byte(head+"a,b,c,d,,\n"))
	require.Contains(t, said(flaws), "\"moon\" is no system of exports")
	touching, flaws := erp.ParseMapping("netsuite", []byte("\ufeff"+head+"account,account,1,x,,2026-01-01\r\naccount,account,1,y,2026-01-01,\r\n"))
	require.Empty(t, flaws)
	require.Len(t, touching.Rules, 2)
	var twice strings.Builder
	for i := range 202 {
		fmt.Fprintf(&twice, "account,account,1,x,%s,%s\n", on(2000+i, 1, 1).Format("2006-01-02"), on(2001+i, 1, 1).Format("2006-01-02"))
	}
	_, flaws = erp.ParseMapping("netsuite", []byte(head+twice.String()))
	require.Contains(t, said(flaws), "at most 200 rules of one field over time")
}

func FuzzParseColumns(f *testing.F) {
	printed, err := erp.PrintColumns(erp.DefaultColumns())
	require.NoError(f, err)
	f.Add(printed)
	f.Add([]byte("header,source,argument,required\na,journal_key,,Y\nb,debit,,\nc,credit,,\nd,field,account,\n"))
	f.Add([]byte("source,header\n\"a"))
	f.Fuzz(func(t *testing.T, file []byte) {
		columns, flaws := erp.ParseColumns(file)
		require.Equal(t, columns == nil, len(flaws) > 0)
		for _, flaw := range flaws {
			require.True(t, flaw.Line > 0 && flaw.Message != "")
		}
		if columns == nil {
			return
		}
		again, err := erp.PrintColumns(columns)
		require.NoError(t, err)
		back, flaws := erp.ParseColumns(again)
		require.Empty(t, flaws)
		require.Equal(t, columns, back)
		for _, p := range erp.Workday(columns).Check(journalFor("workday"), mapping("workday")) {
			require.NotEqual(t, "encoding", p.Code)
		}
	})
}

func FuzzParseMapping(f *testing.F) {
	for _, name := range erp.Names() {
		printed, err := erp.PrintMapping(mapping(name))
		require.NoError(f, err)
		f.Add(name, printed)
	}
	f.Fuzz(func(t *testing.T, name string, file []byte) {
		m, flaws := erp.ParseMapping(name, file)
		if len(flaws) > 0 {
			require.Nil(t, m.Rules)
			return
		}
		printed, err := erp.PrintMapping(&m)
		require.NoError(t, err)
		back, flaws := erp.ParseMapping(name, printed)
		require.Empty(t, flaws)
		require.Equal(t, m, back)
		fmt, err := erp.ByName(name)
		require.NoError(t, err)
		files, err := fmt.Encode(journalFor(name), &m, about())
		require.Equal(t, err == nil, len(fmt.Check(journalFor(name), &m)) == 0)
		for i := range files {
			if name != "oracle" && name != "sap" {
				_, err := csv.NewReader(bytes.NewReader(files[i].Content)).ReadAll()
				require.NoError(t, err)
			}
		}
	})
}

// TestWhatASpreadsheetWouldTakeForAFormulaIsNeverAltered: in every format a text that begins
// like one is read back as it was, or refused before anything is written; and a code keeps the
// zeros it begins with.
func TestWhatASpreadsheetWouldTakeForAFormulaIsNeverAltered(t *testing.T) {
	t.Parallel()
	for _, name := range erp.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := format(t, name)
			for _, memo := range []string{"=1+1", "+1", "-1", "@sum", "=HYPERLINK(\"http://x\")", "0041", "007 =x", "Ω, \"quoted\""} {
				j := journalFor(name)
				for e := range j.Entries {
					for l := range j.Entries[e].Lines {
						j.Entries[e].Lines[l].Memo = memo
					}
				}
				files, err := f.Encode(j, mapping(name), about())
				if err != nil {
					require.ErrorIs(t, err, erp.ErrRefused, memo)
					require.NotEmpty(t, f.Check(j, mapping(name)), memo)
					continue
				}
				for i := range files {
					for _, line := range reread(t, name, files[i].Content) {
						require.Contains(t, []string{memo, j.Memo}, line.memo, "%s, where a layout has the line's memo or the journal's", name)
					}
				}
			}
		})
	}
}
