// Package simulator stands in for api.anthropic.com: the Messages API with its
// own prices and its own books, so that it can disagree with the product.
//
// It owns the answers, the prompt cache, the list prices (prices.go), the books
// (one append-only file) and the analytics reports made from them. It does not own,
// and never imports, anything of ours.
//
// Invariants: a request is in the books, by write(2), before its last byte leaves;
// what was cut is booked with what was produced; no id is ever issued twice, also
// after kill -9; the same seed, prompt and sequence give the same answer and counts.
//
// Words: fact (the provider's record of one request), books, knob (a word that
// asks for a fault), era (a time during which one price held).
//
// Prompt caches belong to a workspace (header anthropic-workspace-id, else the
// default one) and a model, never to a key. The prompt steers the answer: "run
// <command>" uses Bash, "use tool <name>" that tool, "search" the web_search server
// tool; a tool result is quoted back; a json_schema gets the smallest fitting value.
//
// # Knobs
//
// In the header x-sim-fault, comma separated, or in the last user text as
// [[sim:deltas=50,delta-ms=20]]; [[refuse]] in that text asks for a free refusal.
// An unknown knob is a 400, so that a misspelled test fails. Bounds: bounds.go.
//
//	status=429 retry-after=5 error-code=x should-retry=false   an error instead
//	prompt-too-long                 the 400 that sends Claude Code to compaction
//	first-byte-ms=300 delta-ms=20   pauses (before the head; between deltas)
//	deltas=50 text-bytes=N          exact number of text deltas; exact text length
//	drop-head drop-after=3          cut the connection before the head; after that many deltas of
//	                                any kind, at the latest before message_delta
//	sse-error-after=2               SSE error event likewise; 0 = as the first event, free
//	no-usage                        the final message_delta has no usage
//	unknown-model unknown-field     model claude-unknown-9; usage.quantum_tokens: 7
//	compaction=N                    a compaction iteration of N input and N/10 output tokens
//	times=N                         the knobs apply to the first N requests with this text in this session
//	bench                           header only, first: canned answer, nothing checked, no cache, no
//	                                fact; only counters in memory (GET /books/bench)
package simulator
