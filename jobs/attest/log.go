package attest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/witness"
)

// client speaks to a witness over HTTP.
func client() *http.Client {
	return &http.Client{
		Timeout:       within,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: within, ResponseHeaderTimeout: within, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// OtherLog is a second log as a witness: it cosigns a head once it has seen a proof that
// the log only grew since the one it cosigned before.
type OtherLog struct {
	url  *url.URL
	key  *witness.Cosigner
	http *http.Client
}

// NewOtherLog makes one of the address before /add-checkpoint and the key it cosigns with.
func NewOtherLog(base *url.URL, key *witness.Cosigner) *OtherLog {
	return &OtherLog{url: base.JoinPath("add-checkpoint"), key: key, http: client()}
}

// Name is that of its key.
func (l *OtherLog) Name() string { return l.key.Name() }

// Kind tells what sort of witness it is.
func (l *OtherLog) Kind() witness.Kind { return witness.Log }

// Check checks a cosignature again.
func (l *OtherLog) Check(message, receipt []byte) error {
	_, err := l.key.Check(message, receipt)
	return err
}

// Held is nothing: a log tells the size that it saw when it is asked after another.
func (l *OtherLog) Held(context.Context, id.Tenant) (witness.Held, error) { return witness.Held{}, nil }

const (
	sizeType = "text/x.tlog.size"
	// rounds bounds how often it is asked again after another size.
	rounds = 3
)

// See asks for a cosignature.
func (l *OtherLog) See(ctx context.Context, head *witness.Head) (witness.Receipt, error) {
	old := head.Before
	for range rounds {
		status, kind, answer, err := l.ask(ctx, head, old)
		if err != nil {
			return witness.Receipt{}, err
		}
		switch status {
		case http.StatusOK:
			if _, err := l.key.Check(head.Message, answer); err != nil {
				return witness.Receipt{}, err
			}
			return witness.Receipt{Bytes: answer}, nil
		case http.StatusConflict:
			size, err := strconv.ParseInt(strings.TrimSpace(string(answer)), 10, 64)
			switch {
			case err != nil || size < 0 || kind != sizeType:
				return witness.Receipt{}, witness.ErrOther.Because(fmt.Errorf("it answered %d without a size", status))
			case size > head.Size:
				return witness.Receipt{}, &witness.AheadError{Size: size}
			case size == old: // the sizes agree, so the roots do not
				return witness.Receipt{}, witness.ErrOther
			}
			old = size
		case http.StatusUnprocessableEntity:
			return witness.Receipt{}, witness.ErrOther.Because(fmt.Errorf("it answered %d to the proof of growth from %d", status, old))
		default:
			return witness.Receipt{}, away(status)
		}
	}
	return witness.Receipt{}, fault.New(fault.KindUnavailable, "witness_moving", "It says another size each time.")
}

func away(status int) error {
	words := "It answered " + strconv.Itoa(status) + " " + http.StatusText(status) + "."
	switch status {
	case http.StatusNotFound:
		words = "It does not know this log (404): give its operator the log's origin and public key."
	case http.StatusForbidden:
		words = "It knows no key that signed this head (403): give its operator the log's public key."
	}
	return fault.New(fault.KindUnavailable, "witness_status", words)
}

func (l *OtherLog) ask(ctx context.Context, head *witness.Head, old int64) (status int, kind string, answer []byte, err error) {
	var body bytes.Buffer
	_, _ = fmt.Fprintf(&body, "old %d\n", old) // a buffer takes all
	if old > 0 && old < head.Size {
		proof, err := head.Prove(ctx, old)
		if err != nil {
			return 0, "", nil, err
		}
		for _, hash := range proof {
			body.WriteString(hash.String() + "\n")
		}
	}
	body.WriteString("\n")
	body.Write(head.Message)
	return post(ctx, l.http, l.url.String(), "text/plain; charset=utf-8", body.Bytes())
}

// post sends bytes and reads a bounded answer.
func post(ctx context.Context, client *http.Client, address, kind string, body []byte) (status int, answered string, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, fmt.Errorf("ask a witness: %w", err)
	}
	r.Header.Set("Content-Type", kind)
	response, err := client.Do(r)
	if err != nil {
		return 0, "", nil, fault.New(fault.KindUnavailable, "witness_away", "It cannot be reached.").Because(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, witness.MaxReceipt+1))
	if err != nil || len(answer) > witness.MaxReceipt {
		return 0, "", nil, fault.New(fault.KindUnavailable, "witness_away", "Its answer broke off, or is longer than one can be.").Because(err)
	}
	answered, _, _ = mime.ParseMediaType(response.Header.Get("Content-Type"))
	return response.StatusCode, answered, answer, nil
}
