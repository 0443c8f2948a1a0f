package app_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
)

var update = flag.Bool("update", false, "write golden files anew") //nolint:gochecknoglobals // a flag of the test binary

// rights lists every object and action the matrix knows, so that the golden table
// covers them without naming any.
func rights(t *testing.T) (all [][2]string) {
	t.Helper()
	matrix, err := os.ReadFile("access.csv")
	require.NoError(t, err)
	for line := range strings.Lines(string(matrix)) {
		if fields := strings.Split(strings.TrimSpace(line), ", "); fields[0] == "p" {
			require.Len(t, fields, 6, line)
			require.Contains(t, app.Roles(), app.Role(fields[1]), line)
			require.Equal(t, "*", fields[2], "answers are kept for every tenant alike: %s", line)
			require.Contains(t, []string{"allow", "deny"}, fields[5], line)
			if right := [2]string{fields[3], fields[4]}; !slices.Contains(all, right) {
				all = append(all, right)
			}
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[0]+" "+a[1], b[0]+" "+b[1]) })
	return all
}

func holding(roles ...app.Role) app.Actor {
	who := app.Actor{Tenant: id.NewTenant(founded()), Kind: app.ActorPerson}
	for _, r := range roles {
		who.Grants = append(who.Grants, app.Grant{Role: r})
	}
	return who
}

func TestAccessIsTheGoldenTable(t *testing.T) {
	t.Parallel()
	access, err := app.NewAccess()
	require.NoError(t, err)
	var table strings.Builder
	for _, right := range rights(t) {
		var may []string
		for _, role := range app.Roles() {
			if access.Check(holding(role), right[0], right[1]) == nil {
				may = append(may, string(role))
			}
		}
		fmt.Fprintf(&table, "%-11s%-9s%s\n", right[0], right[1], strings.Join(may, " "))
	}
	const golden = "testdata/access.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(table.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), table.String(), "review who may do what; then go test ./app -run Golden -update")
}

func TestADenyOverridesEveryAllow(t *testing.T) {
	t.Parallel()
	access, err := app.NewAccess()
	require.NoError(t, err)
	require.NoError(t, access.Check(holding(app.RoleFinanceAdmin), "finance", "approve"))
	for _, other := range []app.Role{app.RoleEngineeringAdmin, app.RoleAuditor, app.RoleServiceAccount} {
		for _, order := range [][]app.Role{{app.RoleFinanceAdmin, other}, {other, app.RoleFinanceAdmin}, {app.RoleController, app.RoleFinanceAdmin, other}} {
			require.ErrorIs(t, access.Check(holding(order...), "finance", "approve"), app.ErrNotAllowed, order)
			require.ErrorIs(t, access.Check(holding(order...), "close", "approve"), app.ErrNotAllowed, order)
		}
		require.NoError(t, access.Check(holding(app.RoleFinanceAdmin, other), "price", "read"), "a deny takes only what it names")
	}
}

func TestOnlyAPersonInASessionDecides(t *testing.T) {
	t.Parallel()
	access, err := app.NewAccess()
	require.NoError(t, err)
	everything := holding(app.RoleFinanceAdmin, app.RoleController)
	require.NoError(t, access.Check(everything, "finance", "approve"))
	for _, kind := range []app.ActorKind{app.ActorToken, app.ActorSystem, app.ActorCommand, ""} {
		everything.Kind = kind
		require.ErrorIs(t, access.Check(everything, "finance", "approve"), app.ErrNoPerson, kind)
		require.ErrorIs(t, access.Check(everything, "anything", "approve"), app.ErrNoPerson, kind)
	}
}

func TestNobodyAndUnknownThingsAreRefused(t *testing.T) {
	t.Parallel()
	access, err := app.NewAccess()
	require.NoError(t, err)
	for _, who := range []app.Actor{holding(), holding(""), holding("nobody"), holding("finance_admi"), holding("*"), {Kind: app.ActorToken}} {
		for _, right := range rights(t) {
			require.Error(t, access.Check(who, right[0], right[1]), who.Grants)
		}
	}
	for _, role := range app.Roles() {
		require.ErrorIs(t, access.Check(holding(role), "usage", "delete"), app.ErrNotAllowed)
		require.ErrorIs(t, access.Check(holding(role), "", ""), app.ErrNotAllowed)
		require.ErrorIs(t, access.Check(holding(role), "*", "read"), app.ErrNotAllowed)
	}
}

func TestScopeIsTheGrantsSubtrees(t *testing.T) {
	t.Parallel()
	access, err := app.NewAccess()
	require.NoError(t, err)
	a, b := id.NewNode(founded()), id.NewNode(founded())
	with := func(grants ...app.Grant) app.Actor {
		who := holding()
		who.Grants = grants
		return who
	}
	for name, c := range map[string]struct {
		who  app.Actor
		want []id.Node
	}{
		"the product":                  {app.System(id.NewTenant(founded())), nil},
		"an analyst of everything":     {holding(app.RoleAnalyst), nil},
		"a budget owner of two":        {with(app.Grant{Role: app.RoleBudgetOwner, Node: a}, app.Grant{Role: app.RoleBudgetOwner, Node: b}), []id.Node{a, b}},
		"a budget owner of nothing":    {holding(app.RoleBudgetOwner), []id.Node{}},
		"nobody":                       {holding(), []id.Node{}},
		"a developer":                  {holding(app.RoleDeveloper), []id.Node{}},
		"a subtree beside everything":  {with(app.Grant{Role: app.RoleBudgetOwner, Node: a}, app.Grant{Role: app.RoleAuditor}), nil},
		"everything in another role":   {with(app.Grant{Role: app.RoleBudgetOwner, Node: a}, app.Grant{Role: app.RoleDeveloper}), []id.Node{a}},
		"an analyst of one subtree":    {with(app.Grant{Role: app.RoleAnalyst, Node: b}), []id.Node{b}},
		"a denied role adds no reach":  {with(app.Grant{Role: app.RoleServiceAccount, Node: b}), []id.Node{b}},
		"an unknown role adds nothing": {with(app.Grant{Role: "x"}, app.Grant{Role: app.RoleAnalyst, Node: b}), []id.Node{b}},
	} {
		got := access.Scope(c.who, "usage", "read")
		require.Equal(t, c.want == nil, got == nil, name)
		require.ElementsMatch(t, c.want, got, name)
	}
}
