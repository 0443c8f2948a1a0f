package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
)

// reader admits somebody with an address, and signs them in.
func (h *house) reader(t *testing.T, c *company, role app.Role, subject string) app.Actor {
	t.Helper()
	want := app.NewMember{Issuer: "https://idp.test", Subject: subject, Name: strings.ToUpper(subject[:1]) + subject[1:], Email: subject + "@" + c.slug + ".test", Role: role}
	if role == app.RoleBudgetOwner {
		want.NodeCode = "BU-1"
	}
	_, err := h.members.Add(t.Context(), c.who, want, "fixture")
	require.NoError(t, err)
	return h.session(t, c, subject)
}

// mail is one attempt that was begun.
type mail struct {
	*app.Dispatch

	round int
}

// deliveries works what was asked to be told, as the workers do, and begins each delivery.
func (h *house) deliveries(t *testing.T) []mail {
	t.Helper()
	for _, args := range h.take(t, "notify_change") {
		tenant, err := id.ParseTenant(args["tenant"].(string))
		require.NoError(t, err)
		event, err := id.ParseRecord(args["record"].(string))
		require.NoError(t, err)
		require.NoError(t, h.told.Prepare(t.Context(), tenant, event))
		require.NoError(t, h.told.Prepare(t.Context(), tenant, event), "twice is once")
	}
	var list []mail
	for _, args := range h.take(t, "deliver_notice") {
		tenant, err := id.ParseTenant(args["tenant"].(string))
		require.NoError(t, err)
		delivery, err := id.ParseDelivery(args["delivery"].(string))
		require.NoError(t, err)
		round := int(args["round"].(float64))
		made, err := h.told.Begin(t.Context(), tenant, delivery, round)
		require.NoError(t, err)
		if made != nil {
			list = append(list, mail{made, round})
		}
	}
	return list
}

// take empties the queue of a kind.
func (h *house) take(t *testing.T, kind string) []map[string]any {
	t.Helper()
	rows, err := h.admin.Query(`with taken as (delete from river.river_job where kind = $1 returning id, args) select args from taken order by id`, kind)
	require.NoError(t, err)
	defer rows.Close()
	var list []map[string]any
	for rows.Next() {
		var text []byte
		var args map[string]any
		require.NoError(t, rows.Scan(&text))
		require.NoError(t, json.Unmarshal(text, &args))
		list = append(list, args)
	}
	require.NoError(t, rows.Err())
	return list
}

// mails delivers whatever is due and says who got what, as "purpose name", sorted.
func (h *house) mails(t *testing.T) []string {
	t.Helper()
	list := []string{}
	for _, m := range h.deliveries(t) {
		again, err := h.told.Finish(t.Context(), m.Dispatch, notice.Outcome{Accepted: true, Answer: "250 taken"})
		require.NoError(t, err)
		require.False(t, again)
		if m.Mail != nil {
			list = append(list, string(m.Mail.Purpose)+" "+m.Mail.ToName)
		}
	}
	slices.Sort(list)
	return list
}

// policies sets a company's policies at once, as the command line may not.
func (h *house) policies(t *testing.T, maker, checker app.Actor, document string) {
	t.Helper()
	made, err := h.approvals.Propose(t.Context(), maker, app.Ask{Kind: "policies", Payload: []byte(document), Reason: "how we decide"}, "")
	require.NoError(t, err)
	_, err = h.approvals.Decide(t.Context(), checker, made.ID, approval.VerdictApprove, made.Digest, "fine")
	require.NoError(t, err)
	h.mails(t)
}

func (h *house) discount(t *testing.T, who app.Actor, reason string) app.ChangeView {
	t.Helper()
	view, err := h.approvals.Propose(t.Context(), who, app.AskDiscount(500, time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC), reason), "")
	require.NoError(t, err)
	return view
}

func TestWhoIsAskedHearsAndWhoAskedDoesNot(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, ben := h.reader(t, h.one, app.RoleFinanceAdmin, "ada"), h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	h.reader(t, h.one, app.RoleController, "cleo")
	h.reader(t, h.one, app.RoleAnalyst, "dan")
	h.reader(t, h.two, app.RoleFinanceAdmin, "eve")
	h.mails(t)

	change := h.discount(t, ada, "a contract\r\nBcc: mallory@example.com")
	require.Equal(t, []string{"asked Ben", "asked Cleo"}, h.mails(t))

	require.NoError(t, h.approvals.Remark(t.Context(), ben, change.ID, app.RemarkQuestion, "since when?"))
	require.Equal(t, []string{"questioned Ada"}, h.mails(t))
	require.NoError(t, h.approvals.Remark(t.Context(), ada, change.ID, app.RemarkComment, "since Monday"))
	require.Equal(t, []string{"commented Ben"}, h.mails(t), "an answer reaches who asked")

	_, err := h.approvals.Decide(t.Context(), ben, change.ID, approval.VerdictApprove, change.Digest, "agreed")
	require.NoError(t, err)
	require.Equal(t, []string{"applied Ada"}, h.mails(t))
	require.Zero(t, h.number(t, `select count(*) from notice_delivery where tenant_id = $1`, h.two.tenant))
	require.Empty(t, h.mails(t))
}

func TestALetterSaysWhatIsAskedAndLeadsToThePage(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.reader(t, h.one, app.RoleFinanceAdmin, "ada")
	h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	h.mails(t)
	change := h.discount(t, ada, "a contract")
	list := h.deliveries(t)
	require.Len(t, list, 1)
	letter := list[0].Mail
	require.Equal(t, "ben@one.test", letter.To)
	require.Equal(t, []string{"Ben", "Ada", "the prices", "a contract", "Company one", "Approval"}, []string{letter.ToName, letter.Made, letter.Kind, letter.Reason, letter.Company, letter.Step})
	require.Equal(t, "https://tollbook.test/t/one/changes/"+change.ID.String(), letter.URL)
	require.Equal(t, change.Number, letter.Number)
	require.Equal(t, change.EffectiveFrom, letter.Effective)
	// What is kept names nobody.
	kept := h.text(t, `select convert_from(content, 'utf8') from notice_delivery`)
	for _, personal := range []string{"Ben", "Ada", "@", "contract"} {
		require.NotContains(t, kept, personal)
	}
}

func TestStepsAskOneAfterTheOtherAndEditsAskAnew(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, ben, cleo := h.reader(t, h.one, app.RoleFinanceAdmin, "ada"), h.reader(t, h.one, app.RoleFinanceAdmin, "ben"), h.reader(t, h.one, app.RoleController, "cleo")
	h.policies(t, ada, ben, `{"policies":[{"code":"two","kinds":["policies"],"steps":[{"name":"Finance","quorum":1,"who":[{"role":"finance_admin"}]},{"name":"Controller","quorum":1,"who":[{"role":"controller"}]}],"expire_days":30}]}`)
	propose := `{"policies":[{"code":"one","kinds":["prices"],"steps":[{"name":"Any","quorum":1,"who":[{"role":"finance_admin"}]}],"expire_days":30}]}`
	change, err := h.approvals.Propose(t.Context(), ada, app.Ask{Kind: "policies", Payload: []byte(propose), Reason: "simpler"}, "")
	require.NoError(t, err)
	require.Equal(t, []string{"asked Ben"}, h.mails(t))
	_, err = h.approvals.Decide(t.Context(), ben, change.ID, approval.VerdictApprove, change.Digest, "fine")
	require.NoError(t, err)
	require.Equal(t, []string{"asked Cleo"}, h.mails(t))
	edited, err := h.approvals.Revise(t.Context(), ada, change.ID, change.Digest, app.Ask{Payload: []byte(strings.Replace(propose, `"expire_days":30`, `"expire_days":20`, 1)), Reason: "shorter"})
	require.NoError(t, err)
	require.Equal(t, []string{"asked Ben"}, h.mails(t), "what was approved counts no more, so who approved is asked again")
	_, err = h.approvals.Decide(t.Context(), ben, change.ID, approval.VerdictApprove, edited.Digest, "still fine")
	require.NoError(t, err)
	_, err = h.approvals.Decide(t.Context(), cleo, change.ID, approval.VerdictReject, edited.Digest, "no")
	require.NoError(t, err)
	require.Equal(t, []string{"rejected Ada", "rejected Ben"}, h.mails(t), "cleo was asked, and decided before the mail left")
}

func TestWhoIsNotAskedAnyMoreGetsNothing(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, ben := h.reader(t, h.one, app.RoleFinanceAdmin, "ada"), h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	h.reader(t, h.one, app.RoleController, "cleo")
	owner := h.reader(t, h.one, app.RoleTenantOwner, "olga")
	h.mails(t)
	h.discount(t, ada, "a contract")
	for _, args := range h.take(t, "notify_change") {
		event, err := id.ParseRecord(args["record"].(string))
		require.NoError(t, err)
		require.NoError(t, h.told.Prepare(t.Context(), h.one.tenant, event))
	}
	require.EqualValues(t, 2, h.number(t, `select count(*) from notice_delivery`))
	_, err := h.members.Suspend(t.Context(), owner, ben.Member, "left")
	require.NoError(t, err)
	require.Equal(t, []string{"asked Cleo"}, h.mails(t))
	require.Equal(t, "The account cannot sign in any more.", h.text(t, `select answer from notice_step where state = 'dropped'`))
}

func TestEveryOwnerHearsOfIssuersAndCannotMuteIt(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.reader(t, h.one, app.RoleTenantOwner, "olga")
	other := h.reader(t, h.one, app.RoleTenantOwner, "otto")
	h.reader(t, h.two, app.RoleTenantOwner, "oona")
	h.reader(t, h.one, app.RoleFinanceAdmin, "ada")
	all := []string{"asked", "reminders", "remarks", "outcomes"}
	require.NoError(t, h.told.Mute(t.Context(), other, all))
	h.mails(t)
	require.NoError(t, h.signIns.SetIssuer(t.Context(), h.one.who, app.Issuer{Name: "New", URL: "https://new.test", ClientID: "x"}, "moving"))
	require.Equal(t, []string{"told Olga", "told Otto"}, h.mails(t))
	_ = owner
}

func TestBothSidesHearOfADelegationAndTheStandInIsAsked(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, ben := h.reader(t, h.one, app.RoleFinanceAdmin, "ada"), h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	h.reader(t, h.one, app.RoleBudgetOwner, "bob")
	h.mails(t)
	given, err := h.approvals.Delegate(t.Context(), ben, "bob@one.test", time.Time{}, h.clock.now().Add(72*time.Hour), "on leave")
	require.NoError(t, err)
	require.Equal(t, []string{"delegated Ben", "delegated Bob"}, h.mails(t))
	change := h.discount(t, ada, "a contract")
	list := h.deliveries(t)
	require.Len(t, list, 2)
	for _, m := range list {
		if m.Mail.ToName == "Bob" {
			require.Equal(t, []string{"Ben"}, m.Mail.For)
		} else {
			require.Empty(t, m.Mail.For)
		}
	}
	require.NoError(t, h.approvals.EndDelegation(t.Context(), ben, given, "back"))
	require.Equal(t, []string{"undelegated Ben", "undelegated Bob"}, h.mails(t))
	_, err = h.approvals.Decide(t.Context(), ben, change.ID, approval.VerdictApprove, change.Digest, "fine")
	require.NoError(t, err)
	require.Equal(t, []string{"applied Ada"}, h.mails(t))
}

func TestRemindersEscalationsAndExpiryAreTold(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, ben := h.reader(t, h.one, app.RoleFinanceAdmin, "ada"), h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	h.reader(t, h.one, app.RoleController, "cleo")
	h.policies(t, ada, ben, `{"policies":[{"code":"p","kinds":["*"],"steps":[{"name":"Finance","quorum":1,"who":[{"role":"finance_admin"}]}],"expire_days":5,"remind_days":1,"escalate_days":3,"escalate_to":[{"role":"controller"}]}]}`)
	h.discount(t, ada, "a contract")
	require.Equal(t, []string{"asked Ben"}, h.mails(t))
	h.clock.add(25 * time.Hour)
	require.NoError(t, h.approvals.Tend(t.Context(), h.one.tenant))
	require.Equal(t, []string{"reminded Ben"}, h.mails(t))
	require.NoError(t, h.told.Mute(t.Context(), h.session(t, h.one, "ben"), []string{"reminders"}))
	h.clock.add(48 * time.Hour)
	require.NoError(t, h.approvals.Tend(t.Context(), h.one.tenant))
	require.Equal(t, []string{"asked Cleo"}, h.mails(t), "whom the escalation asks anew, and who needs no reminder of it; Ben mutes his")
	h.clock.add(72 * time.Hour)
	require.NoError(t, h.approvals.Tend(t.Context(), h.one.tenant))
	require.Equal(t, []string{"expired Ada"}, h.mails(t))
}

func TestWhatARuleLetsThroughTellsNobody(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.reader(t, h.one, app.RoleFinanceAdmin, "ada")
	_, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "x", CostCenter: "CC-1"}, "x")
	require.NoError(t, err)
	require.Empty(t, h.mails(t))
	require.Zero(t, h.number(t, `select count(*) from notice_delivery`))
}

// TestOneAttemptAtATime has many workers take one delivery.
func TestOneAttemptAtATime(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.reader(t, h.one, app.RoleFinanceAdmin, "ada")
	h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	h.mails(t)
	h.discount(t, ada, "a contract")
	event, err := id.ParseRecord(h.take(t, "notify_change")[0]["record"].(string))
	require.NoError(t, err)
	require.NoError(t, h.told.Prepare(t.Context(), h.one.tenant, event))
	delivery, err := id.ParseDelivery(h.text(t, `select delivery_id from notice_delivery`))
	require.NoError(t, err)
	var group sync.WaitGroup
	made := make([]*app.Dispatch, 8)
	for i := range made {
		group.Go(func() { made[i], _ = h.told.Begin(t.Context(), h.one.tenant, delivery, 1) })
	}
	group.Wait()
	made = slices.DeleteFunc(made, func(d *app.Dispatch) bool { return d == nil })
	require.Len(t, made, 1)
	_, err = h.told.Begin(t.Context(), h.one.tenant, delivery, 1)
	require.ErrorIs(t, err, app.ErrUnderWay)

	// Its process dies: after a while another takes it up, and says that it may arrive twice.
	h.clock.add(2 * notice.AttemptWithin)
	again, err := h.told.Begin(t.Context(), h.one.tenant, delivery, 1)
	require.NoError(t, err)
	require.NotNil(t, again)
	require.Equal(t, "attempted,interrupted,attempted", h.text(t, `select string_agg(state, ',' order by place) from notice_step`))
	_, err = h.told.Finish(t.Context(), made[0], notice.Outcome{Accepted: true})
	require.ErrorIs(t, err, app.ErrUnderWay, "who comes back from the dead finds its place taken")
	_, err = h.told.Finish(t.Context(), again, notice.Outcome{Accepted: true, Answer: "250 queued for BEN@one.test\r\nX: y"})
	require.NoError(t, err)
	require.Equal(t, "250 queued for the address  X: y", h.text(t, `select answer from notice_step where state = 'accepted'`))
	nothing, err := h.told.Begin(t.Context(), h.one.tenant, delivery, 1)
	require.NoError(t, err)
	require.Nil(t, nothing, "what was taken is not sent again")
}

func TestADeliveryIsGivenUpAndSentAgainByAPersonWhoMay(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, ben := h.reader(t, h.one, app.RoleFinanceAdmin, "ada"), h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	analyst := h.reader(t, h.one, app.RoleAnalyst, "dan")
	stranger := h.reader(t, h.two, app.RoleFinanceAdmin, "eve")
	h.mails(t)
	h.discount(t, ada, "a contract")
	first := h.deliveries(t)[0]
	again, err := h.told.Finish(t.Context(), first.Dispatch, notice.Outcome{Answer: "451 later"})
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, "delivery_waits", fault.From(h.told.Resend(t.Context(), ada, first.Delivery)).Code)
	tries := 1
	for ; ; tries++ {
		next, err := h.told.Begin(t.Context(), h.one.tenant, first.Delivery, 1)
		require.NoError(t, err)
		again, err = h.told.Finish(t.Context(), next, notice.Outcome{Answer: "451 later"})
		require.NoError(t, err)
		if !again {
			break
		}
	}
	require.Equal(t, notice.MaxTries, tries+1)
	require.ErrorIs(t, h.told.Resend(t.Context(), analyst, first.Delivery), app.ErrNotAllowed)
	require.Equal(t, "delivery_absent", fault.From(h.told.Resend(t.Context(), stranger, first.Delivery)).Code)
	require.NoError(t, h.told.Resend(t.Context(), ada, first.Delivery))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "notice.resent"))
	require.Equal(t, []string{"asked Ben"}, h.mails(t))
	page, err := h.told.Deliveries(t.Context(), ben, app.DeliveryAsk{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	row := page.Rows[0]
	require.Equal(t, []any{notice.Accepted, "250 taken", notice.MaxTries + 1, "Ben", true}, []any{row.State, row.Answer, row.Tries, row.To.Name, row.Sendable})
	for state, want := range map[string]int{"": 1, "accepted": 1, "waiting": 0, "given_up": 0} {
		page, err = h.told.Deliveries(t.Context(), ada, app.DeliveryAsk{State: state, Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Rows, want, state)
	}
	_, err = h.told.Deliveries(t.Context(), ada, app.DeliveryAsk{State: "landed"})
	require.Equal(t, "state_unknown", fault.From(err).Code)
	_, err = h.told.Deliveries(t.Context(), analyst, app.DeliveryAsk{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	page, err = h.told.Deliveries(t.Context(), stranger, app.DeliveryAsk{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, page.Rows)
}

func TestMutesAreAPersonsOwnChangeAndNoMore(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.reader(t, h.one, app.RoleFinanceAdmin, "ada")
	ben := h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	h.mails(t)
	require.NoError(t, h.told.Mute(t.Context(), ben, []string{"outcomes", "asked", "asked"}))
	topics, err := h.told.Muted(t.Context(), ben)
	require.NoError(t, err)
	require.Equal(t, []notice.Topic{notice.TopicAsked, notice.TopicOutcomes}, topics)
	require.NoError(t, h.told.Mute(t.Context(), ben, []string{"asked", "outcomes"}))
	require.EqualValues(t, 1, h.number(t, `select count(*) from change where kind = 'notice_mutes'`), "the same again is no change")
	require.Equal(t, "topic_unknown", fault.From(h.told.Mute(t.Context(), ben, []string{"told"})).Code)
	h.discount(t, ada, "a contract")
	require.Empty(t, h.mails(t))
	require.NoError(t, h.told.Mute(t.Context(), ben, nil))
	topics, err = h.told.Muted(t.Context(), ben)
	require.NoError(t, err)
	require.Empty(t, topics)
}

func TestAChannelIsToldWithoutNamesAndItsAddressIsKeptFromEveryRecord(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.reader(t, h.one, app.RoleFinanceAdmin, "ada")
	h.reader(t, h.one, app.RoleFinanceAdmin, "ben")
	owner := h.reader(t, h.one, app.RoleTenantOwner, "olga")
	const address = "https://hooks.example.com/services/T0/s3cr3tpath"
	made, err := h.told.AddChannel(t.Context(), owner, notice.Webhook, "Finance", address, "so that finance sees it")
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, made.State)
	require.True(t, strings.HasPrefix(made.Secret.Reveal(), "whsec_"))
	_, err = h.told.AddChannel(t.Context(), owner, notice.Slack, "Slack", address+"2", "x")
	require.NoError(t, err)
	h.mails(t)
	for _, table := range h.tables(t) {
		rows := h.text(t, fmt.Sprintf(`select string_agg(r::text, ' ') from %s r`, table))
		require.NotContains(t, rows, "s3cr3tpath", table)
		require.NotContains(t, rows, made.Secret.Reveal(), table)
	}
	require.Zero(t, h.number(t, `select count(*) from audit_record where position('s3cr3tpath'::bytea in canonical) > 0`))

	change := h.discount(t, ada, "a contract with Ada")
	posts := map[notice.ChannelKind]*app.Post{}
	for _, m := range h.deliveries(t) {
		if m.Post != nil {
			posts[m.Post.Kind] = m.Post
		}
	}
	require.Len(t, posts, 2)
	hook := posts[notice.Webhook]
	require.Equal(t, []string{address, made.Secret.Reveal()}, []string{hook.URL.Reveal(), hook.Secret.Reveal()})
	var body struct {
		Type string
		Data map[string]any
	}
	require.NoError(t, json.Unmarshal(hook.Body, &body))
	require.Equal(t, "change.proposed", body.Type)
	require.Equal(t, change.ID.String(), body.Data["change"])
	require.Equal(t, "https://tollbook.test/t/one/changes/"+change.ID.String(), body.Data["url"])
	require.Contains(t, string(posts[notice.Slack].Body), fmt.Sprintf("Change %d (the prices", change.Number))
	for _, post := range posts {
		require.NotContains(t, string(post.Body), "Ada")
		require.NotContains(t, string(post.Body), "contract")
	}

	channels, err := h.told.Channels(t.Context(), owner)
	require.NoError(t, err)
	require.Len(t, channels, 2)
	_, err = h.told.EndChannel(t.Context(), owner, channels[0].ID, "enough")
	require.NoError(t, err)
	require.Equal(t, "channel_absent", fault.From(h.told.TestChannel(t.Context(), owner, channels[0].ID)).Code)
	require.NoError(t, h.told.TestChannel(t.Context(), owner, channels[1].ID))
	require.ErrorIs(t, h.told.TestChannel(t.Context(), ada, channels[1].ID), app.ErrNotAllowed)
	require.Equal(t, "channel_absent", fault.From(h.told.TestChannel(t.Context(), h.reader(t, h.two, app.RoleTenantOwner, "oona"), channels[1].ID)).Code)
	var tests int
	for _, m := range h.deliveries(t) {
		if m.Post != nil && strings.Contains(string(m.Post.Body), "change.tested") {
			tests++
		}
	}
	require.Equal(t, 1, tests)
}

func TestAChannelIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner, ada := h.reader(t, h.one, app.RoleTenantOwner, "olga"), h.reader(t, h.one, app.RoleFinanceAdmin, "ada")
	before := h.contents(t)
	for _, bad := range []string{"", "http://hooks.example.com/x", "http://127.0.0.1/x", "ftp://x", "https://user:pass@x.test/", "https://", "https://x.test/#a", "//x.test", "https://" + strings.Repeat("x", 1000)} {
		_, err := h.told.AddChannel(t.Context(), owner, notice.Slack, "x", bad, "x")
		require.Equal(t, "channel_url", fault.From(err).Code, bad)
	}
	for label, code := range map[string]string{"": "channel_label", "a\r\nb": "channel_label", strings.Repeat("x", 81): "channel_label"} {
		_, err := h.told.AddChannel(t.Context(), owner, notice.Webhook, label, "https://x.test/", "x")
		require.Equal(t, code, fault.From(err).Code)
	}
	_, err := h.told.AddChannel(t.Context(), owner, "pigeon", "x", "https://x.test/", "x")
	require.Equal(t, "channel_kind", fault.From(err).Code)
	_, err = h.told.AddChannel(t.Context(), ada, notice.Slack, "x", "https://x.test/", "x")
	require.ErrorIs(t, err, app.ErrNotAllowed)
	require.Equal(t, before, h.contents(t))
	for i := range 10 {
		_, err := h.told.AddChannel(t.Context(), owner, notice.Slack, strconv.Itoa(i), "https://x.test/", "x")
		require.NoError(t, err)
	}
	_, err = h.told.AddChannel(t.Context(), owner, notice.Slack, "one more", "https://x.test/", "x")
	require.Equal(t, "channels_many", fault.From(err).Code)
}
