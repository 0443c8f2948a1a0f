package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/export/focus"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// maxFocusRows bounds one file, and with it what making it takes of memory: about half a
// gigabyte of rows and bytes.
const maxFocusRows = 200_000

var errFocusRows = fault.New(fault.KindConflict, "focus_rows", fmt.Sprintf("The month has more than %d rows of charges, which is the most that one file holds.", maxFocusRows))

// Focus is the charges of a month as FOCUS 1.2, in CSV or Parquet: those of days that are
// posted. Billed costs are cents, by largest remainder: of days that a booked invoice bills they
// sum to it, with its tax, credits, fees and seats as rows of their own; of all others to what
// is posted of them.
func (x *Exports) Focus(ctx context.Context, who Actor, month period.Month, parquet bool) (Bundle, error) {
	if err := x.access.Check(who, "export", "read"); err != nil {
		return Bundle{}, err
	}
	var f focus.File
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		data, about, err := x.focusOf(tx, who, month)
		if err != nil {
			return err
		}
		if parquet {
			f, err = focus.Parquet(data, about)
		} else {
			f, err = focus.CSV(data, about)
		}
		return err
	})
	if err != nil {
		return Bundle{}, err
	}
	b := Bundle{Name: f.Name, Type: "text/csv; charset=utf-8", Content: f.Content, Manifest: &f.Manifest}
	if parquet {
		b.Type = "application/vnd.apache.parquet"
	}
	return b, nil
}

func (x *Exports) focusOf(tx *db.Tx, who Actor, month period.Month) (*focus.Dataset, export.Manifest, error) {
	about := export.Manifest{CodeVersion: x.version, TenantID: tx.Tenant.String(), AsOf: tx.Now, KnownAt: tx.Now, RunAt: tx.Now, RunBy: runBy(who)}
	rows, err := tx.ChargeRows(month, maxFocusRows+1)
	switch {
	case err != nil:
		return nil, about, err
	case len(rows) == 0:
		return nil, about, errExportEmpty
	case len(rows) > maxFocusRows:
		return nil, about, errFocusRows
	}
	tenant, err := tx.TenantRow()
	if err != nil {
		return nil, about, err
	}
	state, err := tx.PeriodState(month)
	if err != nil {
		return nil, about, err
	}
	booked, err := tx.Booked(month)
	if err != nil {
		return nil, about, err
	}
	f := &focusing{tenant: tenant.Slug, name: profileOf(&tenant).Name, month: month, nodes: map[ownKey]focusNode{}}
	if f.trees, err = forestSince(tx, rows[0].Day); err != nil {
		return nil, about, err
	}
	data := &focus.Dataset{Name: focusName(tenant.Slug, month, final(state))}
	bills, err := focusBills(tx, month)
	if err != nil {
		return nil, about, err
	}
	if err := f.fill(data, rows, bills); err != nil {
		return nil, about, err
	}
	about.Tenant = tenant.Slug
	about.Filters = []export.Pair{{Name: "state", Value: "FINAL"}, {Name: "period", Value: month.String()}}
	if !final(state) {
		about.Filters[0].Value = "DRAFT"
	}
	about.ControlTotals = []export.Pair{{Name: "posted_total", Value: booked.Owed.String()}}
	about.ControlTotals = append(about.ControlTotals, billedTotals(bills)...)
	return data, about, logged(tx, &about)
}

func focusName(slug string, month period.Month, final bool) string {
	name := "TB-" + slug + "-" + strings.ReplaceAll(month.String(), "-", "") + "-focus"
	if !final {
		name += "-DRAFT"
	}
	return name
}

// focusing makes rows of charges.
type focusing struct {
	tenant, name string
	month        period.Month
	trees        *forest
	nodes        map[ownKey]focusNode
}

// focusNode is where a charge lies, in words.
type focusNode struct{ name, unit, center, project string }

func (f *focusing) node(row *db.ChargeRow) (focusNode, error) {
	at := row.Day.UTC().Add(oneDay - time.Microsecond)
	key := ownKey{row.NodeID, f.trees.turned(at)}
	if n, known := f.nodes[key]; known {
		return n, nil
	}
	tree, err := f.trees.at(at)
	if err != nil {
		return focusNode{}, err
	}
	path := strings.Split(row.Path, "\x1f")
	n := focusNode{name: path[len(path)-1]}
	for _, above := range tree.Above(row.NodeID) {
		v, _ := tree.Node(above)
		n.name = v.Name
		switch v.Kind {
		case hierarchy.KindBusinessUnit:
			n.unit = v.Code
		case hierarchy.KindCostCenter:
			n.center = v.Code
		case hierarchy.KindProject:
			n.project = v.Code
		}
	}
	f.nodes[key] = n
	return n, nil
}

// fill makes a month's rows, and divides what is billed among them: what an invoice bills is
// its own, to the cent; all else is what is accrued.
func (f *focusing) fill(data *focus.Dataset, rows []db.ChargeRow, bills []*focusBill) error {
	exact := make([]money.Sum, 0, len(rows))
	data.Rows = make([]focus.Row, 0, len(rows))
	for i := range rows {
		net, err := money.SumOfPico(rows[i].ChargePico)
		if err != nil {
			return err
		}
		row, err := f.row(&rows[i], &net)
		if err != nil {
			return err
		}
		exact, data.Rows = append(exact, net), append(data.Rows, row)
	}
	if err := f.accrue(data, rows, exact, bills); err != nil {
		return err
	}
	for _, b := range bills {
		if err := b.bill(f, data, rows, exact); err != nil {
			return err
		}
	}
	f.total(data, bills)
	return nil
}

// accrue divides what is accrued among rows that no invoice bills.
func (f *focusing) accrue(data *focus.Dataset, rows []db.ChargeRow, exact []money.Sum, bills []*focusBill) error {
	var open []money.Sum
	var places []int
	for i := range rows {
		if !slices.ContainsFunc(bills, func(b *focusBill) bool { return b.covers(&rows[i]) }) {
			open, places = append(open, exact[i]), append(places, i)
		}
	}
	billed, err := money.WholeCents(open)
	if err != nil {
		return err
	}
	for n, i := range places {
		data.Rows[i].BilledCost = focus.Scaled(int64(billed[n]), 2)
	}
	return nil
}

// total says what is payable on each invoice that rows name, and what rows without one sum to.
func (f *focusing) total(data *focus.Dataset, bills []*focusBill) {
	payable := map[string]money.Cents{}
	for _, b := range bills {
		payable[b.row.Number] += b.total
	}
	named := map[string]focus.Decimal{}
	for i := range data.Rows {
		r := &data.Rows[i]
		named[r.InvoiceID] = named[r.InvoiceID].Plus(r.BilledCost)
	}
	for _, number := range slices.Sorted(maps.Keys(named)) {
		total := named[number]
		if number != "" {
			total = focus.Scaled(int64(payable[number]), 2)
		}
		data.Invoices = append(data.Invoices, focus.Invoice{ID: number, Total: total})
	}
}

// The decimals of a million tokens, of a price of a million in pico-dollars, and of a part
// in ten thousand.
const (
	millionPlaces = 6
	pricePlaces   = 6
	bpsPlaces     = 4
	wholeBps      = 10_000
)

func (f *focusing) row(c *db.ChargeRow, net *money.Sum) (focus.Row, error) {
	cost, err := focus.ParseDecimal(net.String())
	if err != nil {
		return focus.Row{}, err
	}
	n, err := f.node(c)
	if err != nil {
		return focus.Row{}, err
	}
	path := strings.Split(c.Path, "\x1f")
	r := focus.Row{
		BillingAccountID: f.tenant, BillingAccountName: f.name, BillingCurrency: "USD", BillingPeriodStart: f.month.Start(), BillingPeriodEnd: f.month.End(),
		ChargePeriodStart: c.Day.UTC(), ChargePeriodEnd: c.Day.UTC().Add(oneDay), ChargeFrequency: "Usage-Based", EffectiveCost: cost,
		InvoiceIssuerName: "Anthropic", ProviderName: "Anthropic", PublisherName: "Anthropic",
		ServiceCategory: "AI and Machine Learning", ServiceName: "Claude", ServiceSubcategory: "Generative AI", SubAccountID: path[len(path)-1], SubAccountName: n.name,
		Tags: map[string]string{"node": path[len(path)-1]}, BusinessUnit: n.unit, Capitalization: c.Capitalization, CostCenter: n.center, Project: n.project,
	}
	if c.Entity != "" {
		r.Tags["entity"] = c.Entity
	}
	if r.ChargePeriodStart.Before(r.BillingPeriodStart) {
		r.ChargeClass = focus.Correction
	}
	if c.Rest {
		r.ChargeCategory, r.ListCost, r.ContractedCost = focus.Adjustment, cost, cost
		r.ChargeDescription = "Claude usage of " + c.Model + " without a price of its own: shares of requests, adjustments, server tools (" + meterOf(c.Class) + ")"
		return r, nil
	}
	r.ChargeCategory, r.PricingCategory = focus.Usage, "Standard"
	r.ChargeDescription = "Claude usage, " + c.Model + ", " + meterOf(c.Class)
	r.ConsumedQuantity, r.ConsumedUnit = focus.Scaled(c.Tokens, 0), "Tokens"
	r.PricingQuantity, r.PricingUnit = focus.Scaled(c.Tokens, millionPlaces), "1000000 Tokens"
	r.ListUnitPrice = focus.Scaled(c.RatePico, pricePlaces)
	r.ContractedUnitPrice = r.ListUnitPrice.Times(focus.Scaled(wholeBps-c.DiscountBps, bpsPlaces))
	r.ListCost, r.ContractedCost = r.ListUnitPrice.Times(r.PricingQuantity), r.ContractedUnitPrice.Times(r.PricingQuantity)
	r.SkuID, r.SkuMeter = c.Model+"/"+meterOf(c.Class), meterOf(c.Class)
	r.SkuPriceID = fmt.Sprintf("%s/%s/%d/%d", c.Model, c.Class, c.RatePico, c.DiscountBps)
	r.SkuPriceDetails = tokenDetails(c.Model, c.Class)
	return r, nil
}

// meterOf is a token class as the specification's examples call it.
func meterOf(class string) string {
	switch class {
	case "input":
		return "Input Tokens"
	case "output":
		return "Output Tokens"
	case "cache_write_5m", "cache_write_1h":
		return "Cache Write Input Tokens"
	case "cache_read":
		return "Cache Read Input Tokens"
	}
	return "Other"
}

func tokenDetails(model, class string) map[string]string {
	details := map[string]string{"x_ModelId": model, "x_TokenDirection": "Input", "x_TokenCacheAction": "Uncached"}
	switch class {
	case "output":
		details["x_TokenDirection"] = "Output"
	case "cache_write_5m":
		details["x_TokenCacheAction"], details["x_CacheLifetime"] = "Write", "5 Minutes"
	case "cache_write_1h":
		details["x_TokenCacheAction"], details["x_CacheLifetime"] = "Write", "1 Hour"
	case "cache_read":
		details["x_TokenCacheAction"] = "Read"
	}
	return details
}
