package invoice

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tollbook/app/fault"
	"tollbook/app/money"
)

// Kind is what a line bills.
type Kind string

// The kinds of lines.
const (
	// Usage is what requests came to, at list or already at the contracted price.
	Usage Kind = "usage"
	// Discount is what a contract takes off usage; never above zero.
	Discount Kind = "discount"
	// Credit is what the provider gives back; never above zero.
	Credit Kind = "credit"
	// Fee is billed beside requests: code execution, sessions, support.
	Fee Kind = "fee"
	// Seats are licenses of people.
	Seats Kind = "seats"
	// Commitment is paid ahead or to reach a minimum.
	Commitment Kind = "commitment"
	// Tax is on the lines before it.
	Tax Kind = "tax"
)

// Kinds lists the kinds in the order in which an invoice shows them.
func Kinds() []Kind { return []Kind{Usage, Discount, Credit, Fee, Seats, Commitment, Tax} }

// OfRequests tells whether lines of a kind bill what the ledger charged for.
func (k Kind) OfRequests() bool { return k == Usage || k == Discount || k == Credit || k == Fee }

// Line is one line of an invoice.
type Line struct {
	Kind        Kind        `json:"kind"`
	Description string      `json:"description"`
	Node        string      `json:"node,omitempty"` // code of the one node that bears it; empty: whoever its kind's rule says
	Amount      money.Cents `json:"cents"`
}

// Invoice is what the provider bills for a cycle.
type Invoice struct {
	Number    string      `json:"number"`
	Workspace string      `json:"workspace"` // the provider's name of what is billed
	Issuer    string      `json:"issuer"`
	IssuedOn  time.Time   `json:"issued_on"` // UTC days
	DueOn     time.Time   `json:"due_on"`
	From      time.Time   `json:"from"` // the cycle, half-open
	To        time.Time   `json:"to"`
	Currency  string      `json:"currency"`
	Reference string      `json:"reference,omitempty"` // purchase order or contract
	Lines     []Line      `json:"lines"`
	Total     money.Cents `json:"total_cents"`
}

// Bounds of an invoice.
const (
	MaxLines    = 1000
	maxText     = 200
	maxCycle    = 366 // days
	firstYear   = 2000
	lastYear    = 2199
	maxAmount   = money.Cents(1_000_000_000_00)
	defaultName = "Anthropic"
)

// Canonical is the invoice as the bytes a digest covers.
func (i *Invoice) Canonical() ([]byte, error) {
	document, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("encode invoice: %w", err)
	}
	return document, nil
}

// Billed is what requests came to by the invoice: its lines of usage, discounts, credits and
// fees, without tax.
func (i *Invoice) Billed() money.Cents { return i.sum(Kind.OfRequests) }

// Sum is the total of one kind.
func (i *Invoice) Sum(kind Kind) money.Cents { return i.sum(func(k Kind) bool { return k == kind }) }

func (i *Invoice) sum(of func(Kind) bool) money.Cents {
	var total money.Cents
	for n := range i.Lines {
		if of(i.Lines[n].Kind) {
			total += i.Lines[n].Amount
		}
	}
	return total
}

// HasUsage tells whether the invoice bills requests of its cycle: at most one does for a
// workspace and a day.
func (i *Invoice) HasUsage() bool {
	return slices.ContainsFunc(i.Lines, func(l Line) bool { return l.Kind == Usage })
}

// Overlaps tells whether two cycles of one workspace have a day in common.
func (i *Invoice) Overlaps(from, to time.Time) bool { return i.From.Before(to) && from.Before(i.To) }

// Check refuses an invoice that cannot be right, by the field that says so.
func (i *Invoice) Check() error {
	if i.Issuer == "" {
		i.Issuer = defaultName
	}
	for _, one := range []struct {
		field, name, text string
		must              bool
	}{
		{"number", "An invoice’s number", i.Number, true}, {"workspace", "The workspace", i.Workspace, true},
		{"issuer", "The issuer", i.Issuer, true}, {"reference", "The reference", i.Reference, false},
	} {
		if !plain(one.text, one.must) {
			return fault.Invalid(one.field, "invoice_text", "%s is one line of at most %d characters.", one.name, maxText)
		}
	}
	if err := i.checkDays(); err != nil {
		return err
	}
	if i.Currency != "USD" {
		return fault.Invalid("currency", "invoice_currency", "The books are in USD; this invoice is in %.20q.", i.Currency)
	}
	if len(i.Lines) == 0 || len(i.Lines) > MaxLines {
		return fault.Invalid("lines", "invoice_lines", "An invoice has 1 to %d lines.", MaxLines)
	}
	var sum money.Sum
	for n := range i.Lines {
		if err := i.Lines[n].check(n); err != nil {
			return err
		}
		sum.AddCents(i.Lines[n].Amount)
	}
	if sum.Display() != i.Total {
		return fault.Invalid("total", "invoice_total", "The lines add up to %s, the invoice says %s: %s is missing.", sum.Display(), i.Total, i.Total-sum.Display())
	}
	return nil
}

func (i *Invoice) checkDays() error {
	for _, one := range []struct {
		field, name string
		at          time.Time
	}{{"issued_on", "The day it was issued", i.IssuedOn}, {"due_on", "The day it is due", i.DueOn}, {"from", "The first day it bills", i.From}, {"to", "The last day it bills", i.To}} {
		if one.at.Year() < firstYear || one.at.Year() > lastYear || !one.at.Equal(one.at.UTC().Truncate(24*time.Hour)) {
			return fault.Invalid(one.field, "invoice_day", "%s is a UTC day as in 2026-10-31.", one.name)
		}
	}
	switch {
	case !i.From.Before(i.To) || i.To.Sub(i.From) > maxCycle*24*time.Hour:
		return fault.Invalid("to", "invoice_cycle", "An invoice bills 1 to %d days: its last day is not before its first.", maxCycle)
	case i.DueOn.Before(i.IssuedOn):
		return fault.Invalid("due_on", "invoice_due", "An invoice is due when it is issued or later.")
	}
	return nil
}

func (l *Line) check(place int) error {
	field := fmt.Sprintf("lines[%d]", place)
	switch {
	case !slices.Contains(Kinds(), l.Kind):
		return fault.Invalid(field+".kind", "invoice_line_kind", "Line %d is usage, discount, credit, fee, seats, commitment or tax; %.40q is none.", place+1, string(l.Kind))
	case !plain(l.Description, true):
		return fault.Invalid(field+".description", "invoice_text", "Line %d says in one line of at most %d characters what it is for.", place+1, maxText)
	case !plain(l.Node, false):
		return fault.Invalid(field+".node", "invoice_text", "The node of line %d is the code of a node.", place+1)
	case l.Amount < -maxAmount || l.Amount > maxAmount:
		return fault.Invalid(field+".amount", "invoice_amount", "The amount of line %d is beyond what the books hold.", place+1)
	case (l.Kind == Discount || l.Kind == Credit) && l.Amount > 0:
		return fault.Invalid(field+".amount", "invoice_sign", "Line %d is a %s: its amount is not above zero.", place+1, l.Kind)
	case (l.Kind == Usage || l.Kind == Seats || l.Kind == Commitment) && l.Amount < 0:
		return fault.Invalid(field+".amount", "invoice_sign", "Line %d is %s and below zero: enter it as a credit.", place+1, l.Kind)
	}
	return nil
}

// plain tells whether a text is one line that can be printed.
func plain(text string, must bool) bool {
	if text == "" {
		return !must
	}
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxText && strings.TrimSpace(text) == text &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
