package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/money"
	"tollbook/app/secret"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// nodeChange is a proposal while it is written. What was written so far goes back and
// forth with the form: nothing of it is kept here.
type nodeChange struct {
	trouble

	Operations         []hierarchy.Operation
	From, Reason, Once string
	Open               *opForm // the operation whose fields are shown; nil: none
	Status             int
}

type nodeChangeView struct {
	nodeChange

	Frame      ui.Frame
	Title      string
	Document   string // the operations, as the form carries them
	Choices    []option
	Nodes      []option
	MoreNodes  int
	Kinds      []option
	Owners     []option
	Treatments []option
	Standards  []option
	Categories []option
	Effect     *nodeEffect
}

// nodeEffect is what the operations would do, and who would decide.
type nodeEffect struct {
	Sentence    string
	From        string // when it takes effect, in words
	Differences []nodeDifference
	MoreDiffer  int
	Month       string
	Rows        []effectRow
	Foot        []effectRow
	Along       []string
	Steps       []effectStep
	Policy      string
}

// effectRow is a charge before and after.
type effectRow struct {
	Label, Code, URL string
	approval.Swing
	Difference money.Sum
}

type effectStep struct{ Title, Who string }

const (
	maxListed      = 500 // nodes a field offers
	maxNodeEffects = 40  // differences a proposal shows
)

// askNodeChange begins a proposal from an address: a move that names both its ends shows
// what it does at once.
func (w *Web) askNodeChange(v *visit) error {
	if !v.may("node", "propose") {
		return app.ErrNotAllowed
	}
	c := &nodeChange{Status: http.StatusOK}
	sent := v.QueryParams()
	if sent.Get("op") == "" {
		sent.Set("op", string(hierarchy.OpMove))
	}
	open, err := typedOp(sent)
	if err != nil {
		return err
	}
	c.Open = open
	if open.complete() {
		c.collect()
	}
	return w.nodeChangePage(v, c)
}

// collect takes the open operation into the proposal, or says what is wrong with it.
func (c *nodeChange) collect() {
	if c.Open == nil {
		return
	}
	o, err := c.Open.operation()
	if err != nil {
		c.Status = http.StatusUnprocessableEntity
		c.Open.blame(err)
		return
	}
	c.Operations, c.Open = append(c.Operations, o), nil
}

var errNodeForm = fault.Invalid("operations", "node_form", "The form is not whole. Begin again from the hierarchy.")

// writeNodeChange takes one step of writing a proposal.
func (w *Web) writeNodeChange(v *visit) error {
	if !v.may("node", "propose") {
		return app.ErrNotAllowed
	}
	c := &nodeChange{From: strings.TrimSpace(v.FormValue("effective_from")), Reason: v.FormValue("reason"), Once: v.FormValue("once"), Status: http.StatusOK}
	if text := v.FormValue("operations"); text != "" {
		var err error
		if c.Operations, err = hierarchy.ParseOperations([]byte(text)); err != nil {
			return errNodeForm.Because(err)
		}
	}
	sent := v.Request().PostForm
	if sent.Get("op") != "" {
		open, err := typedOp(sent)
		if err != nil {
			return err
		}
		c.Open = open
	}
	step, i, ok := stepOn(v.FormValue("step"), len(c.Operations))
	if !ok {
		return errNodeForm
	}
	if step == "propose" {
		return w.proposeNodes(v, c)
	}
	for k := range c.Operations {
		c.Operations[k].Was = nil // as it is when it is looked at again
	}
	switch step {
	case "more":
		c.Open.more()
	case "choose":
		choice, known := opOf(v.FormValue("next"))
		if !known {
			return errNodeForm
		}
		c.Open = &opForm{Op: choice, Values: map[string]string{"code": strings.TrimSpace(v.FormValue("code"))}}
	case "edit":
		if len(c.Operations) == 0 {
			return errNodeForm
		}
		c.Open = typedAgain(&c.Operations[i])
		c.Operations = slices.Delete(c.Operations, i, i+1)
	case "drop":
		if len(c.Operations) == 0 {
			return errNodeForm
		}
		if c.Operations = slices.Delete(c.Operations, i, i+1); len(c.Operations) == 0 {
			return v.Redirect(http.StatusSeeOther, "/nodes")
		}
	default:
		c.collect()
	}
	return w.nodeChangePage(v, c)
}

func (f *opForm) more() {
	if f != nil {
		f.Spare = true
	}
}

// proposeNodes sends what was collected to who decides.
func (w *Web) proposeNodes(v *visit, c *nodeChange) error {
	c.Open = nil
	var from api.Instant
	var err error
	if c.From != "" {
		from, err = api.ParseInstant("effective_from", c.From)
	}
	var made app.ChangeView
	if err == nil {
		var ask app.Ask
		if ask, err = app.NodesAsk(c.Operations, from.Time, c.Reason); err == nil {
			made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, ask, c.Once)
		}
	}
	if status, f := retold(err); status != 0 {
		c.Status = status
		if i, _, is := hierarchy.OperationOf(f.Field); !is || i >= len(c.Operations) || len(c.Operations) == 0 {
			c.trouble = trouble{f.Message, f.Field}
		} else {
			c.reopen(i, err)
		}
		return w.nodeChangePage(v, c)
	}
	return v.proposed(made, err, "/nodes")
}

// reopen shows the fields of an operation with what is wrong with it.
func (c *nodeChange) reopen(i int, err error) {
	c.Open = typedAgain(&c.Operations[i])
	c.Open.blame(err)
	c.Operations = slices.Delete(c.Operations, i, i+1)
}

// nodeChangePage shows a proposal as far as it is written, with what it does.
func (w *Web) nodeChangePage(v *visit, c *nodeChange) error {
	view := &nodeChangeView{nodeChange: *c, Frame: v.frame("Change the hierarchy")}
	if len(view.Operations) > 0 && view.Open == nil {
		if err := w.fillEffect(v, view); err != nil {
			status, f := retold(err)
			if status == 0 {
				return err
			}
			view.Status = status
			if i, _, is := hierarchy.OperationOf(f.Field); is && i < len(view.Operations) {
				view.reopen(i, err)
			} else {
				view.trouble = trouble{f.Message, f.Field}
			}
		}
	}
	if len(view.Operations) == 0 && view.Open == nil {
		return errNodeForm
	}
	view.Title = "Change the hierarchy"
	switch {
	case view.Open != nil:
		view.Title = view.Open.Op.of(view.Open.Values["code"])
	case len(view.Operations) == 1:
		view.Title = opTitle(&view.Operations[0])
	default:
		view.Title = fmt.Sprintf("%d operations on the hierarchy", len(view.Operations))
	}
	if len(view.Operations) > 0 {
		document, err := json.Marshal(map[string]any{"operations": view.Operations})
		if err != nil {
			return err
		}
		view.Document = string(document)
	}
	view.Frame.Title = view.Title
	if view.Once == "" {
		view.Once = secret.Mint("form_").Reveal() // sent twice, it makes one proposal
	}
	if err := w.opChoices(v, view); err != nil {
		return err
	}
	return render(v, view.Status, nodeChangePage(view))
}

// opChoices fills what the fields offer.
func (w *Web) opChoices(v *visit, view *nodeChangeView) error {
	nodes, err := w.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
	if err != nil {
		return err
	}
	view.Effect.name(nodes)
	for i := range nodes {
		if len(view.Nodes) == maxListed {
			view.MoreNodes = len(nodes) - maxListed
			break
		}
		if nodes[i].Code != hierarchy.SuspenseCode {
			view.Nodes = append(view.Nodes, option{Value: nodes[i].Code, Label: nodes[i].Name})
		}
	}
	for _, c := range opChoices() {
		view.Choices = append(view.Choices, option{Value: string(c.Op), Label: c.Label, Selected: view.Open != nil && view.Open.Op.Op == c.Op})
	}
	if view.Open == nil {
		return nil
	}
	view.Open.meet(nodes)
	typed := view.Open.Values
	for _, k := range hierarchy.Kinds() {
		view.Kinds = append(view.Kinds, option{Value: string(k), Label: ui.Words(string(k)), Selected: string(k) == typed["kind"]})
	}
	for _, t := range []hierarchy.Capitalization{hierarchy.Expense, hierarchy.Capitalize} {
		view.Treatments = append(view.Treatments, option{Value: string(t), Label: ui.Words(string(t)), Selected: string(t) == typed["capitalization"]})
	}
	view.Standards = []option{{Label: "None"}}
	for _, s := range []hierarchy.Standard{hierarchy.StandardASU202506, hierarchy.StandardASC35040, hierarchy.StandardIAS38} {
		view.Standards = append(view.Standards, option{Value: string(s), Label: standardWords(s), Selected: string(s) == typed["standard"]})
	}
	view.Categories = []option{{Label: "None"}}
	for _, c := range []hierarchy.Category{hierarchy.CategoryNewFunction, hierarchy.CategoryMaintenance, hierarchy.CategoryResearch, hierarchy.CategoryTraining} {
		view.Categories = append(view.Categories, option{Value: string(c), Label: ui.Words(string(c)), Selected: string(c) == typed["category"]})
	}
	if op := view.Open.Op.Op; op != hierarchy.OpOwner && op != hierarchy.OpCreate {
		return nil
	}
	people, err := w.areas.Members.Candidates(v.Request().Context(), v.who)
	view.Owners = []option{{Label: "Nobody"}}
	for _, p := range people {
		view.Owners = append(view.Owners, option{Value: p.Member.String(), Label: p.Name, Selected: p.Member.String() == typed["owner"]})
	}
	return err
}

// fillEffect works out what the operations would do and who would decide. The operations
// then say what they replace, so that whoever proposes them proposes what was shown.
func (w *Web) fillEffect(v *visit, view *nodeChangeView) error {
	var from api.Instant
	var err error
	if view.From != "" {
		if from, err = api.ParseInstant("effective_from", view.From); err != nil {
			return err
		}
	}
	ask, err := app.NodesAsk(view.Operations, from.Time, "")
	if err != nil {
		return err
	}
	ctx := v.Request().Context()
	shown, err := w.areas.Nodes.Preview(ctx, v.who, ask.Payload, from.Time)
	if err != nil {
		return err
	}
	would, err := w.areas.Approvals.Preview(ctx, v.who, ask)
	if err != nil {
		return err
	}
	view.Operations = shown.Operations
	e := &nodeEffect{Sentence: shown.Sentence, From: "when it is decided"}
	if !from.IsZero() {
		e.From = "on " + ui.Minute(from.Time)
	}
	list, err := w.differencesOf(v, shown.Differences, func(*app.NodeView, string) bool { return true })
	if err != nil {
		return err
	}
	e.Differences, e.MoreDiffer = list[:min(len(list), maxNodeEffects)], max(0, len(list)-maxNodeEffects)
	e.charges(&shown)
	e.steps(&would)
	view.Effect = e
	return nil
}

// charges tells what lands elsewhere.
func (e *nodeEffect) charges(p *app.NodePreview) {
	e.Month = p.Month
	if at, err := time.Parse("2006-01", p.Month); err == nil {
		e.Month = at.Format("January 2006")
	}
	for i := range p.Totals {
		t := &p.Totals[i]
		row := effectOf(t.Path, t.Swing)
		row.Code = t.Code
		if !t.Node.IsZero() {
			row.URL = nodeURL(t.Code)
		}
		e.Rows = append(e.Rows, row)
	}
	if p.Moved.Sign() != 0 {
		e.Foot = []effectRow{effectOf("Capitalized, of what lands elsewhere", p.Capitalized), effectOf("Expensed, of what lands elsewhere", p.Expensed)}
	}
	if p.PlanMovedCents != 0 {
		e.Along = append(e.Along, "a plan of "+ui.Dollars(centsBetween(0, p.PlanMovedCents))+" for the year")
	}
	e.Along = append(e.Along, ui.Plural(int64(p.Keys), "virtual key"))
	if p.Rules > 0 {
		e.Along = append(e.Along, ui.Plural(int64(p.Rules), "attribution rule"))
	}
}

// name calls the nodes whose charges differ by their names, where they have one now.
func (e *nodeEffect) name(nodes []app.NodeView) {
	if e == nil {
		return
	}
	for i := range e.Rows {
		row := &e.Rows[i]
		if at := slices.IndexFunc(nodes, func(n app.NodeView) bool { return n.Code == row.Code }); at >= 0 {
			row.Label, row.Code = nodes[at].Name, row.Label
		} else {
			row.Code = ""
		}
	}
}

func effectOf(label string, s approval.Swing) effectRow {
	row := effectRow{Label: label, Swing: s}
	row.Difference.AddSum(&s.After)
	row.Difference.SubSum(&s.Before)
	return row
}

// steps say who would decide.
func (e *nodeEffect) steps(would *app.ChangeView) {
	e.Policy = "no policy of the company is for it"
	if would.Terms.Policy.Code != approval.RuleDefault {
		e.Policy = fmt.Sprintf("policy %s, version %d", would.Terms.Policy.Code, would.Terms.Version)
	}
	for _, s := range would.Terms.Policy.Steps {
		var who []string
		for _, w := range s.Who {
			who = append(who, wouldDecide(w))
		}
		e.Steps = append(e.Steps, effectStep{Title: s.Name, Who: ui.Plural(int64(s.Quorum), "person") + " of: " + strings.Join(who, ", ")})
	}
}

func wouldDecide(a approval.Approver) string {
	switch {
	case a.Anyone:
		return "everybody who may approve for finance"
	case a.Owner:
		return "the owners of the nodes it touches"
	case a.Role != "":
		return "every " + strings.ReplaceAll(a.Role, "_", " ")
	}
	return "member " + ui.ShortID(a.Member.String())
}
