package app_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/dispute"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
)

// quarrel is a company with two owners of budgets, who disagree about November.
type quarrel struct {
	*house

	fin, cfo, owner, receiver app.Actor
	november                  period.Month
	events                    []usage.Event // four of CC-1, the last in October
}

func openQuarrel(t *testing.T) *quarrel {
	t.Helper()
	h := build(t)
	q := &quarrel{house: h, fin: h.person(t, h.one, app.RoleFinanceAdmin, "fin"), cfo: h.person(t, h.one, app.RoleController, "cfo"), november: period.MonthOf(november(1))}
	q.owner = h.reader(t, h.one, app.RoleBudgetOwner, "marcus")
	q.receiver = h.personAt(t, h.one, app.RoleBudgetOwner, "olga", "BU-2")
	for _, c := range []*company{h.one, h.two} {
		list := []usage.Event{c.event(november(1), "CC-1"), c.event(november(2), "CC-1", costs(12_345)), c.event(november(3), "CC-2")}
		h.flush(t, c, list...)
		if c == h.one {
			q.events = list
		}
	}
	return q
}

func (q *quarrel) claim(code, to string) app.NewDispute {
	return app.NewDispute{Month: q.november, Node: code, To: to, Reason: "they run in our name"}
}

func (q *quarrel) raise(t testing.TB, who app.Actor, n app.NewDispute) id.Dispute {
	t.Helper()
	made, err := q.disputes.Raise(t.Context(), who, n)
	require.NoError(t, err)
	return made
}

func (q *quarrel) at(t testing.TB, who app.Actor, of id.Dispute) app.DisputeCase {
	t.Helper()
	c, err := q.disputes.Dispute(t.Context(), who, of)
	require.NoError(t, err)
	return c
}

func (q *quarrel) answer(t testing.TB, who app.Actor, of id.Dispute, kind dispute.Kind) error {
	t.Helper()
	return q.disputes.Answer(t.Context(), who, of, kind, "as it is")
}

func (q *quarrel) decide(t testing.TB, who app.Actor, of id.Dispute, kind dispute.Kind) error {
	t.Helper()
	return q.disputes.Decide(t.Context(), who, of, kind, "as agreed")
}

func TestADisputeEndsWithTheChangeThatMovesItsCharges(t *testing.T) {
	t.Parallel()
	q := openQuarrel(t)
	q.take(t, "notify_change")
	look, err := q.disputes.Look(t.Context(), q.owner, q.claim("CC-1", "CC-3"))
	require.NoError(t, err)
	require.Equal(t, []any{2, 2, "0.063380000000", "olga"}, []any{look.Count, look.Moves, look.Amount.String(), look.Answers})
	made := q.raise(t, q.owner, q.claim("CC-1", "CC-3"))
	c := q.at(t, q.receiver, made)
	require.Equal(t, []any{dispute.StateOpen, dispute.WaitsOwner, "olga", "CC-1", "CC-3", 2, look.Amount.String(), int64(1)}, []any{c.State, c.Waits, c.WaitsFor, c.NodeCode, c.ToCode, c.Requests, c.Amount.String(), c.Number})
	require.True(t, c.CanAnswer)
	require.False(t, c.CanTake || c.CanKeep || c.CanPropose)
	require.True(t, q.at(t, q.owner, made).CanTake)
	require.Equal(t, "dispute_not_receiver", codeOf(q.answer(t, q.fin, made, dispute.Accepted)), "finance answers in nobody's place")
	require.Equal(t, "dispute_not_yours", codeOf(q.answer(t, q.receiver, made, dispute.Withdrawn)))
	q.clock.add(49 * time.Hour)
	require.NoError(t, q.answer(t, q.receiver, made, dispute.Accepted))
	c = q.at(t, q.fin, made)
	require.Equal(t, []any{dispute.StateAccepted, dispute.WaitsFinance, 2, 0}, []any{c.State, c.Waits, c.AgeDays, c.WaitDays})
	require.True(t, c.CanPropose && c.CanKeep)
	require.Equal(t, []string{"answered Marcus"}, q.mails(t))
	require.Equal(t, "not_allowed", codeOf(q.decide(t, q.cfo, made, dispute.Proposed)), "the controller decides, and does not propose")
	require.NoError(t, q.decide(t, q.fin, made, dispute.Proposed))
	c = q.at(t, q.fin, made)
	require.Equal(t, []any{dispute.StateProposed, dispute.WaitsApprover, approval.StateProposed}, []any{c.State, c.Waits, c.Change.State})
	require.Equal(t, "dispute_under_way", codeOf(q.decide(t, q.fin, made, dispute.Kept)))
	q.mails(t)
	_, err = q.approveChange(t, q.cfo, c.Change)
	require.NoError(t, err)
	c = q.at(t, q.owner, made)
	require.Equal(t, dispute.StateMoved, c.State)
	require.Equal(t, c.Amount.String(), c.AmountNow.String())
	require.Contains(t, q.mails(t), "applied Marcus", "the parties hear what became of it")
	q.proved(t, q.one)
	sum := q.chargeback(t, q.one.who, q.november, "node")
	moved := row(t, sum, "CC-3")
	require.Equal(t, c.Amount.String(), moved.Actual.String())
	require.Equal(t, "dispute_ended", codeOf(q.decide(t, q.fin, made, dispute.Kept)))
	require.Zero(t, q.number(t, `select count(*) from dispute where tenant_id = $1`, q.two.tenant))
	_, err = q.disputes.Dispute(t.Context(), q.person(t, q.two, app.RoleFinanceAdmin, "their-fin"), made)
	require.Equal(t, "dispute_absent", codeOf(err))
}

func TestADisputeWhoseChangeIsRejectedStandsWhereItStood(t *testing.T) {
	t.Parallel()
	q := openQuarrel(t)
	made := q.raise(t, q.owner, q.claim("CC-1", "CC-3"))
	require.NoError(t, q.answer(t, q.receiver, made, dispute.Accepted))
	require.NoError(t, q.decide(t, q.fin, made, dispute.Proposed))
	_, err := q.ruleFor(t, q.cfo, q.at(t, q.fin, made).Change, approval.VerdictReject, id.Member{})
	require.NoError(t, err)
	require.Equal(t, dispute.StateAccepted, q.at(t, q.fin, made).State)
	require.NoError(t, q.decide(t, q.fin, made, dispute.Proposed), "it may be proposed again")
	_, err = q.approveChange(t, q.cfo, q.at(t, q.fin, made).Change)
	require.NoError(t, err)
	require.Equal(t, dispute.StateMoved, q.at(t, q.fin, made).State)
}

func TestHowADisputeEndsWithoutMoving(t *testing.T) {
	t.Parallel()
	q := openQuarrel(t)
	declined := q.raise(t, q.owner, q.claim("CC-1", "CC-3"))
	_, err := q.disputes.Raise(t.Context(), q.owner, q.claim("CC-1", "BU-2"))
	require.Equal(t, "dispute_twice", codeOf(err))
	require.NoError(t, q.answer(t, q.receiver, declined, dispute.Declined))
	require.Equal(t, "dispute_ended", codeOf(q.answer(t, q.receiver, declined, dispute.Accepted)))
	withdrawn := q.raise(t, q.owner, q.claim("CC-1", "CC-3"))
	require.NoError(t, q.answer(t, q.owner, withdrawn, dispute.Withdrawn))
	kept := q.raise(t, q.owner, q.claim("CC-2", "CC-3"))
	require.NoError(t, q.decide(t, q.cfo, kept, dispute.Kept))
	page, err := q.disputes.List(t.Context(), q.fin, app.DisputeQuery{})
	require.NoError(t, err)
	var states []string
	for i := range page.Disputes {
		states = append(states, fmt.Sprintf("%d %s", page.Disputes[i].Number, page.Disputes[i].State))
	}
	require.Equal(t, []string{"3 kept", "2 withdrawn", "1 declined"}, states)
	page, err = q.disputes.List(t.Context(), q.fin, app.DisputeQuery{State: app.DisputeStanding, Month: q.november})
	require.NoError(t, err)
	require.Empty(t, page.Disputes)
	page, err = q.disputes.List(t.Context(), q.fin, app.DisputeQuery{Limit: 2})
	require.NoError(t, err)
	require.EqualValues(t, 2, page.Next)
	lies := q.lying(t, "CC-3")
	require.Zero(t, lies.Sign(), "nothing moved")
}

func TestDisputesThatAreRefused(t *testing.T) {
	t.Parallel()
	q := openQuarrel(t)
	october := q.november.Previous()
	late := q.one.event(in(october, 30), "CC-1")
	q.flush(t, q.one, late)
	for name, c := range map[string]struct {
		who  app.Actor
		n    app.NewDispute
		code string
	}{
		"not their node":      {q.receiver, q.claim("CC-1", "CC-3"), "node_absent"},
		"no such node":        {q.owner, q.claim("CC-1", "CC-9"), "node_absent"},
		"to suspense":         {q.owner, q.claim("CC-1", "SUSPENSE"), "node_absent"},
		"to nowhere":          {q.owner, q.claim("CC-1", ""), "node_absent"},
		"both are theirs":     {q.owner, q.claim("CC-1", "CC-2"), "dispute_own"},
		"no reason":           {q.owner, app.NewDispute{Month: q.november, Node: "CC-1", To: "CC-3"}, "dispute_reason"},
		"nothing matches":     {q.owner, app.NewDispute{Month: q.november, Node: "CC-1", To: "CC-3", Model: "none", Reason: "x"}, "retag_none"},
		"another month's":     {q.owner, app.NewDispute{Month: q.november, Node: "CC-1", To: "CC-3", Requests: []id.Event{late.ID}, Reason: "x"}, "dispute_month"},
		"another node's":      {q.owner, app.NewDispute{Month: q.november, Node: "CC-1", To: "CC-3", Requests: []id.Event{q.events[2].ID}, Reason: "x"}, "dispute_outside"},
		"others than seen":    {q.owner, app.NewDispute{Month: q.november, Node: "CC-1", To: "CC-3", Reason: "x", Seen: "00"}, "retag_seen"},
		"of those who build":  {q.person(t, q.one, app.RoleEngineeringAdmin, "eng"), q.claim("CC-1", "CC-3"), "not_allowed"},
		"of those who audit":  {q.person(t, q.one, app.RoleAuditor, "aud"), q.claim("CC-1", "CC-3"), "not_allowed"},
		"of those who decide": {q.cfo, q.claim("CC-1", "CC-3"), "not_allowed"},
		"of a token":          {q.member(t, q.one, app.RoleFinanceAdmin, ""), q.claim("CC-1", "CC-3"), "tokens_never_decide"},
	} {
		_, err := q.disputes.Raise(t.Context(), c.who, c.n)
		require.Equal(t, c.code, codeOf(err), name)
	}
	q.lock(t, q.one, october)
	_, err := q.disputes.Raise(t.Context(), q.owner, app.NewDispute{Month: october, Node: "CC-1", To: "CC-3", Reason: "x"})
	require.Equal(t, "period_closed", codeOf(err))
	require.Zero(t, q.number(t, `select count(*) from dispute`))
	made := q.raise(t, q.fin, q.claim("CC-1", "CC-3"))
	require.Equal(t, "maker_is_checker", codeOf(q.decide(t, q.fin, made, dispute.Kept)), "who raised it does not decide it")
	for _, role := range []app.Role{app.RoleDeveloper, app.RoleEngineeringAdmin} {
		_, err := q.disputes.Dispute(t.Context(), q.person(t, q.one, role, "reads-"+string(role)), made)
		require.Equal(t, "not_allowed", codeOf(err), role)
	}
	_, err = q.disputes.Dispute(t.Context(), q.personAt(t, q.one, app.RoleBudgetOwner, "project", "P-1"), made)
	require.Equal(t, "dispute_absent", codeOf(err), "neither node is theirs")
	_, err = q.disputes.List(t.Context(), q.fin, app.DisputeQuery{State: "shelved"})
	require.Equal(t, "dispute_state_unknown", codeOf(err))
	_, err = app.ParseRequests("evt_nothing")
	require.Equal(t, "id_syntax", codeOf(err))
	list, err := app.ParseRequests(q.events[0].ID.String() + ",\n " + q.events[1].ID.String())
	require.NoError(t, err)
	require.Len(t, list, 2)
}

// TestADisputeIsOfWhatItsChangeMoves disputes any requests, some of them split or moved before,
// and compares its amount with what the change moves, and with what lies there afterwards.
func TestADisputeIsOfWhatItsChangeMoves(t *testing.T) {
	t.Parallel()
	q := openQuarrel(t)
	dice := rand.New(rand.NewPCG(3, 5))
	var events []usage.Event
	for i := range 40 {
		events = append(events, q.one.event(november(1+i%9).Add(time.Duration(i)*time.Minute), []string{"CC-1", "P-1", "CC-2"}[i%3], func(e *usage.Event) {
			e.Counts.Tokens = usage.Tokens{dice.Int64N(10_000), dice.Int64N(3000), dice.Int64N(777), dice.Int64N(13), dice.Int64N(100_001)}
			e.Counts.WebSearches = dice.Int64N(3)
			if i%4 == 0 {
				e.Shares = []usage.Share{{Placement: q.one.places["CC-1"], PPM: 333_333}, {Placement: q.one.places["CC-2"], PPM: 666_667}}
			}
		}))
	}
	q.flush(t, q.one, events...)
	for round := range 6 {
		var some []id.Event
		for i := range events {
			if dice.IntN(4) == 0 {
				some = append(some, events[i].ID)
			}
		}
		claim := app.NewDispute{Month: q.november, Node: "BU-1", To: []string{"CC-3", "BU-2"}[round%2], Reason: "not ours", Requests: some}
		before := q.lying(t, "BU-2")
		made, err := q.disputes.Raise(t.Context(), q.fin, claim)
		require.NoError(t, err)
		require.NoError(t, q.decide(t, q.fin, made, dispute.Proposed))
		c := q.at(t, q.fin, made)
		_, err = q.approveChange(t, q.cfo, c.Change)
		require.NoError(t, err)
		after := q.lying(t, "BU-2")
		after.SubSum(&before)
		require.Equal(t, c.Amount.String(), after.String(), "to the pico-dollar")
		now := q.at(t, q.fin, made)
		require.Equal(t, c.Amount.String(), now.AmountNow.String())
		events = without(events, some)
		q.proved(t, q.one)
	}
	require.EqualValues(t, 6, q.number(t, `select count(*) from dispute where tenant_id = $1`, q.one.tenant))
}

func (q *quarrel) lying(t testing.TB, code string) money.Sum {
	t.Helper()
	sum, err := q.reports.Chargeback(t.Context(), q.one.who, q.november, "node", time.Time{})
	require.NoError(t, err)
	for i := range sum.Rows {
		if sum.Rows[i].Key == code {
			return sum.Rows[i].Actual
		}
	}
	return money.Sum{}
}

func without(events []usage.Event, some []id.Event) []usage.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e usage.Event) bool { return slices.Contains(some, e.ID) })
}
