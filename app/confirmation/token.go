package confirmation

import (
	"crypto/rsa"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tollbook/app/fault"
)

// MaxToken bounds an ID token.
const MaxToken = 64 << 10

// What can be wrong with a token, each with its code: a refusal is recorded by it.
var (
	ErrToken      = fault.New(fault.KindForbidden, "decision_token", "What your issuer sent is no ID token. Nothing was decided.")
	ErrAlgorithm  = fault.New(fault.KindForbidden, "decision_algorithm", "The ID token is not signed with RS256, the one way in which it counts here. Nothing was decided.")
	ErrKey        = fault.New(fault.KindForbidden, "decision_key", "The ID token is signed with a key that is not among those your issuer publishes. Nothing was decided.")
	ErrSignature  = fault.New(fault.KindForbidden, "decision_signature", "The ID token's signature is not your issuer's. Nothing was decided.")
	ErrIssuer     = fault.New(fault.KindForbidden, "decision_issuer", "The ID token is of another issuer than the one you were sent to. Nothing was decided.")
	ErrAudience   = fault.New(fault.KindForbidden, "decision_audience", "The ID token is for another client than Tollbook. Nothing was decided.")
	ErrTokenEnded = fault.New(fault.KindForbidden, "decision_token_expired", "The ID token has expired, or is from the future. Nothing was decided: approve again, and have the clocks looked at if it happens twice.")
	ErrNonce      = fault.New(fault.KindForbidden, "decision_nonce", "The ID token was made for another decision. Nothing was decided.")
	ErrSubject    = fault.New(fault.KindForbidden, "decision_subject", "Your issuer confirmed somebody else than who is signed in here. Nothing was decided: approve again, and sign in there as yourself.")
	ErrNoAuthTime = fault.New(fault.KindForbidden, "auth_time_missing",
		"Your issuer does not say when it saw you. Decisions of this kind need an issuer that honors max_age=0 and puts auth_time and nonce into its ID tokens, signed with RS256. Nothing was decided.")
	ErrStale = fault.New(fault.KindForbidden, "decision_stale", "Your issuer did not ask you again: it saw you before you were sent there. It must honor max_age=0. Nothing was decided.")
)

// Claims is what a token said that was checked.
type Claims struct {
	Subject  string
	KeyID    string // of the key in the set that verified it
	AuthTime time.Time
	IssuedAt time.Time
	Payload  []byte // the claims, byte for byte as they were signed
}

// said is what of a token's claims is looked at.
type said struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Party    string   `json:"azp"`
	Expires  *float64 `json:"exp"`
	IssuedAt *float64 `json:"iat"`
	AuthTime *float64 `json:"auth_time"`
	Nonce    string   `json:"nonce"`
}

// audience is one client or a list of them.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// Check checks a token that came back at an instant for a decision whose document has
// these canonical bytes, against an issuer's keys.
func Check(canonical []byte, token string, set KeySet, at time.Time) (Claims, error) {
	d, err := ParseDocument(canonical)
	if err != nil {
		return Claims{}, err
	}
	if set.Issuer != d.Issuer {
		return Claims{}, ErrIssuer
	}
	kid, payload, err := verify(token, set)
	if err != nil {
		return Claims{}, err
	}
	var c said
	if err := json.Unmarshal(payload, &c); err != nil {
		return Claims{}, ErrToken.Because(err)
	}
	if err := c.matches(&d, Nonce(canonical), at); err != nil {
		return Claims{}, err
	}
	return Claims{Subject: c.Subject, KeyID: kid, AuthTime: instant(c.AuthTime), IssuedAt: instant(c.IssuedAt), Payload: payload}, nil
}

// verify returns a token's payload once a key of the set has verified its signature.
func verify(token string, set KeySet) (kid string, payload []byte, err error) {
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	if len(token) > MaxToken || strings.Count(token, ".") != 2 || err != nil || json.Unmarshal(raw, &header) != nil {
		return "", nil, ErrToken
	}
	if header.Alg != string(jose.RS256) {
		return "", nil, ErrAlgorithm
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", nil, ErrToken.Because(err)
	}
	key, known := set.key(header.Kid)
	if !known {
		return "", nil, ErrKey
	}
	public, err := key.public()
	if err != nil {
		return "", nil, ErrKey.Because(err)
	}
	if payload, err = signed.Verify(public.Key); err != nil {
		return "", nil, ErrSignature.Because(err)
	}
	return key.Kid, payload, nil
}

func (k *Key) public() (jose.JSONWebKey, error) {
	var public jose.JSONWebKey
	text, err := json.Marshal(k)
	if err == nil {
		err = public.UnmarshalJSON(text)
	}
	if err != nil {
		return public, fmt.Errorf("read key: %w", err)
	}
	return public, nil
}

func bits(key *jose.JSONWebKey) int {
	public, ok := key.Key.(*rsa.PublicKey)
	if !ok {
		return 0
	}
	return public.N.BitLen()
}

func (c *said) matches(d *Document, nonce string, at time.Time) error {
	switch {
	case c.Issuer != d.Issuer:
		return ErrIssuer
	case !slices.Contains(c.Audience, d.ClientID) || (len(c.Audience) > 1 && c.Party != d.ClientID) || (c.Party != "" && c.Party != d.ClientID):
		return ErrAudience
	case c.Expires == nil || c.IssuedAt == nil || !at.Before(instant(c.Expires)) || instant(c.IssuedAt).After(at.Add(ClockSkew)):
		return ErrTokenEnded
	case subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1:
		return ErrNonce
	case SubjectOf(d.Salt, c.Subject) != d.Subject:
		return ErrSubject
	case c.AuthTime == nil:
		return ErrNoAuthTime
	case instant(c.AuthTime).Before(d.AskedAt.Add(-ClockSkew)) || instant(c.AuthTime).After(at.Add(ClockSkew)):
		return ErrStale
	}
	return nil
}

// instant is a time that a token writes in seconds.
func instant(seconds *float64) time.Time { return time.Unix(int64(*seconds), 0).UTC() }
