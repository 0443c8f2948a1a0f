package web_test

import (
	"encoding/csv"
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

func TestJournalPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entry := "/journal/" + w.one.things["/journal"]
	for _, c := range []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{
			name: "a month", role: app.RoleFinanceAdmin, target: "/journal?period=2026-11", status: 200, must: []string{
				"Journal, November 2026", "balances", "Accrued liability", "Journal 1", "2026-11-21", "posted", `href="/requests?from=2026-11-21&amp;to=2026-11-22"`, "Chargeback: cost lies in the entity of its node",
				"Propose another way", "journal-acme-2026-11.csv", "SHA-256",
			},
		},
		{name: "who may not propose", role: app.RoleAuditor, target: "/journal", status: 200, must: []string{"Journal, November 2026"}, mustNot: []string{"/journal/terms"}},
		{name: "an empty month", role: app.RoleController, target: "/journal?period=2025-01", status: 200, must: []string{"Nothing is posted to January 2025", "Go to November 2026"}},
		{name: "filtered out", role: app.RoleAnalyst, target: "/journal?kind=reversal", status: 200, must: []string{"No entry matches", "Clear the filter"}},
		{name: "by account and entity", role: app.RoleAnalyst, target: "/journal?account=accrued_liability&entity=US01", status: 200, must: []string{"Journal 1"}},
		{name: "of another entity", role: app.RoleAnalyst, target: "/journal?entity=US09", status: 200, must: []string{"No entry matches"}},
		{name: "no such kind", role: app.RoleAnalyst, target: "/journal?kind=bribe", status: 422, must: []string{"bribe"}},
		{name: "no such account", role: app.RoleAnalyst, target: "/journal?account=petty", status: 422},
		{name: "no month", role: app.RoleAnalyst, target: "/journal?period=soon", status: 422, must: []string{"YYYY-MM"}},
		{
			name: "an entry", role: app.RoleAuditor, target: entry, status: 200, must: []string{
				"Accrual of", "in the books of November 2026", "Expense", "Accrued liability", "workspace default", "US01", "Its record in the audit log", "1 batch of usage and 0 batches of adjustments of November 2026", "Debits are credits in each entity", "node=AC-1",
			},
		},
		{name: "another's entry", role: app.RoleAuditor, target: "/journal/" + w.two.things["/journal"], status: 404},
		{name: "no entry", role: app.RoleAuditor, target: "/journal/nonsense", status: 404},
		{name: "not a developer's", role: app.RoleDeveloper, target: entry, status: 403},
		{name: "not of a subtree", role: app.RoleBudgetOwner, target: "/journal", status: 403},
		{
			name: "the trial balance", role: app.RoleController, target: "/journal/trial-balance?period=2026-11", status: 200, must: []string{
				"Trial balance, November 2026", "balances", "Control total", "Accrued liability", `href="/journal?account=expense&amp;entity=US01&amp;period=2026-11"`, "trial-balance-acme-2026-11.csv",
			},
		},
		{name: "the trial balance of then", role: app.RoleController, target: "/journal/trial-balance?as_of=2026-11-01", status: 200, must: []string{"Nothing is posted by then", "As it was recorded by 1 Nov 2026"}},
		{name: "the form", role: app.RoleFinanceAdmin, target: "/journal/terms", status: 200, must: []string{"Showback: cost stays with who pays", "The hierarchy’s first entity", `value="US01"`}},
		{name: "who may not ask for the form", role: app.RoleAnalyst, target: "/journal/terms", status: 403},
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

// TestTheFilesOfTheJournalAddUp reads them as somebody else would.
func TestTheFilesOfTheJournalAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	read := func(target string) (rows []map[string]string) {
		got := w.see(t, w.one, app.RoleAuditor, target)
		require.Equal(t, 200, got.status, got.body)
		lines, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
		require.NoError(t, err)
		for _, line := range lines[1:] {
			row := map[string]string{}
			for i, name := range lines[0] {
				row[name] = line[i]
			}
			rows = append(rows, row)
		}
		return rows
	}
	entries := read("/journal.csv?period=2026-11")
	require.Len(t, entries, 10)
	sum := regexp.MustCompile(`^\d+\.\d\d$`)
	for _, e := range entries {
		require.Regexp(t, sum, e["debits_usd"])
		require.Equal(t, e["debits_usd"], e["credits_usd"])
		lines := read("/journal/" + e["id"] + "/lines.csv")
		require.Len(t, lines, number(t, e["lines"]))
		var cents int
		for _, l := range lines {
			cents += number(t, strings.ReplaceAll(l["debit"], ".", "")) - number(t, strings.ReplaceAll(l["credit"], ".", ""))
		}
		require.Zero(t, cents)
	}
	trial := read("/journal/trial-balance.csv?period=2026-11")
	require.NotEmpty(t, trial)
}

func TestTheJournalThroughTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(target string, into any) {
		got := w.call(w.one, app.RoleServiceAccount, target, "")
		require.Equal(t, 200, got.status, got.body)
		require.NoError(t, json.Unmarshal([]byte(got.body), into))
	}
	var list struct {
		Data []struct {
			ID, Total string
			Number    int64
			Lines     int
		}
		NextCursor *string `json:"next_cursor"`
	}
	ask("/journal?limit=3", &list)
	require.Len(t, list.Data, 3)
	require.NotNil(t, list.NextCursor)
	var one struct {
		Total    string
		LineList []struct{ Account, Debit, Credit string } `json:"line_list"`
	}
	ask("/journal/"+list.Data[0].ID, &one)
	require.Len(t, one.LineList, list.Data[0].Lines)
	require.Equal(t, list.Data[0].Total, one.Total)
	var trial struct {
		Debits, Credits string
		Balances        bool
	}
	ask("/journal/trial-balance?period=2026-11", &trial)
	require.True(t, trial.Balances)
	require.Equal(t, trial.Debits, trial.Credits)
	require.NotEqual(t, "0.00", trial.Debits)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// TestHowChargesAreBookedIsProposedOnAPage keeps what was typed where it is refused.
func TestHowChargesAreBookedIsProposedOnAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := url.Values{"treatment": {"showback"}, "payer": {"US01"}, "workspace": {strings.Repeat("w", 101)}, "reason": {"cost stays central"}}
	got := w.post(t, w.one, app.RoleFinanceAdmin, "/journal/terms", form)
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "at most 100 bytes")
	require.Contains(t, got.body, `value="cost stays central"`)
	require.Contains(t, got.body, `<option value="showback" selected>`)
	form.Set("workspace", "engineering")
	got = w.post(t, w.one, app.RoleFinanceAdmin, "/journal/terms", form)
	require.Equal(t, 303, got.status, got.body)
	require.Contains(t, w.see(t, w.one, app.RoleController, got.header.Get("Location")).body, "as showback: all of it in US01, which pays for workspace engineering")
	require.Equal(t, 403, w.post(t, w.one, app.RoleAnalyst, "/journal/terms", form).status)
}

// TestAnEntryIsTakenBackFromItsPage to the links between the two entries.
func TestAnEntryIsTakenBackFromItsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entry := "/journal/" + w.one.things["/journal"]
	require.NotContains(t, w.see(t, w.one, app.RoleAuditor, entry).body, "Take it back")
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, entry).body, "Take it back")
	page := w.see(t, w.one, app.RoleFinanceAdmin, entry+"/reverse")
	require.Contains(t, page.body, "every debit as a credit")
	require.Contains(t, page.body, `<option value="2026-12">December 2026</option>`)
	require.Equal(t, 403, w.see(t, w.one, app.RoleAnalyst, entry+"/reverse").status)
	require.Equal(t, 404, w.see(t, w.one, app.RoleFinanceAdmin, "/journal/"+w.two.things["/journal"]+"/reverse").status)
	got := w.post(t, w.one, app.RoleFinanceAdmin, entry+"/reverse", url.Values{"period": {"2026-10"}, "reason": {"the invoice came"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "taken back in that month or a later one")
	require.Contains(t, got.body, `value="the invoice came"`)
	got = w.post(t, w.one, app.RoleFinanceAdmin, entry+"/reverse", url.Values{"period": {"2026-12"}, "reason": {"the invoice came"}})
	require.Equal(t, 303, got.status, got.body)
	w.decide(t, app.RoleController, got.header.Get("Location"))
	body := w.see(t, w.one, app.RoleFinanceAdmin, entry).body
	require.Contains(t, body, "reversed")
	require.NotContains(t, body, "Take it back")
	back := regexp.MustCompile(`by\s*<a href="(/journal/jnl_[0-9a-f]{32})">Journal`).FindStringSubmatch(body)
	require.NotEmpty(t, back, body)
	body = w.see(t, w.one, app.RoleFinanceAdmin, back[1]).body
	require.Contains(t, body, "Reversal of 1 Dec 2026, in the books of December 2026")
	require.Contains(t, body, entry)
	require.Contains(t, body, got.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, entry+"/reverse").body, "nothing is taken back twice")
}
