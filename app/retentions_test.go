package app_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/app/usage"
	"tollbook/db"
)

// longAgo is a day in a month that seven years have passed since.
func longAgo(day int) time.Time { return time.Date(2018, 11, day, 9, 30, 0, 0, time.UTC) }

// old makes both companies have a November 2018 of three requests and one adjustment, its
// books closed in January 2019, beside what they have now.
func old(t *testing.T) (h *house, fin, cfo app.Actor) {
	t.Helper()
	h = build(t)
	// The product has no usage of before 2024; the clock of the database cannot be turned.
	h.exec(t, `do $$ begin execute replace(pg_get_functiondef('ensure_usage_month(date)'::regprocedure), '2024-01-01', '2010-01-01'); end $$`)
	h.superuser(t, `update node_version set effective_from = '2018-01-01'`)
	fin, cfo = h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	for _, c := range []*company{h.one, h.two} {
		first := c.event(longAgo(2), "CC-1", h.declared(t, c, "laptop-7"))
		h.flush(t, c, first, c.event(longAgo(3), "CC-2"))
		h.flush(t, c, c.event(longAgo(20), "P-1", func(e *usage.Event) {
			e.Shares = []usage.Share{{Placement: c.places["P-1"], PPM: 333_333}, {Placement: c.places["CC-2"], PPM: 666_667}}
		}))
		h.flush(t, c, c.event(november(2), "CC-1"))
	}
	return h, fin, cfo
}

// close ends the books of November 2018, as closing will.
func (h *house) close(t *testing.T, c *company) {
	t.Helper()
	h.lock(t, c, months("2018-11"))
	h.exec(t, `update period set changed_at = '2019-01-09' where tenant_id = $1 and month = '2018-11-01'`, c.tenant)
}

// usageOf prints all that purging the usage of a company may take.
func (h *house) usageOf(t *testing.T, c *company) string {
	t.Helper()
	var text strings.Builder
	for _, table := range []string{"usage_event", "usage_batch", "adjustment", "adjustment_batch", "adjustment_line", "tombstone", "tombstone_batch"} {
		text.WriteString(table + " " + h.text(t, `select count(*) || coalesce(md5(string_agg(r::text, '' order by r::text)), '') from `+table+` r where tenant_id = $1`, c.tenant) + "\n")
	}
	return text.String()
}

func (h *house) class(t *testing.T, who app.Actor, class retention.Class) app.RetainedClass {
	t.Helper()
	view, err := h.keeps.Show(t.Context(), who)
	require.NoError(t, err)
	for _, c := range view.Classes {
		if c.Class == class {
			return c
		}
	}
	return app.RetainedClass{}
}

// TestAnExpiredMonthIsPurgedAndItsTombstoneStands goes the whole way with one company and
// leaves the other as it was.
func TestAnExpiredMonthIsPurgedAndItsTombstoneStands(t *testing.T) {
	t.Parallel()
	h, fin, cfo := old(t)
	event := h.one.event(longAgo(7), "CC-1")
	h.flush(t, h.one, event)
	_, err := h.approveChange(t, cfo, h.propose(t, fin, retagTo([]id.Event{event.ID}, "CC-2")))
	require.NoError(t, err)
	h.place(t, h.one)
	h.place(t, h.two)
	rollup := h.text(t, `select sum(charge_pico)::text || ' ' || sum(requests)::text from rollup_placement_day where tenant_id = $1 and posting_period = '2018-11-01'`, h.one.tenant)
	theirs := h.usageOf(t, h.two)

	require.Equal(t, 1, h.class(t, fin, retention.Usage).Waiting-1, "two months, both open")
	_, err = h.approvals.Propose(t.Context(), fin, app.AskPurge("usage", nil, "old"), "")
	require.Equal(t, "purge_nothing", codeOf(err), "their books are open")
	h.close(t, h.one)
	h.close(t, h.two)
	require.Equal(t, []period.Month{months("2018-11")}, h.class(t, fin, retention.Usage).Expired)
	_, err = h.approvals.Propose(t.Context(), fin, app.AskPurge("usage", []string{"2026-11"}, "young"), "")
	require.Equal(t, "purge_kept", codeOf(err))
	_, err = h.approvals.Propose(t.Context(), h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), app.AskPurge("usage", nil, "old"), "")
	require.Error(t, err)

	change := h.propose(t, fin, app.AskPurge("usage", nil, "kept long enough"))
	require.True(t, change.Open())
	require.Contains(t, change.Impact.Sentence, "2018-11 are deleted for good. These are 4 requests of $0.06;")
	_, err = h.approveChange(t, fin, change)
	require.Error(t, err, "two persons")
	twice := h.propose(t, fin, app.AskPurge("usage", nil, "again"))
	applied, err := h.approveChange(t, cfo, change)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, applied.State)
	_, err = h.approveChange(t, cfo, twice)
	require.Equal(t, "purge_kept", codeOf(err), "the other one came first")

	require.Equal(t, theirs, h.usageOf(t, h.two), "nothing of the other company")
	require.EqualValues(t, 1, h.number(t, `select count(*) from usage_event where tenant_id = $1`, h.one.tenant), "what is young stays")
	require.Zero(t, h.number(t, `select (select count(*) from adjustment where tenant_id = $1) + (select count(*) from adjustment_batch where tenant_id = $1) + (select count(*) from adjustment_line where tenant_id = $1)`, h.one.tenant))
	require.Equal(t, rollup, h.text(t, `select sum(charge_pico)::text || ' ' || sum(requests)::text from rollup_placement_day where tenant_id = $1 and posting_period = '2018-11-01'`, h.one.tenant))
	view, err := h.keeps.Show(t.Context(), fin)
	require.NoError(t, err)
	require.Len(t, view.Tombstones, 1)
	stone := view.Tombstones[0]
	require.Equal(t, []any{retention.Usage, "2018-11", change.ID, int64(4)}, []any{stone.Class, stone.Month.String(), stone.Change, stone.Requests})
	require.Equal(t, rollup, stone.Charge.Digits()+" 4")
	require.EqualValues(t, 4, h.number(t, `select count(*) from tombstone_batch where tenant_id = $1`, h.one.tenant), "three flushes, one re-tag")
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "retention.purged"))

	h.proved(t, h.one)
	require.Contains(t, h.text(t, `select convert_from(canonical, 'UTF8') from audit_record where tenant_id = $1 and action = 'sums.proved' order by recorded_at desc limit 1`, h.one.tenant), `"2018-11":{"agree":true`)
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)

	for _, usage := range []bool{false, true} {
		checked := h.exportedMonth(t, h.one, now2026(), usage)
		require.Len(t, checked.Purges, 1)
		require.Equal(t, []any{4, "2018-11", change.Number}, []any{checked.Purges[0].Batches, checked.Purges[0].Month, checked.Purges[0].Number})
	}

	// Whoever takes more, or forges what stands there, is named.
	for name, c := range map[string]struct{ statement, undo, why string }{
		"a tombstone that says less": {`update tombstone set row_count = row_count - 1 where tenant_id = $1`, `update tombstone set row_count = row_count + 1 where tenant_id = $1`, "the tombstone it names says something else"},
		"no tombstone":               {`update tombstone set change_id = tenant_id where tenant_id = $1`, `update tombstone set change_id = (select subject_id from (select c.change_id as subject_id from change c where c.tenant_id = $1 and c.kind = 'purge' order by c.number limit 1) x) where tenant_id = $1`, "the tombstone it names is missing"},
	} {
		h.superuser(t, c.statement, h.one.tenant)
		check, err = h.log.Verify(t.Context(), h.one.tenant)
		require.NoError(t, err)
		require.Contains(t, check.Why, c.why, name)
		h.superuser(t, c.undo, h.one.tenant)
	}
	h.place(t, h.one)
	check, err = h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	sum := h.chargeback(t, fin, months("2018-11"), "node")
	require.Equal(t, "0.056000000000", sum.Total.String())
	h.superuser(t, `with b as (delete from usage_batch where tenant_id = $1 and posting_period = '2026-11-01' returning *)
		insert into tombstone_batch select b.tenant_id, b.batch_id, 'usage', b.posting_period, b.root, b.requests, b.amount_pico, b.record_id, 1 from b`, h.one.tenant)
	check, err = h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Contains(t, check.Why, "no purge of usage of 2026-11 took it", "a forged tombstone")
}

func now2026() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// exportedMonth exports a month of a company's log and checks that with its file alone.
func (h *house) exportedMonth(t *testing.T, c *company, from time.Time, usage bool) auditlog.Checked {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, h.log.Export(t.Context(), c.who, app.LogExport{From: from, To: from.AddDate(0, 1, 0), Usage: usage, Version: "test"}, &out))
	bundle, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	checked, err := auditlog.Check(bundle, nil)
	require.NoError(t, err)
	// An export in which something of a purge was left out, or changed, is refused or told of no purge.
	for _, file := range bundle.File {
		if !strings.HasPrefix(file.Name, auditlog.DirectoryPurged+"/") {
			continue
		}
		bent := fstest.MapFS{}
		for _, other := range bundle.File {
			text, err := fs.ReadFile(bundle, other.Name)
			require.NoError(t, err)
			if other.Name == file.Name {
				whole := text
				for letter := byte('A'); letter < 'Z' && bytes.Equal(text, whole); letter++ { // hashes need not have every letter
					text = bytes.Replace(whole, []byte{letter}, []byte{letter + 1}, 1)
				}
				text = bytes.Replace(text, []byte(`"rows"`), []byte(`"rowz"`), 1)
			}
			bent[other.Name] = &fstest.MapFile{Data: text}
		}
		_, err = auditlog.Check(bent, nil)
		require.Error(t, err, file.Name)
		delete(bent, file.Name)
		_, err = auditlog.Check(bent, nil)
		require.Equal(t, usage || checked.Purges[0].Records > 0 || !strings.HasSuffix(file.Name, auditlog.SuffixRecord), err != nil, file.Name)
	}
	return checked
}

// TestTheBytesOfOldRecordsGoAndTheirProofsStay lets eight years pass over a company.
func TestTheBytesOfOldRecordsGoAndTheirProofsStay(t *testing.T) {
	t.Parallel()
	h := empty(t)
	h.clock.ns.Store(longAgo(10).UnixNano())
	for _, slug := range []string{"one", "two"} {
		tenant, err := h.tenants.Create(t.Context(), slug, "Company "+slug, longAgo(1))
		require.NoError(t, err)
		c := &company{slug: slug, tenant: tenant, who: app.Command(tenant)}
		h.atBrowser(t, c, app.RoleDeveloper, "", "ada")
		h.note(t, c, 20)
		h.place(t, c)
		require.NoError(t, h.log.Sign(t.Context(), tenant))
		if h.one == nil {
			h.one = c
		} else {
			h.two = c
		}
	}
	h.clock.add(now2026().Sub(longAgo(1)))
	h.note(t, h.one, 3)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.close(t, h.one)
	kept := h.number(t, `select count(*) from audit_record where tenant_id = $1 and canonical <> '' and recorded_at > '2020-01-01'`, h.one.tenant)
	theirs := h.text(t, `select md5(string_agg(r::text, '' order by r::text)) from audit_record r where tenant_id = $1`, h.two.tenant)
	for _, class := range []retention.Class{retention.Audit, retention.Sessions} {
		require.Equal(t, []period.Month{months("2018-11")}, h.class(t, fin, class).Expired, class)
		_, err := h.approveChange(t, cfo, h.propose(t, fin, app.AskPurge(string(class), nil, "kept long enough")))
		require.NoError(t, err)
	}
	h.place(t, h.one)
	require.NoError(t, h.log.Sign(t.Context(), h.one.tenant))
	require.GreaterOrEqual(t, h.number(t, `select count(*) from audit_record where tenant_id = $1 and canonical = ''`, h.one.tenant), int64(20))
	require.Greater(t, h.number(t, `select count(*) from audit_record where tenant_id = $1 and canonical <> '' and recorded_at > '2020-01-01'`, h.one.tenant), kept)
	require.Positive(t, h.number(t, `select count(*) from audit_record where tenant_id = $1 and canonical <> '' and recorded_at < '2020-01-01' and action = 'log.key_used'`, h.one.tenant), "what others rest on")
	require.Equal(t, theirs, h.text(t, `select md5(string_agg(r::text, '' order by r::text)) from audit_record r where tenant_id = $1`, h.two.tenant))
	require.Zero(t, h.number(t, `select count(*) from session where tenant_id = $1 and recorded_at < '2020-01-01'`, h.one.tenant))
	require.EqualValues(t, 1, h.number(t, `select count(*) from session where tenant_id = $1 and recorded_at < '2020-01-01'`, h.two.tenant))

	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	checked := h.exportedMonth(t, h.one, longAgo(1), true)
	require.Len(t, checked.Purges, 1)
	require.GreaterOrEqual(t, checked.Purges[0].Records, 20)
	view, err := h.log.Read(t.Context(), h.one.who, app.LogQuery{Action: "test.noted", Limit: 50})
	require.NoError(t, err)
	require.Len(t, view.Entries, 23, "who did what when stays")
	require.Empty(t, view.Entries[22].Canonical)
	proof, err := h.log.Record(t.Context(), h.one.who, view.Entries[22].Record)
	require.NoError(t, err)
	require.NotEmpty(t, proof.Proof)

	h.superuser(t, `update audit_record set canonical = '' where tenant_id = $1 and record_id = $2`, h.one.tenant, view.Entries[0].Record)
	check, err = h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Equal(t, view.Entries[0].Sequence, check.Sequence)
	require.Equal(t, "its bytes are missing", check.Why)
}

// TestTermsAreDecidedByTwoAndHoldFromTheirDay sets terms, and compares what the noun says of
// a month with what the database says, which purge believes.
func TestTermsAreDecidedByTwoAndHoldFromTheirDay(t *testing.T) {
	t.Parallel()
	h, fin, cfo := old(t)
	for _, bad := range []app.RetentionYears{{Usage: 6}, {Audit: 6}, {Notices: -1}, {Sessions: 101}, {}, {Usage: 7}} {
		_, err := h.approvals.Propose(t.Context(), fin, app.AskRetention(bad, time.Time{}, "x"), "")
		require.Error(t, err, bad)
	}
	change := h.propose(t, fin, app.AskRetention(app.RetentionYears{Usage: 8, Sessions: 1}, time.Time{}, "our auditor asks"))
	require.Contains(t, change.Impact.Sentence, "requests with their adjustments 8 years instead of 7 (months expired then: 0 instead of 0); sign-ins at the pages 1 year instead of 7")
	_, err := h.approveChange(t, fin, change)
	require.Error(t, err, "two persons")
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	later := h.propose(t, fin, app.AskRetention(app.RetentionYears{Usage: 12}, november(20), "from later on"))
	_, err = h.approveChange(t, cfo, later)
	require.NoError(t, err)
	class := h.class(t, fin, retention.Usage)
	require.Equal(t, []any{8, change.ID, change.Number}, []any{class.Years, class.Set, class.Number})
	require.Equal(t, []app.NextTerm{{Years: 12, EffectiveFrom: november(20), Set: later.ID, Number: later.Number}}, class.Next)
	require.Equal(t, 7, h.class(t, h.person(t, h.two, app.RoleFinanceAdmin, "fin"), retention.Usage).Years, "not theirs")
	h.close(t, h.one)

	for _, hold := range [][2]string{{"2018-10", "2018-11"}, {"2019-03", "2019-03"}} {
		h.propose(t, fin, app.AskHold(hold[0], hold[1], "asked for"))
	}
	for _, bad := range [][2]string{{"2018-10", ""}, {"", "2018-10"}, {"x", "2018-10"}, {"2018-10", "2018-09"}} {
		_, err := h.approvals.Propose(t.Context(), fin, app.AskHold(bad[0], bad[1], "x"), "")
		require.Error(t, err, bad)
	}
	for m := months("2018-09"); m != months("2019-05"); m = m.Next() {
		for _, class := range retention.Classes() {
			term, held := retention.Term{Class: class, Years: 7}, 0
			switch class {
			case retention.Usage:
				term.Years = 8
			case retention.Sessions:
				term.Years = 1
			case retention.Audit, retention.Notices:
			}
			for _, hold := range []retention.Hold{{First: months("2018-10"), Last: months("2018-11")}, {First: months("2019-03"), Last: months("2019-03")}} {
				if hold.Covers(m) {
					held++
				}
			}
			kept := retention.Kept{Month: m}
			if m == months("2018-11") {
				kept.ClosedAt = time.Date(2019, 1, 9, 0, 0, 0, 0, time.UTC)
			}
			ends, found := retention.Ends(term, kept)
			require.NoError(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
				said, holds, err := tx.RetentionEnds(class, m)
				require.NoError(t, err)
				require.EqualValues(t, held, holds)
				require.Equal(t, found, said != nil, "%s %s", class, m)
				require.True(t, !found || said.Equal(ends), "%s %s: %v, %v", class, m, ends, said)
				return nil
			}))
		}
	}
}

// TestNobodyPurgesPastAChange calls the owner's function as the role that runs.
func TestNobodyPurgesPastAChange(t *testing.T) {
	t.Parallel()
	h, fin, cfo := old(t)
	h.place(t, h.one)
	h.close(t, h.one)
	purge := h.propose(t, fin, app.AskPurge("usage", nil, "kept long enough"))
	other := h.propose(t, fin, discount(1000))
	_, err := h.approveChange(t, cfo, other)
	require.NoError(t, err)
	try := func(tenant id.Tenant, change id.Change) error {
		return h.clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error { return tx.Purge(change) })
	}
	before := h.usageOf(t, h.one)
	require.ErrorContains(t, try(h.one.tenant, purge.ID), "TB004", "nobody has decided")
	require.ErrorContains(t, try(h.one.tenant, other.ID), "TB004", "of another kind")
	require.ErrorContains(t, try(h.one.tenant, id.NewChange(time.Now())), "TB004", "of none")
	require.ErrorContains(t, try(h.two.tenant, purge.ID), "TB004", "of another company")

	// A hold stops it where it is asked for, where it is decided, and in the function itself.
	hold := h.propose(t, fin, app.AskHold("2018-10", "2018-12", "a lawsuit"))
	require.Equal(t, approval.StateApplied, hold.State, "nobody has to decide about keeping")
	require.Equal(t, []period.Month{months("2018-11")}, h.class(t, fin, retention.Usage).Held)
	_, err = h.approvals.Propose(t.Context(), fin, app.AskPurge("usage", nil, "old"), "")
	require.Equal(t, "purge_nothing", codeOf(err))
	_, err = h.approveChange(t, cfo, purge)
	require.Equal(t, "purge_kept", codeOf(err))
	decided := func(change id.Change) {
		h.superuser(t, `insert into change_move (tenant_id, change_id, place, state, actor, digest, moved_at) select tenant_id, change_id, 1, 'approved', 'x', digest, now() from change where change_id = $1`, change)
	}
	decided(purge.ID)
	require.ErrorContains(t, try(h.one.tenant, purge.ID), "TB011", "held")
	for _, statement := range []string{
		`delete from usage_event where tenant_id = $1`, `delete from tombstone where tenant_id = $1`, `select purge_usage($1, $1, '2018-11-01')`, `select purge_rest($1, $1, 'sessions', '2018-11-01')`,
		`insert into tombstone select tenant_id, 'usage', '2018-11-01', change_id, 0, 0, 0, 0, 1, digest, now() from change where tenant_id = $1`,
		`delete from legal_hold where tenant_id = $1`,
	} {
		require.ErrorContains(t, h.asApp(t, h.one.tenant, statement), "42501", statement)
	}
	require.ErrorContains(t, h.asApp(t, h.one.tenant, `insert into legal_hold_end select tenant_id, change_id, change_id as by, now() from legal_hold where tenant_id = $1`), "TB004")
	require.ErrorContains(t, h.asApp(t, h.one.tenant, `insert into retention_term select tenant_id, 'sessions', change_id, 1, now(), now() from legal_hold where tenant_id = $1`), "TB004")
	_, err = h.admin.Exec(`delete from usage_event`)
	require.ErrorContains(t, err, "append-only", "not even a superuser by mistake")
	require.Equal(t, before, h.usageOf(t, h.one))

	end := h.propose(t, fin, app.AskHoldEnd(hold.ID, "settled"))
	require.True(t, end.Open())
	_, err = h.approveChange(t, cfo, end)
	require.NoError(t, err)
	_, err = h.approvals.Propose(t.Context(), fin, app.AskHoldEnd(hold.ID, "again"), "")
	require.Equal(t, "hold_ended", codeOf(err))
	_, err = h.approvals.Propose(t.Context(), h.person(t, h.two, app.RoleFinanceAdmin, "fin"), app.AskHoldEnd(hold.ID, "not mine"), "")
	require.Equal(t, "hold_absent", codeOf(err))

	// A longer term, and books that are open again, stop it as well.
	h.superuser(t, `insert into retention_term (tenant_id, class, change_id, years, effective_from, recorded_at) values ($1, 'usage', $2, 30, now() - interval '1 day', now())`, h.one.tenant, end.ID)
	require.ErrorContains(t, try(h.one.tenant, purge.ID), "TB011", "thirty years")
	h.superuser(t, `delete from retention_term`)
	h.superuser(t, `update period set state = 'open' where month = '2018-11-01'`)
	require.ErrorContains(t, try(h.one.tenant, purge.ID), "TB011", "open")
	h.close(t, h.one)
	// What somebody took before is not buried with the rest.
	h.superuser(t, `with gone as (delete from usage_event where tenant_id = $1 and occurred_at = $2 returning *) select count(*) from gone`, h.one.tenant, longAgo(3))
	require.ErrorContains(t, try(h.one.tenant, purge.ID), "TB012", "a request is missing")
}

// TestNoticesOfLongAgoArePurged delivers mail in 2018, and lets eight years pass.
func TestNoticesOfLongAgoArePurged(t *testing.T) {
	t.Parallel()
	h := empty(t)
	h.clock.ns.Store(longAgo(10).UnixNano())
	for _, slug := range []string{"one", "two"} {
		tenant, err := h.tenants.Create(t.Context(), slug, "Company "+slug, longAgo(1))
		require.NoError(t, err)
		c := &company{slug: slug, tenant: tenant, who: app.Command(tenant)}
		fin := h.atBrowser(t, c, app.RoleFinanceAdmin, "", "fin")
		h.atBrowser(t, c, app.RoleController, "", "cfo")
		h.propose(t, fin, discount(1000))
		if h.one == nil {
			h.one = c
		} else {
			h.two = c
		}
	}
	require.NotEmpty(t, h.mails(t))
	h.clock.add(now2026().Sub(longAgo(10)))
	fin, cfo := h.session(t, h.one, "onefin"), h.session(t, h.one, "onecfo")
	require.Equal(t, []period.Month{months("2018-11")}, h.class(t, fin, retention.Notices).Expired)
	deliveries := h.number(t, `select count(*) from notice_delivery where tenant_id = $1`, h.one.tenant)
	rows := deliveries + h.number(t, `select count(*) from notice_step where tenant_id = $1`, h.one.tenant)
	require.Greater(t, rows, deliveries, "and what was done to deliver them")
	digest := h.text(t, `select encode(sha256(string_agg(content_sha256, ''::bytea order by delivery_id)), 'hex') from notice_delivery where tenant_id = $1`, h.one.tenant)
	theirs := h.of(t, h.two)

	change := h.propose(t, fin, app.AskPurge("notices", nil, "kept long enough"))
	require.Contains(t, change.Impact.Sentence, "All notices and their deliveries of 2018-11 are deleted for good. How many there were stays.")
	_, err := h.approveChange(t, cfo, change)
	require.NoError(t, err)
	require.Equal(t, theirs, h.of(t, h.two), "nothing of the other company")
	require.Zero(t, h.number(t, `select (select count(*) from notice_delivery where tenant_id = $1) + (select count(*) from notice_step where tenant_id = $1)`, h.one.tenant))
	view, err := h.keeps.Show(t.Context(), fin)
	require.NoError(t, err)
	require.Len(t, view.Tombstones, 1)
	stone := view.Tombstones[0]
	require.Equal(t, []any{retention.Notices, "2018-11", change.ID, rows, digest}, []any{stone.Class, stone.Month.String(), stone.Change, stone.Rows, stone.Digest})
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "retention.purged"))
}
