package simulator

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// listedModel is one row of GET /v1/models.
type listedModel struct {
	ID             string         `json:"id"`
	Type           string         `json:"type"`
	DisplayName    string         `json:"display_name"`
	CreatedAt      string         `json:"created_at"`
	MaxInputTokens int64          `json:"max_input_tokens"`
	MaxTokens      int64          `json:"max_tokens"`
	Capabilities   map[string]any `json:"capabilities"`
	Lifecycle      string         `json:"lifecycle"`
	Line           string         `json:"line"`
	DeprecatedAt   *string        `json:"deprecated_at"`
	RetiresAt      *string        `json:"retires_at"`
}

const (
	lifecycleActive  = "active"
	lifecycleRetired = "retired"
)

// currentModels is what the provider sells now and sold once, newest first. A
// retirement without a known day is the word retired.
func currentModels() []listedModel {
	rows := []struct{ id, name, created, line, retired string }{
		{"claude-fable-5-2", "Claude Fable 5.2", "2026-11-09", "fable", ""},
		{"claude-mythos-5-2", "Claude Mythos 5.2", "2026-11-09", "mythos", ""},
		{"claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-07", "haiku", ""},
		{"claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-28", "sonnet", ""},
		{"claude-opus-5-5", "Claude Opus 5.5", "2026-09-22", "opus", ""},
		{"claude-fable-5-1", "Claude Fable 5.1", "2026-09-01", "fable", ""},
		{"claude-mythos-5-1", "Claude Mythos 5.1", "2026-09-01", "mythos", ""},
		{"claude-opus-5", "Claude Opus 5", "2026-07-24", "opus", ""},
		{"claude-sonnet-5", "Claude Sonnet 5", "2026-06-30", "sonnet", ""},
		{"claude-fable-5", "Claude Fable 5", "2026-06-09", "fable", ""},
		{"claude-mythos-5", "Claude Mythos 5", "2026-06-09", "mythos", ""},
		{"claude-opus-4-8", "Claude Opus 4.8", "2026-05-28", "opus", ""},
		{"claude-opus-4-7", "Claude Opus 4.7", "2026-04-16", "opus", ""},
		{"claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", "sonnet", ""},
		{"claude-opus-4-6", "Claude Opus 4.6", "2026-02-05", "opus", ""},
		{"claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24", "opus", ""},
		{"claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15", "haiku", ""},
		{"claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29", "sonnet", ""},
		{"claude-opus-4-1-20250805", "Claude Opus 4.1", "2025-08-05", "opus", "2026-08-05"},
		{"claude-opus-4-20250514", "Claude Opus 4", "2025-05-22", "opus", "2026-06-15"},
		{"claude-sonnet-4-20250514", "Claude Sonnet 4", "2025-05-22", "sonnet", lifecycleRetired},
		{"claude-3-7-sonnet-20250219", "Claude Sonnet 3.7", "2025-02-24", "sonnet", lifecycleRetired},
		{"claude-3-5-haiku-20241022", "Claude Haiku 3.5", "2024-11-04", "haiku", lifecycleRetired},
		{"claude-3-haiku-20240307", "Claude Haiku 3", "2024-03-13", "haiku", "2026-04-20"},
	}
	models := make([]listedModel, 0, len(rows))
	for _, row := range rows {
		m := listedModel{
			ID: row.id, Type: "model", DisplayName: row.name, CreatedAt: row.created + "T00:00:00Z", Line: row.line,
			MaxInputTokens: 1_000_000, MaxTokens: 128_000, Lifecycle: lifecycleActive, Capabilities: capabilities(),
		}
		if strings.Contains(row.id, "-20") { // the generations before 4.6
			m.MaxInputTokens, m.MaxTokens = 200_000, 64_000
		}
		if row.retired != "" {
			m.Lifecycle = lifecycleRetired
			if row.retired != lifecycleRetired {
				day := row.retired + "T00:00:00Z"
				m.RetiresAt = &day
			}
		}
		models = append(models, m)
	}

	return models
}

func capabilities() map[string]any {
	all := map[string]any{}
	for _, name := range []string{"batch", "citations", "code_execution", "context_management", "effort", "image_input", "pdf_input", "server_tools", "structured_outputs", "thinking"} {
		all[name] = map[string]bool{"supported": true}
	}

	return all
}

// retired reports whether the provider serves a model no more; a name without its
// date is the same model.
func (s *Simulator) retired(model string, now time.Time) bool {
	for i := range s.models {
		m := &s.models[i]
		if m.Lifecycle != lifecycleRetired || (m.ID != model && m.ID[:len(m.ID)-len("-20060102")] != model) {
			continue
		}

		return m.RetiresAt == nil || now.UTC().Format(time.RFC3339) >= *m.RetiresAt
	}

	return false
}

func (s *Simulator) serveModels(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	models := s.models
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
	stages := query["lifecycle[]"]
	if len(stages) == 0 {
		stages = []string{lifecycleActive, "deprecated"}
	}
	models = slices.DeleteFunc(slices.Clone(models), func(m listedModel) bool { return !slices.Contains(stages, m.Lifecycle) })
	page, problem := pageOf(models, func(m listedModel) string { return m.ID }, query)
	if problem != nil {
		writeError(w, problem)

		return
	}
	writeJSON(w, http.StatusOK, page)
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
