package app

import (
	"bytes"
	"encoding/json"
	"fmt"

	"tollbook/app/approval"
	"tollbook/app/fault"
)

// strict reads what a maker sent, and refuses what is not part of it: a misspelled member
// would otherwise be a change nobody asked for.
func strict(payload []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fault.Invalid("payload", "payload_syntax", "The payload is not as the API describes it: %.200s", err.Error())
	}
	if decoder.More() {
		return fault.Invalid("payload", "payload_syntax", "There is something behind the payload.")
	}
	return nil
}

// stored reads the payload of a change that was made here.
func stored(c approval.Change, into any) error {
	if err := json.Unmarshal(c.Payload, into); err != nil {
		return fmt.Errorf("read %s change %s: %w", c.Kind, c.ID, err)
	}
	return nil
}

// ask makes a proposal of what a page or a command puts together.
func ask(kind, reason string, payload any) Ask {
	document, err := json.Marshal(payload)
	if err != nil { // cannot be: payloads are plain structures of text and numbers
		return Ask{Kind: kind, Reason: reason}
	}
	return Ask{Kind: kind, Payload: document, Reason: reason}
}

// errOvertaken refuses to apply what something else has made impossible meanwhile.
func errOvertaken(code, message string) error { return fault.New(fault.KindConflict, code, message) }
