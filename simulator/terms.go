package simulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Terms are the contract and the pace of the reports.
type Terms struct {
	ReportDelaySec int64      `json:"report_delay_sec"`
	Discounts      []Discount `json:"discounts"` // by date
}

// Discount is what the contract takes off the list price from a UTC day on, until the
// next one begins.
type Discount struct {
	From string `json:"from"` // YYYY-MM-DD; "" = always
	Bps  int64  `json:"bps"`
}

func (t *Terms) validate() error {
	if t.ReportDelaySec < 0 || t.ReportDelaySec > maxSkewSec || len(t.Discounts) > maxDiscounts {
		return fmt.Errorf("report_delay_sec must be from 0 to %d, discounts at most %d", maxSkewSec, maxDiscounts)
	}
	for _, d := range t.Discounts {
		if d.Bps < 0 || d.Bps > 10_000 {
			return fmt.Errorf("bps %d is outside 0..10000", d.Bps)
		}
		if _, err := time.Parse(time.DateOnly, d.From); err != nil && d.From != "" {
			return fmt.Errorf("from %q is no day", cutText(d.From, 40))
		}
	}
	slices.SortStableFunc(t.Discounts, func(x, y Discount) int { return cmp.Compare(x.From, y.From) })

	return nil
}

// bpsAt is the discount of a moment.
func (t *Terms) bpsAt(at time.Time) int64 {
	day, bps := at.UTC().Format(time.DateOnly), int64(0)
	for _, d := range t.Discounts {
		if d.From <= day {
			bps = d.Bps
		}
	}

	return bps
}

// currentTerms are what was stated last: by POST /books/terms, else by Config.
func (s *Simulator) currentTerms() *Terms {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	if s.books.terms != nil {
		return s.books.terms
	}

	return s.terms
}

// refreshedAt is the moment up to which the reports are complete.
func (s *Simulator) refreshedAt(t *Terms) time.Time {
	return s.now().UTC().Add(-time.Duration(t.ReportDelaySec) * time.Second)
}

func (s *Simulator) serveTerms(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var t Terms
		problem := readControl(w, r, &t)
		if problem == nil {
			if err := t.validate(); err != nil {
				problem = invalid("%s", err)
			} else if err := s.books.keep(line{Terms: &t}, func() { s.books.terms = &t }); err != nil {
				problem = &apiError{status: 500, kind: "api_error", message: err.Error()}
			}
		}
		if problem != nil {
			s.answerError(w, problem)

			return
		}
	}
	writeJSON(w, http.StatusOK, s.currentTerms())
}

// serveFacts answers POST /books/facts: requests that went past every gateway.
func (s *Simulator) serveFacts(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Facts []Fact `json:"facts"`
	}
	problem := readControl(w, r, &body)
	if problem == nil && len(body.Facts) > maxBookRows {
		problem = invalid("facts: at most %d", maxBookRows)
	}
	if problem != nil {
		s.answerError(w, problem)

		return
	}
	ids := make([]string, 0, len(body.Facts))
	for i := range body.Facts {
		f := &body.Facts[i]
		if f.RequestID == "" {
			serial, err := s.books.issue()
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			f.RequestID = makeID("req_", s.seed, serial)
		}
		if f.OccurredAt.IsZero() {
			f.OccurredAt = s.now()
		}
		f.Complete = true
		ids = append(ids, f.RequestID)
	}
	added, err := s.Import(slices.Values(body.Facts))
	if err != nil {
		s.answerError(w, invalid("%s", err))

		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"added": added, "request_ids": ids})
}

// readControl reads the body of a request to the simulator's own controls. A member
// that is not known is refused: a misspelled plant must not pass.
func readControl(w http.ResponseWriter, r *http.Request, to any) *apiError {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBytes))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return invalid("The body could not be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return invalid("The body has more than one value")
	}

	return nil
}
