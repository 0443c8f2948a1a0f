package attest

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/witness"
)

// Clock is a timestamp authority as a witness: it says when it was shown a head's digest.
type Clock struct {
	url   *url.URL
	roots *x509.CertPool
	http  *http.Client
}

// NewClock makes one; what it answers must lead to one of the roots.
func NewClock(address *url.URL, roots *x509.CertPool) *Clock {
	return &Clock{url: address, roots: roots, http: client()}
}

// Name is its address.
func (c *Clock) Name() string { return c.url.Redacted() }

// Kind tells what sort of witness it is.
func (c *Clock) Kind() witness.Kind { return witness.Timestamp }

// Check checks a timestamp again.
func (c *Clock) Check(message, receipt []byte) error {
	_, err := witness.CheckTimestamp(message, receipt, c.roots, nil)
	return err
}

// Held is nothing: an authority keeps nothing of what it was shown.
func (c *Clock) Held(context.Context, id.Tenant) (witness.Held, error) { return witness.Held{}, nil }

// See asks for a timestamp of the head's digest, and checks it.
func (c *Clock) See(ctx context.Context, head *witness.Head) (witness.Receipt, error) {
	request, nonce, err := witness.TimestampRequest(head.Message)
	if err != nil {
		return witness.Receipt{}, err
	}
	status, kind, answer, err := post(ctx, c.http, c.url.String(), "application/timestamp-query", request)
	if err != nil {
		return witness.Receipt{}, err
	}
	if status != http.StatusOK {
		return witness.Receipt{}, away(status)
	}
	if kind != "application/timestamp-reply" {
		return witness.Receipt{}, fault.New(fault.KindUnavailable, "witness_status", "It did not answer as a timestamp authority does.")
	}
	if _, err := witness.CheckTimestamp(head.Message, answer, c.roots, nonce); err != nil {
		return witness.Receipt{}, err
	}
	return witness.Receipt{Bytes: answer}, nil
}
