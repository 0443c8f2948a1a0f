package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/db"
)

// ErrMismatch reports an idempotency key that was used for another request.
var ErrMismatch = fault.New(fault.KindConflict, "idempotency_mismatch", "That Idempotency-Key was used for another request. Use a new key for a new request.")

const (
	purposeRemembered = "idempotency"
	maxOnceKey        = 200
)

// doOnce does a write at most once for an actor and an idempotency key: a repeated
// request gets the first answer, read back from the transaction that did the work.
// The answer is sealed, because it may hold a secret. Without a key it just does it.
func doOnce[T any](tx *db.Tx, ring *secret.Keyring, who Actor, key, operation string, request any, do func() (T, error)) (T, error) {
	var answer T
	if key == "" {
		return do()
	}
	if len(key) > maxOnceKey {
		return answer, fault.Invalid("Idempotency-Key", "idempotency_key_length", "An Idempotency-Key has at most %d bytes.", maxOnceKey)
	}
	document, err := json.Marshal(map[string]any{"operation": operation, "request": request})
	if err != nil {
		return answer, fmt.Errorf("encode %s request: %w", operation, err)
	}
	digest := sha256.Sum256(document)
	subject := who.ID() + "\x00" + key
	before, sealed, found, err := tx.Remembered(who.ID(), key)
	if err != nil {
		return answer, err
	}
	if found {
		if !bytes.Equal(before, digest[:]) {
			return answer, ErrMismatch
		}
		plain, err := ring.Open(purposeRemembered, subject, sealed)
		if err != nil {
			return answer, err
		}
		return answer, json.Unmarshal(plain, &answer)
	}
	if answer, err = do(); err != nil {
		return answer, err
	}
	plain, err := json.Marshal(answer)
	if err != nil {
		return answer, fmt.Errorf("encode %s answer: %w", operation, err)
	}
	return answer, tx.Remember(who.ID(), key, digest[:], ring.Seal(purposeRemembered, subject, plain))
}
