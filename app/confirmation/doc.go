// Package confirmation is a decision that the decider's issuer confirmed: a fresh sign-in
// for this decision alone.
//
// It owns the document a person decides by (its canonical bytes and digest), an issuer's
// key set as it is kept, the check of an ID token against both, the text that Tollbook
// signs, and the check of all that in an export, offline. It does not own the way to the
// issuer (web/oidc), when it is gone (app), nor the log's tree and heads (auditlog).
//
// Invariants: the token's nonce is the digest of the document, so that a token serves one
// decision and no other; a token counts only with an RS256 signature by a key of the set
// that is kept, for our client, of the member's own identity, and when the issuer saw the
// person after they were asked, but for ClockSkew; what is hashed is stored and never
// encoded again; what online decides, offline checks with the same code; whatever is wrong
// has a code of its own.
//
// It proves that the issuer confirmed this person, then, for this digest. It does not
// prove that the issuer approved anything, or knew what the digest stands for: Tollbook
// signs the decision.
//
// Words: document (of a decision), nonce, key set, token, claims, signature (Tollbook's,
// a signed note), evidence (all of them), independent keys (an issuer's, obtained by who
// checks).
package confirmation
