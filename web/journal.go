package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/web/ui"
)

// journalPages are the pages of the books.
func (w *Web) journalPages() []Route {
	return []Route{
		w.page(http.MethodGet, "/journal", w.showJournal, "journal", "read"),
		w.page(http.MethodGet, "/journal.csv", w.exportJournal, "journal", "read"),
		w.page(http.MethodGet, "/journal/trial-balance", w.showTrialBalance, "journal", "read"),
		w.page(http.MethodGet, "/journal/trial-balance.csv", w.exportTrialBalance, "journal", "read"),
		w.page(http.MethodGet, "/journal/terms", w.askTerms, "journal", "propose"),
		w.page(http.MethodPost, "/journal/terms", w.proposeBookTerms, "journal", "propose"),
		w.page(http.MethodGet, "/journal/:id", w.showEntry, "journal", "read"),
		w.page(http.MethodGet, "/journal/:id/reverse", w.askReversal, "journal", "propose"),
		w.page(http.MethodPost, "/journal/:id/reverse", w.proposeReversal, "journal", "propose"),
		w.page(http.MethodGet, "/journal/:id/lines.csv", w.exportEntry, "journal", "read"),
	}
}

// journalQuery is the state of the journal's page: all of it is in the URL.
type journalQuery struct{ Period, Kind, Account, Entity, Cursor string }

func (v *visit) journalQuery() journalQuery {
	get := func(name string) string { return strings.TrimSpace(v.QueryParam(name)) }
	return journalQuery{Period: get("period"), Kind: get("kind"), Account: get("account"), Entity: get("entity"), Cursor: get("cursor")}
}

func (q journalQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"period": q.Period, "kind": q.Kind, "account": q.Account, "entity": q.Entity, "cursor": q.Cursor} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q journalQuery) narrowed() bool { return q.Kind != "" || q.Account != "" || q.Entity != "" }

// filter reads the texts.
func (q journalQuery) filter(now time.Time) (app.JournalQuery, error) {
	f := app.JournalQuery{Month: period.MonthOf(now), Kind: q.Kind, Account: q.Account}
	var err error
	if q.Period != "" {
		if f.Month, err = period.ParseMonth(q.Period); err != nil {
			return f, err
		}
	}
	if q.Entity != "" {
		f.Entity = &q.Entity
	}
	if q.Cursor != "" {
		if f.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || f.Before < 1 {
			return f, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	return f, nil
}

type journalView struct {
	Frame         ui.Frame
	Query         journalQuery
	Month         period.Month
	Sub           string
	Periods       []option
	Kinds         []option
	Accounts      []option
	Figures       []figure
	Rows          []app.EntryView
	Older, Newest string
	LatestMonth   *link
	CSV, Trial    string
	Terms         string
	MayPropose    bool
}

const entriesShown = 100

func (w *Web) showJournal(v *visit) error {
	q := v.journalQuery()
	filter, err := q.filter(w.cfg.Now())
	if err != nil {
		return err
	}
	filter.Limit = entriesShown
	ctx := v.Request().Context()
	page, err := w.areas.Books.Journal(ctx, v.who, filter)
	if err != nil {
		return err
	}
	trial, err := w.areas.Books.TrialBalance(ctx, v.who, app.TrialQuery{Month: filter.Month})
	if err != nil {
		return err
	}
	view := &journalView{
		Frame: v.frame("Journal"), Query: q, Month: filter.Month, Sub: periodState(page.State, filter.Month, w.cfg.Now()), Rows: page.Entries, Figures: journalFigures(&trial, &page),
		Periods: monthChoices(page.Months, filter.Month), Kinds: kindChoices(q.Kind), Accounts: accountChoices(q.Account), Terms: termsWords(page.Terms), MayPropose: v.may("journal", "propose"),
		Trial: trialURL("/journal/trial-balance", filter.Month, time.Time{}),
	}
	view.CSV = journalQuery{Period: filter.Month.String(), Kind: q.Kind, Account: q.Account, Entity: q.Entity}.url("/journal.csv")
	if page.Next != 0 {
		older := q
		older.Cursor = strconv.FormatInt(page.Next, 10)
		view.Older = older.url("/journal")
	}
	if q.Cursor != "" {
		newest := q
		newest.Cursor = ""
		view.Newest = newest.url("/journal")
	}
	if len(page.Entries) == 0 && len(page.Months) > 0 && page.Months[0] != filter.Month {
		view.LatestMonth = &link{monthName(page.Months[0]), journalQuery{Period: page.Months[0].String()}.url("/journal")}
	}
	out := journalSheet(filter.Month)
	addEntries(out, page.Entries)
	if err := out.paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, "/journal.csv", journalFile(v, filter.Month)); err != nil {
		return err
	}
	return render(v, http.StatusOK, journalPage(view))
}

func monthChoices(months []period.Month, chosen period.Month) []option {
	list, there := []option{}, false
	for _, m := range months {
		there = there || m == chosen
		list = append(list, option{Value: m.String(), Label: monthName(m), Selected: m == chosen})
	}
	if !there {
		list = append([]option{{Value: chosen.String(), Label: monthName(chosen), Selected: true}}, list...)
	}
	return list
}

func kindChoices(chosen string) []option {
	list := []option{{Label: "All kinds"}}
	for _, k := range ledger.Kinds() {
		list = append(list, option{Value: string(k), Label: entryKindWords(k), Selected: string(k) == chosen})
	}
	return list
}

func accountChoices(chosen string) []option {
	list := []option{{Label: "Any account"}}
	for _, a := range ledger.Accounts() {
		list = append(list, option{Value: string(a), Label: accountWords(a), Selected: string(a) == chosen})
	}
	return list
}

// entryKindWords is a kind of entry as people call it.
func entryKindWords(k ledger.Kind) string {
	switch k {
	case ledger.KindAccrual:
		return "Accrual"
	case ledger.KindCorrection:
		return "Correction"
	case ledger.KindReversal:
		return "Reversal"
	case ledger.KindResidual:
		return "Residual"
	case ledger.KindIntercompany:
		return "Intercompany"
	case ledger.KindSuspense:
		return "Out of suspense"
	case ledger.KindInvoice:
		return "Invoice"
	}
	return ui.Words(string(k))
}

// accountWords is an account as people call it.
func accountWords(a ledger.Account) string {
	switch a {
	case ledger.AccountExpense:
		return "Expense"
	case ledger.AccountCapitalized:
		return "Capitalized asset"
	case ledger.AccountSuspense:
		return "Suspense"
	case ledger.AccountSharedPool:
		return "Shared pool"
	case ledger.AccountRounding:
		return "Rounding"
	case ledger.AccountResidual:
		return "Reconciliation residual"
	case ledger.AccountAccrued:
		return "Accrued liability"
	case ledger.AccountPayable:
		return "Payable"
	case ledger.AccountDueFrom:
		return "Due from an entity"
	case ledger.AccountDueTo:
		return "Due to an entity"
	}
	return ui.Words(string(a))
}

func entityWords(code string) string {
	if code == "" {
		return "no entity named"
	}
	return code
}

func termsWords(t app.BooksTerms) string {
	payer := t.Payer
	if payer == "" {
		payer = "the hierarchy’s first entity"
	}
	if t.Treatment == ledger.Showback {
		return fmt.Sprintf("Showback: all cost stays in %s, which pays for workspace %s; nodes are shown what they caused.", payer, t.Workspace)
	}
	return fmt.Sprintf("Chargeback: cost lies in the entity of its node; %s pays for workspace %s and is owed the rest.", payer, t.Workspace)
}

// journalFigures are the numbers a month of the books is read by.
func journalFigures(t *app.TrialBalance, page *app.JournalPage) []figure {
	var accrued, suspense, rounding money.Cents
	for i := range t.Entities {
		for j := range t.Entities[i].Rows {
			r := &t.Entities[i].Rows[j]
			switch r.Account {
			case ledger.AccountAccrued:
				accrued -= r.Closing
			case ledger.AccountSuspense:
				suspense += r.Closing
			case ledger.AccountRounding:
				rounding += r.Closing
			case ledger.AccountExpense, ledger.AccountCapitalized, ledger.AccountSharedPool, ledger.AccountResidual, ledger.AccountPayable, ledger.AccountDueFrom, ledger.AccountDueTo:
			}
		}
	}
	at := func(a ledger.Account) string {
		return journalQuery{Period: t.Month.String(), Account: string(a)}.url("/journal")
	}
	posted := figure{
		Label: "Debits in " + monthName(t.Month), Value: dollarCents(t.Total.Debits), URL: trialURL("/journal/trial-balance", t.Month, time.Time{}), Tag: balanceTag(t),
		Notes: []link{{Label: "credits " + dollarCents(t.Total.Credits)}},
	}
	figures := []figure{
		posted,
		{Label: "Accrued liability", Value: dollarCents(accrued), URL: at(ledger.AccountAccrued), Notes: []link{{Label: "owed to the provider at the month’s end, until an invoice is posted"}}},
		{Label: "Suspense", Value: dollarCents(suspense), URL: at(ledger.AccountSuspense), Notes: []link{{Label: "charged, and no rule could place it"}}},
		{Label: "Rounding", Value: dollarCents(rounding), URL: at(ledger.AccountRounding), Notes: []link{{Label: "between days in cents and the rounded months"}}},
	}
	if len(page.Months) == 0 {
		figures[0].URL = ""
	}
	return figures
}

func balanceTag(t *app.TrialBalance) *figureTag {
	if t.Balances() {
		return &figureTag{ui.ToneOK, "✓", "balances"}
	}
	return &figureTag{ui.ToneStop, "×", "does not balance"}
}

func dollarCents(c money.Cents) string {
	var s money.Sum
	s.AddCents(c)
	return ui.Dollars(&s)
}

func journalFile(v *visit, m period.Month) string {
	return "journal-" + v.slug + "-" + m.String() + ".csv"
}

func journalSheet(m period.Month) *sheet {
	out := newSheet("number", "id", "kind", "treatment", "period", "date", "state", "source_period", "source_day", "requests", "usage_batches", "adjustment_batches", "charges_usd", "lines",
		"debits_usd", "credits_usd", "reverses", "reversed_by", "memo", "sha256", "record", "recorded_at")
	out.filter("period", m.String())
	return out
}

func addEntries(out *sheet, rows []app.EntryView) {
	var total money.Sum
	for i := range rows {
		e := &rows[i]
		total.AddCents(e.Total)
		source := []string{"", "", "", "", "", ""}
		if !e.Source.IsZero() {
			source = []string{
				e.Source.Period.String(), ui.Date(e.Source.Day), strconv.FormatInt(e.Source.Requests, 10), strconv.FormatInt(e.Source.UsageBatches, 10),
				strconv.FormatInt(e.Source.AdjustmentBatches, 10), e.Source.Charges.String(),
			}
		}
		_ = out.Write([]string{
			strconv.FormatInt(e.Number, 10), e.ID.String(), string(e.Kind), string(e.Treatment), e.Period.String(), ui.Date(e.Date), entryState(e), source[0], source[1], source[2], source[3], source[4], source[5],
			strconv.Itoa(e.LineCount), e.Total.String(), e.Total.String(), numberOrNothing(e.ReversesNumber), numberOrNothing(e.ReversedNumber), cell(e.Memo), e.Digest, e.Record.String(), e.RecordedAt.Format(time.RFC3339Nano),
		})
	}
	out.add("debits_usd", &total)
	out.add("credits_usd", &total)
}

func entryState(e *app.EntryView) string {
	if e.Reversed() {
		return "reversed"
	}
	return "posted"
}

func numberOrNothing(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func (w *Web) exportJournal(v *visit) error {
	q := v.journalQuery()
	filter, err := q.filter(w.cfg.Now())
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	filter.Limit = entriesShown
	if !part {
		filter.Limit, filter.Before = app.MaxRows, 0 // the whole list, whichever page it was asked from
	}
	out := journalSheet(filter.Month).paged(part)
	for range maxExport / app.MaxRows {
		page, err := w.areas.Books.Journal(v.Request().Context(), v.who, filter)
		if err != nil {
			return err
		}
		addEntries(out, page.Entries)
		if page.Next == 0 || part {
			return out.send(v, journalFile(v, filter.Month))
		}
		filter.Before = page.Next
	}
	return fault.New(fault.KindInvalid, "export_too_large", "More than 50,000 entries match: too many for one file. Narrow them by kind or account.")
}

// entry reads the entry of an address.
func (w *Web) entry(v *visit) (app.EntryView, error) {
	entry, err := id.ParseEntry(v.Param("id"))
	if err != nil {
		return app.EntryView{}, errPageAbsent
	}
	return w.areas.Books.Entry(v.Request().Context(), v.who, entry)
}

type entryPageView struct {
	Frame    ui.Frame
	Entry    *app.EntryView
	Title    string
	Sub      string
	Lines    []lineRow
	Entities []app.TrialRow // debits and credits by entity
	Basis    money.Sum
	CSV      string
	Record   string
	Requests string // of the day
	Reverse  string // empty: nothing to take back, or not by this person
	Change   string // that asked for it
}

// lineRow is one line in words.
type lineRow struct {
	Line *ledger.Line
	Node link
	URL  string // the requests it was charged for
}

func (w *Web) showEntry(v *visit) error {
	e, err := w.entry(v)
	if err != nil {
		return err
	}
	view := &entryPageView{Entry: &e, Title: fmt.Sprintf("Journal %d", e.Number), CSV: "/journal/" + e.ID.String() + "/lines.csv"}
	view.Sub = entrySub(&e)
	view.Frame = v.frame(view.Title)
	if v.may("audit", "read") {
		view.Record = "/log/" + e.Record.String()
	}
	if v.may("journal", "propose") && !e.Reversed() {
		view.Reverse = "/journal/" + e.ID.String() + "/reverse"
	}
	if !e.Change.IsZero() && v.may("change", "read") {
		view.Change = "/changes/" + e.Change.String()
	}
	if !e.Source.IsZero() {
		view.Requests = dayRequests(e.Source.Day, "")
	}
	for i := range e.Lines {
		l := &e.Lines[i]
		row := lineRow{Line: l}
		if l.NodeCode != "" {
			row.Node = link{l.NodeCode, nodeURL(l.NodeCode)}
			if !e.Source.IsZero() {
				row.URL = dayRequests(e.Source.Day, l.NodeCode)
			}
		}
		view.Lines = append(view.Lines, row)
		view.Basis.AddSum(&l.Basis)
		last := len(view.Entities) - 1
		if last < 0 || view.Entities[last].Entity != l.Entity {
			view.Entities = append(view.Entities, app.TrialRow{Entity: l.Entity})
			last++
		}
		view.Entities[last].Debits += l.Debit()
		view.Entities[last].Credits += l.Credit()
	}
	if err := entrySheet(&e).prints(v, &view.Frame, "/journal/:id/lines.csv", entryFile(v, &e)); err != nil {
		return err
	}
	return render(v, http.StatusOK, entryPage(view))
}

// dayRequests is the list of a day's requests, at a node and below it.
func dayRequests(day time.Time, node string) string {
	values := url.Values{"from": {ui.Date(day)}, "to": {ui.Date(day.AddDate(0, 0, 1))}}
	if node != "" {
		values.Set("node", node)
	}
	return "/requests?" + values.Encode()
}

func entrySub(e *app.EntryView) string {
	sub := entryKindWords(e.Kind) + " of " + ui.Day(e.Date) + ", in the books of " + monthName(e.Period) + "."
	if s := &e.Source; !s.IsZero() && s.Period != e.Period {
		sub = fmt.Sprintf("%s Its charges are of %s in %s, which was closed: it is posted to the next open month.", sub, ui.Day(s.Day), monthName(s.Period))
	} else if !s.IsZero() && !s.Day.Equal(e.Date) {
		sub += " Its charges are of " + ui.Day(s.Day) + ", and came when that month was closed."
	}
	return sub
}

func entryFile(v *visit, e *app.EntryView) string {
	return fmt.Sprintf("journal-%s-%d.csv", v.slug, e.Number)
}

func entrySheet(e *app.EntryView) *sheet {
	out := newSheet("entry", "number", "line", "kind", "treatment", "period", "date", "account", "entity", "counterparty", "node", "node_path", "gl_account", "capitalization", "workspace", "currency",
		"debit", "credit", "charges_usd", "memo")
	var debits, credits, basis money.Sum
	for i := range e.Lines {
		l := &e.Lines[i]
		debits.AddCents(l.Debit())
		credits.AddCents(l.Credit())
		basis.AddSum(&l.Basis)
		_ = out.Write([]string{
			e.ID.String(), strconv.FormatInt(e.Number, 10), strconv.Itoa(i + 1), string(e.Kind), string(e.Treatment), e.Period.String(), ui.Date(e.Date), string(l.Account), cell(l.Entity), cell(l.Counterparty),
			cell(l.NodeCode), cell(l.NodePath), cell(l.GLAccount), l.Capitalization, cell(l.Workspace), l.Currency, l.Debit().String(), l.Credit().String(), l.Basis.String(), cell(l.Memo),
		})
	}
	out.add("debits_usd", &debits)
	out.add("credits_usd", &credits)
	out.add("charges_usd", &basis)
	out.control("sha256", e.Digest)
	return out
}

func (w *Web) exportEntry(v *visit) error {
	e, err := w.entry(v)
	if err != nil {
		return err
	}
	return entrySheet(&e).send(v, entryFile(v, &e))
}

func entriesWords(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return ui.Count(int64(n)) + " entries"
}

func batchWords(n int64, of string) string {
	if n == 1 {
		return "1 batch of " + of
	}
	return ui.Count(n) + " batches of " + of
}

func totalOf(rows []app.EntryView) money.Cents {
	var total money.Cents
	for i := range rows {
		total += rows[i].Total
	}
	return total
}
