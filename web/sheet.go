package web

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tollbook/app/export"
	"tollbook/app/fault"
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

// filter states what the report was narrowed to where the URL does not say.
func (s *sheet) filter(name, value string) { s.chosen[name] = value }

// The headers that carry a manifest beside its file.
const (
	headerManifest = "X-Tollbook-Manifest" // base64 of the JSON
	headerDigest   = "X-Tollbook-SHA256"
	// maxManifestHeader keeps the header within what proxies pass on.
	maxManifestHeader = 6 << 10
)

var errManifestForm = fault.Invalid("manifest", "manifest_form", "manifest=zip sends the file and its manifest in one archive; without it the file comes alone.")

// send answers with the file; its manifest is in a header, and in an archive with it
// where that is asked for.
func (s *sheet) send(v *visit, name string) error {
	form := v.QueryParam("manifest")
	if form != "" && form != "zip" {
		return errManifestForm
	}
	m, err := s.manifest(v, name)
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
	document, err := m.JSON()
	if err != nil {
		return err
	}
	if text := base64.StdEncoding.EncodeToString(document); len(text) <= maxManifestHeader {
		v.Response().Header().Set(headerManifest, text)
	}
	v.Response().Header().Set(headerDigest, m.SHA256)
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	return v.Blob(http.StatusOK, "text/csv; charset=utf-8", s.content.Bytes())
}

// manifest says what the sheet is: the same for a file and for a page that is printed.
func (s *sheet) manifest(v *visit, name string) (export.Manifest, error) {
	s.lines.Flush()
	if err := s.lines.Error(); err != nil {
		return export.Manifest{}, err
	}
	position, err := v.web.areas.Reports.Position(v.Request().Context(), v.who)
	if err != nil {
		return export.Manifest{}, err
	}
	m := export.Manifest{
		Report: reportOf(v), ReportVersion: s.version, CodeVersion: v.web.cfg.Version, Tenant: v.slug, TenantID: v.who.Tenant.String(), Filters: s.filters(v),
		RunBy: export.RunBy{ID: v.who.ID(), Name: v.who.Name, Roles: roles(v.who.Grants)}, RunAt: v.web.cfg.Now(),
		Columns: s.columns, Rows: s.rows, ControlTotals: s.totals, AuditSequence: export.Sequence{Last: position.Last, Waiting: position.Waiting}, File: name,
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

// reportOf names a report after its page.
func reportOf(v *visit) string {
	name := strings.TrimSuffix(strings.Trim(v.Path(), "/"), ".csv")
	if name == "" {
		return "chargeback"
	}
	return name
}

// maxFilters and maxFilter bound what a manifest repeats of a URL.
const (
	maxFilters = 32
	maxFilter  = 256
)

// filters are the parameters of the URL, as they were given, and what it left to choose.
func (s *sheet) filters(v *visit) []export.Pair {
	query := v.QueryParams()
	values := maps.Clone(s.chosen)
	for name := range query {
		if value := query.Get(name); value != "" && name != "manifest" {
			values[name] = value
		}
	}
	list := []export.Pair{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(list) < maxFilters {
			list = append(list, export.Pair{Name: cut(name), Value: cut(values[name])})
		}
	}
	return list
}

func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxFilter)], "")
}

// manifestView is a manifest at the foot of what is printed.
type manifestView struct {
	Manifest export.Manifest
	Facts    []link
}

// printed is the manifest of a page's own sheet, for its printed form.
func (s *sheet) printed(v *visit, name string) (*manifestView, error) {
	m, err := s.manifest(v, name)
	if err != nil {
		return nil, err
	}
	view := &manifestView{Manifest: m}
	add := func(label, value string) { view.Facts = append(view.Facts, link{Label: label, URL: value}) }
	add("Report", fmt.Sprintf("%s, version %d, by Tollbook %s", m.Report, m.ReportVersion, m.CodeVersion))
	add("Company", m.Tenant+", "+m.TenantID)
	add("Filters", pairs(m.Filters, "none"))
	add("As of", ui.Instant(m.AsOf)+", as known at "+ui.Instant(m.KnownAt))
	add("Run", "by "+m.RunBy.Name+" ("+m.RunBy.Roles+", "+m.RunBy.ID+") at "+ui.Instant(m.RunAt))
	add("Rows", strconv.Itoa(m.Rows))
	add("Control totals", pairs(m.ControlTotals, "none"))
	add("Audit log", sequenceWords(m.AuditSequence))
	add("SHA-256 of "+m.File, m.SHA256)
	return view, nil
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
