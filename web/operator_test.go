package web_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/job"
	"tollbook/db"
)

// failJob makes a job that has failed and says so.
func (w *world) failJob(t *testing.T, admin *sql.DB, c *company, state, says string) string {
	t.Helper()
	require.NoError(t, w.clone.EnqueueNow(t.Context(), job.ProveSums{Tenant: c.tenant.String()}))
	var made int64
	failure, err := json.Marshal(map[string]any{"at": now(), "attempt": 3, "error": says, "trace": ""})
	require.NoError(t, err)
	require.NoError(t, admin.QueryRow(`update river.river_job set state = $1::text::river.river_job_state, attempt = 3, attempted_at = $2::timestamptz,
		finalized_at = case when $1 = 'retryable' then null else $2::timestamptz end, errors = array[$3::jsonb] where kind = 'prove_sums' and args->>'tenant' = $4 returning id`,
		state, now().Add(-time.Hour), string(failure), c.tenant.String()).Scan(&made))
	return strconv.FormatInt(made, 10)
}

func ailing() app.Health {
	return app.Health{
		Ready: false, Ailing: "requests of 1 company do not reach the ledger (7 wait); the log says why",
		Gateway: &app.GatewayHealth{
			Pending: 1234, Bytes: 700 << 20, Bound: 1 << 30, Segments: 11, OldestPending: time.Hour, Flushed: 40, FlushLag: 5 * time.Second, FailingTenants: 1, FailingWaiting: 7,
			Orphans: 2, Broken: 1, SnapshotAge: 20 * time.Minute, SnapshotFailures: 3,
		},
		Pools: []app.PoolHealth{{Role: "app", Max: 16, Open: 9, InUse: 2}},
	}
}

func TestOperatorPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.health = ailing()
	admin := w.clone.Admin(t)
	given := w.failJob(t, admin, w.one, "discarded", "the sums\ndo not agree")
	again := w.failJob(t, admin, w.two, "retryable", "=cmd of <b>somebody</b>")
	for _, r := range []struct {
		quiet   time.Duration
		pending int
		ended   any
	}{{0, 17, nil}, {time.Hour, 17, nil}, {time.Hour, 98765, now()}} {
		_, err := admin.Exec(`insert into replica (replica_id, started_at, seen_at, flushed_through, pending, journal_bytes, ended_at) values (gen_random_uuid(), $1, $2, $2, $3, 3500000, $4)`,
			now().Add(-2*time.Hour), now().Add(-r.quiet), r.pending, r.ended)
		require.NoError(t, err)
	}
	_, err := admin.Exec(`insert into tenant_state (tenant_id, version_id, place, state, at, change_id) select $1, gen_random_uuid(), n, case n when 1 then 'active' else 'suspended' end, now(), c.change_id
		from generate_series(1, 2) n, (select change_id from change where tenant_id = $1 limit 1) c`, w.two.tenant.UUID())
	require.NoError(t, err)
	cases := []struct {
		name, target  string
		status        int
		must, mustNot []string
	}{
		{
			name: "everything", target: "/operator", status: 200,
			must: []string{
				"Acme Rockets", "zenith", "2 of 2", "Not ready", "do not reach the ledger (7 wait)", "700 MiB of 1 GiB in 11 segments", "filling", "1,234 requests not in the ledger", "behind",
				"95% of 40 requests within 5 s", "slow", "broken", "20 min old", "stale", "2 in use, 9 open of 16",
				"Suspended", "Active", "Silent", "Heard of", "3.3 MiB", "prove_sums", "Given up", "To be tried again", "the sums", "=cmd of &lt;b&gt;somebody", `href="/operator/jobs/jobs/` + given + `"`,
				"3 of 10", `href="/operator/jobs/"`, "/operator/tenants.csv", "Operator</a>",
			},
			mustNot: []string{"do not agree", "<b>somebody", "98,765"},
		},
		{name: "companies by a text", target: "/operator?q=ZEN", status: 200, must: []string{"1 of 2", "Zenith Optics", "/operator/tenants.csv?q=ZEN"}, mustNot: []string{"Acme Rockets</td>"}},
		{name: "companies by a text nobody has", target: "/operator?q=none", status: 200, must: []string{"0 of 2", "No company matches", "Clear the filter"}},
		{name: "an order there is not", target: "/operator?sort=dollars&q=keep", status: 422, must: []string{"Companies are sorted by", `value="keep"`, "Nothing is shown until"}, mustNot: []string{"Zenith Optics"}},
		{name: "a text too long", target: "/operator?q=" + strings.Repeat("x", 300), status: 422, must: []string{`aria-invalid="true"`}},
	}
	for _, c := range cases {
		got := w.see(t, w.one, operator, c.target)
		require.Equal(t, c.status, got.status, "%s: %s", c.name, got.body)
		main, manifests, _ := strings.Cut(mainOf(got), `<section class="manifest"`) // these name who reads
		require.NotContains(t, manifests, "Lenses")
		for _, text := range c.must {
			require.Contains(t, got.body, text, c.name)
		}
		for _, text := range append(c.mustNot, "$", "developer@", "Lenses", "Propulsion") {
			require.NotContains(t, main, text, "%s: nothing of a company's content", c.name)
		}
		wholesome(t, got)
	}
	files := map[string][]string{
		"tenants":  {"slug,name,suspended,created_at", "acme,Acme Rockets,false,2026-11-23T14:02:00Z,2026-11-23T14:02:00Z,2,true,", "zenith,Zenith Optics,true,"},
		"gateways": {"gateway,started_at", ",17,3500000,true", ",17,3500000,false"},
		"queues":   {"queue,paused,kind,state", "default,false,prove_sums,discarded,1,", "default,false,prove_sums,retryable,1,"},
		"failures": {"job,queue,kind,tenant", given + ",default,prove_sums,acme,discarded,3,10,2026-11-23T13:02:00Z,,the sums", again + ",default,prove_sums,zenith,retryable,3,10,", "'=cmd"},
	}
	for name, must := range files {
		got := w.see(t, w.one, operator, "/operator/"+name+".csv")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Contains(t, got.header.Get("Content-Disposition"), "operator-"+name+".csv")
		for _, text := range must {
			require.Contains(t, got.body, text, name)
		}
	}
	require.NotContains(t, w.see(t, w.one, operator, "/operator/tenants.csv?q=zen").body, "acme,")
	require.Equal(t, 422, w.see(t, w.one, operator, "/operator/tenants.csv?sort=x").status)
}

func TestOperatorSeesAnEmptyInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := request(http.MethodGet, "/operator", "")
	r.AddCookie(w.session(t, w.one, operator)) // a sign-in has a job of its own
	_, err := w.clone.Admin(t).Exec(`delete from river.river_job`)
	require.NoError(t, err)
	got := w.do(r)
	for _, text := range []string{"No gateway runs that has told of itself", "No gateway runs in this process", "No job waits, runs or failed", "No job waits to be tried again"} {
		require.Contains(t, got.body, text)
	}
	wholesome(t, got)
}

// mainOf is a page without what is around it.
func mainOf(a answer) string {
	_, after, _ := strings.Cut(a.body, "<main")
	inside, _, _ := strings.Cut(after, "</main")
	return inside
}

// TestOnlyOperatorsOperate opens every page of operators as everybody: what is not theirs
// looks like what is not there. And an operator has no right in a company for being one.
func TestOnlyOperatorsOperate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := 0
	for _, route := range w.web.Routes() {
		if !route.Operator {
			continue
		}
		opened++
		for _, role := range everybody() {
			r := request(route.Method, route.Path, `{"ids":["1"]}`)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.AddCookie(w.session(t, w.one, role))
			got := w.do(r)
			absent := w.see(t, w.one, role, "/requests/evt_none")
			require.Equal(t, absent.status, got.status, "%s %s as %s", route.Method, route.Path, role)
			if role == app.RoleTenantOwner || role == app.RoleDeveloper {
				require.Contains(t, mainOf(got), "There is no such page, or it is not yours to see.")
			}
			require.NotContains(t, got.body, `href="/operator"`)
		}
		for _, c := range []*company{w.one, w.two} {
			if route.Method == http.MethodGet {
				require.Equal(t, http.StatusOK, w.see(t, c, operator, route.Path).status, "%s as an operator", route.Path)
			}
		}
	}
	require.Equal(t, 9, opened)
	access, err := app.NewAccess()
	require.NoError(t, err)
	for _, route := range w.web.Routes() {
		if route.Method != http.MethodGet || route.Operator || !route.SignedIn || route.Object == "" || route.Object == "usage" {
			continue // a developer has requests of their own
		}
		target := w.one.path(t, route.Path)
		require.Equal(t, w.see(t, w.one, app.RoleDeveloper, target).status, w.see(t, w.one, operator, target).status, "%s: an operator is what their role is", target)
		if access.Check(app.Actor{Tenant: w.one.tenant, Kind: app.ActorPerson, Grants: []app.Grant{{Role: app.RoleDeveloper}}}, "member", "read") != nil && route.Object == "member" {
			require.Equal(t, http.StatusForbidden, w.see(t, w.one, operator, target).status, target)
		}
	}
}

// TestNobodyOperatesUnlessConfigured leaves the list empty.
func TestNobodyOperatesUnlessConfigured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.areas.Operators = app.NewOperators(w.clone.DB, nil, func() app.Health { return app.Health{} }, w.cfg.Log)
	w.cfg.JobPages = nil
	w.rebuild(t)
	for _, target := range []string{"/operator", "/operator/failures.csv", "/operator/jobs/", "/operator/jobs/api/jobs"} {
		require.Equal(t, http.StatusNotFound, w.see(t, w.one, operator, target).status, target)
	}
}

// TestJobPagesKeepTheStrictPolicy reads the queue's own page and everything it loads.
func TestJobPagesKeepTheStrictPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overTLS)
	b := w.walker(t, w.one, operator)
	page := b.ask(request(http.MethodGet, "/operator/jobs/", ""))
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, `"apiUrl":"/operator/jobs/api"`)
	strict(t, "/operator/jobs/", page.header.Get("Content-Security-Policy"))
	homeOnly(t, "/operator/jobs/", page.body)
	for _, script := range regexp.MustCompile(`(?is)<script[^>]*>`).FindAllString(page.body, -1) {
		require.Regexp(t, `^<script type="(module" src="/operator/jobs/assets/[^"]+"|application/json" id="config__json")>$`, script, "nothing runs that is not ours")
	}
	require.NotRegexp(t, `(?i)<style|\sstyle=|\son[a-z]+=`, page.body)
	loaded := 0
	for _, target := range attributes(page.body, "href", "src") {
		got := b.ask(request(http.MethodGet, target, ""))
		require.Equal(t, http.StatusOK, got.status, target)
		strict(t, target, got.header.Get("Content-Security-Policy"))
		require.Equal(t, "no-store", got.header.Get("Cache-Control"), target)
		loaded++
	}
	require.Greater(t, loaded, 3)
	require.Equal(t, http.StatusNotFound, w.walker(t, w.one, app.RoleTenantOwner).ask(request(http.MethodGet, "/operator/jobs/api/jobs", "")).status)
}

// logOf reads a company's pending and placed records of one action.
func (w *world) logOf(t *testing.T, c *company, action string) string {
	t.Helper()
	var records strings.Builder
	require.NoError(t, w.clone.InTenant(t.Context(), c.tenant, func(tx *db.Tx) error {
		rows, err := tx.SQL().Query(`select canonical from audit_record where action = $1 order by record_id`, action)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var canonical []byte
			require.NoError(t, rows.Scan(&canonical))
			records.Write(canonical)
		}
		return rows.Err()
	}))
	return records.String()
}

// TestAStepWithAJobIsRecorded tries jobs again, cancels and deletes them in the queue's
// own pages: the company's log says who, and says nothing to another company.
func TestAStepWithAJobIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.clone.Admin(t)
	failed := w.failJob(t, admin, w.one, "discarded", "the sums do not agree")
	cookie := w.session(t, w.one, operator)
	send := func(method, target, body string) answer {
		r := request(method, target, body)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Content-Type", "application/json")
		r.AddCookie(cookie)
		return w.do(r)
	}
	state := func() string {
		var text string
		require.NoError(t, admin.QueryRow(`select coalesce((select state::text from river.river_job where id = $1), 'none')`, failed).Scan(&text))
		return text
	}
	listed := w.see(t, w.one, operator, "/operator/jobs/api/jobs?state=discarded")
	require.Equal(t, http.StatusOK, listed.status, listed.body)
	require.Contains(t, listed.body, "prove_sums")
	for _, step := range []struct{ path, want string }{{"retry", "available"}, {"cancel", "cancelled"}, {"delete", "none"}} {
		got := send(http.MethodPost, "/operator/jobs/api/jobs/"+step.path, `{"ids":["`+failed+`"]}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, step.want, state(), step.path)
		record := w.logOf(t, w.one, "operator.job_"+step.path)
		require.Contains(t, record, `"kind":"prove_sums"`)
		require.Contains(t, record, `"job":`+failed)
		require.Contains(t, record, `"actor":"mem_`)
		require.Empty(t, w.logOf(t, w.two, "operator.job_"+step.path))
	}
	_, err := admin.Exec(`insert into river.river_queue (name, created_at, updated_at) values ('audit', now(), now())`)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, send(http.MethodPut, "/operator/jobs/api/queues/audit/pause", "").status)
	require.Contains(t, w.log.String(), `msg="an operator takes a step with a queue" step=pause queue=audit operator=mem_`)
	require.Contains(t, w.see(t, w.one, operator, "/operator").body, "Paused")
	require.Equal(t, http.StatusOK, send(http.MethodPut, "/operator/jobs/api/queues/audit/resume", "").status)
	require.Equal(t, http.StatusForbidden, w.crossed(cookie, "/operator/jobs/api/jobs/retry").status, "a form of another site")
}

func (w *world) crossed(cookie *http.Cookie, target string) answer {
	r := request(http.MethodPost, target, `{"ids":["1"]}`)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.AddCookie(cookie)
	return w.do(r)
}

// TestGarbageFromAnOperator sends what nobody means to what only operators reach.
func TestGarbageFromAnOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failed := w.failJob(t, w.clone.Admin(t), w.one, "discarded", "x")
	b := w.walker(t, w.one, operator)
	for _, bad := range junk(w.two) {
		for _, target := range []string{"/operator", "/operator/tenants.csv", "/operator/failures.csv"} {
			for _, name := range []string{"q", "sort", "manifest", "as_of"} {
				got := b.ask(request(http.MethodGet, target+"?"+url.Values{name: {bad}}.Encode(), ""))
				require.Less(t, got.status, http.StatusInternalServerError, "%s %s=%.40q: %.300s", target, name, bad, got.body)
				wholesome(t, got)
			}
		}
	}
	before := w.rows(t)
	bodies := []string{
		"", "null", "[]", "{", `{"ids":[]}`, `{"ids":null}`, `{"ids":["1e3"]}`, `{"ids":[1.5]}`, `{"ids":["x"]}`, `{"ids":[` + failed + `,99999999999999999999]}`, `{"ids":["` + failed + `"],"more":1}`,
		`{"ids":["` + failed + `"]} {}`, `{"ids":[` + strings.Repeat("1,", 5000) + `1]}`, strings.Repeat("[", 60_000), "\x00", `{"ids":"` + strings.Repeat("9", 100_000) + `"}`,
	}
	targets := []string{"/operator/jobs/api/jobs/retry", "/operator/jobs/api/jobs/eat", "/operator/jobs/api/jobs", "/operator/jobs/", "/operator/jobs/api/queues/default/pause", "/operator/jobs/api/../retry"}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		for _, target := range targets {
			for _, body := range bodies {
				if method == http.MethodPut && strings.HasSuffix(target, "/pause") {
					continue // takes no body
				}
				r := request(method, "/", body)
				r.URL = &url.URL{Path: target}
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				got := b.ask(r)
				say := fmt.Sprintf("%s %s %.40q: %d %.200s", method, target, body, got.status, got.body)
				require.GreaterOrEqual(t, got.status, 400, say)
				require.Less(t, got.status, 500, say)
			}
		}
	}
	require.Equal(t, before, w.rows(t), "nothing of it left a record or a row")
}
