package attribution

import (
	"strings"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// Program is a version of a tenant's rules, made ready on a tree. It is made and asked
// for credentials by one goroutine; what For gives may be asked by many.
type Program struct {
	version int64
	steps   []step
	known   map[string][]step // what For gave, by which rules are in it
}

// Version is that of the rules; 0 where there are none.
func (p *Program) Version() int64 {
	if p == nil {
		return 0
	}
	return p.version
}

// step is one rule, ready.
type step struct {
	credential []matcher
	request    []matcher
	answer     Answer
}

// Compile makes a version of rules ready. Version and change are what answers carry. A
// share of a node that the tree has not goes to suspense; a rule for which there is not
// even that is left out, so that everything still gets an answer.
func (r *Rules) Compile(tree *hierarchy.Tree, version int64, change id.Change) (*Program, error) {
	p := &Program{version: version, known: map[string][]step{}}
	for i := range r.Rules {
		rule := &r.Rules[i]
		answer, placed, err := rule.place(tree)
		if err != nil {
			return nil, err
		}
		if !placed {
			continue
		}
		answer.Version, answer.Change = version, change
		one := step{answer: answer}
		for j := range rule.When {
			if c := &rule.When[j]; c.ofCredential() {
				one.credential = append(one.credential, c.matcher())
			} else {
				one.request = append(one.request, c.matcher())
			}
		}
		p.steps = append(p.steps, one)
	}
	return p, nil
}

// place is the answer of a rule that fires.
func (r *Rule) place(tree *hierarchy.Tree) (Answer, bool, error) {
	answer := Answer{Rule: RuleBasis(r.Code)}
	var codes []string
	var lost int64
	suspense, kept := tree.Code(hierarchy.SuspenseCode)
	for _, part := range r.To {
		if _, there := tree.Node(part.Node); !there {
			lost += part.PPM
			continue
		}
		placement, err := tree.Place(part.Node)
		if err != nil {
			return Answer{}, false, err
		}
		if part.Node == suspense.Node && kept {
			lost += part.PPM // one share, whatever brings it there
			continue
		}
		answer.Shares = append(answer.Shares, usage.Share{Placement: placement.ID, PPM: part.PPM})
		codes = append(codes, placement.Path[len(placement.Path)-1])
	}
	if lost > 0 {
		if !kept {
			return Answer{}, false, nil
		}
		placement, err := tree.Place(suspense.Node)
		if err != nil {
			return Answer{}, false, err
		}
		answer.Shares = append(answer.Shares, usage.Share{Placement: placement.ID, PPM: lost})
		codes = append(codes, hierarchy.SuspenseCode)
	}
	if r.absent(tree) {
		answer.Rule += basisAbsent
	}
	answer.Code = strings.Join(codes, ",")
	return answer, true, nil
}

// absent says whether a node it charges is not in the tree.
func (r *Rule) absent(tree *hierarchy.Tree) bool {
	for _, part := range r.To {
		if _, there := tree.Node(part.Node); !there {
			return true
		}
	}
	return false
}

// Asked are the rules that may fire for one credential, in order, up to the first that
// always does.
type Asked struct{ steps []step }

// For leaves out the rules that a credential can never meet. Credentials that may meet
// the same rules share them.
func (p *Program) For(c *Credential) Asked {
	if p == nil {
		return Asked{}
	}
	var which []byte
	var steps []step
	for i := range p.steps {
		s := &p.steps[i]
		if !holdAll(s.credential, c) {
			continue
		}
		which = append(which, byte(i>>8), byte(i))
		steps = append(steps, step{request: s.request, answer: s.answer})
		if len(s.request) == 0 {
			break
		}
	}
	if shared, known := p.known[string(which)]; known {
		return Asked{shared}
	}
	p.known[string(which)] = steps
	return Asked{steps}
}

func holdAll(list []matcher, c *Credential) bool {
	for i := range list {
		if !list[i].holdsFor(c) {
			return false
		}
	}
	return true
}

// First is the answer of the first rule that fires. It allocates nothing.
func (a Asked) First(r *Request) (Answer, bool) {
	for i := range a.steps {
		if s := &a.steps[i]; s.fires(r) {
			return s.answer, true
		}
	}
	return Answer{}, false
}

func (s *step) fires(r *Request) bool {
	for i := range s.request {
		if !s.request[i].holds(r) {
			return false
		}
	}
	return true
}

// Timed says whether the answer may depend on when a request begins.
func (a Asked) Timed() bool {
	for i := range a.steps {
		for j := range a.steps[i].request {
			if f := a.steps[i].request[j].field; f == FieldHours || f == FieldWeekdays {
				return true
			}
		}
	}
	return false
}

// Place gives any request its answer: the first rule that fires, else what Decide says,
// with the version that was asked.
func (p *Program) Place(tree *hierarchy.Tree, facts *Facts) (Answer, error) {
	if answer, fired := p.For(&facts.Credential).First(&facts.Request); fired {
		return answer, nil
	}
	answer, err := Decide(tree, *facts)
	answer.Version = p.Version()
	return answer, err
}
