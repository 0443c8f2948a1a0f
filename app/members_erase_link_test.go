package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// TestAnErasureReachesTheAccountsItsApproverSaw links somebody else's account to a person
// whose erasure waits: what cannot be undone is not done to whom nobody decided about.
func TestAnErasureReachesTheAccountsItsApproverSaw(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner, fin := h.owner(t, h.one), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	ada, ben := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada"), h.atBrowser(t, h.one, app.RoleDeveloper, "", "ben")
	for _, who := range []app.Actor{ada, ben} {
		_, err := h.members.Suspend(t.Context(), owner, who.Member, "left")
		require.NoError(t, err)
	}
	change := h.propose(t, owner, app.AskErasure(ada.Member, "asked for it"))
	require.NoError(t, h.members.LinkAccounts(t.Context(), owner, ada.Member, ben.Member, "one person"))
	_, err := h.approveChange(t, fin, change)
	require.Equal(t, "erasure_overtaken", codeOf(err))
	require.Zero(t, h.number(t, `select count(*) from person where tenant_id = $1 and erased_at is not null`, h.one.tenant))
}

// TestAnErasureReachesTheLabelsOfEveryAddress erases a person whose two accounts, of two
// addresses, were linked.
func TestAnErasureReachesTheLabelsOfEveryAddress(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner, fin := h.owner(t, h.one), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	ada, work := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada"), h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada.work")
	h.flush(t, h.one, h.one.event(november(2), "CC-1", h.declared(t, h.one, "ada@one.test")), h.one.event(november(3), "CC-1", h.declared(t, h.one, "ada.work@one.test")))
	require.NoError(t, h.members.LinkAccounts(t.Context(), owner, ada.Member, work.Member, "one person"))
	_, err := h.members.Suspend(t.Context(), owner, ada.Member, "left")
	require.NoError(t, err)
	_, err = h.approveChange(t, fin, h.propose(t, owner, app.AskErasure(ada.Member, "asked for it")))
	require.NoError(t, err)
	for _, r := range h.requests(t, fin, app.RequestFilter{}) {
		require.Empty(t, r.Developer)
	}
}
