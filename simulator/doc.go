// Package simulator stands in for api.anthropic.com: the Messages API with its
// own prices and its own books, so that it can disagree with the product.
//
// It owns the answers, the prompt cache, the list prices (prices.go), the books
// (one append-only file), both families of reports made from them, and the
// organization's keys and workspaces. It does not own, and never imports, anything of
// ours.
//
// Invariants: a request is in the books, by write(2), before its last byte leaves;
// what was cut is booked with what was produced; no id is ever issued twice, also
// after kill -9; the same seed, prompt and sequence give the same answer and counts.
//
// Words: fact (the provider's record of one request), books (the facts: always true),
// knob (a word that asks for a fault), plant (a report's planted disagreement with the
// books), terms (discounts and lag), era (a time during which one price held).
//
// Prompt caches belong to a workspace (header anthropic-workspace-id, else the
// default one) and a model, never to a key. The prompt steers the answer: "run
// <command>" uses Bash, "use tool <name>" that tool, with the JSON object that
// follows as its input, and several of them several; "search" uses the web_search
// server tool; a tool result is quoted back; a json_schema gets the smallest fitting
// value.
//
// # Knobs
//
// In the header x-sim-fault, comma separated, or in the last user text as
// [[sim:deltas=50,delta-ms=20]]; [[refuse]] in that text asks for a free refusal, or for
// the first of the body's fallbacks to serve.
// An unknown knob is a 400, so that a misspelled test fails. Bounds: bounds.go.
// K counts deltas of any kind; what should happen after more of them than there are
// happens before message_delta. What was sent is booked, unless it says otherwise.
//
// An error instead of an answer, booked without tokens:
//
//	status=429 retry-after=5 should-retry=false   html: as a proxy's page instead of JSON
//	error-code=X                    details.error_code; the provider's own codes bring their status
//	                                (ramp_limit_exceeded also retry-after: 30), others need one
//	prompt-too-long console-limit   the 400s known by their text alone
//
// Time and size:
//
//	first-byte-ms=300 delta-ms=20   pauses (before the head; between deltas)
//	deltas=50 text-bytes=N          exact number of text deltas; exact text length
//	stall-ms=N stall-after=K        silence after K deltas (1), or in the middle of a body;
//	                                stall-ping-ms=M: but for pings
//	skew-sec=N                      Date header and time in the books are N seconds off
//
// A cut, or someone else's answer:
//
//	drop-head drop-after=K          cut the connection before the head; after K deltas
//	drop-inside=K                   in the middle of the Kth delta's frame
//	sse-error-after=K               SSE error event; 0 = as the first event, free
//	redirect=307                    to beside /v1/messages, where nobody answers; no tokens
//	plain-bytes=N                   200 and N bytes of text/plain; no tokens
//	gzip                            a compressed answer, asked for or not
//
// Events that are not what they should be:
//
//	garble=NAME garble-after=K      one event more after K deltas (1); several are sent in their order:
//	                                bad-json, wrong-type (usage of strings), wrong-name (event: ping on a
//	                                message_delta), bad-utf8, short-data (a cut data line that runs into the
//	                                next event), huge (2 MB), comment, unknown-event, unknown-delta, unknown-block
//	                                (not streamed: bad-json, short-data, bad-utf8, wrong-type, unknown-block)
//	crlf split-data                 CRLF line ends; several data lines an event
//	no-usage huge-final             the final message_delta has no usage; has 2 MB of padding
//	no-final no-stop                a clean end before message_delta; before message_stop
//	repeat-delta=N                  message_delta N times more
//	shrink=N                        a first message_delta says N more than the last one and the books
//	grow=N                          N tokens of 5m cache writes that message_start did not know of
//	delta-split                     message_delta carries the 5m/1h split too
//
// What the answer counts, for the books too:
//
//	input=N output=N read=N write-5m=N write-1h=N searches=N
//	thinking-tokens=N               output that was thought and not shown
//	speed=fast geo=us tier=batch    tier: standard, batch, priority
//	unknown-model unknown-field     model claude-unknown-9; usage.quantum_tokens: 7
//	refuse-late                     a refusal after output: billed
//	iterations=N                    N message iterations, together the top level
//	compaction=N                    a compaction iteration of N input and N/10 output tokens
//	advisor=N advisor-model=M       likewise an advisor_message, at M's price (claude-fable-5-2)
//	fallback=M                      M serves; the requested model declined before output: free
//	fallback-output=N               ... after N tokens of output: billed
//	fallback-credit=redeemed        cache writes billed as reads; or the reason of a not_applied
//
// And:
//
//	times=N                         the knobs apply to the first N requests with this text in this session
//	bench                           header only, first: canned answer, nothing checked, no cache, no
//	                                fact; only counters in memory (GET /books/bench)
//
// # Standing faults
//
// --faults FAULT=CHANCE,... gives each answer at most one of them. A fault is a
// status, one of drop, drop-head, sse-error, delay (500 ms), slow (100 ms a delta),
// stall (2 s), malformed, or knobs joined by + with : for =, such as
// "status:429+retry-after:9=0.01,stall-ms:800+stall-after:3=0.02,garble:huge=0.005".
//
// # Reports
//
// GET /v1/organizations/analytics/usage and /cost; the legacy usage_report/messages,
// usage_report/claude_code and cost_report; me, api_keys and workspaces: for any key
// that starts with sk-ant-admin. Errors, free refusals and answers without tokens are in
// no report; each turn of an answer stands under its own model. Traffic without a key is
// a person's at the Console. The default workspace has an id in analytics and none in
// the legacy reports, which are at list price, as discounts show only in analytics, and
// lag by five minutes at most. Analytics answers 60 requests a minute. A key that is set inactive is refused with 401.
//
// A report lags by the terms: POST /books/terms {"report_delay_sec":3600,
// "discounts":[{"from":"2026-11-01","bps":1500}]}; GET shows them.
//
// POST /books/facts {"facts":[Fact...]} books up to 1,000 requests that nobody proxied;
// members are those of Fact, request_id and occurred_at may be left out; key_hint "" is
// the Console.
//
// POST /books/plant makes the reports disagree, GET /books/plants lists what was planted;
// members are those of Plant. "since" and "until" (RFC 3339) bound when it shows: missing
// with until is a late fact, tokens with since a late revision.
//
//	{"class":"tokens","request_id":"req_…","token_class":"output","delta":-50,"in":"usage"}
//	{"class":"tokens","day":"2026-11-23","api_key_id":"…","token_class":"input","delta":9}
//	                     of the day's first such request; in: usage, cost, or both when left out
//	{"class":"price","day":"2026-11-23","model":"…","bps":100}   cost off by 1 %, counts right
//	{"class":"missing","request_id":"req_…"}
//	{"class":"extra","occurred_at":"…","api_key_id":"…","model":"…","tokens":{"input":100}}
//	{"class":"fee","occurred_at":"…","cost_type":"code_execution","amount_pico":50000000000}
//	                     or session_usage; in the cost reports alone
//	{"class":"credit","occurred_at":"…","amount_pico":1}         amount lower, list_amount not
//
// POST /books/report-faults {"faults":"status=429,retry-after=2","path":"/v1/organizations/
// analytics/cost","skip":1,"times":2} waits for requests whose path starts so; GET shows
// what still waits; x-sim-fault on the request works too. Besides status, html,
// first-byte-ms, drop-head, drop-after (half a page), skew-sec:
//
//	repeat-page stuck-page          the page before once more; next_page leads here again
//	empty-page refuse-cursor        no rows but has_more; 400 for a page token
package simulator
