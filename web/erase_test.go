package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
)

// TestAnErasureIsProposedOnAPageAndReported goes from the member's page over a second person
// to the report, and asks for it from another company.
func TestAnErasureIsProposedOnAPageAndReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, analyst := w.session(t, w.one, app.RoleTenantOwner), "/members/"+w.one.members[app.RoleAnalyst].String()
	require.Contains(t, w.see(t, w.one, app.RoleTenantOwner, analyst).body, analyst+"/erase")
	page := w.see(t, w.one, app.RoleTenantOwner, analyst+"/erase")
	wholesome(t, page)
	require.Contains(t, page.body, "Suspend the person first")
	refused := w.send(owner, analyst+"/erase", url.Values{"reason": {"asked for it"}})
	require.Equal(t, 409, refused.status)
	require.NotContains(t, w.see(t, w.one, app.RoleAuditor, analyst).body, "/erase")
	require.Equal(t, 303, w.send(owner, analyst+"/suspend", url.Values{"reason": {"left"}}).status)
	page = w.see(t, w.one, app.RoleTenantOwner, analyst+"/erase")
	wholesome(t, page)
	for _, words := range []string{"Propose the erasure", "cannot be undone", "A second person, always", "a restore applies the erasure again"} {
		require.Contains(t, page.body, words)
	}
	require.Equal(t, 422, w.send(owner, analyst+"/erase", url.Values{}).status)
	sent := w.send(owner, analyst+"/erase", url.Values{"reason": {"asked for it"}})
	require.Equal(t, 303, sent.status)
	waits := sent.header.Get("Location")
	change, err := id.ParseChange(strings.TrimPrefix(waits, "/changes/"))
	require.NoError(t, err)
	report := "/members/erasures/" + change.String()
	require.Equal(t, 404, w.see(t, w.one, app.RoleTenantOwner, report).status, "not applied")
	require.Contains(t, w.see(t, w.one, app.RoleController, waits).body, "can never be read again")
	view, err := w.areas.Approvals.Case(t.Context(), w.who(t, w.one, app.RoleController), change)
	require.NoError(t, err)
	_, err = w.areas.Approvals.Decide(t.Context(), w.who(t, w.one, app.RoleController), change, "approve", view.Digest, "asked for it")
	require.NoError(t, err)

	page = w.see(t, w.one, app.RoleTenantOwner, report)
	require.Equal(t, 200, page.status)
	wholesome(t, page)
	require.Contains(t, page.body, "Out of reach")
	file := w.see(t, w.one, app.RoleTenantOwner, report+"/report.csv")
	require.Equal(t, 200, file.status)
	require.Contains(t, file.body, ",true,1,Accounts whose issuer and subject were cleared")
	require.Contains(t, file.body, ",false,,")
	member := w.see(t, w.one, app.RoleTenantOwner, analyst)
	wholesome(t, member)
	require.Contains(t, member.body, app.ErasedName)
	require.Contains(t, member.body, report)
	require.Equal(t, 404, w.see(t, w.two, app.RoleTenantOwner, report).status)
	require.Equal(t, 404, w.see(t, w.two, app.RoleTenantOwner, report+"/report.csv").status)
	for _, odd := range []string{"/members/erasures/x", "/members/x/erase", "/members/" + w.two.members[app.RoleAnalyst].String() + "/erase"} {
		require.Equal(t, 404, w.see(t, w.one, app.RoleTenantOwner, odd).status, odd)
	}
}

// erased has somebody join, leave and be erased, so that their report can be opened.
func (w *world) erased(t *testing.T, c *company) {
	t.Helper()
	owner := w.who(t, c, app.RoleTenantOwner)
	gone, err := w.areas.Members.Add(t.Context(), app.Command(c.tenant), app.NewMember{Issuer: issuerURL, Subject: c.slug + "-gone", Name: "Gone", Role: app.RoleDeveloper}, "to be erased")
	require.NoError(t, err)
	_, err = w.areas.Members.Suspend(t.Context(), owner, gone, "left")
	require.NoError(t, err)
	made, err := w.areas.Approvals.Propose(t.Context(), owner, app.AskErasure(gone, "asked for it"), "")
	require.NoError(t, err)
	_, err = w.areas.Approvals.Decide(t.Context(), w.who(t, c, app.RoleController), made.ID, "approve", made.Digest, "asked for it")
	require.NoError(t, err)
	c.things["/members/erasures"] = made.ID.String()
}
