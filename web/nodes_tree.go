package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// treeQuery is the state of the page of the hierarchy: all of it is in the URL.
type treeQuery struct {
	// The instants as they were given, so that what cannot be read is shown again.
	AsOfText, KnownText, FromText string
	AsOf, Known, From             time.Time
	Text, Kind                    string
	Levels                        int      // shown; 0: as many as fit
	Open, Shut                    []string // codes of nodes that are expanded, or collapsed, by themselves
}

// Bounds of the page.
const (
	rowsThatFit  = 200  // with which the tree unfolds by itself
	maxTreeRows  = 1000 // shown; more are for a filter
	maxToggles   = 60   // in one address
	maxTreeLevel = 32
)

func treeQueryOf(values url.Values) treeQuery {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	return treeQuery{
		AsOfText: text("as_of"), KnownText: text("known_at"), FromText: text("from"), Text: text("q"), Kind: text("kind"),
		Open: toggled(values["open"]), Shut: toggled(values["shut"]),
	}
}

func toggled(codes []string) []string {
	codes = slices.DeleteFunc(slices.Clone(codes), func(c string) bool { return c == "" || len(c) > 40 })
	return codes[:min(len(codes), maxToggles)]
}

// read makes of the text what it means.
func (q *treeQuery) read(levels string) error {
	for _, one := range []struct {
		field, text string
		into        *time.Time
	}{{"as_of", q.AsOfText, &q.AsOf}, {"known_at", q.KnownText, &q.Known}, {"from", q.FromText, &q.From}} {
		if one.text == "" {
			continue
		}
		at, err := api.ParseInstant(one.field, one.text)
		if err != nil {
			return err
		}
		*one.into = at.Time
	}
	if q.Kind != "" && !slices.Contains(hierarchy.Kinds(), hierarchy.Kind(q.Kind)) {
		return fault.Invalid("kind", "kind_unknown", "A kind is business_unit, cost_center or project.")
	}
	if levels == "" {
		return nil
	}
	var err error
	if q.Levels, err = strconv.Atoi(levels); err != nil || q.Levels < 1 || q.Levels > maxTreeLevel {
		q.Levels = 0
		return fault.Invalid("levels", "levels_range", "The tree is shown to a level of 1 to %d.", maxTreeLevel)
	}
	return nil
}

// url is the page for a state, without what is the default.
func (q *treeQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"as_of": q.AsOfText, "known_at": q.KnownText, "from": q.FromText, "q": q.Text, "kind": q.Kind} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Levels > 0 {
		values.Set("levels", strconv.Itoa(q.Levels))
	}
	if len(q.Open) > 0 {
		values["open"] = q.Open
	}
	if len(q.Shut) > 0 {
		values["shut"] = q.Shut
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// toggle is the page with one node expanded or collapsed.
func (q *treeQuery) toggle(code string, open bool) string {
	not := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(c string) bool { return c == code })
	}
	next := *q
	next.Open, next.Shut = not(q.Open), not(q.Shut)
	if open {
		next.Open = append(next.Open, code)
	} else {
		next.Shut = append(next.Shut, code)
	}
	return next.url("/nodes") + "#n-" + code
}

// file is the CSV of the page: what is folded on the page is in it.
func (q *treeQuery) file() string {
	all := *q
	all.Open, all.Shut, all.Levels = nil, nil, 0
	return all.url("/nodes.csv")
}

type treeView struct {
	Frame ui.Frame
	Query treeQuery
	trouble
	Title, Sub     string
	CSV            string
	Rows           []treeRow
	Caption        string
	Folded         string // how many nodes are not shown, in words; empty: none
	Unfold, Clear  string // addresses
	None           bool   // nothing matches the filter
	Empty          bool   // there is no node at that time
	Kinds, Levels  []option
	Charged        bool // the charges are the actor's to see
	Month          period.Month
	MonthWords     string
	Total          *money.Sum
	TotalURL       string
	MayChange      bool
	MayFollow      bool // nodes have pages for the actor
	Notches        string
	Differences    []nodeDifference
	Compared       bool
	MoreDifferent  int
	DifferenceWord string
	Back           string
}

// treeRow is a node as the tree shows it.
type treeRow struct {
	app.NodeView

	Level       int // of indentation
	Below       int // nodes below it
	Open        bool
	Toggle      string // empty: nothing is below it
	OwnerName   string
	EntityAbove string // the entity it has from above, where it says none
	Matches     bool   // false: shown because something below it matches
	Own, Total  *money.Sum
	URL, Move   string
}

// showTree is the hierarchy.
func (w *Web) showTree(v *visit) error {
	q := treeQueryOf(v.QueryParams())
	err := q.read(strings.TrimSpace(v.QueryParam("levels")))
	view := &treeView{Query: q, Title: "Hierarchy", MayChange: v.may("node", "propose"), MayFollow: v.may("chargeback", "read"), Clear: "/nodes"}
	view.Frame = v.frame(view.Title)
	status := http.StatusOK
	if err == nil {
		err = w.fillTree(v, view)
	}
	if f := fault.From(err); err != nil && f.Kind == fault.KindInvalid {
		status, view.trouble, err = http.StatusUnprocessableEntity, trouble{f.Message, f.Field}, nil
	}
	if err != nil {
		return err
	}
	view.choices()
	return render(v, status, treePage(view))
}

func (w *Web) fillTree(v *visit, view *treeView) error {
	instants, err := w.areas.Nodes.Instants(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view.Notches = notches(instants, w.cfg.Now())
	q := &view.Query
	view.CSV = q.file()
	view.Sub = treeWords(q)
	if !q.From.IsZero() {
		return w.fillDifferences(v, view)
	}
	t, err := w.readTree(v, q)
	if err != nil {
		return err
	}
	view.Charged, view.Month = t.charged, t.month
	view.MonthWords = monthName(t.month) + ", US dollars so far"
	view.lay(t)
	sheet := t.sheet()
	return sheet.prints(v, &view.Frame, "/nodes.csv", treeFile(v))
}

// treeWords says which tree is shown.
func treeWords(q *treeQuery) string {
	words := "As it is now"
	if !q.AsOf.IsZero() {
		words = "As of " + ui.Minute(q.AsOf)
	}
	if !q.Known.IsZero() {
		words += ", as known at " + ui.Minute(q.Known)
	}
	return words + ". Nothing is edited in place: every change is proposed, decided and kept."
}

// notches are the instants at which the hierarchy turns, and now, as a slider's script
// reads them.
func notches(instants []time.Time, now time.Time) string {
	list := append(slices.Clone(instants), now)
	slices.SortFunc(list, time.Time.Compare)
	words := make([]string, 0, len(list))
	for _, at := range slices.CompactFunc(list, time.Time.Equal) {
		if at.Equal(now) {
			words = append(words, "")
			continue
		}
		words = append(words, turnText(at))
	}
	return strings.Join(words, " ")
}

// turnText is an instant as a field takes it: a date where it is the first of one.
func turnText(at time.Time) string {
	at = at.UTC()
	if at.Equal(at.Truncate(24 * time.Hour)) {
		return at.Format(time.DateOnly)
	}
	return at.Format(time.RFC3339Nano)
}

// treeRead is the hierarchy with what the page puts beside it.
type treeRead struct {
	nodes   []app.NodeView // parents first; those the filter keeps
	matches map[id.Node]bool
	all     int
	owners  map[id.Member]string
	charges map[string]*app.ChargebackRow // by code
	charged bool
	month   period.Month
	total   money.Sum
}

func (w *Web) readTree(v *visit, q *treeQuery) (*treeRead, error) {
	t := &treeRead{matches: map[id.Node]bool{}, charges: map[string]*app.ChargebackRow{}, charged: v.may("chargeback", "read"), month: period.MonthOf(w.cfg.Now())}
	all, ctx := errgroup.WithContext(v.Request().Context())
	all.Go(func() error { return w.readNodes(ctx, v, q, t) })
	if t.charged {
		all.Go(func() error {
			sum, err := w.areas.Reports.Month(ctx, v.who, app.MonthQuery{Month: t.month, GroupBy: "node", AsOf: q.AsOf, Known: q.Known})
			for i := range sum.Rows {
				if sum.Rows[i].Kind != "" {
					t.charges[sum.Rows[i].Key] = &sum.Rows[i]
				}
			}
			t.total = sum.Total
			return err
		})
	}
	err := all.Wait() // before what it waits for is returned
	return t, err
}

func (w *Web) readNodes(ctx context.Context, v *visit, q *treeQuery, t *treeRead) error {
	nodes, err := w.areas.Nodes.Tree(ctx, v.who, app.TreeQuery{AsOf: q.AsOf, Known: q.Known})
	if err != nil {
		return err
	}
	owners := make([]id.Member, 0, len(nodes))
	for i := range nodes {
		owners = append(owners, nodes[i].Owner)
	}
	if t.owners, err = w.areas.Members.Owners(ctx, v.who, owners); err != nil {
		return err
	}
	t.all = len(nodes)
	// From the last to the first: what is below comes before what is above.
	keep := map[id.Node]bool{}
	for i := range slices.Backward(nodes) {
		n := &nodes[i]
		t.matches[n.Node] = q.matches(n, t.owners[n.Owner])
		if t.matches[n.Node] || keep[n.Node] {
			keep[n.Node], keep[n.Parent] = true, true
		}
	}
	t.nodes = slices.DeleteFunc(nodes, func(n app.NodeView) bool { return !keep[n.Node] })
	return nil
}

func (q *treeQuery) filtered() bool { return q.Text != "" || q.Kind != "" }

func (q *treeQuery) matches(n *app.NodeView, owner string) bool {
	if q.Kind != "" && string(n.Kind) != q.Kind {
		return false
	}
	text := strings.ToLower(strings.Join([]string{n.Code, n.Name, owner, n.Entity, n.GLAccount}, "\n"))
	return strings.Contains(text, strings.ToLower(q.Text))
}

// lay puts the nodes into rows, as far as they are unfolded.
func (v *treeView) lay(t *treeRead) {
	q := &v.Query
	v.None, v.Empty = len(t.nodes) == 0 && t.all > 0, t.all == 0
	if len(t.nodes) == 0 {
		return
	}
	shallowest := slices.MinFunc(t.nodes, func(a, b app.NodeView) int { return a.Depth - b.Depth }).Depth
	levels := q.Levels
	switch {
	case levels > 0:
	case q.filtered():
		levels = maxTreeLevel
	default:
		levels = levelsThatFit(t.nodes, shallowest)
	}
	folded, beyond, limit := 0, 0, maxTreeLevel
	entities := make([]string, maxTreeLevel+1)
	for i := range t.nodes {
		n := &t.nodes[i]
		level := n.Depth - shallowest
		entities[level+1] = n.Entity
		if n.Entity == "" {
			entities[level+1] = entities[level]
		}
		if level <= limit {
			limit = maxTreeLevel
		}
		switch {
		case level > limit:
			folded++
			continue
		case len(v.Rows) == maxTreeRows:
			beyond++
			continue
		}
		row := t.row(i, level)
		if n.Entity == "" {
			row.EntityAbove = entities[level]
		}
		row.Open = (level+1 < levels || slices.Contains(q.Open, n.Code)) && !slices.Contains(q.Shut, n.Code)
		if row.Below > 0 {
			row.Toggle = q.toggle(n.Code, !row.Open)
			if !row.Open {
				limit = level
			}
		}
		if v.MayFollow {
			row.URL = nodeURL(n.Code)
		}
		if v.MayChange && n.Code != hierarchy.SuspenseCode {
			row.Move = changeNodeURL(hierarchy.OpMove, n.Code)
		}
		v.Rows = append(v.Rows, row)
	}
	v.counts(t, folded, beyond)
}

// counts says in words how much of the tree is shown.
func (v *treeView) counts(t *treeRead, folded, beyond int) {
	v.Caption = ui.Plural(int64(t.all), "node")
	if v.Query.filtered() {
		found := 0
		for _, yes := range t.matches {
			if yes {
				found++
			}
		}
		v.Caption = ui.Count(int64(found)) + " of " + v.Caption + " match, with what is above them"
	}
	if t.charged {
		v.Caption += "; charges of " + v.MonthWords + ", placed as they were when they were charged"
		v.Total, v.TotalURL = &t.total, requestsURL(t.month)
	}
	if folded > 0 {
		v.Folded = ui.Plural(int64(folded), "node") + " folded"
		q := v.Query
		q.Levels, q.Open, q.Shut = maxTreeLevel, nil, nil
		v.Unfold = q.url("/nodes")
	}
	if beyond > 0 {
		if v.Folded != "" {
			v.Folded += "; "
		}
		v.Folded += ui.Count(int64(beyond)) + " more than a page holds: filter, or expand less"
	}
}

// levelsThatFit is the deepest level to which the tree fits a page.
func levelsThatFit(nodes []app.NodeView, shallowest int) int {
	var count [maxTreeLevel + 1]int
	for i := range nodes {
		count[min(nodes[i].Depth-shallowest, maxTreeLevel)]++
	}
	sum := 0
	for level, n := range count {
		if sum += n; sum > rowsThatFit {
			return max(level, 1)
		}
	}
	return maxTreeLevel
}

func (t *treeRead) row(i, level int) treeRow {
	n := &t.nodes[i]
	row := treeRow{NodeView: *n, Level: min(level, maxIndent), OwnerName: t.owners[n.Owner], Matches: t.matches[n.Node]}
	for j := i + 1; j < len(t.nodes) && t.nodes[j].Depth > n.Depth; j++ {
		row.Below++
	}
	if c := t.charges[n.Code]; c != nil {
		row.Own, row.Total = &c.Own, &c.Actual
	} else if t.charged {
		row.Own, row.Total = &money.Sum{}, &money.Sum{}
	}
	return row
}

func (v *treeView) choices() {
	v.Kinds = []option{{Label: "All kinds"}}
	for _, k := range hierarchy.Kinds() {
		v.Kinds = append(v.Kinds, option{Value: string(k), Label: ui.Words(string(k)), Selected: string(k) == v.Query.Kind})
	}
	v.Levels = []option{{Label: "As many as fit"}}
	for level := 1; level <= 4; level++ {
		v.Levels = append(v.Levels, option{Value: strconv.Itoa(level), Label: ui.Plural(int64(level), "level"), Selected: level == v.Query.Levels})
	}
	v.Levels = append(v.Levels, option{Value: strconv.Itoa(maxTreeLevel), Label: "All", Selected: v.Query.Levels > 4})
}

// exportTree is the hierarchy as a file that an import takes, or the differences.
func (w *Web) exportTree(v *visit) error {
	q := treeQueryOf(v.QueryParams())
	if err := q.read(""); err != nil {
		return err
	}
	if !q.From.IsZero() {
		list, err := w.differences(v, &q)
		if err != nil {
			return err
		}
		return differencesSheet(list).send(v, treeFile(v))
	}
	t, err := w.readTree(v, &q)
	if err != nil {
		return err
	}
	return t.sheet().send(v, treeFile(v))
}

func treeFile(v *visit) string { return "nodes-" + v.slug + ".csv" }

// sheet is the file: an import reads over the columns that are for people.
func (t *treeRead) sheet() *sheet {
	nodes := make([]hierarchy.Listed, 0, len(t.nodes))
	for i := range t.nodes {
		nodes = append(nodes, hierarchy.Listed{Version: t.nodes[i].Version, ParentCode: t.nodes[i].ParentCode, Path: t.nodes[i].Path})
	}
	head, rows := hierarchy.Sheet(nodes)
	if t.charged {
		head = append(head, "period", "own_usd", "total_usd")
	}
	out := newSheet(head...)
	for i, row := range rows {
		if t.charged {
			own, total := &money.Sum{}, &money.Sum{}
			if c := t.charges[t.nodes[i].Code]; c != nil {
				own, total = &c.Own, &c.Actual
			}
			out.add("own_usd", own)
			row = append(row, t.month.String(), own.String(), total.String())
		}
		_ = out.Write(row)
	}
	return out
}
