package focus

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// The values of ChargeCategory and ChargeClass.
const (
	Usage      = "Usage"
	Purchase   = "Purchase"
	Tax        = "Tax"
	Credit     = "Credit"
	Adjustment = "Adjustment"
	Correction = "Correction"
)

// Row is one charge: of one charge period, SKU, price, cost center and sub-account. Empty
// texts, decimals and maps are null.
type Row struct {
	BilledCost          Decimal
	BillingAccountID    string
	BillingAccountName  string
	BillingCurrency     string
	BillingPeriodEnd    time.Time // exclusive
	BillingPeriodStart  time.Time
	ChargeCategory      string
	ChargeClass         string
	ChargeDescription   string
	ChargeFrequency     string
	ChargePeriodEnd     time.Time // exclusive
	ChargePeriodStart   time.Time
	ConsumedQuantity    Decimal // such as tokens
	ConsumedUnit        string
	ContractedCost      Decimal
	ContractedUnitPrice Decimal
	EffectiveCost       Decimal
	InvoiceID           string
	InvoiceIssuerName   string
	ListCost            Decimal
	ListUnitPrice       Decimal // per PricingUnit
	PricingCategory     string
	PricingQuantity     Decimal
	PricingUnit         string // such as 1000000 Tokens
	ProviderName        string
	PublisherName       string
	RegionID            string
	RegionName          string
	ResourceID          string // the virtual key
	ResourceName        string
	ResourceType        string
	ServiceCategory     string
	ServiceName         string
	ServiceSubcategory  string
	SkuID               string
	SkuMeter            string
	SkuPriceDetails     map[string]string // keys begin with x_
	SkuPriceID          string
	SubAccountID        string
	SubAccountName      string
	Tags                map[string]string

	// Our own columns.
	BusinessUnit   string
	Capitalization string
	CostCenter     string
	Developer      string // a pseudonym, never a name
	Project        string
}

// kind is how a column is written.
type kind int

const (
	kindText kind = iota
	kindDecimal
	kindTime
	kindPairs
)

// column is one column of the format, with where a row keeps it: one of the four.
type column struct {
	name    string
	kind    kind
	must    bool // not null on any row
	text    func(*Row) string
	decimal func(*Row) Decimal
	time    func(*Row) time.Time
	pairs   func(*Row) map[string]string
}

func text(name string, must bool, of func(*Row) string) column {
	return column{name: name, kind: kindText, must: must, text: of}
}

func decimal(name string, must bool, of func(*Row) Decimal) column {
	return column{name: name, kind: kindDecimal, must: must, decimal: of}
}

func at(name string, of func(*Row) time.Time) column {
	return column{name: name, kind: kindTime, must: true, time: of}
}

func pairs(name string, of func(*Row) map[string]string) column {
	return column{name: name, kind: kindPairs, pairs: of}
}

// columns are in the specification's order, then ours.
func columns() []column {
	return append(costColumns(), serviceColumns()...)
}

func costColumns() []column {
	return []column{
		decimal("BilledCost", true, func(r *Row) Decimal { return r.BilledCost }),
		text("BillingAccountId", true, func(r *Row) string { return r.BillingAccountID }),
		text("BillingAccountName", true, func(r *Row) string { return r.BillingAccountName }),
		text("BillingCurrency", true, func(r *Row) string { return r.BillingCurrency }),
		at("BillingPeriodEnd", func(r *Row) time.Time { return r.BillingPeriodEnd }),
		at("BillingPeriodStart", func(r *Row) time.Time { return r.BillingPeriodStart }),
		text("ChargeCategory", true, func(r *Row) string { return r.ChargeCategory }),
		text("ChargeClass", false, func(r *Row) string { return r.ChargeClass }),
		text("ChargeDescription", true, func(r *Row) string { return r.ChargeDescription }),
		text("ChargeFrequency", true, func(r *Row) string { return r.ChargeFrequency }),
		at("ChargePeriodEnd", func(r *Row) time.Time { return r.ChargePeriodEnd }),
		at("ChargePeriodStart", func(r *Row) time.Time { return r.ChargePeriodStart }),
		decimal("ConsumedQuantity", false, func(r *Row) Decimal { return r.ConsumedQuantity }),
		text("ConsumedUnit", false, func(r *Row) string { return r.ConsumedUnit }),
		decimal("ContractedCost", true, func(r *Row) Decimal { return r.ContractedCost }),
		decimal("ContractedUnitPrice", false, func(r *Row) Decimal { return r.ContractedUnitPrice }),
		decimal("EffectiveCost", true, func(r *Row) Decimal { return r.EffectiveCost }),
		text("InvoiceId", false, func(r *Row) string { return r.InvoiceID }),
		text("InvoiceIssuerName", true, func(r *Row) string { return r.InvoiceIssuerName }),
		decimal("ListCost", true, func(r *Row) Decimal { return r.ListCost }),
		decimal("ListUnitPrice", false, func(r *Row) Decimal { return r.ListUnitPrice }),
		text("PricingCategory", false, func(r *Row) string { return r.PricingCategory }),
		decimal("PricingQuantity", false, func(r *Row) Decimal { return r.PricingQuantity }),
		text("PricingUnit", false, func(r *Row) string { return r.PricingUnit }),
	}
}

func serviceColumns() []column {
	return []column{
		text("ProviderName", true, func(r *Row) string { return r.ProviderName }),
		text("PublisherName", true, func(r *Row) string { return r.PublisherName }),
		text("RegionId", false, func(r *Row) string { return r.RegionID }),
		text("RegionName", false, func(r *Row) string { return r.RegionName }),
		text("ResourceId", false, func(r *Row) string { return r.ResourceID }),
		text("ResourceName", false, func(r *Row) string { return r.ResourceName }),
		text("ResourceType", false, func(r *Row) string { return r.ResourceType }),
		text("ServiceCategory", true, func(r *Row) string { return r.ServiceCategory }),
		text("ServiceName", true, func(r *Row) string { return r.ServiceName }),
		text("ServiceSubcategory", true, func(r *Row) string { return r.ServiceSubcategory }),
		text("SkuId", false, func(r *Row) string { return r.SkuID }),
		text("SkuMeter", false, func(r *Row) string { return r.SkuMeter }),
		pairs("SkuPriceDetails", func(r *Row) map[string]string { return r.SkuPriceDetails }),
		text("SkuPriceId", false, func(r *Row) string { return r.SkuPriceID }),
		text("SubAccountId", false, func(r *Row) string { return r.SubAccountID }),
		text("SubAccountName", false, func(r *Row) string { return r.SubAccountName }),
		pairs("Tags", func(r *Row) map[string]string { return r.Tags }),
		text("x_BusinessUnit", false, func(r *Row) string { return r.BusinessUnit }),
		text("x_Capitalization", false, func(r *Row) string { return r.Capitalization }),
		text("x_CostCenter", false, func(r *Row) string { return r.CostCenter }),
		text("x_Developer", false, func(r *Row) string { return r.Developer }),
		text("x_Project", false, func(r *Row) string { return r.Project }),
	}
}

// timeLayout is UTC to the second, as the specification writes times.
const timeLayout = "2006-01-02T15:04:05Z"

// plain is a cell's text without any guard; empty is null.
func (c *column) plain(r *Row) string {
	switch c.kind {
	case kindDecimal:
		return c.decimal(r).String()
	case kindTime:
		if c.time(r).IsZero() {
			return ""
		}
		return c.time(r).UTC().Format(timeLayout)
	case kindPairs:
		return object(c.pairs(r))
	default:
		return c.text(r)
	}
}

// object is a flat JSON object with its keys in order; empty for no pairs.
func object(of map[string]string) string {
	if len(of) == 0 {
		return ""
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(of); err != nil {
		panic(err) // a map of strings always encodes
	}
	return strings.TrimSuffix(out.String(), "\n")
}
