package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
)

// ruleText is one rule as a maker writes it; to is code and parts per million in turn.
func ruleText(code string, when string, to ...any) string {
	var parts []string
	for i := 0; i < len(to); i += 2 {
		parts = append(parts, fmt.Sprintf(`{"code":%q,"ppm":%d}`, to[i], to[i+1]))
	}
	return fmt.Sprintf(`{"code":%q,"name":"About %s","when":[%s],"to":[%s]}`, code, code, when, strings.Join(parts, ","))
}

func askRules(from time.Time, rules ...string) app.Ask {
	return app.Ask{Kind: "rules", Payload: []byte(`{"rules":[` + strings.Join(rules, ",") + `]}`), EffectiveFrom: from, Reason: "as the controller asked"}
}

func parseRules(t testing.TB, rules ...string) *attribution.Rules {
	t.Helper()
	parsed, err := attribution.Parse([]byte(`{"rules":[` + strings.Join(rules, ",") + `]}`))
	require.NoError(t, err)
	return &parsed
}

const (
	onHaiku = `{"field":"model","is":["claude-haiku-*"]}`
	onTeam  = `{"field":"tag","tag":"team","is":["perception"]}`
)

// governed are people of a company who propose and decide.
type governed struct{ maker, checker app.Actor }

func (h *house) governed(t *testing.T, c *company) governed {
	t.Helper()
	return governed{maker: h.person(t, c, app.RoleEngineeringAdmin, "eng-"+c.slug), checker: h.person(t, c, app.RoleFinanceAdmin, "fin-"+c.slug)}
}

// decide proposes and approves.
func (h *house) decide(t *testing.T, g governed, ask app.Ask) app.ChangeView {
	t.Helper()
	made, err := h.approvals.Propose(t.Context(), g.maker, ask, "")
	require.NoError(t, err)
	require.Equal(t, approval.StateProposed, made.State)
	done, err := h.approvals.Decide(t.Context(), g.checker, made.ID, approval.VerdictApprove, made.Digest, "agreed")
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, done.State)
	done.Impact = made.Impact
	return done
}

// attributed asks a gateway's snapshot, as a gateway does.
func (h *house) attributed(t *testing.T, c *company, request attribution.Request) attribution.Answer {
	t.Helper()
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	tenant := h.snapshots.Current().Tenants[c.slug]
	key, ok := h.snapshots.Find(tenant, c.key.Secret.Reveal())
	require.True(t, ok)
	answer, err := tenant.Attribute(key, &request)
	require.NoError(t, err)
	return answer
}

// ruled is a measured request placed by an answer.
func (c *company) ruled(at time.Time, answer attribution.Answer, set ...func(*usage.Event)) usage.Event {
	return c.event(at, "CC-1", append([]func(*usage.Event){func(e *usage.Event) {
		e.Shares, e.Rule, e.RuleVersion, e.Change = answer.Shares, string(answer.Rule), answer.Version, answer.Change
	}}, set...)...)
}

func TestRulesAreProposedDecidedAndFollowed(t *testing.T) {
	t.Parallel()
	h := build(t)
	g := h.governed(t, h.one)
	ask := askRules(time.Time{}, ruleText("haiku", onHaiku, "CC-2", 1_000_000), ruleText("percept", onTeam, "CC-1", 333_333, "CC-3", 666_667))
	assigned := h.attributed(t, h.one, attribution.Request{})
	require.Equal(t, attribution.RuleKey, assigned.Rule)
	require.Zero(t, assigned.Version)
	require.Equal(t, h.text(t, `select change_id::text from key_assignment where key_id = $1`, h.one.key.ID), assigned.Change.UUID(), "what gave the key its cost center")

	made, err := h.approvals.Propose(t.Context(), g.maker, ask, "once")
	require.NoError(t, err)
	again, err := h.approvals.Propose(t.Context(), g.maker, ask, "once")
	require.NoError(t, err)
	require.Equal(t, made.ID, again.ID)
	require.Zero(t, h.number(t, `select count(*) from rule_version`), "nothing is in force yet")
	_, err = h.approvals.Decide(t.Context(), g.maker, made.ID, approval.VerdictApprove, made.Digest, "mine")
	require.Equal(t, fault.KindForbidden, fault.KindOf(err), "who may propose rules may not approve them")
	applied, err := h.approvals.Decide(t.Context(), g.checker, made.ID, approval.VerdictApprove, made.Digest, "agreed")
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, applied.State)
	require.Equal(t, "1 2", h.text(t, `select version || ' ' || rules from rule_version where tenant_id = $1`, h.one.tenant))
	require.Zero(t, h.number(t, `select count(*) from rule_version where tenant_id = $1`, h.two.tenant))

	one := h.attributed(t, h.one, attribution.Request{Model: "claude-haiku-5-5", Tags: map[string]string{"team": "perception"}})
	require.Equal(t, "rule:haiku", string(one.Rule))
	require.Equal(t, "CC-2", one.Code)
	require.EqualValues(t, 1, one.Version)
	require.Equal(t, made.ID, one.Change)
	split := h.attributed(t, h.one, attribution.Request{Model: "claude-opus-5-5", Tags: map[string]string{"team": "perception"}})
	require.Equal(t, "CC-1,CC-3", split.Code)
	none := h.attributed(t, h.one, attribution.Request{Model: "claude-opus-5-5"})
	require.Equal(t, attribution.RuleKey, none.Rule)
	require.EqualValues(t, 1, none.Version, "the rules were asked")
	require.Equal(t, assigned.Change, none.Change)
	project := h.attributed(t, h.one, attribution.Request{Model: "claude-opus-5-5", Project: "P-1"})
	require.Equal(t, attribution.RuleProject, project.Rule)
	require.Equal(t, none.Change, project.Change)
	require.Equal(t, attribution.RuleKey, h.attributed(t, h.two, attribution.Request{Model: "claude-haiku-5-5"}).Rule, "another company's rules are its own")

	tagged := func(e *usage.Event) { e.Tags = map[string]string{"team": "perception"} }
	h.flush(t, h.one, h.one.ruled(november(3), one), h.one.ruled(november(3), split, tagged), h.one.ruled(november(4), split, tagged), h.one.ruled(november(4), none))
	require.Equal(t, "rule:haiku 1 "+made.ID.UUID(), h.text(t, `select attribution_rule || ' ' || rule_version || ' ' || attribution_change_id from usage_event where attribution_rule = 'rule:haiku'`))
	require.Equal(t, "rule:haiku 1 14000000000|rule:percept 2 28000000000", h.text(t,
		`select string_agg(rule || ' ' || n || ' ' || pico, '|' order by rule) from (select rule, sum(requests) n, sum(charge_pico) pico from rollup_rule_day where tenant_id = $1 group by 1) x`, h.one.tenant))
	agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, agree)
	sum, err := h.reports.Chargeback(t.Context(), g.checker, period.MonthOf(november(1)), "node", time.Time{})
	require.NoError(t, err)
	require.Equal(t, "0.056000000000", sum.Total.String())
	require.Zero(t, sum.Control.Difference.Sign())
	page, err := h.reports.Requests(t.Context(), g.checker, app.RequestFilter{TagKey: "team"})
	require.NoError(t, err)
	require.Equal(t, "0.004666662000", page.Rows[0].Allocations[0].Amount.String())
	require.Equal(t, "0.009333338000", page.Rows[0].Allocations[1].Amount.String())

	h.exec(t, `update rollup_rule_day set requests = requests + 1 where rule = 'rule:haiku'`)
	agree, err = h.audit.ProveSums(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, agree, "a changed line by rule is found")
}

func TestRulesTakeEffectAtTheirInstantAndLaterOnesTakeTheirPlace(t *testing.T) {
	t.Parallel()
	h := build(t)
	g := h.governed(t, h.one)
	haiku := attribution.Request{Model: "claude-haiku-5-5"}
	start := h.clock.now().Truncate(time.Minute)
	second, third := start.Add(time.Hour), start.Add(30*time.Minute)
	h.decide(t, g, askRules(time.Time{}, ruleText("a", onHaiku, "CC-2", 1_000_000)))
	h.decide(t, g, askRules(second, ruleText("b", onHaiku, "CC-3", 1_000_000)))
	require.Equal(t, "rule:a", string(h.attributed(t, h.one, haiku).Rule), "what begins later does not count yet")
	upcoming := h.snapshots.Current().Tenants["one"].Upcoming
	require.Len(t, upcoming, 1)
	require.True(t, second.Equal(upcoming[0]))
	h.clock.add(time.Hour)
	h.snapshots.Turn(t.Context()) // as who follows does, without a notice
	tenant := h.snapshots.Current().Tenants["one"]
	require.EqualValues(t, 2, tenant.Rules)
	require.Empty(t, tenant.Upcoming)
	require.Equal(t, "rule:b", string(h.attributed(t, h.one, haiku).Rule))

	// Recorded last and begun, it is in force, whatever was scheduled before.
	h.clock.add(-time.Hour)
	late := h.decide(t, g, askRules(third, ruleText("c", onHaiku, "CC-1", 1_000_000)))
	require.Contains(t, late.Impact.Sentence, "Version 2, which was to begin 2026-11-10, never does.")
	require.Equal(t, "rule:a", string(h.attributed(t, h.one, haiku).Rule))
	h.clock.add(2 * time.Hour)
	require.Equal(t, "rule:c", string(h.attributed(t, h.one, haiku).Rule))

	set, err := h.rules.Show(t.Context(), g.checker, app.RulesQuery{})
	require.NoError(t, err)
	require.EqualValues(t, 3, set.Version)
	require.True(t, set.InForce)
	require.Equal(t, []bool{false, true, false}, []bool{set.Versions[0].Never, set.Versions[1].Never, set.Versions[2].Never})
	require.Equal(t, third, set.Versions[2].Until)
	for at, version := range map[time.Time]int64{start.Add(time.Minute): 1, third: 3, second: 3, start.AddDate(0, 0, -1): 0} {
		set, err = h.rules.Show(t.Context(), g.checker, app.RulesQuery{AsOf: at})
		require.NoError(t, err)
		require.Equal(t, version, set.Version, at)
	}
	set, err = h.rules.Show(t.Context(), g.checker, app.RulesQuery{AsOf: second, Known: late.ProposedAt.Add(-time.Millisecond)})
	require.NoError(t, err)
	require.EqualValues(t, 2, set.Version, "as it was known before")
	set, err = h.rules.Show(t.Context(), g.checker, app.RulesQuery{Version: 2})
	require.NoError(t, err)
	require.Equal(t, "b", set.Rules[0].Code)
	require.False(t, set.InForce)
	_, err = h.rules.Show(t.Context(), g.checker, app.RulesQuery{Version: 9})
	require.ErrorIs(t, err, app.ErrRuleVersion)
}

func TestRulesThatCannotBeProposed(t *testing.T) {
	t.Parallel()
	h := build(t)
	g := h.governed(t, h.one)
	one := ruleText("a", onHaiku, "CC-2", 1_000_000)
	propose := func(who app.Actor, ask app.Ask) string {
		_, err := h.approvals.Propose(t.Context(), who, ask, "")
		require.Error(t, err)
		return fault.From(err).Code
	}
	withKey := func(key id.Key) app.Ask {
		return askRules(time.Time{}, ruleText("k", `{"field":"key","is":["`+key.String()+`"]}`, "CC-2", 1_000_000))
	}
	require.Equal(t, "rules_same", propose(g.maker, askRules(time.Time{})), "there are none, and there would be none")
	require.Equal(t, "rules_payload", propose(g.maker, app.Ask{Kind: "rules", Payload: []byte(`{"set":[]}`), Reason: "x"}))
	require.Equal(t, "rule_node_absent", propose(g.maker, askRules(time.Time{}, ruleText("a", "", "CC-9", 1_000_000))))
	require.Equal(t, "rule_whole", propose(g.maker, askRules(time.Time{}, ruleText("a", "", "CC-1", 999_999))))
	require.Equal(t, "rule_key_absent", propose(g.maker, withKey(h.two.key.ID)), "another company's key is not there")
	require.Equal(t, "rules_backdated", propose(g.maker, askRules(h.clock.now().AddDate(0, 0, -1), one)))
	developer := h.person(t, h.one, app.RoleDeveloper, "dev")
	require.Equal(t, "not_allowed", propose(developer, askRules(time.Time{}, one)))
	_, err := h.rules.Show(t.Context(), developer, app.RulesQuery{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.rules.Replay(t.Context(), developer, app.ReplayAsk{Rules: parseRules(t, one)})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.rules.Test(t.Context(), developer, app.RuleQuestion{Model: "x"})
	require.ErrorIs(t, err, app.ErrNotAllowed)

	h.decide(t, g, withKey(h.one.key.ID))
	require.Equal(t, "rules_same", propose(g.maker, withKey(h.one.key.ID)))
	stale := app.Ask{Kind: "rules", Payload: []byte(`{"base_version":0,"rules":[` + one + `]}`), Reason: "x"}
	require.Equal(t, "rules_moved", propose(g.maker, stale))

	// Of two proposals on one version, the one that is decided second is not applied.
	first, err := h.approvals.Propose(t.Context(), g.maker, askRules(time.Time{}, one), "")
	require.NoError(t, err)
	h.decide(t, g, askRules(time.Time{}, ruleText("b", onTeam, "CC-3", 1_000_000)))
	_, err = h.approvals.Decide(t.Context(), g.checker, first.ID, approval.VerdictApprove, first.Digest, "agreed")
	require.Equal(t, "rules_moved", fault.From(err).Code)
	require.EqualValues(t, 2, h.number(t, `select max(version) from rule_version where tenant_id = $1`, h.one.tenant))
}

// october posts what the replays below place again.
func (h *house) october(t *testing.T, c *company) {
	t.Helper()
	at := func(day int) time.Time { return time.Date(2026, 10, day, 23, 30, 0, 0, time.UTC) }
	model := func(name string) func(*usage.Event) { return func(e *usage.Event) { e.ModelRequested = name } }
	h.flush(t, c,
		c.event(at(1), "CC-1", model("claude-haiku-5-5")),
		c.event(at(2), "CC-1", func(e *usage.Event) {
			e.Tags = map[string]string{"team": "perception"}
			e.Counts.Tokens = usage.Tokens{1}
		}),
		c.event(at(3), "P-1", func(e *usage.Event) { e.Project = "P-1" }),
		c.event(at(4), "CC-1", func(e *usage.Event) { // split by a rule there was
			e.Rule, e.RuleVersion = "rule:old", 1
			e.Shares = []usage.Share{{Placement: c.places["CC-2"], PPM: 250_000}, {Placement: c.places["CC-3"], PPM: 750_000}}
		}),
		c.event(at(5), "CC-1", func(e *usage.Event) { e.State, e.HTTPStatus, e.Counts = usage.StateError, 529, usage.Counts{} }),
		c.event(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "CC-1", model("claude-haiku-5-5")))
}

func TestAReplayPlacesTheLastFullMonthAgain(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.october(t, h.one)
	h.october(t, h.two)
	finance := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	rules := parseRules(t, ruleText("haiku", onHaiku, "CC-2", 1_000_000), ruleText("percept", onTeam, "CC-1", 333_333, "CC-3", 666_667))
	var heard []int64
	got, err := h.rules.Replay(t.Context(), finance, app.ReplayAsk{Rules: rules, Progress: func(read, of int64) { heard = append(heard, read, of) }})
	require.NoError(t, err)
	require.Equal(t, []int64{0, 4}, heard)
	require.Equal(t, "2026-10", got.Month.String())
	require.True(t, got.Complete)
	require.EqualValues(t, 4, got.Read)
	require.EqualValues(t, 3, got.MovedRequests, "one is where it was")
	require.Equal(t, 1, got.Keys)
	// The first goes to CC-2 whole. Of four micro-dollars two thirds go to CC-3. What the old
	// rule had split goes back to the key's cost center.
	swings := map[string]string{}
	for _, n := range got.Nodes {
		swings[n.Code] = n.Before.String() + " > " + n.After.String()
	}
	require.Equal(t, map[string]string{
		"CC-1": "0.014004000000 > 0.014001333332",
		"CC-2": "0.003500000000 > 0.014000000000",
		"CC-3": "0.010500000000 > 0.000002666668",
		"P-1":  "0.014000000000 > 0.014000000000",
	}, swings)
	require.Equal(t, "0.028002666668", got.Moved.String())
	require.Equal(t, "0.042004000000", got.Total.String())
	require.Equal(t, "0.014000000000", got.Capitalized.After.String())
	require.Equal(t, got.Expensed.Before.String(), got.Expensed.After.String())
	require.Equal(t, []string{"haiku 1 0.014000000000", "percept 1 0.000004000000"}, []string{
		fmt.Sprint(got.Rules[0].Code, " ", got.Rules[0].Requests, " ", got.Rules[0].Charge.String()), fmt.Sprint(got.Rules[1].Code, " ", got.Rules[1].Requests, " ", got.Rules[1].Charge.String()),
	})

	// A checker is shown the same.
	g := h.governed(t, h.one)
	made, err := h.approvals.Propose(t.Context(), g.maker, askRules(time.Time{}, ruleText("haiku", onHaiku, "CC-2", 1_000_000), ruleText("percept", onTeam, "CC-1", 333_333, "CC-3", 666_667)), "")
	require.NoError(t, err)
	require.Equal(t, got.Moved.String(), made.Impact.Moved.String())
	require.Equal(t, "2 rules change of 2; of 2026-10 3 of 4 charged requests would have been placed elsewhere.", made.Impact.Sentence)
	require.Equal(t, 2, made.Impact.Rules)
	require.Len(t, made.Impact.Nodes, 3)
	require.Len(t, made.Impact.Touches, 3)
	require.Equal(t, "2026-10", made.Impact.Month)
}

func TestAReplaySaysWhatItDidNotComeTo(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.october(t, h.one)
	g := h.governed(t, h.one)
	h.rules.Hurry()
	ask := askRules(time.Time{}, ruleText("all", "", "CC-2", 1_000_000))
	got, err := h.rules.Replay(t.Context(), g.checker, app.ReplayAsk{Rules: parseRules(t, ruleText("all", "", "CC-2", 1_000_000))})
	require.NoError(t, err)
	require.False(t, got.Complete)
	require.Zero(t, got.Read)
	require.EqualValues(t, 4, got.Of)
	made, err := h.approvals.Propose(t.Context(), g.maker, ask, "")
	require.NoError(t, err)
	require.Contains(t, made.Impact.Sentence, "Only 0 of 4 requests could be looked at in the time there was")
}

func TestTheTesterSaysWhichRuleFiresAndWhy(t *testing.T) {
	t.Parallel()
	h := build(t)
	g := h.governed(t, h.one)
	first := h.decide(t, g, askRules(time.Time{}, ruleText("haiku", onHaiku, "CC-2", 1_000_000), ruleText("percept", onTeam, "CC-1", 333_333, "CC-3", 666_667)))
	answer := h.attributed(t, h.one, attribution.Request{Model: "claude-opus-5-5", Tags: map[string]string{"team": "perception"}})
	event := h.one.ruled(november(9), answer, func(e *usage.Event) { e.Tags = map[string]string{"team": "perception"} })
	before := h.one.event(november(9), "CC-1")
	foreign := h.two.event(november(9), "CC-1")
	h.flush(t, h.one, event, before)
	h.flush(t, h.two, foreign)
	h.decide(t, g, askRules(time.Time{}, ruleText("percept", onTeam, "CC-3", 1_000_000)))

	for _, name := range []string{event.ID.String(), event.RequestID} {
		got, err := h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Request: name})
		require.NoError(t, err)
		require.EqualValues(t, 1, got.Version, "the rules it was asked under")
		require.Equal(t, "rule:percept", string(got.Basis))
		require.Equal(t, []string{"CC-1", "CC-3"}, []string{got.Charges[0].Code, got.Charges[1].Code})
		require.Equal(t, got.Charges, got.Request.Charges, "it says again what was decided")
		require.Equal(t, first.ID, got.Request.Change)
		require.Equal(t, attribution.FieldModel, got.Explained[0].Failed.Field)
		require.Equal(t, "claude-opus-5-5", got.Explained[0].Found)
		require.True(t, got.Explained[1].Fired)
	}
	now, err := h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Request: event.ID.String(), Version: 2})
	require.NoError(t, err)
	require.Equal(t, "CC-3", now.Charges[0].Code, "under the later rules")
	none, err := h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Request: before.ID.String()})
	require.NoError(t, err)
	require.Zero(t, none.Version, "no rules were asked about it")
	require.Equal(t, attribution.RuleKey, none.Basis)
	for _, absent := range []string{foreign.ID.String(), foreign.RequestID, "evt_x"} {
		_, err = h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Request: absent})
		require.Equal(t, "request_absent", fault.From(err).Code)
	}

	facts, err := h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Key: "laptop", Project: "P-1", Model: "claude-opus-5-5"})
	require.NoError(t, err)
	require.Equal(t, attribution.RuleProject, facts.Basis)
	require.Equal(t, "P-1", facts.Charges[0].Code)
	require.True(t, facts.Explained[0].Missing)
	unknown, err := h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Model: "claude-opus-5-5"})
	require.NoError(t, err)
	require.Equal(t, attribution.RuleKey, unknown.Basis)
	require.Empty(t, unknown.Charges, "whose cost center is not known")
	proposed, err := h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Model: "m", Rules: parseRules(t, ruleText("all", "", "CC-2", 1_000_000))})
	require.NoError(t, err)
	require.Equal(t, "rule:all", string(proposed.Basis))
	_, err = h.rules.Test(t.Context(), g.checker, app.RuleQuestion{Key: h.two.key.ID.String()})
	require.Equal(t, "key_absent", fault.From(err).Code)
}

// TestWhoSignedInIsKnownToRules holds that the domain of an address that was signed in
// with decides, and that a declared one does not.
func TestWhoSignedInIsKnownToRules(t *testing.T) {
	t.Parallel()
	h := build(t)
	g := h.governed(t, h.one)
	h.decide(t, g, askRules(time.Time{}, ruleText("staff", `{"field":"verified","is":["yes"]},{"field":"email_domain","is":["one.test"]}`, "CC-3", 1_000_000)))
	require.Equal(t, attribution.RuleKey, h.attributed(t, h.one, attribution.Request{}).Rule)
	ada := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada")
	h.grant(t, h.one, "ada@one.test", "BU-1")
	issued := h.login(t, ada, "CC-1")
	key, ok := h.accepted(t, "one", issued.Secret)
	require.True(t, ok)
	answer, err := h.snapshots.Current().Tenants["one"].Attribute(key, &attribution.Request{})
	require.NoError(t, err)
	require.Equal(t, "rule:staff", string(answer.Rule))
}

// TestRulesSurviveTheSnapshotFile: a gateway that starts without its database follows the
// rules, and those that begin meanwhile.
func TestRulesSurviveTheSnapshotFile(t *testing.T) {
	t.Parallel()
	h := build(t)
	g := h.governed(t, h.one)
	h.decide(t, g, askRules(time.Time{}, ruleText("a", onHaiku, "CC-2", 1_000_000)))
	h.decide(t, g, askRules(h.clock.now().Add(10*time.Minute), ruleText("b", onHaiku, "CC-3", 1_000_000)))
	file := t.TempDir() + "/snapshot"
	h.snapshots.KeepIn(file)
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	require.NoError(t, h.snapshots.Keep())
	h.clock.add(11 * time.Minute)
	later := app.NewSnapshots(h.clone.DB, h.ring, discard(), h.clock.now)
	later.KeepIn(file)
	require.NoError(t, later.Restore(t.Context()))
	tenant := later.Current().Tenants["one"]
	key, ok := later.Find(tenant, h.one.key.Secret.Reveal())
	require.True(t, ok)
	answer, err := tenant.Attribute(key, &attribution.Request{Model: "claude-haiku-5-5"})
	require.NoError(t, err)
	require.Equal(t, "rule:b", string(answer.Rule))
}
