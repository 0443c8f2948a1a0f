package focus

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

//go:embed columns-1.2.csv
var specification string

// allowed lists the values of each column that has a closed list.
func allowed() map[string][]string {
	rows, err := csv.NewReader(strings.NewReader(specification)).ReadAll()
	if err != nil {
		panic(err) // the file is part of the program
	}
	lists := map[string][]string{}
	for _, row := range rows[1:] {
		if row[5] != "" {
			lists[row[0]] = strings.Split(row[5], " | ")
		}
	}
	lists["ChargeClass"] = []string{Correction}
	lists["x_Capitalization"] = []string{"capitalize", "expense"}
	return lists
}

// Invoice is what is payable on one, or with an empty id, what rows without an invoice sum to.
type Invoice struct {
	ID    string
	Total Decimal
}

// Dataset is what one export holds.
type Dataset struct {
	Name     string // of the files, such as TB-meridian-202611-focus-1
	Rows     []Row
	Invoices []Invoice // each invoice that rows name
}

// Problem is one reason a dataset cannot be exported as it is.
type Problem struct {
	Row     int    // from 1; 0: the dataset as a whole
	Column  string // of the format
	Code    string // snake_case, stable
	Message string
}

// The bounds of a dataset.
const (
	maxRows     = 1_000_000
	maxProblems = 1000
	maxText     = 1000 // characters
	maxPairs    = 64
)

type checker struct {
	list    []Problem
	row     int
	allowed map[string][]string
}

func (k *checker) tellf(column, code, format string, args ...any) {
	switch {
	case len(k.list) < maxProblems-1:
		k.list = append(k.list, Problem{Row: k.row, Column: column, Code: code, Message: fmt.Sprintf(format, args...)})
	case len(k.list) == maxProblems-1:
		k.list = append(k.list, Problem{Code: "more", Message: "There are more problems. Mend these first."})
	}
}

// Check tells all that keeps a dataset from being exported, before it is.
func Check(d *Dataset) []Problem {
	k := &checker{allowed: allowed()}
	if len(d.Rows) == 0 || len(d.Rows) > maxRows {
		k.tellf("", "rows", "A dataset has 1 to %d rows; this one has %d.", maxRows, len(d.Rows))
		return k.list
	}
	if !name(d.Name) {
		k.tellf("", "name", "%.90q cannot be the name of a file: a letter, then 2 to 79 letters, digits and hyphens.", d.Name)
	}
	all := columns()
	for i := range d.Rows {
		k.row = i + 1
		k.cells(all, &d.Rows[i])
		k.periods(&d.Rows[i])
		k.priced(&d.Rows[i])
		k.together(&d.Rows[i])
	}
	k.row = 0
	k.invoices(d)
	return k.list
}

func name(text string) bool {
	letters := func(r rune) bool { return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') }
	return len(text) >= 3 && len(text) <= 80 && letters(rune(text[0])) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !letters(r) && (r < '0' || r > '9') && r != '-' })
}

// cells holds each cell to its column's own rules.
func (k *checker) cells(all []column, r *Row) {
	for i := range all {
		c := &all[i]
		switch c.kind {
		case kindDecimal:
			if d := c.decimal(r); !d.fits() {
				k.tellf(c.name, "decimal", "%s has no room in %d digits, %d of them after the point.", d, maxDigits, maxPlaces)
			}
		case kindPairs:
			k.flat(c.name, c.pairs(r))
		case kindText:
			k.text(c.name, c.text(r))
		case kindTime:
		}
		value := c.plain(r)
		if c.must && value == "" {
			k.tellf(c.name, "null", "%s must not be null.", c.name)
		}
		if list := k.allowed[c.name]; list != nil && value != "" && !slices.Contains(list, value) {
			k.tellf(c.name, "value", "%s is one of %s; not %.60q.", c.name, strings.Join(list, ", "), value)
		}
	}
	if len(r.BillingCurrency) != 3 || strings.ToUpper(r.BillingCurrency) != r.BillingCurrency {
		k.tellf("BillingCurrency", "currency", "BillingCurrency is a code of ISO 4217; not %.20q.", r.BillingCurrency)
	}
}

func (k *checker) text(column, text string) {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, unicode.IsControl) {
		k.tellf(column, "text", "A text is UTF-8 without control characters, at most %d characters; this is %.60q.", maxText, text)
	}
}

func (k *checker) flat(column string, of map[string]string) {
	if len(of) > maxPairs {
		k.tellf(column, "pairs", "%s has at most %d keys; this one has %d.", column, maxPairs, len(of))
		return
	}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		k.text(column, key)
		k.text(column, of[key])
		if key == "" || (column == "SkuPriceDetails" && !strings.HasPrefix(key, "x_")) {
			k.tellf(column, "key", "%.60q cannot be a key of %s; those the specification does not name begin with x_.", key, column)
		}
	}
}

func (k *checker) periods(r *Row) {
	for _, span := range []struct {
		column   string
		from, to time.Time
	}{{"BillingPeriodEnd", r.BillingPeriodStart, r.BillingPeriodEnd}, {"ChargePeriodEnd", r.ChargePeriodStart, r.ChargePeriodEnd}} {
		if !span.from.Before(span.to) || span.from.Nanosecond() != 0 || span.to.Nanosecond() != 0 {
			k.tellf(span.column, "period", "A period begins on a second and ends on a later one.")
		}
	}
	earlier := r.ChargePeriodStart.Before(r.BillingPeriodStart)
	if r.ChargeClass == Correction && !earlier {
		k.tellf("ChargeClass", "correction", "A correction is of a charge in an earlier billing period.")
	}
}

// priced holds prices, quantities and costs together.
func (k *checker) priced(r *Row) {
	demanded := (r.ChargeCategory == Usage || r.ChargeCategory == Purchase) && r.ChargeClass != Correction
	for _, c := range []struct{ column, value string }{
		{"ListUnitPrice", r.ListUnitPrice.String()}, {"ContractedUnitPrice", r.ContractedUnitPrice.String()}, {"PricingQuantity", r.PricingQuantity.String()},
		{"PricingCategory", r.PricingCategory}, {"SkuId", r.SkuID}, {"SkuPriceId", r.SkuPriceID},
	} {
		switch {
		case r.ChargeCategory == Tax && c.value != "":
			k.tellf(c.column, "tax", "%s must be null on a tax.", c.column)
		case demanded && c.value == "":
			k.tellf(c.column, "null", "%s must not be null on usage and purchases.", c.column)
		}
	}
	for _, c := range []struct {
		price, cost string
		unit, total Decimal
	}{{"ListUnitPrice", "ListCost", r.ListUnitPrice, r.ListCost}, {"ContractedUnitPrice", "ContractedCost", r.ContractedUnitPrice, r.ContractedCost}} {
		if product := c.unit.Times(r.PricingQuantity); !product.None() && !product.Equal(c.total) {
			k.tellf(c.cost, "product", "%s %s times PricingQuantity %s is %s, not %s %s.", c.price, c.unit, r.PricingQuantity, product, c.cost, c.total)
		}
	}
	switch consumed := !r.ConsumedQuantity.None(); {
	case r.ChargeCategory != Usage && consumed:
		k.tellf("ConsumedQuantity", "consumed", "ConsumedQuantity must be null on what is no usage.")
	case r.ChargeCategory == Usage && r.ChargeClass != Correction && !consumed:
		k.tellf("ConsumedQuantity", "null", "ConsumedQuantity must not be null on usage.")
	}
	if r.ProviderName != r.InvoiceIssuerName && !r.BilledCost.Zero() {
		k.tellf("BilledCost", "resold", "BilledCost is 0 where another than the provider issues the invoice.")
	}
}

// together holds columns to others that they need or that need them.
func (k *checker) together(r *Row) {
	both := func(column, value, other, needs string) {
		if (value == "") != (needs == "") {
			k.tellf(column, "together", "%s is null exactly where %s is.", column, other)
		}
	}
	both("ConsumedUnit", r.ConsumedUnit, "ConsumedQuantity", r.ConsumedQuantity.String())
	both("PricingUnit", r.PricingUnit, "PricingQuantity", r.PricingQuantity.String())
	both("RegionName", r.RegionName, "RegionId", r.RegionID)
	both("ResourceType", r.ResourceType, "ResourceId", r.ResourceID)
	both("SubAccountName", r.SubAccountName, "SubAccountId", r.SubAccountID)
	both("SkuMeter", r.SkuMeter, "SkuId", r.SkuID)
	needs := func(column string, there bool, other, needed string) {
		if there && needed == "" {
			k.tellf(column, "together", "%s must be null where %s is.", column, other)
		}
	}
	needs("ResourceName", r.ResourceName != "", "ResourceId", r.ResourceID)
	needs("SkuPriceDetails", len(r.SkuPriceDetails) > 0, "SkuPriceId", r.SkuPriceID)
}

// invoices holds what is billed to what is payable.
func (k *checker) invoices(d *Dataset) {
	billed, payable := map[string]Decimal{}, map[string]Decimal{}
	for i := range d.Rows {
		r := &d.Rows[i]
		billed[r.InvoiceID] = billed[r.InvoiceID].Plus(r.BilledCost)
		if r.BillingCurrency != d.Rows[0].BillingCurrency {
			k.tellf("BillingCurrency", "currencies", "A dataset has one BillingCurrency; row %d has another.", i+1)
			return
		}
	}
	for _, invoice := range d.Invoices {
		if _, twice := payable[invoice.ID]; twice || invoice.Total.None() {
			k.tellf("InvoiceId", "invoice", "The invoice %.60q is given once, with its total.", invoice.ID)
			return
		}
		payable[invoice.ID] = invoice.Total
	}
	for _, one := range slices.Sorted(maps.Keys(billed)) {
		total, given := payable[one]
		switch {
		case !given:
			k.tellf("InvoiceId", "invoice", "Rows name the invoice %.60q, which is not given.", one)
		case !total.Equal(billed[one]):
			k.tellf("BilledCost", "invoice_total", "Rows bill %s on the invoice %.60q; payable are %s.", billed[one], one, total)
		}
		delete(payable, one)
	}
	for _, one := range slices.Sorted(maps.Keys(payable)) {
		k.tellf("InvoiceId", "invoice", "The invoice %.60q is given, but no row is on it.", one)
	}
}
