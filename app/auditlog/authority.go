package auditlog

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// MaxSeeds bounds the seeds that sign at once: the new one and the one it follows.
const MaxSeeds = 2

// Authority signs with the keys that seeds make: all it does follows from them.
type Authority struct{ seeds [][]byte }

// NewAuthority makes one of seeds, the newest first.
func NewAuthority(seeds ...[]byte) (*Authority, error) {
	if len(seeds) == 0 || len(seeds) > MaxSeeds {
		return nil, fault.New(fault.KindInvalid, "log_key_count", "A log is signed by one seed, or by two while one follows the other: the new one first.")
	}
	for i, seed := range seeds {
		if len(seed) != SeedBytes {
			return nil, fault.New(fault.KindInvalid, "log_key_size", "A log key's seed is 32 bytes.")
		}
		if i > 0 && string(seed) == string(seeds[0]) {
			return nil, fault.New(fault.KindInvalid, "log_key_twice", "A seed follows another one, not itself.")
		}
	}
	return &Authority{seeds: seeds}, nil
}

// PublicKey is the public half of a key that signs, and how it came to it.
type PublicKey struct {
	Verifier string `json:"verifier"`
	// Endorsed is a signed note by which the key before names this one as the next; empty
	// where none did.
	Endorsed []byte `json:"endorsed,omitempty"`
}

// Signed is what was signed, and by which keys, the newest first.
type Signed struct {
	Message []byte      `json:"message"`
	Keys    []PublicKey `json:"keys"`
}

// HeadKeys are the keys by which a tenant's heads would be signed now.
func (a *Authority) HeadKeys(tenant id.Tenant) ([]PublicKey, error) {
	_, keys, err := a.keys(tenant, NewSigner)
	return keys, err
}

// SignHead signs a tenant's head with every key there is.
func (a *Authority) SignHead(tenant id.Tenant, size int64, root Hash) (Signed, error) {
	signers, keys, err := a.keys(tenant, NewSigner)
	if err != nil {
		return Signed{}, err
	}
	message, err := Checkpoint{Origin: Origin(tenant), Size: size, Root: root}.Sign(signers...)
	return Signed{message, keys}, err
}

// SignDecision signs the text of a tenant's decision, and nothing else, with the newest key.
func (a *Authority) SignDecision(tenant id.Tenant, text string) (Signed, error) {
	if !strings.HasPrefix(text, DecisionHead(tenant)) || len(text) > maxDecisionBytes {
		return Signed{}, fault.New(fault.KindInvalid, "decision_syntax", "This is not the text of a decision of this company.")
	}
	signers, keys, err := a.keys(tenant, NewDecisionSigner)
	if err != nil {
		return Signed{}, err
	}
	message, err := note.Sign(&note.Note{Text: text}, signers[0])
	return Signed{message, keys[:1]}, err
}

const maxDecisionBytes = 4 << 10

// keys makes a tenant's keys; the key of each older seed names the one that follows it.
func (a *Authority) keys(tenant id.Tenant, of func([]byte, id.Tenant) (note.Signer, string, error)) ([]note.Signer, []PublicKey, error) {
	signers, keys := make([]note.Signer, len(a.seeds)), make([]PublicKey, len(a.seeds))
	var err error
	for i, seed := range a.seeds {
		if signers[i], keys[i].Verifier, err = of(seed, tenant); err != nil {
			return nil, nil, err
		}
	}
	for i := range keys[:len(keys)-1] {
		if keys[i].Endorsed, err = note.Sign(&note.Note{Text: succession(keys[i].Verifier)}, signers[i+1]); err != nil {
			return nil, nil, fmt.Errorf("name next key: %w", err)
		}
	}
	return signers, keys, nil
}

// succession is what a key signs of the one that follows it. No head and no decision
// begins like it.
func succession(next string) string {
	name, _, _ := strings.Cut(next, "+")
	return "tollbook key succession v1\n" + name + "\n" + next + "\n"
}

// Endorser returns which of the keys named another one as the next, if any did.
func Endorser(next PublicKey, keys []string) (string, bool) {
	if len(next.Endorsed) == 0 || len(next.Endorsed) > maxDecisionBytes {
		return "", false
	}
	name, _, _ := strings.Cut(next.Verifier, "+")
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil || verifier.Name() != name {
			continue
		}
		if opened, err := note.Open(next.Endorsed, note.VerifierList(verifier)); err == nil && opened.Text == succession(next.Verifier) {
			return key, true
		}
	}
	return "", false
}

// Trust adds to keys that are trusted those that they vouch for, directly or through
// others: each was named, under its name, by one that came before it.
func Trust(keys []string, told []PublicKey) []string {
	trusted := append([]string(nil), keys...)
	known := map[string]bool{}
	for _, key := range keys {
		known[key] = true
	}
	for range told { // each round adds one at least, or is the last
		added := false
		for _, next := range told {
			if known[next.Verifier] {
				continue
			}
			if _, ok := Endorser(next, trusted); ok {
				trusted, known[next.Verifier], added = append(trusted, next.Verifier), true, true
			}
		}
		if !added {
			break
		}
	}
	return trusted
}

// SignedBy returns which of the keys signed a note.
func SignedBy(message []byte, keys []string) []string {
	var by []string
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			continue
		}
		if _, err := note.Open(message, note.VerifierList(verifier)); err == nil {
			by = append(by, key)
		}
	}
	return by
}

// HeadAsk asks for a head's signature, with all that the log grew by since the head that was
// signed last. A proof of growth would be shorter, and would not do: it leads to the same
// root for other sizes, so that a head could be signed of records that there are none of.
type HeadAsk struct {
	Tenant id.Tenant
	Size   int64
	Root   Hash
	After  int64  // the size of the head signed last, as whoever asks knows it; 0: none
	Edge   []Hash // the perfect trees that the log of that size is made of, the largest first
	Leaves []Hash // of the records since
}

// StaleError tells that the head signed last is of another size than the one asked after.
type StaleError struct{ Size int64 }

// Error implements error.
func (e *StaleError) Error() string {
	return fmt.Sprintf("the head signed last has %d records, which is not the size that was asked after", e.Size)
}

// ErrForked tells that a log is not the one whose head was signed before.
var ErrForked = fault.New(fault.KindInternal, "log_forked", "The log is not the one whose head was signed before: nothing is signed until somebody has looked.")

// MaxGrowth bounds the records by which a log grows from one head to the next.
const MaxGrowth = 50_000

// Continues tells whether the head asked for may follow the one signed last. The same head
// may be signed again: whoever asked for it first may have died with the answer.
func (ask *HeadAsk) Continues(last Checkpoint) error {
	switch {
	case ask.Size <= 0 || ask.After < 0 || len(ask.Edge) > maxProofHashes || len(ask.Leaves) > MaxGrowth:
		return fault.New(fault.KindInvalid, "head_syntax", "A head has a size above nothing and at most 50,000 records more than the one before.")
	case last.Size == 0:
		return nil // trusted, being the first
	case ask.Size == last.Size && ask.Root == last.Root:
		return nil
	case ask.Size == last.Size:
		return ErrForked
	case ask.After != last.Size || ask.Size < last.Size:
		return &StaleError{last.Size}
	}
	return ask.grows(last)
}

// grows adds the records since the head signed last to the log as it was then: what comes
// of them is the head asked for, or it is of another log.
func (ask *HeadAsk) grows(last Checkpoint) error {
	log := Frontier{size: last.Size, roots: slices.Clone(ask.Edge)}
	if len(ask.Edge) != bits.OnesCount64(uint64(last.Size)) || log.Root() != last.Root {
		return ErrForked.Because(errUnproved)
	}
	if int64(len(ask.Leaves)) != ask.Size-last.Size {
		return ErrForked.Because(fmt.Errorf("%d records are no growth from %d to %d", len(ask.Leaves), last.Size, ask.Size))
	}
	for _, leaf := range ask.Leaves {
		log.Add(leaf)
	}
	if log.Root() != ask.Root {
		return ErrForked.Because(errUnproved)
	}
	return nil
}
