package confirmation

import (
	"bytes"

	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// Digests name a decision's evidence: SHA-256 in hexadecimal.
type Digests struct {
	Document, Token, Keys string
}

// Text is what Tollbook signs: that this decision was given by this document, confirmed by
// this token, under this key set.
func Text(tenant id.Tenant, decision id.Decision, d Digests) string {
	return auditlog.DecisionHead(tenant) + decision.String() + "\ndocument " + d.Document + "\ntoken " + d.Token + "\nkeys " + d.Keys + "\n"
}

const maxSignature = 4 << 10

var errUnsigned = fault.New(fault.KindInvalid, "decision_signature_unknown", "No key that is trusted here signed this decision.")

// Open checks that a key which is known signed exactly this text, under the name for
// decisions of that tenant.
func Open(message []byte, tenant id.Tenant, text string, verifiers note.Verifiers) error {
	if len(message) > maxSignature || !bytes.HasPrefix(message, []byte(text)) {
		return errUnsigned
	}
	opened, err := note.Open(message, verifiers)
	if err != nil {
		return errUnsigned.Because(err)
	}
	for _, signature := range opened.Sigs {
		if opened.Text == text && signature.Name == auditlog.DecisionName(tenant) {
			return nil
		}
	}
	return errUnsigned
}
