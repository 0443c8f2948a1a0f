package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
)

func TestPacketPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := "/packets/"+w.one.things["/packets"], "/packets/"+w.two.things["/packets"]
	for _, c := range []struct {
		name      string
		role      app.Role
		target    string
		status    int
		must, not []string
	}{
		{name: "the list", role: app.RoleFinanceAdmin, target: "/packets", status: 200, must: []string{"Revision 1", "DRAFT", "Whole company", "Build a draft now", "Recipients", "/packets.csv"}},
		{name: "to look at", role: app.RoleAuditor, target: "/packets", status: 200, must: []string{"Revision 1"}, not: []string{"Build a draft now"}},
		{name: "a month without", role: app.RoleController, target: "/packets?period=2026-03", status: 200, must: []string{"No packet of this month was built"}},
		{name: "as a file", role: app.RoleAnalyst, target: "/packets.csv", status: 200, must: []string{"archive_sha256", w.one.things["/packets"]}},
		{name: "one", role: app.RoleController, target: one, status: 200, must: []string{"summary.pdf", "chargeback.xlsx", "journal.csv", "manifest.json", "Sealed", "tollbook verify", "Deliveries", "sent to nobody"}},
		{name: "one, for who sees no recipients", role: app.RoleAnalyst, target: one, status: 200, must: []string{"summary.pdf"}, not: []string{"Deliveries"}},
		{name: "a file of it", role: app.RoleAuditor, target: one + "/files/journal.csv", status: 200, must: []string{"entry_id,entry_number"}},
		{name: "its manifest", role: app.RoleAuditor, target: one + "/files/manifest.json", status: 200, must: []string{`"format": "tollbook packet 1"`}},
		{name: "no such file", role: app.RoleAuditor, target: one + "/files/x.csv", status: 404},
		{name: "the archive", role: app.RoleController, target: one + "/archive", status: 200, must: []string{"PK"}},
		{name: "not of one's part", role: app.RoleBudgetOwner, target: one, status: 404},
		{name: "nothing of one's part", role: app.RoleBudgetOwner, target: "/packets", status: 200, must: []string{"none that you may see"}},
		{name: "another's", role: app.RoleFinanceAdmin, target: two, status: 404},
		{name: "another's archive", role: app.RoleFinanceAdmin, target: two + "/archive", status: 404},
		{name: "none", role: app.RoleFinanceAdmin, target: "/packets/pkt_x", status: 404},
		{name: "not for a developer", role: app.RoleDeveloper, target: "/packets", status: 403},
		{name: "an old link", role: app.RoleController, target: one + "?delivery=dlv_018d0000000070008000000000000001", status: 409, must: []string{"thirty days"}},
		{name: "the recipients", role: app.RoleFinanceAdmin, target: "/packets/recipients", status: 200, must: []string{"Nobody is sent packets", "Propose a recipient"}},
		{name: "the recipients, to look at", role: app.RoleAuditor, target: "/packets/recipients", status: 200, not: []string{"Propose a recipient"}},
		{name: "an ask that is none", role: app.RoleFinanceAdmin, target: "/packets/asked/" + w.one.things["/log"], status: 404},
	} {
		got := w.see(t, w.one, c.role, c.target)
		require.Equal(t, c.status, got.status, "%s: %s", c.name, got.body)
		for _, text := range c.must {
			require.Contains(t, got.body, text, c.name)
		}
		for _, text := range c.not {
			require.NotContains(t, got.body, text, c.name)
		}
	}
}

// TestAPacketIsAskedForAndARecipientProposed goes through the forms, without scripts.
func TestAPacketIsAskedForAndARecipientProposed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.post(t, w.one, app.RoleFinanceAdmin, "/packets/build?period=2026-10", url.Values{"month": {"2026-10"}, "scope": {"NOWHERE"}})
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
	require.Contains(t, got.body, "There is no node")
	require.Contains(t, got.body, `value="NOWHERE"`)
	got = w.post(t, w.one, app.RoleFinanceAdmin, "/packets/build", url.Values{"month": {"2026-10"}, "scope": {""}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	asked := got.header.Get("Location")
	page := w.see(t, w.one, app.RoleFinanceAdmin, asked)
	require.Contains(t, page.body, "is being built")
	require.Contains(t, page.body, `content="2; url=`+asked)
	record, err := id.ParseRecord(strings.TrimPrefix(asked, "/packets/asked/"))
	require.NoError(t, err)
	require.NoError(t, w.areas.Packets.BuildAsked(t.Context(), w.one.tenant, record))
	page = w.see(t, w.one, app.RoleFinanceAdmin, asked)
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, "No figure has changed")
	require.Equal(t, http.StatusForbidden, w.post(t, w.one, app.RoleAuditor, "/packets/build", url.Values{"month": {"2026-10"}}).status)

	form := url.Values{"kind": {"mail"}, "label": {"CFO"}, "address": {"nobody"}, "carries": {"archive"}, "schedule": {"both"}, "draft_day": {"3"}, "draft_hour": {"8"}, "reason": {"the close"}}
	got = w.post(t, w.one, app.RoleFinanceAdmin, "/packets/recipients", form)
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
	require.Contains(t, got.body, "An address is like cfo@example.com")
	require.Contains(t, got.body, `value="CFO"`)
	form.Set("address", "cfo@one.test")
	got = w.post(t, w.one, app.RoleFinanceAdmin, "/packets/recipients", form)
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Contains(t, got.header.Get("Location"), "/changes/chg_")
	page = w.see(t, w.one, app.RoleController, got.header.Get("Location"))
	require.Contains(t, page.body, "CFO (one.test) is sent the whole packet of the whole company")
	require.Contains(t, page.body, "Mailbox", "who decides sees where packets go")
	require.Contains(t, page.body, "cfo@one.test")
	page = w.see(t, w.one, app.RoleController, "/changes")
	require.Contains(t, page.body, "says on its page where packets go", "and nobody decides about it from a list")
	require.NotContains(t, page.body, "cfo@one.test", "a list does not show it")
	page = w.see(t, w.one, app.RoleFinanceAdmin, "/packets/recipients")
	require.Contains(t, page.body, "Waits for a decision")
	require.Contains(t, page.body, "Mailbox cfo@one.test")
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/packets/recipients.csv").body, "Mailbox cfo@one.test")
	form = url.Values{"kind": {"webhook"}, "label": {"their system"}, "address": {"https://hooks.one.test/x"}, "carries": {"link"}, "schedule": {"final"}, "reason": {"the close"}}
	got = w.post(t, w.one, app.RoleFinanceAdmin, "/packets/recipients", form)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	require.Contains(t, got.body, "whsec_")
}
