package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/plan"
	"tollbook/db"
)

// operations is a change of the hierarchy, when it is decided unless the test says later.
func operations(from time.Time, list ...string) app.Ask {
	return app.Ask{Kind: "node", Payload: []byte(`{"operations":[` + strings.Join(list, ",") + `]}`), EffectiveFrom: from, Reason: "reorganization"}
}

const movesP1 = `{"op":"move","code":"P-1","parent_code":"CC-3"}`

func october(day int) time.Time { return time.Date(2026, 10, day, 9, 30, 0, 0, time.UTC) }

func december() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }

func (h *house) reorganize(t *testing.T, from time.Time, list ...string) app.ChangeView {
	t.Helper()
	made := h.propose(t, h.person(t, h.one, app.RoleEngineeringAdmin, id.NewMember(h.clock.now()).String()), operations(from, list...))
	require.Equal(t, approval.StateProposed, made.State)
	applied, err := h.approveChange(t, h.person(t, h.one, app.RoleFinanceAdmin, id.NewMember(h.clock.now()).String()), made)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, applied.State)
	return applied
}

func swing(s approval.Swing) string { return s.Before.String()[:6] + " " + s.After.String()[:6] }

// TestAProjectMovesByAProposal is the whole way: an engineering admin proposes and may not
// approve, a finance admin sees the dollars it moves and approves; old charges stay where
// they are and new ones land below the new parent from the effective instant on.
func TestAProjectMovesByAProposal(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.Equal(t, 4, h.flush(t, h.one, h.one.event(october(5), "P-1"), h.one.event(october(6), "P-1"), h.one.event(october(7), "CC-1"), h.one.event(october(8), "CC-3")))
	_, err := h.plans.Propose(t.Context(), h.one.who, app.PlanAsk{Year: plan.CalendarYear(months("2026-01")), File: []byte("code,2026-10,2026-11\nP-1,100,50\nCC-1,7,7\n"), Reason: "plan"}, "")
	require.NoError(t, err)
	_, err = h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "tooling", CostCenter: "P-1"}, "x")
	require.NoError(t, err)

	engineer, checker := h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	made := h.propose(t, engineer, operations(december(), movesP1, `{"op":"capitalization","code":"P-1","capitalization":"expense"}`))
	require.Equal(t, "P-1 moves from CC-1 to CC-3. P-1 is expensed.", made.Impact.Sentence)
	require.Equal(t, "2026-10", made.Impact.Month)
	require.Equal(t, "0.028000000000", made.Impact.Moved.String(), "the project's two requests, each counted once")
	require.Len(t, made.Impact.Nodes, 2)
	require.Equal(t, "BU-1 / CC-1 / P-1 0.0280 0.0000", made.Impact.Nodes[0].Path+" "+swing(made.Impact.Nodes[0].Swing))
	require.Equal(t, "BU-2 / CC-3 / P-1 0.0000 0.0280", made.Impact.Nodes[1].Path+" "+swing(made.Impact.Nodes[1].Swing))
	require.Equal(t, "0.0280 0.0000", swing(made.Impact.Capitalized))
	require.Equal(t, "0.0000 0.0280", swing(made.Impact.Expensed))
	require.EqualValues(t, 150_00, made.Impact.PlanMovedCents)
	require.Equal(t, 1, made.Impact.Keys)
	require.Len(t, made.Impact.Touches, 3)
	require.JSONEq(t, `{"op":"move","code":"P-1","parent_code":"CC-3","was":"CC-1"}`, string(firstOperation(t, made.Payload)))

	_, err = h.approveChange(t, engineer, made)
	require.Error(t, err)
	require.Equal(t, fault.KindForbidden, fault.KindOf(err))
	applied, err := h.approveChange(t, checker, made)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, applied.State)

	require.Equal(t, "BU-1 CC-1 P-1 CC-2 BU-2 CC-3 SUSPENSE", h.list(t, h.one.who, december().Add(-time.Microsecond)))
	require.Equal(t, "BU-1 CC-1 CC-2 BU-2 CC-3 P-1 SUSPENSE", h.list(t, h.one.who, december()))
	known, err := h.nodes.Tree(t.Context(), h.one.who, app.TreeQuery{AsOf: december(), Known: made.ProposedAt})
	require.NoError(t, err)
	require.Equal(t, "BU-1 CC-1 P-1 CC-2 BU-2 CC-3 SUSPENSE", codes(known), "then nobody knew of it")

	// A charge after the instant finds its placement, one before it keeps its own.
	place := h.text(t, `select 'plc_' || replace(placement_id::text, '-', '') from placement where tenant_id = $1 and path = '{BU-2,CC-3,P-1}'`, h.one.tenant)
	require.NotEmpty(t, place)
	h.one.places["moved"], err = id.ParsePlacement(place)
	require.NoError(t, err)
	require.Equal(t, 1, h.flush(t, h.one, h.one.event(december().Add(time.Hour), "moved")))
	before := h.chargeback(t, h.one.who, months("2026-10"), "node")
	require.Contains(t, paths(before.Rows), "BU-1 / CC-1 / P-1", "October stays as it was booked")

	line, err := h.nodes.Timeline(t.Context(), h.one.who, "P-1", time.Time{})
	require.NoError(t, err)
	require.Len(t, line.Moments, 2)
	require.Equal(t, []string{"parent_code", "capitalization"}, line.Moments[1].Fields)
	require.Equal(t, applied.Number, line.Moments[1].Change.Number)
	require.Equal(t, engineer.ID()+" CC-3", line.Moments[1].Change.Maker+" "+line.Moments[1].ParentCode)
	require.Len(t, line.Records, 2)
	diff, err := h.nodes.Diff(t.Context(), h.one.who, app.TreeQuery{}, app.TreeQuery{AsOf: december()})
	require.NoError(t, err)
	require.Len(t, diff, 1)
	require.Equal(t, "CC-1 CC-3", diff[0].Before.ParentCode+" "+diff[0].After.ParentCode)
	instants, err := h.nodes.Instants(t.Context(), h.one.who)
	require.NoError(t, err)
	require.Equal(t, []time.Time{founded(), december()}, instants)
}

func TestWhatRetiresTakesItsKeysAlong(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.Equal(t, 2, h.flush(t, h.one, h.one.event(october(5), "CC-1"), h.one.event(october(6), "CC-2")))
	engineer := h.person(t, h.one, app.RoleEngineeringAdmin, "eng")
	for operation, want := range map[string]string{
		`{"op":"retire","code":"CC-1"}`:                                               "children_live operations[0].children",
		`{"op":"retire","code":"CC-1","children":"stay"}`:                             "keys_live operations[0].keys_to",
		`{"op":"owner","code":"CC-1","owner":"mem_` + strings.Repeat("0", 31) + `1"}`: "owner_absent operations[0].owner",
		`{"op":"rename","code":"CC-1","name":"Center 1"}`:                             "nodes_same operations",
	} {
		_, err := h.approvals.Propose(t.Context(), engineer, operations(time.Time{}, operation), "")
		f := fault.From(err)
		require.Equal(t, want, f.Code+" "+f.Field, operation)
	}
	shown, err := h.nodes.Preview(t.Context(), engineer, operations(december(), `{"op":"merge","code":"CC-1","into":"CC-2"}`).Payload, december())
	require.NoError(t, err)
	require.Equal(t, "0.014000000000 1", fmt.Sprintf("%s %d", shown.Moved.String(), shown.Keys))
	require.Equal(t, "CC-1 0.0140 0.0000,CC-2 0.0140 0.0280", shown.Nodes[0].Code+" "+swing(shown.Nodes[0].Swing)+","+shown.Nodes[1].Code+" "+swing(shown.Nodes[1].Swing))
	require.Len(t, shown.Differences, 2, "the project moves and the center is gone")
	require.Len(t, shown.Totals, 2)
	require.Zero(t, shown.Rules)
	require.NotContains(t, shown.Sentence, "Rules")
	checker := h.person(t, h.one, app.RoleController, "cfo-rules")
	_, err = h.approveChange(t, checker, h.propose(t, engineer, askRules(time.Time{}, ruleText("haiku", onHaiku, "CC-1", 1_000_000), ruleText("opus", onHaiku, "CC-3", 1_000_000))))
	require.NoError(t, err)
	shown, err = h.nodes.Preview(t.Context(), engineer, operations(december(), `{"op":"merge","code":"CC-1","into":"CC-2"}`).Payload, december())
	require.NoError(t, err)
	require.Equal(t, 1, shown.Rules)
	require.Contains(t, shown.Sentence, "Rules that charge what retires: haiku.")
	require.Equal(t, "BU-1 CC-1 P-1 CC-2 BU-2 CC-3 SUSPENSE", h.list(t, h.one.who, december()), "a preview changes nothing")

	h.reorganize(t, december(), `{"op":"merge","code":"CC-1","into":"CC-2"}`)
	require.Equal(t, "BU-1 CC-2 P-1 BU-2 CC-3 SUSPENSE", h.list(t, h.one.who, december()))
	_, err = h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "late", CostCenter: "CC-1"}, "x")
	require.Equal(t, "cost_center_ends", fault.From(err).Code, "a key made meanwhile would charge suspense from December on")
	charged := func() string {
		key, ok := h.snapshots.Find(h.load(t, id.Tenant{}).Tenants["one"], h.one.key.Secret.Reveal())
		require.True(t, ok)
		return key.Answer.Code + " " + string(key.Answer.Rule)
	}
	require.Equal(t, "CC-1 key", charged())
	h.clock.add(december().Sub(h.clock.now()))
	require.Equal(t, "CC-2 key", charged())
	// What retires has a life that ends, by a change that is named.
	line, err := h.nodes.Timeline(t.Context(), h.one.who, "CC-1", november(11))
	require.NoError(t, err)
	require.Len(t, line.Moments, 2)
	require.False(t, line.Moments[1].There)
	require.NotZero(t, line.Moments[1].Change.Number)
}

// TestAnApprovedChangeMeetsAnotherTree proposes two moves of one project: the second is
// refused when it is decided, and says what changed.
func TestAnApprovedChangeMeetsAnotherTree(t *testing.T) {
	t.Parallel()
	h := build(t)
	engineer, checker := h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	second := h.propose(t, engineer, operations(december(), `{"op":"move","code":"P-1","parent_code":"CC-2"}`))
	renames := h.propose(t, engineer, operations(december(), `{"op":"rename","code":"P-1","name":"New name"}`))
	recoded := h.propose(t, engineer, operations(december(), `{"op":"gl_account","code":"CC-2","gl_account":"6100"}`))
	first := h.reorganize(t, time.Time{}, movesP1, `{"op":"recode","code":"CC-2","new_code":"CC-9"}`, `{"op":"create","code":"CC-2","name":"Another","kind":"cost_center"}`)
	_, err := h.approveChange(t, checker, second)
	f := fault.From(err)
	require.Equal(t, "tree_moved conflict", f.Code+" "+string(f.Kind))
	require.Contains(t, f.Message, fmt.Sprintf("P-1: parent code by change %d", first.Number))
	require.Contains(t, f.Message, "CC-2: code by change")
	_, err = h.approveChange(t, checker, renames)
	require.NoError(t, err, "what it replaces is as it was")
	_, err = h.approveChange(t, checker, recoded)
	require.Equal(t, "tree_moved", fault.From(err).Code)
	require.Contains(t, fault.From(err).Message, "Code CC-2 is another node's now.")
	require.Equal(t, "BU-1 CC-1 CC-9 BU-2 CC-3 P-1 CC-2 SUSPENSE", h.list(t, h.one.who, december()))
}

func TestAChangeOfNodesTakesEffectFromNowOn(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.lock(t, h.one, months("2026-09"))
	engineer, checker := h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	for from, want := range map[time.Time]string{
		september(): "period_closed", december().AddDate(5, 0, 0): "effective_far",
	} {
		_, err := h.approvals.Propose(t.Context(), engineer, operations(from, movesP1), "")
		require.Equal(t, want+" effective_from", fault.From(err).Code+" "+fault.From(err).Field)
		_, err = h.nodes.Preview(t.Context(), engineer, operations(from, movesP1).Payload, from)
		require.Equal(t, want, fault.From(err).Code)
	}
	undated := h.propose(t, engineer, operations(time.Time{}, movesP1))
	h.clock.add(2 * time.Hour)
	decided, err := h.approveChange(t, checker, undated)
	require.NoError(t, err)
	require.Equal(t, "CC-1", h.parent(t, "P-1", decided.ProposedAt.Add(time.Hour)), "until it was decided nothing changed")
	require.Equal(t, "CC-3", h.parent(t, "P-1", time.Time{}))
}

func (h *house) parent(t *testing.T, code string, asOf time.Time) string {
	t.Helper()
	list, err := h.nodes.List(t.Context(), h.one.who, asOf)
	require.NoError(t, err)
	for _, v := range list {
		if v.Code == code {
			return v.ParentCode
		}
	}
	return "absent"
}

func TestABudgetOwnerProposesWithinTheirSubtree(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.personAt(t, h.one, app.RoleBudgetOwner, "own", "CC-1")
	before := h.contents(t)
	for operation, want := range map[string]string{
		movesP1: "parent_absent", `{"op":"rename","code":"CC-2","name":"x"}`: "node_absent", `{"op":"rename","code":"CC-0","name":"x"}`: "node_absent",
		`{"op":"create","code":"P-2","name":"x","kind":"project","parent_code":"BU-2"}`: "parent_absent",
	} {
		_, err := h.approvals.Propose(t.Context(), owner, operations(time.Time{}, operation), "")
		require.Equal(t, want, fault.From(err).Code, operation)
		_, err = h.nodes.Preview(t.Context(), owner, operations(time.Time{}, operation).Payload, time.Time{})
		require.Equal(t, want, fault.From(err).Code, operation)
	}
	require.Equal(t, before, h.contents(t))
	h.propose(t, owner, operations(time.Time{}, `{"op":"create","code":"P-2","name":"x","kind":"project","parent_code":"CC-1"}`))
	diff, err := h.nodes.Diff(t.Context(), owner, app.TreeQuery{AsOf: founded().Add(-time.Hour)}, app.TreeQuery{})
	require.NoError(t, err)
	require.Len(t, diff, 2, "of six nodes that came, theirs")
	_, err = h.nodes.Timeline(t.Context(), owner, "CC-2", time.Time{})
	require.ErrorIs(t, err, app.ErrNodeAbsent)
	developer := h.person(t, h.one, app.RoleDeveloper, "dev")
	_, err = h.nodes.Preview(t.Context(), developer, operations(time.Time{}, movesP1).Payload, time.Time{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
}

// TestManyOperationsAreNamedByTheirDigest proposes more than one record holds, edits it
// and applies it.
func TestManyOperationsAreNamedByTheirDigest(t *testing.T) {
	t.Parallel()
	h := build(t)
	list := make([]hierarchy.Operation, 0, 3000)
	for i := range 3000 {
		list = append(list, hierarchy.Operation{Op: hierarchy.OpCreate, Code: fmt.Sprintf("N-%d", i), Name: "Node", Kind: hierarchy.KindProject, ParentCode: new("CC-2")})
	}
	ask, err := app.NodesAsk(list, time.Time{}, "a whole department")
	require.NoError(t, err)
	engineer := h.person(t, h.one, app.RoleEngineeringAdmin, "eng")
	made := h.propose(t, engineer, ask)
	require.Less(t, len(made.Payload), 1000)
	require.Contains(t, string(made.Payload), `"steps":{"create":3000}`)
	ask.Payload = append([]byte{}, ask.Payload...)
	ask.Payload = []byte(strings.Replace(string(ask.Payload), `"name":"Node"`, `"name":"First"`, 1))
	revised, err := h.approvals.Revise(t.Context(), engineer, made.ID, made.Digest, ask)
	require.NoError(t, err)
	_, err = h.approveChange(t, h.person(t, h.one, app.RoleFinanceAdmin, "fin"), revised)
	require.NoError(t, err)
	require.EqualValues(t, 3000, h.number(t, `select count(*) from node_version where tenant_id = $1 and change_id = $2`, h.one.tenant, made.ID))
	require.EqualValues(t, 1, h.number(t, `select count(*) from node_version where tenant_id = $1 and name = 'First'`, h.one.tenant))
	require.EqualValues(t, 2, h.number(t, `select count(*) from node_operations where tenant_id = $1`, h.one.tenant))
}

func months(text string) period.Month {
	month, err := period.ParseMonth(text)
	if err != nil {
		panic(err)
	}
	return month
}

func september() time.Time { return time.Date(2026, 9, 3, 0, 0, 0, 0, time.UTC) }

func firstOperation(t *testing.T, payload []byte) json.RawMessage {
	t.Helper()
	var said struct{ Operations []json.RawMessage }
	require.NoError(t, json.Unmarshal(payload, &said))
	require.NotEmpty(t, said.Operations)
	return said.Operations[0]
}

func paths(rows []app.ChargebackRow) []string {
	list := make([]string, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.Path)
	}
	return list
}

// TestTheDatabaseKnowsOfNodesWhatGoKnows makes changes at random, effective at random
// instants ahead. Whatever Go takes the constraints take, and both lay out the same lives.
func TestTheDatabaseKnowsOfNodesWhatGoKnows(t *testing.T) {
	t.Parallel()
	h := build(t)
	maker, checker := h.person(t, h.one, app.RoleFinanceAdmin, "maker"), h.person(t, h.one, app.RoleFinanceAdmin, "checker")
	random := rand.New(rand.NewPCG(5, 2026)) // the same changes with every run
	codes := []string{"BU-1", "CC-2", "P-1", "BU-2", "CC-3", "X-1", "X-2"}
	pick := func() string { return codes[random.IntN(len(codes))] }
	applied := 0
	for range 200 {
		operation := []string{
			fmt.Sprintf(`{"op":"create","code":%q,"name":"n","kind":"project","parent_code":%q}`, pick(), pick()),
			fmt.Sprintf(`{"op":"move","code":%q,"parent_code":%q}`, pick(), pick()),
			fmt.Sprintf(`{"op":"rename","code":%q,"name":"name %d"}`, pick(), random.IntN(9)),
			fmt.Sprintf(`{"op":"recode","code":%q,"new_code":%q}`, pick(), pick()),
			fmt.Sprintf(`{"op":"merge","code":%q,"into":%q}`, pick(), pick()),
			fmt.Sprintf(`{"op":"retire","code":%q,"children":"stay","keys_to":"CC-1"}`, pick()),
		}[random.IntN(6)]
		made, err := h.approvals.Propose(t.Context(), maker, operations(december().AddDate(0, 0, random.IntN(6)), operation), "")
		if err != nil {
			require.Contains(t, []fault.Kind{fault.KindInvalid, fault.KindConflict}, fault.KindOf(err), "%s: %v", operation, err)
			continue
		}
		_, err = h.approveChange(t, checker, made)
		require.NoError(t, err, operation)
		applied++
	}
	require.Greater(t, applied, 20)
	var versions []hierarchy.Version
	require.NoError(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		var err error
		versions, err = tx.NodeVersions()
		return err
	}))
	nodes := map[id.Node]bool{}
	for i := range versions {
		nodes[versions[i].Node] = true
	}
	for node := range nodes {
		var lives []string
		for _, m := range hierarchy.Timeline(versions, node, time.Time{}) {
			until := "infinity"
			if !m.To.IsZero() {
				until = m.To.Format(time.DateOnly)
			}
			if !m.There {
				continue
			}
			parent := ""
			if !m.Version.Parent.IsZero() {
				parent = m.Version.Parent.UUID()
			}
			lives = append(lives, strings.Join([]string{m.From.Format(time.DateOnly), until, m.Version.Code, parent}, " "))
		}
		// The database keeps a span for each version, Go one for what differs: names are no part of a span.
		require.Equal(t, joined(lives), joined(strings.Split(h.text(t, `select coalesce(string_agg(concat_ws(' ', to_char(lower(span) at time zone 'UTC', 'YYYY-MM-DD'),
			coalesce(to_char(upper(span) at time zone 'UTC', 'YYYY-MM-DD'), 'infinity'), code, coalesce(parent_id::text, '')), ',' order by span), '')
			from node_span where tenant_id = $1 and node_id = $2`, h.one.tenant, node), ",")), node)
	}
}

// joined lays spans that say the same end to end: "from until code parent".
func joined(spans []string) []string {
	var list []string
	for _, s := range spans {
		fields := strings.SplitN(s, " ", 3)
		if n := len(list); n > 0 && len(fields) == 3 {
			last := strings.SplitN(list[n-1], " ", 3)
			if last[1] == fields[0] && strings.TrimSpace(last[2]) == strings.TrimSpace(fields[2]) {
				list[n-1] = last[0] + " " + fields[1] + " " + last[2]
				continue
			}
		}
		if s != "" {
			list = append(list, strings.TrimSpace(s))
		}
	}
	return list
}
