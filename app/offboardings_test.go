package app_test

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/app/retention"
	"tollbook/app/secret"
	"tollbook/db"
)

// inhabitants are who lives in a company that is let go, with what they came in with.
type inhabitants struct {
	owner, fin, cfo, ada app.Actor
	token                secret.Text
	issued               app.Issued
	waiting              app.ChangeView
}

// inhabit gives a company one of each that offboarding ends.
func (h *house) inhabit(t *testing.T, c *company) inhabitants {
	t.Helper()
	require.NoError(t, h.tenants.SetUpstream(t.Context(), c.who, "https://provider.test", secret.NewText("sk-"+c.slug), "x"))
	source := reportSource()
	source.FirstDay = h.clock.now().AddDate(0, 0, -9).Format(time.DateOnly)
	require.NoError(t, h.provider.SetSource(t.Context(), c.who, source, secret.NewText(adminKey), "x"))
	in := inhabitants{
		owner: h.atBrowser(t, c, app.RoleTenantOwner, "", "owner"), fin: h.atBrowser(t, c, app.RoleFinanceAdmin, "", "fin"),
		cfo: h.atBrowser(t, c, app.RoleController, "", "cfo"), ada: h.atBrowser(t, c, app.RoleDeveloper, "", "ada"),
	}
	var err error
	in.token, err = h.members.AddToken(t.Context(), c.who, in.ada.Member, "script", time.Hour, "x")
	require.NoError(t, err)
	_, err = h.approvals.Delegate(t.Context(), in.fin, "cfo@"+c.slug+".test", time.Time{}, h.clock.now().AddDate(0, 0, 7), "away")
	require.NoError(t, err)
	h.grant(t, c, "ada@"+c.slug+".test", "CC-1")
	in.issued = h.login(t, in.ada, "CC-1")
	issuer, err := h.signIns.AddIssuer(t.Context(), c.who, app.Issuer{Name: "Login", URL: "https://idp.test", ClientID: "x", Secret: secret.NewText("s")}, "x")
	require.NoError(t, err)
	_, err = h.members.Invite(t.Context(), c.who, app.NewInvitation{Issuer: issuer, Name: "New", Email: "new@" + c.slug + ".test", Role: app.RoleAnalyst, Life: 24 * time.Hour}, "x", "")
	require.NoError(t, err)
	_, err = h.told.AddChannel(t.Context(), in.owner, notice.Webhook, "Finance", "https://hooks.test/"+c.slug, "x")
	require.NoError(t, err)
	in.waiting = h.propose(t, in.fin, discount(1000))
	return in
}

// handedOver makes an export of everything, and returns its manifest's digest.
func (h *house) handedOver(t *testing.T, c *company) string {
	t.Helper()
	_, err := h.tenants.Export(t.Context(), c.who, "test", io.Discard)
	require.NoError(t, err)
	return h.text(t, `select encode(manifest_sha256, 'hex') from tenant_export where tenant_id = $1 order by recorded_at desc, as_of desc limit 1`, c.tenant)
}

// TestACompanyIsLetGoByTwoAndTheOtherStays goes the whole way with one company.
func TestACompanyIsLetGoByTwoAndTheOtherStays(t *testing.T) {
	t.Parallel()
	h := build(t)
	mine, theirs := h.inhabit(t, h.one), h.inhabit(t, h.two)
	for _, c := range []*company{h.one, h.two} {
		h.flush(t, c, c.event(november(2), "CC-1"), c.event(november(3), "CC-2"))
	}
	digest := h.handedOver(t, h.one)
	view, err := h.ends.Show(t.Context(), mine.owner)
	require.NoError(t, err)
	require.True(t, view.Ready())
	require.Equal(t, digest, view.Export.SHA256)
	require.Equal(t, app.Holdings{Keys: 1, Tokens: 1, Sessions: 4, Logins: 1, Delegations: 1, Rights: 1, Invitations: 1, Channels: 1, Upstreams: 1, Waiting: 1, Requests: 2, Records: view.Holdings.Records}, view.Holdings)
	theirView, err := h.ends.Show(t.Context(), theirs.cfo)
	require.NoError(t, err)
	require.Nil(t, theirView.Export)

	h.mails(t)
	change := h.propose(t, mine.owner, app.AskOffboarding("one", "", "the contract ended"))
	require.True(t, change.Open())
	for _, part := range []string{
		"one ends here for good, and there is no way back",
		"At once end 1 virtual key, 1 API token, 4 sessions, 1 command-line login, 1 delegation, 1 right, 1 invitation, 1 channel; 1 other proposal withdrawn and the provider's credential destroyed",
		"Kept are 2 requests and ", "requests with their adjustments from 2033-12-01;", "What was handed over is the export of ",
	} {
		require.Contains(t, change.Impact.Sentence, part)
	}
	require.Contains(t, string(change.Payload), `"export":"`+digest+`"`)
	_, err = h.approveChange(t, mine.owner, change)
	require.Error(t, err, "who proposes it does not decide, and an owner approves nothing")
	_, err = h.approvals.Propose(t.Context(), mine.owner, app.AskOffboarding("one", "", "again"), "")
	require.Equal(t, "offboarding_waits", codeOf(err))
	before := h.of(t, h.two)

	applied, err := h.approveChange(t, mine.cfo, change)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, applied.State)
	require.Equal(t, before, h.of(t, h.two), "nothing of the other company")
	require.Contains(t, h.mails(t), "told owner", "every owner is told")

	// Whoever and whatever came in does not any more.
	for _, who := range []string{"owner", "fin", "cfo", "ada"} {
		_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "one" + who, SignedInAt: h.clock.now()})
		require.ErrorIs(t, err, app.ErrTenantOffboarded, who)
	}
	_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "stranger", SignedInAt: h.clock.now()})
	require.ErrorIs(t, err, app.ErrNotMember, "who does not belong there is told nothing")
	_, err = h.members.ByToken(t.Context(), mine.token)
	require.Error(t, err)
	_, err = h.logins.Refresh(t.Context(), mine.issued.Refresh)
	require.Error(t, err)
	all := h.load(t, id.Tenant{})
	require.True(t, all.Tenants["one"].Suspended)
	require.Nil(t, all.Tenants["one"].Upstream)
	for _, plain := range []secret.Text{h.one.key.Secret, mine.issued.Secret} {
		_, ok := h.snapshots.Find(all.Tenants["one"], plain.Reveal())
		require.False(t, ok)
	}
	for _, plain := range []secret.Text{h.two.key.Secret, theirs.issued.Secret} {
		_, ok := h.snapshots.Find(all.Tenants["two"], plain.Reveal())
		require.True(t, ok)
	}
	_, err = h.members.ByToken(t.Context(), theirs.token)
	require.NoError(t, err)
	require.Zero(t, h.number(t, `select count(*) from session where tenant_id = $1 and revoked_at is null`, h.one.tenant))
	require.Equal(t, "1 0", h.text(t, `select count(*) || ' ' || sum(length(credential_sealed)) from provider_source where tenant_id = $1`, h.one.tenant))
	require.Positive(t, h.number(t, `select sum(length(credential_sealed)) from provider_source where tenant_id = $1`, h.two.tenant))
	require.Equal(t, "0 0 0", h.text(t, `select (select sum(length(credential_sealed)) from upstream where tenant_id = $1) || ' ' ||
		(select count(*) from upstream where tenant_id = $1 and effective_to is null) || ' ' || (select sum(length(url_sealed) + length(secret_sealed)) from notice_channel where tenant_id = $1)`, h.one.tenant))
	require.Equal(t, "rejected withdrawn the company was offboarded by change "+h.text(t, `select number from change where change_id = $1`, change.ID),
		h.text(t, `select state || ' ' || basis || ' ' || reason from change_move where tenant_id = $1 and change_id = $2 order by place desc limit 1`, h.one.tenant, mine.waiting.ID))

	// Each that ended is in the log, and so is the whole.
	ids := h.text(t, `select string_agg(convert_from(canonical, 'UTF8'), '') from audit_record where tenant_id = $1 and action = 'offboarding.ended'`, h.one.tenant)
	require.Contains(t, ids, h.one.key.ID.String())
	require.Contains(t, ids, mine.cfo.Session.String(), "even the session that decided")
	require.EqualValues(t, 8, h.records(t, h.one.tenant, "offboarding.ended"))
	require.Contains(t, h.text(t, `select convert_from(canonical, 'UTF8') from audit_record where tenant_id = $1 and action = 'tenant.offboarded'`, h.one.tenant), `"tokens":1`)

	h.staysClosed(t, change)
	h.clock.ns.Store(november(20).UnixNano())
	require.NoError(t, h.audit.Tick(t.Context(), "a newer list"))
	for kind, both := range map[string][2]int64{"purge_offboarded": {1, 0}, "propose_prices": {0, 1}, "settle_prices": {0, 1}, "prove_sums": {0, 1}, "verify_log": {0, 1}, "post_accruals": {1, 1}, "pull_reports": {0, 19}} {
		require.Equal(t, both, [2]int64{h.jobs(t, kind, h.one.tenant), h.jobs(t, kind, h.two.tenant)}, kind)
	}
}

// of prints all rows of a company.
func (h *house) of(t *testing.T, c *company) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, table := range h.tables(t) {
		if strings.HasPrefix(table, "public.") && h.number(t, `select count(*) from information_schema.columns where table_schema || '.' || table_name = $1 and column_name = 'tenant_id'`, table) == 1 {
			all[table] = h.text(t, `select count(*) || coalesce(md5(string_agg(r::text, '' order by r::text)), '') from `+table+` r where tenant_id = $1`, c.tenant)
		}
	}
	return all
}

// staysClosed tries the ways back: there is none.
func (h *house) staysClosed(t *testing.T, change app.ChangeView) {
	t.Helper()
	require.ErrorIs(t, h.tenants.Resume(t.Context(), h.one.who, "x"), app.ErrTenantOffboarded)
	require.ErrorIs(t, h.tenants.Suspend(t.Context(), h.one.who, "x"), app.ErrTenantOffboarded)
	_, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "again", CostCenter: "CC-1"}, "x")
	require.ErrorIs(t, err, app.ErrTenantOffboarded)
	_, err = h.approvals.Propose(t.Context(), h.one.who, app.AskOffboarding("one", "", "x"), "")
	require.ErrorIs(t, err, app.ErrTenantOffboarded)
	require.ErrorContains(t, h.asApp(t, h.one.tenant, `insert into tenant_state select tenant_id, change_id, 99, 'active', now(), change_id from offboarding where tenant_id = $1`), "TB015")
	require.ErrorContains(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error { return tx.Offboard(change.ID) }), "TB004")
	list, err := h.tenants.List(t.Context())
	require.NoError(t, err)
	require.False(t, list[0].OffboardedAt.IsZero())
	require.True(t, list[1].OffboardedAt.IsZero())
	h.flush(t, h.one, h.one.event(november(4), "CC-1"))
	require.EqualValues(t, 3, h.number(t, `select count(*) from usage_event where tenant_id = $1`, h.one.tenant), "what was under way is recorded")
}

// TestWhatKeepsACompanyFromBeingLetGo refuses each in turn, where it is proposed and where it
// is decided.
func TestWhatKeepsACompanyFromBeingLetGo(t *testing.T) {
	t.Parallel()
	h := build(t)
	in := h.inhabit(t, h.one)
	other := h.atBrowser(t, h.two, app.RoleTenantOwner, "", "owner")
	h.flush(t, h.one, h.one.event(november(2), "CC-1"))
	refused := func(who app.Actor, code string, ask app.Ask) {
		t.Helper()
		_, err := h.approvals.Propose(t.Context(), who, ask, "")
		require.Equal(t, code, codeOf(err))
	}
	leave := app.AskOffboarding("one", "", "x")
	refused(in.owner, "tenant_export_absent", leave)
	theirs := h.handedOver(t, h.two)
	refused(in.owner, "tenant_export_absent", app.AskOffboarding("one", theirs, "x"))
	refused(in.owner, "tenant_export_absent", app.AskOffboarding("one", "abc", "x"))
	h.handedOver(t, h.one)
	h.flush(t, h.one, h.one.event(november(3), "CC-1"))
	refused(in.owner, "tenant_export_stale", leave)
	h.handedOver(t, h.one)
	paper := &app.PaperAsk{Name: "fee.pdf", Content: []byte("%PDF-1.7")}
	h.propose(t, in.fin, app.AskInvoices(billed("FEE-1", [4]string{"fee", "support", "1.00", "CC-1"}), paper, "it came"))
	refused(in.owner, "tenant_export_stale", leave)
	digest := h.handedOver(t, h.one)
	refused(in.owner, "offboarding_slug", app.AskOffboarding("two", "", "x"))
	refused(in.owner, "offboarding_slug", app.AskOffboarding("", "", "x"))
	refused(in.owner, "payload_syntax", app.Ask{Kind: "offboarding", Payload: []byte(`{"slug":"one","now":true}`), Reason: "x"})
	refused(in.owner, "reason_missing", app.AskOffboarding("one", "", " "))
	for _, who := range []app.Actor{in.fin, in.cfo, in.ada} {
		refused(who, "not_allowed", leave)
	}
	refused(other, "offboarding_slug", leave)
	refused(h.one.who, "offboarding_active", leave)

	hold := h.propose(t, in.fin, app.AskHold("2026-11", "2026-12", "a lawsuit"))
	_, err := h.approvals.Propose(t.Context(), in.owner, leave, "")
	require.Equal(t, "offboarding_held", codeOf(err))
	require.Contains(t, fault.From(err).Message, "that of Change "+h.text(t, `select number from change where change_id = $1`, hold.ID)+" on 2026-11 to 2026-12")
	_, err = h.approveChange(t, in.cfo, h.propose(t, in.fin, app.AskHoldEnd(hold.ID, "settled")))
	require.NoError(t, err)

	// Withdrawn, it is as if nobody had asked; and what comes after the export keeps it from being decided.
	change := h.propose(t, in.owner, app.AskOffboarding("one", digest, "x"))
	_, err = h.ruleFor(t, in.owner, change, approval.VerdictReject, id.Member{})
	require.NoError(t, err)
	require.ErrorContains(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error { return tx.Offboard(change.ID) }), "TB004")
	change = h.propose(t, in.owner, app.AskOffboarding("one", digest, "x"))
	hold = h.propose(t, in.fin, app.AskHold("", "", "another"))
	_, err = h.approveChange(t, in.cfo, change)
	require.Equal(t, "offboarding_held", codeOf(err))
	_, err = h.approveChange(t, in.cfo, h.propose(t, in.fin, app.AskHoldEnd(hold.ID, "settled")))
	require.NoError(t, err)
	h.flush(t, h.one, h.one.event(november(4), "CC-1"))
	_, err = h.approveChange(t, in.cfo, change)
	require.Equal(t, "tenant_export_stale", codeOf(err))
	require.Zero(t, h.number(t, `select count(*) from offboarding`))
	require.Zero(t, h.records(t, h.one.tenant, "tenant.offboarded"))
	_, err = h.members.ByToken(t.Context(), in.token)
	require.NoError(t, err)

	// The owner's function believes none of it either.
	h.superuser(t, `insert into change_move (tenant_id, change_id, place, state, actor, digest, moved_at) select tenant_id, change_id, 1, 'approved', 'x', digest, now() from change where change_id = $1`, change.ID)
	try := func(tenant id.Tenant, change id.Change) error {
		return h.clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error { return tx.Offboard(change) })
	}
	require.ErrorContains(t, try(h.one.tenant, change.ID), "TB016", "the export is stale")
	require.ErrorContains(t, try(h.two.tenant, change.ID), "TB004", "of another company")
	h.propose(t, in.fin, app.AskHold("", "", "a third"))
	require.ErrorContains(t, try(h.one.tenant, change.ID), "TB011", "held")
	for _, statement := range []string{
		`insert into offboarding select tenant_id, change_id, digest, now() from change where tenant_id = $1`, `delete from tenant_export where tenant_id = $1`,
		`update upstream set credential_sealed = '' where tenant_id = $1`, `select purge_company($1, $1)`,
	} {
		require.ErrorContains(t, h.asApp(t, h.one.tenant, statement), "42501", statement)
	}
}

// TestASuspendedCompanyIsProposedByTheOperator and decided by one of its own.
func TestASuspendedCompanyIsProposedByTheOperator(t *testing.T) {
	t.Parallel()
	h := build(t)
	in := h.inhabit(t, h.one)
	h.handedOver(t, h.one)
	require.NoError(t, h.tenants.Suspend(t.Context(), h.one.who, "the contract ended"))
	change := h.propose(t, h.one.who, app.AskOffboarding("one", "", "the contract ended"))
	require.True(t, change.Open(), "nobody alone, not even the operator")
	_, err := h.approveChange(t, h.one.who, change)
	require.ErrorIs(t, err, app.ErrNoPerson)
	_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "onecfo", SignedInAt: h.clock.now()})
	require.ErrorIs(t, err, app.ErrTenantSuspended)
	require.NoError(t, h.tenants.Resume(t.Context(), h.one.who, "so that they decide"))
	_, err = h.approveChange(t, in.cfo, change)
	require.NoError(t, err)
	require.EqualValues(t, 1, h.number(t, `select count(*) from offboarding where tenant_id = $1`, h.one.tenant))
}

// TestWhatIsKeptOfAFormerCompanyGoesWhenItsTermsAreOver lets eight years pass over two
// companies, of which one was let go.
func TestWhatIsKeptOfAFormerCompanyGoesWhenItsTermsAreOver(t *testing.T) {
	t.Parallel()
	h := empty(t)
	h.exec(t, `do $$ begin execute replace(pg_get_functiondef('ensure_usage_month(date)'::regprocedure), '2024-01-01', '2010-01-01'); end $$`)
	h.clock.ns.Store(longAgo(10).UnixNano())
	lived := map[*company]inhabitants{}
	for _, slug := range []string{"one", "two"} {
		tenant, err := h.tenants.Create(t.Context(), slug, "Company "+slug, longAgo(1))
		require.NoError(t, err)
		c := &company{slug: slug, tenant: tenant, who: app.Command(tenant)}
		require.NoError(t, h.nodes.Create(t.Context(), c.who, []app.NewNode{
			{Code: "CC-1", Name: "Center 1", Kind: "cost_center", Capitalization: "expense"}, {Code: "CC-2", Name: "Center 2", Kind: "cost_center", Capitalization: "expense"},
		}, longAgo(1), "fixture"))
		c.key, err = h.keys.Create(t.Context(), c.who, app.NewKey{Label: "laptop", CostCenter: "CC-1"}, "fixture")
		require.NoError(t, err)
		c.places = h.placements(t, tenant)
		lived[c] = h.inhabit(t, c)
		h.flush(t, c, c.event(longAgo(2), "CC-1", h.declared(t, c, "laptop-7")), c.event(longAgo(3), "CC-2"))
		_, err = h.books.Accrue(t.Context(), tenant)
		require.NoError(t, err)
		if h.one == nil {
			h.one = c
		} else {
			h.two = c
		}
	}
	in := lived[h.one]
	fee := h.enter(t, in.fin, billed("FEE-1", [4]string{"fee", "support", "1.00", "CC-1"}))
	h.allocated(t, in.fin, in.cfo, fee.ID)
	h.handedOver(t, h.one)
	_, err := h.approveChange(t, in.cfo, h.propose(t, in.owner, app.AskOffboarding("one", "", "the contract ended")))
	require.NoError(t, err)
	h.mails(t)
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	h.superuser(t, `update offboarding set offboarded_at = '2018-11-11'`) // the clock of the database cannot be turned
	cleared := func(c *company) int {
		t.Helper()
		n, err := h.keeps.ClearOffboarded(t.Context(), c.tenant)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, cleared(h.one), "every term runs")
	h.clock.add(now2026().Sub(longAgo(10)))
	h.place(t, h.one)
	theirs := h.of(t, h.two)
	require.Zero(t, cleared(h.two), "it was not let go")

	// Killed after any purge, the next job goes on where it was; a hold stops all of them.
	view, err := h.keeps.Show(t.Context(), h.one.who)
	require.NoError(t, err)
	require.Len(t, view.Classes[0].Expired, 1, "its books were never closed, and its term ran from when it was let go")
	hold := h.propose(t, h.one.who, app.AskHold("", "", "a lawsuit"))
	require.Equal(t, approval.StateApplied, hold.State)
	require.Zero(t, cleared(h.one))
	h.superuser(t, `insert into legal_hold_end select tenant_id, change_id, change_id as by_change, now() from legal_hold`)
	h.take(t, "notify_change") // of the hold
	require.Equal(t, 5, cleared(h.one), "requests, notices, sign-ins, records, and then all that remained")
	require.Zero(t, cleared(h.one), "once")
	require.Equal(t, theirs, h.of(t, h.two), "nothing of the other company")

	var left []string
	for table, rows := range h.of(t, h.one) {
		if !strings.HasPrefix(rows, "0") {
			left = append(left, strings.TrimPrefix(table, "public."))
		}
	}
	for _, table := range []string{"person", "member", "session", "virtual_key", "node_version", "usage_event", "usage_batch", "rollup_placement_day", "journal_entry", "invoice", "allocation_share", "upstream", "issuer", "developer", "change_terms", "pseudonym_key"} {
		require.NotContains(t, left, table)
	}
	for _, table := range []string{"tenant", "offboarding", "tenant_export", "tombstone", "tombstone_batch", "audit_leaf", "audit_checkpoint", "audit_record"} {
		require.Contains(t, left, table)
	}
	require.Zero(t, h.number(t, `select count(*) from keys.person_key where tenant_id = $1 and shard is not null`, h.one.tenant))
	require.Positive(t, h.number(t, `select count(*) from keys.person_key where tenant_id = $1 and shard is not null`, h.two.tenant))
	require.Equal(t, "offboarding purge", h.text(t, `select string_agg(distinct kind, ' ' order by kind) from change where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "audit company notices sessions usage", h.text(t, `select string_agg(class, ' ' order by class) from tombstone where tenant_id = $1`, h.one.tenant))
	require.EqualValues(t, 5, h.records(t, h.one.tenant, "retention.purged"))
	require.Empty(t, h.mails(t), "nobody is told years later")

	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	for _, from := range []time.Time{time.Date(2018, 11, 1, 0, 0, 0, 0, time.UTC), now2026()} {
		var out bytes.Buffer
		require.NoError(t, h.log.Export(t.Context(), h.one.who, app.LogExport{From: from, To: from.AddDate(0, 1, 0), Usage: true, Version: "test"}, &out))
		bundle, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
		require.NoError(t, err)
		checked, err := auditlog.Check(bundle, nil)
		require.NoError(t, err, "offline, too")
		require.Equal(t, from.Year() == 2018, len(checked.Purges) > 0, "those that touch the month")
	}
}

// TestTheWholePurgeWaitsForEverything calls the owner's function as the role that runs, with a
// change that was decided, while something is kept for its term.
func TestTheWholePurgeWaitsForEverything(t *testing.T) {
	t.Parallel()
	h := build(t)
	in := h.inhabit(t, h.one)
	_, err := h.approvals.Propose(t.Context(), in.fin, app.AskPurge("company", nil, "x"), "")
	require.Equal(t, "retention_class", codeOf(err), "nobody proposes it")
	purge := func() error {
		change := id.NewChange(h.clock.now())
		h.superuser(t, `with c as (insert into change (tenant_id, change_id, number, kind, payload, digest, reason, effective_from, maker, proposed_at)
			select $1, $2, 10000 + (extract(epoch from clock_timestamp()) * 1000)::bigint % 100000, 'purge', convert_to('{"class":"company","months":["2026-11-01"]}', 'UTF8'), digest, 'x', now(), 'x', now() from change where tenant_id = $1 limit 1 returning *)
			insert into change_move (tenant_id, change_id, place, state, actor, digest, moved_at) select tenant_id, change_id, 1, 'approved', 'x', digest, now() from c`, h.one.tenant, change)
		return h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error { return tx.Purge(change) })
	}
	require.ErrorContains(t, purge(), "TB004", "it was not let go")
	h.handedOver(t, h.one)
	_, err = h.approveChange(t, in.cfo, h.propose(t, in.owner, app.AskOffboarding("one", "", "x")))
	require.NoError(t, err)
	require.ErrorContains(t, purge(), "TB011", "sign-ins and records are kept")
	h.superuser(t, `delete from session where tenant_id = $1`, h.one.tenant)
	h.superuser(t, `delete from notice_delivery where tenant_id = $1`, h.one.tenant)
	h.place(t, h.one)
	require.ErrorContains(t, purge(), "TB011", "records are kept")
	require.Positive(t, h.number(t, `select count(*) from member where tenant_id = $1`, h.one.tenant))
	require.Positive(t, h.class(t, h.one.who, retention.Audit).Months)
	raw, err := hex.DecodeString(h.text(t, `select encode(manifest_sha256, 'hex') from offboarding`))
	require.NoError(t, err)
	require.Len(t, raw, 32)
}

// TestWhatIsChangedAtTheSameInstantIsEndedToo: a credential that is being stored while the
// company is let go is not left behind.
func TestWhatIsChangedAtTheSameInstantIsEndedToo(t *testing.T) {
	t.Parallel()
	h := build(t)
	in := h.inhabit(t, h.one)
	h.handedOver(t, h.one)
	change := h.propose(t, in.owner, app.AskOffboarding("one", "", "the contract ended"))
	held, err := h.admin.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = held.Rollback() }()
	_, err = held.ExecContext(t.Context(), `select from tenant_counter where tenant_id = $1 and counter = 'change' for update`, h.one.tenant)
	require.NoError(t, err)
	stored := make(chan error, 1)
	go func() {
		stored <- h.tenants.SetUpstream(t.Context(), h.one.who, "https://provider.test", secret.NewText("sk-late"), "x")
	}()
	require.Eventually(t, func() bool {
		return h.number(t, `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%tenant_counter%'`) == 1
	}, time.Minute, time.Millisecond)
	_, err = h.approveChange(t, in.cfo, change)
	require.Equal(t, "offboarding_busy", codeOf(err))
	require.NoError(t, held.Rollback())
	require.NoError(t, <-stored)
	_, err = h.approveChange(t, in.cfo, change)
	require.NoError(t, err)
	require.Zero(t, h.number(t, `select sum(length(credential_sealed)) from upstream where tenant_id = $1`, h.one.tenant))
}
