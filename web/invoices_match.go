package web

import (
	"slices"
	"strings"

	"tollbook/app"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/reconcile"
	"tollbook/web/ui"
)

// daysLinked bounds the days that a reason links to: the table below has all of them.
const daysLinked = 10

// bridged tells whether the way from the cycle to months is worth a table: it has several, or
// the report does not have all of its days.
func bridged(s *app.InvoiceShown) bool {
	_, partial, missing := s.Match.Coverage()
	return len(s.Parts) > 1 || partial+missing > 0
}

// daysWorthATable tells whether single days say more than the match: where the provider
// reported any, or one was adjusted.
func daysWorthATable(s *app.InvoiceShown) bool {
	return s.Match.Report != nil || slices.ContainsFunc(s.Match.Days, func(d invoice.Day) bool { return d.Adjusted.Sign() != 0 })
}

func ledgerWords(m *invoice.Match) string {
	if m.Adjusted.Sign() == 0 {
		return "exact charges of its days"
	}
	return "exact charges of its days, " + exactly(&m.Adjusted) + " of them by adjustments"
}

// coveredWords says which days of an invoice the cost report has.
func coveredWords(m *invoice.Match) string {
	whole, partial, missing := m.Coverage()
	if m.Report == nil {
		return "the provider’s own report is not there for any of its days"
	}
	words := "what the provider’s own report says of the same days"
	if partial+missing == 0 {
		return words + ", all of them"
	}
	return words + ": " + daysCovered(whole, partial, missing)
}

// daysCovered counts days by what a report has of them.
func daysCovered(whole, partial, missing int) string {
	var said []string
	for _, one := range []struct {
		n     int
		words string
	}{{whole, "whole"}, {partial, "in part"}, {missing, "not there"}} {
		if one.n > 0 {
			said = append(said, ui.Plural(int64(one.n), "day")+" "+one.words)
		}
	}
	return strings.Join(said, ", ")
}

func partTag(p *invoice.Part) figureTag {
	words := daysCovered(p.Whole, p.Partial, p.Missing)
	switch {
	case p.Partial+p.Missing == 0 && p.Whole > 0:
		return figureTag{ui.ToneOK, "✓", words}
	case p.Whole+p.Partial == 0:
		return figureTag{ui.TonePlain, "–", "no report"}
	}
	return figureTag{ui.ToneNext, "…", words}
}

// matchDayTag says how far ledger and cost report of a day are held against one another.
func matchDayTag(d *invoice.Day) figureTag {
	switch {
	case d.Report == nil:
		return dayStateTag(reconcile.StateNoReport, 0)
	case d.State == "":
		return figureTag{ui.ToneNext, "…", "Not reconciled"}
	case d.Partial:
		return figureTag{ui.ToneNext, "…", "In part"}
	}
	return dayStateTag(reconcile.State(d.State), 1)
}

// sideMoved tells whether a side of a day is another now than when it was reconciled.
func sideMoved(d *invoice.Day) bool {
	return d.State != "" && (d.Ours.Cmp(&d.Ledger) != 0 || (d.Report != nil && d.Billed.Cmp(d.Report) != 0))
}

func beforeAdjustment(d *invoice.Day) *money.Sum {
	var before money.Sum
	before.AddSum(&d.Ledger)
	before.SubSum(&d.Adjusted)
	return &before
}
