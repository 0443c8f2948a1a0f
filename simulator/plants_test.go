package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func control(t *testing.T, sim *Simulator, path, b string) string {
	t.Helper()
	rec := call(t, sim, http.MethodPost, path, b, map[string]string{"x-api-key": "", "anthropic-version": ""})
	require.Equal(t, 200, rec.Code, rec.Body.String())

	return rec.Body.String()
}

// shown is what both analytics reports say of the day, key by key.
func shown(t *testing.T, sim *Simulator) string {
	t.Helper()
	sim.desk.recent = nil
	const query = "?starting_at=2026-11-23&ending_at=2026-11-24&time_bucket_width=1d&group_by[]=api_key_id&order_by=time&limit=1000"
	var all []string
	for _, row := range reportOf(t, sim, usageReportPath+query).Data {
		all = append(all, fmt.Sprint(row.Group["api_key_id"], " ", row.Usage.Requests, "r ", row.Usage.Total, "t"))
	}
	for _, row := range reportOf(t, sim, costReportPath+query).Data {
		all = append(all, fmt.Sprint(row.Group["api_key_id"], " ", row.Cost.ListAmount, " ", row.Cost.Amount))
	}

	return strings.ReplaceAll(strings.Join(all, "; "), "0000000", "")
}

// two books a request of 1000 input and 100 output tokens on each of two keys: 0.6
// cents each.
func two(t *testing.T, sim *Simulator) {
	t.Helper()
	fact := func(i int) string {
		return fmt.Sprintf(`{"request_id":"r%d","occurred_at":"2026-11-23T0%d:00:00Z","key_hint":"k%d","model":"claude-opus-5-5","tokens":{"input":1000,"output":100}}`, i, i+1, i)
	}
	control(t, sim, "/books/facts", `{"facts":[`+fact(0)+","+fact(1)+`]}`)
}

func TestPlants(t *testing.T) {
	t.Parallel()
	sorted := func(parts ...string) string { return strings.Join(parts, "; ") }
	for name, tc := range map[string]struct{ plant, want string }{
		"nothing":            {"", sorted("k0 1r 1100t", "k1 1r 1100t", "k0 0.600 0.600", "k1 0.600 0.600")},
		"tokens":             {`{"class":"tokens","request_id":"r0","token_class":"output","delta":-50}`, sorted("k1 1r 1100t", "k0 1r 1050t", "k1 0.600 0.600", "k0 0.500 0.500")},
		"tokens of a day":    {`{"class":"tokens","day":"2026-11-23","api_key_id":"k1","token_class":"input","delta":1000}`, sorted("k1 1r 2100t", "k0 1r 1100t", "k1 1.000 1.000", "k0 0.600 0.600")},
		"tokens in usage":    {`{"class":"tokens","request_id":"r0","token_class":"cache_read","delta":7,"in":"usage"}`, sorted("k0 1r 1107t", "k1 1r 1100t", "k0 0.600 0.600", "k1 0.600 0.600")},
		"tokens in cost":     {`{"class":"tokens","request_id":"r0","token_class":"input","delta":500,"in":"cost"}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k0 0.800 0.800", "k1 0.600 0.600")},
		"price":              {`{"class":"price","day":"2026-11-23","api_key_id":"k0","bps":5000}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k0 0.900 0.900", "k1 0.600 0.600")},
		"price down":         {`{"class":"price","request_id":"r0","bps":-10000}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k1 0.600 0.600", "k0 0.000 0.000")},
		"missing":            {`{"class":"missing","request_id":"r1"}`, sorted("k0 1r 1100t", "k0 0.600 0.600")},
		"missing by model":   {`{"class":"missing","day":"2026-11-23","model":"claude-opus-5-5"}`, ""},
		"extra":              {`{"class":"extra","occurred_at":"2026-11-23T05:00:00Z","api_key_id":"k9","model":"claude-opus-5-5","tokens":{"input":100}}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k9 1r 100t", "k0 0.600 0.600", "k1 0.600 0.600", "k9 0.040 0.040")},
		"fee":                {`{"class":"fee","occurred_at":"2026-11-23T05:00:00Z","cost_type":"session_usage","amount_pico":80000000000}`, sorted("k0 1r 1100t", "k1 1r 1100t", "<nil> 8.000 8.000", "k0 0.600 0.600", "k1 0.600 0.600")},
		"credit":             {`{"class":"credit","occurred_at":"2026-11-23T05:00:00Z","api_key_id":"k0","amount_pico":5000000000}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k1 0.600 0.600", "k0 0.600 0.100")},
		"not yet":            {`{"class":"missing","request_id":"r1","since":"2026-11-24T00:00:00Z"}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k0 0.600 0.600", "k1 0.600 0.600")},
		"no more":            {`{"class":"missing","request_id":"r1","until":"2026-11-23T12:00:00Z"}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k0 0.600 0.600", "k1 0.600 0.600")},
		"outside the report": {`{"class":"extra","occurred_at":"2026-11-22T23:59:59Z","api_key_id":"k9","model":"claude-opus-5-5","tokens":{"input":100}}`, sorted("k0 1r 1100t", "k1 1r 1100t", "k0 0.600 0.600", "k1 0.600 0.600")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := open(t, Config{})
			two(t, sim)
			before := call(t, sim, http.MethodGet, "/books/totals", "", nil).Body.String()
			if tc.plant != "" {
				planted := decode[Plant](t, []byte(control(t, sim, "/books/plant", tc.plant)))
				require.Equal(t, "plant_1", planted.ID)
				listed := decode[struct{ Data []Plant }](t, call(t, sim, http.MethodGet, "/books/plants", "", nil).Body.Bytes())
				require.Equal(t, []Plant{planted}, listed.Data)
			}
			require.Equal(t, tc.want, shown(t, sim))
			require.Equal(t, before, call(t, sim, http.MethodGet, "/books/totals", "", nil).Body.String(), "the books stay true")
		})
	}
}

// A late fact, a late revision, and a restart in between.
func TestPlantsShowInTime(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), noon()
	cfg := Config{Dir: dir, Now: func() time.Time { return now }}
	sim := open(t, cfg)
	two(t, sim)
	control(t, sim, "/books/plant", `{"class":"missing","request_id":"r1","until":"2026-11-23T18:00:00Z"}`)
	control(t, sim, "/books/plant", `{"class":"tokens","day":"2026-11-23","token_class":"output","delta":900,"since":"2026-11-24T06:00:00Z"}`)
	require.Equal(t, "k0 1r 1100t; k0 0.600 0.600", shown(t, sim))
	require.NoError(t, sim.Close())
	sim = open(t, cfg)
	now = now.Add(6 * time.Hour)
	require.Equal(t, "k0 1r 1100t; k1 1r 1100t; k0 0.600 0.600; k1 0.600 0.600", shown(t, sim))
	now = now.Add(12 * time.Hour)
	require.Equal(t, "k0 1r 2000t; k1 1r 1100t; k0 2.400 2.400; k1 0.600 0.600", shown(t, sim))
	listed := decode[struct{ Data []Plant }](t, call(t, sim, http.MethodGet, "/books/plants", "", nil).Body.Bytes())
	require.Equal(t, "r0", listed.Data[1].RequestID, "pinned to one request")
}

func TestPlantsAreChecked(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	two(t, sim)
	for _, bad := range []string{
		``, `{}`, `[]`, `{"class":"odd"}`, `{"class":"missing"}`, `{"class":"missing","request_id":"nobody"}`, `{"class":"missing","day":"2026-11-22"}`, `{"class":"missing","day":"today"}`,
		`{"class":"missing","request_id":"r0","colour":1}`, `{"class":"missing","request_id":"r0"}{}`, `{"class":"tokens","request_id":"r0","token_class":"input"}`,
		`{"class":"tokens","request_id":"r0","token_class":"gold","delta":1}`, `{"class":"price","request_id":"r0"}`, `{"class":"price","request_id":"r0","bps":-10001}`,
		`{"class":"extra","occurred_at":"2026-11-23T05:00:00Z","tokens":{"input":1}}`, `{"class":"fee","occurred_at":"2026-11-23T05:00:00Z","amount_pico":1}`,
		`{"class":"credit","amount_pico":1}`, `{"class":"missing","request_id":"r0","in":"both"}`, `{"class":"missing","request_id":"r0","since":"2026-11-23T05:00:00Z","until":"2026-11-22T05:00:00Z"}`,
	} {
		require.Equal(t, 400, call(t, sim, http.MethodPost, "/books/plant", bad, nil).Code, bad)
	}
	for range maxPlants {
		control(t, sim, "/books/plant", `{"class":"missing","request_id":"r0"}`)
	}
	require.Equal(t, 500, call(t, sim, http.MethodPost, "/books/plant", `{"class":"missing","request_id":"r0"}`, nil).Code)
}

// Fees and credits in the legacy report, and where a fee stands in a breakdown.
func TestFeesInReports(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	two(t, sim)
	control(t, sim, "/books/plant", `{"class":"fee","occurred_at":"2026-11-23T05:00:00Z","cost_type":"code_execution","amount_pico":50000000000}`)
	page := reportOf(t, sim, costReportPath+"?starting_at=2026-11-23&group_by[]=cost_type&group_by[]=model")
	kinds := map[any]any{}
	for _, row := range page.Data {
		kinds[row.Group["cost_type"]] = fmt.Sprint(row.Group["model"], " ", row.Cost.ListAmount)
	}
	require.Equal(t, map[any]any{"code_execution": "<nil> 5.0000000000", "tokens": "claude-opus-5-5 1.2000000000"}, kinds)
	legacy := legacyOf(t, sim, legacyCostPath+"?starting_at=2026-11-23&group_by[]=description").Data[0].Results
	require.Len(t, legacy, 3)
	texts := fmt.Sprint(legacy[0]["description"], legacy[1]["description"], legacy[2]["description"])
	require.Contains(t, texts, "Code Execution Usage")
}

// The discount holds from a day on; what came before is at list.
func TestTerms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sim := open(t, Config{Dir: dir, DiscountBps: 2500, DiscountFrom: "2026-11-23"})
	control(t, sim, "/books/facts", `{"facts":[{"request_id":"before","occurred_at":"2026-11-22T23:59:59Z","model":"claude-opus-5-5","tokens":{"input":1000}},
		{"request_id":"after","occurred_at":"2026-11-23T00:00:00Z","model":"claude-opus-5-5","tokens":{"input":1000}}]}`)
	amount := func() string {
		row := reportOf(t, sim, costReportPath+"?starting_at=2026-11-22").Data[0]

		return row.Cost.ListAmount[:4] + " " + row.Cost.Amount[:5]
	}
	require.Equal(t, "0.80 0.700", amount())
	control(t, sim, "/books/terms", `{"report_delay_sec":3600,"discounts":[{"from":"2026-11-23","bps":5000},{"from":"","bps":1000}]}`)
	require.Equal(t, "0.80 0.560", amount())
	require.NoError(t, sim.Close())
	sim = open(t, Config{Dir: dir})
	require.Equal(t, "0.80 0.560", amount(), "what was agreed is kept")
	require.Equal(t, "2026-11-23T11:00:00Z", reportOf(t, sim, costReportPath+"?starting_at=2026-11-22").DataRefreshedAt)
	terms := decode[Terms](t, call(t, sim, http.MethodGet, "/books/terms", "", nil).Body.Bytes())
	require.Equal(t, []Discount{{"", 1000}, {"2026-11-23", 5000}}, terms.Discounts)
	for _, bad := range []string{`{"report_delay_sec":-1}`, `{"discounts":[{"bps":10001}]}`, `{"discounts":[{"from":"x","bps":1}]}`, `{"x":1}`} {
		require.Equal(t, 400, call(t, sim, http.MethodPost, "/books/terms", bad, nil).Code, bad)
	}
}

// What nobody proxied is in the books and in the reports: under another key, or none.
func TestTrafficThatBypassed(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	answer := decode[struct {
		Added      int
		RequestIDs []string `json:"request_ids"`
	}](t, []byte(control(t, sim, "/books/facts", `{"facts":[{"model":"claude-opus-5-5","tokens":{"input":1000},"key_hint":"apikey_direct","occurred_at":"2026-11-23T11:00:00Z"},
		{"model":"claude-opus-5-5","tokens":{"input":500},"occurred_at":"2026-11-23T11:00:00Z"}]}`)))
	require.Equal(t, 2, answer.Added)
	require.NotEqual(t, answer.RequestIDs[0], answer.RequestIDs[1])
	require.Equal(t, "0.004000000000", booksOf(t, sim, "request_id="+answer.RequestIDs[0])[0].Amount)
	require.Equal(t, "apikey_direct 1r 1000t; <nil> 1r 500t; apikey_direct 0.400 0.400; <nil> 0.200 0.200", shown(t, sim))
	for _, bad := range []string{`{"facts":[{"tokens":{"input":-1}}]}`, `{"fact":[]}`, `{"facts":[` + strings.Repeat(`{},`, maxBookRows) + `{}]}`} {
		require.Equal(t, 400, call(t, sim, http.MethodPost, "/books/facts", bad, nil).Code)
	}
}

func TestReportFaults(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	_, err := sim.Import(history(600)) // ten hours
	require.NoError(t, err)
	const path = usageReportPath + "?starting_at=2026-08-15&ending_at=2026-08-17&time_bucket_width=1h&order_by=time&order=asc&limit=4"
	starts := func(page reportPage) string {
		var all []string
		for _, row := range page.Data {
			all = append(all, row.StartingAt[11:13])
		}

		return strings.Join(all, " ")
	}
	next := func(page reportPage) reportPage { return reportOf(t, sim, path+"&page="+*page.NextPage) }
	first := reportOf(t, sim, path)
	require.Equal(t, "12 13 14 15", starts(first))

	control(t, sim, "/books/report-faults", `{"faults":"status=429,retry-after=2","path":"/v1/organizations/analytics/cost"}`)
	control(t, sim, "/books/report-faults", `{"faults":"status=429,retry-after=3","path":"/v1/organizations/analytics/usage","skip":1,"times":2}`)
	reportOf(t, sim, path)
	for range 2 {
		rec := call(t, sim, http.MethodGet, path, "", admin())
		require.Equal(t, 429, rec.Code)
		require.Equal(t, "3", rec.Header().Get("retry-after"))
	}
	reportOf(t, sim, path)
	waiting := decode[struct{ Data []reportFault }](t, call(t, sim, http.MethodGet, "/books/report-faults", "", nil).Body.Bytes())
	require.Len(t, waiting.Data, 1)
	require.Equal(t, 429, call(t, sim, http.MethodGet, costReportPath+"?starting_at=2026-11-01", "", admin()).Code)

	spoil := func(faults string) { control(t, sim, "/books/report-faults", `{"faults":"`+faults+`"}`) }
	spoil("repeat-page")
	again := next(first)
	require.Equal(t, starts(first), starts(again))
	require.Equal(t, "20 21", starts(next(again)), "and then goes on behind the page it left out")
	spoil("stuck-page")
	stuck := next(first)
	require.Equal(t, "16 17 18 19", starts(stuck))
	require.Equal(t, *first.NextPage, *stuck.NextPage)
	spoil("empty-page")
	empty := next(first)
	require.Empty(t, empty.Data)
	require.True(t, empty.HasMore)
	require.Equal(t, "16 17 18 19", starts(next(empty)), "and nothing is lost")
	spoil("refuse-cursor")
	require.Equal(t, 400, call(t, sim, http.MethodGet, path+"&page="+*first.NextPage, "", admin()).Code)
	spoil("status=503,html")
	require.Equal(t, "text/html", call(t, sim, http.MethodGet, path, "", admin()).Header().Get("Content-Type"))
	for _, cut := range []string{"drop-head", "drop-after=0"} {
		spoil(cut)
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { call(t, sim, http.MethodGet, path, "", admin()) })
	}
	spoil("skew-sec=60")
	require.Equal(t, "Mon, 23 Nov 2026 12:01:00 GMT", call(t, sim, http.MethodGet, path, "", admin()).Header().Get("Date"))
	headers := admin()
	headers["x-sim-fault"] = "status=500"
	require.Equal(t, 500, call(t, sim, http.MethodGet, path, "", headers).Code)
	for _, bad := range []string{`{}`, `{"faults":"odd"}`, `{"faults":"html","times":-1}`, `{"faults":"html","skip":-1}`} {
		require.Equal(t, 400, call(t, sim, http.MethodPost, "/books/report-faults", bad, nil).Code, bad)
	}
	for range maxReportFaults {
		spoil("html")
	}
	require.Equal(t, 400, call(t, sim, http.MethodPost, "/books/report-faults", `{"faults":"html"}`, nil).Code)
	page := legacyOf(t, open(t, Config{}), legacyUsagePath+"?starting_at=2026-11-01&ending_at=2026-11-11&limit=3")
	require.True(t, page.HasMore)
}
