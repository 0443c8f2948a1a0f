package web

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// mappingView is a system's mapping, as it is or as somebody changes it.
type mappingView struct {
	Frame    ui.Frame
	System   string
	Name     string
	Mapping  *app.SystemMapping
	History  []app.SystemMapping
	May      bool
	Rules    string // what the editor holds
	InUse    bool
	Columns  []columnRow // Workday's layout; empty elsewhere
	Sources  []string    // that a column can be filled from
	From     []string    // sources of rules
	Add      addRule
	Alert    string
	Flaws    []flawRow
	Asked    app.MappingAsk
	Draft    *app.MappingDraft // after a check without flaws
	Left     []problemRow      // what the month would still lack
	Month    string
	Reason   string
	Once     string
	Field    string
	ColsFile string
}

// addRule is a rule that is added without writing its line.
type addRule struct{ Field, Source, Code, Value string }

// columnRow is a column of a layout in the editor.
type columnRow struct {
	Place                  int
	Head, Source, Argument string
	Required               bool
}

// spareColumns is how many empty rows the editor of a layout has at its end.
const spareColumns = 4

func (w *Web) mappingPage(v *visit, status int, view *mappingView) error {
	system := v.Param("system")
	m, history, err := w.areas.Exports.Mapping(v.Request().Context(), v.who, system)
	if err != nil {
		return err
	}
	view.Frame, view.System, view.Name, view.Mapping, view.History = v.frame("Mapping to "+systemWords(system)), system, systemWords(system), &m, history
	view.May, view.Sources, view.From = v.may("export", "propose"), erp.ColumnSources(), erp.Sources()
	if view.Draft == nil && view.Asked.System == "" {
		view.Rules, view.InUse, view.Columns = strings.ReplaceAll(m.RulesFile, "\r\n", "\n"), m.InUse || m.Version == 0, columnRows(m.Columns)
	}
	if view.Draft != nil {
		return render(v, status, mappingCheckPage(view))
	}
	return render(v, status, mappingEditPage(view))
}

func columnRows(columns []erp.MapColumn) []columnRow {
	if len(columns) == 0 {
		return nil
	}
	rows := make([]columnRow, 0, len(columns)+spareColumns)
	for i, c := range columns {
		rows = append(rows, columnRow{i, c.Head, c.Source, c.Argument, c.Required})
	}
	for range spareColumns {
		rows = append(rows, columnRow{Place: len(rows)})
	}
	return rows
}

func (w *Web) showMapping(v *visit) error {
	return w.mappingPage(v, http.StatusOK, &mappingView{Add: addRule{Field: v.QueryParam("field"), Source: v.QueryParam("source"), Code: v.QueryParam("code")}})
}

// sendRules sends the rules of a mapping, as an import takes them.
func (w *Web) sendRules(v *visit) error {
	m, _, err := w.areas.Exports.Mapping(v.Request().Context(), v.who, v.Param("system"))
	if err != nil {
		return err
	}
	return v.keep(fmt.Sprintf("%s-rules-%s.csv", m.System, v.slug), m.RulesFile)
}

// sendColumns sends the layout that a company made.
func (w *Web) sendColumns(v *visit) error {
	m, _, err := w.areas.Exports.Mapping(v.Request().Context(), v.who, v.Param("system"))
	if err != nil {
		return err
	}
	if m.ColumnsFile == "" {
		return errPageAbsent
	}
	return v.keep(fmt.Sprintf("%s-columns-%s.csv", m.System, v.slug), m.ColumnsFile)
}

// keep sends a CSV file to be kept.
func (v *visit) keep(name, content string) error {
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	return v.Blob(http.StatusOK, "text/csv; charset=utf-8", []byte(content))
}

// sentFile is an uploaded file; nothing where none was.
func (v *visit) sentFile(name string) ([]byte, error) {
	upload, err := v.FormFile(name)
	if err != nil {
		if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
			return nil, nil
		}
		return nil, errSentFile.Because(err)
	}
	opened, err := upload.Open()
	if err != nil {
		return nil, errSentFile.Because(err)
	}
	defer opened.Close()
	return io.ReadAll(io.LimitReader(opened, maxExportForm))
}

// csvOf writes rows into memory.
func csvOf(rows [][]string) []byte {
	var out bytes.Buffer
	_ = csv.NewWriter(&out).WriteAll(rows)
	return out.Bytes()
}

// mappingAsked is what the editor sent: its files, and the rule that is added.
func (w *Web) mappingAsked(v *visit) (app.MappingAsk, *mappingView, error) {
	view := &mappingView{InUse: v.FormValue("in_use") != "", Reason: v.FormValue("reason"), Once: v.FormValue("once")}
	view.Add = addRule{strings.TrimSpace(v.FormValue("add_field")), v.FormValue("add_source"), strings.TrimSpace(v.FormValue("add_code")), strings.TrimSpace(v.FormValue("add_value"))}
	rules, err := v.sentFile("upload")
	if err != nil {
		return app.MappingAsk{}, nil, err
	}
	text := string(rules)
	if text == "" {
		text = v.FormValue("rules")
	}
	if view.Add.Value != "" {
		text = strings.TrimRight(text, "\r\n") + "\n" + string(csvOf([][]string{withRoom(text, view.Add)}))
	}
	view.Rules = text
	columns, err := v.sentFile("columns_upload")
	if err != nil {
		return app.MappingAsk{}, nil, err
	}
	view.ColsFile = string(columns)
	if view.ColsFile == "" {
		view.ColsFile = v.FormValue("columns")
	}
	if view.ColsFile == "" && v.FormValue("grid") != "" {
		view.Columns = sentColumns(v)
		view.ColsFile = columnsFile(view.Columns)
	}
	base, err := strconv.Atoi(v.FormValue("base"))
	if err != nil {
		return app.MappingAsk{}, nil, fault.Invalid("base", "account_mapping_base", "The form is not whole. Open the mapping again.")
	}
	view.Asked = app.MappingAsk{System: v.Param("system"), InUse: view.InUse, Rules: view.Rules, Columns: view.ColsFile, Base: base}
	return view.Asked, view, nil
}

// withRoom is an added rule in the columns that a file has.
func withRoom(text string, add addRule) []string {
	head, _, _ := strings.Cut(strings.TrimPrefix(text, "\ufeff"), "\n")
	row := []string{}
	for name := range strings.SplitSeq(strings.TrimSpace(head), ",") {
		row = append(row, map[string]string{"field": add.Field, "source": add.Source, "code": add.Code, "value": add.Value}[name])
	}
	return row
}

// sentColumns are the rows of the grid, in the order of their places; those without a head
// are left out.
func sentColumns(v *visit) []columnRow {
	var rows []columnRow
	for i := range maxGridColumns {
		name := func(part string) string { return fmt.Sprintf("c%d_%s", i, part) }
		if !v.Request().Form.Has(name("head")) {
			break
		}
		place, err := strconv.Atoi(strings.TrimSpace(v.FormValue(name("place"))))
		if err != nil {
			place = i + 1
		}
		if head := v.FormValue(name("head")); head != "" {
			rows = append(rows, columnRow{place, head, v.FormValue(name("source")), v.FormValue(name("argument")), v.FormValue(name("required")) != ""})
		}
	}
	slices.SortStableFunc(rows, func(a, b columnRow) int { return a.Place - b.Place })
	for i := range rows {
		rows[i].Place = i
	}
	return rows
}

// maxGridColumns bounds the rows of the grid that are read.
const maxGridColumns = 300

func columnsFile(rows []columnRow) string {
	lines := [][]string{{"header", "source", "argument", "required"}}
	for _, r := range rows {
		lines = append(lines, []string{r.Head, r.Source, r.Argument, map[bool]string{true: "Y", false: "N"}[r.Required]})
	}
	return string(csvOf(lines))
}

// checkMapping is the dry run.
func (w *Web) checkMapping(v *visit) error {
	if !v.may("export", "propose") {
		return app.ErrNotAllowed
	}
	asked, view, err := w.mappingAsked(v)
	if err != nil {
		return err
	}
	draft, err := w.areas.Exports.DryRun(v.Request().Context(), v.who, asked)
	if err != nil {
		return err
	}
	for _, f := range draft.Flaws {
		view.Flaws = append(view.Flaws, flawRow{f.Line, f.Column, f.Head, f.File, f.Message})
	}
	switch {
	case len(view.Flaws) > 0:
		view.Alert = ui.Plural(int64(len(view.Flaws)), "error") + ": nothing was taken. Correct them and check again."
	case draft.Same():
		view.Alert = "The mapping in force says the same: nothing would change."
	default:
		return w.mappingChecked(v, http.StatusOK, view, &draft)
	}
	if len(view.Columns) == 0 {
		view.Columns = sentColumns(v)
	}
	view.Add.Value = ""
	return w.mappingPage(v, http.StatusUnprocessableEntity, view)
}

// mappingChecked shows what a mapping would do, and what the latest month would still lack.
func (w *Web) mappingChecked(v *visit, status int, view *mappingView, draft *app.MappingDraft) error {
	ctx := v.Request().Context()
	month, err := v.monthAsked()
	if err != nil {
		return err
	}
	left, err := w.areas.Exports.Check(ctx, v.who, view.Asked, month)
	if err != nil {
		return err
	}
	for i := range left.Problems[:min(len(left.Problems), problemsShown)] {
		view.Left = append(view.Left, problemOf(draft.System, &left.Problems[i]))
	}
	view.Draft, view.Month = draft, monthName(month)
	view.Once = secret.Mint("form_").Reveal()
	return w.mappingPage(v, status, view)
}

// proposeMapping proposes what was checked.
func (w *Web) proposeMapping(v *visit) error {
	if !v.may("export", "propose") {
		return app.ErrNotAllowed
	}
	asked, view, err := w.mappingAsked(v)
	if err != nil {
		return err
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskAccounts(asked, view.Reason), view.Once)
	if status, said := retold(err); status != 0 {
		view.Alert, view.Field = said.Message, said.Field
		draft, dry := w.areas.Exports.DryRun(v.Request().Context(), v.who, asked)
		if dry != nil {
			return dry
		}
		if len(draft.Flaws) > 0 || draft.Same() {
			return w.mappingPage(v, status, view)
		}
		return w.mappingChecked(v, status, view, &draft)
	}
	return v.proposed(made, err, mappingURL(asked.System))
}

func mappedWords(r *erp.Rule) string {
	what := "always"
	if r.Source != erp.SourceAlways {
		what = r.Source + " " + r.Code
	}
	words := fmt.Sprintf("%s of %s is %s", r.Field, what, r.Value)
	if !r.EffectiveFrom.IsZero() {
		words += " from " + ui.Day(r.EffectiveFrom)
	}
	if !r.EffectiveTo.IsZero() {
		words += " until " + ui.Day(r.EffectiveTo)
	}
	return words
}

// standing says which version is in force.
func (v *mappingView) standing() string {
	switch {
	case v.Mapping.Version == 0:
		return "There is no mapping yet. The first one puts the system in use."
	case !v.Mapping.InUse:
		return fmt.Sprintf("Version %d; the company does not export to it.", v.Mapping.Version)
	}
	return fmt.Sprintf("Version %d, %s. Journals of any month are exported by it.", v.Mapping.Version, ui.Plural(int64(len(v.Mapping.Mapping.Rules)), "rule"))
}
