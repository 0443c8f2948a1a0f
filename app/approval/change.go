package approval

import (
	"crypto/sha256"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// State is where a change stands.
type State string

// The states of a change.
const (
	StateProposed State = "proposed"
	StateApproved State = "approved"
	StateRejected State = "rejected"
	StateApplied  State = "applied"
	StateExpired  State = "expired"
)

// States lists every state there is.
func States() []State {
	return []State{StateProposed, StateApproved, StateRejected, StateApplied, StateExpired}
}

// RuleNoPolicy is the decider of a kind for which the tenant has no policy yet.
const RuleNoPolicy = "policy:none"

// RuleBreakGlass is the decider of what the installation's operator applies past the
// tenant's people.
const RuleBreakGlass = "policy:break_glass"

// Rules that decide what follows from something a person proposed: a role from a group's
// mapping, a membership from an invitation; and a company where whoever runs the
// installation lets people found one.
const (
	RuleGroupMapping = "policy:group_mapping"
	RuleInvitation   = "policy:invitation"
	RuleSignUp       = "policy:sign_up"
	RuleFirstSetUp   = "policy:first_set_up" // the first nodes of a company: nothing is charged anywhere yet
)

// Change is one proposal, exactly as its maker made it.
type Change struct {
	ID            id.Change
	Number        int64 // the tenant's human number
	Kind          string
	Payload       []byte     // canonical bytes
	Attachments   [][32]byte // SHA-256 of each, in the order they were added
	Digest        [32]byte
	Reason        string
	EffectiveFrom time.Time // UTC
	Maker         string    // opaque id of the actor
	ProposedAt    time.Time
	State         State
}

const maxReasonBytes = 2000

// Propose makes a change from what a maker sent: it makes the payload canonical
// and fixes the digest.
func Propose(change Change, document []byte) (Change, error) {
	if err := saysWhy(change.Reason); err != nil {
		return Change{}, err
	}
	payload, err := auditlog.CanonicalJSON(document)
	if err != nil {
		return Change{}, err
	}
	change.Payload = payload
	change.EffectiveFrom = change.EffectiveFrom.UTC()
	change.Digest = change.digest()
	change.State = StateProposed
	return change, nil
}

// digest covers what a checker decides on. Lengths separate the parts; with attachments
// it is of another version, so that none can pass for something else.
func (c Change) digest() (out [32]byte) {
	h := sha256.New()
	version := "tollbook change v1"
	if len(c.Attachments) > 0 {
		version = "tollbook change v2"
	}
	parts := [][]byte{[]byte(version), []byte(c.Kind), c.Payload, []byte(c.EffectiveFrom.UTC().Format(time.RFC3339Nano)), []byte(c.Reason)}
	for i := range c.Attachments {
		parts = append(parts, c.Attachments[i][:])
	}
	for _, part := range parts {
		n := len(part)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write(part)
	}
	h.Sum(out[:0])
	return out
}

// ErrDigest reports a change whose content is not what its digest says.
var ErrDigest = fault.New(fault.KindConflict, "digest_changed", "The change is not what was proposed; propose it again.")

// Revise returns the change with what its maker edited, which is another content: nothing
// that was decided about it before counts.
func (c Change) Revise(document []byte, reason string, effective time.Time, attachments [][32]byte) (Change, error) {
	if c.State != StateProposed {
		return Change{}, fault.New(fault.KindConflict, "change_state", "A "+string(c.State)+" change cannot be edited any more. Propose another one.")
	}
	next := c
	next.Reason, next.EffectiveFrom, next.Attachments = reason, effective, attachments
	next, err := Propose(next, document)
	if err == nil && next.Digest == c.Digest {
		err = fault.Invalid("payload", "change_same", "Nothing is different from what was proposed.")
	}
	return next, err
}

// Waits says that nobody has decided yet.
func (c Change) Waits() bool { return c.State == StateProposed }

// Move returns the change in its next state, refusing moves that do not exist and
// content that differs from its digest.
func (c Change) Move(to State) (Change, error) {
	if c.digest() != c.Digest {
		return Change{}, ErrDigest
	}
	ok := (c.State == StateProposed && (to == StateApproved || to == StateRejected || to == StateExpired)) ||
		(c.State == StateApproved && to == StateApplied)
	if !ok {
		return Change{}, fault.New(fault.KindConflict, "change_state", "A "+string(c.State)+" change cannot become "+string(to)+".")
	}
	c.State = to
	return c, nil
}
