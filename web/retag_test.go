package web_test

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// TestRequestsAreRetaggedFromTheList goes from the boxes of the list to the books as a
// browser without scripts does.
func TestRequestsAreRetaggedFromTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maker := w.session(t, w.one, app.RoleEngineeringAdmin)
	first, second := w.one.events[4].ID.String(), w.one.events[6].ID.String()
	list := w.see(t, w.one, app.RoleEngineeringAdmin, "/requests?node=AC-11")
	require.Contains(t, list.body, `type="checkbox" name="id" value="`+first+`"`)
	require.Contains(t, list.body, "/requests/retag?all=1&amp;node=AC-11")
	require.NotContains(t, w.see(t, w.one, app.RoleAuditor, "/requests?node=AC-11").body, "/requests/retag")

	chosen := w.see(t, w.one, app.RoleEngineeringAdmin, "/requests/retag?id="+first+"&id="+second)
	require.Equal(t, 200, chosen.status, chosen.body)
	wholesome(t, chosen)
	for _, text := range []string{"Charge that is re-tagged", "November 2026", "AC-10 / AC-11", `name="id" value="` + second + `"`, "adjustments move the charge"} {
		require.Contains(t, chosen.body, text)
	}
	form := url.Values{"id": {first, second}, "seen": {field(t, chosen.body, "seen")}, "once": {field(t, chosen.body, "once")}}
	send := func(step string, more url.Values) answer {
		sent := maps.Clone(form)
		sent.Set("step", step)
		maps.Copy(sent, more)
		got := w.send(maker, "/requests/retag", sent)
		wholesome(t, got)
		return got
	}
	for text, bad := range map[string]url.Values{
		"No node has the code":     {"to_code": {"AC-99"}, "reason": {"x"}},
		"come to 60.0000 percent":  {"to_code": {"AC-20", "AC-P1"}, "to_percent": {"30", "30"}, "reason": {"x"}},
		"A share is a percentage":  {"to_code": {"AC-20", "AC-P1"}, "to_percent": {"half", "30"}, "reason": {"x"}},
		"Say which node":           {"reason": {"x"}},
		"charged there already":    {"to_code": {"AC-11"}, "reason": {"x"}},
		"Other requests match now": {"to_code": {"AC-20"}, "reason": {"x"}, "seen": {strings.Repeat("0", 64)}},
	} {
		got := send("propose", bad)
		require.Equal(t, 422, got.status, text)
		require.Contains(t, got.body, text)
		require.Contains(t, got.body, `role="alert"`)
		if len(bad["to_code"]) > 0 {
			require.Contains(t, got.body, `value="`+bad["to_code"][0]+`"`, "what was typed is still there")
		}
	}
	to := url.Values{"to_code": {"AC-20", "AC-P1", ""}, "to_percent": {"75", "25", ""}, "reason": {"the office asked for it"}}
	shown := send("show", to)
	require.Equal(t, 200, shown.status, shown.body)
	for _, text := range []string{"2 requests of 2026-11", "AC-20 75%, AC-P1 25%", "Who would decide", "these requests themselves", "No plan moves along", "Capitalized"} {
		require.Contains(t, shown.body, text)
	}
	made, again := send("propose", to), send("propose", to)
	require.Equal(t, http.StatusSeeOther, made.status, made.body)
	change := made.header.Get("Location")
	require.Regexp(t, `^/changes/chg_`, change)
	require.Equal(t, change, again.header.Get("Location"))

	page := w.see(t, w.one, app.RoleEngineeringAdmin, change)
	require.Contains(t, page.body, "Re-tag 2 requests: 75% to AC-20, 25% to AC-P1")
	require.NotContains(t, page.body, `value="approve"`, "who proposed it does not decide")
	w.decide(t, app.RoleFinanceAdmin, change)
	page = w.see(t, w.one, app.RoleFinanceAdmin, change)
	require.Contains(t, page.body, "2 adjustments posted, the last on 23 Nov 2026")

	request := w.see(t, w.one, app.RoleFinanceAdmin, "/requests/"+first)
	for _, text := range []string{"Re-tagged", `href="` + change + `"`, "As it was recorded", "AC-11", "AC-20", "split among 2", "the office asked for it", "/requests/retag?id=" + first} {
		require.Contains(t, request.body, text)
	}
	wholesome(t, request)
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/requests?node=AC-P1").body, first)
	w.retaggedElsewhere(t, first, strings.TrimPrefix(change, "/changes/"))
}

// decide approves a change as somebody, by its own form.
func (w *world) decide(t *testing.T, role app.Role, change string) {
	t.Helper()
	page := w.see(t, w.one, role, change)
	require.Equal(t, 200, page.status, "%s %.2000s", change, page.body)
	got := w.send(w.session(t, w.one, role), change+"/decision", verdict(t, page.body, "approve", "agreed"))
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
}

// retaggedElsewhere looks at a request in the API, in the file and in the log.
func (w *world) retaggedElsewhere(t *testing.T, event, change string) {
	t.Helper()
	r := request(http.MethodGet, "/api/v1/usage?node=AC-P1", "")
	r.Header.Set("Authorization", "Bearer "+w.one.tokens[app.RoleServiceAccount])
	got := w.do(r)
	var said struct {
		Data []struct {
			ID          string
			Node        *struct{ Code string }
			Allocations []struct{ Node, Share string }
			Recorded    []struct{ Node string } `json:"recorded_allocations"`
			Adjusted    *struct{ Kind, Change string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &said), got.body)
	require.Len(t, said.Data, 2)
	for _, u := range said.Data {
		require.Nil(t, u.Node)
		require.Equal(t, "AC-20 0.750000", u.Allocations[0].Node+" "+u.Allocations[0].Share)
		require.Equal(t, "AC-11", u.Recorded[0].Node)
		require.Equal(t, "retag "+change, u.Adjusted.Kind+" "+u.Adjusted.Change)
	}
	file := w.see(t, w.one, app.RoleFinanceAdmin, "/requests.csv?node=AC-P1")
	rows, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5)
	require.Equal(t, change, rows[1][len(rows[1])-1])
	log := w.see(t, w.one, app.RoleAuditor, "/log?action=adjustment.batch")
	require.Contains(t, log.body, "Requests adjusted")
	require.NotEmpty(t, event)
}

func TestEverythingThatMatchesIsRetagged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maker := w.session(t, w.one, app.RoleFinanceAdmin)
	page := w.see(t, w.one, app.RoleFinanceAdmin, "/requests/retag?all=1&node=AC-20&from=2026-11-01&sort=dearest&cursor=x")
	require.Equal(t, 200, page.status, page.body)
	require.Contains(t, page.body, `name="node" value="AC-20"`)
	require.NotContains(t, page.body, `name="cursor"`)
	form := url.Values{
		"all": {"1"}, "node": {"AC-20"}, "from": {"2026-11-01"}, "seen": {field(t, page.body, "seen")}, "once": {field(t, page.body, "once")},
		"to_code": {"AC-P1"}, "to_percent": {""}, "reason": {"theirs"}, "step": {"propose"},
	}
	made := w.send(maker, "/requests/retag", form)
	require.Equal(t, http.StatusSeeOther, made.status, made.body)
	w.decide(t, app.RoleController, made.header.Get("Location"))
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, "/requests?node=AC-20&from=2026-11-01").body, "No request matches")
	node := w.see(t, w.one, app.RoleFinanceAdmin, "/nodes/AC-20?period=2026-11")
	require.Equal(t, 200, node.status)
	require.Contains(t, node.body, "0.00")
	require.Equal(t, 422, w.see(t, w.one, app.RoleFinanceAdmin, "/requests/retag?all=1&node=AC-20&from=2026-11-01").status, "nothing is left there")

	none := w.see(t, w.one, app.RoleFinanceAdmin, "/requests/retag")
	require.Equal(t, 200, none.status)
	require.Contains(t, none.body, "No request is chosen")
	bad := w.see(t, w.one, app.RoleFinanceAdmin, "/requests/retag?id=zzz")
	require.Equal(t, 422, bad.status)
	theirs := w.see(t, w.one, app.RoleFinanceAdmin, "/requests/retag?id="+w.two.events[0].ID.String())
	require.Equal(t, 422, theirs.status)
	require.Equal(t, 403, w.see(t, w.one, app.RoleAuditor, "/requests/retag").status)
}

func TestAClosedMonthIsNotRetaggedOnThePageEither(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.clone.Admin(t).Exec(`insert into period (tenant_id, month, state, changed_at) values ($1, '2026-11-01', 'locked', now()) on conflict (tenant_id, month) do update set state = 'locked'`, w.one.tenant)
	require.NoError(t, err)
	got := w.see(t, w.one, app.RoleFinanceAdmin, "/requests/retag?id="+w.one.events[4].ID.String())
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.body, "2026-11 is closed")
	require.Contains(t, got.body, "reopened")
	wholesome(t, got)
}
