package confirmation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
	"tollbook/app/id"
)

// Where an export of the log keeps the evidence of decisions: a directory each, and the
// key sets that they were checked with, named by their digests.
const (
	Directory     = "decisions"
	DirectoryKeys = "issuer-keys"
	FileDocument  = "document.json" // canonical bytes
	FileToken     = "token.jwt"
	FileSignature = "signature.txt" // Tollbook's
	// SuffixKeys and the others are of a key set's files: its record of the log and the proof
	// of its place stand beside it where the export begins later.
	SuffixKeys   = ".json"
	SuffixRecord = ".record.json"
	SuffixProof  = ".tlog-proof"
)

// KeysAction is the action of the record that an issuer's key set has of its own.
const KeysAction = "issuer.keys"

// Agreement is what keys that were obtained independently say of a decision's token.
type Agreement string

// The agreements.
const (
	Unasked   Agreement = ""        // no independent keys were given
	Agrees    Agreement = "agree"   // they verify the token's signature
	Unknown   Agreement = "unknown" // they do not hold its issuer, or not the key it names
	Disagrees Agreement = "disagree"
)

// Confirmed is one decision whose evidence is whole.
type Confirmed struct {
	Sequence int64
	Record   string
	Decision string
	Change   string
	Number   int64
	Member   string
	For      string // whom they stood in for; empty for themselves
	Issuer   string
	KeyID    string
	AskedAt  time.Time
	AuthTime time.Time
	Keys     Agreement
}

// Inspector checks the evidence of decisions in an export, record by record.
type Inspector struct {
	// Decisions are those whose evidence was whole, in their order.
	Decisions []Confirmed
	// OwnKey says that the key which checks Tollbook's signatures is from the export itself.
	OwnKey bool

	bundle      fs.FS
	head        []byte // the checkpoint that all of the export is checked against
	verifiers   note.Verifiers
	independent Independent
	sets        map[string]int64 // the records of key sets so far, by digest
	expected    map[string]bool  // files that a record names
}

// NewInspector makes the check of one export. Keys are the log's as they came another way;
// with none the export's own are used. Independent keys may be none.
func NewInspector(bundle fs.FS, keys []string, independent Independent) (*Inspector, error) {
	i := &Inspector{bundle: bundle, independent: independent, sets: map[string]int64{}, expected: map[string]bool{}}
	var err error
	if i.head, err = read(bundle, auditlog.FileCheckpoint); err != nil {
		return nil, err
	}
	own, err := read(bundle, auditlog.FileKeys)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(keys, forDecisions) {
		i.OwnKey = true
		keys = slices.Concat(keys, slices.DeleteFunc(auditlog.Lines(own), func(key string) bool { return len(keys) > 0 && !forDecisions(key) }))
	}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	i.verifiers, err = auditlog.Verifiers(slices.Compact(keys))
	return i, err
}

func forDecisions(key string) bool {
	name, _, _ := strings.Cut(key, "+")
	return strings.HasSuffix(name, "/decisions")
}

const maxFile = 2 << 20

func read(bundle fs.FS, name string) ([]byte, error) {
	file, err := bundle.Open(name)
	if err != nil {
		return nil, &auditlog.FindingError{Sequence: -1, Why: name + " is missing"}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, &auditlog.FindingError{Sequence: -1, Why: name + " is longer than it can be"}
	}
	return text, nil
}

// record is what of a decision's record is compared with its evidence.
type record struct {
	ID, Action, Actor, Subject, Tenant string
	At                                 time.Time
	Detail                             struct {
		Digest       string
		Number       int64
		Reason       string `json:"verdict_reason"`
		For          string
		Keys         string // of a key set's record
		Confirmation *Said
	}
}

// Said is what a decision's record says of its confirmation.
type Said struct {
	Decision  string    `json:"decision"`
	Document  string    `json:"document"`
	Token     string    `json:"token"`
	Claims    string    `json:"claims"`
	Keys      string    `json:"keys"`
	KeyID     string    `json:"kid"`
	Signature string    `json:"signature"`
	Issuer    string    `json:"issuer"`
	AskedAt   time.Time `json:"asked_at"`
	AuthTime  time.Time `json:"auth_time"`
}

// Detail is that as a record holds it.
func (s *Said) Detail() map[string]any {
	return map[string]any{
		"decision": s.Decision, "document": s.Document, "token": s.Token, "claims": s.Claims, "keys": s.Keys, "kid": s.KeyID, "signature": s.Signature, "issuer": s.Issuer,
		"asked_at": s.AskedAt.UTC().Format(time.RFC3339Nano), "auth_time": s.AuthTime.UTC().Format(time.RFC3339),
	}
}

// ReadSaid finds what a record says of a confirmation; nil where it says nothing.
func ReadSaid(canonical []byte) *Said {
	r := recordOf(canonical)
	return r.Detail.Confirmation
}

func recordOf(canonical []byte) record {
	var r record
	if bytes.Contains(canonical, []byte(`"confirmation":{`)) || bytes.Contains(canonical, []byte(`"`+KeysAction+`"`)) {
		_ = json.Unmarshal(canonical, &r) // details of other records have other forms
	}
	return r
}

// Look is the auditlog.Look of decisions and of the key sets they rest on.
func (i *Inspector) Look(sequence int64, canonical []byte) string {
	r := recordOf(canonical)
	if r.Action == KeysAction {
		if _, known := i.sets[r.Detail.Keys]; !known {
			i.sets[r.Detail.Keys] = sequence
		}
		return ""
	}
	if r.Detail.Confirmation == nil {
		return ""
	}
	one, why := i.decision(sequence, &r)
	if why == "" {
		i.Decisions = append(i.Decisions, one)
	}
	return why
}

// decision checks one decision's evidence against its record.
func (i *Inspector) decision(sequence int64, r *record) (Confirmed, string) {
	s := r.Detail.Confirmation
	decision, err := id.ParseDecision(s.Decision)
	tenant, errTenant := id.ParseTenant(r.Tenant)
	if err != nil || errTenant != nil {
		return Confirmed{}, "its record names no decision"
	}
	var document, token, signature []byte
	for _, part := range []struct {
		name, digest, what string
		into               *[]byte
	}{{FileDocument, s.Document, "document", &document}, {FileToken, s.Token, "ID token", &token}, {FileSignature, s.Signature, "signature by Tollbook", &signature}} {
		name := path.Join(Directory, decision.String(), part.name)
		i.expected[name] = true
		if *part.into, err = read(i.bundle, name); err != nil {
			return Confirmed{}, "the decision's " + part.what + ": " + err.Error()
		}
		if Hex(*part.into) != part.digest {
			return Confirmed{}, "the decision's " + part.what + " in " + name + " is not the one whose digest the record holds"
		}
	}
	set, why := i.keySet(s.Keys, sequence)
	if why != "" {
		return Confirmed{}, why
	}
	d, err := ParseDocument(document)
	if err != nil {
		return Confirmed{}, "the decision's document cannot be read"
	}
	if why := agrees(&d, r); why != "" {
		return Confirmed{}, why
	}
	claims, err := Check(document, string(token), set, r.At)
	if err != nil {
		return Confirmed{}, "the decision's ID token does not confirm it: " + err.Error()
	}
	if Hex(claims.Payload) != s.Claims || claims.KeyID != s.KeyID || !claims.AuthTime.Equal(s.AuthTime) {
		return Confirmed{}, "the record says something else than the decision's ID token"
	}
	text := Text(tenant, decision, Digests{Document: s.Document, Token: s.Token, Keys: s.Keys})
	if err := Open(signature, tenant, text, i.verifiers); err != nil {
		return Confirmed{}, "Tollbook's signature of the decision: " + err.Error()
	}
	return Confirmed{
		Sequence: sequence, Record: r.ID, Decision: s.Decision, Change: r.Subject, Number: r.Detail.Number, Member: r.Actor, For: r.Detail.For, Issuer: d.Issuer, KeyID: claims.KeyID,
		AskedAt: d.AskedAt, AuthTime: claims.AuthTime, Keys: i.independent.agreement(d.Issuer, string(token)),
	}, ""
}

// agrees compares what was asked with what was recorded.
func agrees(d *Document, r *record) string {
	same := d.Tenant.String() == r.Tenant && d.Change.String() == r.Subject && d.Digest == r.Detail.Digest && d.Number == r.Detail.Number &&
		d.Member.String() == r.Actor && d.For.String() == r.Detail.For && d.Verdict == "approve" && d.Reason == Hex([]byte(r.Detail.Reason)) &&
		d.AskedAt.Equal(r.Detail.Confirmation.AskedAt) && d.Issuer == r.Detail.Confirmation.Issuer
	switch {
	case !same:
		return "the decision's document is about something else than the record"
	case r.At.Before(d.AskedAt) || !r.At.Before(d.ExpiresAt()):
		return "the decision was recorded outside of the time its document gives"
	}
	return ""
}

// keySet reads a key set and checks that it stood in the log before a decision.
func (i *Inspector) keySet(digest string, before int64) (KeySet, string) {
	if len(digest) != len(Hex(nil)) || strings.ContainsAny(digest, "/.\\") {
		return KeySet{}, "its record names no key set"
	}
	base := path.Join(DirectoryKeys, digest)
	i.expected[base+SuffixKeys] = true
	canonical, err := read(i.bundle, base+SuffixKeys)
	if err != nil {
		return KeySet{}, "the issuer's key set: " + err.Error()
	}
	if Hex(canonical) != digest {
		return KeySet{}, "the issuer's key set in " + base + SuffixKeys + " is not the one whose digest the record holds"
	}
	set, err := ParseKeySet(canonical)
	if err != nil {
		return KeySet{}, "the issuer's key set cannot be read"
	}
	at, known := i.sets[digest]
	if !known {
		var why string
		if at, why = i.earlier(base, digest); why != "" {
			return KeySet{}, why
		}
		i.sets[digest] = at
	}
	if at >= before {
		return KeySet{}, "the issuer's key set is in the log only after the decision that rests on it"
	}
	return set, ""
}

// earlier finds where in the log a key set's record is that this export does not hold.
func (i *Inspector) earlier(base, digest string) (int64, string) {
	i.expected[base+SuffixRecord], i.expected[base+SuffixProof] = true, true
	canonical, errRecord := read(i.bundle, base+SuffixRecord)
	text, errProof := read(i.bundle, base+SuffixProof)
	if err := errors.Join(errRecord, errProof); err != nil {
		return 0, "the record of the issuer's key set: " + err.Error()
	}
	proof, err := auditlog.ParseProof(text)
	if err == nil && !bytes.Equal(proof.Checkpoint, i.head) {
		err = errors.New("it is of another head than this export's")
	}
	if err == nil {
		_, err = proof.Check(canonical, i.verifiers)
	}
	if err != nil {
		return 0, "the place of the issuer's key set in the log is not proved: " + err.Error()
	}
	if r := recordOf(canonical); r.Action != KeysAction || r.Detail.Keys != digest {
		return 0, "what is proved to be in the log is not the record of the issuer's key set"
	}
	return proof.Sequence, ""
}

// agreement asks independent keys about a token.
func (list Independent) agreement(issuer, token string) Agreement {
	if len(list) == 0 {
		return Unasked
	}
	found := Unknown
	for _, set := range list {
		if set.Issuer != issuer {
			continue
		}
		switch _, _, err := verify(token, set); {
		case err == nil:
			return Agrees
		case !errors.Is(err, ErrKey):
			found = Disagrees
		}
	}
	return found
}

// End reports evidence that no record names, and the first decision that independent keys
// do not confirm, once every record was looked at.
func (i *Inspector) End() error {
	for _, directory := range []string{Directory, DirectoryKeys} {
		err := fs.WalkDir(i.bundle, directory, func(name string, entry fs.DirEntry, err error) error {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err == nil && !entry.IsDir() && !i.expected[name] {
				return &auditlog.FindingError{Sequence: -1, Why: name + " belongs to no decision of this export"}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for k := range i.Decisions {
		d := &i.Decisions[k]
		switch d.Keys {
		case Disagrees:
			return &auditlog.FindingError{Sequence: d.Sequence, Record: d.Record, Why: "the independent keys of " + d.Issuer + " say that its ID token is not that issuer's"}
		case Unknown:
			return &auditlog.FindingError{Sequence: d.Sequence, Record: d.Record, Why: fmt.Sprintf("the independent keys do not hold key %q of %s: add those the issuer published on %s", d.KeyID, d.Issuer, d.AuthTime.Format(time.DateOnly))}
		case Agrees, Unasked:
		}
	}
	return nil
}
