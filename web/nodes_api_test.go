package web_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// TestAPIProposesAChangeOfTheHierarchy sends operations as a token and reads what comes of
// them: a proposal that names what it replaces, and problems that name the member at fault.
func TestAPIProposesAChangeOfTheHierarchy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := func(from, operation string) string {
		return `{"kind":"node","payload":{"operations":[` + operation + `]},` + from + `"reason":"a new department"}`
	}
	move := `{"op":"move","code":"AC-P1","parent_code":"AC-20"}`
	made := w.call(w.one, app.RoleEngineeringAdmin, "/changes", body(`"effective_from":"2026-12-01",`, move))
	require.Equal(t, 201, made.status, made.body)
	change := made.json(t)
	require.Equal(t, "proposed", change["state"])
	require.Contains(t, change["impact"], "AC-P1 moves from AC-11 to AC-20.")
	require.Equal(t, "AC-11", change["payload"].(map[string]any)["operations"].([]any)[0].(map[string]any)["was"])
	for want, sent := range map[string]string{
		"operations[0].parent_code": body("", `{"op":"move","code":"AC-P1","parent_code":"AC-99"}`),
		"operations[0].code":        body("", `{"op":"rename","code":"ZE-11","name":"another company's"}`),
		"operations[0]":             body("", `{"op":"move","code":"AC-P1","to":"AC-20"}`),
		"effective_from":            body(`"effective_from":"2036-11-01",`, move),
	} {
		got := w.call(w.one, app.RoleEngineeringAdmin, "/changes", sent)
		require.Equal(t, 400, got.status, got.body)
		require.Equal(t, want, got.json(t)["field"], got.body)
	}
	overtaken := w.call(w.one, app.RoleEngineeringAdmin, "/changes", body("", `{"op":"move","code":"AC-P1","parent_code":"AC-20","was":"AC-10"}`))
	require.Equal(t, 409, overtaken.status)
	require.Contains(t, overtaken.body, "tree_moved")
	before := w.call(w.one, app.RoleAuditor, "/nodes?known_at=2026-09-01T00:00:00Z", "").json(t)
	require.Empty(t, before["data"], "then nothing was known of them")
}
