package provider_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/provider"
)

func monday() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

// reported is one row of an analytics report.
func reported(group, measures string) string {
	kind := "usage"
	if strings.Contains(measures, "currency") {
		kind = "cost"
	}
	return fmt.Sprintf(`{"starting_at":"2026-11-23T00:00:00Z","ending_at":"2026-11-24T00:00:00Z","group":{%s},"%s":{%s}}`, group, kind, measures)
}

func paged(next string, rows ...string) []byte {
	cursor := "null"
	if next != "" {
		cursor = fmt.Sprintf("%q", next)
	}
	return fmt.Appendf(nil, `{"data":[%s],"has_more":%t,"next_page":%s,"data_refreshed_at":"2026-11-24T09:00:00Z"}`, strings.Join(rows, ","), next != "", cursor)
}

func read(api provider.API, report provider.Report, pages ...[]byte) (*provider.Reading, error) {
	r := provider.Begin(api, report, monday())
	for _, p := range pages {
		if err := r.Read(p); err != nil {
			return r, err
		}
	}
	return r, nil
}

const (
	opus    = `"api_key_id":"apikey_1","model":"claude-opus-5-5","service_tier":"standard","speed":"standard","inference_geo":"global","actor":null`
	haiku   = `"api_key_id":null,"model":"claude-haiku-5-5","service_tier":"batch","speed":"fast","inference_geo":"us"`
	money12 = `"amount":"41280.0000000001","list_amount":"48564.705882","currency":"USD","requests":null`
)

func TestAnalyticsRowsBecomeFigures(t *testing.T) {
	t.Parallel()
	r, err := read(provider.Analytics, provider.Usage, paged("p2", reported(opus, `"uncached_input_tokens":5,"cache_read_input_tokens":6,
		"cache_creation":{"ephemeral_5m_input_tokens":7,"ephemeral_1h_input_tokens":0,"ephemeral_9d_input_tokens":3},"output_tokens":8,
		"server_tool_use":{"web_search_requests":2},"requests":4,"total_tokens":26,"quantum_tokens":9,"mood":"good","odd":null`)), paged("", reported(haiku, `"output_tokens":1`)))
	require.NoError(t, err)
	_, more := r.Next()
	require.False(t, more)
	one := provider.Figure{Report: provider.Usage, Day: monday(), Key: "apikey_1", Model: "claude-opus-5-5", Tier: "standard", Speed: "standard", Geography: "global"}
	with := func(class string, n int64) provider.Figure { f := one; f.Class, f.Quantity = class, n; return f }
	require.Equal(t, []provider.Figure{
		{Report: provider.Usage, Day: monday(), Model: "claude-haiku-5-5", Tier: "batch", Speed: "fast", Geography: "us", Class: "output", Quantity: 1},
		with("cache_read", 6), with("cache_write_5m", 7), with("input", 5), with("output", 8),
		with("provider:cache_creation.ephemeral_9d_input_tokens", 3), with("provider:quantum_tokens", 9), with("requests", 4), with("web_search_requests", 2),
	}, r.Figures())
	require.Equal(t, []string{"usage.mood"}, r.Unread())
	require.Equal(t, "2026-11-24T09:00:00Z", r.RefreshedAt().Format(time.RFC3339))
	require.False(t, provider.Known("provider:quantum_tokens"))
	require.True(t, provider.Known("web_search"))
}

func TestCostIsExactWhateverItsKind(t *testing.T) {
	t.Parallel()
	group := func(costType, tokenType string) string {
		return opus + `,"cost_type":` + costType + `,"token_type":` + tokenType
	}
	r, err := read(provider.Analytics, provider.Cost, paged("",
		reported(group(`"tokens"`, `"cache_read_input_tokens"`), money12), reported(group(`"tokens"`, `"uncached_input_tokens"`), `"amount":"0.0000000001","list_amount":"0","currency":"USD"`),
		reported(group(`"tokens"`, `null`), `"amount":"-1.5","list_amount":"0.00","currency":"USD"`), reported(group(`"web_search"`, `null`), `"amount":"1","list_amount":"1","currency":"USD","tax":"2"`),
		reported(group(`"teleport"`, `null`), `"amount":"0","list_amount":"0","currency":"USD"`), reported(group(`"tokens"`, `"quantum_tokens"`), `"amount":"3.50000000000000","list_amount":"4","currency":"USD"`),
		reported(group(`null`, `null`), `"amount":"1","list_amount":"1","currency":"USD"`)))
	require.NoError(t, err)
	got := map[string][2]string{}
	for _, f := range r.Figures() {
		got[f.Class] = [2]string{f.Amount.String(), f.List.String()}
	}
	require.Equal(t, map[string][2]string{
		"cache_read": {"412.800000000001", "485.647058820000"}, "input": {"0.000000000001", "0.000000000000"}, "tokens": {"-0.015000000000", "0.000000000000"},
		"web_search": {"0.010000000000", "0.010000000000"}, "provider:teleport": {"0.000000000000", "0.000000000000"},
		"provider:quantum_tokens": {"0.035000000000", "0.040000000000"}, "provider:untyped": {"0.010000000000", "0.010000000000"},
	}, got)
	require.Equal(t, []string{"cost.tax"}, r.Unread())
}

// TestLegacyReports reads buckets: what differs only in words a figure does not have adds up.
func TestLegacyReports(t *testing.T) {
	t.Parallel()
	bucket := func(results string) []byte {
		return []byte(`{"data":[{"starting_at":"2026-11-23T00:00:00Z","ending_at":"2026-11-24T00:00:00Z","results":[` + results + `]}],"has_more":false,"next_page":null}`)
	}
	r, err := read(provider.Legacy, provider.Usage, bucket(`{"uncached_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":2},"cache_read_input_tokens":0,
		"output_tokens":3,"server_tool_use":{"web_search_requests":1},"api_key_id":"apikey_1","model":"m","workspace_id":"wrkspc_1","account_id":null,"speed":"fast","service_tier":"batch","inference_geo":"us"}`))
	require.NoError(t, err)
	require.Len(t, r.Figures(), 5)
	require.Equal(t, provider.Figure{
		Report: provider.Usage, Day: monday(), Workspace: "wrkspc_1", Key: "apikey_1", Model: "m", Tier: "batch", Speed: "fast", Geography: "us", Class: "cache_write_1h", Quantity: 2,
	}, r.Figures()[0])
	require.True(t, r.RefreshedAt().IsZero())
	result := func(window, amount string) string {
		return `{"amount":"` + amount + `","currency":"USD","cost_type":"tokens","description":"Opus","model":"m","service_tier":"standard","token_type":"output_tokens","context_window":"` + window + `","inference_geo":"us","workspace_id":null}`
	}
	r, err = read(provider.Legacy, provider.Cost, bucket(result("0-200k", "123.78912")+","+result("200k-1M", "0.21088")))
	require.NoError(t, err)
	require.Len(t, r.Figures(), 1)
	require.Equal(t, "1.240000000000", r.Figures()[0].Amount.String())
	require.Equal(t, r.Figures()[0].Amount, r.Figures()[0].List)
	_, err = read(provider.Legacy, provider.Cost, bucket(result("0-200k", "1")+","+result("0-200k", "1")))
	require.Equal(t, "row_repeated", fault.From(err).Code)
}

func TestNames(t *testing.T) {
	t.Parallel()
	r, err := read(provider.Organization, provider.Keys, []byte(`{"data":[{"id":"apikey_2","name":"Two\u0000","status":"inactive","scope":{"type":"workspace","workspace_id":"wrkspc_1"}}],"has_more":true,"last_id":"apikey_2"}`),
		[]byte(`{"data":[{"id":"apikey_1","name":"One","status":"active","workspace_id":"wrkspc_2"}],"has_more":false,"last_id":null}`))
	require.NoError(t, err)
	require.Equal(t, []provider.Name{{"key", "apikey_1", "One", "active", "wrkspc_2"}, {"key", "apikey_2", "Two", "inactive", "wrkspc_1"}}, r.Names())
	r, err = read(provider.Organization, provider.Workspaces, []byte(`{"data":[{"id":"wrkspc_1","name":"Old","archived_at":"2026-01-01T00:00:00Z"}],"has_more":false}`))
	require.NoError(t, err)
	require.Equal(t, []provider.Name{{"workspace", "wrkspc_1", "Old", "archived", ""}}, r.Names())
}

func TestWhatCannotBeTrustedIsRefused(t *testing.T) {
	t.Parallel()
	good := reported(opus, `"output_tokens":1`)
	cost := func(measures string) []byte {
		return paged("", reported(opus+`,"cost_type":"tokens"`, measures+`,"currency":"USD"`))
	}
	for _, c := range []struct {
		name, code string
		report     provider.Report
		pages      [][]byte
	}{
		{"html", "page_syntax", provider.Usage, [][]byte{[]byte("<html>")}},
		{"half a page", "page_syntax", provider.Usage, [][]byte{paged("", good)[:60]}},
		{"two pages in one", "page_syntax", provider.Usage, [][]byte{append(paged("", good), '{')}},
		{"no data", "page_syntax", provider.Usage, [][]byte{[]byte(`{"has_more":false}`)}},
		{"no end", "page_syntax", provider.Usage, [][]byte{[]byte(`{"data":[]}`)}},
		{"more, but not where", "page_cursor", provider.Usage, [][]byte{[]byte(`{"data":[],"has_more":true,"next_page":null}`)}},
		{"a row twice on a page", "row_repeated", provider.Usage, [][]byte{paged("", good, good)}},
		{"the page before once more", "row_repeated", provider.Usage, [][]byte{paged("a", good), paged("b", good)}},
		{"a cursor that leads back", "cursor_loop", provider.Usage, [][]byte{paged("a", good), paged("a", reported(haiku, `"output_tokens":1`))}},
		{"a page after the last", "page_after_end", provider.Usage, [][]byte{paged("", good), paged("", good)}},
		{"another day", "row_span", provider.Usage, [][]byte{paged("", strings.ReplaceAll(good, "11-2", "10-2"))}},
		{"an hour", "row_span", provider.Usage, [][]byte{paged("", strings.Replace(good, "24T00", "23T01", 1))}},
		{"a fraction of a token", "row_count", provider.Usage, [][]byte{paged("", reported(opus, `"output_tokens":1.5`))}},
		{"a token as text", "row_count", provider.Usage, [][]byte{paged("", reported(opus, `"output_tokens":"1"`))}},
		{"less than none", "row_count", provider.Usage, [][]byte{paged("", reported(opus, `"output_tokens":-1`))}},
		{"too many", "row_count", provider.Usage, [][]byte{paged("", reported(opus, `"output_tokens":9007199254740993`))}},
		{"a number as a model", "row_word", provider.Usage, [][]byte{paged("", reported(`"model":5`, `"output_tokens":1`))}},
		{"a control character", "row_word", provider.Usage, [][]byte{paged("", reported(`"model":"a\u0009b"`, `"output_tokens":1`))}},
		{"a long word", "row_word", provider.Usage, [][]byte{paged("", reported(`"model":"`+strings.Repeat("x", 201)+`"`, `"output_tokens":1`))}},
		{"no group", "row_syntax", provider.Usage, [][]byte{paged("", strings.Replace(good, `"group"`, `"grip"`, 1))}},
		{"another currency", "currency_foreign", provider.Cost, [][]byte{paged("", reported(opus, `"amount":"1","list_amount":"1","currency":"EUR"`))}},
		{"an amount as a number", "row_amount", provider.Cost, [][]byte{cost(`"amount":1,"list_amount":"1"`)}},
		{"no list amount", "row_amount", provider.Cost, [][]byte{cost(`"amount":"1"`)}},
		{"finer than a pico-dollar", "row_amount", provider.Cost, [][]byte{cost(`"amount":"0.00000000001","list_amount":"1"`)}},
		{"an exponent", "row_amount", provider.Cost, [][]byte{cost(`"amount":"1e3","list_amount":"1"`)}},
		{"more than a figure holds", "row_amount", provider.Cost, [][]byte{cost(`"amount":"99999999999999999999","list_amount":"1"`)}},
	} {
		_, err := read(provider.Analytics, c.report, c.pages...)
		require.Equal(t, c.code, fault.From(err).Code, "%s: %v", c.name, err)
	}
}

func TestAReadingIsBounded(t *testing.T) {
	t.Parallel()
	r := provider.Begin(provider.Analytics, provider.Usage, monday())
	for i := range provider.MaxPages {
		require.NoError(t, r.Read(paged(fmt.Sprint("c", i))))
	}
	require.Equal(t, "pages_many", fault.From(r.Read(paged(""))).Code)
	require.True(t, r.Empty(paged("more")))
	require.False(t, r.Empty(paged("")))
}

// TestFiguresDoNotDependOnPages cuts any rows into any pages, in any order.
func TestFiguresDoNotDependOnPages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "rows")
		var rows []string
		want := money.Sum{}
		for i := range n {
			pico := rapid.Int64Range(-1e15, 1e15).Draw(t, "pico")
			want.Add(money.Pico(pico))
			sign, abs := "", pico
			if pico < 0 {
				sign, abs = "-", -pico
			}
			amount := fmt.Sprintf("%s%d.%010d", sign, abs/1e10, abs%1e10)
			// Sessions are no dimension of a figure: these rows are different, and add up.
			group := fmt.Sprintf(`"api_key_id":"k%d","session_id":"s%d","cost_type":"tokens","token_type":"output_tokens"`, rapid.IntRange(0, 2).Draw(t, "key"), i)
			rows = append(rows, reported(group, fmt.Sprintf(`"amount":%q,"list_amount":%q,"currency":"USD"`, amount, amount)))
		}
		whole, err := read(provider.Analytics, provider.Cost, paged("", rows...))
		require.NoError(t, err)
		var pages [][]byte
		shuffled := rapid.Permutation(rows).Draw(t, "order")
		for len(shuffled) > 0 {
			cut := rapid.IntRange(0, len(shuffled)).Draw(t, "cut")
			pages = append(pages, paged(fmt.Sprint("c", len(pages)), shuffled[:cut]...))
			shuffled = shuffled[cut:]
			if len(pages) > 100 {
				break
			}
		}
		if len(shuffled) > 0 {
			return
		}
		parts, err := read(provider.Analytics, provider.Cost, append(pages, paged(""))...)
		require.NoError(t, err)
		require.Equal(t, whole.Figures(), parts.Figures())
		require.Equal(t, whole.Digest(), parts.Digest())
		got := money.Sum{}
		for _, f := range parts.Figures() {
			got.Add(f.Amount)
		}
		require.Zero(t, want.Cmp(&got))
	})
}

// FuzzRead reads any bytes as any report: what it does not refuse keeps the bounds, and reads
// the same again.
func FuzzRead(f *testing.F) {
	for i, seed := range [][]byte{
		paged("x", reported(opus, `"output_tokens":1,"a":{"b":2}`)), paged("", reported(opus, money12)), []byte(`{"data":[{"id":"k","scope":{}}],"has_more":true,"last_id":"k"}`),
		[]byte(`{"data":[{"starting_at":"2026-11-23T00:00:00Z","ending_at":"2026-11-24T00:00:00Z","results":[{"amount":"1","currency":"USD"}]}],"has_more":false}`), []byte(`{"data":[null],"has_more":false}`),
	} {
		f.Add(i, seed)
	}
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		kinds := []struct {
			api    provider.API
			report provider.Report
		}{{provider.Analytics, provider.Usage}, {provider.Analytics, provider.Cost}, {provider.Legacy, provider.Usage}, {provider.Legacy, provider.Cost}, {provider.Organization, provider.Keys}, {provider.Organization, provider.Workspaces}}
		k := kinds[uint(kind)%uint(len(kinds))]
		first, err := read(k.api, k.report, body)
		if err != nil {
			require.NotEqual(t, fault.KindInternal, fault.KindOf(err))
			return
		}
		require.True(t, json.Valid(body))
		second, err := read(k.api, k.report, body)
		require.NoError(t, err)
		require.Equal(t, first.Digest(), second.Digest())
		for _, figure := range first.Figures() {
			require.NotEmpty(t, figure.Class)
			require.GreaterOrEqual(t, figure.Quantity, int64(0))
			require.LessOrEqual(t, len(figure.Key), 200)
			require.True(t, figure.Report == k.report && figure.Day.Equal(monday()))
		}
		for _, name := range append(first.Unread(), "x") {
			require.NotContains(t, name, "\n")
		}
	})
}

func TestDaysComeDueUntilTheySettle(t *testing.T) {
	t.Parallel()
	terms := provider.Terms{FirstDay: monday(), Lag: 24 * time.Hour, Repull: 30}
	at := func(hours int) time.Time { return monday().Add(time.Duration(hours) * time.Hour) }
	known := func(since, asOf, tried int) provider.Pulled {
		return provider.Pulled{Since: at(since), AsOf: at(asOf), Tried: at(tried)}
	}
	for _, c := range []struct {
		name    string
		day     time.Time
		p       provider.Pulled
		now     time.Time
		settled bool
		due     bool
	}{
		{"not over yet", monday(), provider.Pulled{}, at(23), false, false},
		{"over, never pulled", monday(), provider.Pulled{}, at(24), false, true},
		{"before the first day", monday().AddDate(0, 0, -1), provider.Pulled{}, at(24), false, false},
		{"older than the provider reports", monday(), provider.Pulled{}, at(24 * 366), false, false},
		{"tried a moment ago", monday(), provider.Pulled{Tried: at(30)}, at(30).Add(14 * time.Minute), false, false},
		{"failed a while ago", monday(), provider.Pulled{Tried: at(30)}, at(30).Add(15 * time.Minute), false, true},
		{"reported before it was over", monday(), known(23, 23, 26), at(27), false, true},
		{"complete, an hour ago", monday(), known(25, 25, 25), at(26), false, false},
		{"complete, not settled, six hours ago", monday(), known(25, 25, 25), at(31), false, true},
		{"the same for a day", monday(), known(25, 49, 49), at(60), true, false},
		{"the same since before it was over, confirmed a day after", monday(), known(20, 48, 48), at(60), true, false},
		{"revised late", monday(), known(45, 49, 49), at(56), false, true},
		{"settled, a week ago", monday(), known(25, 49, 49), at(49 + 168), true, true},
		{"settled, and past being revised", monday(), known(25, 49, 49), at(24 * 32), true, false},
		{"not settled when it was past being revised", monday(), known(700, 710, 710), at(24 * 32), false, false},
		{"incomplete after all that time", monday(), known(20, 20, 20), at(24 * 40), false, true},
	} {
		require.Equal(t, c.settled, terms.Settled(c.day, c.p), c.name)
		require.Equal(t, c.due, terms.Due(c.day, c.p, c.now), c.name)
	}
}

// FuzzCheckArchive reads any contents beside a page: what it does not refuse has the page
// in one pull, with the figures that the page makes.
func FuzzCheckArchive(f *testing.F) {
	page := paged("", reported(opus, `"output_tokens":8`))
	sum := sha256.Sum256(page)
	reading, err := read(provider.Analytics, provider.Usage, page)
	if err != nil {
		f.Fatal(err)
	}
	digest := reading.Digest()
	contents := provider.Contents{Format: provider.ArchiveFormat, Pulls: []provider.ArchivedPull{{
		Number: 1, Report: provider.Usage, Day: "2026-11-23", API: provider.Analytics, Figures: len(reading.Figures()), Digest: hex.EncodeToString(digest[:]),
		Pages: []provider.ArchivedPage{{File: "pages/1.json", SHA256: hex.EncodeToString(sum[:]), Bytes: len(page)}},
	}}}
	document, err := contents.JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(document)
	f.Add([]byte(strings.ReplaceAll(string(document), "pages/1.json", "../1.json")))
	f.Add([]byte(`{"format":"tollbook provider reports 1","pulls":[{}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		bundle := fstest.MapFS{provider.ContentsFile: {Data: document}, "pages/1.json": {Data: page}}
		_, pulls, err := provider.CheckArchive(bundle)
		if err != nil {
			require.ErrorIs(t, err, provider.ErrArchive)
			return
		}
		require.Len(t, pulls, 1)
		require.Equal(t, reading.Figures(), pulls[0].Figures)
	})
}

func TestDifferencesAreOfBothSides(t *testing.T) {
	t.Parallel()
	before := []provider.Figure{{Key: "a", Class: "output", Quantity: 3}, {Key: "b", Class: "output", Quantity: 4, List: 10, Amount: 9}}
	after := []provider.Figure{{Key: "b", Class: "output", Quantity: 4, List: 12, Amount: 6}, {Key: "c", Class: "output", Quantity: 5}}
	found := provider.Differences(before, after)
	require.Len(t, found, 3)
	require.Equal(t, []int64{3, 0, 4, 4, 0, 5}, []int64{found[0].Before.Quantity, found[0].After.Quantity, found[1].Before.Quantity, found[1].After.Quantity, found[2].Before.Quantity, found[2].After.Quantity})
	list, amount := found[1].Amounts()
	require.Equal(t, []string{"0.000000000002", "-0.000000000003"}, []string{list.String(), amount.String()})
	require.Empty(t, provider.Differences(after, after))
}
