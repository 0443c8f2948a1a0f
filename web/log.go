package web

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/web/ui"
)

// logQuery is the state of the audit log's page: all of it is in the URL.
type logQuery struct{ Action, Actor, Subject, From, To, Cursor string }

func (v *visit) logQuery() logQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return logQuery{Action: get("action"), Actor: get("actor"), Subject: get("subject"), From: get("from"), To: get("to"), Cursor: get("cursor")}
}

func (q logQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"action": q.Action, "actor": q.Actor, "subject": q.Subject, "from": q.From, "to": q.To, "cursor": q.Cursor} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q logQuery) narrowed() bool {
	q.Cursor = ""
	return q != logQuery{}
}

var (
	actionForm  = regexp.MustCompile(`^[a-z][a-z_]{0,40}\.[a-z_]{0,40}$`)
	actorForm   = regexp.MustCompile(`^(system|command|[a-z]{3}_[0-9a-f]{32})$`)
	subjectForm = regexp.MustCompile(`^[a-z]{3}_[0-9a-f]{32}$`)
)

// filter reads the texts; the two bounds are half-open, as everywhere.
func (q logQuery) filter() (app.LogQuery, error) {
	f := app.LogQuery{Action: q.Action, Actor: q.Actor, Subject: q.Subject, Cursor: q.Cursor}
	switch {
	case q.Action != "" && !actionForm.MatchString(q.Action):
		return f, fault.Invalid("action", "action_syntax", "An action is two words with a point between, such as change.applied, or the first with its point for all of them; %.40q is neither.", q.Action)
	case q.Actor != "" && !actorForm.MatchString(q.Actor):
		return f, fault.Invalid("actor", "actor_syntax", "Who did it is an id, such as mem_ and 32 digits, or system or command; %.40q is none of them.", q.Actor)
	case q.Subject != "" && !subjectForm.MatchString(q.Subject):
		return f, fault.Invalid("subject", "subject_syntax", "What a record is about is an id, such as chg_ or key_ and 32 digits; %.40q is none.", q.Subject)
	}
	var err error
	f.From, f.To, err = between(q.From, q.To)
	return f, err
}

// logRow is one record in words.
type logRow struct {
	Entry  *app.LogEntry
	URL    string
	Place  string // its sequence; empty: it waits for one
	By     link
	Words  string
	Tone   ui.Tone
	Icon   string
	About  link
	Detail string
}

// detailShown and detailKept bound what is said in short: in a row, and of a record at all.
const detailShown, detailKept = 110, 500

func (v *visit) logRow(e *app.LogEntry) logRow {
	row := logRow{Entry: e, URL: "/log/" + e.Record.String(), By: v.logHand(e), Words: actionWords(e.Action), About: v.about(e), Detail: shorten(inShort(e), detailKept)}
	row.Tone, row.Icon = actionTone(e.Action)
	if e.Sequence >= 0 {
		row.Place = strconv.FormatInt(e.Sequence, 10)
	}
	return row
}

// logHand is who did it: their own page, or all that they did where that is not shown.
func (v *visit) logHand(e *app.LogEntry) link {
	switch {
	case e.By.Member.IsZero():
		return link{Label: e.By.Name}
	case v.may("member", "read"):
		return link{e.By.Name, "/members/" + e.By.Member.String()}
	}
	return link{e.By.Name, logQuery{Actor: e.Actor}.url("/log")}
}

type logView struct {
	Frame   ui.Frame
	Query   logQuery
	Alert   string
	Field   string // the one at fault
	Actions []option
	State   *logStateView
	Rows    []logRow
	Older   string
	Newest  string
	CSV     string
}

const logShown = 50

func (w *Web) showLog(v *visit) error {
	q := v.logQuery()
	view := &logView{Frame: v.frame("Audit log"), Query: q, Actions: actionChoices(q.Action)}
	view.CSV = logQuery{Action: q.Action, Actor: q.Actor, Subject: q.Subject, From: q.From, To: q.To}.url("/log.csv") // the whole list
	ctx, status := v.Request().Context(), http.StatusOK
	filter, err := q.filter()
	var page app.LogView
	if err == nil {
		filter.Limit = logShown
		page, err = w.areas.Log.Read(ctx, v.who, filter)
	}
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		f := fault.From(err)
		status, view.Alert, view.Field = http.StatusUnprocessableEntity, f.Message, f.Field
		page, err = w.areas.Log.Read(ctx, v.who, app.LogQuery{Limit: 1}) // for how far it is proved
		page.Entries, page.Next = nil, ""                                // which nobody asked for
	}
	if err != nil {
		return err
	}
	view.State = logState(&page.State)
	for i := range page.Entries {
		view.Rows = append(view.Rows, v.logRow(&page.Entries[i]))
	}
	if page.Next != "" {
		older := q
		older.Cursor = page.Next
		view.Older = older.url("/log")
	}
	if q.Cursor != "" {
		newest := q
		newest.Cursor = ""
		view.Newest = newest.url("/log")
	}
	if status == http.StatusOK {
		out := newLogSheet(v)
		out.add(page.Entries)
		if err := out.whole().paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, "/log.csv", logFile(v)); err != nil {
			return err
		}
	}
	return render(v, status, logPage(view))
}

// actionChoices offers families and single actions; what was asked for is among them.
func actionChoices(chosen string) []option {
	list, known := []option{{Label: "All records"}}, chosen == ""
	add := func(value, label string) {
		known = known || value == chosen
		list = append(list, option{Value: value, Label: label, Selected: value == chosen})
	}
	for _, family := range logFamilies() {
		indent := ""
		if family.Prefix != "" {
			add(family.Prefix, family.Label)
			indent = "\u2003"
		}
		for _, a := range family.Actions {
			add(a.Code, indent+a.Words)
		}
	}
	if !known {
		add(chosen, chosen)
	}
	return list
}

// logStateView is how far the log is proved, in words.
type logStateView struct {
	State    *app.LogState
	Figures  []figure
	Root     string // of the signed head; empty: there is none
	Controls []control
}

// control is one thing that must hold, and whether it does.
type control struct {
	Name  string
	Tone  ui.Tone
	Icon  string
	Word  string
	Words string
	Link  link // where more of it is; no URL: nowhere
}

func logState(s *app.LogState) *logStateView {
	view := &logStateView{State: s, Figures: []figure{recordsFigure(s), headFigure(s), unseenFigure(s), checkFigure(s)}}
	if s.Signed > 0 {
		view.Root = base64.StdEncoding.EncodeToString(s.Root)
	}
	view.Controls = append([]control{keyControl(s), checkControl(s)}, witnessControls(s)...)
	return view
}

func recordsFigure(s *app.LogState) figure {
	f := figure{Label: "Records", Value: ui.Count(s.Size), Notes: []link{{Label: "each with its place in the log"}}}
	if s.Waiting > 0 {
		f.Notes = []link{{Label: "with a place; " + ui.Count(s.Waiting) + " more " + waits(s.Waiting) + " for theirs"}}
	}
	return f
}

func waits(n int64) string {
	if n == 1 {
		return "waits"
	}
	return "wait"
}

// headFigure is what the newest signed head covers, and how much came since.
func headFigure(s *app.LogState) figure {
	f := figure{Label: "Signed head", Value: "–", Notes: []link{{Label: "no head of this log was signed yet"}}}
	if s.Signed > 0 {
		f.Value, f.Notes = ui.Count(s.Signed), []link{{Label: "records, signed " + ui.Minute(s.SignedAt)}}
	}
	switch since := uncovered(s); {
	case !s.Signs:
		f.Tag, f.Notes = &figureTag{ui.ToneStop, "×", "not signed"}, append(f.Notes, link{Label: "there is no log key"})
	case since > 0 && s.Signed == 0:
		f.Notes = []link{{Label: "none yet; the first is signed within " + minutes(app.SignEvery)}}
	case since > 0:
		f.Notes = append(f.Notes, link{Label: "· " + ui.Plural(since, "record") + " since, signed within " + minutes(app.SignEvery)})
	}
	return f
}

// uncovered is how many records no signed head covers.
func uncovered(s *app.LogState) int64 { return s.Size - s.Signed + s.Waiting }

func minutes(d time.Duration) string { return ui.Plural(int64(d/time.Minute), "minute") }

func checkFigure(s *app.LogState) figure {
	f := figure{Label: "Last check of every byte", Value: "–", Notes: []link{{Label: "none yet; one is made each day"}}}
	c := s.Checked
	if c == nil {
		return f
	}
	f.URL, f.Value = "/log/"+c.Record.String(), ui.Count(c.Size)
	if c.Good {
		f.Tag, f.Notes = &figureTag{ui.ToneOK, "✓", "good"}, []link{{Label: "records, " + ui.Minute(c.At)}}
		return f
	}
	f.Value, f.Tag = "BROKEN", &figureTag{ui.ToneStop, "×", "broken"}
	f.Notes = []link{{Label: firstBad(c) + ", " + ui.Minute(c.At)}}
	return f
}

func firstBad(c *app.LogCheck) string {
	if c.Sequence < 0 {
		return "not about one record"
	}
	return "first bad: record " + strconv.FormatInt(c.Sequence, 10)
}

func keyControl(s *app.LogState) control {
	keys := link{"Keys", "/log/keys"}
	switch {
	case !s.Signs:
		return control{
			"Log key", ui.ToneStop, "×", "none",
			"Nothing is signed here. Set TOLLBOOK_SIGNER to a signer that holds the seed, or TOLLBOOK_LOG_KEY to 32 random bytes in base64 (openssl rand -base64 32), apart from the master key, and restart: the head is signed within " +
				minutes(app.SignEvery) + ".", link{},
		}
	case s.Apart:
		return control{"Log key", ui.ToneOK, "✓", "signer apart", "A signer in another process holds the seed and what it signed last: it signs no head that does not go on from that, whatever this database says.", keys}
	}
	return control{
		"Log key", ui.ToneWarn, "!", "in this process",
		"A key made of TOLLBOOK_LOG_KEY signs this log’s head. It is in the process that serves: the operator can re-sign the unwitnessed tail. A signer of its own (TOLLBOOK_SIGNER) cannot be made to.", keys,
	}
}

func checkControl(s *app.LogState) control {
	c := s.Checked
	switch {
	case c == nil:
		return control{"Background check", ui.TonePlain, "…", "none yet", "Once a day every record is read again, hashed, and compared with its place and with every signed head.", link{}}
	case c.Good:
		return control{"Background check", ui.ToneOK, "✓", "good", fmt.Sprintf("%s read again, hashed, and compared with every signed head, %s.", ui.Plural(c.Size, "record"), ui.Minute(c.At)), link{"Its record", "/log/" + c.Record.String()}}
	}
	words := "BROKEN: " + c.Why + "."
	if c.Sequence >= 0 {
		words = fmt.Sprintf("BROKEN: the first bad record is %d: %s.", c.Sequence, c.Why)
	}
	return control{"Background check", ui.ToneStop, "×", "broken", words + " What is signed from here on proves nothing until somebody has looked.", link{"Its record", "/log/" + c.Record.String()}}
}

var errLogLarge = fault.New(fault.KindInvalid, "export_too_large",
	"More than 50,000 records match: too many for one file. Narrow them by dates, action or actor, and export in parts; the export for offline checking has no such bound.")

func (w *Web) exportLog(v *visit) error {
	filter, err := v.logQuery().filter()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	filter.Limit = logShown
	if !part {
		filter.Cursor, filter.Limit = "", app.MaxRows // the whole list, whichever page it was asked from
	}
	out := newLogSheet(v)
	for range maxExport / app.MaxRows {
		page, err := w.areas.Log.Read(v.Request().Context(), v.who, filter)
		if err != nil {
			return err
		}
		out.add(page.Entries)
		if page.Next == "" || part {
			return out.whole().paged(part).send(v, logFile(v))
		}
		filter.Cursor = page.Next
	}
	return errLogLarge
}

func logFile(v *visit) string { return "audit-log-" + v.slug + ".csv" }

// logSheet is the log's list as a file, and what it counts.
type logSheet struct {
	v               *visit
	out             *sheet
	placed, waiting int64
}

func newLogSheet(v *visit) *logSheet {
	return &logSheet{v: v, out: newSheet("sequence", "record", "recorded_at", "action", "action_words", "actor", "actor_name", "subject", "about", "detail", "leaf_sha256")}
}

func (l *logSheet) add(entries []app.LogEntry) {
	for i := range entries {
		e := &entries[i]
		row := l.v.logRow(e)
		leaf := ""
		if row.Place == "" {
			l.waiting++
		} else {
			l.placed++
			leaf = base64.StdEncoding.EncodeToString(e.Leaf)
		}
		_ = l.out.Write([]string{
			row.Place, e.Record.String(), e.RecordedAt.Format(time.RFC3339Nano), cell(e.Action), cell(row.Words), cell(e.Actor), cell(row.By.Label), cell(e.Subject),
			cell(row.About.Label), cell(row.Detail), cell(leaf),
		})
	}
}

// whole is the sheet with its totals.
func (l *logSheet) whole() *sheet {
	l.out.control("with_a_place", strconv.FormatInt(l.placed, 10))
	l.out.control("waiting_for_a_place", strconv.FormatInt(l.waiting, 10))
	return l.out
}
