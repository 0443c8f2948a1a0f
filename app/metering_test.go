package app_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// ledger prints everything a flush writes for a company, but the batches themselves.
func (h *house) ledger(t *testing.T, c *company) string {
	t.Helper()
	var all []string
	for _, table := range []string{"usage_event", "rollup_placement_day", "rollup_developer_day"} {
		all = append(all, h.text(t, `select coalesce(string_agg(r::text, E'\n' order by r::text), '') from `+table+` r where tenant_id = $1`, c.tenant))
	}
	return strings.Join(all, "\n")
}

func (h *house) declared(t *testing.T, c *company, label string) func(*usage.Event) {
	t.Helper()
	developer := h.developer(t, c, label)
	sealed := app.NewLabels(h.ring).Seal(developer, label)
	return func(e *usage.Event) { e.Developer, e.DeveloperLabel = developer, sealed }
}

func TestAFlushWritesRowsRollupsABatchItsRecordAndItsJob(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	require.Equal(t, 3, h.flush(t, h.one,
		h.one.event(november(2), "CC-1", h.declared(t, h.one, "ada@one.test")),
		h.one.event(november(2), "CC-1"),
		h.one.event(november(3), "CC-2", func(e *usage.Event) { e.State, e.HTTPStatus, e.Counts = usage.StateError, 529, usage.Counts{} })))
	require.Equal(t, "3 28000000000", h.text(t, `select count(*) || ' ' || sum(charge_pico) from usage_event where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "2026-11-02 2 0 0 2000 1000 28000000000|2026-11-03 1 1 0 0 0 0", h.text(t, `select string_agg(concat_ws(' ', day, requests, errors, provisional,
		input_tokens, output_tokens, charge_pico), '|' order by day) from rollup_placement_day where tenant_id = $1 and posting_period = '2026-11-01'`, h.one.tenant))
	require.Equal(t, "1 1500 14000000000", h.text(t, `select concat_ws(' ', requests, tokens, charge_pico) from rollup_developer_day where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "3 28000000000", h.text(t, `select concat_ws(' ', requests, amount_pico) from usage_batch where tenant_id = $1`, h.one.tenant))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "usage.batch"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	for _, table := range []string{"usage_event", "rollup_placement_day", "rollup_developer_day", "usage_batch"} {
		require.Zero(t, h.number(t, `select count(*) from `+table+` where tenant_id = $1`, h.two.tenant), table)
	}
}

func TestFlushingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := build(t)
	var events []usage.Event
	for day := 1; day < 9; day++ {
		events = append(events, h.one.event(november(day), "CC-1", h.declared(t, h.one, fmt.Sprint("d", day%3))))
	}
	twice := append(slices.Clone(events), events[2], events[2]) // and one of them thrice in one flush
	require.Equal(t, len(events), h.flush(t, h.one, twice...))
	before, contents := h.ledger(t, h.one), h.contents(t)
	require.Zero(t, h.flush(t, h.one, events...))
	require.Equal(t, before, h.ledger(t, h.one))
	require.Equal(t, contents, h.contents(t), "not even a batch or a record")
	require.Equal(t, 1, h.flush(t, h.one, append(slices.Clone(events), h.one.event(november(9), "CC-1"))...), "only what is new is added")
	require.EqualValues(t, 9, h.number(t, `select sum(requests) from rollup_placement_day where tenant_id = $1`, h.one.tenant))
	require.Zero(t, h.flush(t, h.one))
}

// TestOverlappingFlushesCountEveryRequestOnce flushes the same events from several
// replicas at once, each in another order.
func TestOverlappingFlushesCountEveryRequestOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	var known, events []usage.Event
	for i := range 50 {
		known = append(known, h.one.event(november(1), "CC-1", h.declared(t, h.one, fmt.Sprint("d", i))))
	}
	h.flush(t, h.one, known...) // so that nothing but the rows makes the flushes below wait
	for i := range 1200 {
		events = append(events, h.one.event(november(1+i%28).Add(time.Duration(i)*time.Millisecond), []string{"CC-1", "CC-2", "P-1"}[i%3], h.declared(t, h.one, fmt.Sprint("d", i%50))))
	}
	backwards := slices.Clone(events)
	slices.Reverse(backwards)
	var all sync.WaitGroup
	var added [4]int
	var errs [4]error
	for i, order := range [][]usage.Event{events, backwards, events[300:], backwards[300:]} {
		all.Go(func() { added[i], errs[i] = h.metering.Flush(t.Context(), h.one.tenant, order) })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err, "flushes wait for one another in one order, never in a circle")
	}
	require.Equal(t, len(events), added[0]+added[1]+added[2]+added[3])
	posted := len(known) + len(events)
	require.EqualValues(t, posted, h.number(t, `select sum(requests) from rollup_placement_day`))
	require.EqualValues(t, posted, h.number(t, `select sum(requests) from rollup_developer_day`))
	require.EqualValues(t, posted, h.number(t, `select sum(requests) from usage_batch`))
	require.EqualValues(t, 50, h.number(t, `select count(*) from developer`))
	agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, agree)
}

// TestFlushesOfSeveralMonthsDoNotWaitInACircle lets flushes of overlapping months,
// none of which has a partition yet, run at once.
func TestFlushesOfSeveralMonthsDoNotWaitInACircle(t *testing.T) {
	t.Parallel()
	h := build(t)
	for round := range 3 {
		month := func(n int) time.Time { return time.Date(2026, time.Month(1+3*round+n), 5, 0, 0, 0, 0, time.UTC) }
		var all sync.WaitGroup
		errs := make([]error, 6)
		for i, c := range []*company{h.one, h.one, h.one, h.two, h.two, h.two} {
			all.Go(func() {
				var events []usage.Event
				for n := range 200 {
					events = append(events, c.event(month((n+i)%3).Add(time.Duration(n)*time.Second), "CC-1"))
				}
				if i%3 == 2 {
					events = slices.DeleteFunc(events, func(e usage.Event) bool { return e.OccurredAt().Month() != month(2).Month() })
				}
				_, errs[i] = h.metering.Flush(t.Context(), c.tenant, events)
			})
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, h.number(t, `select count(*) from usage_event`), h.number(t, `select sum(requests) from rollup_placement_day`))
}

func TestEventsPostToTheirOwnMonth(t *testing.T) {
	t.Parallel()
	h := build(t)
	last := time.Date(2026, 10, 31, 23, 59, 59, 999e6, time.UTC)
	first := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, 2, h.flush(t, h.one, h.one.event(first, "CC-1"), h.one.event(last, "CC-1")))
	require.Equal(t, "2026-10-01 2026-10-31 1|2026-11-01 2026-11-01 1", h.text(t, `select string_agg(concat_ws(' ', posting_period, day, requests), '|' order by day)
		from rollup_placement_day where tenant_id = $1`, h.one.tenant))
	require.EqualValues(t, 2, h.number(t, `select count(*) from usage_batch where tenant_id = $1`, h.one.tenant))
	require.EqualValues(t, 1, h.number(t, `select count(*) from usage_event_2026_10`))
	require.EqualValues(t, 1, h.number(t, `select count(*) from usage_event_2026_11`))
}

func TestALockedMonthPostsToTheNextOpenOneAndKeepsItsDay(t *testing.T) {
	t.Parallel()
	h := build(t)
	september := time.Date(2026, 9, 30, 12, 0, 0, 0, time.UTC)
	early := h.one.event(september, "CC-1")
	require.Equal(t, 1, h.flush(t, h.one, early))
	h.lock(t, h.one, period.MonthOf(september))
	h.lock(t, h.one, period.MonthOf(september).Next())
	require.Equal(t, 1, h.flush(t, h.one, h.one.event(september, "CC-1"), early), "what posted before the lock is not posted again")
	require.Equal(t, "2026-09-01 2026-09-30 1|2026-11-01 2026-09-30 1", h.text(t, `select string_agg(concat_ws(' ', posting_period, day, requests), '|' order by posting_period)
		from rollup_placement_day where tenant_id = $1`, h.one.tenant))
	require.Equal(t, "2026-09-01,2026-11-01", h.text(t, `select string_agg(posting_period::text, ',' order by posting_period) from usage_event where tenant_id = $1`, h.one.tenant))
	require.Equal(t, 1, h.flush(t, h.two, h.two.event(september, "CC-1")), "another tenant's books are its own")
	require.Equal(t, "2026-09-01", h.text(t, `select posting_period::text from usage_event where tenant_id = $1`, h.two.tenant))
	for month := period.MonthOf(september); month.Start().Before(september.AddDate(2, 0, 0)); month = month.Next() {
		h.lock(t, h.one, month)
	}
	_, err := h.metering.Flush(t.Context(), h.one.tenant, []usage.Event{h.one.event(september, "CC-1")})
	require.Equal(t, "period_none_open", fault.From(err).Code)
	require.False(t, app.Refused(err), "it waits for somebody to open a period")
}

// TestAFlushThatMeetsALockWaitsAndPostsBehindIt holds a period as closing does while
// a flush wants it: the flush sees the month locked, not as it was.
func TestAFlushThatMeetsALockWaitsAndPostsBehindIt(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(1), "CC-1"))
	closing, err := h.admin.Begin()
	require.NoError(t, err)
	defer closing.Rollback() //nolint:errcheck // committed below
	_, err = closing.Exec(`select * from period where tenant_id = $1 and month = '2026-11-01' for update`, h.one.tenant)
	require.NoError(t, err)
	flushed := make(chan error, 1)
	go func() {
		_, err := h.metering.Flush(t.Context(), h.one.tenant, []usage.Event{h.one.event(november(2), "CC-1")})
		flushed <- err
	}()
	require.Eventually(t, func() bool {
		return h.number(t, `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%for share%'`) == 1
	}, 10*time.Second, time.Millisecond)
	_, err = closing.Exec(`update period set state = 'locked' where tenant_id = $1 and month = '2026-11-01'`, h.one.tenant)
	require.NoError(t, err)
	require.NoError(t, closing.Commit())
	require.NoError(t, <-flushed)
	require.Equal(t, "2026-11-01 2026-11-01|2026-12-01 2026-11-02", h.text(t, `select string_agg(concat_ws(' ', posting_period, day), '|' order by day) from rollup_placement_day`))
}

// TestFlushesDoNotWaitForAChangeThatIsUnderWay leaves a change's transaction open
// after its record and its job: usage goes on (DESIGN 6).
func TestFlushesDoNotWaitForAChangeThatIsUnderWay(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	require.NoError(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		require.NoError(t, tx.AppendAudit(auditlog.Record{Action: "test", Actor: "test"}))
		require.Equal(t, 1, h.flush(t, h.one, h.one.event(november(1), "CC-1")))
		return nil
	}))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
}

func TestBatchRootsAreOverTheStoredBytes(t *testing.T) {
	t.Parallel()
	h := build(t)
	var events []usage.Event
	for i := range 7 {
		events = append(events, h.one.event(november(1+i), "CC-1", func(e *usage.Event) { e.Project = "a \"quoted\"\nproject <ü>" }))
	}
	slices.Reverse(events)
	h.flush(t, h.one, events...)
	var root, packed []byte
	var record id.Record
	require.NoError(t, h.admin.QueryRow(`select root, canonical, record_id from usage_batch where tenant_id = $1`, h.one.tenant).Scan(&root, &packed, &record))
	unzip, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer unzip.Close()
	lines, err := unzip.DecodeAll(packed, nil)
	require.NoError(t, err)
	var leaves []auditlog.Hash
	var last string
	for line := range strings.Lines(string(lines)) {
		line = strings.TrimSuffix(line, "\n")
		leaves = append(leaves, auditlog.Leaf([]byte(line)))
		var event struct {
			ID     string
			Charge int64 `json:"charge_pico"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event))
		require.Greater(t, event.ID, last, "in the order of their ids")
		last = event.ID
		require.EqualValues(t, event.Charge, h.number(t, `select charge_pico from usage_event where tenant_id = $1 and 'evt_' || replace(event_id::text, '-', '') = $2`, h.one.tenant, event.ID))
	}
	require.Len(t, leaves, len(events))
	want := auditlog.Root(leaves)
	require.Equal(t, want[:], root)
	require.Contains(t, h.text(t, `select convert_from(canonical, 'UTF8') from audit_record where tenant_id = $1 and record_id = $2`, h.one.tenant, record), hex.EncodeToString(root))
}

func TestAnUnknownModelIsProvisionalAndNeverFree(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.flush(t, h.one, h.one.event(november(1), "CC-1", func(e *usage.Event) { e.Counts.Model = "claude-next-9" }))
	page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{State: "unpriced"})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.Equal(t, []string{"model_unknown"}, page.Rows[0].Flags)
	require.Positive(t, int64(page.Rows[0].Amount))
	require.EqualValues(t, 1, h.number(t, `select provisional from rollup_placement_day`))
}

func TestGarbageCountsAreKeptAsIncomplete(t *testing.T) {
	t.Parallel()
	h := build(t)
	for name, set := range map[string]func(*usage.Event){
		"near the largest":   func(e *usage.Event) { e.Counts.Tokens = usage.Tokens{math.MaxInt64 - 1, math.MaxInt64, 1} },
		"overflows together": func(e *usage.Event) { e.Counts.Tokens[usage.ClassCacheRead] = math.MaxInt64 / 200_000 },
		"free, near the edge": func(e *usage.Event) {
			e.Counts.Free, e.Counts.Tokens = true, usage.Tokens{math.MaxInt64, math.MaxInt64}
		},
		"an error's":          func(e *usage.Event) { e.State, e.Counts.Tokens = usage.StateError, usage.Tokens{math.MaxInt64} },
		"below zero":          func(e *usage.Event) { e.Counts.Tokens[usage.ClassOutput] = -5 },
		"the smallest":        func(e *usage.Event) { e.Counts.Tokens[usage.ClassInput] = math.MinInt64 },
		"searches":            func(e *usage.Event) { e.Counts.WebSearches = math.MaxInt64 },
		"searches below zero": func(e *usage.Event) { e.Counts.WebSearches = -1 },
		"an iteration's": func(e *usage.Event) {
			e.Counts.Iterations = []usage.Iteration{{Kind: "x", Tokens: usage.Tokens{math.MaxInt64}}}
		},
		"a free iteration's": func(e *usage.Event) {
			e.Counts.Iterations = []usage.Iteration{{Kind: "x", Tokens: usage.Tokens{-1}, Free: true}}
		},
		"two billion of input": func(e *usage.Event) { e.Counts.Tokens[usage.ClassInput] = 2_000_000_000 },
	} {
		e := h.one.event(november(1), "CC-1", set)
		require.Equal(t, 1, h.flush(t, h.one, e), name)
		page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{Event: e.ID})
		require.NoError(t, err)
		require.Len(t, page.Rows, 1, name)
		require.Contains(t, page.Rows[0].Flags, "counts_impossible", name)
		require.Zero(t, page.Rows[0].Amount, name)
		require.Equal(t, usage.Tokens{}, page.Rows[0].Tokens, name)
		if e.State == usage.StateComplete {
			require.Equal(t, "incomplete", page.Rows[0].State, name)
		}
	}
	sum, err := h.reports.Chargeback(t.Context(), h.one.who, period.MonthOf(november(1)), "node", time.Time{})
	require.NoError(t, err)
	require.EqualValues(t, 11, sum.Requests)
	require.Zero(t, sum.Control.Difference.Sign())
}

// TestTextsFromOutsideAreMadeToFit sends what a provider or a journal might hold and
// Postgres would refuse: the request is in the ledger all the same.
func TestTextsFromOutsideAreMadeToFit(t *testing.T) {
	t.Parallel()
	h := build(t)
	bad := "a\x00b\xff\u2028c\x1fd" + strings.Repeat("\u00fc", 5000)
	e := h.one.event(november(1), "CC-1", func(e *usage.Event) {
		e.RequestID, e.MessageID, e.SessionID, e.AgentID, e.ParentAgentID, e.RequestClass, e.StopReason = bad, bad, bad, bad, bad, bad, bad
		e.ModelRequested, e.Counts.Model, e.Counts.Speed, e.Counts.Geography, e.Counts.Tier, e.Project = bad, bad, bad, bad, bad, bad
		e.Rule = bad
		e.Tags = map[string]string{bad: bad, "plain": "kept", "nul": "a\x00"}
		e.Flags = []string{bad, "a,b"}
		e.Counts.Unknown = []string{bad, "x,y"}
		e.Counts.Iterations = []usage.Iteration{{Kind: bad, Model: bad, Tokens: usage.Tokens{1}}}
		e.RawUsage = []byte(bad)
	})
	mine := fmt.Sprint(e)
	require.Equal(t, 1, h.flush(t, h.one, e))
	require.Equal(t, mine, fmt.Sprint(e), "the caller's event is left as it was")
	page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{Event: e.ID})
	require.NoError(t, err)
	require.Equal(t, "kept", page.Rows[0].Tags["plain"])
	require.Contains(t, page.Rows[0].Flags, "a,b")
	require.Contains(t, page.Rows[0].Flags, "field_unknown:x,y")
	require.True(t, strings.HasPrefix(page.Rows[0].ModelServed, "ab"))
	require.Zero(t, h.flush(t, h.one, e))
}

// TestAPoisonedEventIsRefusedAlone flushes what no schema accepts: it is told apart
// from a database that does not answer, and nothing of its flush is kept.
func TestAPoisonedEventIsRefusedAlone(t *testing.T) {
	t.Parallel()
	h := build(t)
	good := h.one.event(november(1), "CC-1")
	for name, set := range map[string]func(*usage.Event){
		"no shares":              func(e *usage.Event) { e.Shares = nil },
		"shares of nothing":      func(e *usage.Event) { e.Shares[0].PPM = 0 },
		"shares below zero":      func(e *usage.Event) { e.Shares[0].PPM = -1 },
		"half a share":           func(e *usage.Event) { e.Shares[0].PPM = usage.Whole / 2 },
		"no shares, and garbage": func(e *usage.Event) { e.Shares, e.Counts.Tokens = nil, usage.Tokens{math.MaxInt64} },
		"unknown placement":      func(e *usage.Event) { e.Shares[0].Placement = id.DerivePlacement([]byte("x")) },
		"no placement":           func(e *usage.Event) { e.Shares[0].Placement = id.Placement{} },
		"unknown key":            func(e *usage.Event) { e.Key = id.NewKey(founded()) },
		"no key":                 func(e *usage.Event) { e.Key = id.Key{} },
		"another tenant's key":   func(e *usage.Event) { e.Key = h.two.key.ID },
		"another tenant's place": func(e *usage.Event) { e.Shares[0].Placement = h.two.places["CC-1"] },
		"no id":                  func(e *usage.Event) { e.ID = id.Event{} },
		"from before the books":  func(e *usage.Event) { e.ID = id.NewEvent(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)) },
		"from far ahead":         func(e *usage.Event) { e.ID = id.NewEvent(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)) },
		"beyond every calendar":  func(e *usage.Event) { e.ID = id.EventFromBytes([16]byte{255, 255, 255, 255, 255, 255, 0x70, 0, 0x80}) },
		"no state":               func(e *usage.Event) { e.State = "" },
		"status beyond numbers":  func(e *usage.Event) { e.HTTPStatus = 1 << 40 },
		"a split with a stranger": func(e *usage.Event) {
			e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 1}, {Placement: h.two.places["CC-1"], PPM: usage.Whole - 1}}
		},
	} {
		before := h.contents(t)
		_, err := h.metering.Flush(t.Context(), h.one.tenant, []usage.Event{good, h.one.event(november(1), "CC-1", set)})
		require.True(t, app.Refused(err), "%s: %v", name, err)
		require.Equal(t, before, h.contents(t), name)
	}
	require.Equal(t, 1, h.flush(t, h.one, good))
}

// TestSharesAddUpAtEveryLevel posts random requests, split and whole, of random states
// and days, and compares every level that can be summed.
func TestSharesAddUpAtEveryLevel(t *testing.T) {
	t.Parallel()
	h := build(t)
	places := []string{"BU-1", "CC-1", "P-1", "CC-2", "BU-2", "CC-3", "SUSPENSE"}
	months := []period.Month{period.MonthOf(november(1)).Previous(), period.MonthOf(november(1))}
	rapid.Check(t, func(r *rapid.T) {
		var events []usage.Event
		for range rapid.IntRange(1, 12).Draw(r, "requests") {
			at := months[rapid.IntRange(0, 1).Draw(r, "month")].Start().Add(time.Duration(rapid.IntRange(0, 27*24*60).Draw(r, "minute")) * time.Minute)
			events = append(events, h.one.event(at, "CC-1", func(e *usage.Event) {
				e.State = rapid.SampledFrom([]usage.State{usage.StateComplete, usage.StateIncomplete, usage.StateEstimated, usage.StateError, usage.StateOpen}).Draw(r, "state")
				e.Counts.Model = rapid.SampledFrom([]string{"claude-opus-5-5", "claude-haiku-5-5", "claude-unheard-of", ""}).Draw(r, "model")
				for class := range e.Counts.Tokens {
					e.Counts.Tokens[class] = rapid.Int64Range(0, 1_000_003).Draw(r, "tokens")
				}
				e.Counts.WebSearches = rapid.Int64Range(0, 3).Draw(r, "searches")
				e.Shares = shares(r, h.one, places)
				if rapid.Bool().Draw(r, "declared") {
					h.declared(t, h.one, rapid.SampledFrom([]string{"a", "b"}).Draw(r, "developer"))(e)
				}
			}))
		}
		_, err := h.metering.Flush(t.Context(), h.one.tenant, events)
		require.NoError(r, err)
		for _, month := range months {
			h.sumsAgree(t, h.one, month, "node", "developer")
		}
	})
	for _, month := range months {
		h.sumsAgree(t, h.one, month)
	}
	agree, err := h.audit.ProveSums(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, agree)
}

func shares(r *rapid.T, c *company, places []string) []usage.Share {
	chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(places), 1, 4, rapid.ID[string]).Draw(r, "places")
	left := int64(usage.Whole)
	var list []usage.Share
	for i, code := range chosen {
		ppm := left
		if i < len(chosen)-1 {
			ppm = rapid.Int64Range(0, left).Draw(r, "ppm")
		}
		left -= ppm
		list = append(list, usage.Share{Placement: c.places[code], PPM: ppm})
	}
	return list
}
