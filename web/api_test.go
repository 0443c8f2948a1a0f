package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

func TestAPIGolden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ name, target string }{
		{"nodes", "/nodes"},
		{"usage", "/usage?limit=3"},
		{"usage_tags", "/usage?request_id=req_acmee"},
		{"usage_undeclared", "/usage?developer=undeclared"},
		{"chargeback_node", "/chargeback?period=2026-11"},
		{"chargeback_project", "/chargeback?group_by=project"},
		{"chargeback_developer", "/chargeback?group_by=developer"},
		{"chargeback_model", "/chargeback?group_by=model"},
		{"chargeback_key", "/chargeback?group_by=key"},
	} {
		got := w.call(w.one, app.RoleFinanceAdmin, c.target, "")
		require.Equal(t, 200, got.status, got.body)
		require.Equal(t, "application/json", strings.Split(got.header.Get("Content-Type"), ";")[0])
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		golden(t, "api/"+c.name+".json", pretty(t, got.body))
	}
	// Keys made in the same millisecond have no order: one of them is shown.
	for _, key := range w.call(w.one, app.RoleFinanceAdmin, "/keys", "").json(t)["data"].([]any) {
		if one := key.(map[string]any); one["label"] == "Propulsion key" {
			one["hint"] = "xxxx"
			document, err := json.Marshal(one)
			require.NoError(t, err)
			golden(t, "api/key.json", pretty(t, string(document)))
		}
	}
	golden(t, "api/openapi.json", pretty(t, w.do(request(http.MethodGet, "/api/v1/openapi.json", "")).body))
}

func TestAPIProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	many := `{"label":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		name, target, body string
		role               app.Role
		status             int
		code, field        string
	}{
		{"unknown parameter", "/usage?nodes=AC-11", "", app.RoleAnalyst, 400, "parameter_unknown", "nodes"},
		{"repeated parameter", "/usage?node=AC-11&node=AC-20", "", app.RoleAnalyst, 400, "parameter_repeated", "node"},
		{"limit over the bound", "/usage?limit=501", "", app.RoleAnalyst, 400, "limit_range", "limit"},
		{"limit zero", "/keys?limit=0", "", app.RoleAnalyst, 400, "limit_range", "limit"},
		{"no instant", "/usage?from=yesterday", "", app.RoleAnalyst, 400, "instant_syntax", "from"},
		{"empty range", "/usage?from=2026-11-02&to=2026-11-01", "", app.RoleAnalyst, 400, "range_empty", "to"},
		{"no state", "/usage?state=lost", "", app.RoleAnalyst, 400, "state_unknown", "state"},
		{"no node", "/usage?node=NOPE", "", app.RoleAnalyst, 400, "node_absent", "node"},
		{"no key id", "/usage?key=123", "", app.RoleAnalyst, 400, "id_syntax", "key"},
		{"foreign cursor", "/usage?cursor=abc", "", app.RoleAnalyst, 400, "cursor_syntax", "cursor"},
		{"foreign cursor of nodes", "/nodes?cursor=abc", "", app.RoleAnalyst, 400, "cursor_syntax", "cursor"},
		{"no period", "/chargeback?period=2026", "", app.RoleAnalyst, 400, "period_syntax", "period"},
		{"no grouping", "/chargeback?group_by=mood", "", app.RoleAnalyst, 400, "group_by_unknown", "group_by"},
		{"not allowed", "/chargeback", "", app.RoleDeveloper, 403, "not_allowed", ""},
		{"others' usage", "/usage?developer=somebody", "", app.RoleDeveloper, 403, "not_allowed", ""},
		{"no endpoint", "/nope", "", app.RoleAnalyst, 404, "endpoint_absent", ""},
		{"unknown field", "/keys", `{"label":"x","cost_center":"AC-11","colour":"red"}`, app.RoleFinanceAdmin, 400, "field_unknown", "colour"},
		{"wrong type", "/keys", `{"label":7}`, app.RoleFinanceAdmin, 400, "field_type", "label"},
		{"no JSON", "/keys", `{`, app.RoleFinanceAdmin, 400, "body_syntax", ""},
		{"two values", "/keys", `{"label":"x","cost_center":"AC-11"}{}`, app.RoleFinanceAdmin, 400, "body_syntax", ""},
		{"too large", "/keys", many, app.RoleFinanceAdmin, 413, "body_too_large", ""},
		{"no cost center", "/keys", `{"label":"x","cost_center":"NOPE"}`, app.RoleFinanceAdmin, 400, "cost_center_absent", "cost_center"},
		{"in the past", "/keys", `{"label":"x","cost_center":"AC-11","expires_at":"2020-01-01"}`, app.RoleFinanceAdmin, 400, "expires_past", "expires_at"},
		{"may not make", "/keys", `{"label":"x","cost_center":"AC-11"}`, app.RoleAuditor, 403, "not_allowed", ""},
		{"no reason", "/keys/" + w.one.key.ID.String() + "/revoke", `{}`, app.RoleFinanceAdmin, 400, "reason_missing", "reason"},
		{"no model", "/keys", `{"label":"x","cost_center":"AC-11","models":["*"]}`, app.RoleFinanceAdmin, 400, "model_name", "models"},
		{"no rotation", "/keys/" + w.two.key.ID.String() + "/rotate", `{"reason":"x"}`, app.RoleFinanceAdmin, 404, "key_absent", ""},
		{"rotated late", "/keys/" + w.one.key.ID.String() + "/rotate", `{"earlier_until":"2030-01-01"}`, app.RoleFinanceAdmin, 400, "earlier_until_late", "earlier_until"},
		{"may not rotate", "/keys/" + w.one.key.ID.String() + "/rotate", `{}`, app.RoleAuditor, 403, "not_allowed", ""},
		{"no key", "/keys/key_00000000000000000000000000000001/revoke", `{"reason":"x"}`, app.RoleFinanceAdmin, 404, "key_absent", ""},
		{"long idempotency key", "/keys", `{"label":"x","cost_center":"AC-11"}`, app.RoleFinanceAdmin, 400, "idempotency_key_length", "Idempotency-Key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if c.code == "idempotency_key_length" {
				headers = []string{"Idempotency-Key", strings.Repeat("k", 201)}
			}
			got := w.call(w.one, c.role, c.target, c.body, headers...)
			require.Equal(t, c.status, got.status, got.body)
			require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
			problem := got.json(t)
			require.Equal(t, c.code, problem["code"])
			require.Equal(t, "http://127.0.0.1:8080/problems/"+c.code, problem["type"])
			require.EqualValues(t, c.status, problem["status"])
			require.NotEmpty(t, problem["title"])
			require.NotEmpty(t, problem["detail"])
			require.Contains(t, problem["instance"], "urn:uuid:")
			if c.field != "" {
				require.Equal(t, c.field, problem["field"])
			}
		})
	}
}

func TestAPINeedsAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ name, header, challenge string }{
		{"none", "", "Bearer"},
		{"unknown", "Bearer tbt_unknown", `Bearer error="invalid_token"`},
		{"a virtual key", "Bearer " + w.one.key.Secret.Reveal(), `Bearer error="invalid_token"`},
		{"another scheme", "Basic " + w.one.tokens[app.RoleAnalyst], `Bearer error="invalid_token"`},
	} {
		r := request(http.MethodGet, "/api/v1/usage", "")
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		r.AddCookie(w.session(t, w.one, app.RoleFinanceAdmin)) // means nothing here
		got := w.do(r)
		require.Equal(t, 401, got.status, c.name)
		require.Equal(t, c.challenge, got.header.Get("WWW-Authenticate"), c.name)
	}
	r := request(http.MethodDelete, "/api/v1/keys", "")
	r.Header.Set("Authorization", "Bearer "+w.one.tokens[app.RoleAnalyst])
	got := w.do(r)
	require.Equal(t, 405, got.status)
	require.Contains(t, got.header.Get("Allow"), "GET")
}

func TestAPIKeysAreIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := `{"label":"pipeline","cost_center":"AC-11","expires_at":"2027-01-01"}`
	first := w.call(w.one, app.RoleServiceAccount, "/keys", body, "Idempotency-Key", "a")
	require.Equal(t, 201, first.status, first.body)
	again := w.call(w.one, app.RoleServiceAccount, "/keys", body, "Idempotency-Key", "a")
	require.Equal(t, first.body, again.body)
	require.Equal(t, "2027-01-01T00:00:00Z", first.json(t)["expires_at"])

	mismatch := w.call(w.one, app.RoleServiceAccount, "/keys", `{"label":"other","cost_center":"AC-11"}`, "Idempotency-Key", "a")
	require.Equal(t, 409, mismatch.status)
	require.Equal(t, "idempotency_mismatch", mismatch.json(t)["code"])

	// The key belongs to one actor, and to one company.
	require.NotEqual(t, first.json(t)["id"], w.call(w.one, app.RoleFinanceAdmin, "/keys", body, "Idempotency-Key", "a").json(t)["id"])

	// A failure is not remembered.
	require.Equal(t, 400, w.call(w.one, app.RoleServiceAccount, "/keys", `{"label":"","cost_center":"AC-11"}`, "Idempotency-Key", "b").status)
	require.Equal(t, 201, w.call(w.one, app.RoleServiceAccount, "/keys", body, "Idempotency-Key", "b").status)

	path := fmt.Sprintf("/keys/%s/revoke", first.json(t)["id"])
	ended := w.call(w.one, app.RoleServiceAccount, path, `{"reason":"done"}`, "Idempotency-Key", "c")
	require.Equal(t, 200, ended.status, ended.body)
	require.Equal(t, "revoked", ended.json(t)["state"])
	require.Equal(t, ended.body, w.call(w.one, app.RoleServiceAccount, path, `{"reason":"done"}`, "Idempotency-Key", "c").body)
	require.Equal(t, 409, w.call(w.one, app.RoleServiceAccount, path, `{"reason":"done"}`).status)
}

func TestAPIRotatesAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.call(w.one, app.RoleServiceAccount, "/keys", `{"label":"terms","cost_center":"AC-11","models":["claude-haiku-*"],"requests_per_minute":5}`).json(t)
	id, _ := made["id"].(string)
	first := w.call(w.one, app.RoleServiceAccount, "/keys/"+id+"/rotate", `{"earlier_until":"2026-11-24"}`, "Idempotency-Key", "r")
	require.Equal(t, 200, first.status, first.body)
	require.NotEqual(t, made["secret"], first.json(t)["secret"])
	require.Equal(t, id, first.json(t)["id"])
	require.Equal(t, first.body, w.call(w.one, app.RoleServiceAccount, "/keys/"+id+"/rotate", `{"earlier_until":"2026-11-24"}`, "Idempotency-Key", "r").body)
	for _, one := range w.call(w.one, app.RoleServiceAccount, "/keys", "").json(t)["data"].([]any) {
		key, _ := one.(map[string]any)
		if key["id"] == id {
			require.Equal(t, []any{"claude-haiku-*"}, key["models"])
			require.EqualValues(t, 5, key["requests_per_minute"])
			secret, _ := first.json(t)["secret"].(string)
			require.Equal(t, secret[len(secret)-4:], key["hint"])
		}
	}
}

func TestAPIPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, target := range []string{"/usage", "/nodes", "/keys"} {
		whole := w.call(w.one, app.RoleFinanceAdmin, target, "").json(t)["data"].([]any)
		var pieces []any
		cursor := ""
		for range len(whole) + 1 {
			page := w.call(w.one, app.RoleFinanceAdmin, target+"?limit=1"+cursor, "").json(t)
			pieces = append(pieces, page["data"].([]any)...)
			next, more := page["next_cursor"].(string)
			if !more {
				break
			}
			cursor = "&cursor=" + url.QueryEscape(next)
		}
		require.Equal(t, whole, pieces, target)
	}
}

func TestAPIScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	subtree := w.call(w.one, app.RoleBudgetOwner, "/chargeback", "").json(t)
	require.Nil(t, subtree["control"])
	require.Len(t, subtree["rows"], 3)
	require.Len(t, w.call(w.one, app.RoleBudgetOwner, "/nodes", "").json(t)["data"], 3)
	for _, row := range w.call(w.one, app.RoleDeveloper, "/usage", "").json(t)["data"].([]any) {
		require.Equal(t, "developer@acme.test", row.(map[string]any)["developer"].(map[string]any)["value"])
	}
	require.Len(t, w.call(w.one, app.RoleDeveloper, "/usage", "").json(t)["data"], 11)
}

// TestAnswersFitTheDescription reads answers with the published schemas.
func TestAnswersFitTheDescription(t *testing.T) {
	t.Parallel()
	w := unsealed(t)
	document := w.do(request(http.MethodGet, "/api/v1/openapi.json", "")).json(t)
	require.Equal(t, "3.1.0", document["openapi"])
	paths := document["paths"].(map[string]any)
	for _, route := range w.web.Routes() {
		if !strings.HasPrefix(route.Path, "/api/v1") {
			continue
		}
		path := regexp.MustCompile(`:([a-z]+)`).ReplaceAllString(route.Path, "{$1}")
		require.Contains(t, paths, path)
		require.Contains(t, paths[path], strings.ToLower(route.Method), path)
	}
	fits := func(method, path, status string, got answer) {
		operation := paths[path].(map[string]any)[method].(map[string]any)
		media := operation["responses"].(map[string]any)[status].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)
		fit(t, document, media["schema"].(map[string]any), got.json(t), path)
	}
	for _, path := range []string{"/nodes", "/keys", "/usage", "/chargeback"} {
		fits("get", "/api/v1"+path, "200", w.call(w.one, app.RoleFinanceAdmin, path, ""))
	}
	made := w.call(w.one, app.RoleFinanceAdmin, "/keys", `{"label":"x","cost_center":"AC-11","projects":["AC-20"]}`)
	fits("post", "/api/v1/keys", "201", made)
	fits("post", "/api/v1/keys/{id}/revoke", "200", w.call(w.one, app.RoleFinanceAdmin, fmt.Sprintf("/keys/%s/revoke", made.json(t)["id"]), `{"reason":"x"}`))
	problem := w.call(w.one, app.RoleFinanceAdmin, "/usage?x=1", "").json(t)
	fit(t, document, map[string]any{"$ref": "#/components/schemas/Problem"}, problem, "problem")
}

// fit checks a value against the part of JSON Schema the description uses.
func fit(t *testing.T, document, schema map[string]any, value any, at string) {
	t.Helper()
	if name, ok := schema["$ref"].(string); ok {
		parts := strings.Split(name, "/")
		schema = document["components"].(map[string]any)["schemas"].(map[string]any)[parts[len(parts)-1]].(map[string]any)
	}
	if options, ok := schema["anyOf"].([]any); ok {
		if value == nil {
			return
		}
		schema = options[0].(map[string]any)
		fit(t, document, schema, value, at)
		return
	}
	kinds, several := schema["type"].([]any)
	if !several {
		kinds = []any{schema["type"]}
	}
	require.Contains(t, kinds, kindOf(value), at)
	switch value := value.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		for name, member := range value {
			if rest, ok := schema["additionalProperties"].(map[string]any); ok {
				fit(t, document, rest, member, at+"."+name)
				continue
			}
			require.Contains(t, properties, name, at)
			fit(t, document, properties[name].(map[string]any), member, at+"."+name)
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			require.Contains(t, value, name, at)
		}
	case []any:
		for _, item := range value {
			fit(t, document, schema["items"].(map[string]any), item, at+"[]")
		}
	case string:
		if values, ok := schema["enum"].([]any); ok {
			require.Contains(t, values, value, at)
		}
		if schema["format"] == "decimal" {
			_, fraction, _ := strings.Cut(value, ".")
			require.Contains(t, []int{2, 6, 12}, len(fraction), at, "of the books, of a share, of a charge")
		}
	}
}

func kindOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if value == float64(int64(value)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
