package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollbook/app"
)

// lower begins a label with a small letter, inside a sentence.
func lower(label string) string { return strings.ToLower(label[:1]) + label[1:] }

// upper begins a text with a capital letter, as a sentence.
func upper(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// shareOf prints parts per million as a percentage.
func shareOf(ppm int64) string {
	text := fmt.Sprintf("%d.%04d", ppm/10_000, ppm%10_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + "%"
}

func sortedKeys(tags map[string]string) []string { return slices.Sorted(maps.Keys(tags)) }

// stateWords says what a state means for the figure beside it.
func stateWords(state string) string {
	switch state {
	case "complete":
		return "Measured to its end; the price is final."
	case "incomplete":
		return "The stream ended without its final count: what was seen is charged until reconciliation settles it."
	case "estimated":
		return "The client left early: a floor is charged until reconciliation settles it."
	case "unpriced":
		return "Measured to its end; the price is provisional and errs high."
	case "error":
		return "The provider refused or failed; nothing is charged."
	case "open":
		return "It was sent and its answer is not known yet; nothing is charged until reconciliation settles it."
	}
	return ""
}

// settleWords says what will settle a state that may still change; empty when nothing
// will.
func settleWords(state string) string {
	switch state {
	case "incomplete":
		return "Reconciliation compares it with the provider's own report and posts the difference as an adjustment."
	case "estimated":
		return "The provider bills what it produced after the client left; reconciliation posts the difference as an adjustment."
	case "unpriced":
		return "A decision on the price settles it: an approved price book that knows this rate. The difference becomes an adjustment; this row stays."
	case "open":
		return "Reconciliation finds it in the provider's report, or finds that it never arrived."
	}
	return ""
}

// flagWords says in words what is not final or odd about a request.
func flagWords(flag string) string {
	code, about, _ := strings.Cut(flag, ":")
	if words := priceFlag(code, about); words != "" {
		return words
	}
	switch code {
	case "counts_impossible":
		return "The provider's counts cannot be; they are in the raw usage and nothing is charged for them."
	case "gateway_fault":
		return "A gateway could not finish this request and says so."
	case "answer_no_room":
		return "The answer passed untouched, but the gateway had no memory to read its counts."
	case "answer_too_long":
		return "The answer passed untouched, but it was longer than the gateway reads for its counts."
	case "upstream_dropped":
		return "The provider's answer broke off before its end."
	case "client_gone":
		return "The client hung up before the answer's end."
	case "output_estimated":
		return "The output is a floor, estimated from what passed."
	}
	return "Noted as " + flag + "."
}

func priceFlag(code, about string) string {
	switch code {
	case "model_unknown":
		return "The price book has no such model: it is priced at the dearest rates of its family."
	case "speed_unknown":
		return "The price book has no rate for this speed of the model: the standard rate is charged."
	case "rate_ended":
		return "The price book's rate for this model had ended by then: the last one is charged."
	case "rate_not_begun":
		return "The price book's rate for this model had not begun by then: the first one is charged."
	case "tool_unknown":
		return "The price book has no price for the server tool " + about + ": the dearest one is charged."
	case "field_unknown":
		return "The provider counted something this version does not know: " + about + "."
	case "geography_unknown", "tier_unknown":
		return "The price book does not know the " + strings.TrimSuffix(code, "_unknown") + " " + about + ": no factor is applied for it."
	case "geography_not_sold", "tier_not_sold":
		return "The price book does not sell this model with the " + strings.TrimSuffix(code, "_not_sold") + " " + about + "."
	case "fallback_credit_redeemed":
		return "A fallback credit was redeemed: whether all cache writes are billed as writes, only the provider's bill tells."
	case "price_proposed":
		return "A proposed change of prices that waits for a decision would reprice it."
	}
	return ""
}

// requestsOrder heads a list of requests.
func requestsOrder(sort string) string {
	if sort == app.Dearest {
		return "Dearest first"
	}
	return "Newest first"
}

// pageAfter is the way on in a list, endOfList what is said where there is none.
func pageAfter(sort string) string {
	if sort == app.Dearest {
		return "Less dear"
	}
	return "Older"
}

func endOfList(sort string) string {
	if sort == app.Dearest {
		return "These are the least dear."
	}
	return "These are the oldest."
}

// lasted says how long lay between two starts.
func lasted(first, last time.Time) string {
	switch d := last.Sub(first); {
	case d < time.Minute:
		return "under a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
}
