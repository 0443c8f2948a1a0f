package witness

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"

	"tollbook/app/fault"
)

// TimestampRequest asks for a timestamp of a signed head's digest; the nonce comes back in
// what is answered.
func TimestampRequest(head []byte) (request []byte, nonce *big.Int, err error) {
	if nonce, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64)); err != nil {
		return nil, nil, fmt.Errorf("make a nonce: %w", err)
	}
	digest := sha256.Sum256(head)
	ask := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Certificates: true, Nonce: nonce}
	request, err = ask.Marshal()
	return request, nonce, err
}

var errTimestamp = fault.New(fault.KindInvalid, "timestamp_wrong", "This is no timestamp of this head by an authority that is trusted here.")

// CheckTimestamp checks a timestamp authority's answer (RFC 3161, DER) for a signed head:
// digest, signature, and that its certificate leads to one of the roots and was good, for
// timestamps, at that time. A nonce is compared where there is one. No roots accept any
// authority, which shows that the answer agrees with itself.
func CheckTimestamp(head, answer []byte, roots *x509.CertPool, nonce *big.Int) (time.Time, error) {
	if len(answer) > MaxReceipt {
		return time.Time{}, errTimestamp
	}
	stamp, err := timestamp.ParseResponse(answer)
	if err != nil {
		return time.Time{}, errTimestamp.Because(err)
	}
	digest := sha256.Sum256(head)
	switch {
	case stamp.HashAlgorithm != crypto.SHA256 || !bytes.Equal(stamp.HashedMessage, digest[:]):
		return time.Time{}, errTimestamp.Because(errors.New("it is of another digest"))
	case nonce != nil && (stamp.Nonce == nil || stamp.Nonce.Cmp(nonce) != 0):
		return time.Time{}, errTimestamp.Because(errors.New("it answers another question"))
	case len(stamp.Certificates) == 0: // its signature would not have been looked at
		return time.Time{}, errTimestamp.Because(errors.New("it has no certificate"))
	}
	token, err := pkcs7.Parse(stamp.RawToken)
	if err != nil {
		return time.Time{}, errTimestamp.Because(err)
	}
	if roots == nil {
		if err := token.Verify(); err != nil {
			return time.Time{}, errTimestamp.Because(err)
		}
		return stamp.Time.UTC(), nil
	}
	err = token.VerifyWithOpts(x509.VerifyOptions{Roots: roots, CurrentTime: stamp.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}})
	if err != nil {
		return time.Time{}, errTimestamp.Because(err)
	}
	return stamp.Time.UTC(), nil
}

// Roots reads certificates in PEM; other blocks and text beside are not certificates.
func Roots(text []byte) (pool *x509.CertPool, count int, err error) {
	pool = x509.NewCertPool()
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return pool, count, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, 0, fault.New(fault.KindInvalid, "certificate_syntax", "A certificate cannot be read: it must be X.509 in PEM.").Because(err)
		}
		pool.AddCert(certificate)
		count++
	}
}
