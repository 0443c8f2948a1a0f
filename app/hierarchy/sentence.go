package hierarchy

import (
	"fmt"
	"slices"
	"strings"
)

// Sentence says in words what an operation does.
func (o *Operation) Sentence() string {
	to := func(text *string, none string) string {
		if text == nil || *text == "" {
			return none
		}
		return *text
	}
	switch o.Op {
	case OpCreate:
		return fmt.Sprintf("%s %q is created %s.", o.Code, o.Name, below(to(o.ParentCode, "")))
	case OpRename:
		return fmt.Sprintf("%s is named %q.", o.Code, o.Name)
	case OpRecode:
		return fmt.Sprintf("%s has code %s.", o.Code, o.NewCode)
	case OpMove:
		return fmt.Sprintf("%s moves from %s to %s.", o.Code, to(o.Was, "the top"), to(o.ParentCode, "the top"))
	case OpMerge:
		return fmt.Sprintf("%s is merged into %s.", o.Code, o.Into)
	case OpSplit:
		codes := make([]string, 0, len(o.Nodes))
		for i := range o.Nodes {
			codes = append(codes, o.Nodes[i].Code)
		}
		return fmt.Sprintf("%s is split into %s.", o.Code, strings.Join(codes, ", "))
	case OpRetire:
		return o.Code + " retires."
	case OpOwner:
		return fmt.Sprintf("%s has another owner.", o.Code)
	case OpEntity:
		return fmt.Sprintf("%s belongs to %s.", o.Code, to(o.Entity, "the entity of what is above it"))
	case OpGLAccount:
		return fmt.Sprintf("%s has GL account %s.", o.Code, to(o.GLAccount, "none"))
	case OpKind:
		return fmt.Sprintf("%s is a %s.", o.Code, strings.ReplaceAll(string(o.Kind), "_", " "))
	case OpCapitalization:
		if o.Capitalization == Capitalize {
			return o.Code + " is capitalized."
		}
		return o.Code + " is expensed."
	case OpDimensions:
		return o.Code + " has other ERP dimensions."
	}
	return o.Code
}

func below(parent string) string {
	if parent == "" {
		return "at the top"
	}
	return "below " + parent
}

// maxSentences is how many operations are told one by one.
const maxSentences = 3

// Sentences says in words what operations do: a few one by one, more by their number.
func Sentences(operations []Operation) string {
	var text []string
	if len(operations) <= maxSentences {
		for i := range operations {
			text = append(text, operations[i].Sentence())
		}
		return strings.Join(text, " ")
	}
	counts := map[Op]int{}
	var order []Op
	for i := range operations {
		if counts[operations[i].Op]++; !slices.Contains(order, operations[i].Op) {
			order = append(order, operations[i].Op)
		}
	}
	for _, op := range order {
		text = append(text, fmt.Sprintf("%s %d", strings.ReplaceAll(string(op), "_", " "), counts[op]))
	}
	return fmt.Sprintf("%d operations on the hierarchy: %s.", len(operations), strings.Join(text, ", "))
}
