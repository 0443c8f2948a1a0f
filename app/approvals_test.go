package app_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// policy proposes a list of policies, as JSON between the brackets.
func policy(list string) app.Ask {
	return app.Ask{Kind: "policies", Payload: []byte(`{"policies":[` + list + `]}`), Reason: "who decides from now on"}
}

const oneStep = `"steps":[{"name":"Finance","quorum":1,"who":[{"role":"finance_admin"},{"role":"controller"}]}],"expire_days":10`

func discount(bps int64) app.Ask {
	return app.AskDiscount(bps, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "order form 7")
}

func (h *house) propose(t testing.TB, who app.Actor, ask app.Ask) app.ChangeView {
	t.Helper()
	made, err := h.approvals.Propose(t.Context(), who, ask, "")
	require.NoError(t, err)
	return made
}

func (h *house) ruleFor(t testing.TB, who app.Actor, change app.ChangeView, verdict approval.Verdict, member id.Member) (app.ChangeView, error) {
	t.Helper()
	return h.approvals.Rule(t.Context(), who, change.ID, app.Ruling{Ruling: approval.Ruling{Verdict: verdict, Seen: change.Digest, Reason: "as shown"}, For: member})
}

func (h *house) approveChange(t testing.TB, who app.Actor, change app.ChangeView) (app.ChangeView, error) {
	t.Helper()
	return h.ruleFor(t, who, change, approval.VerdictApprove, id.Member{})
}

// adopt puts policies in force.
func (h *house) adopt(t *testing.T, maker, checker app.Actor, list string) {
	t.Helper()
	_, err := h.approveChange(t, checker, h.propose(t, maker, policy(list)))
	require.NoError(t, err)
}

func (h *house) mail(t *testing.T, who app.Actor, address string) {
	t.Helper()
	hash := h.ring.Hasher("email").Current(address)
	h.exec(t, `update person set email_hash = $3 where tenant_id = $1 and person_id = $2`, who.Tenant, who.Person, hash[:])
}

func TestPoliciesAreDecidedThemselvesAndPinnedToWhatWaits(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	before := h.propose(t, fin, discount(1000))
	require.Equal(t, "default", before.Terms.Policy.Code)

	asked := h.propose(t, fin, policy(`{"code":"two","kinds":["prices"],"steps":[{"name":"Two","quorum":2,"who":[{"role":"finance_admin"},{"role":"controller"}]}],"expire_days":10}`))
	require.Equal(t, approval.StateProposed, asked.State, "nobody changes the policies alone")
	_, err := h.approveChange(t, fin, asked)
	require.ErrorIs(t, err, approval.ErrSelfApproval)
	_, err = h.approveChange(t, cfo, asked)
	require.NoError(t, err)
	book, err := h.approvals.Policies(t.Context(), cfo, 0)
	require.NoError(t, err)
	require.Equal(t, 1, book.Version)
	require.Equal(t, "two", book.Policies.List[0].Code)

	after := h.propose(t, fin, discount(2000))
	require.Equal(t, "two", after.Terms.Policy.Code)
	require.Equal(t, 1, after.Terms.Version)
	done, err := h.approveChange(t, cfo, before)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, done.State, "what waited is decided by the policy it was proposed under")
	_, err = h.approvals.Policies(t.Context(), cfo, 7)
	require.Equal(t, "policy_version_absent", fault.From(err).Code)
}

func TestAQuorumIsOfDifferentPersons(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo, third, last := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.person(t, h.one, app.RoleFinanceAdmin, "fin-2"), h.person(t, h.one, app.RoleController, "cfo-2")
	h.adopt(t, fin, cfo, `{"code":"two","kinds":["prices"],"steps":[{"name":"Two","quorum":2,"who":[{"role":"finance_admin"},{"role":"controller"}]}],"expire_days":10}`)
	change := h.propose(t, fin, discount(1000))
	half, err := h.approveChange(t, cfo, change)
	require.NoError(t, err)
	require.Equal(t, approval.StateProposed, half.State)
	require.EqualValues(t, 1, h.version(t, h.one))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "change.step_approved"))
	_, err = h.approveChange(t, cfo, change)
	require.ErrorIs(t, err, approval.ErrTwice)
	// The constraint holds where code forgets: the same person again, and the maker.
	for code, who := range map[string]app.Actor{"23505": cfo, "TB004": fin} {
		err = h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
			return tx.AddVote(db.VoteRow{ChangeID: change.ID, VoteID: id.NewVote(tx.Now), MemberID: who.Member, PersonID: who.Person, Digest: change.Digest[:], Basis: "second_person", Reason: "x"})
		})
		require.ErrorContains(t, err, code)
	}

	// Somebody who cannot sign in any more does not count; the other two do.
	_, err = h.members.Suspend(t.Context(), h.owner(t, h.one), cfo.Member, "left")
	require.NoError(t, err)
	half, err = h.approveChange(t, third, change)
	require.NoError(t, err)
	require.Equal(t, approval.StateProposed, half.State)
	shown, err := h.approvals.Case(t.Context(), last, change.ID)
	require.NoError(t, err)
	require.Len(t, shown.Void, 1)
	require.Len(t, shown.Steps[0].Votes, 1)
	require.True(t, shown.May.Approve)
	whole, err := h.approveChange(t, last, change)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, whole.State)
	require.EqualValues(t, 2, h.version(t, h.one))
}

func TestWhoProposesNeverApproves(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.mail(t, cfo, "cfo@one.test")
	h.mail(t, fin, "fin@one.test")
	change := h.propose(t, fin, discount(1000))
	refused := h.records(t, h.one.tenant, "change.decision_refused")
	try := func(name string, want error, err error) {
		t.Helper()
		require.ErrorIs(t, err, want, name)
		refused++
		require.Equal(t, refused, h.records(t, h.one.tenant, "change.decision_refused"), name)
		require.EqualValues(t, 1, h.version(t, h.one), name)
	}
	_, err := h.approveChange(t, fin, change)
	try("the maker", approval.ErrSelfApproval, err)

	// By somebody who stands in for the maker, and by the maker standing in for somebody.
	_, err = h.approvals.Delegate(t.Context(), fin, "cfo@one.test", time.Time{}, h.clock.now().AddDate(0, 0, 7), "away")
	require.NoError(t, err)
	_, err = h.approvals.Delegate(t.Context(), cfo, "fin@one.test", time.Time{}, h.clock.now().AddDate(0, 0, 7), "away")
	require.NoError(t, err)
	_, err = h.ruleFor(t, cfo, change, approval.VerdictApprove, fin.Member)
	try("for the maker", approval.ErrForMaker, err)
	_, err = h.ruleFor(t, fin, change, approval.VerdictApprove, cfo.Member)
	try("the maker for the checker", approval.ErrSelfApproval, err)
	_, err = h.ruleFor(t, h.person(t, h.one, app.RoleController, "x"), change, approval.VerdictApprove, cfo.Member)
	try("for somebody who did not ask", app.ErrNoDelegation, err)

	// By another account of the same person.
	h.exec(t, `insert into member (tenant_id, member_id, person_id, kind, issuer, subject, recorded_at) select tenant_id, gen_random_uuid(), person_id, kind, issuer, 'fin-other', recorded_at from member where tenant_id = $1 and member_id = $2`, fin.Tenant, fin.Member)
	h.exec(t, `insert into member_role (tenant_id, version_id, member_id, role, effective_from, recorded_at, change_id) select r.tenant_id, gen_random_uuid(), m.member_id, 'controller', r.effective_from, r.recorded_at, r.change_id
		from member_role r join member m on m.tenant_id = r.tenant_id and m.subject = 'fin-other' where r.tenant_id = $1 and r.member_id = $2`, fin.Tenant, fin.Member)
	other := h.session(t, h.one, "fin-other")
	_, err = h.approveChange(t, other, change)
	try("another account", approval.ErrSelfApproval, err)
	err = h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		return tx.AddDecision(change.ID, 5, approval.StateApproved, other.ID(), change.Digest, approval.BasisSecond, "x")
	})
	require.ErrorContains(t, err, "TB004", "nor in the database")

	// The engineering admin proposes and does not approve, nor stands in for somebody.
	eng := h.person(t, h.one, app.RoleEngineeringAdmin, "eng")
	h.mail(t, eng, "eng@one.test")
	_, err = h.approveChange(t, eng, change)
	try("an engineering admin", app.ErrNotAllowed, err)
	_, err = h.approvals.Delegate(t.Context(), cfo, "eng@one.test", time.Time{}, h.clock.now().AddDate(0, 0, 7), "away")
	require.Equal(t, "delegation_duty", fault.From(err).Code)

	// After all that the checker decides, for themselves.
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	require.EqualValues(t, 2, h.version(t, h.one))
}

func TestAnEditVoidsWhatWasApproved(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo, third := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.person(t, h.one, app.RoleFinanceAdmin, "third")
	two := `{"code":"two","kinds":["policies"],"steps":[{"name":"Two","quorum":2,"who":[{"role":"finance_admin"},{"role":"controller"}]}],"expire_days":10}`
	h.adopt(t, fin, cfo, two)
	change := h.propose(t, fin, policy(two+`,{"code":"more","kinds":["prices"],`+oneStep+`}`))
	_, err := h.approveChange(t, cfo, change)
	require.NoError(t, err)
	_, err = h.approvals.Revise(t.Context(), cfo, change.ID, change.Digest, policy(two))
	require.Equal(t, "not_maker", fault.From(err).Code)
	_, err = h.approvals.Revise(t.Context(), fin, change.ID, [32]byte{1}, policy(two))
	require.ErrorIs(t, err, approval.ErrDigest)
	edited, err := h.approvals.Revise(t.Context(), fin, change.ID, change.Digest, policy(two+`,{"code":"less","kinds":["prices"],`+oneStep+`}`))
	require.NoError(t, err)
	require.Equal(t, 2, edited.Revision)
	_, err = h.approveChange(t, third, change)
	require.ErrorIs(t, err, approval.ErrDigest, "what was shown is not what is proposed now")
	half, err := h.approveChange(t, third, edited)
	require.NoError(t, err)
	require.Equal(t, approval.StateProposed, half.State, "the approval before the edit does not count")
	with, err := h.approvals.Attach(t.Context(), fin, change.ID, edited.Digest, app.NewAttachment{Name: `C:\x\"memo".txt`, MediaType: "text/html", Content: []byte("why")})
	require.NoError(t, err)
	shown, err := h.approvals.Case(t.Context(), cfo, change.ID)
	require.NoError(t, err)
	require.Equal(t, with.Digest, shown.Digest)
	require.Len(t, shown.Void, 2)
	require.Equal(t, "memo.txt", shown.Attachments[0].Name)
	require.Equal(t, "application/octet-stream", shown.Attachments[0].MediaType)
	_, content, err := h.approvals.Attachment(t.Context(), cfo, change.ID, shown.Attachments[0].ID)
	require.NoError(t, err)
	require.Equal(t, "why", string(content))
	for _, who := range []app.Actor{cfo, third} {
		half, err = h.approveChange(t, who, with)
		require.NoError(t, err)
	}
	require.Equal(t, approval.StateApplied, half.State)
	book, err := h.approvals.Policies(t.Context(), cfo, 0)
	require.NoError(t, err)
	require.Equal(t, "less", book.Policies.List[1].Code, "what was edited is what was applied")
	_, err = h.approvals.Revise(t.Context(), fin, change.ID, with.Digest, policy(two))
	require.Equal(t, "change_state", fault.From(err).Code)
	require.EqualValues(t, 2, h.records(t, h.one.tenant, "change.revised"))
}

func TestOfTwoDecisionsAtOnceOneCounts(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo, third := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.person(t, h.one, app.RoleController, "third")
	change := h.propose(t, fin, discount(1000))
	var group sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		group.Go(func() {
			who, verdict := cfo, approval.VerdictApprove
			if i%2 == 1 {
				who, verdict = third, approval.VerdictReject
			}
			_, errs[i] = h.ruleFor(t, who, change, verdict, id.Member{})
		})
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			require.Equal(t, "change_state", fault.From(err).Code)
		}
	}
	require.Equal(t, 1, done)
	require.EqualValues(t, 1, h.number(t, `select count(*) from change_move where tenant_id = $1 and change_id = $2 and place = 1`, h.one.tenant, change.ID))
	require.EqualValues(t, 7, h.records(t, h.one.tenant, "change.decision_refused"))
}

func TestOneStandsInForAnother(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo, owner := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.personAt(t, h.one, app.RoleBudgetOwner, "deputy", "CC-2")
	h.mail(t, owner, "deputy@one.test")
	change := h.propose(t, fin, discount(1000))
	_, err := h.approveChange(t, owner, change)
	require.Error(t, err)
	delegation, err := h.approvals.Delegate(t.Context(), cfo, " Deputy@one.test", time.Time{}, h.clock.now().Add(24*time.Hour), "on leave")
	require.NoError(t, err)
	list, err := h.approvals.Delegations(t.Context(), cfo)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.True(t, list[0].InForce && list[0].Mine)
	require.NoError(t, h.approvals.EndDelegation(t.Context(), cfo, delegation, "back early"))
	require.Equal(t, "delegation_absent", fault.From(h.approvals.EndDelegation(t.Context(), cfo, delegation, "again")).Code)
	_, err = h.ruleFor(t, owner, change, approval.VerdictApprove, cfo.Member)
	require.ErrorIs(t, err, app.ErrNoDelegation)
	_, err = h.approvals.Delegate(t.Context(), cfo, "deputy@one.test", time.Time{}, h.clock.now().Add(24*time.Hour), "on leave again")
	require.NoError(t, err)

	// A price is nothing a budget owner may read; what waits for who they stand in for is.
	box, err := h.approvals.Inbox(t.Context(), owner)
	require.NoError(t, err)
	require.Len(t, box.Mine, 1)
	require.Equal(t, []app.StandIn{{Member: cfo.Member, Name: "cfo"}}, box.Mine[0].For)
	seen, err := h.approvals.Case(t.Context(), owner, change.ID)
	require.NoError(t, err)
	require.False(t, seen.May.Approve)
	require.Len(t, seen.May.For, 1)
	done, err := h.ruleFor(t, owner, change, approval.VerdictApprove, cfo.Member)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, done.State)
	shown, err := h.approvals.Case(t.Context(), cfo, change.ID)
	require.NoError(t, err)
	require.Equal(t, "deputy", shown.Steps[0].Votes[0].Who.Name)
	require.Equal(t, "cfo", shown.Steps[0].Votes[0].For.Name)
	for _, bad := range []struct {
		email    string
		from, to time.Time
		code     string
	}{
		{"deputy@one.test", time.Time{}, h.clock.now().Add(-time.Hour), "delegation_dates"},
		{"deputy@one.test", h.clock.now().Add(2 * time.Hour), h.clock.now().Add(time.Hour), "delegation_dates"},
		{"deputy@one.test", time.Time{}, h.clock.now().AddDate(1, 0, 0), "delegation_dates"},
		{"nobody@one.test", time.Time{}, h.clock.now().Add(time.Hour), "email_absent"},
	} {
		_, err = h.approvals.Delegate(t.Context(), cfo, bad.email, bad.from, bad.to, "x")
		require.Equal(t, bad.code, codeOf(err), "%v", err)
	}
}

func TestWhatNobodyDecidesIsRemindedOfEscalatedAndExpires(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo, third := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.person(t, h.one, app.RoleFinanceAdmin, "third")
	h.adopt(t, fin, cfo, `{"code":"slow","kinds":["prices"],"steps":[{"name":"Controller","quorum":1,"who":[{"role":"controller"}]}],"expire_days":10,"remind_days":2,"escalate_days":4,"escalate_to":[{"role":"finance_admin"}]}`)
	change := h.propose(t, fin, discount(1000))
	_, err := h.approveChange(t, third, change)
	require.ErrorIs(t, err, approval.ErrNotAsked)
	age := func(days int) {
		t.Helper()
		h.clock.add(time.Duration(days) * 24 * time.Hour)
		require.NoError(t, h.approvals.Tend(t.Context(), h.one.tenant))
		require.NoError(t, h.approvals.Tend(t.Context(), h.one.tenant), "twice is no more than once")
	}
	said := func() string {
		return h.text(t, `select coalesce(string_agg(kind, ' ' order by recorded_at, kind), '') from change_remark where tenant_id = $1`, h.one.tenant)
	}
	age(1)
	require.Empty(t, said())
	age(1)
	require.Equal(t, "reminder", said())
	age(2)
	require.Equal(t, "reminder escalation reminder", said())
	shown, err := h.approvals.Case(t.Context(), third, change.ID)
	require.NoError(t, err)
	require.True(t, shown.May.Approve, "others may now")
	age(6)
	shown, err = h.approvals.Case(t.Context(), cfo, change.ID)
	require.NoError(t, err)
	require.Equal(t, approval.StateExpired, shown.State)
	_, err = h.approveChange(t, cfo, change)
	require.Equal(t, "change_state", fault.From(err).Code)
	require.EqualValues(t, 1, h.version(t, h.one), "waiting approves nothing")
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "change.expired"))
}

func TestWhoSeesWhatWaits(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	change := h.propose(t, fin, discount(1000))
	for role, want := range map[app.Role]string{app.RoleAnalyst: "", app.RoleAuditor: "", app.RoleBudgetOwner: "change_absent", app.RoleEngineeringAdmin: "change_absent", app.RoleDeveloper: "not_allowed"} {
		node := ""
		if role == app.RoleBudgetOwner {
			node = "CC-1"
		}
		_, err := h.approvals.Case(t.Context(), h.personAt(t, h.one, role, string(role), node), change.ID)
		require.Equal(t, want, codeOf(err), role)
	}
	stranger := h.person(t, h.two, app.RoleController, "cfo")
	_, err := h.approvals.Case(t.Context(), stranger, change.ID)
	require.Equal(t, "change_absent", codeOf(err))
	require.Equal(t, "change_absent", codeOf(h.approvals.Remark(t.Context(), stranger, change.ID, "comment", "hello")))
	_, _, err = h.approvals.Attachment(t.Context(), stranger, change.ID, id.NewAttachment(h.clock.now()))
	require.Equal(t, "change_absent", codeOf(err))
	require.NoError(t, h.approvals.Remark(t.Context(), cfo, change.ID, "question", " which order form? "))
	for _, c := range []struct{ kind, body, code string }{{"shout", "x", "remark_kind"}, {"comment", " ", "remark_length"}} {
		require.Equal(t, c.code, codeOf(h.approvals.Remark(t.Context(), cfo, change.ID, c.kind, c.body)))
	}
	mine, err := h.approvals.Inbox(t.Context(), cfo)
	require.NoError(t, err)
	require.Len(t, mine.Mine, 1)
	require.Equal(t, "fin", mine.Mine[0].Made.Name)
	own, err := h.approvals.Inbox(t.Context(), fin)
	require.NoError(t, err)
	require.Len(t, own.Own, 1)
	require.Equal(t, "cfo", own.Own[0].Asked[0].Name)
	shown, err := h.approvals.Case(t.Context(), fin, change.ID)
	require.NoError(t, err)
	require.Equal(t, approval.ErrSelfApproval.Message, shown.May.Why)
	require.Equal(t, "which order form?", shown.Remarks[0].Body)
	require.True(t, shown.May.Withdraw && !shown.May.Approve && !shown.May.Reject)

	preview, err := h.approvals.Preview(t.Context(), fin, discount(2000))
	require.NoError(t, err)
	require.NotEmpty(t, preview.Impact.Sentence)
	require.EqualValues(t, 1, h.number(t, `select count(*) from change where tenant_id = $1 and kind = 'prices' and change_id = $2`, h.one.tenant, change.ID))
	require.EqualValues(t, 1, h.number(t, `select count(*) from price_proposal where tenant_id = $1`, h.one.tenant), "a preview leaves nothing")
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestSeveralAreDecidedEachForItself(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	var choices []app.Choice
	for _, ask := range []app.Ask{policy(oneStepFor("prices")), discount(1000), app.AskKeyMove(h.one.key.ID, "CC-2", nil, time.Time{}, "moved"), policy(oneStepFor("node"))} {
		change := h.propose(t, fin, ask)
		choices = append(choices, app.Choice{Change: change.ID, Seen: change.Digest})
	}
	own := h.propose(t, cfo, policy(`{"code":"own","kinds":["prices"],`+oneStep+`}`))
	choices[1].Seen = [32]byte{1}
	choices = append(choices, app.Choice{Change: own.ID, Seen: own.Digest})
	done, err := h.approvals.RuleAll(t.Context(), cfo, choices, approval.VerdictApprove, "month end")
	require.NoError(t, err)
	var codes []string
	for _, d := range done {
		codes = append(codes, codeOf(d.Err))
	}
	require.Equal(t, []string{"", "digest_changed", "", "", "self_approval"}, codes)
	require.EqualValues(t, 2, h.number(t, `select max(version) from policy_version where tenant_id = $1`, h.one.tenant))
	_, err = h.approvals.RuleAll(t.Context(), cfo, nil, approval.VerdictApprove, "x")
	require.Equal(t, "changes_count", codeOf(err))
}

// TestAPolicyThatAsksTheMakerAloneLetsNobodyDecideAlone: the policy names one person, who
// proposes; somebody else has the right, so that it waits.
func TestAPolicyThatAsksTheMakerAloneLetsNobodyDecideAlone(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.adopt(t, fin, cfo, `{"code":"me","kinds":["prices"],"steps":[{"name":"Me","quorum":1,"who":[{"member":"`+fin.Member.String()+`"}]}],"expire_days":10}`)
	change := h.propose(t, fin, discount(1000))
	_, err := h.approveChange(t, fin, change)
	require.ErrorIs(t, err, approval.ErrSelfApproval)
	_, err = h.approveChange(t, cfo, change)
	require.ErrorIs(t, err, approval.ErrNotAsked)
	require.EqualValues(t, 1, h.version(t, h.one))
	_, err = h.approveChange(t, fin, h.propose(t, cfo, policy(oneStepFor("prices"))))
	require.NoError(t, err, "what another proposed they decide")
}

func oneStepFor(kind string) string { return `{"code":"one","kinds":["` + kind + `"],` + oneStep + `}` }

// carry takes a proposal as far as it goes: one that waits is approved by a second person.
func (h *house) carry(t *testing.T, who app.Actor, ask app.Ask) (app.ChangeView, error) {
	t.Helper()
	made, err := h.approvals.Propose(t.Context(), who, ask, "")
	if err != nil || !made.Open() {
		return made, err
	}
	c := h.one
	if who.Tenant != c.tenant {
		c = &company{tenant: who.Tenant, who: app.Command(who.Tenant)}
	}
	return h.approveChange(t, h.person(t, c, app.RoleController, made.ID.String()), made)
}

func (h *house) carries(t *testing.T, who app.Actor, ask app.Ask) error {
	t.Helper()
	_, err := h.carry(t, who, ask)
	return err
}

// addIssuer has a second person approve one more way to sign in.
func (h *house) addIssuer(t *testing.T, who app.Actor, want app.Issuer) (id.Issuer, error) {
	t.Helper()
	made, err := h.carry(t, who, app.AskIssuer(want, "x"))
	var payload struct{ Issuer id.Issuer }
	if err == nil {
		require.NoError(t, json.Unmarshal(made.Payload, &payload))
	}
	return payload.Issuer, err
}
