package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// rulesForm is a proposal of rules while it is written. What was written so far goes back
// and forth with the form: nothing of it is kept here.
type rulesForm struct {
	Document           string // the rules
	Base               int64  // the version they were made from
	From, Reason, Once string
	Open               *openRule // the one whose fields are shown
	Alert, Field       string
	Status             int
}

// openRule is one rule as typed.
type openRule struct {
	Was        string // its code before; empty: it is new
	Code, Name string
	Place      string
	When       []openCondition
	To         []openPart
}

type openCondition struct {
	Fields  []option
	Tag, Is string
}

type openPart struct{ Code, Percent string }

type rulesEditView struct {
	Frame       ui.Frame
	Form        rulesForm
	Set         *app.RuleSet
	Lines       []ruleLine
	Differences []app.RuleDifference
	Nodes       []option
	Replay      *app.Replay
}

const (
	spareRows = 2 // empty lines for another condition or node
	stepSep   = ":"
)

// editRules begins a proposal from the latest version.
func (w *Web) editRules(v *visit) error {
	if !v.may("rule", "propose") {
		return app.ErrNotAllowed
	}
	set, err := w.areas.Rules.Show(v.Request().Context(), v.who, app.RulesQuery{})
	if err == nil && set.Latest != set.Version {
		set, err = w.areas.Rules.Show(v.Request().Context(), v.who, app.RulesQuery{Version: set.Latest})
	}
	if err != nil {
		return err
	}
	rules := rulesOf(&set)
	form := rulesForm{Base: set.Latest}
	if code := v.QueryParam("rule"); code != "" {
		rule, at := rules.Find(code)
		if rule == nil {
			return errPageAbsent
		}
		form.Open = opened(rule, at, &set)
	} else if v.QueryParam("new") != "" || len(rules.Rules) == 0 {
		form.Open = blankRule()
	}
	return w.rulesEditor(v, &form, rules, nil)
}

// rulesOf are the rules that are shown, to be written on.
func rulesOf(set *app.RuleSet) *attribution.Rules {
	rules := &attribution.Rules{}
	for i := range set.Rules {
		rules.Rules = append(rules.Rules, set.Rules[i].Rule)
	}
	return rules
}

// writeRules takes one step of writing a proposal.
func (w *Web) writeRules(v *visit) error {
	if !v.may("rule", "propose") {
		return app.ErrNotAllowed
	}
	form := rulesForm{From: strings.TrimSpace(v.FormValue("from")), Reason: v.FormValue("reason"), Once: v.FormValue("once"), Status: http.StatusOK}
	rules, err := attribution.Parse([]byte(v.FormValue("document")))
	if err == nil {
		if form.Base, err = strconv.ParseInt(v.FormValue("base"), 10, 32); err != nil || form.Base < 0 {
			err = errRulesForm
		}
	}
	if err != nil { // not as this page sends it
		return err
	}
	step, code, _ := strings.Cut(v.FormValue("step"), stepSep)
	switch step {
	case "replay":
		return w.replayForm(v, &form, &rules)
	case "propose":
		return w.proposeRules(v, &form, &rules)
	case "save":
		err = form.save(v, &rules)
	case "more":
		form.Open = typedRule(v)
		form.Open.spare(spareRows)
	case "new":
		form.Open = blankRule()
	case "open":
		if rule, at := rules.Find(code); rule != nil {
			set, err := w.areas.Rules.Show(v.Request().Context(), v.who, app.RulesQuery{})
			if err != nil {
				return err
			}
			form.Open = opened(rule, at, &set)
		}
	case "end":
		rules.Rules = slices.DeleteFunc(rules.Rules, func(r attribution.Rule) bool { return r.Code == code })
	case "up", "down":
		swap(&rules, code, step == "up")
	case "show", "cancel":
	default:
		err = errRulesForm
	}
	if err != nil {
		form.fail(err)
	}
	return w.rulesEditor(v, &form, &rules, nil)
}

var errRulesForm = fault.Invalid("step", "rules_form", "The form is not as this page sends it. Open the page again.")

func swap(rules *attribution.Rules, code string, up bool) {
	_, at := rules.Find(code)
	other := at + 1
	if up {
		other = at - 1
	}
	if at >= 0 && other >= 0 && other < len(rules.Rules) {
		rules.Rules[at], rules.Rules[other] = rules.Rules[other], rules.Rules[at]
	}
}

func (f *rulesForm) fail(err error) {
	if err == nil {
		return
	}
	what := fault.From(err)
	f.Alert, f.Field, f.Status = what.Message, what.Field, http.StatusUnprocessableEntity
	if what.Kind == fault.KindConflict {
		f.Status = http.StatusConflict
	}
}

// replayForm shows what the rules that are being written would have done.
func (w *Web) replayForm(v *visit, form *rulesForm, rules *attribution.Rules) error {
	ask := app.ReplayAsk{Rules: rules}
	from, _, err := between(form.From, "")
	if err == nil {
		ask.From = from
		var done app.Replay
		if done, err = w.areas.Rules.Replay(v.Request().Context(), v.who, ask); err == nil {
			return w.rulesEditor(v, form, rules, &done)
		}
	}
	if fault.KindOf(err) != fault.KindInvalid {
		return err
	}
	form.fail(err)
	return w.rulesEditor(v, form, rules, nil)
}

// proposeRules leaves what was written to a decision.
func (w *Web) proposeRules(v *visit, form *rulesForm, rules *attribution.Rules) error {
	var from api.Instant
	var err error
	if form.From != "" {
		from, err = api.ParseInstant("from", form.From)
	}
	var ask app.Ask
	if err == nil {
		ask, err = app.AskRules(rules, form.Base, from.Time, form.Reason)
	}
	var made app.ChangeView
	if err == nil {
		made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, ask, form.Once)
	}
	if kind := fault.KindOf(err); err != nil && (kind == fault.KindInvalid || kind == fault.KindConflict) {
		form.fail(err)
		return w.rulesEditor(v, form, rules, nil)
	}
	return v.proposed(made, err, "/rules")
}

// save takes the rule that is open into the rules; one that cannot be stays open as typed.
func (f *rulesForm) save(v *visit, rules *attribution.Rules) error {
	typed := typedRule(v)
	rule, err := typed.read()
	if err != nil {
		f.Open = typed
		return err
	}
	next := attribution.Rules{Rules: slices.Clone(rules.Rules)}
	at := len(next.Rules)
	if _, was := next.Find(typed.Was); was >= 0 && typed.Was != "" {
		next.Rules = slices.Delete(next.Rules, was, was+1)
		at = was
	}
	if place, err := strconv.Atoi(typed.Place); err == nil {
		at = place - 1
	}
	next.Rules = slices.Insert(next.Rules, min(max(at, 0), len(next.Rules)), rule)
	if err := next.Check(); err != nil {
		f.Open = typed
		return err
	}
	*rules = next
	return nil
}

func blankRule() *openRule {
	r := &openRule{}
	r.spare(spareRows)
	return r
}

// spare adds empty lines, as far as there may be any.
func (r *openRule) spare(n int) {
	for range n {
		if len(r.When) < attribution.MaxConditions {
			r.When = append(r.When, openCondition{Fields: fieldOptions("")})
		}
		if len(r.To) < attribution.MaxParts {
			r.To = append(r.To, openPart{})
		}
	}
}

func fieldOptions(chosen attribution.Field) []option {
	list := []option{{Label: "No condition"}}
	for _, f := range attribution.Fields() {
		list = append(list, option{Value: string(f), Label: fieldWords(f), Selected: f == chosen})
	}
	return list
}

// opened is a rule as it is typed.
func opened(rule *attribution.Rule, at int, set *app.RuleSet) *openRule {
	r := &openRule{Was: rule.Code, Code: rule.Code, Name: rule.Name, Place: strconv.Itoa(at + 1)}
	for i := range rule.When {
		c := &rule.When[i]
		r.When = append(r.When, openCondition{Fields: fieldOptions(c.Field), Tag: c.Tag, Is: strings.Join(c.Is, "\n")})
	}
	for _, p := range rule.To {
		r.To = append(r.To, openPart{Code: codeOf(p, set), Percent: strings.TrimSuffix(shareOf(p.PPM), "%")})
	}
	r.spare(spareRows)
	return r
}

// codeOf is a part's node as one types it: by its code, where it has one now.
func codeOf(p attribution.Part, set *app.RuleSet) string {
	if p.Code != "" {
		return p.Code
	}
	for i := range set.Nodes {
		if set.Nodes[i].Node == p.Node {
			return set.Nodes[i].Code
		}
	}
	return p.Node.String()
}

// typedRule is the rule as the form has it.
func typedRule(v *visit) *openRule {
	r := &openRule{Was: v.FormValue("was"), Code: strings.TrimSpace(v.FormValue("code")), Name: strings.TrimSpace(v.FormValue("name")), Place: strings.TrimSpace(v.FormValue("place"))}
	form, _ := v.FormParams() // FormValue has read it
	at := func(name string, i int) string {
		if values := form[name]; i < len(values) {
			return strings.TrimSpace(values[i])
		}
		return ""
	}
	for i := range min(len(form["when_field"]), attribution.MaxConditions) {
		r.When = append(r.When, openCondition{Fields: fieldOptions(attribution.Field(at("when_field", i))), Tag: at("when_tag", i), Is: at("when_is", i)})
	}
	for i := range min(len(form["to_code"]), attribution.MaxParts) {
		r.To = append(r.To, openPart{Code: at("to_code", i), Percent: at("to_percent", i)})
	}
	return r
}

// field is the one that is chosen for a condition.
func (c *openCondition) field() attribution.Field {
	for _, o := range c.Fields {
		if o.Selected {
			return attribution.Field(o.Value)
		}
	}
	return ""
}

// read makes a rule of what was typed.
func (r *openRule) read() (attribution.Rule, error) {
	rule := attribution.Rule{Code: r.Code, Name: r.Name, When: []attribution.Condition{}}
	for i := range r.When {
		c := attribution.Condition{Field: r.When[i].field(), Tag: r.When[i].Tag}
		for value := range strings.SplitSeq(r.When[i].Is, "\n") {
			if value = strings.TrimSpace(value); value != "" {
				c.Is = append(c.Is, value)
			}
		}
		if c.Field == "" {
			if len(c.Is) > 0 || c.Tag != "" {
				return rule, fault.Invalid("when_"+strconv.Itoa(i), "rule_field", "Condition %d has values and does not say what they are of.", i+1)
			}
			continue
		}
		rule.When = append(rule.When, c)
	}
	whole := 0
	for _, p := range r.To {
		if p.Code != "" {
			whole++
		}
	}
	for i, p := range r.To {
		if p.Code == "" && p.Percent == "" {
			continue
		}
		part := attribution.Part{Code: p.Code, PPM: usage.Whole}
		if node, err := id.ParseNode(p.Code); err == nil && !node.IsZero() {
			part.Node, part.Code = node, ""
		}
		if p.Percent != "" || whole > 1 { // one node without a share takes all of it
			ppm, ok := percentPPM(p.Percent)
			if !ok {
				return rule, fault.Invalid("to_"+strconv.Itoa(i), "rule_share", "A share is a percentage above 0 to 100 with at most four decimals, such as 33.3333; %.20q is not.", p.Percent)
			}
			part.PPM = ppm
		}
		rule.To = append(rule.To, part)
	}
	one := attribution.Rules{Rules: []attribution.Rule{rule}}
	return rule, one.Check()
}

// rulesEditor shows where writing a proposal stands.
func (w *Web) rulesEditor(v *visit, form *rulesForm, rules *attribution.Rules, replay *app.Replay) error {
	set, err := w.areas.Rules.Show(v.Request().Context(), v.who, app.RulesQuery{})
	if err != nil {
		return err
	}
	document, err := rules.Document()
	if err != nil {
		return err
	}
	form.Document, form.Once = string(document), secret.Mint("form_").Reveal()
	view := &rulesEditView{Frame: v.frame("Propose attribution rules"), Form: *form, Set: &set, Replay: replay}
	for i := range set.Nodes {
		view.Nodes = append(view.Nodes, option{Value: set.Nodes[i].Code, Label: set.Nodes[i].Name})
	}
	// A preview names nodes by their ids; what is carried on stays as it was written.
	shown := attribution.Rules{Rules: slices.Clone(rules.Rules)}
	from, _, err := between(form.From, "")
	if err == nil {
		var preview app.RulePreview
		if preview, err = w.areas.Rules.Preview(v.Request().Context(), v.who, &shown, from); err == nil {
			view.Lines, view.Differences = ruleLines(preview.Rules, set.Month), preview.Differences
		}
	}
	if err != nil && fault.KindOf(err) != fault.KindInvalid {
		return err
	}
	if err != nil {
		if view.Form.Alert == "" {
			view.Form.fail(err)
		}
		view.Lines = ruleLines(w.unsettled(rules, &set), set.Month)
	}
	for _, d := range view.Differences {
		for i := range view.Lines {
			if view.Lines[i].Code == d.Code {
				view.Lines[i].Difference = d.What
			}
		}
	}
	return render(v, max(view.Form.Status, http.StatusOK), rulesEditPage(view))
}

// unsettled names what rules charge as far as it is there.
func (w *Web) unsettled(rules *attribution.Rules, set *app.RuleSet) []app.RuleView {
	list := make([]app.RuleView, 0, len(rules.Rules))
	for i := range rules.Rules {
		view := app.RuleView{Rule: rules.Rules[i], Place: i + 1}
		for _, p := range view.To {
			code := codeOf(p, set)
			view.Charges = append(view.Charges, app.RuleCharge{Node: p.Node, Code: code, Path: code, PPM: p.PPM})
		}
		list = append(list, view)
	}
	return list
}
