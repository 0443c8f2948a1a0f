package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

func TestPages(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	event := w.one.events[0].ID.String()
	cases := []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{
			name: "the month of the whole company", role: app.RoleFinanceAdmin, target: "/", status: 200,
			must: []string{
				"Chargeback, November 2026", "day 23 of 30", "Acme Rockets", "Propulsion unit", "AC-10", "agrees", "1 error, not charged", "1 provisional",
				"/requests?from=2026-11-01&amp;node=AC-11&amp;to=2026-12-01", "Ledger through batch", "waiting for its place in the audit log", "Against 1–22 Oct",
				"Against plan, 1–23 Nov", "−$0.11", "6.7% under $1.61", "month forecast", "too few earlier weeks", "Plan to date: 23 of 30 days of original, today counted whole", "0.69", "+0.03", "the month&#39;s plan used, 76% of days gone",
				"Capitalized and expensed", "To month's end", "mean of the same weekday", "By month", "Choose a month", "with manifest", "chargeback-acme-2026-11-node.csv", "SHA-256",
				`href="/?period=2026-10"`, "Finance admin", "/keys",
			},
			mustNot: []string{"Jan 2027", "Dec 2026"},
		},
		{
			name: "a subtree sees only itself", role: app.RoleBudgetOwner, target: "/", status: 200,
			must: []string{"Propulsion unit", "Shown to whoever sees the whole company"}, mustNot: []string{"Propulsion office", "AC-20", `href="/keys"`},
		},
		{
			name: "a month that is over", role: app.RoleFinanceAdmin, target: "/?period=2026-10", status: 200,
			must: []string{"Chargeback, October 2026", "all 31 days"}, mustNot: []string{"To month's end", "month forecast"},
		},
		{
			name: "as it was known before there was a plan", role: app.RoleAuditor, target: "/?known_at=2026-11-01", status: 200,
			must: []string{"No plan is in force for this month", "As known at 1 Nov 2026 00:00:00 UTC; charges are all that are posted"}, mustNot: []string{"Plan to date: "},
		},
		{
			name: "why a month differs", role: app.RoleAnalyst, target: "/chargeback/movement?period=2026-11", status: 200,
			must: []string{"Why November 2026 differs from October 2026", "1 to 22 Nov against 1 to 22 Oct", "Cache read", "What the parts are", "/chargeback/movement.csv?period=2026-11"},
		},
		{name: "a month that is to come differs from nothing", role: app.RoleAnalyst, target: "/chargeback/movement?period=2027-03", status: 200, must: []string{"Nothing to compare", "is not over"}},
		{name: "why, not a developer's", role: app.RoleDeveloper, target: "/chargeback/movement", status: 403},
		{name: "by project, with what is on none", role: app.RoleAnalyst, target: "/?group_by=project", status: 200, must: []string{"Propulsion project", "On no project"}},
		{
			name: "by developer, with what names none", role: app.RoleAuditor, target: "/?group_by=developer", status: 200,
			must: []string{"developer@acme.test", "Undeclared", "developer=undeclared"},
		},
		{name: "by model", role: app.RoleController, target: "/?group_by=model", status: 200, must: []string{"claude-opus-5-5", "claude-opus-99", "model=claude-opus-5-5"}},
		{name: "by key", role: app.RoleTenantOwner, target: "/?group_by=key&period=2026-11", status: 200, must: []string{"Propulsion key", "Propulsion office key"}},
		{name: "an empty month", role: app.RoleFinanceAdmin, target: "/?period=2025-01", status: 200, must: []string{"Nothing was spent in this month", "Go to November 2026"}},
		{name: "before the tree", role: app.RoleFinanceAdmin, target: "/?as_of=2026-09-01", status: 200, must: []string{"as of 1 Sep 2026", "(retired)"}},
		{name: "no such period", role: app.RoleFinanceAdmin, target: "/?period=november", status: 422, must: []string{"YYYY-MM"}},
		{name: "no such grouping", role: app.RoleFinanceAdmin, target: "/?group_by=mood", status: 422},
		{
			name: "requests", role: app.RoleEngineeringAdmin, target: "/requests", status: 200,
			must: []string{"2026-11-23 14:02:00", "Error 529", "Unpriced", "AC-11", "developer@acme.test", "not declared", "/requests/" + event},
		},
		{name: "requests of a node and below", role: app.RoleAnalyst, target: "/requests?node=AC-10", status: 200, must: []string{"Propulsion key"}, mustNot: []string{"Propulsion office key</td>"}},
		{name: "provisional requests", role: app.RoleAnalyst, target: "/requests?state=provisional", status: 200, must: []string{"Unpriced", "1 request on this page"}},
		{name: "dearest first", role: app.RoleAnalyst, target: "/requests?sort=dearest", status: 200, must: []string{"Dearest first", "11 requests on this page", "These are the least dear."}},
		{name: "requests with a tag", role: app.RoleAnalyst, target: "/requests?tag=team%3Dacme-team", status: 200, must: []string{"1 request on this page", `value="team=acme-team"`, "<details class=\"more\" open"}},
		{name: "requests of an amount", role: app.RoleAnalyst, target: "/requests?max=0", status: 200, must: []string{"1 request on this page", "Error 529"}},
		{name: "one of our ids", role: app.RoleAnalyst, target: "/requests?request_id=" + event, status: 200, must: []string{"1 request on this page"}},
		{name: "no amount", role: app.RoleAnalyst, target: "/requests?min=much", status: 422, must: []string{"US dollars", `aria-invalid="true"`, `value="much"`}},
		{name: "no such order", role: app.RoleAnalyst, target: "/requests?sort=cheapest", status: 422, must: []string{"newest first, or dearest first"}},
		{name: "filtered out", role: app.RoleAnalyst, target: "/requests?session=nobody", status: 200, must: []string{"No request matches", "Clear the filter"}},
		{name: "an absent node", role: app.RoleAnalyst, target: "/requests?node=NOPE", status: 422, must: []string{"No node has the code", `role="alert"`}},
		{name: "an empty range", role: app.RoleAnalyst, target: "/requests?from=2026-11-02&to=2026-11-02", status: 422, must: []string{"after the start"}},
		{
			name: "a developer's front page leads to the own requests", role: app.RoleDeveloper, target: "/", status: 303,
		},
		{
			name: "own requests", role: app.RoleDeveloper, target: "/requests", status: 200,
			must: []string{"My requests", "My spend, November 2026", "Propulsion key"}, mustNot: []string{`name="developer"`, "Chargeback<", "not declared"},
		},
		{name: "others' requests are refused", role: app.RoleDeveloper, target: "/requests?developer=somebody@acme.test", status: 403},
		{
			name: "a request", role: app.RoleAuditor, target: "/requests/" + event, status: 200,
			must: []string{
				event, "req_acmea", "Charge by class", "price book version 1", "Cache read", "30,000", "0.20", "AC-10 / AC-11", "100%", "The virtual key&#39;s cost center.",
				"23 Nov 2026 14:02:00 UTC", "declared", "data-copy", "Sent to the provider", "+320 ms", "+4.5 s", "&#34;input_tokens&#34;: 100", "end_turn", "the main one",
				"/sessions/session-acme", "its record waits for its place", "posted to November 2026", `/prices?era=all&amp;model=claude-opus-5-5&amp;version=1`,
			},
		},
		{
			name: "a request to who may not see prices", role: app.RoleDeveloper, target: "/requests/" + event, status: 200, must: []string{"price book version 1"},
			mustNot: []string{`href="/prices`},
		},
		{name: "a request with a provisional price", role: app.RoleAuditor, target: "/requests/" + w.one.events[2].ID.String(), status: 200, must: []string{"model_unknown", "errs high", "no such model", "A decision on the price settles it"}},
		{name: "an error", role: app.RoleAuditor, target: "/requests/" + w.one.events[1].ID.String(), status: 200, must: []string{"Nothing is charged.", "529", "None is kept"}},
		{name: "a request with tags", role: app.RoleAuditor, target: "/requests/" + w.one.events[4].ID.String(), status: 200, must: []string{"Tag team", "acme-team"}},
		{name: "another company's request", role: app.RoleFinanceAdmin, target: "/requests/" + w.two.events[0].ID.String(), status: 404},
		{name: "somebody else's request", role: app.RoleDeveloper, target: "/requests/" + w.one.events[3].ID.String(), status: 404},
		{name: "no id", role: app.RoleAuditor, target: "/requests/evt_zzz", status: 404},
		{
			name: "sessions", role: app.RoleFinanceAdmin, target: "/sessions", status: 200,
			must: []string{"1 session on this page", `href="/sessions/session-acme"`, "13 days", "developer@acme.test", "and 1 more", "/sessions.csv", "/requests?session=session-acme"},
		},
		{name: "one's own sessions", role: app.RoleDeveloper, target: "/sessions", status: 200, must: []string{"My sessions", "session-acme"}, mustNot: []string{`name="developer"`}},
		{name: "sessions below a node", role: app.RoleBudgetOwner, target: "/sessions?node=AC-11", status: 200, must: []string{"session-acme"}},
		{name: "sessions filtered out", role: app.RoleAnalyst, target: "/sessions?developer=undeclared&to=2026-10-02", status: 200, must: []string{"No session matches", "Clear the filter"}},
		{name: "sessions of an absent node", role: app.RoleAnalyst, target: "/sessions?node=NOPE", status: 422, must: []string{"No node has the code"}},
		{
			name: "a session", role: app.RoleAuditor, target: "/sessions/session-acme", status: 200,
			must: []string{
				"Without the prompt cache", "every prompt token at its request&#39;s own rate of input", "The cache saved", "Turns 1 to 12 of 12", "/requests/" + event,
				"Cost over time", "a column is 6 hours", "Main", "Sub-agents", "agent-2", "/sessions/session-acme/turns.csv", "1 error, not charged",
			},
		},
		{name: "a turn far into a session", role: app.RoleAuditor, target: "/sessions/session-acme?turn=12", status: 200, must: []string{"Turns 12 to 12 of 12", "Earlier turns"}},
		{name: "no such turn", role: app.RoleAuditor, target: "/sessions/session-acme?turn=13", status: 422, must: []string{"numbered 1 to 12"}},
		{name: "no such session", role: app.RoleAuditor, target: "/sessions/none", status: 404},
		{name: "another company's session", role: app.RoleAuditor, target: "/sessions/session-zenith", status: 404},
		{
			name: "the spend explorer", role: app.RoleFinanceAdmin, target: "/explore", status: 200,
			must: []string{
				"US dollars by cost center and model, 1 Nov 2026 to 23 Nov 2026", "from the daily sums", "AC-10 Propulsion unit", "claude-opus-99", "Saved views", "Tags to group by",
				"/requests?from=2026-11-01&amp;model=claude-opus-99&amp;node=AC-10&amp;to=2026-11-24", "/explore.csv",
			},
		},
		{
			name: "explored by day", role: app.RoleAuditor, target: "/explore?by=model&and=day&measure=tokens", status: 200,
			must: []string{"Tokens by day and model", "The table below holds the same numbers", "22 Nov 2026", "from=2026-11-21&amp;model=claude-opus-99&amp;to=2026-11-22"}, mustNot: []string{"Saved views", "Tags to group by"},
		},
		{name: "explored by class", role: app.RoleAnalyst, target: "/explore?by=class&and=none", status: 200, must: []string{"Cache write 5m", "read one by one"}, mustNot: []string{"Tags to group by"}},
		{name: "cache hits", role: app.RoleAnalyst, target: "/explore?by=week&measure=cache_hits", status: 200, must: []string{"Cache hit rate by week", "Week of 16 Nov 2026", "93."}},
		{name: "errors", role: app.RoleAnalyst, target: "/explore?by=key&and=none&measure=errors", status: 200, must: []string{"Propulsion office key", "state=error"}},
		{name: "one's own spend explored", role: app.RoleDeveloper, target: "/explore?by=day&and=developer", status: 200, must: []string{"developer@acme.test", "Saved views"}, mustNot: []string{"Undeclared", `name="developer"`}},
		{name: "a subtree explored", role: app.RoleBudgetOwner, target: "/explore", status: 200, must: []string{"AC-10 Propulsion unit"}, mustNot: []string{"AC-20"}},
		{name: "nothing to explore", role: app.RoleAnalyst, target: "/explore?from=2025-01-01&to=2025-02-01", status: 200, must: []string{"Nothing to show", "Start over"}},
		{name: "explored by nonsense", role: app.RoleAnalyst, target: "/explore?by=mood", status: 422, must: []string{"Spend is grouped by"}},
		{name: "no such level", role: app.RoleAnalyst, target: "/explore?level=x", status: 422, must: []string{"A level of the tree"}},
		{name: "no such day", role: app.RoleAnalyst, target: "/explore?from=yesterday", status: 422, must: []string{"A day is written as", `value="yesterday"`, `aria-invalid="true"`}},
		{name: "too many days", role: app.RoleAnalyst, target: "/explore?from=2020-01-01", status: 422, must: []string{"1 to 366 days"}},
		{name: "explored by an undeclared tag", role: app.RoleAnalyst, target: "/explore?by=tag:team", status: 422},
		{name: "keys to make", role: app.RoleEngineeringAdmin, target: "/keys", status: 200, must: []string{"Propulsion key", "Make a virtual key", "Rotate", "Revoke", "/keys.csv", "November 2026, USD", "2 keys"}, mustNot: []string{"tbk_"}},
		{name: "keys sorted", role: app.RoleEngineeringAdmin, target: "/keys?sort=-spend", status: 200, must: []string{`aria-sort="descending"`, "/keys?sort=spend"}},
		{name: "keys of a node", role: app.RoleEngineeringAdmin, target: "/keys?node=AC-20&state=active", status: 200, must: []string{"Propulsion office key", "1 key"}, mustNot: []string{">Propulsion key<"}},
		{name: "no key matches", role: app.RoleAuditor, target: "/keys?q=none", status: 200, must: []string{"No key matches", "Clear the filter"}},
		{name: "no such state of a key", role: app.RoleAuditor, target: "/keys?state=lost", status: 422, must: []string{"active, expired or revoked", `role="alert"`}},
		{name: "no such order of keys", role: app.RoleAuditor, target: "/keys?sort=mood", status: 422, must: []string{"sorted by"}},
		{name: "no such page of keys", role: app.RoleAuditor, target: "/keys?page=x", status: 422, must: []string{"no page of this list"}},
		{
			name: "a key", role: app.RoleEngineeringAdmin, target: "/keys/" + w.one.key.ID.String(), status: 200,
			must: []string{"Propulsion key", "AC-10 / AC-11", "every model", "as long as the key", "Made", "the key", "Spend, November 2026", "/requests?from=2026-11-01&amp;key=", "Rotate", "Last used"}, mustNot: []string{"tbk_"},
		},
		{name: "a key to look at", role: app.RoleAuditor, target: "/keys/" + w.one.key.ID.String(), status: 200, must: []string{"Propulsion key"}, mustNot: []string{"Rotate", "Revoke"}},
		{name: "another company's key page", role: app.RoleFinanceAdmin, target: "/keys/" + w.two.key.ID.String(), status: 404},
		{name: "no key page", role: app.RoleFinanceAdmin, target: "/keys/new-one", status: 404},
		{name: "a key to be made", role: app.RoleFinanceAdmin, target: "/keys/new", status: 200, must: []string{"Make key", "Only these models"}},
		{
			name: "what rotating does", role: app.RoleFinanceAdmin, target: "/keys/" + w.one.key.ID.String() + "/rotate", status: 200,
			must: []string{"Rotate Propulsion key?", "2026-11-24T14:02:00Z", "both count as one key"},
		},
		{name: "rotating another company's key", role: app.RoleFinanceAdmin, target: "/keys/" + w.two.key.ID.String() + "/rotate", status: 404},
		{name: "keys to look at", role: app.RoleAuditor, target: "/keys", status: 200, must: []string{"Propulsion key"}, mustNot: []string{"Make a virtual key", "/revoke", "Rotate"}},
		{
			name: "a search", role: app.RoleFinanceAdmin, target: "/search?q=propulsion", status: 200,
			must: []string{"Cost centers and projects", `href="/nodes/AC-11"`, "/keys/key_", "AC-11 Propulsion team", "/explore?by=day&amp;node=AC-11", "Virtual keys", "Propulsion office key", "Active, AC-20", `value="propulsion"`},
		},
		{name: "a search for a person", role: app.RoleBudgetOwner, target: "/search?q=developer@", status: 200, must: []string{"Developers", "developer@acme.test", "declared"}, mustNot: []string{"AC-20"}},
		{name: "a search for a month", role: app.RoleFinanceAdmin, target: "/search?q=october+2026", status: 200, must: []string{"Periods", "October 2026", `href="/?period=2026-10"`, "from=2026-10-01&amp;to=2026-11-01"}},
		{name: "a developer's search for a month", role: app.RoleDeveloper, target: "/search?q=2026-10", status: 200, must: []string{"October 2026"}, mustNot: []string{`href="/?period`}},
		{name: "a search for a day", role: app.RoleAuditor, target: "/search?q=3+Nov+2026", status: 200, must: []string{"a UTC day", "from=2026-11-03&amp;to=2026-11-04"}},
		{name: "a search for a request", role: app.RoleAuditor, target: "/search?q=" + event, status: 303},
		{name: "a search for the provider's request", role: app.RoleAuditor, target: "/search?q=req_acmec", status: 303},
		{name: "a search for a session", role: app.RoleAuditor, target: "/search?q=session-acme", status: 303},
		{name: "a search without a text", role: app.RoleAuditor, target: "/search", status: 200, must: []string{"What to search for"}},
		{name: "a search without a result", role: app.RoleAuditor, target: "/search?q=nobody%3Cb%3E", status: 200, must: []string{"Nothing found", "nobody&lt;b&gt;"}},
		{name: "a search for another company's session", role: app.RoleAuditor, target: "/search?q=session-zenith", status: 200, must: []string{"Nothing found"}},
		{name: "a search that is too long", role: app.RoleAuditor, target: "/search?q=" + strings.Repeat("x", 201), status: 422, must: []string{"at most 200 bytes"}},
		{name: "keys not permitted", role: app.RoleBudgetOwner, target: "/keys", status: 403, must: []string{"Not permitted", "Ask a tenant owner", "Propulsion budget_owner, Budget owner"}},
		{
			name: "what ends is restated", role: app.RoleFinanceAdmin, target: "/keys/" + w.one.key.ID.String() + "/revoke", status: 200,
			must: []string{"Revoke Propulsion key?", "AC-11", "cannot be undone"},
		},
		{name: "another company's key", role: app.RoleFinanceAdmin, target: "/keys/" + w.two.key.ID.String() + "/revoke", status: 404},
		{
			name: "prices in force", role: app.RoleFinanceAdmin, target: "/prices", status: 200,
			must: []string{
				"Price book 1", "in force", "claude-opus-5-5", "above 100,000", "0.125", "Waiting for a decision", "acme order form", "Propose a contract discount",
				"US inference", "× 11/10", "$0.01 per use", "/prices/changes/" + w.one.change.ID.String(), "/prices.csv", "2026-11-30",
			},
			mustNot: []string{`<th scope="row">claude-3-7-sonnet`},
		},
		{name: "prices that ended", role: app.RoleAuditor, target: "/prices?era=past&model=claude-opus-4-6&speed=fast", status: 200, must: []string{"60.00", "225.00", "6.00", "2026-03-13", "3 rates"}, mustNot: []string{"Propose a contract discount"}},
		{name: "no rate matches", role: app.RoleAnalyst, target: "/prices?speed=fast&model=claude-haiku-5-5", status: 200, must: []string{"No rate matches", "Show all of them"}},
		{name: "a version of the price book", role: app.RoleController, target: "/prices?version=1", status: 200, must: []string{"Price book 1"}},
		{name: "no such version", role: app.RoleController, target: "/prices?version=7", status: 404, must: []string{"no such version"}},
		{name: "no such era", role: app.RoleController, target: "/prices?era=future", status: 422},
		{name: "prices not permitted", role: app.RoleDeveloper, target: "/prices", status: 403, must: []string{"Not permitted"}, mustNot: []string{`href="/prices"`}},
		{
			name: "a proposal restated to who may decide", role: app.RoleController, target: "/prices/changes/" + w.one.change.ID.String(), status: 200,
			must: []string{"12.34% off list", "from 1 Jan 2027", "price book 1", "No request since then", "/changes/" + w.one.change.ID.String() + "#decide", "Digest", "Contract discount"},
		},
		{
			name: "a proposal to who may look", role: app.RoleAuditor, target: "/prices/changes/" + w.one.change.ID.String(), status: 200,
			must: []string{"12.34% off list", "Waits for a decision"}, mustNot: []string{"<form class=\"form body\""},
		},
		{name: "another company's proposal", role: app.RoleController, target: "/prices/changes/" + w.two.change.ID.String(), status: 404},
		{name: "a change of another kind", role: app.RoleController, target: "/prices/changes/" + w.one.key.Change.ID.String(), status: 404},
		{
			name: "a cost center", role: app.RoleFinanceAdmin, target: "/nodes/AC-11", status: 200,
			must: []string{
				"Propulsion team", "<code>AC-11</code>, cost center", "Actual, November 2026", "Against plan, 1–23 Nov", `href="/plan?`, `href="/nodes/AC-10"`, `href="/nodes/AC-P1"`, "Propulsion project", "6410",
				"developer@acme.test", "Propulsion key", "from 1 Oct 2026 on", "the tree", "below AC-10", "/requests?from=2026-11-01&amp;node=AC-11&amp;to=2026-12-01",
				"Dec 2025", "/nodes/AC-11/months.csv", `href="/nodes/AC-11?period=2026-10"`,
			},
			mustNot: []string{"Propulsion office"},
		},
		{
			name: "a cost center's earlier month", role: app.RoleAuditor, target: "/nodes/AC-10?period=2026-10", status: 200,
			must: []string{"Actual, October 2026", "all 31 days", "Nobody spent here", "No key charged it", `href="/nodes/AC-11?period=2026-10"`},
		},
		{name: "the root of a subtree", role: app.RoleBudgetOwner, target: "/nodes/AC-10", status: 200, must: []string{"Propulsion unit", "AC-11"}, mustNot: []string{"AC-20"}},
		{name: "outside the subtree", role: app.RoleBudgetOwner, target: "/nodes/AC-20", status: 404, mustNot: []string{"Propulsion office"}},
		{name: "before it was", role: app.RoleAuditor, target: "/nodes/AC-11?as_of=2026-09-01", status: 404, must: []string{"at that time"}},
		{name: "another company's cost center", role: app.RoleFinanceAdmin, target: "/nodes/ZE-11", status: 404},
		{name: "a cost center in no month", role: app.RoleAuditor, target: "/nodes/AC-11?period=x", status: 422},
		{name: "a cost center not permitted", role: app.RoleDeveloper, target: "/nodes/AC-11", status: 403},
		{
			name: "how to connect", role: app.RoleEngineeringAdmin, target: "/connect", status: 200,
			must: []string{
				"export ANTHROPIC_BASE_URL=http://127.0.0.1:8080/gw/acme", "managed-settings.json", "forceLoginMethod", "CLAUDE_CODE_GATEWAY_HINT_HEADERS", "skipWebFetchPreflight",
				"x-tollbook-tags", "Waiting", "since 2026-11-23 14:02:00 UTC", "/connect?since=2026-11-23T14%3A02%3A00Z", "Propulsion key …", `data-waits="/connect/first?since=`,
			},
			mustNot: []string{"data-arrived"},
		},
		{
			name: "the first request by a key", role: app.RoleFinanceAdmin, target: "/connect?since=2026-11-23&key=" + w.one.key.ID.String(), status: 200,
			must: []string{"data-arrived", "/requests/" + event, "charged to AC-11 by Propulsion key, developer developer@acme.test, declared."},
		},
		{
			name: "one's own first request", role: app.RoleDeveloper, target: "/connect?since=2020-01-01", status: 200,
			must: []string{"data-arrived", "/requests/" + event}, mustNot: []string{"Made by", "/keys/new"},
		},
		{name: "nobody's own request", role: app.RoleAuditor, target: "/connect?since=2026-11-01", status: 200, must: []string{"Waiting"}, mustNot: []string{"data-arrived"}},
		{name: "waiting since no instant", role: app.RoleDeveloper, target: "/connect?since=lunch", status: 422, must: []string{`role="alert"`}},
		{name: "waiting for no key", role: app.RoleDeveloper, target: "/connect/first?since=2026-11-23&key=mine", status: 422, must: []string{"no virtual key"}},
		{name: "waiting for another company's key", role: app.RoleFinanceAdmin, target: "/connect/first?since=2026-11-22&key=" + w.two.key.ID.String(), status: 200, must: []string{"Waiting"}, mustNot: []string{"data-arrived"}},
		{name: "no page", role: app.RoleFinanceAdmin, target: "/nothing-here", status: 404, must: []string{"no such page"}},
		{name: "the gallery", role: app.RoleFinanceAdmin, target: "/_gallery", status: 200, must: []string{"Gallery"}},
		{name: "a problem explained", role: app.RoleFinanceAdmin, target: "/problems/token_unknown", status: 200, must: []string{"Token unknown"}},
		{name: "no problem", role: app.RoleFinanceAdmin, target: "/problems/nope", status: 404},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range append(c.mustNot, w.two.words...) {
				require.NotContains(t, got.body, text)
			}
			wholesome(t, got)
		})
	}
}

// wholesome is what every page must be: within the strict policy, kept by no cache.
func wholesome(t *testing.T, got answer) {
	t.Helper()
	require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self'")
	require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
	if !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		return
	}
	require.NotRegexp(t, pattern(`(?i)<[^>]*\s(style|on[a-z]+|hx-on[^=]*)\s*=`), got.body, "inline style or script")
	require.NotRegexp(t, pattern(`(?i)<style|javascript:|js:`), got.body)
	for _, script := range pattern(`(?is)<script[^>]*>.*?</script>`).FindAllString(got.body, -1) {
		require.Regexp(t, pattern(`^<script type="module" src="/assets/[0-9a-f]{16}/js/[a-z]+\.js"></script>$`), script)
	}
	require.NotRegexp(t, pattern(`(src|href)="(https?:)?//[^"]*"`), strings.ReplaceAll(got.body, "http://127.0.0.1:8080", ""), "nothing comes from elsewhere")
}

func TestKeyIsMadeShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleEngineeringAdmin)
	post := func(target string, form url.Values) answer {
		r := request(http.MethodPost, target, form.Encode())
		r.AddCookie(cookie)
		return w.do(r)
	}
	bad := post("/keys", url.Values{"label": {" "}, "cost_center": {"AC-11"}, "reason": {"to test"}})
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, "needs a label")
	require.Contains(t, bad.body, `aria-invalid="true"`)
	for field, value := range map[string]string{"models": "*", "requests_per_minute": "many", "projects": "ZE-P1", "expires_at": "tomorrow"} {
		got := post("/keys", url.Values{"label": {"k"}, "cost_center": {"AC-11"}, "reason": {"x"}, field: {value}})
		require.Equal(t, 422, got.status, field)
		require.Regexp(t, `id="`+field+`"[^>]*value="`+regexp.QuoteMeta(value)+`"[^>]*aria-invalid="true"`, got.body, "what was typed stays")
	}

	form := url.Values{"label": {"=cmd()"}, "cost_center": {"AC-11"}, "reason": {"to test"}, "expires_at": {"2027-01-31"}, "once": {"form_1"}, "models": {"claude-opus-5-5, claude-haiku-*"}, "requests_per_minute": {"30"}, "projects": {"AC-20"}}
	made := post("/keys", form)
	require.Equal(t, 201, made.status, made.body)
	secret := regexp.MustCompile(`tbk_[a-z0-9]{32}`).FindString(made.body)
	require.NotEmpty(t, secret)
	require.Equal(t, "no-store", made.header.Get("Cache-Control"))
	require.Equal(t, secret, regexp.MustCompile(`tbk_[a-z0-9]{32}`).FindString(post("/keys", form).body), "a form sent twice makes one key")
	list := w.see(t, w.one, app.RoleEngineeringAdmin, "/keys")
	detail := w.see(t, w.one, app.RoleEngineeringAdmin, regexp.MustCompile(`/keys/key_[0-9a-f]{32}`).FindString(made.body))
	for _, word := range []string{"claude-haiku-*, claude-opus-5-5", "30 billed requests a minute", "and AC-20", "31 Jan 2027"} {
		require.Contains(t, detail.body, word)
	}
	require.NotContains(t, list.body, secret)
	require.Contains(t, list.body, "31 Jan 2027")
	require.NotContains(t, w.log.String(), secret)

	path := regexp.MustCompile(`/keys/key_[0-9a-f]{32}/revoke`).FindString(list.body)
	require.Equal(t, 422, post(path, url.Values{}).status)
	ended := post(path, url.Values{"reason": {"lost"}})
	require.Equal(t, 303, ended.status, ended.body)
	require.Contains(t, w.see(t, w.one, app.RoleEngineeringAdmin, "/keys").body, "Revoked")
	require.Equal(t, 409, post(path, url.Values{"reason": {"lost"}}).status)
}

func TestViewsAndTagsOfTheExplorer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	post := func(role app.Role, target string, form url.Values) answer {
		r := request(http.MethodPost, target, form.Encode())
		r.AddCookie(w.session(t, w.one, role))
		return w.do(r)
	}
	query := "by=day&and=key&measure=requests"
	saved := post(app.RoleAnalyst, "/explore/views", url.Values{"name": {"Keys by day"}, "query": {query + "&run=1"}})
	require.Equal(t, 303, saved.status, saved.body)
	require.Equal(t, "/explore?and=key&by=day&measure=requests", saved.header.Get("Location"))
	page := w.see(t, w.one, app.RoleAnalyst, saved.header.Get("Location"))
	require.Contains(t, page.body, `<a href="/explore?and=key&amp;by=day&amp;measure=requests">Keys by day</a>`)
	require.NotContains(t, w.see(t, w.one, app.RoleController, "/explore").body, "Keys by day", "another person's")
	again := post(app.RoleAnalyst, "/explore/views", url.Values{"name": {"keys by day"}, "query": {query}})
	require.Equal(t, 422, again.status)
	for _, text := range []string{"a saved view of that name", `value="keys by day"`, `aria-invalid="true"`, "Requests by day and virtual key"} {
		require.Contains(t, again.body, text)
	}
	remove := regexp.MustCompile(`/explore/views/viw_[0-9a-f]{32}/remove`).FindString(page.body)
	require.Equal(t, 404, post(app.RoleController, remove, url.Values{}).status)
	require.Equal(t, 403, post(app.RoleAuditor, remove, url.Values{}).status)
	require.Equal(t, 303, post(app.RoleAnalyst, remove, url.Values{"query": {query}}).status)
	require.NotContains(t, w.see(t, w.one, app.RoleAnalyst, "/explore").body, "Keys by day")

	bad := post(app.RoleEngineeringAdmin, "/explore/tags", url.Values{"keys": {"a,b,c,d,e,f"}, "reason": {"to group"}})
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, "At most 5 tag keys")
	require.Contains(t, bad.body, `value="a,b,c,d,e,f"`)
	require.Equal(t, 303, post(app.RoleEngineeringAdmin, "/explore/tags", url.Values{"keys": {"team, ticket"}, "reason": {"to group"}}).status)
	got := w.see(t, w.one, app.RoleAnalyst, "/explore?by=tag:team&and=none")
	for _, text := range []string{"acme-team", "Without this tag", "tag=team%3Dacme-team", "Tag ticket"} {
		require.Contains(t, got.body, text)
	}
	require.Equal(t, 422, w.see(t, w.two, app.RoleAnalyst, "/explore?by=tag:team").status, "another company's tags are not this one's")
}

// TestWhatTakesTimeSaysSoFirst explores more requests than are read without a word.
func TestWhatTakesTimeSaysSoFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.clone.Admin(t).Exec(`update rollup_placement_day set requests = requests + 60000 where tenant_id = $1 and day = '2026-11-23'`, w.one.tenant)
	require.NoError(t, err)
	first := w.see(t, w.one, app.RoleAnalyst, "/explore?by=class&and=none")
	require.Equal(t, 200, first.status)
	require.Contains(t, first.body, "requests one by one")
	next := regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]+)"`).FindStringSubmatch(first.body)
	require.NotEmpty(t, next)
	wholesome(t, first)
	second := w.see(t, w.one, app.RoleAnalyst, strings.ReplaceAll(next[1], "&amp;", "&"))
	require.Contains(t, second.body, "read one by one")
	require.NotContains(t, second.body, "http-equiv")
	require.NotContains(t, w.see(t, w.one, app.RoleAnalyst, "/explore").body, "http-equiv", "the daily sums are there at once")
}

func TestAKeyIsRotatedOnAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleEngineeringAdmin)
	path := "/keys/" + w.one.key.ID.String()
	post := func(form url.Values) answer {
		r := request(http.MethodPost, path+"/rotate", form.Encode())
		r.AddCookie(cookie)
		return w.do(r)
	}
	for field, form := range map[string]url.Values{
		"has passed": {"earlier_until": {"2026-11-01"}, "reason": {"x"}},
		"90 days":    {"earlier_until": {"2028-11-01"}, "reason": {"x"}},
		"soon":       {"earlier_until": {"soon"}, "reason": {"x"}},
	} {
		got := post(form)
		require.Equal(t, 422, got.status, field)
		require.Contains(t, got.body, field)
		require.Contains(t, got.body, `aria-invalid="true"`)
	}
	require.Equal(t, 422, post(url.Values{"earlier_until": {"2026-11-25"}}).status, "a reason is asked for")

	form := url.Values{"earlier_until": {"2026-11-25T10:00:00Z"}, "reason": {"yearly"}, "once": {"form_r"}}
	made := post(form)
	require.Equal(t, 201, made.status, made.body)
	require.Contains(t, made.body, "the ones before end 25 Nov 2026 10:00")
	secret := regexp.MustCompile(`tbk_[a-z0-9]{32}`).FindString(made.body)
	require.NotEmpty(t, secret)
	require.Equal(t, secret, regexp.MustCompile(`tbk_[a-z0-9]{32}`).FindString(post(form).body), "a form sent twice rotates once")
	page := w.see(t, w.one, app.RoleAuditor, path)
	require.Contains(t, page.body, "until 25 Nov 2026 10:00")
	require.Contains(t, page.body, "Rotated")
	require.Contains(t, page.body, "yearly")
	require.NotContains(t, page.body, secret)

	form.Set("once", "form_s")
	r := request(http.MethodPost, "/keys/"+w.two.key.ID.String()+"/rotate", form.Encode())
	r.AddCookie(cookie)
	require.Equal(t, 404, w.do(r).status, "another company's")
	r = request(http.MethodPost, path+"/rotate", form.Encode())
	r.AddCookie(w.session(t, w.one, app.RoleAuditor))
	require.Equal(t, 403, w.do(r).status)
}

func TestFormsFromOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, site := range []string{"cross-site", "same-site"} {
		r := request(http.MethodPost, "/keys", "label=x&cost_center=AC-11&reason=x")
		r.AddCookie(w.session(t, w.one, app.RoleFinanceAdmin))
		r.Header.Set("Sec-Fetch-Site", site)
		require.Equal(t, 403, w.do(r).status, site)
	}
	r := request(http.MethodPost, "/sign-out", "")
	r.Header.Del("Sec-Fetch-Site")
	r.Header.Set("Origin", "https://evil.example")
	r.AddCookie(w.session(t, w.one, app.RoleFinanceAdmin))
	require.Equal(t, 403, w.do(r).status)
}

func TestExportsOfSessionsAndSpend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for file, target := range map[string]string{
		"sessions.csv": "/sessions.csv", "turns.csv": "/sessions/session-acme/turns.csv", "spend.csv": "/explore.csv?by=day&and=class", "spend-node.csv": "/explore.csv",
	} {
		got := w.see(t, w.one, app.RoleAnalyst, target)
		require.Equal(t, 200, got.status, target)
		require.Equal(t, "text/csv; charset=utf-8", got.header.Get("Content-Type"))
		golden(t, file, got.body)
	}
	require.Equal(t, 422, w.see(t, w.one, app.RoleAnalyst, "/explore.csv?by=mood").status)
	require.Equal(t, 404, w.see(t, w.one, app.RoleAnalyst, "/sessions/session-zenith/turns.csv").status)
}

func TestExports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.see(t, w.one, app.RoleAnalyst, "/chargeback.csv?period=2026-11")
	require.Equal(t, 200, got.status)
	require.Contains(t, got.header.Get("Content-Disposition"), "chargeback-acme-2026-11-node.csv")
	golden(t, "chargeback.csv", got.body)
	got = w.see(t, w.one, app.RoleAnalyst, "/keys.csv?sort=label")
	require.Equal(t, 200, got.status)
	golden(t, "keys.csv", regexp.MustCompile(`,[a-z0-9]{4},AC-`).ReplaceAllString(got.body, ",last,AC-"))
	got = w.see(t, w.one, app.RoleAnalyst, "/requests.csv?node=AC-20")
	require.Equal(t, 200, got.status)
	golden(t, "requests.csv", got.body)
	got = w.see(t, w.one, app.RoleAnalyst, "/nodes/AC-10/months.csv?period=2026-11")
	require.Equal(t, 200, got.status)
	require.Contains(t, got.header.Get("Content-Disposition"), "node-acme-AC-10-2026-11.csv")
	golden(t, "node_months.csv", got.body)
	require.Equal(t, 403, w.see(t, w.one, app.RoleDeveloper, "/chargeback.csv").status)
	require.Equal(t, 422, w.see(t, w.one, app.RoleAnalyst, "/requests.csv?from=yesterday").status)

	// Whoever names things must not name formulas.
	_, err := w.areas.Keys.Create(t.Context(), app.Command(w.one.tenant), app.NewKey{Label: "@SUM(A1)", CostCenter: "AC-11"}, "x")
	require.NoError(t, err)
	require.NoError(t, w.areas.Nodes.Create(t.Context(), app.Command(w.one.tenant), []app.NewNode{{Code: "X-1", Name: "=HYPERLINK(1)", Kind: "project", Capitalization: "expense"}}, now(), "x"))
	got = w.see(t, w.one, app.RoleAnalyst, "/chargeback.csv")
	require.Contains(t, got.body, "'=HYPERLINK")
	require.Contains(t, w.see(t, w.one, app.RoleAnalyst, "/keys.csv").body, "'@SUM")
}

func TestNothingYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant, err := w.areas.Tenants.Create(t.Context(), "fresh", "Fresh Start", now())
	require.NoError(t, err)
	_, err = w.areas.Members.Add(t.Context(), app.Command(tenant), app.NewMember{Issuer: issuerURL, Subject: "fresh-finance_admin", Name: "F", Email: "f@fresh.test", Role: app.RoleFinanceAdmin}, "x")
	require.NoError(t, err)
	c := &company{tenant: tenant, slug: "fresh"}
	got := w.see(t, c, app.RoleFinanceAdmin, "/")
	require.Equal(t, 200, got.status, got.body)
	require.Contains(t, got.body, "export ANTHROPIC_BASE_URL=http://127.0.0.1:8080/gw/fresh")
	require.Contains(t, got.body, "Make a virtual key")
	require.Contains(t, w.see(t, c, app.RoleFinanceAdmin, "/requests").body, "Nothing yet")
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 60 {
		e := w.one.events[0]
		e.ID = newEventID(i)
		w.one.events = append(w.one.events, e)
	}
	_, err := w.metering.Flush(t.Context(), w.one.tenant, w.one.events)
	require.NoError(t, err)
	first := w.see(t, w.one, app.RoleAnalyst, "/requests")
	require.Contains(t, first.body, "50 requests on this page")
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(first.body)
	require.NotEmpty(t, next)
	second := w.see(t, w.one, app.RoleAnalyst, strings.ReplaceAll(next[1], "&amp;", "&"))
	require.Contains(t, second.body, "22 requests on this page")
	require.Contains(t, second.body, "These are the oldest.")
}

// TestGallery holds every component in every state.
func TestGallery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.do(request(http.MethodGet, "/_gallery", ""))
	require.Equal(t, 200, got.status)
	golden(t, "gallery.html", strings.ReplaceAll(got.body, "><", ">\n<"))
}

func TestAssets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.do(request(http.MethodGet, "/sign-in", ""))
	for _, target := range regexp.MustCompile(`/assets/[^"]+`).FindAllString(page.body, -1) {
		got := w.do(request(http.MethodGet, target, ""))
		require.Equal(t, 200, got.status, target)
		require.Contains(t, got.header.Get("Cache-Control"), "immutable")
		for _, font := range regexp.MustCompile(`url\("\.\./([^"]+)"\)`).FindAllStringSubmatch(got.body, -1) {
			file := w.do(request(http.MethodGet, strings.Replace(target, "css/tollbook.css", font[1], 1), ""))
			require.Equal(t, "font/woff2", file.header.Get("Content-Type"), font[1])
		}
		require.NotContains(t, got.body, "url(http")
	}
	old := w.do(request(http.MethodGet, "/assets/0000000000000000/css/tollbook.css", ""))
	require.Equal(t, "no-cache", old.header.Get("Cache-Control"), "of another release: today's, not kept")
	for _, target := range []string{"/assets/x/fonts/inter-OFL.txt", "/assets/x/../web.go", "/assets/x/css", "/assets/"} {
		require.Equal(t, 404, w.do(request(http.MethodGet, target, "")).status, target)
	}
}
