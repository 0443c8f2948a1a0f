package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// said is what may be logged of a round trip that failed: the network's own words.
// net/http quotes an answer it cannot read, and what a provider sends is nobody's
// business here.
func said(err error) string {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return operation.Error()
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate.Error()
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF, io.EOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return "it took too long"
	}
	return "what came back is not HTTP"
}
