package closing

import (
	"bytes"
	"slices"

	"tollbook/app/id"
)

// Part is what a signature says its signer did.
type Part string

// The parts.
const (
	Prepared Part = "prepared"
	Reviewed Part = "reviewed"
)

// Signature is a person's for a step's figures.
type Signature struct {
	Place  int // within the month
	Step   Step
	Part   Part
	Of     int // the preparation that was reviewed
	Person id.Person
	Digest []byte
	Fell   bool // it was noted that it counts no more
}

// State is where a step stands.
type State string

// The states of a step.
const (
	Waiting  State = "waiting"  // for a step before it
	Blocked  State = "blocked"  // something is in its way
	Ready    State = "ready"    // to be prepared
	Signed   State = "prepared" // to be reviewed
	Done     State = "done"
	Waived   State = "waived"
	NotAsked State = "later" // it is what comes with shutting the month
)

// Over tells whether nothing more has to be done about the step.
func (s State) Over() bool { return s == Done || s == Waived }

// Standing is where one step stands.
type Standing struct {
	Definition

	Facts    Facts
	State    State
	Prepared int   // the place of the preparation that counts; 0: none
	Reviewed int   // and of its review
	Falling  []int // places of signatures that count no more and are not noted as such
	Fell     bool  // it was signed, and has to be signed again
}

// Now is what a checklist is worked out from.
type Now struct {
	Facts      map[Step]Facts
	Digests    map[Step][]byte // of their canonical bytes
	Signatures []Signature     // of this revision, in their order
	Waived     map[Step]bool
	Shut       bool // the month is
	Closed     bool // and closed
	Witnessed  bool // somebody outside has seen that it is
}

// Work is the checklist.
func (n *Now) Work() []Standing {
	over := map[Step]bool{}
	list := make([]Standing, 0, len(Definitions()))
	for _, d := range Definitions() {
		s := Standing{Definition: d, Facts: n.Facts[d.Step]}
		n.signatures(&s)
		s.State = n.state(&s, over)
		over[d.Step] = s.State.Over()
		list = append(list, s)
	}
	return list
}

// over tells whether a step's stage lies behind the month: what was signed for it stands, as
// the month could not have moved on otherwise, and figures that come later are another month's.
func (n *Now) over(d *Definition) bool {
	return (d.Stage == ToLock && n.Shut) || (d.Stage == ToClose && n.Closed)
}

// signatures finds which still count: a preparation of the figures as they are, and a review
// of that preparation by somebody else.
func (n *Now) signatures(s *Standing) {
	prepared := map[int]Signature{}
	for _, sign := range n.Signatures {
		if sign.Step != s.Step {
			continue
		}
		counts := !sign.Fell && (n.over(&s.Definition) || bytes.Equal(sign.Digest, n.Digests[s.Step]))
		if sign.Part == Reviewed {
			of, there := prepared[sign.Of]
			counts = counts && there && of.Person != sign.Person
		}
		switch {
		case counts && sign.Part == Prepared:
			prepared[sign.Place] = sign
			s.Prepared, s.Reviewed = sign.Place, 0
		case counts:
			s.Reviewed = sign.Place
		default:
			s.Fell = true
			if !sign.Fell && !n.over(&s.Definition) {
				s.Falling = append(s.Falling, sign.Place)
			}
		}
	}
	s.Fell = s.Fell && s.Reviewed == 0
}

func (n *Now) state(s *Standing, over map[Step]bool) State {
	switch {
	case s.Stage == Shuts:
		return n.shutting(s.Step)
	case n.Waived[s.Step]:
		return Waived
	case n.over(&s.Definition):
		return Done
	case s.Stage == ToClose && !n.Shut:
		return NotAsked
	case slices.ContainsFunc(s.After, func(before Step) bool { return !over[before] }):
		return Waiting
	case len(s.Facts.Blocks) > 0:
		return Blocked
	case !s.Signed() || s.Reviewed != 0:
		return Done
	case s.Prepared != 0:
		return Signed
	}
	return Ready
}

func (n *Now) shutting(step Step) State {
	switch {
	case step == StepLock && n.Shut, step == StepCheckpoint && n.Witnessed:
		return Done
	case step == StepCheckpoint && n.Shut:
		return Blocked
	}
	return NotAsked
}

// Open are what keeps the month from moving on: each step that is asked for before and not
// over, with what is in its way. What is unexplained keeps a month from being closed, too, also
// where it came up after it was locked.
func Open(list []Standing, stage Stage) []Block {
	var blocks []Block
	for i := range list {
		s := &list[i]
		if stage == ToClose && s.Step == StepUnexplained {
			blocks = append(blocks, s.Facts.Blocks...)
		}
		if s.Stage != stage || s.State.Over() {
			continue
		}
		blocks = append(blocks, s.Facts.Blocks...)
		switch s.State {
		case Ready:
			blocks = append(blocks, Block{"unsigned", "Nobody has prepared it.", s.Step})
		case Signed:
			blocks = append(blocks, Block{"unreviewed", "Nobody has reviewed it.", s.Step})
		case Waiting:
			if len(s.Facts.Blocks) == 0 {
				blocks = append(blocks, Block{"waits", "A step before it is not done.", s.Step})
			}
		case Blocked, Done, Waived, NotAsked:
		}
	}
	return blocks
}

// Progress is how many of the steps that somebody is asked for are over: those before a month
// is locked, and from then on those before it is closed as well.
func Progress(list []Standing) (over, all int) {
	for i := range list {
		if list[i].Stage == Shuts || list[i].State == NotAsked {
			continue
		}
		all++
		if list[i].State.Over() {
			over++
		}
	}
	return over, all
}
