package attribution

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// Rules are a tenant's rules in the order in which they are asked.
type Rules struct {
	Rules []Rule `json:"rules"`
}

// Rule charges what meets all its conditions to one node or, in parts, to several. One
// without conditions charges everything that comes to it.
type Rule struct {
	Code string      `json:"code"` // stable: rows name it
	Name string      `json:"name"`
	When []Condition `json:"when"`
	To   []Part      `json:"to"`
}

// Part is a node's share of what a rule charges. Who writes rules may name the node by
// its code; what is stored names it by its id, which no recoding changes.
type Part struct {
	Node id.Node `json:"node,omitzero"`
	Code string  `json:"code,omitempty"`
	PPM  int64   `json:"ppm"`
}

// Bounds of a tenant's rules.
const (
	MaxRules         = 500
	MaxConditions    = 20
	MaxParts         = 20
	maxAllValues     = 10_000 // of all conditions together
	MaxDocumentBytes = 256 << 10
	maxNameBytes     = 200
)

var codeForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

var errDocument = fault.Invalid("rules", "rules_syntax",
	`Rules are {"rules":[{"code":"…","name":"…","when":[{"field":"model","is":["claude-haiku-*"]}],"to":[{"code":"CC-1","ppm":1000000}]}]}, in at most %d KiB.`, MaxDocumentBytes>>10)

// Parse reads rules and checks everything but the nodes they name.
func Parse(document []byte) (Rules, error) {
	if len(document) > MaxDocumentBytes {
		return Rules{}, errDocument
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	var r Rules
	if err := decoder.Decode(&r); err != nil {
		return Rules{}, errDocument.Because(fmt.Errorf("decode rules: %w", err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Rules{}, errDocument
	}
	return r, r.Check()
}

// Document is the rules as they are stored and hashed.
func (r *Rules) Document() ([]byte, error) {
	plain := Rules{Rules: slices.Clone(r.Rules)}
	if plain.Rules == nil {
		plain.Rules = []Rule{}
	}
	for i := range plain.Rules {
		if plain.Rules[i].When == nil {
			plain.Rules[i].When = []Condition{}
		}
	}
	document, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("encode rules: %w", err)
	}
	return document, nil
}

// Check refuses rules that could not be asked: too many, two of one code, a condition
// that means nothing, parts that are not a whole.
func (r *Rules) Check() error {
	if len(r.Rules) > MaxRules {
		return fault.Invalid("rules", "rules_many", "There are at most %d rules; these are %d.", MaxRules, len(r.Rules))
	}
	seen := map[string]int{}
	values := 0
	for i := range r.Rules {
		rule := &r.Rules[i]
		for j := range rule.When {
			values += len(rule.When[j].Is)
		}
		if values > maxAllValues {
			return fault.Invalid(fmt.Sprintf("rules[%d].when", i), "rules_values", "All conditions together have at most %d values.", maxAllValues)
		}
		if err := rule.check(fmt.Sprintf("rules[%d]", i)); err != nil {
			return err
		}
		if before, twice := seen[rule.Code]; twice {
			return fault.Invalid(fmt.Sprintf("rules[%d].code", i), "rule_code_twice", "Rules %d and %d both have the code %s.", before+1, i+1, rule.Code)
		}
		seen[rule.Code] = i
	}
	return nil
}

func (r *Rule) check(where string) error {
	switch {
	case !codeForm.MatchString(r.Code):
		return fault.Invalid(where+".code", "rule_code", "A rule's code is 1 to 40 letters, digits, dots, dashes or underscores; %.60q is not.", r.Code)
	case strings.TrimSpace(r.Name) == "" || len(r.Name) > maxNameBytes || !plain(r.Name):
		return fault.Invalid(where+".name", "rule_name", "Rule %s needs a name of 1 to %d printable bytes.", r.Code, maxNameBytes)
	case len(r.When) > MaxConditions:
		return fault.Invalid(where+".when", "rule_conditions", "Rule %s has %d conditions; at most %d are allowed.", r.Code, len(r.When), MaxConditions)
	case len(r.To) == 0 || len(r.To) > MaxParts:
		return fault.Invalid(where+".to", "rule_parts", "Rule %s charges 1 to %d nodes.", r.Code, MaxParts)
	}
	for i := range r.When {
		if err := r.When[i].check(fmt.Sprintf("%s.when[%d]", where, i)); err != nil {
			return err
		}
	}
	var whole int64
	for i, p := range r.To {
		at := fmt.Sprintf("%s.to[%d]", where, i)
		if p.Node.IsZero() == (p.Code == "") {
			return fault.Invalid(at, "rule_node", "Rule %s names each node by its code or by its id.", r.Code)
		}
		if p.PPM < 1 || p.PPM > usage.Whole {
			return fault.Invalid(at, "rule_share", "Rule %s: a share is from 1 to 1,000,000 parts per million, not %d.", r.Code, p.PPM)
		}
		whole += p.PPM
		if slices.ContainsFunc(r.To[:i], func(q Part) bool { return q.Node == p.Node && q.Code == p.Code }) {
			return fault.Invalid(at, "rule_node_twice", "Rule %s charges one node twice.", r.Code)
		}
	}
	if whole != usage.Whole {
		return fault.Invalid(where+".to", "rule_whole", "The shares of rule %s come to %d parts per million; a whole is 1,000,000.", r.Code, whole)
	}
	return nil
}

// Resolve names every node by its id, as the tree of the effective instant has it, and
// refuses what is not there then.
func (r *Rules) Resolve(tree *hierarchy.Tree) error {
	for i := range r.Rules {
		rule := &r.Rules[i]
		rule.To = slices.Clone(rule.To)
		for j := range rule.To {
			p := &rule.To[j]
			at := fmt.Sprintf("rules[%d].to[%d]", i, j)
			v, there := tree.Node(p.Node)
			name := p.Node.String()
			if p.Code != "" {
				v, there = tree.Code(p.Code)
				name = p.Code
			}
			if !there {
				return fault.Invalid(at, "rule_node_absent", "Rule %s: no node %.60q is there at the time the rules take effect.", rule.Code, name)
			}
			p.Node, p.Code = v.Node, ""
			if slices.ContainsFunc(rule.To[:j], func(q Part) bool { return q.Node == p.Node }) {
				return fault.Invalid(at, "rule_node_twice", "Rule %s charges one node twice.", rule.Code)
			}
		}
	}
	return nil
}

// Find gives a rule by its code, and its place.
func (r *Rules) Find(code string) (*Rule, int) {
	i := slices.IndexFunc(r.Rules, func(one Rule) bool { return one.Code == code })
	if i < 0 {
		return nil, -1
	}
	return &r.Rules[i], i
}

// Warning is a rule that can decide nothing.
type Warning struct {
	Code string
	By   string // the rule before it that takes all it would; empty: its own conditions exclude each other
}

// Warnings finds rules that can never fire. It may miss some; what it names is certain.
func (r *Rules) Warnings() []Warning {
	var list []Warning
	for i := range r.Rules {
		rule := &r.Rules[i]
		if rule.contradicts() {
			list = append(list, Warning{Code: rule.Code})
			continue
		}
		for j := range i {
			if r.Rules[j].takes(rule) {
				list = append(list, Warning{Code: rule.Code, By: r.Rules[j].Code})
				break
			}
		}
	}
	return list
}

// takes says whether whatever meets the other rule meets this one, too.
func (r *Rule) takes(other *Rule) bool {
	return !slices.ContainsFunc(r.When, func(mine Condition) bool {
		return !slices.ContainsFunc(other.When, func(c Condition) bool { return mine.covers(&c) })
	})
}

// contradicts says whether two conditions on one field leave nothing.
func (r *Rule) contradicts() bool {
	for i := range r.When {
		for j := range i {
			if r.When[i].excludes(&r.When[j]) {
				return true
			}
		}
	}
	return false
}

func (c *Condition) excludes(other *Condition) bool {
	if c.Field != other.Field || c.Tag != other.Tag {
		return false
	}
	if c.Field == FieldHours || c.Field == FieldWeekdays {
		return c.mask()&other.mask() == 0
	}
	return !slices.ContainsFunc(c.Is, func(a string) bool {
		return slices.ContainsFunc(other.Is, func(b string) bool { return within(a, b) || within(b, a) })
	})
}
