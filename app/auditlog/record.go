package auditlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// Version is the version of the canonical bytes this code writes. Version 2 may say by what
// somebody did it, and which release recorded it; what it says besides is version 1.
const Version = 2

// Actions whose record holds the root of bytes that are kept beside it.
const (
	UsageBatch      = "usage.batch"      // requests, as they were recorded
	AdjustmentBatch = "adjustment.batch" // requests that are charged elsewhere, or otherwise, from then on
	JournalEntry    = "journal.posted"   // one entry: its digest
)

// Purged is the action of the record of what a purge took, and what stands in its place.
const Purged = "retention.purged"

// maxRecordBytes bounds one record.
const maxRecordBytes = 1 << 20

// Record is one thing that happened, before it has a place in the log.
type Record struct {
	ID         id.Record
	Tenant     id.Tenant
	Action     string // "change.applied", "usage.batch", "sign_in.accepted"
	Actor      string // an opaque id, or "system"
	RecordedAt time.Time
	Subject    string         // the id of what it is about
	Detail     map[string]any // integers, strings, booleans, lists and maps of these
	Provenance *Provenance    // nil for the product's own
	Release    string         // of the program that recorded it; empty where it is not known
}

// Canonical returns the bytes to store and hash.
func (r Record) Canonical() ([]byte, error) {
	if r.Action == "" || r.Actor == "" || r.RecordedAt.IsZero() || r.ID.IsZero() {
		return nil, fault.New(fault.KindInternal, "record_incomplete", "An audit record needs id, action, actor and time.")
	}
	for key, value := range r.Detail {
		if err := plain(value); err != nil {
			return nil, fmt.Errorf("audit detail %q: %w", key, err)
		}
	}
	whole := map[string]any{
		"action": r.Action, "actor": r.Actor, "at": r.RecordedAt.UTC().Format(time.RFC3339Nano), "detail": r.Detail,
		"id": r.ID.String(), "subject": r.Subject, "tenant": r.Tenant.String(), "v": Version,
	}
	if r.Provenance != nil {
		whole["provenance"] = r.Provenance.canonical()
	}
	if r.Release != "" {
		whole["release"] = r.Release
	}
	return marshal(whole)
}

// marshal relies on encoding/json sorting the keys of maps, at every depth.
func marshal(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode canonical bytes: %w", err)
	}
	canonical := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if len(canonical) > maxRecordBytes {
		return nil, fault.New(fault.KindInvalid, "record_size", "An audit record is at most 1 MiB.")
	}
	return canonical, nil
}

// plain refuses what has no single canonical spelling, above all floats.
func plain(value any) error {
	switch v := value.(type) {
	case nil, string, bool, int, int64, uint64:
		return nil
	case []string, map[string]string:
		return nil
	case []any:
		for _, element := range v {
			if err := plain(element); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		for _, element := range v {
			if err := plain(element); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%T has no canonical form", value)
}

// CanonicalJSON returns the canonical bytes of a change's payload: the JSON a
// maker sent, with sorted keys and exact integers. Fractions are refused: amounts
// travel as decimal strings.
func CanonicalJSON(document []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fault.Invalid("payload", "payload_syntax", "The payload is not JSON.").Because(err)
	}
	if decoder.More() {
		return nil, fault.Invalid("payload", "payload_syntax", "The payload is more than one JSON value.")
	}
	exact, err := integers(value)
	if err != nil {
		return nil, err
	}
	return marshal(exact)
}

func integers(value any) (any, error) {
	switch v := value.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return nil, fault.Invalid("payload", "payload_fraction", "%.40s is no whole number; send amounts as strings.", v.String())
		}
		return n, nil
	case []any:
		for i := range v {
			exact, err := integers(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = exact
		}
	case map[string]any:
		for key := range v {
			exact, err := integers(v[key])
			if err != nil {
				return nil, err
			}
			v[key] = exact
		}
	}
	return value, nil
}

// Hash is a leaf, node or root hash (SHA-256, RFC 6962).
type Hash = tlog.Hash

// Leaf hashes canonical bytes as a leaf.
func Leaf(canonical []byte) Hash { return tlog.RecordHash(canonical) }

// Root is the Merkle root over leaves in order; no leaves have the hash of an
// empty tree.
func Root(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return emptyRoot()
	}
	for len(leaves) > 1 {
		leaves = pairUp(leaves)
	}
	return leaves[0]
}

// pairUp folds one level. An odd last hash moves up unchanged, which gives the
// RFC 6962 tree for any size.
func pairUp(level []Hash) []Hash {
	next := make([]Hash, 0, (len(level)+1)/2)
	for i := 0; i+1 < len(level); i += 2 {
		next = append(next, tlog.NodeHash(level[i], level[i+1]))
	}
	if len(level)%2 == 1 {
		next = append(next, level[len(level)-1])
	}
	return next
}

// emptyRoot is SHA-256 of nothing, as RFC 6962 section 2.1 has it.
func emptyRoot() Hash {
	root, _ := tlog.ParseHash("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
	return root
}
