package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
)

// Limit is how many rows a page may hold.
type Limit int

const defaultLimit = 100

// Instant is RFC 3339 or a UTC date; written as RFC 3339 in UTC.
type Instant struct{ time.Time }

// ParseInstant reads RFC 3339, or a date as its first instant in UTC.
func ParseInstant(field, text string) (Instant, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return Instant{at.UTC()}, nil
		}
	}
	return Instant{}, fault.Invalid(field, "instant_syntax", "%s is RFC 3339, as in 2026-11-03T09:30:00Z, or a UTC date, as in 2026-11-03; %.40q is neither.", field, text)
}

// MarshalJSON implements json.Marshaler.
func (i Instant) MarshalJSON() ([]byte, error) {
	return []byte(`"` + i.UTC().Format(time.RFC3339Nano) + `"`), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (i *Instant) UnmarshalJSON(document []byte) error {
	var text string
	if err := json.Unmarshal(document, &text); err != nil {
		return err
	}
	parsed, err := ParseInstant("instant", text)
	*i = parsed
	return err
}

func instantOrNil(at time.Time) *Instant {
	if at.IsZero() {
		return nil
	}
	return &Instant{at.UTC()}
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// readQuery fills a struct from the path and the query by its tags. A parameter the
// struct does not have is refused by name: a filter that is silently ignored would
// answer another question.
func readQuery(c echo.Context, into any) error {
	values := c.QueryParams()
	target := reflect.ValueOf(into).Elem()
	known := []string{}
	for i := range target.NumField() {
		field := target.Type().Field(i)
		if name := field.Tag.Get("path"); name != "" {
			if err := setValue(target.Field(i), name, c.Param(name)); err != nil {
				return err
			}
			continue
		}
		name := field.Tag.Get("query")
		known = append(known, name)
		switch given := values[name]; {
		case len(given) > 1:
			return fault.Invalid(name, "parameter_repeated", "%s is given %d times; give it once.", name, len(given))
		case len(given) == 1 && given[0] != "":
			if err := setValue(target.Field(i), name, given[0]); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			return fault.Invalid(name, "parameter_unknown", "There is no parameter %.60q here. Known: %s.", name, strings.Join(known, ", "))
		}
	}
	return nil
}

func setValue(target reflect.Value, name, text string) error {
	var value any
	var err error
	switch target.Interface().(type) {
	case string:
		value = text
	case Instant:
		value, err = ParseInstant(name, text)
	case Limit:
		value, err = parseLimit(text)
	case id.Change:
		value, err = id.ParseChange(text)
	case id.Key:
		value, err = id.ParseKey(text)
	case id.Entry:
		value, err = id.ParseEntry(text)
	case period.Month:
		value, err = period.ParseMonth(text)
	default:
		return fmt.Errorf("parameter %s has type %s, which queries do not know", name, target.Type())
	}
	if err != nil {
		known := fault.From(err)
		return fault.Invalid(name, known.Code, "%s", known.Message)
	}
	target.Set(reflect.ValueOf(value))
	return nil
}

func parseLimit(text string) (Limit, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > app.MaxRows {
		return 0, fault.Invalid("limit", "limit_range", "limit is 1 to %d; %.20q is not.", app.MaxRows, text)
	}
	return Limit(n), nil
}

// rows is the limit, or the default when none was given.
func (l Limit) rows() int {
	if l == 0 {
		return defaultLimit
	}
	return int(l)
}

var errBodyLarge = fault.New(fault.KindInvalid, "body_too_large", fmt.Sprintf("A body has at most %d bytes.", maxBody))

// readBody reads one JSON object and nothing else; an unknown member is refused by
// name.
func readBody(c echo.Context, into any) error {
	kind, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return fault.New(fault.KindInvalid, "content_type", "Send the body as Content-Type: application/json.")
	}
	var object json.RawMessage
	decoder := json.NewDecoder(c.Request().Body)
	if err := decoder.Decode(&object); err != nil {
		return bodyFault(err)
	}
	if object[0] != '{' { // null would leave everything as if it had been left out
		return fault.New(fault.KindInvalid, "body_syntax", "The body must be one JSON object.")
	}
	members := json.NewDecoder(bytes.NewReader(object))
	members.DisallowUnknownFields()
	if err := members.Decode(into); err != nil {
		return bodyFault(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.KindInvalid, "body_syntax", "The body holds more than one JSON value.")
	}
	return nil
}

func bodyFault(err error) error {
	var large *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	var known *fault.Fault
	switch {
	case errors.As(err, &large):
		return errBodyLarge
	case errors.As(err, &known):
		return known
	case errors.As(err, &kind):
		return fault.Invalid(kind.Field, "field_type", "%s cannot be %s.", kind.Field, kind.Value)
	}
	// encoding/json has no type for an unknown member, only this text.
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		name = strings.Trim(name, `"`)
		return fault.Invalid(name, "field_unknown", "There is no field %.60q here.", name)
	}
	return fault.New(fault.KindInvalid, "body_syntax", "The body is no JSON object this endpoint can read.").Because(err)
}
