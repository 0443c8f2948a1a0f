package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNothingSecretIsToldToWhoeverWatches sends marked secrets every way a client, an
// operator and the provider can, with the log at its most talkative.
func TestNothingSecretIsToldToWhoeverWatches(t *testing.T) {
	t.Parallel()
	const mark = "m4rk3d"
	garbage, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = garbage.Close() })
	go func() {
		for {
			c, err := garbage.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, mark+" "+mark+"\r\n\r\n")
			_ = c.Close()
		}
	}()
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Provider", mark)
		w.Header().Set("Request-Id", "req_"+mark)
		if r.Header.Get("X-Wanted") == "error" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, strings.NewReplacer("msg_1", "msg_"+mark, "opus-5-5", mark, `"output_tokens"`, `"`+mark+`":1,"output_tokens"`).Replace(operationsAnswer))
	}))
	t.Cleanup(answering.Close)
	s := openHouse(t, nil)
	s.tenant(t, mark+"-one", answering.URL, "sk-"+mark)
	s.tenant(t, mark+"-two", "http://"+garbage.Addr().String(), "sk-"+mark)
	s.begin(t)
	marks := func(h http.Header) {
		for _, name := range []string{"X-Tollbook-Developer", "X-Claude-Code-Session-Id", "X-Claude-Code-Agent-Id", "X-Claude-Code-Request-Class", "Cookie", "User-Agent", "Anthropic-Beta", "Traceparent", "X-Forwarded-For"} {
			h.Set(name, mark)
		}
		h.Set("X-Tollbook-Tags", `{"`+mark+`":"`+mark+`"}`)
	}
	body := `{"model":"claude-` + mark + `","messages":[{"role":"user","content":"` + mark + `"}],"metadata":{"user_id":"` + mark + `"}}`
	send := func(slug, key, path, body string, more ...func(http.Header)) {
		t.Helper()
		s.post(t, mark+slug, key, path+"?beta=true&"+mark+"="+mark, body, append(more, marks)...)
	}
	one, two := s.key[mark+"-one"], s.key[mark+"-two"]
	send("-one", one, "/v1/messages", body)
	send("-one", one, "/v1/messages", body, wanted("error"))
	send("-one", one, "/v1/messages/count_tokens", body)
	send("-one", one, "/v1/"+mark, body)
	send("-one", one, "/v1/messages", mark)
	send("-one", one, "/v1/messages", body, func(h http.Header) { h.Set("X-Tollbook-Project", mark) })
	send("-one", "tbk_"+mark, "/v1/messages", body)
	send("-none", one, "/v1/messages", body)
	send("-two", two, "/v1/messages", body)
	send("-two", two, "/v1/messages/count_tokens", body)
	require.Eventually(t, func() bool {
		got := s.numbers(t)
		return got["tollbook_requests_admitted_total"] == 4 && got["tollbook_requests_in_ledger_total"] == 4
	}, 20*time.Second, 10*time.Millisecond)
	s.db.Close() // an outage talks, too
	send("-one", one, "/v1/messages", body)
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "ledger not reached") }, 20*time.Second, 10*time.Millisecond)

	told := map[string]string{"metrics": s.get(t, "/metrics"), "log": s.log.String()}
	secrets := []string{mark, one, two, s.settings.MasterKeys[0].Reveal(), "password="}
	for _, tenant := range s.snapshots.Current().Tenants {
		secrets = append(secrets, tenant.ID.UUID())
		for _, key := range tenant.Keys {
			secrets = append(secrets, key.ID.String(), key.ID.UUID())
		}
	}
	for where, text := range told {
		for _, secret := range secrets {
			require.NotContains(t, text, secret, where)
		}
	}
	require.Contains(t, told["log"], "no answer from the provider")
	for line := range strings.Lines(told["log"]) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		if entry["msg"] == "no answer from the provider" {
			require.Contains(t, entry["request_id"], "evt_")
		}
	}
}

func TestAHandlerThatPanicsIsAnErrorInTheLog(t *testing.T) {
	t.Parallel()
	log := &lines{}
	l, err := listen("127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	broken := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("a mistake")) })
	go func() {
		ended <- serveUntil(ctx, l, broken, settings{Limits: standardLimits()}, slog.New(slog.NewJSONHandler(log, nil)))
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
	require.NoError(t, err)
	_, err = http.DefaultTransport.RoundTrip(r)
	require.Error(t, err)
	stop()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), `"level":"ERROR"`)
	require.Contains(t, log.String(), "a mistake")
}
