package web_test

import (
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/hierarchy"
)

func TestNodePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cases := []struct {
		name          string
		role          app.Role
		target        string
		status        int
		must, mustNot []string
	}{
		{
			name: "the hierarchy", role: app.RoleEngineeringAdmin, target: "/nodes", status: 200,
			must: []string{
				"Propulsion unit", "AC-P1", `href="/nodes/AC-11"`, "6410", "Cost center", "5 nodes; charges of November 2026, US dollars so far", "/nodes/change?code=AC-P1&amp;op=move", "Import CSV", "Create a node",
				"Collapse AC-10 Propulsion unit", "shut=AC-10#n-AC-10", `data-notches="2026-10-01 "`, "/nodes.csv", "with manifest", "nodes-acme.csv", "SHA-256", `aria-current="page">Hierarchy`, "All charges of the month",
			},
		},
		{name: "to look at", role: app.RoleAuditor, target: "/nodes", status: 200, must: []string{"AC-P1"}, mustNot: []string{"Move…", "Import CSV", "data-nodes "}},
		{name: "a subtree", role: app.RoleBudgetOwner, target: "/nodes", status: 200, must: []string{"AC-10", "AC-P1", "Move…"}, mustNot: []string{"AC-20", "SUSPENSE"}},
		{name: "without charges", role: app.RoleDeveloper, target: "/nodes", status: 200, must: []string{"AC-11"}, mustNot: []string{"With below", `href="/nodes/AC-11"`}},
		{name: "folded", role: app.RoleAuditor, target: "/nodes?shut=AC-10", status: 200, must: []string{"2 below", "2 nodes folded", "Expand all", "open=AC-10#n-AC-10"}, mustNot: []string{"Propulsion project"}},
		{name: "to a level", role: app.RoleAuditor, target: "/nodes?levels=2", status: 200, must: []string{"Propulsion team", "1 node folded"}, mustNot: []string{"Propulsion project"}},
		{name: "one unfolded", role: app.RoleAuditor, target: "/nodes?levels=1&open=AC-10", status: 200, must: []string{"Propulsion team"}, mustNot: []string{"Propulsion project"}},
		{name: "filtered", role: app.RoleAuditor, target: "/nodes?q=PROJECT", status: 200, must: []string{"1 of 5 nodes match, with what is above them", "Propulsion project", "Propulsion unit"}, mustNot: []string{"Propulsion office"}},
		{name: "by kind", role: app.RoleAuditor, target: "/nodes?kind=business_unit", status: 200, must: []string{"Propulsion unit"}, mustNot: []string{"Propulsion team"}},
		{name: "filtered out", role: app.RoleAuditor, target: "/nodes?q=none", status: 200, must: []string{"No node matches", "Clear the filter"}},
		{name: "before it began", role: app.RoleAuditor, target: "/nodes?as_of=2026-09-01", status: 200, must: []string{"There is no node at that time", "As of 1 Sep 2026"}},
		{name: "before it was known", role: app.RoleAuditor, target: "/nodes?known_at=2026-09-01", status: 200, must: []string{"There is no node at that time"}},
		{name: "no such day", role: app.RoleAuditor, target: "/nodes?as_of=yesterday", status: 422, must: []string{`value="yesterday"`, `aria-invalid="true"`, `role="alert"`}},
		{name: "no such kind", role: app.RoleAuditor, target: "/nodes?kind=team", status: 422, must: []string{`role="alert"`}},
		{name: "no such level", role: app.RoleAuditor, target: "/nodes?levels=99", status: 422, must: []string{"level of 1 to 32"}},
		{name: "two dates", role: app.RoleAuditor, target: "/nodes?from=2026-09-01", status: 200, must: []string{"What differs", "5 created", "Propulsion project", "parent", "/nodes.csv?from=2026-09-01"}},
		{name: "one date twice", role: app.RoleAuditor, target: "/nodes?from=2026-11-01&as_of=2026-11-02", status: 200, must: []string{"Nothing: the hierarchy says the same at both."}},
		{
			name: "a move from an address", role: app.RoleEngineeringAdmin, target: "/nodes/change?op=move&code=AC-P1&parent=AC-20", status: 200,
			must: []string{"Move AC-P1 to AC-20", "What changes", "What it moves", "Who would decide", "everybody who may approve for finance", "Propose", "when it is decided", "AC-11", "1 operation", "Add another operation"},
		},
		{name: "a move to be said", role: app.RoleEngineeringAdmin, target: "/nodes/change?op=move&code=AC-P1", status: 200, must: []string{"Below, by its code", `value="AC-P1"`, "AC-10 / AC-11 / AC-P1"}, mustNot: []string{"Who would decide"}},
		{name: "a circle", role: app.RoleEngineeringAdmin, target: "/nodes/change?op=move&code=AC-10&parent=AC-P1", status: 422, must: []string{"AC-P1 is AC-10 or below it", `aria-invalid="true"`}},
		{name: "another company's parent", role: app.RoleEngineeringAdmin, target: "/nodes/change?op=move&code=AC-P1&parent=ZE-20", status: 422, must: []string{`value="ZE-20"`, `aria-invalid="true"`}},
		{name: "outside the subtree", role: app.RoleBudgetOwner, target: "/nodes/change?op=move&code=AC-P1&parent=AC-20", status: 422, mustNot: []string{"Propulsion office"}},
		{name: "no operation", role: app.RoleEngineeringAdmin, target: "/nodes/change?op=burn", status: 422},
		{name: "a change not permitted", role: app.RoleAuditor, target: "/nodes/change?op=move&code=AC-P1&parent=AC-20", status: 403},
		{name: "an import not permitted", role: app.RoleController, target: "/nodes/import", status: 403},
		{name: "an import", role: app.RoleAnalyst, target: "/nodes/import", status: 200, must: []string{"retire that is not in the file", "/nodes.csv", "Check what changes"}},
		{
			name: "a node that may be changed", role: app.RoleEngineeringAdmin, target: "/nodes/AC-P1", status: 200,
			must: []string{"Change…", "/nodes/change?code=AC-P1&amp;op=merge", "op=create&amp;parent=AC-P1", "Timeline", "In force", "Gaps in the evidence", "no standard", `href="/changes/chg_`},
		},
		{name: "a node to look at", role: app.RoleAuditor, target: "/nodes/AC-P1", status: 200, must: []string{"Timeline"}, mustNot: []string{"op=move"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			wholesome(t, got)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range append(c.mustNot, w.two.words...) {
				if !strings.Contains(c.target, text) && !strings.Contains(c.target, "ZE-") {
					require.NotContains(t, got.body, text)
				}
			}
		})
	}
}

// TestANodeIsChangedByAProposal collects operations step by step as a browser without
// scripts does, and proposes them: the hierarchy stays as it is until somebody decides.
func TestANodeIsChangedByAProposal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maker := w.session(t, w.one, app.RoleEngineeringAdmin)
	step := func(before, step string, more url.Values) answer {
		form := url.Values{"step": {step}}
		if before != "" {
			form.Set("operations", hidden(t, before, "operations"))
			form.Set("once", hidden(t, before, "once"))
		}
		maps.Copy(form, more)
		got := w.send(maker, "/nodes/change", form)
		wholesome(t, got)
		return got
	}
	got := step("", "show", url.Values{"op": {"move"}, "code": {"AC-P1"}, "parent": {"AC-20"}})
	require.Equal(t, 200, got.status, got.body)
	require.Contains(t, hidden(t, got.body, "operations"), `"was":"AC-11"`, "what it replaces goes along")
	got = step(got.body, "choose", url.Values{"next": {"capitalization"}, "code": {"AC-P1"}})
	require.Contains(t, got.body, "Category of work")
	capitalize := url.Values{"op": {"capitalization"}, "code": {"AC-P1"}, "capitalization": {"capitalize"}, "capitalizable_percent": {"62.5"}, "authorized_on": {"2026-10-02"}}
	got = step(got.body, "show", capitalize)
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "say under what standard")
	require.Contains(t, got.body, `value="62.5"`, "what was typed is still there")
	capitalize.Set("standard", "asu_2025_06")
	capitalize.Set("category", "new_function")
	got = step(got.body, "show", capitalize)
	require.Equal(t, 200, got.status, got.body)
	require.Contains(t, got.body, "2 operations on the hierarchy")
	require.Contains(t, got.body, "capitalizable 62.5%")
	edited := step(got.body, "edit:0", nil)
	require.Contains(t, edited.body, `value="AC-20"`)
	left := step(got.body, "drop:1", nil)
	require.Contains(t, left.body, "Move AC-P1 to AC-20")
	got = step(got.body, "preview", url.Values{"effective_from": {"2026-12-01"}})
	require.Contains(t, got.body, "on 1 Dec 2026 00:00 UTC")
	refused := step(got.body, "propose", url.Values{"effective_from": {"2026-12-01"}})
	require.Equal(t, 422, refused.status)
	require.Contains(t, refused.body, `role="alert"`)
	past := step(got.body, "preview", url.Values{"effective_from": {"2026-11-01"}})
	require.Equal(t, 200, past.status)
	require.Contains(t, past.body, "on 1 Nov 2026 00:00 UTC")
	send := url.Values{"effective_from": {"2026-12-01"}, "reason": {"a new department"}}
	made, again := step(got.body, "propose", send), step(got.body, "propose", send)
	require.Equal(t, http.StatusSeeOther, made.status, made.body)
	require.Regexp(t, `^/changes/chg_`, made.header.Get("Location"))
	require.Equal(t, made.header.Get("Location"), again.header.Get("Location"), "sent twice, it is one proposal")

	list, err := w.areas.Nodes.List(t.Context(), w.who(t, w.one, app.RoleAuditor), time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	for _, n := range list {
		if n.Code == "AC-P1" {
			require.Equal(t, "AC-11", n.ParentCode, "nothing moved")
		}
	}
	open, err := w.areas.Approvals.List(t.Context(), w.who(t, w.one, app.RoleFinanceAdmin), "proposed", 0, 10)
	require.NoError(t, err)
	change := open.Rows[0]
	require.Equal(t, "node", change.Kind)
	_, err = w.areas.Approvals.Decide(t.Context(), w.who(t, w.one, app.RoleFinanceAdmin), change.ID, "approve", change.Digest, "yes")
	require.NoError(t, err)
	planned := w.see(t, w.one, app.RoleAuditor, "/nodes?from=2026-11-30&as_of=2026-12-01")
	require.Contains(t, planned.body, "1 moved")
	require.Contains(t, planned.body, "<del>AC-11</del>")
	node := w.see(t, w.one, app.RoleAuditor, "/nodes/AC-P1")
	require.Contains(t, node.body, "Planned")
	require.Contains(t, node.body, `href="/changes/`+change.ID.String())
}

// TestEveryOperationHasItsForm sends each operation's form as it is offered for a node.
func TestEveryOperationHasItsForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maker := w.session(t, w.one, app.RoleEngineeringAdmin)
	owner := w.one.members[app.RoleController].String()
	for name, c := range map[string]struct {
		fields url.Values
		says   string
	}{
		"create":          {url.Values{"op": {"create"}, "code": {"AC-30"}, "name": {"Test stand"}, "kind": {"cost_center"}, "parent": {"AC-10"}, "owner": {owner}, "capitalization": {"expense"}, "dimensions": {"netsuite.department = 120\r\nsap.order = 7"}}, "netsuite.department = 120; sap.order = 7"},
		"rename":          {url.Values{"op": {"rename"}, "code": {"AC-11"}, "name": {"Engines"}}, "<ins>Engines</ins>"},
		"recode":          {url.Values{"op": {"recode"}, "code": {"AC-11"}, "new_code": {"AC-12"}}, "<ins>AC-12</ins>"},
		"to the top":      {url.Values{"op": {"move"}, "code": {"AC-11"}, "parent": {""}}, "Move AC-11 to the top"},
		"owner":           {url.Values{"op": {"owner"}, "code": {"AC-11"}, "owner": {owner}}, "<ins>Propulsion controller</ins>"},
		"entity":          {url.Values{"op": {"entity"}, "code": {"AC-11"}, "entity": {"DE01"}}, "<ins>DE01</ins>"},
		"no GL account":   {url.Values{"op": {"gl_account"}, "code": {"AC-11"}, "gl_account": {""}}, "<del>6410</del>"},
		"kind":            {url.Values{"op": {"kind"}, "code": {"AC-11"}, "kind": {"business_unit"}}, "<ins>Business unit</ins>"},
		"dimensions":      {url.Values{"op": {"dimensions"}, "code": {"AC-11"}, "dimensions": {"workday.cost_center = 4"}}, "workday.cost_center = 4"},
		"merge":           {url.Values{"op": {"merge"}, "code": {"AC-20"}, "into": {"AC-11"}, "children": {"into"}}, "Merge AC-20 into AC-11"},
		"retire":          {url.Values{"op": {"retire"}, "code": {"AC-P1"}}, "Retired"},
		"retire with key": {url.Values{"op": {"retire"}, "code": {"AC-20"}, "keys_to": {"AC-11"}}, "1 virtual key"},
		"split": {
			url.Values{"op": {"split"}, "code": {"AC-11"}, "part_code": {"AC-11A", "AC-11B", ""}, "part_name": {"Engines", "Tanks", ""}, "child:AC-P1": {"AC-11A"}, "keys_to": {"AC-11B"}},
			"AC-11B",
		},
	} {
		form := w.see(t, w.one, app.RoleEngineeringAdmin, "/nodes/change?op="+c.fields.Get("op")+"&code="+c.fields.Get("code"))
		require.Equal(t, 200, form.status, name)
		for field := range c.fields {
			require.Contains(t, form.body, `name="`+field+`"`, name)
		}
		c.fields.Set("step", "show")
		got := w.send(maker, "/nodes/change", c.fields)
		require.Equal(t, 200, got.status, "%s: %s", name, got.body)
		wholesome(t, got)
		require.Contains(t, got.body, c.says, name)
		require.Contains(t, got.body, "Who would decide", name)
	}
	for name, c := range map[string]struct {
		fields url.Values
		says   string
	}{
		"no such node":    {url.Values{"op": {"rename"}, "code": {"NOPE"}, "name": {"x"}}, "NOPE"},
		"taken":           {url.Values{"op": {"recode"}, "code": {"AC-11"}, "new_code": {"AC-20"}}, "AC-20"},
		"children left":   {url.Values{"op": {"retire"}, "code": {"AC-11"}}, "Say whether they stay"},
		"keys left":       {url.Values{"op": {"retire"}, "code": {"AC-20"}}, "Virtual keys charge AC-20"},
		"one part":        {url.Values{"op": {"split"}, "code": {"AC-20"}, "part_code": {"A"}, "part_name": {"a"}}, "2 to 50 new ones"},
		"no share":        {url.Values{"op": {"capitalization"}, "code": {"AC-20"}, "capitalization": {"expense"}, "capitalizable_percent": {"most"}}, "at most two decimals"},
		"no dimension":    {url.Values{"op": {"dimensions"}, "code": {"AC-20"}, "dimensions": {"120"}}, "netsuite.department = 120"},
		"nobody's member": {url.Values{"op": {"owner"}, "code": {"AC-20"}, "owner": {w.two.members[app.RoleController].String()}}, "No member has the id"},
		"same":            {url.Values{"op": {"rename"}, "code": {"AC-20"}, "name": {"Propulsion office"}}, "Nothing would change"},
	} {
		got := w.send(maker, "/nodes/change", c.fields)
		require.Equal(t, 422, got.status, "%s: %s", name, got.body)
		require.Contains(t, unescape(got.body), c.says, name)
	}
}

// TestAHierarchyGoesOutAndIn takes an export, edits it and sends it back.
func TestAHierarchyGoesOutAndIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maker := w.session(t, w.one, app.RoleEngineeringAdmin)
	file := w.see(t, w.one, app.RoleEngineeringAdmin, "/nodes.csv")
	require.Equal(t, 200, file.status)
	lines, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 6)
	require.Contains(t, file.body, "own_usd")
	send := func(text, step string, more url.Values) answer {
		form := url.Values{"file": {text}, "step": {step}}
		maps.Copy(form, more)
		got := w.send(maker, "/nodes/import", form)
		wholesome(t, got)
		return got
	}
	same := send(file.body, "check", nil)
	require.Equal(t, 422, same.status)
	require.Contains(t, same.body, "Nothing would change")
	bad := send("code,name,kind\nAC-11,,team\nAC-11,x,cost_center\n", "check", nil)
	require.Equal(t, 422, bad.status)
	require.Contains(t, bad.body, "nothing was taken")
	require.Contains(t, bad.body, "AC-11,,team")
	edited := "code,name,kind,parent_code\nAC-10,Propulsion unit,business_unit,\nAC-11,Propulsion team,cost_center,AC-10\nAC-P1,Propulsion project,project,AC-20\nAC-20,Renamed office,cost_center,\nAC-40,New stand,cost_center,AC-20\n"
	checked := send(edited, "check", url.Values{"effective_from": {"2026-12-01"}})
	require.Equal(t, 200, checked.status, checked.body)
	for _, text := range []string{"1 created, 1 moved, 1 changed, 2 unchanged", "Renamed office", "Who would decide", "2 lines that change nothing", "on 1 Dec 2026 00:00 UTC"} {
		require.Contains(t, checked.body, text)
	}
	short := send("code,name,kind\nAC-10,Propulsion unit,business_unit\nAC-11,Propulsion team,cost_center\nAC-P1,Propulsion project,project\n", "check", url.Values{"retire_missing": {"yes"}, "keys_to": {"AC-11"}})
	require.Equal(t, 200, short.status, short.body)
	require.Contains(t, short.body, "1 retired")
	reasonless := send(edited, "propose", nil)
	require.Equal(t, 422, reasonless.status)
	require.Contains(t, reasonless.body, `aria-invalid="true"`)
	made := send(edited, "propose", url.Values{"reason": {"the master list"}, "effective_from": {"2026-12-01"}})
	require.Equal(t, http.StatusSeeOther, made.status, made.body)
	require.Regexp(t, `^/changes/chg_`, made.header.Get("Location"))
	require.Equal(t, 422, send(edited, "check", url.Values{"effective_from": {"soon"}}).status)
}

// TestALargeHierarchyIsFolded shows as many levels as fit, and says how many nodes do not.
func TestALargeHierarchyIsFolded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var nodes []app.NewNode
	for unit := range 40 {
		code := fmt.Sprintf("U-%02d", unit)
		nodes = append(nodes, app.NewNode{Code: code, Name: code, Kind: "business_unit", Capitalization: "expense"})
		for center := range 20 {
			nodes = append(nodes, app.NewNode{Code: fmt.Sprintf("%s-%02d", code, center), Name: "center", Kind: "cost_center", ParentCode: code, Capitalization: "expense"})
		}
	}
	require.NoError(t, w.areas.Nodes.Create(t.Context(), app.Command(w.one.tenant), nodes, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "many"))
	got := w.see(t, w.one, app.RoleAuditor, "/nodes")
	require.Equal(t, 200, got.status)
	require.Contains(t, got.body, "845 nodes")
	require.Contains(t, got.body, "802 nodes folded")
	require.Equal(t, 43, strings.Count(got.body, `data-code="`))
	open := w.see(t, w.one, app.RoleAuditor, "/nodes?open=U-07")
	require.Equal(t, 63, strings.Count(open.body, `data-code="`))
	all := w.see(t, w.one, app.RoleAuditor, "/nodes?levels=32")
	require.Equal(t, 845, strings.Count(all.body, `data-code="`))
	file := w.see(t, w.one, app.RoleAuditor, "/nodes.csv")
	require.Equal(t, 846, strings.Count(file.body, "\n"), "what is folded is in the file")
	require.Contains(t, file.body, string(hierarchy.KindBusinessUnit))
}
