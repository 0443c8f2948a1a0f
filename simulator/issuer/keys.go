package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
)

// loadKey reads the signing key, or makes one. It appears under its name only when
// it is whole, so that a kill leaves either no key or a good one.
func loadKey(dir string) (*rsa.PrivateKey, error) {
	path := filepath.Join(dir, "issuer-key.pem")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: read signing key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("issuer: %s holds no PEM block", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("issuer: parse signing key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("issuer: %s is not an RSA key", path)
	}

	return key, nil
}

func makeKey(dir, path string) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("issuer: make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("issuer: encode signing key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("issuer: keep signing key: %w", err)
	}
	file, err := os.CreateTemp(dir, ".issuer-key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("issuer: keep signing key: %w", err)
	}
	_, writeErr := file.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err := errors.Join(writeErr, file.Sync(), file.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("issuer: keep signing key: %w", err), os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return nil, errors.Join(fmt.Errorf("issuer: keep signing key: %w", err), os.Remove(file.Name()))
	}

	return key, nil
}

// jwk is the public half as a JSON Web Key; members in the order RFC 7638 hashes.
type jwk struct {
	E   string `json:"e"`
	Kty string `json:"kty"`
	N   string `json:"n"`
	Alg string `json:"alg,omitempty"`
	Kid string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
}

func publicJWK(key *rsa.PublicKey) jwk {
	return jwk{
		E: base64URL(big.NewInt(int64(key.E)).Bytes()), Kty: "RSA", N: base64URL(key.N.Bytes()),
	}
}

// keyID is the key's RFC 7638 thumbprint.
func keyID(key *rsa.PublicKey) string {
	raw, err := json.Marshal(publicJWK(key))
	if err != nil {
		panic(err) // three strings always encode
	}
	sum := sha256.Sum256(raw)

	return base64URL(sum[:])
}

// sign makes a compact RS256 JWT.
func (i *Issuer) sign(claims map[string]any) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "RS256", "kid": i.keyID, "typ": "JWT"})
	if err != nil {
		return "", fmt.Errorf("issuer: encode header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("issuer: encode claims: %w", err)
	}
	signed := base64URL(header) + "." + base64URL(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("issuer: sign: %w", err)
	}

	return signed + "." + base64URL(signature), nil
}

func base64URL(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
