package erp

import (
	"fmt"
	"slices"

	"tollbook/app/money"
)

// leg is a line, or the part of one that fell into a document.
type leg struct {
	*Line
	entry         string
	number        int // of the line in its entry, from 1
	debit, credit money.Cents
	tokens        int64 // the line's, on the first part of it
}

func legOf(e *Entry, i int) leg {
	l := &e.Lines[i]
	return leg{Line: l, entry: e.ID, number: i + 1, debit: l.Debit, credit: l.Credit, tokens: l.Tokens}
}

// document is what the system will hold as one journal.
type document struct {
	id    string
	legs  []leg
	total money.Cents // of its debits, and of its credits
}

// documents packs a balanced journal into as few documents as its order allows, none with
// more than limit lines (0: no limit; at least 2). Entries stay whole where they fit.
func documents(j *Journal, limit int) []document {
	if limit == 0 {
		limit = maxLines
	}
	var packed [][]leg
	for i := range j.Entries {
		e := &j.Entries[i]
		if last := len(packed) - 1; last >= 0 && len(packed[last])+len(e.Lines) <= limit {
			for k := range e.Lines {
				packed[last] = append(packed[last], legOf(e, k))
			}
			continue
		}
		packed = append(packed, cut(e, limit)...)
	}
	list := make([]document, len(packed))
	for i, legs := range packed {
		d := document{id: j.ExternalID, legs: legs}
		if len(packed) > 1 {
			// P, and no hyphen: that is what the parts of a journal's id are told apart by.
			d.id = fmt.Sprintf("%sP%d", j.ExternalID, i+1)
		}
		for _, l := range legs {
			d.total += l.debit
		}
		list[i] = d
	}
	return list
}

// cut divides one balanced entry into balanced parts of at most limit lines. Debits are
// met with credits in their order; a line that a part ends in goes on in the next.
func cut(e *Entry, limit int) [][]leg {
	if len(e.Lines) <= limit {
		whole := make([]leg, len(e.Lines))
		for i := range e.Lines {
			whole[i] = legOf(e, i)
		}
		return [][]leg{whole}
	}
	var debits, credits []leg
	for i := range e.Lines {
		if l := legOf(e, i); l.debit > 0 {
			debits = append(debits, l)
		} else {
			credits = append(credits, l)
		}
	}
	var parts [][]leg
	var part []leg
	d, c := -1, -1 // places of the open debit and credit in part; -1: to be opened
	for len(debits) > 0 && len(credits) > 0 {
		opens := 0
		for _, place := range []int{d, c} {
			if place < 0 {
				opens++
			}
		}
		if len(part)+opens > limit {
			parts, part, d, c = append(parts, ordered(part)), nil, -1, -1
			continue
		}
		part, d = opened(part, debits[0], d)
		part, c = opened(part, credits[0], c)
		debits[0].tokens, credits[0].tokens = 0, 0
		met := min(debits[0].debit, credits[0].credit)
		part[d].debit += met
		part[c].credit += met
		debits, d = used(debits, met, d)
		credits, c = used(credits, met, c)
	}
	return append(parts, ordered(part))
}

func opened(part []leg, l leg, place int) ([]leg, int) {
	if place >= 0 {
		return part, place
	}
	l.debit, l.credit = 0, 0
	return append(part, l), len(part)
}

func used(rest []leg, met money.Cents, place int) ([]leg, int) {
	if rest[0].debit > 0 {
		rest[0].debit -= met
	} else {
		rest[0].credit -= met
	}
	if rest[0].debit == 0 && rest[0].credit == 0 {
		return rest[1:], -1
	}
	return rest, place
}

// ordered puts a part's lines in the order the entry has them in.
func ordered(part []leg) []leg {
	slices.SortFunc(part, func(a, b leg) int { return a.number - b.number })
	return part
}
