package commentary

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// State is where a node's commentary of a month stands.
type State string

// The states. Before the first step there is none.
const (
	StateAsked    State = "asked"    // its owner has not answered
	StateWritten  State = "written"  // waits to be accepted
	StateAccepted State = "accepted" // by somebody else
	StateReturned State = "returned" // sent back: its owner has not answered again
)

// States lists them.
func States() []State { return []State{StateAsked, StateWritten, StateAccepted, StateReturned} }

// Owed tells whether an answer is waited for.
func (s State) Owed() bool { return s == StateAsked || s == StateReturned }

// Kind is what happened.
type Kind string

// The kinds of steps.
const (
	Asked    Kind = "asked"
	Reminded Kind = "reminded"
	Written  Kind = "written"
	Accepted Kind = "accepted"
	Returned Kind = "returned" // with a reason
)

const (
	// MaxText bounds a commentary, in bytes.
	MaxText = 4000
	// MaxNote bounds why something was asked or sent back, in bytes.
	MaxNote = 1000
	// MaxSteps bounds the steps of one node's commentary of a month.
	MaxSteps = 500
)

// Step is one thing that happened to a node's commentary.
type Step struct {
	Kind   Kind
	Person id.Person
	Owner  id.Member // whom an asking or a reminder goes to
	Body   string    // the text, or why
	Digest string    // of the figures written about; of the present ones where it is accepted
	At     time.Time
}

// Standing is what the steps come to.
type Standing struct {
	State    State // empty: nobody asked and nobody wrote
	Revision int   // texts so far
	Steps    int
	Author   id.Person // of the latest text
	Owner    id.Member // who was asked last
	Text     string    // the latest
	Digest   string    // of the figures it is about
	AskedAt  time.Time // the first time
	NudgedAt time.Time // when somebody was last asked, reminded or sent back to
	WroteAt  time.Time // the latest text
}

// Stale tells whether the latest text is about other figures than a digest names.
func (s *Standing) Stale(digest string) bool { return s.Revision > 0 && s.Digest != digest }

// The refusals of a step.
var (
	ErrStep      = fault.Invalid("step", "commentary_step_unknown", "A step is asked, reminded, written, accepted or returned.")
	errAnswered  = fault.New(fault.KindConflict, "commentary_answered", "That was answered: accept it or send it back.")
	errAsked     = fault.New(fault.KindConflict, "commentary_asked", "That was asked already: remind whoever was asked.")
	errNotAsked  = fault.New(fault.KindConflict, "commentary_not_asked", "Nobody owes an answer for this node.")
	errReminded  = fault.New(fault.KindConflict, "commentary_reminded", "Whoever is asked heard of it today: remind them tomorrow.")
	errUnwritten = fault.New(fault.KindConflict, "commentary_unwritten", "There is no text that waits to be accepted.")
	errSelf      = fault.New(fault.KindForbidden, "maker_is_checker", "Who wrote a commentary does not accept it: somebody else has to.")
	errStale     = fault.New(fault.KindConflict, "commentary_stale", "A figure changed since this was written: send it back, and have it written about what it is now.")
	errSteps     = fault.New(fault.KindConflict, "commentary_steps", "This has been written and asked about as often as it may.")
	errBody      = fault.Invalid("body", "commentary_text", "A commentary has 1 to %d bytes of printable text.", MaxText)
	errReason    = fault.Invalid("note", "commentary_note", "Say why, in 1 to %d bytes of printable text.", MaxNote)
	errLongNote  = fault.Invalid("note", "commentary_note", "What is asked has at most %d bytes of printable text.", MaxNote)
)

// Text is what somebody typed as it is kept: without carriage returns and blanks around it.
func Text(typed string) string { return strings.TrimSpace(strings.ReplaceAll(typed, "\r\n", "\n")) }

func printable(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// Take is the standing after a step, or why there can be none.
func (s *Standing) Take(step *Step) (Standing, error) {
	if s.Steps >= MaxSteps {
		return *s, errSteps
	}
	if err := s.may(step); err != nil {
		return *s, err
	}
	next := *s
	next.Steps++
	switch step.Kind {
	case Asked, Reminded:
		if step.Kind == Asked {
			next.State = StateAsked
		}
		if next.AskedAt.IsZero() {
			next.AskedAt = step.At
		}
		next.Owner, next.NudgedAt = step.Owner, step.At
	case Written:
		next.State, next.Author, next.Text, next.Digest, next.WroteAt = StateWritten, step.Person, step.Body, step.Digest, step.At
		next.Revision++
	case Accepted:
		next.State = StateAccepted
	case Returned:
		next.State, next.NudgedAt = StateReturned, step.At
	}
	return next, nil
}

// may says why a step cannot be taken now.
func (s *Standing) may(step *Step) error {
	switch step.Kind {
	case Asked, Reminded:
		if err := s.mayAsk(step); err != nil {
			return err
		}
		return unless(printable(step.Body, MaxNote), errLongNote)
	case Written:
		return unless(step.Body != "" && printable(step.Body, MaxText), errBody)
	case Accepted:
		switch {
		case s.State != StateWritten:
			return errUnwritten
		case step.Person == s.Author:
			return errSelf
		case s.Digest != step.Digest:
			return errStale
		}
		return unless(printable(step.Body, MaxNote), errLongNote)
	case Returned:
		if s.State != StateWritten && s.State != StateAccepted {
			return errUnwritten
		}
		return unless(step.Body != "" && printable(step.Body, MaxNote), errReason)
	}
	return ErrStep
}

// mayAsk says why somebody cannot be asked, or reminded, now.
func (s *Standing) mayAsk(step *Step) error {
	switch {
	case step.Kind == Asked && s.State == StateWritten:
		return errAnswered
	case step.Kind == Asked && s.State.Owed():
		return errAsked
	case step.Kind == Reminded && !s.State.Owed():
		return errNotAsked
	case step.Kind == Reminded && sameDay(s.NudgedAt, step.At):
		return errReminded
	}
	return nil
}

func unless(fine bool, err error) error {
	if fine {
		return nil
	}
	return err
}

func sameDay(a, b time.Time) bool {
	return a.UTC().Truncate(24 * time.Hour).Equal(b.UTC().Truncate(24 * time.Hour))
}

// Sum is how the commentaries of a month stand together.
type Sum struct {
	Asked    int // asked or written: everybody of whom one is waited for, and those who answered
	Owed     int // asked and not answered
	Answered int // written, and neither accepted nor sent back
	Accepted int
	Stale    int // written about other figures than there are now
}

// Add counts one node's.
func (m *Sum) Add(s *Standing, stale bool) {
	if s.State == "" {
		return
	}
	m.Asked++
	switch s.State {
	case StateAsked, StateReturned:
		m.Owed++
	case StateWritten:
		m.Answered++
	case StateAccepted:
		m.Accepted++
	}
	if stale {
		m.Stale++
	}
}

// Known tells whether a state is one.
func (s State) Known() bool { return slices.Contains(States(), s) }
