package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

func month(t testing.TB, text string) period.Month {
	t.Helper()
	m, err := period.ParseMonth(text)
	require.NoError(t, err)
	return m
}

// office is a company whose October is over, with who closes it.
type office struct {
	*house

	fin, cfo, fpa app.Actor
	october       period.Month
}

func openOffice(t *testing.T) *office {
	t.Helper()
	h := build(t)
	o := &office{
		house: h, fin: h.person(t, h.one, app.RoleFinanceAdmin, "fin"), cfo: h.person(t, h.one, app.RoleController, "cfo"), fpa: h.person(t, h.one, app.RoleAnalyst, "fpa"),
		october: month(t, "2026-10"),
	}
	for _, c := range []*company{h.one, h.two} {
		h.flush(t, c, c.event(in(o.october, 5), "CC-1", costs(100_000)), c.event(in(o.october, 6), "CC-3", costs(50_000)), c.event(in(o.october, 31), "CC-2", costs(25_000)))
		h.accrue(t, c)
	}
	return o
}

// in is a morning of a month.
func in(m period.Month, day int) time.Time { return m.Start().AddDate(0, 0, day-1).Add(9 * time.Hour) }

func (o *office) begin(t testing.TB, m period.Month) {
	t.Helper()
	require.Equal(t, approval.StateApplied, o.propose(t, o.fin, app.AskSoftClose(m, "month end")).State)
}

func (o *office) view(t testing.TB, m period.Month) app.CloseView {
	t.Helper()
	view, err := o.closing.Month(t.Context(), o.fin, m)
	require.NoError(t, err)
	return view
}

func (o *office) step(t testing.TB, m period.Month, step closing.Step) app.CloseStep {
	t.Helper()
	view := o.view(t, m)
	for i := range view.Steps {
		if view.Steps[i].Step == step {
			return view.Steps[i]
		}
	}
	require.Fail(t, "no such step", step)
	return app.CloseStep{}
}

func (o *office) states(t testing.TB, m period.Month) map[closing.Step]closing.State {
	t.Helper()
	states := map[closing.Step]closing.State{}
	view := o.view(t, m)
	for i := range view.Steps {
		states[view.Steps[i].Step] = view.Steps[i].State
	}
	return states
}

func (o *office) signs(t testing.TB, who app.Actor, m period.Month, step closing.Step, part closing.Part, note string) error {
	t.Helper()
	return o.closing.Sign(t.Context(), who, app.Signing{Month: m, Step: step, Part: part, Seen: o.step(t, m, step).Digest, Note: note})
}

// signAll signs whatever has to be signed, the finance admin first and the controller behind.
func (o *office) signAll(t testing.TB, m period.Month) {
	t.Helper()
	for _, d := range closing.Definitions() {
		if !d.Signed() {
			continue
		}
		switch o.step(t, m, d.Step).State {
		case closing.Ready:
			require.NoError(t, o.signs(t, o.fin, m, d.Step, closing.Prepared, "as it is"), d.Step)
			fallthrough
		case closing.Signed:
			require.NoError(t, o.signs(t, o.cfo, m, d.Step, closing.Reviewed, ""), d.Step)
		case closing.Waiting, closing.Blocked, closing.Done, closing.Waived, closing.NotAsked:
		}
	}
}

// shuts takes a month to a state with two people.
func (o *office) shuts(t testing.TB, m period.Month, to period.State) error {
	t.Helper()
	if to == period.StateClosed {
		o.signAll(t, m)
	}
	made, err := o.approvals.Propose(t.Context(), o.fin, app.AskClose(m, to, "month end"), "")
	if err != nil {
		return err
	}
	_, err = o.approveChange(t, o.cfo, made)
	return err
}

func TestAMonthIsClosedStepByStepByTwoPeople(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	require.Equal(t, "period_open", codeOf(o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, "")), "it has to be closing")
	_, err := o.approvals.Propose(t.Context(), o.fin, app.AskSoftClose(o.october.Next(), "early"), "")
	require.Equal(t, "period_not_over", codeOf(err))
	o.begin(t, o.october)
	require.Equal(t, map[closing.Step]closing.State{
		closing.StepUsage: closing.Ready, closing.StepPrices: closing.Waiting, closing.StepReconciled: closing.Waiting, closing.StepUnexplained: closing.Waiting, closing.StepDisputes: closing.Done, closing.StepCommentary: closing.Waiting, closing.StepInvoice: closing.Waiting, closing.StepAllocation: closing.Waiting, closing.StepSuspense: closing.Waiting, closing.StepAccrual: closing.Waiting, closing.StepCapital: closing.Waiting,
		closing.StepJournal: closing.Waiting, closing.StepApproved: closing.Waiting, closing.StepLock: closing.NotAsked, closing.StepExported: closing.NotAsked, closing.StepPacket: closing.NotAsked, closing.StepCheckpoint: closing.NotAsked,
	}, o.states(t, o.october))
	require.Equal(t, "period_blocked", codeOf(o.shuts(t, o.october, period.StateLocked)))

	o.signAll(t, o.october)
	view := o.view(t, o.october)
	require.Empty(t, view.Blocks)
	require.Equal(t, view.All, view.Over)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	require.Equal(t, closing.Done, o.states(t, o.october)[closing.StepLock])
	require.NoError(t, o.shuts(t, o.october, period.StateClosed))

	view = o.view(t, o.october)
	require.Equal(t, period.Standing{State: period.StateClosed, Revision: 1}, view.Standing)
	require.Len(t, view.Moves, 3)
	require.Equal(t, "fin", view.Moves[0].By.Name)
	require.Len(t, view.Freezes, 1)
	require.True(t, view.Freezes[0].Agrees)
	require.Equal(t, "0.700000000000", view.Freezes[0].Charges.String())
	require.Equal(t, "0.70", view.Freezes[0].Owed.String())
	require.Equal(t, "open", o.text(t, `select coalesce((select state from period where tenant_id = $1 and month = '2026-10-01'), 'open')`, o.two.tenant), "it is one company’s month")
	other := o.person(t, o.two, app.RoleController, "other")
	theirs, err := o.closing.Month(t.Context(), other, o.october)
	require.NoError(t, err)
	require.Equal(t, period.StateOpen, theirs.Standing.State)
	require.Empty(t, theirs.Moves)
}

// TestWhatIsShutTakesNothing: late charges go to the next month, whether it is locked or closed.
func TestWhatIsShutTakesNothing(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.begin(t, o.october)
	o.signAll(t, o.october)
	for i, state := range []period.State{period.StateLocked, period.StateClosed} {
		require.NoError(t, o.shuts(t, o.october, state))
		o.flush(t, o.one, o.one.event(in(o.october, 7), "CC-1", costs(1_000)))
		require.Equal(t, 1, o.accrue(t, o.one))
		require.Equal(t, int64(i+1), o.number(t, `select sum(requests) from rollup_placement_day where tenant_id = $1 and posting_period = '2026-11-01'`, o.one.tenant))
		moved := o.number(t, `select count(*) from usage_event where tenant_id = $1 and posting_period = '2026-10-01'`, o.one.tenant)
		require.Equal(t, int64(3), moved)
		_, err := o.approvals.Propose(t.Context(), o.fin, retagTo([]id.Event{{}}, "CC-3"), "")
		require.Error(t, err)
	}
	require.True(t, o.view(t, o.october).Freezes[0].Agrees)
	o.proved(t, o.one)
}

func TestASignatureFallsWithItsFigures(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.begin(t, o.october)
	o.signAll(t, o.october)
	before := o.step(t, o.october, closing.StepUsage)
	require.Equal(t, closing.Done, before.State)

	o.flush(t, o.one, o.one.event(in(o.october, 8), "CC-1", costs(1_000)))
	after := o.step(t, o.october, closing.StepUsage)
	require.Equal(t, closing.Ready, after.State, "who reads sees it at once")
	require.True(t, after.Fell)
	require.Equal(t, "period_blocked", codeOf(o.shuts(t, o.october, period.StateLocked)))
	require.Equal(t, "figures_changed", codeOf(o.closing.Sign(t.Context(), o.cfo, app.Signing{Month: o.october, Step: closing.StepUsage, Part: closing.Prepared, Seen: before.Digest})))

	n, err := o.closing.Tend(t.Context(), o.one.tenant)
	require.NoError(t, err)
	require.Equal(t, 8, n, "two of usage, prices, accrual and capitalization each; the journal is as it was")
	require.Equal(t, int64(n), o.records(t, o.one.tenant, "close.sign_off_fell"))
	n, err = o.closing.Tend(t.Context(), o.one.tenant)
	require.NoError(t, err)
	require.Zero(t, n, "it is noted once")

	require.Equal(t, 1, o.accrue(t, o.one))
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
}

func TestSignaturesThatAreRefused(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.begin(t, o.october)
	token := o.member(t, o.one, app.RoleFinanceAdmin, "")
	require.Equal(t, "tokens_never_decide", codeOf(o.signs(t, token, o.october, closing.StepUsage, closing.Prepared, "")))
	eng := o.person(t, o.one, app.RoleEngineeringAdmin, "eng")
	require.Equal(t, "not_allowed", codeOf(o.closing.Sign(t.Context(), eng, app.Signing{Month: o.october, Step: closing.StepUsage, Part: closing.Prepared})))
	require.Equal(t, "step_unprepared", codeOf(o.signs(t, o.cfo, o.october, closing.StepUsage, closing.Reviewed, "")))
	require.Equal(t, "step_not_ready", codeOf(o.signs(t, o.fin, o.october, closing.StepPrices, closing.Prepared, "")), "a step before it is not done")

	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, ""))
	require.Equal(t, "step_signed", codeOf(o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, "")), "twice")
	require.Equal(t, "maker_is_checker", codeOf(o.signs(t, o.fin, o.october, closing.StepUsage, closing.Reviewed, "")), "one’s own")
	require.Equal(t, "not_allowed", codeOf(o.signs(t, o.fpa, o.october, closing.StepUsage, closing.Reviewed, "")), "who may not approve")
	require.NoError(t, o.signs(t, o.cfo, o.october, closing.StepUsage, closing.Reviewed, ""))

	place := o.step(t, o.october, closing.StepUsage).Preparer.Place
	require.Equal(t, "signature_absent", codeOf(o.closing.TakeBack(t.Context(), o.cfo, o.october, place, "not mine")))
	require.NoError(t, o.closing.TakeBack(t.Context(), o.fin, o.october, place, "too early"))
	step := o.step(t, o.october, closing.StepUsage)
	require.Equal(t, closing.Ready, step.State)
	require.Len(t, step.Fallen, 2, "with the preparation its review falls")
}

// TestSuspenseIsSignedWithAReason: by who may approve for finance, and never silently.
func TestSuspenseIsSignedWithAReason(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	places := o.placements(t, o.one.tenant)
	require.Contains(t, places, "SUSPENSE")
	o.one.places = places
	o.flush(t, o.one, o.one.event(in(o.october, 9), "SUSPENSE", costs(10_000)))
	o.accrue(t, o.one)
	o.begin(t, o.october)
	require.NoError(t, o.signs(t, o.fpa, o.october, closing.StepUsage, closing.Prepared, ""))
	require.NoError(t, o.signs(t, o.cfo, o.october, closing.StepUsage, closing.Reviewed, ""))
	require.Equal(t, "note_missing", codeOf(o.signs(t, o.fin, o.october, closing.StepSuspense, closing.Prepared, " ")))
	require.Equal(t, "not_allowed", codeOf(o.signs(t, o.fpa, o.october, closing.StepSuspense, closing.Prepared, "it is little")))
	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepSuspense, closing.Prepared, "4 cents, from a key that is gone"))
}

func TestNobodyClosesAloneOrOutOfOrder(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	september := o.october.Previous()
	o.flush(t, o.one, o.one.event(in(september, 25), "CC-1", costs(100_000)))
	o.accrue(t, o.one)
	for _, m := range []period.Month{september, o.october} {
		o.begin(t, m)
		o.signAll(t, m)
	}
	require.Equal(t, "period_order", codeOf(o.shuts(t, o.october, period.StateLocked)), "September is not")
	made := o.propose(t, o.cfo, app.AskClose(september, period.StateLocked, "mine"))
	_, err := o.approveChange(t, o.cfo, made)
	require.Equal(t, "pair_needed", codeOf(err), "one’s own request, and nobody else to decide")
	_, err = o.approveChange(t, o.fin, made)
	require.Equal(t, "not_allowed", codeOf(err), "who may not sign closes")
	_, err = o.ruleFor(t, o.fin, made, approval.VerdictReject, id.Member{})
	require.Error(t, err)

	made = o.propose(t, o.fin, app.AskClose(september, period.StateLocked, "month end"))
	o.flush(t, o.one, o.one.event(in(september, 26), "CC-1", costs(1_000)))
	_, err = o.approveChange(t, o.cfo, made)
	require.Equal(t, "period_blocked", codeOf(err), "what was looked at is not what there is")
	require.Zero(t, o.number(t, `select count(*) from close_freeze where tenant_id = $1`, o.one.tenant))
	o.accrue(t, o.one)
	o.signAll(t, september)
	_, err = o.approveChange(t, o.cfo, made)
	require.Equal(t, "digest_changed", codeOf(err), "it is signed again, and still another month than was proposed")
	require.NoError(t, o.shuts(t, september, period.StateLocked))
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	require.Equal(t, "period_order", codeOf(o.shuts(t, o.october, period.StateClosed)))

	reopen := func(m period.Month) error {
		made, err := o.approvals.Propose(t.Context(), o.fin, app.AskReopen(m, "an invoice was wrong"), "")
		if err != nil {
			return err
		}
		_, err = o.approveChange(t, o.cfo, made)
		return err
	}
	require.Equal(t, "period_order", codeOf(reopen(september)), "October is locked behind it")
	require.NoError(t, reopen(o.october))
	require.NoError(t, reopen(september))
	view := o.view(t, september)
	require.Equal(t, period.Standing{State: period.StateClosing, Revision: 2}, view.Standing)
	require.Equal(t, closing.Ready, view.Steps[0].State, "every signature is given anew")
	o.signAll(t, september)
	require.NoError(t, o.shuts(t, september, period.StateLocked))
	require.Equal(t, []int{2, 1}, []int{o.view(t, september).Freezes[0].Revision, o.view(t, september).Freezes[1].Revision})
}

func TestAStepIsLeftOutByAChangeAlone(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.flush(t, o.one, o.one.event(in(o.october, 12), "CC-1", func(e *usage.Event) { e.State = usage.StateEstimated }))
	o.accrue(t, o.one)
	o.begin(t, o.october)
	require.Equal(t, closing.Blocked, o.states(t, o.october)[closing.StepUsage])
	_, err := o.approvals.Propose(t.Context(), o.fin, app.AskWaiver(o.october, closing.StepJournal, "no"), "")
	require.Equal(t, "step_applies", codeOf(err))
	made := o.propose(t, o.fin, app.AskWaiver(o.october, closing.StepUsage, "one broken stream, estimated"))
	require.Equal(t, approval.StateProposed, made.State)
	_, err = o.approveChange(t, o.cfo, made)
	require.NoError(t, err)
	step := o.step(t, o.october, closing.StepUsage)
	require.Equal(t, closing.Waived, step.State)
	require.Equal(t, "one broken stream, estimated", step.Waiver.Reason)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
}

// TestWhatIsBilledIsSplitBeforeTheMonthIsShut: an invoice that is late is signed for, one that
// is there is allocated.
func TestWhatIsBilledIsSplitBeforeTheMonthIsShut(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.begin(t, o.october)
	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, ""))
	require.NoError(t, o.signs(t, o.cfo, o.october, closing.StepUsage, closing.Reviewed, ""))
	require.Equal(t, "note_missing", codeOf(o.signs(t, o.fin, o.october, closing.StepInvoice, closing.Prepared, "")))
	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepInvoice, closing.Prepared, "it comes on the tenth; accrued until then"))

	entered := o.enter(t, o.fin, billedFor("INV-10", "2026-10-01", "2026-10-31", [4]string{"usage", "Claude API", "0.70", ""}))
	step := o.step(t, o.october, closing.StepInvoice)
	require.True(t, step.Fell, "it is there now, and that was signed for")
	require.Empty(t, step.Facts.Asks)
	o.signAll(t, o.october)
	require.Equal(t, closing.Blocked, o.states(t, o.october)[closing.StepAllocation])
	_, err := o.approveChange(t, o.cfo, o.propose(t, o.fin, app.AskAllocation(entered.ID, "October")))
	require.NoError(t, err)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
}

// TestFinanceDecidesAboutAMonthThatIsClosing: whatever a company's policies say.
func TestFinanceDecidesAboutAMonthThatIsClosing(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	owner := o.personAt(t, o.one, app.RoleBudgetOwner, "owner", "BU-1")
	eng := o.person(t, o.one, app.RoleEngineeringAdmin, "eng")
	event := o.one.event(in(o.october, 20), "CC-1", costs(1_000))
	o.flush(t, o.one, event, o.one.event(in(o.october.Next(), 2), "CC-1", costs(1_000)))
	o.accrue(t, o.one)
	o.adopt(t, o.fin, o.cfo, `{"code":"retags","kinds":["retag"],"steps":[{"name":"Owner","quorum":1,"who":[{"owner":true}]}],"expire_days":30}`)
	made := o.propose(t, eng, retagTo([]id.Event{event.ID}, "CC-2"))
	o.begin(t, o.october)
	_, err := o.approveChange(t, owner, made)
	require.Equal(t, "period_closing", codeOf(err))
	require.Contains(t, o.view(t, o.october).Blocks, closing.Block{Code: "change:" + made.ID.String(), Text: fmt.Sprintf("Change %d would still change the month, and nobody has decided about it.", made.Number)})
	_, err = o.ruleFor(t, owner, made, approval.VerdictReject, id.Member{})
	require.NoError(t, err, "saying no changes nothing in it")
}

// TestTwoCloseAtOnceWhileChargesCome: one of two who decide at once locks the month, and every
// charge is in the month it was frozen with or in the next.
func TestTwoCloseAtOnceWhileChargesCome(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	second := o.person(t, o.one, app.RoleController, "cfo-2")
	o.begin(t, o.october)
	o.signAll(t, o.october)
	made := o.propose(t, o.fin, app.AskClose(o.october, period.StateLocked, "month end"))
	var wait sync.WaitGroup
	var locked atomic.Int64
	for _, who := range []app.Actor{o.cfo, second} {
		wait.Go(func() {
			if _, err := o.approvals.Rule(context.Background(), who, made.ID, app.Ruling{Ruling: approval.Ruling{Verdict: approval.VerdictApprove, Seen: made.Digest, Reason: "as shown"}}); err == nil {
				locked.Add(1)
			}
		})
	}
	for i := range 20 {
		wait.Go(func() {
			_, err := o.metering.Flush(context.Background(), o.one.tenant, []usage.Event{o.one.event(in(o.october, 10).Add(time.Duration(i)*time.Minute), "CC-1", costs(1_000))})
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	state := o.text(t, `select state || ' ' || moves from period where tenant_id = $1 and month = '2026-10-01'`, o.one.tenant)
	frozen := o.number(t, `select count(*) from close_freeze where tenant_id = $1`, o.one.tenant)
	if locked.Load() == 1 {
		require.Equal(t, "locked 2", state)
		require.Equal(t, int64(1), frozen)
		require.True(t, o.view(t, o.october).Freezes[0].Agrees, "nothing came behind it")
	} else { // a charge came first: what was proposed is not what there is, and nothing was done
		require.Zero(t, locked.Load())
		require.Equal(t, "closing 1", state)
		require.Zero(t, frozen)
	}
	require.Equal(t, int64(23), o.number(t, `select sum(requests) from rollup_placement_day where tenant_id = $1`, o.one.tenant))
	o.accrue(t, o.one)
	o.proved(t, o.one)
}

// TestALockThatIsCutOffLeavesNothing: the connection of a lock that is under way is ended, as
// when its process is killed.
func TestALockThatIsCutOffLeavesNothing(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.begin(t, o.october)
	o.signAll(t, o.october)
	made := o.propose(t, o.fin, app.AskClose(o.october, period.StateLocked, "month end"))
	// A flush that is under way holds the month: the lock waits for it, with everything else done.
	flush, err := o.admin.Begin()
	require.NoError(t, err)
	_, err = flush.Exec(`select state from period where tenant_id = $1 and month = '2026-10-01' for share`, o.one.tenant)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := o.approvals.Rule(context.Background(), o.cfo, made.ID, app.Ruling{Ruling: approval.Ruling{Verdict: approval.VerdictApprove, Seen: made.Digest, Reason: "as shown"}})
		done <- err
	}()
	waiting := `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%from period%for update%'`
	require.Eventually(t, func() bool { return o.number(t, waiting) == 1 }, 20*time.Second, 10*time.Millisecond)
	o.exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%from period%for update%'`)
	require.Error(t, <-done)
	require.NoError(t, flush.Rollback())
	require.Equal(t, "closing 1", o.text(t, `select state || ' ' || moves from period where tenant_id = $1 and month = '2026-10-01'`, o.one.tenant))
	require.Zero(t, o.number(t, `select (select count(*) from close_freeze where tenant_id = $1) + (select count(*) from close_figure where tenant_id = $1)`, o.one.tenant))
	_, err = o.approveChange(t, o.cfo, made)
	require.NoError(t, err, "and it is locked when it is decided again")
	require.True(t, o.view(t, o.october).Freezes[0].Agrees)
}

// TestTheDatabaseMovesNoMonthOtherwise: no statement of the product's own role does.
func TestTheDatabaseMovesNoMonthOtherwise(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.begin(t, o.october)
	change := o.text(t, `select change_id from period_move where tenant_id = $1`, o.one.tenant)
	try := func(statement string, args ...any) error {
		return o.clone.InTenant(t.Context(), o.one.tenant, func(tx *db.Tx) error {
			if err := tx.AppendAudit(auditlog.Record{Action: "test", Actor: "test"}); err != nil {
				return err
			}
			_, err := tx.SQL().Exec(statement, args...)
			return err
		})
	}
	require.ErrorContains(t, try(`update period set state = 'locked' where tenant_id = $1`, o.one.tenant), "42501")
	require.ErrorContains(t, try(`insert into period (tenant_id, month, state, changed_at) values ($1, '2026-01-01', 'closed', now())`, o.one.tenant), "42501")
	const moves = `insert into period_move (tenant_id, month, place, from_state, to_state, revision, actor, reason, change_id, moved_at) values ($1, '2026-10-01', $2, $3, $4, $5, 'x', 'x', $6, now())`
	require.ErrorContains(t, try(moves, o.one.tenant, 2, "locked", "closed", 1, change), "TB014", "it does not stand there")
	require.ErrorContains(t, try(moves, o.one.tenant, 3, "closing", "locked", 1, change), "TB014", "a move is missing")
	require.ErrorContains(t, try(moves, o.one.tenant, 2, "closing", "locked", 2, change), "TB014", "another revision")
	require.ErrorContains(t, try(moves, o.one.tenant, 2, "closing", "closed", 1, change), "23514", "no such move")
	require.ErrorContains(t, try(`delete from period_move where tenant_id = $1`, o.one.tenant), "42501")
	signs := `insert into close_sign_off (tenant_id, month, place, revision, step, part, member_id, person_id, of_place, of_person, facts, digest, note, record_id, signed_at)
		select tenant_id, month, 3, revision, step, 'reviewed', member_id, person_id, place, person_id, facts, digest, '', record_id, now() from close_sign_off where tenant_id = $1 and place = 1`
	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, ""))
	require.ErrorContains(t, try(signs, o.one.tenant), "23514", "who prepares does not review")
}

// TestAnySequenceOfClosesBalances charges, posts, signs, shuts and reopens two months in any
// order: what is frozen is what the books say, nothing is lost, and no month is shut before
// the one before it.
func TestAnySequenceOfClosesBalances(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	second := o.october.Previous()
	o.flush(t, o.one, o.one.event(in(second, 25), "CC-1", costs(10_000)))
	months, requests := []period.Month{second, o.october}, int64(4)
	dice := rand.New(rand.NewPCG(26, 11))
	reopened, shut := 0, 0
	decided := func(ask app.Ask) bool {
		made, err := o.approvals.Propose(t.Context(), o.fin, ask, "")
		if err == nil && made.State == approval.StateProposed {
			_, err = o.approveChange(t, o.cfo, made)
		}
		require.True(t, err == nil || fault.KindOf(err) == fault.KindConflict, "%v", err)
		return err == nil
	}
	for range 140 {
		m := months[dice.IntN(len(months))]
		switch dice.IntN(8) {
		case 0:
			o.flush(t, o.one, o.one.event(in(m, 25).Add(time.Duration(requests)*time.Minute), "CC-2", costs(1_237)))
			requests++
		case 1, 2:
			o.accrue(t, o.one)
		case 3:
			decided(app.AskSoftClose(m, "month end"))
		case 4:
			if state := o.view(t, m).Standing.State; state == period.StateClosing || state == period.StateLocked {
				o.accrue(t, o.one)
				o.signAll(t, m)
			}
		case 5, 6:
			to := o.view(t, m).Standing.State.Forward()
			if to.Shut() && decided(app.AskClose(m, to, "month end")) {
				shut++
			}
		case 7:
			if decided(app.AskReopen(m, "again")) {
				reopened++
			}
		}
		before, this := o.view(t, second), o.view(t, o.october)
		require.True(t, before.Standing.State.Shut() || !this.Standing.State.Shut(), "a gap")
		for _, view := range []app.CloseView{before, this} {
			if view.Standing.State.Shut() {
				require.True(t, view.Freezes[0].Agrees)
				require.Equal(t, view.Standing.Revision, view.Freezes[0].Revision)
			}
		}
	}
	require.Greater(t, shut, 2)
	require.Positive(t, reopened)
	o.accrue(t, o.one)
	o.proved(t, o.one)
	require.Equal(t, requests, o.number(t, `select sum(requests) from rollup_placement_day where tenant_id = $1`, o.one.tenant))
	require.Zero(t, o.number(t, `select coalesce(sum(cents), 0) from journal_line where tenant_id = $1`, o.one.tenant))
}
