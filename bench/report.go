package main

import (
	"io"
	"slices"
	"strconv"
	"strings"
)

// report prints the table in Markdown, always in the same order.
func report(w io.Writer, s *stage, figures []*figure) error {
	columns, compared := targetNames(), []string{nameControl}
	if s.o.against == "" {
		columns = slices.DeleteFunc(columns, func(name string) bool { return name == nameOther })
	} else {
		compared = append(compared, nameOther)
	}
	var b strings.Builder
	b.WriteString("| measure | unit | " + strings.Join(columns, " | ") + " |")
	for _, name := range compared {
		b.WriteString(" gateway ÷ " + name + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("--:|", len(columns)+len(compared)) + "\n")
	for _, f := range figures {
		name := f.measure
		if f.part {
			name = "… " + name
		}
		b.WriteString("| " + name + " | " + f.unit + " |")
		for _, target := range columns {
			b.WriteString(" " + cell(f.values[target], f.decimal) + " |")
		}
		for _, other := range compared {
			var ratio []float64
			if !f.part {
				ratio = ratios(f.values[nameGateway], f.values[other])
			}
			b.WriteString(" " + cell(ratio, 2) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n" + s.machine() + "\nRows in the ledger = requests sent, after every run; every answer compared byte for byte.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(values []float64, decimals int) string {
	if len(values) == 0 {
		return ""
	}
	return strconv.FormatFloat(median(values), 'f', decimals, 64)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// ratios compares round by round: what disturbs a machine disturbs both halves of
// a round.
func ratios(of, to []float64) []float64 {
	var list []float64
	for i := range min(len(of), len(to)) {
		if to[i] > 0 {
			list = append(list, of[i]/to[i])
		}
	}
	return list
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return word
}
