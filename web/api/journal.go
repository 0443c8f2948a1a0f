package api

import (
	"reflect"
	"strconv"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
)

// Entry is one entry of the journal. Amounts are US dollars with two decimals; exact
// charges have twelve.
type Entry struct {
	ID         string       `json:"id"`
	Number     int64        `json:"number" doc:"Per company: Journal 12."`
	Kind       string       `json:"kind" enum:"accrual,correction,reversal,residual,intercompany,suspense,invoice" doc:"An accrual is a day's charges, the first time; a correction what late usage and adjustments made of them."`
	Treatment  string       `json:"treatment" enum:"chargeback,showback" doc:"Showback entries are for reports: all cost stays in the payer's entity."`
	Period     string       `json:"period" doc:"It is posted to, YYYY-MM."`
	Date       string       `json:"date" format:"date" doc:"A UTC day of that month."`
	State      string       `json:"state" enum:"posted,reversed"`
	Source     *EntrySource `json:"source" doc:"What an accrual or a correction was made of; else null."`
	Memo       string       `json:"memo"`
	Lines      int          `json:"lines" doc:"How many."`
	Total      string       `json:"total" format:"decimal" doc:"Of debits, and of credits."`
	Reverses   *int64       `json:"reverses" doc:"The number of the entry it takes back."`
	ReversedBy *int64       `json:"reversed_by" doc:"The number of the entry that takes it back."`
	SHA256     string       `json:"sha256" doc:"Of the bytes that its record in the audit log covers."`
	Record     string       `json:"record"`
	RecordedAt Instant      `json:"recorded_at"`
}

// EntrySource is the day that an entry is of.
type EntrySource struct {
	Period            string `json:"period" doc:"That the charges are in, YYYY-MM: where it was closed, the entry is posted to the next open one."`
	Day               string `json:"day" format:"date"`
	Requests          int64  `json:"requests"`
	UsageBatches      int64  `json:"usage_batches" doc:"That the period had when the entry was made."`
	AdjustmentBatches int64  `json:"adjustment_batches"`
	Charges           string `json:"charges" format:"decimal" doc:"Of the whole day, exactly."`
}

// EntryLine is one side of an entry.
type EntryLine struct {
	Account        string  `json:"account" enum:"expense,capitalized_asset,suspense,shared_pool,rounding,reconciliation_residual,accrued_liability,payable,intercompany_due_from,intercompany_due_to"`
	Entity         *string `json:"entity"`
	Counterparty   *string `json:"counterparty" doc:"The other entity of an intercompany line."`
	Node           *string `json:"node" doc:"Finance's code."`
	NodePath       *string `json:"node_path"`
	GLAccount      *string `json:"gl_account" doc:"That the node, or the nearest above it, stated."`
	Capitalization *string `json:"capitalization" enum:"capitalize,expense"`
	Workspace      *string `json:"workspace" doc:"The provider's, of what is owed to it."`
	Currency       string  `json:"currency"`
	Debit          string  `json:"debit" format:"decimal"`
	Credit         string  `json:"credit" format:"decimal"`
	Charges        string  `json:"charges" format:"decimal" doc:"What the line rounds to within a cent. A line may have charges that have not come to a cent."`
	Memo           string  `json:"memo"`
}

// EntryCase is one entry with its lines.
type EntryCase struct {
	Entry

	LineList []EntryLine `json:"line_list"`
}

// listed is one row: the entry itself.
func (e EntryCase) listed() (columns []string, rows int, more bool) {
	return members(reflect.TypeFor[EntryCase]()), 1, false
}

// JournalAsk narrows the journal.
type JournalAsk struct {
	Period  period.Month `query:"period" doc:"Posted to, YYYY-MM. Default: every month."`
	Kind    string       `query:"kind" enum:"accrual,correction,reversal,residual,intercompany,suspense,invoice"`
	Account string       `query:"account" doc:"Only entries with a line there."`
	Entity  string       `query:"entity" doc:"Only entries with a line in its books."`
	Limit   Limit        `query:"limit"`
	Cursor  string       `query:"cursor"`
}

func (a *API) listJournal(c *call, q JournalAsk) (Page[Entry], error) {
	ask := app.JournalQuery{Month: q.Period, Kind: q.Kind, Account: q.Account, Limit: q.Limit.rows()}
	if q.Entity != "" {
		ask.Entity = &q.Entity
	}
	if q.Cursor != "" {
		var err error
		if ask.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || ask.Before < 1 {
			return Page[Entry]{}, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	list, err := a.areas.Books.Journal(c.Request().Context(), c.who, ask)
	if err != nil {
		return Page[Entry]{}, err
	}
	rows := make([]Entry, 0, len(list.Entries))
	var total money.Sum
	for i := range list.Entries {
		rows = append(rows, entryOf(&list.Entries[i]))
		total.AddCents(list.Entries[i].Total)
	}
	c.control("debits_usd", &total)
	c.control("credits_usd", &total)
	next := ""
	if list.Next != 0 {
		next = strconv.FormatInt(list.Next, 10)
	}
	return page(rows, next), nil
}

func entryOf(e *app.EntryView) Entry {
	out := Entry{
		ID: e.ID.String(), Number: e.Number, Kind: string(e.Kind), Treatment: string(e.Treatment), Period: e.Period.String(), Date: e.Date.Format(time.DateOnly), State: "posted", Memo: e.Memo,
		Lines: e.LineCount, Total: e.Total.String(), SHA256: e.Digest, Record: e.Record.String(), RecordedAt: Instant{e.RecordedAt},
	}
	if e.Reversed() {
		out.State, out.ReversedBy = "reversed", &e.ReversedNumber
	}
	if e.ReversesNumber != 0 {
		out.Reverses = &e.ReversesNumber
	}
	if s := &e.Source; !s.IsZero() {
		out.Source = &EntrySource{
			Period: s.Period.String(), Day: s.Day.Format(time.DateOnly), Requests: s.Requests, UsageBatches: s.UsageBatches, AdjustmentBatches: s.AdjustmentBatches, Charges: s.Charges.String(),
		}
	}
	return out
}

// EntryPath names an entry.
type EntryPath struct {
	ID id.Entry `path:"id"`
}

func (a *API) showEntry(c *call, q EntryPath) (EntryCase, error) {
	e, err := a.areas.Books.Entry(c.Request().Context(), c.who, q.ID)
	if err != nil {
		return EntryCase{}, err
	}
	out := EntryCase{Entry: entryOf(&e), LineList: make([]EntryLine, 0, len(e.Lines))}
	var debits, credits money.Sum
	for i := range e.Lines {
		l := &e.Lines[i]
		debits.AddCents(l.Debit())
		credits.AddCents(l.Credit())
		out.LineList = append(out.LineList, EntryLine{
			Account: string(l.Account), Entity: textOrNil(l.Entity), Counterparty: textOrNil(l.Counterparty), Node: textOrNil(l.NodeCode), NodePath: textOrNil(l.NodePath),
			GLAccount: textOrNil(l.GLAccount), Capitalization: textOrNil(l.Capitalization), Workspace: textOrNil(l.Workspace), Currency: l.Currency,
			Debit: l.Debit().String(), Credit: l.Credit().String(), Charges: l.Basis.String(), Memo: l.Memo,
		})
	}
	c.control("debits_usd", &debits)
	c.control("credits_usd", &credits)
	return out, nil
}

// TrialBalance is the accounts of every entity in a month of the books.
type TrialBalance struct {
	Period string         `json:"period"`
	State  string         `json:"state" enum:"open,closing,locked,closed"`
	Rows   []TrialAccount `json:"rows"`
	// Debits and Credits are the control: they are the same, in each entity and in all.
	Debits   string `json:"debits" format:"decimal"`
	Credits  string `json:"credits" format:"decimal"`
	Balances bool   `json:"balances" doc:"Debits are credits in every entity, or something is wrong."`
}

// TrialAccount is one account of one entity. Debits are above zero in opening and closing.
type TrialAccount struct {
	Entity   *string `json:"entity"`
	Account  string  `json:"account" enum:"expense,capitalized_asset,suspense,shared_pool,rounding,reconciliation_residual,accrued_liability,payable,intercompany_due_from,intercompany_due_to"`
	Currency string  `json:"currency"`
	Opening  string  `json:"opening" format:"decimal"`
	Debits   string  `json:"debits" format:"decimal"`
	Credits  string  `json:"credits" format:"decimal"`
	Closing  string  `json:"closing" format:"decimal"`
	Entries  int64   `json:"entries" doc:"Of the month, with a line here."`
}

func (t TrialBalance) listed() (columns []string, rows int, more bool) {
	return members(reflect.TypeFor[TrialAccount]()), len(t.Rows), false
}

// TrialAsk names a month.
type TrialAsk struct {
	Period period.Month `query:"period" doc:"YYYY-MM. Default: this month."`
	AsOf   Instant      `query:"as_of" doc:"Only entries that were recorded by then. Default: now."`
}

func (a *API) trialBalance(c *call, q TrialAsk) (TrialBalance, error) {
	if q.Period == (period.Month{}) {
		q.Period = period.MonthOf(a.cfg.Now())
	}
	t, err := a.areas.Books.TrialBalance(c.Request().Context(), c.who, app.TrialQuery{Month: q.Period, AsOf: q.AsOf.Time})
	if err != nil {
		return TrialBalance{}, err
	}
	c.chosen["period"] = q.Period.String()
	out := TrialBalance{Period: t.Month.String(), State: string(t.State), Rows: []TrialAccount{}, Debits: t.Total.Debits.String(), Credits: t.Total.Credits.String(), Balances: t.Balances()}
	for i := range t.Entities {
		for j := range t.Entities[i].Rows {
			r := &t.Entities[i].Rows[j]
			out.Rows = append(out.Rows, TrialAccount{
				Entity: textOrNil(r.Entity), Account: string(r.Account), Currency: r.Currency, Opening: r.Opening.String(), Debits: r.Debits.String(), Credits: r.Credits.String(),
				Closing: r.Closing.String(), Entries: r.Entries,
			})
		}
	}
	var debits, credits money.Sum
	debits.AddCents(t.Total.Debits)
	credits.AddCents(t.Total.Credits)
	c.control("debits_usd", &debits)
	c.control("credits_usd", &credits)
	return out, nil
}

// BooksPayload is what a change of kind books proposes, from the day after it is decided.
type BooksPayload struct {
	Treatment string `json:"treatment" enum:"chargeback,showback" doc:"Showback leaves all cost in the payer's entity."`
	Payer     string `json:"payer" doc:"The code of the entity that holds the provider's workspace; empty for the hierarchy's first."`
	Workspace string `json:"workspace" doc:"The provider's name of what is paid for; empty for default."`
}

// PeriodPayload is what a change of kind period_soft_close, period_close or period_reopen
// proposes.
type PeriodPayload struct {
	Period string `json:"period" doc:"YYYY-MM."`
	To     string `json:"to,omitempty" enum:"locked,closed" doc:"Of period_close alone: a month is locked, and then closed."`
}

// WaiverPayload is what a change of kind close_waiver proposes.
type WaiverPayload struct {
	Period string `json:"period" doc:"YYYY-MM."`
	Step   string `json:"step" enum:"usage,reconciliation,invoice,suspense,allocation,capitalization,commentary,exported,packet" doc:"Of the checklist: it does not apply to the month's present revision."`
}

// MaterialityPayload is what a change of kind materiality proposes: how much of a month may
// stay unexplained when it is locked, and what else is asked of one.
type MaterialityPayload struct {
	Month      int64 `json:"month_cents" doc:"In all, without signs."`
	Node       int64 `json:"node_cents" doc:"At any one node; at most as much as in all."`
	DaysSigned bool  `json:"days_signed" doc:"Each day's reconciliation is signed by two."`
	Answered   bool  `json:"commentary_answered" doc:"Commentary is answered wherever it was asked for; without it a reason is asked."`
}

// HolidaysPayload is what a change of kind holidays proposes: all of a company's.
type HolidaysPayload struct {
	Days []Holiday `json:"days" doc:"In the order of their days, each once."`
}

// Holiday is a day on which nobody works, besides weekends.
type Holiday struct {
	Day  string `json:"day" format:"date"`
	Name string `json:"name"`
}

// ReversalPayload is what a change of kind journal_reversal proposes.
type ReversalPayload struct {
	Entry  string `json:"entry" doc:"The id of the entry that is taken back, line by line."`
	Period string `json:"period" doc:"YYYY-MM: an open month, from the entry's own to the next."`
}
