package invoice_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/fault"
	"tollbook/app/invoice"
	"tollbook/app/money"
)

func on(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

func october() invoice.Invoice {
	return invoice.Invoice{
		Number: "INV-1", Workspace: "default", Issuer: "Anthropic", IssuedOn: on("2026-11-02"), DueOn: on("2026-12-02"), From: on("2026-10-01"), To: on("2026-11-01"),
		Currency: "USD", Total: 110_00, Lines: []invoice.Line{
			{Kind: invoice.Usage, Description: "Claude API", Amount: 100_00}, {Kind: invoice.Fee, Description: "code execution", Amount: 5_00},
			{Kind: invoice.Credit, Description: "goodwill", Amount: -3_00}, {Kind: invoice.Tax, Description: "sales tax", Amount: 8_00},
		},
	}
}

func TestAnInvoiceThatCannotBeRight(t *testing.T) {
	t.Parallel()
	right := october()
	require.NoError(t, right.Check())
	for _, c := range []struct {
		code, field string
		spoil       func(*invoice.Invoice)
	}{
		{"invoice_text", "number", func(i *invoice.Invoice) { i.Number = "" }},
		{"invoice_text", "number", func(i *invoice.Invoice) { i.Number = "a\nb" }},
		{"invoice_text", "workspace", func(i *invoice.Invoice) { i.Workspace = strings.Repeat("x", 201) }},
		{"invoice_day", "issued_on", func(i *invoice.Invoice) { i.IssuedOn = time.Time{} }},
		{"invoice_day", "from", func(i *invoice.Invoice) { i.From = i.From.Add(time.Hour) }},
		{"invoice_cycle", "to", func(i *invoice.Invoice) { i.To = i.From }},
		{"invoice_due", "due_on", func(i *invoice.Invoice) { i.DueOn = on("2026-11-01") }},
		{"invoice_currency", "currency", func(i *invoice.Invoice) { i.Currency = "EUR" }},
		{"invoice_lines", "lines", func(i *invoice.Invoice) { i.Lines = nil }},
		{"invoice_line_kind", "lines[0].kind", func(i *invoice.Invoice) { i.Lines[0].Kind = "rent" }},
		{"invoice_text", "lines[1].description", func(i *invoice.Invoice) { i.Lines[1].Description = "" }},
		{"invoice_sign", "lines[2].amount", func(i *invoice.Invoice) { i.Lines[2].Amount = 3_00 }},
		{"invoice_sign", "lines[0].amount", func(i *invoice.Invoice) { i.Lines[0].Amount = -1 }},
		{"invoice_amount", "lines[0].amount", func(i *invoice.Invoice) { i.Lines[0].Amount = 1 << 60 }},
		{"invoice_total", "total", func(i *invoice.Invoice) { i.Total++ }},
	} {
		i := october()
		c.spoil(&i)
		f := fault.From(i.Check())
		require.Equal(t, []string{c.code, c.field}, []string{f.Code, f.Field})
	}
}

const heads = "invoice_number,workspace,issued_on,due_on,service_from,service_through,currency,kind,description,amount,invoice_total\n"

func TestAFileOfInvoices(t *testing.T) {
	t.Parallel()
	list, flaws := invoice.ReadFile([]byte(heads +
		"0041,default,2026-11-02,2026-12-02,2026-10-01,2026-10-31,USD,usage,\"Claude, API\",100.00,92.5\n" +
		"0041,default,2026-11-02,2026-12-02,2026-10-01,2026-10-31,USD,credit,goodwill,-7.50,92.5\n" +
		"0042,default,2026-11-02,2026-12-02,2026-10-01,2026-10-31,USD,seats,20 seats,600,600\n"))
	require.Empty(t, flaws)
	require.Len(t, list, 2)
	require.Equal(t, on("2026-11-01"), list[0].To)
	require.Equal(t, []invoice.Line{{Kind: invoice.Usage, Description: "Claude, API", Amount: 100_00}, {Kind: invoice.Credit, Description: "goodwill", Amount: -7_50}}, list[0].Lines)
	require.Equal(t, money.Cents(92_50), list[0].Total)
	require.Equal(t, "0042", list[1].Number)
	require.Equal(t, 4, list[1].Line)

	again, err := invoice.PrintFile(&list[0].Invoice)
	require.NoError(t, err)
	reread, flaws := invoice.ReadFile(again)
	require.Empty(t, flaws)
	require.Equal(t, list[:1], reread)
}

func TestABadFileIsRefusedWhole(t *testing.T) {
	t.Parallel()
	const first = "1,default,2026-11-02,2026-12-02,2026-10-01,2026-10-31,USD,usage,API,100.00,100.00\n"
	for _, c := range []struct{ name, file, want string }{
		{"wrong columns", "invoice,amount\n1,2\n", `Line 1, column 1 (invoice): "invoice" is no column here`},
		{"total", strings.Replace(heads+first, "100.00\n", "101.00\n", 1), "Line 2, column 11 (invoice_total): The lines add up to 100.00, the invoice says 101.00: 1.00 is missing."},
		{"currency", strings.Replace(heads+first, "USD", "EUR", 1), "Line 2, column 7 (currency): The books are in USD"},
		{"amount", strings.Replace(heads+first, "API,100.00", "API,1e2", 1), "Line 2, column 10 (amount): An amount is US dollars"},
		{"day", strings.Replace(heads+first, "2026-11-02", "11/02/2026", 1), "Line 2, column 3 (issued_on): A day is YYYY-MM-DD"},
		{"not of one mind", heads + first + strings.Replace(first, "2026-12-02", "2026-12-03", 1), `Line 3, column 4 (due_on): Line 2 of the same invoice says "2026-12-02", this one "2026-12-03".`},
		{"apart", heads + first + strings.Replace(first, "1,", "2,", 1) + first, "Line 4, column 1 (invoice_number): Invoice 1 is in the file already, from line 2 on"},
		{"kind", heads + strings.Replace(first, "usage", "rent", 1), "Line 2, column 8 (kind): Line 1 is usage, discount"},
	} {
		list, flaws := invoice.ReadFile([]byte(c.file))
		require.Empty(t, list, c.name)
		require.NotEmpty(t, flaws, c.name)
		require.Contains(t, flaws[0].String(), c.want, c.name)
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte(heads + "1,default,2026-11-02,2026-12-02,2026-10-01,2026-10-31,USD,usage,API,100.00,100.00\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		list, flaws := invoice.ReadFile(file)
		require.NotEqual(t, len(list) == 0, len(flaws) == 0)
		for i := range list {
			require.NoError(t, list[i].Check())
		}
	})
}

func sum(pico string) money.Sum {
	s, err := money.ParseSum(pico)
	if err != nil {
		panic(err)
	}
	return s
}

func TestAMatchNamesEveryDifference(t *testing.T) {
	t.Parallel()
	i := october()
	day := reported("98.001234567891", "100.005234567891", invoice.Item{Class: "bypass", Amount: sum("2.004")})
	m := invoice.Compare(&i, &invoice.Figures{Ledger: sum("98.001234567891"), Days: []invoice.Day{day}})
	got := map[invoice.Class]string{}
	for n := range m.Items {
		got[m.Items[n].Class] = m.Items[n].Amount.String()
	}
	require.Equal(t, map[invoice.Class]string{"tax": "8.000000000000", "bypass": "2.004000000000", "fee": "5.000000000000", "credit": "-3.000000000000", "rounding": "-0.005234567891"}, got)
	require.Zero(t, m.Unknown.Sign())

	m = invoice.Compare(&i, &invoice.Figures{Ledger: sum("98")})
	require.Equal(t, "2.000000000000", m.Unknown.String(), "two dollars are no rounding")
}

// TestWhatAnInvoiceNamesIsExplained: a discount on an invoice of its own is no residual, and
// lines of nothing leave no room for rounding.
func TestWhatAnInvoiceNamesIsExplained(t *testing.T) {
	t.Parallel()
	i := october()
	i.Lines, i.Total = []invoice.Line{{Kind: invoice.Discount, Description: "rebate of the year", Amount: -50_00}}, -50_00
	require.NoError(t, i.Check())
	m := invoice.Compare(&i, &invoice.Figures{})
	require.Zero(t, m.Unknown.Sign())
	require.Equal(t, invoice.ClassDiscount, m.Items[0].Class)

	i = october()
	for range 300 {
		i.Lines = append(i.Lines, invoice.Line{Kind: invoice.Usage, Description: "nothing"})
	}
	require.NoError(t, i.Check())
	m = invoice.Compare(&i, &invoice.Figures{Ledger: sum("98")})
	require.Equal(t, "2.000000000000", m.Unknown.String())
}

// TestItemsAddUp: whatever an invoice, the ledger and the reconciliation say.
func TestItemsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		i := october()
		i.Lines, i.Total = nil, 0
		for range rapid.IntRange(1, 6).Draw(r, "lines") {
			l := invoice.Line{Kind: rapid.SampledFrom(invoice.Kinds()).Draw(r, "kind"), Description: "x", Amount: money.Cents(rapid.Int64Range(0, 10_000).Draw(r, "amount"))}
			if l.Kind == invoice.Discount || l.Kind == invoice.Credit {
				l.Amount = -l.Amount
			}
			i.Lines, i.Total = append(i.Lines, l), i.Total+l.Amount
		}
		require.NoError(r, i.Check())
		f := invoice.Figures{}
		f.Ledger.Add(money.Pico(rapid.Int64Range(0, 300_000_000_000_000).Draw(r, "ledger")))
		f.Ledger = money.Sum{}
		for n := range rapid.IntRange(0, 40).Draw(r, "days") {
			d := drawnDay(r, i.From.AddDate(0, 0, n))
			f.Ledger.AddSum(&d.Ledger)
			f.Days = append(f.Days, d)
		}
		m := invoice.Compare(&i, &f)
		var total money.Sum
		for n := range m.Items {
			total.AddSum(&m.Items[n].Amount)
		}
		want := m.Difference()
		require.Zero(r, total.Cmp(&want))
		before := m.Before()
		before.SubSum(&m.Adjusted)
		require.Zero(r, before.Cmp(&want))
		for n := range m.Items {
			var days money.Sum
			for k := range m.Items[n].Days {
				days.AddSum(&m.Items[n].Days[k].Amount)
			}
			require.True(r, len(m.Items[n].Days) == 0 || days.Cmp(&m.Items[n].Amount) == 0, "an item is its days")
		}
	})
}

// drawnDay is any day: with a report or none, and items that come to anything.
func drawnDay(r *rapid.T, day time.Time) invoice.Day {
	pico := func(name string) (s money.Sum) {
		s.Add(money.Pico(rapid.Int64Range(-10_000_000_000_000, 300_000_000_000_000).Draw(r, name)))
		return s
	}
	d := invoice.Day{Day: day, Ledger: pico("ledger"), Adjusted: pico("adjusted")}
	if rapid.Bool().Draw(r, "reported") {
		report := pico("report")
		d.Report, d.Partial = &report, rapid.Bool().Draw(r, "partial")
		for range rapid.IntRange(0, 3).Draw(r, "items") {
			d.Items = append(d.Items, invoice.Item{Class: rapid.SampledFrom([]invoice.Class{"bypass", "unknown", "late", invoice.ClassFee, "credit_or_discount"}).Draw(r, "class"), Amount: pico("item")})
		}
	}
	return d
}

// reported is the first of October as ledger, report and reconciliation have it.
func reported(ledger, report string, items ...invoice.Item) invoice.Day {
	r := sum(report)
	return invoice.Day{Day: on("2026-10-01"), Ledger: sum(ledger), Report: &r, Items: items}
}

// TestReportAndLedgerAreMatchedBeforeTheInvoice: what the days' reconciliation left unknown is
// no rounding of the invoice, and a credit that the report has is not counted twice.
func TestReportAndLedgerAreMatchedBeforeTheInvoice(t *testing.T) {
	t.Parallel()
	i := october()
	i.Lines, i.Total = []invoice.Line{{Kind: invoice.Usage, Description: "Claude API", Amount: 100_00}}, 100_00
	require.NoError(t, i.Check())
	said := func(day invoice.Day) map[string]string {
		m := invoice.Compare(&i, &invoice.Figures{Ledger: day.Ledger, Days: []invoice.Day{day}})
		list := map[string]string{}
		for n := range m.Items {
			list[string(m.Items[n].Class)+" "+m.Items[n].Why] = m.Items[n].Amount.String()
		}
		return list
	}
	const days, cents = "unexplained between ledger and cost report, of days that their reconciliation does not explain", "rounding invoices are in cents, charges are not"
	require.Equal(t, map[string]string{days: "0.002000000000", cents: "0.001000000000"}, said(reported("99.997", "99.999", invoice.Item{Class: "unknown", Amount: sum("0.002")})))
	require.Equal(t, map[string]string{days: "0.002000000000", cents: "0.001000000000"}, said(reported("99.997", "99.999")), "a day that nobody reconciled")
	require.Equal(t, map[string]string{"credit named by the reconciliation of its days": "-3.000000000000"}, said(reported("103", "100", invoice.Item{Class: "credit_or_discount", Amount: sum("-3")})),
		"the invoice is net of it")
	require.Equal(t, map[string]string{"unexplained between cost report and invoice": "5.000000000000"}, said(reported("95", "95")))

	i.Lines = append(i.Lines, invoice.Line{Kind: invoice.Credit, Description: "goodwill", Amount: -5_00})
	i.Total = 95_00
	require.Equal(t, map[string]string{"credit named by the reconciliation of its days": "-3.000000000000", "credit given back by the provider": "-2.000000000000"},
		said(reported("100", "97", invoice.Item{Class: "credit_or_discount", Amount: sum("-3")})))
}

// TestABridgeSaysWhatTheReportCovers of each month, by days.
func TestABridgeSaysWhatTheReportCovers(t *testing.T) {
	t.Parallel()
	i := october()
	i.From, i.To = on("2026-10-30"), on("2026-11-03")
	whole, partial := sum("2"), sum("1")
	m := invoice.Compare(&i, &invoice.Figures{Days: []invoice.Day{
		{Day: on("2026-10-30"), Report: &whole}, {Day: on("2026-10-31"), Report: &partial, Partial: true}, {Day: on("2026-11-01")}, {Day: on("2026-11-02"), Report: &whole},
	}})
	parts, err := invoice.Bridge(&i, func(time.Time, time.Time) money.Sum { return sum("1") })
	require.NoError(t, err)
	m.Cover(parts)
	require.Equal(t, []int{1, 1, 0, 1, 0, 1}, []int{parts[0].Whole, parts[0].Partial, parts[0].Missing, parts[1].Whole, parts[1].Partial, parts[1].Missing})
	require.Equal(t, "3.000000000000", parts[0].Report.String())
	require.Equal(t, "2.000000000000", parts[1].Report.String())
}

func TestACycleIsCutAtTheEndsOfMonths(t *testing.T) {
	t.Parallel()
	i := october()
	i.From, i.To, i.Total = on("2026-10-15"), on("2026-12-10"), 100_01
	parts, err := invoice.Bridge(&i, func(from, _ time.Time) money.Sum {
		return map[time.Month]money.Sum{time.October: sum("1"), time.November: sum("2"), time.December: sum("1")}[from.Month()]
	})
	require.NoError(t, err)
	var total money.Cents
	var got []string
	for _, p := range parts {
		total += p.Billed
		got = append(got, p.Month.String()+" "+p.From.Format(time.DateOnly)+" "+p.To.Format(time.DateOnly)+" "+p.Billed.String())
	}
	require.Equal(t, i.Total, total)
	require.Equal(t, []string{"2026-10 2026-10-15 2026-11-01 25.00", "2026-11 2026-11-01 2026-12-01 50.01", "2026-12 2026-12-01 2026-12-10 25.00"}, got)

	parts, err = invoice.Bridge(&i, func(time.Time, time.Time) money.Sum { return money.Sum{} })
	require.NoError(t, err)
	require.Equal(t, money.Cents(30_36), parts[0].Billed, "by days where nothing was charged")
}
