package web_test

import (
	"context"
	"io"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// TestACompanysEndIsProposedOnItsPage goes from what is not in order yet to the page of who is
// told why they cannot sign in, and to the operator's page.
func TestACompanysEndIsProposedOnItsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/settings/offboarding"
	require.Contains(t, w.see(t, w.one, app.RoleTenantOwner, "/settings").body, path)
	page := w.see(t, w.one, app.RoleTenantOwner, path)
	wholesome(t, page)
	for _, words := range []string{"None was finished", "Virtual keys", "Purged from", "has to be first"} {
		require.Contains(t, page.body, words)
	}
	require.NotContains(t, page.body, "<form class=\"form")
	owner := w.session(t, w.one, app.RoleTenantOwner)
	early := w.send(owner, path, url.Values{"slug": {"acme"}, "reason": {"the contract ended"}})
	require.Equal(t, 422, early.status)
	require.Contains(t, early.body, "No such export of everything was finished")

	_, err := w.areas.Tenants.Export(context.Background(), app.Command(w.one.tenant), "test", io.Discard)
	require.NoError(t, err)
	page = w.see(t, w.one, app.RoleTenantOwner, path)
	wholesome(t, page)
	require.Contains(t, page.body, "no request, adjustment or journal entry came after it")
	require.Contains(t, page.body, "Propose to offboard acme")
	reader := w.see(t, w.one, app.RoleAuditor, path)
	wholesome(t, reader)
	require.NotContains(t, reader.body, "<form class=\"form")
	require.NotEqual(t, 200, w.see(t, w.one, app.RoleDeveloper, path).status)
	require.Equal(t, 403, w.send(w.session(t, w.one, app.RoleFinanceAdmin), path, url.Values{"slug": {"acme"}, "reason": {"x"}}).status)

	wrong := w.send(owner, path, url.Values{"slug": {"acne"}, "reason": {"the contract ended"}})
	require.Equal(t, 422, wrong.status)
	require.Contains(t, wrong.body, "Type the company&#39;s short name, acme")
	require.Contains(t, wrong.body, `value="acne"`)
	sent := w.send(owner, path, url.Values{"slug": {"acme"}, "reason": {"the contract ended"}})
	require.Equal(t, 303, sent.status)
	require.Contains(t, w.see(t, w.one, app.RoleController, sent.header.Get("Location")).body, "acme ends here for good")
	page = w.see(t, w.one, app.RoleTenantOwner, path)
	wholesome(t, page)
	require.Contains(t, page.body, "one waits for its decision")
	require.Equal(t, 409, w.send(owner, path, url.Values{"slug": {"acme"}, "reason": {"again"}}).status)

	w.decides(t, sent.header.Get("Location"))
	gone := w.send(owner, path, url.Values{"slug": {"acme"}, "reason": {"x"}})
	require.NotEqual(t, 200, gone.status, "the session ended")
	_, err = w.areas.SignIns.Accept(t.Context(), w.one.tenant, app.Claims{Issuer: issuerURL, Subject: "acme-" + string(app.RoleController), SignedInAt: now()})
	require.ErrorIs(t, err, app.ErrTenantOffboarded)
	installation := w.see(t, w.two, operator, "/operator")
	wholesome(t, installation)
	require.Contains(t, installation.body, "Offboarded")
	require.Regexp(t, `[0-9]+ requests and [0-9]+ records kept until \d`, installation.body)
}
