package app

import (
	"encoding/base64"
	"strings"
	"sync"

	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Labels turns a declared developer into an opaque id and a sealed label.
type Labels struct {
	ring  *secret.Keyring
	known sync.Map // id.Tenant -> *Pseudonyms, of tenants whose key is stored
}

// NewLabels makes the area.
func NewLabels(ring *secret.Keyring) *Labels { return &Labels{ring: ring} }

const (
	purposeLabel      = "developer-label"
	purposePseudonyms = "pseudonym-key"

	// Tenants of the first release had no key of their own: their ids were made with
	// this purpose of the only master key there was.
	purposeFirstPseudonyms = "hash/developer"
)

// Pseudonyms gives one tenant's developers their opaque ids. They are keyed, so that
// an id cannot be guessed back into a name, with a key of the tenant's own, so that
// replacing the master key changes no id. It is safe for concurrent use and asks no
// database.
type Pseudonyms struct {
	tenant id.Tenant
	hasher *secret.Hasher
}

// Developer is the opaque id of a declared label.
func (p *Pseudonyms) Developer(label string) id.Developer {
	hash := p.hasher.Current(p.tenant.String() + "\x00" + strings.ToLower(label))
	return id.DeriveDeveloper(hash[:])
}

// newPseudonyms opens a tenant's stored key; without one it is the first release's.
func newPseudonyms(ring *secret.Keyring, tenant id.Tenant, sealed []byte) (*Pseudonyms, error) {
	key, err := pseudonymKey(ring, tenant, sealed)
	if err != nil {
		return nil, err
	}
	return &Pseudonyms{tenant: tenant, hasher: secret.NewHasher(key)}, nil
}

func pseudonymKey(ring *secret.Keyring, tenant id.Tenant, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		all := ring.DeriveEach(purposeFirstPseudonyms)
		return all[len(all)-1], nil // the oldest: while it is being replaced, it is the one that made the ids
	}
	return ring.Open(purposePseudonyms, tenant.String(), sealed)
}

// pseudonyms reads the transaction's tenant's.
func (l *Labels) pseudonyms(tx *db.Tx) (*Pseudonyms, error) {
	if known, ok := l.known.Load(tx.Tenant); ok {
		if p, ok := known.(*Pseudonyms); ok {
			return p, nil
		}
	}
	sealed, err := tx.PseudonymKey()
	if err != nil {
		return nil, err
	}
	p, err := newPseudonyms(l.ring, tx.Tenant, sealed)
	if err == nil && len(sealed) > 0 {
		l.known.Store(tx.Tenant, p)
	}
	return p, err
}

// keepPseudonyms sees to it that the transaction's tenant has a stored key, sealed
// under the newest master key.
func keepPseudonyms(tx *db.Tx, ring *secret.Keyring, fresh []byte) error {
	sealed, err := tx.PseudonymKey()
	if err != nil || (len(sealed) > 0 && !ring.Stale(sealed)) {
		return err
	}
	key := fresh
	if key == nil {
		if key, err = pseudonymKey(ring, tx.Tenant, sealed); err != nil {
			return err
		}
	}
	renewed := ring.Seal(purposePseudonyms, tx.Tenant.String(), key)
	if len(sealed) == 0 {
		return tx.AddPseudonymKey(renewed)
	}
	return tx.ResealPseudonymKey(sealed, renewed)
}

// tenantRing is a keyring of the tenant's own, which goes on when the master key is replaced:
// for what is kept for years and cannot be written again.
func tenantRing(tx *db.Tx, ring *secret.Keyring) (*secret.Keyring, error) {
	sealed, err := tx.PseudonymKey()
	if err != nil {
		return nil, err
	}
	key, err := pseudonymKey(ring, tx.Tenant, sealed)
	if err != nil {
		return nil, err
	}
	return secret.NewKeyring(secret.NewText(base64.StdEncoding.EncodeToString(key)))
}

// Seal encrypts a label for its developer alone.
func (l *Labels) Seal(developer id.Developer, label string) []byte {
	return l.ring.SealApart(purposeLabel, developer.String(), []byte(label))
}

// Open decrypts a label; empty when it was erased or cannot be opened.
func (l *Labels) Open(developer id.Developer, sealed []byte) string {
	plain, err := l.ring.Open(purposeLabel, developer.String(), sealed)
	if err != nil {
		return ""
	}
	return string(plain)
}
