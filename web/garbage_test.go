package web_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/web"
)

// form is what a page offers to send.
type form struct {
	method string
	fields url.Values // with what the page filled in
}

// forms are a page's forms by the route that takes them.
func (w *world) forms(s seen) map[string]form {
	found := map[string]form{}
	for _, text := range pattern(`(?is)<form\b.*?</form>`).FindAllString(s.got.body, -1) {
		head, body, _ := strings.Cut(text, ">")
		one := form{method: http.MethodGet, fields: url.Values{}}
		if strings.Contains(strings.ToLower(head), `method="post"`) {
			one.method = http.MethodPost
		}
		target := s.target
		if action := attributes(head, "action"); len(action) > 0 {
			target = action[0]
		}
		for _, field := range pattern(`(?is)<(?:input|textarea|button|select)\b[^>]*>(?:\s*<option.*?</select>)?`).FindAllString(body, -1) {
			for _, name := range attributes(field, "name") {
				value := "to test"
				if values := slices.DeleteFunc(attributes(field, "value"), func(v string) bool { return v == "" }); len(values) > 0 {
					value = values[len(values)-1]
				}
				one.fields.Set(name, value)
			}
		}
		path, _, _ := strings.Cut(target, "?")
		if route, ok := w.serving(one.method, path); ok {
			found[one.method+" "+route.Path] = one
		}
	}
	return found
}

// known is what the product's own pages tell about its routes.
type known struct {
	fields  map[string]url.Values // of forms, by method and route
	queries map[string][]string   // parameters of addresses, by route
	targets map[string]string     // an address of each route that exists
}

func (w *world) learn(t *testing.T) known {
	t.Helper()
	k := known{fields: map[string]url.Values{}, queries: map[string][]string{}, targets: map[string]string{}}
	ask := func(path, name string) {
		if !slices.Contains(k.queries[path], name) {
			k.queries[path] = append(k.queries[path], name)
		}
	}
	// Between them these are offered every form; the others' pages are among theirs.
	for _, role := range []app.Role{app.RoleTenantOwner, app.RoleFinanceAdmin, app.RoleEngineeringAdmin, app.RoleDeveloper} {
		w.walker(t, w.one, role).walk(func(s seen) {
			for route, f := range w.forms(s) {
				if k.fields[route] == nil {
					k.fields[route] = url.Values{}
				}
				maps.Copy(k.fields[route], f.fields)
				if path, get := strings.CutPrefix(route, http.MethodGet+" "); get {
					for name := range f.fields {
						ask(path, name)
					}
				}
			}
			path, query, _ := strings.Cut(s.target, "?")
			for name := range values(query) {
				ask(s.route.Path, name)
			}
			k.targets[s.route.Path] = path
			for _, link := range attributes(s.got.body, "action", "formaction") {
				for _, r := range w.web.Routes() {
					if r.Method != http.MethodGet && routeForm(r.Path).MatchString(link) {
						k.targets[r.Path] = link
					}
				}
			}
		})
	}
	return k
}

func values(query string) url.Values {
	parsed, err := url.ParseQuery(query)
	if err != nil {
		return nil
	}
	return parsed
}

// junk is what no field means. Others are another company's ids.
func junk(other *company) []string {
	return []string{
		"", "\x00", "\xff\xfe\x80", "a\x00b", strings.Repeat("9", 400), strings.Repeat("é", 12_000), "-1", "1e999", "NaN", "9223372036854775808", "0x10", "2026-13-45", "99999-01", "0000-00",
		"'; select pg_sleep(9)--", "<script>alert(1)</script>", "../../etc/passwd", "{{7*7}}", "\u202eevil", "true", "null", "[]", "key_", "evt_" + strings.Repeat("z", 32),
		other.key.ID.String(), other.change.ID.String(), other.events[0].ID.String(), other.members[app.RoleFinanceAdmin].String(), other.tenant.String(), other.slug,
	}
}

// rows counts what was stored and deleted since it was first asked, by table: superuser's
// eyes, both companies. Triggers count, since counting every table after each of some
// thousand attempts took minutes.
func (w *world) rows(t *testing.T) map[string]int64 {
	t.Helper()
	if w.admin == nil {
		w.admin = w.clone.Admin(t)
		_, err := w.admin.ExecContext(t.Context(), `
			create schema test;
			create table test.counted (relation name not null, n integer not null);
			create function test.count_row() returns trigger language plpgsql security definer as $$
			begin
				insert into test.counted values (tg_argv[0], case tg_op when 'INSERT' then 1 else -1 end);
				return null;
			end $$;
			do $$ declare relation name; begin
				for relation in select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition loop
					execute format('create trigger test_count after insert or delete on %I for each row execute function test.count_row(%L)', relation, relation);
				end loop;
			end $$`)
		require.NoError(t, err)
	}
	found, err := w.admin.QueryContext(t.Context(), `select relation, sum(n) from test.counted group by relation having sum(n) <> 0`)
	require.NoError(t, err)
	defer found.Close()
	counts := map[string]int64{}
	for found.Next() {
		var table string
		var n int64
		require.NoError(t, found.Scan(&table, &n))
		counts[table] = n
	}
	require.NoError(t, found.Err())
	return counts
}

// attempt is one request nobody means, and whether nothing in it can be right.
type attempt struct {
	name, target, kind, body string
	hopeless                 bool
}

// TestGarbageIsRefused sends what nobody means to every route that changes something: it
// is refused or taken, in whole, and never breaks.
func TestGarbageIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.learn(t)
	access, err := app.NewAccess()
	require.NoError(t, err)
	w.expend(t, k)
	for _, route := range w.web.Routes() {
		if route.Method == http.MethodGet {
			continue
		}
		attempts := w.formAttempts(route, k)
		if route.Token {
			attempts = w.bodyAttempts(t, route)
		}
		may, others := makers(access, route, w.one)
		w.hold(t, route, may, attempts)
		for _, role := range others {
			w.hold(t, route, role, attempts[:2])
		}
	}
}

// expend points what suspends, changes and revokes at a member and a token that nobody of
// the test signs in with.
func (w *world) expend(t *testing.T, k known) {
	t.Helper()
	spare, err := w.areas.Members.Add(t.Context(), app.Command(w.one.tenant), app.NewMember{Issuer: issuerURL, Subject: "spare", Name: "Spare", Role: app.RoleDeveloper}, "to be expended")
	require.NoError(t, err)
	for _, route := range w.web.Routes() {
		for before, thing := range map[string]string{"/members/:id": spare.String(), "/tokens/:id": w.one.token.ID.String()} {
			if strings.HasPrefix(route.Path, before) {
				k.targets[route.Path] = strings.Replace(route.Path, ":id", thing, 1)
			}
		}
	}
}

// hold sends attempts as somebody and compares what is stored before and after.
func (w *world) hold(t *testing.T, route web.Route, role app.Role, attempts []attempt) {
	t.Helper()
	b := w.walker(t, w.one, role)
	before := w.rows(t)
	for _, a := range attempts {
		r := request(route.Method, "/", a.body)
		r.URL = &url.URL{Path: a.target}
		r.Header.Set("Content-Type", a.kind)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		got := b.ask(r)
		after := w.rows(t)
		whole(t, a, got, before, after, fmt.Sprintf("%s %.200s as %s, %s: %d %.300s", route.Method, a.target, role, a.name, got.status, got.body))
		for _, word := range w.two.words {
			require.NotContains(t, got.body, word, "%s %s, %s", route.Method, a.target, a.name)
		}
		before = after
		if route.Path == "/sign-out" { // it may have ended the session
			b = w.walker(t, w.one, role)
			before = w.rows(t)
		}
	}
}

// whole requires an answer that was refused and left nothing, or was taken with its record.
func whole(t *testing.T, a attempt, got answer, before, after map[string]int64, say string) {
	t.Helper()
	require.Less(t, got.status, http.StatusInternalServerError, say)
	require.GreaterOrEqual(t, got.status, http.StatusOK, say)
	if a.hopeless {
		require.NotEqual(t, 2, got.status/100, say)
	}
	if strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		wholesome(t, got)
	}
	if got.status >= http.StatusBadRequest {
		for table, n := range after {
			if !strings.HasPrefix(table, "audit_") { // a refusal may leave a record
				require.Equal(t, before[table], n, "%s: wrote to %s", say, table)
			}
		}
	}
	if after["change"] > before["change"] {
		require.Greater(t, after["audit_record"], before["audit_record"], "%s: changed without a record", say)
	}
}

// makers are a role that may use a route, and some that may not.
func makers(access *app.Access, route web.Route, c *company) (may app.Role, others []app.Role) {
	for _, role := range everybody() {
		who := app.Actor{Tenant: c.tenant, Kind: app.ActorPerson, Grants: []app.Grant{{Role: role}}}
		switch {
		case route.Object != "" && access.Check(who, route.Object, route.Action) != nil:
			others = append(others, role)
		case may == "":
			may = role
		}
	}
	return may, others
}

// formAttempts are forms with nothing, with everything wrong, and with one thing wrong.
func (w *world) formAttempts(route web.Route, k known) []attempt {
	const encoded = "application/x-www-form-urlencoded"
	fields := k.fields[route.Method+" "+route.Path]
	if len(fields) == 0 {
		fields = url.Values{"id": {"x"}, "label": {"x"}, "reason": {"x"}, "name": {"x"}, "decision": {"x"}, "node": {"x"}, "file": {"x"}}
	}
	target := k.targets[route.Path]
	if target == "" {
		target = fill(route.Path, w.one.key.ID.String())
	}
	list := []attempt{
		{name: "an empty body", target: target, kind: encoded, hopeless: true},
		{name: "no encoding", target: target, kind: encoded, body: "%zz=%&%%%=&&;;", hopeless: true},
		{name: "too long", target: target, kind: encoded, body: "label=" + strings.Repeat("a", 4<<20), hopeless: true},
		{name: "another kind", target: target, kind: "application/json", body: `{"label":1}`, hopeless: true},
		{name: "no kind", target: target, kind: "\x01", body: "label=x", hopeless: true},
		{name: "parts without an end", target: target, kind: "multipart/form-data; boundary=x", body: "--x\r\nContent-Disposition: form-data; name=\"label\"\r\n\r\nhalf", hopeless: true},
		{name: "very many fields", target: target, kind: encoded, body: strings.Repeat("label=&", 20_000), hopeless: true},
	}
	for i, bad := range junk(w.two) {
		all := url.Values{}
		for name := range fields {
			all[name] = []string{bad, bad}
		}
		for j, name := range some(fields) {
			if !turn(i, j) {
				continue
			}
			one := url.Values{}
			maps.Copy(one, fields)
			one.Set(name, bad)
			list = append(list, attempt{name: fmt.Sprintf("%s is %.40q", name, bad), target: target, kind: encoded, body: one.Encode()})
		}
		list = append(list, attempt{name: fmt.Sprintf("all are %.40q", bad), target: target, kind: encoded, body: all.Encode()})
		if strings.Contains(route.Path, ":") && bad != "" {
			list = append(list, attempt{name: "a wrong address", target: fill(route.Path, strings.ReplaceAll(bad, "/", "")), kind: encoded, body: fields.Encode(), hopeless: true})
		}
	}
	return list
}

// turn spreads junk over the fields of a form and the parameters of an address: each
// gets an eighth of it, and neighbors get different eighths. All of it at each took a
// quarter of an hour under the race detector and found nothing more.
func turn(junk, field int) bool { return junk%8 == field%8 }

// some are a form's fields, spread over it where it has very many: a grid's are all alike.
func some(fields url.Values) []string {
	const most = 8
	names := slices.Sorted(maps.Keys(fields))
	step := (len(names) + most - 1) / most
	var picked []string
	for i := 0; i < len(names); i += max(step, 1) {
		picked = append(picked, names[i])
	}
	return picked
}

// bodyAttempts are documents a program might send by mistake or on purpose.
func (w *world) bodyAttempts(t *testing.T, route web.Route) []attempt {
	t.Helper()
	const kind = "application/json"
	target := fill(route.Path, w.one.key.ID.String())
	var list []attempt
	for _, body := range []string{
		"", "null", "[]", "5", `"x"`, "{", "\x00", "\xff\xfe", `{"a":1,"a":2}`, `{} {}`, strings.Repeat("[", 100_000), strings.Repeat(`{"payload":`, 5000),
		`{"label":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		list = append(list, attempt{name: fmt.Sprintf("%.20q", body), target: target, kind: kind, body: body, hopeless: true})
	}
	list = append(list, attempt{name: "another kind", target: target, kind: "text/plain", body: "{}", hopeless: true})
	for _, name := range w.bodyFields(t, route) {
		for _, bad := range []any{nil, 5, -1, 1e300, true, []any{}, map[string]any{}, []any{[]any{1}}} {
			body, err := json.Marshal(map[string]any{name: bad})
			require.NoError(t, err)
			// Null is as good as leaving it out.
			list = append(list, attempt{name: string(body), target: target, kind: kind, body: string(body), hopeless: bad != nil})
		}
		for _, bad := range junk(w.two) {
			body, err := json.Marshal(map[string]any{name: bad, "reason": "to test"})
			require.NoError(t, err)
			list = append(list, attempt{name: fmt.Sprintf("%s is %.40q", name, bad), target: target, kind: kind, body: string(body)})
		}
	}
	if strings.Contains(route.Path, ":") {
		for _, bad := range junk(w.two)[1:] {
			list = append(list, attempt{name: "a wrong address", target: fill(route.Path, strings.ReplaceAll(bad, "/", "")), kind: kind, body: `{"reason":"to test"}`, hopeless: true})
		}
	}
	return list
}

// bodyFields are the fields of a body as the API's own document has them.
func (w *world) bodyFields(t *testing.T, route web.Route) []string {
	t.Helper()
	type schema struct {
		Ref        string         `json:"$ref"`
		Properties map[string]any `json:"properties"`
	}
	var document struct {
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema schema `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
	}
	got := w.do(request(http.MethodGet, "/api/v1/openapi.json", ""))
	require.NoError(t, json.Unmarshal([]byte(got.body), &document))
	path := pattern(`:([a-z_]+)`).ReplaceAllString(route.Path, "{$1}")
	body := document.Paths[path][strings.ToLower(route.Method)].RequestBody.Content["application/json"].Schema
	if name, named := strings.CutPrefix(body.Ref, "#/components/schemas/"); named {
		body = document.Components.Schemas[name]
	}
	require.NotEmpty(t, body.Properties, path)
	return slices.Sorted(maps.Keys(body.Properties))
}

// TestGarbageInAddresses opens every page with parameters nobody means.
func TestGarbageInAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.learn(t)
	for _, route := range w.web.Routes() {
		if route.Method != http.MethodGet {
			continue
		}
		target := k.targets[route.Path]
		if target == "" {
			target = fill(route.Path, w.one.key.ID.String())
		}
		names := append([]string{"cursor", "as_of", "period", "from", "to", "limit", "nothing"}, k.queries[route.Path]...)
		b := w.walker(t, w.one, app.RoleFinanceAdmin)
		for i, bad := range junk(w.two) {
			addresses := map[string]string{}
			for j, name := range names {
				if !turn(i, j) {
					continue
				}
				addresses[target+"?"+url.Values{name: {bad}}.Encode()] = target
			}
			if name := strings.ReplaceAll(bad, "/", ""); strings.Contains(route.Path, ":") && name != "" {
				addresses[fill(route.Path, url.PathEscape(name))] = ""
			}
			for address := range addresses {
				got := b.ask(request(http.MethodGet, address, ""))
				require.Less(t, got.status, http.StatusInternalServerError, "%.200s: %.300s", address, got.body)
				if route.SignedIn || route.Token { // a demo's doors list who is there
					for _, word := range w.two.words {
						require.NotContains(t, got.body, word, address)
					}
				}
				if strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
					wholesome(t, got)
				}
			}
		}
	}
}

// fill puts a text into every parameter of a route.
func fill(path, text string) string {
	return pattern(`:[a-z_]+`).ReplaceAllLiteralString(path, text)
}
