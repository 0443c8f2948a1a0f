package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The texts of the limits an organization sets for itself in the Console: 400s that
// carry no code.
const consoleLimitText = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."

// rampRetrySec is what ramp_limit_exceeded asks for when no knob does, seconds.
const rampRetrySec = 30

// problem is the error that the knobs ask for, or nil. promptTokens is the length
// that prompt-too-long exaggerates.
func (k *knobs) problem(promptTokens int64) (*apiError, error) {
	switch {
	case k.promptTooLong:
		return invalid("prompt is too long: %d tokens > %d maximum", promptTokens+200_000, 200_000), nil
	case k.consoleLimit:
		return invalid(consoleLimitText), nil
	case k.status == 0 && k.errorCode == "":
		return nil, nil
	}
	problem := codedError(k.errorCode)
	switch {
	case k.status != 0:
		problem = errorOfStatus(k.status)
	case problem == nil:
		return nil, fmt.Errorf("x-sim-fault: error-code %q needs a status", cutText(k.errorCode, 40))
	}
	problem.code = k.errorCode
	if k.errorCode == "ramp_limit_exceeded" && k.retryAfter == unset {
		k.retryAfter = rampRetrySec
	}

	return problem, nil
}

// codedError is the provider's answer for one of the error codes it documents, or nil.
func codedError(code string) *apiError {
	var (
		status  int
		message string
	)
	switch {
	case code == "enforced_spend_limit_reached":
		status, message = 429, "Your organization has reached its enforced spend limit."
	case code == "contract_spend_limit_reached":
		status, message = 429, "Your organization has reached the spend limit of its contract."
	case code == "ramp_limit_exceeded":
		status, message = 429, "Your organization's usage is growing faster than its ramp limit allows."
	case strings.HasPrefix(code, "linked_organization_"):
		status, message = 402, "The linked organization cannot be billed for this request."
	case code == "claude_code_version_too_old":
		status, message = 400, "This version of Claude Code is too old. Please update."
	case code == "organization_on_hold":
		status, message = 400, "Your organization is on hold. Please contact support."
	case code == "request_body_encoding_unsupported":
		status, message = 400, "The request body's encoding is not supported."
	case code == "request_body_too_large_after_decoding":
		status, message = 413, "The request body is too large after decoding."
	default:
		return nil
	}
	problem := errorOfStatus(status)
	problem.message = message

	return problem
}

// errorOfStatus is the provider's own wording for a status.
func errorOfStatus(status int) *apiError {
	e := &apiError{status: status, kind: "api_error", message: "Internal server error"}
	switch status {
	case 400, 422:
		e.kind, e.message = "invalid_request_error", "Simulated invalid request"
	case 401:
		e.kind, e.message = "authentication_error", "invalid x-api-key"
	case 402:
		e.kind, e.message = "billing_error", "Your credit balance is too low to access the Anthropic API."
	case 403:
		e.kind, e.message = "permission_error", "Your API key does not have permission to use the specified resource."
	case 404:
		e.kind, e.message = "not_found_error", "Not found"
	case 409:
		e.kind, e.message = "conflict_error", "Conflict"
	case 413:
		e.kind, e.message = "request_too_large", "Request exceeds the maximum size"
	case 429:
		e.kind, e.message = "rate_limit_error", "This request would exceed your organization's rate limit."
	case 504:
		e.kind, e.message = "timeout_error", "Request timed out"
	case 529:
		e.kind, e.message = "overloaded_error", "Overloaded"
	}

	return e
}

func (e *apiError) body(requestID string) errorBody {
	detail := errorDetail{Type: e.kind, Message: e.message}
	if e.code != "" {
		detail.Details = map[string]string{"error_code": e.code}
	}

	return errorBody{Type: "error", Error: detail, RequestID: requestID}
}

// setRetry puts what the knobs say of trying again.
func (k *knobs) setRetry(h http.Header) {
	if k.retryAfter != unset {
		h.Set("retry-after", strconv.Itoa(k.retryAfter))
	}
	if k.shouldRetry != "" {
		h.Set("x-should-retry", cutText(k.shouldRetry, 10))
	}
}

// writePage answers an error as a proxy in front of the provider does: in HTML.
func writePage(w http.ResponseWriter, status int) {
	text := fmt.Sprintf("<html>\r\n<head><title>%d %[2]s</title></head>\r\n<body>\r\n<center><h1>%[1]d %[2]s</h1></center>\r\n</body>\r\n</html>\r\n", status, http.StatusText(status))
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client's loss
}
