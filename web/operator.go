package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/web/ui"
)

// operatorPages are for who runs the installation.
func (w *Web) operatorPages() []Route {
	list := []Route{
		w.operated(http.MethodGet, "/operator", w.showOperator),
		w.operated(http.MethodGet, statePath, w.liveState),
	}
	for _, table := range operatorTables() {
		list = append(list, w.operated(http.MethodGet, table.route(), func(v *visit) error { return w.exportOperator(v, table) }))
	}
	if w.cfg.JobPages != nil {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
			list = append(list, w.operated(method, JobsPrefix+"/*", w.passToJobs))
		}
	}
	return list
}

// operated is a page for operators. The areas decide, as for every other page; this one
// rule is asked before anything else, so that nobody else's input is even read.
func (w *Web) operated(method, path string, serve func(*visit) error) Route {
	return Route{Method: method, Path: path, SignedIn: true, Operator: true, serve: w.signedIn(func(v *visit) error {
		if err := w.areas.Operators.Allow(v.who); err != nil {
			return err
		}
		return serve(v)
	})}
}

// operatorQuery is the state of the page: all of it is in the URL.
type operatorQuery struct{ Text, Sort string }

func (v *visit) operatorQuery() operatorQuery {
	return operatorQuery{Text: strings.TrimSpace(v.QueryParam("q")), Sort: v.QueryParam("sort")}
}

func (q operatorQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "sort": q.Sort} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

type operatorView struct {
	Frame    ui.Frame
	Query    operatorQuery
	Alert    string
	Field    string
	Platform app.Platform
	Figures  []figure
	Sorts    []option
	JobPages bool
}

// csv is the address of one of the page's tables as a file.
func (v *operatorView) csv(table string) string {
	if table == "tenants" && v.Alert == "" {
		return v.Query.url("/operator/tenants.csv")
	}
	return "/operator/" + table + ".csv"
}

func (w *Web) showOperator(v *visit) error {
	q := v.operatorQuery()
	view := &operatorView{Frame: v.frame("Operator"), Query: q, JobPages: w.cfg.JobPages != nil}
	status := http.StatusOK
	var err error
	view.Platform, err = w.areas.Operators.Platform(v.Request().Context(), v.who, app.PlatformQuery(q))
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		status, view.Alert, view.Field = http.StatusUnprocessableEntity, f.Message, f.Field
		view.Platform, err = w.areas.Operators.Platform(v.Request().Context(), v.who, app.PlatformQuery{})
		view.Platform.Tenants = nil // nothing is shown that was not asked for
	}
	if err != nil {
		return err
	}
	for _, s := range []option{
		{Value: app.TenantsBySlug, Label: "Short name"},
		{Value: app.TenantsByCreated, Label: "Newest"},
		{Value: app.TenantsByQuiet, Label: "Longest quiet"},
		{Value: app.TenantsByWaiting, Label: "Most records waiting"},
	} {
		s.Selected = s.Value == q.Sort
		view.Sorts = append(view.Sorts, s)
	}
	view.Figures = operatorFigures(&view.Platform)
	for _, table := range operatorTables() {
		if view.Alert != "" {
			break
		}
		if err := table.sheet(&view.Platform).prints(v, &view.Frame, table.route(), table.file()); err != nil {
			return err
		}
	}
	return render(v, status, operatorPage(view))
}

// operatorFigures are the four numbers an operator looks at first, each with its basis.
func operatorFigures(p *app.Platform) []figure {
	companies := figure{Label: "Companies", Value: ui.Count(int64(p.Of)), URL: "#tenants", Notes: []link{{Label: "in this installation"}}}
	gateways := figure{Label: "Gateways", Value: ui.Count(int64(len(p.Gateways))), URL: "#gateways"}
	silent, pending := 0, int64(0)
	for _, g := range p.Gateways {
		pending += g.Pending
		if g.Silent {
			silent++
		}
	}
	gateways.Notes = []link{{Label: "that have not ended; " + ui.Plural(pending, "request") + " in their journals"}}
	gateways.Tag = stateTag(silent == 0, "all heard of", strconv.Itoa(silent)+" silent")
	failed := figure{Label: "Failed jobs", Value: ui.Count(int64(len(p.Failures))), URL: "#failures", Notes: []link{{Label: "to be tried again, or given up"}}}
	given := 0
	for i := range p.Failures {
		if p.Failures[i].State != "retryable" {
			given++
		}
	}
	failed.Tag = stateTag(given == 0, "none given up", strconv.Itoa(given)+" given up")
	if len(p.Failures) == app.MaxPlatformFailures {
		failed.Value += "+"
	}
	here := figure{Label: "This process", Value: "Ready", URL: "#health", Notes: []link{{Label: "as /readyz says"}}}
	if !p.Health.Ready {
		here.Value = "Not ready"
	}
	here.Tag = stateTag(p.Health.Ready && p.Health.Ailing == "" && len(healthTroubles(&p.Health)) == 0, "nothing to look at", "look below")
	return []figure{companies, gateways, failed, here}
}

func stateTag(good bool, yes, no string) *figureTag {
	if good {
		return &figureTag{Tone: ui.ToneOK, Icon: "✓", Word: yes}
	}
	return &figureTag{Tone: ui.ToneWarn, Icon: "!", Word: no}
}

// healthLine is one thing a process says of itself; the metric is where to watch it.
type healthLine struct {
	Label, Value, Metric string
	Trouble              string // what is wrong with it; empty: nothing
}

const (
	lateFlush   = 15 * time.Minute // what losing a journal may lose
	slowFlush   = 2 * time.Second  // rows are promised within it
	staleEnough = 2 * time.Minute  // loads come every 30 seconds
	halfOfAll   = 2
)

// healthLines are a process's numbers in the order one looks for a fault in.
func healthLines(h *app.Health) []healthLine {
	say := func(bad bool, words string) string {
		if bad {
			return words
		}
		return ""
	}
	var lines []healthLine
	if g := h.Gateway; g != nil {
		lag, depth := "nothing was flushed yet", "nothing that is not in the ledger"
		if g.Pending > 0 {
			depth = ui.Plural(g.Pending, "request") + " not in the ledger, the oldest " + age(g.OldestPending) + " old"
		}
		switch {
		case g.Flushed == 0:
		case g.FlushLag < 0:
			lag = "95% of " + ui.Plural(g.Flushed, "request") + " took more than an hour"
		default:
			lag = "95% of " + ui.Plural(g.Flushed, "request") + " within " + age(g.FlushLag)
		}
		lines = []healthLine{
			{"Journal", byteWords(g.Bytes) + " of " + byteWords(g.Bound) + " in " + ui.Plural(int64(g.Segments), "segment"), "tollbook_journal_bytes", say(g.Failed, "cannot be written") + say(!g.Failed && g.Bytes*halfOfAll > g.Bound, "filling")},
			{"Journal depth", depth, "tollbook_journal_pending", say(g.OldestPending > lateFlush, "behind")},
			{"Flush lag", lag, "tollbook_flush_lag_seconds", say(g.Flushed > 0 && (g.FlushLag < 0 || g.FlushLag > slowFlush), "slow")},
			{"Waiting for a flush", ui.Plural(g.FlushWaiting, "request") + "; " + ui.Plural(g.FlushFailures, "flush failure") + " since the start", "tollbook_flush_waiting", ""},
			{"Companies failing to flush", ui.Count(g.FailingTenants) + ", with " + ui.Plural(g.FailingWaiting, "request"), "tollbook_flush_tenants_failing", say(g.FailingTenants > 0, "look")},
			{"Refused by the ledger", ui.Plural(g.Refused, "request") + " in the journal", "tollbook_journal_refused", say(g.Refused > 0, "look")},
			{"Journals of dead gateways", ui.Count(g.Orphans) + " not in the ledger, of these " + ui.Count(g.Broken) + " broken; " + ui.Count(g.Adopted) + " adopted since the start", "tollbook_journal_broken", say(g.Broken > 0, "broken")},
			{"Snapshot", age(g.SnapshotAge) + " old; " + ui.Plural(g.SnapshotFailures, "failed load") + ", a company left out " + ui.Plural(g.LeftOut, "time"), "tollbook_snapshot_age_seconds", say(g.SnapshotAge > staleEnough, "stale")},
		}
	}
	for _, p := range h.Pools {
		lines = append(lines, healthLine{
			"Connections as " + p.Role, strconv.Itoa(int(p.InUse)) + " in use, " + strconv.Itoa(int(p.Open)) + " open of " + strconv.Itoa(int(p.Max)) + "; " + ui.Plural(p.Waited, "wait") + ", " + ui.Count(p.GaveUp) + " given up",
			"tollbook_database_connections_in_use", say(p.InUse >= p.Max, "all in use"),
		})
	}
	return lines
}

func healthTroubles(h *app.Health) []string {
	var list []string
	for _, l := range healthLines(h) {
		if l.Trouble != "" {
			list = append(list, l.Label)
		}
	}
	return list
}

// age prints how long, in the largest unit that says enough.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 2*time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + " s"
	case d < 2*time.Hour:
		return strconv.FormatInt(int64(d/time.Minute), 10) + " min"
	case d < 48*time.Hour:
		return strconv.FormatInt(int64(d/time.Hour), 10) + " h"
	}
	return ui.Count(int64(d/(24*time.Hour))) + " days"
}

// ago is how long before a moment something was.
func ago(now, at time.Time) string {
	if now.Sub(at) < time.Second {
		return "just now"
	}
	return age(now.Sub(at)) + " ago"
}

// byteWords prints bytes in whole powers of 1024, rounded down to a tenth.
func byteWords(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	tenths, unit := n*10, 0
	for tenths >= 10_240 && unit < len(units)-1 {
		tenths /= 1024
		unit++
	}
	if unit == 0 || tenths%10 == 0 {
		return ui.Count(tenths/10) + " " + units[unit]
	}
	return ui.Count(tenths/10) + "." + strconv.FormatInt(tenths%10, 10) + " " + units[unit]
}

// waitingWords prints a count that ends at a bound.
func waitingWords(n int64) string {
	if n >= app.WaitingBound {
		return ui.Count(n) + "+"
	}
	return ui.Count(n)
}

func jobURL(job int64) string { return JobsPrefix + "/jobs/" + strconv.FormatInt(job, 10) }
