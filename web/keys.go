package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/period"
	"tollbook/web/ui"
)

// keysQuery is the state of the list: all of it is in the URL.
type keysQuery struct {
	Text, Node, State, Sort string
	Page                    int // 0 for the first
}

func (v *visit) keysQuery() (keysQuery, error) {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	q := keysQuery{Text: get("q"), Node: get("node"), State: get("state"), Sort: get("sort")}
	if text := get("page"); text != "" {
		page, err := strconv.Atoi(text)
		if err != nil || page < 1 || page > app.MaxKeys {
			return q, fault.Invalid("page", "page_syntax", "%.20q is no page of this list.", text)
		}
		q.Page = page - 1
	}
	return q, nil
}

func (q keysQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "node": q.Node, "state": q.State, "sort": q.Sort} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Page > 0 {
		values.Set("page", strconv.Itoa(q.Page+1))
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// narrowed tells whether anything but order and page was chosen.
func (q keysQuery) narrowed() bool { return q.Text != "" || q.Node != "" || q.State != "" }

func (q keysQuery) filter() app.KeyFilter {
	return app.KeyFilter{Text: q.Text, NodeCode: q.Node, State: q.State, Sort: q.Sort}
}

// sorting is a column head that sorts.
type sorting struct {
	Label, URL string
	Aria       string // ascending, descending or empty
	Number     bool
}

// sorted is the head of a column: following it sorts by it, and once more reverses.
func (q keysQuery) sorted(by, label string, number bool) sorting {
	q.Page = 0
	s := sorting{Label: label, Number: number}
	switch q.Sort {
	case by:
		s.Aria = "ascending"
	case "-" + by:
		s.Aria = "descending"
	}
	up, down := by, "-"+by
	switch {
	case q.Sort == up:
		q.Sort = down
	case q.Sort == down:
		q.Sort = up
	case number || by == "last_used" || by == "made":
		q.Sort = down // the largest and the latest are looked for
	default:
		q.Sort = up
	}
	s.URL = q.url("/keys")
	return s
}

type keysView struct {
	Frame   ui.Frame
	Query   keysQuery
	Alert   string
	Book    app.KeyBook
	Rows    []app.KeyUsed // of this page
	Now     time.Time
	Heads   []sorting
	Nodes   []option
	States  []option
	CSV     string
	Older   string
	Newer   string
	MayMake bool
}

const keysShown = 100

func (w *Web) showKeys(v *visit) error {
	q, err := v.keysQuery()
	view := &keysView{Query: q, Now: w.cfg.Now(), CSV: q.url("/keys.csv"), MayMake: v.may("key", "propose")}
	if err == nil {
		view.Book, err = w.areas.Keys.Browse(v.Request().Context(), v.who, q.filter())
	}
	status := http.StatusOK
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		status, view.Alert, err = http.StatusUnprocessableEntity, fault.From(err).Message, nil
	}
	if err != nil {
		return err
	}
	view.Frame = v.frame("Virtual keys")
	from := min(q.Page*keysShown, len(view.Book.Rows))
	view.Rows = q.shown(view.Book.Rows)
	if from+keysShown < len(view.Book.Rows) {
		view.Older = q.at(q.Page + 1).url("/keys")
	}
	if q.Page > 0 {
		view.Newer = q.at(q.Page - 1).url("/keys")
	}
	month := monthName(period.MonthOf(view.Now))
	view.Heads = []sorting{
		q.sorted("label", "Label", false), {Label: "Key"}, q.sorted("cost_center", "Cost center", false), {Label: "State"}, q.sorted("spend", month+", USD", true),
		{Label: "Requests", Number: true}, q.sorted("last_used", "Last used", false), q.sorted("made", "Made", false), q.sorted("ends", "Ends", false),
	}
	if view.Nodes, err = w.nodeChoices(v, "All cost centers", q.Node); err != nil {
		return err
	}
	view.States = []option{{Label: "All states"}}
	for _, s := range []string{app.KeyActive, app.KeyExpired, app.KeyRevoked} {
		view.States = append(view.States, option{Value: s, Label: ui.Words(s), Selected: s == q.State})
	}
	if status == http.StatusOK {
		if err := w.keysSheet(&view.Book, view.Rows).prints(v, &view.Frame, "/keys.csv", keysFile(v)); err != nil {
			return err
		}
	}
	return render(v, status, keysPage(view))
}

// shown are the rows of the page.
func (q keysQuery) shown(rows []app.KeyUsed) []app.KeyUsed {
	from := min(q.Page*keysShown, len(rows))
	return rows[from:min(from+keysShown, len(rows))]
}

func (q keysQuery) at(page int) keysQuery {
	q.Page = page
	return q
}

// nodeChoices lists the nodes the actor sees, as a tree.
func (w *Web) nodeChoices(v *visit, none, chosen string) ([]option, error) {
	nodes, err := w.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
	list := []option{{Label: none}}
	for _, n := range nodes {
		list = append(list, option{Value: n.Code, Label: strings.Repeat("\u2003", n.Depth) + n.Code + " " + n.Name, Selected: n.Code == chosen})
	}
	return list, err
}

func (w *Web) exportKeys(v *visit) error {
	q, err := v.keysQuery()
	if err != nil {
		return err
	}
	book, err := w.areas.Keys.Browse(v.Request().Context(), v.who, q.filter())
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	rows := book.Rows
	if part {
		rows = q.shown(rows)
	}
	return w.keysSheet(&book, rows).paged(part).send(v, keysFile(v))
}

func keysFile(v *visit) string { return "keys-" + v.slug + ".csv" }

// keysSheet is some of the keys there are.
func (w *Web) keysSheet(book *app.KeyBook, rows []app.KeyUsed) *sheet {
	out := newSheet("id", "label", "hint", "cost_center", "projects", "models", "requests_per_minute", "state", "made_at", "expires_at", "revoked_at", "revoked_reason",
		"period", "spend_usd", "requests", "last_used_day")
	now := w.cfg.Now()
	for i := range rows {
		k := &rows[i]
		out.add("spend_usd", &k.Spend)
		_ = out.Write([]string{
			k.ID.String(), cell(k.Label), k.Hint, cell(k.CostCenter), cell(strings.Join(k.Projects, " ")), cell(strings.Join(k.Models, " ")), countOrNone(k.RequestsPerMinute),
			k.State(now), stamp(k.RecordedAt), stamp(k.ExpiresAt), stamp(k.RevokedAt), cell(k.Reason),
			book.Month.String(), k.Spend.String(), strconv.FormatInt(k.Requests, 10), dayOrNone(k.LastDay),
		})
	}
	return out.paged(len(rows) < len(book.Rows))
}

func countOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func dayOrNone(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.DateOnly)
}

type keyView struct {
	Frame   ui.Frame
	Key     app.KeyStory
	State   string
	Now     time.Time
	Month   period.Month
	Figures []figure
	MayMake bool
}

// showKey is one key with everything that is known of it.
func (w *Web) showKey(v *visit) error {
	key, err := keyParam(v)
	if err != nil {
		return err
	}
	story, err := w.areas.Keys.Story(v.Request().Context(), v.who, key)
	if err != nil {
		return err
	}
	now := w.cfg.Now()
	view := &keyView{Frame: v.frame("Virtual key " + story.Label), Key: story, State: story.State(now), Now: now, Month: period.MonthOf(now), MayMake: v.may("key", "propose")}
	view.Figures = view.figures()
	return render(v, http.StatusOK, keyPage(view))
}

func (k *keyView) figures() []figure {
	requests := requestsURL(k.Month, "key", k.Key.ID.String())
	used := figure{Label: "Last used", Value: "–", Notes: []link{{Label: "not in the last " + strconv.Itoa(app.KeyUseMonths) + " months"}}}
	if !k.Key.LastDay.IsZero() {
		used.Value, used.Notes = ui.Day(k.Key.LastDay), []link{{Label: "UTC day of its latest request in the ledger;"}, {Label: "all its requests", URL: requestsQuery{Key: k.Key.ID.String()}.url("/requests")}}
		used.URL = requestsQuery{Key: k.Key.ID.String()}.url("/requests")
	}
	return []figure{
		{Label: "Spend, " + monthName(k.Month), Value: ui.Dollars(&k.Key.Spend), URL: requests, Notes: []link{{Label: "US dollars, UTC days, today so far; what was posted to this month"}}},
		{Label: "Requests", Value: ui.Count(k.Key.Requests), URL: requests, Notes: []link{{Label: "this month, errors too"}}},
		used,
	}
}

// secretWords says what becomes of one secret of a key.
func (k *keyView) secretWords(s app.KeySecret) string {
	switch {
	case k.State != app.KeyActive:
		return "ended with the key"
	case !s.Accepted(k.Now):
		return "ended " + ui.Minute(s.EndsAt)
	case s.EndsAt.IsZero():
		return "as long as the key"
	}
	return "until " + ui.Minute(s.EndsAt)
}

// historyWords says what a change did to a key.
func historyWords(kind string) string {
	words := map[string]string{"key": "Made", "key_secret": "Rotated", "key_revocation": "Revoked"}
	if word, ok := words[kind]; ok {
		return word
	}
	return ui.Words(kind)
}

func modelWords(models []string) string {
	if len(models) == 0 {
		return "every model"
	}
	return strings.Join(models, ", ")
}

func paceWords(perMinute int64) string {
	if perMinute == 0 {
		return "none"
	}
	return ui.Plural(perMinute, "billed request") + " a minute at each gateway"
}

func projectWords(projects []string) string {
	if len(projects) == 0 {
		return "those below the cost center"
	}
	return "those below the cost center, and " + strings.Join(slices.Sorted(slices.Values(projects)), ", ")
}
