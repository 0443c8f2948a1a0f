package main

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/app/witness"
	"tollbook/jobs/attest"
)

const (
	// retainYears is how long a head is locked in the object store unless something else is said.
	retainYears    = 7
	maxRetainYears = 100
	maxOtherLogs   = 10
	day            = 24 * time.Hour
)

// witnesses reads who outside sees the logs' heads; unset, nobody does.
func (e *environment) witnesses(s *settings) {
	s.WitnessWithin = app.WitnessWithin
	e.duration("TOLLBOOK_WITNESS_WITHIN", &s.WitnessWithin, time.Minute, 7*day)
	e.objectWitness(s)
	e.otherLogs(s)
	e.timestamps(s)
}

// objectWitness reads the object store's bucket, and how to speak to the store.
func (e *environment) objectWitness(s *settings) {
	bucket := e.text("TOLLBOOK_WITNESS_S3_BUCKET")
	if bucket == "" {
		return
	}
	cfg := attest.S3{
		Bucket: bucket, Prefix: strings.Trim(e.text("TOLLBOOK_WITNESS_S3_PREFIX"), "/"), Region: e.text("TOLLBOOK_S3_REGION"),
		AccessKey: e.need("TOLLBOOK_S3_ACCESS_KEY", "the access key of the object store that witnesses"),
		SecretKey: secret.NewText(e.need("TOLLBOOK_S3_SECRET_KEY", "the secret key of the object store that witnesses")),
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	cfg.Endpoint = e.address("TOLLBOOK_S3_ENDPOINT", "https://s3.us-east-1.amazonaws.com")
	years := retainYears
	if value := e.text("TOLLBOOK_WITNESS_S3_RETAIN_YEARS"); value != "" {
		var err error
		if years, err = strconv.Atoi(value); err != nil || years < 1 || years > maxRetainYears {
			e.fail("TOLLBOOK_WITNESS_S3_RETAIN_YEARS", "should be how many years a head is locked, from 1 to 100")
		}
	}
	cfg.Retain = time.Duration(years) * 366 * day
	if cfg.Endpoint == nil || cfg.AccessKey == "" {
		return
	}
	store, err := attest.NewObjects(cfg, time.Now)
	if err != nil {
		e.fail("TOLLBOOK_S3_ENDPOINT", fault.From(err).Message)
		return
	}
	s.Witnesses = append(s.Witnesses, store)
}

// address reads an https address, or one of http on loopback.
func (e *environment) address(name, like string) *url.URL {
	u, err := url.Parse(e.need(name, "an https address like "+like))
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname()))) {
		e.fail(name, "should be an https address like "+like)
		return nil
	}
	return u
}

// otherLogs reads pairs of a key and an address.
func (e *environment) otherLogs(s *settings) {
	value := e.text("TOLLBOOK_WITNESS_LOGS")
	if value == "" {
		return
	}
	const should = "should be pairs of a witness' cosignature key and the address before /add-checkpoint, like \"witness.example/w1+1a2b3c4d+BAAA… https://witness.example/w1\", with commas between pairs, at most 10"
	pairs := strings.Split(value, ",")
	if len(pairs) > maxOtherLogs {
		e.fail("TOLLBOOK_WITNESS_LOGS", should)
		return
	}
	for _, pair := range pairs {
		parts := strings.Fields(pair)
		if len(parts) != 2 {
			e.fail("TOLLBOOK_WITNESS_LOGS", should)
			return
		}
		key, err := witness.ParseCosigner(parts[0])
		u, err2 := url.Parse(parts[1])
		if err != nil || err2 != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname()))) {
			e.fail("TOLLBOOK_WITNESS_LOGS", should)
			return
		}
		s.Witnesses = append(s.Witnesses, attest.NewOtherLog(u, key))
	}
}

// timestamps reads an authority and the roots its answers must lead to.
func (e *environment) timestamps(s *settings) {
	if e.text("TOLLBOOK_WITNESS_TSA") == "" {
		return
	}
	const should = "should hold the certificates, in PEM, that the timestamp authority's answers must lead to"
	value := e.text("TOLLBOOK_WITNESS_TSA")
	u, err := url.Parse(value) // plain http is usual there: the answer is signed, and the question is a digest
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		e.fail("TOLLBOOK_WITNESS_TSA", "should be the address of a timestamp authority (RFC 3161), like http://timestamp.example.com/tsr")
		return
	}
	roots, n, err := witness.Roots([]byte(e.need("TOLLBOOK_WITNESS_TSA_ROOTS", "the certificates, in PEM, that the authority's answers must lead to (usually as TOLLBOOK_WITNESS_TSA_ROOTS_FILE)")))
	if err != nil || n == 0 {
		e.fail("TOLLBOOK_WITNESS_TSA_ROOTS", should)
		return
	}
	s.Witnesses = append(s.Witnesses, attest.NewClock(u, roots))
}
