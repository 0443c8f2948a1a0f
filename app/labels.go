package app

import (
	"strings"

	"tollbook/app/id"
	"tollbook/app/secret"
)

// Labels turns a declared developer into an opaque id and a sealed label. It needs
// no database: the gateway does it while a request waits.
type Labels struct {
	ring   *secret.Keyring
	hasher *secret.Hasher
}

// NewLabels derives the keys once.
func NewLabels(ring *secret.Keyring) *Labels {
	return &Labels{ring: ring, hasher: ring.Hasher("developer")}
}

const purposeLabel = "developer-label"

// Developer is the opaque id of a declared label within a tenant. It is keyed, so
// that an id cannot be guessed back into a name.
func (l *Labels) Developer(tenant id.Tenant, label string) id.Developer {
	hash := l.hasher.Current(tenant.String() + "\x00" + strings.ToLower(label))
	return id.DeriveDeveloper(hash[:])
}

// Seal encrypts a label for its developer alone.
func (l *Labels) Seal(developer id.Developer, label string) []byte {
	return l.ring.Seal(purposeLabel, developer.String(), []byte(label))
}

// Open decrypts a label; empty when it was erased or cannot be opened.
func (l *Labels) Open(developer id.Developer, sealed []byte) string {
	plain, err := l.ring.Open(purposeLabel, developer.String(), sealed)
	if err != nil {
		return ""
	}
	return string(plain)
}
