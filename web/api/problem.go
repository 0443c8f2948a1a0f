package api

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"tollbook/app/fault"
)

// Problem is a failure as RFC 9457 has it.
type Problem struct {
	Type     string `json:"type" doc:"One of the addresses under /problems/, which explain it."`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail" doc:"What to do about it."`
	Instance string `json:"instance" doc:"Names this occurrence in our log."`
	Code     string `json:"code" doc:"Stable; the last part of type."`
	Field    string `json:"field,omitempty" doc:"The parameter or field at fault."`
}

const problemType = "application/problem+json"

// statusOf is the one mapping from what went wrong to a status.
func statusOf(f *fault.Fault) int {
	switch f.Code {
	case "body_too_large":
		return http.StatusRequestEntityTooLarge
	case "content_type":
		return http.StatusUnsupportedMediaType
	case "method_refused":
		return http.StatusMethodNotAllowed
	}
	switch f.Kind {
	case fault.KindInvalid:
		return http.StatusBadRequest
	case fault.KindUnauthenticated:
		return http.StatusUnauthorized
	case fault.KindForbidden:
		return http.StatusForbidden
	case fault.KindNotFound:
		return http.StatusNotFound
	case fault.KindConflict:
		return http.StatusConflict
	case fault.KindLimited:
		return http.StatusTooManyRequests
	case fault.KindUnavailable:
		return http.StatusServiceUnavailable
	case fault.KindInternal:
	}
	return http.StatusInternalServerError
}

// known turns echo's own refusals into faults.
func known(err error) *fault.Fault {
	if refused, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch refused.Code {
		case http.StatusNotFound:
			return errNoEndpoint
		case http.StatusMethodNotAllowed:
			return fault.New(fault.KindInvalid, "method_refused", "This endpoint does not take that method.")
		}
	}
	return fault.From(err)
}

// Fail answers with a problem and logs what is ours to fix, once.
func (a *API) Fail(c echo.Context, err error) {
	f := known(err)
	status := statusOf(f)
	instance := "urn:uuid:" + uuid.NewString()
	if status >= http.StatusInternalServerError {
		a.cfg.Log.LogAttrs(c.Request().Context(), slog.LevelError, "api request failed",
			slog.String("instance", instance), slog.String("method", c.Request().Method), slog.String("path", c.Path()), slog.Any("error", err))
	}
	if c.Response().Committed {
		return
	}
	header := c.Response().Header()
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", challenge(c.Request()))
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header.Set("Retry-After", "5")
	}
	code := f.Code
	if !slices.Contains(Codes(), code) {
		code = string(f.Kind)
	}
	header.Set("Content-Type", problemType)
	_ = c.JSON(status, Problem{ // a client that left is no concern
		Type: a.cfg.PublicURL.JoinPath("problems", code).String(), Title: Title(code), Status: status, Detail: f.Message,
		Instance: instance, Code: code, Field: f.Field,
	})
}

// challenge says, as RFC 6750 asks, whether there was a token at all.
func challenge(r *http.Request) string {
	if r.Header.Get("Authorization") == "" {
		return "Bearer"
	}
	return `Bearer error="invalid_token"`
}

// Title is a code in words.
func Title(code string) string {
	words := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}
