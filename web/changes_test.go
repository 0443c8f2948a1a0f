package web_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"html"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

// proposed has somebody propose a change of policies.
func (w *world) proposed(t *testing.T, c *company, role app.Role, payload, reason string) app.ChangeView {
	t.Helper()
	made, err := w.areas.Approvals.Propose(t.Context(), w.who(t, c, role), app.Ask{Kind: "policies", Payload: []byte(payload), Reason: reason}, "")
	require.NoError(t, err)
	return made
}

// inForce applies policies that the tenant owner proposes and the controller approves.
func (w *world) inForce(t *testing.T, c *company, payload string) {
	t.Helper()
	made := w.proposed(t, c, app.RoleTenantOwner, payload, "as the board says")
	_, err := w.areas.Approvals.Decide(t.Context(), w.who(t, c, app.RoleController), made.ID, "approve", made.Digest, "fixture")
	require.NoError(t, err)
}

// policy is one policy of one step by a role, for every kind.
func policy(code string, rest string, steps ...string) string {
	return `{"code":"` + code + `","kinds":["*"],"expire_days":30` + rest + `,"steps":[` + strings.Join(steps, ",") + `]}`
}

func step(name string, role app.Role) string {
	return `{"name":"` + name + `","quorum":1,"who":[{"role":"` + string(role) + `"}]}`
}

func policies(list ...string) string { return `{"policies":[` + strings.Join(list, ",") + `]}` }

// field is what a form on a page holds.
func field(t *testing.T, body, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	require.Len(t, found, 2, name)
	return html.UnescapeString(found[1])
}

// verdict is the form of a change's page as it was shown.
func verdict(t *testing.T, body, say, reason string) url.Values {
	t.Helper()
	return url.Values{"digest": {field(t, body, "digest")}, "once": {field(t, body, "once")}, "verdict": {say}, "reason": {reason}}
}

func TestChangesPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := "/changes/" + w.one.edited.ID.String()
	prices := "/changes/" + w.one.change.ID.String()
	for _, c := range []struct {
		name         string
		role         app.Role
		target       string
		status       int
		must, mustNo []string
	}{
		{
			name: "what waits for a controller", role: app.RoleController, target: "/changes", status: 200,
			must: []string{"For you to decide", "Contract discount of 12.34%", "Approval policies", "acme order form", "acme board asks", "2 changes", `type="checkbox" name="change"`, "Nothing of yours waits", "Decided", "Applied", `Changes`, "2<span class=\"visually-hidden\"> for you"},
		},
		{
			name: "what waits for nobody else", role: app.RoleTenantOwner, target: "/changes", status: 200,
			must: []string{"Nothing waits for you", "acme board asks", "Approval: "}, mustNo: []string{`name="change" value=`, "order form"},
		},
		{name: "to who reads", role: app.RoleAuditor, target: "/changes", status: 200, must: []string{"Waiting for others", "order form"}, mustNo: []string{`name="change" value=`, " for you</span>"}},
		{name: "by kind", role: app.RoleController, target: "/changes?kind=policies", status: 200, must: []string{"acme board asks"}, mustNo: []string{"order form"}},
		{name: "decided only", role: app.RoleController, target: "/changes?state=applied", status: 200, must: []string{"Decided"}, mustNo: []string{"acme board asks", "For you to decide"}},
		{name: "of oneself", role: app.RoleTenantOwner, target: "/changes?maker=me", status: 200, must: []string{"acme board asks"}, mustNo: []string{"order form"}},
		{name: "filtered out", role: app.RoleController, target: "/changes?state=expired", status: 200, must: []string{"No change matches", "Clear the filter"}},
		{name: "no such state", role: app.RoleController, target: "/changes?state=lost", status: 422, must: []string{`role="alert"`, "proposed, approved"}},
		{name: "no such kind", role: app.RoleController, target: "/changes?kind=lost", status: 422, must: []string{"cannot be proposed here"}},
		{name: "no such maker", role: app.RoleController, target: "/changes?maker=bob", status: 422, must: []string{"Who proposed it"}},
		{name: "no such page", role: app.RoleController, target: "/changes?cursor=x", status: 422, must: []string{"no such page"}},
		{name: "not a developer's", role: app.RoleDeveloper, target: "/changes", status: 403, mustNo: []string{`href="/changes"`}},
		{
			name: "a change to who decides", role: app.RoleController, target: page, status: 200,
			must: []string{
				"Approval policies", "Propulsion tenant_owner", "Waits for a decision", "For changes of prices", "First, “Finance”: a finance admin; one of them decides", "acme minutes.txt", "acme asks why",
				"Question", "What it moves", "No charge lands on another node", "Who decides", "expires 23 Dec", "Approving moves no charge that is booked", "Edited: content 2", "Exactly what is decided about", `value="approve"`, ">Reject</button>",
				w.one.edited.DigestText(), "/log?action=change.proposed&amp;subject=" + w.one.edited.ID.String(), "what holds without a policy",
			},
			mustNo: []string{"Withdraw", "Edit what it proposes"},
		},
		{
			name: "to its maker", role: app.RoleTenantOwner, target: page, status: 200,
			must: []string{"Withdraw", "Edit what it proposes", "somebody else decides", "Propulsion controller or Propulsion finance_admin may decide", "Add a file"}, mustNo: []string{`value="approve"`},
		},
		{name: "to who may not", role: app.RoleAuditor, target: page, status: 200, must: []string{"Not yours to decide", "You may not approve this", "Comment"}, mustNo: []string{`name="verdict"`}},
		{
			name: "a change of prices", role: app.RoleController, target: prices, status: 200,
			must: []string{"Contract discount of 12.34%", "12.34% off list", "/prices/changes/" + w.one.change.ID.String(), "from 1 Jan 2027 00:00 UTC, not before", "1 line of price book 1 changes"},
		},
		{name: "of prices to who may not see them", role: app.RoleEngineeringAdmin, target: prices, status: 404},
		{name: "to a stranger", role: app.RoleDeveloper, target: page, status: 403},
		{name: "another company's", role: app.RoleController, target: "/changes/" + w.two.edited.ID.String(), status: 404},
		{name: "that nobody had to decide about", role: app.RoleController, target: "/changes/" + w.one.key.Change.ID.String(), status: 200, must: []string{"Applied", "AC-11"}},
		{name: "no change", role: app.RoleController, target: "/changes/lost", status: 404},
		{name: "policies before the first", role: app.RoleAnalyst, target: "/changes/policies", status: 200, must: []string{"No policy yet", "Where no policy fits", "A second person whose role may approve it"}, mustNo: []string{"Propose other policies"}},
		{name: "no such version", role: app.RoleAnalyst, target: "/changes/policies?version=9", status: 404},
		{name: "the editor", role: app.RoleTenantOwner, target: "/changes/policies/edit", status: 200, must: []string{"Add a policy", "Edit as JSON instead"}},
		{name: "the editor of a proposal", role: app.RoleTenantOwner, target: "/changes/policies/edit?change=" + w.one.edited.ID.String(), status: 200, must: []string{`value="acme-prices"`, "Save the edit"}},
		{name: "of somebody else's", role: app.RoleController, target: "/changes/policies/edit?change=" + w.one.edited.ID.String(), status: 404},
		{name: "as text", role: app.RoleTenantOwner, target: "/changes/policies/edit?form=json", status: 200, must: []string{`<textarea`, "Fill in fields instead"}},
		{name: "not an analyst's to edit", role: app.RoleAnalyst, target: "/changes/policies/edit", status: 403},
		{name: "delegations", role: app.RoleFinanceAdmin, target: "/changes/delegations", status: 200, must: []string{"Propulsion analyst", "acme holiday", "In force", "End now", "Let somebody decide for you"}},
		{name: "others' delegations", role: app.RoleAuditor, target: "/changes/delegations", status: 200, must: []string{"Propulsion analyst", "You stand in for nobody"}, mustNo: []string{"End now", "Let somebody"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.see(t, w.one, c.role, c.target)
			require.Equal(t, c.status, got.status, got.body)
			for _, text := range c.must {
				require.Contains(t, got.body, text)
			}
			for _, text := range c.mustNo {
				require.NotContains(t, got.body, text)
			}
			wholesome(t, got)
		})
	}
}

func TestAChangeIsDecidedByItsFormAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := "/changes/" + w.one.edited.ID.String()
	shown := w.see(t, w.one, app.RoleController, page)
	form := verdict(t, shown.body, "approve", "as the board resolved")
	waits := func() { require.Contains(t, w.see(t, w.one, app.RoleAuditor, page).body, "Waits for a decision") }

	require.Equal(t, 422, w.see(t, w.one, app.RoleController, page+"/decision?"+form.Encode()).status, "a link decides nothing")
	scanner := request(http.MethodPost, page+"/decision", form.Encode()) // of a mail gateway: no session
	require.Equal(t, 401, w.do(scanner).status)
	foreign := request(http.MethodPost, page+"/decision", form.Encode())
	foreign.AddCookie(w.session(t, w.one, app.RoleController))
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, w.do(foreign).status)
	require.Equal(t, 404, w.post(t, w.two, app.RoleController, page+"/decision", form).status)
	for _, role := range []app.Role{app.RoleTenantOwner, app.RoleAuditor, app.RoleEngineeringAdmin, app.RoleAnalyst} {
		refused := w.post(t, w.one, role, page+"/decision", form)
		require.Equal(t, 403, refused.status, role)
		require.Contains(t, refused.body, `role="alert"`, "its page says why")
	}
	require.Equal(t, 403, w.post(t, w.one, app.RoleDeveloper, page+"/decision", form).status)
	require.Equal(t, 404, w.post(t, w.one, app.RoleBudgetOwner, page+"/decision", form).status, "it touches nothing of theirs")
	waits()

	with := func(name, value string) url.Values {
		other := url.Values{}
		maps.Copy(other, form)
		other.Set(name, value)
		return other
	}
	silent := w.post(t, w.one, app.RoleController, page+"/decision", with("reason", " "))
	require.Equal(t, 422, silent.status)
	require.Contains(t, silent.body, "Say why")
	require.Contains(t, silent.body, `aria-invalid="true"`)
	stale := w.post(t, w.one, app.RoleController, page+"/decision", with("digest", strings.Repeat("0", 64)))
	require.Equal(t, 409, stale.status)
	require.Contains(t, stale.body, ">as the board resolved</textarea>", "what was typed stays")
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, page+"/decision", with("verdict", "maybe")).status)
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, page+"/decision", with("for", "nobody")).status)
	require.Equal(t, 403, w.post(t, w.one, app.RoleController, page+"/decision", with("for", w.one.members[app.RoleAuditor].String())).status)
	waits()

	done := w.post(t, w.one, app.RoleController, page+"/decision", form)
	require.Equal(t, 303, done.status, done.body)
	require.Equal(t, page, done.header.Get("Location"))
	require.Equal(t, 303, w.post(t, w.one, app.RoleController, page+"/decision", form).status, "sent twice, it is one decision")
	after := w.see(t, w.one, app.RoleAuditor, page)
	require.Contains(t, after.body, "Applied")
	require.Contains(t, after.body, "decided by Propulsion controller")
	require.Contains(t, after.body, "as the board resolved")
	require.NotContains(t, after.body, `id="decide"`)
	require.Equal(t, 409, w.post(t, w.one, app.RoleFinanceAdmin, page+"/decision", with("once", "other")).status, "it is decided")
	book := w.see(t, w.one, app.RoleAnalyst, "/changes/policies")
	require.Contains(t, book.body, "Version 1 of the company")
	require.Contains(t, book.body, "acme-prices")
	log := w.see(t, w.one, app.RoleAuditor, "/log?subject="+w.one.edited.ID.String())
	require.Contains(t, log.body, `href="`+page+`"`, "a record leads to the change")
	require.Equal(t, 1, strings.Count(log.body, ">Change applied<")-strings.Count(log.body, ">Change applied</option"))
}

func TestAnEditVoidsApprovals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inForce(t, w.one, policies(policy("both", "", step("Finance", app.RoleFinanceAdmin), step("Control", app.RoleController))))
	made := w.proposed(t, w.one, app.RoleTenantOwner, policies(policy("one", "", step("Finance", app.RoleFinanceAdmin))), "simpler")
	page := "/changes/" + made.ID.String()
	early := w.see(t, w.one, app.RoleController, page)
	require.Contains(t, early.body, "Another step comes before yours")
	require.Contains(t, early.body, "policy “both”, version 1")
	first := w.see(t, w.one, app.RoleFinanceAdmin, page)
	require.Contains(t, first.body, "is one of 2 approvals it still needs")
	require.Equal(t, 303, w.post(t, w.one, app.RoleFinanceAdmin, page+"/decision", verdict(t, first.body, "approve", "fine")).status)
	require.Contains(t, w.see(t, w.one, app.RoleController, page).body, `value="approve"`)

	own := w.see(t, w.one, app.RoleTenantOwner, page)
	edit := url.Values{"digest": {field(t, own.body, "digest")}, "payload": {`{"policies":[`}, "reason": {"simpler still"}}
	broken := w.post(t, w.one, app.RoleTenantOwner, page+"/edit", edit)
	require.Equal(t, 422, broken.status)
	require.Contains(t, broken.body, "simpler still")
	require.Contains(t, broken.body, "<details class=\"more\" open")
	edit.Set("payload", policies(policy("one", "", step("Either", app.RoleController))))
	require.Equal(t, 403, w.post(t, w.one, app.RoleController, page+"/edit", edit).status, "only its maker edits")
	require.Equal(t, 422, w.post(t, w.one, app.RoleTenantOwner, page+"/edit", url.Values{"digest": edit["digest"], "reason": {"x"}}).status)
	require.Equal(t, 303, w.post(t, w.one, app.RoleTenantOwner, page+"/edit", edit).status)
	require.Equal(t, 409, w.post(t, w.one, app.RoleTenantOwner, page+"/edit", edit).status, "it was edited since")
	void := w.see(t, w.one, app.RoleFinanceAdmin, page)
	require.Contains(t, void.body, "Void, since it was about an earlier content")
	require.Contains(t, void.body, "Approved, which does not count any more")
	require.Contains(t, void.body, "is one of 2 approvals it still needs")
	withdrawn := w.post(t, w.one, app.RoleTenantOwner, page+"/decision", verdict(t, w.see(t, w.one, app.RoleTenantOwner, page).body, "reject", "not now"))
	require.Equal(t, 303, withdrawn.status)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, page).body, "Withdrawn")
}

func TestFilesAndRemarksOfAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := "/changes/" + w.one.edited.ID.String()
	for range 2 {
		require.Equal(t, 303, w.post(t, w.one, app.RoleAuditor, page+"/remarks", url.Values{"kind": {"comment"}, "body": {"seen"}}).status)
	}
	require.Equal(t, 1, strings.Count(w.see(t, w.one, app.RoleController, page).body, `<span class="said">seen</span>`))
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, page+"/remarks", url.Values{"kind": {"comment"}, "body": {" "}}).status)
	loud := w.post(t, w.one, app.RoleController, page+"/remarks", url.Values{"kind": {"shout"}, "body": {"typed text"}})
	require.Equal(t, 422, loud.status)
	require.Contains(t, loud.body, "typed text")

	upload := func(role app.Role, name string, content []byte, digest string) answer {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		require.NoError(t, form.WriteField("digest", digest))
		part, err := form.CreateFormFile("file", name)
		require.NoError(t, err)
		_, err = part.Write(content)
		require.NoError(t, err)
		require.NoError(t, form.Close())
		r := request(http.MethodPost, page+"/files", body.String())
		r.Header.Set("Content-Type", form.FormDataContentType())
		r.AddCookie(w.session(t, w.one, role))
		return w.do(r)
	}
	digest := field(t, w.see(t, w.one, app.RoleTenantOwner, page).body, "digest")
	require.Equal(t, 403, upload(app.RoleController, "x.txt", []byte("x"), digest).status)
	require.Equal(t, 422, upload(app.RoleTenantOwner, "x.txt", nil, digest).status)
	require.Equal(t, 422, upload(app.RoleTenantOwner, "x.txt", make([]byte, app.MaxAttachment+1), digest).status)
	require.Equal(t, 422, upload(app.RoleTenantOwner, "x.txt", make([]byte, app.MaxAttachment+1<<20), digest).status)
	require.Equal(t, 303, upload(app.RoleTenantOwner, "böse \"name\".html", []byte("<script>alert(1)</script>"), digest).status)
	require.Equal(t, 409, upload(app.RoleTenantOwner, "again.txt", []byte("x"), digest).status, "it is another content now")
	shown := w.see(t, w.one, app.RoleAuditor, page)
	links := regexp.MustCompile(`href="(`+page+`/files/[^"]+)"`).FindAllStringSubmatch(shown.body, -1)
	require.Len(t, links, 2)
	sent := w.see(t, w.one, app.RoleAuditor, links[1][1])
	if sent.body == "acme resolved" { // of one instant of a clock that stands still
		sent = w.see(t, w.one, app.RoleAuditor, links[0][1])
	}
	require.Equal(t, 200, sent.status)
	require.Equal(t, "<script>alert(1)</script>", sent.body)
	require.Equal(t, "application/octet-stream", sent.header.Get("Content-Type"))
	require.Equal(t, "nosniff", sent.header.Get("X-Content-Type-Options"))
	require.Regexp(t, `^attachment; filename`, sent.header.Get("Content-Disposition"))
	require.Equal(t, 404, w.see(t, w.two, app.RoleAuditor, links[1][1]).status)
	require.Equal(t, 403, w.see(t, w.one, app.RoleDeveloper, links[1][1]).status)
}

func TestSeveralChangesAreDecidedEachForItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inForce(t, w.one, `{"policies":[{"code":"fresh","kinds":["policies"],"expire_days":9,"fresh_sign_in":true,"steps":[`+step("Control", app.RoleController)+`]}]}`)
	fresh := w.proposed(t, w.one, app.RoleTenantOwner, policies(), "none at all")
	inbox := w.see(t, w.one, app.RoleController, "/changes")
	require.Contains(t, inbox.body, "asks to sign in again")
	var chosen []string
	for _, m := range regexp.MustCompile(`name="change" value="([^"]+)"`).FindAllStringSubmatch(inbox.body, -1) {
		chosen = append(chosen, m[1])
	}
	require.Len(t, chosen, 2, "prices, and policies proposed before there was a policy")
	ask := url.Values{"change": append(chosen, fresh.ID.String()+":"+fresh.DigestText()), "verdict": {"approve"}}
	confirm := w.see(t, w.one, app.RoleController, "/changes/decide?"+ask.Encode())
	require.Equal(t, 200, confirm.status)
	for _, text := range []string{"Approve 2 changes?", "Nothing is decided yet", "1 line of price book 1 changes", "decided on its own page", "acme board asks"} {
		require.Contains(t, confirm.body, text)
	}
	wholesome(t, confirm)
	require.Contains(t, w.see(t, w.one, app.RoleController, "/changes").body, "3 changes", "it was only asked")
	require.Equal(t, 200, w.see(t, w.one, app.RoleController, "/changes/decide").status)
	require.Equal(t, 404, w.see(t, w.one, app.RoleController, "/changes/decide?change=lost").status)

	form := url.Values{"change": chosen, "verdict": {"approve"}, "once": {field(t, confirm.body, "once")}}
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, "/changes/decide", url.Values{"verdict": {"approve"}, "reason": {"x"}}).status)
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, "/changes/decide", form).status, "without a reason")
	require.Equal(t, 403, w.post(t, w.one, app.RoleDeveloper, "/changes/decide", form).status)
	form.Set("reason", "all of them as resolved")
	refused := w.post(t, w.one, app.RoleAuditor, "/changes/decide", form)
	require.Equal(t, 200, refused.status)
	require.Equal(t, 2, strings.Count(refused.body, "Not decided"))
	form["change"] = append(chosen, fresh.ID.String()+":"+strings.Repeat("0", 64))
	for range 2 { // sent twice, each is decided once
		done := w.post(t, w.one, app.RoleController, "/changes/decide", form)
		require.Equal(t, 200, done.status, done.body)
		require.Contains(t, done.body, "What became of")
		require.Equal(t, 2, strings.Count(done.body, "Applied"), done.body)
	}
	require.Contains(t, w.see(t, w.one, app.RoleController, "/changes").body, "1 change", "the one that is decided alone still waits")
	who := w.who(t, w.one, app.RoleController)
	_, err := w.areas.Approvals.RuleAll(t.Context(), who, nil, "approve", "x")
	require.Error(t, err)
	bulk, err := w.areas.Approvals.RuleAll(t.Context(), who, []app.Choice{{Change: fresh.ID, Seen: fresh.Digest}}, "approve", "past its page")
	require.NoError(t, err)
	require.ErrorIs(t, bulk[0].Err, app.ErrFresh)
}

func TestSomebodyDecidesForSomebody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := "/changes/" + w.one.edited.ID.String()
	shown := w.see(t, w.one, app.RoleAnalyst, page)
	require.Contains(t, shown.body, "Propulsion analyst for Propulsion finance_admin")
	require.Contains(t, w.see(t, w.one, app.RoleAnalyst, "/changes").body, "for Propulsion finance_admin")
	form := verdict(t, shown.body, "approve", "she is away")
	require.Equal(t, 403, w.post(t, w.one, app.RoleAnalyst, page+"/decision", form).status, "for themselves they may not")

	at := func(days int) string { return now().AddDate(0, 0, days).Format(time.DateOnly) }
	for _, bad := range []struct{ email, until, must string }{
		{"nobody@acme.test", at(3), "No member here has the address"}, {"controller@acme.test", at(-3), "in the future"}, {"controller@acme.test", "later", "RFC 3339"},
		{"auditor@acme.test", at(3), "may never approve"}, {"finance_admin@acme.test", at(3), "That is you"},
	} {
		got := w.post(t, w.one, app.RoleFinanceAdmin, "/changes/delegations", url.Values{"email": {bad.email}, "until": {bad.until}, "reason": {"x"}})
		require.Equal(t, 422, got.status)
		require.Contains(t, got.body, bad.must)
		require.Contains(t, got.body, `value="`+bad.email+`"`)
	}
	require.Equal(t, 303, w.post(t, w.one, app.RoleFinanceAdmin, "/changes/delegations", url.Values{"email": {"controller@acme.test"}, "from": {at(1)}, "until": {at(3)}, "reason": {"travel"}}).status)
	require.Contains(t, w.see(t, w.one, app.RoleController, "/changes/delegations").body, "To come")
	require.Equal(t, 403, w.post(t, w.one, app.RoleAuditor, "/changes/delegations", url.Values{"email": {"controller@acme.test"}, "until": {at(3)}, "reason": {"x"}}).status)

	form.Set("for", w.one.members[app.RoleFinanceAdmin].String())
	require.Equal(t, 303, w.post(t, w.one, app.RoleAnalyst, page+"/decision", form).status)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, page).body, "Propulsion analyst for Propulsion finance_admin")
	end := "/changes/delegations/" + w.one.standIn.String() + "/end"
	require.Equal(t, 422, w.post(t, w.one, app.RoleFinanceAdmin, end, url.Values{}).status)
	require.Equal(t, 404, w.post(t, w.one, app.RoleController, end, url.Values{"reason": {"not mine"}}).status)
	require.Equal(t, 303, w.post(t, w.one, app.RoleFinanceAdmin, end, url.Values{"reason": {"back"}}).status)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/changes/delegations").body, "Ended 23 Nov")
}

func TestPoliciesAreFilledInWithoutAScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const edit = "/changes/policies/edit"
	added := w.post(t, w.one, app.RoleController, edit, url.Values{"policies": {"0"}, "do": {"add_policy"}})
	require.Equal(t, 200, added.status)
	require.Contains(t, added.body, `name="p0.s0.name" value="Approval"`)
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, edit, url.Values{}).status, "no button was pressed")
	form := url.Values{
		"policies": {"1"}, "p0.code": {"large"}, "p0.kinds": {"prices"}, "p0.at_least": {"lots"}, "p0.steps": {"1"}, "p0.s0.name": {"Finance"}, "p0.s0.quorum": {"2"}, "p0.s0.who": {"role:finance_admin", ""},
		"p0.expire_days": {"30"}, "p0.escalate": {""}, "reason": {"as the board says"}, "once": {"form_p"}, "do": {"add_step:0"},
	}
	more := w.post(t, w.one, app.RoleController, edit, form)
	require.Contains(t, more.body, `name="p0.s1.name"`)
	require.Contains(t, more.body, `name="p0.s0.quorum" value="2"`)
	form.Set("p0.steps", "2")
	form.Set("p0.s1.name", "Control")
	form.Set("p0.s1.quorum", "1")
	form["p0.s1.who"] = []string{"member:" + w.one.members[app.RoleController].String()}
	form.Set("do", "remove_step:0:0")
	less := w.post(t, w.one, app.RoleController, edit, form)
	require.Contains(t, less.body, `name="p0.s0.name" value="Control"`)
	require.NotContains(t, less.body, `name="p0.s1.name"`)
	require.Contains(t, less.body, `value="member:`+w.one.members[app.RoleController].String()+`" checked`, "who is named has a box")

	form.Set("do", "preview")
	wrong := w.post(t, w.one, app.RoleController, edit, form)
	require.Equal(t, 422, wrong.status)
	require.Contains(t, wrong.body, "two decimals")
	require.Contains(t, wrong.body, `value="lots"`)
	form.Set("p0.at_least", "1000.00")
	form.Set("p0.expire_days", "soon")
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, edit, form).status)
	form.Set("p0.expire_days", "30")
	preview := w.post(t, w.one, app.RoleController, edit, form)
	require.Equal(t, 200, preview.status)
	for _, text := range []string{"nothing is proposed yet", "Approval policies: 1 added", "that move $1,000.00 a month or more", "First, “Finance”: a finance admin; 2 of them decide", "Then, “Control”: Propulsion controller", "Who would decide about it"} {
		require.Contains(t, preview.body, text)
	}
	wholesome(t, preview)
	require.NotContains(t, w.see(t, w.one, app.RoleController, "/changes?maker=me").body, "as the board says", "a preview proposes nothing")
	form.Set("do", "propose")
	made := w.post(t, w.one, app.RoleController, edit, form)
	require.Equal(t, 303, made.status, made.body)
	require.Equal(t, made.header.Get("Location"), w.post(t, w.one, app.RoleController, edit, form).header.Get("Location"), "sent twice, it is one proposal")
	page := made.header.Get("Location")
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, page).body, "Then, “Control”: Propulsion controller")
	require.Equal(t, 403, w.post(t, w.one, app.RoleAnalyst, edit, form).status)

	text := url.Values{"form": {"json"}, "document": {`{"policies":[]}`}, "change": {strings.TrimPrefix(page, "/changes/")}, "digest": {field(t, w.see(t, w.one, app.RoleController, page).body, "digest")}, "reason": {"none"}, "do": {"propose"}}
	require.Equal(t, 303, w.post(t, w.one, app.RoleController, edit, text).status)
	require.Contains(t, w.see(t, w.one, app.RoleFinanceAdmin, page).body, "Edited: content 2")
	require.Equal(t, 422, w.post(t, w.one, app.RoleController, edit, url.Values{"form": {"json"}, "document": {`{"policies":[{"code":"x"}]}`}, "reason": {"x"}, "do": {"preview"}}).status)
}

func TestChangesAsAFileAndByTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := w.see(t, w.one, app.RoleController, "/changes.csv")
	rows, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
	require.NoError(t, err)
	require.Greater(t, len(rows), 3, "two that wait, and what no policy asked anybody about")
	require.Equal(t, []string{"for_you", "Contract discount of 12.34%", "proposed"}, []string{rows[1][0], rows[1][4], rows[1][5]})
	require.Equal(t, []string{"for_you", "decided", "decided"}, []string{rows[2][0], rows[3][0], rows[len(rows)-1][0]})
	require.Equal(t, "no policy asked anybody", rows[len(rows)-1][18])
	require.Len(t, strings.Split(strings.TrimSpace(w.see(t, w.one, app.RoleController, "/changes.csv?kind=policies").body), "\n"), 2)

	list := w.call(w.one, app.RoleController, "/changes?kind=policies", "").json(t)["data"].([]any)
	require.Len(t, list, 1)
	require.Contains(t, list[0].(map[string]any)["impact"], "1 added", "a list says the impact")
	require.Equal(t, 400, w.call(w.one, app.RoleController, "/changes?kind=lost", "").status)
	require.Equal(t, 200, w.call(w.one, app.RoleController, "/changes?state=expired", "").status)
	one := w.call(w.one, app.RoleServiceAccount, "/changes/"+w.one.change.ID.String(), "")
	require.Equal(t, 200, one.status, one.body)
	got := one.json(t)
	require.Equal(t, w.one.change.ID.String(), got["id"])
	require.Nil(t, got["moved"])
	require.Equal(t, "default", got["policy"].(map[string]any)["code"])
	require.Equal(t, "2026-12-23T14:02:00Z", got["expires_at"])
	steps := got["steps"].([]any)
	require.Len(t, steps, 1)
	require.Equal(t, true, steps[0].(map[string]any)["turn"])
	require.Contains(t, steps[0].(map[string]any)["asked"], w.one.members[app.RoleController].String())
	edited := w.call(w.one, app.RoleController, "/changes/"+w.one.edited.ID.String(), "").json(t)
	delete(edited["steps"].([]any)[0].(map[string]any), "asked") // in the order of ids of one instant
	document, err := json.Marshal(edited)
	require.NoError(t, err)
	golden(t, "api/change.json", pretty(t, string(document)))
	require.Equal(t, 404, w.call(w.two, app.RoleController, "/changes/"+w.one.change.ID.String(), "").status)
	require.Equal(t, 403, w.call(w.one, app.RoleDeveloper, "/changes/"+w.one.change.ID.String(), "").status)
	require.Equal(t, 400, w.call(w.one, app.RoleController, "/changes/lost", "").status)
}
