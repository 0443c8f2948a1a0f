package web

import (
	"fmt"
	"strings"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/usage"
	"tollbook/web/ui"
)

// fieldWords is what a condition looks at, in words.
func fieldWords(field attribution.Field) string {
	switch field {
	case attribution.FieldKey:
		return "Virtual key's id"
	case attribution.FieldLabel:
		return "Virtual key's label"
	case attribution.FieldVerified:
		return "Somebody signed in"
	case attribution.FieldDomain:
		return "E-mail domain of who signed in"
	case attribution.FieldProject:
		return "Declared project"
	case attribution.FieldRepository:
		return "Repository (tag repository)"
	case attribution.FieldModel:
		return "Model asked for"
	case attribution.FieldTag:
		return "Tag"
	case attribution.FieldHours:
		return "Hours, UTC"
	case attribution.FieldWeekdays:
		return "Weekdays, UTC"
	}
	return string(field)
}

// conditionWords is a condition as a sentence.
func conditionWords(c *attribution.Condition) string {
	what := fieldWords(c.Field)
	switch c.Field {
	case attribution.FieldTag:
		what = "Tag " + c.Tag
	case attribution.FieldRepository:
		what = "Repository"
	case attribution.FieldHours:
		return "Between " + orWords(c.Is, hourWords) + ", UTC"
	case attribution.FieldWeekdays:
		return "On " + orWords(c.Is, dayWords) + ", UTC"
	case attribution.FieldVerified:
		if len(c.Is) == 1 && c.Is[0] == "no" {
			return "Nobody signed in for it"
		}
		return "Somebody signed in for it"
	case attribution.FieldKey, attribution.FieldLabel, attribution.FieldDomain, attribution.FieldProject, attribution.FieldModel:
	}
	return what + " is " + orWords(c.Is, patternWords)
}

func patternWords(value string) string {
	if value == "*" {
		return "given"
	}
	if prefix, open := strings.CutSuffix(value, "*"); open {
		return prefix + "…"
	}
	return value
}

func hourWords(window string) string {
	from, until, _ := strings.Cut(window, "-")
	return fmt.Sprintf("%02s:00 and %02s:00", from, until)
}

func dayWords(day string) string {
	for _, full := range []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"} {
		if strings.EqualFold(full[:3], day) {
			return full
		}
	}
	return day
}

// orWords joins values as one of them.
func orWords(values []string, word func(string) string) string {
	words := make([]string, 0, len(values))
	for _, v := range values {
		words = append(words, word(v))
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}

// whenWords is all conditions of a rule, one a line.
func whenWords(rule *attribution.Rule) []string {
	if len(rule.When) == 0 {
		return []string{"Always"}
	}
	lines := make([]string, 0, len(rule.When))
	for i := range rule.When {
		lines = append(lines, conditionWords(&rule.When[i]))
	}
	return lines
}

// warningWords says why a rule decides nothing.
func warningWords(w *attribution.Warning) string {
	if w == nil {
		return ""
	}
	if w.By == "" {
		return "never fires: its conditions exclude each other"
	}
	return "never fires: rule " + w.By + " takes all it would"
}

// differenceTag marks what a change does to a rule.
func differenceTag(what string) (tone ui.Tone, icon, word string) {
	switch what {
	case app.RuleAdded:
		return ui.ToneOK, "+", "Added"
	case app.RuleEnded:
		return ui.ToneStop, "×", "Ended"
	case app.RuleMoved:
		return ui.TonePlain, "↕", "Moved"
	}
	return ui.ToneWarn, "~", "Changed"
}

// basisRuleWords says what decides a request that is asked about.
func basisRuleWords(basis attribution.Basis, known bool) string {
	if basis == attribution.RuleKey && !known {
		return "No rule fires: the virtual key's cost center, or a declared project within its reach. Name a key to see which."
	}
	return ruleWords(string(basis))
}

// verdictTag is what one rule says to some facts.
func verdictTag(e *attribution.Explained) (tone ui.Tone, icon, word string) {
	switch {
	case e.Fired:
		return ui.ToneOK, "✓", "Fires"
	case !e.Asked:
		return ui.TonePlain, "–", "Not asked"
	}
	return ui.TonePlain, "×", "Does not"
}

// ruledWords says why.
func ruledWords(e *attribution.Explained) string {
	switch {
	case e.Fired:
		return "All its conditions hold."
	case !e.Asked:
		return "A rule before it decided."
	case e.Missing:
		return conditionWords(e.Failed) + ": not known of this request."
	}
	return conditionWords(e.Failed) + ": here it is " + e.Found + "."
}

// percentPPM reads a percentage of at most four decimals, exactly, as parts per million.
func percentPPM(text string) (int64, bool) {
	whole, fraction, _ := strings.Cut(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%")), ".")
	if whole == "" || len(whole) > 3 || len(fraction) > 4 {
		return 0, false
	}
	var ppm int64
	for _, digit := range whole + (fraction + "0000")[:4] {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		ppm = ppm*10 + int64(digit-'0')
	}
	return ppm, ppm > 0 && ppm <= usage.Whole
}
