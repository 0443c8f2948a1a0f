package deliver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/notice"
)

// Hooks posts to companies' own systems.
type Hooks struct {
	transport *http.Transport
	now       func() time.Time
	within    time.Duration
}

// NewHooks makes the client. Private allows addresses of private networks and of this
// machine, for an installation whose systems are there; within bounds one call, from its first byte
// to its last.
func NewHooks(private bool, within time.Duration, now func() time.Time) *Hooks {
	dialer := &net.Dialer{Timeout: hookDial, Control: func(_, address string, _ syscall.RawConn) error {
		if private {
			return nil
		}
		return public(address)
	}}
	return &Hooks{now: now, within: within, transport: &http.Transport{
		// No proxy: it would resolve the name anew, and this client could not tell where to.
		Proxy: nil, DialContext: dialer.DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSHandshakeTimeout: hookDial,
		MaxResponseHeaderBytes: 16 << 10, DisableCompression: true, // what is bounded is what is on the wire
	}}
}

const (
	hookDial = 5 * time.Second
	// HookWithin is the bound of one call unless something else is said.
	HookWithin = 15 * time.Second
	maxAnswer  = 4 << 10
)

var errPrivate = fault.New(fault.KindForbidden, "channel_private", "its name leads to an address of a private network, which the operator does not allow")

// public refuses addresses that are not on the public internet. It is asked for each
// address a name resolves to, at the moment it would be called.
func public(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errPrivate
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip.Zone() != "" {
		return errPrivate
	}
	for _, reserved := range reservedNets() {
		if reserved.Contains(ip) {
			return errPrivate
		}
	}
	return nil
}

// reservedNets are those that no check of the standard library names (RFC 6890 and after).
func reservedNets() []netip.Prefix {
	list := []netip.Prefix{}
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// Send posts one message and says how that ended.
func (h *Hooks) Send(ctx context.Context, id string, p *app.Post) notice.Outcome {
	ctx, cancel := context.WithTimeout(ctx, h.within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL.Reveal(), bytes.NewReader(p.Body))
	if err != nil {
		return notice.Outcome{Permanent: true, Answer: "The channel's address cannot be read."}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Tollbook")
	if p.Kind == notice.Webhook {
		at := h.now()
		signature, err := notice.Sign(p.Secret.Reveal(), id, at, p.Body)
		if err != nil {
			return notice.Outcome{Permanent: true, Answer: fault.From(err).Message}
		}
		request.Header.Set("webhook-id", id)
		request.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
		request.Header.Set("webhook-signature", signature)
	}
	response, err := h.transport.RoundTrip(request) // which follows no redirect
	if err != nil {
		return notice.Outcome{Permanent: errors.Is(err, errPrivate), Answer: unreached(err)}
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // so that a connection may end well
	return judge(response.StatusCode)
}

// judge says what a status means. Nothing of the body is kept: it is somebody else's.
func judge(status int) notice.Outcome {
	out := notice.Outcome{Answer: strconv.Itoa(status) + " " + http.StatusText(status)}
	switch {
	case status >= 200 && status < 300:
		out.Accepted = true
	case status == http.StatusGone, status >= 300 && status < 400:
		out.Permanent = true
	}
	return out
}

// unreached is why nobody answered, without addresses of the installation's network.
func unreached(err error) string {
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, errPrivate):
		return "Not sent: " + errPrivate.Message + "."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "No answer in time."
	case errors.As(err, &name):
		return "Its host name leads nowhere."
	}
	return "The connection failed."
}
