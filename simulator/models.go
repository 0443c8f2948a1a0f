package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listedModel is one row of GET /v1/models.
type listedModel struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	DisplayName    string          `json:"display_name"`
	CreatedAt      string          `json:"created_at"`
	MaxInputTokens int64           `json:"max_input_tokens"`
	MaxTokens      int64           `json:"max_tokens"`
	Capabilities   map[string]bool `json:"capabilities"`
	Lifecycle      string          `json:"lifecycle"`
	Line           string          `json:"line"`
	DeprecatedAt   *string         `json:"deprecated_at"`
	RetiresAt      *string         `json:"retires_at"`
}

// currentModels is what the provider sells now, newest first.
func currentModels() []listedModel {
	rows := []struct{ id, name, created, line string }{
		{"claude-fable-5-2", "Claude Fable 5.2", "2026-11-09", "fable"},
		{"claude-mythos-5-2", "Claude Mythos 5.2", "2026-11-09", "mythos"},
		{"claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-07", "haiku"},
		{"claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-28", "sonnet"},
		{"claude-opus-5-5", "Claude Opus 5.5", "2026-09-22", "opus"},
		{"claude-fable-5-1", "Claude Fable 5.1", "2026-09-01", "fable"},
		{"claude-mythos-5-1", "Claude Mythos 5.1", "2026-09-01", "mythos"},
		{"claude-opus-5", "Claude Opus 5", "2026-07-24", "opus"},
		{"claude-sonnet-5", "Claude Sonnet 5", "2026-06-30", "sonnet"},
		{"claude-fable-5", "Claude Fable 5", "2026-06-09", "fable"},
		{"claude-mythos-5", "Claude Mythos 5", "2026-06-09", "mythos"},
		{"claude-opus-4-8", "Claude Opus 4.8", "2026-05-28", "opus"},
		{"claude-opus-4-7", "Claude Opus 4.7", "2026-04-16", "opus"},
		{"claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", "sonnet"},
		{"claude-opus-4-6", "Claude Opus 4.6", "2026-02-05", "opus"},
		{"claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24", "opus"},
		{"claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15", "haiku"},
		{"claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29", "sonnet"},
	}
	models := make([]listedModel, 0, len(rows))
	for _, row := range rows {
		m := listedModel{
			ID: row.id, Type: "model", DisplayName: row.name, CreatedAt: row.created + "T00:00:00Z", Line: row.line,
			MaxInputTokens: 1_000_000, MaxTokens: 128_000, Lifecycle: "active",
			Capabilities: map[string]bool{"thinking": true, "tool_use": true, "vision": true},
		}
		if strings.Contains(row.id, "-4-5-") {
			m.MaxInputTokens, m.MaxTokens = 200_000, 64_000
		}
		models = append(models, m)
	}

	return models
}

func (s *Simulator) serveModels(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	models := currentModels()
	if id, single := strings.CutPrefix(r.URL.Path, "/v1/models/"); single {
		at := slices.IndexFunc(models, func(m listedModel) bool { return m.ID == servedModel(id) })
		if at < 0 {
			writeError(w, &apiError{status: 404, kind: "not_found_error", message: "model: " + cutText(id, maxModelBytes)})

			return
		}
		writeJSON(w, http.StatusOK, models[at])

		return
	}
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 || limit > 1000 {
		limit = 20
	}
	position := func(id string) int {
		return slices.IndexFunc(models, func(m listedModel) bool { return m.ID == id })
	}
	first := position(query.Get("after_id")) + 1
	last := len(models)
	if before := position(query.Get("before_id")); before >= 0 {
		last = before
		first = max(first, last-limit)
	}
	page := models[min(first, last):min(last, first+limit)]
	answer := struct {
		Data    []listedModel `json:"data"`
		HasMore bool          `json:"has_more"`
		FirstID *string       `json:"first_id"`
		LastID  *string       `json:"last_id"`
	}{Data: page, HasMore: first+limit < last}
	if len(page) > 0 {
		answer.FirstID, answer.LastID = &page[0].ID, &page[len(page)-1].ID
	}
	writeJSON(w, http.StatusOK, answer)
}

// serveCount answers POST /v1/messages/count_tokens: an estimate, never booked.
func (s *Simulator) serveCount(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	buf := s.takeBuffer()
	defer s.returnBuffer(buf)
	if problem := readBody(w, r, buf); problem != nil {
		writeError(w, problem)

		return
	}
	req, problem := parseRequest(*buf, r.Header.Get("anthropic-version"), true)
	if problem != nil {
		writeError(w, problem)

		return
	}
	s.setRates(w.Header())
	writeJSON(w, http.StatusOK, map[string]int64{"input_tokens": req.promptTokens()})
}

// admit gives an unbilled request its id and checks its headers.
func (s *Simulator) admit(w http.ResponseWriter, r *http.Request) bool {
	serial, err := s.books.issue()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.setIdentity(w, makeID("req_", s.seed, serial))
	if _, _, problem := checkHeaders(r); problem != nil {
		writeError(w, problem)

		return false
	}

	return true
}

// answerError answers an error to a request that has no id yet.
func (s *Simulator) answerError(w http.ResponseWriter, problem *apiError) {
	serial, err := s.books.issue()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.setIdentity(w, makeID("req_", s.seed, serial))
	writeError(w, problem)
}

func writeError(w http.ResponseWriter, problem *apiError) {
	writeJSON(w, problem.status, problem.body(w.Header().Get("request-id")))
}
