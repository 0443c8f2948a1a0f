package web

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tollbook/app/export"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/web/ui"
)

// sheet is a CSV file that is sent only when all of it was made: a short file looks like
// a whole one. With every sheet goes a manifest that says what it is (docs/adr/011).
type sheet struct {
	lines   *csv.Writer
	content bytes.Buffer
	version int // of the report: it moves when a column or a meaning does
	columns []string
	rows    int
	chosen  map[string]string // what the URL left to its default
	totals  []export.Pair
	sums    []sheetSum
	part    string // what part of the report the rows are; empty: all of it
}

// sheetSum is a control total that grows with the rows.
type sheetSum struct {
	name string
	sum  money.Sum
}

func newSheet(head ...string) *sheet {
	s := &sheet{version: 1, columns: head, chosen: map[string]string{}}
	s.lines = csv.NewWriter(&s.content)
	_ = s.lines.Write(head) // into memory
	return s
}

// Write adds a row.
func (s *sheet) Write(row []string) error {
	s.rows++
	return s.lines.Write(row)
}

// control states a total for the manifest, from the figures behind the rows.
func (s *sheet) control(name, value string) {
	s.totals = append(s.totals, export.Pair{Name: name, Value: value})
}

// add adds to a total of amounts.
func (s *sheet) add(name string, amount *money.Sum) {
	at := slices.IndexFunc(s.sums, func(one sheetSum) bool { return one.name == name })
	if at < 0 {
		s.sums = append(s.sums, sheetSum{name: name})
		at = len(s.sums) - 1
	}
	s.sums[at].sum.AddSum(amount)
}

// controls are all control totals.
func (s *sheet) controls() []export.Pair {
	list := slices.Clone(s.totals)
	for i := range s.sums {
		list = append(list, export.Pair{Name: s.sums[i].name, Value: s.sums[i].sum.String()})
	}
	return list
}

// paged says that the rows are one page of a longer list, where they are.
func (s *sheet) paged(yes bool) *sheet {
	if yes {
		s.part = export.OnePage
	}
	return s
}

var errPart = fault.Invalid("part", "part_unknown", "part=page exports the page alone; without it the file is the whole list.")

// onePage tells whether a file shall hold what the page at its address shows, rather
// than the whole list.
func (v *visit) onePage() (bool, error) {
	part := v.QueryParam("part")
	if part != "" && part != "page" {
		return false, errPart
	}
	return part != "", nil
}

// filter states what the report was narrowed to where the URL does not say.
func (s *sheet) filter(name, value string) { s.chosen[name] = value }

var errManifestForm = fault.Invalid("manifest", "manifest_form", "manifest=zip sends the file and its manifest in one archive; without it the file comes alone.")

// send answers with the file; its manifest is in a header, and in an archive with it
// where that is asked for.
func (s *sheet) send(v *visit, name string) error {
	form := v.QueryParam("manifest")
	if form != "" && form != "zip" {
		return errManifestForm
	}
	m, err := s.manifest(v, v.Path(), name)
	if err != nil {
		return err
	}
	if form == "zip" {
		archive, err := export.Archive(m, s.content.Bytes())
		if err != nil {
			return err
		}
		v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", strings.TrimSuffix(name, ".csv")+".zip"))
		return v.Blob(http.StatusOK, "application/zip", archive)
	}
	headers, err := m.Headers()
	if err != nil {
		return err
	}
	for header, value := range headers {
		v.Response().Header().Set(header, value)
	}
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	return v.Blob(http.StatusOK, "text/csv; charset=utf-8", s.content.Bytes())
}

// manifest says what the sheet is: the same for a file and for a page that is printed.
// The report is named after the route of the file.
func (s *sheet) manifest(v *visit, route, name string) (export.Manifest, error) {
	s.lines.Flush()
	if err := s.lines.Error(); err != nil {
		return export.Manifest{}, err
	}
	position, err := v.web.areas.Reports.Position(v.Request().Context(), v.who)
	if err != nil {
		return export.Manifest{}, err
	}
	m := export.Manifest{
		Report: reportOf(route), ReportVersion: s.version, CodeVersion: v.web.cfg.Version, Tenant: v.slug, TenantID: v.who.Tenant.String(), Filters: s.filters(v),
		RunBy: export.RunBy{ID: v.who.ID(), Name: v.who.Name, Roles: ui.RoleWords(v.who.Grants)}, RunAt: v.web.cfg.Now(),
		Columns: s.columns, Rows: s.rows, Part: s.part, ControlTotals: s.controls(), AuditSequence: export.Sequence{Last: position.Last, Waiting: position.Waiting}, File: name,
	}
	asOf, known, err := v.instants()
	if err != nil {
		return export.Manifest{}, err
	}
	if m.AsOf = asOf; asOf.IsZero() {
		m.AsOf = m.RunAt
	}
	if m.KnownAt = known; known.IsZero() {
		m.KnownAt = m.RunAt
	}
	return m.Of(s.content.Bytes()), nil
}

// reportOf names a report after the route of its file.
func reportOf(route string) string { return strings.TrimSuffix(strings.Trim(route, "/"), ".csv") }

// filters are the parameters of the URL, as they were given, and what it left to choose.
func (s *sheet) filters(v *visit) []export.Pair {
	given := maps.Clone(v.QueryParams())
	delete(given, "manifest")
	return export.Filters(given, s.chosen)
}

// prints puts the manifest of a page's own sheet at the foot of its printed form, as that
// of the file at the route.
func (s *sheet) prints(v *visit, f *ui.Frame, route, name string) error {
	m, err := s.manifest(v, route, name)
	if err != nil {
		return err
	}
	rows, file := strconv.Itoa(m.Rows), m.File
	if m.Part != "" {
		rows += ", " + m.Part + "; the exported file has every row"
		file += " of this page alone: part=page at its address"
	}
	f.Manifests = append(f.Manifests, []ui.Fact{
		{Label: "Report", Value: fmt.Sprintf("%s, version %d, by Tollbook %s", m.Report, m.ReportVersion, m.CodeVersion)},
		{Label: "Company", Value: m.Tenant + ", " + m.TenantID},
		{Label: "Filters", Value: pairs(m.Filters, "none")},
		{Label: "As of", Value: ui.Instant(m.AsOf) + ", as known at " + ui.Instant(m.KnownAt)},
		{Label: "Run", Value: "by " + m.RunBy.Name + " (" + m.RunBy.Roles + ", " + m.RunBy.ID + ") at " + ui.Instant(m.RunAt)},
		{Label: "Rows", Value: rows},
		{Label: "Control totals", Value: pairs(m.ControlTotals, "none")},
		{Label: "Audit log", Value: sequenceWords(m.AuditSequence)},
		{Label: "File", Value: file},
		{Label: "SHA-256", Value: m.SHA256},
	})
	return nil
}

func pairs(list []export.Pair, none string) string {
	if len(list) == 0 {
		return none
	}
	words := make([]string, 0, len(list))
	for _, p := range list {
		words = append(words, p.Name+" "+p.Value)
	}
	return strings.Join(words, "; ")
}

func sequenceWords(s export.Sequence) string {
	waiting := ui.Plural(s.Waiting, "record") + " waiting for a place"
	if s.Last < 0 {
		return "nothing has its place yet; " + waiting
	}
	return fmt.Sprintf("sequence %d to %d; %s", s.First, s.Last, waiting)
}
