package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// unset marks a counting knob that was not given, because zero means something.
const unset = -1

// knobs are the faults and shapes one request asks for; doc.go lists them.
type knobs struct {
	status        int
	retryAfter    int
	errorCode     string
	shouldRetry   string
	promptTooLong bool
	firstByte     time.Duration
	delta         time.Duration
	deltas        int
	textBytes     int
	dropHead      bool
	dropAfter     int
	sseErrorAfter int
	noUsage       bool
	unknownModel  bool
	unknownField  bool
	compaction    int
	times         int
	bench         bool
}

func noKnobs() knobs {
	return knobs{retryAfter: unset, deltas: unset, textBytes: unset, dropAfter: unset, sseErrorAfter: unset}
}

// parse adds the knobs of one comma-separated list.
func (k *knobs) parse(words string) error {
	for word := range strings.SplitSeq(words, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		if err := k.set(word); err != nil {
			return err
		}
	}

	return nil
}

func (k *knobs) set(word string) error {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "prompt-too-long":
		k.promptTooLong = true
	case "drop-head":
		k.dropHead = true
	case "no-usage":
		k.noUsage = true
	case "unknown-model":
		k.unknownModel = true
	case "unknown-field":
		k.unknownField = true
	case "bench":
		k.bench = true
	case "error-code":
		k.errorCode = value
	case "should-retry":
		k.shouldRetry = value
	case "first-byte-ms", "delta-ms":
		return k.setPause(name, value)
	default:
		return k.setCount(name, value)
	}

	return nil
}

func (k *knobs) setPause(name, value string) error {
	ms, err := boundedInt(name, value, 0, int(maxPause/time.Millisecond))
	if err != nil {
		return err
	}
	if name == "delta-ms" {
		k.delta = time.Duration(ms) * time.Millisecond
	} else {
		k.firstByte = time.Duration(ms) * time.Millisecond
	}

	return nil
}

func (k *knobs) setCount(name, value string) (err error) {
	switch name {
	case "status":
		k.status, err = boundedInt(name, value, 400, 599)
	case "retry-after":
		k.retryAfter, err = boundedInt(name, value, 0, 86_400)
	case "deltas":
		k.deltas, err = boundedInt(name, value, 1, maxDeltas)
	case "text-bytes":
		k.textBytes, err = boundedInt(name, value, 1, maxTextBytes)
	case "drop-after":
		k.dropAfter, err = boundedInt(name, value, 0, maxDeltas)
	case "sse-error-after":
		k.sseErrorAfter, err = boundedInt(name, value, 0, maxDeltas)
	case "compaction":
		k.compaction, err = boundedInt(name, value, 1, maxTokens/2)
	case "times":
		k.times, err = boundedInt(name, value, 1, 1000)
	default:
		err = fmt.Errorf("x-sim-fault: unknown knob %q", name)
	}

	return err
}

func boundedInt(name, value string, low, high int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("x-sim-fault: %s must be an integer from %d to %d, not %q", name, low, high, value)
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

// rates are the standing faults of --faults: a chance per answer for each.
type rates struct {
	outcomes []outcome
}

type outcome struct {
	knob   string  // as in a list of knobs
	chance float64 // of one answer, 0..1
}

// parseRates reads a spec such as "429=0.01,529=0.005,drop=0.01".
func parseRates(spec string) (rates, error) {
	var r rates
	var sum float64
	for word := range strings.SplitSeq(spec, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		name, value, _ := strings.Cut(word, "=")
		chance, err := strconv.ParseFloat(value, 64)
		if err != nil || !(chance >= 0 && chance <= 1) {
			return rates{}, fmt.Errorf("--faults: %q needs a chance from 0 to 1, as in 429=0.01", word)
		}
		knob := "status=" + name
		switch name {
		case "drop":
			knob = "drop-after=2"
		case "sse-error":
			knob = "sse-error-after=2"
		}
		check := noKnobs()
		if err := check.parse(knob); err != nil {
			return rates{}, fmt.Errorf("--faults: %q is not an error status, drop or sse-error", name)
		}
		r.outcomes = append(r.outcomes, outcome{knob, chance})
		sum += chance
	}
	if sum > 1 {
		return rates{}, fmt.Errorf("--faults: chances add up to %g, more than 1", sum)
	}

	return r, nil
}

// pick chooses by a number from 0 to 1; "" is no fault.
func (r *rates) pick(point float64) string {
	for _, o := range r.outcomes {
		if point < o.chance {
			return o.knob
		}
		point -= o.chance
	}

	return ""
}
