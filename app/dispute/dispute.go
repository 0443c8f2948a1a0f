package dispute

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// State is where a dispute stands.
type State string

// The states.
const (
	StateOpen      State = "open"     // waits for the owner of the proposed node
	StateAccepted  State = "accepted" // that owner takes the charges: waits for finance to propose the change
	StateProposed  State = "proposed" // waits for whoever decides about the change
	StateMoved     State = "moved"    // the change was applied
	StateDeclined  State = "declined"
	StateWithdrawn State = "withdrawn"
	StateKept      State = "kept" // finance decided: the charges stay
)

// States lists them.
func States() []State {
	return []State{StateOpen, StateAccepted, StateProposed, StateMoved, StateDeclined, StateWithdrawn, StateKept}
}

// Known tells whether a state is one.
func (s State) Known() bool { return slices.Contains(States(), s) }

// Ended tells whether nothing more happens.
func (s State) Ended() bool {
	return s == StateMoved || s == StateDeclined || s == StateWithdrawn || s == StateKept
}

// Waits is for whom a dispute waits.
type Waits string

// For whom. Nobody waits for what has ended.
const (
	WaitsNobody   Waits = ""
	WaitsOwner    Waits = "owner"    // of the proposed node
	WaitsFinance  Waits = "finance"  // to propose the change, or to decide that nothing moves
	WaitsApprover Waits = "approver" // of the change
)

// Waits tells for whom; a node that nobody owns is answered for by finance.
func (s State) Waits(owned bool) Waits {
	switch s {
	case StateOpen:
		if !owned {
			return WaitsFinance
		}
		return WaitsOwner
	case StateAccepted:
		return WaitsFinance
	case StateProposed:
		return WaitsApprover
	case StateMoved, StateDeclined, StateWithdrawn, StateKept:
	}
	return WaitsNobody
}

// Kind is what happened.
type Kind string

// The kinds of steps.
const (
	Raised    Kind = "raised"
	Accepted  Kind = "accepted"  // by the owner of the proposed node
	Declined  Kind = "declined"  // by the same, with a reason
	Withdrawn Kind = "withdrawn" // by who raised it
	Proposed  Kind = "proposed"  // finance proposed the change that moves the charges
	Kept      Kind = "kept"      // finance decided that they stay, with a reason
)

const (
	// MaxNote bounds a reason, in bytes.
	MaxNote = 1000
	// MaxSteps bounds the steps of a dispute.
	MaxSteps = 100
)

// Step is one thing that happened to a dispute.
type Step struct {
	Kind   Kind
	Person id.Person
	Note   string
	At     time.Time
}

// Standing is what the steps come to. After a proposal that depends on what became of its
// change: Resolved says so before the next step is taken.
type Standing struct {
	State  State
	Before State // where it stands again if the change is not applied; of StateProposed
	Raiser id.Person
	Steps  int
	Since  time.Time // in this state
}

// The refusals of a step.
var (
	ErrStep       = fault.Invalid("step", "dispute_step_unknown", "A step is accepted, declined, withdrawn, proposed or kept.")
	errEnded      = fault.New(fault.KindConflict, "dispute_ended", "This dispute has ended: raise another one if the charges are still wrong.")
	errOutOfTurn  = fault.New(fault.KindConflict, "dispute_out_of_turn", "That was answered already, or waits for something else.")
	errUnderWay   = fault.New(fault.KindConflict, "dispute_under_way", "A change that moves these charges waits for its decision. Have that withdrawn or decided first.")
	errSelf       = fault.New(fault.KindForbidden, "maker_is_checker", "Who raised a dispute does not answer it: somebody else has to.")
	errNotRaiser  = fault.New(fault.KindForbidden, "dispute_not_yours", "Who raised a dispute withdraws it, and nobody else.")
	errReason     = fault.Invalid("note", "dispute_reason", "Say why, in 1 to %d bytes of printable text.", MaxNote)
	errManyStages = fault.New(fault.KindConflict, "dispute_steps", "This dispute has taken as many steps as it may.")
)

// Text is what somebody typed as it is kept.
func Text(typed string) string { return strings.TrimSpace(strings.ReplaceAll(typed, "\r\n", "\n")) }

func said(text string) bool {
	return text != "" && len(text) <= MaxNote && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// Raise is the standing of a new dispute.
func Raise(step *Step) (Standing, error) {
	if !said(step.Note) {
		return Standing{}, fault.Invalid("reason", "dispute_reason", "Say why, in 1 to %d bytes of printable text.", MaxNote)
	}
	return Standing{State: StateOpen, Raiser: step.Person, Steps: 1, Since: step.At}, nil
}

// Resolved is the standing once its change is where it is: moved, where that was applied, and
// as before, where it never will be.
func (s Standing) Resolved(change approval.State, at time.Time) Standing {
	if s.State != StateProposed {
		return s
	}
	switch change {
	case approval.StateApplied:
		s.State, s.Before, s.Since = StateMoved, "", at
	case approval.StateRejected, approval.StateExpired:
		s.State, s.Before, s.Since = s.Before, "", at
	case approval.StateProposed, approval.StateApproved:
	}
	return s
}

// Take is the standing after a step, or why there can be none.
func (s Standing) Take(step *Step) (Standing, error) {
	switch {
	case s.State.Ended():
		return s, errEnded
	case s.Steps >= MaxSteps:
		return s, errManyStages
	case s.State == StateProposed:
		return s, errUnderWay
	case !said(step.Note):
		return s, errReason
	}
	var to State
	switch step.Kind {
	case Accepted, Declined:
		if s.State != StateOpen {
			return s, errOutOfTurn
		}
		if step.Person == s.Raiser {
			return s, errSelf
		}
		to = State(step.Kind)
	case Withdrawn:
		if step.Person != s.Raiser {
			return s, errNotRaiser
		}
		to = StateWithdrawn
	case Proposed:
		s.Before, to = s.State, StateProposed
	case Kept:
		if step.Person == s.Raiser {
			return s, errSelf
		}
		to = StateKept
	case Raised:
		return s, ErrStep
	default:
		return s, ErrStep
	}
	s.State, s.Since = to, step.At
	s.Steps++
	return s, nil
}

// AgeDays is how many whole days lie between two instants.
func AgeDays(from, to time.Time) int { return max(int(to.Sub(from)/(24*time.Hour)), 0) }
