package notice

import (
	"strings"
	"time"
	"unicode/utf8"
)

// State is what a step of a delivery says.
type State string

// The states. Before the first step, and after queued, interrupted and failed, another
// attempt is due.
const (
	Queued      State = "queued"      // somebody asked for it to be sent again
	Attempted   State = "attempted"   // stored before the first byte leaves
	Interrupted State = "interrupted" // the attempt's process ended: whether it arrived is not known
	Accepted    State = "accepted"    // the recipient's server took it
	Failed      State = "failed"      // it did not, this time
	Refused     State = "refused"     // it never will
	GivenUp     State = "given_up"    // it failed as often as it may
	Dropped     State = "dropped"     // there is nobody any more who should have it
)

// States lists the states a list may be filtered by: those a delivery can rest in.
func States() []State { return []State{Accepted, Failed, Refused, GivenUp, Dropped, Interrupted} }

// Ended says whether nothing more happens by itself.
func (s State) Ended() bool {
	switch s {
	case Accepted, Refused, GivenUp, Dropped:
		return true
	case Queued, Attempted, Interrupted, Failed:
	}
	return false
}

const (
	// MaxTries bounds the attempts of a round.
	MaxTries = 12
	// AttemptWithin bounds an attempt. One without an outcome after it ended with its process.
	AttemptWithin = 45 * time.Second
	// lost is when an attempt without an outcome is one no more, with room for its commit.
	lost = 2 * AttemptWithin
	// MaxAnswer bounds what is kept of a server's answer.
	MaxAnswer = 500
)

// Step is one thing that was done about a delivery.
type Step struct {
	Round int
	State State
	At    time.Time
}

// Verdict is what a worker that has a delivery in its hands does.
type Verdict struct {
	Attempt     bool // store an attempt and make it
	Wait        bool // another worker is at it
	Interrupted bool // the attempt before was lost: say so first
	Tries       int  // attempts made before in this round
	Place       int  // of the next step
}

// Judge says what to do about a delivery that stands at some steps, for a job of a round.
func Judge(steps []Step, round int, now time.Time) Verdict {
	v := Verdict{Place: len(steps) + 1}
	current, last := 1, State("")
	for _, s := range steps {
		if current, last = s.Round, s.State; s.State == Attempted && s.Round == round {
			v.Tries++
		}
	}
	switch {
	case round != current, last.Ended():
	case last == Attempted && now.Sub(steps[len(steps)-1].At) < lost:
		v.Wait = true
	case last == Attempted:
		v.Attempt, v.Interrupted = true, true
	default:
		v.Attempt = true
	}
	return v
}

// Outcome is how an attempt ended.
type Outcome struct {
	Accepted  bool
	Permanent bool // of what was not accepted: it never will be
	Answer    string
}

// State is what an outcome makes of a delivery, after so many attempts in its round.
func (o Outcome) State(tries int) State {
	switch {
	case o.Accepted:
		return Accepted
	case o.Permanent:
		return Refused
	case tries >= MaxTries:
		return GivenUp
	}
	return Failed
}

// Clean is a server's answer on one line, bounded, without the recipient's address:
// steps are kept for good, and addresses can be erased.
func Clean(answer, address string) string {
	answer = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, answer)
	if address != "" {
		answer = replaceFold(answer, address, "the address")
		if local, _, ok := strings.Cut(address, "@"); ok && len(local) > 2 {
			answer = replaceFold(answer, local, "…")
		}
	}
	for len(answer) > MaxAnswer {
		_, size := utf8.DecodeLastRuneInString(answer)
		answer = answer[:len(answer)-size]
	}
	return strings.TrimSpace(answer)
}

// replaceFold replaces a text wherever it stands, whatever its case.
func replaceFold(text, old, by string) string {
	var out strings.Builder
	for len(text) >= len(old) {
		if strings.EqualFold(text[:len(old)], old) {
			out.WriteString(by)
			text = text[len(old):]
			continue
		}
		_, size := utf8.DecodeRuneInString(text)
		out.WriteString(text[:size])
		text = text[size:]
	}
	return out.String() + text
}
