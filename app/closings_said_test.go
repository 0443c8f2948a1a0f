package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/closing"
	"tollbook/app/commentary"
	"tollbook/app/notice"
)

// TestCommentaryThatIsOwedAsksForAReasonOrBlocks, and what was said is signed with the month.
func TestCommentaryThatIsOwedAsksForAReasonOrBlocks(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	n.begin(t, n.october)
	n.signAll(t, n.october)
	require.Equal(t, closing.Done, n.states(t, n.october)[closing.StepCommentary])
	_, err := n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Asked, Node: "CC-1"})
	require.NoError(t, err)
	step := n.step(t, n.october, closing.StepCommentary)
	require.True(t, step.Fell, "somebody was asked since")
	require.Equal(t, "note_missing", codeOf(n.signs(t, n.fin, n.october, closing.StepCommentary, closing.Prepared, "")))

	want := closing.Standard()
	want.Answered = true
	_, err = n.approveChange(t, n.cfo, n.propose(t, n.fin, app.AskMateriality(want, "the board reads it")))
	require.NoError(t, err)
	step = n.step(t, n.october, closing.StepCommentary)
	require.Equal(t, []string{"commentary"}, codesOf(step.Facts.Blocks))
	require.Equal(t, closing.Blocked, step.State)
	require.NoError(t, n.writes(t, n.owner, "CC-1", "A migration ran in October; it is over."))
	require.Empty(t, n.step(t, n.october, closing.StepCommentary).Facts.Blocks)
	require.Equal(t, closing.Ready, n.states(t, n.october)[closing.StepCommentary])
}

// TestWhatIsDisputedIsOnRecordAndBlocksNothing.
func TestWhatIsDisputedIsOnRecordAndBlocksNothing(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	n.begin(t, n.october)
	_, err := n.disputes.Raise(t.Context(), n.owner, app.NewDispute{Month: n.october, Node: "CC-1", To: "CC-3", Reason: "they run in our name"})
	require.NoError(t, err)
	step := n.step(t, n.october, closing.StepDisputes)
	require.Equal(t, closing.Done, step.State)
	require.Equal(t, "1", figureOf(t, step, "disputes_open"))
	require.Equal(t, "0.400000000000", figureOf(t, step, "disputed_usd"))
	n.signAll(t, n.october)
	require.Empty(t, n.view(t, n.october).Blocks)
}

// TestAMoveThatReachesBackIsBookedBeforeAMonthIsLocked: until its charges moved along, the
// month is not complete.
func TestAMoveThatReachesBackIsBookedBeforeAMonthIsLocked(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.flush(t, o.one, o.one.event(in(o.october, 20), "P-1", costs(10_000)))
	o.accrue(t, o.one)
	undated := o.reorganize(t, time.Time{}, `{"op":"capitalization","code":"P-1","capitalization":"expense"}`)
	applied := o.reorganize(t, in(o.october, 10), movesP1)
	later := o.reorganize(t, in(o.october.Next(), 2), `{"op":"rename","code":"CC-2","name":"Later"}`)
	o.begin(t, o.october)
	step := o.step(t, o.october, closing.StepUsage)
	require.Equal(t, closing.Blocked, step.State)
	require.Equal(t, []string{"change:" + applied.ID.String()}, codesOf(step.Facts.Blocks), "neither %s nor %s", undated.ID, later.ID)
	require.Equal(t, "step_not_ready", codeOf(o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, "")))
	o.movedAlong(t, applied.ID)
	require.Empty(t, o.step(t, o.october, closing.StepUsage).Facts.Blocks)
	require.Contains(t, codesOf(o.step(t, o.october.Next(), closing.StepUsage).Facts.Blocks), "change:"+later.ID.String())
	o.accrue(t, o.one)
	o.signAll(t, o.october)
	require.Empty(t, o.view(t, o.october).Blocks)
}

// TestHolidaysAreDecidedByTwo, whole, and due days pass over them.
func TestHolidaysAreDecidedByTwo(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	require.Equal(t, time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), o.step(t, o.october, closing.StepUsage).DueOn, "a Monday")
	list := []closing.Holiday{{Day: "2026-11-02", Name: "All Souls"}, {Day: "2026-12-25", Name: "Christmas Day"}}
	made := o.propose(t, o.fin, app.AskHolidays(list, "as the works council has it"))
	require.Equal(t, approval.StateProposed, made.State)
	_, err := o.approveChange(t, o.fin, made)
	require.Error(t, err)
	_, err = o.approveChange(t, o.cfo, made)
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC), o.step(t, o.october, closing.StepUsage).DueOn)
	_, err = o.approvals.Propose(t.Context(), o.fin, app.AskHolidays(list, "again"), "")
	require.Equal(t, "holidays_same", codeOf(err))
	_, err = o.approvals.Propose(t.Context(), o.fin, app.AskHolidays([]closing.Holiday{list[1], list[0]}, "out of order"), "")
	require.Equal(t, "holiday_order", codeOf(err))
	_, err = o.approveChange(t, o.cfo, o.propose(t, o.fin, app.AskHolidays(nil, "none")))
	require.NoError(t, err)
	view, err := o.closing.Holidays(t.Context(), o.fin)
	require.NoError(t, err)
	require.Empty(t, view.Days)
	require.Equal(t, 2, view.Version)
	theirs, err := o.closing.Holidays(t.Context(), o.person(t, o.two, app.RoleController, "other"))
	require.NoError(t, err)
	require.Zero(t, theirs.Version)
}

// TestWhoSignedHearsThatItFell, and whose work the step is; once for all that fell at once.
func TestWhoSignedHearsThatItFell(t *testing.T) {
	t.Parallel()
	h := build(t)
	o := &office{
		house: h, fin: h.reader(t, h.one, app.RoleFinanceAdmin, "marcus"), cfo: h.reader(t, h.one, app.RoleController, "carla"), fpa: h.reader(t, h.one, app.RoleAnalyst, "anna"),
		october: month(t, "2026-10"),
	}
	o.flush(t, o.one, o.one.event(in(o.october, 5), "CC-1", costs(100_000)))
	o.accrue(t, o.one)
	o.begin(t, o.october)
	require.NoError(t, o.signs(t, o.fpa, o.october, closing.StepUsage, closing.Prepared, ""))
	require.NoError(t, o.signs(t, o.cfo, o.october, closing.StepUsage, closing.Reviewed, ""))
	o.mails(t)

	o.flush(t, o.one, o.one.event(in(o.october, 8), "CC-1", costs(1_000)))
	_, err := o.closing.Tend(t.Context(), o.one.tenant)
	require.NoError(t, err)
	var told []string
	for _, m := range o.deliveries(t) {
		told = append(told, string(m.Mail.Purpose)+" "+m.Mail.ToName)
		require.Equal(t, "the close of October 2026", m.Mail.About)
		require.Equal(t, []string{"Usage complete"}, m.Mail.Steps)
		require.Contains(t, m.Mail.Changed, "Usage complete, requests: 1, now 2")
		require.Contains(t, m.Mail.URL, "/close/2026-10")
		_, err := o.told.Finish(t.Context(), m.Dispatch, notice.Outcome{Accepted: true})
		require.NoError(t, err)
	}
	require.ElementsMatch(t, []string{"fell Anna", "fell Carla", "fell Marcus"}, told, "who prepared, who reviewed, and finance, whose step it is")
	_, err = o.closing.Tend(t.Context(), o.one.tenant)
	require.NoError(t, err)
	require.Empty(t, o.mails(t), "once")

	// Who takes a preparation back knows; who reviewed it hears.
	o.accrue(t, o.one)
	require.NoError(t, o.signs(t, o.fpa, o.october, closing.StepUsage, closing.Prepared, ""))
	require.NoError(t, o.signs(t, o.cfo, o.october, closing.StepUsage, closing.Reviewed, ""))
	require.NoError(t, o.closing.TakeBack(t.Context(), o.fpa, o.october, o.step(t, o.october, closing.StepUsage).Preparer.Place, "too early"))
	require.ElementsMatch(t, []string{"fell Carla", "fell Marcus"}, o.mails(t))
}
