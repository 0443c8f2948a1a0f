package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/app/usage"
	"tollbook/db"
)

// agreed is a day that both sides agree on, ready to be signed.
func (h *house) agreed(t *testing.T) (*vendor, time.Time, app.Workbench) {
	t.Helper()
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	var l ledgers
	h.ordinary(&l, day)
	l.tell(t, v)
	require.True(t, v.reconciled(t, day))
	w, _ := h.difference(t, day)
	require.Equal(t, reconcile.StateReconciled, w.State)
	return v, day, w
}

// raised is a day with one variance: the provider's price rose.
func (h *house) raised(t *testing.T) (*vendor, time.Time, app.Workbench) {
	t.Helper()
	v, day, _ := h.agreed(t)
	v.plant(t, map[string]any{"class": "price", "day": "2026-11-03", "model": opus, "bps": 9000})
	require.True(t, v.reconciled(t, day))
	w, _ := h.difference(t, day)
	require.Len(t, w.Variances, 1)
	return v, day, w
}

// TestWhoPreparedADayDoesNotReviewItByAnAccountThatIsLinkedSince, whichever of both sessions
// was there before, and not past the use case either.
func TestWhoPreparedADayDoesNotReviewItByAnAccountThatIsLinkedSince(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	_, day, w := h.agreed(t)
	require.NoError(t, h.days.SignOff(t.Context(), fin, day, w.Number, app.PartPreparer, "as shown"))
	shown, err := h.days.Day(t.Context(), cfo, day)
	require.NoError(t, err)
	require.True(t, shown.CanReview)
	require.NoError(t, h.members.LinkAccounts(t.Context(), owner, cfo.Member, fin.Member, "one person"))
	for _, who := range []app.Actor{cfo, h.session(t, h.one, "cfo")} {
		err := h.days.SignOff(t.Context(), who, day, w.Number, app.PartReviewer, "as shown")
		require.Error(t, err, "one person, two accounts")
		err = h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
			signed, err := tx.DaySignOffs(day, day.AddDate(0, 0, 1))
			require.NoError(t, err)
			return tx.AddDaySignOff(&db.DaySignOffRow{RunID: w.Run, Part: app.PartReviewer, Actor: who.ID(), PersonID: who.Person, ChangeID: signed[0].ChangeID})
		})
		require.ErrorContains(t, err, "TB004", "nor in the database")
	}
	shown, err = h.days.Day(t.Context(), h.session(t, h.one, "cfo"), day)
	require.NoError(t, err)
	require.False(t, shown.CanReview)
}

// TestWhoExplainedAVarianceDoesNotReviewItByAnAccountThatIsLinkedSince: nor past the use case.
func TestWhoExplainedAVarianceDoesNotReviewItByAnAccountThatIsLinkedSince(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.owner(t, h.one)
	fin, cfo, other := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.person(t, h.one, app.RoleController, "other")
	_, _, w := h.raised(t)
	variance := w.Variances[0].ID
	require.NoError(t, h.days.Step(t.Context(), fin, variance, &app.VarianceStep{Kind: reconcile.StepExplained, Note: "new list"}))
	require.NoError(t, h.members.LinkAccounts(t.Context(), owner, cfo.Member, fin.Member, "one person"))
	cfo = h.session(t, h.one, "cfo")
	c, err := h.days.Variance(t.Context(), cfo, variance)
	require.NoError(t, err)
	require.False(t, c.CanReview)
	accepted := &app.VarianceStep{Kind: reconcile.StepAccepted, Note: "agreed", Seen: h.shown(t, variance)}
	require.ErrorIs(t, h.days.Step(t.Context(), cfo, variance, accepted), reconcile.ErrSamePerson)
	err = h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		steps, err := tx.VarianceSteps(variance, 10)
		require.NoError(t, err)
		row := steps[1]
		row.Place, row.Kind, row.State, row.Actor, row.PersonID = 3, "accepted", "resolved", cfo.ID(), &cfo.Person
		return tx.AddVarianceStep(variance, &row)
	})
	require.ErrorContains(t, err, "TB004", "nor in the database")
	require.NoError(t, h.days.Step(t.Context(), other, variance, accepted))
}

// TestASignatureFallsWithAnyFigureHoweverOldItsDay: a journal that was found again brings a
// request of a day that was signed five weeks ago, whose month is not shut.
func TestASignatureFallsWithAnyFigureHoweverOldItsDay(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	_, day, w := h.agreed(t)
	require.NoError(t, h.days.SignOff(t.Context(), fin, day, w.Number, app.PartPreparer, "as shown"))
	require.NoError(t, h.days.SignOff(t.Context(), cfo, day, w.Number, app.PartReviewer, "as shown"))
	h.clock.add(36 * 24 * time.Hour)
	asked := func() string {
		return h.text(t, `select string_agg(args->>'day', ' ' order by args->>'day') from river.river_job where kind = 'reconcile_day' and args->>'gathered' = 'true'`)
	}
	e, _ := h.traffic(h.clock.now(), "CC-1", opus, usage.Tokens{1, 1})
	h.flush(t, h.one, e)
	require.Empty(t, asked(), "nothing is asked of today")
	e, _ = h.traffic(day.Add(time.Hour), "CC-1", opus, usage.Tokens{900_000, 90_000})
	again, _ := h.traffic(day.Add(2*time.Hour), "CC-1", opus, usage.Tokens{1, 1})
	h.flush(t, h.one, e)
	h.flush(t, h.one, again)
	require.Equal(t, "2026-11-03", asked(), "once, of the day that was reconciled before")

	shown, err := h.days.Day(t.Context(), cfo, day)
	require.NoError(t, err)
	require.Nil(t, shown.Preparer)
	require.Nil(t, shown.Reviewer)
	require.True(t, shown.Withdrawn)
	require.True(t, shown.Moved)
	month, err := h.days.Calendar(t.Context(), cfo, period.MonthOf(day))
	require.NoError(t, err)
	require.Nil(t, month.Days[2].Reviewer)
	require.Error(t, h.days.SignOff(t.Context(), fin, day, w.Number, app.PartPreparer, "as shown"), "figures that are no more")

	_, err = h.days.ReconcileAll(t.Context(), h.one.tenant) // the clock's, should the job be lost
	require.NoError(t, err)
	w, _ = h.difference(t, day)
	posted := h.text(t, `select (sum(charge_pico) / 1e12)::numeric(38, 12)::text from rollup_placement_day where tenant_id = $1 and day = $2`, h.one.tenant, day)
	require.Equal(t, posted, w.Ours.String())
	require.Nil(t, w.Preparer)
	require.True(t, w.Withdrawn)
	require.False(t, w.Moved)
}

// shown is a variance as it is shown now.
func (h *house) shown(t *testing.T, variance id.Variance) *app.VarianceSeen {
	t.Helper()
	c, err := h.days.Variance(t.Context(), h.one.who, variance)
	require.NoError(t, err)
	return &app.VarianceSeen{Place: c.Place, Amount: c.Amount}
}

// TestAReviewIsOfTheAmountThatWasShown: what changes, or is said, while somebody reads is not
// agreed to.
func TestAReviewIsOfTheAmountThatWasShown(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	v, day, w := h.raised(t)
	variance := w.Variances[0].ID
	step := func(who app.Actor, kind reconcile.StepKind, seen *app.VarianceSeen) string {
		t.Helper()
		err := h.days.Step(t.Context(), who, variance, &app.VarianceStep{Kind: kind, Note: "because", Seen: seen})
		if err == nil {
			return "taken"
		}
		return fault.From(err).Code
	}
	first := h.shown(t, variance)
	require.Equal(t, "taken", step(fin, reconcile.StepExplained, first))
	require.Equal(t, "variance_moved", step(cfo, reconcile.StepAccepted, nil), "of what")
	require.Equal(t, "variance_moved", step(cfo, reconcile.StepAccepted, first), "before it was explained")
	shown := h.shown(t, variance)
	v.plant(t, map[string]any{"class": "price", "day": "2026-11-03", "model": opus, "bps": 10})
	require.True(t, v.reconciled(t, day))
	require.Equal(t, "variance_moved", step(fin, reconcile.StepExplained, first), "of another amount")
	require.Equal(t, "taken", step(fin, reconcile.StepExplained, h.shown(t, variance)))
	require.Equal(t, "variance_moved", step(cfo, reconcile.StepAccepted, shown))
	require.Equal(t, "variance_moved", step(cfo, reconcile.StepReturned, shown))
	require.Equal(t, "taken", step(cfo, reconcile.StepAccepted, h.shown(t, variance)))

	// Another run that finds the very same leaves it accepted.
	var l ledgers
	e, f := h.traffic(day.Add(2*time.Hour), "CC-2", haiku, usage.Tokens{5000, 500})
	l.add(e, f)
	l.tell(t, v)
	accepted := h.shown(t, variance)
	require.True(t, v.reconciled(t, day))
	require.Equal(t, accepted, h.shown(t, variance))
	w, _ = h.difference(t, day)
	require.Equal(t, reconcile.StandingResolved, w.Variances[0].Standing)
}

// TestADayIsReviewedOnceItsVariancesAre: what is explained waits for its review first, and
// what somebody said to wait until a day takes the signatures with it when that is over.
func TestADayIsReviewedOnceItsVariancesAre(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	_, day, w := h.raised(t)
	variance := w.Variances[0].ID
	step := func(who app.Actor, s app.VarianceStep) {
		t.Helper()
		s.Note, s.Seen = "because", h.shown(t, variance)
		require.NoError(t, h.days.Step(t.Context(), who, variance, &s))
	}
	signs := func(who app.Actor, part string) error {
		return h.days.SignOff(t.Context(), who, day, w.Number, part, "as shown")
	}
	signed := func() (preparer, reviewer, withdrawn bool) {
		w, err := h.days.Day(t.Context(), cfo, day)
		require.NoError(t, err)
		return w.Preparer != nil, w.Reviewer != nil, w.Withdrawn
	}
	step(fin, app.VarianceStep{Kind: reconcile.StepExplained})
	require.NoError(t, signs(fin, app.PartPreparer))
	require.Equal(t, "day_variances_unreviewed", fault.From(signs(cfo, app.PartReviewer)).Code)
	step(cfo, app.VarianceStep{Kind: reconcile.StepReturned})
	prepared, reviewed, withdrawn := signed()
	require.Equal(t, []bool{false, false, true}, []bool{prepared, reviewed, withdrawn}, "nothing is signed while a variance is open")
	require.Equal(t, "day_variances_open", fault.From(signs(cfo, app.PartReviewer)).Code)
	until := h.clock.now().AddDate(0, 0, 2).Truncate(24 * time.Hour)
	step(fin, app.VarianceStep{Kind: reconcile.StepWaiting, WaitUntil: until})
	require.NoError(t, signs(cfo, app.PartReviewer))
	prepared, reviewed, withdrawn = signed()
	require.Equal(t, []bool{true, true, false}, []bool{prepared, reviewed, withdrawn})
	h.clock.add(72 * time.Hour)
	prepared, reviewed, withdrawn = signed()
	require.Equal(t, []bool{false, false, true}, []bool{prepared, reviewed, withdrawn}, "it waited long enough")
	step(fin, app.VarianceStep{Kind: reconcile.StepExplained})
	prepared, reviewed, _ = signed()
	require.Equal(t, []bool{true, false}, []bool{prepared, reviewed}, "nobody agreed to that")
	step(cfo, app.VarianceStep{Kind: reconcile.StepAccepted})
	prepared, reviewed, _ = signed()
	require.Equal(t, []bool{true, true}, []bool{prepared, reviewed})
}

// TestAnAdjustmentAsksForItsDayAgain: a move of what was charged on a day that was reconciled.
func TestAnAdjustmentAsksForItsDayAgain(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.agreed(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	require.Zero(t, h.number(t, `select count(*) from river.river_job where kind = 'reconcile_day' and args->>'gathered' = 'true'`))
	event, err := id.ParseEvent(h.text(t, `select 'evt_' || replace(event_id::text, '-', '') from usage_event where tenant_id = $1 and placement_id is not null and charge_pico > 0 order by occurred_at limit 1`, h.one.tenant))
	require.NoError(t, err)
	_, err = h.approveChange(t, cfo, h.propose(t, fin, retagTo([]id.Event{event}, "BU-1")))
	require.NoError(t, err)
	require.Equal(t, "2026-11-03", h.text(t, `select string_agg(distinct args->>'day', ' ') from river.river_job where kind = 'reconcile_day' and args->>'gathered' = 'true'`))
}
