package reconcile

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/table"
)

// Spend is one line of what was spent without passing the gateway: seats, a cloud's bill.
type Spend struct {
	Node   string      `json:"node"`   // finance's code
	Source string      `json:"source"` // whose bill it is on: "Claude seats", "Bedrock"
	Memo   string      `json:"memo,omitempty"`
	Cents  money.Cents `json:"cents"` // below zero: a credit
}

// Wrong is what a file is refused for.
type Wrong struct {
	Line   int // from 1, the head
	Column string
	Reason string
}

// Bounds of a file.
const (
	MaxSpendFile  = 256 << 10
	MaxSpendLines = 500
	maxSource     = 60
	maxMemo       = 120
	maxWrong      = 50
	maxSpendCents = 10_000_000_00
)

// SpendColumns are the columns of a file, in the order of its template.
func SpendColumns() []string { return []string{"node", "source", "description", "amount_usd"} }

// ReadSpend reads a file whole or not at all: with anything wrong, there are no lines. Known
// tells whether a code is one of the hierarchy.
func ReadSpend(file []byte, known func(code string) bool) ([]Spend, []Wrong) {
	if len(file) > MaxSpendFile {
		return nil, []Wrong{{1, "", fmt.Sprintf("A file has at most %d KB.", MaxSpendFile>>10)}}
	}
	if !utf8.Valid(file) {
		return nil, []Wrong{{1, "", "The file is not UTF-8."}}
	}
	read := table.Read(file, table.Layout{Must: SpendColumns(), MaxLines: MaxSpendLines})
	var wrong []Wrong
	for _, f := range read.Flaws {
		wrong = append(wrong, Wrong{max(f.Line, 1), f.Head, f.Message})
	}
	var list []Spend
	seen := map[[3]string]int{}
	for _, l := range read.Lines {
		if len(wrong) >= maxWrong {
			return nil, append(wrong[:maxWrong], Wrong{l.Number, "", fmt.Sprintf("At most %d errors are listed: there may be more from here on.", maxWrong)})
		}
		s, bad := spendOf(l.Cell, known)
		for i := range bad {
			bad[i].Line = l.Number
		}
		key := [3]string{s.Node, s.Source, s.Memo}
		if first, twice := seen[key]; twice {
			bad = append(bad, Wrong{l.Number, "node", fmt.Sprintf("Line %d says the same node, source and description: a line that comes twice counts twice.", first)})
		}
		seen[key] = l.Number
		wrong = append(wrong, bad...)
		list = append(list, s)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return list, nil
}

// Check refuses a line that a file could not have.
func (s *Spend) Check(known func(code string) bool) error {
	cells := map[string]string{"node": s.Node, "source": s.Source, "description": s.Memo, "amount_usd": s.Cents.String()}
	_, wrong := spendOf(func(column string) string { return cells[column] }, known)
	if len(wrong) > 0 {
		return fault.Invalid("lines", "elsewhere_line", "Spend elsewhere, %s: %s", wrong[0].Column, wrong[0].Reason)
	}
	return nil
}

// spendOf reads a line from its cells by column.
func spendOf(cell func(column string) string, known func(string) bool) (Spend, []Wrong) {
	s := Spend{Node: strings.TrimSpace(cell("node")), Source: strings.TrimSpace(cell("source")), Memo: strings.TrimSpace(cell("description"))}
	var wrong []Wrong
	if !known(s.Node) {
		wrong = append(wrong, Wrong{Column: "node", Reason: fmt.Sprintf("%.40q is the code of no node.", s.Node)})
	}
	if !printed(s.Source, 1, maxSource) {
		wrong = append(wrong, Wrong{Column: "source", Reason: fmt.Sprintf("A source has 1 to %d printable characters.", maxSource)})
	}
	if !printed(s.Memo, 0, maxMemo) {
		wrong = append(wrong, Wrong{Column: "description", Reason: fmt.Sprintf("A description has at most %d printable characters.", maxMemo)})
	}
	amount := strings.TrimSpace(cell("amount_usd"))
	var err error
	if s.Cents, err = money.ParseCents(amount); err != nil || s.Cents == 0 || s.Cents > maxSpendCents || s.Cents < -maxSpendCents {
		wrong = append(wrong, Wrong{Column: "amount_usd", Reason: fmt.Sprintf("%.40q is no amount in US dollars with at most two decimals, such as 1234.50, other than zero and up to 10,000,000.", amount)})
	}
	return s, wrong
}

// printed tells whether a text has so many characters that can be printed.
func printed(text string, least, most int) bool {
	n := utf8.RuneCountInString(text)
	return n >= least && n <= most && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError })
}
