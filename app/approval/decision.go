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

// The bases. The last two need no second person: a maker takes a proposal back, or is
// the only one in the tenant who could decide at all, which the record says.
const (
	BasisSecond    Basis = "second_person"
	BasisWithdrawn Basis = "withdrawn"
	BasisSole      Basis = "sole_person"
)

// Checker is the person who decides.
type Checker struct {
	ID     string // the actor's opaque id
	Person id.Person
	// Others is how many further persons may decide this kind of change.
	Others int
}

// Maker is whoever stands behind a proposal: all persons who could have made it
// through an account or a token. It is empty for the product's own.
type Maker []id.Person

var (
	// ErrSelfApproval reports a maker who would be the checker.
	ErrSelfApproval = fault.New(fault.KindForbidden, "self_approval", "You proposed this. Somebody else who may decide has to.")
	errNoChecker    = fault.New(fault.KindForbidden, "tokens_never_decide", "Tokens and service accounts propose; only a person in a session decides.")
	errVerdict      = fault.Invalid("verdict", "verdict_unknown", "A verdict is approve or reject.")
)

// Decide returns the change as the verdict leaves it, and on what basis. Seen is the
// digest of what the checker was shown: another content is another decision.
func (c Change) Decide(by Checker, maker Maker, verdict Verdict, seen [32]byte, reason string) (Change, Basis, error) {
	if by.Person.IsZero() {
		return Change{}, "", errNoChecker
	}
	if strings.TrimSpace(reason) == "" || len(reason) > maxReasonBytes {
		return Change{}, "", fault.Invalid("reason", "reason_missing", "Say why, in 1 to %d bytes.", maxReasonBytes)
	}
	if seen != c.Digest {
		return Change{}, "", ErrDigest
	}
	own := by.ID == c.Maker || slices.Contains(maker, by.Person)
	var moved Change
	var err error
	basis := BasisSecond
	switch verdict {
	case VerdictReject:
		if own {
			basis = BasisWithdrawn
		}
		moved, err = c.Move(StateRejected)
	case VerdictApprove:
		if own {
			if by.Others > 0 {
				return Change{}, "", ErrSelfApproval
			}
			basis = BasisSole
		}
		moved, err = c.Move(StateApproved)
	default:
		return Change{}, "", errVerdict
	}
	return moved, basis, err
}
