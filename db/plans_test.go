package db_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
	"tollbook/db/dbtest"
)

// crowd copies a tenant's one request into two months of several thousand, with some
// that failed, and tells the planner.
func crowd(t *testing.T, clone *dbtest.Clone, s *scene) {
	t.Helper()
	require.NoError(t, clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
		return tx.EnsureUsageMonth(period.MonthOf(s.month.Start().AddDate(0, -1, 0)))
	}))
	admin := clone.Admin(t)
	for _, statement := range []string{
		`create temporary table copy as select u.* from usage_event u where tenant_id = '` + s.tenant.UUID() + `'`,
		`insert into usage_event select (c).* from (select jsonb_populate_record(u, jsonb_build_object('event_id', gen_random_uuid(), 'occurred_at', u.occurred_at - n * interval '10 minutes',
			'state', case when n % 100 = 0 then 'error' else 'complete' end, 'charge_pico', n, 'request_id', 'request-' || n, 'session_id', 'session-' || (n / 20))) as c
			from copy u, generate_series(1, 6000) n where u.occurred_at - n * interval '10 minutes' >= date_trunc('month', u.occurred_at) - interval '1 month') x`,
		`insert into developer (tenant_id, developer_id, verified, recorded_at) select '` + s.tenant.UUID() + `', gen_random_uuid(), false, now() from generate_series(1, 300)`,
		`insert into rollup_developer_day select r.tenant_id, r.day - n, r.posting_period, r.placement_id, d.developer_id, 1, 1, 1
			from rollup_developer_day r, generate_series(1, 20) n, developer d where r.tenant_id = '` + s.tenant.UUID() + `' and d.tenant_id = r.tenant_id`,
		`analyze usage_event`, `analyze rollup_placement_day`, `analyze rollup_developer_day`,
	} {
		_, err := admin.Exec(statement)
		require.NoError(t, err, statement)
	}
}

// planned is a query and what its plan must and must not say.
type planned struct {
	query string
	args  []any
	must  []string
}

func with(query string, args []any, must ...string) planned { return planned{query, args, must} }

// plansOfRequests are the plans that lists of requests rely on (migration 00013 says why).
func plansOfRequests(s *scene) map[string]planned {
	from := s.month.Start().AddDate(0, -1, 0)
	f := func(set ...func(*db.UsageFilter)) db.UsageFilter {
		one := db.UsageFilter{From: from, To: s.month.End(), Limit: 51}
		for _, change := range set {
			change(&one)
		}
		return one
	}
	plans := map[string]planned{}
	list := func(name string, filter db.UsageFilter, byDay bool, must ...string) {
		query, args := db.UsageQuery(s.tenant, filter, byDay)
		plans[name] = with(query, args, must...)
	}
	list("newest", f(), false, "Index Scan Backward using usage_event_2026_11_pkey", "Limit")
	list("the page after", f(func(f *db.UsageFilter) { f.BeforeAt, f.BeforeID = s.month.Start(), id.NewEvent(s.month.Start()) }), false,
		"Index Scan Backward using usage_event_2026_10_pkey", "(ROW(occurred_at, event_id) < ROW(")
	list("dearest", f(func(f *db.UsageFilter) { f.Order = db.OrderDearest }), false, "using usage_event_2026_11_tenant_id_charge_pico_occurred_at_event_idx", "Merge Append")
	list("failed", f(func(f *db.UsageFilter) { f.States = []string{"error"} }), false, "using usage_event_2026_11_tenant_id_occurred_at_event_id_idx")
	list("provisional", f(func(f *db.UsageFilter) { f.States = []string{"incomplete", "open"} }), false, "using usage_event_2026_10_tenant_id_occurred_at_event_id_idx")
	list("a session", f(func(f *db.UsageFilter) { f.Session = "session-7" }), false, "using usage_event_2026_10_tenant_id_session_id_occurred_at_idx")
	list("a request id", f(func(f *db.UsageFilter) { f.RequestID, f.From, f.To = s.mark("request"), time.Time{}, time.Time{} }), false,
		"using usage_event_2026_10_tenant_id_request_id_idx")
	list("one event", f(func(f *db.UsageFilter) { f.Event = s.rated.Event.ID }), false, "using usage_event_2026_11_pkey")
	list("a key on its days", f(func(f *db.UsageFilter) { f.Key = s.key }), true, "Nested Loop", "using usage_event_2026_11_pkey", "(occurred_at < span.ends))")
	days := func(name string, filter db.UsageFilter, must ...string) {
		query, args := db.UsageDaysQuery(s.tenant, filter)
		plans[name] = with(query, args, must...)
	}
	days("days of a key", f(func(f *db.UsageFilter) { f.Key = s.key }), "rollup_placement_day_day")
	days("days of a subtree", f(func(f *db.UsageFilter) { f.Within = []id.Node{s.node} }), "rollup_placement_day_day")
	days("days of a developer", f(func(f *db.UsageFilter) { f.Developer = s.developer }), "rollup_developer_day_developer")
	return plans
}

// plansOfSessions are the plans that the list of sessions relies on.
func plansOfSessions(s *scene) map[string]planned {
	heads, headArgs := db.SessionHeadsQuery(s.tenant, db.UsageFilter{Limit: 4000})
	sums, sumArgs := db.SessionSumsQuery(s.tenant, []string{"session-7", "session-8"}, nil, id.Developer{})
	subtree, subtreeArgs := db.SessionSumsQuery(s.tenant, []string{"session-7"}, []id.Node{s.node}, id.Developer{})
	const bySession = "using usage_event_2026_10_tenant_id_session_id_occurred_at_idx"
	return map[string]planned{
		"sessions by their latest request": with(heads, headArgs, "Index Scan Backward using usage_event_2026_11_pkey", "Limit"),
		"sums of sessions":                 with(sums, sumArgs, "usage_event_2026_10_tenant_id_session_id_occurred_at_idx"),
		"sums of a subtree's session":      with(subtree, subtreeArgs, bySession),
	}
}

// plansOfExploring are the plans that the spend explorer relies on.
func plansOfExploring(s *scene) map[string]planned {
	plans := map[string]planned{}
	explore := func(name string, source db.Source, by [2]db.Grouping, must ...string) {
		query, args := db.ExploreQuery(s.tenant, db.Exploring{
			UsageFilter: db.UsageFilter{From: s.month.Start(), To: s.month.Start().AddDate(0, 0, 7)}, Source: source, By: by, Tag: "team", Limit: 100,
		})
		plans[name] = with(query, args, must...)
	}
	explore("explored by placement and day", db.SourcePlacements, [2]db.Grouping{db.GroupPlacement, db.GroupDay}, "using rollup_placement_day_day")
	explore("explored by developer", db.SourceDevelopers, [2]db.Grouping{db.GroupDeveloper}, "using rollup_developer_day_day")
	explore("explored by tag and model", db.SourceRequests, [2]db.Grouping{db.GroupTag, db.GroupModel}, "usage_event_2026_11_pkey")
	explore("explored by placement and tag", db.SourceRequests, [2]db.Grouping{db.GroupPlacement, db.GroupTag}, "usage_event_2026_11_pkey", "usage_event_2026_11_tenant_id_occurred_at_idx")
	return plans
}

// TestPlans looks at how the database answers what pages ask: by the indexes that are
// there for it, never by reading every request. The tables are small, so reading them
// whole is made dear, as it is where they are not.
func TestPlans(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	s := newScene("one").furnish(t, clone)
	crowd(t, clone, s)
	all := plansOfRequests(s)
	maps.Copy(all, plansOfSessions(s))
	maps.Copy(all, plansOfExploring(s))
	for name, p := range all {
		require.NoError(t, clone.ReadTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			_, err := tx.SQL().Exec(`set local enable_seqscan = off`)
			require.NoError(t, err)
			plan, err := db.Explain(tx, p.query, p.args...)
			require.NoError(t, err, name)
			for _, must := range p.must {
				require.Contains(t, plan, must, "%s:\n%s", name, plan)
			}
			require.NotContains(t, plan, "Seq Scan on usage_event", "%s:\n%s", name, plan)
			return nil
		}), name)
	}
}
