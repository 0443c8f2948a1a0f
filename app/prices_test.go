package app_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/db"
)

// person admits somebody and signs them in.
func (h *house) person(t testing.TB, c *company, role app.Role, subject string) app.Actor {
	t.Helper()
	return h.personAt(t, c, role, subject, "")
}

// personAt admits somebody over a subtree.
func (h *house) personAt(t testing.TB, c *company, role app.Role, subject, node string) app.Actor {
	t.Helper()
	_, err := h.members.Add(t.Context(), c.who, app.NewMember{Issuer: "https://idp.test", Subject: subject, Name: subject, Role: role, NodeCode: node}, "fixture")
	require.NoError(t, err)
	return h.session(t, c, subject)
}

func (h *house) session(t testing.TB, c *company, subject string) app.Actor {
	t.Helper()
	cookie, err := h.signIns.Accept(t.Context(), c.tenant, app.Claims{Issuer: "https://idp.test", Subject: subject, SignedInAt: h.clock.now()})
	require.NoError(t, err)
	who, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	return who
}

// newer is what a newer binary ships: Opus 5.5 costs a dollar more a million out.
func newer(t *testing.T) []byte {
	t.Helper()
	const old = "claude-opus-5-5,standard,0,2026-09-22,,4,20,5,8,"
	require.Contains(t, string(pricing.VendorList()), old)
	return []byte(strings.Replace(string(pricing.VendorList()), old, "claude-opus-5-5,standard,0,2026-09-22,,4,21,5,8,", 1))
}

// upgraded is the area as the newer binary makes it.
func (h *house) upgraded(t *testing.T) *app.Prices {
	t.Helper()
	return app.NewPrices(h.clone.DB, h.access, h.changes, newer(t))
}

// openChange is the one change that waits.
func (h *house) openChange(t *testing.T, who app.Actor) app.ChangeView {
	t.Helper()
	page, err := h.approvals.List(t.Context(), who, approval.StateProposed, 0, 10)
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	return page.Rows[0]
}

func (h *house) version(t *testing.T, c *company) int64 {
	t.Helper()
	return h.number(t, `select max(version) from price_version where tenant_id = $1`, c.tenant)
}

func TestANewerListIsProposedOnceAndNeverAppliedByItself(t *testing.T) {
	t.Parallel()
	h := build(t)
	finance := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	before := h.contents(t)
	proposed, err := h.prices.ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, proposed)
	require.Equal(t, before, h.contents(t), "the list that is applied is no news")

	prices := h.upgraded(t)
	var group sync.WaitGroup
	made := make([]bool, 8)
	for i := range made {
		group.Go(func() {
			again := app.NewPrices(h.clone.DB, h.access, app.NewChanges(h.access), newer(t))
			made[i], _ = again.ProposeVendor(t.Context(), h.one.tenant)
		})
	}
	group.Wait()
	count := 0
	for _, m := range made {
		if m {
			count++
		}
	}
	require.Equal(t, 1, count, "however many processes start at once")
	require.EqualValues(t, 1, h.version(t, h.one))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "change.proposed"))
	change := h.openChange(t, finance)
	require.Equal(t, "system", change.Maker)
	require.Equal(t, "prices", change.Kind)
	require.Contains(t, string(change.Payload), `"vendor_sha256":"`+prices.VendorDigest()+`"`)
	require.Zero(t, h.number(t, `select count(*) from price_proposal where tenant_id = $1`, h.two.tenant))

	shown, err := prices.Proposal(t.Context(), finance, change.ID)
	require.NoError(t, err)
	require.Len(t, shown.Differences, 1)
	require.Equal(t, "2026-09-22", shown.Since.Format(time.DateOnly))
	require.Equal(t, shown.Since, shown.EffectiveFrom)
}

func TestRequestsAProposalWouldReprice(t *testing.T) {
	t.Parallel()
	h := build(t)
	finance := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	prices := h.upgraded(t)
	state := func(set ...func(*usage.Event)) string {
		e := h.one.event(november(3), "CC-1", set...)
		require.Equal(t, 1, h.flush(t, h.one, e))
		return h.text(t, `select state || ' ' || coalesce(array_to_string(flags, ','), '') || ' ' || price_version || ' ' || charge_pico from usage_event where tenant_id = $1 and event_id = $2`, h.one.tenant, e.ID)
	}
	other := func(e *usage.Event) { e.Counts.Model = "claude-opus-5" }
	require.Equal(t, "complete  1 14000000000", state())
	_, err := prices.ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Equal(t, "unpriced price_proposed 1 14000000000", state(), "at the applied price, not final")
	require.Equal(t, "complete  1 17500000000", state(other), "a model it does not touch")

	change := h.openChange(t, finance)
	shown, err := prices.Proposal(t.Context(), finance, change.ID)
	require.NoError(t, err)
	require.EqualValues(t, 2, shown.Effect.Requests)
	require.Equal(t, "0.028000000000", shown.Effect.Charge.String())
	require.Equal(t, []string{"claude-opus-5-5"}, shown.Effect.Models)

	_, err = h.approvals.Decide(t.Context(), finance, change.ID, approval.VerdictApprove, change.Digest, "as the vendor has it")
	require.NoError(t, err)
	// 1000 x 4/M + 500 x 21/M = 0.004 + 0.0105
	require.Equal(t, "complete  2 14500000000", state())
	require.EqualValues(t, 2, h.version(t, h.one))
	require.Equal(t, string(newer(t)), h.text(t, `select convert_from(document, 'UTF8') from price_version where tenant_id = $1 and version = 2`, h.one.tenant))
	again, err := prices.ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, again)
	back, err := h.prices.ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, back, "an older binary beside the newer one does not propose the old list")
}

func TestARejectedListStaysRejected(t *testing.T) {
	t.Parallel()
	h := build(t)
	controller := h.person(t, h.one, app.RoleController, "cfo")
	prices := h.upgraded(t)
	_, err := prices.ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	change := h.openChange(t, controller)
	done, err := h.approvals.Decide(t.Context(), controller, change.ID, approval.VerdictReject, change.Digest, "we have a contract")
	require.NoError(t, err)
	require.Equal(t, approval.StateRejected, done.State)
	require.Equal(t, approval.BasisSecond, done.Basis)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "change.rejected"))
	require.EqualValues(t, 1, h.version(t, h.one))
	h.flush(t, h.one, h.one.event(november(3), "CC-1"))
	require.EqualValues(t, 1, h.number(t, `select count(*) from usage_event where state = 'complete'`))
	again, err := prices.ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, again)
	_, err = h.approvals.Decide(t.Context(), controller, change.ID, approval.VerdictApprove, change.Digest, "second thoughts")
	require.Equal(t, "change_state", fault.From(err).Code)
}

func TestADiscountIsProposedBySomebodyAndDecidedByAnother(t *testing.T) {
	t.Parallel()
	h := build(t)
	maker, checker := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	change, err := h.approvals.Propose(t.Context(), maker, app.AskDiscount(1000, from, "order form 7"), "")
	require.NoError(t, err)
	require.Equal(t, from, change.EffectiveFrom)
	require.Contains(t, change.Impact.Sentence, "2026-11-01")
	decide := func(who app.Actor, verdict approval.Verdict) error {
		_, err := h.approvals.Decide(t.Context(), who, change.ID, verdict, change.Digest, "as signed")
		return err
	}
	require.ErrorIs(t, decide(maker, approval.VerdictApprove), approval.ErrSelfApproval)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "change.decision_refused"), "a refused decision is recorded")
	require.ErrorIs(t, decide(h.member(t, h.one, app.RoleController, ""), approval.VerdictApprove), app.ErrNoPerson)
	require.ErrorIs(t, decide(h.one.who, approval.VerdictApprove), app.ErrNoPerson)
	require.ErrorIs(t, decide(app.System(h.one.tenant), approval.VerdictApprove), app.ErrNoPerson)
	require.ErrorIs(t, decide(h.person(t, h.one, app.RoleAnalyst, "ana"), approval.VerdictApprove), app.ErrNotAllowed)
	stranger := h.person(t, h.two, app.RoleController, "cfo")
	require.Equal(t, "change_absent", fault.From(decide(stranger, approval.VerdictApprove)).Code)
	_, err = h.approvals.Decide(t.Context(), checker, change.ID, approval.VerdictApprove, [32]byte{9}, "not what I saw")
	require.ErrorIs(t, err, approval.ErrDigest)
	require.EqualValues(t, 1, h.version(t, h.one))
	require.NoError(t, decide(checker, approval.VerdictApprove))

	h.flush(t, h.one, h.one.event(november(3), "CC-1"))
	require.Equal(t, "1000 14000000000 12600000000 complete", h.text(t, `select discount_bps || ' ' || list_pico || ' ' || charge_pico || ' ' || state from usage_event where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "0 proposed "+maker.ID()+" ,1 approved "+checker.ID()+" second_person,2 applied "+checker.ID()+" ",
		h.text(t, `select string_agg(place || ' ' || state || ' ' || actor || ' ' || coalesce(basis, ''), ',' order by place) from change_move where tenant_id = $1 and change_id = $2`, h.one.tenant, change.ID))

	// The vendor's next list keeps the contract.
	_, err = h.upgraded(t).ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	next := h.openChange(t, checker)
	_, err = h.approvals.Decide(t.Context(), maker, next.ID, approval.VerdictApprove, next.Digest, "one is enough for the product's own")
	require.NoError(t, err)
	h.flush(t, h.one, h.one.event(november(4), "CC-1"))
	require.EqualValues(t, 1, h.number(t, `select count(*) from usage_event where tenant_id = $1 and price_version = 3 and discount_bps = 1000 and list_pico = 14500000000`, h.one.tenant))
}

func TestWhoeverIsBehindATokenIsItsMaker(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.person(t, h.one, app.RoleTenantOwner, "own")
	h.person(t, h.one, app.RoleController, "cfo")
	// The owner is a finance admin too, under another account, and made the service account's token.
	service, err := h.members.Add(t.Context(), owner, app.NewMember{Service: true, Issuer: "x", Subject: "bot", Name: "bot", Role: app.RoleServiceAccount}, "bot")
	require.NoError(t, err)
	token, err := h.members.AddToken(t.Context(), owner, service, "bot", time.Hour, "bot")
	require.NoError(t, err)
	bot, err := h.members.ByToken(t.Context(), token)
	require.NoError(t, err)
	var second id.Member
	require.NoError(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		second = id.NewMember(tx.Now)
		if err := tx.AddMember(second, owner.Person, "person", "https://idp.test", "own-2"); err != nil {
			return err
		}
		change, err := tx.Changes(db.ChangeFilter{Kinds: []string{"member"}, Limit: 1})
		require.NoError(t, err)
		require.NoError(t, tx.AppendAudit(auditlog.Record{Action: "test.noted", Actor: "test"}))
		return tx.GrantRole(db.NewGrant{Version: id.NewVersion(tx.Now), Member: second, Role: string(app.RoleFinanceAdmin), From: tx.Now, Change: change[0].ChangeID})
	}))
	change, err := h.approvals.Propose(t.Context(), bot, app.AskDiscount(1000, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "from the contract system"), "once")
	require.NoError(t, err)
	repeated, err := h.approvals.Propose(t.Context(), bot, app.AskDiscount(1000, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "from the contract system"), "once")
	require.NoError(t, err)
	require.Equal(t, change, repeated)
	account := h.session(t, h.one, "own-2")
	_, err = h.approvals.Decide(t.Context(), account, change.ID, approval.VerdictApprove, change.Digest, "mine")
	require.ErrorIs(t, err, approval.ErrSelfApproval)
}

func TestTheOnlyOneWhoMayDecideDecidesAlone(t *testing.T) {
	t.Parallel()
	h := build(t)
	only := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	change, err := h.approvals.Propose(t.Context(), only, app.AskDiscount(1000, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "order form 7"), "")
	require.NoError(t, err)
	done, err := h.approvals.Decide(t.Context(), only, change.ID, approval.VerdictApprove, change.Digest, "there is nobody else")
	require.NoError(t, err)
	require.Equal(t, approval.BasisSole, done.Basis)
	require.Equal(t, approval.StateApplied, done.State)
	// The constraint holds even where code forgets.
	err = h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		return tx.AddDecision(change.ID, 7, approval.StateApproved, only.ID(), change.Digest, approval.BasisSecond, "x")
	})
	require.ErrorContains(t, err, "TB004")
}

func TestWhatIsAppliedOvertakesTheRest(t *testing.T) {
	t.Parallel()
	h := build(t)
	maker, checker := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	prices := h.upgraded(t)
	_, err := prices.ProposeVendor(t.Context(), h.one.tenant)
	require.NoError(t, err)
	vendor := h.openChange(t, checker)
	from := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	first, err := h.approvals.Propose(t.Context(), maker, app.AskDiscount(1000, from, "first"), "")
	require.NoError(t, err)
	second, err := h.approvals.Propose(t.Context(), maker, app.AskDiscount(2000, from, "second"), "")
	require.NoError(t, err)
	_, err = h.approvals.Decide(t.Context(), checker, first.ID, approval.VerdictApprove, first.Digest, "this one")
	require.NoError(t, err)
	_, err = h.approvals.Decide(t.Context(), checker, second.ID, approval.VerdictApprove, second.Digest, "and this one")
	require.Equal(t, "change_state", fault.From(err).Code)
	open := h.openChange(t, checker)
	require.NotEqual(t, vendor.ID, open.ID, "the vendor's list is proposed anew, on the version with the discount")
	shown, err := prices.Proposal(t.Context(), checker, open.ID)
	require.NoError(t, err)
	require.Len(t, shown.Differences, 1)
	require.Equal(t, 2, shown.BaseVersion)
	require.EqualValues(t, 2, h.number(t, `select count(*) from change_move where tenant_id = $1 and state = 'rejected' and basis = 'withdrawn' and actor = 'system'`, h.one.tenant))
}

func TestTheOperatorBreaksTheGlassAndItShows(t *testing.T) {
	t.Parallel()
	h := build(t)
	ask := app.AskDiscount(500, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "nobody can sign in yet")
	change, err := h.prices.Force(t.Context(), h.one.who, ask)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, change.State)
	require.EqualValues(t, 2, h.version(t, h.one))
	require.EqualValues(t, 1, h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'change.applied' and position('policy:break_glass'::bytea in canonical) > 0`, h.one.tenant))
	_, err = h.prices.Force(t.Context(), h.person(t, h.one, app.RoleFinanceAdmin, "fin"), ask)
	require.ErrorIs(t, err, app.ErrNotAllowed)
}

func TestAProposalOfPricesIsCheckedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	h := build(t)
	maker := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	before := h.contents(t)
	for _, c := range []struct{ kind, payload, code string }{
		{"saved_view", `{}`, "kind_unknown"},
		{"prices", `{}`, "prices_payload"},
		{"prices", `{"document":"x","discount_bps":1}`, "prices_payload"},
		{"prices", `{"discount":1}`, "prices_payload"},
		{"prices", `{"discount_bps":10001}`, "discount_range"},
		{"prices", `{"document":"kind,name\n"}`, "book_syntax"},
	} {
		_, err := h.approvals.Propose(t.Context(), maker, app.Ask{Kind: c.kind, Payload: []byte(c.payload), EffectiveFrom: november(1).Truncate(24 * time.Hour), Reason: "x"}, "")
		require.Equal(t, c.code, fault.From(err).Code, c.payload)
	}
	same, err := app.AskDocument(pricing.VendorList(), "the same")
	require.NoError(t, err)
	_, err = h.approvals.Propose(t.Context(), maker, same, "")
	require.Equal(t, "prices_same", fault.From(err).Code)
	_, err = h.approvals.Propose(t.Context(), h.person(t, h.two, app.RoleAnalyst, "ana"), same, "")
	require.ErrorIs(t, err, app.ErrNotAllowed)
	after := h.contents(t)
	for table := range before {
		if strings.Contains(table, "price") {
			require.Equal(t, before[table], after[table], table)
		}
	}
}

func TestPricesAreReadByThoseWhoMay(t *testing.T) {
	t.Parallel()
	h := build(t)
	auditor := h.person(t, h.one, app.RoleAuditor, "aud")
	book, err := h.prices.Book(t.Context(), auditor, 0)
	require.NoError(t, err)
	require.Equal(t, 1, book.Version)
	require.Len(t, book.Versions, 1)
	require.Empty(t, book.Open)
	_, err = h.prices.Book(t.Context(), auditor, 7)
	require.ErrorIs(t, err, app.ErrPriceVersion)
	_, err = h.prices.Book(t.Context(), h.person(t, h.one, app.RoleDeveloper, "dev"), 0)
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.approvals.List(t.Context(), auditor, "open", 0, 10)
	require.Equal(t, "state_unknown", fault.From(err).Code)
}
