package erp

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/export"
)

// The sources: what of ours a rule looks at. A field that several sources have a rule for
// is filled by the first of them, in this order.
const (
	SourceNode           = "node"
	SourceProject        = "project"
	SourceDepartment     = "department"
	SourceClass          = "class"
	SourceLocation       = "location"
	SourceAccount        = "account" // the GL account
	SourceKind           = "kind"    // of account
	SourceCapitalization = "capitalization"
	SourcePartner        = "partner"
	SourceEntity         = "entity"
	SourcePeriod         = "period" // YYYY-MM
	SourceCurrency       = "currency"
	SourceAlways         = "always"
)

// Sources lists them in their order.
func Sources() []string {
	return []string{
		SourceNode, SourceProject, SourceDepartment, SourceClass, SourceLocation, SourceAccount, SourceKind, SourceCapitalization, SourcePartner, SourceEntity,
		SourcePeriod, SourceCurrency, SourceAlways,
	}
}

// Any as a rule's code stands for whatever has no rule of its own; as its value, for the code itself.
const Any = "*"

// Rule says what one of ours is called in one field of theirs, from a day until another.
type Rule struct {
	Field         string
	Source        string
	Code          string // empty with SourceAlways
	Value         string
	EffectiveFrom time.Time // a UTC day; zero: ever
	EffectiveTo   time.Time // a UTC day, exclusive; zero: on
}

func (r *Rule) covers(at time.Time) bool {
	return !at.Before(r.EffectiveFrom) && (r.EffectiveTo.IsZero() || at.Before(r.EffectiveTo))
}

func (r *Rule) overlaps(other *Rule) bool {
	return (r.EffectiveTo.IsZero() || other.EffectiveFrom.Before(r.EffectiveTo)) && (other.EffectiveTo.IsZero() || r.EffectiveFrom.Before(other.EffectiveTo))
}

// Mapping is what one system of a tenant calls things.
type Mapping struct {
	System string // name of a format
	Rules  []Rule
}

// maxRules bounds a mapping.
const maxRules = 50_000

// facts are a line's values by source, in the order of Sources.
type facts [13]string

// looked is a mapping as of one day, by field, source and code. It knows of the fields and
// sources of every rule, of the codes of those that hold on the day: that a field's rules
// have all ended is no reason to leave it empty.
type looked struct {
	at    time.Time
	rules map[string]*[13]map[string]string
}

func (m *Mapping) as(at time.Time) *looked {
	out := &looked{at: at, rules: map[string]*[13]map[string]string{}}
	sources := Sources()
	for i := range m.Rules {
		r := &m.Rules[i]
		place := slices.Index(sources, r.Source)
		if place < 0 {
			continue
		}
		by := out.rules[r.Field]
		if by == nil {
			by = &[13]map[string]string{}
			out.rules[r.Field] = by
		}
		if by[place] == nil {
			by[place] = map[string]string{}
		}
		if r.covers(at) {
			by[place][r.Code] = r.Value
		}
	}
	return out
}

// fillBy makes known which fields lines state by themselves: columns that only some
// mappings have are there for them, too.
func (k *looked) fillBy(j *Journal) {
	for i := range j.Entries {
		for n := range j.Entries[i].Lines {
			for name := range j.Entries[i].Lines[n].Own {
				if k.rules[name] == nil {
					k.rules[name] = &[13]map[string]string{}
				}
			}
		}
	}
}

// find is the value of a field for facts. Spoken says that the mapping fills the field for
// somebody, be it not for these.
func (k *looked) find(field string, of *facts) (value string, found, spoken bool) {
	by := k.rules[field]
	if by == nil {
		return "", false, false
	}
	last := len(of) - 1 // always
	for i, codes := range by {
		code := of[i]
		if codes == nil || (code == "" && i != last) {
			continue
		}
		value, found = codes[code]
		if !found {
			value, found = codes[Any]
		}
		if found {
			if value == Any {
				value = code
			}
			return value, true, true
		}
	}
	return "", false, true
}

// places says whether a field goes by where a line belongs: by its node or what that has.
func (k *looked) places(field string) bool {
	by := k.rules[field]
	if by == nil {
		return false
	}
	location := slices.Index(Sources(), SourceLocation)
	return slices.ContainsFunc(by[:location+1], func(codes map[string]string) bool { return codes != nil })
}

// named lists the fields whose names begin so, in order.
func (k *looked) named(open string) []string {
	var names []string
	for name := range k.rules {
		if strings.HasPrefix(name, open) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// subject names what a rule would have to be written for: the first source the mapping
// speaks of for the field, else those that are its natural ones.
func (k *looked) subject(field string, of *facts, natural ...string) string {
	sources := Sources()
	if by := k.rules[field]; by != nil {
		for i, codes := range by {
			if codes != nil && of[i] != "" {
				return sources[i] + " " + of[i]
			}
		}
	}
	for _, source := range natural {
		if code := of[slices.Index(sources, source)]; code != "" {
			return source + " " + code
		}
	}
	return "every journal"
}

// Validate finds what is wrong with a mapping by itself. Lines are places of rules, from 1.
func (m *Mapping) Validate() []Problem {
	var p problems
	format, err := ByName(m.System)
	if err != nil {
		p.add(Problem{Field: "system", Code: "system", Message: fmt.Sprintf("%.40q is no system of exports: %s.", m.System, strings.Join(Names(), ", "))})
		return p.list
	}
	if len(m.Rules) > maxRules {
		p.add(Problem{Code: "rules", Message: fmt.Sprintf("A mapping has at most %d rules.", maxRules)})
		return p.list
	}
	earlier := map[[3]string][]int{}
	for i := range m.Rules {
		r := &m.Rules[i]
		for _, fault := range r.faults(format) {
			fault.Line = i + 1
			p.add(fault)
		}
		key := [3]string{r.Field, r.Source, r.Code}
		for _, before := range earlier[key] {
			if m.Rules[before].overlaps(r) {
				p.add(Problem{Line: i + 1, Field: "effective_from", Code: "overlap", Message: fmt.Sprintf("The rule %d fills the same field for the same code on some of these days.", before+1)})
				break
			}
		}
		if earlier[key] = append(earlier[key], i); len(earlier[key]) > maxSpans {
			p.add(Problem{Line: i + 1, Field: "code", Code: "spans", Message: fmt.Sprintf("A code has at most %d rules of one field over time.", maxSpans)})
			return p.list
		}
	}
	return p.list
}

// maxSpans bounds the rules of one code in one field.
const maxSpans = 200

func (r *Rule) faults(format Format) []Problem {
	var found []Problem
	tell := func(field, code, message string, args ...any) {
		found = append(found, Problem{Field: field, Code: code, Message: fmt.Sprintf(message, args...)})
	}
	if !format.knows(r.Field) {
		tell("field", "field", "%.60q is no field of %s: %s.", r.Field, format.Name, format.known())
	}
	if !slices.Contains(Sources(), r.Source) {
		tell("source", "source", "%.60q is no source: %s.", r.Source, strings.Join(Sources(), ", "))
	}
	switch {
	case r.Value == "":
		tell("value", "value", "A rule names a value; %s is the code itself.", Any)
	case export.Formula(r.Value):
		tell("value", "formula", "A spreadsheet would take %.40q for a formula.", r.Value)
	}
	if r.Source == SourceAlways {
		found = append(found, r.alwaysFaults()...)
	} else if r.Code == "" {
		tell("code", "code", "A rule names the code it is for; %s is for all that have no rule of their own.", Any)
	}
	for _, text := range [][2]string{{"field", r.Field}, {"code", r.Code}, {"value", r.Value}} {
		if !plain(text[1]) {
			tell(text[0], "text", "A text is UTF-8 on one line, without control characters, at most %d characters.", maxText)
		}
	}
	if f, ok := format.field(r.Field); ok && r.Value != Any {
		if message := f.refuses(r.Value); message != "" {
			tell("value", "value", "%s", message)
		}
	}
	if (!r.EffectiveFrom.IsZero() && !day(r.EffectiveFrom)) || (!r.EffectiveTo.IsZero() && !day(r.EffectiveTo)) || (!r.EffectiveTo.IsZero() && !r.EffectiveTo.After(r.EffectiveFrom)) {
		tell("effective_to", "effective", "A rule holds from a UTC day until a later one.")
	}
	return found
}

func (r *Rule) alwaysFaults() []Problem {
	var found []Problem
	if r.Code != "" {
		found = append(found, Problem{Field: "code", Code: "code", Message: "A rule that holds always has no code."})
	}
	if r.Value == Any {
		found = append(found, Problem{Field: "value", Code: "value", Message: "A rule that holds always has no code that its value could be."})
	}
	return found
}
