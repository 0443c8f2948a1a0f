package anthropicadmin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/provider"
	"tollbook/app/secret"
)

// Bounds of one question.
const (
	maxTries   = 4
	tryWithin  = 60 * time.Second
	maxWait    = 65 * time.Second // the analytics limit is by the minute
	firstWait  = time.Second
	pageRows   = 1000
	legacyDays = 1
	betas      = "analytics-usage-cost-2026-08-24"
	legacyBeta = "fast-mode-2026-02-01" // for the dimension speed
	apiVersion = "2023-06-01"
)

// Config is what a client is made of.
type Config struct {
	// Ask makes one request and follows no redirect.
	Ask func(*http.Request) (*http.Response, error)
	// Wait ends after a while, or with its context.
	Wait    func(ctx context.Context, d time.Duration) error
	Now     func() time.Time
	Version string // of this program, for the provider's own records
	Rows    int    // asked for on a page; zero: as many as the provider gives
}

// Client asks one provider for one organization at a time.
type Client struct{ cfg Config }

// New makes a client. Without a Wait it waits by the clock.
func New(cfg Config) *Client {
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.Rows == 0 {
		cfg.Rows = pageRows
	}
	return &Client{cfg: cfg}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Question asks for one page.
type Question struct {
	BaseURL    string
	Credential secret.Text
	API        provider.API
	Report     provider.Report
	Day        time.Time // UTC; not of names
	Cursor     string    // empty: the first page
}

// Answer is a page as it was received.
type Answer struct {
	Body      []byte
	Request   string // path and query
	Status    int
	FetchedAt time.Time
}

// The faults that questions end with. What may pass is limited or unavailable.
var (
	ErrRefused  = fault.New(fault.KindForbidden, "credential_refused", "The provider does not take this credential for its reports: it needs an Admin API key of the organization.")
	ErrAbsent   = fault.New(fault.KindNotFound, "report_absent", "The provider does not offer this report to this credential.")
	ErrQuestion = fault.New(fault.KindInvalid, "question_refused", "The provider refused the question, as it does with a page that is no longer there: the pull begins anew.")
	ErrLimited  = fault.New(fault.KindLimited, "provider_limited", "The provider limits how often it is asked: it is tried again later.")
	ErrFailing  = fault.New(fault.KindUnavailable, "provider_failing", "The provider answered that it cannot, now.")
	ErrCut      = fault.New(fault.KindUnavailable, "answer_cut", "The provider's answer broke off.")
	ErrForeign  = fault.New(fault.KindUnavailable, "answer_foreign", "What answered is no Anthropic API: the answer is no JSON.")
	ErrLarge    = fault.New(fault.KindInvalid, "answer_large", "The provider's answer is larger than a page may be.")
	ErrSilent   = fault.New(fault.KindUnavailable, "provider_silent", "The provider was not reached.")
)

// Page asks for a page, and again where what went wrong may pass.
func (c *Client) Page(ctx context.Context, q *Question) (Answer, error) {
	target, err := q.url(c.cfg.Rows)
	if err != nil {
		return Answer{}, ErrQuestion.Because(err)
	}
	for try := 1; ; try++ {
		answer, pause, err := c.try(ctx, q, target)
		if err == nil {
			return answer, nil
		}
		passes := fault.KindOf(err) == fault.KindUnavailable || fault.KindOf(err) == fault.KindLimited
		if !passes || ctx.Err() != nil || try == maxTries {
			return Answer{}, err
		}
		if pause == 0 {
			pause = firstWait << (try - 1)
		}
		if pause > maxWait {
			return Answer{}, ErrLimited.Because(err)
		}
		if err := c.cfg.Wait(ctx, pause); err != nil {
			return Answer{}, ErrSilent.Because(err)
		}
	}
}

// try is one request. The pause is what the provider asks for; zero: it does not say.
func (c *Client) try(ctx context.Context, q *Question, target *url.URL) (answer Answer, pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	request := (&http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: http.Header{
		"X-Api-Key": {q.Credential.Reveal()}, "Anthropic-Version": {apiVersion}, "Anthropic-Beta": {betas + "," + legacyBeta},
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"Tollbook/" + c.cfg.Version},
	}}).WithContext(ctx)
	response, err := c.cfg.Ask(request)
	if err != nil {
		return answer, 0, ErrSilent.Because(errors.New("no answer")) // what an error says may name hosts of the installation's network
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, provider.MaxPageBytes+1))
	switch {
	case err != nil:
		return answer, 0, ErrCut
	case len(body) > provider.MaxPageBytes:
		return answer, 0, ErrLarge
	}
	if err := judge(response.StatusCode, body); err != nil {
		return answer, pauseOf(response.Header), err
	}
	return Answer{Body: body, Request: target.RequestURI(), Status: response.StatusCode, FetchedAt: c.cfg.Now().UTC()}, 0, nil
}

// judge says what an answer means.
func judge(status int, body []byte) error {
	shaped := json.Valid(body) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
	switch {
	case status == http.StatusOK && shaped:
		return nil
	case status == http.StatusTooManyRequests:
		return ErrLimited
	case status == http.StatusUnauthorized:
		return ErrRefused
	case (status == http.StatusForbidden || status == http.StatusNotFound) && shaped:
		return ErrAbsent
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError && shaped:
		return ErrQuestion
	case status >= http.StatusInternalServerError:
		return ErrFailing
	}
	return ErrForeign
}

// pauseOf is how long the provider asks to wait; what it says in another form than whole
// seconds is not honored.
func pauseOf(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > int((24*time.Hour).Seconds()) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// url is the address of a page.
func (q *Question) url(rows int) (*url.URL, error) {
	target, err := url.Parse(strings.TrimSuffix(q.BaseURL, "/"))
	if err != nil {
		return nil, errors.New("the address cannot be read")
	}
	path, query := q.listing(rows)
	if q.Report.OfFigures() {
		path, query = q.report(rows)
	}
	target.Path += path
	target.RawQuery = query.Encode()
	return target, nil
}

func (q *Question) listing(rows int) (string, url.Values) {
	query := url.Values{"limit": {strconv.Itoa(rows)}}
	if q.Cursor != "" {
		query.Set("after_id", q.Cursor)
	}
	if q.Report == provider.Keys {
		return "/v1/organizations/api_keys", query
	}
	query.Set("include_archived", "true")
	query.Set("include_default", "true")
	return "/v1/organizations/workspaces", query
}

// report is a report's path and query: one day, by all that a figure tells apart.
func (q *Question) report(rows int) (string, url.Values) {
	query := url.Values{"starting_at": {q.Day.Format(time.RFC3339)}, "ending_at": {q.Day.AddDate(0, 0, 1).Format(time.RFC3339)}}
	if q.Cursor != "" {
		query.Set("page", q.Cursor)
	}
	group := []string{"api_key_id", "model", "service_tier", "speed", "inference_geo"}
	if q.API == provider.Legacy {
		query.Set("bucket_width", "1d")
		query.Set("limit", strconv.Itoa(legacyDays))
		if q.Report == provider.Cost {
			query["group_by[]"] = []string{"workspace_id", "description"}
			return "/v1/organizations/cost_report", query
		}
		query["group_by[]"] = append(group, "workspace_id")
		return "/v1/organizations/usage_report/messages", query
	}
	query.Set("time_bucket_width", "1d")
	query.Set("limit", strconv.Itoa(rows))
	if q.Report == provider.Cost {
		query["group_by[]"] = append(group, "cost_type", "token_type")
		return "/v1/organizations/analytics/cost", query
	}
	query["group_by[]"] = group
	return "/v1/organizations/analytics/usage", query
}

// Lacking is what says which page of a report is to come.
type Lacking interface {
	Next() (cursor string, more bool)
	// Empty tells whether an answer has no rows and promises more.
	Empty(body []byte) bool
}

// Pages asks for every page that is lacking, in their order, and has each kept before it
// asks for the next. A page that has no rows and promises more is asked for once again.
func (c *Client) Pages(ctx context.Context, q Question, of Lacking, keep func(Answer) error) error {
	for asked := 0; ; {
		cursor, more := of.Next()
		if !more {
			return nil
		}
		q.Cursor = cursor
		page, err := c.Page(ctx, &q)
		if err != nil {
			return err
		}
		if asked == 0 && of.Empty(page.Body) {
			asked++
			continue
		}
		asked = 0
		if err := keep(page); err != nil {
			return err
		}
	}
}
