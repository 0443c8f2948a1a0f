// Package secret keeps secrets from being printed and derives every key of the
// house from one master key.
//
// It owns the redacting type, HKDF key derivation, keyed hashes of what is shown
// once (virtual keys, tokens, sessions) and envelope sealing (AES-256-GCM). It
// does not own where the master key comes from (main reads it) nor where sealed
// bytes are stored (db).
//
// Invariants: a Text prints as "[secret]" through every formatter, encoder and
// logger; each purpose and tenant has its own derived key; two master keys may
// be accepted while one replaces the other, and a sealed value names which made
// it; a sealed value opens only for the purpose, tenant and subject it was
// sealed for.
//
// Words: master key, purpose, seal, open, keyed hash.
package secret
