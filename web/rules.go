package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/web/ui"
)

// rulesQuery is which rules are shown: all of it is in the URL.
type rulesQuery struct {
	Version     int64 // zero: those in force as of an instant
	AsOf, Known time.Time
}

func (v *visit) rulesQuery() (rulesQuery, error) {
	var q rulesQuery
	var err error
	if text := v.QueryParam("version"); text != "" {
		if q.Version, err = strconv.ParseInt(text, 10, 32); err != nil || q.Version < 1 {
			return q, app.ErrRuleVersion
		}
	}
	q.AsOf, q.Known, err = v.instants()
	return q, err
}

func (q rulesQuery) url(path string) string {
	values := url.Values{}
	if q.Version > 0 {
		values.Set("version", strconv.FormatInt(q.Version, 10))
	}
	for name, at := range map[string]time.Time{"as_of": q.AsOf, "known_at": q.Known} {
		if !at.IsZero() {
			values.Set(name, at.UTC().Format(time.RFC3339))
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q rulesQuery) app() app.RulesQuery {
	return app.RulesQuery{Version: q.Version, AsOf: q.AsOf, Known: q.Known}
}

type rulesView struct {
	Frame    ui.Frame
	Query    rulesQuery
	Set      app.RuleSet
	Title    string
	Sub      string
	Lines    []ruleLine
	Placed   money.Sum // by all that are shown, in the month
	Requests int64
	Replay   string // what this version would have done with the whole month
	CSV      string
	MayAsk   bool
	Sent     *app.ChangeView // the proposal one comes from
	Now      time.Time
}

// ruleLine is a rule as lists show it.
type ruleLine struct {
	Place      int
	Code       string
	Name       string
	When       []string
	To         []ruleShare
	Warning    string
	Requests   string
	Charge     string
	URL        string // the requests it placed
	Unplaced   bool   // it placed none
	Up, Down   bool   // may move, while one edits
	Difference string
}

// ruleShare is where a rule charges.
type ruleShare struct {
	Code, URL, Share string
	Absent           bool // the node is not there
}

func ruleLines(views []app.RuleView, month period.Month) []ruleLine {
	lines := make([]ruleLine, 0, len(views))
	for i := range views {
		r := &views[i]
		line := ruleLine{
			Place: r.Place, Code: r.Code, Name: r.Name, When: whenWords(&r.Rule), Warning: warningWords(r.Warning), Requests: ui.Count(r.Requests),
			Charge: ui.Money(&r.Charge), URL: requestsURL(month, "rule", string(attribution.RuleBasis(r.Code))), Unplaced: r.Requests == 0, Up: i > 0, Down: i < len(views)-1,
		}
		for _, c := range r.Charges {
			share := ruleShare{Code: c.Code, URL: nodeURL(c.Code), Share: shareOf(c.PPM), Absent: c.Path == ""}
			if share.Absent {
				share.Code = "suspense: node " + ui.ShortID(c.Node.String()) + " is gone"
			}
			if c.PPM == usage.Whole {
				share.Share = ""
			}
			line.To = append(line.To, share)
		}
		lines = append(lines, line)
	}
	return lines
}

func (w *Web) showRules(v *visit) error {
	q, err := v.rulesQuery()
	if err != nil {
		return err
	}
	set, err := w.areas.Rules.Show(v.Request().Context(), v.who, q.app())
	if err != nil {
		return err
	}
	view := &rulesView{
		Frame: v.frame("Attribution rules"), Query: q, Set: set, Lines: ruleLines(set.Rules, set.Month), CSV: q.url("/rules.csv"), MayAsk: v.may("rule", "propose"), Now: w.cfg.Now(),
	}
	for i := range set.Rules {
		view.Placed.AddSum(&set.Rules[i].Charge)
		view.Requests += set.Rules[i].Requests
	}
	if set.Version > 0 {
		view.Replay = replayURL(set.Version, id.Change{}, "/rules/replay")
	}
	view.head(w.cfg.Now())
	for i := range set.Open {
		if set.Open[i].ID.String() == v.QueryParam("proposed") {
			view.Sent = &set.Open[i]
		}
	}
	if err := rulesSheet(&set).prints(v, &view.Frame, "/rules.csv", rulesFile(v, &set)); err != nil {
		return err
	}
	return render(v, http.StatusOK, rulesPage(view))
}

// head says which version is shown and since when it holds.
func (p *rulesView) head(now time.Time) {
	s := &p.Set
	switch {
	case s.Version == 0 && p.Query.AsOf.IsZero():
		p.Title = "No rules yet."
	case s.Version == 0:
		p.Title = "No rules were in force then."
	case s.InForce && p.Query.AsOf.IsZero():
		p.Title = fmt.Sprintf("Version %d, in force since %s.", s.Version, ui.Minute(s.EffectiveFrom))
	case s.InForce:
		p.Title = fmt.Sprintf("Version %d, in force as of %s.", s.Version, ui.Minute(p.Query.AsOf))
	case s.EffectiveFrom.After(now):
		p.Title = fmt.Sprintf("Version %d, from %s.", s.Version, ui.Minute(s.EffectiveFrom))
	default:
		p.Title = fmt.Sprintf("Version %d, not in force.", s.Version)
	}
	p.Sub = "Asked from the top; the first whose conditions all hold decides. Where none does: a declared project within the key's reach, else the key's cost center, else suspense."
}

// state says of a version where it stands.
func versionState(s *app.RuleVersion, now time.Time) (tone ui.Tone, icon, word string) {
	switch {
	case s.Never:
		return ui.TonePlain, "×", "Never began"
	case s.EffectiveFrom.After(now):
		return ui.ToneNext, "…", "To come"
	case !s.Until.IsZero() && !s.Until.After(now):
		return ui.TonePlain, "–", "Replaced"
	}
	return ui.ToneOK, "✓", "In force"
}

func (w *Web) exportRules(v *visit) error {
	q, err := v.rulesQuery()
	if err != nil {
		return err
	}
	set, err := w.areas.Rules.Show(v.Request().Context(), v.who, q.app())
	if err != nil {
		return err
	}
	return rulesSheet(&set).send(v, rulesFile(v, &set))
}

func rulesFile(v *visit, set *app.RuleSet) string {
	return fmt.Sprintf("rules-%s-%d.csv", v.slug, set.Version)
}

// rulesSheet has a line for each node a rule charges; what the rule placed is on its
// first, so that columns sum.
func rulesSheet(set *app.RuleSet) *sheet {
	out := newSheet("version", "effective_from", "place", "code", "name", "conditions", "charged_to", "path", "share", "month", "requests", "placed_usd", "warning")
	out.filter("version", strconv.FormatInt(set.Version, 10))
	var total money.Sum
	for i := range set.Rules {
		r := &set.Rules[i]
		total.AddSum(&r.Charge)
		for j, c := range r.Charges {
			requests, placed := "0", "0.000000000000"
			if j == 0 {
				requests, placed = strconv.FormatInt(r.Requests, 10), r.Charge.String()
			}
			_ = out.Write([]string{
				strconv.FormatInt(set.Version, 10), set.EffectiveFrom.Format(time.RFC3339), strconv.Itoa(r.Place), cell(r.Code), cell(r.Name),
				cell(strings.Join(whenWords(&r.Rule), "; ")), cell(c.Code), cell(c.Path), fmt.Sprintf("%d.%06d", c.PPM/usage.Whole, c.PPM%usage.Whole),
				set.Month.String(), requests, placed, warningWords(r.Warning),
			})
		}
	}
	out.control("placed_usd", total.String())
	return out
}

type replayView struct {
	Frame  ui.Frame
	Title  string
	Sub    string
	Replay *app.Replay
	CSV    string
}

// replayURL is the replay of a version, or of a change of rules.
func replayURL(version int64, change id.Change, path string) string {
	values := url.Values{}
	if version > 0 {
		values.Set("version", strconv.FormatInt(version, 10))
	}
	if !change.IsZero() {
		values.Set("change", change.String())
	}
	return path + "?" + values.Encode()
}

// replayed replays what the URL names: the version in force where it names nothing.
func (w *Web) replayed(v *visit) (app.Replay, app.ReplayAsk, error) {
	q, err := v.rulesQuery()
	if err != nil {
		return app.Replay{}, app.ReplayAsk{}, err
	}
	ask := app.ReplayAsk{Version: q.Version}
	if text := v.QueryParam("change"); text != "" {
		if ask.Change, err = id.ParseChange(text); err != nil || ask.Change.IsZero() {
			return app.Replay{}, ask, errPageAbsent
		}
	}
	if ask.Version == 0 && ask.Change.IsZero() {
		set, err := w.areas.Rules.Show(v.Request().Context(), v.who, q.app())
		if err != nil {
			return app.Replay{}, ask, err
		}
		if ask.Version = set.Version; ask.Version == 0 {
			ask.Rules = &attribution.Rules{}
		}
	}
	done, err := w.areas.Rules.Replay(v.Request().Context(), v.who, ask)
	return done, ask, err
}

func (w *Web) showReplay(v *visit) error {
	done, ask, err := w.replayed(v)
	if err != nil {
		return err
	}
	view := &replayView{Frame: v.frame("Replay of attribution rules"), Replay: &done, CSV: replayURL(ask.Version, ask.Change, "/rules/replay.csv")}
	view.Title = fmt.Sprintf("Version %d", ask.Version)
	if !ask.Change.IsZero() {
		view.Title = "A proposed change"
	}
	if err := replaySheet(&done).prints(v, &view.Frame, "/rules/replay.csv", replayFile(v, &done)); err != nil {
		return err
	}
	return render(v, http.StatusOK, replayPage(view))
}

func (w *Web) exportReplay(v *visit) error {
	done, _, err := w.replayed(v)
	if err != nil {
		return err
	}
	return replaySheet(&done).send(v, replayFile(v, &done))
}

func replayFile(v *visit, r *app.Replay) string {
	return fmt.Sprintf("rules-replay-%s-%s.csv", v.slug, r.Month)
}

func replaySheet(r *app.Replay) *sheet {
	out := newSheet("month", "code", "path", "was_usd", "would_be_usd", "difference_usd")
	out.filter("month", r.Month.String())
	for i := range r.Nodes {
		n := &r.Nodes[i]
		_ = out.Write([]string{r.Month.String(), cell(n.Code), cell(n.Path), n.Before.String(), n.After.String(), without(&n.After, &n.Before)})
	}
	out.control("total_usd", r.Total.String())
	out.control("moved_usd", r.Moved.String())
	out.control("requests_read", strconv.FormatInt(r.Read, 10))
	out.control("requests_in_month", strconv.FormatInt(r.Of, 10))
	return out
}

// differenceOf is by how much a node's charge would differ.
func differenceOf(n *app.ReplayNode) *money.Sum {
	var d money.Sum
	d.AddSum(&n.After)
	d.SubSum(&n.Before)
	return &d
}

// replayFigures are the three numbers a replay is read by.
func replayFigures(r *app.Replay) []figure {
	moved := figure{
		Label: "Moved to another node, " + monthName(r.Month), Value: ui.Dollars(&r.Moved), URL: "#nodes",
		Notes: []link{{Label: fmt.Sprintf("%s of %s; each dollar counted once", ui.Percent(&r.Moved, &r.Total, 2), ui.Dollars(&r.Total))}},
	}
	requests := figure{
		Label: "Requests that move", Value: ui.Count(r.MovedRequests), URL: requestsURL(r.Month),
		Notes: []link{{Label: "of " + ui.Plural(r.Read, "charged request") + ", on " + ui.Plural(int64(r.Keys), "virtual key")}},
	}
	var treated money.Sum
	treated.AddSum(&r.Capitalized.After)
	treated.SubSum(&r.Capitalized.Before)
	capitalized := figure{
		Label: "Capitalized", Value: ui.Signed(&treated), URL: "#nodes",
		Notes: []link{{Label: fmt.Sprintf("%s then, %s under these rules", ui.Dollars(&r.Capitalized.Before), ui.Dollars(&r.Capitalized.After))}},
	}
	return []figure{moved, requests, capitalized}
}

// replayWords says how the replay was made, and what it did not come to.
func replayWords(r *app.Replay) string {
	text := fmt.Sprintf("Every charged request that began in %s, placed again: nodes and keys' cost centers as they are when the rules take effect, amounts as they were charged, split exactly.", monthName(r.Month))
	if !r.Complete {
		text = fmt.Sprintf("Only %s of %s requests could be looked at in %d seconds: what follows is of these alone.",
			ui.Count(r.Read), ui.Count(r.Of), int(app.ReplayLimit/time.Second))
	}
	return text
}

// testURL is the page that says which rule fires for a request.
func testURL(request string) string { return "/rules/test?request=" + url.QueryEscape(request) }

type testView struct {
	Frame    ui.Frame
	Form     testForm
	Answer   *app.RuleAnswer
	Verdicts []verdictLine
	Facts    []fact
	Charges  []ruleShare
	Was      []ruleShare // the request's own
	Versions []option
}

// testForm is what is asked, as the URL has it.
type testForm struct {
	Request, Version                                            string
	Key, Verified, Domain, Project, Model, Repository, Tags, At string
	Alert, Field                                                string
}

type verdictLine struct {
	Place      int
	Code, Name string
	Tone       ui.Tone
	Icon, Word string
	Why        string
	Fired      bool
}

func (v *visit) testForm() testForm {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return testForm{
		Request: get("request"), Version: get("version"), Key: get("key"), Verified: get("verified"), Domain: get("domain"), Project: get("project"),
		Model: get("model"), Repository: get("repository"), Tags: get("tags"), At: get("at"),
	}
}

// asked says whether anything was.
func (f *testForm) asked() bool {
	return f.Request != "" || f.Key != "" || f.Verified != "" || f.Domain != "" || f.Project != "" || f.Model != "" || f.Repository != "" || f.Tags != "" || f.At != ""
}

func (f *testForm) question() (app.RuleQuestion, error) {
	q := app.RuleQuestion{Request: f.Request, Key: f.Key, Verified: f.Verified == "yes", Domain: f.Domain, Project: f.Project, Model: f.Model}
	var err error
	if f.Version != "" {
		if q.Version, err = strconv.ParseInt(f.Version, 10, 32); err != nil || q.Version < 1 {
			return q, fault.Invalid("version", "rule_version_absent", "There is no such version of the rules.")
		}
	}
	var at time.Time
	if at, _, err = between(f.At, ""); err != nil {
		return q, fault.Invalid("at", "instant_syntax", "%s", fault.From(err).Message)
	}
	q.At = at
	if q.Tags, err = tagsFrom(f.Tags); err != nil {
		return q, err
	}
	if f.Repository != "" {
		q.Tags[attribution.TagRepository] = f.Repository
	}
	return q, nil
}

// tagsFrom reads tags as a request declares them, or as key=value, one a line or between
// commas.
func tagsFrom(text string) (map[string]string, error) {
	tags := map[string]string{}
	if strings.HasPrefix(text, "{") {
		read, err := usage.ParseTags(text)
		maps.Copy(tags, read)
		if err != nil {
			return tags, fault.Invalid("tags", "tags_syntax", "%s", fault.From(err).Message)
		}
		return tags, nil
	}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || key == "" || len(tags) == 10 {
			return tags, fault.Invalid("tags", "tags_syntax", "Tags are key=value, one a line or between commas, at most 10; or a JSON object of strings.")
		}
		tags[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return tags, nil
}

// showTest says which rule fires for a request or for facts, and why.
func (w *Web) showTest(v *visit) error {
	view := &testView{Frame: v.frame("Test attribution rules"), Form: v.testForm()}
	set, err := w.areas.Rules.Show(v.Request().Context(), v.who, app.RulesQuery{})
	if err != nil {
		return err
	}
	view.Versions = []option{{Label: "Those of its time"}}
	for i := range set.Versions {
		number := strconv.FormatInt(set.Versions[i].Version, 10)
		view.Versions = append(view.Versions, option{Value: number, Label: "Version " + number, Selected: number == view.Form.Version})
	}
	status := http.StatusOK
	if view.Form.asked() {
		q, err := view.Form.question()
		var answer app.RuleAnswer
		if err == nil {
			answer, err = w.areas.Rules.Test(v.Request().Context(), v.who, q)
		}
		switch kind := fault.KindOf(err); {
		case err == nil:
			view.answered(&answer)
		case kind == fault.KindInvalid, kind == fault.KindNotFound:
			f := fault.From(err)
			status, view.Form.Alert, view.Form.Field = http.StatusUnprocessableEntity, f.Message, f.Field
		default:
			return err
		}
	}
	return render(v, status, testPage(view))
}

func (p *testView) answered(a *app.RuleAnswer) {
	p.Answer = a
	for i := range a.Explained {
		e := &a.Explained[i]
		line := verdictLine{Place: i + 1, Code: e.Rule.Code, Name: e.Rule.Name, Why: ruledWords(e), Fired: e.Fired}
		line.Tone, line.Icon, line.Word = verdictTag(e)
		p.Verdicts = append(p.Verdicts, line)
	}
	f := &a.Facts
	signed := "nobody"
	if f.Verified {
		signed = "somebody"
		if f.Domain != "" {
			signed += " at " + f.Domain
		}
	}
	p.Facts = []fact{
		{"Virtual key", f.Label}, {"Signed in", signed}, {"Declared project", f.Project}, {"Repository", f.Tags[attribution.TagRepository]},
		{"Model asked for", f.Model}, {"Began", ui.Instant(f.At) + ", " + f.At.Format("Monday")},
	}
	for _, key := range sortedKeys(f.Tags) {
		if key != attribution.TagRepository {
			p.Facts = append(p.Facts, fact{"Tag " + key, f.Tags[key]})
		}
	}
	p.Charges = ruleShares(a.Charges)
	if a.Request != nil {
		p.Was = ruleShares(a.Request.Charges)
	}
}

func ruleShares(charges []app.RuleCharge) []ruleShare {
	list := make([]ruleShare, 0, len(charges))
	for _, c := range charges {
		list = append(list, ruleShare{Code: c.Code, URL: nodeURL(c.Code), Share: shareOf(c.PPM)})
	}
	return list
}
