package attribution

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// Field is what a condition looks at.
type Field string

// The fields. Those of the credential are looked at once for each snapshot.
const (
	FieldKey      Field = "key"          // the virtual key's id
	FieldLabel    Field = "key_label"    // its label
	FieldVerified Field = "verified"     // whether a person signed in for the credential: yes or no
	FieldDomain   Field = "email_domain" // of who signed in

	FieldProject    Field = "project"    // as declared, x-tollbook-project
	FieldRepository Field = "repository" // as declared, the tag "repository"
	FieldModel      Field = "model"      // as requested
	FieldTag        Field = "tag"        // one of x-tollbook-tags
	FieldHours      Field = "hours"      // of the day, UTC
	FieldWeekdays   Field = "weekdays"   // UTC
)

// Fields lists what a condition may look at.
func Fields() []Field {
	return []Field{FieldKey, FieldLabel, FieldVerified, FieldDomain, FieldProject, FieldRepository, FieldModel, FieldTag, FieldHours, FieldWeekdays}
}

// TagRepository is the tag that names the repository: nothing that Claude Code sends by
// itself does.
const TagRepository = "repository"

// Credential is what is known of whoever presents a key, whatever is asked with it.
type Credential struct {
	Key      id.Key
	Label    string // of the key
	Verified bool   // a person signed in for it
	Domain   string // of that person's e-mail address, in small letters
}

// Request is what a request says of itself.
type Request struct {
	Project string
	Model   string
	Tags    map[string]string
	At      time.Time
}

// Condition holds when the field is one of the values. A value ending in * is how others
// begin. Hours are half-open windows such as 22-6; weekdays are mon to sun; verified is
// yes or no.
type Condition struct {
	Field Field    `json:"field"`
	Tag   string   `json:"tag,omitempty"` // the key, of FieldTag
	Is    []string `json:"is"`
}

// Bounds of a condition.
const (
	maxValues     = 50
	maxValueBytes = 256
	maxTagBytes   = 64
)

// check refuses a condition that means nothing; where is how messages name its place.
func (c *Condition) check(where string) error {
	if !slices.Contains(Fields(), c.Field) {
		return fault.Invalid(where, "rule_field", "A condition looks at key, key_label, verified, email_domain, project, repository, model, tag, hours or weekdays, not at %.40q.", string(c.Field))
	}
	if (c.Field == FieldTag) != (c.Tag != "") || len(c.Tag) > maxTagBytes || !plain(c.Tag) {
		return fault.Invalid(where, "rule_tag", "A condition on a tag names it, in 1 to %d printable bytes; no other condition does.", maxTagBytes)
	}
	if len(c.Is) == 0 || len(c.Is) > maxValues {
		return fault.Invalid(where, "rule_values", "A condition has 1 to %d values.", maxValues)
	}
	for _, value := range c.Is {
		if err := c.checkValue(where, value); err != nil {
			return err
		}
	}
	return nil
}

func (c *Condition) checkValue(where, value string) error {
	if value == "" || len(value) > maxValueBytes || !plain(value) {
		return fault.Invalid(where, "rule_value", "A value has 1 to %d printable bytes; * alone is any.", maxValueBytes)
	}
	switch c.Field {
	case FieldKey:
		if key, err := id.ParseKey(value); err != nil || key.IsZero() {
			return fault.Invalid(where, "rule_key", "%.60q is no key's id; it begins with key_. By label, use key_label.", value)
		}
	case FieldVerified:
		if value != "yes" && value != "no" {
			return fault.Invalid(where, "rule_verified", "Whether somebody signed in is yes or no, not %.40q.", value)
		}
	case FieldHours:
		if _, ok := hourMask(value); !ok {
			return fault.Invalid(where, "rule_hours", "Hours are a window such as 9-17 or 22-6, UTC, from 0 to 24 and the end left out; %.40q is not.", value)
		}
	case FieldWeekdays:
		if weekday(value) < 0 {
			return fault.Invalid(where, "rule_weekday", "A weekday is mon, tue, wed, thu, fri, sat or sun, not %.40q.", value)
		}
	case FieldLabel, FieldDomain, FieldProject, FieldRepository, FieldModel, FieldTag:
		if strings.Contains(strings.TrimSuffix(value, "*"), "*") {
			return fault.Invalid(where, "rule_pattern", "A * stands at a value's end alone; %.60q has one elsewhere.", value)
		}
	}
	return nil
}

func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}

// ofCredential says whether the condition is the same for all requests with a credential.
func (c *Condition) ofCredential() bool {
	switch c.Field {
	case FieldKey, FieldLabel, FieldVerified, FieldDomain:
		return true
	case FieldProject, FieldRepository, FieldModel, FieldTag, FieldHours, FieldWeekdays:
	}
	return false
}

// hourMask is a window's hours as bits.
func hourMask(window string) (uint32, bool) {
	first, last, ok := strings.Cut(window, "-")
	from, err := strconv.Atoi(first)
	until, errUntil := strconv.Atoi(last)
	if !ok || err != nil || errUntil != nil || from < 0 || from > 23 || until < 0 || until > 24 || from == until || len(window) > 5 {
		return 0, false
	}
	var mask uint32
	for h := from; h != until%24 || mask == 0; h = (h + 1) % 24 {
		mask |= 1 << h
	}
	return mask, true
}

// weekday is the day's number as time has it, -1 for none.
func weekday(name string) int {
	return slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, name)
}

// mask is a condition on time as bits: hours or weekdays.
func (c *Condition) mask() uint32 {
	var mask uint32
	for _, value := range c.Is {
		if c.Field == FieldHours {
			hours, _ := hourMask(value) // checked
			mask |= hours
		} else {
			mask |= 1 << weekday(value)
		}
	}
	return mask
}

// covers says whether whatever the other condition holds for, this one holds for, too.
func (c *Condition) covers(other *Condition) bool {
	if c.Field != other.Field || c.Tag != other.Tag {
		return false
	}
	if c.Field == FieldHours || c.Field == FieldWeekdays {
		return other.mask()&^c.mask() == 0
	}
	return !slices.ContainsFunc(other.Is, func(value string) bool {
		return !slices.ContainsFunc(c.Is, func(mine string) bool { return within(value, mine) })
	})
}

// within says whether every text a value stands for is one that a pattern stands for.
func within(value, pattern string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	if !open {
		return value == pattern
	}
	return strings.HasPrefix(strings.TrimSuffix(value, "*"), prefix)
}

// matcher is a condition made ready to be asked very often.
type matcher struct {
	field    Field
	tag      string
	keys     map[id.Key]struct{}
	exact    map[string]struct{}
	prefixes []string
	bits     uint32 // of time; of FieldVerified 1 for no, 2 for yes
}

func (c *Condition) matcher() matcher {
	m := matcher{field: c.Field, tag: c.Tag}
	switch c.Field {
	case FieldHours, FieldWeekdays:
		m.bits = c.mask()
		return m
	case FieldVerified:
		for _, value := range c.Is {
			m.bits |= verifiedBit(value == "yes")
		}
		return m
	case FieldKey:
		m.keys = make(map[id.Key]struct{}, len(c.Is))
		for _, value := range c.Is {
			key, _ := id.ParseKey(value) // checked
			m.keys[key] = struct{}{}
		}
		return m
	case FieldRepository:
		m.tag = TagRepository
	case FieldLabel, FieldDomain, FieldProject, FieldModel, FieldTag:
	}
	m.exact = make(map[string]struct{}, len(c.Is))
	for _, value := range c.Is {
		if c.Field == FieldDomain {
			value = strings.ToLower(value)
		}
		if prefix, open := strings.CutSuffix(value, "*"); open {
			m.prefixes = append(m.prefixes, prefix)
		} else {
			m.exact[value] = struct{}{}
		}
	}
	return m
}

func verifiedBit(verified bool) uint32 {
	if verified {
		return 2
	}
	return 1
}

// holdsFor asks about a credential.
func (m *matcher) holdsFor(c *Credential) bool {
	switch m.field {
	case FieldKey:
		_, ok := m.keys[c.Key]
		return ok
	case FieldLabel:
		return m.text(c.Label)
	case FieldVerified:
		return m.bits&verifiedBit(c.Verified) != 0
	case FieldDomain:
		return m.text(c.Domain)
	case FieldProject, FieldRepository, FieldModel, FieldTag, FieldHours, FieldWeekdays:
	}
	return false
}

// holds asks about a request. It allocates nothing.
func (m *matcher) holds(r *Request) bool {
	switch m.field {
	case FieldProject:
		return m.text(r.Project)
	case FieldModel:
		return m.text(r.Model)
	case FieldTag, FieldRepository:
		return m.text(r.Tags[m.tag])
	case FieldHours:
		return m.bits&(1<<r.At.UTC().Hour()) != 0
	case FieldWeekdays:
		return m.bits&(1<<r.At.UTC().Weekday()) != 0
	case FieldKey, FieldLabel, FieldVerified, FieldDomain:
	}
	return false
}

// text is whether a fact is one of the values; what is not known is none.
func (m *matcher) text(value string) bool {
	if value == "" {
		return false
	}
	if _, ok := m.exact[value]; ok {
		return true
	}
	for _, prefix := range m.prefixes {
		if strings.HasPrefix(value, prefix) {
			return true
		}
	}
	return false
}
