package web

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/fault"
)

// JobsPrefix is where the job queue's own pages are.
const JobsPrefix = "/operator/jobs"

const jobsAPI = JobsPrefix + "/api/"

// asksByItself tells what a page of the queue's asks every few seconds, and not its
// person: it must not keep a session alive.
func asksByItself(c echo.Context) bool {
	return c.Request().Method == http.MethodGet && strings.HasPrefix(c.Request().URL.Path, jobsAPI)
}

// passToJobs lets an operator through to the job queue's own pages. What changes
// something is recorded first, and is one of a closed list.
func (w *Web) passToJobs(v *visit) error {
	r := v.Request()
	if r.Method != http.MethodGet {
		if err := w.recordStep(v); err != nil {
			return err
		}
	}
	w.cfg.JobPages.ServeHTTP(v.Response(), r)
	return nil
}

// recordStep reads what is to be done to which jobs or which queue and records it.
func (w *Web) recordStep(v *visit) error {
	r := v.Request()
	path := strings.Split(strings.TrimPrefix(r.URL.Path, jobsAPI), "/")
	switch {
	case !strings.HasPrefix(r.URL.Path, jobsAPI):
	case r.Method == http.MethodPost && len(path) == 2 && path[0] == "jobs":
		if step, ok := app.ParseJobStep(path[1]); ok {
			jobs, err := readJobs(r)
			if err != nil {
				return err
			}
			return w.areas.Operators.StepJobs(r.Context(), v.who, step, jobs)
		}
	case r.Method == http.MethodPut && len(path) == 3 && path[0] == "queues" && (path[2] == "pause" || path[2] == "resume"):
		return w.areas.Operators.StepQueue(r.Context(), v.who, path[2], path[1])
	}
	return errPageAbsent
}

var errJobsBody = fault.Invalid("ids", "jobs_syntax", `The body names jobs: {"ids":["1","2"]}.`)

// readJobs reads the ids a body names and puts the body back for who comes next.
func readJobs(r *http.Request) ([]int64, error) {
	body, err := io.ReadAll(r.Body) // bounded by sameOrigin
	if err != nil {
		return nil, errJobsBody.Because(err)
	}
	var named struct {
		IDs []json.Number `json:"ids"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&named); err != nil || decoder.More() {
		return nil, errJobsBody.Because(err)
	}
	var jobs []int64
	exact := struct {
		IDs []string `json:"ids"`
	}{IDs: []string{}}
	for _, text := range named.IDs {
		job, err := strconv.ParseInt(text.String(), 10, 64)
		if err != nil {
			return nil, errJobsBody.Because(err)
		}
		jobs = append(jobs, job)
		exact.IDs = append(exact.IDs, strconv.FormatInt(job, 10))
	}
	// What is passed on is what was understood here, not what another reader might make of
	// the same bytes.
	if body, err = json.Marshal(exact); err != nil {
		return nil, err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return jobs, nil
}
