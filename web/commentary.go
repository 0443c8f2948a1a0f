package web

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/commentary"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/web/ui"
)

const commentaryPath = "/commentary"

// commentaryURL leads to one node's commentary of a month.
func commentaryURL(month, code string) string {
	return commentaryPath + "/" + month + "/" + url.PathEscape(code)
}

// notePages are the pages of what owners say of their nodes, and of what they dispute.
func (w *Web) notePages() []Route {
	return []Route{
		w.page(http.MethodGet, commentaryPath, w.showCommentaries, "commentary", "read"),
		w.page(http.MethodGet, commentaryPath+".csv", w.exportCommentaries, "commentary", "read"),
		w.page(http.MethodPost, commentaryPath+"/ask", w.askCommentaries, "commentary_review", "propose"),
		w.page(http.MethodGet, commentaryPath+"/:period/:node", w.showCommentary, "commentary", "read"),
		w.page(http.MethodPost, commentaryPath+"/:period/:node/write", w.writeCommentary, "commentary", "propose"),
		w.page(http.MethodPost, commentaryPath+"/:period/:node/review", w.reviewCommentary, "commentary_review", "propose"),
		w.page(http.MethodGet, disputesPath, w.showDisputes, "dispute", "read"),
		w.page(http.MethodGet, disputesPath+".csv", w.exportDisputes, "dispute", "read"),
		w.page(http.MethodGet, disputesPath+"/new", w.askDispute, "dispute", "propose"),
		w.page(http.MethodPost, disputesPath, w.raiseDispute, "dispute", "propose"),
		w.page(http.MethodGet, disputesPath+"/:id", w.showDispute, "dispute", "read"),
		w.page(http.MethodPost, disputesPath+"/:id/answer", w.answerDispute, "dispute", "propose"),
		w.page(http.MethodPost, disputesPath+"/:id/decide", w.decideDispute, "dispute_review", "propose"),
	}
}

// commentaryQuery is the state of the page: all of it is in the URL.
type commentaryQuery struct {
	Month          period.Month
	State          string
	Above, Percent string // as typed; empty: the standard
}

func (v *visit) commentaryQuery(get func(string) string) (commentaryQuery, app.CommentaryQuery, error) {
	text := func(name string) string { return strings.TrimSpace(get(name)) }
	q := commentaryQuery{Month: period.MonthOf(v.web.cfg.Now()).Previous(), State: text("state"), Above: text("above"), Percent: text("percent")}
	ask := app.CommentaryQuery{State: q.State, Threshold: commentary.Standard()}
	var err error
	if month := text("period"); month != "" {
		if q.Month, err = period.ParseMonth(month); err != nil {
			return q, ask, err
		}
	}
	ask.Month = q.Month
	if q.Above != "" {
		if ask.Threshold.Above, err = money.ParseCents(q.Above); err != nil {
			return q, ask, fault.Invalid("above", "threshold_above", "The amount to ask from is US dollars, such as 50.00; %.40q is not.", q.Above)
		}
	}
	if q.Percent != "" {
		if ask.Threshold.Percent, err = strconv.ParseInt(q.Percent, 10, 64); err != nil {
			return q, ask, fault.Invalid("percent", "threshold_percent", "The percentage to ask from is a whole number; %.40q is not.", q.Percent)
		}
	}
	return q, ask, ask.Threshold.Check()
}

func (q commentaryQuery) url(path string) string {
	values := url.Values{"period": {q.Month.String()}}
	for name, value := range map[string]string{"state": q.State, "above": q.Above, "percent": q.Percent} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return path + "?" + values.Encode()
}

type commentariesView struct {
	Frame          ui.Frame
	Query          commentaryQuery
	Threshold      commentary.Threshold
	Month          *app.CommentaryMonth
	Title, Sub     string
	Figures        []figure
	States         []option
	Previous, Next *link
	CSV            string
	Form           commentaryForm
	Close          string // the month's close; empty: not theirs
}

// commentaryForm is what was typed into a form, and what is wrong with it.
type commentaryForm struct {
	trouble

	Step, Text, Note string
}

func (f *commentaryForm) wrong(step commentary.Kind, field string) bool {
	return f.Step == string(step) && f.at(field)
}

func (w *Web) showCommentaries(v *visit) error {
	return w.commentariesPage(v, http.StatusOK, v.QueryParam, commentaryForm{})
}

func (w *Web) commentariesPage(v *visit, status int, get func(string) string, form commentaryForm) error {
	q, ask, err := v.commentaryQuery(get)
	if err != nil {
		return err
	}
	month, err := w.areas.Commentaries.Month(v.Request().Context(), v.who, ask)
	if err != nil {
		return err
	}
	title := "Commentary, " + monthName(q.Month)
	view := &commentariesView{
		Frame: v.frame(title), Query: q, Threshold: ask.Threshold, Month: &month, Title: title, Sub: periodState(month.State, q.Month, w.cfg.Now()), States: commentaryChoices(q.State), CSV: q.url(commentaryPath + ".csv"), Form: form,
	}
	earlier, later := q, q
	earlier.Month, later.Month = q.Month.Previous(), q.Month.Next()
	view.Previous = &link{earlier.Month.Start().Format("Jan 2006"), earlier.url(commentaryPath)}
	if !later.Month.Start().After(w.cfg.Now()) {
		view.Next = &link{later.Month.Start().Format("Jan 2006"), later.url(commentaryPath)}
	}
	if v.may("period", "read") {
		view.Close = closeURL(q.Month)
	}
	view.figures()
	if err := commentarySheet(&month, q).prints(v, &view.Frame, commentaryPath+".csv", commentaryFile(v, q)); err != nil {
		return err
	}
	return render(v, status, commentariesPage(view))
}

func (v *commentariesView) figures() {
	m := v.Month
	narrowed := func(state string) string {
		q := v.Query
		q.State = state
		return q.url(commentaryPath)
	}
	owed := figure{Label: "Owed", Value: strconv.Itoa(m.Sum.Owed), URL: narrowed(app.CommentaryOwed), Notes: []link{{Label: "asked, or sent back, and not answered"}}}
	if m.Mine > 0 {
		owed.Notes = []link{{Label: ui.Count(int64(m.Mine)) + " of them are yours to answer", URL: narrowed(app.CommentaryMine)}}
	}
	answered := figure{Label: "To review", Value: strconv.Itoa(m.Sum.Answered), URL: narrowed(string(commentary.StateWritten)), Notes: []link{{Label: "answered, and not accepted yet"}}}
	accepted := figure{Label: "Accepted", Value: strconv.Itoa(m.Sum.Accepted), URL: narrowed(string(commentary.StateAccepted)), Notes: []link{{Label: "of " + ui.Plural(int64(m.Sum.Asked), "node") + " asked or written about"}}}
	stale := figure{Label: "About other figures", Value: strconv.Itoa(m.Sum.Stale), URL: narrowed(app.CommentaryStale), Notes: []link{{Label: "a figure changed since they were written"}}}
	if m.Sum.Stale > 0 {
		stale.Tag = &figureTag{ui.ToneWarn, "!", "stale"}
	}
	v.Figures = []figure{owed, answered, accepted, stale}
}

func commentaryChoices(chosen string) []option {
	list := []option{{Label: "Every node with a plan or a movement", Selected: chosen == ""}}
	for _, c := range []option{
		{Value: app.CommentaryAbove, Label: "Above the threshold"}, {Value: app.CommentaryMine, Label: "Mine to answer"}, {Value: app.CommentaryNone, Label: "Not asked"}, {Value: app.CommentaryOwed, Label: "Owed"},
		{Value: string(commentary.StateAsked), Label: "Asked"}, {Value: string(commentary.StateReturned), Label: "Sent back"}, {Value: string(commentary.StateWritten), Label: "To review"},
		{Value: string(commentary.StateAccepted), Label: "Accepted"}, {Value: app.CommentaryStale, Label: "About other figures"},
	} {
		c.Selected = c.Value == chosen
		list = append(list, c)
	}
	return list
}

// commentaryTag is where a commentary stands, as an icon and a word.
func commentaryTag(s commentary.State) figureTag {
	switch s {
	case commentary.StateAsked:
		return figureTag{ui.ToneNext, "?", "Asked"}
	case commentary.StateWritten:
		return figureTag{ui.ToneNext, "“", "To review"}
	case commentary.StateAccepted:
		return figureTag{ui.ToneOK, "✓", "Accepted"}
	case commentary.StateReturned:
		return figureTag{ui.ToneWarn, "↩", "Sent back"}
	}
	return figureTag{ui.TonePlain, "○", "Not asked"}
}

func commentaryFile(v *visit, q commentaryQuery) string {
	return "commentary-" + v.slug + "-" + q.Month.String() + ".csv"
}

func commentarySheet(m *app.CommentaryMonth, q commentaryQuery) *sheet {
	out := newSheet("period", "node", "name", "path", "state", "stale", "above_threshold", "actual_usd", "plan_usd", "variance_usd", "before_usd", "movement_usd", "price_usd", "volume_usd", "mix_usd", "tools_usd",
		"revision", "commentary", "written_by", "written_at", "owner", "asked_at", "figures_sha256", "written_about_sha256")
	out.filter("period", q.Month.String())
	for i := range m.Rows {
		r := &m.Rows[i]
		f := &r.Figures
		plan, over := "", ""
		if f.Planned {
			difference := f.OverPlan()
			plan, over = f.Plan.String(), difference.String()
		}
		movement := f.Movement()
		_ = out.Write([]string{
			q.Month.String(), r.Code, cell(r.Name), cell(r.Path), cmp.Or(string(r.Standing.State), "none"), strconv.FormatBool(r.Stale), strconv.FormatBool(r.Above), f.Actual.String(), plan, over, f.Before.String(), movement.String(),
			f.Price.String(), f.Volume.String(), f.Mix.String(), f.Tools.String(), strconv.Itoa(r.Standing.Revision), cell(r.Standing.Text), cell(r.AuthorName), instantText(r.Standing.WroteAt), cell(r.OwnerName),
			instantText(r.Standing.AskedAt), r.Digest, r.Standing.Digest,
		})
	}
	return out
}

func (w *Web) exportCommentaries(v *visit) error {
	q, ask, err := v.commentaryQuery(v.QueryParam)
	if err != nil {
		return err
	}
	month, err := w.areas.Commentaries.Month(v.Request().Context(), v.who, ask)
	if err != nil {
		return err
	}
	return commentarySheet(&month, q).send(v, commentaryFile(v, q))
}

// askCommentaries asks owners, or reminds them, all that are meant at once.
func (w *Web) askCommentaries(v *visit) error {
	if !v.may("commentary_review", "propose") {
		return app.ErrNotAllowed
	}
	q, ask, err := v.commentaryQuery(v.FormValue)
	form := commentaryForm{Step: v.FormValue("step"), Note: v.FormValue("note")}
	if err == nil {
		_, err = w.areas.Commentaries.Ask(v.Request().Context(), v.who, app.CommentaryAsk{Month: q.Month, Kind: commentary.Kind(form.Step), Threshold: ask.Threshold, Note: form.Note})
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		get := v.FormValue
		if f.Field == "above" || f.Field == "percent" || f.Field == "period" { // the list is shown at the standard threshold
			get = func(name string) string {
				if name == "period" && f.Field != "period" {
					return v.FormValue(name)
				}
				return ""
			}
		}
		return w.commentariesPage(v, status, get, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, commentaryQuery{Month: q.Month, State: app.CommentaryOwed}.url(commentaryPath))
}

type commentaryView struct {
	Frame      ui.Frame
	Case       *app.CommentaryCase
	Title, Sub string
	Back       string
	Node       string // its report
	Movement   string // the requests behind it
	Figures    []figure
	Reasons    []reasonRow
	Form       commentaryForm
	MayRead    bool // changes
}

// reasonRow is a part of why the month differs from the one before.
type reasonRow struct {
	Name, Means string
	Amount      money.Sum
}

func (v *visit) commented() (period.Month, string, error) {
	m, err := period.ParseMonth(v.Param("period"))
	if err != nil {
		return m, "", errPageAbsent
	}
	code, err := url.PathUnescape(v.Param("node"))
	if err != nil {
		return m, "", app.ErrCommentaryAbsent
	}
	return m, code, nil
}

func (w *Web) showCommentary(v *visit) error {
	return w.commentaryPage(v, http.StatusOK, commentaryForm{})
}

func (w *Web) commentaryPage(v *visit, status int, form commentaryForm) error {
	m, code, err := v.commented()
	if err != nil {
		return err
	}
	c, err := w.areas.Commentaries.Node(v.Request().Context(), v.who, m, code, commentary.Standard())
	if err != nil {
		return err
	}
	if form.Step == "" && c.CanWrite {
		form.Text = c.Standing.Text
	}
	title := "Commentary on " + c.Code
	view := &commentaryView{
		Frame: v.frame(title + ", " + monthName(m)), Case: &c, Title: title, Sub: c.Name + ", " + monthName(m) + ". " + periodState(c.State, m, w.cfg.Now()), Back: commentaryQuery{Month: m}.url(commentaryPath),
		Node: nodeURL(c.Code) + "?period=" + m.String(), Movement: requestsURL(m, "node", c.Code), Form: form, MayRead: v.may("change", "read"),
	}
	view.figures()
	return render(v, status, commentaryPage(view))
}

func (v *commentaryView) figures() {
	f := &v.Case.Figures
	movement := f.Movement()
	actual := figure{Label: "Actual, " + monthName(v.Case.Month), Value: ui.Dollars(&f.Actual), URL: v.Node, Notes: []link{{Label: "US dollars, UTC days, with everything below it"}}}
	plan := figure{Label: "Against plan", Value: "–", Notes: []link{{Label: "No plan names it"}}}
	if f.Planned {
		over, whole := f.OverPlan(), planned(f.Plan)
		plan.Value, plan.URL = ui.Signed(&over), "/plan"
		plan.tone(&over)
		plan.Notes = []link{{Label: ui.Percent(&over, &whole, 1) + " of " + ui.Dollars(&whole) + " planned"}}
	}
	earlier := v.Case.Month.Previous()
	before := figure{Label: "Against " + monthName(earlier), Value: ui.Signed(&movement), URL: nodeURL(v.Case.Code) + "?period=" + earlier.String()}
	before.Notes = []link{{Label: ui.Percent(&movement, &f.Before, 1) + " of " + ui.Dollars(&f.Before)}}
	before.tone(&movement)
	tag := commentaryTag(v.Case.Standing.State)
	stands := figure{Label: "Commentary", Value: "Revision " + strconv.Itoa(v.Case.Standing.Revision), Tag: &tag, Notes: []link{{Label: "none is written yet"}}}
	if v.Case.Standing.Revision == 0 {
		stands.Value = "–"
	} else {
		stands.Notes = []link{{Label: "by " + v.Case.AuthorName + ", " + ui.Day(v.Case.Standing.WroteAt)}}
	}
	v.Figures = []figure{actual, plan, before, stands}
	v.Reasons = []reasonRow{
		{"Price", "the same tokens at another rate", f.Price}, {"Volume", "as all its tokens grew together", f.Volume}, {"Mix", "tokens moved between models and classes", f.Mix}, {"Tools", "what is not counted in tokens", f.Tools},
	}
}

// writeCommentary stores a text about the figures that were shown beside the form.
func (w *Web) writeCommentary(v *visit) error {
	if !v.may("commentary", "propose") {
		return app.ErrNotAllowed
	}
	m, code, err := v.commented()
	if err != nil {
		return err
	}
	form := commentaryForm{Step: string(commentary.Written), Text: v.FormValue("body")}
	err = w.areas.Commentaries.Write(v.Request().Context(), v.who, app.NewCommentary{Month: m, Node: code, Text: form.Text, Seen: v.FormValue("seen")})
	return w.commentaryStepped(v, err, form)
}

// reviewCommentary accepts a text or sends it back, asks about one node, or reminds its owner.
func (w *Web) reviewCommentary(v *visit) error {
	if !v.may("commentary_review", "propose") {
		return app.ErrNotAllowed
	}
	m, code, err := v.commented()
	if err != nil {
		return err
	}
	form := commentaryForm{Step: v.FormValue("step"), Note: v.FormValue("note")}
	switch kind := commentary.Kind(form.Step); kind {
	case commentary.Asked, commentary.Reminded:
		_, err = w.areas.Commentaries.Ask(v.Request().Context(), v.who, app.CommentaryAsk{Month: m, Kind: kind, Node: code, Note: form.Note})
	case commentary.Accepted, commentary.Returned, commentary.Written:
		err = w.areas.Commentaries.Review(v.Request().Context(), v.who, app.CommentaryReview{Month: m, Node: code, Kind: kind, Note: form.Note})
	default:
		err = commentary.ErrStep
	}
	return w.commentaryStepped(v, err, form)
}

func (w *Web) commentaryStepped(v *visit, err error, form commentaryForm) error {
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.commentaryPage(v, status, form)
	}
	if err != nil {
		return err
	}
	m, code, err := v.commented()
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, commentaryURL(m.String(), code)+"#steps")
}

func commentaryStepWords(s *app.CommentaryStepView) string {
	switch s.Kind {
	case commentary.Asked:
		return "Asked " + cmp.Or(s.To, "the owner")
	case commentary.Reminded:
		return "Reminded " + cmp.Or(s.To, "the owner")
	case commentary.Written:
		return "Wrote revision " + strconv.Itoa(s.Revision)
	case commentary.Accepted:
		return "Accepted revision " + strconv.Itoa(s.Revision)
	case commentary.Returned:
		return "Sent revision " + strconv.Itoa(s.Revision) + " back"
	}
	return ui.Words(string(s.Kind))
}

// writtenAbout says which figures a text is about, in words.
func writtenAbout(s *app.CommentaryStepView, now string) string {
	if s.Figures == nil {
		return ""
	}
	words := "about " + ui.Dollars(&s.Figures.Actual)
	if s.Figures.Planned {
		over := s.Figures.OverPlan()
		words += ", " + ui.Signed(&over) + " against plan"
	}
	moved := s.Figures.Movement()
	words += ", " + ui.Signed(&moved) + " against the month before"
	if s.Digest != now {
		words += "; the figures are others now"
	}
	return words
}

// textLines are what somebody wrote, line by line.
func textLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
