package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/period"
)

// TestACompanyThatWasLetGoSendsNoPackets leaves one on its way, one that is to be made again and
// one that was asked for behind: all end, and the recipients' addresses and secrets go.
func TestACompanyThatWasLetGoSendsNoPackets(t *testing.T) {
	t.Parallel()
	h := build(t)
	mine := h.inhabit(t, h.one)
	h.twoMonths(t, h.one)
	for _, want := range []app.RecipientAsk{
		{Kind: app.RecipientWebhook, Label: "hook", Address: "https://hook.one.test/x", Carries: app.CarriesLink, DraftDay: 3, Final: true},
		{Kind: app.RecipientPerson, Label: "cfo", Member: mine.cfo.Member.String(), Carries: app.CarriesLink, DraftDay: 3},
	} {
		h.recipient(t, mine.fin, mine.cfo, want)
	}
	theirs := h.inhabit(t, h.two)
	h.recipient(t, theirs.fin, theirs.cfo, app.RecipientAsk{Kind: app.RecipientWebhook, Label: "theirs", Address: "https://hook.two.test/x", Carries: app.CarriesLink, Final: true})
	made, _ := h.packet(t, h.one, "")
	recipient, err := id.ParseRecipient(h.text(t, `select 'rcp_' || replace(recipient_id::text, '-', '') from packet_recipient where label = 'hook'`))
	require.NoError(t, err)
	_, err = h.packets.Send(t.Context(), mine.fin, made, recipient)
	require.NoError(t, err)
	delivery, err := id.ParseDelivery(h.text(t, `select 'dlv_' || replace(delivery_id::text, '-', '') from packet_delivery`))
	require.NoError(t, err)
	ask, err := h.packets.Ask(t.Context(), mine.fin, period.MonthOf(november(1)), "CC-1")
	require.NoError(t, err)
	h.handedOver(t, h.one)
	_, err = h.approveChange(t, mine.cfo, h.propose(t, mine.owner, app.AskOffboarding("one", "", "the contract ended")))
	require.NoError(t, err)

	const sealed = `select count(*) from packet_recipient where tenant_id = $1 and (length(secret_sealed) > 0 or length(address_sealed) > 0)`
	require.Zero(t, h.number(t, sealed, h.one.tenant))
	require.EqualValues(t, 1, h.number(t, sealed, h.two.tenant), "nothing of the other company")
	require.ErrorContains(t, h.asApp(t, h.two.tenant, `update packet_recipient set secret_sealed = '' where tenant_id = $1`), "42501")

	h.clock.ns.Store(time.Date(2026, 12, 4, 8, 0, 0, 0, time.UTC).UnixNano())
	sent, err := h.packets.Schedule(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Zero(t, sent)
	d, err := h.packets.Begin(t.Context(), h.one.tenant, delivery, 1)
	require.NoError(t, err)
	require.Nil(t, d)
	require.Equal(t, "dropped The company was offboarded.", h.text(t, `select string_agg(state || ' ' || answer, ', ') from packet_step`))
	require.ErrorIs(t, h.packets.Resend(t.Context(), mine.fin, delivery), app.ErrTenantOffboarded)
	_, err = h.packets.Send(t.Context(), mine.fin, made, recipient)
	require.ErrorIs(t, err, app.ErrTenantOffboarded)
	_, err = h.packets.Ask(t.Context(), mine.fin, period.MonthOf(november(1)), "")
	require.ErrorIs(t, err, app.ErrTenantOffboarded)
	require.NoError(t, h.packets.BuildAsked(t.Context(), h.one.tenant, ask))
	require.Equal(t, "1 This company was offboarded", h.text(t, `select (select count(*) from packet where tenant_id = $1) || ' ' || left(why, 27) from packet_ask_end`, h.one.tenant))
	require.NoError(t, h.audit.Tick(t.Context(), "x"))
	require.Equal(t, [2]int64{0, 1}, [2]int64{h.jobs(t, "schedule_packets", h.one.tenant), h.jobs(t, "schedule_packets", h.two.tenant)})
}
