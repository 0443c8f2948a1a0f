package focus_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/export"
	"tollbook/app/export/focus"
)

var update = flag.Bool("update", false, "write the golden files anew") //nolint:gochecknoglobals // a flag of the test binary

func dec(t require.TestingT, text string) focus.Decimal {
	d, err := focus.ParseDecimal(text)
	require.NoError(t, err)
	return d
}

func about() export.Manifest {
	return export.Manifest{CodeVersion: "test", Tenant: "meridian", RunAt: time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)}
}

// usage is tokens of one class on a day, at a price for a million and its discount in
// basis points, billed as said.
func usage(tokens, micros, bps int64, billed string) focus.Row {
	quantity := focus.Scaled(tokens, 6)
	list := focus.Scaled(micros, 6)
	contracted := list.Times(focus.Scaled(10_000-bps, 4))
	cents, err := focus.ParseDecimal(billed)
	if err != nil {
		panic(err)
	}
	day := time.Date(2026, 11, 4, 0, 0, 0, 0, time.UTC)
	return focus.Row{
		BilledCost: cents, BillingAccountID: "0042", BillingAccountName: "Meridian", BillingCurrency: "USD",
		BillingPeriodStart: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), BillingPeriodEnd: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		ChargeCategory: focus.Usage, ChargeDescription: "Input tokens of a model", ChargeFrequency: "Usage-Based", ChargePeriodStart: day, ChargePeriodEnd: day.AddDate(0, 0, 1),
		ConsumedQuantity: focus.Scaled(tokens, 0), ConsumedUnit: "Tokens", ContractedCost: contracted.Times(quantity), ContractedUnitPrice: contracted,
		EffectiveCost: contracted.Times(quantity), InvoiceID: "INV-0042", InvoiceIssuerName: "Anthropic", ListCost: list.Times(quantity), ListUnitPrice: list,
		PricingCategory: "Standard", PricingQuantity: quantity, PricingUnit: "1000000 Tokens", ProviderName: "Anthropic", PublisherName: "Anthropic",
		RegionID: "us", RegionName: "United States", ResourceID: "key_1", ResourceName: "=platform", ResourceType: "Virtual Key",
		ServiceCategory: "AI and Machine Learning", ServiceName: "Claude API", ServiceSubcategory: "Generative AI", SkuID: "model-input", SkuMeter: "Input Tokens",
		SkuPriceDetails: map[string]string{"x_TokenDirection": "Input", "x_TokenCacheAction": "Uncached", "x_ModelId": "model"}, SkuPriceID: "model-input-standard",
		SubAccountID: "wrk_1", SubAccountName: "Größe & Co", Tags: map[string]string{"cost_center": "0100", "a<b": "\"quoted\""},
		CostCenter: "0100", Capitalization: "expense", Developer: "dev_9f", Project: "P-7", BusinessUnit: "Platform",
	}
}

// dataset is a month: usage, tax, a credit, and a correction of the month before.
func dataset() *focus.Dataset {
	tax := usage(0, 0, 0, "1.23")
	tax.ChargeCategory, tax.ChargeDescription, tax.ChargeFrequency, tax.SkuPriceDetails = focus.Tax, "Sales tax", "One-Time", nil
	tax.ConsumedQuantity, tax.ListUnitPrice, tax.ContractedUnitPrice, tax.PricingQuantity = focus.Decimal{}, focus.Decimal{}, focus.Decimal{}, focus.Decimal{}
	tax.ConsumedUnit, tax.PricingUnit, tax.PricingCategory, tax.SkuID, tax.SkuMeter, tax.SkuPriceID = "", "", "", "", "", ""
	tax.ListCost, tax.ContractedCost, tax.EffectiveCost = tax.BilledCost, tax.BilledCost, tax.BilledCost
	credit := tax
	credit.ChargeCategory, credit.ChargeDescription, credit.BilledCost = focus.Credit, "-5 % goodwill", focus.Scaled(-50, 2)
	credit.ListCost, credit.ContractedCost, credit.EffectiveCost, credit.Tags = credit.BilledCost, credit.BilledCost, credit.BilledCost, nil
	late := usage(-5, 3_000_000, 0, "0")
	late.ChargeClass = focus.Correction
	late.ChargePeriodStart, late.ChargePeriodEnd = time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	late.InvoiceID = ""
	return &focus.Dataset{
		Name: "TB-meridian-202611-focus-1", Rows: []focus.Row{usage(1_234_567, 3_000_001, 1_250, "3.24"), usage(1, 75_000, 0, "0"), tax, credit, late},
		Invoices: []focus.Invoice{{ID: "INV-0042", Total: focus.Scaled(397, 2)}, {ID: "", Total: focus.Scaled(0, 0)}},
	}
}

// cells is a reader that shares nothing with the writer: rows by column.
func cells(t require.TestingT, content []byte) []map[string]string {
	require.False(t, bytes.HasPrefix(content, []byte("\xef\xbb\xbf")))
	require.Equal(t, bytes.Count(content, []byte("\n")), bytes.Count(content, []byte("\r\n")))
	require.True(t, bytes.HasSuffix(content, []byte("\r\n")))
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	require.NoError(t, err)
	var out []map[string]string
	for _, r := range rows[1:] {
		one := map[string]string{}
		for i, head := range rows[0] {
			one[head] = r[i]
		}
		out = append(out, one)
	}
	return out
}

func rat(t require.TestingT, text string) *big.Rat {
	require.Regexp(t, `^-?[0-9]+(\.[0-9]+)?$`, text)
	r, ok := new(big.Rat).SetString(text)
	require.True(t, ok)
	return r
}

// holdRules holds rows, as anybody reads them, to the products and sums of the specification.
func holdRules(t require.TestingT, d *focus.Dataset, rows []map[string]string) {
	require.Len(t, rows, len(d.Rows))
	sums := map[string]*big.Rat{}
	for _, r := range rows {
		if r["PricingQuantity"] != "" {
			for _, of := range []string{"List", "Contracted"} {
				product := new(big.Rat).Mul(rat(t, r[of+"UnitPrice"]), rat(t, r["PricingQuantity"]))
				require.Zero(t, product.Cmp(rat(t, r[of+"Cost"])), r)
			}
		}
		if sums[r["InvoiceId"]] == nil {
			sums[r["InvoiceId"]] = new(big.Rat)
		}
		sums[r["InvoiceId"]].Add(sums[r["InvoiceId"]], rat(t, r["BilledCost"]))
	}
	require.Len(t, sums, len(d.Invoices))
	for _, i := range d.Invoices {
		require.Zero(t, sums[i.ID].Cmp(rat(t, i.Total.String())))
	}
}

// unpacked reads Parquet by its schema: decimals from their bytes, by this test's own sums.
func unpacked(t require.TestingT, content []byte) []map[string]string {
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	var out []map[string]string
	for _, group := range f.RowGroups() {
		reader := group.Rows()
		buffer := make([]parquet.Row, 100)
		for {
			n, err := reader.ReadRows(buffer)
			for _, row := range buffer[:n] {
				one := map[string]string{}
				for _, v := range row {
					column := f.Root().Columns()[v.Column()]
					logical := column.Type().LogicalType()
					switch {
					case v.IsNull():
						one[column.Name()] = ""
					case strings.HasPrefix(logical.String(), "DECIMAL"):
						one[column.Name()] = scaled(v.ByteArray())
					case strings.HasPrefix(logical.String(), "TIMESTAMP"):
						one[column.Name()] = time.UnixMilli(v.Int64()).UTC().Format(time.RFC3339)
					default:
						one[column.Name()] = string(v.ByteArray())
					}
				}
				out = append(out, one)
			}
			if err != nil {
				break
			}
		}
		require.NoError(t, reader.Close())
	}
	return out
}

func scaled(content []byte) string {
	n := new(big.Int).SetBytes(content)
	if content[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(content))))
	}
	text := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)).FloatString(18)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func TestAMonthIsWrittenAndReadBackInBothForms(t *testing.T) {
	t.Parallel()
	d := dataset()
	require.Empty(t, focus.Check(d))
	sheet, err := focus.CSV(d, about())
	require.NoError(t, err)
	path := filepath.Join("testdata", "focus.csv")
	if *update {
		require.NoError(t, os.WriteFile(path, sheet.Content, 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(sheet.Content))
	rows := cells(t, sheet.Content)
	holdRules(t, d, rows)
	require.Equal(t, "'=platform", rows[0]["ResourceName"], "guarded where a spreadsheet may open it")
	require.Equal(t, "'-5 % goodwill", rows[3]["ChargeDescription"])
	require.Equal(t, []string{"0042", "0100", "-0.5", "1.234567", "1234567"},
		[]string{rows[0]["BillingAccountId"], rows[0]["x_CostCenter"], rows[3]["BilledCost"], rows[0]["PricingQuantity"], rows[0]["ConsumedQuantity"]})
	require.Equal(t, "2026-11-05T00:00:00Z", rows[0]["ChargePeriodEnd"])
	var tags map[string]string
	require.NoError(t, json.Unmarshal([]byte(rows[0]["Tags"]), &tags))
	require.Equal(t, d.Rows[0].Tags, tags)
	require.Empty(t, rows[3]["Tags"])

	packed, err := focus.Parquet(d, about())
	require.NoError(t, err)
	columns := unpacked(t, packed.Content)
	holdRules(t, d, columns)
	rows[0]["ResourceName"], rows[1]["ResourceName"], rows[2]["ResourceName"], rows[3]["ResourceName"], rows[4]["ResourceName"] = "=platform", "=platform", "=platform", "=platform", "=platform"
	rows[3]["ChargeDescription"] = "-5 % goodwill"
	require.Equal(t, rows, columns)

	for _, f := range []focus.File{sheet, packed} {
		document, err := f.Manifest.JSON()
		require.NoError(t, err)
		m, err := export.Verify(document, f.Content)
		require.NoError(t, err)
		require.Equal(t, 5, m.Rows)
		require.Contains(t, m.ControlTotals, export.Pair{Name: "billed_cost", Value: "3.97"})
	}
	again, err := focus.Parquet(dataset(), about())
	require.NoError(t, err)
	require.Equal(t, packed, again)
}

// TestColumnsAreTheSpecifications reads the list of the specification anew: each column
// it always demands or recommends is there, in its order, and ours come last.
func TestColumnsAreTheSpecifications(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("columns-1.2.csv")
	require.NoError(t, err)
	list, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	require.NoError(t, err)
	f, err := focus.CSV(dataset(), about())
	require.NoError(t, err)
	left := f.Manifest.Columns
	require.True(t, slices.IsSorted(left))
	packed, err := focus.Parquet(dataset(), about())
	require.NoError(t, err)
	require.Equal(t, left, packed.Manifest.Columns)
	for _, line := range list[1:] {
		if len(left) > 0 && left[0] == line[0] {
			left = left[1:]
			continue
		}
		require.True(t, strings.HasPrefix(line[1], "MUST if") || strings.HasPrefix(line[1], "RECOMMENDED if"), line[0])
	}
	require.NotEmpty(t, left)
	for _, column := range left {
		require.True(t, strings.HasPrefix(column, "x_"), column)
	}
}

func TestBrokenRulesAreToldAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	usages := func(change func(*focus.Row)) func(*focus.Dataset) {
		return func(d *focus.Dataset) { change(&d.Rows[0]) }
	}
	taxes := func(change func(*focus.Row)) func(*focus.Dataset) {
		return func(d *focus.Dataset) { change(&d.Rows[2]) }
	}
	for want, change := range map[string]func(*focus.Dataset){
		"1 ListCost product":           usages(func(r *focus.Row) { r.ListCost = r.ListCost.Plus(focus.Scaled(1, 12)) }),
		"1 ContractedCost product":     usages(func(r *focus.Row) { r.ContractedUnitPrice = focus.Scaled(1, 0) }),
		"0 BilledCost invoice_total":   usages(func(r *focus.Row) { r.BilledCost = focus.Scaled(325, 2) }),
		"1 BilledCost null":            usages(func(r *focus.Row) { r.BilledCost = focus.Decimal{} }),
		"1 BilledCost resold":          usages(func(r *focus.Row) { r.InvoiceIssuerName = "A marketplace" }),
		"1 BilledCost decimal":         usages(func(r *focus.Row) { r.BilledCost = focus.Scaled(1, 19) }),
		"1 ServiceCategory value":      usages(func(r *focus.Row) { r.ServiceCategory = "AI" }),
		"1 ServiceSubcategory value":   usages(func(r *focus.Row) { r.ServiceSubcategory = "Claude" }),
		"1 ChargeFrequency value":      usages(func(r *focus.Row) { r.ChargeFrequency = "Often" }),
		"1 ChargeCategory value":       usages(func(r *focus.Row) { r.ChargeCategory = "usage" }),
		"1 PricingCategory value":      usages(func(r *focus.Row) { r.PricingCategory = "List" }),
		"1 x_Capitalization value":     usages(func(r *focus.Row) { r.Capitalization = "capex" }),
		"1 ChargeClass value":          usages(func(r *focus.Row) { r.ChargeClass = "Late" }),
		"1 ChargeClass correction":     usages(func(r *focus.Row) { r.ChargeClass = focus.Correction }),
		"1 ChargePeriodEnd period":     usages(func(r *focus.Row) { r.ChargePeriodEnd = r.ChargePeriodStart }),
		"1 BillingPeriodEnd period":    usages(func(r *focus.Row) { r.BillingPeriodEnd = r.BillingPeriodEnd.Add(1) }),
		"1 BillingPeriodStart null":    usages(func(r *focus.Row) { r.BillingPeriodStart = time.Time{} }),
		"1 ConsumedUnit together":      usages(func(r *focus.Row) { r.ConsumedUnit = "" }),
		"1 ConsumedQuantity null":      usages(func(r *focus.Row) { r.ConsumedQuantity = focus.Decimal{} }),
		"1 PricingUnit together":       usages(func(r *focus.Row) { r.PricingUnit = "" }),
		"1 SkuId null":                 usages(func(r *focus.Row) { r.SkuID = "" }),
		"1 SkuMeter together":          usages(func(r *focus.Row) { r.SkuMeter = "" }),
		"1 SkuPriceDetails together":   usages(func(r *focus.Row) { r.SkuPriceID = "" }),
		"1 SkuPriceDetails key":        usages(func(r *focus.Row) { r.SkuPriceDetails = map[string]string{"ModelId": "m"} }),
		"1 RegionName together":        usages(func(r *focus.Row) { r.RegionID = "" }),
		"1 ResourceName together":      usages(func(r *focus.Row) { r.ResourceID, r.ResourceType = "", "" }),
		"1 SubAccountName together":    usages(func(r *focus.Row) { r.SubAccountName = "" }),
		"1 Tags key":                   usages(func(r *focus.Row) { r.Tags = map[string]string{"": "x"} }),
		"1 Tags text":                  usages(func(r *focus.Row) { r.Tags = map[string]string{"a": "\n"} }),
		"1 ServiceName text":           usages(func(r *focus.Row) { r.ServiceName = "\xff" }),
		"1 BillingCurrency currency":   usages(func(r *focus.Row) { r.BillingCurrency = "usd" }),
		"0 BillingCurrency currencies": taxes(func(r *focus.Row) { r.BillingCurrency = "EUR" }),
		"3 SkuId tax":                  taxes(func(r *focus.Row) { r.SkuID = "x" }),
		"3 PricingQuantity tax":        taxes(func(r *focus.Row) { r.PricingQuantity = focus.Scaled(1, 0) }),
		"3 ConsumedQuantity consumed":  taxes(func(r *focus.Row) { r.ConsumedQuantity = focus.Scaled(1, 0) }),
		"0 InvoiceId invoice":          taxes(func(r *focus.Row) { r.InvoiceID = "INV-2" }),
		"0  rows":                      func(d *focus.Dataset) { d.Rows = nil },
		"0  name":                      func(d *focus.Dataset) { d.Name = "../x" },
	} {
		d := dataset()
		change(d)
		var told []string
		for _, p := range focus.Check(d) {
			told = append(told, fmt.Sprintf("%d %s %s", p.Row, p.Column, p.Code))
		}
		require.Contains(t, told, want)
		for _, write := range []func(*focus.Dataset, export.Manifest) (focus.File, error){focus.CSV, focus.Parquet} {
			f, err := write(d, about())
			require.ErrorIs(t, err, focus.ErrRefused)
			require.Empty(t, f.Content)
		}
	}
	twice := dataset()
	twice.Invoices = append(twice.Invoices, twice.Invoices[0])
	require.NotEmpty(t, focus.Check(twice))
	idle := dataset()
	idle.Invoices = append(idle.Invoices, focus.Invoice{ID: "INV-9", Total: focus.Scaled(0, 0)})
	require.NotEmpty(t, focus.Check(idle))
}

func TestAChecksListHasAnEnd(t *testing.T) {
	t.Parallel()
	d := dataset()
	d.Rows = slices.Repeat(d.Rows[:1], 3000)
	for i := range d.Rows {
		d.Rows[i].ServiceCategory = "x"
	}
	require.Len(t, focus.Check(d), 1000)
}

// TestAnyMonthKeepsItsProductsAndSums draws tokens, prices, discounts and bills.
func TestAnyMonthKeepsItsProductsAndSums(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := &focus.Dataset{Name: "TB-any"}
		totals := map[string]int64{}
		for i := range rapid.IntRange(1, 40).Draw(t, "rows") {
			billed := rapid.Int64Range(-1_000_000, 1_000_000_000).Draw(t, "billed")
			r := usage(rapid.Int64Range(0, 1<<40).Draw(t, "tokens"), rapid.Int64Range(0, 100_000_000).Draw(t, "micros"), rapid.Int64Range(0, 10_000).Draw(t, "bps"), focus.Scaled(billed, 2).String())
			r.InvoiceID = []string{"", "INV-1", "INV-2"}[i%3]
			r.ResourceName = rapid.StringMatching(`[=+@'a-zß", -]{1,12}`).Draw(t, "label")
			totals[r.InvoiceID] += billed
			d.Rows = append(d.Rows, r)
		}
		for one, total := range totals {
			d.Invoices = append(d.Invoices, focus.Invoice{ID: one, Total: focus.Scaled(total, 2)})
		}
		require.Empty(t, focus.Check(d))
		sheet, err := focus.CSV(d, about())
		require.NoError(t, err)
		rows := cells(t, sheet.Content)
		holdRules(t, d, rows)
		packed, err := focus.Parquet(d, about())
		require.NoError(t, err)
		read := unpacked(t, packed.Content)
		holdRules(t, d, read)
		for i := range rows {
			label := d.Rows[i].ResourceName
			require.Equal(t, label, read[i]["ResourceName"])
			if strings.ContainsAny(label[:1], "=+-@") {
				label = "'" + label
			}
			require.Equal(t, label, rows[i]["ResourceName"])
			require.Equal(t, rat(t, rows[i]["ListCost"]), rat(t, read[i]["ListCost"]))
		}
	})
}

func TestDecimalsAreExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "0": "0", "-0": "0", "0.10": "0.1", "007": "7", "-12.500": "-12.5", "0.000000000000000001": "0.000000000000000001",
		"12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
	} {
		require.Equal(t, want, dec(t, text).String())
	}
	for _, text := range []string{"-", "+1", "1.", ".5", "1e3", "1,000", " 1", "0x1", "1.0000000000000000001", "123456789012345678901234567890123456789", "--1", "1.2.3"} {
		_, err := focus.ParseDecimal(text)
		require.ErrorIs(t, err, focus.ErrDecimal, text)
	}
	require.Equal(t, "0.000001", focus.Scaled(1, 6).String())
	require.True(t, dec(t, "1.10").Equal(dec(t, "1.1")))
	require.False(t, dec(t, "0").Equal(focus.Decimal{}))
	require.True(t, focus.Decimal{}.Times(dec(t, "1")).None())
}

func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"0", "-1.50", "99999999999999999999.999999999999999999", "1e5", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := focus.ParseDecimal(text)
		if err != nil {
			require.True(t, d.None())
			return
		}
		if text == "" {
			require.True(t, d.None())
			return
		}
		want, ok := new(big.Rat).SetString(text)
		require.True(t, ok)
		got, ok := new(big.Rat).SetString(d.String())
		require.True(t, ok)
		require.Zero(t, want.Cmp(got))
		again, err := focus.ParseDecimal(d.String())
		require.NoError(t, err)
		require.True(t, again.Equal(d))
	})
}
