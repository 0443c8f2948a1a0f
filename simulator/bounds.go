package simulator

import "time"

// Every size that a client can influence has its limit here.
const (
	maxBodyBytes    = 32 << 20 // the Messages API's own limit
	maxCacheEntries = 1 << 16  // prompt prefixes remembered, least recently used forgotten first
	maxFacts        = 20 << 20 // rows of the books; the index keeps about 90 bytes of each
	maxDeltas       = 100_000  // text deltas one knob may ask for
	maxTextBytes    = 16 << 20 // answer text one knob may ask for
	maxPlainBytes   = 256 << 20
	hugeEventBytes  = 2 << 20 // of garble=huge and of knob huge-final
	maxGarbles      = 16      // of one request
	maxRepeats      = 100     // further message_deltas
	maxIterations   = 16      // of one request
	maxSkewSec      = 400 * 24 * 60 * 60

	maxStandingFaults  = 32 // of one --faults
	maxPlants          = 1000
	maxPlantTokens     = 100_000_000
	maxDiscounts       = 16
	maxReportFaults    = 100     // waiting
	maxControlBytes    = 4 << 20 // body of a request to the simulator's own controls
	maxObjects         = 10_000  // keys, and workspaces, that are remembered
	maxObjectTags      = 10
	maxReportGroupBy   = 5
	maxLegacyGroupBy   = 9
	maxReportFilter    = 1000 // words of one filter
	analyticsPerMinute = 60

	maxQuotedBytes  = 16 << 10 // of a tool result that an answer quotes
	maxTimesKeys    = 4096     // counters of the knob times
	maxTokens       = 1_000_000_000
	maxSearches     = 1_000_000 // of one request
	maxPause        = 10 * time.Minute
	maxBookRows     = 1000     // rows of one page of the books
	maxLineBytes    = 64 << 10 // one line of the books
	maxKeptBuffer   = 1 << 20  // body buffer that is kept for the next request
	maxReportGroups = 200_000  // rows one report may have before it is refused
	idBlock         = 1 << 16  // ids reserved ahead with one line of the books
	cacheLookback   = 20       // blocks before a breakpoint that are tried for a hit
	maxBreakpoints  = 4
	maxSchemaDepth  = 16
	maxToolUses     = 16 // tools one prompt may ask for by name
	maxModelBytes   = 200
	maxSessionBytes = 200
)
