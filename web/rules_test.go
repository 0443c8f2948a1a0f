package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/usage"
)

func TestPagesOfRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{
			name: "the rules in force", role: app.RoleFinanceAdmin, target: "/rules", status: 200,
			must: []string{
				"Version 1, in force since 23 Nov 2026", "acme small models", "Model asked for is claude-haiku-…", "Tag team is acme-team or acme-lab…", "Between 22:00 and 06:00, UTC", "33.3333%", "66.6667%",
				"never fires: rule haiku takes all it would", "/requests?from=2026-10-01&amp;rule=rule%3Ahaiku&amp;to=2026-11-01", "acme sharing", "In force", "/rules.csv", "Propose a change", `href="/rules/edit?rule=team"`,
				`aria-current="page">Attribution rules`, "rules-acme-1.csv",
			},
		},
		{name: "for who may only read", role: app.RoleAuditor, target: "/rules", status: 200, must: []string{"acme small models"}, mustNot: []string{"/rules/edit"}},
		{name: "not a developer's", role: app.RoleDeveloper, target: "/rules", status: 403, mustNot: []string{`href="/rules"`}},
		{name: "not a budget owner's", role: app.RoleBudgetOwner, target: "/rules", status: 403},
		{name: "before there were any", role: app.RoleAnalyst, target: "/rules?as_of=2026-11-01", status: 200, must: []string{"No rules were in force then", "There are no rules"}, mustNot: []string{"Write the first one"}},
		{name: "a version", role: app.RoleAnalyst, target: "/rules?version=1", status: 200, must: []string{"Version 1", "Show those in force"}},
		{name: "no version", role: app.RoleAnalyst, target: "/rules?version=9", status: 404},
		{name: "no instant", role: app.RoleAnalyst, target: "/rules?as_of=soon", status: 422},
		{
			name: "the replay of a version", role: app.RoleAnalyst, target: "/rules/replay?version=1", status: 200,
			must: []string{"Replay of October 2026", "Moved to another node, October 2026", "Nothing was charged in October 2026", "rules-replay-acme-2026-10.csv", "What each rule would have placed"},
		},
		{name: "the replay of no version", role: app.RoleAnalyst, target: "/rules/replay?version=7", status: 404},
		{name: "the replay of another company's change", role: app.RoleAnalyst, target: "/rules/replay?change=" + w.two.change.ID.String(), status: 404},
		{name: "the replay of another kind of change", role: app.RoleAnalyst, target: "/rules/replay?change=" + w.one.change.ID.String(), status: 404},
		{
			name: "a test of facts", role: app.RoleController, target: "/rules/test?model=claude-opus-5-5&tags=team%3Dacme-lab-2&at=2026-11-24T23:00:00Z&key=Propulsion+key", status: 200,
			must: []string{"The attribution rule team.", "Fires", "Model asked for is claude-haiku-…: here it is claude-opus-5-5.", "A rule before it decided.", "66.6667%", "Propulsion key", "Tuesday"},
		},
		{name: "a test by the header's own words", role: app.RoleController, target: "/rules/test?at=2026-11-24T23:00:00Z&tags=" + url.QueryEscape(`{"team":"acme-team"}`), status: 200, must: []string{"The attribution rule team."}},
		{name: "a test where no rule fires", role: app.RoleController, target: "/rules/test?model=claude-opus-5-5", status: 200, must: []string{"No rule fires", "Name a key to see which"}},
		{name: "a test of a request", role: app.RoleController, target: "/rules/test?request=" + w.one.events[0].ID.String(), status: 200, must: []string{"no rules were in force", "At its time", "The virtual key&#39;s cost center."}},
		{name: "a test of a request under a version", role: app.RoleController, target: "/rules/test?version=1&request=req_acmea", status: 200, must: []string{"rules version", "Does not"}},
		{name: "a test of another company's request", role: app.RoleController, target: "/rules/test?request=" + w.two.events[0].ID.String(), status: 422, must: []string{"There is no such request", `aria-invalid="true"`}},
		{name: "a test of no tags", role: app.RoleController, target: "/rules/test?tags=team", status: 422, must: []string{"Tags are key=value"}},
		{name: "a test of no instant", role: app.RoleController, target: "/rules/test?at=noon", status: 422, must: []string{`value="noon"`}},
		{name: "a test of no version", role: app.RoleController, target: "/rules/test?version=9&model=x", status: 422},
		{name: "requests by rule", role: app.RoleAnalyst, target: "/requests?rule=rule:haiku", status: 200, must: []string{"No request matches", "Placed by rule haiku"}},
		{name: "writing a proposal", role: app.RoleEngineeringAdmin, target: "/rules/edit", status: 200, must: []string{"Made from", "As proposed so far", "0 differences", "Replay last month", "down:haiku", "up:opus"}, mustNot: []string{"up:haiku", "down:opus"}},
		{name: "writing on a rule", role: app.RoleEngineeringAdmin, target: "/rules/edit?rule=team", status: 200, must: []string{"Rule team", "acme-lab*", "33.3333", "Keep this rule"}},
		{name: "writing on no rule", role: app.RoleEngineeringAdmin, target: "/rules/edit?rule=none", status: 404},
		{name: "writing, not an auditor's", role: app.RoleAuditor, target: "/rules/edit", status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			for _, words := range c.must {
				require.Contains(t, got.body, words)
			}
			for _, words := range c.mustNot {
				require.NotContains(t, got.body, words)
			}
		})
	}
}

// carried are what a form carries along.
func carried(t *testing.T, page string) url.Values {
	t.Helper()
	values := url.Values{}
	for _, m := range regexp.MustCompile(`type="hidden" name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		values.Set(m[1], strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(m[2]))
	}
	require.NotEmpty(t, values.Get("document"))
	return values
}

// TestAProposalOfRulesIsWrittenWithoutScripts goes through the form as a browser that runs
// none: add a rule, move it, end another, replay, propose, and find it decided.
func TestAProposalOfRulesIsWrittenWithoutScripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	october := w.one.events[0]
	october.ID, october.RequestID = id.NewEvent(time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)), "req_october"
	october.Tags = map[string]string{"repository": "github.com/acme/rocket"}
	_, err := w.metering.Flush(t.Context(), w.one.tenant, []usage.Event{october})
	require.NoError(t, err)
	b := w.walker(t, w.one, app.RoleEngineeringAdmin)
	post := func(values url.Values) answer {
		return b.ask(request(http.MethodPost, "/rules/edit", values.Encode()))
	}
	step := func(page, name string, more ...string) answer {
		values := carried(t, page)
		values.Set("step", name)
		for i := 0; i < len(more); i += 2 {
			values.Add(more[i], more[i+1])
		}
		return post(values)
	}
	page := b.ask(request(http.MethodGet, "/rules/edit", ""))
	require.Equal(t, 200, page.status)
	page = step(page.body, "new")
	require.Contains(t, page.body, "A new rule")

	typed := []string{
		"code", "rocket", "name", "The rocket's repository", "when_field", "repository", "when_tag", "", "when_is", "github.com/acme/rocket*\n github.com/acme/engine",
		"when_field", "", "when_tag", "", "when_is", "", "to_code", "AC-P1", "to_percent", "33.3333", "to_code", "AC-20", "to_percent", "66.66",
	}
	wrong := step(page.body, "save", typed...)
	require.Equal(t, 422, wrong.status)
	require.Contains(t, wrong.body, "The shares of rule rocket come to 999933 parts per million")
	require.Contains(t, wrong.body, "github.com/acme/engine")
	require.Contains(t, wrong.body, `value="66.66"`)
	more := step(wrong.body, "more", typed...)
	require.Contains(t, more.body, `id="when_is_3"`)
	typed[len(typed)-1] = "66.6667"
	page = step(more.body, "save", append(typed, "place", "1")...)
	require.Equal(t, 200, page.status, page.body)
	require.Contains(t, page.body, "Repository is github.com/acme/rocket… or github.com/acme/engine")
	require.Contains(t, page.body, "1 difference from the latest version")
	require.Contains(t, page.body, "Added")

	page = step(page.body, "down:rocket")
	page = step(page.body, "end:opus")
	require.Contains(t, page.body, "2 differences")
	require.Contains(t, page.body, "Ended")
	replay := step(page.body, "replay", "reason", "the board")
	require.Equal(t, 200, replay.status)
	require.Contains(t, replay.body, "What these rules would have done in October 2026")
	require.Contains(t, replay.body, `value="the board"`)

	for reason, want := range map[string]string{"": "Say why", "x": "Rules take effect today"} {
		refused := step(page.body, "propose", "reason", reason, "from", map[string]string{"x": "2026-11-01"}[reason])
		require.Equal(t, 422, refused.status)
		require.Contains(t, refused.body, want)
	}
	sent := step(page.body, "propose", "reason", "the board", "from", "2026-11-24")
	require.Equal(t, http.StatusSeeOther, sent.status, sent.body)
	waiting := b.ask(request(http.MethodGet, sent.header.Get("Location"), ""))
	require.Contains(t, waiting.body, "Waits for a decision")
	require.Contains(t, waiting.body, "the board")
	still := b.ask(request(http.MethodGet, "/rules", ""))
	require.Contains(t, still.body, "acme small models", "nothing has changed")
	require.NotContains(t, still.body, "The rocket")

	change := regexp.MustCompile(`chg_[0-9a-f]{32}`).FindString(sent.header.Get("Location"))
	shown := w.see(t, w.one, app.RoleFinanceAdmin, "/rules/replay?change="+change)
	require.Equal(t, 200, shown.status)
	require.Contains(t, shown.body, "A proposed change")
	csv := w.see(t, w.one, app.RoleFinanceAdmin, "/rules/replay.csv?change="+change)
	golden(t, "rules-replay.csv", csv.body)

	for _, garbage := range []url.Values{{}, {"document": {"x"}, "base": {"1"}}, {"document": {`{"rules":[]}`}, "base": {"one"}}, {"document": {`{"rules":[]}`}, "base": {"0"}, "step": {"guess"}}} {
		require.Equal(t, 422, post(garbage).status, garbage)
	}
	stale := carried(t, page.body)
	stale.Set("base", "0")
	stale.Set("step", "propose")
	stale.Set("reason", "late")
	require.Equal(t, 409, post(stale).status)
}

func TestExportOfRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.see(t, w.one, app.RoleAnalyst, "/rules.csv")
	require.Equal(t, 200, got.status)
	golden(t, "rules.csv", got.body)
	require.Equal(t, 404, w.see(t, w.one, app.RoleAnalyst, "/rules.csv?version=3").status)
	require.Equal(t, 403, w.see(t, w.one, app.RoleDeveloper, "/rules/replay.csv").status)
}

func TestAPIRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	change := regexp.MustCompile(`(nod|chg)_[0-9a-f]{32}`)
	got := w.call(w.one, app.RoleServiceAccount, "/rules", "")
	require.Equal(t, 200, got.status, got.body)
	golden(t, "api/rules.json", pretty(t, change.ReplaceAllString(got.body, "${1}_0")))
	require.Empty(t, w.call(w.one, app.RoleServiceAccount, "/rules?as_of=2026-11-01", "").json(t)["data"])
	first := w.call(w.one, app.RoleServiceAccount, "/rules?limit=1", "").json(t)
	rest := w.call(w.one, app.RoleServiceAccount, "/rules?cursor="+first["next_cursor"].(string), "").json(t)
	require.Len(t, rest["data"], 2)
	for target, code := range map[string]string{"/rules?cursor=9": "cursor_syntax", "/rules?as_of=now": "instant_syntax"} {
		require.Equal(t, code, w.call(w.one, app.RoleServiceAccount, target, "").json(t)["code"])
	}
	require.Equal(t, 403, w.call(w.one, app.RoleDeveloper, "/rules", "").status)

	propose := func(payload string) map[string]any {
		return w.call(w.one, app.RoleServiceAccount, "/changes", `{"kind":"rules","reason":"from the sync","payload":`+payload+`}`).json(t)
	}
	described := w.do(request(http.MethodGet, "/api/v1/openapi.json", "")).body
	require.Contains(t, described, `"RulesPayload"`)
	made := propose(`{"base_version":1,"rules":[{"code":"all","name":"All","when":[],"to":[{"code":"AC-11","ppm":400000},{"code":"AC-20","ppm":600000}]}]}`)
	require.Equal(t, "proposed", made["state"], made)
	require.Contains(t, made["impact"], "4 rules change of 1")
	require.Equal(t, "rules_moved", propose(`{"base_version":0,"rules":[]}`)["code"])
	require.Equal(t, "rule_whole", propose(`{"rules":[{"code":"all","name":"All","when":[],"to":[{"code":"AC-11","ppm":4}]}]}`)["code"])
	require.Equal(t, "rule_node_absent", propose(`{"rules":[{"code":"all","name":"All","when":[],"to":[{"code":"ZE-11","ppm":1000000}]}]}`)["code"])
}

// TestASplitRequestIsShownInParts holds pages, files and the API to the pico-dollar of a
// request that a rule split.
func TestASplitRequestIsShownInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := w.snapshots
	require.NoError(t, tenant.Load(t.Context(), id.Tenant{}))
	snapshot := tenant.Current().Tenants[w.one.slug]
	split := w.one.events[0]
	split.ID, split.RequestID = id.NewEvent(time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)), "req_split"
	left, ok := snapshot.Tree.Code("AC-11")
	require.True(t, ok)
	right, ok := snapshot.Tree.Code("AC-20")
	require.True(t, ok)
	one, err := snapshot.Tree.Place(left.Node)
	require.NoError(t, err)
	two, err := snapshot.Tree.Place(right.Node)
	require.NoError(t, err)
	split.Shares = []usage.Share{{Placement: one.ID, PPM: 333_333}, {Placement: two.ID, PPM: 666_667}}
	split.Rule, split.RuleVersion = "rule:team", 1
	_, err = w.metering.Flush(t.Context(), w.one.tenant, []usage.Event{split})
	require.NoError(t, err)
	shown := w.see(t, w.one, app.RoleFinanceAdmin, "/requests/"+split.ID.String())
	for _, words := range []string{"The attribution rule team.", "33.3333%", "66.6667%", "/rules?version=1", "/rules/test?request=" + split.ID.String()} {
		require.Contains(t, shown.body, words)
	}
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/rules/test?request="+split.ID.String()).body, "At its time")
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/requests?rule=rule:team").body, "1 request on this page")
	golden(t, "requests-split.csv", w.see(t, w.one, app.RoleFinanceAdmin, "/requests.csv?request_id=req_split").body)
	golden(t, "api/usage_split.json", pretty(t, w.call(w.one, app.RoleFinanceAdmin, "/usage?request_id=req_split", "").body))
	// Who sees one part of it sees that part alone.
	part := w.see(t, w.one, app.RoleBudgetOwner, "/requests.csv?request_id=req_split").body
	require.Contains(t, part, "AC-11")
	require.NotContains(t, part, "AC-20")
}
