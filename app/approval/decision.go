package approval

import (
	"slices"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// Verdict is what a checker says to a proposal.
type Verdict string

// The verdicts.
const (
	VerdictApprove Verdict = "approve"
	VerdictReject  Verdict = "reject"
)

// Basis is why a decision could be this checker's.
type Basis string

// The bases. Withdrawn and sole need no second person: a maker takes a proposal back, or is
// the only one in the tenant who could decide at all, which the record says. Expired is
// nobody's.
const (
	BasisSecond    Basis = "second_person"
	BasisWithdrawn Basis = "withdrawn"
	BasisSole      Basis = "sole_person"
	BasisExpired   Basis = "expired"
)

// Case is a change that waits, with the policy it is held to and what was said so far.
type Case struct {
	Change
	Policy Policy
	Floor  Floor
	Maker  Maker
	Votes  []Vote // about this content, of persons who are still there
}

// Vote is one person's approval of one step.
type Vote struct {
	Step   int
	Person id.Person
	For    id.Person // whom they stood in for; zero for themselves
}

// Checker is the person who decides.
type Checker struct {
	ID     string // the actor's opaque id
	Person id.Person
	For    id.Person // whom they stand in for; zero for themselves
	// Steps are the policy's steps that this checker, or the one they stand in for, may decide.
	Steps []int
	// Others is how many further persons, the maker's left out, may decide any step.
	Others int
}

// Maker is whoever stands behind a proposal: all persons who could have made it
// through an account or a token. It is empty for the product's own.
type Maker []id.Person

// Ruling is a checker's verdict on what they were shown.
type Ruling struct {
	Verdict Verdict
	Seen    [32]byte // the digest of what was shown: another content is another decision
	Reason  string
}

// Outcome is what a ruling leaves.
type Outcome struct {
	Change       // still proposed while steps are open
	Step   int   // the step it was given in; -1 for none
	Basis  Basis // why it could be this checker's
}

var (
	// ErrSelfApproval reports a maker who would be the checker.
	ErrSelfApproval = fault.New(fault.KindForbidden, "self_approval", "You proposed this. Somebody else who may decide has to.")
	// ErrForMaker reports a decision for whoever proposed the change.
	ErrForMaker = fault.New(fault.KindForbidden, "self_approval", "Who you stand in for proposed this. Somebody else who may decide has to.")
	// ErrNotAsked reports a checker whom the policy does not ask.
	ErrNotAsked = fault.New(fault.KindForbidden, "not_asked", "The policy this change is held to does not ask you.")
	// ErrNotYet reports a checker whose step comes later.
	ErrNotYet = fault.New(fault.KindConflict, "step_later", "Another step comes before yours.")
	// ErrTwice reports a person who decides a second time.
	ErrTwice    = fault.New(fault.KindConflict, "decided_already", "You, or who you stand in for, approved this already. Each step needs another person.")
	errPair     = fault.New(fault.KindForbidden, "pair_needed", "Changes of this kind always need two persons. Ask a tenant owner to give a second person a role that may approve.")
	errNoPerson = fault.New(fault.KindForbidden, "tokens_never_decide", "Tokens and service accounts propose; only a person in a session decides.")
	errVerdict  = fault.Invalid("verdict", "verdict_unknown", "A verdict is approve or reject.")
)

// Decide returns the change as the ruling leaves it.
func (c *Case) Decide(by Checker, r Ruling) (Outcome, error) {
	if by.Person.IsZero() {
		return Outcome{}, errNoPerson
	}
	if err := saysWhy(r.Reason); err != nil {
		return Outcome{}, err
	}
	if r.Seen != c.Digest {
		return Outcome{}, ErrDigest
	}
	if !by.For.IsZero() && slices.Contains(c.Maker, by.For) {
		return Outcome{}, ErrForMaker
	}
	own := by.ID == c.Change.Maker || slices.Contains(c.Maker, by.Person)
	switch r.Verdict {
	case VerdictReject:
		return c.reject(by, own)
	case VerdictApprove:
		return c.approve(by, own)
	}
	return Outcome{}, errVerdict
}

func saysWhy(reason string) error {
	if strings.TrimSpace(reason) == "" || len(reason) > maxReasonBytes {
		return fault.Invalid("reason", "reason_missing", "Say why, in 1 to %d bytes.", maxReasonBytes)
	}
	return nil
}

func (c *Case) reject(by Checker, own bool) (Outcome, error) {
	basis := BasisSecond
	if own {
		basis = BasisWithdrawn
	}
	moved, err := c.Move(StateRejected)
	if err != nil {
		return Outcome{}, err
	}
	if !own && len(by.Steps) == 0 {
		return Outcome{}, ErrNotAsked
	}
	return Outcome{Change: moved, Step: -1, Basis: basis}, nil
}

func (c *Case) approve(by Checker, own bool) (Outcome, error) {
	approved, err := c.Move(StateApproved)
	if err != nil {
		return Outcome{}, err
	}
	if own {
		switch {
		case by.Others > 0 || !by.For.IsZero():
			return Outcome{}, ErrSelfApproval
		case c.Floor == FloorPair:
			return Outcome{}, errPair
		case len(by.Steps) == 0:
			return Outcome{}, ErrNotAsked
		}
		return Outcome{Change: approved, Step: by.Steps[0], Basis: BasisSole}, nil
	}
	for _, v := range c.Votes {
		if v.by(by.Person) || (!by.For.IsZero() && v.by(by.For)) {
			return Outcome{}, ErrTwice
		}
	}
	step, err := c.step(by.Steps)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Change: c.Change, Step: step, Basis: BasisSecond}
	if len(c.Open(Vote{Step: step})) == 0 {
		out.Change = approved
	}
	return out, nil
}

func (v Vote) by(person id.Person) bool { return v.Person == person || v.For == person }

// step is the open step that somebody who may decide some decides next.
func (c *Case) step(may []int) (int, error) {
	open := c.Open()
	if len(may) == 0 || len(open) == 0 {
		return 0, ErrNotAsked
	}
	if !c.Policy.Parallel {
		if slices.Contains(may, open[0]) {
			return open[0], nil
		}
		for _, s := range may {
			if slices.Contains(open, s) {
				return 0, ErrNotYet
			}
		}
		return 0, ErrNotAsked
	}
	for _, s := range open {
		if slices.Contains(may, s) {
			return s, nil
		}
	}
	return 0, ErrNotAsked
}

// Open lists the steps that need more votes than there are, counting some more.
func (c *Case) Open(more ...Vote) []int {
	count := make([]int, len(c.Policy.Steps))
	for _, v := range slices.Concat(c.Votes, more) {
		if v.Step >= 0 && v.Step < len(count) {
			count[v.Step]++
		}
	}
	var open []int
	for i, s := range c.Policy.Steps {
		if count[i] < s.Quorum {
			open = append(open, i)
		}
	}
	return open
}

// Turn lists the steps that are to be decided now: the first open one, or each where they
// go side by side.
func (c *Case) Turn() []int {
	open := c.Open()
	if len(open) > 1 && !c.Policy.Parallel {
		return open[:1]
	}
	return open
}
