package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/app/usage"
)

// held is a company whose last days of October are held against the provider's reports.
type held struct {
	*office
	v     *vendor
	first time.Time
	marks map[int]string // a request of CC-2 by day, which a test may spoil
}

func holdOctober(t *testing.T) *held {
	t.Helper()
	h := build(t)
	o := &held{
		office: &office{house: h, fin: h.person(t, h.one, app.RoleFinanceAdmin, "fin"), cfo: h.person(t, h.one, app.RoleController, "cfo"), october: month(t, "2026-10")},
		marks:  map[int]string{},
	}
	o.first = o.october.Start().AddDate(0, 0, 28)
	o.v = h.vendor(t, o.first)
	var l ledgers
	for day := range 3 {
		e, f := h.traffic(o.first.AddDate(0, 0, day).Add(9*time.Hour), "CC-2", opus, usage.Tokens{5000, 4_000_000})
		o.marks[day] = e.RequestID
		l.add(e, f)
	}
	l.tell(t, o.v)
	h.accrue(t, h.one)
	o.begin(t, o.october)
	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, ""))
	require.NoError(t, o.signs(t, o.cfo, o.october, closing.StepUsage, closing.Reviewed, ""))
	return o
}

func (o *held) day(n int) time.Time { return o.first.AddDate(0, 0, n) }

// spoil makes the provider count so many output tokens more, at 25 dollars a million.
func (o *held) spoil(t *testing.T, day, tokens int) {
	t.Helper()
	o.v.plant(t, map[string]any{"class": "tokens", "request_id": o.marks[day], "token_class": "output", "delta": tokens})
}

func (o *held) reconcile(t *testing.T) {
	t.Helper()
	for n := range 3 {
		o.v.reconciled(t, o.day(n))
	}
}

// resolves explains every variance of a day, and has it accepted.
func (o *held) resolves(t *testing.T, day time.Time) {
	t.Helper()
	w, err := o.days.Day(t.Context(), o.fin, day)
	require.NoError(t, err)
	for i := range w.Variances {
		require.NoError(t, o.days.Step(t.Context(), o.fin, w.Variances[i].ID, &app.VarianceStep{Kind: reconcile.StepExplained, Note: "the provider says it counted twice"}))
		require.NoError(t, o.days.Step(t.Context(), o.cfo, w.Variances[i].ID, &app.VarianceStep{Kind: reconcile.StepAccepted, Note: "agreed", Seen: o.shown(t, w.Variances[i].ID)}))
	}
}

func codesOf(blocks []closing.Block) []string {
	codes := []string{}
	for _, b := range blocks {
		codes = append(codes, b.Code)
	}
	return codes
}

func figureOf(t *testing.T, s app.CloseStep, name string) string {
	t.Helper()
	for _, f := range s.Facts.Figures {
		if f.Name == name {
			return f.Value
		}
	}
	require.Fail(t, "no such figure", name)
	return ""
}

func (o *held) materiality(t *testing.T, m closing.Materiality) {
	t.Helper()
	change := o.propose(t, o.fin, app.AskMateriality(m, "as the auditors have it"))
	_, err := o.approveChange(t, o.fin, change)
	require.Error(t, err, "not one's own")
	_, err = o.approveChange(t, o.cfo, change)
	require.NoError(t, err)
}

// TestEveryDayIsFinalBeforeAMonthIsLocked: reported, with no variance open, and signed where
// the company asks for it.
func TestEveryDayIsFinalBeforeAMonthIsLocked(t *testing.T) {
	t.Parallel()
	o := holdOctober(t)
	step := o.step(t, o.october, closing.StepReconciled)
	require.Equal(t, closing.Blocked, step.State)
	require.Equal(t, []string{"day:2026-10-29", "day:2026-10-30", "day:2026-10-31"}, codesOf(step.Facts.Blocks))
	require.Contains(t, step.Facts.Asks, "28 days lie before")

	o.v.plant(t, map[string]any{"class": "fee", "occurred_at": o.day(1).Add(time.Hour), "cost_type": "code_execution", "amount_pico": 5_000_000_000_000})
	o.reconcile(t)
	step = o.step(t, o.october, closing.StepReconciled)
	require.Equal(t, []string{"day:2026-10-30"}, codesOf(step.Facts.Blocks), step.Facts.Blocks)
	require.Equal(t, "1", figureOf(t, step, "variances_open"))
	require.Equal(t, "5.000000000000", figureOf(t, step, "difference_usd"))
	require.Equal(t, "step_not_ready", codeOf(o.signs(t, o.fin, o.october, closing.StepReconciled, closing.Prepared, "x")))
	require.Contains(t, o.view(t, o.october).Blocks, closing.Block{Code: "day:2026-10-30", Text: "30 October has a variance that is not resolved.", Step: closing.StepReconciled})

	o.resolves(t, o.day(1))
	require.Equal(t, closing.Ready, o.step(t, o.october, closing.StepReconciled).State)
	o.materiality(t, closing.Materiality{Month: 50_00, Node: 10_00, DaysSigned: true})
	require.Len(t, o.step(t, o.october, closing.StepReconciled).Facts.Blocks, 3, "two sign each day now")
	for n := range 3 {
		w, err := o.days.Day(t.Context(), o.fin, o.day(n))
		require.NoError(t, err)
		require.NoError(t, o.days.SignOff(t.Context(), o.fin, o.day(n), w.Number, app.PartPreparer, "as shown"))
		require.NoError(t, o.days.SignOff(t.Context(), o.cfo, o.day(n), w.Number, app.PartReviewer, "as shown"))
	}
	require.Equal(t, "note_missing", codeOf(o.signs(t, o.fin, o.october, closing.StepReconciled, closing.Prepared, "")), "of the days before the source")
	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepReconciled, closing.Prepared, "held against the invoice"))
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
}

// TestWhatIsUnexplainedIsNotMaterial before a month is locked: neither in all nor at one node,
// and errors that offset one another do not hide.
func TestWhatIsUnexplainedIsNotMaterial(t *testing.T) {
	t.Parallel()
	o := holdOctober(t)
	o.spoil(t, 0, 1_600_000)
	o.spoil(t, 2, -1_600_000)
	o.reconcile(t)
	step := o.step(t, o.october, closing.StepUnexplained)
	require.Equal(t, "80.000000000000", figureOf(t, step, "unexplained_usd"), "forty dollars too much and forty too little")
	require.Equal(t, "CC-2", figureOf(t, step, "largest_node"))
	require.Equal(t, "80.000000000000", figureOf(t, step, "largest_node_usd"))
	require.Equal(t, []string{"unknown", "unknown"}, codesOf(step.Facts.Blocks))
	require.Equal(t, "0.000000000000", figureOf(t, o.step(t, o.october, closing.StepReconciled), "difference_usd"))

	o.resolves(t, o.day(0))
	step = o.step(t, o.october, closing.StepUnexplained)
	require.Equal(t, "40.000000000000", figureOf(t, step, "unexplained_usd"))
	require.Equal(t, "40.000000000000", figureOf(t, step, "explained_unknown_usd"))
	require.Equal(t, []string{"unknown"}, codesOf(step.Facts.Blocks), "below fifty in all, and above ten at a node")
	o.materiality(t, closing.Materiality{Month: 50_00, Node: 45_00})
	require.Empty(t, o.step(t, o.october, closing.StepUnexplained).Facts.Blocks)
	o.materiality(t, closing.Materiality{Month: 30_00, Node: 30_00})
	require.NotEmpty(t, o.step(t, o.october, closing.StepUnexplained).Facts.Blocks)

	o.resolves(t, o.day(2))
	step = o.step(t, o.october, closing.StepUnexplained)
	require.Empty(t, step.Facts.Blocks)
	require.Equal(t, "0.000000000000", figureOf(t, step, "unexplained_usd"))
	require.Contains(t, step.Facts.Asks, "explained as unknown", "eighty dollars, and thirty are material")
	second := o.person(t, o.one, app.RoleFinanceAdmin, "fin-2")
	for _, s := range []closing.Step{closing.StepPrices, closing.StepReconciled, closing.StepInvoice, closing.StepSuspense, closing.StepAccrual, closing.StepAllocation, closing.StepUnexplained} {
		require.NoError(t, o.signs(t, o.fin, o.october, s, closing.Prepared, "looked into"))
		if s == closing.StepUnexplained {
			require.Equal(t, "not_allowed", codeOf(o.signs(t, second, o.october, s, closing.Reviewed, "")), "the controller alone")
		}
		require.NoError(t, o.signs(t, o.cfo, o.october, s, closing.Reviewed, ""))
	}
	_, err := o.approvals.Propose(t.Context(), o.fin, app.AskWaiver(o.october, closing.StepUnexplained, "no"), "")
	require.Equal(t, "step_applies", codeOf(err), "and nobody leaves it out")
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))

	// What comes up of a locked month lets nobody close it, and takes no signature of the lock away.
	o.spoil(t, 1, 4_000_000)
	o.reconcile(t)
	require.Equal(t, closing.Done, o.states(t, o.october)[closing.StepUnexplained])
	require.Equal(t, "period_blocked", codeOf(o.shuts(t, o.october, period.StateClosed)))
	n, err := o.closing.Tend(t.Context(), o.one.tenant)
	require.NoError(t, err)
	require.Zero(t, n)
	o.resolves(t, o.day(1))
	require.NoError(t, o.shuts(t, o.october, period.StateClosed))
}
