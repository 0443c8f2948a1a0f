package app_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// TestATokenStandsInForNobody reads changes with a token that is limited to one role, of
// somebody who stands in for a controller: a delegation is for persons.
func TestATokenStandsInForNobody(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner, fin := h.owner(t, h.one), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	cfo, deputy := h.atBrowser(t, h.one, app.RoleController, "", "cfo"), h.atBrowser(t, h.one, app.RoleBudgetOwner, "CC-1", "deputy")
	_, err := h.approvals.Delegate(t.Context(), cfo, "deputy@one.test", time.Time{}, h.clock.now().Add(24*time.Hour), "on leave")
	require.NoError(t, err)
	change := h.propose(t, fin, discount(1000))
	_, err = h.approvals.Case(t.Context(), deputy, change.ID)
	require.NoError(t, err, "in a session they see what they decide for the other")

	made, err := h.members.MakeToken(t.Context(), owner, app.NewToken{Member: deputy.Member, Label: "t", Roles: []app.Role{app.RoleBudgetOwner}, Life: time.Hour}, "to test", "")
	require.NoError(t, err)
	token, err := h.members.ByToken(t.Context(), made.Secret)
	require.NoError(t, err)
	page, err := h.approvals.List(t.Context(), token, "", 0, 50)
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(page.Rows, func(v app.ChangeView) bool { return v.ID == change.ID || v.Kind == "prices" }))
	_, err = h.approvals.Case(t.Context(), token, change.ID)
	require.Equal(t, "change_absent", codeOf(err))
}
