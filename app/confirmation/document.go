package confirmation

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// Life is how long a person has to come back from their issuer.
const Life = 10 * time.Minute

// ClockSkew is by how much an issuer's clock may be behind ours: a sign-in that it says
// was so much earlier than we asked still counts as one after we asked. A token's seconds
// are whole ones.
const ClockSkew = 10 * time.Second

const (
	documentType    = "tollbook.decision"
	documentVersion = 1
	maxDocument     = 16 << 10
	saltBytes       = 32
)

// Document is what a person decides, before their issuer is asked. It holds opaque ids and
// digests, and no word that somebody wrote.
type Document struct {
	Type    string    `json:"type"`
	Version int       `json:"v"`
	Tenant  id.Tenant `json:"tenant"`
	Change  id.Change `json:"change"`
	Number  int64     `json:"number"`
	Kind    string    `json:"kind"`   // of the change
	Digest  string    `json:"digest"` // of the change's content, in hexadecimal
	Verdict string    `json:"verdict"`
	Reason  string    `json:"reason_sha256"` // of the reason's bytes, in hexadecimal
	Step    int       `json:"step"`          // the policy's, from 0
	// For is whom the person stands in for; zero for themselves.
	For      id.Member `json:"for"`
	Member   id.Member `json:"member"`
	Person   id.Person `json:"person"`
	Issuer   string    `json:"issuer"`
	ClientID string    `json:"client_id"`
	Subject  string    `json:"subject_sha256"` // of salt and subject: who is asked to be confirmed
	Salt     string    `json:"salt"`           // random, in base64url
	AskedAt  time.Time `json:"asked_at"`
}

// Hex is the digest of bytes as a document and a record write it.
func Hex(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

// NewSalt makes what keeps a document's digest, and its subject's, from being guessed.
func NewSalt() string {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	return base64.RawURLEncoding.EncodeToString(salt)
}

// SubjectOf is a subject as a document with this salt names it.
func SubjectOf(salt, subject string) string { return Hex([]byte(salt + "\x00" + subject)) }

// Canonical returns the bytes to store and hash.
func (d *Document) Canonical() ([]byte, error) {
	d.Type, d.Version, d.AskedAt = documentType, documentVersion, d.AskedAt.UTC()
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode decision document: %w", err)
	}
	return auditlog.CanonicalJSON(text)
}

var errDocument = fault.New(fault.KindInvalid, "decision_document", "This is no document of a decision, version 1.")

// ParseDocument reads canonical bytes.
func ParseDocument(canonical []byte) (Document, error) {
	var d Document
	if len(canonical) > maxDocument || json.Unmarshal(canonical, &d) != nil || d.Type != documentType || d.Version != documentVersion || d.AskedAt.IsZero() {
		return Document{}, errDocument
	}
	return d, nil
}

// Nonce is what an issuer is asked to put into its token: the digest of the document.
func Nonce(canonical []byte) string {
	digest := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// ExpiresAt is when nobody comes back any more.
func (d *Document) ExpiresAt() time.Time { return d.AskedAt.Add(Life) }
