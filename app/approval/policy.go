package approval

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
)

// Policies is a company's whole say about who decides: the first that fits a change is
// the one it is held to, for good.
type Policies struct {
	List []Policy `json:"policies"`
	// BaseVersion is the version the list was made on, where its maker says so: another one in
	// force then means that somebody decided about the policies since.
	BaseVersion *int `json:"base_version,omitempty"`
}

// Policy says who decides about changes of some kinds, in which steps.
type Policy struct {
	Code string `json:"code"`
	// Kinds are the kinds it is for; AnyKind is all of them.
	Kinds []string `json:"kinds"`
	// AtLeast is the charge moved, in dollars, from which on it is for a change; empty for any.
	AtLeast string `json:"at_least,omitempty"`
	// Subtree is the node at or below which a change has to touch something; zero for anywhere. A
	// policy that asks nobody is only for what lies there whole.
	Subtree id.Node `json:"subtree,omitzero"`
	// Steps are decided in their order, or side by side. Without any nobody decides: a
	// change is applied as it is proposed.
	Steps    []Step `json:"steps"`
	Parallel bool   `json:"parallel,omitempty"`
	// Days until a change that nobody decided expires, until its deciders are reminded, and
	// until others are asked as well. Zero days never remind and never escalate.
	ExpireDays   int        `json:"expire_days"`
	RemindDays   int        `json:"remind_days,omitempty"`
	EscalateDays int        `json:"escalate_days,omitempty"`
	EscalateTo   []Approver `json:"escalate_to,omitempty"`
	// FreshSignIn asks each decider to sign in again, for the decision alone.
	FreshSignIn bool `json:"fresh_sign_in,omitempty"`
}

// Step is one step of a policy: so many persons of these.
type Step struct {
	Name   string     `json:"name"`
	Quorum int        `json:"quorum"`
	Who    []Approver `json:"who"`
}

// Approver is who may decide a step: a role, the owners of what a change touches, or one
// member. Exactly one is set.
type Approver struct {
	Role   string    `json:"role,omitempty"`
	Owner  bool      `json:"owner,omitempty"`
	Member id.Member `json:"member,omitzero"`
	// Anyone is everybody whom the access matrix lets approve: of the policy without a company's say.
	Anyone bool `json:"anyone,omitempty"`
}

// AnyKind is every kind there is, in a policy's list.
const AnyKind = "*"

// Floor is the least that has to be asked for a kind, whatever a company's policies say.
type Floor int

// The floors.
const (
	FloorNone   Floor = iota // nobody decides unless a policy says so
	FloorSecond              // a second person, or the only one who may
	FloorPair                // a second person, even where there is none: nothing happens until there is
)

// RuleDefault is the code of the policy for what no company's policy fits.
const RuleDefault = "default"

const (
	maxPolicies     = 100
	maxSteps        = 5
	maxApprovers    = 20
	maxQuorum       = 10
	maxDays         = 365
	defaultExpire   = 30
	defaultRemind   = 3
	defaultEscalate = 7
)

// Default is the policy of a kind that no company's policy fits.
func Default(floor Floor) Policy {
	p := Policy{Code: RuleDefault, Kinds: []string{AnyKind}, ExpireDays: defaultExpire, RemindDays: defaultRemind}
	if floor != FloorNone {
		p.Steps = []Step{{Name: "Approval", Quorum: 1, Who: []Approver{{Anyone: true}}}}
	}
	return p
}

var codeForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// ParsePolicies reads a company's policies and refuses what could not be decided by, or
// asks less than a kind's floor. Known are the kinds there are, with their floors.
func ParsePolicies(document []byte, known map[string]Floor, roles []string) (Policies, error) {
	var p Policies
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return Policies{}, fault.Invalid("payload", "policies_syntax", `The payload is {"policies":[…]} as the API describes it: %.200s`, err.Error())
	}
	if decoder.More() {
		return Policies{}, fault.Invalid("payload", "policies_syntax", "There is something behind the policies.")
	}
	if len(p.List) > maxPolicies {
		return Policies{}, fault.Invalid("policies", "policies_many", "There may be at most %d policies.", maxPolicies)
	}
	seen := map[string]bool{}
	for i := range p.List {
		one := &p.List[i]
		if seen[one.Code] {
			return Policies{}, fault.Invalid("policies", "policy_twice", "Policy %q is there twice.", one.Code)
		}
		seen[one.Code] = true
		if err := one.validate(known, roles); err != nil {
			return Policies{}, err
		}
	}
	return p, nil
}

func (p *Policy) validate(known map[string]Floor, roles []string) error {
	switch {
	case !codeForm.MatchString(p.Code) || p.Code == RuleDefault:
		return fault.Invalid("code", "policy_code", "A policy's code is 1 to 40 small letters, digits, dashes or underscores, and not %q; %.60q is not.", RuleDefault, p.Code)
	case len(p.Kinds) == 0 || len(p.Kinds) > len(known):
		return fault.Invalid("kinds", "policy_kinds", "Policy %s names the kinds it is for, or %q.", p.Code, AnyKind)
	case p.FreshSignIn && len(p.Steps) == 0:
		return fault.Invalid("fresh_sign_in", "policy_fresh", "Policy %s asks for a fresh sign-in, and nobody decides by it: give it a step.", p.Code)
	case len(p.Steps) > maxSteps:
		return fault.Invalid("steps", "policy_steps", "Policy %s has more than %d steps.", p.Code, maxSteps)
	case p.ExpireDays < 1 || p.ExpireDays > maxDays:
		return fault.Invalid("expire_days", "policy_days", "In policy %s a change expires after 1 to %d days.", p.Code, maxDays)
	case p.RemindDays < 0 || p.RemindDays > p.ExpireDays || p.EscalateDays < 0 || p.EscalateDays > p.ExpireDays:
		return fault.Invalid("remind_days", "policy_days", "In policy %s reminders and escalation come before a change expires.", p.Code)
	case (p.EscalateDays > 0) != (len(p.EscalateTo) > 0):
		return fault.Invalid("escalate_to", "policy_escalation", "Policy %s says after how many days others are asked, and who.", p.Code)
	}
	if cents, err := money.ParseCents(p.AtLeast); p.AtLeast != "" && (err != nil || cents < 0) {
		return fault.Invalid("at_least", "policy_amount", "In policy %s the amount is dollars with two decimals, such as 1000.00.", p.Code)
	}
	if err := p.floors(known); err != nil {
		return err
	}
	return p.validateSteps(roles)
}

func (p *Policy) validateSteps(roles []string) error {
	if err := validateWho(p.Code, p.EscalateTo, roles); err != nil {
		return err
	}
	for _, s := range p.Steps {
		if s.Quorum < 1 || s.Quorum > maxQuorum || len(s.Name) == 0 || len(s.Name) > 100 {
			return fault.Invalid("steps", "policy_step", "A step of policy %s has a name of at most 100 bytes and asks 1 to %d persons.", p.Code, maxQuorum)
		}
		if len(s.Who) == 0 {
			return fault.Invalid("steps", "policy_who", "Step %q of policy %s names nobody who decides.", s.Name, p.Code)
		}
		if err := validateWho(p.Code, s.Who, roles); err != nil {
			return err
		}
	}
	return nil
}

// floors refuses kinds that are not there, and a policy without steps for a kind that
// somebody has to decide about.
func (p *Policy) floors(known map[string]Floor) error {
	for _, kind := range p.Kinds {
		floor, ok := known[kind]
		if kind != AnyKind && !ok {
			return fault.Invalid("kinds", "kind_unknown", "Policy %s is for changes of kind %.40q, which there are none of.", p.Code, kind)
		}
		if len(p.Steps) == 0 && (kind == AnyKind || floor != FloorNone) {
			return fault.Invalid("steps", "policy_floor", "Policy %s needs a step: somebody has to decide about changes of kind %s.", p.Code, kind)
		}
	}
	return nil
}

func validateWho(policy string, list []Approver, roles []string) error {
	if len(list) > maxApprovers {
		return fault.Invalid("who", "policy_who", "Policy %s names more than %d who decide one step.", policy, maxApprovers)
	}
	for _, w := range list {
		set := 0
		for _, is := range []bool{w.Role != "", w.Owner, !w.Member.IsZero()} {
			if is {
				set++
			}
		}
		if set != 1 || w.Anyone {
			return fault.Invalid("who", "policy_who", "In policy %s who decides is a role, the owner or a member: one of them.", policy)
		}
		if w.Role != "" && !slices.Contains(roles, w.Role) {
			return fault.Invalid("who", "policy_role", "In policy %s the role %.40q may not approve. Those that may: %v.", policy, w.Role, roles)
		}
	}
	return nil
}

// Fits is the first policy that is for a change, else the default of its floor. Within
// says whether something the change touches, and whether all of it, lies at or below a node.
func (p Policies) Fits(kind string, floor Floor, impact *Impact, within func(id.Node) (some, all bool)) Policy {
	for i := range p.List {
		one := &p.List[i]
		if !slices.Contains(one.Kinds, kind) && !slices.Contains(one.Kinds, AnyKind) {
			continue
		}
		if len(one.Steps) == 0 && floor != FloorNone { // a kind that got its floor later
			continue
		}
		if one.AtLeast != "" {
			cents, err := money.ParseCents(one.AtLeast)
			var least, moved money.Sum
			least.AddCents(cents)
			moved.AddSum(&impact.Moved)
			moved.AddSum(&impact.Beside)
			if err != nil || moved.Cmp(&least) < 0 {
				continue
			}
		}
		if !one.Subtree.IsZero() {
			if some, all := within(one.Subtree); !some || (!all && len(one.Steps) == 0) {
				continue
			}
		}
		return *one
	}
	return Default(floor)
}

// ExpiresAt is when a change proposed at an instant expires.
func (p *Policy) ExpiresAt(proposed time.Time) time.Time { return proposed.AddDate(0, 0, p.ExpireDays) }

// Escalated says whether those whom a policy asks late may decide by now.
func (p *Policy) Escalated(proposed, now time.Time) bool {
	return p.EscalateDays > 0 && !now.Before(proposed.AddDate(0, 0, p.EscalateDays))
}

// Name says whether any policy that asks somebody is for a kind, whatever the amount.
func (p Policies) Name(kind string) bool {
	return slices.ContainsFunc(p.List, func(one Policy) bool {
		return len(one.Steps) > 0 && (slices.Contains(one.Kinds, kind) || slices.Contains(one.Kinds, AnyKind))
	})
}

// Differ counts the policies, by their codes, that others add, change and end.
func (p Policies) Differ(next Policies) (added, changed, ended int) {
	was := map[string]Policy{}
	for _, one := range p.List {
		was[one.Code] = one
	}
	for _, one := range next.List {
		before, there := was[one.Code]
		switch {
		case !there:
			added++
		case !reflect.DeepEqual(before, one):
			changed++
		}
		delete(was, one.Code)
	}
	return added, changed, len(was)
}
