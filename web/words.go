package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// lower begins a label with a small letter, inside a sentence.
func lower(label string) string { return strings.ToLower(label[:1]) + label[1:] }

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
