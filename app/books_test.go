package app_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// costs makes an event of so many tokens into a model of $4 a million.
func costs(tokens int64) func(*usage.Event) {
	return func(e *usage.Event) { e.Counts.Tokens = usage.Tokens{tokens} }
}

// accrue posts what is due and says how many entries that made.
func (h *house) accrue(t *testing.T, c *company) int {
	t.Helper()
	n, err := h.books.Accrue(t.Context(), c.tenant)
	require.NoError(t, err)
	return n
}

// journal says each entry's lines, in order.
func (h *house) journal(t *testing.T, c *company) []string {
	t.Helper()
	rows, err := h.admin.Query(`select e.number || ' ' || e.kind || ' ' || to_char(e.entry_date, 'YYYY-MM-DD') || ' ' || to_char(e.source_day, 'MM-DD') || ': '
		|| (select string_agg(l.entity || ' ' || l.account || rtrim(' ' || l.node_code || l.counterparty) || ' ' || l.cents, ', ' order by l.place) from journal_line l where l.tenant_id = e.tenant_id and l.entry_id = e.entry_id)
		from journal_entry e where e.tenant_id = $1 order by e.number`, c.tenant)
	require.NoError(t, err)
	defer rows.Close()
	var said []string
	for rows.Next() {
		var one string
		require.NoError(t, rows.Scan(&one))
		said = append(said, one)
	}
	require.NoError(t, rows.Err())
	return said
}

func TestADaysChargesAreAccruedOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(100_000)), h.one.event(november(2), "CC-3", costs(50_000)), h.one.event(november(3), "P-1", costs(2_500)),
		h.one.event(november(10), "CC-1", costs(1_000_000)))
	require.Equal(t, 2, h.accrue(t, h.one), "today is not over")
	require.Equal(t, []string{
		"1 accrual 2026-11-02 11-02: US01 expense CC-1 40, US01 intercompany_due_from US02 20, US01 accrued_liability -60, US02 expense CC-3 20, US02 intercompany_due_to US01 -20",
		"2 accrual 2026-11-03 11-03: US01 capitalized_asset P-1 1, US01 accrued_liability -1",
	}, h.journal(t, h.one))
	require.Zero(t, h.accrue(t, h.one), "nothing is posted twice")
	require.Empty(t, h.journal(t, h.two))
	h.proved(t, h.one)
	require.Equal(t, int64(2), h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'journal.posted'`, h.one.tenant))
}

func TestLateUsageAndAdjustmentsAreCorrectionsOfTheirDay(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	events := []usage.Event{h.one.event(november(2), "CC-1", costs(100_000)), h.one.event(november(2), "CC-2", costs(25_000))}
	h.flush(t, h.one, events...)
	require.Equal(t, 1, h.accrue(t, h.one))

	h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(1_250)), h.one.event(november(2), "P-1", costs(10_000)))
	require.Equal(t, 1, h.accrue(t, h.one))
	_, err := h.approveChange(t, cfo, h.propose(t, fin, retagTo(ids(events[:1]), "CC-3")))
	require.NoError(t, err)
	require.Equal(t, 1, h.accrue(t, h.one))
	require.Equal(t, []string{
		"1 accrual 2026-11-02 11-02: US01 expense CC-1 40, US01 expense CC-2 10, US01 accrued_liability -50",
		"2 correction 2026-11-02 11-02: US01 expense CC-1 0, US01 capitalized_asset P-1 4, US01 accrued_liability -4",
		"3 correction 2026-11-02 11-02: US01 expense CC-1 -40, US01 intercompany_due_from US02 40, US02 expense CC-3 40, US02 intercompany_due_to US01 -40",
	}, h.journal(t, h.one))
	require.Zero(t, h.accrue(t, h.one))
	h.proved(t, h.one)
}

// TestWhatIsLateForAClosedMonthPostsToTheNext: the entry names the day it is of.
func TestWhatIsLateForAClosedMonthPostsToTheNext(t *testing.T) {
	t.Parallel()
	h := build(t)
	october := time.Date(2026, 10, 30, 9, 0, 0, 0, time.UTC)
	h.flush(t, h.one, h.one.event(october, "CC-1", costs(100_000)))
	require.Equal(t, 1, h.accrue(t, h.one))
	h.flush(t, h.one, h.one.event(october, "CC-2", costs(25_000))) // in the books of October, and not posted when it is closed
	h.lock(t, h.one, period.MonthOf(october))
	h.flush(t, h.one, h.one.event(october, "CC-1", costs(50_000))) // in the books of November
	require.Equal(t, 2, h.accrue(t, h.one))
	require.Equal(t, []string{
		"1 accrual 2026-10-30 10-30: US01 expense CC-1 40, US01 accrued_liability -40",
		"2 correction 2026-11-01 10-30: US01 expense CC-2 10, US01 accrued_liability -10",
		"3 accrual 2026-11-01 10-30: US01 expense CC-1 20, US01 accrued_liability -20",
	}, h.journal(t, h.one))
	require.Equal(t, "2026-10 2026-10 2026-11", h.text(t, `select string_agg(to_char(source_period, 'YYYY-MM'), ' ' order by number) from journal_entry where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "2026-10 2026-11 2026-11", h.text(t, `select string_agg(to_char(posting_period, 'YYYY-MM'), ' ' order by number) from journal_entry where tenant_id = $1`, h.one.tenant))
	h.proved(t, h.one)
}

// TestCentsOfAMonthAreTheRoundedMonth posts many days of odd amounts, in two ways.
func TestCentsOfAMonthAreTheRoundedMonth(t *testing.T) {
	t.Parallel()
	h := build(t)
	var exact money.Sum
	for _, c := range []*company{h.one, h.two} {
		for day := 1; day < 10; day++ {
			for i, code := range []string{"CC-1", "CC-2", "CC-3", "P-1"} {
				tokens := int64(1_237*day + 771*i)
				h.flush(t, c, c.event(november(day), code, costs(tokens)))
				if c == h.one {
					exact.Add(money.Pico(4_000_000 * tokens))
				} else {
					h.accrueAll(t, c, day, i)
				}
			}
		}
		h.accrue(t, c)
		h.proved(t, c)
		require.Equal(t, int64(exact.Display()), h.number(t, `select -sum(cents) from journal_line where tenant_id = $1 and account = 'accrued_liability'`, c.tenant))
	}
	lines := `select string_agg(code || ' ' || cents, ', ' order by code) from (select e.source_day || ' ' || l.node_code as code, sum(l.cents) as cents
		from journal_entry e join journal_line l using (tenant_id, entry_id) where tenant_id = $1 and l.node_code <> '' group by 1) s`
	require.Equal(t, h.text(t, lines, h.one.tenant), h.text(t, lines, h.two.tenant), "a day's lines come out the same, however often it was posted")
}

// accrueAll posts now and then.
func (h *house) accrueAll(t *testing.T, c *company, day, i int) {
	t.Helper()
	if (day+i)%3 == 0 {
		h.accrue(t, c)
	}
}

// TestAnAccrualThatIsKilledGoesOn ends the job within the transaction of each of its days,
// and begins it again.
func TestAnAccrualThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	h := build(t)
	const days = 5
	for day := 1; day <= days; day++ {
		h.flush(t, h.one, h.one.event(november(day), "CC-1", costs(100_000)))
	}
	for day := 1; day <= days; day++ {
		ctx, kill := context.WithCancel(t.Context())
		done := make(chan error, 1)
		h.exec(t, fmt.Sprintf(`create or replace function slow() returns trigger language plpgsql as $f$ begin
			if new.source_day = date '2026-11-01' + %d then perform pg_advisory_xact_lock(42); end if; return new; end $f$`, day-1))
		h.exec(t, `create or replace trigger slow before insert on journal_entry for each row execute function slow()`)
		hold, err := h.admin.Conn(t.Context())
		require.NoError(t, err)
		_, err = hold.ExecContext(t.Context(), `select pg_advisory_lock(42)`)
		require.NoError(t, err)
		go func() {
			_, err := h.books.Accrue(ctx, h.one.tenant)
			done <- err
		}()
		require.Eventually(t, func() bool {
			return h.number(t, `select count(*) from pg_locks where locktype = 'advisory' and objid = 42 and not granted`) > 0
		}, time.Minute, time.Millisecond)
		kill()
		require.Error(t, <-done)
		_, err = hold.ExecContext(t.Context(), `select pg_advisory_unlock(42)`)
		require.NoError(t, err)
		require.NoError(t, hold.Close())
		require.EqualValues(t, day-1, h.number(t, `select count(*) from journal_entry where tenant_id = $1`, h.one.tenant), "what was under way is as if it had not begun")
		h.exec(t, `drop trigger slow on journal_entry`)
	}
	require.Equal(t, 1, h.accrue(t, h.one))
	require.EqualValues(t, days, h.number(t, `select max(number) from journal_entry where tenant_id = $1`, h.one.tenant), "numbers have no gap")
	h.proved(t, h.one)
}

// TestTwoJobsPostADayOnce runs several at the same time.
func TestTwoJobsPostADayOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	for day := 1; day < 9; day++ {
		h.flush(t, h.one, h.one.event(november(day), "CC-1", costs(100_000)))
	}
	done := make(chan error)
	for range 4 {
		go func() {
			_, err := h.books.Accrue(context.Background(), h.one.tenant)
			done <- err
		}()
	}
	for range 4 {
		require.NoError(t, <-done)
	}
	require.Len(t, h.journal(t, h.one), 8)
	h.proved(t, h.one)
}

// TestADayWaitsForJournals is not posted while a gateway may hold requests of it.
func TestADayWaitsForJournals(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(9), "CC-1", costs(100_000)), h.one.event(november(7), "CC-1", costs(100_000)))
	state := db.ReplicaState{ReplicaID: id.ReplicaFromBytes([16]byte{7}), StartedAt: november(1), SeenAt: november(9), FlushedThrough: november(9)}
	require.NoError(t, h.clone.PublishReplica(t.Context(), state))
	require.Equal(t, 1, h.accrue(t, h.one))
	require.Equal(t, "07", h.text(t, `select to_char(source_day, 'DD') from journal_entry where tenant_id = $1`, h.one.tenant))
	h.clock.add(13 * time.Hour) // a day after the day: one that is gone for good is not waited for
	require.Equal(t, 1, h.accrue(t, h.one))
}

// TestTheDatabaseRefusesWhatNoBooksHold as the role that the product runs as.
func TestTheDatabaseRefusesWhatNoBooksHold(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(100_000)))
	h.accrue(t, h.one)
	entry := `insert into journal_entry select tenant_id, $1, $2, $3, treatment, posting_period, entry_date, $4, $5, 0, 0, 0, 0, '', $6, '', 2, 500, canonical, digest, null, record_id, recorded_at from journal_entry where number = 1`
	line := `insert into journal_line select tenant_id, $1, $2, $3, $4, '', node_id, '', '', '', '', '', 'USD', $5, 0, '' from journal_line where place = 1 and account = 'expense' limit 1`
	try := func(steps ...[]any) error {
		return h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
			if err := tx.AppendAudit(auditlog.Record{Action: auditlog.JournalEntry, Actor: "system"}); err != nil {
				return err
			}
			for _, s := range steps {
				if _, err := tx.SQL().Exec(s[0].(string), s[1:]...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	fresh := id.NewEntry(november(3))
	head := []any{entry, fresh, 2, "residual", nil, nil, nil}
	require.ErrorContains(t, try(head, []any{line, fresh, 1, "expense", "US01", 500}, []any{line, fresh, 2, "accrued_liability", "US01", -499}), "TB011", "it does not balance")
	require.ErrorContains(t, try(head, []any{line, fresh, 1, "expense", "US01", 500}, []any{line, fresh, 2, "accrued_liability", "US02", -500}), "TB011", "nor in each entity")
	require.ErrorContains(t, try(head), "TB011", "it has no lines")
	require.ErrorContains(t, try(head, []any{line, fresh, 1, "petty_cash", "US01", 500}), "23514", "the chart is closed")
	var first id.Entry
	require.NoError(t, h.admin.QueryRow(`select entry_id from journal_entry where number = 1`).Scan(&first))
	require.ErrorContains(t, try([]any{line, first, 3, "expense", "US01", 500}), "TB011", "nobody adds a line later")
	good := [][]any{
		{entry, fresh, 2, "reversal", nil, nil, first}, {line, fresh, 1, "expense", "US01", -500}, {line, fresh, 2, "accrued_liability", "US01", 500},
	}
	require.NoError(t, try(good...))
	again := id.NewEntry(november(4))
	err := try([]any{entry, again, 3, "reversal", nil, nil, first}, []any{line, again, 1, "expense", "US01", -500}, []any{line, again, 2, "accrued_liability", "US01", 500})
	require.ErrorContains(t, err, "23505", "nothing is reversed twice")
	h.lock(t, h.one, period.MonthOf(november(1)))
	require.ErrorContains(t, try([]any{entry, again, 3, "residual", nil, nil, nil}), "TB012", "closed is closed")
}

// TestTheProofFindsATamperedJournal as somebody who owns the database could make it.
func TestTheProofFindsATamperedJournal(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"cents moved between nodes": `update journal_line set cents = cents + case node_code when 'CC-1' then 1 else -1 end where account = 'expense'`,
		"basis moved":               `update journal_line set basis_pico = basis_pico + case node_code when 'CC-1' then 1 else -1 end where account = 'expense'`,
		"a cent owed less":          `update journal_line set cents = cents + 1 where account = 'accrued_liability'`,
		"a line gone":               `delete from journal_line where node_code = 'CC-2'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(100_300)), h.one.event(november(2), "CC-2", costs(50_300)), h.one.event(november(3), "CC-2", costs(50_900)))
			require.Equal(t, 2, h.accrue(t, h.one))
			h.proved(t, h.one)
			h.exec(t, `set session_replication_role = replica; alter table journal_line disable trigger all; `+tamper)
			agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
			require.NoError(t, err)
			require.False(t, agree)
		})
	}
}

// TestHowChargesAreBookedIsDecidedByTwo and holds from the next day on.
func TestHowChargesAreBookedIsDecidedByTwo(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	_, err := h.approvals.Propose(t.Context(), fin, app.AskBooks(app.BooksTerms{Treatment: "showback", Payer: "FR01"}, "central"), "")
	require.Equal(t, "payer_unknown invalid", h.code(t, err))
	made := h.propose(t, fin, app.AskBooks(app.BooksTerms{Treatment: "showback", Payer: "US02"}, "cost stays central"))
	require.True(t, made.Open())
	require.Equal(t, "From the day after it is decided, charges are booked as showback: all of it in US02, which pays for workspace default, instead of as chargeback: each node’s in its own entity, with what it owes the hierarchy’s first entity, which pays for workspace default. Days before stay as they are booked.", made.Impact.Sentence)
	_, err = h.approveChange(t, fin, made)
	require.Equal(t, "self_approval forbidden", h.code(t, err))
	_, err = h.approveChange(t, cfo, made)
	require.NoError(t, err)
	h.flush(t, h.one, h.one.event(november(9), "CC-1", costs(100_000)), h.one.event(november(11), "CC-1", costs(100_000)))
	h.clock.add(48 * time.Hour)
	require.Equal(t, 2, h.accrue(t, h.one))
	require.Equal(t, []string{
		"1 accrual 2026-11-09 11-09: US01 expense CC-1 40, US01 accrued_liability -40",
		"2 accrual 2026-11-11 11-11: US02 expense CC-1 40, US02 accrued_liability -40",
	}, h.journal(t, h.one))
	h.proved(t, h.one)
}

// TestAnEntryIsTakenBackOnceByTwo: the day stays accrued, and what the books owe goes.
func TestAnEntryIsTakenBackOnceByTwo(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(100_000)), h.one.event(november(2), "CC-3", costs(50_000)))
	h.accrue(t, h.one)
	page, err := h.books.Journal(t.Context(), fin, app.JournalQuery{})
	require.NoError(t, err)
	entry, month := page.Entries[0].ID, period.MonthOf(november(1))
	_, err = h.approvals.Propose(t.Context(), fin, app.AskReversal(entry, month.Previous(), "too early"), "")
	require.Equal(t, "reversal_period invalid", h.code(t, err))
	made := h.propose(t, fin, app.AskReversal(entry, month, "the invoice came"))
	twin := h.propose(t, fin, app.AskReversal(entry, month.Next(), "the invoice came, again"))
	require.Equal(t, "Journal 1 of 2026-11-02, $0.80 in debits and credits, is taken back line by line in the books of 2026-11. The charges themselves, and what each node is charged, stay.", made.Impact.Sentence)
	_, err = h.approveChange(t, fin, made)
	require.Equal(t, "self_approval forbidden", h.code(t, err))
	_, err = h.approveChange(t, cfo, made)
	require.NoError(t, err)
	_, err = h.approveChange(t, cfo, twin)
	require.Equal(t, "entry_reversed conflict", h.code(t, err))
	view, err := h.books.Entry(t.Context(), fin, entry)
	require.NoError(t, err)
	require.True(t, view.Reversed())
	back, err := h.books.Entry(t.Context(), fin, view.ReversedBy)
	require.NoError(t, err)
	require.Equal(t, int64(1), back.ReversesNumber)
	require.Equal(t, made.ID, back.Change)
	for i := range view.Lines {
		require.Equal(t, -view.Lines[i].Cents, back.Lines[i].Cents)
	}
	trial, err := h.books.TrialBalance(t.Context(), fin, app.TrialQuery{Month: month})
	require.NoError(t, err)
	require.True(t, trial.Balances())
	for _, e := range trial.Entities {
		for _, r := range e.Rows {
			require.Zero(t, r.Closing, "%s %s", e.Entity, r.Account)
		}
	}
	require.Zero(t, h.accrue(t, h.one), "what was taken back by a decision is not posted again")
	h.proved(t, h.one)
}

// TestTheLogNamesAnEntryThatWasChanged: its record holds another digest.
func TestTheLogNamesAnEntryThatWasChanged(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(100_000)))
	h.accrue(t, h.one)
	_, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	h.exec(t, `alter table journal_entry disable trigger all; update journal_entry set canonical = 'another', digest = sha256('another')`)
	check, err = h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, check.Good)
	require.Equal(t, h.number(t, `select sequence from audit_leaf join audit_record using (tenant_id, record_id) where action = 'journal.posted'`), check.Sequence)
	require.Contains(t, check.Why, "not the one that was hashed")
}
