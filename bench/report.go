package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report prints the table in Markdown, always in the same order.
func report(w io.Writer, s *stage, figures []*figure) error {
	columns, compared := targetNames(), comparedTo(s.o)
	if s.o.against == "" {
		columns = slices.DeleteFunc(columns, func(name string) bool { return name == nameOther })
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
	b.WriteString("\n" + s.machine() + "\n" + s.rowsLine() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// comparedTo are the targets the gateway is set in proportion to.
func comparedTo(o options) []string {
	if o.against == "" {
		return []string{nameControl}
	}
	return []string{nameControl, nameOther}
}

// rowsLine can only say that nothing is amiss: a run that finds otherwise fails.
func (s *stage) rowsLine() string {
	return fmt.Sprintf("Rows in the ledger: %d = requests sent to it, counted after every run; none lost, none doubled; every answer compared byte for byte.", s.proven)
}

// writeJSON writes what report prints and what it was made of.
func (s *stage) writeJSON(file string, figures []*figure) error {
	type line struct {
		Measure string               `json:"measure"`
		Unit    string               `json:"unit"`
		Part    bool                 `json:"part,omitempty"` // of the line above
		Values  map[string][]float64 `json:"values"`         // per target, in the order they were taken
		Median  map[string]float64   `json:"median"`
		Ratio   map[string]float64   `json:"ratio"` // the gateway's to a target's, the median of each round's own
	}
	out := struct {
		TakenAt time.Time `json:"taken_at"`
		Machine string    `json:"machine"`
		Rows    int64     `json:"rows"` // in the ledger = requests sent
		Figures []line    `json:"figures"`
	}{TakenAt: time.Now().UTC(), Machine: s.machine(), Rows: s.proven}
	for _, f := range figures {
		l := line{Measure: f.measure, Unit: f.unit, Part: f.part, Values: f.values, Median: map[string]float64{}, Ratio: map[string]float64{}}
		for name, values := range f.values {
			l.Median[name] = median(values)
		}
		for _, name := range comparedTo(s.o) {
			if list := ratios(f.values[nameGateway], f.values[name]); len(list) > 0 {
				l.Ratio[name] = median(list)
			}
		}
		out.Figures = append(out.Figures, l)
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
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
