package plan

import (
	"fmt"

	"tollbook/app/id"
)

// Effect is what a line of a file, or a row of the grid, does to the plan it is made on.
type Effect struct {
	Line   int // of the file; zero for a form
	Code   string
	Node   id.Node
	Before Row
	After  Row
}

// Kind says in a word what happens.
func (e Effect) Kind() string {
	switch {
	case e.Before == e.After:
		return "unchanged"
	case e.Before.blank():
		return "added"
	case e.After.blank():
		return "removed"
	}
	return "changed"
}

// Moved lists the places of the months that differ.
func (e Effect) Moved() []int {
	var list []int
	for i := range e.Before {
		if e.Before[i] != e.After[i] {
			list = append(list, i)
		}
	}
	return list
}

// Apply makes the new plan of a base and what was sent, with the effect of each line.
// What was not sent stays as it is.
func Apply(base Grid, lines []Line) (Grid, []Effect) {
	next := base.Clone()
	effects := make([]Effect, 0, len(lines))
	for _, l := range lines {
		row := base[l.Node]
		for _, c := range l.Cells {
			row[c.Place] = c.Amount
		}
		next.Set(l.Node, row)
		effects = append(effects, Effect{Line: l.Number, Code: l.Code, Node: l.Node, Before: base[l.Node], After: row})
	}
	return next, effects
}

// Locked tells of each line that would change a month whose books are locked: closed is
// closed, and what it was compared with, too.
func Locked(year Year, base Grid, lines []Line, locked [Months]bool) []Problem {
	var problems []Problem
	for _, l := range lines {
		for _, c := range l.Cells {
			if !locked[c.Place] || base[l.Node][c.Place] == c.Amount {
				continue
			}
			month := year.Month(c.Place)
			problems = append(problems, Problem{
				Line: l.Number, Column: c.Column, Head: month.String(), Message: fmt.Sprintf("The books of %s are locked: its plan stays as it is.", month),
			})
			if len(problems) == MaxProblems {
				return problems
			}
		}
	}
	return problems
}
