package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/app/table"
	"tollbook/web/ui"
)

const invoicesPath = "/invoices"

// invoicePages are the pages of what the provider bills and who bears it.
func (w *Web) invoicePages() []Route {
	return []Route{
		w.page(http.MethodGet, invoicesPath, w.showInvoices, "invoice", "read"),
		w.page(http.MethodGet, invoicesPath+".csv", w.exportInvoices, "invoice", "read"),
		w.page(http.MethodGet, invoicesPath+"/new", w.newInvoice, "invoice", "propose"),
		w.page(http.MethodPost, invoicesPath+"/check", w.checkInvoices, "invoice", "propose"),
		w.page(http.MethodPost, invoicesPath, w.enterInvoices, "invoice", "propose"),
		w.page(http.MethodGet, invoicesPath+"/sharing", w.showSharing, "invoice", "read"),
		w.page(http.MethodPost, invoicesPath+"/sharing", w.proposeSharing, "invoice", "propose"),
		w.page(http.MethodGet, invoicesPath+"/:id", w.showInvoice, "invoice", "read"),
		w.page(http.MethodPost, invoicesPath+"/:id/allocate", w.proposeAllocation, "invoice", "propose"),
		w.page(http.MethodGet, invoicesPath+"/:id/shares.csv", w.exportShares, "invoice", "read"),
		w.page(http.MethodGet, invoicesPath+"/:id/paper", w.sendPaper, "invoice", "read"),
	}
}

type invoicesView struct {
	Frame         ui.Frame
	Period        string // narrowed to; empty: all
	Rows          []app.InvoiceView
	Older, Newest string
	CSV           string
	MayPropose    bool
}

func invoicesURL(path, month, cursor string) string {
	var parts []string
	if month != "" {
		parts = append(parts, "period="+month)
	}
	if cursor != "" {
		parts = append(parts, "cursor="+cursor)
	}
	if len(parts) == 0 {
		return path
	}
	return path + "?" + strings.Join(parts, "&")
}

func (v *visit) invoiceQuery() (q app.InvoiceQuery, month string, err error) {
	q.Before = strings.TrimSpace(v.QueryParam("cursor"))
	if month = strings.TrimSpace(v.QueryParam("period")); month != "" {
		q.Month, err = period.ParseMonth(month)
	}
	return q, month, err
}

func (w *Web) showInvoices(v *visit) error {
	q, month, err := v.invoiceQuery()
	if err != nil {
		return err
	}
	page, err := w.areas.Invoices.List(v.Request().Context(), v.who, q)
	if err != nil {
		return err
	}
	view := &invoicesView{Frame: v.frame("Invoices"), Period: month, Rows: page.Invoices, CSV: invoicesURL(invoicesPath+".csv", month, ""), MayPropose: v.may("invoice", "propose")}
	if page.Next != "" {
		view.Older = invoicesURL(invoicesPath, month, page.Next)
	}
	if q.Before != "" {
		view.Newest = invoicesURL(invoicesPath, month, "")
	}
	out := invoicesSheet()
	addInvoices(out, page.Invoices)
	if err := out.paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, invoicesPath+".csv", invoicesFile(v)); err != nil {
		return err
	}
	return render(v, http.StatusOK, invoicesPage(view))
}

func invoicesFile(v *visit) string { return "invoices-" + v.slug + ".csv" }

func invoicesSheet() *sheet {
	return newSheet("id", "number", "revision", "workspace", "issuer", "issued_on", "due_on", "service_from", "service_through", "lines", "total_usd", "state", "journal", "unexplained_usd", "reference",
		"change", "maker", "sha256", "paper", "paper_sha256", "recorded_at")
}

func addInvoices(out *sheet, rows []app.InvoiceView) {
	var total money.Sum
	for i := range rows {
		r := &rows[i]
		total.AddCents(r.Total)
		_ = out.Write([]string{
			r.ID.String(), cell(r.Number), strconv.Itoa(r.Revision), cell(r.Workspace), cell(r.Issuer), ui.Date(r.IssuedOn), ui.Date(r.DueOn), ui.Date(r.From), ui.Date(r.Through()),
			strconv.Itoa(r.LineCount), r.Total.String(), invoiceState(r), numberOrNothing(r.EntryNumber), r.Residual.String(), cell(r.Reference),
			strconv.FormatInt(r.ChangeNumber, 10), cell(r.Maker), r.Digest, cell(r.PaperName), r.PaperHash, r.RecordedAt.Format(time.RFC3339Nano),
		})
	}
	out.add("total_usd", &total)
}

// invoiceState is where an invoice stands.
func invoiceState(v *app.InvoiceView) string {
	switch {
	case v.Superseded:
		return "superseded"
	case v.Allocated():
		return "booked"
	}
	return "entered"
}

func (w *Web) exportInvoices(v *visit) error {
	q, _, err := v.invoiceQuery()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	if !part {
		q.Limit, q.Before = app.MaxRows, ""
	}
	out := invoicesSheet().paged(part)
	for range maxExport / app.MaxRows {
		page, err := w.areas.Invoices.List(v.Request().Context(), v.who, q)
		if err != nil {
			return err
		}
		addInvoices(out, page.Invoices)
		if page.Next == "" || part {
			return out.send(v, invoicesFile(v))
		}
		q.Before = page.Next
	}
	return fault.New(fault.KindInvalid, "export_too_large", "More than 50,000 invoices match: too many for one file. Narrow them by month.")
}

// invoiceForm is an invoice while it is typed.
type invoiceForm struct {
	trouble

	Frame   ui.Frame
	Head    map[string]string
	Lines   []typedLine
	Flaws   []table.Flaw
	Text    string // of a file that was pasted
	Kinds   []invoice.Kind
	Columns string // of a file
}

type typedLine struct{ Kind, Description, Amount, Node string }

// typedLines is how many lines the form has at first, and how many more it has where all are filled.
const typedLines = 5

func (w *Web) newInvoice(v *visit) error {
	if !v.may("invoice", "propose") {
		return app.ErrNotAllowed
	}
	return w.invoiceForm(v, http.StatusOK, &invoiceForm{Head: map[string]string{"workspace": "default", "issuer": "Anthropic"}})
}

func (w *Web) invoiceForm(v *visit, status int, f *invoiceForm) error {
	f.Frame, f.Kinds = v.frame("Enter an invoice"), invoice.Kinds()
	for len(f.Lines) < typedLines || f.Lines[len(f.Lines)-1] != (typedLine{}) {
		f.Lines = append(f.Lines, typedLine{})
	}
	f.Columns = strings.Join(invoice.Layout().Must, ", ")
	return render(v, status, invoiceFormPage(f))
}

// invoiceHeads are the fields of an invoice itself.
func invoiceHeads() []string {
	return []string{"number", "workspace", "issuer", "issued_on", "due_on", "from", "through", "reference", "total"}
}

// typedInvoice reads the form; the file is what it would be as one.
func (v *visit) typedInvoice() (f *invoiceForm, file []byte, err error) {
	f = &invoiceForm{Head: map[string]string{}}
	for _, name := range invoiceHeads() {
		f.Head[name] = strings.TrimSpace(v.FormValue(name))
	}
	sent := v.Request().PostForm
	kinds, descriptions, amounts, nodes := sent["kind"], sent["description"], sent["amount"], sent["node"]
	for n := range min(len(kinds), len(descriptions), len(amounts), len(nodes), invoice.MaxLines) {
		l := typedLine{Kind: kinds[n], Description: strings.TrimSpace(descriptions[n]), Amount: strings.TrimSpace(amounts[n]), Node: strings.TrimSpace(nodes[n])}
		if l.Description != "" || l.Amount != "" || l.Node != "" {
			f.Lines = append(f.Lines, l)
		}
	}
	one, err := f.invoice()
	if err != nil {
		return f, nil, err
	}
	file, err = invoice.PrintFile(one)
	return f, file, err
}

// invoice is what was typed, if it can be one.
func (f *invoiceForm) invoice() (*invoice.Invoice, error) {
	one := &invoice.Invoice{Number: f.Head["number"], Workspace: f.Head["workspace"], Issuer: f.Head["issuer"], Reference: f.Head["reference"], Currency: ledger.USD}
	for _, day := range []struct {
		field string
		into  *time.Time
	}{{"issued_on", &one.IssuedOn}, {"due_on", &one.DueOn}, {"from", &one.From}, {"through", &one.To}} {
		at, err := time.Parse(time.DateOnly, f.Head[day.field])
		if err != nil {
			return nil, fault.Invalid(day.field, "invoice_day", "A day is YYYY-MM-DD, as in 2026-10-31.")
		}
		*day.into = at
	}
	one.To = one.To.AddDate(0, 0, 1)
	var err error
	if one.Total, err = money.ParseCents(plainAmount(f.Head["total"])); err != nil {
		return nil, fault.Invalid("total", "invoice_amount", "The total is US dollars with at most two decimals, as in 1250.00.")
	}
	for n := range f.Lines {
		l := &f.Lines[n]
		amount, err := money.ParseCents(plainAmount(l.Amount))
		if err != nil {
			return nil, fault.Invalid(fmt.Sprintf("lines[%d].amount", n), "invoice_amount", "The amount of line %d is US dollars with at most two decimals, as in -12.50.", n+1)
		}
		one.Lines = append(one.Lines, invoice.Line{Kind: invoice.Kind(l.Kind), Description: l.Description, Node: l.Node, Amount: amount})
	}
	return one, one.Check()
}

// plainAmount is an amount as people type it, without separators.
func plainAmount(text string) string {
	return strings.NewReplacer(",", "", "$", "", "−", "-").Replace(text)
}

var errInvoiceUpload = fault.Invalid("upload", "invoice_upload", "The file did not arrive whole. A file of invoices has at most 4 megabytes.")

// uploaded reads a file of a form, whole or not at all; nil where none was chosen.
func (v *visit) uploaded(field string, most int64, broken *fault.Fault) (name string, content []byte, err error) {
	sent, err := v.FormFile(field)
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) || (err == nil && sent.Size == 0) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, broken.Because(err)
	}
	opened, err := sent.Open()
	if err != nil {
		return "", nil, broken.Because(err)
	}
	defer opened.Close()
	if content, err = io.ReadAll(io.LimitReader(opened, most+1)); err != nil {
		return "", nil, broken.Because(err)
	}
	return sent.Filename, content, nil
}

// invoiceCheck shows what a file would do, before anything is written.
type invoiceCheck struct {
	trouble

	Frame    ui.Frame
	Invoices []app.DraftInvoice
	File     string
	Reason   string
	Once     string
}

// checkInvoices is the dry run, of a file or of what was typed.
func (w *Web) checkInvoices(v *visit) error {
	if !v.may("invoice", "propose") {
		return app.ErrNotAllowed
	}
	_, file, err := v.uploaded("upload", table.MaxBytes, errInvoiceUpload)
	if err != nil {
		return err
	}
	form := &invoiceForm{Head: map[string]string{"workspace": "default", "issuer": "Anthropic"}}
	switch pasted := v.FormValue("file"); {
	case file != nil:
	case pasted != "":
		file, form.Text = []byte(pasted), pasted
	default:
		var typed error
		if form, file, typed = v.typedInvoice(); typed != nil {
			status, f := retold(typed)
			if status == 0 {
				return typed
			}
			form.trouble = trouble{f.Message, f.Field}
			return w.invoiceForm(v, status, form)
		}
	}
	d, err := w.areas.Invoices.DryRun(v.Request().Context(), v.who, file)
	if err != nil {
		return err
	}
	if len(d.Flaws) > 0 {
		form.Flaws = d.Flaws
		return w.invoiceForm(v, http.StatusUnprocessableEntity, form)
	}
	return w.invoiceCheck(v, http.StatusOK, &invoiceCheck{Invoices: d.Invoices, File: string(file)})
}

func (w *Web) invoiceCheck(v *visit, status int, c *invoiceCheck) error {
	c.Frame = v.frame("Enter an invoice")
	if c.Once == "" {
		c.Once = secret.Mint("form_").Reveal()
	}
	return render(v, status, invoiceCheckPage(c))
}

func (w *Web) enterInvoices(v *visit) error {
	if !v.may("invoice", "propose") {
		return app.ErrNotAllowed
	}
	name, content, err := v.uploaded("paper", app.MaxAttachment, errFile)
	if err != nil {
		return err
	}
	c := &invoiceCheck{File: v.FormValue("file"), Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	var paper *app.PaperAsk
	if content != nil {
		paper = &app.PaperAsk{Name: name, Content: content}
	}
	ctx := v.Request().Context()
	made, err := w.areas.Approvals.Propose(ctx, v.who, app.AskInvoices([]byte(c.File), paper, c.Reason), c.Once)
	if status, f := retold(err); status != 0 {
		d, err := w.areas.Invoices.DryRun(ctx, v.who, []byte(c.File))
		if err != nil {
			return err
		}
		if len(d.Flaws) > 0 {
			return w.invoiceForm(v, status, &invoiceForm{Flaws: d.Flaws, Text: c.File, Head: map[string]string{}})
		}
		c.Invoices, c.trouble = d.Invoices, trouble{f.Message, f.Field}
		return w.invoiceCheck(v, status, c)
	}
	if err != nil {
		return err
	}
	to := invoicesPath
	if list, err := w.areas.Invoices.Entered(ctx, v.who, made.ID); err == nil && len(list) == 1 {
		to = invoiceURL(list[0].ID)
	}
	return v.proposed(made, nil, to)
}

func invoiceURL(of id.Invoice) string { return invoicesPath + "/" + of.String() }

func (w *Web) sendPaper(v *visit) error {
	of, err := id.ParseInvoice(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	name, mediaType, content, err := w.areas.Invoices.Paper(v.Request().Context(), v.who, of)
	if err != nil {
		return err
	}
	v.Response().Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	return v.Blob(http.StatusOK, mediaType, content)
}
