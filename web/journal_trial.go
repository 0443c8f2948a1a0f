package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// trialURL is the trial balance of a month, as recorded by an instant (zero: now).
func trialURL(path string, m period.Month, asOf time.Time) string {
	values := url.Values{"period": {m.String()}}
	if !asOf.IsZero() {
		values.Set("as_of", asOf.Format(time.RFC3339))
	}
	return path + "?" + values.Encode()
}

type trialView struct {
	Frame   ui.Frame
	Trial   *app.TrialBalance
	Sub     string
	Periods []option
	AsOf    string // as it was asked for
	Tag     *figureTag
	CSV     string
	Back    string
}

// trial reads the balance of an address.
func (w *Web) trial(v *visit) (app.TrialBalance, error) {
	q := app.TrialQuery{Month: period.MonthOf(w.cfg.Now())}
	var err error
	if text := v.QueryParam("period"); text != "" {
		if q.Month, err = period.ParseMonth(text); err != nil {
			return app.TrialBalance{}, err
		}
	}
	if q.AsOf, _, err = v.instants(); err != nil {
		return app.TrialBalance{}, err
	}
	return w.areas.Books.TrialBalance(v.Request().Context(), v.who, q)
}

func (w *Web) showTrialBalance(v *visit) error {
	t, err := w.trial(v)
	if err != nil {
		return err
	}
	view := &trialView{
		Frame: v.frame("Trial balance, " + monthName(t.Month)), Trial: &t, Sub: periodState(t.State, t.Month, w.cfg.Now()), Periods: monthChoices(t.Months, t.Month), Tag: balanceTag(&t),
		CSV: trialURL("/journal/trial-balance.csv", t.Month, t.AsOf), Back: journalQuery{Period: t.Month.String()}.url("/journal"), AsOf: v.QueryParam("as_of"),
	}
	if !t.AsOf.IsZero() {
		view.Sub += " As it was recorded by " + ui.Instant(t.AsOf) + "."
	}
	if err := trialSheet(&t).prints(v, &view.Frame, "/journal/trial-balance.csv", trialFile(v, &t)); err != nil {
		return err
	}
	return render(v, http.StatusOK, trialPage(view))
}

func (w *Web) exportTrialBalance(v *visit) error {
	t, err := w.trial(v)
	if err != nil {
		return err
	}
	return trialSheet(&t).send(v, trialFile(v, &t))
}

func trialFile(v *visit, t *app.TrialBalance) string {
	return "trial-balance-" + v.slug + "-" + t.Month.String() + ".csv"
}

func trialSheet(t *app.TrialBalance) *sheet {
	out := newSheet("period", "period_state", "entity", "account", "currency", "opening", "debits", "credits", "closing", "entries")
	out.filter("period", t.Month.String())
	for i := range t.Entities {
		for j := range t.Entities[i].Rows {
			r := &t.Entities[i].Rows[j]
			_ = out.Write([]string{
				t.Month.String(), string(t.State), cell(r.Entity), string(r.Account), r.Currency, r.Opening.String(), r.Debits.String(), r.Credits.String(), r.Closing.String(),
				strconv.FormatInt(r.Entries, 10),
			})
		}
	}
	out.control("opening_usd", t.Total.Opening.String())
	out.control("debits_usd", t.Total.Debits.String())
	out.control("credits_usd", t.Total.Credits.String())
	out.control("closing_usd", t.Total.Closing.String())
	return out
}

// bookTermsForm is what somebody proposes about how charges are booked.
type bookTermsForm struct {
	Frame                               ui.Frame
	Treatment, Payer, Workspace, Reason string
	Once                                string
	Alert, Field                        string
	Now                                 string
	Treatments, Payers                  []option
}

func (w *Web) askTerms(v *visit) error {
	if !v.may("journal", "propose") {
		return app.ErrNotAllowed
	}
	page, err := w.areas.Books.Journal(v.Request().Context(), v.who, app.JournalQuery{Limit: 1})
	if err != nil {
		return err
	}
	t := page.Terms
	return w.termsPage(v, http.StatusOK, &bookTermsForm{Treatment: string(t.Treatment), Payer: t.Payer, Workspace: t.Workspace, Now: termsWords(t)})
}

// proposeBookTerms takes the form that proposes how charges are booked.
func (w *Web) proposeBookTerms(v *visit) error {
	if !v.may("journal", "propose") {
		return app.ErrNotAllowed
	}
	f := &bookTermsForm{
		Treatment: strings.TrimSpace(v.FormValue("treatment")), Payer: strings.TrimSpace(v.FormValue("payer")), Workspace: strings.TrimSpace(v.FormValue("workspace")),
		Reason: v.FormValue("reason"), Once: v.FormValue("once"),
	}
	want := app.BooksTerms{Treatment: ledger.Treatment(f.Treatment), Payer: f.Payer, Workspace: f.Workspace}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskBooks(want, f.Reason), f.Once)
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		said := fault.From(err)
		f.Alert, f.Field = said.Message, said.Field
		return w.termsPage(v, http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
}

// termsPage shows the form with what was typed, and what may be chosen.
func (w *Web) termsPage(v *visit, status int, f *bookTermsForm) error {
	nodes, err := w.areas.Nodes.Tree(v.Request().Context(), v.who, app.TreeQuery{})
	if err != nil {
		return err
	}
	f.Once = secret.Mint("form_").Reveal()
	f.Frame = v.frame("How charges are booked")
	f.Treatments = []option{
		{Value: string(ledger.Chargeback), Label: "Chargeback: cost lies in the entity of its node", Selected: f.Treatment != string(ledger.Showback)},
		{Value: string(ledger.Showback), Label: "Showback: cost stays with who pays, and is only shown", Selected: f.Treatment == string(ledger.Showback)},
	}
	f.Payers = []option{{Label: "The hierarchy’s first entity", Selected: f.Payer == ""}}
	seen := map[string]bool{"": true}
	for i := range nodes {
		if e := nodes[i].Entity; !seen[e] {
			seen[e] = true
			f.Payers = append(f.Payers, option{Value: e, Label: e, Selected: e == f.Payer})
		}
	}
	return render(v, status, termsPage(f))
}

// cents prints an amount of the books; nothing where it is zero.
func cents(c money.Cents) string {
	if c == 0 {
		return ""
	}
	return ui.Cents(c)
}

// reversalForm is what somebody proposes about an entry.
type reversalForm struct {
	Frame                       ui.Frame
	Entry                       *app.EntryView
	Period, Reason, Once        string
	Alert, Field, Title, Effect string
	Periods                     []option
}

func (w *Web) askReversal(v *visit) error {
	if !v.may("journal", "propose") {
		return app.ErrNotAllowed
	}
	return w.reversalPage(v, http.StatusOK, &reversalForm{})
}

// reversalPage shows the form with what was typed. It restates what would be taken back.
func (w *Web) reversalPage(v *visit, status int, f *reversalForm) error {
	e, err := w.entry(v)
	if err != nil {
		return err
	}
	f.Entry, f.Once, f.Title = &e, secret.Mint("form_").Reveal(), "Take back Journal "+strconv.FormatInt(e.Number, 10)
	f.Frame = v.frame(f.Title)
	f.Effect = entrySub(&e) + " An entry of " + ui.Plural(int64(len(e.Lines)), "line") + " is posted with every debit as a credit and every credit as a debit, " + dollarCents(e.Total) +
		" each way. The charges themselves stay, and what nodes are charged: this is about the books alone."
	last := period.MonthOf(w.cfg.Now()).Next()
	for m := e.Period; !m.Start().After(last.Start()); m = m.Next() {
		f.Periods = append(f.Periods, option{Value: m.String(), Label: monthName(m), Selected: m.String() == f.Period})
	}
	return render(v, status, reversePage(f))
}

func (w *Web) proposeReversal(v *visit) error {
	if !v.may("journal", "propose") {
		return app.ErrNotAllowed
	}
	e, err := w.entry(v)
	if err != nil {
		return err
	}
	f := &reversalForm{Period: strings.TrimSpace(v.FormValue("period")), Reason: v.FormValue("reason")}
	month, err := period.ParseMonth(f.Period)
	var made app.ChangeView
	if err == nil {
		made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskReversal(e.ID, month, f.Reason), v.FormValue("once"))
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		said := fault.From(err)
		f.Alert, f.Field = said.Message, said.Field
		return w.reversalPage(v, http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
}
