package web_test

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

const octobersNote = "/commentary/2026-10/AC-11"

func TestCommentaryPages(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	w.october(t, w.one)
	for _, c := range []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{
			name: "the month before", role: app.RoleFinanceAdmin, target: "/commentary?above=0.01", status: 200, must: []string{
				"Commentary, October 2026", "AC-10", "AC-11", "AC-20", "Not asked", "Ask about all above the threshold", "answers for it", "commentary-acme-2026-10.csv", "Its close",
			}, mustNot: []string{"ZE-"},
		},
		{name: "an owner’s part", role: app.RoleBudgetOwner, target: "/commentary?period=2026-10", status: 200, must: []string{"AC-11"}, mustNot: []string{"AC-20", "Ask owners", "Its close"}},
		{name: "for who only reads", role: app.RoleAuditor, target: "/commentary", status: 200, must: []string{"By node"}, mustNot: []string{"Ask owners"}},
		{name: "the month under way", role: app.RoleFinanceAdmin, target: "/commentary?period=2026-11", status: 200, must: []string{"The month is not over"}, mustNot: []string{"Ask owners"}},
		{name: "filtered out", role: app.RoleFinanceAdmin, target: "/commentary?state=accepted", status: 200, must: []string{"No node matches", "Clear the filter"}},
		{name: "a month with nothing in it", role: app.RoleFinanceAdmin, target: "/commentary?period=2020-01", status: 200, must: []string{"Nothing to comment on"}},
		{name: "no month", role: app.RoleFinanceAdmin, target: "/commentary?period=soon", status: 422},
		{name: "no such state", role: app.RoleFinanceAdmin, target: "/commentary?state=lost", status: 422, must: []string{"lost"}},
		{name: "no amount", role: app.RoleFinanceAdmin, target: "/commentary?above=much", status: 422, must: []string{"much"}},
		{name: "not a developer’s", role: app.RoleDeveloper, target: "/commentary", status: 403},
		{name: "not of those who build", role: app.RoleEngineeringAdmin, target: "/commentary", status: 403},
		{name: "a node", role: app.RoleBudgetOwner, target: octobersNote, status: 200, must: []string{"Commentary on AC-11", "Price", "Volume", "Mix", "Write it", "Against plan", "Nobody has written", "Its report"}, mustNot: []string{"For finance"}},
		{name: "a node, for finance", role: app.RoleController, target: octobersNote, status: 200, must: []string{"For finance", "Ask Propulsion budget_owner"}, mustNot: []string{"Write it"}},
		{name: "a node, for who audits", role: app.RoleAuditor, target: octobersNote, status: 200, mustNot: []string{"For finance", "Write it"}},
		{name: "a node that did not move", role: app.RoleAuditor, target: "/commentary/2026-10/AC-P1", status: 200, must: []string{"Nobody was asked, and nobody wrote"}},
		{name: "beyond their part", role: app.RoleBudgetOwner, target: "/commentary/2026-10/AC-20", status: 404},
		{name: "another’s node", role: app.RoleFinanceAdmin, target: "/commentary/2026-10/ZE-11", status: 404},
		{name: "no node", role: app.RoleFinanceAdmin, target: "/commentary/2026-10/NONE", status: 404},
		{name: "no month of a node", role: app.RoleFinanceAdmin, target: "/commentary/soon/AC-11", status: 404},
		{name: "from the node’s report", role: app.RoleBudgetOwner, target: "/nodes/AC-11?period=2026-10", status: 200, must: []string{octobersNote, "/disputes/new?node=AC-11&amp;period=2026-10"}},
		{name: "from the close", role: app.RoleController, target: "/close/2026-10", status: 200, must: []string{"Commentary of owners", "/commentary?period=2026-10", "Nobody says that a charge of October 2026 is another’s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range c.mustNot {
				require.NotContains(t, got.body, text)
			}
		})
	}
}

func (w *world) seen(t *testing.T, role app.Role, target string) string {
	t.Helper()
	found := seenDigest.FindStringSubmatch(w.see(t, w.one, role, target).body)
	require.NotNil(t, found)
	return found[1]
}

// TestACommentaryIsAskedAndWrittenOnItsPages walks finance and an owner through a month.
func TestACommentaryIsAskedAndWrittenOnItsPages(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	w.october(t, w.one)
	send := func(role app.Role, target string, form url.Values) answer {
		return w.post(t, w.one, role, target, form)
	}
	require.Equal(t, 403, send(app.RoleBudgetOwner, "/commentary/ask", url.Values{"period": {"2026-10"}, "step": {"asked"}}).status)
	got := send(app.RoleFinanceAdmin, "/commentary/ask", url.Values{"period": {"2026-10"}, "step": {"asked"}, "above": {"none"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "US dollars, such as 50.00")
	got = send(app.RoleFinanceAdmin, "/commentary/ask", url.Values{"period": {"2026-10"}, "step": {"reminded"}, "note": {"by Friday"}})
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, `value="by Friday"`)
	require.Equal(t, 422, send(app.RoleFinanceAdmin, "/commentary/ask", url.Values{"period": {"2026-10"}, "step": {"written"}}).status)
	got = send(app.RoleFinanceAdmin, "/commentary/ask", url.Values{"period": {"2026-10"}, "step": {"asked"}, "above": {"0.01"}})
	require.Equal(t, 303, got.status, got.body)
	require.Equal(t, "/commentary?period=2026-10&state=owed", got.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleBudgetOwner, "/commentary?period=2026-10&state=mine").body, "of them are yours to answer")

	write := octobersNote + "/write"
	got = send(app.RoleBudgetOwner, write, url.Values{"seen": {"other"}, "body": {"Three requests."}})
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, ">Three requests.</textarea>", "what was typed is still there")
	got = send(app.RoleBudgetOwner, write, url.Values{"seen": {w.seen(t, app.RoleBudgetOwner, octobersNote)}, "body": {" "}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, `aria-invalid="true"`)
	require.Equal(t, 403, send(app.RoleController, write, url.Values{"body": {"x"}}).status)
	require.Equal(t, 404, send(app.RoleBudgetOwner, "/commentary/2026-10/AC-20/write", url.Values{"body": {"x"}}).status)
	require.Equal(t, 303, send(app.RoleBudgetOwner, write, url.Values{"seen": {w.seen(t, app.RoleBudgetOwner, octobersNote)}, "body": {"Three <b>requests</b>\nof a trial."}}).status)
	page := w.see(t, w.one, app.RoleFinanceAdmin, octobersNote).body
	for _, text := range []string{"Three &lt;b&gt;requests&lt;/b&gt;", "Wrote revision 1", "Accept", "Send back", "Asked Propulsion budget_owner"} {
		require.Contains(t, page, text)
	}
	require.Equal(t, 403, send(app.RoleBudgetOwner, octobersNote+"/review", url.Values{"step": {"accepted"}}).status)
	got = send(app.RoleFinanceAdmin, octobersNote+"/review", url.Values{"step": {"returned"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "Say why")
	require.Equal(t, 422, send(app.RoleFinanceAdmin, octobersNote+"/review", url.Values{"step": {"burned"}}).status)
	require.Equal(t, 303, send(app.RoleFinanceAdmin, octobersNote+"/review", url.Values{"step": {"returned"}, "note": {"whose trial?"}}).status)
	require.Equal(t, 303, send(app.RoleBudgetOwner, write, url.Values{"seen": {w.seen(t, app.RoleBudgetOwner, octobersNote)}, "body": {"A trial of the new team."}}).status)
	require.Equal(t, 303, send(app.RoleController, octobersNote+"/review", url.Values{"step": {"accepted"}}).status)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, octobersNote).body, "Accepted revision 2")

	rows, err := csv.NewReader(strings.NewReader(w.see(t, w.one, app.RoleAuditor, "/commentary.csv?period=2026-10&state=accepted").body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []string{"2026-10", "AC-11"}, rows[1][:2])
	require.Contains(t, strings.Join(rows[1], "|"), "A trial of the new team.")
	var list struct{ Data []map[string]any }
	answered := w.call(w.one, app.RoleServiceAccount, "/commentary?period=2026-10&state=accepted", "")
	require.Equal(t, 200, answered.status, answered.body)
	require.NoError(t, json.Unmarshal([]byte(answered.body), &list))
	require.Len(t, list.Data, 1)
	require.Equal(t, []any{"AC-11", "accepted", "A trial of the new team.", false}, []any{list.Data[0]["node"], list.Data[0]["state"], list.Data[0]["text"], list.Data[0]["stale"]})
	require.Equal(t, 400, w.call(w.one, app.RoleServiceAccount, "/commentary?state=lost", "").status)
	require.NotContains(t, w.see(t, w.two, app.RoleFinanceAdmin, "/commentary?period=2026-10").body, "trial")
}

// theirs gives somebody the other half of a company's tree.
func (w *world) theirs(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	_, err := w.areas.Members.Add(ctx, app.Command(w.one.tenant), app.NewMember{Issuer: issuerURL, Subject: "acme-receiver", Name: "Olga", Role: app.RoleBudgetOwner, NodeCode: "AC-20"}, "the other owner")
	require.NoError(t, err)
	return "receiver"
}

func TestADisputeIsRaisedAndAnsweredOnItsPages(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	w.october(t, w.one)
	receiver := app.Role(w.theirs(t))
	send := func(role app.Role, target string, form url.Values) answer {
		return w.post(t, w.one, role, target, form)
	}
	page := w.see(t, w.one, app.RoleBudgetOwner, "/disputes")
	require.Contains(t, page.body, "Dispute 1")
	require.Contains(t, page.body, "/disputes/new")
	require.Contains(t, w.see(t, w.one, receiver, "/disputes").body, "AC-20", "the other half’s owner sees it, too")
	require.NotContains(t, w.see(t, w.one, app.RoleAuditor, "/disputes").body, "/disputes/new")
	require.Equal(t, 403, w.see(t, w.one, app.RoleDeveloper, "/disputes").status)
	require.Equal(t, 403, w.see(t, w.one, app.RoleAuditor, "/disputes/new").status)
	require.Equal(t, 422, w.see(t, w.one, app.RoleAuditor, "/disputes?state=lost").status)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/disputes?state=moved").body, "No dispute matches")
	require.Equal(t, 200, w.see(t, w.one, app.RoleBudgetOwner, "/disputes/new").status)
	form := url.Values{"period": {"2026-10"}, "node": {"AC-11"}, "to": {"AC-20"}, "reason": {"The office’s runners use our key."}}
	look := w.see(t, w.one, app.RoleBudgetOwner, "/disputes/new?"+form.Encode())
	require.Equal(t, 200, look.status)
	for _, text := range []string{"Would move to AC-20", "Olga", "Charged to now", "Dispute $", "The office’s runners"} {
		require.Contains(t, look.body, text)
	}
	for name, c := range map[string]struct {
		field, value string
		status       int
		says         string
	}{
		"no such node":   {"to", "NONE", 422, "No node that charges could go to"},
		"both theirs":    {"to", "AC-10", 422, "propose to re-tag"},
		"no reason":      {"reason", "", 422, "Say why"},
		"no month":       {"period", "soon", 422, "YYYY-MM"},
		"no request":     {"requests", "evt_1", 422, "no request"},
		"no key":         {"key", "key_1", 422, "no virtual key"},
		"not their node": {"node", "AC-20", 422, "No node of yours"},
	} {
		sent := maps.Clone(form)
		sent.Set("step", "raise")
		sent.Set(c.field, c.value)
		got := send(app.RoleBudgetOwner, "/disputes", sent)
		require.Equal(t, c.status, got.status, name)
		require.Contains(t, got.body, c.says, name)
	}
	require.Equal(t, 200, send(app.RoleBudgetOwner, "/disputes", form).status, "only looked at")
	form.Set("step", "raise")
	form.Set("seen", w.seen(t, app.RoleBudgetOwner, "/disputes/new?period=2026-10&node=AC-11"))
	got := send(app.RoleBudgetOwner, "/disputes", form)
	require.Equal(t, 303, got.status, got.body)
	at := got.header.Get("Location")
	require.Regexp(t, regexp.MustCompile(`^/disputes/dsp_`), at)
	require.Contains(t, w.see(t, w.one, app.RoleBudgetOwner, at).body, "Withdraw")
	require.NotContains(t, w.see(t, w.one, app.RoleBudgetOwner, at).body, "Answer it")
	require.Equal(t, 404, w.see(t, w.two, app.RoleFinanceAdmin, at).status)
	require.Equal(t, 404, w.see(t, w.one, app.RoleFinanceAdmin, "/disputes/nonsense").status)
	require.Contains(t, w.see(t, w.one, app.RoleController, "/close/2026-10").body, "in 1 dispute; printed on the close")
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/disputes?period=2026-10").body, "Olga, 0 days")

	require.Contains(t, w.see(t, w.one, receiver, at).body, "Answer it")
	require.Equal(t, 422, send(receiver, at+"/answer", url.Values{"step": {"accepted"}}).status)
	require.Equal(t, 422, send(receiver, at+"/answer", url.Values{"step": {"burned"}, "note": {"x"}}).status)
	require.Equal(t, 403, send(app.RoleFinanceAdmin, at+"/answer", url.Values{"step": {"accepted"}, "note": {"x"}}).status)
	require.Equal(t, 403, send(receiver, at+"/decide", url.Values{"step": {"kept"}, "note": {"x"}}).status)
	require.Equal(t, 303, send(receiver, at+"/answer", url.Values{"step": {"accepted"}, "note": {"Ours since October."}}).status)
	got = send(receiver, at+"/answer", url.Values{"step": {"declined"}, "note": {"or not"}})
	require.Equal(t, 409, got.status)
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, at).body, "Propose the change")
	require.NotContains(t, w.see(t, w.one, app.RoleController, at).body, "Propose the change", "the controller decides about it")
	require.Equal(t, 303, send(app.RoleFinanceAdmin, at+"/decide", url.Values{"step": {"proposed"}, "note": {"as both agree"}}).status)
	shown := w.see(t, w.one, app.RoleController, at).body
	require.Contains(t, shown, "Waits for its decision")
	change := regexp.MustCompile(`<dt>Its change</dt>\s*<dd><a href="(/changes/chg_[^"]+)"`).FindStringSubmatch(shown)
	require.NotNil(t, change, shown)
	w.decides(t, change[1])
	require.Contains(t, w.see(t, w.one, receiver, at).body, "Applied")
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/disputes?state=moved").body, "Dispute 2")
	rows, err := csv.NewReader(strings.NewReader(w.see(t, w.one, app.RoleAuditor, "/disputes.csv?state=all&period=2026-10").body)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"2", "2026-10", "AC-11", "AC-20", "moved"}, []string{rows[1][0], rows[1][2], rows[1][3], rows[1][4], rows[1][5]})
	var list struct{ Data []map[string]any }
	answered := w.call(w.one, app.RoleServiceAccount, "/disputes?state=moved&period=2026-10", "")
	require.Equal(t, 200, answered.status, answered.body)
	require.NoError(t, json.Unmarshal([]byte(answered.body), &list))
	require.Len(t, list.Data, 1)
	require.Equal(t, []any{"AC-11", "AC-20", rows[1][7]}, []any{list.Data[0]["node"], list.Data[0]["proposed_node"], list.Data[0]["amount"]})
	require.Equal(t, 400, w.call(w.one, app.RoleServiceAccount, "/disputes?state=lost", "").status)
}
