package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// policyForm is one policy as it is filled in; its fields keep what was typed.
type policyForm struct {
	Prefix                               string // of its fields
	Place                                int
	Code, AtLeast, Subtree               string
	ExpireDays, RemindDays, EscalateDays string
	Parallel, Fresh                      bool
	Kinds                                []check
	Subtrees                             []option
	Steps                                []stepForm
	Escalate                             whoForm
}

// stepForm is one step of a policy as it is filled in.
type stepForm struct {
	Prefix, Name, Quorum string
	Place                int
	Who                  whoForm
}

// whoForm is who may decide: boxes for roles, owners and those named, and one more to name.
type whoForm struct {
	Name   string // of its fields
	Boxes  []check
	Others []option
}

// policiesForm is the whole list in an editor, without a script: each button that adds or
// takes away sends all of it and gets it back.
type policiesForm struct {
	trouble

	Frame    ui.Frame
	JSON     bool // as text
	Document string
	Policies []policyForm
	From     string
	Reason   string
	Once     string
	Preview  *policiesPreview
	Change   *app.CaseView // the proposal that is edited; nil: another is made
	Seen     string
}

// policiesPreview is what a list would change and who would decide about it.
type policiesPreview struct {
	Differences []fieldDiff
	Sentence    string
	Steps       []string
}

const (
	// The ways to fill in who decides.
	whoOwner  = "owner"
	whoRole   = "role:"
	whoMember = "member:"

	maxFormPolicies = 100
	maxFormSteps    = 5
)

// policyEditor is what an editor knows beside what was typed.
type policyEditor struct {
	book  app.PolicyBook
	names policyNames
	nodes []app.NodeView
}

func (w *Web) policyEditor(v *visit) (*policyEditor, error) {
	if !v.may("policy", "propose") {
		return nil, app.ErrNotAllowed
	}
	book, err := w.areas.Approvals.Policies(v.Request().Context(), v.who, 0)
	if err != nil {
		return nil, err
	}
	names, nodes, err := w.policyNames(v, book.Members)
	return &policyEditor{book, names, nodes}, err
}

// form lays policies out in fields.
func (e *policyEditor) form(p approval.Policies) url.Values {
	values := url.Values{"policies": {strconv.Itoa(len(p.List))}}
	for i := range p.List {
		one, at := &p.List[i], "p"+strconv.Itoa(i)+"."
		values[at+"kinds"] = one.Kinds
		for name, value := range map[string]string{"code": one.Code, "at_least": one.AtLeast, "steps": strconv.Itoa(len(one.Steps)), "expire_days": strconv.Itoa(one.ExpireDays)} {
			values.Set(at+name, value)
		}
		if !one.Subtree.IsZero() {
			values.Set(at+"subtree", one.Subtree.String())
		}
		for name, days := range map[string]int{"remind_days": one.RemindDays, "escalate_days": one.EscalateDays} {
			if days > 0 {
				values.Set(at+name, strconv.Itoa(days))
			}
		}
		for name, is := range map[string]bool{"parallel": one.Parallel, "fresh": one.FreshSignIn} {
			if is {
				values.Set(at+name, "yes")
			}
		}
		values[at+"escalate"] = whoValues(one.EscalateTo)
		for k, s := range one.Steps {
			step := at + "s" + strconv.Itoa(k) + "."
			values.Set(step+"name", s.Name)
			values.Set(step+"quorum", strconv.Itoa(s.Quorum))
			values[step+"who"] = whoValues(s.Who)
		}
	}
	return values
}

func whoValues(list []approval.Approver) []string {
	values := make([]string, 0, len(list))
	for _, w := range list {
		switch {
		case w.Owner:
			values = append(values, whoOwner)
		case w.Role != "":
			values = append(values, whoRole+w.Role)
		default:
			values = append(values, whoMember+w.Member.String())
		}
	}
	return values
}

// count reads how many of something a form has, within a bound.
func count(values url.Values, name string, most int) int {
	n, err := strconv.Atoi(values.Get(name))
	if err != nil || n < 0 {
		return 0
	}
	return min(n, most)
}

// show lays fields out on the page.
func (e *policyEditor) show(values url.Values) []policyForm {
	var list []policyForm
	for i := range count(values, "policies", maxFormPolicies) {
		at := "p" + strconv.Itoa(i) + "."
		one := policyForm{
			Prefix: at, Place: i + 1, Code: values.Get(at + "code"), AtLeast: values.Get(at + "at_least"), Subtree: values.Get(at + "subtree"), ExpireDays: values.Get(at + "expire_days"),
			RemindDays: values.Get(at + "remind_days"), EscalateDays: values.Get(at + "escalate_days"), Parallel: values.Get(at+"parallel") != "", Fresh: values.Get(at+"fresh") != "",
			Kinds: e.kinds(values[at+"kinds"]), Escalate: e.who(at+"escalate", values[at+"escalate"]),
		}
		one.Subtrees = e.subtrees(one.Subtree)
		for k := range count(values, at+"steps", maxFormSteps) {
			step := at + "s" + strconv.Itoa(k) + "."
			one.Steps = append(one.Steps, stepForm{Prefix: step, Place: k + 1, Name: values.Get(step + "name"), Quorum: values.Get(step + "quorum"), Who: e.who(step+"who", values[step+"who"])})
		}
		list = append(list, one)
	}
	return list
}

func (e *policyEditor) kinds(chosen []string) []check {
	list := []check{{Value: approval.AnyKind, Label: "Every kind", Checked: slices.Contains(chosen, approval.AnyKind)}}
	for _, kind := range slices.Sorted(maps.Keys(e.book.Kinds)) {
		list = append(list, check{Value: kind, Label: kindWords(kind), Checked: slices.Contains(chosen, kind)})
	}
	return list
}

func (e *policyEditor) subtrees(chosen string) []option {
	list := []option{{Label: "Anywhere"}}
	for _, n := range e.nodes {
		if n.Code != hierarchy.SuspenseCode {
			list = append(list, option{Value: n.Node.String(), Label: n.Code + " " + n.Name, Selected: n.Node.String() == chosen})
		}
	}
	return list
}

// who offers roles, owners and whoever is named, and everybody else who may be.
func (e *policyEditor) who(name string, chosen []string) whoForm {
	form := whoForm{Name: name, Others: []option{{Label: "Nobody else"}}}
	for _, role := range e.book.Roles {
		form.Boxes = append(form.Boxes, check{Value: whoRole + role, Label: ui.Words(role), Checked: slices.Contains(chosen, whoRole+role)})
	}
	form.Boxes = append(form.Boxes, check{Value: whoOwner, Label: "An owner of what it touches", Checked: slices.Contains(chosen, whoOwner)})
	for _, h := range e.book.Members {
		value := whoMember + h.Member.String()
		if slices.Contains(chosen, value) {
			form.Boxes = append(form.Boxes, check{Value: value, Label: h.Name, Checked: true})
		} else {
			form.Others = append(form.Others, option{Value: value, Label: h.Name})
		}
	}
	return form
}

var errNoButton = fault.Invalid("do", "policies_button", "Say what to do with this list: preview it, or propose it.")

// verbs says whether a button changes the fields alone.
func verbs(do string) bool {
	verb, _, _ := strings.Cut(do, ":")
	return slices.Contains([]string{"add_policy", "add_step", "remove_policy", "remove_step", "up"}, verb)
}

// pressed does what a button asks: add a policy or a step, take one away, move one up.
func pressed(values url.Values, do string) url.Values {
	verb, where, _ := strings.Cut(do, ":")
	text, step, _ := strings.Cut(where, ":")
	at, _ := strconv.Atoi(text)
	inner, _ := strconv.Atoi(step)
	policies := count(values, "policies", maxFormPolicies)
	prefix := "p" + strconv.Itoa(at) + "."
	steps := count(values, prefix+"steps", maxFormSteps)
	switch {
	case verb == "add_policy" && policies < maxFormPolicies:
		next := "p" + strconv.Itoa(policies) + "."
		values = maps.Clone(values)
		values.Set("policies", strconv.Itoa(policies+1))
		for name, value := range map[string]string{"steps": "1", "s0.quorum": "1", "s0.name": "Approval", "expire_days": "30", "remind_days": "3"} {
			values.Set(next+name, value)
		}
	case verb == "add_step" && at < policies && steps < maxFormSteps:
		values.Set(prefix+"steps", strconv.Itoa(steps+1))
		values.Set(prefix+"s"+strconv.Itoa(steps)+".quorum", "1")
	case verb == "remove_policy" && at < policies:
		for i := at; i+1 < policies; i++ {
			exchange(values, "p"+strconv.Itoa(i)+".", "p"+strconv.Itoa(i+1)+".")
		}
		values.Set("policies", strconv.Itoa(policies-1))
	case verb == "remove_step" && at < policies && inner < steps:
		for i := inner; i+1 < steps; i++ {
			exchange(values, prefix+"s"+strconv.Itoa(i)+".", prefix+"s"+strconv.Itoa(i+1)+".")
		}
		values.Set(prefix+"steps", strconv.Itoa(steps-1))
	case verb == "up" && at > 0 && at < policies:
		exchange(values, prefix, "p"+strconv.Itoa(at-1)+".")
	}
	return values
}

// exchange swaps all fields of two prefixes.
func exchange(values url.Values, a, b string) {
	next := url.Values{}
	for name, value := range values {
		switch {
		case strings.HasPrefix(name, a):
			next[b+strings.TrimPrefix(name, a)] = value
		case strings.HasPrefix(name, b):
			next[a+strings.TrimPrefix(name, b)] = value
		default:
			next[name] = value
		}
	}
	clear(values)
	maps.Copy(values, next)
}

// document makes policies of fields; app has the last word about them.
func document(values url.Values) ([]byte, error) {
	policies := approval.Policies{List: []approval.Policy{}}
	for i := range count(values, "policies", maxFormPolicies) {
		at := "p" + strconv.Itoa(i) + "."
		one := approval.Policy{
			Code: strings.TrimSpace(values.Get(at + "code")), Kinds: values[at+"kinds"], AtLeast: strings.TrimSpace(values.Get(at + "at_least")), Parallel: values.Get(at+"parallel") != "",
			FreshSignIn: values.Get(at+"fresh") != "", Steps: []approval.Step{},
		}
		if slices.Contains(one.Kinds, approval.AnyKind) {
			one.Kinds = []string{approval.AnyKind}
		}
		var err error
		if text := values.Get(at + "subtree"); text != "" {
			if one.Subtree, err = id.ParseNode(text); err != nil {
				return nil, err
			}
		}
		for name, into := range map[string]*int{"expire_days": &one.ExpireDays, "remind_days": &one.RemindDays, "escalate_days": &one.EscalateDays} {
			if *into, err = wholeDays(values.Get(at + name)); err != nil {
				return nil, err
			}
		}
		if one.EscalateTo, err = approvers(values[at+"escalate"]); err != nil {
			return nil, err
		}
		for k := range count(values, at+"steps", maxFormSteps) {
			step := at + "s" + strconv.Itoa(k) + "."
			s := approval.Step{Name: strings.TrimSpace(values.Get(step + "name"))}
			if s.Quorum, err = wholeDays(values.Get(step + "quorum")); err != nil {
				return nil, err
			}
			if s.Who, err = approvers(values[step+"who"]); err != nil {
				return nil, err
			}
			one.Steps = append(one.Steps, s)
		}
		policies.List = append(policies.List, one)
	}
	return json.Marshal(policies)
}

// wholeDays reads a small number; nothing is none.
func wholeDays(text string) (int, error) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 10_000 {
		return 0, fault.Invalid("policies", "policy_number", "%.20q is no whole number of days or persons.", text)
	}
	return n, nil
}

func approvers(values []string) ([]approval.Approver, error) {
	var list []approval.Approver
	for _, value := range values {
		var one approval.Approver
		switch kind, rest, _ := strings.Cut(value, ":"); kind + ":" {
		case whoRole:
			one.Role = rest
		case whoOwner + ":":
			one.Owner = true
		case whoMember:
			member, err := id.ParseMember(rest)
			if err != nil {
				return nil, err
			}
			one.Member = member
		default:
			continue // nobody else
		}
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list, nil
}

func (w *Web) editPolicies(v *visit) error {
	editor, err := w.policyEditor(v)
	if err != nil {
		return err
	}
	form := &policiesForm{JSON: v.QueryParam("form") == "json", Once: secret.Mint("form_").Reveal()}
	policies := editor.book.Policies
	policies.BaseVersion = &editor.book.Version
	text, err := json.Marshal(policies)
	if err != nil {
		return err
	}
	if v.QueryParam("change") != "" {
		change, err := id.ParseChange(v.QueryParam("change"))
		if err != nil {
			return errPageAbsent
		}
		shown, err := w.areas.Approvals.Case(v.Request().Context(), v.who, change)
		if err != nil {
			return err
		}
		if !shown.May.Edit || json.Unmarshal(shown.Payload, &policies) != nil || shown.Kind != "policies" {
			return errPageAbsent
		}
		form.Change, form.Seen, form.Reason, text = &shown, shown.DigestText(), shown.Reason, shown.Payload
		if shown.EffectiveFrom.After(w.cfg.Now()) {
			form.From = shown.EffectiveFrom.Format("2006-01-02T15:04:05Z07:00")
		}
	}
	form.Policies, form.Document = editor.show(editor.form(policies)), laidOut(text)
	return w.policyFormPage(v, http.StatusOK, form)
}

func (w *Web) policyFormPage(v *visit, status int, form *policiesForm) error {
	form.Frame = v.frame("Who decides")
	return render(v, status, policyEditPage(form))
}

// savePolicies takes the editor's form: a button changes the fields, previews, or proposes.
func (w *Web) savePolicies(v *visit) error {
	editor, err := w.policyEditor(v)
	if err != nil {
		return err
	}
	do := v.FormValue("do")
	values := v.Request().PostForm
	form := &policiesForm{JSON: v.FormValue("form") == "json", From: strings.TrimSpace(v.FormValue("from")), Reason: v.FormValue("reason"), Once: v.FormValue("once"), Seen: v.FormValue("digest"), Document: v.FormValue("document")}
	if err := w.policyChange(v, form); err != nil {
		return err
	}
	text := []byte(form.Document)
	if !form.JSON {
		values = pressed(values, do)
		text, err = document(values)
		form.Policies = editor.show(named(values))
	}
	switch {
	case err == nil && verbs(do):
		return w.policyFormPage(v, http.StatusOK, form)
	case err == nil && do != "preview" && do != "propose":
		err = errNoButton
	}
	ask := app.Ask{Kind: "policies", Payload: text, Reason: form.Reason}
	if err == nil && form.From != "" {
		var from api.Instant
		from, err = api.ParseInstant("from", form.From)
		ask.EffectiveFrom = from.Time
	}
	if err == nil {
		form.Preview, err = w.previewPolicies(v, editor, ask)
	}
	if err == nil && do == "propose" {
		var made app.ChangeView
		if form.Change == nil {
			made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, ask, form.Once)
		} else {
			made, err = w.areas.Approvals.Revise(v.Request().Context(), v.who, form.Change.ID, v.digestForm(form.Seen), ask)
		}
		if err == nil {
			return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
		}
	}
	status, f := retold(err)
	if err != nil && status == 0 {
		return err
	}
	if f != nil {
		form.trouble = trouble{f.Message, f.Field}
		return w.policyFormPage(v, status, form)
	}
	return w.policyFormPage(v, http.StatusOK, form)
}

// policyChange finds the proposal a form edits, where it edits one.
func (w *Web) policyChange(v *visit, form *policiesForm) error {
	if v.FormValue("change") == "" {
		return nil
	}
	change, err := id.ParseChange(v.FormValue("change"))
	if err != nil {
		return errPageAbsent
	}
	shown, err := w.areas.Approvals.Case(v.Request().Context(), v.who, change)
	form.Change = &shown
	return err
}

// named gives whoever was named in a list of others a box of their own.
func named(values url.Values) url.Values {
	for name, list := range values {
		if strings.HasSuffix(name, "who") || strings.HasSuffix(name, "escalate") {
			values[name] = slices.DeleteFunc(list, func(s string) bool { return s == "" })
		}
	}
	return values
}

func (w *Web) previewPolicies(v *visit, e *policyEditor, ask app.Ask) (*policiesPreview, error) {
	made, err := w.areas.Approvals.Preview(v.Request().Context(), v.who, ask)
	if err != nil {
		return nil, err
	}
	var after approval.Policies
	if err := json.Unmarshal(made.Payload, &after); err != nil {
		return nil, err
	}
	return &policiesPreview{
		Differences: policiesDiff(e.book.Policies, after, e.names), Sentence: made.Impact.Sentence, Steps: policyLines(&made.Terms.Policy, e.names)[1:],
	}, nil
}
