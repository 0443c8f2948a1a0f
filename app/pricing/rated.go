package pricing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/money"
	"tollbook/app/usage"
)

// Rated is a usage event with its charge: what becomes one row, and whose
// canonical bytes are hashed and stored.
type Rated struct {
	Event   usage.Event
	Charge  Charge
	Version int // of the price book
	Amounts []money.Pico
}

// Rate prices an event with a book and splits the charge over its shares.
func Rate(event usage.Event, book *Book, version int) (Rated, error) {
	charge, err := book.Price(event.Counts, event.OccurredAt())
	if err != nil {
		return Rated{}, err
	}
	if event.State == usage.StateError || event.State == usage.StateOpen {
		// An error is not billed, and of an open request nothing is known: its
		// amount is zero until reconciliation settles it.
		charge = Charge{DiscountBps: charge.DiscountBps}
	}
	if len(charge.Provisional) > 0 {
		event.Flags = append(slices.Clone(event.Flags), charge.Provisional...)
		if event.State == usage.StateComplete {
			event.State = usage.StateUnpriced
		}
	}
	weights := make([]int64, len(event.Shares))
	for i, s := range event.Shares {
		weights[i] = s.PPM
	}
	amounts, err := money.Split(charge.Net, weights)
	if err != nil {
		return Rated{}, err
	}
	return Rated{Event: event, Charge: charge, Version: version, Amounts: amounts}, nil
}

// AppendCanonical appends the canonical bytes of a rated event, version 3: one
// JSON object in this fixed order, integers only, absent facts left out, times in
// UTC to the microsecond as the database keeps them. It covers every fact of the
// row: what the provider said word for word by its digest, the tags in the order of
// their keys. It is written by hand because it runs for every request, and its form
// may never change under the same version; 3 added the version of the rules and the
// change that put the request where it is charged.
func (r *Rated) AppendCanonical(out []byte) []byte {
	e := &r.Event
	out = append(out, `{"v":3`...)
	out = text(out, "id", e.ID.String())
	out = instant(out, "occurred_at", e.OccurredAt())
	out = text(out, "state", string(e.State))
	out = number(out, "http_status", int64(e.HTTPStatus))
	for _, f := range []struct{ key, value string }{
		{"request_id", e.RequestID},
		{"message_id", e.MessageID},
		{"session_id", e.SessionID},
		{"agent_id", e.AgentID},
		{"parent_agent_id", e.ParentAgentID},
		{"request_class", e.RequestClass},
		{"stop_reason", e.StopReason},
		{"key", e.Key.String()},
		{"developer", e.Developer.String()},
		{"model_requested", e.ModelRequested},
		{"model_served", e.Counts.Model},
		{"speed", e.Counts.Speed},
		{"geography", e.Counts.Geography},
		{"tier", e.Counts.Tier},
		{"rule", e.Rule},
		{"project", e.Project},
		{"attribution_change", e.Change.String()},
	} {
		if f.value != "" {
			out = text(out, f.key, f.value)
		}
	}
	if e.DeveloperVerified {
		out = number(out, "developer_verified", 1)
	}
	if e.RuleVersion != 0 {
		out = number(out, "rule_version", e.RuleVersion)
	}
	out = appendTags(out, e.Tags)
	out = appendMeasured(out, e)
	out = number(out, "snapshot", e.Snapshot)
	for class := range usage.ClassCount {
		if e.Counts.Tokens[class] != 0 || r.Charge.Classes[class] != 0 {
			out = number(out, class.String(), e.Counts.Tokens[class])
			out = number(out, class.String()+"_rate_pico", int64(r.Charge.Rates[class]))
			out = number(out, class.String()+"_charge_pico", int64(r.Charge.Classes[class]))
		}
	}
	for i, l := range r.Charge.Lines {
		prefix := "line" + strconv.Itoa(i) + "_"
		out = text(out, prefix+"class", l.Class)
		out = number(out, prefix+"quantity", l.Quantity)
		out = number(out, prefix+"rate_pico", int64(l.Rate))
		out = number(out, prefix+"charge_pico", int64(l.Amount))
	}
	for i, s := range e.Shares {
		prefix := "share" + strconv.Itoa(i) + "_"
		out = text(out, prefix+"placement", s.Placement.String())
		out = number(out, prefix+"ppm", s.PPM)
		out = number(out, prefix+"charge_pico", int64(r.Amounts[i]))
	}
	for i, flag := range e.Flags {
		out = text(out, "flag"+strconv.Itoa(i), flag)
	}
	out = number(out, "list_pico", int64(r.Charge.List))
	out = number(out, "charge_pico", int64(r.Charge.Net))
	out = number(out, "discount_bps", r.Charge.DiscountBps)
	out = number(out, "price_version", int64(r.Version))
	out = text(out, "replica", e.Replica.String())
	out = number(out, "replica_sequence", e.ReplicaSequence)
	return append(out, '}')
}

// appendTags writes the declared tags in the order of their keys.
func appendTags(out []byte, tags map[string]string) []byte {
	if len(tags) == 0 {
		return out
	}
	var room [10]string // as many as a request may declare
	keys := room[:0]
	for key := range tags {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for i, key := range keys {
		prefix := "tag" + strconv.Itoa(i) + "_"
		out = text(out, prefix+"key", key)
		out = text(out, prefix+"value", tags[key])
	}
	return out
}

// appendMeasured writes the digest of the provider's usage and when what happened.
func appendMeasured(out []byte, e *usage.Event) []byte {
	if len(e.RawUsage) > 0 {
		digest := sha256.Sum256(e.RawUsage)
		out = append(out, `,"raw_usage_sha256":"`...)
		out = hex.AppendEncode(out, digest[:])
		out = append(out, '"')
	}
	for _, moment := range [...]struct {
		key string
		at  time.Time
	}{{"upstream_started_at", e.UpstreamStartedAt}, {"first_byte_at", e.FirstByteAt}, {"ended_at", e.EndedAt}} {
		if !moment.at.IsZero() {
			out = instant(out, moment.key, moment.at)
		}
	}
	return out
}

func text(out []byte, key, value string) []byte {
	out = append(out, `,"`...)
	out = append(out, key...)
	out = append(out, `":`...)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == '"' || c == '\\' || c > '~' {
			quoted, err := json.Marshal(value)
			if err != nil {
				panic(err) // a string always encodes
			}
			return append(out, quoted...)
		}
	}
	out = append(out, '"')
	out = append(out, value...)
	return append(out, '"')
}

func number(out []byte, key string, value int64) []byte {
	out = append(out, `,"`...)
	out = append(out, key...)
	out = append(out, `":`...)
	return strconv.AppendInt(out, value, 10)
}

func instant(out []byte, key string, at time.Time) []byte {
	out = append(out, `,"`...)
	out = append(out, key...)
	out = append(out, `":"`...)
	out = at.UTC().AppendFormat(out, "2006-01-02T15:04:05.000000Z")
	return append(out, '"')
}

// Settles says whether another price book may make a provisional price final: not where the
// provider counted what nobody understands, or where only its bill tells.
func Settles(flags []string) bool {
	return !slices.ContainsFunc(flags, func(flag string) bool {
		return strings.HasPrefix(flag, reasonField) || flag == reasonCredit || flag == "counts_impossible"
	})
}
