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
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/web/ui"
)

// changesQuery is the state of the page of changes: all of it is in the URL.
type changesQuery struct{ Kind, State, Maker, Cursor string }

func (v *visit) changesQuery() changesQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return changesQuery{Kind: get("kind"), State: get("state"), Maker: get("maker"), Cursor: get("cursor")}
}

func (q changesQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"kind": q.Kind, "state": q.State, "maker": q.Maker, "cursor": q.Cursor} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q changesQuery) narrowed() bool { return q.Kind != "" || q.State != "" || q.Maker != "" }

// makerMe is whoever looks, in a filter.
const makerMe = "me"

// maker is the actor whose changes are asked for.
func (q changesQuery) maker(v *visit) (string, error) {
	switch {
	case q.Maker == makerMe:
		return v.who.ID(), nil
	case q.Maker != "" && !actorForm.MatchString(q.Maker):
		return "", fault.Invalid("maker", "maker_syntax", "Who proposed it is me, system, command or an id such as mem_ and 32 digits; %.40q is none of them.", q.Maker)
	}
	return q.Maker, nil
}

// changeRow is one change in a list.
type changeRow struct {
	Part    string
	Change  *app.ChangeView
	URL     string
	Title   string
	State   figureTag
	Maker   link
	Moves   string
	Waits   string // for whom; empty: it does not
	Due     string
	Effect  string
	Choice  string // the value of its checkbox; empty: it is not decided with others
	NotBulk string // why not
}

// changesPart is one part of the page.
type changesPart struct {
	ID, Title, Sub string
	Code           string // in a file
	Rows           []changeRow
	Empty          string
	Bulk           bool // some row can be chosen
}

type changesView struct {
	Frame   ui.Frame
	Query   changesQuery
	Alert   string
	Field   string
	Parts   []changesPart
	Decided changesPart
	Kinds   []option
	States  []option
	Makers  []option
	Older   string
	Newest  string
	CSV     string
	More    bool // more waits than is looked at
	Shown   int
	Policy  bool // the page of policies is theirs to see
}

const changesShown = 50

// The parts of the page in a file.
const (
	partMine    = "for_you"
	partOwn     = "yours"
	partOthers  = "for_others"
	partDecided = "decided"
)

// waiting reads what waits, as far as the query asks for it.
func (w *Web) waiting(v *visit, q changesQuery) ([]changesPart, bool, error) {
	parts := []changesPart{
		{ID: "mine", Code: partMine, Title: "For you to decide", Sub: "the oldest first", Empty: "Nothing waits for you."},
		{ID: "own", Code: partOwn, Title: "Yours", Sub: "that you proposed, and somebody else decides about", Empty: "Nothing of yours waits."},
		{ID: "others", Code: partOthers, Title: "Waiting for others", Empty: "Nothing waits for anybody else."},
	}
	maker, err := q.maker(v)
	if err != nil || (q.State != "" && q.State != string(approval.StateProposed)) || q.Cursor != "" {
		return nil, false, err
	}
	box, err := w.areas.Approvals.Inbox(v.Request().Context(), v.who)
	if err != nil {
		return nil, false, err
	}
	for i, rows := range [][]app.InboxRow{box.Mine, box.Own, box.Others} {
		for k := range rows {
			r := &rows[k]
			if (q.Kind != "" && r.Kind != q.Kind) || (maker != "" && r.Maker != maker) {
				continue
			}
			row := w.inboxRow(v, r)
			row.Part = parts[i].Code
			parts[i].Bulk = parts[i].Bulk || row.Choice != ""
			parts[i].Rows = append(parts[i].Rows, row)
		}
	}
	return parts, box.More, nil
}

func (w *Web) changeRow(v *visit, c *app.ChangeView) changeRow {
	return changeRow{
		Change: c, URL: "/changes/" + c.ID.String(), Title: changeTitle(c), State: changeStateTag(c, w.cfg.Now()), Maker: v.hand(c.Made), Moves: movesWords(&c.Impact), Effect: effectWords(c, "UTC"),
	}
}

func (w *Web) inboxRow(v *visit, r *app.InboxRow) changeRow {
	row := w.changeRow(v, &r.ChangeView)
	row.Due = dueWords(r.Terms.ExpiresAt, w.cfg.Now())
	row.Waits = r.Step
	if n := len(r.Terms.Policy.Steps); n > 1 {
		row.Waits += fmt.Sprintf(" (step %d of %d)", r.Done+1, n)
	}
	if names := handNames(r.Asked); names != "" {
		row.Waits += ": " + names
	}
	switch {
	case r.Self && r.Fresh:
		row.NotBulk = "asks to sign in again"
	case r.Self:
		row.Choice = r.ID.String() + ":" + r.DigestText()
	case len(r.For) > 0:
		row.NotBulk = "for " + r.For[0].Name
		row.Waits += "; you, for " + r.For[0].Name
	}
	if row.Choice != "" && r.Kind == "packet_recipient" {
		row.Choice, row.NotBulk = "", "says on its page where packets go"
	}
	return row
}

// decided reads a page of what does not wait any more.
func (w *Web) decided(v *visit, q changesQuery, limit int) (changesPart, string, error) {
	part := changesPart{ID: "decided", Code: partDecided, Title: "Decided", Sub: "the newest first", Empty: "Nothing was decided yet."}
	maker, err := q.maker(v)
	if err != nil {
		return part, "", err
	}
	ask := app.ChangeQuery{Decided: true, State: approval.State(q.State), Kind: q.Kind, Maker: maker, Limit: limit}
	if q.Cursor != "" {
		if ask.Below, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || ask.Below < 1 {
			return part, "", fault.Invalid("cursor", "cursor_syntax", "There is no such page of this list. Start at the newest.")
		}
	}
	page, err := w.areas.Approvals.Find(v.Request().Context(), v.who, ask)
	if err != nil {
		return part, "", err
	}
	for i := range page.Rows {
		row := w.changeRow(v, &page.Rows[i])
		row.Part = partDecided
		part.Rows = append(part.Rows, row)
	}
	if page.Next == 0 {
		return part, "", nil
	}
	return part, strconv.FormatInt(page.Next, 10), nil
}

func (w *Web) showChanges(v *visit) error {
	q := v.changesQuery()
	view := &changesView{Frame: v.frame("Changes"), Query: q, Policy: v.may("policy", "read"), Kinds: w.kindChoices(v, q.Kind), States: stateChoices(q.State), Makers: makerChoices(q.Maker)}
	view.CSV = changesQuery{Kind: q.Kind, State: q.State, Maker: q.Maker}.url("/changes.csv")
	status := http.StatusOK
	var err error
	if view.Parts, view.More, err = w.waiting(v, q); err == nil {
		var next string
		if view.Decided, next, err = w.decided(v, q, changesShown); next != "" {
			older := q
			older.Cursor = next
			view.Older = older.url("/changes")
		}
	}
	if err != nil {
		if fault.KindOf(err) != fault.KindInvalid {
			return err
		}
		f := fault.From(err)
		status, view.Alert, view.Field, view.Parts = http.StatusUnprocessableEntity, f.Message, f.Field, nil
		if !v.may("change", "read") {
			return app.ErrNotAllowed
		}
	}
	if q.Cursor != "" {
		newest := q
		newest.Cursor = ""
		view.Newest = newest.url("/changes")
	}
	out := changesSheet()
	for _, part := range append(view.Parts, view.Decided) {
		view.Shown += len(part.Rows)
		out.add(part.Rows)
	}
	if status == http.StatusOK {
		if err := out.whole().paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, "/changes.csv", changesFile(v)); err != nil {
			return err
		}
	}
	return render(v, status, changesPage(view))
}

// kindChoices offers the kinds this person may read.
func (w *Web) kindChoices(v *visit, chosen string) []option {
	list := []option{{Label: "All kinds"}}
	kinds := w.areas.Approvals.Kinds()
	for kind := range kinds {
		if w.areas.Approvals.Reads(v.who, kind) {
			list = append(list, option{Value: kind, Label: kindWords(kind), Selected: kind == chosen})
		}
	}
	slices.SortFunc(list[1:], func(a, b option) int { return strings.Compare(a.Label, b.Label) })
	return list
}

func stateChoices(chosen string) []option {
	list := []option{{Label: "All states"}}
	for _, o := range []option{{Value: "proposed", Label: "Waiting"}, {Value: "applied", Label: "Applied"}, {Value: "rejected", Label: "Rejected or withdrawn"}, {Value: "expired", Label: "Expired"}} {
		o.Selected = o.Value == chosen
		list = append(list, o)
	}
	return list
}

func makerChoices(chosen string) []option {
	list := []option{{Label: "Anybody"}, {Value: makerMe, Label: "Me"}, {Value: "system", Label: "Tollbook itself"}, {Value: "command", Label: "The command line"}}
	for i := range list {
		list[i].Selected = list[i].Value == chosen
	}
	if chosen != "" && !slices.ContainsFunc(list, func(o option) bool { return o.Selected }) {
		list = append(list, option{Value: chosen, Label: ui.ShortID(chosen), Selected: true})
	}
	return list
}

var errChangesLarge = fault.New(fault.KindInvalid, "export_too_large", "More than 50,000 changes match: too many for one file. Narrow them by kind, state or maker.")

func (w *Web) exportChanges(v *visit) error {
	q := v.changesQuery()
	part, err := v.onePage()
	if err != nil {
		return err
	}
	limit := changesShown
	if !part {
		q.Cursor, limit = "", app.MaxChanges // the whole list, whichever page it was asked from
	}
	waiting, _, err := w.waiting(v, q)
	if err != nil {
		return err
	}
	out := changesSheet()
	for _, p := range waiting {
		out.add(p.Rows)
	}
	for range maxExport / app.MaxChanges {
		decided, next, err := w.decided(v, q, limit)
		if err != nil {
			return err
		}
		out.add(decided.Rows)
		if next == "" || part {
			return out.whole().paged(part).send(v, changesFile(v))
		}
		q.Cursor = next
	}
	return errChangesLarge
}

func changesFile(v *visit) string { return "changes-" + v.slug + ".csv" }

// changeSheet is the list as a file, and what it counts.
type changeSheet struct {
	out   *sheet
	count map[string]int64
}

func changesSheet() *changeSheet {
	return &changeSheet{count: map[string]int64{}, out: newSheet("part", "number", "change", "kind", "title", "state", "maker", "maker_name", "proposed_at", "effective_from", "reason", "moved_usd", "replayed_month",
		"impact", "policy", "policy_version", "expires_at", "waits_for", "decided_by", "decided_at", "verdict_reason", "digest")}
}

func (s *changeSheet) add(rows []changeRow) {
	for i := range rows {
		r, c := &rows[i], rows[i].Change
		s.count[r.Part]++
		moved, decided, version, expires, by := "", "", "", "", ""
		if c.Impact.Month != "" {
			moved = c.Impact.Moved.String()
		}
		if !c.Open() {
			decided, by = c.MovedAt.Format(time.RFC3339), decidedBy(c)
		}
		if c.Terms.Version > 0 {
			version = strconv.Itoa(c.Terms.Version)
		}
		if !c.Terms.ExpiresAt.IsZero() {
			expires = c.Terms.ExpiresAt.Format(time.RFC3339)
		}
		_ = s.out.Write([]string{
			r.Part, strconv.FormatInt(c.Number, 10), c.ID.String(), c.Kind, cell(r.Title), string(c.State), cell(c.Maker), cell(c.Made.Name), c.ProposedAt.Format(time.RFC3339), c.EffectiveFrom.Format(time.RFC3339Nano),
			cell(c.Reason), moved, c.Impact.Month, cell(c.Impact.Sentence), cell(c.Terms.Policy.Code), version, expires, cell(r.Waits), cell(by), decided, cell(c.VerdictReason), c.DigestText(),
		})
	}
}

// whole is the sheet with its totals.
func (s *changeSheet) whole() *sheet {
	for _, part := range []string{partMine, partOwn, partOthers, partDecided} {
		s.out.control(part, strconv.FormatInt(s.count[part], 10))
	}
	return s.out
}
