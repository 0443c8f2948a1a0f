package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

const setUpPath = "/setup"

// setUpPages are a company's first set-up.
func (w *Web) setUpPages() []Route {
	return []Route{
		w.page(http.MethodGet, setUpPath, w.showSetUp, "setting", "read"),
		w.page(http.MethodPost, "/setup/upstream", w.setUpUpstream, "upstream", "propose"),
		w.page(http.MethodPost, "/setup/upstream/test", w.setUpTest, "upstream", "propose"),
		w.page(http.MethodPost, "/setup/cost-center", w.setUpCenter, "node", "propose"),
		w.page(http.MethodPost, "/setup/key", w.setUpKey, "key", "propose"),
		w.page(http.MethodPost, "/setup/dismiss", w.dismissSetUp, "setting", "read"),
	}
}

// How far a step is, for who looks.
const (
	stepDone    = "done"
	stepNext    = "next"
	stepLater   = "later"
	stepWaiting = "waiting"
)

// setUpStep is one step as it is shown.
type setUpStep struct {
	Step  app.SetUpStep
	Place int // from 1; 0: not one of those that are counted
	Title string
	Why   string // what it is for, in one sentence
	State string
	May   bool   // the one who looks may take it
	Open  bool   // and now
	Who   string // who may; empty: everybody
}

type setUpView struct {
	Frame    ui.Frame
	SetUp    app.SetUp
	Steps    []setUpStep
	Extras   []setUpStep
	Done, Of int
	Gateway  string
	Reach    []option // the addresses requests may go to; empty: any
	Nodes    []option
	Shell    snippet
	Key      connectQuery
	Latest   *app.Request
	First    *app.Request
	Upstream upstreamForm
	Center   centerForm
	KeyForm  keyForm
	Alert    string // of the test
}

// centerForm is what was filled in of a first cost center, and what was wrong with it.
type centerForm struct {
	trouble
	Code, Name, Capitalization string
}

// setUpForms are the forms as they were sent; nil ones were not.
type setUpForms struct {
	upstream *upstreamForm
	center   *centerForm
	key      *keyForm
	alert    string
}

// setUpReason is why, of what the set-up asks no reason for.
const setUpReason = "first set-up"

func (w *Web) showSetUp(v *visit) error { return w.setUpPage(v, http.StatusOK, setUpForms{}) }

func (w *Web) setUpPage(v *visit, status int, sent setUpForms) error {
	ctx := v.Request().Context()
	setUp, err := w.areas.Settings.SetUp(ctx, v.who)
	if err != nil {
		return err
	}
	reach, err := w.areas.Tenants.Reach(ctx, v.who)
	if err != nil {
		return err
	}
	view := &setUpView{
		Frame: v.frame("First set-up"), SetUp: setUp, Gateway: w.gatewayURL(v), Alert: sent.alert,
		Upstream: upstreamForm{BaseURL: app.ProviderURL}, Center: centerForm{Capitalization: string(hierarchy.Expense)}, Key: connectQuery{Key: setUp.Key.ID.String()},
		KeyForm: keyForm{Label: "First key", CostCenter: setUp.Center.Code},
	}
	view.Done, view.Of = setUp.Progress()
	if setUp.Upstream != nil {
		view.Upstream.BaseURL = setUp.Upstream.BaseURL
	}
	if sent.upstream != nil {
		view.Upstream = *sent.upstream
	}
	if sent.center != nil {
		view.Center = *sent.center
	}
	if sent.key != nil {
		view.KeyForm = *sent.key
	}
	for _, address := range reach {
		view.Reach = append(view.Reach, option{Value: address, Label: address, Selected: address == view.Upstream.BaseURL})
	}
	view.steps(v)
	if err := view.fill(v); err != nil {
		return err
	}
	return render(v, status, setUpShown(view))
}

// steps says how far each step is for who looks.
func (s *setUpView) steps(v *visit) {
	opened := false
	for i, step := range app.SetUpSteps() {
		one := v.setUpStep(step)
		one.Place = i + 1
		switch {
		case s.SetUp.Done(step):
			one.State = stepDone
		case step == s.SetUp.Next():
			one.State = stepNext
		case step == app.StepPriced && (s.SetUp.Next() == app.StepConnect || s.SetUp.Next() == step):
			one.State = stepWaiting
		}
		if step == app.StepPriced && one.State == stepNext {
			one.State = stepWaiting
		}
		// Who may not take the next step may take the first one behind it that is theirs.
		if one.May && one.State != stepDone && !opened && s.ready(step) {
			one.Open, opened = true, true
		}
		s.Steps = append(s.Steps, one)
	}
	for _, step := range app.SetUpExtras() {
		one := v.setUpStep(step)
		if s.SetUp.Done(step) {
			one.State = stepDone
		}
		s.Extras = append(s.Extras, one)
	}
}

// ready tells whether a step has what it needs from those before it.
func (s *setUpView) ready(step app.SetUpStep) bool {
	switch step {
	case app.StepKey:
		return s.SetUp.Centers > 0
	case app.StepConnect:
		return s.SetUp.Keys > 0
	case app.StepProfile, app.StepUpstream, app.StepCostCenter, app.StepPriced, app.StepColleague, app.StepPlan:
	}
	return true
}

func (v *visit) setUpStep(step app.SetUpStep) setUpStep {
	one := setUpStep{Step: step, State: stepLater, May: true}
	one.Title, one.Why = setUpWords(step)
	if object, action := step.Right(); object != "" {
		one.May = v.may(object, action)
		one.Who = roleList(v.web.access.Takers(step), "or")
	}
	return one
}

// setUpWords are a step's title and what it is for.
func setUpWords(step app.SetUpStep) (title, why string) {
	switch step {
	case app.StepProfile:
		return "Company", "What your company is called, and how it shows time and months."
	case app.StepUpstream:
		return "Claude upstream", "Where your requests go, and the provider’s credential that pays for them."
	case app.StepCostCenter:
		return "First cost center", "Every dollar is charged to a cost center; one is enough to begin."
	case app.StepKey:
		return "First virtual key", "What Claude Code presents instead of the provider’s key; it charges its cost center."
	case app.StepConnect:
		return "Connect Claude Code", "Two variables point Claude Code here; nothing else about it changes."
	case app.StepPriced:
		return "First priced request", "The proof that all of it works: one request, measured, priced and charged."
	case app.StepColleague:
		return "Invite a colleague", "A second person is needed for approvals: nobody approves what they proposed themselves."
	case app.StepPlan:
		return "Import a plan", "An approved amount per cost center and month is what spending is compared with."
	}
	return "", ""
}

// fill reads what only an open step shows.
func (s *setUpView) fill(v *visit) error {
	var err error
	if s.First, err = v.setUpRequest(s.SetUp.First); err != nil {
		return err
	}
	if s.First == nil {
		if s.Latest, err = v.setUpRequest(s.SetUp.Latest); err != nil {
			return err
		}
	}
	for i := range s.Steps {
		if !s.Steps[i].Open {
			continue
		}
		switch s.Steps[i].Step {
		case app.StepKey:
			s.KeyForm.Once = secret.Mint("form_").Reveal() // sent twice, it makes one key
			if s.Nodes, err = v.web.chargedOptions(v, s.KeyForm.CostCenter); err != nil {
				return err
			}
		case app.StepConnect:
			var snippets connectView
			v.web.connectSnippets(&snippets, s.Gateway)
			s.Shell = snippets.Shell
		case app.StepProfile, app.StepUpstream, app.StepCostCenter, app.StepPriced, app.StepColleague, app.StepPlan:
		}
	}
	return nil
}

// setUpRequest is a request by its id; nil without one, or where it is not to be seen.
func (v *visit) setUpRequest(event id.Event) (*app.Request, error) {
	if event.IsZero() {
		return nil, nil
	}
	page, err := v.web.areas.Reports.Requests(v.Request().Context(), v.who, app.RequestFilter{Event: event, Limit: 1})
	if err != nil || len(page.Rows) == 0 {
		return nil, err
	}
	return &page.Rows[0], nil
}

// setUpAgain shows the set-up with a form that was refused. Who may take a step and not
// look at the whole is told what was wrong alone.
func (w *Web) setUpAgain(v *visit, err error, with func(trouble) setUpForms) error {
	status, f := retold(err)
	if status == 0 || !v.may("setting", "read") {
		return err
	}
	return w.setUpPage(v, status, with(trouble{f.Message, f.Field}))
}

// setUpUpstream stores where requests go and asks there at once.
func (w *Web) setUpUpstream(v *visit) error {
	if !v.may("upstream", "propose") {
		return app.ErrNotAllowed
	}
	form := upstreamForm{BaseURL: strings.TrimSpace(v.FormValue("base_url"))}
	credential := secret.NewText(strings.TrimSpace(v.FormValue("credential")))
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskUpstream(form.BaseURL, credential, setUpReason), "")
	if err != nil {
		return w.setUpAgain(v, err, func(t trouble) setUpForms { form.trouble = t; return setUpForms{upstream: &form} })
	}
	if made.Open() {
		return v.proposed(made, nil, setUpPath)
	}
	return w.setUpTest(v)
}

func (w *Web) setUpTest(v *visit) error {
	if !v.may("upstream", "propose") {
		return app.ErrNotAllowed
	}
	if _, err := w.areas.Settings.TestUpstream(v.Request().Context(), v.who); err != nil {
		if kind := fault.KindOf(err); kind == fault.KindLimited {
			return w.setUpPage(v, statusOf(kind), setUpForms{alert: fault.From(err).Message})
		}
		return w.setUpAgain(v, err, func(t trouble) setUpForms { return setUpForms{alert: t.Alert} })
	}
	return v.Redirect(http.StatusSeeOther, setUpPath+"#upstream")
}

func (w *Web) setUpCenter(v *visit) error {
	if !v.may("node", "propose") {
		return app.ErrNotAllowed
	}
	form := centerForm{Code: strings.TrimSpace(v.FormValue("code")), Name: strings.TrimSpace(v.FormValue("name")), Capitalization: v.FormValue("capitalization")}
	node := app.NewNode{Code: form.Code, Name: form.Name, Kind: string(hierarchy.KindCostCenter), Capitalization: form.Capitalization}
	err := w.areas.Nodes.Create(v.Request().Context(), v.who, []app.NewNode{node}, time.Time{}, setUpReason)
	if errors.Is(err, app.ErrMustPropose) { // the hierarchy has begun: somebody decides about what comes
		made, failed := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskNodes([]app.NewNode{node}, time.Time{}, setUpReason), "")
		if failed == nil && made.Open() {
			return v.proposed(made, nil, setUpPath)
		}
		err = failed
	}
	if err != nil {
		return w.setUpAgain(v, err, func(t trouble) setUpForms { form.trouble = t; return setUpForms{center: &form} })
	}
	if !v.may("setting", "read") {
		return v.Redirect(http.StatusSeeOther, nodeURL(form.Code))
	}
	return v.Redirect(http.StatusSeeOther, setUpPath+"#cost_center")
}

// setUpKey makes the first key; the answer is the page that shows it, once.
func (w *Web) setUpKey(v *visit) error {
	if !v.may("key", "propose") {
		return app.ErrNotAllowed
	}
	form := keyForm{Label: v.FormValue("label"), CostCenter: v.FormValue("cost_center"), Once: v.FormValue("once")}
	made, err := w.areas.Keys.CreateOnce(v.Request().Context(), v.who, app.NewKey{Label: form.Label, CostCenter: form.CostCenter}, setUpReason, form.Once)
	if err != nil {
		return w.setUpAgain(v, err, func(t trouble) setUpForms { form.Alert, form.Field = t.Alert, t.Field; return setUpForms{key: &form} })
	}
	return render(v, http.StatusCreated, madeKeyPage(&madeKeyView{Frame: v.frame("Virtual key made"), Key: made, GatewayURL: w.gatewayURL(v), SetUp: true}))
}

const (
	setUpCookie    = "tollbook-setup"
	setUpCookieFor = 365 * 24 * time.Hour
	maxDismissed   = 20 // companies one browser remembers
)

// dismissSetUp hides the strip in this browser; the set-up stays where it is.
func (w *Web) dismissSetUp(v *visit) error {
	if !v.may("setting", "read") {
		return app.ErrNotAllowed
	}
	list := slices.DeleteFunc(strings.Split(w.cookie(v, setUpCookie), "."), func(slug string) bool { return slug == v.slug || slug == "" || len(slug) > 40 })
	list = append(list, v.slug)
	w.setCookie(v, setUpCookie, strings.Join(list[max(0, len(list)-maxDismissed):], "."), setUpCookieFor)
	return v.Redirect(http.StatusSeeOther, "/")
}

// fromSetUp is what links of the set-up carry, so that the page they lead to leads back.
const fromSetUp = "?from=setup"

// strip is what a page says of a set-up that is not finished, to who can go on with it;
// nil: nothing. Without it a page is whole: a failure is logged and the strip left out.
func (v *visit) strip() *ui.SetUpStrip {
	if !v.may("setting", "read") || strings.HasPrefix(v.Path(), setUpPath) && v.Request().Method == http.MethodGet {
		return nil
	}
	strip := &ui.SetUpStrip{URL: setUpPath, Back: v.QueryParam("from") == "setup"}
	takes := v.may("upstream", "propose") || v.may("key", "propose")
	if !strip.Back && (!takes || v.web.complete.has(v.who.Tenant) || slices.Contains(strings.Split(v.web.cookie(v, setUpCookie), "."), v.slug)) {
		return nil
	}
	finished, err := v.web.areas.Settings.Finished(v.Request().Context(), v.who)
	if err == nil && finished {
		v.web.complete.add(v.who.Tenant)
		if !strip.Back {
			return nil
		}
	}
	var setUp app.SetUp
	if err == nil {
		setUp, err = v.web.areas.Settings.SetUp(v.Request().Context(), v.who)
	}
	if err != nil {
		v.web.cfg.Log.WarnContext(v.Request().Context(), "set-up not shown", "error", err)
		return nil
	}
	strip.Done, strip.Of = setUp.Progress()
	if next := setUp.Next(); next != "" {
		strip.Next, _ = setUpWords(next)
	}
	return strip
}

// completed are companies whose set-up came to its end, which is for good: the ledger
// forgets nothing.
type completed struct {
	mu   sync.Mutex
	list map[id.Tenant]bool
}

const maxCompleted = 10_000

func (c *completed) has(tenant id.Tenant) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list[tenant]
}

func (c *completed) add(tenant id.Tenant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list == nil || len(c.list) >= maxCompleted {
		c.list = map[id.Tenant]bool{} // a bound, not a policy: each is found again by one question
	}
	c.list[tenant] = true
}
