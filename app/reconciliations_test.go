package app_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/money"
	"tollbook/app/provider"
	"tollbook/app/reconcile"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/jobs/anthropicadmin"
	"tollbook/simulator"
)

const (
	gatewayKey   = "apikey_gateway"
	strangersKey = "apikey_other"
)

// vendor is the provider, with books of its own, and how it is asked.
type vendor struct {
	*simulator.Simulator
	h      *house
	url    string
	client *anthropicadmin.Client
}

// vendor sets up a provider that company one takes its reports from, since a day.
func (h *house) vendor(t *testing.T, since time.Time) *vendor {
	t.Helper()
	v := &vendor{h: h}
	var err error
	v.Simulator, err = simulator.Open(simulator.Config{Dir: t.TempDir(), Now: h.clock.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v.Close()) })
	server := httptest.NewServer(v.Handler())
	t.Cleanup(server.Close)
	v.url = server.URL
	v.client = anthropicadmin.New(anthropicadmin.Config{
		Ask: http.DefaultTransport.RoundTrip, Now: h.clock.now, Version: "test", Wait: func(ctx context.Context, d time.Duration) error { h.clock.add(d); return ctx.Err() },
	})
	require.NoError(t, h.provider.SetSource(t.Context(), h.one.who, app.ReportSource{BaseURL: v.url, GatewayKeys: []string{gatewayKey}, FirstDay: since.Format(time.DateOnly)}, secret.NewText("sk-ant-admin01-test"), "fixture"))
	return v
}

// tell sends a body to the provider's own controls.
func (v *vendor) tell(t *testing.T, path string, body any) []byte {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	rec := httptest.NewRecorder()
	v.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(string(encoded))))
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	return rec.Body.Bytes()
}

func (v *vendor) plant(t *testing.T, plant map[string]any) {
	t.Helper()
	v.tell(t, "/books/plant", plant)
}

// pull pulls both reports of a day.
func (v *vendor) pull(t *testing.T, day time.Time) {
	t.Helper()
	for _, report := range []provider.Report{provider.Usage, provider.Cost} {
		v.h.clock.add(time.Second) // the provider answers sixty questions a minute
		pull, err := v.h.provider.Begin(t.Context(), v.h.one.tenant, report, day)
		require.NoError(t, err)
		for {
			cursor, more := pull.Next()
			if !more {
				break
			}
			page, err := v.client.Page(t.Context(), &anthropicadmin.Question{BaseURL: pull.BaseURL, Credential: pull.Credential, API: pull.API, Report: pull.Report, Day: pull.Day, Cursor: cursor})
			require.NoError(t, err)
			require.NoError(t, v.h.provider.KeepPage(t.Context(), pull, app.Received(page)))
		}
		_, err = v.h.provider.Finish(t.Context(), pull)
		require.NoError(t, err)
	}
}

// reconciled pulls a day and holds both sides against one another.
func (v *vendor) reconciled(t *testing.T, day time.Time) bool {
	t.Helper()
	v.pull(t, day)
	made, err := v.h.days.Reconcile(t.Context(), v.h.one.tenant, day)
	require.NoError(t, err)
	return made
}

// traffic is one request as both sides have it, until a test says otherwise.
func (h *house) traffic(at time.Time, code, model string, tokens usage.Tokens) (usage.Event, simulator.Fact) {
	e := h.one.event(at, code, func(e *usage.Event) {
		e.ModelRequested = model
		e.Counts = usage.Counts{Model: model, Tokens: tokens, Tier: "standard", Speed: "standard", Geography: "global"}
	})
	return e, simulator.Fact{
		RequestID: e.RequestID, OccurredAt: at, KeyHint: gatewayKey, Model: model, Complete: true,
		Tokens: simulator.Tokens{Input: tokens[0], Output: tokens[1], CacheWrite5m: tokens[2], CacheWrite1h: tokens[3], CacheRead: tokens[4]},
	}
}

// ledgers collects what both sides are to be told.
type ledgers struct {
	events []usage.Event
	facts  []simulator.Fact
}

func (l *ledgers) add(e usage.Event, f simulator.Fact) {
	l.events, l.facts = append(l.events, e), append(l.facts, f)
}

func (l *ledgers) tell(t *testing.T, v *vendor) {
	t.Helper()
	for chunk := range slices.Chunk(l.events, app.FlushLimit) {
		v.h.flush(t, v.h.one, chunk...)
	}
	_, err := v.Import(slices.Values(l.facts))
	require.NoError(t, err)
}

// ordinary is some requests of a day in every tier, speed, geography and class.
func (h *house) ordinary(l *ledgers, day time.Time) {
	random := rand.New(rand.NewPCG(uint64(day.Unix()), 3))
	models := []string{"claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5-20251001"}
	for i := range 9 {
		model := models[i%3]
		e, f := h.traffic(day.Add(time.Duration(60+random.IntN(80_000))*time.Second), []string{"CC-1", "CC-2", "CC-3", "P-1"}[i%4], model,
			usage.Tokens{random.Int64N(90_000), random.Int64N(9000), random.Int64N(9000), random.Int64N(9000), random.Int64N(90_000)})
		if i%4 == 1 {
			e.Counts.Tier, f.ServiceTier = "batch", "batch"
		}
		if i == 3 { // of Opus: it is sold fast, and in the US
			e.Counts.Speed, f.Speed = "fast", "fast"
		}
		if i == 6 {
			e.Counts.Geography, f.InferenceGeo = "us", "us"
			e.Counts.WebSearches, f.WebSearchRequests = 3, 3
		}
		if i == 0 {
			e.Counts.Iterations = []usage.Iteration{{Kind: "advisor_message", Model: "claude-haiku-4-5-20251001", Tokens: usage.Tokens{500, 70}}}
			f.Iterations = []simulator.Iteration{{Kind: "advisor_message", Model: "claude-haiku-4-5-20251001", Tokens: simulator.Tokens{Input: 500, Output: 70}}}
		}
		if i == 8 { // half of it is another's
			e.Shares = []usage.Share{{Placement: h.one.places["CC-1"], PPM: 333_333}, {Placement: h.one.places["CC-3"], PPM: 666_667}}
		}
		l.add(e, f)
	}
}

// difference is what a day's items come to, by class and model: "class model surface": amount.
func (h *house) difference(t *testing.T, day time.Time) (app.Workbench, map[string]string) {
	t.Helper()
	w, err := h.days.Day(t.Context(), h.one.who, day)
	require.NoError(t, err)
	sums := map[string]*money.Sum{}
	for i := range w.Items {
		key := string(w.Items[i].Class) + " " + w.Items[i].Cell.Model + " " + string(w.Items[i].Cell.Surface)
		if sums[key] == nil {
			sums[key] = &money.Sum{}
		}
		sums[key].AddSum(&w.Items[i].Amount)
	}
	said := map[string]string{}
	for key, sum := range sums {
		said[key] = sum.String()
	}
	return w, said
}

const (
	opus  = "claude-opus-4-8"           // 5 / 25 / 6.25 / 10 / 0.50 a million
	haiku = "claude-haiku-4-5-20251001" // 1 / 5 / 1.25 / 2 / 0.10
)

// dollars is so many tokens at so many pico-dollars each.
func dollars(tokens, rate int64) string {
	var s money.Sum
	s.Add(money.Pico(tokens * rate))
	return s.String()
}

// TestEveryPlantedDiscrepancyIsFoundAndNoOther seeds three months in both books, plants what
// can be wrong, each on a day of its own, and finds each by its class and its exact amount.
func TestEveryPlantedDiscrepancyIsFoundAndNoOther(t *testing.T) {
	t.Parallel()
	h := build(t)
	first := time.Date(2026, 8, 10, 0, 0, 0, 0, time.UTC)
	v := h.vendor(t, first)
	var l ledgers
	today := h.clock.now().Truncate(24 * time.Hour)
	for day := first; day.Before(today); day = day.AddDate(0, 0, 1) {
		h.ordinary(&l, day)
	}
	at := func(n int) time.Time { return first.AddDate(0, 0, n) }
	noon := func(n int) time.Time { return at(n).Add(12 * time.Hour) }
	want := map[time.Time]map[string]string{}
	wants := func(n int, key, amount string) {
		if want[at(n)] == nil {
			want[at(n)] = map[string]string{}
		}
		want[at(n)][key] = amount
	}

	// A request at midnight: ours is the day before, the provider's the day after.
	e, f := h.traffic(at(3).Add(-time.Second), "CC-1", opus, usage.Tokens{1000, 100})
	f.OccurredAt = at(3).Add(time.Second)
	l.add(e, f)
	wants(2, "late "+opus+" gateway", "-"+dollars(1, 1000*5_000_000+100*25_000_000))
	wants(3, "late "+opus+" gateway", dollars(1, 1000*5_000_000+100*25_000_000))

	// A stream that broke off: the provider wrote 700 tokens, and we saw 200.
	e, f = h.traffic(noon(5), "CC-2", opus, usage.Tokens{1000, 200})
	e.State, f.Tokens.Output = usage.StateIncomplete, 700
	l.add(e, f)
	wants(5, "aborted_stream "+opus+" gateway", dollars(500, 25_000_000))

	// A request of which nobody saw the answer.
	e, f = h.traffic(noon(7), "CC-2", haiku, usage.Tokens{})
	e.State, e.HTTPStatus, e.RequestID = usage.StateOpen, 0, ""
	f.Tokens = simulator.Tokens{Input: 2000, Output: 300}
	l.add(e, f)
	wants(7, "aborted_stream "+haiku+" gateway", dollars(1, 2000*1_000_000+300*5_000_000))

	// A model that our price book does not have: we guessed, the provider knows.
	e, f = h.traffic(noon(9), "CC-1", "claude-opus-9", usage.Tokens{1000, 100})
	l.add(e, f)

	// The same request in another tier, and one the provider serves under another name.
	e, f = h.traffic(noon(11), "CC-1", opus, usage.Tokens{4000, 400})
	f.ServiceTier = "batch"
	l.add(e, f)
	wants(11, "tier_mismatch "+opus+" gateway", "-"+dollars(1, 2000*5_000_000+200*25_000_000))

	// A plain request to be spoilt on each of some days.
	marked := map[int]string{}
	for _, n := range []int{13, 15, 17, 19, 21} {
		e, f = h.traffic(noon(n), "CC-3", opus, usage.Tokens{5000, 500, 6000, 7000, 8000})
		l.add(e, f)
		marked[n] = e.RequestID
	}
	// Two that passed no gateway: one with another key, one at the Console.
	_, f = h.traffic(noon(23), "CC-1", opus, usage.Tokens{1000, 100})
	f.KeyHint = strangersKey
	l.facts = append(l.facts, f)
	wants(23, "bypass "+opus+" key", dollars(1, 1000*5_000_000+100*25_000_000))
	l.tell(t, v)

	v.plant(t, map[string]any{"class": "tokens", "request_id": marked[13], "token_class": "cache_write_5m", "delta": -1000})
	v.plant(t, map[string]any{"class": "tokens", "request_id": marked[13], "token_class": "cache_write_1h", "delta": 1000})
	wants(13, "class_mismatch "+opus+" gateway", dollars(1000, 10_000_000-6_250_000))
	v.plant(t, map[string]any{"class": "missing", "request_id": marked[15]})
	whole := dollars(1, 5000*5_000_000+500*25_000_000+6000*6_250_000+7000*10_000_000+8000*500_000)
	wants(15, "missing_at_provider "+opus+" gateway", "-"+whole)
	v.plant(t, map[string]any{"class": "tokens", "request_id": marked[17], "token_class": "output", "delta": 40, "in": "usage"})
	wants(17, "reports_disagree "+opus+" gateway", dollars(0, 0))
	v.plant(t, map[string]any{"class": "tokens", "request_id": marked[19], "token_class": "output", "delta": 40, "in": "cost"})
	wants(19, "price_mismatch "+opus+" gateway", dollars(40, 25_000_000))
	v.plant(t, map[string]any{"class": "price", "request_id": marked[21], "bps": 100})
	wants(21, "price_mismatch "+opus+" gateway", dollars(1, (5000*5_000_000+500*25_000_000+6000*6_250_000+7000*10_000_000+8000*500_000)/100))
	v.plant(t, map[string]any{"class": "extra", "occurred_at": noon(25), "api_key_id": "", "model": haiku, "tokens": map[string]int64{"input": 900, "output": 90}})
	wants(25, "bypass "+haiku+" console", dollars(1, 900*1_000_000+90*5_000_000))
	v.plant(t, map[string]any{"class": "extra", "occurred_at": noon(27), "api_key_id": gatewayKey, "model": haiku, "tokens": map[string]int64{"input": 900, "output": 90}})
	wants(27, "missing_with_us "+haiku+" gateway", dollars(1, 900*1_000_000+90*5_000_000))
	v.plant(t, map[string]any{"class": "fee", "occurred_at": noon(29), "cost_type": "code_execution", "amount_pico": 50_000_000_001})
	wants(29, "fee  console", "0.050000000001")
	v.plant(t, map[string]any{"class": "fee", "occurred_at": noon(31), "cost_type": "session_usage", "amount_pico": 80_000_000_007})
	wants(31, "fee  console", "0.080000000007")
	v.plant(t, map[string]any{"class": "credit", "occurred_at": noon(33), "api_key_id": gatewayKey, "amount_pico": 3})
	wants(33, "credit_or_discount  gateway", "-0.000000000003")
	// What we guessed of the unknown model is the dearest of its family; the provider's own price is what its books say.
	var rows struct{ Data []struct{ Amount string } }
	rec := httptest.NewRecorder()
	v.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/books?limit=1000&from="+at(9).Format(time.DateOnly)+"&to="+at(10).Format(time.DateOnly), nil))
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &rows))
	var theirs money.Sum
	for _, row := range rows.Data {
		one, err := money.ParseSum(row.Amount)
		require.NoError(t, err)
		theirs.AddSum(&one)
	}
	ours, err := money.SumOfPico(h.text(t, `select sum(charge_pico)::text from usage_event where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3`, h.one.tenant, at(9), at(10)))
	require.NoError(t, err)
	theirs.SubSum(&ours)
	require.NotZero(t, theirs.Sign())
	wants(9, "unknown_price claude-opus-9 gateway", theirs.String())

	for day := first; day.Before(today); day = day.AddDate(0, 0, 1) {
		v.pull(t, day)
	}
	for day := first; day.Before(today); day = day.AddDate(0, 0, 1) {
		_, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
		require.NoError(t, err)
	}
	for day := first; day.Before(today.AddDate(0, 0, -1)); day = day.AddDate(0, 0, 1) {
		w, said := h.difference(t, day)
		if want[day] == nil {
			require.Empty(t, said, day)
			require.Equal(t, reconcile.StateReconciled, w.State, day)
			require.Zero(t, w.Difference.Sign())
			continue
		}
		require.Equal(t, want[day], said, day)
		require.Zero(t, w.Gross.Sign(), day)
		delete(want, day)
	}
	require.Empty(t, want)
	require.Zero(t, h.number(t, `select count(*) from reconciliation where tenant_id = $1 and unexplained_pico <> 0`, h.one.tenant))
	made, err := h.days.Reconcile(t.Context(), h.one.tenant, first)
	require.NoError(t, err)
	require.False(t, made, "the same sides are not compared twice")
	require.Zero(t, h.number(t, `select count(*) from reconciliation where tenant_id = $1`, h.two.tenant))
	require.Positive(t, h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'reconciliation.made'`, h.one.tenant))
}

// TestWhatNothingExplainsIsOpenedAndGoesByItself: counts that are off without a reason are an
// exception, which a revision of the report resolves.
func TestWhatNothingExplainsIsOpenedAndGoesByItself(t *testing.T) {
	t.Parallel()
	h := build(t)
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	var l ledgers
	h.ordinary(&l, day)
	e, f := h.traffic(day.Add(time.Hour), "CC-2", opus, usage.Tokens{5000, 500})
	l.add(e, f)
	l.tell(t, v)
	v.plant(t, map[string]any{"class": "tokens", "request_id": e.RequestID, "token_class": "output", "delta": 40_000, "until": h.clock.now().Add(time.Hour)})
	require.True(t, v.reconciled(t, day))
	w, said := h.difference(t, day)
	require.Equal(t, map[string]string{"unknown " + opus + " gateway": "1.000000000000"}, said)
	require.Equal(t, reconcile.StateException, w.State)
	require.Equal(t, "1.000000000000", w.Unexplained.String())
	require.Len(t, w.Variances, 1)
	require.Equal(t, reconcile.StandingOpen, w.Variances[0].Standing)
	require.True(t, w.Simulated)
	require.False(t, v.reconciled(t, day))

	h.clock.add(2 * time.Hour)
	require.True(t, v.reconciled(t, day), "the provider revised it")
	w, said = h.difference(t, day)
	require.Empty(t, said)
	require.Equal(t, reconcile.StateReconciled, w.State)
	require.Equal(t, reconcile.StandingResolved, w.Variances[0].Standing)
	runs, variances := h.days.Counts()
	require.Equal(t, []app.RunCount{{"provisional", 0}, {"reconciled", 1}, {"within_tolerance", 0}, {"exception", 1}}, runs)
	require.Equal(t, []app.RunCount{{"opened", 1}, {"resolved", 1}}, variances)
	require.Equal(t, "found gone", h.text(t, `select string_agg(kind, ' ' order by place) from variance_step where tenant_id = $1`, h.one.tenant))
}

// TestADayIsLateUntilTheProviderCoversIt: what is not there yet is no exception.
func TestADayIsLateUntilTheProviderCoversIt(t *testing.T) {
	t.Parallel()
	h := build(t)
	day := november(9).Truncate(24 * time.Hour) // yesterday
	v := h.vendor(t, day)
	v.tell(t, "/books/terms", map[string]any{"report_delay_sec": 86_400})
	var l ledgers
	h.ordinary(&l, day)
	l.tell(t, v)
	require.True(t, v.reconciled(t, day))
	w, _ := h.difference(t, day)
	require.Equal(t, reconcile.StateProvisional, w.State)
	for i := range w.Items {
		require.Equal(t, reconcile.ClassLate, w.Items[i].Class)
	}
	require.NotEmpty(t, w.Items)
	require.Empty(t, w.Variances)
	h.clock.add(72 * time.Hour)
	require.True(t, v.reconciled(t, day))
	w, said := h.difference(t, day)
	require.Empty(t, said)
	require.Equal(t, reconcile.StateReconciled, w.State)
}

// TestTwoWorkersReconcileADayOnce.
func TestTwoWorkersReconcileADayOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	var l ledgers
	h.ordinary(&l, day)
	l.tell(t, v)
	v.plant(t, map[string]any{"class": "price", "day": "2026-11-03", "model": opus, "bps": 9000})
	v.pull(t, day)
	ends := make(chan error, 4)
	for range cap(ends) {
		go func() {
			_, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
			ends <- err
		}()
	}
	for range cap(ends) {
		require.NoError(t, <-ends)
	}
	require.Equal(t, int64(1), h.number(t, `select count(*) from reconciliation where tenant_id = $1`, h.one.tenant))
	require.Equal(t, int64(1), h.number(t, `select count(*) from variance where tenant_id = $1`, h.one.tenant))
	require.Equal(t, int64(1), h.number(t, `select count(*) from variance_step where tenant_id = $1`, h.one.tenant))

	// A late request changes the day, and the amount of nothing that was found.
	e, f := h.traffic(day.Add(2*time.Hour), "CC-2", haiku, usage.Tokens{5000, 500})
	l = ledgers{}
	l.add(e, f)
	l.tell(t, v)
	v.pull(t, day)
	n, err := h.days.ReconcileAll(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, int64(2), h.number(t, `select count(*) from reconciliation where tenant_id = $1`, h.one.tenant))
	require.Equal(t, int64(1), h.number(t, `select count(*) from variance_step where tenant_id = $1`, h.one.tenant))
}

// TestAVarianceIsExplainedAndReviewedAndADaySigned walks both, with who may not.
func TestAVarianceIsExplainedAndReviewedAndADaySigned(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo, dev := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo"), h.person(t, h.one, app.RoleDeveloper, "dev")
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	var l ledgers
	h.ordinary(&l, day)
	l.tell(t, v)
	v.plant(t, map[string]any{"class": "price", "day": "2026-11-03", "model": opus, "bps": 9000})
	require.True(t, v.reconciled(t, day))
	w, _ := h.difference(t, day)
	require.Len(t, w.Variances, 1)
	variance := w.Variances[0].ID
	step := func(who app.Actor, s app.VarianceStep) error {
		s.Seen = h.shown(t, variance)
		return h.days.Step(t.Context(), who, variance, &s)
	}
	_, err := h.days.Day(t.Context(), dev, day)
	require.ErrorIs(t, err, app.ErrNotAllowed)
	require.ErrorIs(t, step(dev, app.VarianceStep{Kind: reconcile.StepExplained, Note: "no"}), app.ErrNotAllowed)
	require.Error(t, h.days.Step(t.Context(), h.person(t, h.two, app.RoleFinanceAdmin, "fin2"), variance, &app.VarianceStep{Kind: reconcile.StepExplained, Note: "no"}), "another company's")
	require.Error(t, h.days.SignOff(t.Context(), fin, day, w.Number, app.PartPreparer, "as shown"), "a variance is open")

	require.NoError(t, step(fin, app.VarianceStep{Kind: reconcile.StepAssigned, Owner: fin.Member, Note: "mine"}))
	require.Error(t, step(fin, app.VarianceStep{Kind: reconcile.StepWaiting, WaitUntil: day, Note: "too early"}))
	require.Error(t, step(fin, app.VarianceStep{Kind: reconcile.StepAdjusted, Adjustment: 999_999, Note: "no such change"}))
	require.NoError(t, step(fin, app.VarianceStep{
		Kind: reconcile.StepExplained, Note: "The list price rose that day; the new list is proposed.", Evidence: &app.NewAttachment{Name: "list.pdf", MediaType: "application/pdf", Content: []byte("%PDF-")},
	}))
	require.ErrorIs(t, step(fin, app.VarianceStep{Kind: reconcile.StepAccepted, Note: "mine"}), app.ErrNotAllowed)
	c, err := h.days.Variance(t.Context(), cfo, variance)
	require.NoError(t, err)
	require.True(t, c.CanReview)
	require.Equal(t, "fin", c.OwnerName)
	file := c.Steps[2].Files[0]
	_, content, err := h.days.Evidence(t.Context(), cfo, variance, file.ID)
	require.NoError(t, err)
	require.Equal(t, "%PDF-", string(content))
	require.NoError(t, step(cfo, app.VarianceStep{Kind: reconcile.StepAccepted, Note: "agreed"}))
	require.ErrorIs(t, step(fin, app.VarianceStep{Kind: reconcile.StepExplained, Note: "again"}), reconcile.ErrResolved)

	require.Error(t, h.days.SignOff(t.Context(), cfo, day, w.Number, app.PartReviewer, "as shown"), "nobody prepared it")
	require.NoError(t, h.days.SignOff(t.Context(), fin, day, w.Number, app.PartPreparer, "as shown"))
	require.ErrorIs(t, h.days.SignOff(t.Context(), fin, day, w.Number, app.PartReviewer, "as shown"), app.ErrNotAllowed)
	require.NoError(t, h.days.SignOff(t.Context(), cfo, day, w.Number, app.PartReviewer, "as shown"))
	w, _ = h.difference(t, day)
	require.Equal(t, "fin", w.Preparer.Hand.Name)
	require.Equal(t, "cfo", w.Reviewer.Hand.Name)

	// A figure that changes takes both away, and opens what was resolved.
	v.plant(t, map[string]any{"class": "price", "day": "2026-11-03", "model": opus, "bps": 10})
	require.True(t, v.reconciled(t, day))
	w, _ = h.difference(t, day)
	require.Nil(t, w.Preparer)
	require.True(t, w.Withdrawn)
	require.Equal(t, reconcile.StandingOpen, w.Variances[0].Standing)
	require.NoError(t, step(cfo, app.VarianceStep{Kind: reconcile.StepExplained, Note: "by the controller"}))
	require.ErrorIs(t, step(cfo, app.VarianceStep{Kind: reconcile.StepAccepted, Note: "my own"}), reconcile.ErrSamePerson)
}

// TestATolerancesAreDecidedByASecondPerson, and hold for what is reconciled afterwards.
func TestATolerancesAreDecidedByASecondPerson(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	day := november(3).Truncate(24 * time.Hour)
	v := h.vendor(t, day)
	var l ledgers
	h.ordinary(&l, day)
	l.tell(t, v)
	v.plant(t, map[string]any{"class": "fee", "occurred_at": day.Add(time.Hour), "cost_type": "code_execution", "amount_pico": 50_000_000_000})
	require.True(t, v.reconciled(t, day))
	w, _ := h.difference(t, day)
	require.Equal(t, reconcile.StateException, w.State, "five cents of a small day")
	change := h.propose(t, fin, app.AskTolerance(reconcile.Tolerance{Absolute: 500, RelativeBps: 1000}, "small days"))
	_, err := h.approveChange(t, fin, change)
	require.Error(t, err)
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	made, err := h.days.Reconcile(t.Context(), h.one.tenant, day)
	require.NoError(t, err)
	require.True(t, made)
	w, _ = h.difference(t, day)
	require.Equal(t, 1, w.ToleranceVersion)
	require.Equal(t, reconcile.StateReconciled, w.State)
	require.Equal(t, reconcile.StandingResolved, w.Variances[0].Standing)
}
