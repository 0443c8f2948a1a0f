package fault

import (
	"errors"
	"fmt"
)

// Kind is the class of a failure; every edge maps it to its own status.
type Kind string

// The kinds. Internal is also what any error that is no Fault counts as.
const (
	KindInvalid         Kind = "invalid"
	KindUnauthenticated Kind = "unauthenticated"
	KindForbidden       Kind = "forbidden"
	KindNotFound        Kind = "not_found"
	KindConflict        Kind = "conflict"
	KindLimited         Kind = "limited"
	KindUnavailable     Kind = "unavailable"
	KindInternal        Kind = "internal"
)

// Fault is a failure whose code is stable and whose message may be shown to
// whoever caused it.
type Fault struct {
	Kind    Kind
	Code    string
	Message string
	// Field names the input at fault, as the caller spelled it; empty if none.
	Field string
	cause error
}

// New makes a fault. Message is a sentence that says what to do.
func New(kind Kind, code, message string) *Fault {
	return &Fault{Kind: kind, Code: code, Message: message}
}

// Invalid makes a fault about one input field.
func Invalid(field, code, format string, args ...any) *Fault {
	return &Fault{Kind: KindInvalid, Code: code, Message: fmt.Sprintf(format, args...), Field: field}
}

// Error implements error.
func (f *Fault) Error() string {
	text := f.Code + ": " + f.Message
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

// Unwrap returns the cause, if one was given.
func (f *Fault) Unwrap() error { return f.cause }

// Is makes two faults of one code equal for errors.Is, whatever their cause.
func (f *Fault) Is(target error) bool {
	var other *Fault
	return errors.As(target, &other) && other.Code == f.Code
}

// Because returns a copy that carries its cause. The cause is logged, never shown.
func (f *Fault) Because(cause error) *Fault {
	with := *f
	with.cause = cause
	return &with
}

// From returns the fault inside err, or an internal one that hides err's text.
func From(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{
		Kind: KindInternal, Code: "internal", cause: err,
		Message: "Something broke on our side. It has been logged; try again.",
	}
}

// KindOf returns the kind of err; any error that is no Fault is internal.
func KindOf(err error) Kind { return From(err).Kind }
