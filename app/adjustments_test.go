package app_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// retagTo is the proposal to charge requests to nodes in equal parts, as far as that goes.
func retagTo(events []id.Event, codes ...string) app.Ask {
	return app.AskRetag(&app.Retag{Requests: events, To: inParts(codes...)}, "they were for somebody else")
}

func inParts(codes ...string) []attribution.Part {
	var parts []attribution.Part
	left := int64(usage.Whole)
	for i, code := range codes {
		ppm := int64(usage.Whole / len(codes))
		if i == len(codes)-1 {
			ppm = left
		}
		left -= ppm
		parts = append(parts, attribution.Part{Code: code, PPM: ppm})
	}
	return parts
}

func ids(events []usage.Event) []id.Event {
	list := make([]id.Event, 0, len(events))
	for i := range events {
		list = append(list, events[i].ID)
	}
	return list
}

// proved has the sums of the open months compared, row by row, to the pico-dollar.
func (h *house) proved(t *testing.T, c *company) {
	t.Helper()
	agree, err := h.audit.ProveSums(t.Context(), c.tenant)
	require.NoError(t, err)
	require.True(t, agree, h.text(t, `select convert_from(canonical, 'UTF8') from audit_record where tenant_id = $1 and action = 'sums.proved' order by recorded_at desc limit 1`, c.tenant))
}

// lies says where the story of a request has it, with its dollars.
func (h *house) lies(t *testing.T, who app.Actor, event id.Event) string {
	t.Helper()
	story, found, err := h.reports.Request(t.Context(), who, event)
	require.NoError(t, err)
	require.True(t, found)
	var parts []string
	for _, a := range story.Allocations {
		parts = append(parts, a.Code+" "+a.Amount.String())
	}
	return strings.Join(parts, ", ")
}

func ownOf(r app.ChargebackRow) string { return fmt.Sprintf("%s %d", r.Own.String(), r.Requests) }

func (h *house) code(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	return fault.From(err).Code + " " + string(fault.KindOf(err))
}

func TestRetaggedRequestsAreChargedElsewhereWithNothingLost(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	ada := h.declared(t, h.one, "ada@one.test")
	events := []usage.Event{
		h.one.event(november(2), "CC-1", ada), h.one.event(november(3), "CC-1"),
		h.one.event(november(3), "CC-1", func(e *usage.Event) { e.State, e.HTTPStatus, e.Counts = usage.StateError, 529, usage.Counts{} }),
		h.one.event(november(4), "CC-2"),
	}
	h.flush(t, h.one, events...)
	rows := h.text(t, `select string_agg(e::text, '' order by e::text) from usage_event e where tenant_id = $1`, h.one.tenant)
	before := h.text(t, `select string_agg(r::text, '' order by r::text) from rollup_rule_day r where tenant_id = $1`, h.one.tenant)

	made := h.propose(t, fin, retagTo(ids(events[:3]), "P-1", "CC-3"))
	require.True(t, made.Open(), "a second person decides, whatever policies there are")
	require.Equal(t, "0.028000000000", made.Impact.Moved.String())
	require.Equal(t, "2026-11", made.Impact.Month)
	require.Equal(t, "3 requests of 2026-11, $0.03, to be charged to P-1 50%, CC-3 50%. No plan moves along; caps and the requests themselves stay as they are.", made.Impact.Sentence)
	var swings []string
	for _, n := range made.Impact.Nodes {
		swings = append(swings, n.Code+" "+n.Before.String()+" "+n.After.String())
	}
	require.Equal(t, []string{"CC-1 0.028000000000 0.000000000000", "P-1 0.000000000000 0.014000000000", "CC-3 0.000000000000 0.014000000000"}, swings)
	require.Equal(t, "0.000000000000 0.014000000000", made.Impact.Capitalized.Before.String()+" "+made.Impact.Capitalized.After.String())
	require.Equal(t, "0.028000000000 0.014000000000", made.Impact.Expensed.Before.String()+" "+made.Impact.Expensed.After.String())
	require.Zero(t, h.number(t, `select count(*) from adjustment`), "nothing moves before it is decided")
	_, err := h.approveChange(t, fin, made)
	require.Equal(t, "self_approval forbidden", h.code(t, err))

	_, err = h.approveChange(t, cfo, made)
	require.NoError(t, err)
	h.proved(t, h.one)
	h.sumsAgree(t, h.one, period.MonthOf(november(1)))
	require.Equal(t, rows, h.text(t, `select string_agg(e::text, '' order by e::text) from usage_event e where tenant_id = $1`, h.one.tenant), "what was recorded stays")
	require.Equal(t, before, h.text(t, `select string_agg(r::text, '' order by r::text) from rollup_rule_day r where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "P-1 0.007000000000, CC-3 0.007000000000", h.lies(t, h.one.who, events[0].ID))
	sum := h.chargeback(t, h.one.who, period.MonthOf(november(1)), "node")
	require.Equal(t, "0.000000000000 3", ownOf(row(t, sum, "CC-1")))
	require.Equal(t, "0.014000000000 3", ownOf(row(t, sum, "P-1")), "a split request counts at its first part")
	story, _, err := h.reports.Request(t.Context(), h.one.who, events[0].ID)
	require.NoError(t, err)
	require.Equal(t, "CC-1", story.Recorded[0].Code)
	require.Equal(t, []app.Adjusted{{Times: 1, Kind: "retag", Change: made.ID, Number: made.Number, At: story.History[0].At, Reason: "they were for somebody else"}}, story.History)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, auditlog.AdjustmentBatch))
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	require.Zero(t, h.number(t, `select count(*) from adjustment_line where tenant_id = $1`, h.two.tenant))
}

// TestAnySequenceOfRetagsKeepsEverySum moves random requests to random places, again and
// again, and compares every page's source with a model that is kept by hand.
func TestAnySequenceOfRetagsKeepsEverySum(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	dice := rand.New(rand.NewPCG(7, 11))
	codes := []string{"BU-1", "CC-1", "P-1", "CC-2", "CC-3"}
	ada := h.declared(t, h.one, "ada@one.test")
	var events []usage.Event
	for i := range 40 {
		events = append(events, h.one.event(november(1+i%9).Add(time.Duration(i)*time.Minute), codes[i%5], func(e *usage.Event) {
			e.Counts.Tokens = usage.Tokens{dice.Int64N(10_000), dice.Int64N(3000), dice.Int64N(777), dice.Int64N(13), dice.Int64N(100_001)}
			e.Counts.WebSearches = dice.Int64N(3)
			if i%3 == 0 {
				e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 333_333}, {Placement: h.one.places["CC-3"], PPM: 666_667}}
			}
			if i%4 == 0 {
				ada(e)
			}
			e.Tags = map[string]string{"team": strconv.Itoa(i % 3)}
		}))
	}
	h.flush(t, h.one, events...)
	model := map[id.Event]string{}
	for range 10 {
		var some []id.Event
		for i := range events {
			if dice.IntN(3) == 0 {
				some = append(some, events[i].ID)
			}
		}
		to := []string{codes[dice.IntN(2)], codes[2+dice.IntN(3)]}[:1+dice.IntN(2)]
		made := h.propose(t, fin, retagTo(some, to...))
		_, err := h.approveChange(t, cfo, made)
		require.NoError(t, err)
		h.proved(t, h.one)
		for _, e := range some {
			model[e] = strings.Join(to, ",")
		}
	}
	for event, want := range model {
		story, _, err := h.reports.Request(t.Context(), h.one.who, event)
		require.NoError(t, err)
		var at []string
		var sum money.Pico
		for _, a := range story.Allocations {
			at, sum = append(at, a.Code), sum+a.Amount
		}
		require.Equal(t, want, strings.Join(at, ","))
		require.Equal(t, story.Amount, sum)
	}
	h.sumsAgree(t, h.one, period.MonthOf(november(1)))
	h.exploredAlike(t, codes)
	h.listsAlike(t, codes)
}

// exploredAlike compares what requests sum to with what the rollups say, node by node.
func (h *house) exploredAlike(t *testing.T, codes []string) {
	t.Helper()
	days := db.UsageFilter{From: november(1).Truncate(24 * time.Hour), To: november(30).Truncate(24 * time.Hour)}
	for _, by := range []db.Grouping{db.GroupPlacement, db.GroupModel, db.GroupDay} {
		var said [2]map[string]string
		for i, source := range []db.Source{db.SourcePlacements, db.SourceRequests} {
			said[i] = map[string]string{}
			require.NoError(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
				rows, err := tx.Explore(db.Exploring{UsageFilter: days, Source: source, By: [2]db.Grouping{by}, Limit: 1000})
				for _, r := range rows {
					said[i][r.A] = fmt.Sprint(r.Requests, r.Errors, r.InputTokens, r.OutputTokens, r.CacheWrite5mTokens, r.CacheWrite1hTokens, r.CacheReadTokens, r.ChargePico)
				}
				return err
			}))
		}
		require.Equal(t, said[0], said[1], by)
	}
	require.NotEmpty(t, codes)
}

// listsAlike compares the list of a node's requests, each with its share, and the sums of
// their sessions with the node's own charge.
func (h *house) listsAlike(t *testing.T, codes []string) {
	t.Helper()
	sum := h.chargeback(t, h.one.who, period.MonthOf(november(1)), "node")
	for _, code := range codes {
		page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{NodeCode: code, Limit: app.MaxRows})
		require.NoError(t, err)
		var own money.Sum
		for _, r := range page.Rows {
			for _, a := range r.Allocations {
				if a.Code == code {
					own.Add(a.Amount)
				}
			}
		}
		want := row(t, sum, code)
		require.Equal(t, want.Own.String(), own.String(), code)
	}
	owner := h.personAt(t, h.one, app.RoleBudgetOwner, "owner", "BU-2")
	page, err := h.reports.Sessions(t.Context(), owner, app.RequestFilter{})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	bu2 := row(t, sum, "BU-2")
	require.Equal(t, bu2.Actual.String(), page.Rows[0].Amount.String())
}

func TestAFilterBecomesTheRequestsItKeeps(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	var events []usage.Event
	for i := range 120 {
		events = append(events, h.one.event(november(2).Add(time.Duration(i)*time.Minute), []string{"CC-1", "CC-2"}[i%2]))
	}
	h.flush(t, h.one, events...)
	h.flush(t, h.two, h.two.event(november(2), "CC-1"))
	ask := app.AskRetag(&app.Retag{Filter: &app.RetagFilter{Node: "CC-1"}, To: inParts("CC-3")}, "all of it")
	made := h.propose(t, fin, ask)
	var said struct {
		Count    int
		Requests []id.Event
		Seen     string `json:"requests_sha256"`
	}
	require.NoError(t, json.Unmarshal(made.Payload, &said))
	require.Equal(t, 60, said.Count)
	require.Len(t, said.Requests, 60)
	h.flush(t, h.one, h.one.event(november(3), "CC-1"))
	_, err := h.approvals.Propose(t.Context(), fin, app.AskRetag(&app.Retag{Filter: &app.RetagFilter{Node: "CC-1"}, Seen: said.Seen, To: inParts("CC-3")}, "x"), "")
	require.Equal(t, "retag_seen invalid", h.code(t, err))
	_, err = h.approveChange(t, cfo, made)
	require.NoError(t, err)
	require.EqualValues(t, 60, h.number(t, `select count(*) from adjustment where tenant_id = $1`, h.one.tenant), "what came later is not among them")
	h.proved(t, h.one)

	many := h.propose(t, fin, app.AskRetag(&app.Retag{Filter: &app.RetagFilter{From: november(2).Truncate(24 * time.Hour), To: november(4)}, To: inParts("BU-1")}, "all"))
	require.NotContains(t, string(many.Payload), "evt_", "many are named by the digest of their list")
	_, err = h.approveChange(t, cfo, many)
	require.NoError(t, err)
	h.proved(t, h.one)
	require.Equal(t, "BU-1 0.014000000000", h.lies(t, h.one.who, events[0].ID))
}

func TestRetagsAreRefusedWithTheWayForward(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	mine, late, theirs := h.one.event(november(2), "CC-1"), h.one.event(time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC), "CC-1"), h.two.event(november(2), "CC-1")
	split := h.one.event(november(2), "CC-1", func(e *usage.Event) {
		e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 500_000}, {Placement: h.one.places["CC-3"], PPM: 500_000}}
	})
	h.flush(t, h.one, mine, late, split)
	h.flush(t, h.two, theirs)
	owner := h.personAt(t, h.one, app.RoleBudgetOwner, "owner", "CC-1")
	waiting := h.propose(t, fin, retagTo([]id.Event{late.ID, mine.ID}, "CC-3"))
	h.lock(t, h.one, period.MonthOf(late.ID.Time()))
	dated := retagTo([]id.Event{mine.ID}, "CC-3")
	dated.EffectiveFrom = november(5)
	for name, c := range map[string]struct {
		who  app.Actor
		ask  app.Ask
		want string
	}{
		"a closed month":        {fin, retagTo([]id.Event{late.ID, mine.ID}, "CC-3"), "period_closed conflict"},
		"another's request":     {fin, retagTo([]id.Event{theirs.ID}, "CC-3"), "request_absent invalid"},
		"none":                  {fin, retagTo(nil, "CC-3"), "retag_requests invalid"},
		"no node":               {fin, retagTo([]id.Event{mine.ID}, "CC-9"), "node_absent invalid"},
		"no whole":              {fin, app.AskRetag(&app.Retag{Requests: []id.Event{mine.ID}, To: inParts("CC-3", "CC-2")[:1]}, "x"), "parts_whole invalid"},
		"where it lies":         {fin, retagTo([]id.Event{mine.ID}, "CC-1"), "retag_same invalid"},
		"a date":                {fin, dated, "retag_dated invalid"},
		"beyond an owner's":     {owner, retagTo([]id.Event{mine.ID}, "CC-3"), "node_absent invalid"},
		"part beyond an owner":  {owner, retagTo([]id.Event{split.ID}, "P-1"), "retag_part forbidden"},
		"an unseen request":     {h.personAt(t, h.one, app.RoleBudgetOwner, "other", "CC-2"), retagTo([]id.Event{mine.ID}, "CC-2"), "request_absent invalid"},
		"who may not propose":   {h.person(t, h.one, app.RoleAuditor, "aud"), retagTo([]id.Event{mine.ID}, "CC-3"), "not_allowed forbidden"},
		"what is in no payload": {fin, app.Ask{Kind: "retag", Payload: []byte(`{"request":[]}`), Reason: "x"}, "payload_syntax invalid"},
	} {
		_, err := h.approvals.Propose(t.Context(), c.who, c.ask, "")
		require.Equal(t, c.want, h.code(t, err), name)
	}
	_, err := h.approvals.Propose(t.Context(), fin, retagTo([]id.Event{late.ID}, "CC-3"), "")
	require.ErrorContains(t, err, "2026-10 is closed")
	require.ErrorContains(t, err, "reopened")
	_, err = h.approveChange(t, cfo, waiting)
	require.Equal(t, "period_closed conflict", h.code(t, err), "closed after it was proposed")
	require.Zero(t, h.number(t, `select count(*) from adjustment`))

	own := h.propose(t, owner, retagTo([]id.Event{mine.ID}, "P-1"))
	_, err = h.approveChange(t, cfo, own)
	require.NoError(t, err, "within one's own subtree an owner may propose it")
}

func TestARequestThatMovedSinceIsNotMovedUnseen(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	event := h.one.event(november(2), "CC-1")
	h.flush(t, h.one, event)
	first, second := h.propose(t, fin, retagTo([]id.Event{event.ID}, "CC-2")), h.propose(t, fin, retagTo([]id.Event{event.ID}, "CC-3"))
	_, err := h.approveChange(t, cfo, first)
	require.NoError(t, err)
	_, err = h.approveChange(t, cfo, second)
	require.Equal(t, "requests_moved conflict", h.code(t, err))
	require.Equal(t, "CC-2 0.014000000000", h.lies(t, h.one.who, event.ID))
	_, err = h.approveChange(t, cfo, h.propose(t, fin, retagTo([]id.Event{event.ID}, "CC-1")))
	require.NoError(t, err)
	require.Equal(t, "CC-1 0.014000000000", h.lies(t, h.one.who, event.ID), "and back again")
	h.proved(t, h.one)
}

func TestANodeIsChargedAsItWasAtTheRequestsTime(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	early := h.one.event(november(2), "CC-1")
	h.flush(t, h.one, early)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{{Code: "CC-NEW", Name: "New", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"}}, november(5), "new"))
	_, err := h.approvals.Propose(t.Context(), fin, retagTo([]id.Event{early.ID}, "CC-NEW"), "")
	require.Equal(t, "node_not_then invalid", h.code(t, err))
}

func TestTamperedAdjustmentsAreFound(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	event := h.one.event(november(2), "CC-1")
	h.flush(t, h.one, event)
	require.NoError(t, h.carries(t, fin, retagTo([]id.Event{event.ID}, "CC-2")))
	h.place(t, h.one)
	h.superuser(t, `update adjustment_batch set canonical = (select canonical from usage_batch limit 1)`)
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, check.Good)
	require.Equal(t, "the requests of its batch are not those that were hashed", check.Why)
	h.superuser(t, `update adjustment set placement_id = (select placement_id from placement where path[array_length(path, 1)] = 'CC-3' limit 1)`)
	agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.False(t, agree, "it lies elsewhere than its lines say")
}

// TestAdjustmentsThatWereChangedWithTheirSumsAreFound has a superuser change or take away
// adjustments and put every sum of them right again: the log alone knows what was posted.
func TestAdjustmentsThatWereChangedWithTheirSumsAreFound(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(t *testing.T, h *house){
		"taken away": func(t *testing.T, h *house) {
			t.Helper()
			for _, rollup := range []string{"rollup_placement_day", "rollup_developer_day", "rollup_class_day"} {
				h.superuser(t, `delete from `+rollup)
				h.superuser(t, `insert into `+rollup+` select * from before_`+rollup)
			}
			h.superuser(t, `delete from adjustment_line`)
			h.superuser(t, `delete from adjustment`)
		},
		"moved elsewhere": func(t *testing.T, h *house) {
			t.Helper()
			from, to := h.text(t, `select placement_id::text from adjustment limit 1`), h.one.places["CC-3"].UUID()
			for _, table := range []string{"rollup_placement_day", "rollup_developer_day", "rollup_class_day", "adjustment_line", "adjustment"} {
				h.superuser(t, `update `+table+` set placement_id = $2::uuid where placement_id = $1::uuid`, from, to)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
			event := h.one.event(november(2), "CC-1")
			h.flush(t, h.one, event)
			for _, rollup := range []string{"rollup_placement_day", "rollup_developer_day", "rollup_class_day"} {
				h.superuser(t, `create table before_`+rollup+` as select * from `+rollup)
			}
			require.NoError(t, h.carries(t, fin, retagTo([]id.Event{event.ID}, "CC-2")))
			h.place(t, h.one)
			check, err := h.log.Verify(t.Context(), h.one.tenant)
			require.NoError(t, err)
			require.True(t, check.Good, check.Why)
			tamper(t, h)
			agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
			require.NoError(t, err)
			require.True(t, agree, "sums alone do not tell")
			check, err = h.log.Verify(t.Context(), h.one.tenant)
			require.NoError(t, err)
			require.False(t, check.Good)
			require.Equal(t, "the adjustments that pages show are not those of its batch", check.Why)
		})
	}
}

// TestSumsOfEarlierMonthsAreProved has somebody edit rollups of months long before: one that
// was adjusted lately is found that day, any other in its turn.
func TestSumsOfEarlierMonthsAreProved(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	var early []usage.Event
	for month := time.May; month <= time.July; month++ {
		early = append(early, h.one.event(time.Date(2026, month, 3, 9, 0, 0, 0, time.UTC), "CC-1"))
	}
	h.flush(t, h.one, early...)
	require.NoError(t, h.carries(t, fin, retagTo([]id.Event{early[2].ID}, "CC-2")))
	h.proved(t, h.one)
	agrees := func() bool {
		agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
		require.NoError(t, err)
		return agree
	}
	edit := func(month string, by int) {
		h.superuser(t, `update rollup_placement_day set charge_pico = charge_pico + $2 where posting_period = $1`, month, by)
	}
	edit("2026-07-01", 1)
	require.False(t, agrees())
	edit("2026-07-01", -1)
	require.True(t, agrees())
	h.lock(t, h.one, period.MonthOf(early[0].ID.Time()))
	edit("2026-05-01", 1)
	found := 0
	for range 6 {
		h.clock.add(24 * time.Hour)
		if !agrees() {
			found++
		}
	}
	require.Positive(t, found, "of the others one each day in turn")
	require.Less(t, found, 6)
}

// TestTokensThatWereEditedInARollupAreFound edits what no charge shows.
func TestTokensThatWereEditedInARollupAreFound(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	event, split := h.one.event(november(2), "CC-1"), h.one.event(november(2), "CC-1", func(e *usage.Event) {
		e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 333_333}, {Placement: h.one.places["CC-3"], PPM: 666_667}}
	})
	h.flush(t, h.one, event, split)
	require.NoError(t, h.carries(t, fin, retagTo([]id.Event{event.ID, split.ID}, "CC-2", "P-1")))
	h.proved(t, h.one)
	for _, column := range []string{"errors", "input_tokens", "cache_read_tokens"} {
		row := h.text(t, `select placement_id::text from rollup_placement_day where tenant_id = $1 limit 1`, h.one.tenant)
		edit := func(by int) {
			h.superuser(t, `update rollup_placement_day set `+column+` = `+column+` + $2 where tenant_id = $1 and placement_id = $3::uuid`, h.one.tenant, by, row)
		}
		edit(1)
		agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
		require.NoError(t, err)
		require.False(t, agree, column)
		edit(-1)
		h.proved(t, h.one)
	}
}

// TestPortionsOfARetagAreMeasuredTogether proposes what would need two persons in portions
// that each need one.
func TestPortionsOfARetagAreMeasuredTogether(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	other := h.person(t, h.one, app.RoleFinanceAdmin, "other")
	h.adopt(t, fin, cfo, `{"code":"large","kinds":["retag"],"at_least":"0.05","steps":[{"name":"Two","quorum":2,"who":[{"role":"finance_admin"},{"role":"controller"}]}],"expire_days":10}`)
	var events []usage.Event
	for i := range 5 {
		events = append(events, h.one.event(november(2).Add(time.Duration(i)*time.Minute), "CC-1"))
	}
	h.flush(t, h.one, events...)
	policy := func(made app.ChangeView) string { return made.Terms.Policy.Code }
	require.Equal(t, "large", policy(h.propose(t, other, retagTo(ids(events), "CC-2"))), "all of it at once")
	first := h.propose(t, fin, retagTo(ids(events[:2]), "CC-2"))
	require.NotEqual(t, "large", policy(first))
	_, err := h.approveChange(t, cfo, first)
	require.NoError(t, err)
	second := h.propose(t, fin, retagTo(ids(events[2:]), "CC-2"))
	require.Equal(t, "large", policy(second), "the rest of it, after its first portion")
	require.Equal(t, "0.028000000000", second.Impact.Beside.String())
	require.Contains(t, second.Impact.Sentence, "count with it for a policy")
}

func TestLinesThatDoNotComeToTheirAdjustmentAreRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	event := h.one.event(november(2), "CC-1")
	h.flush(t, h.one, event)
	require.NoError(t, h.carries(t, fin, retagTo([]id.Event{event.ID}, "CC-2")))
	_, err := h.admin.Exec(`insert into adjustment_line select tenant_id, occurred_at, event_id, sequence, 9, placement_id, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 from adjustment_line limit 1`)
	require.ErrorContains(t, err, "TB010")
}

func TestAnAuditorsExportHoldsTheAdjustments(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	event := h.one.event(november(2), "CC-1")
	h.flush(t, h.one, event)
	require.NoError(t, h.carries(t, fin, retagTo([]id.Event{event.ID}, "CC-2")))
	h.place(t, h.one)
	var out bytes.Buffer
	require.NoError(t, h.log.Export(t.Context(), h.one.who, app.LogExport{From: founded(), To: h.clock.now().Add(time.Hour), Usage: true, Version: "test"}, &out))
	bundle, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	checked, err := auditlog.Check(bundle, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, checked.Batches)
	require.EqualValues(t, 1, checked.Requests)
}
