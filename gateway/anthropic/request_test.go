package anthropic_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/fault"
	"tollbook/gateway/anthropic"
)

func TestScanRequest(t *testing.T) {
	t.Parallel()
	body := ` {"messages":[{"role":"user","content":"{\"model\":\"no\"} \\"},{"model":"nor this"}],"mod\u0065l" : "claude-opus-5-5" ,
		"stream":true,"max_tokens":128000,"speed":"fast","service_tier":"auto","inference_geo":"us","thread":{"id":"t"},
		"metadata":{"user_id":"{\"device_id\":\"x\"}"},"temperature":-1.5e-3,"tools":[],"x":{},"y":null} ` + "\r\n"
	r, err := anthropic.ScanRequest([]byte(body))
	require.NoError(t, err)
	require.Equal(t, `"claude-opus-5-5"`, body[r.ModelStart:r.ModelEnd])
	r.ModelStart, r.ModelEnd = 0, 0
	require.Equal(t, anthropic.Request{
		Model: "claude-opus-5-5", Stream: true, MaxTokens: 128000, Speed: "fast", ServiceTier: "auto", InferenceGeo: "us", HasThread: true,
	}, r)

	r, err = anthropic.ScanRequest([]byte(`{"model":"a\u002Fb\n","stream":false,"max_tokens":1.28e5,"speed":7,"service_tier":null,"thread":null}`))
	require.NoError(t, err)
	require.Equal(t, anthropic.Request{Model: "a/b\n", ModelStart: 9, ModelEnd: 21, MaxTokens: 128000}, r)
}

func TestScanRequestRefuses(t *testing.T) {
	t.Parallel()
	nested := func(n int) string {
		return `{"model":"m","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	}
	for body, code := range map[string]string{
		"": "body_syntax", " ": "body_syntax", "[]": "body_syntax", `"model"`: "body_syntax", "{": "body_syntax", "{}": "model_missing",
		`{"model":"m"`: "body_syntax", `{"model":"m"}}`: "body_syntax", `{"model":"m"} x`: "body_syntax", `{"model":"m",}`: "body_syntax",
		`{"model" "m"}`: "body_syntax", `{model:"m"}`: "body_syntax", `{"model":"m}`: "body_syntax", `{"model":"m","x":tru}`: "body_syntax",
		`{"model":"m","x":01}`: "body_syntax", `{"model":"m","x":[}]}`: "body_syntax", `{"model":"m","x":[{]}}`: "body_syntax", `{"model":"m" "x":1}`: "body_syntax",
		`{"model":"m","x":}`: "body_syntax", `{"model":"m","x":"\"}`: "body_syntax", `{"model":"\x"}`: "body_syntax", `{"mod\u00zzel":"m"}`: "body_syntax",
		"\xef\xbb\xbf{\"model\":\"m\"}": "body_syntax", "{\"model\":\"m\"}\x00": "body_syntax", "{\"model\":\"m\nn\"}": "body_syntax",
		`{"model":null}`: "model_missing", `{"model":""}`: "model_missing", `{"model":["m"]}`: "model_missing", `{"x":{"model":"m"}}`: "model_missing",
		`{"model":"m","model":"m"}`: "body_duplicate_model", `{"model":"m","mod\u0065l":"n"}`: "body_duplicate_model",
		`{"model":"` + strings.Repeat("m", 300) + `"}`: "model_length",
		nested(513): "body_syntax",
	} {
		_, err := anthropic.ScanRequest([]byte(body))
		require.Error(t, err, body)
		f := fault.From(err)
		require.Equal(t, code, f.Code, body)
		require.Equal(t, fault.KindInvalid, f.Kind)
	}
	_, err := anthropic.ScanRequest([]byte(nested(512)))
	require.NoError(t, err)
	_, err = anthropic.ScanRequest([]byte(`{"model":"secret prompt`))
	require.ErrorContains(t, err, "byte 23")
	require.NotContains(t, err.Error(), "secret")
}

func TestEveryPrefixOfABodyIsRefused(t *testing.T) {
	t.Parallel()
	body := request(600)
	for cut := range body {
		_, err := anthropic.ScanRequest(body[:cut])
		require.Error(t, err)
	}
}

// value draws any JSON value as text, with the spacing and escapes a client may use.
func value(t *rapid.T, depth int) string {
	text := rapid.Custom(func(t *rapid.T) string {
		b, err := json.Marshal(rapid.String().Draw(t, "text"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	})
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return text.Draw(t, "string")
	case 1:
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 2:
		b, _ := json.Marshal(rapid.Float64Range(-1e9, 1e9).Draw(t, "number"))
		return string(b)
	case 3:
		return rapid.SampledFrom([]string{"0", "1", "4096", "128000", "-7", "9007199254740993", `"fast"`, `"us"`, `"\\"`, `"\""`, "[]", "{}"}).Draw(t, "common")
	case 4:
		var parts []string
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			parts = append(parts, value(t, depth-1))
		}
		return "[ " + strings.Join(parts, ",\n") + "]"
	}
	var parts []string
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		key := rapid.SampledFrom([]string{`"model"`, `"stream"`, `"a"`, `"thread"`}).Draw(t, "key")
		parts = append(parts, key+": "+value(t, depth-1))
	}
	return "{" + strings.Join(parts, " ,") + " }"
}

func TestScanRequestAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	keys := []string{`"stream"`, `"max_tokens"`, `"speed"`, `"service_tier"`, `"inference_geo"`, `"thread"`, `"messages"`, `"spe\u0065d"`, `"Model"`, `"x"`}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 20, 60).Draw(t, "name")
		quoted, err := json.Marshal(name)
		require.NoError(t, err)
		members := []string{`"model":` + string(quoted)}
		for range rapid.IntRange(0, 8).Draw(t, "members") {
			members = append(members, rapid.SampledFrom(keys).Draw(t, "key")+" :"+value(t, 3))
		}
		members = rapid.Permutation(members).Draw(t, "order")
		body := []byte("{" + strings.Join(members, ", ") + "}")
		require.True(t, json.Valid(body))

		got, err := anthropic.ScanRequest(body)
		require.NoError(t, err)
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &want))
		require.Equal(t, string(want["model"]), string(body[got.ModelStart:got.ModelEnd]))
		var model string
		require.NoError(t, json.Unmarshal(quoted, &model))
		require.Equal(t, model, got.Model)
		require.Equal(t, string(want["stream"]) == "true", got.Stream)
		require.Equal(t, want["thread"] != nil && string(want["thread"]) != "null", got.HasThread)
		for key, text := range map[string]string{"speed": got.Speed, "service_tier": got.ServiceTier, "inference_geo": got.InferenceGeo} {
			var word string
			if len(want[key]) <= 66 {
				_ = json.Unmarshal(want[key], &word) // what is no string is empty
			}
			require.Equal(t, word, text)
		}
		var limit int64
		if json.Unmarshal(want["max_tokens"], &limit) == nil && limit >= 0 && limit <= 1<<53 {
			require.Equal(t, limit, got.MaxTokens)
		}
	})
}

func FuzzScanRequest(f *testing.F) {
	f.Add(request(1000))
	f.Add([]byte(`{"mod\u0065l":"m","x":[{"y":"\\\""}],"stream":true}`))
	f.Add([]byte(`{"model":"m","model":"n"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := anthropic.ScanRequest(body)
		if err != nil {
			if json.Valid(body) && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
				// Of valid objects only those are refused that must be.
				require.Contains(t, []string{"model_missing", "model_length", "body_duplicate_model", "body_syntax"}, fault.From(err).Code)
				if fault.From(err).Code == "body_syntax" {
					require.Greater(t, bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")), 512)
				}
			}
			return
		}
		var model string
		require.NoError(t, json.Unmarshal(body[got.ModelStart:got.ModelEnd], &model))
		require.Equal(t, model, got.Model)
		whole := bytes.TrimRight(body, " \t\r\n")
		_, err = anthropic.ScanRequest(whole[:len(whole)-1])
		require.Error(t, err, "no beginning of a request is a whole one")
		spliced := slices.Concat(body[:got.ModelStart], []byte(`"claude-haiku-5-5"`), body[got.ModelEnd:])
		routed, err := anthropic.ScanRequest(spliced)
		require.NoError(t, err)
		require.Equal(t, "claude-haiku-5-5", routed.Model)
		routed.Model, routed.ModelEnd = got.Model, got.ModelEnd
		require.Equal(t, got, routed, "a splice changes the model and nothing else")
		if json.Valid(body) {
			var want map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(body, &want))
			require.Equal(t, string(want["model"]), string(body[got.ModelStart:got.ModelEnd]))
			require.Equal(t, string(want["stream"]) == "true", got.Stream)
		}
	})
}

// request is a body shaped like Claude Code's, of about n bytes.
func request(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"claude-opus-5-5","messages":[`)
	for i := 0; b.Len() < n-400; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","content":"package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Println(\"hello, world\") // a line of code, as tool results have them\n}\n`)
		b.WriteString(strings.Repeat(`The quick brown fox jumps over the lazy dog. `, 20))
		b.WriteString(`"}]}`)
	}
	b.WriteString(`],"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330"}],"tools":[],"metadata":{"user_id":"{\"device_id\":\"0\",\"session_id\":\"1\"}"},"max_tokens":128000,"thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"medium"},"stream":true}`)
	return b.Bytes()
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	body := anthropic.ErrorBody("billing_error", "spent · \"all\"\n\x00\xff </script>", "req_1")
	var got map[string]any
	require.NoError(t, json.Unmarshal(body, &got))
	require.Equal(t, map[string]any{
		"type": "error", "request_id": "req_1",
		"error": map[string]any{"type": "billing_error", "message": "spent · \"all\"\n\x00\ufffd </script>"},
	}, got)
	require.Equal(t, `{"type":"error","error":{"type":"api_error","message":"x"}}`, string(anthropic.ErrorBody("api_error", "x", "")))
	for status, want := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		409: "conflict_error", 413: "request_too_large", 422: "invalid_request_error", 429: "rate_limit_error", 451: "invalid_request_error",
		500: "api_error", 501: "not_supported", 502: "api_error", 503: "api_error", 504: "timeout_error", 529: "overloaded_error",
	} {
		require.Equal(t, want, anthropic.ErrorType(status), status)
	}
}
