package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/web"
)

// facts are what the manifests of a printed page say, by their words.
func facts(t *testing.T, body string) []map[string]string {
	t.Helper()
	var list []map[string]string
	for _, section := range regexp.MustCompile(`(?s)<section class="manifest".*?</section>`).FindAllString(body, -1) {
		one := map[string]string{}
		for _, pair := range regexp.MustCompile(`(?s)<dt>(.*?)</dt>\s*<dd>(.*?)</dd>`).FindAllStringSubmatch(section, -1) {
			one[pair[1]] = html.UnescapeString(pair[2])
		}
		list = append(list, one)
	}
	return list
}

// pageOf is the page whose rows a file has: at its own path, or above it.
func pageOf(routes []web.Route, file string) string {
	for at := strings.TrimSuffix(file, ".csv"); ; at = path.Dir(at) {
		if at == "/" || slices.ContainsFunc(routes, func(r web.Route) bool { return r.Method == http.MethodGet && r.Path == at }) {
			return at
		}
	}
}

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// TestEveryPrintedPageHasItsManifest prints the page of every CSV there is: it says of
// the file what the file's own manifest says.
func TestEveryPrintedPageHasItsManifest(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	w.erased(t, w.one)
	access, err := app.NewAccess()
	require.NoError(t, err)
	routes := w.web.Routes()
	for _, route := range routes {
		if !strings.HasSuffix(route.Path, ".csv") {
			continue
		}
		role := app.Role(operator)
		if !route.Operator {
			role = allowedRole(t, access, route)
		}
		session := w.session(t, w.one, role) // one: signing in leaves a record, which a sheet may count
		see := func(target string) answer {
			r := request(http.MethodGet, target, "")
			r.AddCookie(session)
			return w.do(r)
		}
		place := func(pattern string) string {
			target := w.one.path(t, strings.Replace(pattern, ":node", "AC-10", 1)) + "?as_of=2026-11-20"
			if strings.HasPrefix(pattern, "/log") {
				target += "&action=change.proposed" // all of it is more than a page shows
			}
			return target
		}
		page, file := see(place(pageOf(routes, route.Path))), see(place(route.Path))
		require.Equal(t, 200, page.status, "the page of %s: %s", route.Path, page.body)
		require.Equal(t, 200, file.status)
		document, err := base64.StdEncoding.DecodeString(file.header.Get(export.HeaderManifest))
		require.NoError(t, err)
		m, err := export.Verify(document, []byte(file.body))
		require.NoError(t, err)
		at := slices.IndexFunc(facts(t, page.body), func(f map[string]string) bool { return f["SHA-256"] == digest(file.body) })
		require.GreaterOrEqual(t, at, 0, "no manifest of %s on its page", route.Path)
		f := facts(t, page.body)[at]
		require.Equal(t, m.Report+", version 1, by Tollbook test", strings.Replace(f["Report"], "version 2", "version 1", 1))
		require.Equal(t, "acme, "+w.one.tenant.String(), f["Company"])
		require.Contains(t, f["Filters"], "as_of 2026-11-20")
		require.Contains(t, f["As of"], "20 Nov 2026")
		require.Contains(t, f["Run"], "by Propulsion "+string(role))
		require.Contains(t, f["Run"], "23 Nov 2026")
		require.Equal(t, strconv.Itoa(m.Rows), f["Rows"])
		for _, total := range m.ControlTotals {
			require.Contains(t, f["Control totals"], total.Name+" "+total.Value)
		}
		require.Contains(t, f["Audit log"], "nothing has its place yet")
		require.Equal(t, m.File, f["File"])
	}
}

// TestAPrintedPageOfALongListSaysSo holds a page of a list, and the file of that page
// alone, to one another.
func TestAPrintedPageOfALongListSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	more := make([]usage.Event, 0, 60)
	for i := range 60 {
		one := w.one.events[0]
		one.ID, one.SessionID = id.NewEvent(now().Add(-time.Duration(i)*time.Minute)), "session-"+string(rune('A'+i))
		more = append(more, one)
	}
	_, err := w.metering.Flush(t.Context(), w.one.tenant, more)
	require.NoError(t, err)
	for _, list := range []string{"/requests", "/sessions"} {
		first := w.see(t, w.one, app.RoleAnalyst, list)
		older := regexp.MustCompile(`href="(` + list + `\?[^"]*cursor=[^"]*)"`).FindStringSubmatch(first.body)
		require.NotNil(t, older, list)
		for _, target := range []string{list, html.UnescapeString(older[1])} {
			page := facts(t, w.see(t, w.one, app.RoleAnalyst, target).body)
			require.Len(t, page, 1)
			require.Contains(t, page[0]["Rows"], export.OnePage, target)
			require.Contains(t, page[0]["File"], "part=page", target)
			u, err := url.Parse(target)
			require.NoError(t, err)
			query := u.Query()
			query.Set("part", "page")
			file := w.see(t, w.one, app.RoleAnalyst, list+".csv?"+query.Encode())
			require.Equal(t, 200, file.status)
			require.Equal(t, digest(file.body), page[0]["SHA-256"], target)
			document, err := base64.StdEncoding.DecodeString(file.header.Get(export.HeaderManifest))
			require.NoError(t, err)
			m, err := export.Verify(document, []byte(file.body))
			require.NoError(t, err)
			require.Equal(t, export.OnePage, m.Part)
			require.LessOrEqual(t, m.Rows, 50)
			whole := w.see(t, w.one, app.RoleAnalyst, list+".csv?"+u.RawQuery)
			require.Greater(t, len(whole.body), len(file.body))
			document, err = base64.StdEncoding.DecodeString(whole.header.Get(export.HeaderManifest))
			require.NoError(t, err)
			m, err = export.Verify(document, []byte(whole.body))
			require.NoError(t, err)
			require.Empty(t, m.Part)
		}
	}
	for _, file := range []string{"/requests.csv", "/sessions.csv", "/keys.csv", "/members.csv", "/sessions/session-acme/turns.csv"} {
		role := app.RoleAuditor
		require.Equal(t, 422, w.see(t, w.one, role, file+"?part=half").status, file)
		require.Equal(t, 200, w.see(t, w.one, role, file+"?part=page").status, file)
	}
}

// TestEveryAPIListHasItsManifest asks every endpoint that reads for its manifest.
func TestEveryAPIListHasItsManifest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lists := 0
	for _, route := range w.web.Routes() {
		if !route.Token || route.Method != http.MethodGet {
			continue
		}
		if strings.HasSuffix(route.Path, "/exports/:system") {
			continue // a file, with the manifest it was stored with; TestPeriodsAPI opens it
		}
		lists++
		got := w.call(w.one, app.RoleServiceAccount, strings.TrimPrefix(w.one.path(t, route.Path), "/api/v1"), "")
		require.Equal(t, 200, got.status, "%s: %s", route.Path, got.body)
		document, err := base64.StdEncoding.DecodeString(got.header.Get(export.HeaderManifest))
		require.NoError(t, err)
		m, err := export.Verify(document, []byte(got.body))
		require.NoError(t, err, "no manifest of %s", route.Path)
		require.Equal(t, got.header.Get(export.HeaderDigest), m.SHA256)
		require.Equal(t, digest(got.body), m.SHA256)
		require.Equal(t, []string{strings.TrimPrefix(route.Path, "/"), "test", "acme", w.one.tenant.String(), "Propulsion service_account", "Service account"},
			[]string{m.Report, m.CodeVersion, m.Tenant, m.TenantID, m.RunBy.Name, m.RunBy.Roles})
		require.Equal(t, now(), m.RunAt)
		require.Equal(t, now(), m.AsOf)
		require.Positive(t, m.AuditSequence.Waiting)
		answer := got.json(t)
		rows, isPage := answer["data"].([]any)
		if !isPage {
			rows, isPage = answer["rows"].([]any)
		}
		if !isPage { // one thing
			rows = []any{answer}
		}
		require.Len(t, rows, m.Rows)
		require.NotEmpty(t, rows, "say in the world what %s lists", route.Path)
		for _, column := range m.Columns {
			require.Contains(t, rows[0], column)
		}
		require.Len(t, rows[0], len(m.Columns))
		require.Empty(t, m.Part)
	}
	require.GreaterOrEqual(t, lists, 5)

	manifest := func(target string) export.Manifest {
		got := w.call(w.one, app.RoleServiceAccount, target, "")
		require.Equal(t, 200, got.status, got.body)
		document, err := base64.StdEncoding.DecodeString(got.header.Get(export.HeaderManifest))
		require.NoError(t, err)
		m, err := export.Verify(document, []byte(got.body))
		require.NoError(t, err)
		return m
	}
	page := manifest("/usage?limit=3&node=AC-10")
	require.Equal(t, []export.Pair{{Name: "limit", Value: "3"}, {Name: "node", Value: "AC-10"}}, page.Filters)
	require.Equal(t, export.OnePage, page.Part)
	require.Equal(t, 3, page.Rows)
	month := manifest("/chargeback?as_of=2026-11-20&known_at=2026-11-22")
	require.Contains(t, month.Filters, export.Pair{Name: "period", Value: "2026-11"}, "chosen by default")
	require.Contains(t, month.Filters, export.Pair{Name: "group_by", Value: "node"})
	require.Contains(t, month.ControlTotals, export.Pair{Name: "total_usd", Value: "1.502262000000"})
	require.Equal(t, []int{20, 22}, []int{month.AsOf.Day(), month.KnownAt.Day()})
	require.Empty(t, w.call(w.one, app.RoleServiceAccount, "/usage?limit=0", "").header.Get(export.HeaderDigest), "a problem is no list")
}
