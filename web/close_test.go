package web_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/id"
)

// october gives a company three requests of the month before, posted.
func (w *world) october(t *testing.T, c *company) {
	t.Helper()
	for i := range 3 {
		e := c.events[4]
		at := time.Date(2026, 10, 5+i, 9, 0, 0, 0, time.UTC)
		e.ID, e.RequestID, e.ReplicaSequence = id.NewEvent(at), "req_october_"+c.slug+string(rune('a'+i)), int64(100+i)
		_, err := w.metering.Flush(t.Context(), c.tenant, append(c.events[:0:0], e))
		require.NoError(t, err)
	}
	_, err := w.areas.Books.Accrue(t.Context(), c.tenant)
	require.NoError(t, err)
}

func TestClosePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.october(t, w.one)
	for _, c := range []struct {
		name    string
		role    app.Role
		target  string
		status  int
		must    []string
		mustNot []string
	}{
		{name: "the months", role: app.RoleAuditor, target: "/close", status: 200, must: []string{"October 2026", "November 2026", `href="/close/2026-10"`, "○", "close-acme.csv", "SHA-256"}},
		{
			name: "a month", role: app.RoleFinanceAdmin, target: "/close/2026-10", status: 200, must: []string{
				"Close of October 2026", "1. Usage complete", "Journal approved", "Begin to close", "Nobody has begun to close it", "From then on finance decides", "close-acme-2026-10.csv",
			}, mustNot: []string{"Propose to lock"},
		},
		{name: "who may not move it", role: app.RoleAuditor, target: "/close/2026-10", status: 200, must: []string{"Checklist"}, mustNot: []string{"Begin to close"}},
		{name: "the month that is not over", role: app.RoleFinanceAdmin, target: "/close/2026-11", status: 200, must: []string{"is not over"}},
		{name: "a step", role: app.RoleAnalyst, target: "/close/2026-10/usage", status: 200, must: []string{"Usage complete", "The month is open", "Days with usage", "Requests of the month"}},
		{name: "the step of the lock", role: app.RoleAnalyst, target: "/close/2026-10/lock", status: 200, must: []string{"It is what locking the month does"}},
		{name: "what is unexplained", role: app.RoleAuditor, target: "/close/2026-10/unexplained", status: 200, must: []string{"Material, in all", "$50.00", "Variances of the month"}},
		{name: "the days", role: app.RoleAuditor, target: "/close/2026-10/reconciliation", status: 200, must: []string{"Days reconciled", "Variances not resolved", "Days of the month"}},
		{name: "the materiality", role: app.RoleController, target: "/close/materiality", status: 200, must: []string{`value="50.00"`, `value="10.00"`, "$50.00 in all, or $10.00 at one node"}},
		{name: "the holidays", role: app.RoleAuditor, target: "/close/holidays", status: 200, must: []string{"No holiday is listed"}, mustNot: []string{"State them anew"}},
		{name: "who states them", role: app.RoleFinanceAdmin, target: "/close/holidays", status: 200, must: []string{"State them anew", "date,name"}},
		{name: "disputes", role: app.RoleAuditor, target: "/close/2026-10/disputes", status: 200, must: []string{"Disputes of the month", "keeps no month from being locked"}},
		{name: "who may not ask for another", role: app.RoleAnalyst, target: "/close/materiality", status: 403},
		{name: "no step", role: app.RoleAnalyst, target: "/close/2026-10/bribe", status: 404},
		{name: "a month of which the books have nothing", role: app.RoleAnalyst, target: "/close/2020-01", status: 404},
		{name: "no month", role: app.RoleAnalyst, target: "/close/soon", status: 404},
		{name: "another’s month", role: app.RoleAnalyst, target: "/close/2026-09", status: 404},
		{name: "not a developer’s", role: app.RoleDeveloper, target: "/close", status: 403},
		{name: "not of a subtree", role: app.RoleBudgetOwner, target: "/close/2026-10", status: 403},
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

// TestMaterialityIsProposedAndDecided: what was typed wrong comes back, and a second person decides.
func TestMaterialityIsProposedAndDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	send := func(role app.Role, month, node string) answer {
		return w.post(t, w.one, role, "/close/materiality", url.Values{"month": {month}, "node": {node}, "days_signed": {"1"}, "reason": {"as agreed"}})
	}
	require.Equal(t, 403, send(app.RoleAuditor, "100.00", "20.00").status)
	got := send(app.RoleFinanceAdmin, "plenty", "20.00")
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, `value="plenty"`)
	require.Equal(t, 422, send(app.RoleFinanceAdmin, "10.00", "20.00").status, "a node’s is above the month’s")
	got = send(app.RoleFinanceAdmin, "100.00", "20.00")
	require.Equal(t, 303, got.status, got.body)
	require.Contains(t, w.see(t, w.one, app.RoleController, "/close").body, "$50.00 in all", "nobody has decided")
	w.decide(t, app.RoleController, got.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/close").body, "$100.00 in all, or $20.00 at one node, each day signed by two")
	require.Contains(t, w.see(t, w.two, app.RoleFinanceAdmin, "/close").body, "$50.00 in all")
}

// TestHolidaysAreStatedWhole: every error is named by line and column, and nothing is taken.
func TestHolidaysAreStatedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.october(t, w.one)
	send := func(role app.Role, text string) answer {
		return w.post(t, w.one, role, "/close/holidays", url.Values{"text": {text}, "reason": {"the year to come"}})
	}
	require.Equal(t, 403, send(app.RoleAuditor, "date,name\n").status)
	got := send(app.RoleFinanceAdmin, "date,name\r\n2026-11-02,All Souls\r\nsoon,Christmas\r\n")
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "Line 3, column 1 (date)")
	require.Contains(t, got.body, "2026-11-02,All Souls", "what was typed comes back")
	got = send(app.RoleFinanceAdmin, "date,name\r\n2026-11-02,All Souls\r\n")
	require.Equal(t, 303, got.status, got.body)
	w.decide(t, app.RoleController, got.header.Get("Location"))
	page := w.see(t, w.one, app.RoleAuditor, "/close/holidays")
	require.Contains(t, page.body, "All Souls")
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/close/2026-10").body, "3 Nov", "usage is due on the second workday")
	require.Equal(t, "date,name\n2026-11-02,All Souls\n", w.see(t, w.one, app.RoleAuditor, "/close/holidays.csv").body)
	require.Equal(t, 422, send(app.RoleFinanceAdmin, "date,name\r\n2026-11-02,All Souls\r\n").status, "the same")
}

var seenDigest = regexp.MustCompile(`name="seen" value="([0-9a-f]{64})"`)

// signs gives a signature as the page of a step offers it to somebody.
func (w *world) signs(t *testing.T, role app.Role, step, part, note string) answer {
	t.Helper()
	page := w.see(t, w.one, role, "/close/2026-10/"+step)
	found := seenDigest.FindStringSubmatch(page.body)
	require.NotNil(t, found, page.body)
	return w.post(t, w.one, role, "/close/2026-10/"+step+"/sign", url.Values{"part": {part}, "seen": {found[1]}, "note": {note}})
}

// TestAMonthIsClosedOnItsPages walks two people through a month.
func TestAMonthIsClosedOnItsPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.october(t, w.one)
	move := func(role app.Role, to, reason string) answer {
		return w.post(t, w.one, role, "/close/2026-10/move", url.Values{"to": {to}, "reason": {reason}})
	}
	require.Equal(t, 403, move(app.RoleAuditor, "closing", "x").status)
	got := move(app.RoleFinanceAdmin, "closing", "")
	require.Equal(t, 422, got.status, "a reason is asked for: %s", got.body)
	got = move(app.RoleFinanceAdmin, "closing", "month end")
	require.Equal(t, 303, got.status, got.body)
	require.Equal(t, "/close/2026-10", got.header.Get("Location"))
	got = move(app.RoleFinanceAdmin, "locked", "too early")
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, "cannot be locked yet")
	require.Equal(t, 422, w.post(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/capitalization/sign", url.Values{"part": {"bribed"}}).status)
	require.Equal(t, 409, w.post(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/usage/sign", url.Values{"part": {"prepared"}, "seen": {"00"}}).status, "another figure than was seen")

	blocked := w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/allocation")
	require.Contains(t, blocked.body, "not allocated: ", "an invoice of that month is entered, and not split")
	got = w.post(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/waive", url.Values{"step": {"allocation"}, "reason": {"it is disputed"}})
	require.Equal(t, 303, got.status, got.body)
	w.decide(t, app.RoleController, got.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/allocation").body, "it is disputed")
	for _, d := range closing.Definitions() {
		if d.Signed() && d.Stage == closing.ToLock && d.Step != closing.StepAllocation {
			step := strings.ReplaceAll(string(d.Step), "_", "-")
			require.Equal(t, 303, w.signs(t, app.RoleFinanceAdmin, step, "prepared", "looked at").status, step)
			page := w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/"+step)
			require.Contains(t, page.body, "It waits for somebody else to review it")
			require.Equal(t, 303, w.signs(t, app.RoleController, step, "reviewed", "").status, step)
		}
	}
	month := w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10")
	require.Contains(t, month.body, "the month can be locked")
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/exported").body, "It is signed when the month is locked")
	for _, to := range []string{"locked", "closed"} {
		if to == "closed" {
			require.Equal(t, 409, move(app.RoleFinanceAdmin, to, "too early").status)
			page := w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10")
			for _, text := range []string{"In the way", "of closing October 2026", `href="/close/2026-10/exported"`} {
				require.Contains(t, page.body, text)
			}
			require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/exported").body, "3 entries of the month are in no file for ")
			got = w.post(t, w.one, app.RoleFinanceAdmin, "/close/2026-10/waive", url.Values{"step": {"exported"}, "reason": {"posted by hand"}})
			require.Equal(t, 303, got.status, got.body)
			w.decide(t, app.RoleController, got.header.Get("Location"))
			require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10").body, "the month can be closed")
		}
		got = move(app.RoleFinanceAdmin, to, "month end")
		require.Equal(t, 303, got.status, got.body)
		require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10").body, "waits for a decision")
		w.decide(t, app.RoleController, got.header.Get("Location"))
	}
	month = w.see(t, w.one, app.RoleAuditor, "/close/2026-10")
	for _, text := range []string{"✓", "Closed", "say the same", "Kept as it was locked"} {
		require.Contains(t, month.body, text)
	}
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/close/2026-10").body, "Propose to reopen")
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/?period=2026-10").body, "As closed, revision 1. Closed")
	require.NotContains(t, w.see(t, w.two, app.RoleFinanceAdmin, "/close").body, "2026-10")
}
