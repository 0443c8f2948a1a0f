package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/app/period"
)

// lockOctober takes the month to locked.
func lockOctober(t *testing.T, o *office) {
	t.Helper()
	o.begin(t, o.october)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
}

// proposeClosed asks for a month to be closed as it stands.
func (o *office) proposeClosed(t *testing.T) error {
	t.Helper()
	_, err := o.approvals.Propose(t.Context(), o.fin, app.AskClose(o.october, period.StateClosed, "month end"), "")
	return err
}

// TestAMonthIsClosedWhenItsJournalHasArrived: every entry in a file that finance's own system
// took, with its id, and the general ledger saying the same or somebody saying why not.
func TestAMonthIsClosedWhenItsJournalHasArrived(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.mapsTo(t, o.one, "netsuite", netSuiteRules("period,period,2026-10,Oct 2026"))
	o.begin(t, o.october)
	require.Equal(t, closing.NotAsked, o.states(t, o.october)[closing.StepExported])
	require.Equal(t, "period_not_locked", codeOf(o.closing.Sign(t.Context(), o.fin, app.Signing{Month: o.october, Step: closing.StepExported, Part: closing.Prepared})))
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	require.Equal(t, "period_closed", codeOf(o.signs(t, o.fin, o.october, closing.StepUsage, closing.Prepared, "")), "what is before the lock stands")

	step := o.step(t, o.october, closing.StepExported)
	require.Equal(t, closing.Blocked, step.State)
	require.Equal(t, []string{"unexported"}, codesOf(step.Facts.Blocks))
	require.Equal(t, "period_blocked", codeOf(o.proposeClosed(t)))
	made, err := o.exports.Make(t.Context(), o.fin, "netsuite", o.october)
	require.NoError(t, err)
	step = o.step(t, o.october, closing.StepExported)
	require.Equal(t, []string{"unacknowledged"}, codesOf(step.Facts.Blocks))
	require.Equal(t, "0", figureOf(t, step, "entries_not_exported"))
	lines := []string{"external_id,erp_id,posted_on"}
	for i := range made {
		lines = append(lines, made[i].ExternalID+",JE-"+made[i].Entity+",2026-11-05")
	}
	flaws, err := o.exports.Acknowledge(t.Context(), o.fin, app.AcknowledgeAsk{System: "netsuite", File: []byte(strings.Join(lines, "\n"))})
	require.NoError(t, err)
	require.Empty(t, flaws)
	require.Equal(t, "note_missing", codeOf(o.signs(t, o.fin, o.october, closing.StepExported, closing.Prepared, "")), "nobody has seen the general ledger's figures")
	require.NoError(t, o.signs(t, o.fin, o.october, closing.StepExported, closing.Prepared, "seen in NetSuite"))

	o.actuals(t, "0.00")
	step = o.step(t, o.october, closing.StepExported)
	require.Equal(t, closing.Done, o.states(t, o.october)[closing.StepLock])
	require.Equal(t, closing.Signed, step.State, "no figure changed: all ties")
	require.Empty(t, step.Facts.Asks)
	o.actuals(t, "1.00")
	step = o.step(t, o.october, closing.StepExported)
	require.Equal(t, closing.Ready, step.State)
	require.True(t, step.Fell)
	require.Contains(t, step.Facts.Asks, "otherwise than was exported")
	n, err := o.closing.Tend(t.Context(), o.one.tenant)
	require.NoError(t, err)
	require.Equal(t, 1, n, "and it is noted of a locked month, too")
	require.Equal(t, "period_blocked", codeOf(o.proposeClosed(t)))
	require.NoError(t, o.shuts(t, o.october, period.StateClosed))
	view := o.view(t, o.october)
	require.Empty(t, view.Blocks)
	require.Equal(t, view.All, view.Over)
}

// actuals imports what the general ledger says: what was exported, and so much more.
func (o *office) actuals(t *testing.T, more string) {
	t.Helper()
	lines := o.text(t, `select string_agg(entity || ',' || account || ',2026-10,' || (d / 100.0)::numeric(20, 2) + case when n = 1 then $2::numeric else 0 end || ',' || (c / 100.0)::numeric(20, 2), E'\n' order by n)
		from (select row_number() over () as n, entity, account, sum(debit_cents) as d, sum(credit_cents) as c from journal_export_posting where tenant_id = $1 group by entity, account) s`, o.one.tenant, more)
	debit := o.text(t, `select ((sum(debit_cents) / 100.0)::numeric(20, 2) + $2::numeric)::text from journal_export_posting where tenant_id = $1`, o.one.tenant, more)
	credit := o.text(t, `select (sum(credit_cents) / 100.0)::numeric(20, 2)::text from journal_export_posting where tenant_id = $1`, o.one.tenant)
	flaws, err := o.exports.ImportActuals(t.Context(), o.fin, app.ActualsAsk{System: "netsuite", Month: o.october, File: []byte("entity,account,period,debit,credit\n" + lines), Debit: debit, Credit: credit})
	require.NoError(t, err)
	require.Empty(t, flaws)
}

// TestAMonthIsClosedWhenItsPacketHasArrived at everybody who is due it, or without it by a change.
func TestAMonthIsClosedWhenItsPacketHasArrived(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.recipient(t, o.fin, o.cfo, app.RecipientAsk{Kind: app.RecipientMail, Label: "board", Address: "board@one.test", Carries: app.CarriesArchive, Final: true})
	o.recipient(t, o.fin, o.cfo, app.RecipientAsk{Kind: app.RecipientMail, Label: "drafts", Address: "drafts@one.test", Carries: app.CarriesArchive, DraftDay: 3, DraftHour: 8})
	lockOctober(t, o)
	o.recipient(t, o.fin, o.cfo, app.RecipientAsk{Kind: app.RecipientMail, Label: "later", Address: "later@one.test", Carries: app.CarriesArchive, Final: true})
	o.signAll(t, o.october)
	step := o.step(t, o.october, closing.StepPacket)
	require.Equal(t, []closing.Block{{Code: "undelivered", Text: "The final packet has not been sent to board yet.", Step: closing.StepPacket}}, step.Facts.Blocks)
	require.Equal(t, "period_blocked", codeOf(o.proposeClosed(t)))

	require.Equal(t, "board 2026-10 FINAL1", o.scheduled(t, o.one))
	require.Contains(t, o.step(t, o.october, closing.StepPacket).Facts.Blocks[0].Text, "has not reached board")
	delivery, err := id.ParseDelivery("dlv_" + strings.ReplaceAll(o.text(t, `select delivery_id::text from packet_delivery where tenant_id = $1`, o.one.tenant), "-", ""))
	require.NoError(t, err)
	sent, err := o.packets.Begin(t.Context(), o.one.tenant, delivery, 1)
	require.NoError(t, err)
	_, err = o.packets.Finish(t.Context(), sent, notice.Outcome{Accepted: true})
	require.NoError(t, err)
	require.Equal(t, closing.Done, o.states(t, o.october)[closing.StepPacket])
	require.NoError(t, o.shuts(t, o.october, period.StateClosed))
}

// TestALockedMonthIsClosedWithoutAStepByAChangeAlone: of those that are asked for then.
func TestALockedMonthIsClosedWithoutAStepByAChangeAlone(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	lockOctober(t, o)
	require.Equal(t, "period_blocked", codeOf(o.proposeClosed(t)))
	_, err := o.approvals.Propose(t.Context(), o.fin, app.AskWaiver(o.october, closing.StepSuspense, "too late"), "")
	require.Equal(t, "digest_changed", codeOf(err), "it was asked for before the lock")
	_, err = o.approveChange(t, o.cfo, o.propose(t, o.fin, app.AskWaiver(o.october, closing.StepExported, "the books are kept by hand until January")))
	require.NoError(t, err)
	require.NoError(t, o.proposeClosed(t))
}
