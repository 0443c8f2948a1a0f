package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/web/chart"
	"tollbook/web/ui"
)

// nodeURL is the page of a node by its code.
func nodeURL(code string) string { return "/nodes/" + url.PathEscape(code) }

type nodeView struct {
	Frame          ui.Frame
	Story          *app.NodeStory
	Query          monthQuery
	Sub            string
	CSV            string
	Previous, Next *link
	Crumbs         []link
	Figures        []figure
	Columns        []chart.Day
	Trend          []nodeMonth
	Tallest        string
	TrendWords     string
	Lists          []nodeList
	Requests       string
	Evidence       []ui.Fact
	Gaps           []string // what an auditor will ask for and is not there
	Dimensions     []string
	Operations     []link // that may be proposed
	Commentary     string // on the month shown; empty: not theirs
	Dispute        string // of its charges; empty: not theirs
	Line           []momentView
	Earlier        int // moments beyond those shown
}

// momentView is what a node was, is or will be for a span.
type momentView struct {
	Words, Held, Maker, Reason string
	Change                     link
	Tag                        figureTag
}

type nodeMonth struct {
	Label, URL, Amount, Requests string
	Current                      bool
}

// nodeList is what a node's month is made of by one dimension.
type nodeList struct {
	ID, Title, Head, None string
	Rows                  []nodeRow
	More                  int // rows beyond those shown
}

type nodeRow struct{ Label, Code, URL, Amount, Share, Dispute string }

// nodeRows bounds a list on the page; the chargeback page has all of it.
const nodeRows = 20

func (v *visit) story() (app.NodeStory, monthQuery, error) {
	q, err := v.monthQuery()
	if err != nil {
		return app.NodeStory{}, q, err
	}
	code, err := url.PathUnescape(v.Param("node"))
	if err != nil {
		return app.NodeStory{}, q, app.ErrNodeAbsent
	}
	story, err := v.web.areas.Reports.Node(v.Request().Context(), v.who, code, q.Month, q.AsOf)
	return story, q, err
}

// showNode is one cost center, project or business unit.
func (w *Web) showNode(v *visit) error {
	s, q, err := v.story()
	if err != nil {
		return err
	}
	home := nodeURL(s.Code)
	view := &nodeView{
		Frame: v.frame(s.Code + " " + s.Name), Story: &s, Query: q, Sub: periodWords(s.Month.State, q.Month, w.cfg.Now()), CSV: q.url(home + "/months.csv"),
		Previous: &link{Label: q.Month.Previous().Start().Format("Jan 2006"), URL: q.with(q.Month.Previous()).url(home)},
		Requests: requestsURL(q.Month, "node", s.Code),
	}
	if q.Month.Start().Before(q.Current.Start()) {
		view.Next = &link{Label: q.Month.Next().Start().Format("Jan 2006"), URL: q.with(q.Month.Next()).url(home)}
	}
	for _, up := range s.Crumbs {
		view.Crumbs = append(view.Crumbs, link{Label: up.Code, URL: q.url(nodeURL(up.Code))})
	}
	view.Figures = nodeFigures(&s, q)
	if v.may("commentary", "read") && s.Code != hierarchy.SuspenseCode {
		view.Commentary = commentaryURL(q.Month.String(), s.Code)
	}
	if v.may("dispute", "propose") && s.Code != hierarchy.SuspenseCode && !s.Month.State.Shut() {
		view.Dispute = disputeURL(q.Month, s.Code)
	}
	view.trend(&s, q, home)
	view.lists(&s, q)
	if err := w.fillLine(v, view); err != nil {
		return err
	}
	if err := nodeSheet(&s).prints(v, &view.Frame, "/nodes/:node/months.csv", nodeFile(v, &s, q)); err != nil {
		return err
	}
	return render(v, http.StatusOK, nodePage(view))
}

func nodeFigures(s *app.NodeStory, q monthQuery) []figure {
	own := figure{Label: "Its own, without what is below", Value: ui.Dollars(&s.Own), Notes: []link{{Label: ui.Percent(&s.Own, &s.Month.Total, 1) + " of it was charged to this node itself"}}}
	if len(s.Children) == 0 {
		own.Notes = []link{{Label: "nothing is below it"}}
	}
	return []figure{
		{
			Label: "Actual, " + monthName(q.Month), Value: ui.Dollars(&s.Month.Total), URL: requestsURL(q.Month, "node", s.Code),
			Notes: []link{{Label: "US dollars, UTC days, with everything below it"}},
		},
		againstPlan(&s.Month, q, nil),
		own,
		{
			Label: "Requests", Value: ui.Count(s.Month.Requests), URL: requestsURL(q.Month, "node", s.Code),
			Notes: []link{{Label: tokenWords(s.Month.Tokens)}},
		},
	}
}

// trend shapes the months up to the one shown.
func (v *nodeView) trend(s *app.NodeStory, q monthQuery, home string) {
	var tallest money.Sum
	for i := range s.Trend {
		if s.Trend[i].Amount.Cmp(&tallest) > 0 {
			tallest = s.Trend[i].Amount
		}
	}
	for i := range s.Trend {
		one := &s.Trend[i]
		current := one.Month == q.Current
		name := one.Month.Start().Format("Jan 2006")
		v.Columns = append(v.Columns, chart.Day{Height: ui.Permille(&one.Amount, &tallest), Before: -1, Partial: current, Words: name + ": " + ui.Dollars(&one.Amount)})
		v.Trend = append(v.Trend, nodeMonth{
			Label: name, URL: q.with(one.Month).url(home), Amount: ui.Money(&one.Amount), Requests: ui.Count(one.Requests), Current: current,
		})
	}
	v.Tallest = ui.Dollars(&tallest)
	v.TrendWords = fmt.Sprintf("Spend by month up to %s; the tallest is %s. The table below holds the same numbers.", monthName(q.Month), v.Tallest)
}

func (v *nodeView) lists(s *app.NodeStory, q monthQuery) {
	add := func(list nodeList, rows []app.ChargebackRow, address func(*app.ChargebackRow) string, shown bool) {
		for i := range rows {
			if len(list.Rows) == nodeRows {
				list.More = len(rows) - nodeRows
				break
			}
			r := &rows[i]
			row := nodeRow{Label: r.Label, URL: address(r), Amount: ui.Money(&r.Actual), Share: ui.Percent(&r.Actual, &s.Month.Total, 1)}
			if shown {
				row.Code = r.Key
			}
			if list.ID == "keys" && v.Dispute != "" {
				row.Dispute = v.Dispute + "&key=" + url.QueryEscape(r.Key)
			}
			list.Rows = append(list.Rows, row)
		}
		v.Lists = append(v.Lists, list)
	}
	node := func(r *app.ChargebackRow) string {
		if r.Kind == "" { // it is no more: its requests are
			return requestsURL(q.Month, "node", s.Code)
		}
		return q.url(nodeURL(r.Key))
	}
	add(nodeList{ID: "below", Title: "Right below it", Head: "Node", None: "Nothing is below it."}, s.Children, node, true)
	add(nodeList{ID: "projects", Title: "Projects", Head: "Project", None: "No project is below it."}, s.Projects, node, true)
	add(nodeList{ID: "people", Title: "People", Head: "Developer", None: "Nobody spent here in this month."}, s.Developers, func(r *app.ChargebackRow) string {
		return requestsURL(q.Month, "node", s.Code, "developer", r.Key)
	}, false)
	add(nodeList{ID: "keys", Title: "Virtual keys", Head: "Virtual key", None: "No key charged it in this month."}, s.Keys, func(r *app.ChargebackRow) string {
		return requestsURL(q.Month, "node", s.Code, "key", r.Key)
	}, false)
}

// maxMoments bounds the timeline on the page to the latest.
const maxMoments = 50

// fillLine tells the node's life, newest first: what is planned, what is, what was.
func (w *Web) fillLine(v *visit, view *nodeView) error {
	n := &view.Story.NodeView
	if n.Capitalization == hierarchy.Capitalize || n.Evidence != (hierarchy.Evidence{}) {
		view.Evidence, view.Gaps = evidenceFacts(&n.Evidence), n.Evidence.Gaps()
	}
	view.Dimensions = dimensionLines(n.Dimensions)
	if v.may("node", "propose") && n.Code != hierarchy.SuspenseCode {
		for _, c := range opChoices() {
			view.Operations = append(view.Operations, link{Label: c.Label, URL: changeNodeURL(c.Op, n.Code)})
		}
		at := slices.IndexFunc(view.Operations, func(l link) bool { return l.URL == changeNodeURL(hierarchy.OpCreate, n.Code) })
		view.Operations[at] = link{Label: "Create a node below it", URL: changeNodeURL(hierarchy.OpCreate, "") + "&parent=" + url.QueryEscape(n.Code)}
	}
	line, err := w.areas.Nodes.Timeline(v.Request().Context(), v.who, n.Code, view.Query.AsOf)
	if err != nil {
		return err
	}
	var owners []id.Member
	for i := range line.Moments {
		owners = append(owners, line.Moments[i].Version.Owner)
	}
	names, err := w.areas.Members.Owners(v.Request().Context(), v.who, owners)
	if err != nil {
		return err
	}
	for i := range slices.Backward(line.Moments) {
		if len(view.Line) == maxMoments {
			view.Earlier = i + 1
			break
		}
		m := momentOf(&line.Moments[i], names, w.cfg.Now())
		if v.may("change", "read") && line.Moments[i].Change.Number > 0 {
			m.Change.URL = "/changes/" + line.Moments[i].Change.ID.String()
		}
		view.Line = append(view.Line, m)
	}
	return nil
}

func momentOf(m *app.NodeMoment, names map[id.Member]string, now time.Time) momentView {
	one := momentView{Held: heldWords(m.From, m.To), Maker: makerWords(m.Change.Maker), Reason: m.Change.Reason}
	if m.Change.Number > 0 {
		one.Change.Label = changeNumber(m.Change.Number)
	}
	switch {
	case m.From.After(now):
		one.Tag = figureTag{ui.ToneNext, "…", "Planned"}
	case !m.To.IsZero() && !m.To.After(now):
		one.Tag = figureTag{ui.TonePlain, "", "Over"}
	default:
		one.Tag = figureTag{ui.ToneOK, "✓", "In force"}
	}
	view := &app.NodeView{Version: m.Version, ParentCode: m.ParentCode}
	one.Words = m.Version.Code + " " + m.Version.Name
	if m.ParentCode != "" {
		one.Words += ", below " + m.ParentCode
	}
	if !m.There {
		one.Words, one.Tag.Word = "Retired: it is there no more", "Retired"
	}
	if len(m.Fields) > 0 {
		var words []string
		for _, field := range m.Fields {
			text := fieldText(view, field, names)
			if text == "" {
				text = "none"
			}
			words = append(words, nodeFieldWords(field)+" "+text)
		}
		one.Words = ui.Words(strings.Join(words, "; "))
	}
	return one
}

// heldWords says from when to when something holds.
func heldWords(from, to time.Time) string {
	if to.IsZero() {
		return "from " + ui.Day(from) + " on"
	}
	return "from " + ui.Day(from) + " until " + ui.Day(to)
}

// exportNode is the trend as a file.
func (w *Web) exportNode(v *visit) error {
	s, q, err := v.story()
	if err != nil {
		return err
	}
	return nodeSheet(&s).send(v, nodeFile(v, &s, q))
}

func nodeFile(v *visit, s *app.NodeStory, q monthQuery) string {
	return "node-" + v.slug + "-" + s.Code + "-" + q.Month.String() + ".csv"
}

func nodeSheet(s *app.NodeStory) *sheet {
	out := newSheet("node", "name", "period", "actual_usd", "requests")
	for i := range s.Trend {
		one := &s.Trend[i]
		out.add("actual_usd", &one.Amount)
		_ = out.Write([]string{cell(s.Code), cell(s.Name), one.Month.String(), one.Amount.String(), strconv.FormatInt(one.Requests, 10)})
	}
	return out
}
