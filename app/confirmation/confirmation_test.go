package confirmation_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/id"
)

func document() confirmation.Document {
	at := time.Date(2026, 11, 26, 9, 0, 0, 123456000, time.UTC)
	return confirmation.Document{
		Tenant: id.NewTenant(at), Change: id.NewChange(at), Number: 7, Kind: "prices", Digest: confirmation.Hex([]byte("content")), Verdict: "approve", Reason: confirmation.Hex([]byte("why")),
		Member: id.NewMember(at), Person: id.NewPerson(at), Issuer: "https://idp.test", ClientID: "tollbook", Subject: confirmation.SubjectOf("salt", "u-1"), Salt: "salt", AskedAt: at,
	}
}

func TestADocumentIsReadBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	d := document()
	canonical, err := d.Canonical()
	require.NoError(t, err)
	read, err := confirmation.ParseDocument(canonical)
	require.NoError(t, err)
	d.Type, d.Version = read.Type, read.Version
	require.Equal(t, d, read)
	require.Equal(t, d.AskedAt.Add(10*time.Minute), read.ExpiresAt())
	require.Len(t, confirmation.Nonce(canonical), 43)
	salt := confirmation.NewSalt()
	require.NotEqual(t, salt, confirmation.NewSalt())
	require.NotEqual(t, confirmation.SubjectOf("a", "bc"), confirmation.SubjectOf("ab", "c"))
	for _, bad := range []string{"", "x", "{}", `{"type":"tollbook.decision","v":2}`, strings.Replace(string(canonical), "tollbook.decision", "tollbook.other", 1), strings.Repeat(" ", 1<<15)} {
		_, err := confirmation.ParseDocument([]byte(bad))
		require.Error(t, err, bad)
	}
}

func jwk(t *testing.T, kid string, bits int) map[string]any {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	part := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "RSA", "kid": kid, "n": part(key.N.Bytes()), "e": part(big.NewInt(int64(key.E)).Bytes()), "d": part(key.D.Bytes()), "x5c": []string{"a certificate"}}
}

func jwks(t *testing.T, keys ...any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	return text
}

func TestAKeySetHoldsWhatVerifiesAndNothingElse(t *testing.T) {
	t.Parallel()
	one, two, short := jwk(t, "one", 2048), jwk(t, "two", 2048), jwk(t, "short", 1024)
	elliptic := map[string]any{"kty": "EC", "kid": "ec", "crv": "P-256", "x": "x", "y": "y"}
	encrypts := map[string]any{"kty": "RSA", "kid": "enc", "use": "enc", "n": one["n"], "e": one["e"]}
	other := map[string]any{"kty": "RSA", "kid": "rs512", "alg": "RS512", "n": one["n"], "e": one["e"]}
	set, err := confirmation.ReadKeySet("https://idp.test", jwks(t, two, elliptic, short, one, encrypts, other))
	require.NoError(t, err)
	require.Len(t, set.Keys, 2)
	canonical, err := set.Canonical()
	require.NoError(t, err)
	require.NotContains(t, string(canonical), one["d"], "nothing private is kept")
	same, err := confirmation.ReadKeySet("https://idp.test", jwks(t, one, two))
	require.NoError(t, err)
	again, err := same.Canonical()
	require.NoError(t, err)
	require.Equal(t, string(canonical), string(again), "another order is no other set")
	read, err := confirmation.ParseKeySet(canonical)
	require.NoError(t, err)
	require.Equal(t, set, read)
	for _, bad := range [][]byte{nil, []byte("x"), jwks(t), jwks(t, elliptic), jwks(t, short), []byte(strings.Repeat(" ", 2<<20))} {
		_, err := confirmation.ReadKeySet("https://idp.test", bad)
		require.Error(t, err)
	}
	_, err = confirmation.ParseKeySet([]byte("{}"))
	require.Error(t, err)

	list := fmt.Sprintf(`{"issuer":"https://idp.test","keys":%s}`, mustKeys(t, one))
	for _, good := range []string{list, "[" + list + "," + list + "]"} {
		_, err := confirmation.ReadIndependent([]byte(good))
		require.NoError(t, err)
	}
	for _, bad := range []string{"", "[]", "{}", "7", `{"keys":` + mustKeys(t, one) + `}`, `[{"issuer":"https://idp.test","keys":[]}]`} {
		_, err := confirmation.ReadIndependent([]byte(bad))
		require.Error(t, err, bad)
	}
}

func mustKeys(t *testing.T, keys ...any) string {
	t.Helper()
	text, err := json.Marshal(keys)
	require.NoError(t, err)
	return string(text)
}

func TestTollbooksSignatureIsOfOneDecision(t *testing.T) {
	t.Parallel()
	tenant, decision := id.NewTenant(time.Now()), id.NewDecision(time.Now())
	seed := make([]byte, auditlog.SeedBytes)
	signer, key, err := auditlog.NewDecisionSigner(seed, tenant)
	require.NoError(t, err)
	_, heads, err := auditlog.NewSigner(seed, tenant)
	require.NoError(t, err)
	text := confirmation.Text(tenant, decision, confirmation.Digests{Document: "d", Token: "t", Keys: "k"})
	message, err := sign(text, signer)
	require.NoError(t, err)
	known := func(keys ...string) func(string, id.Tenant) error {
		verifiers, err := auditlog.Verifiers(keys)
		require.NoError(t, err)
		return func(text string, tenant id.Tenant) error { return confirmation.Open(message, tenant, text, verifiers) }
	}
	require.NoError(t, known(key, heads)(text, tenant))
	require.Error(t, known(heads)(text, tenant), "the key of heads signs no decision")
	require.Error(t, known(key)(text+"\n", tenant))
	require.Error(t, known(key)(strings.Replace(text, "token t", "token u", 1), tenant))
	require.Error(t, known(key)(text, id.NewTenant(time.Now())))
}

// FuzzToken looks for input that breaks the check, or passes it.
func FuzzToken(f *testing.F) {
	d := document()
	canonical, err := d.Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("")
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.e30.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	set := confirmation.KeySet{Issuer: d.Issuer, Keys: []confirmation.Key{{Kty: "RSA", Alg: "RS256", Kid: "one", E: "AQAB", N: strings.Repeat("zz", 171)}}}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := confirmation.Check(canonical, token, set, d.AskedAt); err == nil {
			t.Fatal("a token that nobody signed confirms a decision")
		}
	})
}

func sign(text string, signer note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, signer)
}
