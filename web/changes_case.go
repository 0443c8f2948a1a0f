package web

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/secret"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// caseView is the page of one change: all it takes to decide, and what became of it.
type caseView struct {
	Frame   ui.Frame
	Case    app.CaseView
	Path    string // of the page
	Title   string
	Sub     string
	Effect  string
	State   figureTag
	Now     time.Time
	Digest  string
	Payload string
	Content []fieldDiff
	Prices  *pricesPart
	Impact  impactView
	Maker   link
	Steps   []caseStep
	Void    []app.VoteView
	Policy  link
	Due     string
	Files   []app.AttachmentView
	History []caseEvent
	Log     string // empty: not theirs to read
	EditURL string // of a better form than the text; empty: there is none
	Forms   caseForms
	Once    string
	Posted  string       // what adjustments it has posted; empty: none, or its kind posts none
	Confirm *confirmPart // nil: approving asks no issuer
}

// pricesPart is what a change of prices does, line by line.
type pricesPart struct {
	Rows      []differenceRow
	URL       string
	Overtaken bool
}

// caseForms are what was filled in on a change's page, and what was wrong with it.
type caseForms struct {
	Decide decideForm
	Remark remarkForm
	Edit   editForm
	File   trouble
}

type decideForm struct {
	trouble

	Reason, For string
}

type remarkForm struct {
	trouble

	Body string
}

type editForm struct {
	trouble

	Payload, From, Reason string
	Open                  bool
}

// caseStep is a step of a policy on its way.
type caseStep struct {
	Icon, Word string // how far it is
	Done       bool
	Name       string
	Lines      []string
	Aside      string
	Tone       ui.Tone // of what is beside it
}

// caseEvent is one thing that happened to a change.
type caseEvent struct {
	At    time.Time
	By    link
	Words string
	Said  string
	URL   string // of its records in the log; empty: not theirs to read
}

func (w *Web) showCase(v *visit) error { return w.casePage(v, http.StatusOK, caseForms{}) }

func (v *visit) changeID() (id.Change, error) {
	change, err := id.ParseChange(v.Param("id"))
	if err != nil {
		return change, errPageAbsent
	}
	return change, nil
}

func (w *Web) casePage(v *visit, status int, forms caseForms) error {
	change, err := v.changeID()
	if err != nil {
		return err
	}
	shown, err := w.areas.Approvals.Case(v.Request().Context(), v.who, change)
	if err != nil {
		return err
	}
	now := w.cfg.Now()
	c := &shown.ChangeView
	view := &caseView{
		Frame: v.frame(changeNumber(c.Number)), Case: shown, Path: "/changes/" + c.ID.String(), Title: changeTitle(c), Effect: effectWords(c, v.profile.TimeZone), State: changeStateTag(c, now), Now: now,
		Digest: c.DigestText(), Payload: exactBytes(c.Payload), Content: contentOf(c), Impact: impactOf(&c.Impact), Maker: v.hand(c.Made), Void: shown.Void, Files: shown.Attachments, Forms: forms,
		Once: secret.Mint("form_").Reveal(),
	}
	view.Sub = kindWords(c.Kind)
	if view.Title == view.Sub {
		view.Sub = ""
	}
	if view.Content, view.Prices, err = w.caseContent(v, c, view.Content); err != nil {
		return err
	}
	for i, s := range shown.Sealed { // where something goes is read before what
		view.Content = slices.Insert(view.Content, i, fieldDiff{Name: s.Name, Is: []string{s.Value}})
	}
	view.Policy = policyLink(v, &c.Terms)
	if c.Open() && !c.Terms.ExpiresAt.IsZero() {
		view.Due = dueWords(c.Terms.ExpiresAt, now)
	}
	view.Steps = caseSteps(&shown, now)
	if v.may("audit", "read") {
		view.Log = logQuery{Subject: c.ID.String()}.url("/log")
	}
	view.History = v.caseHistory(&shown)
	if view.Confirm, err = w.confirmPart(v, &shown); err != nil {
		return err
	}
	if view.Posted, err = w.postedBy(v, c); err != nil {
		return err
	}
	if !forms.Edit.Open {
		view.Forms.Edit = editOf(c)
	}
	if c.Kind == "policies" && shown.May.Edit && v.may("policy", "propose") {
		view.EditURL = "/changes/policies/edit?change=" + c.ID.String()
	}
	return render(v, status, casePage(view))
}

// exactBytes are what was hashed, as far as a page shows them; empty where they are too many.
func exactBytes(payload []byte) string {
	if len(payload) > maxShownBytes {
		return ""
	}
	return string(payload)
}

// editOf is what an edit begins with: what was asked for, without what was worked out of it.
func editOf(c *app.ChangeView) editForm {
	form := editForm{Payload: laidOut(c.Payload), Reason: c.Reason}
	if c.EffectiveFrom.Sub(c.ProposedAt) > time.Minute {
		form.From = c.EffectiveFrom.Format(time.RFC3339Nano)
	}
	if steps := operationsOf(c.Payload); c.Kind == "node" && len(steps) > 0 {
		if text, err := json.Marshal(map[string]any{"operations": steps}); err == nil {
			form.Payload = laidOut(text)
		}
	}
	if text := retagAgain(c.Payload); c.Kind == "retag" && text != nil {
		form.Payload = laidOut(text)
	}
	return form
}

// postedBy says what adjustments a change has posted.
func (w *Web) postedBy(v *visit, c *app.ChangeView) (string, error) {
	if c.State != approval.StateApplied || (c.Kind != "retag" && c.Kind != "node" && c.Kind != "prices") {
		return "", nil
	}
	posted, err := w.areas.Adjustments.Posted(v.Request().Context(), v.who, c.ID)
	switch {
	case err != nil, posted.Count == 0 && !posted.Follows:
		return "", err
	case posted.Follows && posted.EndedAt.IsZero():
		return "What was charged since it takes effect is being moved: " + ui.Plural(posted.Count, "adjustment") + " posted so far.", nil
	case posted.Follows:
		return "What was charged since it takes effect has moved: " + ui.Plural(posted.Count, "adjustment") + " posted, complete on " + ui.Minute(posted.EndedAt) + ".", nil
	}
	words := ui.Plural(posted.Count, "adjustment") + " posted, the last on " + ui.Minute(posted.LastAt)
	if posted.Delta.Sign() != 0 {
		words += "; together " + ui.Dollars(&posted.Delta)
	}
	return words + ".", nil
}

// caseContent adds to what a change says what only its own area knows.
func (w *Web) caseContent(v *visit, c *app.ChangeView, content []fieldDiff) ([]fieldDiff, *pricesPart, error) {
	switch {
	case c.Kind == "prices" && v.may("price", "read"):
		proposal, err := w.areas.Prices.Proposal(v.Request().Context(), v.who, c.ID)
		if fault.KindOf(err) == fault.KindNotFound { // nobody proposed it: a company's first prices, or an operator's
			return content, nil, nil
		}
		if err != nil {
			return content, nil, err
		}
		part := &pricesPart{URL: "/prices/changes/" + c.ID.String(), Overtaken: proposal.Overtaken && c.Open()}
		for _, d := range proposal.Differences {
			part.Rows = append(part.Rows, difference(d))
		}
		return nil, part, nil
	case c.Kind == "policies" && v.may("policy", "read"):
		content, err := w.policiesContent(v, c)
		return content, nil, err
	}
	return content, nil, nil
}

// hand is somebody by name, with their page for who may see it.
func (v *visit) hand(h app.Hand) link {
	if h.Member.IsZero() || !v.may("member", "read") {
		return link{Label: h.Name}
	}
	return link{h.Name, "/members/" + h.Member.String()}
}

// policyLink names the policy a change is held to.
func policyLink(v *visit, t *app.Terms) link {
	if t.Policy.Code == approval.RuleDefault {
		one := link{Label: "what holds without a policy of the company’s own"}
		if v.may("policy", "read") {
			one.URL = "/changes/policies"
		}
		return one
	}
	one := link{Label: "policy “" + t.Policy.Code + "”, version " + strconv.Itoa(t.Version)}
	if v.may("policy", "read") {
		one.URL = "/changes/policies?version=" + strconv.Itoa(t.Version) + "#" + t.Policy.Code
	}
	return one
}

// caseSteps are the way of a change from its proposal to its effect.
func caseSteps(c *app.CaseView, now time.Time) []caseStep {
	list := []caseStep{{Icon: "✓", Word: "done", Done: true, Name: "Proposed", Lines: []string{c.Made.Name}, Aside: shortDay(c.ProposedAt)}}
	for i := range c.Steps {
		list = append(list, stepOf(&c.Steps[i], i+1, c, now))
	}
	end := caseStep{Icon: strconv.Itoa(len(list)), Word: "to come", Name: "Takes effect"}
	switch c.State {
	case approval.StateApplied:
		end.Icon, end.Word, end.Done, end.Aside = "✓", "done", true, shortDay(c.MovedAt)
		end.Lines = []string{"decided by " + decidedBy(&c.ChangeView)}
	case approval.StateRejected, approval.StateExpired:
		end.Icon, end.Word, end.Aside = "×", "never", shortDay(c.MovedAt)
		end.Name = changeStateTag(&c.ChangeView, now).Word
		end.Lines = []string{endedBy(&c.ChangeView)}
	case approval.StateProposed, approval.StateApproved:
	}
	return append(list, end)
}

func endedBy(c *app.ChangeView) string {
	switch c.Basis {
	case approval.BasisExpired:
		return "nobody decided in time"
	case approval.BasisWithdrawn:
		return "taken back by " + c.Ended.Name
	case approval.BasisSecond, approval.BasisSole:
	}
	return "by " + c.Ended.Name
}

// stepOf is one step of the policy: who approved it, and who is asked.
func stepOf(s *app.StepView, place int, c *app.CaseView, now time.Time) caseStep {
	one := caseStep{Icon: strconv.Itoa(place), Word: "to come", Name: s.Name}
	if s.Quorum > 1 {
		one.Name += ", " + strconv.Itoa(len(s.Votes)) + " of " + strconv.Itoa(s.Quorum) + " persons"
	}
	for i := range s.Votes {
		one.Lines = append(one.Lines, voteWords(&s.Votes[i]))
		one.Aside = shortDay(s.Votes[i].DecidedAt)
	}
	switch {
	case !s.Open:
		one.Icon, one.Word, one.Done = "✓", "done", true
	case s.Turn:
		one.Icon, one.Word = "→", "now"
		one.Lines = append(one.Lines, askedWords(s.Asked))
		if !c.Terms.ExpiresAt.IsZero() {
			one.Aside, one.Tone = dueWords(c.Terms.ExpiresAt, now), ui.ToneWarn
		}
	case c.Open():
		one.Lines = append(one.Lines, askedWords(s.Asked))
	}
	return one
}

// maxNamed bounds the names beside a step.
const maxNamed = 6

func askedWords(asked []app.Hand) string {
	switch {
	case len(asked) == 0:
		return "nobody here may decide this now"
	case len(asked) > maxNamed:
		return handNames(asked[:maxNamed]) + " or " + ui.Count(int64(len(asked)-maxNamed)) + " more may decide"
	}
	return handNames(asked) + " may decide"
}

func shortDay(at time.Time) string { return at.UTC().Format("2 Jan 15:04") }

// caseHistory is everything that happened to a change, in its order.
func (v *visit) caseHistory(c *app.CaseView) []caseEvent {
	url := func(action string) string {
		if !v.may("audit", "read") {
			return ""
		}
		return logQuery{Subject: c.ID.String(), Action: action}.url("/log")
	}
	reason := c.Reason
	if len(c.Revisions) > 0 {
		reason = "" // the page shows the latest; each edit has its own below
	}
	list := []caseEvent{{c.ProposedAt, v.hand(c.Made), "Proposed", reason, url("change.proposed")}}
	for i := range c.Revisions {
		r := &c.Revisions[i]
		list = append(list, caseEvent{r.RecordedAt, v.hand(r.Who), "Edited: content " + strconv.Itoa(r.Revision) + ", digest " + r.Digest[:12] + "…", r.Reason, url("change.revised")})
	}
	for _, r := range c.Remarks {
		_, words := remarkWords(r.Kind)
		action := map[string]string{app.RemarkReminder: "change.reminded", app.RemarkEscalation: "change.escalated"}[r.Kind]
		if action == "" {
			action = "change.remarked"
		}
		list = append(list, caseEvent{r.RecordedAt, v.hand(r.Who), strings.ToUpper(words[:1]) + words[1:], r.Body, url(action)})
	}
	for i := range c.Steps {
		for k := range c.Steps[i].Votes {
			list = append(list, v.voteEvent(&c.Steps[i].Votes[k], "Approved “"+c.Steps[i].Name+"”", url("change.step_approved")))
		}
	}
	for i := range c.Void {
		list = append(list, v.voteEvent(&c.Void[i], "Approved, which does not count any more", url("change.step_approved")))
	}
	switch c.State {
	case approval.StateApplied:
		list = append(list, caseEvent{c.MovedAt, v.ender(&c.ChangeView), "Applied", "", url("change.applied")})
	case approval.StateRejected:
		list = append(list, caseEvent{c.MovedAt, v.ender(&c.ChangeView), changeStateTag(&c.ChangeView, c.MovedAt).Word, c.VerdictReason, url("change.rejected")})
	case approval.StateExpired:
		list = append(list, caseEvent{c.MovedAt, link{Label: "Tollbook"}, "Expired", c.VerdictReason, url("change.expired")})
	case approval.StateProposed, approval.StateApproved:
	}
	slices.SortStableFunc(list, func(a, b caseEvent) int { return a.At.Compare(b.At) })
	return list
}

// ender is who ended a change, or the rule that did.
func (v *visit) ender(c *app.ChangeView) link {
	if c.Ended.Member.IsZero() {
		return link{Label: decidedBy(c)}
	}
	return v.hand(c.Ended)
}

func (v *visit) voteEvent(vote *app.VoteView, words, url string) caseEvent {
	if vote.For.Name != "" {
		words += " for " + vote.For.Name
	}
	if !vote.Decision.IsZero() {
		words, url = words+", confirmed by the issuer", decisionURL(vote.Decision)
	}
	return caseEvent{vote.DecidedAt, v.hand(vote.Who), words, vote.Reason, url}
}

// impactView is what a change would have done to a month, as a table and its drawing.
type impactView struct {
	Sentence string
	Month    string // in words; empty: no charge moves
	Rows     []impactRow
	Foot     []impactRow
	Along    string
	Moves    string
	Exact    bool // these very charges, no replay
}

type impactRow struct {
	Label, Code, URL string
	Before, After    money.Sum
	Moves            money.Sum
	Now, Then        int // permille of the largest: after, before
}

func impactOf(i *approval.Impact) impactView {
	view := impactView{Sentence: i.Sentence, Along: alongWords(i), Moves: movesWords(i), Exact: i.Exact}
	month, err := time.Parse("2006-01", i.Month)
	if err != nil {
		return view
	}
	view.Month = month.Format("January 2006")
	var before, after, largest money.Sum
	for k := range i.Nodes {
		n := &i.Nodes[k]
		before.AddSum(&n.Before)
		after.AddSum(&n.After)
		for _, s := range []*money.Sum{&n.Before, &n.After} {
			if s.Cmp(&largest) > 0 {
				largest = money.Sum{}
				largest.AddSum(s)
			}
		}
	}
	for k := range i.Nodes {
		n := &i.Nodes[k]
		row := swing(n.Path, n.Swing)
		row.Code, row.URL = n.Code, nodeURL(n.Code)+"?period="+i.Month
		row.Now, row.Then = ui.Permille(&n.After, &largest), ui.Permille(&n.Before, &largest)
		view.Rows = append(view.Rows, row)
	}
	view.Foot = []impactRow{swing("These nodes together", approval.Swing{Before: before, After: after})}
	if i.Expensed.Before.Sign() != 0 || i.Expensed.After.Sign() != 0 || i.Capitalized.Before.Sign() != 0 || i.Capitalized.After.Sign() != 0 {
		view.Foot = append(view.Foot, swing("Expense in the P&L", i.Expensed), swing("Capitalized", i.Capitalized))
	}
	return view
}

func swing(label string, s approval.Swing) impactRow {
	row := impactRow{Label: label, Before: s.Before, After: s.After}
	row.Moves.AddSum(&s.After)
	row.Moves.SubSum(&s.Before)
	return row
}

// digestForm reads the digest that was shown with a form; another is no content's.
func (v *visit) digestForm(field string) [32]byte {
	var seen [32]byte
	if digest, err := hex.DecodeString(field); err == nil && len(digest) == len(seen) {
		seen = [32]byte(digest)
	}
	return seen
}

var errNoVerdict = fault.Invalid("verdict", "verdict_unknown", "Say whether you approve it or reject it.")

// decideCase takes a verdict, which only a form's own POST can give.
func (w *Web) decideCase(v *visit) error {
	if !v.may("change", "read") {
		return app.ErrNotAllowed
	}
	change, err := v.changeID()
	if err != nil {
		return err
	}
	form := decideForm{Reason: v.FormValue("reason"), For: v.FormValue("for")}
	ruling := app.Ruling{Once: v.FormValue("once")}
	ruling.Verdict, ruling.Seen, ruling.Reason = approval.Verdict(v.FormValue("verdict")), v.digestForm(v.FormValue("digest")), form.Reason
	switch {
	case ruling.Verdict != approval.VerdictApprove && ruling.Verdict != approval.VerdictReject:
		err = errNoVerdict
	case form.For != "":
		ruling.For, err = id.ParseMember(form.For)
	}
	if err == nil {
		_, err = w.areas.Approvals.Rule(v.Request().Context(), v.who, change, ruling)
	}
	if err == nil {
		return v.Redirect(http.StatusSeeOther, "/changes/"+change.String())
	}
	return w.retell(v, err, func(t trouble) caseForms {
		form.trouble = t
		return caseForms{Decide: form}
	})
}

// retell shows a change's page again with what was typed and what was wrong; a refusal, too,
// since the page says why.
func (w *Web) retell(v *visit, err error, with func(trouble) caseForms) error {
	kind := fault.KindOf(err)
	if kind != fault.KindInvalid && kind != fault.KindConflict && kind != fault.KindForbidden {
		return err
	}
	f := fault.From(err)
	return w.casePage(v, statusOf(kind), with(trouble{f.Message, f.Field}))
}

func (w *Web) remarkCase(v *visit) error {
	if !v.may("change", "read") {
		return app.ErrNotAllowed
	}
	change, err := v.changeID()
	if err != nil {
		return err
	}
	form := remarkForm{Body: v.FormValue("body")}
	if err = w.areas.Approvals.Remark(v.Request().Context(), v.who, change, v.FormValue("kind"), form.Body); err == nil {
		return v.Redirect(http.StatusSeeOther, "/changes/"+change.String()+"#discussion")
	}
	return w.retell(v, err, func(t trouble) caseForms {
		form.trouble = t
		return caseForms{Remark: form}
	})
}

var errNoContent = fault.Invalid("payload", "payload_missing", "Say what the change shall be, as JSON.")

// editCase replaces what a change proposes; whatever was decided about it is void then.
func (w *Web) editCase(v *visit) error {
	if !v.may("change", "propose") {
		return app.ErrNotAllowed
	}
	change, err := v.changeID()
	if err != nil {
		return err
	}
	form := editForm{Payload: v.FormValue("payload"), From: strings.TrimSpace(v.FormValue("from")), Reason: v.FormValue("reason"), Open: true}
	ask := app.Ask{Payload: []byte(form.Payload), Reason: form.Reason}
	switch {
	case strings.TrimSpace(form.Payload) == "":
		err = errNoContent
	case form.From != "":
		var from api.Instant
		from, err = api.ParseInstant("from", form.From)
		ask.EffectiveFrom = from.Time
	}
	if err == nil {
		_, err = w.areas.Approvals.Revise(v.Request().Context(), v.who, change, v.digestForm(v.FormValue("digest")), ask)
	}
	if err == nil {
		return v.Redirect(http.StatusSeeOther, "/changes/"+change.String())
	}
	return w.retell(v, err, func(t trouble) caseForms {
		form.trouble = t
		return caseForms{Edit: form}
	})
}
