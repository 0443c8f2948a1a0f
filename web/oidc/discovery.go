package oidc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	discoveryLife = 5 * time.Minute
	maxIssuers    = 256
	maxAnswer     = 1 << 20
)

// Discovery finds issuers' endpoints and keys and keeps them for minutes. Keys that
// were rotated meanwhile are fetched when a token names one that is not known.
type Discovery struct {
	client *http.Client
	now    func() time.Time
	mu     sync.Mutex
	known  map[string]discovered
}

type discovered struct {
	provider *oidc.Provider
	at       time.Time
}

// NewDiscovery asks issuers through a client, which must have a timeout.
func NewDiscovery(client *http.Client, now func() time.Time) *Discovery {
	bounded := *client
	bounded.Transport = boundedTransport{next: client.Transport}
	return &Discovery{client: &bounded, now: now, known: map[string]discovered{}}
}

func (d *Discovery) find(ctx context.Context, issuer string) (*oidc.Provider, error) {
	d.mu.Lock()
	found, ok := d.known[issuer]
	d.mu.Unlock()
	if ok && d.now().Sub(found.at) < discoveryLife {
		return found.provider, nil
	}
	// The provider keeps the client, not the request's context: keys are fetched later.
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, d.client), issuer)
	if err != nil {
		return nil, fmt.Errorf("discover %s: %w", issuer, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= maxIssuers {
		clear(d.known) // a bound, not a policy: everything is found again within one request
	}
	d.known[issuer] = discovered{provider: provider, at: d.now()}
	return provider, nil
}

// Keys are the keys an issuer publishes now, as it writes them (a JSON Web Key Set).
func (d *Discovery) Keys(ctx context.Context, issuer string) ([]byte, error) {
	found, err := d.find(ctx, issuer)
	if err != nil {
		return nil, err
	}
	var says struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&says); err != nil {
		return nil, fmt.Errorf("read where the keys of %s are: %w", issuer, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, says.Keys, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the keys of %s: %w", issuer, err)
	}
	answer, err := d.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for the keys of %s: %w", issuer, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for the keys of %s: status %d", issuer, answer.StatusCode)
	}
	keys, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s: %w", issuer, err)
	}
	return keys, nil
}

// boundedTransport cuts answers: an issuer's documents are small.
type boundedTransport struct{ next http.RoundTripper }

func (b boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxAnswer), res.Body}
	return res, nil
}
