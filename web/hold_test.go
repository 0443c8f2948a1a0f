package web_test

import (
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/web"
)

// The tests of this file take their routes, links and forms from the product itself, so
// that a new page is held to the same as it appears.

// walker is one person who follows links.
type walker struct {
	w       *world
	c       *company
	role    app.Role
	session *http.Cookie
}

func (w *world) walker(t *testing.T, c *company, role app.Role) *walker {
	t.Helper()
	b := &walker{w: w, c: c, role: role}
	if role != app.RoleServiceAccount {
		b.session = w.session(t, c, role)
		if w.cfg.PublicURL.Scheme == "https" {
			b.session.Name = "__Host-" + b.session.Name
		}
	}
	return b
}

// stream ends a request whose answer never ends by itself once that has begun.
type stream struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
}

func (s *stream) Write(content []byte) (int, error) {
	n, err := s.ResponseRecorder.Write(content)
	s.Flush()
	return n, err
}

func (s *stream) Flush() {
	s.ResponseRecorder.Flush()
	if strings.HasPrefix(s.Header().Get("Content-Type"), "text/event-stream") {
		s.leave()
	}
}

// ask sends a request as this person, by session and by token.
func (b *walker) ask(r *http.Request) answer {
	r.Host = b.w.cfg.PublicURL.Host
	if b.session != nil {
		r.AddCookie(b.session)
	}
	if token := b.c.tokens[b.role]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	s := &stream{ResponseRecorder: httptest.NewRecorder(), leave: leave}
	b.w.web.Handler().ServeHTTP(s, r.WithContext(ctx))
	return answer{status: s.Code, header: s.Header(), body: s.Body.String()}
}

// seen is one page somebody opened.
type seen struct {
	route  web.Route
	target string
	got    answer
}

// perRoute bounds how many addresses of one route a person opens.
const perRoute = 6

// walk opens every page without parameters, and from there what links lead to.
func (b *walker) walk(show func(seen)) {
	var queue []string
	for _, r := range b.w.web.Routes() {
		if r.Method == http.MethodGet && !strings.Contains(r.Path, ":") {
			queue = append(queue, r.Path)
		}
	}
	opened, count := map[string]bool{}, map[string]int{}
	for len(queue) > 0 {
		target := queue[0]
		queue = queue[1:]
		route, ok := b.w.routeOf(target)
		if !ok || opened[target] || count[route.Path] >= perRoute {
			continue
		}
		opened[target] = true
		count[route.Path]++
		got := b.ask(request(http.MethodGet, target, ""))
		show(seen{route: route, target: target, got: got})
		for _, link := range attributes(got.body, "href", "src") {
			if strings.HasPrefix(link, "/") {
				queue = append(queue, link)
			}
		}
	}
}

// routeOf finds what serves an address.
func (w *world) routeOf(target string) (web.Route, bool) {
	path, _, _ := strings.Cut(target, "?")
	path, _, _ = strings.Cut(path, "#")
	return w.serving(http.MethodGet, path)
}

// serving finds a route as the router does: fixed words before parameters.
func (w *world) serving(method, path string) (web.Route, bool) {
	var best web.Route
	for _, r := range w.web.Routes() {
		if r.Method == method && routeForm(r.Path).MatchString(path) && (best.Path == "" || strings.Count(r.Path, ":") < strings.Count(best.Path, ":")) {
			best = r
		}
	}
	return best, best.Path != ""
}

func routeForm(path string) *regexp.Regexp {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
		if name, _, _ := strings.Cut(part, "."); strings.HasPrefix(name, ":") {
			parts[i] = `[^/]+` + regexp.QuoteMeta(strings.TrimPrefix(part, name))
		}
	}
	return pattern(`^` + strings.Join(parts, "/") + `$`)
}

// patterns are the expressions of the tests that walk every page, each compiled once: a
// fifth of their time went into compiling them anew.
var patterns sync.Map //nolint:gochecknoglobals // a cache of the test binary

func pattern(text string) *regexp.Regexp {
	if known, ok := patterns.Load(text); ok {
		return known.(*regexp.Regexp)
	}
	compiled := regexp.MustCompile(text)
	patterns.Store(text, compiled)
	return compiled
}

// attributes are the values of some attributes in a page, as a browser reads them.
func attributes(page string, names ...string) []string {
	var values []string
	for _, m := range pattern(`(?i)\s(?:`+strings.Join(names, "|")+`)\s*=\s*"([^"]*)"`).FindAllStringSubmatch(page, -1) {
		values = append(values, unescape(m[1]))
	}
	return values
}

func unescape(text string) string {
	return strings.NewReplacer("&amp;", "&", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(text)
}

// everybody are the roles that have sessions.
func everybody() []app.Role {
	return slices.DeleteFunc(slices.Clone(app.Roles()), func(r app.Role) bool { return r == app.RoleServiceAccount })
}

func overTLS(c *web.Config) { c.PublicURL = &url.URL{Scheme: "https", Host: "tollbook.test"} }

// unopened are pages that no link of a test's world leads to, and why.
func unopened() map[string]string {
	return map[string]string{
		"/sign-in/:slug/:issuer":                  "leads to an issuer that answers; signin_test.go opens it",
		"/sign-in/callback/:company":              "comes back from an issuer; signup_test.go does",
		"/sign-up/start":                          "leads to an issuer that answers; signup_test.go opens it",
		"/sign-up/company":                        "opened by whom the issuer vouched for; signup_test.go does",
		"/join/:code":                             "an invitation's link is shown once; people_test.go opens it",
		"/t/:slug":                                "leads to another page; live_test.go opens it",
		"/t/:slug/*":                              "leads to another page; live_test.go opens it",
		"/connect/first":                          "asked for by the script of /connect; TestPages opens it",
		"/login/:slug":                            "opened by a command line; logins_test.go does",
		"/changes/:id/confirm":                    "a form's own address where a policy asks the issuer; confirm_test.go opens it",
		"/decisions/:id":                          "linked where an issuer confirmed; confirm_test.go opens it",
		"/decisions/:id/evidence.zip":             "linked where an issuer confirmed; confirm_test.go opens it",
		"/log/:id/proof":                          "linked where a signed head covers the record; log_test.go opens it",
		"/log/tiles/tollbook/:tenant/*":           "linked where a head is signed, and asked by programs; log_keys_test.go opens it",
		"/log/keys.txt":                           "linked where a key has signed; log_test.go opens it",
		"/packets/asked/:id":                      "where somebody who asks for a packet is sent; packets_test.go opens it",
		"/api/v1/journal/:id":                     "asked by programs; journal_test.go does",
		"/api/v1/periods/:period":                 "asked by programs; exports_test.go does",
		"/api/v1/periods/:period/exports/:system": "asked by programs; exports_test.go does",
		"/exports/bills":                          "linked where an invoice is booked; invoices_test.go opens it",
		"/api/v1/invoices/:id":                    "asked by programs; invoices_test.go does",
		"/api/v1/changes/:id":                     "asked by programs; changes_test.go does",
		"/problems/:code":                         "linked from the API's problems; TestPages opens it",
		"/members/erasures/:id":                   "linked where somebody was erased; erase_test.go opens it",
		"/members/erasures/:id/report.csv":        "linked from that page; erase_test.go opens it",
		"/variances/:id/files/:file":              "linked where evidence came; reconciliation_test.go opens it",
	}
}

// TestNothingComesFromElsewhere opens every page of every role over TLS: no page names
// another origin, and each says so to the browser.
func TestNothingComesFromElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overTLS)
	found := map[string]bool{}
	for _, role := range append(app.Roles(), operator) {
		w.walker(t, w.one, role).walk(func(s seen) {
			found[s.route.Path] = found[s.route.Path] || s.got.status < http.StatusMultipleChoices
			if s.route.Path != "/sign-in/:slug/:issuer" { // whose issuer answers nobody here
				require.Less(t, s.got.status, http.StatusInternalServerError, "%s as %s: %s", s.target, role, s.got.body)
			}
			require.Equal(t, "max-age=31536000", s.got.header.Get("Strict-Transport-Security"), s.target)
			strict(t, s.target, s.got.header.Get("Content-Security-Policy"))
			homeOnly(t, s.target, s.got.body)
		})
	}
	for _, route := range w.web.Routes() {
		if reason := unopened()[route.Path]; route.Method == http.MethodGet && reason == "" && route.Path != "/sign-in/callback" {
			assert.True(t, found[route.Path], "nobody opened %s: link to it from a page of the test's world", route.Path)
		}
	}
}

// strict holds a policy to nothing but ourselves.
func strict(t *testing.T, target, policy string) {
	t.Helper()
	rules := map[string]string{}
	for rule := range strings.SplitSeq(policy, ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(rule), " ")
		rules[name] = sources
		for source := range strings.FieldsSeq(sources) {
			require.Contains(t, []string{"'none'", "'self'", "data:"}, source, "%s: %s", target, rule)
		}
	}
	for _, name := range []string{"default-src", "base-uri", "frame-ancestors"} {
		require.Equal(t, "'none'", rules[name], "%s: %s", target, name)
	}
	for _, name := range []string{"script-src", "style-src", "font-src", "connect-src", "form-action"} {
		require.Equal(t, "'self'", rules[name], "%s: %s", target, name)
	}
}

// homeOnly refuses whatever a page would fetch, send or lead to on another origin.
func homeOnly(t *testing.T, target, page string) {
	t.Helper()
	var addresses []string
	if strings.Contains(page, "<html") {
		addresses = attributes(page, "href", "src", "srcset", "action", "formaction", "poster", "data", "background", "ping", "cite", "xlink:href")
		require.NotRegexp(t, `(?i)<(base|iframe|object|embed|meta\s+http-equiv)\b`, page, target)
	}
	for _, m := range pattern(`(?i)(?:url\(|@import\s+)\s*["']?([^"')\s]+)`).FindAllStringSubmatch(page, -1) {
		addresses = append(addresses, m[1])
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		require.NoError(t, err, "%s: %q", target, address)
		home := u.Scheme == "" && u.Host == "" || u.Scheme == "https" && u.Host == "tollbook.test" || strings.HasPrefix(address, "data:image/")
		require.True(t, home, "%s names %q", target, address)
	}
}

// maxFirstLoad is everything the first page makes a browser fetch beside itself, as sent.
const maxFirstLoad = 150_000

// TestFirstLoad fetches as a browser does, compressed, what pages name and what their
// style sheets name.
func TestFirstLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overTLS)
	sizes := map[string]int{}
	var fetch func(target string)
	fetch = func(target string) {
		if _, done := sizes[target]; done {
			return
		}
		r := request(http.MethodGet, target, "")
		r.Header.Set("Accept-Encoding", "gzip")
		got := w.do(r)
		require.Equal(t, http.StatusOK, got.status, target)
		sizes[target] = len(got.body)
		text := got.body
		if got.header.Get("Content-Encoding") == "gzip" {
			reader, err := gzip.NewReader(strings.NewReader(got.body))
			require.NoError(t, err)
			plain, err := io.ReadAll(reader)
			require.NoError(t, err)
			text = string(plain)
		} else {
			require.True(t, strings.HasSuffix(target, ".woff2") || len(got.body) < 1024, "%s is sent as it is", target)
		}
		named := regexp.MustCompile(`(?:url\(|@import\s+|\bfrom\s+|\bimport\s+)\s*["']([^"']+)["']`)
		if strings.HasSuffix(target, ".css") || strings.HasSuffix(target, ".js") {
			homeOnly(t, target, text)
			for _, m := range named.FindAllStringSubmatch(text, -1) {
				next, err := url.Parse(target)
				require.NoError(t, err)
				next, err = next.Parse(m[1])
				require.NoError(t, err)
				if next.Scheme == "" {
					fetch(next.String())
				}
			}
		}
	}
	for _, role := range []app.Role{app.RoleTenantOwner, app.RoleDeveloper, operator} {
		w.walker(t, w.one, role).walk(func(s seen) {
			for _, target := range attributes(s.got.body, "href", "src") {
				if strings.HasPrefix(target, "/assets/") {
					fetch(target)
				}
			}
		})
	}
	total := 0
	for _, size := range sizes {
		total += size
	}
	require.Greater(t, len(sizes), 4, "style, script, mark and fonts: %v", slices.Sorted(maps.Keys(sizes)))
	require.Less(t, total, maxFirstLoad, "%v", sizes)
}
