package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"tollbook/app/fault"
)

const redacted = "[secret]"

// Text is a secret string. Only Reveal gives it back.
type Text struct{ value string }

// NewText wraps a secret.
func NewText(value string) Text { return Text{value: value} }

// Reveal returns the secret, for the one place that must send or hash it.
func (t Text) Reveal() string { return t.value }

// IsZero tells whether there is no secret.
func (t Text) IsZero() bool { return t.value == "" }

// String implements fmt.Stringer without the secret.
func (Text) String() string { return redacted }

// GoString implements fmt.GoStringer without the secret.
func (Text) GoString() string { return redacted }

// Format implements fmt.Formatter: no verb prints the secret.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText keeps the secret out of JSON and every other encoding.
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer without the secret.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// ErrSealed reports bytes that do not open: another key, purpose or subject, or
// tampering.
var ErrSealed = fault.New(fault.KindInternal, "sealed_unreadable", "A stored secret could not be opened with this master key.")

// Keyring derives keys from the current master key and, while it is being
// replaced, the previous one.
type Keyring struct {
	versions []master // newest first
}

type master struct {
	version byte
	key     []byte
}

// NewKeyring reads master keys of 32 bytes in base64 (standard or URL alphabet),
// newest first; at most two. Each may carry a version, "2:<base64>"; without one
// it is version 1.
func NewKeyring(keys ...Text) (*Keyring, error) {
	if len(keys) == 0 || len(keys) > 2 {
		return nil, errors.New("a keyring takes one master key, or two while one replaces the other")
	}
	ring := &Keyring{}
	for _, k := range keys {
		m, err := parseMaster(k.Reveal())
		if err != nil {
			return nil, err
		}
		if len(ring.versions) == 1 && ring.versions[0].version == m.version {
			return nil, errors.New("the two master keys need different versions, as in 2:<base64>")
		}
		ring.versions = append(ring.versions, m)
	}
	return ring, nil
}

func parseMaster(text string) (master, error) {
	version := byte(1)
	if len(text) > 2 && text[1] == ':' && text[0] >= '1' && text[0] <= '9' {
		version, text = text[0]-'0', text[2:]
	}
	text = strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(strings.TrimSpace(text))
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(key) != 32 {
		return master{}, errors.New("a master key is 32 random bytes in base64, for example from: openssl rand -base64 32")
	}
	return master{version: version, key: key}, nil
}

// NewKey makes 32 random bytes.
func NewKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (Go 1.24)
	return key
}

// NewMaster makes a fresh random master key in the form NewKeyring reads.
func NewMaster() Text {
	return NewText(base64.StdEncoding.EncodeToString(NewKey()))
}

func (m master) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, m.key, nil, "tollbook/"+purpose, 32)
	if err != nil {
		panic(err) // only a wrong length can fail, and it is a constant
	}
	return key
}

// Derive returns the current 32-byte key for a purpose ("journal-mac").
func (r *Keyring) Derive(purpose string) []byte { return r.versions[0].derive(purpose) }

// Hash is a keyed hash of something shown once.
type Hash [32]byte

// Hasher hashes for one purpose under the current key and the previous one.
type Hasher struct{ keys [][]byte }

// DeriveEach returns the purpose's key under every master key accepted, newest first.
func (r *Keyring) DeriveEach(purpose string) [][]byte {
	keys := make([][]byte, 0, len(r.versions))
	for _, m := range r.versions {
		keys = append(keys, m.derive(purpose))
	}
	return keys
}

// NewHasher hashes with one key that came from elsewhere than a master key.
func NewHasher(key []byte) *Hasher { return &Hasher{keys: [][]byte{key}} }

// Hasher derives the keys of one purpose once; it is safe for concurrent use.
func (r *Keyring) Hasher(purpose string) *Hasher {
	return &Hasher{keys: r.DeriveEach("hash/" + purpose)}
}

// Current hashes under the newest key: what is stored.
func (h *Hasher) Current(value string) Hash { return keyed(h.keys[0], value) }

// Accepted lists the hashes a presented value may be stored under.
func (h *Hasher) Accepted(value string) []Hash {
	hashes := make([]Hash, 0, 2)
	for _, k := range h.keys {
		hashes = append(hashes, keyed(k, value))
	}
	return hashes
}

func keyed(key []byte, value string) (out Hash) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(value))
	mac.Sum(out[:0])
	return out
}

// Seal encrypts for one purpose and subject (a tenant, a person). The output is
// version, nonce, ciphertext; purpose and subject are bound to it.
func (r *Keyring) Seal(purpose, subject string, plain []byte) []byte {
	m := r.versions[0]
	aead := m.aead(purpose, subject)
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = m.version
	_, _ = rand.Read(out[1:])
	return aead.Seal(out, out[1:], plain, //nolint:gosec // the nonce was filled from the system's randomness above
		[]byte(purpose+"\x00"+subject))
}

// apart is the first byte of what SealApart made; no master key has that version.
const (
	apart      = 0xff
	shardBytes = 32
)

// SealApart seals under a random key of the text's own besides the master key, and puts that
// key in front. Whoever stores the text takes its first 33 bytes off and keeps the key
// elsewhere: when that is destroyed, nobody opens the text again, in no copy.
func (r *Keyring) SealApart(purpose, subject string, plain []byte) []byte {
	shard := NewKey()
	return append(append([]byte{apart}, shard...), r.Seal(purpose, withShard(subject, shard), plain)...)
}

func withShard(subject string, shard []byte) string {
	return subject + "\x00" + base64.RawStdEncoding.EncodeToString(shard)
}

// Stale tells whether sealed bytes were made under a master key that is being
// replaced.
func (r *Keyring) Stale(sealed []byte) bool {
	if len(sealed) > 1+shardBytes && sealed[0] == apart {
		sealed = sealed[1+shardBytes:]
	}
	return len(sealed) > 0 && sealed[0] != r.versions[0].version
}

// Open decrypts what Seal or SealApart made for the same purpose and subject.
func (r *Keyring) Open(purpose, subject string, sealed []byte) ([]byte, error) {
	if len(sealed) > 1+shardBytes && sealed[0] == apart {
		subject, sealed = withShard(subject, sealed[1:1+shardBytes]), sealed[1+shardBytes:]
	}
	for _, m := range r.versions {
		if len(sealed) == 0 || sealed[0] != m.version {
			continue
		}
		aead := m.aead(purpose, subject)
		if len(sealed) < 1+aead.NonceSize() {
			return nil, ErrSealed
		}
		plain, err := aead.Open(nil, sealed[1:1+aead.NonceSize()], sealed[1+aead.NonceSize():], []byte(purpose+"\x00"+subject))
		if err != nil {
			return nil, ErrSealed.Because(err)
		}
		return plain, nil
	}
	return nil, ErrSealed
}

// aead derives a key per subject, so that one subject's bytes never open another's.
func (m master) aead(purpose, subject string) cipher.AEAD {
	block, err := aes.NewCipher(m.derive("seal/" + purpose + "/" + subject))
	if err != nil {
		panic(err) // the key is always 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// Mint makes a secret of 160 random bits with a recognizable prefix ("tbk_").
func Mint(prefix string) Text {
	return NewText(prefix + strings.ToLower(rand.Text()) + strings.ToLower(rand.Text())[:6])
}
