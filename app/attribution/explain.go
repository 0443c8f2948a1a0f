package attribution

import "strings"

// Explained is what one rule says to some facts.
type Explained struct {
	Rule    *Rule
	Asked   bool // false: a rule before it had decided
	Fired   bool
	Failed  *Condition // the first that does not hold; nil where it fired or was not asked
	Found   string     // what the facts have for it
	Missing bool       // the facts say nothing on it
}

// Explain asks every rule in order and says which condition failed, or that it fired.
func (r *Rules) Explain(facts *Facts) []Explained {
	list := make([]Explained, 0, len(r.Rules))
	decided := false
	for i := range r.Rules {
		one := Explained{Rule: &r.Rules[i], Asked: !decided}
		if one.Asked {
			one.Failed = one.Rule.failed(facts)
			one.Fired = one.Failed == nil
			decided = one.Fired
		}
		if one.Failed != nil {
			one.Found = facts.value(one.Failed)
			one.Missing = one.Found == ""
		}
		list = append(list, one)
	}
	return list
}

func (r *Rule) failed(facts *Facts) *Condition {
	for i := range r.When {
		c := &r.When[i]
		m := c.matcher()
		if (c.ofCredential() && !m.holdsFor(&facts.Credential)) || (!c.ofCredential() && !m.holds(&facts.Request)) {
			return c
		}
	}
	return nil
}

// value is what the facts have for a condition, in words.
func (f *Facts) value(c *Condition) string {
	switch c.Field {
	case FieldKey:
		return f.Key.String()
	case FieldLabel:
		return f.Label
	case FieldVerified:
		if f.Verified {
			return "yes"
		}
		return "no"
	case FieldDomain:
		return f.Domain
	case FieldProject:
		return f.Project
	case FieldRepository:
		return f.Tags[TagRepository]
	case FieldModel:
		return f.Model
	case FieldTag:
		return f.Tags[c.Tag]
	case FieldHours:
		return f.At.UTC().Format("15:04") + " UTC"
	case FieldWeekdays:
		return strings.ToLower(f.At.UTC().Format("Mon"))
	}
	return ""
}
