package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Tokens counts one request's tokens by class, as the provider bills them.
type Tokens struct {
	Input        int64 `json:"input"`
	Output       int64 `json:"output"`
	CacheWrite5m int64 `json:"cache_write_5m"`
	CacheWrite1h int64 `json:"cache_write_1h"`
	CacheRead    int64 `json:"cache_read"`
}

func (t *Tokens) add(more Tokens) {
	t.Input += more.Input
	t.Output += more.Output
	t.CacheWrite5m += more.CacheWrite5m
	t.CacheWrite1h += more.CacheWrite1h
	t.CacheRead += more.CacheRead
}

// prompt is everything the model read, which is what prompt-length prices look at.
func (t *Tokens) prompt() int64 {
	return t.Input + t.CacheWrite5m + t.CacheWrite1h + t.CacheRead
}

func (t *Tokens) validate() error {
	for _, n := range []int64{t.Input, t.Output, t.CacheWrite5m, t.CacheWrite1h, t.CacheRead} {
		if n < 0 || n > maxTokens {
			return fmt.Errorf("token count %d is outside 0..%d", n, int64(maxTokens))
		}
	}

	return nil
}

// Fact is what the provider knows about one request. Import fills empty Speed,
// ServiceTier and InferenceGeo with standard, standard and global, a zero Status
// with 200, and always computes BilledPico itself.
type Fact struct {
	RequestID         string    `json:"request_id"`
	MessageID         string    `json:"message_id,omitempty"`
	OccurredAt        time.Time `json:"occurred_at"`        // when the request arrived, UTC
	KeyHint           string    `json:"key_hint,omitempty"` // see KeyHint; never the key
	SessionID         string    `json:"session_id,omitempty"`
	Model             string    `json:"model,omitempty"` // the model that served
	Speed             string    `json:"speed"`           // standard | fast
	ServiceTier       string    `json:"service_tier"`    // standard | batch | priority
	InferenceGeo      string    `json:"inference_geo"`   // global | us
	Tokens            Tokens    `json:"tokens"`          // iterations of the same model included
	WebSearchRequests int64     `json:"web_search_requests,omitempty"`
	Status            int       `json:"http_status"`
	Refused           bool      `json:"refused,omitempty"`     // declined before any output: counted, not billed
	BilledPico        int64     `json:"billed_pico,omitempty"` // list price, 1e-12 USD, iterations included
	Complete          bool      `json:"complete"`              // false: cut, or the client went away; billed as far as it got

	WorkspaceID    string      `json:"workspace_id,omitempty"`    // "" = the organization's default workspace
	CreditRedeemed bool        `json:"credit_redeemed,omitempty"` // a fallback credit: cache writes cost what reads do
	Iterations     []Iteration `json:"iterations,omitempty"`      // billed beside Tokens
}

// Iteration is a turn behind an answer that the answer's own counts do not contain:
// billed at its own model's price, and the fact's speed, tier and geography.
type Iteration struct {
	Kind       string `json:"kind"` // as in usage.iterations
	Model      string `json:"model"`
	Tokens     Tokens `json:"tokens"`
	Free       bool   `json:"free,omitempty"` // declined before any output
	BilledPico int64  `json:"billed_pico,omitempty"`
}

// billed yields what the fact is billed for: the answer, then its iterations.
func (f *Fact) billed() iter.Seq[Iteration] {
	return func(yield func(Iteration) bool) {
		main := Iteration{Kind: kindAnswer, Model: f.Model, Tokens: f.Tokens, BilledPico: f.BilledPico}
		for i := range f.Iterations {
			main.BilledPico -= f.Iterations[i].BilledPico
		}
		if !yield(main) {
			return
		}
		for _, turn := range f.Iterations {
			if !turn.Free && !yield(turn) {
				return
			}
		}
	}
}

// kindAnswer is the kind of the answer itself, beside the kinds of usage.iterations.
const kindAnswer = "answer"

// KeyHint names a credential without revealing it: the same key always gives the
// same hint, of the form apikey_<16 hex digits of its SHA-256>.
func KeyHint(credential string) string {
	sum := sha256.Sum256([]byte(credential))

	return "apikey_" + hex.EncodeToString(sum[:8])
}

func (f *Fact) fillDefaults() {
	if f.Speed == "" {
		f.Speed = speedStandard
	}
	if f.ServiceTier == "" {
		f.ServiceTier = tierStandard
	}
	if f.InferenceGeo == "" {
		f.InferenceGeo = geoGlobal
	}
	if f.Status == 0 {
		f.Status = 200
	}
	f.OccurredAt = f.OccurredAt.UTC()
}

func (f *Fact) validate() error {
	if f.RequestID == "" {
		return errors.New("fact without a request id")
	}
	if strings.ContainsAny(f.RequestID, "\n\r") || len(f.RequestID) > maxModelBytes {
		return fmt.Errorf("request id %.40q is not a plain short word", f.RequestID)
	}
	if f.OccurredAt.IsZero() {
		return fmt.Errorf("fact %s has no time", f.RequestID)
	}
	if len(f.Iterations) > maxIterations {
		return fmt.Errorf("fact %s has more than %d iterations", f.RequestID, maxIterations)
	}
	for i := range f.Iterations {
		if err := f.Iterations[i].Tokens.validate(); err != nil {
			return fmt.Errorf("fact %s: iteration: %w", f.RequestID, err)
		}
	}
	if f.WebSearchRequests < 0 || f.WebSearchRequests > maxSearches {
		return fmt.Errorf("fact %s: web search count %d is out of range", f.RequestID, f.WebSearchRequests)
	}
	if err := f.Tokens.validate(); err != nil {
		return fmt.Errorf("fact %s: %w", f.RequestID, err)
	}

	return nil
}
