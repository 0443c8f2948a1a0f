package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/gateway/anthropic"
	"tollbook/gateway/journal"
)

// Refusals. Claude Code retries a wrong one up to eleven times, so each has exactly
// the status and headers it understands (anthropic contract, section 3).
var (
	errKey = fault.New(fault.KindUnauthenticated, "key_not_accepted",
		"This key is not accepted here. Check ANTHROPIC_BASE_URL (it ends in /gw/<your company>) and the key, or ask whoever gave it to you for a new one.")
	errBodyTooLarge = fault.New(fault.KindInvalid, "body_too_large", "The request body is larger than this gateway accepts.")
	errEncoded      = fault.New(fault.KindInvalid, "request_body_encoding_unsupported", "Send the request body without compression.")
	errStale        = fault.New(fault.KindUnavailable, "snapshot_stale",
		"The gateway has not been able to refresh its keys and rules. It will serve again as soon as its database answers.")
	errNoUpstream = fault.New(fault.KindUnavailable, "upstream_missing", "No provider is configured for this company yet. Ask an engineering admin.")
	errLoop       = fault.New(fault.KindInvalid, "upstream_loop", "The provider configured for your company is Tollbook itself: requests would go round in circles. Ask an engineering admin to name the provider's own address and credential.")
	errSuspended  = fault.New(fault.KindForbidden, "tenant_suspended", "Your company is suspended at this gateway. Nothing is wrong with your key: ask whoever runs Tollbook for your company to have it resumed.")
	errUpstream   = fault.New(fault.KindUnavailable, "upstream_unreachable", "The provider cannot be reached right now.")
	errNotMetered = fault.New(fault.KindInvalid, "not_supported", "Batches and files are not supported through this gateway yet; send them as single messages.")
	errBaseURL    = fault.New(fault.KindInvalid, "base_url_wrong", "This is no address of this gateway: check ANTHROPIC_BASE_URL, it ends in /gw/<your company>.")
	errPath       = fault.New(fault.KindNotFound, "path_unknown", "This gateway serves /v1/messages, /v1/messages/count_tokens and /v1/models.")
)

// refusal is one mapping from a kind of failure to the provider's statuses.
func refusal(f *fault.Fault) (status int, typ string, retry bool) {
	switch {
	case errors.Is(f, errBodyTooLarge):
		return http.StatusRequestEntityTooLarge, "request_too_large", false
	case errors.Is(f, errNotMetered):
		return http.StatusNotImplemented, "not_supported", false
	case errors.Is(f, errSuspended):
		// At 403 Claude Code takes it for a failed sign-in, at 429 it waits and asks again; at 402 it shows the sentence, once.
		return http.StatusPaymentRequired, "permission_error", false
	case errors.Is(f, errBaseURL), errors.Is(f, errLoop):
		// At 404 Claude Code asks again and then blames the model; at 400 it leaves parts out and tries again.
		return http.StatusMisdirectedRequest, "invalid_request_error", false
	case f.Kind == fault.KindInvalid && strings.HasPrefix(f.Field, "x-tollbook-"):
		// At 400 Claude Code leaves parts of the request out and tries again, six times.
		return http.StatusRequestHeaderFieldsTooLarge, "invalid_request_error", false
	}
	switch f.Kind {
	case fault.KindInvalid, fault.KindConflict:
		return http.StatusBadRequest, "invalid_request_error", false
	case fault.KindUnauthenticated:
		return http.StatusUnauthorized, "authentication_error", false
	case fault.KindForbidden:
		return http.StatusForbidden, "permission_error", false
	case fault.KindNotFound:
		return http.StatusNotFound, "not_found_error", false
	case fault.KindLimited:
		return http.StatusTooManyRequests, "rate_limit_error", true
	case fault.KindUnavailable:
		return anthropic.StatusOverloaded, "overloaded_error", true
	case fault.KindInternal:
	}
	return http.StatusInternalServerError, "api_error", true
}

// waitSeconds is when room, or the database, may be back; whole seconds are what
// Claude Code reads. Empty where waiting is no use, or nobody knows.
func waitSeconds(f *fault.Fault) string {
	if wait, ok := errors.AsType[waitError](f); ok {
		return strconv.FormatInt(int64(wait), 10)
	}
	switch {
	case errors.Is(f, errBusy), errors.Is(f, errTenantBusy):
		return "2"
	case errors.Is(f, errStale), errors.Is(f, errTenantJournal), errors.Is(f, journal.ErrFull), errors.Is(f, journal.ErrNoSpace):
		return "5"
	}
	return ""
}

// refuse answers with the provider's own error shape; event names the refusal to
// whoever asks about it later.
func (g *Gateway) refuse(c echo.Context, err error, event id.Event) {
	f := fault.From(err)
	g.metrics.refused(f.Code)
	if f.Kind == fault.KindInternal {
		g.cfg.Log.ErrorContext(c.Request().Context(), "request failed", "request_id", event.String(), "error", err)
	}
	status, typ, retry := refusal(f)
	body := anthropic.ErrorBody(typ, f.Message, event.String())
	h := c.Response().Writer.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Tollbook-Request-Id", event.String())
	h.Set("Request-Id", event.String())
	if seconds := waitSeconds(f); seconds != "" {
		h.Set("Retry-After", seconds)
	}
	if !retry {
		h.Set("X-Should-Retry", "false")
	}
	c.Response().Writer.WriteHeader(status)
	if c.Request().Method != http.MethodHead {
		_, _ = c.Response().Writer.Write(body) // a client that left needs no refusal
	}
}

// answerError is the edge for what echo itself refuses (a method, a bad path).
func (g *Gateway) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code < http.StatusInternalServerError {
		err = errPath
	}
	g.refuse(c, err, id.NewEvent(g.cfg.Now()))
}
