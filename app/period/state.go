package period

import (
	"slices"
	"time"

	"tollbook/app/fault"
)

// State is where a month of the books stands.
type State string

// The states of a month. A month moves forward through them in order; reopening takes one
// that is shut back to closing.
const (
	StateOpen    State = "open"
	StateClosing State = "closing" // soft-closed: what still changes in it, finance decides
	StateLocked  State = "locked"  // shut, and about to be closed
	StateClosed  State = "closed"  // shut, signed and delivered
)

// States lists them in the order a month moves through them.
func States() []State { return []State{StateOpen, StateClosing, StateLocked, StateClosed} }

// Shut tells whether a month takes nothing more: no charge, no adjustment, no entry.
func (s State) Shut() bool { return s == StateLocked || s == StateClosed }

// Standing is a month's state, and how often it was made up: a revision begins with the
// month, and another with each reopening.
type Standing struct {
	State    State
	Revision int // from 1
}

// Begun is how a month stands that nobody has touched.
func Begun() Standing { return Standing{State: StateOpen, Revision: 1} }

// Reopens tells whether a move to a state takes a month back.
func (s Standing) Reopens(to State) bool { return s.State.Shut() && to == StateClosing }

// Move is how a month stands after a move, or why it may not be made. First is the earliest
// month the books know, and stands says how others stand: no month is shut before the one
// before it, none closed, and none reopened while the one after is shut. So the months that
// are shut, and those that are closed, have no gap between them.
func Move(m Month, to State, first Month, stands func(Month) Standing, now time.Time) (Standing, error) {
	from := stands(m)
	before := stands(m.Previous()).State
	if m == first || m.Start().Before(first.Start()) {
		before = StateClosed // nothing is before it
	}
	switch {
	case from.State == StateOpen && to == StateClosing:
		if now.Before(m.End()) {
			return from, fault.New(fault.KindConflict, "period_not_over", m.String()+" is not over: it is closed when its last day is.")
		}
		return Standing{StateClosing, from.Revision}, nil
	case from.State == StateClosing && to == StateLocked:
		if !before.Shut() {
			return from, fault.New(fault.KindConflict, "period_order", "Months are closed in their order: lock "+m.Previous().String()+" before "+m.String()+".")
		}
		return Standing{StateLocked, from.Revision}, nil
	case from.State == StateLocked && to == StateClosed:
		if before != StateClosed {
			return from, fault.New(fault.KindConflict, "period_order", "Months are closed in their order: close "+m.Previous().String()+" before "+m.String()+".")
		}
		return Standing{StateClosed, from.Revision}, nil
	case from.Reopens(to):
		if stands(m.Next()).State.Shut() {
			return from, fault.New(fault.KindConflict, "period_order", "Months are reopened from the latest back: reopen "+m.Next().String()+" before "+m.String()+".")
		}
		return Standing{StateClosing, from.Revision + 1}, nil
	}
	return from, fault.New(fault.KindConflict, "period_move", m.String()+" is "+string(from.State)+": it cannot become "+string(to)+" from there.")
}

// Forward is the state that follows; empty after the last.
func (s State) Forward() State {
	states := States()
	if i := slices.Index(states, s); i >= 0 && i+1 < len(states) {
		return states[i+1]
	}
	return ""
}
