package simulator

import (
	"fmt"
	"strconv"
	"strings"
)

// rates are the standing faults of --faults: a chance per answer for each.
type rates struct {
	outcomes []outcome
}

type outcome struct {
	knobs  string  // a list of knobs
	chance float64 // of one answer, 0..1
}

// shortFault spells out the short words of a spec; anything else is knobs joined
// with + and with : where a header has =.
func shortFault(word string) string {
	switch word {
	case "drop":
		return "drop-after=2"
	case "sse-error":
		return "sse-error-after=2"
	case "delay":
		return "first-byte-ms=500"
	case "slow":
		return "delta-ms=100"
	case "stall":
		return "stall-ms=2000"
	case "malformed":
		return "garble=bad-json"
	}
	if status, err := strconv.Atoi(word); err == nil {
		return "status=" + strconv.Itoa(status)
	}

	return strings.NewReplacer("+", ",", ":", "=").Replace(word)
}

// parseRates reads a spec such as "429=0.01,drop=0.01,stall-ms:800+stall-after:3=0.02".
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
			return rates{}, fmt.Errorf("--faults: %q needs a chance from 0 to 1, as in 429=0.01", cutText(word, 80))
		}
		one := outcome{shortFault(name), chance}
		check := noKnobs()
		if err := check.parse(one.knobs); err != nil {
			return rates{}, fmt.Errorf("--faults: %q is no fault: %w", cutText(name, 80), err)
		}
		if check.bench || check.times > 0 {
			return rates{}, fmt.Errorf("--faults: %q cannot stand", cutText(name, 80))
		}
		if _, err := check.problem(0); err != nil {
			return rates{}, fmt.Errorf("--faults: %w", err)
		}
		r.outcomes = append(r.outcomes, one)
		sum += chance
		if len(r.outcomes) > maxStandingFaults {
			return rates{}, fmt.Errorf("--faults: more than %d faults", maxStandingFaults)
		}
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
			return o.knobs
		}
		point -= o.chance
	}

	return ""
}
