package confirmation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
)

// KeySet is the keys by which an issuer signs, as far as we take them: RSA keys for RS256,
// with their public members alone.
type KeySet struct {
	Issuer string `json:"issuer"`
	Keys   []Key  `json:"keys"`
}

// Key is one public key, as a JSON Web Key writes it.
type Key struct {
	Alg string `json:"alg"`
	E   string `json:"e"`
	Kid string `json:"kid"`
	Kty string `json:"kty"`
	N   string `json:"n"`
	Use string `json:"use"`
}

const (
	maxKeys    = 100
	maxKeySet  = 1 << 20
	minKeyBits = 2048
	maxKeyBits = 8192
)

var (
	errKeySet = fault.New(fault.KindUnavailable, "issuer_keys", "What your issuer publishes as its keys cannot be used: it must be a JSON Web Key Set with an RSA key of at least 2048 bits for RS256.")
	errNoKeys = fault.New(fault.KindInvalid, "issuer_keys", `Keys of issuers are a list of {"issuer":"https://…","keys":[…]}, or one of them; the keys as the issuer publishes them at its jwks_uri.`)
)

// ReadKeySet reads what an issuer publishes. Keys of other kinds than ours are left out;
// so is everything private, should somebody publish it.
func ReadKeySet(issuer string, jwks []byte) (KeySet, error) {
	var published struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(jwks) > maxKeySet || json.Unmarshal(jwks, &published) != nil || len(published.Keys) > maxKeys {
		return KeySet{}, errKeySet
	}
	set := KeySet{Issuer: issuer}
	for _, raw := range published.Keys {
		var key Key
		if json.Unmarshal(raw, &key) != nil || !key.signs() {
			continue
		}
		set.Keys = append(set.Keys, Key{Alg: string(jose.RS256), E: key.E, Kid: key.Kid, Kty: key.Kty, N: key.N, Use: "sig"})
	}
	if len(set.Keys) == 0 {
		return KeySet{}, errKeySet
	}
	// An issuer that only puts its keys into another order has no other keys.
	slices.SortFunc(set.Keys, func(a, b Key) int { return cmp.Or(cmp.Compare(a.Kid, b.Kid), cmp.Compare(a.N, b.N)) })
	return set, nil
}

func (k *Key) signs() bool {
	if k.Kty != "RSA" || (k.Use != "" && k.Use != "sig") || (k.Alg != "" && k.Alg != string(jose.RS256)) {
		return false
	}
	public, err := k.public()
	return err == nil && public.Valid() && bits(&public) >= minKeyBits && bits(&public) <= maxKeyBits
}

// Canonical returns the bytes to store and hash.
func (s KeySet) Canonical() ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode key set: %w", err)
	}
	return auditlog.CanonicalJSON(text)
}

// ParseKeySet reads canonical bytes.
func ParseKeySet(canonical []byte) (KeySet, error) {
	var s KeySet
	if len(canonical) > maxKeySet || json.Unmarshal(canonical, &s) != nil || s.Issuer == "" || len(s.Keys) == 0 || len(s.Keys) > maxKeys {
		return KeySet{}, errKeySet
	}
	return s, nil
}

// key is the one that a token names. A token that names none can only be of the one there is.
func (s KeySet) key(kid string) (Key, bool) {
	if kid == "" && len(s.Keys) == 1 {
		return s.Keys[0], true
	}
	at := slices.IndexFunc(s.Keys, func(k Key) bool { return k.Kid == kid && kid != "" })
	if at < 0 {
		return Key{}, false
	}
	return s.Keys[at], true
}

// Independent are issuers' keys that who checks an export obtained another way.
type Independent []KeySet

// ReadIndependent reads a list of key sets, or one. Keys of several times of one issuer
// may stand side by side.
func ReadIndependent(text []byte) (Independent, error) {
	var list []struct {
		Issuer string          `json:"issuer"`
		Keys   json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &list) != nil {
		list = append(list[:0], struct {
			Issuer string          `json:"issuer"`
			Keys   json.RawMessage `json:"keys"`
		}{})
		if json.Unmarshal(text, &list[0]) != nil {
			return nil, errNoKeys
		}
	}
	var sets Independent
	for _, one := range list {
		jwks, err := json.Marshal(map[string]json.RawMessage{"keys": one.Keys})
		if err != nil || one.Issuer == "" {
			return nil, errNoKeys
		}
		set, err := ReadKeySet(one.Issuer, jwks)
		if err != nil {
			return nil, errNoKeys.Because(err)
		}
		sets = append(sets, set)
	}
	if len(sets) == 0 {
		return nil, errNoKeys
	}
	return sets, nil
}
