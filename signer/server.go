package signer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

const (
	headPath     = "/v1/head"
	decisionPath = "/v1/decision"
	maxBody      = 64 << 10
	maxHeadBody  = maxBody + auditlog.MaxGrowth*48 // a hash takes 44 characters, its quotes and a comma
	// Within bounds one answer, on both sides; the server's is the shorter.
	serveWithin = 5 * time.Second
	askWithin   = 8 * time.Second
	maxAtOnce   = 64
)

// asked is a request's body; answered is what is said to it.
type asked struct {
	Tenant string          `json:"tenant"`
	Size   int64           `json:"size,omitempty"`
	Root   auditlog.Hash   `json:"root,omitzero"`
	After  int64           `json:"after,omitempty"`
	Edge   []auditlog.Hash `json:"edge,omitempty"`
	Leaves []auditlog.Hash `json:"leaves,omitempty"`
	Text   string          `json:"text,omitempty"`
}

type answered struct {
	auditlog.Signed

	Size  int64  `json:"size,omitempty"`  // of the head signed last, where it is not the one asked after
	Code  string `json:"code,omitempty"`  // of a fault
	Fault string `json:"fault,omitempty"` // in words
}

// Handler answers those who hold the token; an empty token is for a socket, which the file
// system guards.
func (k *Keeper) Handler(token secret.Text) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	limited := make(chan struct{}, maxAtOnce)
	serve := func(bound int64, sign func(*http.Request, *asked, id.Tenant) (auditlog.Signed, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !allowed(r, token) {
				answer(w, http.StatusUnauthorized, answered{Code: "signer_token", Fault: "The token is not the signer's."})
				return
			}
			select {
			case limited <- struct{}{}:
				defer func() { <-limited }()
			default:
				answer(w, http.StatusServiceUnavailable, answered{Code: "signer_busy", Fault: "The signer is busy."})
				return
			}
			var ask asked
			decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, bound))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&ask); err != nil {
				answer(w, http.StatusBadRequest, answered{Code: "signer_body", Fault: "The body cannot be read."})
				return
			}
			tenant, err := id.ParseTenant(ask.Tenant)
			if err != nil {
				answer(w, http.StatusBadRequest, answered{Code: "signer_body", Fault: "The body names no company."})
				return
			}
			signed, err := sign(r, &ask, tenant)
			reply(w, signed, err)
		}
	}
	mux.HandleFunc("POST "+headPath, serve(maxHeadBody, func(r *http.Request, ask *asked, tenant id.Tenant) (auditlog.Signed, error) {
		return k.SignHead(r.Context(), auditlog.HeadAsk{Tenant: tenant, Size: ask.Size, Root: ask.Root, After: ask.After, Edge: ask.Edge, Leaves: ask.Leaves})
	}))
	mux.HandleFunc("POST "+decisionPath, serve(maxBody, func(r *http.Request, ask *asked, tenant id.Tenant) (auditlog.Signed, error) {
		return k.SignDecision(r.Context(), tenant, ask.Text)
	}))
	return http.TimeoutHandler(mux, serveWithin, "")
}

// allowed compares digests, so that the time it takes tells nothing of the token.
func allowed(r *http.Request, token secret.Text) bool {
	if token.IsZero() {
		return true
	}
	given, want := sha256.Sum256([]byte(r.Header.Get("Authorization"))), sha256.Sum256([]byte("Bearer "+token.Reveal()))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

func reply(w http.ResponseWriter, signed auditlog.Signed, err error) {
	var stale *auditlog.StaleError
	switch {
	case err == nil:
		answer(w, http.StatusOK, answered{Signed: signed})
	case errors.As(err, &stale):
		answer(w, http.StatusConflict, answered{Size: stale.Size, Code: "signer_stale", Fault: stale.Error()})
	default:
		f, status := fault.From(err), http.StatusInternalServerError
		switch f.Kind {
		case fault.KindInvalid:
			status = http.StatusBadRequest
		case fault.KindLimited, fault.KindUnavailable:
			status = http.StatusServiceUnavailable
		case fault.KindUnauthenticated, fault.KindForbidden, fault.KindNotFound, fault.KindConflict, fault.KindInternal:
		}
		if errors.Is(err, auditlog.ErrForked) {
			status = http.StatusUnprocessableEntity
		}
		answer(w, status, answered{Code: f.Code, Fault: f.Message})
	}
}

func answer(w http.ResponseWriter, status int, body answered) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // who asked is gone, if this fails
}
