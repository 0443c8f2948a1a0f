// Package issuer is a small OpenID Connect provider for the demo and for tests.
//
// It owns discovery, keys, the sign-in page, codes and tokens. It does not own who
// may do what: groups are claims, the product decides what they mean. It has no
// passwords and must never face a network: choosing a person is signing in.
//
// Invariants: authorization code with PKCE S256 only; a code works once, for 60 s,
// for the client and redirect URI it was made for; ID tokens are RS256 and carry the
// nonce and auth_time; the signing key survives restarts; every map has a bound.
//
// Words: person (who can sign in), code, access token (opaque, for /userinfo).
//
// There is no session: every authorization is a fresh sign-in and its auth_time is
// now, so prompt=login and max_age always hold. login_hint with a person's subject or
// e-mail signs in without a page; prompt=none without it is login_required.
package issuer
