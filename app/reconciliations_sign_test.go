package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/reconcile"
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
	accepted := &app.VarianceStep{Kind: reconcile.StepAccepted, Note: "agreed"}
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
