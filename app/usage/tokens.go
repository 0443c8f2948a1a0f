package usage

// Class is a token class, the unit the provider prices.
type Class int

// The token classes, in the order every table and file lists them.
const (
	ClassInput Class = iota
	ClassOutput
	ClassCacheWrite5m
	ClassCacheWrite1h
	ClassCacheRead
	ClassCount // how many there are
)

// String is the class's name in the API and the database.
func (c Class) String() string {
	return [...]string{"input", "output", "cache_write_5m", "cache_write_1h", "cache_read"}[c]
}

// Tokens counts tokens by class. Input is uncached input only, as the provider
// counts it: the whole prompt is Prompt().
type Tokens [ClassCount]int64

// Prompt is every token of the prompt: input, cache reads and cache writes. It
// is what prompt-length price tiers compare.
func (t Tokens) Prompt() int64 {
	return t[ClassInput] + t[ClassCacheWrite5m] + t[ClassCacheWrite1h] + t[ClassCacheRead]
}

// Plus adds two counts class by class.
func (t Tokens) Plus(other Tokens) Tokens {
	for c := range t {
		t[c] += other[c]
	}
	return t
}

// Iteration is one billed inner step whose tokens the response's top level does
// not already hold (compaction, advisor, fallback).
type Iteration struct {
	Kind   string // compaction, advisor_message, fallback_message
	Model  string // the model that served it
	Tokens Tokens
	Free   bool // declined before any output: listed, never billed
}

// Counts is everything measured on one response: the response's own model, speed,
// geography and tier decide the price, not the request's.
type Counts struct {
	Model       string // as served
	Tokens      Tokens
	WebSearches int64
	Iterations  []Iteration
	Speed       string // standard, fast or empty
	Geography   string // us, global or empty
	Tier        string // standard, batch, priority or empty
	// Free marks a refusal before any output, which the provider does not bill.
	Free bool
	// CreditRedeemed says that a fallback credit was redeemed: cache writes that
	// were warm before are billed as reads.
	CreditRedeemed bool `json:",omitempty"`
	// Unknown names usage fields that were not understood; any makes the price
	// provisional.
	Unknown []string
}
