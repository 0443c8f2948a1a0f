package anthropic

import (
	"encoding/json"
	"net/http"
)

// StatusOverloaded is the provider's own status for "try again elsewhere".
const StatusOverloaded = 529

// ErrorType returns the error type the provider pairs with an HTTP status.
// Statuses it has no word for are api_error from 500 up, else
// invalid_request_error, as its clients treat them.
func ErrorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusConflict:
		return "conflict_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusNotImplemented:
		return "not_supported"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	case StatusOverloaded:
		return "overloaded_error"
	}
	if status >= http.StatusInternalServerError {
		return "api_error"
	}
	return "invalid_request_error"
}

// ErrorBody returns the body of a refusal in the provider's form. An empty
// requestID leaves that field out.
func ErrorBody(typ, message, requestID string) []byte {
	body := append([]byte(`{"type":"error","error":{"type":`), quote(typ)...)
	body = append(body, `,"message":`...)
	body = append(body, quote(message)...)
	body = append(body, '}')
	if requestID != "" {
		body = append(body, `,"request_id":`...)
		body = append(body, quote(requestID)...)
	}
	return append(body, '}')
}

// quote encodes a string as JSON; invalid UTF-8 becomes U+FFFD.
func quote(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("anthropic: a string always encodes: " + err.Error())
	}
	return quoted
}
