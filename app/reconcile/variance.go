package reconcile

import (
	"slices"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
)

// Standing is where a variance stands.
type Standing string

// The standings of a variance.
const (
	StandingOpen      Standing = "open"      // somebody has to look
	StandingExplained Standing = "explained" // waits for its review
	StandingWaiting   Standing = "waiting"   // expected to go by itself by a day
	StandingAdjusted  Standing = "adjusted"  // a change settles it; waits for its review
	StandingResolved  Standing = "resolved"
)

// Standings lists them.
func Standings() []Standing {
	return []Standing{StandingOpen, StandingExplained, StandingWaiting, StandingAdjusted, StandingResolved}
}

// Known tells whether a standing is one.
func (s Standing) Known() bool { return slices.Contains(Standings(), s) }

// StepKind is what happened to a variance.
type StepKind string

// The kinds of steps.
const (
	StepFound     StepKind = "found"     // a run found it, the first time or with another amount
	StepGone      StepKind = "gone"      // a run did not find it any more
	StepAssigned  StepKind = "assigned"  // to who answers for it
	StepExplained StepKind = "explained" // in words, with evidence
	StepWaiting   StepKind = "waiting"   // until a day
	StepAdjusted  StepKind = "adjusted"  // by a change that was applied
	StepAccepted  StepKind = "accepted"  // a second person agrees
	StepReturned  StepKind = "returned"  // a second person does not
)

// Step is one thing that happened to a variance.
type Step struct {
	Kind       StepKind
	Actor      string // an opaque id
	Person     id.Person
	Persons    []id.Person // behind the actor now: accounts are linked later, too
	Amount     money.Sum   // of a run
	Quantity   int64       // of a run
	Owner      id.Member   // of assigned
	Note       string
	WaitUntil  time.Time // UTC day
	Adjustment id.Change
	At         time.Time
}

// Variance is what was above tolerance, as its steps have it.
type Variance struct {
	Standing  Standing
	Amount    money.Sum
	Quantity  int64
	Owner     id.Member
	WaitUntil time.Time
	// Gone says that the latest run did not find it: whatever is found next opens it.
	Gone bool
	// By is who explained it, made it wait or adjusted it since it was last open: they do not
	// review it.
	By []Author
}

// Author is who took a step: an account, with the person whose it was then and whoever it is of
// now.
type Author struct {
	Actor   string
	Persons []id.Person
}

// author is who takes a step.
func (s *Step) author() Author {
	a := Author{Actor: s.Actor}
	for _, person := range append([]id.Person{s.Person}, s.Persons...) {
		if !person.IsZero() {
			a.Persons = append(a.Persons, person)
		}
	}
	return a
}

// Is tells whether two are one person: by the account, or by any person that both are or were.
func (a Author) Is(b Author) bool {
	return (a.Actor != "" && a.Actor == b.Actor) || slices.ContainsFunc(a.Persons, func(person id.Person) bool { return slices.Contains(b.Persons, person) })
}

// Wrote tells whether somebody is among those who do not review the variance.
func (v Variance) Wrote(who Author) bool { return slices.ContainsFunc(v.By, who.Is) }

// The faults of a step.
var (
	ErrResolved   = fault.New(fault.KindConflict, "variance_resolved", "This variance is resolved: nothing more is to be said of it.")
	ErrNotToCheck = fault.New(fault.KindConflict, "variance_unexplained", "There is nothing to review yet: a variance is explained, made to wait or adjusted first.")
	ErrSamePerson = fault.New(fault.KindForbidden, "variance_same_person", "Who explained a variance does not review it.")
)

// Take is the variance after a step, or why it may not be taken.
func (v Variance) Take(s *Step) (Variance, error) {
	if v.Standing == StandingResolved && s.Kind != StepFound && s.Kind != StepGone {
		return v, ErrResolved
	}
	switch s.Kind {
	case StepFound:
		if v.Standing == "" || v.Gone || v.Amount.Cmp(&s.Amount) != 0 {
			v.Standing, v.WaitUntil, v.By = StandingOpen, time.Time{}, nil // what was said was about another amount
		}
		v.Amount, v.Quantity, v.Gone = s.Amount, s.Quantity, false
	case StepGone:
		v.Standing, v.Amount, v.Quantity, v.WaitUntil, v.Gone = StandingResolved, money.Sum{}, 0, time.Time{}, true
	case StepAssigned:
		v.Owner = s.Owner
	case StepExplained:
		v.Standing, v.WaitUntil = StandingExplained, time.Time{}
		v.By = append(slices.Clone(v.By), s.author())
	case StepWaiting:
		v.Standing, v.WaitUntil = StandingWaiting, s.WaitUntil
		v.By = append(slices.Clone(v.By), s.author())
	case StepAdjusted:
		v.Standing, v.WaitUntil = StandingAdjusted, time.Time{}
		v.By = append(slices.Clone(v.By), s.author())
	case StepAccepted, StepReturned:
		switch {
		case v.Standing != StandingExplained && v.Standing != StandingAdjusted:
			return v, ErrNotToCheck
		case v.Wrote(s.author()):
			return v, ErrSamePerson
		}
		v.Standing = StandingResolved
		if s.Kind == StepReturned {
			v.Standing, v.By = StandingOpen, nil
		}
	}
	return v, nil
}

// Due tells whether somebody has to do something about it today.
func (v Variance) Due(today time.Time) bool {
	return v.Standing == StandingOpen || (v.Standing == StandingWaiting && v.WaitUntil.Before(today))
}
