package usage

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// State is how the measuring of a request ended.
type State string

// The states of a usage event.
const (
	StateComplete   State = "complete"   // final usage read, price final
	StateIncomplete State = "incomplete" // the stream ended without its final usage
	StateEstimated  State = "estimated"  // the client left; a floor is recorded
	StateUnpriced   State = "unpriced"   // measured, but the price is provisional
	StateError      State = "error"      // the provider refused or failed; nothing is charged
	StateOpen       State = "open"       // it was sent, and nobody lived to see the answer
)

// Whole is all of a request in parts per million.
const Whole = 1_000_000

// Share is one placement's part of a request, in parts per million.
type Share struct {
	Placement id.Placement `json:"placement"`
	PPM       int64        `json:"ppm"`
}

// Event is one request as measured, before it is priced.
type Event struct {
	ID                id.Event // its millisecond is OccurredAt
	State             State
	HTTPStatus        int
	RequestID         string // the upstream's; empty while open
	MessageID         string
	SessionID         string
	AgentID           string
	ParentAgentID     string
	RequestClass      string
	StopReason        string
	Key               id.Key
	Developer         id.Developer
	DeveloperLabel    []byte // sealed; empty when known already or undeclared
	DeveloperVerified bool
	ModelRequested    string
	Counts            Counts
	Shares            []Share
	Rule              string
	RuleVersion       int64     // of the tenant's rules that were asked; 0 for none
	Change            id.Change // what put it there: it applied the rule, or gave the key its cost center
	Snapshot          int64
	Project           string
	Tags              map[string]string
	Flags             []string
	RawUsage          []byte
	UpstreamStartedAt time.Time
	FirstByteAt       time.Time
	EndedAt           time.Time
	Replica           id.Replica
	ReplicaSequence   int64
}

// OccurredAt is the request's start on the gateway's clock, UTC, milliseconds.
func (e *Event) OccurredAt() time.Time { return e.ID.Time() }

// Bounds of what a request may declare about itself.
const (
	maxTags     = 10
	maxTagKey   = 64
	maxTagValue = 256
	maxLabel    = 128
)

// ParseTags reads the JSON object of strings a request may declare.
func ParseTags(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no header means no tags
	}
	var tags map[string]string
	if len(text) > 8192 || json.Unmarshal([]byte(text), &tags) != nil || tags == nil {
		return nil, fault.Invalid("x-tollbook-tags", "tags_syntax", `x-tollbook-tags must be a JSON object of strings, such as {"team":"perception"}.`)
	}
	if len(tags) > maxTags {
		return nil, fault.Invalid("x-tollbook-tags", "tags_many", "x-tollbook-tags may hold at most %d tags; it holds %d.", maxTags, len(tags))
	}
	for key, value := range tags {
		if key == "" || len(key) > maxTagKey || len(value) > maxTagValue || !printable(key) || !printable(value) {
			return nil, fault.Invalid("x-tollbook-tags", "tag_length", "A tag has a key of 1 to %d bytes and a value of at most %d, in printable UTF-8.", maxTagKey, maxTagValue)
		}
	}
	return tags, nil
}

// ParseLabel reads a declared project or developer.
func ParseLabel(header, text string) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxLabel || !printable(text) {
		return "", fault.Invalid(header, "label_length", "%s must be at most %d bytes of printable UTF-8.", header, maxLabel)
	}
	return text, nil
}

// Clip bounds a text the world sent to what a row may hold: valid UTF-8, no
// control characters, at most n bytes.
func Clip(text string, n int) string {
	if len(text) <= n && printable(text) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	for len(text) > n {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

func printable(text string) bool {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return true
}
