package erp

import (
	"fmt"

	"tollbook/app/fault"
)

// Problem is one reason a journal or a bill cannot be exported as it is.
type Problem struct {
	Entry   string // id of the first entry it is met in; empty: the journal as a whole
	Line    int    // of that entry, from 1; 0: none
	Field   string // theirs where it is mapped, else ours
	Subject string // what lacks a mapping, such as "node CC-100"; else empty
	Code    string // snake_case, stable
	Message string // says what is wrong, and what would be right
}

// String is a problem on one line.
func (p Problem) String() string {
	text := p.Code + ": " + p.Message
	if p.Line > 0 {
		text = fmt.Sprintf("entry %s, line %d: %s", p.Entry, p.Line, text)
	}
	return text
}

// ErrRefused reports an export that its check has problems with. Nothing was written.
var ErrRefused = fault.New(fault.KindConflict, "export_refused",
	"The export has problems, so nothing was written. Its check lists them by node, account and line.")

// maxProblems bounds what a check tells. The last one says that there are more.
const maxProblems = 1000

// problems collects; what lacks a mapping is told once.
type problems struct {
	list []Problem
	seen map[[3]string]bool
}

func (p *problems) add(one Problem) {
	if one.Subject != "" {
		key := [3]string{one.Code, one.Field, one.Subject}
		if p.seen[key] {
			return
		}
		if p.seen == nil {
			p.seen = map[[3]string]bool{}
		}
		p.seen[key] = true
	}
	switch {
	case len(p.list) < maxProblems-1:
		p.list = append(p.list, one)
	case len(p.list) == maxProblems-1:
		p.list = append(p.list, Problem{Code: "more", Message: "There are more problems. Mend these first."})
	}
}

func (p *problems) text(entry string, line int, field, text string) {
	if !plain(text) {
		p.add(Problem{Entry: entry, Line: line, Field: field, Code: "text", Message: fmt.Sprintf("A text is UTF-8 on one line, without control characters, at most %d characters; this is %.60q.", maxText, text)})
	}
}
