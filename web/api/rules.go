package api

import (
	"slices"
	"strconv"

	"tollbook/app"
	"tollbook/app/fault"
)

// Rule is one attribution rule of the version in force.
type Rule struct {
	Place         int             `json:"place" doc:"1 is asked first; the first rule whose conditions all hold decides."`
	Code          string          `json:"code" doc:"Stable; a request's attribution names it as rule:code."`
	Name          string          `json:"name"`
	When          []RuleCondition `json:"when" doc:"All must hold; none: always."`
	To            []RulePart      `json:"to" doc:"One node, or several in parts that sum to 1."`
	Version       int64           `json:"version" doc:"Of the rules; a request's attribution names the one it was asked under."`
	EffectiveFrom Instant         `json:"effective_from"`
	Change        string          `json:"change" doc:"What applied this version."`
}

// RuleCondition holds when the field is one of the values.
type RuleCondition struct {
	Field string   `json:"field" enum:"key,key_label,verified,email_domain,project,repository,model,tag,hours,weekdays"`
	Tag   *string  `json:"tag" doc:"The tag's key, of field tag; else null."`
	Is    []string `json:"is" doc:"Any of these. A value that ends in * is how others begin; hours are windows such as 22-6, UTC; weekdays mon to sun; verified yes or no; repository is the tag of that name."`
}

// RulePart is a node's share of what a rule charges.
type RulePart struct {
	Node  string  `json:"node" doc:"The node's id."`
	Code  *string `json:"code" doc:"As of the instant; null where the node is not there then, and its share goes to suspense."`
	Share string  `json:"share" format:"decimal" doc:"Six decimals."`
}

// RulesPayload is what a change of kind rules proposes: all rules in order. The description
// names it; it is read by the kind itself.
type RulesPayload struct {
	BaseVersion *int64    `json:"base_version,omitempty" doc:"The version these were made from: the change is refused when other rules were applied since."`
	Rules       []NewRule `json:"rules" doc:"At most 500. Which were added, changed, moved or ended is found out."`
}

// NewRule is one rule of a proposal.
type NewRule struct {
	Code string          `json:"code" doc:"1 to 40 letters, digits, dots, dashes or underscores."`
	Name string          `json:"name"`
	When []RuleCondition `json:"when" doc:"At most 20, all of which must hold; none: always."`
	To   []NewRulePart   `json:"to" doc:"1 to 20 parts that sum to 1000000."`
}

// NewRulePart names a node by its code or by its id.
type NewRulePart struct {
	Code string `json:"code,omitempty"`
	Node string `json:"node,omitempty"`
	PPM  int64  `json:"ppm" doc:"Parts per million."`
}

// RulesQuery asks for the rules of an instant.
type RulesQuery struct {
	AsOf    Instant `query:"as_of" doc:"The rules in force at that instant. Default: now."`
	KnownAt Instant `query:"known_at" doc:"As of, as it was known at that instant. Default: now."`
	Limit   Limit   `query:"limit"`
	Cursor  string  `query:"cursor"`
}

func (a *API) listRules(c *call, q RulesQuery) (Page[Rule], error) {
	set, err := a.areas.Rules.Show(c.Request().Context(), c.who, app.RulesQuery{AsOf: q.AsOf.Time, Known: q.KnownAt.Time})
	if err != nil {
		return Page[Rule]{}, err
	}
	list := set.Rules
	if q.Cursor != "" {
		after, err := strconv.Atoi(q.Cursor)
		if err != nil || after < 1 || after > len(list) {
			return Page[Rule]{}, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
		list = list[after:]
	}
	next := ""
	if limit := q.Limit.rows(); len(list) > limit {
		list = list[:limit]
		next = strconv.Itoa(list[limit-1].Place)
	}
	rows := make([]Rule, 0, len(list))
	for i := range list {
		rows = append(rows, ruleOf(&set, &list[i]))
	}
	return page(rows, next), nil
}

func ruleOf(set *app.RuleSet, r *app.RuleView) Rule {
	one := Rule{
		Place: r.Place, Code: r.Code, Name: r.Name, When: []RuleCondition{}, To: []RulePart{},
		Version: set.Version, EffectiveFrom: Instant{set.EffectiveFrom}, Change: set.Change.String(),
	}
	for i := range r.When {
		one.When = append(one.When, RuleCondition{Field: string(r.When[i].Field), Tag: textOrNil(r.When[i].Tag), Is: slices.Clone(r.When[i].Is)})
	}
	for i := range r.Charges {
		one.To = append(one.To, RulePart{Node: r.Charges[i].Node.String(), Code: textOrNil(r.Charges[i].Code), Share: share(r.Charges[i].PPM)})
	}
	return one
}
