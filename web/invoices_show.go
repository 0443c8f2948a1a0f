package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/allocation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/reconcile"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// invoiceView is one invoice as its page shows it.
type invoiceView struct {
	trouble

	Frame      ui.Frame
	Shown      *app.InvoiceShown
	Title, Sub string
	Figures    []figure
	MayPropose bool
	Reason     string
	Once       string
	CSV        string
	Record     string // empty: not for this reader
	Rules      string
}

func (w *Web) showInvoice(v *visit) error {
	return w.invoicePage(v, http.StatusOK, &invoiceView{Once: secret.Mint("form_").Reveal()})
}

func (w *Web) invoicePage(v *visit, status int, view *invoiceView) error {
	of, err := id.ParseInvoice(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	shown, err := w.areas.Invoices.Show(v.Request().Context(), v.who, of)
	if err != nil {
		return err
	}
	view.Shown, view.Title = &shown, "Invoice "+shown.Number
	view.Sub = fmt.Sprintf("%s bills workspace %s for %s through %s; issued %s, due %s.", shown.Issuer, shown.Workspace, ui.Day(shown.From), ui.Day(shown.Through()), ui.Day(shown.IssuedOn), ui.Day(shown.DueOn))
	view.Frame, view.Figures, view.MayPropose = v.frame(view.Title), invoiceFigures(&shown), v.may("invoice", "propose")
	view.CSV = invoiceURL(of) + "/shares.csv"
	if v.may("audit", "read") {
		view.Record = "/log/" + shown.Record.String()
	}
	view.Rules = "every kind of line by what each node was charged"
	if len(shown.Rules) > 0 {
		var said []string
		for i := range shown.Rules {
			said = append(said, app.RuleWords(&shown.Rules[i]))
		}
		view.Rules = strings.Join(said, "; ") + "; all else by what each node was charged"
	}
	if err := sharesSheet(&shown).prints(v, &view.Frame, invoicesPath+"/:id/shares.csv", sharesFile(&shown)); err != nil {
		return err
	}
	return render(v, status, invoiceShownPage(view))
}

// invoiceFigures are the numbers an invoice is read by.
func invoiceFigures(s *app.InvoiceShown) []figure {
	m := &s.Match
	difference, after := m.Difference(), m.Unknown
	figures := []figure{
		{Label: "Invoice", Value: dollarCents(s.Total), Notes: []link{{Label: ui.Plural(int64(len(s.Lines)), "line") + ", with tax"}}},
		{Label: "Ledger for its days", Value: ui.Dollars(&m.Ledger), URL: "/requests?from=" + ui.Date(s.From) + "&to=" + ui.Date(s.To), Notes: []link{{Label: "exact charges of the requests"}}},
		{Label: "Difference", Value: ui.Dollars(&difference), Notes: differenceNotes(m)},
		{Label: "Unexplained", Value: ui.Dollars(&after), Notes: []link{{Label: "booked apart, until somebody explains it"}}},
	}
	if after.Sign() == 0 {
		figures[3].Tag, figures[3].Notes = &figureTag{ui.ToneOK, "✓", "nothing"}, []link{{Label: "every part of the difference has its name"}}
	} else {
		figures[3].Tag = &figureTag{ui.ToneWarn, "!", "to be explained"}
	}
	return figures
}

// differenceNotes says what the difference was before requests were adjusted, and is after.
func differenceNotes(m *invoice.Match) []link {
	if m.Adjusted.Sign() == 0 {
		return []link{{Label: "before and after adjustment: none was made", URL: "#match"}}
	}
	before := m.Before()
	return []link{{Label: "after adjustment; " + ui.Dollars(&before) + " before", URL: "#days"}}
}

func sharesFile(s *app.InvoiceShown) string {
	return "allocation-" + strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || ('0' <= r && r <= '9') || ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') {
			return r
		}
		return '_'
	}, s.Number) + ".csv"
}

func sharesSheet(s *app.InvoiceShown) *sheet {
	out := newSheet("invoice", "line", "kind", "description", "node", "path", "entity", "weight", "amount_usd")
	var total money.Sum
	for i := range s.Shares {
		r := &s.Shares[i]
		l := &s.Lines[r.Line-1]
		total.AddCents(r.Amount)
		_ = out.Write([]string{cell(s.Number), strconv.Itoa(r.Line), string(l.Kind), cell(l.Description), cell(r.Code), cell(r.Path), cell(r.Entity), r.Weight, r.Amount.String()})
	}
	if s.Residual != 0 {
		total.AddCents(s.Residual)
		_ = out.Write([]string{cell(s.Number), "", "residual", "unexplained, booked apart", "", "", "", "", s.Residual.String()})
	}
	out.add("amount_usd", &total)
	out.control("invoice_usd", s.Total.String())
	return out
}

func (w *Web) exportShares(v *visit) error {
	of, err := id.ParseInvoice(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	shown, err := w.areas.Invoices.ShowWhole(v.Request().Context(), v.who, of)
	if err != nil {
		return err
	}
	return sharesSheet(&shown).send(v, sharesFile(&shown))
}

func (w *Web) proposeAllocation(v *visit) error {
	if !v.may("invoice", "propose") {
		return app.ErrNotAllowed
	}
	of, err := id.ParseInvoice(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	view := &invoiceView{Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskAllocation(of, view.Reason), view.Once)
	if status, f := retold(err); status != 0 {
		view.trouble = trouble{f.Message, f.Field}
		return w.invoicePage(v, status, view)
	}
	return v.proposed(made, err, invoiceURL(of))
}

// matchWords names a reason for a difference.
func matchWords(c invoice.Class) string {
	switch c {
	case invoice.ClassRounding:
		return "Rounding"
	case invoice.ClassTax:
		return "Tax"
	case invoice.ClassSeats:
		return "Seats"
	case invoice.ClassPaid:
		return "Commitment"
	case invoice.ClassFee:
		return "Fees"
	case invoice.ClassCredit:
		return "Credits"
	case invoice.ClassDiscount:
		return "Discounts"
	case invoice.ClassUnknown:
		return "Unexplained"
	}
	if reconcile.Class(c).Known() {
		return reasonWords(reconcile.Class(c))
	}
	return ui.Words(string(c))
}

// sharingForm is the rules while they are written: a method, and lines of codes and weights.
type sharingForm struct {
	trouble

	Frame    ui.Frame
	Kinds    []sharingKind
	Reason   string
	Versions []app.SharingVersion
	May      bool
}

type sharingKind struct{ Kind, Method, Driver, Nodes string }

func (w *Web) showSharing(v *visit) error { return w.sharingPage(v, http.StatusOK, nil) }

func (w *Web) sharingPage(v *visit, status int, sent *sharingForm) error {
	versions, err := w.areas.Invoices.Sharing(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	f := sent
	if f == nil {
		f = &sharingForm{}
		var rules allocation.Rules
		if len(versions) > 0 {
			rules = versions[0].Rules
		}
		for _, kind := range app.SharedKinds() {
			rule := rules.Of(kind)
			one := sharingKind{Kind: kind, Method: string(rule.Method), Driver: rule.Driver}
			for _, p := range rule.Parts {
				one.Nodes += strings.TrimSpace(p.Code+" "+weightText(rule.Method, p.Weight)) + "\n"
			}
			f.Kinds = append(f.Kinds, one)
		}
	}
	f.Frame, f.Versions, f.May = v.frame("Who bears fixed and shared cost"), versions, v.may("invoice", "propose")
	return render(v, status, sharingPage(f))
}

func weightText(m allocation.Method, weight int64) string {
	switch m {
	case allocation.Percent:
		return fmt.Sprintf("%d.%02d", weight/100, weight%100)
	case allocation.Driver:
		return strconv.FormatInt(weight, 10)
	case allocation.Even, allocation.Proportional:
	}
	return ""
}

func (w *Web) proposeSharing(v *visit) error {
	if !v.may("invoice", "propose") {
		return app.ErrNotAllowed
	}
	f := &sharingForm{Reason: v.FormValue("reason")}
	rules := allocation.Rules{}
	var problem error
	for _, kind := range app.SharedKinds() {
		one := sharingKind{Kind: kind, Method: v.FormValue("method_" + kind), Driver: strings.TrimSpace(v.FormValue("driver_" + kind)), Nodes: v.FormValue("nodes_" + kind)}
		f.Kinds = append(f.Kinds, one)
		rule, err := one.rule()
		if err != nil && problem == nil {
			problem = err
		}
		if rule.Method != allocation.Proportional || len(rule.Parts) > 0 {
			rules = append(rules, rule)
		}
	}
	var made app.ChangeView
	if problem == nil {
		made, problem = w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskSharing(rules, f.Reason), "")
	}
	if status, said := retold(problem); status != 0 {
		f.trouble = trouble{said.Message, said.Field}
		return w.sharingPage(v, status, f)
	}
	return v.proposed(made, problem, invoicesPath+"/sharing")
}

// rule reads what was written of one kind.
func (k *sharingKind) rule() (allocation.Rule, error) {
	rule := allocation.Rule{Kind: k.Kind, Method: allocation.Method(k.Method)}
	if rule.Method == "" {
		rule.Method = allocation.Proportional
	}
	if rule.Method == allocation.Driver {
		rule.Driver = k.Driver
	}
	for line := range strings.Lines(k.Nodes) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		part := allocation.Part{Code: fields[0]}
		if len(fields) > 2 {
			return rule, errSharingLine(k.Kind, line)
		}
		if len(fields) == 2 {
			var err error
			if part.Weight, err = weightOf(rule.Method, fields[1]); err != nil {
				return rule, errSharingLine(k.Kind, line)
			}
		}
		rule.Parts = append(rule.Parts, part)
	}
	return rule, nil
}

func weightOf(m allocation.Method, text string) (int64, error) {
	text = strings.TrimSuffix(text, "%")
	if m == allocation.Percent {
		cents, err := money.ParseCents(text)
		return int64(cents), err
	}
	return strconv.ParseInt(text, 10, 64)
}

func errSharingLine(kind, line string) error {
	return fault.Invalid("nodes_"+kind, "sharing_line", "A line names a node’s code and, where a method weighs, its part, as in “CC-4100 25”; %.60q does not.", strings.TrimSpace(line))
}
