package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	answerWithin   = 20 * time.Second
	maxAnswerBytes = 1 << 20
)

// place is one company at one installation.
type place struct {
	base   *url.URL
	tenant string
}

// readPlace takes the address Claude Code sends to, which ends in /gw/<company>.
func readPlace(text string) (place, error) {
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(text), "/"))
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil {
		return place{}, errors.New("--url is the address that ANTHROPIC_BASE_URL has, like https://tollbook.example.com/gw/acme")
	}
	if u.Scheme == "http" && !onThisMachine(u.Hostname()) {
		return place{}, errors.New("--url must begin with https://: a credential would travel in the clear")
	}
	at := strings.LastIndex(u.Path, "/gw/")
	if at < 0 || strings.Contains(u.Path[at+len("/gw/"):], "/") || u.Path[at+len("/gw/"):] == "" {
		return place{}, errors.New("--url must end in /gw/ and your company's short name, as ANTHROPIC_BASE_URL does")
	}
	p := place{tenant: u.Path[at+len("/gw/"):]}
	p.base = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path[:at]}
	return p, nil
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// refusal is what an installation says no with.
type refusal struct {
	Status  int
	Code    string `json:"error"`
	Message string `json:"error_description"`
}

// Error implements error.
func (r *refusal) Error() string {
	if r.Message == "" {
		return fmt.Sprintf("the installation answers with status %d", r.Status)
	}
	return r.Message
}

// refused tells whether an error is a refusal with one of some codes.
func refused(err error, codes ...string) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && slices.Contains(codes, r.Code)
}

// answer is what comes back.
type answer struct {
	AccessToken  string    `json:"access_token"`
	ExpiresIn    int64     `json:"expires_in"`
	RefreshToken string    `json:"refresh_token"`
	LoginEndsAt  time.Time `json:"login_ends_at"`
	Person       string    `json:"person"`
	CostCenter   string    `json:"cost_center"`
	CenterName   string    `json:"cost_center_name"`
	Before       string    `json:"before"`
	MayCharge    []struct {
		Code string `json:"code"`
		Name string `json:"name"`
	} `json:"may_charge"`

	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	VerificationURI string `json:"verification_uri"`
	Interval        int64  `json:"interval"`
}

// ask posts a form; refresh, where there is one, goes in a header.
func (p place) ask(ctx context.Context, what, refresh string, form url.Values) (answer, error) {
	var a answer
	limited, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(limited, http.MethodPost, p.base.JoinPath("oauth", what).String(), strings.NewReader(form.Encode()))
	if err != nil {
		return a, fmt.Errorf("ask the installation: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if refresh != "" {
		r.Header.Set("Authorization", "Bearer "+refresh)
	}
	// A redirect would carry the secrets to whoever it names.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		return a, fmt.Errorf("%s does not answer: %w", p.base.Host, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return a, fmt.Errorf("read the installation's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		no := &refusal{}
		_ = json.Unmarshal(body, no) // what is no JSON is told by its status
		no.Status = res.StatusCode
		return a, no
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("%s does not answer as Tollbook does; check --url", p.base.Host)
	}
	return a, nil
}
