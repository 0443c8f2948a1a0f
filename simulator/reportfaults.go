package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// reportFault waits for requests to the organization's endpoints: those whose path
// starts with Path, after Skip of them, Times of them.
type reportFault struct {
	Faults string `json:"faults"` // a list of knobs
	Path   string `json:"path,omitempty"`
	Skip   int    `json:"skip,omitempty"`
	Times  int    `json:"times,omitempty"` // 0 = 1
}

// reportDesk is what stands before the organization's endpoints: waiting faults, and
// the limit of requests a minute. It lives in memory.
type reportDesk struct {
	mu      sync.Mutex
	waiting []*reportFault
	recent  []time.Time
}

// take returns the knobs that wait for a path.
func (d *reportDesk) take(path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, f := range d.waiting {
		if !strings.HasPrefix(path, f.Path) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--

			continue
		}
		if f.Times--; f.Times == 0 {
			d.waiting = slices.Delete(d.waiting, i, i+1)
		}

		return f.Faults
	}

	return ""
}

func (d *reportDesk) add(f *reportFault) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) >= maxReportFaults {
		return false
	}
	d.waiting = append(d.waiting, f)

	return true
}

// admit counts a request against the minute's limit, or returns when to try again.
func (d *reportDesk) admit(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recent = slices.DeleteFunc(d.recent, func(t time.Time) bool { return !t.After(now.Add(-time.Minute)) })
	if len(d.recent) >= analyticsPerMinute {
		return d.recent[0].Add(time.Minute).Sub(now)
	}
	d.recent = append(d.recent, now)

	return 0
}

// serveReportFaults answers POST and GET /books/report-faults.
func (s *Simulator) serveReportFaults(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var f reportFault
		problem := readControl(w, r, &f)
		check := noKnobs()
		if problem == nil {
			if err := check.parse(f.Faults); err != nil {
				problem = invalid("%s", err)
			} else if f.Faults == "" || f.Skip < 0 || f.Times < 0 || len(f.Path) > maxModelBytes || len(f.Faults) > maxModelBytes {
				problem = invalid("faults are needed; skip and times cannot be negative; words are at most %d bytes", maxModelBytes)
			}
		}
		f.Times = max(1, f.Times)
		if problem == nil && !s.desk.add(&f) {
			problem = invalid("at most %d report faults may wait", maxReportFaults)
		}
		if problem != nil {
			s.answerError(w, problem)

			return
		}
	}
	s.desk.mu.Lock()
	waiting := make([]reportFault, 0, len(s.desk.waiting))
	for _, f := range s.desk.waiting {
		waiting = append(waiting, *f)
	}
	s.desk.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"data": waiting})
}

// admitAdmin checks a request to the organization's endpoints and applies the faults
// that are not about a page. The knobs about pages are the caller's.
func (s *Simulator) admitAdmin(w http.ResponseWriter, r *http.Request) (*knobs, bool) {
	if !s.admit(w, r) {
		return nil, false
	}
	k := noKnobs()
	for _, words := range []string{r.Header.Get("x-sim-fault"), s.desk.take(r.URL.Path)} {
		if err := k.parse(words); err != nil {
			writeError(w, invalid("%s", err))

			return nil, false
		}
	}
	if !pause(r.Context(), k.firstByte()) {
		return nil, false
	}
	if k.dropHead {
		panic(http.ErrAbortHandler)
	}
	if k.skewSec != 0 {
		w.Header().Set("Date", s.now().UTC().Add(time.Duration(k.skewSec)*time.Second).Format(http.TimeFormat))
	}
	problem, err := k.problem(0)
	if err != nil {
		problem = invalid("%s", err)
	}
	credential, _, _ := checkHeaders(r)
	switch {
	case problem != nil && k.html:
		k.setRetry(w.Header())
		writePage(w, problem.status)

		return nil, false
	case problem != nil:
		k.setRetry(w.Header())
	case !adminCredential(credential):
		problem = errNotAdmin()
	case strings.HasPrefix(r.URL.Path, analyticsPath):
		if wait := s.desk.admit(s.now()); wait > 0 {
			problem = errorOfStatus(http.StatusTooManyRequests)
			w.Header().Set("retry-after", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		}
	}
	if problem != nil {
		writeError(w, problem)

		return nil, false
	}

	return &k, true
}

// pageCut is where a page begins and ends, after the knobs that spoil it.
type pageCut struct {
	from, to int
	next     int // where the next page begins; unset: there is none
}

// cutPage cuts a page of rows out of total ones.
func (k *knobs) cutPage(offset, limit, total int) (pageCut, *apiError) {
	if k.refuseCursor && offset > 0 {
		return pageCut{}, invalid("page: the token is no longer valid")
	}
	offset = min(offset, total)
	cut := pageCut{from: offset, to: min(offset+limit, total), next: unset}
	if cut.to < total {
		cut.next = cut.to
	}
	switch {
	case k.emptyPage: // nothing here, but more to come: the next page begins where this one should have
		cut.to, cut.next = cut.from, offset
	case k.stuckPage:
		cut.next = offset
	case k.repeatPage: // the rows of the page before once more
		cut.from, cut.to = max(0, offset-limit), offset
	}

	return cut, nil
}

// writeReport writes a page, or half of it.
func (k *knobs) writeReport(w http.ResponseWriter, page any) {
	if k.dropAfter == unset {
		writeJSON(w, http.StatusOK, page)

		return
	}
	body := mustJSON(page)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write([]byte(body[:len(body)/2])) // the cut follows whether or not this arrives
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
