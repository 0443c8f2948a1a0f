package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unset marks a counting knob that was not given, because zero means something.
const unset = -1

// knobs are the faults and shapes one request asks for; doc.go lists them in the
// same order.
type knobs struct {
	status, retryAfter                int
	errorCode, shouldRetry            string
	promptTooLong, consoleLimit, html bool

	firstByteMs, deltaMs, deltas, textBytes int
	stallMs, stallAfter, stallPingMs        int

	dropHead                             bool
	dropAfter, dropInside, sseErrorAfter int
	redirect, plainBytes, skewSec        int
	gzip                                 bool

	garbles                    []string
	garbleAfter                int
	crlf, splitData, hugeFinal bool

	noUsage, noFinal, noStop, deltaSplit bool
	repeatDelta, shrink, grow            int

	unknownModel, unknownField            bool
	input, output, read, write5m, write1h int
	searches, thinkingTokens              int
	speed, geo, tier                      string
	refuseLate                            bool

	iterations, compaction, advisor int
	advisorModel, fallback, credit  string
	fallbackOutput                  int

	repeatPage, stuckPage, emptyPage, refuseCursor bool

	times int
	bench bool
}

func noKnobs() knobs {
	return knobs{
		retryAfter: unset, deltas: unset, textBytes: unset, stallAfter: 1, dropAfter: unset, dropInside: unset,
		sseErrorAfter: unset, plainBytes: unset, garbleAfter: 1, input: unset, output: unset, read: unset,
		write5m: unset, write1h: unset, searches: unset, advisorModel: "claude-fable-5-2",
	}
}

// firstByte is the pause before the head.
func (k *knobs) firstByte() time.Duration { return time.Duration(k.firstByteMs) * time.Millisecond }

type flagKnob struct {
	name string
	to   *bool
}

func (k *knobs) flags() []flagKnob {
	return []flagKnob{
		{"prompt-too-long", &k.promptTooLong},
		{"console-limit", &k.consoleLimit},
		{"html", &k.html},
		{"drop-head", &k.dropHead},
		{"gzip", &k.gzip},
		{"crlf", &k.crlf},
		{"split-data", &k.splitData},
		{"huge-final", &k.hugeFinal},
		{"no-usage", &k.noUsage},
		{"no-final", &k.noFinal},
		{"no-stop", &k.noStop},
		{"delta-split", &k.deltaSplit},
		{"unknown-model", &k.unknownModel},
		{"unknown-field", &k.unknownField},
		{"refuse-late", &k.refuseLate},
		{"repeat-page", &k.repeatPage},
		{"stuck-page", &k.stuckPage},
		{"empty-page", &k.emptyPage},
		{"refuse-cursor", &k.refuseCursor},
		{"bench", &k.bench},
	}
}

type wordKnob struct {
	name    string
	to      *string
	allowed []string // nil: any
}

func (k *knobs) words() []wordKnob {
	return []wordKnob{
		{"error-code", &k.errorCode, nil},
		{"should-retry", &k.shouldRetry, nil},
		{"speed", &k.speed, []string{speedStandard, speedFast}},
		{"geo", &k.geo, []string{geoGlobal, geoUS}},
		{"tier", &k.tier, []string{tierStandard, tierBatch, tierPriority}},
		{"advisor-model", &k.advisorModel, nil},
		{"fallback", &k.fallback, nil},
		{"fallback-credit", &k.credit, creditOutcomes()},
	}
}

type countKnob struct {
	name      string
	to        *int
	low, high int
}

const longest = int(maxPause / time.Millisecond)

// pace finds the knobs that a benchmark sends with every request, without building
// the tables of all others.
func (k *knobs) pace(name string) *countKnob {
	switch name {
	case "first-byte-ms":
		return &countKnob{name, &k.firstByteMs, 0, longest}
	case "delta-ms":
		return &countKnob{name, &k.deltaMs, 0, longest}
	case "deltas":
		return &countKnob{name, &k.deltas, 1, maxDeltas}
	case "text-bytes":
		return &countKnob{name, &k.textBytes, 1, maxTextBytes}
	default:
		return nil
	}
}

func (k *knobs) counts() []countKnob {
	return []countKnob{
		{"status", &k.status, 400, 599},
		{"retry-after", &k.retryAfter, 0, 86_400},
		{"stall-ms", &k.stallMs, 0, longest},
		{"stall-after", &k.stallAfter, 0, maxDeltas},
		{"stall-ping-ms", &k.stallPingMs, 1, longest},
		{"drop-after", &k.dropAfter, 0, maxDeltas},
		{"drop-inside", &k.dropInside, 1, maxDeltas},
		{"sse-error-after", &k.sseErrorAfter, 0, maxDeltas},
		{"redirect", &k.redirect, 300, 399},
		{"plain-bytes", &k.plainBytes, 0, maxPlainBytes},
		{"skew-sec", &k.skewSec, -maxSkewSec, maxSkewSec},
		{"garble-after", &k.garbleAfter, 0, maxDeltas},
		{"repeat-delta", &k.repeatDelta, 1, maxRepeats},
		{"shrink", &k.shrink, 1, maxTokens / 2},
		{"grow", &k.grow, 1, maxTokens / 4},
		{"input", &k.input, 0, maxTokens / 4},
		{"output", &k.output, 0, maxTokens / 4},
		{"read", &k.read, 0, maxTokens / 4},
		{"write-5m", &k.write5m, 0, maxTokens / 4},
		{"write-1h", &k.write1h, 0, maxTokens / 4},
		{"searches", &k.searches, 0, maxSearches},
		{"thinking-tokens", &k.thinkingTokens, 1, maxTokens / 4},
		{"iterations", &k.iterations, 1, maxIterations},
		{"compaction", &k.compaction, 1, maxTokens / 2},
		{"advisor", &k.advisor, 1, maxTokens / 2},
		{"fallback-output", &k.fallbackOutput, 0, maxTokens / 4},
		{"times", &k.times, 1, 1000},
	}
}

// parse adds the knobs of one comma-separated list.
func (k *knobs) parse(list string) error {
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		name, value, _ := strings.Cut(word, "=")
		var err error
		if paced := k.pace(name); paced != nil {
			err = paced.set(value)
		} else {
			err = k.set(name, value)
		}
		if err != nil {
			return err
		}
	}

	return nil
}

func (k *knobs) set(name, value string) error {
	for _, f := range k.flags() {
		if f.name == name {
			*f.to = true

			return nil
		}
	}
	for _, c := range k.counts() {
		if c.name == name {
			return c.set(value)
		}
	}
	for _, w := range k.words() {
		if w.name == name {
			return w.set(value)
		}
	}

	return k.addGarble(name, value)
}

func (c *countKnob) set(value string) error {
	n, err := boundedInt(c.name, value, c.low, c.high)
	if err == nil {
		*c.to = n
	}

	return err
}

func (w *wordKnob) set(value string) error {
	if len(value) == 0 || len(value) > maxModelBytes || (w.allowed != nil && !slices.Contains(w.allowed, value)) {
		return fmt.Errorf("x-sim-fault: %s cannot be %q", w.name, cutText(value, 40))
	}
	*w.to = value

	return nil
}

func (k *knobs) addGarble(name, value string) error {
	switch {
	case name != "garble":
		return fmt.Errorf("x-sim-fault: unknown knob %q", cutText(name, 40))
	case !slices.Contains(garbleNames(), value):
		return fmt.Errorf("x-sim-fault: garble must be one of %s, not %q", strings.Join(garbleNames(), " "), cutText(value, 40))
	case len(k.garbles) == maxGarbles:
		return fmt.Errorf("x-sim-fault: at most %d garbles", maxGarbles)
	}
	k.garbles = append(k.garbles, value)

	return nil
}

func boundedInt(name, value string, low, high int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("x-sim-fault: %s must be an integer from %d to %d, not %q", name, low, high, cutText(value, 40))
	}

	return n, nil
}

// promptKnobs returns the words inside every [[sim:...]] of a text.
func promptKnobs(text string) []string {
	var found []string
	for {
		_, rest, ok := strings.Cut(text, "[[sim:")
		if !ok {
			return found
		}
		words, after, ok := strings.Cut(rest, "]]")
		if !ok {
			return found
		}
		found = append(found, words)
		text = after
	}
}
