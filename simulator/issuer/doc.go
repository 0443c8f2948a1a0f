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
// There is no session: every authorization is a fresh sign-in, and auth_time is the instant
// of it. login_hint with a person's subject or e-mail signs in without a page, unless
// max_age=0, prompt=login or prompt=select_account ask for the person: then they have to
// press their button, and the hint only puts it first. prompt=none without a hint, or with
// max_age=0, is login_required.
package issuer
