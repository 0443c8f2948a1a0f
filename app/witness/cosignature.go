package witness

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tollbook/app/fault"
)

// cosignatureKind is the first byte of a key for cosignature/v1.
const cosignatureKind = 4

// Cosigner is another log's key for cosignatures: it implements note.Verifier.
type Cosigner struct {
	text string
	name string
	hash uint32
	key  ed25519.PublicKey
}

var errCosigner = fault.New(fault.KindInvalid, "cosigner_syntax", "This is no key of a witness: it must be name, hash and key, joined by plus signs, for cosignature/v1 (Ed25519, 0x04).")

// ParseCosigner reads a key as C2SP's signed-note writes it.
func ParseCosigner(text string) (*Cosigner, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 || parts[0] == "" || len(parts[0]) > 200 || strings.ContainsAny(parts[0], " \t\n") {
		return nil, errCosigner
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != cosignatureKind {
		return nil, errCosigner
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), raw...))
	c := &Cosigner{text, parts[0], binary.BigEndian.Uint32(sum[:4]), ed25519.PublicKey(raw[1:])}
	if said, err := strconv.ParseUint(parts[1], 16, 32); err != nil || len(parts[1]) != 8 || uint32(said) != c.hash {
		return nil, errCosigner
	}
	return c, nil
}

// Name implements note.Verifier.
func (c *Cosigner) Name() string { return c.name }

// KeyHash implements note.Verifier.
func (c *Cosigner) KeyHash() uint32 { return c.hash }

// String is the key as it was given.
func (c *Cosigner) String() string { return c.text }

// Verify implements note.Verifier: a cosignature is a time in seconds and a signature over
// both.
func (c *Cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	if at > math.MaxInt64 {
		return false
	}
	signed := append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
	return ed25519.Verify(c.key, signed, signature[8:])
}

var errCosignature = fault.New(fault.KindInvalid, "cosignature_wrong", "This is no cosignature of this head by that witness.")

// Check checks lines that a witness answered for a signed head, and returns the time it
// says.
func (c *Cosigner) Check(head, lines []byte) (time.Time, error) {
	if len(lines) > MaxReceipt || !bytes.HasSuffix(lines, []byte("\n")) {
		return time.Time{}, errCosignature
	}
	opened, err := note.Open(append(bytes.Clone(head), lines...), note.VerifierList(c))
	if err != nil {
		return time.Time{}, errCosignature.Because(err)
	}
	raw, err := base64.StdEncoding.DecodeString(opened.Sigs[0].Base64)
	if err != nil || len(raw) < 12 {
		return time.Time{}, errCosignature.Because(err)
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:12])), 0).UTC(), nil // Verify bounds it
}

func asAhead(err error) (*AheadError, bool) {
	var ahead *AheadError
	ok := errors.As(err, &ahead)
	return ahead, ok
}

func isOther(err error) bool { return errors.Is(err, ErrOther) }
