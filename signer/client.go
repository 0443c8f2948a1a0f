package signer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// Client asks a signer that is another process.
type Client struct {
	base  string
	token secret.Text
	http  *http.Client
}

const should = "should be unix: and the path of the signer's socket, or http:// and a loopback address, or https:// and a host, with TOLLBOOK_SIGNER_TOKEN"

// NewClient makes one for an address: unix:/path, or http on loopback, or https.
func NewClient(address string, token secret.Text) (*Client, error) {
	transport := &http.Transport{ResponseHeaderTimeout: askWithin, MaxIdleConnsPerHost: 4, IdleConnTimeout: askWithin, TLSHandshakeTimeout: askWithin, ForceAttemptHTTP2: true}
	client := &Client{token: token, http: &http.Client{
		Transport: transport, Timeout: askWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if path, ok := unixPath(address); ok {
		if !strings.HasPrefix(path, "/") {
			return nil, fault.New(fault.KindInvalid, "signer_address", should)
		}
		client.base = "http://signer"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		return client, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fault.New(fault.KindInvalid, "signer_address", should)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	if token.IsZero() || (u.Scheme != "https" && (u.Scheme != "http" || !local)) {
		return nil, fault.New(fault.KindInvalid, "signer_address", should)
	}
	client.base = u.Scheme + "://" + u.Host
	return client, nil
}

// SignHead asks for a head's signature.
func (c *Client) SignHead(ctx context.Context, ask auditlog.HeadAsk) (auditlog.Signed, error) {
	return c.ask(ctx, headPath, asked{Tenant: ask.Tenant.String(), Size: ask.Size, Root: ask.Root, After: ask.After, Edge: ask.Edge, Leaves: ask.Leaves})
}

// SignDecision asks for a decision's signature.
func (c *Client) SignDecision(ctx context.Context, tenant id.Tenant, text string) (auditlog.Signed, error) {
	return c.ask(ctx, decisionPath, asked{Tenant: tenant.String(), Text: text})
}

// Apart tells that the keys are in another process.
func (c *Client) Apart() bool { return true }

var errAway = fault.New(fault.KindUnavailable, "signer_away", "The signer of the audit log does not answer, or not as a signer does. Try again.")

func (c *Client) ask(ctx context.Context, path string, ask asked) (auditlog.Signed, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return auditlog.Signed{}, fmt.Errorf("encode a question: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return auditlog.Signed{}, fmt.Errorf("ask the signer: %w", err)
	}
	if !c.token.IsZero() {
		r.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	response, err := c.http.Do(r)
	if err != nil {
		return auditlog.Signed{}, errAway.Because(err)
	}
	defer response.Body.Close()
	var said answered
	if err := json.NewDecoder(io.LimitReader(response.Body, maxBody)).Decode(&said); err != nil {
		return auditlog.Signed{}, errAway.Because(fmt.Errorf("it answered %s: %w", response.Status, err))
	}
	switch {
	case response.StatusCode == http.StatusOK && len(said.Message) > 0 && len(said.Keys) > 0 && len(said.Keys) <= auditlog.MaxSeeds:
		return said.Signed, nil
	case response.StatusCode == http.StatusConflict && said.Size > 0:
		return auditlog.Signed{}, &auditlog.StaleError{Size: said.Size}
	case said.Code == auditlog.ErrForked.Code:
		return auditlog.Signed{}, auditlog.ErrForked
	}
	return auditlog.Signed{}, errAway.Because(fmt.Errorf("it answered %s: %s", response.Status, said.Fault))
}
