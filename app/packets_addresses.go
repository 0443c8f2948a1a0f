package app

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// SealedFact is a line of what is kept sealed beside a change's content, opened for who may
// read the change: never a secret.
type SealedFact struct{ Name, Value string }

// addressOf opens where a recipient is; nothing of a person, and nothing of a company that was
// let go.
func (p *Packets) addressOf(r *db.RecipientRow) ([]byte, error) {
	if len(r.AddressSealed) == 0 {
		return nil, nil
	}
	address, err := p.ring.Open(purposeRecipientAddress, r.RecipientID.String(), r.AddressSealed)
	if err != nil {
		return nil, fmt.Errorf("open a recipient's address: %w", err)
	}
	return address, nil
}

// bound is what a keyed digest of an address is over: the same address is another digest at
// another recipient.
func bound(recipient id.Recipient, address []byte) string {
	return recipient.String() + "\n" + string(address)
}

// addressDigest is what a payload holds of an address, in hexadecimal, so that it is
// decided about, too; empty for a person.
func (p *Packets) addressDigest(r *db.RecipientRow) (string, error) {
	address, err := p.addressOf(r)
	if err != nil || len(address) == 0 {
		return "", err
	}
	digest := p.addresses.Current(bound(r.RecipientID, address))
	return hex.EncodeToString(digest[:]), nil
}

// asDecided tells whether a recipient's address is the one that a payload is about.
func (p *Packets) asDecided(r *db.RecipientRow, payload []byte) (bool, error) {
	var said recipientPayload
	if err := json.Unmarshal(payload, &said); err != nil {
		return false, fmt.Errorf("read recipient %s: %w", r.RecipientID, err)
	}
	address, err := p.addressOf(r)
	if err != nil || len(address) == 0 {
		return err == nil && said.Address == "", err
	}
	return slices.ContainsFunc(p.addresses.Accepted(bound(r.RecipientID, address)), func(h secret.Hash) bool { return hex.EncodeToString(h[:]) == said.Address }), nil
}

// toWhom is who a delivery goes to; why says why there is nobody any more who should have it.
func (p *Packets) toWhom(tx *db.Tx, recipient id.Recipient) (r db.RecipientRow, why string, err error) {
	if _, gone, err := tx.Offboarding(); err != nil || gone {
		return r, "The company was offboarded.", err
	}
	r, err = recipientOf(tx, recipient)
	if errors.Is(err, errRecipientAbsent) {
		return r, "The recipient has ended.", nil
	}
	if err != nil {
		return r, "", err
	}
	decided, err := tx.Change(r.ChangeID)
	if err != nil {
		return r, "", err
	}
	if same, err := p.asDecided(&r, decided.Payload); err != nil || !same {
		return r, "The address that is kept is not the one that was decided on.", err
	}
	return r, "", nil
}

var errAddressOther = fault.New(fault.KindConflict, "recipient_address_other", "The address that is kept is not the one that this proposal is about. Reject it, and propose the recipient anew.")

// applyRecipient lets packets go to who was decided on, as they were shown.
func (p *Packets) applyRecipient(tx *db.Tx, c approval.Change) error {
	var said recipientPayload
	if err := stored(c, &said); err != nil {
		return err
	}
	row, found, err := tx.Recipient(said.Recipient)
	if err == nil && !found {
		err = errRecipientAbsent
	}
	if err != nil {
		return err
	}
	same, err := p.asDecided(&row, c.Payload)
	if err == nil && !same {
		err = errAddressOther
	}
	if err != nil {
		return err
	}
	return roomForRecipient(tx)
}

// recipientSealed opens where the recipient of a change is.
func (p *Packets) recipientSealed(tx *db.Tx, c approval.Change) ([]SealedFact, error) {
	var said recipientPayload
	if err := stored(c, &said); err != nil {
		return nil, err
	}
	row, found, err := tx.Recipient(said.Recipient)
	if err != nil || !found {
		return nil, err
	}
	return p.addressFacts(&row), nil
}

// addressFacts are where a recipient is, line by line.
func (p *Packets) addressFacts(r *db.RecipientRow) []SealedFact {
	address, err := p.addressOf(r)
	var store StoreAddr
	if err == nil && r.Kind == RecipientS3 && len(address) > 0 {
		store, err = parsedStore(address)
	}
	switch {
	case err != nil:
		return []SealedFact{{"Address", "cannot be opened with the keys of this installation"}}
	case len(address) == 0:
		return nil
	case r.Kind == RecipientMail:
		return []SealedFact{{"Mailbox", string(address)}}
	case r.Kind != RecipientS3:
		return []SealedFact{{"Address", string(address)}}
	}
	list := []SealedFact{{"Endpoint", store.Endpoint}, {"Bucket", store.Bucket}, {"Prefix", store.Prefix}, {"Region", store.Region}, {"Access key", store.AccessKey}}
	return slices.DeleteFunc(list, func(f SealedFact) bool { return f.Value == "" })
}
