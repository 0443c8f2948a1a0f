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

func TestInvoicePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := "/invoices/" + w.one.things["/invoices"]
	for _, c := range []struct {
		name      string
		role      app.Role
		target    string
		status    int
		must, not []string
	}{
		{name: "the list", role: app.RoleAuditor, target: "/invoices", status: 200, must: []string{w.one.slug + "-0041", "2026-10-01 – 2026-10-31", "14.34", "to be allocated", "/invoices.csv"}, not: []string{"Enter an invoice"}},
		{name: "a month that none bills", role: app.RoleFinanceAdmin, target: "/invoices?period=2026-03", status: 200, must: []string{"No invoice bills days of 2026-03"}},
		{name: "as a file", role: app.RoleAnalyst, target: "/invoices.csv", status: 200, must: []string{w.one.slug + "-0041", "entered"}},
		{name: "one", role: app.RoleController, target: one, status: 200, must: []string{"Ledger, cost report and invoice", "Per ledger", "Tax", "Who would bear it", "Propose to book it", "SUSPENSE", "Payable", w.one.slug + ".pdf"}},
		{name: "one, to look at", role: app.RoleAuditor, target: one, status: 200, must: []string{"Its record in the audit log"}, not: []string{"Propose to book it"}},
		{name: "its shares", role: app.RoleAuditor, target: one + "/shares.csv", status: 200, must: []string{"weight,amount_usd", "sales tax"}},
		{name: "its paper", role: app.RoleAuditor, target: one + "/paper", status: 200, must: []string{"%PDF-1.7 " + w.one.slug}},
		{name: "another's", role: app.RoleFinanceAdmin, target: "/invoices/" + w.two.things["/invoices"], status: 404},
		{name: "another's paper", role: app.RoleFinanceAdmin, target: "/invoices/" + w.two.things["/invoices"] + "/paper", status: 404},
		{name: "none", role: app.RoleFinanceAdmin, target: "/invoices/inv_x", status: 404},
		{name: "not for a developer", role: app.RoleDeveloper, target: "/invoices", status: 403},
		{name: "the form", role: app.RoleFinanceAdmin, target: "/invoices/new", status: 200, must: []string{"As it is printed", "From a file", "service_through"}},
		{name: "no form to look at", role: app.RoleAuditor, target: "/invoices/new", status: 403},
		{name: "who bears fixed cost", role: app.RoleFinanceAdmin, target: "/invoices/sharing", status: 200, must: []string{"By kind of line", "None yet"}},
		{name: "by program", role: app.RoleAuditor, target: "/api/v1/invoices?period=2026-10", status: 200, must: []string{`"number":"` + w.one.slug + `-0041"`, `"state":"entered"`}},
		{name: "one by program", role: app.RoleAuditor, target: "/api/v1" + one, status: 200, must: []string{`"bearers":[`, `"class":"tax"`}},
		{name: "another's by program", role: app.RoleAuditor, target: "/api/v1/invoices/" + w.two.things["/invoices"], status: 404},
	} {
		got := w.see(t, w.one, c.role, c.target)
		if strings.HasPrefix(c.target, "/api/") {
			got = w.call(w.one, c.role, strings.TrimPrefix(c.target, "/api/v1"), "")
		}
		require.Equal(t, c.status, got.status, "%s: %s", c.name, got.body)
		for _, text := range c.must {
			require.Contains(t, got.body, text, c.name)
		}
		for _, text := range c.not {
			require.NotContains(t, got.body, text, c.name)
		}
	}
}

// typedAs are the fields of the form, each line as its kind, description and amount.
func typedAs(total string, lines ...[3]string) url.Values {
	form := url.Values{
		"number": {"INV-7"}, "workspace": {"default"}, "issuer": {"Anthropic"}, "issued_on": {"2026-10-01"}, "due_on": {"2026-10-31"}, "from": {"2026-09-01"}, "through": {"2026-09-30"}, "total": {total},
	}
	for _, l := range lines {
		form.Add("kind", l[0])
		form.Add("description", l[1])
		form.Add("amount", l[2])
		form.Add("node", "")
	}
	return form
}

// TestAnInvoiceIsTypedCheckedAndEntered walks the form: what is wrong is said beside what
// was typed, and nothing is written before the last step.
func TestAnInvoiceIsTypedCheckedAndEntered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	send := func(role app.Role, to string, form url.Values) answer {
		return w.post(t, w.one, role, to, form)
	}
	got := send(app.RoleFinanceAdmin, "/invoices/check", typedAs("1,250.00", [3]string{"usage", "Claude API", "1,200.00"}, [3]string{"tax", "sales tax", "40.00"}))
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "The lines add up to 1240.00, the invoice says 1250.00: 10.00 is missing.")
	require.Contains(t, got.body, `value="1,200.00"`)
	got = send(app.RoleFinanceAdmin, "/invoices/check", typedAs("5.00", [3]string{"usage", "Claude API", "5 dollars"}))
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "The amount of line 1 is US dollars")
	got = send(app.RoleFinanceAdmin, "/invoices/check", url.Values{"file": {"number,total\n1,2\n"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "is no column here")
	require.Equal(t, 403, send(app.RoleAuditor, "/invoices/check", typedAs("1.00", [3]string{"usage", "x", "1.00"})).status)

	got = send(app.RoleFinanceAdmin, "/invoices/check", typedAs("1,240.00", [3]string{"usage", "Claude API", "1,200.00"}, [3]string{"tax", "sales tax", "40.00"}))
	require.Equal(t, 200, got.status)
	require.Contains(t, got.body, "1 invoice to enter")
	file := hidden(t, got.body, "file")
	once := hidden(t, got.body, "once")
	got = send(app.RoleFinanceAdmin, "/invoices", url.Values{"file": {file}, "once": {once}, "reason": {""}})
	require.Equal(t, 422, got.status, "a reason is needed")
	got = send(app.RoleFinanceAdmin, "/invoices", url.Values{"file": {file}, "once": {once}, "reason": {"September's came late"}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	to := got.header.Get("Location")
	require.True(t, strings.HasPrefix(to, "/invoices/inv_"), to)
	_, err := id.ParseInvoice(strings.TrimPrefix(to, "/invoices/"))
	require.NoError(t, err)
	again := send(app.RoleFinanceAdmin, "/invoices", url.Values{"file": {file}, "once": {once}, "reason": {"September's came late"}})
	require.Equal(t, to, again.header.Get("Location"), "sent twice, entered once")

	got = send(app.RoleFinanceAdmin, to+"/allocate", url.Values{"reason": {"as split"}, "once": {"x"}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.True(t, strings.HasPrefix(got.header.Get("Location"), "/changes/chg_"), "somebody else decides")
	require.Contains(t, w.see(t, w.one, app.RoleController, to).body, "waits for a decision")
	require.Equal(t, 404, w.see(t, w.one, app.RoleAuditor, "/exports/bills?period=2026-09").status, "not booked yet")
	w.decides(t, got.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/exports?period=2026-09").body, "/exports/bills?period=2026-09")
	bill := w.see(t, w.one, app.RoleAuditor, "/exports/bills?period=2026-09")
	require.Equal(t, 409, bill.status, "nothing was charged in September: what nobody bears is no bill")
	require.Contains(t, bill.body, "unexplained and borne by nobody")
}

func TestWhoBearsFixedCostIsProposed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	send := func(form url.Values) answer { return w.post(t, w.one, app.RoleFinanceAdmin, "/invoices/sharing", form) }
	got := send(url.Values{"method_seats": {"percent"}, "nodes_seats": {"AC-11" + " 60\n" + "AC-20" + " 30"}, "reason": {"by heads"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "add up to 90.00 %")
	got = send(url.Values{"method_seats": {"percent"}, "nodes_seats": {"AC-11" + " sixty"}, "reason": {"by heads"}})
	require.Equal(t, 422, got.status)
	require.Contains(t, got.body, "A line names a node’s code")
	got = send(url.Values{"method_seats": {"percent"}, "nodes_seats": {"AC-11" + " 60\n" + "AC-20" + " 40%"}, "reason": {"by heads"}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.True(t, strings.HasPrefix(got.header.Get("Location"), "/changes/chg_"))
}
