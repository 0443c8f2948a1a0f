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
	"tollbook/app/period"
	"tollbook/web/ui"
)

// exportPages are the pages of what finance's own systems take.
func (w *Web) exportPages() []Route {
	return []Route{
		w.page(http.MethodGet, "/exports", w.showExports, "export", "read"),
		w.page(http.MethodGet, "/exports.csv", w.exportExports, "export", "read"),
		w.page(http.MethodPost, "/exports", w.makeExport, "export", "propose"),
		w.page(http.MethodGet, "/exports/tie-out", w.showTieOut, "export", "read"),
		w.page(http.MethodGet, "/exports/tie-out.csv", w.exportTieOut, "export", "read"),
		w.page(http.MethodPost, "/exports/tie-out", w.importActuals, "export", "propose"),
		w.page(http.MethodGet, "/exports/mapping/:system", w.showMapping, "export", "read"),
		w.page(http.MethodPost, "/exports/mapping/:system", w.checkMapping, "export", "propose"),
		w.page(http.MethodPost, "/exports/mapping/:system/propose", w.proposeMapping, "export", "propose"),
		w.page(http.MethodGet, "/exports/mapping/:system/rules", w.sendRules, "export", "read"),
		w.page(http.MethodGet, "/exports/mapping/:system/columns", w.sendColumns, "export", "read"),
		w.page(http.MethodGet, "/exports/focus/csv", w.sendFocusCSV, "export", "read"),
		w.page(http.MethodGet, "/exports/focus/parquet", w.sendFocusParquet, "export", "read"),
		w.page(http.MethodGet, "/exports/bills", w.sendBills, "export", "read"),
		w.page(http.MethodGet, "/exports/:id", w.showExport, "export", "read"),
		w.page(http.MethodPost, "/exports/:id/acknowledge", w.acknowledge, "export", "propose"),
		w.page(http.MethodPost, "/exports/:id/replace", w.replaceExport, "export", "propose"),
		w.page(http.MethodGet, "/exports/:id/archive.zip", w.sendExport, "export", "read"),
		w.page(http.MethodGet, "/exports/:id/files/:place", w.sendExportFile, "export", "read"),
		w.page(http.MethodGet, "/exports/:id/files/:place/manifest", w.sendExportManifest, "export", "read"),
	}
}

// systemWords is a system as people call it.
func systemWords(system string) string {
	switch system {
	case "netsuite":
		return "NetSuite"
	case "oracle":
		return "Oracle Fusion"
	case "quickbooks":
		return "QuickBooks Online"
	case "sap":
		return "SAP S/4HANA"
	case "workday":
		return "Workday"
	case "xero":
		return "Xero"
	}
	return "Neutral journal"
}

func exportsURL(path string, m period.Month) string {
	return path + "?" + url.Values{"period": {m.String()}}.Encode()
}

func mappingURL(system string) string { return "/exports/mapping/" + system }

// monthAsked is the month of an address; this one where it names none.
func (v *visit) monthAsked() (period.Month, error) {
	if text := v.FormValue("period"); text != "" {
		return period.ParseMonth(text)
	}
	return period.MonthOf(v.web.cfg.Now()), nil
}

type exportsView struct {
	Frame   ui.Frame
	Month   period.Month
	Sub     string
	Final   bool
	Periods []option
	Systems []systemPanel
	Unused  []link
	Alert   string
	CSV     string
	May     bool
	Latest  *link // a month that has entries, where this one has none
	Empty   bool
	Billed  bool // an invoice of the month is booked
}

// systemPanel is how the month stands with one system.
type systemPanel struct {
	app.SystemMonth
	Name     string
	Mapping  string
	TieOut   string
	Tag      figureTag
	Problems []problemRow
}

// problemRow is what keeps a month from being exported, and where to mend it.
type problemRow struct {
	Field, What, Message string
	Mend                 link
	Node                 link
	Entry                string
}

// problemsShown bounds what a page lists of problems.
const problemsShown = 200

func (w *Web) showExports(v *visit) error { return w.exportsPage(v, http.StatusOK, "") }

func (w *Web) exportsPage(v *visit, status int, alert string) error {
	month, err := v.monthAsked()
	if err != nil {
		return err
	}
	m, err := w.areas.Exports.Month(v.Request().Context(), v.who, month)
	if err != nil {
		return err
	}
	view := &exportsView{
		Frame: v.frame("Exports, " + monthName(month)), Month: month, Sub: periodState(m.State, month, w.cfg.Now()), Final: m.Final, Periods: monthChoices(m.Months, month), Alert: alert, Billed: m.Billed,
		CSV: exportsURL("/exports.csv", month), May: v.may("export", "propose"),
	}
	for i := range m.Systems {
		view.Systems = append(view.Systems, panelOf(&m.Systems[i], month))
		view.Empty = view.Empty || (len(m.Systems[i].Fresh) == 0 && len(m.Systems[i].Exports) == 0)
	}
	for _, system := range m.Unused {
		view.Unused = append(view.Unused, link{systemWords(system), mappingURL(system)})
	}
	if view.Empty && len(m.Months) > 0 && m.Months[0] != month {
		view.Latest = &link{monthName(m.Months[0]), exportsURL("/exports", m.Months[0])}
	}
	if err := exportsSheet(&m).prints(v, &view.Frame, "/exports.csv", exportsFile(v, month)); err != nil {
		return err
	}
	return render(v, status, exportsPage(view))
}

func panelOf(s *app.SystemMonth, month period.Month) systemPanel {
	p := systemPanel{SystemMonth: *s, Name: systemWords(s.System), Mapping: mappingURL(s.System)}
	p.TieOut = "/exports/tie-out?" + url.Values{"period": {month.String()}, "system": {s.System}}.Encode()
	switch {
	case len(s.Problems) > 0:
		p.Tag = figureTag{ui.ToneStop, "×", ui.Plural(int64(len(s.Problems)), "problem")}
	case len(s.Fresh) > 0:
		p.Tag = figureTag{ui.ToneOK, "✓", "ready"}
	case len(s.Exports) > 0:
		p.Tag = figureTag{ui.ToneOK, "✓", "exported"}
	default:
		p.Tag = figureTag{ui.TonePlain, "○", "nothing posted"}
	}
	for i := range s.Problems[:min(len(s.Problems), problemsShown)] {
		p.Problems = append(p.Problems, problemOf(s.System, &s.Problems[i]))
	}
	return p
}

func problemOf(system string, p *app.ExportProblem) problemRow {
	row := problemRow{Field: p.Field, What: p.Subject, Message: p.Message}
	if p.Entry != "" {
		if entry, err := id.ParseEntry(p.Entry); err == nil {
			row.Entry = "/journal/" + entry.String()
		}
	}
	if p.Source != "" {
		values := url.Values{"field": {p.Field}, "source": {p.Source}, "code": {p.Code}}
		row.Mend = link{"Add the rule", mappingURL(system) + "?" + values.Encode() + "#add"}
	}
	if p.Source == "node" {
		row.Node = link{p.Code, nodeURL(p.Code)}
	}
	return row
}

func exportsFile(v *visit, month period.Month) string {
	return "exports-" + v.slug + "-" + month.String() + ".csv"
}

func (w *Web) exportExports(v *visit) error {
	month, err := v.monthAsked()
	if err != nil {
		return err
	}
	m, err := w.areas.Exports.Month(v.Request().Context(), v.who, month)
	if err != nil {
		return err
	}
	return exportsSheet(&m).send(v, exportsFile(v, month))
}

// exportsSheet lists what was exported of a month.
func exportsSheet(m *app.MonthOfExports) *sheet {
	out := newSheet("number", "id", "system", "period", "entity", "state", "revision", "external_id", "mapping_version", "entries", "lines", "total_usd", "files", "documents", "acknowledged",
		"supersedes", "sha256", "record", "recorded_at")
	out.filter("period", m.Month.String())
	for i := range m.Systems {
		for k := range m.Systems[i].Exports {
			e := &m.Systems[i].Exports[k]
			_ = out.Write([]string{
				strconv.FormatInt(e.Number, 10), e.ID.String(), e.System, e.Period.String(), cell(e.Entity), exportState(e), strconv.Itoa(e.Revision), e.ExternalID, strconv.Itoa(e.MappingVersion),
				strconv.Itoa(e.Entries), strconv.Itoa(e.Lines), e.Total.String(), strconv.Itoa(e.Files), strconv.Itoa(e.Documents), strconv.Itoa(e.Acknowledged), e.Supersedes.String(), e.Digest,
				e.Record.String(), e.RecordedAt.Format(time.RFC3339Nano),
			})
		}
	}
	return out
}

func exportState(e *app.ExportView) string {
	switch {
	case e.Draft:
		return "draft"
	case !e.SupersededBy.IsZero():
		return "replaced"
	case e.Acknowledged == e.Documents:
		return "acknowledged"
	case e.Acknowledged > 0:
		return "partly acknowledged"
	}
	return "final"
}

func exportTag(e *app.ExportView) figureTag {
	switch exportState(e) {
	case "draft":
		return figureTag{ui.ToneWarn, "○", "draft"}
	case "replaced":
		return figureTag{ui.TonePlain, "↺", "replaced"}
	case "acknowledged":
		return figureTag{ui.ToneOK, "✓", "acknowledged"}
	case "partly acknowledged":
		return figureTag{ui.ToneWarn, "◐", fmt.Sprintf("%d of %d acknowledged", e.Acknowledged, e.Documents)}
	}
	return figureTag{ui.ToneOK, "✓", "final"}
}

// makeExport makes what a month has for a system and no export holds.
func (w *Web) makeExport(v *visit) error {
	if !v.may("export", "propose") {
		return app.ErrNotAllowed
	}
	month, err := v.monthAsked()
	if err != nil {
		return err
	}
	system := v.FormValue("system")
	_, err = w.areas.Exports.Make(v.Request().Context(), v.who, system, month)
	if status, said := retold(err); status != 0 {
		return w.exportsPage(v, status, said.Message)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, exportsURL("/exports", month)+"#"+url.PathEscape(system))
}

// exportID reads the export of an address.
func (v *visit) exportID() (id.Export, error) {
	of, err := id.ParseExport(v.Param("id"))
	if err != nil {
		return of, errPageAbsent
	}
	return of, nil
}

type exportCaseView struct {
	Frame   ui.Frame
	Case    *app.ExportCase
	Title   string
	Sub     string
	Back    string
	Record  string
	May     bool
	Replace string // what replacing does; empty: it cannot be
	Ack     acknowledgeForm
	Other   string // the export that replaced it
	Before  string // the export it replaced
	System  string
}

// acknowledgeForm is what was typed of a system's ids.
type acknowledgeForm struct {
	Alert    string
	Flaws    []flawRow
	Text     string
	Values   map[string][2]string // by document: the system's id and the day
	Corrects bool
}

// flawRow is what is wrong in a file, and where.
type flawRow struct {
	Line, Column int
	Head         string
	File         string
	Message      string
}

func (w *Web) showExport(v *visit) error {
	return w.exportCase(v, http.StatusOK, acknowledgeForm{})
}

func (w *Web) exportCase(v *visit, status int, form acknowledgeForm) error {
	of, err := v.exportID()
	if err != nil {
		return err
	}
	c, err := w.areas.Exports.Export(v.Request().Context(), v.who, of)
	if err != nil {
		return err
	}
	view := &exportCaseView{
		Frame: v.frame("Export " + strconv.FormatInt(c.Number, 10)), Case: &c, Title: c.ExternalID, Back: exportsURL("/exports", c.Period), May: v.may("export", "propose"), Ack: form, System: systemWords(c.System),
	}
	view.Sub = fmt.Sprintf("%s of %s for %s, revision %d: %s, %s, %s in debits and in credits.", map[bool]string{true: "Draft", false: "Journal"}[c.Draft], monthName(c.Period), view.System, c.Revision,
		entriesWords(c.Entries), ui.Plural(int64(c.Lines), "line"), dollarCents(c.Total))
	if v.may("audit", "read") {
		view.Record = "/log/" + c.Record.String()
	}
	if !c.SupersededBy.IsZero() {
		view.Other = "/exports/" + c.SupersededBy.String()
	}
	if !c.Supersedes.IsZero() {
		view.Before = "/exports/" + c.Supersedes.String()
	}
	if c.Stands() && c.Acknowledged == 0 && c.MappingVersion != c.Current {
		view.Replace = fmt.Sprintf("It was made by version %d of the mapping; version %d is in force. If %s has not imported it, the same %s and %s can go out again under another id, and this one is no longer to be imported.",
			c.MappingVersion, c.Current, view.System, entriesWords(c.Entries), dollarCents(c.Total))
	}
	return render(v, status, exportPage(view))
}

// replaceExport exports the entries of a journal that was not imported again.
func (w *Web) replaceExport(v *visit) error {
	if !v.may("export", "propose") {
		return app.ErrNotAllowed
	}
	of, err := v.exportID()
	if err != nil {
		return err
	}
	made, err := w.areas.Exports.Replace(v.Request().Context(), v.who, of)
	if status, said := retold(err); status != 0 {
		return w.exportCase(v, status, acknowledgeForm{Alert: said.Message})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/exports/"+made.ID.String())
}

// acknowledge keeps ids that the system gave, typed or from a file.
func (w *Web) acknowledge(v *visit) error {
	if !v.may("export", "propose") {
		return app.ErrNotAllowed
	}
	of, err := v.exportID()
	if err != nil {
		return err
	}
	c, err := w.areas.Exports.Export(v.Request().Context(), v.who, of)
	if err != nil {
		return err
	}
	form := acknowledgeForm{Corrects: v.FormValue("corrects") != "", Text: v.FormValue("file"), Values: map[string][2]string{}}
	file, err := v.sentFile("upload")
	if err != nil {
		return err
	}
	if len(file) == 0 {
		file = []byte(form.Text)
	}
	if strings.TrimSpace(string(file)) == "" {
		file = typedIDs(v, &c, &form)
	}
	flaws, err := w.areas.Exports.Acknowledge(v.Request().Context(), v.who, app.AcknowledgeAsk{System: c.System, File: file, Corrects: form.Corrects})
	if status, said := retold(err); status != 0 {
		form.Alert = said.Message
		return w.exportCase(v, status, form)
	}
	if err != nil {
		return err
	}
	if len(flaws) > 0 {
		for _, f := range flaws {
			form.Flaws = append(form.Flaws, flawRow{f.Line, f.Column, f.Head, "", f.Message})
		}
		form.Alert = ui.Plural(int64(len(flaws)), "error") + ": nothing was kept. Correct it and send it again."
		return w.exportCase(v, http.StatusUnprocessableEntity, form)
	}
	return v.Redirect(http.StatusSeeOther, "/exports/"+of.String()+"#documents")
}

// typedIDs are the fields of the page as a file.
func typedIDs(v *visit, c *app.ExportCase, form *acknowledgeForm) []byte {
	rows := [][]string{app.AcknowledgeHeads()}
	for i := range c.Journals {
		j := &c.Journals[i]
		erpID, on := strings.TrimSpace(v.FormValue(fmt.Sprintf("erp_id_%d", i))), strings.TrimSpace(v.FormValue(fmt.Sprintf("posted_on_%d", i)))
		form.Values[j.Document] = [2]string{erpID, on}
		if erpID == "" && on == "" || (erpID == j.ERPID && on == ui.Date(j.PostedOn)) {
			continue
		}
		rows = append(rows, []string{j.Document, erpID, on})
	}
	return csvOf(rows)
}

// sendExport sends all files of an export with their manifests.
func (w *Web) sendExport(v *visit) error {
	of, err := v.exportID()
	if err != nil {
		return err
	}
	c, err := w.areas.Exports.Export(v.Request().Context(), v.who, of)
	if err != nil {
		return err
	}
	bundle, err := w.areas.Exports.Download(v.Request().Context(), v.who, []app.ExportView{c.ExportView}, true)
	if err != nil {
		return err
	}
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", bundle.Name))
	return v.Blob(http.StatusOK, bundle.Type, bundle.Content)
}

// exportedFile reads the file of an address.
func (w *Web) exportedFile(v *visit) (app.JournalFile, error) {
	of, err := v.exportID()
	if err != nil {
		return app.JournalFile{}, err
	}
	place, err := strconv.Atoi(v.Param("place"))
	if err != nil {
		return app.JournalFile{}, errPageAbsent
	}
	return w.areas.Exports.File(v.Request().Context(), v.who, of, place)
}

func (w *Web) sendExportFile(v *visit) error {
	f, err := w.exportedFile(v)
	if err != nil {
		return err
	}
	headers, err := f.Manifest.Headers()
	if err != nil {
		return err
	}
	for header, value := range headers {
		v.Response().Header().Set(header, value)
	}
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", f.Name))
	return v.Blob(http.StatusOK, app.FileType(f.Name), f.Content)
}

func (w *Web) sendExportManifest(v *visit) error {
	f, err := w.exportedFile(v)
	if err != nil {
		return err
	}
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", f.Name+".manifest.json"))
	return v.Blob(http.StatusOK, "application/json", f.Document)
}

var errSentFile = fault.Invalid("upload", "export_upload", "The file did not arrive whole. It has at most 8 megabytes.")

// writes tells whether ids can be said of an export by who looks at it.
func (v *exportCaseView) writes() bool { return v.May && v.Case.Stands() }

// typed is what the fields of a document hold: what was typed, or what is known.
func (v *exportCaseView) typed(j *app.Acknowledged) [2]string {
	if said, there := v.Ack.Values[j.Document]; there {
		return said
	}
	if j.ERPID == "" {
		return [2]string{}
	}
	return [2]string{j.ERPID, ui.Date(j.PostedOn)}
}

func (w *Web) sendFocusCSV(v *visit) error { return w.sendFocus(v, false) }

func (w *Web) sendFocusParquet(v *visit) error { return w.sendFocus(v, true) }

// sendFocus sends the charges of a month for FinOps tools.
func (w *Web) sendFocus(v *visit, parquet bool) error {
	month, err := v.monthAsked()
	if err != nil {
		return err
	}
	bundle, err := w.areas.Exports.Focus(v.Request().Context(), v.who, month, parquet)
	if err != nil {
		return err
	}
	return v.bundle(&bundle)
}

// sendBills sends the booked invoices of a month for accounts payable.
func (w *Web) sendBills(v *visit) error {
	month, err := v.monthAsked()
	if err != nil {
		return err
	}
	bundle, err := w.areas.Exports.Bills(v.Request().Context(), v.who, month)
	if err != nil {
		return err
	}
	return v.bundle(&bundle)
}

// bundle answers with a file, and with its manifest where it is one alone.
func (v *visit) bundle(bundle *app.Bundle) error {
	if bundle.Manifest != nil {
		headers, err := bundle.Manifest.Headers()
		if err != nil {
			return err
		}
		for header, value := range headers {
			v.Response().Header().Set(header, value)
		}
	}
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", bundle.Name))
	return v.Blob(http.StatusOK, bundle.Type, bundle.Content)
}

// freshWords says what a month has that no final export holds, and what is left out of it.
func (v *exportsView) freshWords(s *systemPanel) string {
	words := "Not exported for good yet: what a draft made now holds, in US dollars."
	if v.Final {
		words = "Not exported yet, in US dollars."
	}
	if s.Showback+s.Zeros > 0 {
		words += fmt.Sprintf(" Left out: %s only shown, %s of less than a cent.", entriesWords(s.Showback), ui.Plural(int64(s.Zeros), "line"))
	}
	return words
}
