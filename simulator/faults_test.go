package simulator

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func fault(words string) map[string]string { return map[string]string{"x-sim-fault": words} }

// rawStream is one streamed answer of a fresh simulator, byte for byte.
func rawStream(t *testing.T, words string) string {
	t.Helper()
	rec := ask(t, open(t, Config{}), body("claude-opus-5-5", "hi", `,"stream":true`), fault(words))
	require.Equal(t, 200, rec.Code, rec.Body.String())

	return rec.Body.String()
}

// standardEvents reads a stream by the standard of server-sent events: any line end,
// several data lines, comments.
func standardEvents(t *testing.T, raw string) []sseEvent {
	t.Helper()
	var events []sseEvent
	var name string
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(raw, "\r\n", "\n"), "\n") {
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && len(lines) > 0:
			events = append(events, sseEvent{name, decode[map[string]any](t, []byte(strings.Join(lines, "\n")))})
			lines = nil
		case field == "event":
			name = value
		case field == "data":
			lines = append(lines, value)
		}
	}

	return events
}

// Whatever stands between an answer's events, the answer itself is the same.
func TestGarbledEvents(t *testing.T) {
	t.Parallel()
	clean := rawStream(t, "deltas=6")
	for _, name := range garbleNames() {
		for _, after := range []int{0, 2, 99} {
			t.Run(fmt.Sprint(name, after), func(t *testing.T) {
				t.Parallel()
				raw := rawStream(t, fmt.Sprintf("deltas=6,garble=%s,garble-after=%d", name, after))
				index := 0
				if after == 99 {
					index = 1 // no block is open any more
				}
				odd := string(garbled(name, index, 1))
				require.Equal(t, 1, strings.Count(raw, odd))
				require.Equal(t, clean, strings.Replace(raw, odd, "", 1))
				before, _, _ := strings.Cut(raw, odd)
				require.Equal(t, min(after, 6), strings.Count(before, "event: content_block_delta"))
			})
		}
	}
	raw := rawStream(t, "deltas=6,garble=comment,garble=bad-utf8,garble=huge")
	require.Greater(t, len(raw), hugeEventBytes)
	require.Contains(t, raw, "\xff")
	require.Less(t, strings.Index(raw, ": keep-alive"), strings.Index(raw, "\xff"))
}

// An answer that is not streamed can be spoiled too; it is booked as it was.
func TestGarbledWholeAnswers(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]string{
		"bad-json": "", "short-data": "", "bad-utf8": "\xff", "wrong-type": `"output_tokens":"many"`, "unknown-block": "quantum_block",
	} {
		sim := open(t, Config{})
		raw := ask(t, sim, body("claude-opus-5-5", "hi", ""), fault("garble="+name)).Body.Bytes()
		require.Contains(t, string(raw), wrong)
		require.Equal(t, wrong != "", json.Valid(raw), name)
		require.True(t, booksOf(t, sim, "")[0].Complete)
	}
}

func TestStallInTheMiddleOfABody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clean := ask(t, open(t, Config{}), body("claude-opus-5-5", "hi", ""), nil).Body.String()
		began := time.Now()
		require.Equal(t, clean, ask(t, open(t, Config{}), body("claude-opus-5-5", "hi", ""), fault("stall-ms=9000")).Body.String())
		require.Equal(t, 9*time.Second, time.Since(began))
	})
}

// Headers of an answer tell of its workspace, and of the pools it drew on.
func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	h := ask(t, sim, body("claude-opus-5-5", "hi", `,"speed":"fast"`), nil).Header()
	require.Equal(t, sim.workspace, h.Get("anthropic-workspace-id"))
	require.Equal(t, "2000000", h.Get("anthropic-fast-input-tokens-limit"))
	require.Empty(t, h.Get("anthropic-priority-input-tokens-limit"))
	headers := fault("tier=priority")
	headers["anthropic-workspace-id"] = "wrkspc_2"
	h = ask(t, sim, body("claude-opus-5-5", "hi", `,"stream":true`), headers).Header()
	require.Equal(t, "wrkspc_2", h.Get("anthropic-workspace-id"))
	require.Equal(t, "399000", h.Get("anthropic-priority-output-tokens-remaining"))
	require.Equal(t, "2026-11-23T12:01:00Z", h.Get("anthropic-ratelimit-tokens-reset"))
}

// doc.go is the one reference of knobs, so it has them all, and all standing words.
func TestEveryKnobIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	k := noKnobs()
	names := append(garbleNames(), "first-byte-ms", "delta-ms", "deltas", "text-bytes", "drop", "sse-error", "delay", "slow", "stall", "malformed")
	for _, f := range k.flags() {
		names = append(names, f.name)
	}
	for _, w := range k.words() {
		names = append(names, w.name)
	}
	for _, c := range k.counts() {
		names = append(names, c.name)
	}
	for _, name := range names {
		require.Regexp(t, `(?m)^//.*[\s(.]`+name+`\b`, string(raw), name)
	}
}

func TestStandardButUnusualFrames(t *testing.T) {
	t.Parallel()
	clean := rawStream(t, "deltas=3")
	require.Equal(t, clean, strings.ReplaceAll(rawStream(t, "deltas=3,crlf"), "\r\n", "\n"))
	split := rawStream(t, "deltas=3,crlf,split-data")
	require.Equal(t, 3*strings.Count(clean, "data: "), strings.Count(split, "data: "))
	require.Equal(t, standardEvents(t, clean), standardEvents(t, split))
}

func TestOddEndings(t *testing.T) {
	t.Parallel()
	const deltas = "deltas=3,output=50"
	clean := standardEvents(t, rawStream(t, deltas))
	end := func(words string) []sseEvent {
		events := standardEvents(t, rawStream(t, deltas+","+words))

		return events[len(clean)-2:]
	}
	usageOf := func(e sseEvent, name string) any { return member(t, e.data, "usage", name) }
	require.Equal(t, "message_delta", names(end("no-stop")))
	require.Empty(t, end("no-final"))
	require.Equal(t, 3, count(end("repeat-delta=2"), "message_delta"))
	shrunk := end("shrink=100")
	require.EqualValues(t, 150, usageOf(shrunk[0], "output_tokens"))
	require.EqualValues(t, 50, usageOf(shrunk[1], "output_tokens"))
	require.Equal(t, usageOf(clean[len(clean)-2], "input_tokens"), usageOf(shrunk[1], "input_tokens"))
	padding, _ := member(t, end("huge-final")[0].data, "padding").(string)
	require.Len(t, padding, hugeEventBytes)
	require.NotContains(t, usageOfAll(t, clean[len(clean)-2]), "cache_creation")
	require.Contains(t, usageOfAll(t, end("delta-split")[0]), "cache_creation")

	grown := standardEvents(t, rawStream(t, "grow=700,write-5m=10,write-1h=5"))
	require.EqualValues(t, 15, member(t, grown[0].data, "message", "usage", "cache_creation_input_tokens"))
	require.EqualValues(t, 10, member(t, grown[0].data, "message", "usage", "cache_creation", "ephemeral_5m_input_tokens"))
	require.EqualValues(t, 715, usageOf(grown[len(grown)-2], "cache_creation_input_tokens"))
}

func usageOfAll(t *testing.T, e sseEvent) map[string]any {
	t.Helper()
	all, ok := member(t, e.data, "usage").(map[string]any)
	require.True(t, ok)

	return all
}

// What the books say of an odd ending: everything that was produced, once.
func TestOddEndingsAreBooked(t *testing.T) {
	t.Parallel()
	for words, complete := range map[string]bool{
		"no-stop": true, "no-final": false, "repeat-delta=2": true, "shrink=9": true, "no-usage": true, "huge-final": true, "garble=short-data": true,
	} {
		sim := open(t, Config{})
		ask(t, sim, body("claude-opus-5-5", "hi", `,"stream":true`), fault("deltas=3,input=10,output=50,"+words))
		rows := booksOf(t, sim, "")
		require.Len(t, rows, 1, words)
		require.Equal(t, complete, rows[0].Complete, words)
		require.Equal(t, Tokens{Input: 10, Output: 50}, rows[0].Tokens, words)
		require.Equal(t, "0.001040000000", rows[0].Amount, words) // 10 x 4 + 50 x 20 millionths
	}
}

func TestCutInsideAFrame(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	events, res, err := streamOf(t, serve(t, sim), body("claude-opus-5-5", "hi", `,"stream":true`), fault("deltas=9,drop-inside=3"))
	require.Error(t, err)
	require.Equal(t, 2, count(events, "content_block_delta"))
	row := booksOf(t, sim, "request_id="+res.Header.Get("request-id"))[0]
	require.False(t, row.Complete)
	require.Positive(t, row.Tokens.Output)
}

func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for words, pings := range map[string]int{
			"stall-ms=20000,stall-after=2": 1, "stall-ms=20000,stall-after=2,stall-ping-ms=6000": 4, "stall-ms=20000,stall-after=99": 1, "stall-ms=20000,stall-after=0": 1,
		} {
			began := time.Now()
			events := standardEvents(t, rawStream(t, "deltas=5,"+words))
			require.Equal(t, 20*time.Second, time.Since(began), words)
			require.Equal(t, pings, count(events, "ping"), words)
			require.Equal(t, "message_stop", events[len(events)-1].name)
		}
	})
}

func TestErrorCodes(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]struct {
		status             int
		kind, retry, again string
	}{
		"error-code=enforced_spend_limit_reached":            {429, "rate_limit_error", "", ""},
		"error-code=contract_spend_limit_reached":            {429, "rate_limit_error", "", ""},
		"error-code=ramp_limit_exceeded":                     {429, "rate_limit_error", "30", ""},
		"error-code=ramp_limit_exceeded,retry-after=2":       {429, "rate_limit_error", "2", ""},
		"error-code=linked_organization_suspended":           {402, "billing_error", "", ""},
		"error-code=claude_code_version_too_old":             {400, "invalid_request_error", "", ""},
		"error-code=organization_on_hold,should-retry=false": {400, "invalid_request_error", "", "false"},
		"error-code=request_body_encoding_unsupported":       {400, "invalid_request_error", "", ""},
		"error-code=request_body_too_large_after_decoding":   {413, "request_too_large", "", ""},
		"error-code=made_up,status=403":                      {403, "permission_error", "", ""},
		"status=529,retry-after=7":                           {529, "overloaded_error", "7", ""},
	} {
		sim := open(t, Config{})
		rec := ask(t, sim, body("claude-opus-5-5", "hi", `,"stream":true`), fault(words))
		require.Equal(t, want.status, rec.Code, words)
		answer := decode[errorBody](t, rec.Body.Bytes())
		require.Equal(t, want.kind, answer.Error.Type, words)
		code, found := strings.CutPrefix(strings.Split(words, ",")[0], "error-code=")
		if found {
			require.Equal(t, code, answer.Error.Details["error_code"], words)
		}
		require.Equal(t, want.retry, rec.Header().Get("retry-after"), words)
		require.Equal(t, want.again, rec.Header().Get("x-should-retry"), words)
		require.Equal(t, "0.000000000000", booksOf(t, sim, "")[0].Amount)
	}
	sim := open(t, Config{})
	rec := ask(t, sim, body("claude-opus-5-5", "hi", ""), fault("console-limit"))
	require.Equal(t, 400, rec.Code)
	require.True(t, strings.HasPrefix(decode[errorBody](t, rec.Body.Bytes()).Error.Message, "You have reached your specified API usage limits"))
	require.Contains(t, ask(t, sim, body("claude-opus-5-5", "hi", ""), fault("error-code=made_up")).Body.String(), "needs a status")
	for _, words := range []string{"garble=x", "tier=gold", "speed=", "fallback-credit=maybe", "skew-sec=x", "stall-ms=-1", strings.Repeat("garble=huge,", 17)} {
		require.Equal(t, 400, ask(t, sim, body("claude-opus-5-5", "hi", ""), fault(words)).Code, words)
	}
}

func TestNotTheProvider(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	rec := ask(t, sim, body("claude-opus-5-5", "hi", ""), fault("status=502,html"))
	require.Equal(t, 502, rec.Code)
	require.Equal(t, "text/html", rec.Header().Get("Content-Type"))
	require.Contains(t, rec.Body.String(), "<h1>502 Bad Gateway</h1>")

	rec = ask(t, sim, body("claude-opus-5-5", "hi", `,"stream":true`), fault("redirect=307"))
	require.Equal(t, 307, rec.Code)
	require.Equal(t, "redirected", rec.Header().Get("Location"))
	require.Equal(t, 404, call(t, sim, http.MethodPost, "/v1/redirected", "", nil).Code)

	rec = ask(t, sim, body("claude-opus-5-5", "hi", `,"stream":true`), fault("plain-bytes=5000000"))
	require.Equal(t, 200, rec.Code)
	require.Equal(t, "text/plain", rec.Header().Get("Content-Type"))
	require.Equal(t, 5_000_000, rec.Body.Len())
	for _, row := range booksOf(t, sim, "") {
		require.Equal(t, Tokens{}, row.Tokens)
		require.Equal(t, "0.000000000000", row.Amount)
	}
}

func TestGzipNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", `,"stream":true`} {
		clean := ask(t, open(t, Config{}), body("claude-opus-5-5", "hi", more), nil)
		url := serve(t, open(t, Config{}))
		r := newCall(t, http.MethodPost, url+"/v1/messages", body("claude-opus-5-5", "hi", more), fault("gzip"))
		r.Header.Set("Accept-Encoding", "identity")
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
		unzipped, err := gzip.NewReader(res.Body)
		require.NoError(t, err)
		raw, err := io.ReadAll(unzipped)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, clean.Body.String(), string(raw))
	}
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	rec := ask(t, sim, body("claude-opus-5-5", "hi", ""), fault("skew-sec=-7200"))
	require.Equal(t, "Mon, 23 Nov 2026 10:00:00 GMT", rec.Header().Get("Date"))
	require.Equal(t, "2026-11-23T10:00:00Z", booksOf(t, sim, "")[0].OccurredAt)
	require.Empty(t, ask(t, sim, body("claude-opus-5-5", "hi", ""), nil).Header().Get("Date"))
}

func TestForcedUsage(t *testing.T) {
	t.Parallel()
	const counts = "input=1000,output=100,write-5m=10,write-1h=20,read=10000"
	for words, want := range map[string]struct {
		speed, geo, tier, amount string
	}{ // 1000x4 + 100x20 + 10x5 + 20x8 + 10000x0.20 = 8210 millionths
		counts:                        {"standard", "global", "standard", "0.008210000000"},
		counts + ",speed=fast":        {"fast", "global", "standard", "0.016420000000"},
		counts + ",geo=us":            {"standard", "us", "standard", "0.009031000000"},
		counts + ",tier=batch":        {"standard", "global", "batch", "0.004105000000"},
		counts + ",tier=priority":     {"standard", "global", "priority", "0.008210000000"},
		counts + ",searches=3":        {"standard", "global", "standard", "0.038210000000"},
		counts + ",thinking-tokens=7": {"standard", "global", "standard", "0.008210000000"},
		// the writes at the price of reads: 30 x 0.20 instead of 10 x 5 + 20 x 8
		counts + ",fallback-credit=redeemed": {"standard", "global", "standard", "0.008006000000"},
		counts + ",fallback-credit=expired":  {"standard", "global", "standard", "0.008210000000"},
	} {
		sim := open(t, Config{})
		m := decode[wireMessage](t, ask(t, sim, body("claude-opus-5-5", "hi", ""), fault(words)).Body.Bytes())
		require.Equal(t, []string{want.speed, want.geo, want.tier}, []string{m.Usage.Speed, m.Usage.InferenceGeo, m.Usage.ServiceTier}, words)
		require.Equal(t, cacheCreation{10, 20}, *m.Usage.CacheCreation, words)
		row := booksOf(t, sim, "")[0]
		require.Equal(t, Tokens{1000, 100, 10, 20, 10000}, row.Tokens, words)
		require.Equal(t, want.amount, row.Amount, words)
	}
	sim := open(t, Config{})
	m := decode[wireMessage](t, ask(t, sim, body("claude-opus-5-5", "hi", ""), fault("thinking-tokens=700,searches=0,fallback-credit=variant_fields_present")).Body.Bytes())
	require.EqualValues(t, 700, m.Usage.OutputDetails.ThinkingTokens)
	require.Greater(t, m.Usage.OutputTokens, int64(700))
	require.Zero(t, m.Usage.ServerToolUse.WebSearchRequests)
	require.Equal(t, creditStatus{"not_applied", "variant_fields_present", []string{"speed"}}, m.Usage.FallbackCredit.Status)
	cut := standardEvents(t, rawStream(t, "thinking-tokens=700,deltas=5,sse-error-after=1"))
	require.Equal(t, "error", cut[len(cut)-1].name)
}

func TestIterations(t *testing.T) {
	t.Parallel()
	const counts = "input=1000,output=100,write-5m=0,write-1h=0,read=0"
	type turn struct {
		kind, model   string
		input, output int64
	}
	top := turn{"message", "claude-opus-5-5", 1000, 100}
	for words, want := range map[string]struct {
		turns  []turn
		amount string
	}{ // 1000 x 4 + 100 x 20 = 6000 millionths
		"iterations=3": {[]turn{{"message", "claude-opus-5-5", 333, 33}, {"message", "claude-opus-5-5", 333, 33}, {"message", "claude-opus-5-5", 334, 34}}, "0.006000000000"},
		// and 100 x 4 + 10 x 20
		"compaction=100": {[]turn{{"compaction", "claude-opus-5-5", 100, 10}, top}, "0.006600000000"},
		// and 100 x 8 + 10 x 40
		"advisor=100": {[]turn{top, {"advisor_message", "claude-fable-5-2", 100, 10}}, "0.007200000000"},
		// and 100 x 2 + 10 x 10
		"advisor=100,advisor-model=claude-sonnet-5-5": {[]turn{top, {"advisor_message", "claude-sonnet-5-5", 100, 10}}, "0.006300000000"},
		// Sonnet serves, 1000 x 2 + 100 x 10; Opus declined before it said a word: free
		"fallback=claude-sonnet-5-5": {[]turn{{"message", "claude-opus-5-5", 1000, 0}, {"fallback_message", "claude-sonnet-5-5", 1000, 100}}, "0.003000000000"},
		// Opus had said 50 tokens: and 1000 x 4 + 50 x 20
		"fallback=claude-sonnet-5-5,fallback-output=50": {[]turn{{"message", "claude-opus-5-5", 1000, 50}, {"fallback_message", "claude-sonnet-5-5", 1000, 100}}, "0.008000000000"},
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			sim := open(t, Config{})
			rec := ask(t, sim, body("claude-opus-5-5", "hi", ""), fault(counts+","+words))
			m := decode[wireMessage](t, rec.Body.Bytes())
			var got []turn
			for _, i := range m.Usage.Iterations {
				got = append(got, turn{i.Type, i.Model, i.InputTokens, i.OutputTokens})
			}
			require.Equal(t, want.turns, got)
			require.EqualValues(t, 1000, m.Usage.InputTokens, "the top level is the answer alone")
			require.EqualValues(t, 100, m.Usage.OutputTokens)
			row := booksOf(t, sim, "")[0]
			require.Equal(t, want.amount, row.Amount)
			require.Equal(t, m.Model, row.Model)
			rec = call(t, sim, http.MethodGet, "/books/totals", "", nil)
			total := decode[struct{ Amount string }](t, rec.Body.Bytes())
			require.Equal(t, want.amount, total.Amount)
		})
	}
}

// A body that names fallbacks gets one instead of a refusal, and the refusal is free.
func TestFallbacksOfTheBody(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	blocks, m := answerOf(t, sim, body("claude-opus-5-5", "[[refuse]] [[sim:input=1000,output=100]]", `,"fallbacks":[{"model":"claude-sonnet-5-5"},{"model":"claude-haiku-5-5"}]`))
	require.Equal(t, "claude-sonnet-5-5", m.Model)
	require.Equal(t, "end_turn", *m.StopReason)
	require.Equal(t, "fallback", blocks[0]["type"])
	require.Equal(t, "fallback_message", m.Usage.Iterations[1].Type)
	row := booksOf(t, sim, "")[0]
	require.False(t, row.Refused)
	require.True(t, row.Iterations[0].Free)
	require.Equal(t, "0.003000000000", row.Amount) // 1000 x 2 + 100 x 10 millionths
}

func TestBlocksOfIterations(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	blocks, m := answerOf(t, sim, body("claude-opus-5-5", "hi [[sim:fallback=claude-sonnet-5-5,advisor=10]]", ""))
	require.Equal(t, "claude-sonnet-5-5", m.Model)
	require.Equal(t, []any{"fallback", "server_tool_use", "advisor_tool_result", "text"}, []any{blocks[0]["type"], blocks[1]["type"], blocks[2]["type"], blocks[3]["type"]})
	require.Equal(t, "claude-opus-5-5", member(t, blocks[0], "from", "model"))
	require.Equal(t, blocks[1]["id"], blocks[2]["tool_use_id"])
	events := standardEvents(t, rawStream(t, "fallback=claude-sonnet-5-5,advisor=10"))
	require.Equal(t, "fallback", member(t, events[2].data, "content_block", "type"))
	require.Len(t, member(t, events[len(events)-2].data, "usage", "iterations"), 3)
	_, m = answerOf(t, sim, body("claude-opus-5-5", "hi [[sim:refuse-late,output=100,input=0]]", ""))
	require.Equal(t, "refusal", *m.StopReason)
	rows := booksOf(t, sim, "")
	require.False(t, rows[1].Refused, "a refusal after output is billed")
	require.Equal(t, "0.002000000000", rows[1].Amount)
}

// Every class of a standing fault takes effect; a spec's chances are of one answer.
func TestStandingFaultClasses(t *testing.T) {
	t.Parallel()
	b := body("claude-opus-5-5", "hi", `,"stream":true`)
	asked := func(t *testing.T, spec string) *httptest.ResponseRecorder {
		return ask(t, open(t, Config{Faults: spec}), b, fault("deltas=5"))
	}
	synctest.Test(t, func(t *testing.T) {
		for spec, wait := range map[string]time.Duration{
			"delay=1": 500 * time.Millisecond, "slow=1": 400 * time.Millisecond, "stall=1": 2 * time.Second,
			"first-byte-ms:70+delta-ms:10=1": 110 * time.Millisecond,
		} {
			began := time.Now()
			require.Equal(t, 200, asked(t, spec).Code)
			require.Equal(t, wait, time.Since(began), spec)
		}
	})
	require.Contains(t, asked(t, "malformed=1").Body.String(), string(garbled("bad-json", 0, 0)))
	require.Contains(t, asked(t, "garble:unknown-event+garble-after:3=1").Body.String(), "quantum_update")
	require.Contains(t, asked(t, "sse-error=1").Body.String(), "event: error")
	require.NotContains(t, asked(t, "no-stop=1").Body.String(), "message_stop")
	rec := asked(t, "status:429+retry-after:9=1")
	require.Equal(t, 429, rec.Code)
	require.Equal(t, "9", rec.Header().Get("retry-after"))
	require.Equal(t, 402, asked(t, "error-code:linked_organization_gone=1").Code)
	for _, spec := range []string{"drop=1", "drop-head=1"} {
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { asked(t, spec) }, spec)
	}
	for _, bad := range []string{"garble:none=1", "bench=1", "times:2=1", "error-code:odd=1", strings.Repeat("429=0,", 40)} {
		_, err := Open(Config{Dir: t.TempDir(), Faults: bad})
		require.ErrorContains(t, err, "--faults", bad)
	}
	sim := open(t, Config{Seed: 3, Faults: "malformed=0.5,529=0.25"})
	odd, busy := 0, 0
	for range 200 {
		rec := ask(t, sim, b, fault("deltas=2"))
		if rec.Code == 529 {
			busy++
		} else if strings.Contains(rec.Body.String(), `"half`) {
			odd++
		}
	}
	require.InDelta(t, 100, odd, 30)
	require.InDelta(t, 50, busy, 25)
}

// Whatever a header says, it is understood or refused, and what is understood is
// within bounds.
func FuzzKnobs(f *testing.F) {
	for _, seed := range []string{"status=429,retry-after=5", "garble=huge,garble-after=3", "skew-sec=-1,fallback=claude-x", "a=b=c,,=", "[[sim:deltas=3]]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		k := noKnobs()
		for _, words := range append(promptKnobs(list), list) {
			if k.parse(words) != nil {
				return
			}
		}
		require.LessOrEqual(t, len(k.garbles), maxGarbles)
		for _, c := range k.counts() {
			require.True(t, *c.to == unset || *c.to == 0 || (*c.to >= c.low && *c.to <= c.high), c.name)
		}
		if problem, err := k.problem(1); err == nil && problem != nil {
			require.GreaterOrEqual(t, problem.status, 400)
		}
		if r, err := parseRates(list); err == nil {
			require.LessOrEqual(t, len(r.outcomes), maxStandingFaults)
			_ = r.pick(0.5)
		}
	})
}
