package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bookRow is one fact as GET /books shows it. Amounts are US dollars.
type bookRow struct {
	RequestID         string `json:"request_id"`
	MessageID         string `json:"message_id"`
	SessionID         string `json:"session_id"`
	KeyHint           string `json:"key_hint"`
	OccurredAt        string `json:"occurred_at"`
	Model             string `json:"model"`
	Speed             string `json:"speed"`
	ServiceTier       string `json:"service_tier"`
	InferenceGeo      string `json:"inference_geo"`
	Tokens            Tokens `json:"tokens"`
	WebSearchRequests int64  `json:"web_search_requests"`
	HTTPStatus        int    `json:"http_status"`
	Refused           bool   `json:"refused"`
	Amount            string `json:"amount"`
	Complete          bool   `json:"complete"`

	WorkspaceID    string      `json:"workspace_id"`
	CreditRedeemed bool        `json:"credit_redeemed"`
	Iterations     []Iteration `json:"iterations"`
}

func rowOf(f *Fact) bookRow {
	return bookRow{
		f.RequestID, f.MessageID, f.SessionID, f.KeyHint, f.OccurredAt.UTC().Format(time.RFC3339Nano), f.Model, f.Speed,
		f.ServiceTier, f.InferenceGeo, f.Tokens, f.WebSearchRequests, f.Status, f.Refused, dollars(big.NewInt(f.BilledPico)), f.Complete,
		f.WorkspaceID, f.CreditRedeemed, f.Iterations,
	}
}

func (s *Simulator) serveBooks(w http.ResponseWriter, r *http.Request) {
	q, err := parseFilter(r.URL.Query())
	if err != nil {
		s.answerError(w, invalid("%s", err))

		return
	}
	facts, next, err := s.books.find(q)
	if err != nil {
		s.answerError(w, &apiError{status: 500, kind: "api_error", message: err.Error()})

		return
	}
	page := struct {
		Data []bookRow `json:"data"`
		Next *string   `json:"next"`
	}{Data: make([]bookRow, 0, len(facts))}
	for _, f := range facts {
		page.Data = append(page.Data, rowOf(f))
	}
	if next != nil {
		word := fmt.Sprintf("%d-%d", next.occurred, next.offset)
		page.Next = &word
	}
	writeJSON(w, http.StatusOK, page)
}

func parseFilter(query url.Values) (filter, error) {
	q := filter{session: query.Get("session"), requestID: query.Get("request_id"), limit: 100}
	var err error
	if q.from, q.to, err = parseSpan(query); err != nil {
		return filter{}, err
	}
	if word := query.Get("limit"); word != "" {
		if q.limit, err = strconv.Atoi(word); err != nil || q.limit < 1 || q.limit > maxBookRows {
			return filter{}, fmt.Errorf("limit must be an integer from 1 to %d", maxBookRows)
		}
	}
	if word := query.Get("after"); word != "" {
		occurred, offset, _ := strings.Cut(word, "-")
		var offsetErr error
		q.after.occurred, err = strconv.ParseInt(occurred, 10, 64)
		q.after.offset, offsetErr = strconv.ParseInt(offset, 10, 64)
		if err != nil || offsetErr != nil {
			return filter{}, errors.New("after must be the next of an earlier page")
		}
	}

	return q, nil
}

// parseSpan reads from (inclusive) and to (exclusive): RFC 3339 or a UTC date.
func parseSpan(query url.Values) (from, to time.Time, err error) {
	if from, err = parseTime("from", query.Get("from")); err != nil {
		return from, to, err
	}
	to, err = parseTime("to", query.Get("to"))

	return from, to, err
}

func parseTime(name, word string) (time.Time, error) {
	if word == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, word); err == nil && t.Year() > 1970 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}

	return time.Time{}, fmt.Errorf("%s must be a date or an RFC 3339 time, not %q", name, cutText(word, 40))
}

// dayRow is one line of GET /books/totals.
type dayRow struct {
	Day               string `json:"day"`
	Model             string `json:"model"`
	Requests          int64  `json:"requests"`
	Tokens            Tokens `json:"tokens"`
	WebSearchRequests int64  `json:"web_search_requests"`
	Amount            string `json:"amount"`
}

func (s *Simulator) serveTotals(w http.ResponseWriter, r *http.Request) {
	from, to, err := parseSpan(r.URL.Query())
	if err != nil {
		s.answerError(w, invalid("%s", err))

		return
	}
	sums, err := s.books.sums(from, to)
	if err != nil {
		s.answerError(w, &apiError{status: 500, kind: "api_error", message: err.Error()})

		return
	}
	answer := struct {
		Data     []dayRow `json:"data"`
		Requests int64    `json:"requests"`
		Amount   string   `json:"amount"`
	}{Data: make([]dayRow, 0, len(sums))}
	var all big.Int
	for key, sum := range sums {
		answer.Data = append(answer.Data, dayRow{key.day, key.model, sum.requests, sum.tokens, sum.webSearches, dollars(&sum.pico)})
		answer.Requests += sum.requests
		all.Add(&all, &sum.pico)
	}
	slices.SortFunc(answer.Data, func(x, y dayRow) int {
		return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Model, y.Model))
	})
	answer.Amount = dollars(&all)
	writeJSON(w, http.StatusOK, answer)
}

func (s *Simulator) serveBenchCounters(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, map[string]int64{
		"requests": s.bench.requests.Load(), "input_tokens": s.bench.input.Load(), "output_tokens": s.bench.output.Load(),
	})
}
