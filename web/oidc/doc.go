// Package oidc signs people in at an OpenID Connect issuer, in the shapes of goth.
//
// It owns discovery (cached for minutes), the authorization URL, the code exchange
// and the verification of the ID token of a sign-in; for a decision that an issuer is to
// confirm, the way there, the exchange and the keys as they are published, while the token
// is checked by app/confirmation. It does not own where an attempt is kept,
// who is a member, or sessions (app.SignIns).
//
// Invariants: authorization code with PKCE S256 and a nonce, always; an ID token
// counts only with an RS256 signature by the issuer's key, our client as audience,
// a future expiry and the attempt's nonce; a provider belongs to one sign-in; what an
// issuer answers is read to a bound. goth's own OpenID provider is not used: it does
// not verify signatures (reference/libraries.md, 0).
//
// Words: discovery, provider (one issuer for one sign-in), session (goth's word for
// an attempt between leaving and coming back; ours is "ticket" elsewhere).
package oidc
