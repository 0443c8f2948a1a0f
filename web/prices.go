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
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// pricesQuery is the state of the page of prices: all of it is in the URL.
type pricesQuery struct {
	Version           int // zero: the one in force
	Model, Speed, Era string
}

// The eras a row may be shown for.
const (
	eraNow  = ""
	eraAll  = "all"
	eraPast = "past"
)

func (v *visit) pricesQuery() (pricesQuery, error) {
	q := pricesQuery{Model: strings.TrimSpace(v.QueryParam("model")), Speed: strings.TrimSpace(v.QueryParam("speed")), Era: v.QueryParam("era")}
	if text := v.QueryParam("version"); text != "" {
		var err error
		if q.Version, err = strconv.Atoi(text); err != nil || q.Version < 1 {
			return q, app.ErrPriceVersion
		}
	}
	if !slices.Contains([]string{eraNow, eraAll, eraPast}, q.Era) {
		return q, fault.Invalid("era", "era_unknown", "Prices are shown as they are now, as they were, or all.")
	}
	return q, nil
}

func (q pricesQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"model": q.Model, "speed": q.Speed, "era": q.Era} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Version > 0 {
		values.Set("version", strconv.Itoa(q.Version))
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// shows says whether a row of the book is asked for.
func (q pricesQuery) shows(r *pricing.Row, now time.Time) bool {
	ended := !r.To.IsZero() && !now.Before(r.To)
	switch {
	case q.Model != "" && (r.Kind != pricing.KindRate || r.Name != q.Model),
		q.Speed != "" && (r.Kind != pricing.KindRate || r.Speed != q.Speed),
		q.Era == eraNow && ended, q.Era == eraPast && !ended:
		return false
	}
	return true
}

type pricesView struct {
	Frame     ui.Frame
	Query     pricesQuery
	Book      app.PriceBook
	Newest    bool // the version shown is the one in force
	Rates     []*pricing.Row
	Decimals  int            // of every rate shown
	Rest      []*pricing.Row // factors, tools and discounts
	Models    []option
	Speeds    []option
	Eras      []option
	CSV       string
	Now       time.Time
	MayAsk    bool
	MayDecide bool
	Form      discountForm
}

// Title says which price book is shown.
func (p *pricesView) Title() string {
	if p.Newest {
		return fmt.Sprintf("Price book %d, in force.", p.Book.Version)
	}
	return fmt.Sprintf("Price book %d, an earlier one.", p.Book.Version)
}

// discountForm is what was filled in, and what was wrong with it.
type discountForm struct {
	Percent, From, Reason, Once string
	Alert, Field                string
}

func (w *Web) showPrices(v *visit) error { return w.pricesPage(v, http.StatusOK, discountForm{}) }

func (w *Web) pricesPage(v *visit, status int, form discountForm) error {
	q, err := v.pricesQuery()
	if err != nil {
		return err
	}
	book, err := w.areas.Prices.Book(v.Request().Context(), v.who, q.Version)
	if err != nil {
		return err
	}
	view := &pricesView{
		Frame: v.frame("Prices"), Query: q, Book: book, Newest: len(book.Versions) > 0 && book.Version == book.Versions[0].Version,
		CSV: q.url("/prices.csv"), Now: w.cfg.Now(), MayAsk: v.may("price", "propose"), MayDecide: v.may("finance", "approve"), Form: form,
	}
	// The form carries its own idempotency key: sent twice, it makes one proposal.
	view.Form.Once = secret.Mint("form_").Reveal()
	for _, r := range book.Book.Rows() {
		if !q.shows(r, view.Now) {
			continue
		}
		if r.Kind == pricing.KindRate {
			view.Rates = append(view.Rates, r)
			for _, rate := range r.Rates {
				view.Decimals = max(view.Decimals, decimals(ui.PerMillion(rate)))
			}
		} else {
			view.Rest = append(view.Rest, r)
		}
	}
	view.choices()
	if err := pricesSheet(&book, q, view.Now).prints(v, &view.Frame, "/prices.csv", pricesFile(v, &book)); err != nil {
		return err
	}
	return render(v, status, pricesPage(view))
}

// rate prints a rate with as many decimals as any that is shown, so that they line up.
func (p *pricesView) rate(rate money.Pico) string {
	text := ui.PerMillion(rate)
	return text + strings.Repeat("0", p.Decimals-decimals(text))
}

func decimals(text string) int { return len(text) - strings.IndexByte(text, '.') - 1 }

// choices fills the fields of the filter.
func (p *pricesView) choices() {
	p.Models = []option{{Label: "All models"}}
	for _, m := range p.Book.Book.Models() {
		p.Models = append(p.Models, option{Value: m, Label: m, Selected: m == p.Query.Model})
	}
	for _, s := range []option{{Label: "All speeds"}, {Value: "standard", Label: "Standard"}, {Value: "fast", Label: "Fast"}} {
		s.Selected = s.Value == p.Query.Speed
		p.Speeds = append(p.Speeds, s)
	}
	for _, e := range []option{{Value: eraNow, Label: "Now and to come"}, {Value: eraPast, Label: "Ended"}, {Value: eraAll, Label: "All"}} {
		e.Selected = e.Value == p.Query.Era
		p.Eras = append(p.Eras, e)
	}
}

func (w *Web) exportPrices(v *visit) error {
	q, err := v.pricesQuery()
	if err != nil {
		return err
	}
	book, err := w.areas.Prices.Book(v.Request().Context(), v.who, q.Version)
	if err != nil {
		return err
	}
	return pricesSheet(&book, q, w.cfg.Now()).send(v, pricesFile(v, &book))
}

func pricesFile(v *visit, book *app.PriceBook) string {
	return fmt.Sprintf("prices-%s-%d.csv", v.slug, book.Version)
}

func pricesSheet(book *app.PriceBook, q pricesQuery, now time.Time) *sheet {
	out := newSheet("version", "kind", "name", "speed", "prompt_over", "effective_from", "effective_to", "input_usd_per_million", "output_usd_per_million",
		"cache_write_5m_usd_per_million", "cache_write_1h_usd_per_million", "cache_read_usd_per_million", "usd_per_use", "factors", "factor", "discount_bps", "source")
	for _, r := range book.Book.Rows() {
		if !q.shows(r, now) {
			continue
		}
		line := []string{strconv.Itoa(book.Version), r.Kind, cell(r.Name), cell(r.Speed), "", ui.Date(r.From), ui.Date(r.To), "", "", "", "", "", "", "", "", "", cell(r.Source)}
		switch r.Kind {
		case pricing.KindRate:
			line[4], line[13] = strconv.FormatInt(r.PromptOver, 10), strings.Join(r.Factors, " ")
			for class := range usage.ClassCount {
				line[7+class] = ui.PerMillion(r.Rates[class])
			}
		case pricing.KindTool:
			line[12] = r.Unit.String()
		case pricing.KindFactor:
			line[14] = fmt.Sprintf("%d/%d", r.Num, r.Den)
		case pricing.KindDiscount:
			line[15] = strconv.FormatInt(r.Num, 10)
		}
		_ = out.Write(line)
	}
	return out
}

// proposeDiscount takes the form that proposes a contract discount.
func (w *Web) proposeDiscount(v *visit) error {
	if !v.may("price", "propose") {
		return app.ErrNotAllowed
	}
	form := discountForm{Percent: strings.TrimSpace(v.FormValue("percent")), From: strings.TrimSpace(v.FormValue("from")), Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	bps, err := basisPoints(form.Percent)
	var from api.Instant
	if err == nil {
		from, err = api.ParseInstant("from", form.From)
	}
	var made app.ChangeView
	if err == nil {
		made, err = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskDiscount(bps, from.Time, form.Reason), form.Once)
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		f := fault.From(err)
		form.Alert, form.Field = f.Message, f.Field
		return w.pricesPage(v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
}

// basisPoints reads a percentage of at most two decimals, exactly.
func basisPoints(percent string) (int64, error) {
	whole, fraction, _ := strings.Cut(strings.TrimSuffix(percent, "%"), ".")
	bps, err := strconv.ParseUint(whole+(fraction + "00")[:2], 10, 16)
	if err != nil || len(fraction) > 2 || whole == "" || bps > 10_000 {
		return 0, fault.Invalid("percent", "discount_range", "A discount is a percentage from 0 to 100 with at most two decimals, such as 12.34.")
	}
	return int64(bps), nil
}

type proposalView struct {
	Frame    ui.Frame
	Proposal app.PriceProposal
	State    figureTag
	Rows     []differenceRow
	Digest   string
}

// showProposal compares a change of prices with the book it was made on; it is decided on
// the page of the change.
func (w *Web) showProposal(v *visit) error {
	change, err := v.changeID()
	if err != nil {
		return err
	}
	proposal, err := w.areas.Prices.Proposal(v.Request().Context(), v.who, change)
	if err != nil {
		return err
	}
	view := &proposalView{
		Frame: v.frame(fmt.Sprintf("Change %d of prices", proposal.Number)), Proposal: proposal, State: changeStateTag(&proposal.ChangeView, w.cfg.Now()), Digest: proposal.DigestText(),
	}
	for _, d := range proposal.Differences {
		view.Rows = append(view.Rows, difference(d))
	}
	return render(v, http.StatusOK, proposalPage(view))
}
