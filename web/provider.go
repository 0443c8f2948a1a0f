package web

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

const (
	providerPath = "/settings/provider"
	pullsPath    = providerPath + "/pulls"
	pullsShown   = 50
)

// providerPages are the pages of what the provider itself reports.
func (w *Web) providerPages() []Route {
	return []Route{
		w.page(http.MethodGet, providerPath, w.showProvider, "source", "read"),
		w.page(http.MethodGet, providerPath+".csv", w.exportPulls, "source", "read"),
		w.page(http.MethodGet, providerPath+"/reports.zip", w.sendReports, "source", "read"),
		w.page(http.MethodPost, providerPath, w.proposeSource, "source", "propose"),
		w.page(http.MethodPost, pullsPath, w.pullAgain, "source", "propose"),
		w.page(http.MethodGet, pullsPath+"/:id", w.showPull, "source", "read"),
		w.page(http.MethodGet, pullsPath+"/:id/figures.csv", w.exportFigures, "source", "read"),
		w.page(http.MethodGet, pullsPath+"/:id/pages/:place", w.sendPage, "source", "read"),
	}
}

// providerQuery is the state of the page: all of it is in the URL.
type providerQuery struct{ Report, State, Day, Cursor string }

func (v *visit) providerQuery() providerQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return providerQuery{Report: get("report"), State: get("state"), Day: get("day"), Cursor: get("cursor")}
}

func (q providerQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"report": q.Report, "state": q.State, "day": q.Day, "cursor": q.Cursor} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q providerQuery) narrowed() bool { return q.Report != "" || q.State != "" || q.Day != "" }

func (q providerQuery) filter() (app.ProviderQuery, error) {
	f := app.ProviderQuery{Report: q.Report, State: q.State, Limit: pullsShown}
	var err error
	if q.Day != "" {
		if f.Day, err = time.Parse(time.DateOnly, q.Day); err != nil {
			return f, fault.Invalid("day", "instant_syntax", "A day is YYYY-MM-DD, as in 2026-11-30.")
		}
	}
	if q.Cursor != "" {
		if f.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || f.Before < 1 {
			return f, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	return f, nil
}

type providerView struct {
	Frame         ui.Frame
	Query         providerQuery
	Page          app.ProviderPage
	Figures       []figure
	Reports       []option
	States        []option
	Names         map[string]string // of keys, by id
	Older, Newest string
	CSV           string
	MayChange     bool
	MayMembers    bool
	From, Through string // of the archive that the form offers
	Form          sourceForm
	Again         againForm
}

// sourceForm is what was filled in, and what was wrong with it; never the credential.
type sourceForm struct {
	trouble
	BaseURL, Keys, FirstDay, SettleHours, RepullDays, Reason string
}

type againForm struct {
	trouble
	Day string
}

// providerForms are the forms as they were sent; nil ones were not.
type providerForms struct {
	source *sourceForm
	again  *againForm
}

func (w *Web) showProvider(v *visit) error {
	return w.providerPage(v, http.StatusOK, providerForms{})
}

func (w *Web) providerPage(v *visit, status int, sent providerForms) error {
	q := v.providerQuery()
	filter, err := q.filter()
	if err != nil {
		return err
	}
	page, err := w.areas.Provider.Show(v.Request().Context(), v.who, filter)
	if err != nil {
		return err
	}
	view := &providerView{
		Frame: v.frame("Provider reports"), Query: q, Page: page, Figures: providerFigures(&page), Reports: reportChoices(q.Report), States: pullStateChoices(q.State), Names: map[string]string{},
		CSV: providerQuery{Report: q.Report, State: q.State, Day: q.Day}.url(providerPath + ".csv"), MayChange: v.may("source", "propose"), MayMembers: v.may("member", "read"), Form: sourceFormOf(page.Source),
	}
	yesterday := page.Now.UTC().AddDate(0, 0, -1)
	view.From, view.Through = yesterday.Format("2006-01")+"-01", yesterday.Format(time.DateOnly)
	for _, n := range page.Names {
		view.Names[n.ID] = n.Name
	}
	if sent.source != nil {
		view.Form = *sent.source
	}
	if sent.again != nil {
		view.Again = *sent.again
	}
	if page.Next != 0 {
		older := q
		older.Cursor = strconv.FormatInt(page.Next, 10)
		view.Older = older.url(providerPath)
	}
	if q.Cursor != "" {
		newest := q
		newest.Cursor = ""
		view.Newest = newest.url(providerPath)
	}
	out := pullsSheet(page.Pulls).paged(view.Older != "" || view.Newest != "")
	if err := out.prints(v, &view.Frame, providerPath+".csv", pullsFile(v)); err != nil {
		return err
	}
	return render(v, status, providerPage(view))
}

// sourceFormOf fills the form with what is in force.
func sourceFormOf(s *app.SourceView) sourceForm {
	if s == nil {
		return sourceForm{BaseURL: app.ProviderURL, SettleHours: strconv.Itoa(app.DefaultSettleHours), RepullDays: strconv.Itoa(app.DefaultRepullDays)}
	}
	return sourceForm{BaseURL: s.BaseURL, Keys: strings.Join(s.GatewayKeys, "\n"), FirstDay: s.FirstDay, SettleHours: strconv.Itoa(s.SettleHours), RepullDays: strconv.Itoa(s.RepullDays)}
}

// providerFigures are the numbers the pulls are read by.
func providerFigures(page *app.ProviderPage) []figure {
	var settled, complete, missing int64
	for i := range page.Days {
		switch d := &page.Days[i]; {
		case d.Settled:
			settled++
		case d.Complete:
			complete++
		default:
			missing++
		}
	}
	last := figure{Label: "Last pull that counts", Value: "–", Notes: []link{{Label: "none yet"}}}
	for i := range page.Pulls {
		if p := &page.Pulls[i]; p.Counted() {
			last = figure{Label: "Last pull that counts", Value: ageWords(page.Now.Sub(p.EndedAt)), URL: pullURL(p.ID), Notes: []link{{Label: "Pull " + number(p.Number) + ", " + reportWords(p.Report) + " of " + ui.Date(p.Day)}}}
			break
		}
	}
	return []figure{
		{Label: "Days settled", Value: ui.Count(settled), URL: "#days", Notes: []link{{Label: "of " + ui.Plural(int64(len(page.Days)), "day") + " that may be revised"}}},
		{Label: "Days complete, not settled", Value: ui.Count(complete), URL: "#days", Notes: []link{{Label: "pulled again until they report the same for the lag"}}},
		{Label: "Days missing", Value: ui.Count(missing), URL: "#days", Notes: []link{{Label: "never pulled whole"}}},
		last,
	}
}

func ageWords(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return ui.Plural(int64(d/time.Minute), "minute") + " ago"
	case d < 48*time.Hour:
		return ui.Plural(int64(d/time.Hour), "hour") + " ago"
	}
	return ui.Plural(int64(d/(24*time.Hour)), "day") + " ago"
}

func pullURL(pull id.Pull) string { return pullsPath + "/" + pull.String() }

func reportWords(r provider.Report) string {
	switch r {
	case provider.Usage:
		return "usage"
	case provider.Cost:
		return "cost"
	case provider.Keys:
		return "names of keys"
	case provider.Workspaces:
		return "names of workspaces"
	}
	return string(r)
}

func reportChoices(chosen string) []option {
	list := []option{{Label: "All reports"}}
	for _, r := range []provider.Report{provider.Usage, provider.Cost, provider.Keys, provider.Workspaces} {
		list = append(list, option{Value: string(r), Label: ui.Words(reportWords(r)), Selected: string(r) == chosen})
	}
	return list
}

func pullStateChoices(chosen string) []option {
	list := []option{{Label: "Any state"}}
	for _, s := range []string{app.PullFinished, app.PullUnchanged, app.PullFailed, "open"} {
		label := ui.Words(s)
		if s == "open" {
			label = "Under way"
		}
		list = append(list, option{Value: s, Label: label, Selected: s == chosen})
	}
	return list
}

// apiWords names the interface that answered.
func apiWords(a provider.API) string {
	switch a {
	case provider.Analytics:
		return "analytics"
	case provider.Legacy:
		return "legacy reports: no cost by key, no discount"
	case provider.Organization:
		return "organization"
	}
	return "nothing came"
}

// fetchedWords say when a pull began and ended.
func fetchedWords(p *app.PullView) string {
	if p.EndedAt.IsZero() {
		return "begun " + ui.Instant(p.StartedAt)
	}
	return "begun " + ui.Instant(p.StartedAt) + ", ended " + ui.Instant(p.EndedAt)
}

// requestWords are a request's path and query as a line that may be broken.
func requestWords(request string) string {
	text, err := url.QueryUnescape(request)
	if err != nil {
		text = request
	}
	return strings.NewReplacer("?", " ? ", "&", " & ").Replace(text)
}

// remedy is what to do about why a pull failed.
func remedy(reason string) string {
	switch reason {
	case "credential_refused", "report_absent":
		return "Propose a source with an Admin API key of the organization, which begins with sk-ant-admin."
	case "answer_foreign", "provider_silent":
		return "Check the source’s address; whoever runs this installation sees to the way there."
	case "provider_limited", "provider_failing", "answer_cut", "pull_overdue":
		return "It is tried again by itself; pull the day again to have it now."
	case "question_refused", "row_repeated", "cursor_loop", "page_cursor":
		return "The next pull begins from the first page. Where this one’s pages show the same again, the provider’s support needs them."
	}
	return "The pages below show what came. Where it comes again, this program does not know the provider’s new form: tell whoever runs this installation."
}

func (w *Web) proposeSource(v *visit) error {
	if !v.may("source", "propose") {
		return app.ErrNotAllowed
	}
	get := func(name string) string { return strings.TrimSpace(v.FormValue(name)) }
	form := sourceForm{
		BaseURL: get("base_url"), Keys: get("gateway_keys"), FirstDay: get("first_day"), SettleHours: get("settle_hours"), RepullDays: get("repull_days"), Reason: v.FormValue("reason"),
	}
	want := app.ReportSource{BaseURL: form.BaseURL, GatewayKeys: strings.Fields(form.Keys), FirstDay: form.FirstDay}
	var problem error
	for _, one := range []struct {
		text, field string
		into        *int
	}{{form.SettleHours, "settle_hours", &want.SettleHours}, {form.RepullDays, "repull_days", &want.RepullDays}} {
		n, err := strconv.Atoi(cmp.Or(one.text, "0"))
		if err != nil && problem == nil {
			problem = fault.Invalid(one.field, "settle_range", "%.20q is no whole number.", one.text)
		}
		*one.into = n
	}
	var made app.ChangeView
	if problem == nil {
		made, problem = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskReportSource(want, secret.NewText(get("credential")), form.Reason), "")
	}
	if status, f := retold(problem); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.providerPage(v, status, providerForms{source: &form})
	}
	return v.proposed(made, problem, providerPath)
}

func (w *Web) pullAgain(v *visit) error {
	if !v.may("source", "propose") {
		return app.ErrNotAllowed
	}
	form := againForm{Day: strings.TrimSpace(v.FormValue("day"))}
	day, err := time.Parse(time.DateOnly, form.Day)
	if err != nil {
		err = fault.Invalid("day", "instant_syntax", "A day is YYYY-MM-DD, as in 2026-11-30.")
	} else {
		err = w.areas.Provider.PullAgain(v.Request().Context(), v.who, day)
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.providerPage(v, status, providerForms{again: &form})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, providerQuery{Day: form.Day}.url(providerPath)+"#pulls")
}

func pullsFile(v *visit) string { return "pulls-" + v.slug + ".csv" }

func (w *Web) exportPulls(v *visit) error {
	q := v.providerQuery()
	filter, err := q.filter()
	if err != nil {
		return err
	}
	filter.Limit = app.MaxRows
	page, err := w.areas.Provider.Show(v.Request().Context(), v.who, filter)
	if err != nil {
		return err
	}
	return pullsSheet(page.Pulls).send(v, pullsFile(v))
}

func pullsSheet(rows []app.PullView) *sheet {
	out := newSheet("number", "id", "report", "day", "state", "api", "started_at", "ended_at", "refreshed_at", "as_of", "pages", "figures", "digest_sha256", "pages_sha256", "same_as", "reason")
	for i := range rows {
		p := &rows[i]
		_ = out.Write([]string{
			number(p.Number), p.ID.String(), string(p.Report), ui.Date(p.Day), cmp.Or(p.State, "open"), string(p.API), instantText(p.StartedAt), instantOrNothing(p.EndedAt), instantOrNothing(p.RefreshedAt),
			instantOrNothing(p.AsOf), strconv.Itoa(p.Pages), strconv.Itoa(p.Figures), p.Digest, p.PagesDigest, numberOrNothing(p.SameNumber), p.Reason,
		})
	}
	return out
}

func instantOrNothing(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return instantText(at)
}

type pullPageView struct {
	Frame     ui.Frame
	Pull      app.PullDetail
	Title     string
	Classes   []classSum
	CSV       string
	MayChange bool
}

// classSum is what a pull reports of one class.
type classSum struct {
	Class        string
	Foreign      bool // this program does not know it
	Quantity     int64
	List, Amount money.Sum
	Rows         int64
}

func (w *Web) pullOf(v *visit) (app.PullDetail, error) {
	pull, err := id.ParsePull(v.Param("id"))
	if err != nil {
		return app.PullDetail{}, errPageAbsent
	}
	return w.areas.Provider.Pull(v.Request().Context(), v.who, pull)
}

func (w *Web) showPull(v *visit) error {
	pull, err := w.pullOf(v)
	if err != nil {
		return err
	}
	title := "Pull " + number(pull.Number) + ": " + reportWords(pull.Report)
	if pull.Report.OfFigures() {
		title += " of " + ui.Date(pull.PullView.Day)
	}
	view := &pullPageView{Frame: v.frame(title), Pull: pull, Title: title, Classes: classSums(pull.Holding), MayChange: v.may("source", "propose")}
	if len(pull.Holding) > 0 {
		view.CSV = pullURL(pull.ID) + "/figures.csv"
	}
	if err := figuresSheet(&pull).prints(v, &view.Frame, pullsPath+"/:id/figures.csv", figuresFile(v, &pull)); err != nil {
		return err
	}
	return render(v, http.StatusOK, pullPage(view))
}

func classSums(figures []provider.Figure) []classSum {
	var list []classSum
	at := map[string]int{}
	for i := range figures {
		f := &figures[i]
		n, there := at[f.Class]
		if !there {
			n = len(list)
			at[f.Class] = n
			list = append(list, classSum{Class: f.Class, Foreign: !provider.Known(f.Class)})
		}
		c := &list[n]
		c.Rows++
		c.Quantity += f.Quantity
		c.List.Add(f.List)
		c.Amount.Add(f.Amount)
	}
	return list
}

func figuresFile(v *visit, p *app.PullDetail) string {
	return fmt.Sprintf("provider-%s-%s-%s-pull-%d.csv", v.slug, p.Report, ui.Date(p.PullView.Day), p.Number)
}

func figuresSheet(p *app.PullDetail) *sheet {
	out := newSheet("report", "day", "workspace", "api_key_id", "model", "service_tier", "speed", "inference_geo", "class", "quantity", "list_usd", "amount_usd")
	out.filter("pull", number(p.Number))
	for i := range p.Holding {
		f := &p.Holding[i]
		_ = out.Write([]string{
			string(f.Report), ui.Date(f.Day), cell(f.Workspace), cell(f.Key), cell(f.Model), cell(f.Tier), cell(f.Speed), cell(f.Geography), cell(f.Class), strconv.FormatInt(f.Quantity, 10), f.List.String(), f.Amount.String(),
		})
	}
	out.add("list_usd", &p.List)
	out.add("amount_usd", &p.Amount)
	return out
}

func (w *Web) exportFigures(v *visit) error {
	pull, err := w.pullOf(v)
	if err != nil {
		return err
	}
	return figuresSheet(&pull).send(v, figuresFile(v, &pull))
}

// sendReports sends the reports of some days as they were received: those of this month
// up to yesterday where the address names none.
func (w *Web) sendReports(v *visit) error {
	today := w.cfg.Now().UTC().Truncate(24 * time.Hour)
	ask := app.ReportsAsk{Through: today.AddDate(0, 0, -1), Version: w.cfg.Version}
	ask.From = time.Date(ask.Through.Year(), ask.Through.Month(), 1, 0, 0, 0, 0, time.UTC)
	for name, into := range map[string]*time.Time{"from": &ask.From, "through": &ask.Through} {
		text := strings.TrimSpace(v.QueryParam(name))
		if text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return fault.Invalid(name, "instant_syntax", "A day is YYYY-MM-DD, as in 2026-11-30.")
		}
		*into = day
	}
	bundle, err := w.areas.Provider.Archive(v.Request().Context(), v.who, ask)
	if err != nil {
		return err
	}
	return v.bundle(&bundle)
}

// sendPage gives a page's bytes as they were received, with their digest (RFC 9530).
func (w *Web) sendPage(v *visit) error {
	pull, err := id.ParsePull(v.Param("id"))
	place, placeErr := strconv.Atoi(v.Param("place"))
	if err != nil || placeErr != nil || place < 1 || place > provider.MaxPages {
		return errPageAbsent
	}
	page, content, err := w.areas.Provider.PageBytes(v.Request().Context(), v.who, pull, place)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(page.SHA256)
	if err != nil {
		return err
	}
	head := v.Response().Header()
	head.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	head.Set("Last-Modified", page.FetchedAt.Format(http.TimeFormat))
	return v.file("application/json", fmt.Sprintf("provider-%s-%s-page-%d.json", v.slug, pull, place), content)
}
