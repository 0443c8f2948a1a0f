package auditlog

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// SeedBytes is the size of the seed that an installation's log keys are made of.
const SeedBytes = 32

// ed25519Kind is the first byte of an Ed25519 key in a signed note.
const ed25519Kind = 1

// Origin names a tenant's log, for ever: an installation's address may change.
func Origin(tenant id.Tenant) string { return "tollbook/" + tenant.String() }

// DecisionName names the key that signs a tenant's decisions: another than its log's, so
// that nothing the one signs passes for something the other does.
func DecisionName(tenant id.Tenant) string { return Origin(tenant) + "/decisions" }

// DecisionHead is how the text of each decision of a tenant begins: nothing else is signed
// with its key for decisions.
func DecisionHead(tenant id.Tenant) string {
	return "tollbook decision v1\n" + Origin(tenant) + "\n"
}

// NewSigner makes the key that signs a tenant's log, and the text by which others check
// what it signed. Each log has a key of its own, made of one seed.
func NewSigner(seed []byte, tenant id.Tenant) (note.Signer, string, error) {
	return newSigner(seed, Origin(tenant), "tollbook log key 1 ")
}

// NewDecisionSigner makes the key that signs a tenant's decisions, of the same seed.
func NewDecisionSigner(seed []byte, tenant id.Tenant) (note.Signer, string, error) {
	return newSigner(seed, DecisionName(tenant), "tollbook decision key 1 ")
}

func newSigner(seed []byte, name, purpose string) (note.Signer, string, error) {
	if len(seed) != SeedBytes {
		return nil, "", fault.New(fault.KindInvalid, "log_key_size", "A log key's seed is 32 bytes.")
	}
	own, err := hkdf.Key(sha256.New, seed, nil, purpose+name, ed25519.SeedSize)
	if err != nil {
		return nil, "", fmt.Errorf("derive log key: %w", err)
	}
	public, ok := ed25519.NewKeyFromSeed(own).Public().(ed25519.PublicKey)
	if !ok {
		return nil, "", fault.New(fault.KindInternal, "log_key", "The log key is no Ed25519 key.")
	}
	verifier, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return nil, "", fmt.Errorf("name log key: %w", err)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), append([]byte{ed25519Kind}, public...)...))
	text := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, binary.BigEndian.Uint32(sum[:4]), base64.StdEncoding.EncodeToString(append([]byte{ed25519Kind}, own...)))
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, "", fault.New(fault.KindInternal, "log_key", "The log key cannot be used.") // the cause would hold the key
	}
	return signer, verifier, nil
}

// Verifiers reads keys by which signed heads are checked.
func Verifiers(keys []string) (note.Verifiers, error) {
	list := make([]note.Verifier, 0, len(keys))
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, found("%.80q is no key of a log: it must be name, hash and key, joined by plus signs", key)
		}
		list = append(list, verifier)
	}
	return note.VerifierList(list...), nil
}
