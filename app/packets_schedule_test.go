package app_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/app/period"
)

// recipient proposes one as finance and decides about it as the controller.
func (h *house) recipient(t *testing.T, fin, cfo app.Actor, want app.RecipientAsk) {
	t.Helper()
	made, err := h.packets.AddRecipient(t.Context(), fin, want, "the close")
	require.NoError(t, err)
	_, err = h.approveChange(t, cfo, made.ChangeView)
	require.NoError(t, err)
}

func (h *house) scheduled(t *testing.T, c *company) string {
	t.Helper()
	_, err := h.packets.Schedule(t.Context(), c.tenant)
	require.NoError(t, err)
	return h.text(t, `select coalesce(string_agg(r.label || ' ' || to_char(p.month, 'YYYY-MM') || ' ' || p.state || p.revision || p.scope_code, ', ' order by d.delivery_id), '') from packet_delivery d
		join packet p using (tenant_id, packet_id) join packet_recipient r on r.tenant_id = d.tenant_id and r.recipient_id = d.recipient_id where d.tenant_id = $1`, c.tenant)
}

// TestDraftsGoAtTheirHourAndFinalsAtClose moves the clock over a day, a close and a reopening.
func TestDraftsGoAtTheirHourAndFinalsAtClose(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.twoMonths(t, h.one)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.recipient(t, fin, cfo, app.RecipientAsk{Kind: app.RecipientMail, Label: "drafts", Address: "a@one.test", Carries: app.CarriesLink, DraftDay: 3, DraftHour: 8})
	h.recipient(t, fin, cfo, app.RecipientAsk{Kind: app.RecipientMail, Label: "part", Address: "b@one.test", Carries: app.CarriesArchive, Scope: "CC-3", DraftDay: 3, DraftHour: 8, Final: true})
	const zone = "America/New_York"
	require.NoError(t, h.settings.SetProfile(t.Context(), h.one.who, app.Profile{Name: "Company one", TimeZone: zone, FiscalMonth: time.January}, "where they are"))
	require.Empty(t, h.scheduled(t, h.one), "November's day 3 was before they were recipients")
	h.clock.ns.Store(time.Date(2026, 12, 3, 7, 0, 0, 0, location(t, zone)).UnixNano())
	require.Empty(t, h.scheduled(t, h.one), "not yet")
	h.clock.ns.Store(time.Date(2026, 12, 3, 8, 0, 1, 0, location(t, zone)).UnixNano())
	want := "part 2026-11 DRAFT1CC-3, drafts 2026-11 DRAFT1"
	require.Equal(t, want, h.scheduled(t, h.one))
	h.flush(t, h.one, h.one.event(november(4), "CC-3", costs(250_000)))
	require.Equal(t, want, h.scheduled(t, h.one), "one draft a month")
	h.accrue(t, h.one)
	h.closed(t, h.one)
	want += ", part 2026-11 FINAL2CC-3"
	require.Equal(t, want, h.scheduled(t, h.one))
	require.Equal(t, want, h.scheduled(t, h.one))
	// Reopened, corrected and closed again: another revision, which says what changed.
	h.exec(t, `update period set state = 'open' where tenant_id = $1 and month = '2026-11-01'`, h.one.tenant)
	h.flush(t, h.one, h.one.event(november(5), "CC-3", costs(250_000)))
	require.Equal(t, want, h.scheduled(t, h.one), "it is no draft again")
	h.accrue(t, h.one)
	h.clock.add(time.Hour)
	h.closed(t, h.one)
	require.Equal(t, want+", part 2026-11 FINAL3CC-3", h.scheduled(t, h.one))
	require.Empty(t, h.scheduled(t, h.two), "the other company hears nothing")
}

// TestOneProposerDoesNotSilenceRecipients proposes more than may wait, and has many in the list that were
// never approved: who was approved is sent the packet, and is on the page.
func TestOneProposerDoesNotSilenceRecipients(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	want := app.RecipientAsk{Kind: app.RecipientMail, Label: "CFO", Address: "c@one.test", Carries: app.CarriesArchive, Final: true}
	o.recipient(t, o.fin, o.cfo, want)
	want.Label = "x"
	var made app.MadeRecipient
	for range 50 {
		var err error
		made, err = o.packets.AddRecipient(t.Context(), o.fin, want, "x")
		require.NoError(t, err)
		require.Equal(t, approval.StateProposed, made.State)
	}
	_, err := o.packets.AddRecipient(t.Context(), o.fin, want, "x")
	require.Equal(t, "recipients_waiting", codeOf(err))
	o.superuser(t, `insert into packet_recipient (tenant_id, recipient_id, kind, label, host, address_sealed, scope_code, carries, draft_hour, final, recorded_at, change_id)
		select tenant_id, ('ffffffff-ffff-7fff-bfff-' || lpad(n::text, 12, '0'))::uuid, kind, label, host, address_sealed, scope_code, carries, draft_hour, final, recorded_at, change_id
		from packet_recipient, generate_series(1, 600) n where change_id = $1`, made.ID)
	o.begin(t, o.october)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	require.Equal(t, "CFO 2026-10 FINAL1", o.scheduled(t, o.one))
	list, err := o.packets.Recipients(t.Context(), o.fin)
	require.NoError(t, err)
	require.Equal(t, "CFO", list[0].Label)
	require.True(t, list[0].Live)
	delivery, err := id.ParseDelivery(o.text(t, `select 'dlv_' || replace(delivery_id::text, '-', '') from packet_delivery`))
	require.NoError(t, err)
	d, err := o.packets.Begin(t.Context(), o.one.tenant, delivery, 1)
	require.NoError(t, err)
	require.Equal(t, "c@one.test", d.Mail.To)
}

// TestWhoDecidesSeesWhereAPacketGoes proposes recipients that differ by what only their sealed address says: who
// decides and who reads recipients see it, what is decided about covers it, and another address is sent nothing.
func TestWhoDecidesSeesWhereAPacketGoes(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	bucket := &app.StoreAddr{Endpoint: "https://s3.test", Bucket: "books", Prefix: "theirs", AccessKey: "AKIDMALLORY"}
	payloads := map[string]bool{}
	for _, c := range []struct {
		want  app.RecipientAsk
		shown []app.SealedFact
	}{
		{app.RecipientAsk{Kind: app.RecipientMail, Address: "cfo@mail.test", Carries: app.CarriesArchive}, []app.SealedFact{{Name: "Mailbox", Value: "cfo@mail.test"}}},
		{app.RecipientAsk{Kind: app.RecipientMail, Address: "mallory@mail.test", Carries: app.CarriesArchive}, []app.SealedFact{{Name: "Mailbox", Value: "mallory@mail.test"}}},
		{app.RecipientAsk{Kind: app.RecipientWebhook, Address: "https://hook.test/mallory", Carries: app.CarriesLink}, []app.SealedFact{{Name: "Address", Value: "https://hook.test/mallory"}}},
		{
			app.RecipientAsk{Kind: app.RecipientS3, Store: bucket, Secret: "unmistakable", Carries: app.CarriesArchive},
			[]app.SealedFact{{Name: "Endpoint", Value: "https://s3.test"}, {Name: "Bucket", Value: "books"}, {Name: "Prefix", Value: "theirs"}, {Name: "Access key", Value: "AKIDMALLORY"}},
		},
		{app.RecipientAsk{Kind: app.RecipientPerson, Member: o.cfo.Member.String(), Carries: app.CarriesLink}, nil},
	} {
		c.want.Label, c.want.Final = "CFO", true
		made, err := o.packets.AddRecipient(t.Context(), o.fin, c.want, "the close")
		require.NoError(t, err)
		shown, err := o.approvals.Case(t.Context(), o.cfo, made.ID)
		require.NoError(t, err)
		require.Equal(t, c.shown, shown.Sealed)
		list, err := o.packets.Recipients(t.Context(), o.fin)
		require.NoError(t, err)
		require.Equal(t, c.shown, list[0].Sealed)
		kept := regexp.MustCompile(`rcp_[0-9a-f]{32}`).ReplaceAllString(string(shown.Payload), "")
		require.False(t, payloads[kept], "another address is another digest")
		require.NotContains(t, kept+shown.Impact.Sentence, "mallory", "what is kept in the clear names no address")
		require.NotContains(t, kept, "unmistakable")
		payloads[kept] = true
	}
	analyst := o.fpa
	list, err := o.packets.Recipients(t.Context(), analyst)
	require.ErrorIs(t, err, app.ErrNotAllowed)
	require.Empty(t, list)

	// The sealed address of another recipient is put in its place: nobody decides about it, and nothing is sent.
	made, err := o.packets.AddRecipient(t.Context(), o.fin, app.RecipientAsk{Kind: app.RecipientMail, Label: "good", Address: "good@mail.test", Carries: app.CarriesLink, Final: true}, "x")
	require.NoError(t, err)
	swap := func(address string) {
		recipient := o.text(t, `select 'rcp_' || replace(recipient_id::text, '-', '') from packet_recipient where label = 'good'`)
		o.superuser(t, `update packet_recipient set address_sealed = $1 where label = 'good'`, o.ring.Seal("recipient-address", recipient, []byte(address)))
	}
	swap("mallory@mail.test")
	_, err = o.approveChange(t, o.cfo, made.ChangeView)
	require.Equal(t, "recipient_address_other", codeOf(err))
	swap("good@mail.test")
	_, err = o.approveChange(t, o.cfo, made.ChangeView)
	require.NoError(t, err)
	swap("mallory@mail.test")
	o.begin(t, o.october)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	require.Equal(t, "good 2026-10 FINAL1", o.scheduled(t, o.one))
	delivery, err := id.ParseDelivery(o.text(t, `select 'dlv_' || replace(delivery_id::text, '-', '') from packet_delivery`))
	require.NoError(t, err)
	d, err := o.packets.Begin(t.Context(), o.one.tenant, delivery, 1)
	require.NoError(t, err)
	require.Nil(t, d)
	require.Equal(t, "dropped The address that is kept is not the one that was decided on.", o.text(t, `select string_agg(state || ' ' || answer, ', ') from packet_step`))
}

// TestAFinalPacketGoesOnce locks a month and closes it later: no figure changed, and neither did the instant as of
// which it is read.
func TestAFinalPacketGoesOnce(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.recipient(t, o.fin, o.cfo, app.RecipientAsk{Kind: app.RecipientMail, Label: "CFO", Address: "c@one.test", Carries: app.CarriesArchive, Final: true})
	o.begin(t, o.october)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	require.Equal(t, "CFO 2026-10 FINAL1", o.scheduled(t, o.one))
	o.arrives(t, "CFO")
	o.clock.add(time.Hour)
	require.NoError(t, o.nodes.Create(t.Context(), o.one.who, []app.NewNode{{Code: "CC-9", Name: "Later", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"}}, o.clock.now(), "later"))
	o.clock.add(time.Hour)
	require.NoError(t, o.shuts(t, o.october, period.StateClosed))
	require.Equal(t, "CFO 2026-10 FINAL1", o.scheduled(t, o.one), "no figure changed")
	latest, fresh, err := o.packets.Build(t.Context(), o.one.who, o.october, "")
	require.NoError(t, err)
	require.False(t, fresh, "what comes after the lock is not its")
	_, files := o.archive(t, o.one.who, latest)
	require.NotContains(t, o.printed(t, files), "CC-9")
	// Reopened, corrected and locked again it is read as of the latest lock.
	o.clock.add(time.Hour)
	made := o.propose(t, o.fin, app.AskReopen(o.october, "late"))
	_, err = o.approveChange(t, o.cfo, made)
	require.NoError(t, err)
	o.signAll(t, o.october)
	o.clock.add(time.Hour)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	o.scheduled(t, o.one)
	latest, _, err = o.packets.Build(t.Context(), o.one.who, o.october, "")
	require.NoError(t, err)
	_, files = o.archive(t, o.one.who, latest)
	require.Contains(t, o.printed(t, files), "CC-9")
}

// arrives has the delivery to a recipient taken.
func (o *office) arrives(t *testing.T, label string) {
	t.Helper()
	delivery, err := id.ParseDelivery(o.text(t, `select 'dlv_' || replace(delivery_id::text, '-', '') from packet_delivery join packet_recipient using (tenant_id, recipient_id) where label = $1`, label))
	require.NoError(t, err)
	d, err := o.packets.Begin(t.Context(), o.one.tenant, delivery, 1)
	require.NoError(t, err)
	_, err = o.packets.Finish(t.Context(), d, notice.Outcome{Accepted: true, Answer: "taken"})
	require.NoError(t, err)
}

// TestAMessageAboutAPacketIsNoWitness takes a packet of a closed month to a system that is told of it, to who is
// sent the summary, and at last to who is sent the archive: they alone hold a signed head.
func TestAMessageAboutAPacketIsNoWitness(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	for _, want := range []app.RecipientAsk{
		{Kind: app.RecipientWebhook, Label: "system", Address: "https://hook.one.test/x", Carries: app.CarriesLink},
		{Kind: app.RecipientMail, Label: "summary", Address: "b@one.test", Carries: app.CarriesSummary},
		{Kind: app.RecipientMail, Label: "archive", Address: "c@one.test", Carries: app.CarriesArchive},
	} {
		want.Final = true
		o.recipient(t, o.fin, o.cfo, want)
	}
	o.begin(t, o.october)
	o.signAll(t, o.october)
	require.NoError(t, o.shuts(t, o.october, period.StateLocked))
	o.scheduled(t, o.one)
	for _, c := range []struct {
		label     string
		witnesses int64
	}{{"system", 0}, {"summary", 0}, {"archive", 1}} {
		o.arrives(t, c.label)
		require.Equal(t, c.witnesses, o.number(t, `select count(*) from audit_witness where kind = 'packet' and seen`), c.label)
	}
}

// TestACompanyHasFiftyRecipients decides about more than fifty that were proposed together.
func TestACompanyHasFiftyRecipients(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	want := app.RecipientAsk{Kind: app.RecipientMail, Label: "x", Address: "x@one.test", Carries: app.CarriesLink, Final: true}
	h.recipient(t, fin, cfo, want)
	var waiting []app.MadeRecipient
	for range 50 {
		made, err := h.packets.AddRecipient(t.Context(), fin, want, "x")
		require.NoError(t, err)
		waiting = append(waiting, made)
	}
	for i := range waiting {
		_, err := h.approveChange(t, cfo, waiting[i].ChangeView)
		if i < 49 {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, "recipients_many", codeOf(err))
	}
	_, err := h.packets.AddRecipient(t.Context(), fin, want, "x")
	require.Equal(t, "recipients_many", codeOf(err))
}

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	require.NoError(t, err)
	return zone
}

func TestWhoMayBeARecipient(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	owner := h.personAt(t, h.one, app.RoleBudgetOwner, "owner", "CC-3")
	developer := h.person(t, h.one, app.RoleDeveloper, "dev")
	ask := func(set func(*app.RecipientAsk)) error {
		want := app.RecipientAsk{Kind: app.RecipientMail, Label: "x", Address: "x@one.test", Carries: app.CarriesArchive, Final: true}
		set(&want)
		_, err := h.packets.AddRecipient(t.Context(), fin, want, "x")
		return err
	}
	for code, set := range map[string]func(*app.RecipientAsk){
		"recipient_label":    func(a *app.RecipientAsk) { a.Label = "" },
		"recipient_kind":     func(a *app.RecipientAsk) { a.Kind = "fax" },
		"recipient_carries":  func(a *app.RecipientAsk) { a.Carries = "all" },
		"recipient_schedule": func(a *app.RecipientAsk) { a.Final = false },
		"recipient_address":  func(a *app.RecipientAsk) { a.Address = "x@one.test\r\nBcc: y@one.test" },
		"scope_unknown":      func(a *app.RecipientAsk) { a.Scope = "NOWHERE" },
		"recipient_store": func(a *app.RecipientAsk) {
			a.Kind, a.Address, a.Store = app.RecipientS3, "", &app.StoreAddr{Endpoint: "https://s3.test", Bucket: "../x", AccessKey: "k"}
		},
		"recipient_member": func(a *app.RecipientAsk) {
			a.Kind, a.Address, a.Member = app.RecipientPerson, "", developer.Member.String()
		},
	} {
		require.Equal(t, code, fault.From(ask(set)).Code, code)
	}
	person := func(who app.Actor, scope string) func(*app.RecipientAsk) {
		return func(a *app.RecipientAsk) {
			a.Kind, a.Address, a.Member, a.Scope = app.RecipientPerson, "", who.Member.String(), scope
		}
	}
	require.Equal(t, "recipient_member", fault.From(ask(person(owner, ""))).Code, "an owner of a part is not sent the whole")
	require.NoError(t, ask(person(owner, "CC-3")))
	require.NoError(t, ask(person(cfo, "")))
	_, err := h.packets.AddRecipient(t.Context(), developer, app.RecipientAsk{}, "x")
	require.ErrorIs(t, err, app.ErrNotAllowed)
	sealed := h.text(t, `select string_agg(payload, ' ') from (select convert_from(payload, 'UTF8') as payload from change where tenant_id = $1 and kind = 'packet_recipient') c`, h.one.tenant)
	require.NotContains(t, sealed, "x@one.test", "no address is in a payload")

	// Send goes to who is of the packet's scope alone, and once.
	h.recipient(t, fin, cfo, app.RecipientAsk{Kind: app.RecipientMail, Label: "whole", Address: "w@one.test", Carries: app.CarriesLink, Final: true})
	h.twoMonths(t, h.one)
	whole, _ := h.packet(t, h.one, "")
	part, _ := h.packet(t, h.one, "CC-3")
	var recipient id.Recipient
	require.NoError(t, h.admin.QueryRow(`select recipient_id from packet_recipient where label = 'whole'`).Scan(&recipient))
	sent, err := h.packets.Send(t.Context(), fin, whole, recipient)
	require.NoError(t, err)
	require.True(t, sent)
	sent, err = h.packets.Send(t.Context(), fin, whole, recipient)
	require.NoError(t, err)
	require.False(t, sent, "the same packet is due once")
	_, err = h.packets.Send(t.Context(), fin, part, recipient)
	require.Equal(t, "recipient_scope", fault.From(err).Code)
}
