package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"tollbook/app/id"
	"tollbook/app/usage"
)

// The journal's records are written by hand: every request writes two, and the
// general encoder costs more than the journal does. What comes out is the JSON that
// the structs' tags describe, and it is read back by the general decoder.

const recordRoom = 1 << 10 // most records fit

func encodeIntent(in *intent) ([]byte, error) {
	o := newObject()
	identifier(o, "t", in.Tenant)
	identifier(o, "k", in.Key)
	if !in.Developer.IsZero() {
		identifier(o, "d", in.Developer)
	}
	o.blob("l", in.Label)
	if in.Verified {
		o.any("v", true)
	}
	o.text("m", in.Model)
	o.shares("s", in.Shares)
	o.text("r", in.Rule)
	o.positive("rv", in.Version)
	if !in.Change.IsZero() {
		identifier(o, "ch", in.Change)
	}
	o.number("n", in.Snapshot)
	o.optional("p", in.Project)
	if len(in.Tags) > 0 {
		o.any("g", in.Tags)
	}
	o.optional("c", in.Session)
	o.optional("a", in.Agent)
	o.optional("pa", in.Parent)
	o.optional("rc", in.Class)
	o.positive("by", in.Bytes)
	o.positive("mt", in.MaxTokens)
	o.number("q", in.Sequence)
	return o.end()
}

func encodeOutcome(out *outcome) ([]byte, error) {
	o := newObject()
	o.text("st", string(out.State))
	o.number("h", int64(out.Status))
	o.optional("i", out.RequestID)
	o.optional("mi", out.MessageID)
	o.optional("sr", out.Stop)
	o.counts("u", &out.Counts)
	if len(out.Flags) > 0 {
		o.any("f", out.Flags)
	}
	o.blob("w", out.Raw)
	o.instant("b", out.SentAt)
	o.instant("fb", out.FirstAt)
	o.instant("e", out.EndedAt)
	return o.end()
}

// object is a JSON object being written; the first error sticks.
type object struct {
	out []byte
	err error
}

func newObject() *object { return &object{out: append(make([]byte, 0, recordRoom), '{')} }

func (o *object) end() ([]byte, error) {
	if o.err != nil {
		return nil, fmt.Errorf("encode journal record: %w", o.err)
	}
	return append(o.out, '}'), nil
}

func (o *object) key(name string) {
	if last := o.out[len(o.out)-1]; last != '{' && last != '[' {
		o.out = append(o.out, ',')
	}
	o.out = append(o.out, '"')
	o.out = append(o.out, name...)
	o.out = append(o.out, '"', ':')
}

func (o *object) text(name, value string) {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == '"' || c == '\\' || c > '~' {
			o.any(name, value)
			return
		}
	}
	o.key(name)
	o.out = append(o.out, '"')
	o.out = append(o.out, value...)
	o.out = append(o.out, '"')
}

// identifier writes what the id's String prints.
func identifier[K id.Kind](o *object, name string, value id.Of[K]) {
	o.key(name)
	o.out = append(o.out, '"')
	o.out = value.Append(o.out)
	o.out = append(o.out, '"')
}

func (o *object) optional(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) number(name string, value int64) {
	o.key(name)
	o.out = strconv.AppendInt(o.out, value, 10)
}

func (o *object) positive(name string, value int64) {
	if value != 0 {
		o.number(name, value)
	}
}

func (o *object) blob(name string, value []byte) {
	if len(value) == 0 {
		return
	}
	o.key(name)
	o.out = append(o.out, '"')
	o.out = base64.StdEncoding.AppendEncode(o.out, value)
	o.out = append(o.out, '"')
}

func (o *object) instant(name string, at time.Time) {
	if at.IsZero() {
		return
	}
	o.key(name)
	o.out = append(o.out, '"')
	o.out = at.AppendFormat(o.out, time.RFC3339Nano)
	o.out = append(o.out, '"')
}

func (o *object) any(name string, value any) {
	text, err := json.Marshal(value)
	if err != nil && o.err == nil {
		o.err = err
	}
	o.key(name)
	o.out = append(o.out, text...)
}

func (o *object) shares(name string, shares []usage.Share) {
	if shares == nil {
		o.any(name, shares)
		return
	}
	o.key(name)
	o.out = append(o.out, '[')
	for i, s := range shares {
		if i > 0 {
			o.out = append(o.out, ',')
		}
		o.out = append(o.out, '{')
		identifier(o, "placement", s.Placement)
		o.number("ppm", s.PPM)
		o.out = append(o.out, '}')
	}
	o.out = append(o.out, ']')
}

// counts writes what nearly every answer has; the rest is rare enough for the
// general encoder.
func (o *object) counts(name string, c *usage.Counts) {
	if c.WebSearches != 0 || c.Iterations != nil || c.Free || c.CreditRedeemed || c.Unknown != nil {
		o.any(name, c)
		return
	}
	o.key(name)
	o.out = append(o.out, '{')
	o.text("Model", c.Model)
	o.key("Tokens")
	o.out = append(o.out, '[')
	for i, n := range c.Tokens {
		if i > 0 {
			o.out = append(o.out, ',')
		}
		o.out = strconv.AppendInt(o.out, n, 10)
	}
	o.out = append(o.out, ']')
	o.optional("Speed", c.Speed)
	o.optional("Geography", c.Geography)
	o.optional("Tier", c.Tier)
	o.out = append(o.out, '}')
}
