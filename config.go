package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/jobs/deliver"
	"tollbook/signer"
)

// settings is everything a process is told from outside. Packages receive their own
// small part of it, never the environment.
type settings struct {
	DatabaseURL       string
	SystemDatabaseURL string
	Listen            string
	PublicURL         *url.URL
	MasterKeys        []secret.Text // newest first
	JournalDir        string
	TLSCert, TLSKey   string
	OTLPEndpoint      *url.URL // of the trace collector; nil means none
	TraceSample       float64  // part of requests that have a span, 0 to 1
	Operators         []app.Identity
	SignUp            *app.SignUpRules // nil: nobody founds a company for themselves
	LogKey            secret.Text      // seed of the keys that sign the audit logs' heads; empty: not here
	Signer            *signer.Client   // signs them in another process; nil: none does
	Witnesses         []app.Witness    // who outside sees the audit logs' heads
	WitnessWithin     time.Duration    // after which one that has not seen a head is behind
	SMTP              *deliver.SMTP    // nil: no mail leaves
	PrivateHooks      bool             // webhooks may reach addresses of private networks
	Only              []string         // web, gateway, jobs
	Development       bool
	Limits            limits
}

// environment reads variables and collects everything that is wrong, so that one
// start tells all of it.
type environment struct {
	lookup func(string) (string, bool)
	faults []string
}

func (e *environment) fail(name, should string) {
	e.faults = append(e.faults, fmt.Sprintf("%s %s", name, should))
}

// text reads NAME, or the file that NAME_FILE names.
func (e *environment) text(name string) string {
	value, ok := e.lookup(name)
	path, okFile := e.lookup(name + "_FILE")
	switch {
	case ok && okFile:
		e.fail(name, "and "+name+"_FILE are both set; set one")
	case okFile:
		content, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			e.fail(name+"_FILE", "names a file that cannot be read")
			return ""
		}
		return strings.TrimSpace(string(content))
	}
	return value
}

func (e *environment) need(name, should string) string {
	value := e.text(name)
	if value == "" {
		e.fail(name, "is not set; it should be "+should)
	}
	return value
}

func (e *environment) database(name, role string) string {
	value := e.need(name, "like postgres://"+role+":password@host:5432/tollbook")
	if value != "" && !strings.HasPrefix(value, "postgres://") && !strings.HasPrefix(value, "postgresql://") && !strings.Contains(value, "host=") {
		e.fail(name, "is no database URL; it should be like postgres://"+role+":password@host:5432/tollbook")
	}
	return value
}

func (e *environment) err() error {
	if len(e.faults) == 0 {
		return nil
	}
	return errors.New("the configuration has faults:\n  - " + strings.Join(e.faults, "\n  - "))
}

// readSettings reads TOLLBOOK_* variables for serve.
func readSettings(lookup func(string) (string, bool), only []string) (settings, error) {
	e := &environment{lookup: lookup}
	s := settings{
		DatabaseURL:       e.database("TOLLBOOK_DATABASE_URL", "tollbook_app"),
		SystemDatabaseURL: e.database("TOLLBOOK_SYSTEM_DATABASE_URL", "tollbook_system"),
		Listen:            e.text("TOLLBOOK_LISTEN"),
		TLSCert:           e.text("TOLLBOOK_TLS_CERT"),
		TLSKey:            e.text("TOLLBOOK_TLS_KEY"),
		JournalDir:        e.text("TOLLBOOK_JOURNAL_DIR"),
		Only:              only,
	}
	if s.Listen == "" {
		s.Listen = "127.0.0.1:8080"
	}
	s.Limits = e.limits()
	s.MasterKeys = e.masterKeys()
	s.PublicURL = e.publicURL()
	e.listening(&s)
	e.tracing(&s)
	s.Operators = e.operators()
	s.SignUp = e.signUp()
	s.LogKey = e.logKey()
	s.Signer = e.signer(s.LogKey)
	e.witnesses(&s)
	s.SMTP = e.smtp()
	s.PrivateHooks = e.privateHooks()
	if s.runs("gateway") && s.JournalDir == "" {
		e.fail("TOLLBOOK_JOURNAL_DIR", "is not set; it should be a directory on a persistent volume")
	}
	for _, part := range only {
		if !slices.Contains([]string{"web", "gateway", "jobs"}, part) {
			e.fail("--only", "knows web, gateway and jobs, not "+part)
		}
	}
	return s, e.err()
}

func (e *environment) masterKeys() []secret.Text {
	var keys []secret.Text
	if value := e.need("TOLLBOOK_MASTER_KEY", "32 random bytes in base64, for example from: openssl rand -base64 32"); value != "" {
		for part := range strings.SplitSeq(value, ",") {
			keys = append(keys, secret.NewText(part))
		}
		if _, err := secret.NewKeyring(keys...); err != nil {
			e.fail("TOLLBOOK_MASTER_KEY", "cannot be used: "+err.Error())
		}
	}
	return keys
}

// operators reads who may open the operator's pages; unset is nobody.
func (e *environment) operators() []app.Identity {
	list, err := app.ParseOperators(e.text("TOLLBOOK_OPERATORS"))
	if err != nil {
		e.fail("TOLLBOOK_OPERATORS", "should be pairs of an issuer and a subject there, like \"https://login.example.com 00u1ab2cd\", with commas between pairs: "+fault.From(err).Message)
	}
	return list
}

// logKey reads the seed of the keys that sign audit logs; unset, nothing is signed. It has
// to be another secret than the master key: who can read the one must not be able to sign
// for the other.
func (e *environment) logKey() secret.Text {
	key := secret.NewText(e.text("TOLLBOOK_LOG_KEY"))
	if err := app.CheckLogKey(key); err != nil {
		e.fail("TOLLBOOK_LOG_KEY", "cannot be used: "+fault.From(err).Message)
	}
	masters := strings.Split(e.text("TOLLBOOK_MASTER_KEY"), ",")
	for part := range strings.SplitSeq(key.Reveal(), ",") {
		if part != "" && slices.Contains(masters, part) {
			e.fail("TOLLBOOK_LOG_KEY", "is the master key; it should be one of its own, for example from: openssl rand -base64 32")
		}
	}
	return key
}

// signer reads where the signer listens that holds the seed; a process has the seed or the
// signer, never both.
func (e *environment) signer(seed secret.Text) *signer.Client {
	value := e.text("TOLLBOOK_SIGNER")
	if value == "" {
		return nil
	}
	if !seed.IsZero() {
		e.fail("TOLLBOOK_SIGNER", "and TOLLBOOK_LOG_KEY are both set; the seed belongs to the signer alone")
	}
	client, err := signer.NewClient(value, secret.NewText(e.text("TOLLBOOK_SIGNER_TOKEN")))
	if err != nil {
		e.fail("TOLLBOOK_SIGNER", fault.From(err).Message)
	}
	return client
}

// smtp reads the mail server; unset, no mail leaves. What is wrong with it is never shown:
// there is a password in it.
func (e *environment) smtp() *deliver.SMTP {
	value := e.text("TOLLBOOK_SMTP_URL")
	if value == "" {
		return nil
	}
	server, err := deliver.ParseSMTP(value)
	if err != nil {
		e.fail("TOLLBOOK_SMTP_URL", fault.From(err).Message)
	}
	return server
}

// privateHooks reads whether webhooks may reach addresses of private networks.
func (e *environment) privateHooks() bool {
	value := e.text("TOLLBOOK_WEBHOOK_ALLOW_PRIVATE")
	allowed, err := strconv.ParseBool(value)
	if err != nil && value != "" {
		e.fail("TOLLBOOK_WEBHOOK_ALLOW_PRIVATE", "should be true where companies' own systems are in a private network, or false")
	}
	return allowed
}

func (e *environment) publicURL() *url.URL {
	const should = "the address people and programs use, like https://tollbook.example.com"
	value := e.need("TOLLBOOK_PUBLIC_URL", should)
	if value == "" {
		return &url.URL{}
	}
	u, err := url.Parse(strings.TrimSuffix(value, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" {
		e.fail("TOLLBOOK_PUBLIC_URL", "should be "+should+", without a path")
		return &url.URL{}
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		e.fail("TOLLBOOK_PUBLIC_URL", "must be https: plain http is served on loopback only")
	}
	return u
}

func (e *environment) listening(s *settings) {
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		e.fail("TOLLBOOK_LISTEN", "should be host:port, like 127.0.0.1:8080")
		return
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		e.fail("TOLLBOOK_TLS_CERT", "and TOLLBOOK_TLS_KEY go together: both, or neither behind a proxy that ends TLS")
	}
	if !loopback(host) && s.TLSCert == "" && s.PublicURL.Scheme == "http" {
		e.fail("TOLLBOOK_LISTEN", "reaches beyond this machine in plain http: set TOLLBOOK_TLS_CERT and TOLLBOOK_TLS_KEY, or put a proxy that ends TLS in front and set TOLLBOOK_PUBLIC_URL to its https address")
	}
}

// traceSample is the part of requests that have a span unless something else is said.
const traceSample = 0.01

func (e *environment) tracing(s *settings) {
	s.TraceSample = traceSample
	if value := e.text("TOLLBOOK_TRACE_SAMPLE"); value != "" {
		ratio, err := strconv.ParseFloat(value, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			e.fail("TOLLBOOK_TRACE_SAMPLE", "should be the part of requests to trace, from 0 (none) to 1 (all), like 0.01")
		}
		s.TraceSample = ratio
	}
	value := e.text("TOLLBOOK_OTLP_ENDPOINT")
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		e.fail("TOLLBOOK_OTLP_ENDPOINT", "should be the address where an OpenTelemetry collector takes OTLP over HTTP, like http://127.0.0.1:4318, without user, password or query")
		return
	}
	s.OTLPEndpoint = u
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// runs tells whether this process does a part of the work.
func (s settings) runs(part string) bool { return len(s.Only) == 0 || slices.Contains(s.Only, part) }
