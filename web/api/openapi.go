package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/export"
	"tollbook/app/id"
	"tollbook/app/period"
)

// openAPI writes the description from the rows of the table and the types they name.
func (a *API) openAPI() ([]byte, error) {
	d := &describer{schemas: map[string]any{}}
	paths := map[string]map[string]any{}
	for i := range a.endpoints {
		p := &a.endpoints[i]
		path := Prefix + pathParameters(p.Path)
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		operation, err := d.operation(p)
		if err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", p.Method, p.Path, err)
		}
		paths[path][strings.ToLower(p.Method)] = operation
	}
	for _, named := range []reflect.Type{
		reflect.TypeFor[Problem](), reflect.TypeFor[NodesPayload](), reflect.TypeFor[RulesPayload](), reflect.TypeFor[BooksPayload](), reflect.TypeFor[ReversalPayload](),
		reflect.TypeFor[AccountMappingPayload](), reflect.TypeFor[InvoicePayload](), reflect.TypeFor[AllocationPayload](), reflect.TypeFor[SharingPayload](), reflect.TypeFor[TolerancePayload](), reflect.TypeFor[TrueUpPayload](),
		reflect.TypeFor[PeriodPayload](), reflect.TypeFor[WaiverPayload](), reflect.TypeFor[MaterialityPayload](), reflect.TypeFor[HolidaysPayload](), reflect.TypeFor[approval.Policies](),
	} {
		if _, err := d.schema(named); err != nil {
			return nil, err
		}
	}
	return json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Tollbook", "version": a.cfg.Version,
			"description": "What Claude Code costs, by cost center. Charges are US dollars as decimal strings with twelve decimals; times are UTC.",
		},
		"servers": []any{map[string]any{"url": a.cfg.PublicURL.String()}},
		"paths":   paths,
		"components": map[string]any{
			"schemas": d.schemas,
			"headers": manifestHeaders(),
			"securitySchemes": map[string]any{
				"token": map[string]any{"type": "http", "scheme": "bearer", "description": "An API token made in Tollbook (tbt_…)."},
			},
			"responses": map[string]any{
				"problem": map[string]any{
					"description": "A failure (RFC 9457).",
					"content":     map[string]any{problemType: map[string]any{"schema": ref("Problem")}},
				},
			},
		},
	}, "", "  ")
}

// pathParameters turns echo's :id into OpenAPI's {id}.
func pathParameters(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, found := strings.CutPrefix(p, ":"); found {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

func ref(name string) map[string]any { return map[string]any{"$ref": "#/components/schemas/" + name} }

type describer struct{ schemas map[string]any }

func (d *describer) operation(p *Endpoint) (map[string]any, error) {
	success := map[string]any{"description": "Done."}
	if p.answer != nil {
		schema, err := d.schema(p.answer)
		if err != nil {
			return nil, err
		}
		success["content"] = map[string]any{"application/json": map[string]any{"schema": schema}}
	}
	if p.file {
		success["content"] = map[string]any{"application/octet-stream": map[string]any{"schema": map[string]any{"type": "string", "format": "binary"}}}
	}
	if p.Method == http.MethodGet && (p.answer != nil || p.file) {
		headers := map[string]any{}
		for name := range manifestHeaders() {
			headers[name] = map[string]any{"$ref": "#/components/headers/" + name}
		}
		success["headers"] = headers
	}
	operation := map[string]any{
		"operationId": operationID(p), "summary": p.Summary,
		"responses": map[string]any{strconv.Itoa(p.Status): success, "default": map[string]any{"$ref": "#/components/responses/problem"}},
	}
	if p.Object != "" {
		operation["security"] = []any{map[string]any{"token": []string{}}}
		operation["description"] = fmt.Sprintf("The token's role must allow %s %s.", p.Object, p.Action)
	}
	parameters, err := d.parameters(p)
	if err != nil {
		return nil, err
	}
	if len(parameters) > 0 {
		operation["parameters"] = parameters
	}
	if p.body != nil {
		schema, err := d.schema(p.body)
		if err != nil {
			return nil, err
		}
		operation["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/json": map[string]any{"schema": schema}}}
	}
	return operation, nil
}

// manifestHeaders are what every answer with rows carries beside them.
func manifestHeaders() map[string]any {
	text := map[string]any{"type": "string"}
	return map[string]any{
		export.HeaderManifest: map[string]any{"schema": text, "description": "Base64 of a JSON document that says what the body is: " +
			"report and code version, tenant, filters, as of, run by and at, members of a row, rows, control totals, audit log sequence, and length and SHA-256 of the body. " +
			"Left out where it is longer than 6 KiB."},
		export.HeaderDigest: map[string]any{"schema": text, "description": "SHA-256 of the body before any content encoding, in hexadecimal."},
	}
}

func operationID(p *Endpoint) string {
	words := strings.FieldsFunc(p.Path, func(r rune) bool { return r == '/' || r == '.' })
	var name strings.Builder
	name.WriteString(strings.ToLower(p.Method))
	for _, w := range words {
		if !strings.HasPrefix(w, ":") {
			name.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	return name.String()
}

func (d *describer) parameters(p *Endpoint) ([]any, error) {
	var list []any
	if p.query != nil {
		for field := range p.query.Fields() {
			schema, err := d.fieldSchema(field)
			if err != nil {
				return nil, err
			}
			place, name := "query", field.Tag.Get("query")
			if name == "" {
				place, name = "path", field.Tag.Get("path")
			}
			one := map[string]any{"name": name, "in": place, "schema": schema}
			if place == "path" {
				one["required"] = true
			}
			if doc := field.Tag.Get("doc"); doc != "" {
				one["description"] = doc
			}
			list = append(list, one)
		}
	}
	if p.Once {
		list = append(list, map[string]any{
			"name": "Idempotency-Key", "in": "header", "schema": map[string]any{"type": "string", "maxLength": 200},
			"description": "Send the same key to repeat a request safely: the first answer is given again for a day. The same key with another request is a conflict.",
		})
	}
	return list, nil
}

// fieldSchema is the schema of a field's type with what its tags add.
func (d *describer) fieldSchema(field reflect.StructField) (map[string]any, error) {
	schema, err := d.schema(field.Type)
	if err != nil {
		return nil, err
	}
	if values := field.Tag.Get("enum"); values != "" {
		schema["enum"] = strings.Split(values, ",")
	}
	if format := field.Tag.Get("format"); format != "" {
		schema["format"] = format
	}
	return schema, nil
}

// schema describes a type; a named struct goes into components once.
func (d *describer) schema(t reflect.Type) (map[string]any, error) {
	switch t {
	case reflect.TypeFor[Instant]():
		return map[string]any{"type": "string", "format": "date-time"}, nil
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{"type": "object"}, nil
	case reflect.TypeFor[Limit]():
		return map[string]any{"type": "integer", "minimum": 1, "maximum": app.MaxRows, "default": defaultLimit}, nil
	case reflect.TypeFor[id.Change]():
		return map[string]any{"type": "string", "pattern": "^chg_[0-9a-f]{32}$"}, nil
	case reflect.TypeFor[id.Node]():
		return map[string]any{"type": "string", "pattern": "^nod_[0-9a-f]{32}$"}, nil
	case reflect.TypeFor[id.Member]():
		return map[string]any{"type": "string", "pattern": "^mem_[0-9a-f]{32}$"}, nil
	case reflect.TypeFor[id.Entry]():
		return map[string]any{"type": "string", "pattern": "^jnl_[0-9a-f]{32}$"}, nil
	case reflect.TypeFor[id.Key]():
		return map[string]any{"type": "string", "pattern": "^key_[0-9a-f]{32}$"}, nil
	case reflect.TypeFor[period.Month]():
		return map[string]any{"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"}, nil
	}
	switch t.Kind() { //nolint:exhaustive // the default refuses what wire types do not use
	case reflect.String:
		return map[string]any{"type": "string"}, nil
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer", "format": "int64"}, nil
	case reflect.Pointer:
		return d.nullable(t.Elem())
	case reflect.Slice:
		items, err := d.schema(t.Elem())
		return map[string]any{"type": "array", "items": items}, err
	case reflect.Map:
		values, err := d.schema(t.Elem())
		return map[string]any{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		return d.object(t)
	}
	return nil, fmt.Errorf("no schema for %s", t)
}

func (d *describer) nullable(t reflect.Type) (map[string]any, error) {
	schema, err := d.schema(t)
	if err != nil {
		return nil, err
	}
	if kind, plain := schema["type"].(string); plain {
		schema["type"] = []string{kind, "null"}
		return schema, nil
	}
	return map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}, nil
}

func (d *describer) object(t reflect.Type) (map[string]any, error) {
	name := schemaName(t)
	if _, done := d.schemas[name]; done {
		return ref(name), nil
	}
	properties := map[string]any{}
	object := map[string]any{"type": "object", "properties": properties}
	d.schemas[name] = object // before the fields: a type may contain itself
	required, err := d.members(t, properties)
	object["required"] = required
	return ref(name), err
}

// members describes the fields of a struct, those of an embedded one as its own, and lists
// those that are always there.
func (d *describer) members(t reflect.Type, properties map[string]any) ([]string, error) {
	required := []string{}
	for field := range t.Fields() {
		if field.Anonymous {
			inner, err := d.members(field.Type, properties)
			if err != nil {
				return nil, err
			}
			required = append(required, inner...)
			continue
		}
		key, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		schema, err := d.fieldSchema(field)
		if err != nil {
			return nil, err
		}
		if doc := field.Tag.Get("doc"); doc != "" {
			schema["description"] = doc
		}
		properties[key] = schema
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, key)
		}
	}
	return required, nil
}

// schemaName makes Page[tollbook/web/api.Node] into NodePage.
func schemaName(t reflect.Type) string {
	outer, inner, generic := strings.Cut(strings.TrimSuffix(t.Name(), "]"), "[")
	if !generic {
		return outer
	}
	return inner[strings.LastIndex(inner, ".")+1:] + outer
}
