package erp

import (
	"slices"
	"time"
)

// mappingHeads are the columns of the file a mapping is kept as. A rule without days
// holds ever.
func mappingHeads() []string {
	return []string{"field", "source", "code", "value", "effective_from", "effective_to"}
}

// ParseMapping reads a system's mapping: a line for each rule. A file with a flaw is taken
// not at all.
func ParseMapping(system string, file []byte) (Mapping, []Flaw) {
	t := sheet{heads: mappingHeads(), needed: 4}
	t.read(file, maxRules)
	m := Mapping{System: system, Rules: make([]Rule, 0, len(t.lines))}
	for _, line := range t.lines {
		m.Rules = append(m.Rules, Rule{
			Field: line.cells[0], Source: line.cells[1], Code: line.cells[2], Value: line.cells[3],
			EffectiveFrom: t.day(line, 4), EffectiveTo: t.day(line, 5),
		})
	}
	if len(t.flaws) > 0 {
		return Mapping{}, t.flaws
	}
	for _, p := range m.Validate() {
		number := 1
		if p.Line > 0 {
			number = t.lines[p.Line-1].number
		}
		t.flawf(number, slices.Index(t.heads, p.Field), "%s", p.Message)
	}
	if len(t.flaws) > 0 {
		return Mapping{}, t.flaws
	}
	return m, nil
}

func (t *sheet) day(line sheetLine, head int) time.Time {
	text := line.cells[head]
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil || at.Year() < 1900 {
		t.flawf(line.number, head, "%.40q is no day: YYYY-MM-DD.", text)
	}
	return at
}

// PrintMapping writes a mapping as the file ParseMapping reads.
func PrintMapping(m *Mapping) ([]byte, error) {
	rows := [][]string{mappingHeads()}
	for i := range m.Rules {
		r := &m.Rules[i]
		rows = append(rows, []string{r.Field, r.Source, r.Code, r.Value, dated(r.EffectiveFrom), dated(r.EffectiveTo)})
	}
	return encode(rows)
}
