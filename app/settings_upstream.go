package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/db"
)

// How a test of an upstream ends.
const (
	UpstreamWorks     = "works"
	UpstreamRefused   = "refused"   // the provider does not take the credential
	UpstreamUnreached = "unreached" // nobody answered; the detail says why
	UpstreamFailing   = "failing"   // the provider answered that it cannot, now
	UpstreamForeign   = "foreign"   // what answered is no Anthropic API
)

// Why an address was not reached, as a test's detail.
const (
	UnreachedTimeout     = "timeout"
	UnreachedName        = "name"        // the host's name leads nowhere
	UnreachedCertificate = "certificate" // TLS could not be agreed on
	UnreachedConnection  = "connection"
)

// UpstreamTest is one request that asked whether a provider takes a credential.
type UpstreamTest struct {
	Outcome    string
	Detail     string // of unreached and failing
	HTTPStatus int    // 0: no answer
	Models     int    // that the provider listed
	Took       time.Duration
	At         time.Time
	By         Hand
}

func testView(r *db.UpstreamTestRow, by Hand) *UpstreamTest {
	return &UpstreamTest{
		Outcome: r.Outcome, Detail: r.Detail, HTTPStatus: r.HTTPStatus, Models: r.Models, Took: time.Duration(r.TookMs) * time.Millisecond, At: r.TestedAt.UTC(), By: by,
	}
}

// Bounds of a test.
const (
	testWithin     = 10 * time.Second
	maxTestBytes   = 1 << 20
	maxTestsAtOnce = 4
	maxTestsIn     = 10 // a company's within testsPer
	testsPer       = time.Minute
)

var (
	errNoUpstreamYet = fault.New(fault.KindConflict, "upstream_missing", "No provider is set up yet: there is nothing to test.")
	errTestsMany     = fault.New(fault.KindLimited, "upstream_tests_many", "The provider was tested ten times within a minute. Wait a minute and test again.")
	errTestsAtOnce   = fault.New(fault.KindLimited, "upstream_tests_many", "Several providers are being tested right now. Try again in a moment.")
)

// TestUpstream asks the provider once for its list of models, with the credential that
// is stored, and remembers what came back. It changes nothing.
func (s *Settings) TestUpstream(ctx context.Context, who Actor) (UpstreamTest, error) {
	if err := s.changes.allowed(who, changeUpstream); err != nil {
		return UpstreamTest{}, err
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	default:
		return UpstreamTest{}, errTestsAtOnce
	}
	current, credential, err := s.toTest(ctx, who)
	if err != nil {
		return UpstreamTest{}, err
	}
	started := time.Now()
	row := s.question(ctx, current.BaseURL, credential)
	row.TookMs = int(time.Since(started).Milliseconds())
	row.VersionID, row.Actor = current.VersionID, who.ID()
	var done UpstreamTest
	err = s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		if row.Number, err = tx.Counter("upstream_test"); err != nil {
			return err
		}
		row.TestedAt = tx.Now
		done = *testView(&row, Hand{})
		if err := tx.AddUpstreamTest(&row); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "upstream.tested", Actor: who.ID(), Subject: row.VersionID.String(), Detail: map[string]any{
			"base_url": current.BaseURL, "outcome": row.Outcome, "detail": row.Detail, "http_status": row.HTTPStatus,
		}})
	})
	return done, err
}

// toTest reads what a test needs, and refuses one too many.
func (s *Settings) toTest(ctx context.Context, who Actor) (db.UpstreamRow, secret.Text, error) {
	var current db.UpstreamRow
	var credential secret.Text
	err := s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Upstreams(1)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return errNoUpstreamYet
		}
		tests, err := tx.UpstreamTests(maxTestsIn)
		if err != nil {
			return err
		}
		if len(tests) == maxTestsIn && tx.Now.Sub(tests[maxTestsIn-1].TestedAt) < testsPer {
			return errTestsMany
		}
		current = rows[0]
		plain, err := s.ring.Open(purposeUpstream, who.Tenant.String(), current.CredentialSealed)
		if err != nil {
			return fmt.Errorf("open upstream credential: %w", err)
		}
		credential = secret.NewText(string(plain))
		return nil
	})
	return current, credential, err
}

// question is one GET of the list of models, at the address a gateway would use.
func (s *Settings) question(ctx context.Context, baseURL string, credential secret.Text) db.UpstreamTestRow {
	ctx, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	target, err := url.Parse(baseURL)
	if err != nil {
		return db.UpstreamTestRow{Outcome: UpstreamUnreached, Detail: UnreachedName}
	}
	target.Path += "/v1/models"
	request := (&http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: http.Header{
		"X-Api-Key": {credential.Reveal()}, "Anthropic-Version": {"2023-06-01"}, "Accept": {"application/json"}, "User-Agent": {"Tollbook"},
	}}).WithContext(ctx)
	response, err := s.ask(request)
	if err != nil {
		return db.UpstreamTestRow{Outcome: UpstreamUnreached, Detail: unreached(err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTestBytes))
	if err != nil {
		return db.UpstreamTestRow{Outcome: UpstreamUnreached, Detail: unreached(err), HTTPStatus: response.StatusCode}
	}
	return judge(response.StatusCode, body)
}

// unreached is why nobody answered, in one word: what else an error says may name hosts
// and addresses of the installation's own network.
func unreached(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return UnreachedTimeout
	case errors.As(err, &name):
		return UnreachedName
	case errors.As(err, &certificate), errors.As(err, &record):
		return UnreachedCertificate
	}
	return UnreachedConnection
}

// judge says what an answer means. Of what answered nothing is kept but the provider's
// own word for an error, where it is one of the provider's.
func judge(status int, body []byte) db.UpstreamTestRow {
	row := db.UpstreamTestRow{Outcome: UpstreamForeign, HTTPStatus: status}
	var answer struct {
		Type string `json:"type"`
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
		Error struct {
			Type string `json:"type"`
		} `json:"error"`
	}
	shaped := json.Unmarshal(body, &answer) == nil
	refusal := shaped && answer.Type == "error" && answer.Error.Type != ""
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden && refusal:
		row.Outcome = UpstreamRefused
	case status == http.StatusOK && shaped && len(answer.Data) > 0 && answer.Data[0].ID != "":
		row.Outcome, row.Models = UpstreamWorks, len(answer.Data)
	case refusal && (status == http.StatusTooManyRequests || status >= http.StatusInternalServerError):
		row.Outcome, row.Detail = UpstreamFailing, providerWord(answer.Error.Type)
	}
	return row
}

// providerWord is a kind of error as the provider names it; another word is not ours to
// repeat.
func providerWord(kind string) string {
	switch kind {
	case "rate_limit_error", "overloaded_error", "api_error", "timeout_error":
		return kind
	}
	return ""
}
