package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/money"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/web/ui"
)

// differenceRow is one line of a change of prices, in words and numbers.
type differenceRow struct {
	What   string
	Word   string
	Tone   ui.Tone
	Icon   string
	Words  []string
	Source string
}

func difference(d pricing.Difference) differenceRow {
	row := differenceRow{What: priceLabel(d.Row()), Source: d.Row().Source}
	switch {
	case d.Before == nil:
		row.Word, row.Tone, row.Icon = "New", ui.ToneOK, "+"
		row.Words = []string{"from " + ui.Day(d.After.From) + untilWords(d.After.To), priceWords(d.After)}
	case d.After == nil:
		row.Word, row.Tone, row.Icon = "Gone", ui.ToneWarn, "−"
		row.Words = []string{"was in force from " + ui.Day(d.Before.From) + untilWords(d.Before.To), priceWords(d.Before)}
	default:
		row.Word, row.Tone, row.Icon = "Changed", ui.ToneWarn, "≠"
		row.Words = changeWords(d.Before, d.After)
	}
	return row
}

// changeWords says what differs between two rows of one thing.
func changeWords(before, after *pricing.Row) []string {
	var words []string
	for class := range usage.ClassCount {
		if a, b := before.Rates[class], after.Rates[class]; a != b {
			words = append(words, fmt.Sprintf("%s %s → %s a million%s", lower(ui.Words(class.String())), ui.PerMillion(a), ui.PerMillion(b), changePercent(a, b)))
		}
	}
	if !slices.Equal(before.Factors, after.Factors) {
		words = append(words, "stacks with "+stackWords(after)+" instead of "+stackWords(before))
	}
	if before.Unit != after.Unit || before.Num != after.Num || before.Den != after.Den {
		words = append(words, priceWords(before)+" → "+priceWords(after))
	}
	if !before.To.Equal(after.To) {
		words = append(words, "ends "+endWords(after.To)+" instead of "+endWords(before.To))
	}
	if len(words) > 0 {
		return append([]string{"from " + ui.Day(after.From)}, words...)
	}
	return []string{"only the source: " + before.Source + " → " + after.Source}
}

func changePercent(before, after money.Pico) string {
	if before == 0 {
		return ""
	}
	var part, whole money.Sum
	part.Add(after - before)
	whole.Add(before)
	text := ui.Percent(&part, &whole, 2)
	if part.Sign() > 0 {
		text = "+" + text
	}
	return " (" + text + ")"
}

// priceWords is what a row charges.
func priceWords(r *pricing.Row) string {
	switch r.Kind {
	case pricing.KindRate:
		parts := make([]string, 0, usage.ClassCount)
		for class := range usage.ClassCount {
			parts = append(parts, lower(ui.Words(class.String()))+" "+ui.PerMillion(r.Rates[class]))
		}
		return strings.Join(parts, ", ") + "; stacks with " + stackWords(r)
	case pricing.KindTool:
		return unitWords(r.Unit) + " per use"
	case pricing.KindFactor:
		return fmt.Sprintf("× %d/%d on every token class", r.Num, r.Den)
	case pricing.KindDiscount:
		return fmt.Sprintf("%d.%02d%% off list", r.Num/100, r.Num%100)
	}
	return ""
}

// unitWords prints a price with the decimals it needs, at least cents.
func unitWords(unit money.Pico) string {
	whole, fraction, _ := strings.Cut(ui.Exact(unit), ".")
	fraction = strings.TrimRight(fraction, "0")
	return whole + "." + fraction + strings.Repeat("0", max(0, 2-len(fraction)))
}

// priceLabel names a row of the book.
func priceLabel(r *pricing.Row) string {
	switch r.Kind {
	case pricing.KindRate:
		return r.Name + ", " + r.Speed + ", " + promptWords(r)
	case pricing.KindTool:
		return ui.Words(r.Name)
	case pricing.KindDiscount:
		return "Contract discount"
	}
	switch r.Name {
	case "geography:us":
		return "US inference"
	case "tier:batch":
		return "Batch"
	}
	return ui.Words(strings.Replace(r.Name, ":", " ", 1))
}

func promptWords(r *pricing.Row) string {
	if r.PromptOver == 0 {
		return "any prompt"
	}
	return "prompts " + promptBound(r)
}

// promptBound is promptWords for a column whose head says what it is about.
func promptBound(r *pricing.Row) string {
	if r.PromptOver == 0 {
		return "any"
	}
	return "above " + ui.Count(r.PromptOver)
}

func stackWords(r *pricing.Row) string {
	if len(r.Factors) == 0 {
		return "nothing"
	}
	words := make([]string, 0, len(r.Factors))
	for _, f := range r.Factors {
		_, value, _ := strings.Cut(f, ":")
		words = append(words, value)
	}
	return strings.Join(words, ", ")
}

func untilWords(to time.Time) string {
	if to.IsZero() {
		return ""
	}
	return " until " + ui.Day(to)
}

func endWords(to time.Time) string {
	if to.IsZero() {
		return "open"
	}
	return ui.Day(to)
}

// makerWords says who proposed or decided, without a name where there is none.
func makerWords(actor string) string {
	switch {
	case actor == "":
		return "nobody"
	case actor == "system":
		return "Tollbook itself"
	case actor == "command":
		return "the installation's command line"
	case actor == approval.RuleNoPolicy:
		return "no policy asked anybody"
	case actor == approval.RuleBreakGlass:
		return "nobody: the operator broke the glass"
	case strings.HasPrefix(actor, "tok_"):
		return "the API token " + ui.ShortID(actor)
	}
	return "member " + ui.ShortID(actor)
}

// basisWords says why a decision could be this person's.
func basisWords(basis approval.Basis) string {
	switch basis {
	case approval.BasisSecond:
		return "a second person"
	case approval.BasisExpired:
		return "nobody decided in time"
	case approval.BasisSole:
		return "the only person who may decide"
	case approval.BasisWithdrawn:
		return "taken back"
	}
	return ""
}

// proposalWords says where a proposed book comes from.
func proposalWords(p *app.PriceProposal) string {
	switch p.Origin {
	case "vendor":
		return "The vendor's list as a newer release of Tollbook ships it. A contract's discount is kept."
	case "contract":
		return "A contract discount on the applied price book."
	}
	return "A whole price book of your own."
}
