package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
)

func TestTracingIsConfiguredOrRefused(t *testing.T) {
	t.Parallel()
	read := func(endpoint, sample string) (settings, string) {
		s, err := readSettings(func(name string) (string, bool) {
			switch {
			case name == "TOLLBOOK_OTLP_ENDPOINT" && endpoint != "":
				return endpoint, true
			case name == "TOLLBOOK_TRACE_SAMPLE" && sample != "":
				return sample, true
			}
			return "", false
		}, []string{"web"})
		return s, err.Error() // the rest is not configured
	}
	s, fault := read("", "")
	require.Nil(t, s.OTLPEndpoint)
	require.InDelta(t, 0.01, s.TraceSample, 0)
	require.NotContains(t, fault, "TRACE")
	s, fault = read("https://collector.example.com/v1/traces", "0.5")
	require.Equal(t, "https://collector.example.com/v1/traces", s.OTLPEndpoint.String())
	require.InDelta(t, 0.5, s.TraceSample, 0)
	require.NotContains(t, fault, "OTLP")
	for _, bad := range []string{"2", "-0.1", "NaN", "half", "1e400"} {
		_, fault = read("", bad)
		require.Contains(t, fault, "TOLLBOOK_TRACE_SAMPLE should be the part of requests to trace", bad)
	}
	for _, bad := range []string{"collector:4318", "grpc://collector:4317", "http://user:pass@collector", "http://collector?key=x", "%"} {
		_, fault = read(bad, "")
		require.Contains(t, fault, "TOLLBOOK_OTLP_ENDPOINT should be the address", bad)
		require.NotContains(t, fault, "user:pass")
	}
}

func TestOperatorsAreConfiguredOrRefused(t *testing.T) {
	t.Parallel()
	read := func(value string) (settings, string) {
		s, err := readSettings(func(name string) (string, bool) { return value, name == "TOLLBOOK_OPERATORS" }, []string{"web"})
		return s, err.Error() // the rest is not configured
	}
	s, fault := read("https://login.example.com 00u1, https://login.example.com 00u2")
	require.Len(t, s.Operators, 2)
	require.NotContains(t, fault, "OPERATORS")
	s, fault = read("")
	require.Empty(t, s.Operators)
	require.NotContains(t, fault, "OPERATORS")
	_, fault = read("olu@example.com")
	require.Contains(t, fault, `TOLLBOOK_OPERATORS should be pairs of an issuer and a subject there, like "https://login.example.com 00u1ab2cd"`)
	require.Contains(t, fault, `"olu@example.com" is not an issuer and a subject`)
}

func TestSignUpIsConfiguredWhollyOrRefused(t *testing.T) {
	t.Parallel()
	read := func(values map[string]string) (settings, string) {
		s, err := readSettings(func(name string) (string, bool) { value, ok := values[name]; return value, ok }, []string{"web"})
		return s, err.Error() // the rest is not configured
	}
	s, fault := read(nil)
	require.Nil(t, s.SignUp, "off unless it is turned on")
	require.NotContains(t, fault, "SIGN_UP")
	whole := map[string]string{
		"TOLLBOOK_SIGN_UP_ISSUER": "https://login.example.com/realms/all", "TOLLBOOK_SIGN_UP_CLIENT_ID": "tollbook", "TOLLBOOK_SIGN_UP_CLIENT_SECRET": "very-secret",
	}
	with := func(name, value string) map[string]string {
		changed := map[string]string{}
		maps.Copy(changed, whole)
		if changed["TOLLBOOK_SIGN_UP_"+name] = value; value == "" {
			delete(changed, "TOLLBOOK_SIGN_UP_"+name)
		}
		return changed
	}
	s, fault = read(whole)
	require.NotContains(t, fault, "SIGN_UP")
	require.Equal(t, "login.example.com", s.SignUp.Issuer.Name)
	require.Equal(t, "very-secret", s.SignUp.Issuer.Secret.Reveal())
	require.Equal(t, []string{"https://api.anthropic.com"}, s.SignUp.Upstreams)
	require.Equal(t, []int{app.SignUpPerPerson, app.SignUpPerDay}, []int{s.SignUp.PerPerson, s.SignUp.PerDay})
	require.Empty(t, s.SignUp.Domains)
	require.NotContains(t, fmt.Sprintf("%v %+v", s.SignUp, s.SignUp.Issuer), "very-secret")
	s, _ = read(with("DOMAINS", "Example.com, example.org"))
	require.Equal(t, []string{"example.com", "example.org"}, s.SignUp.Domains)
	s, _ = read(with("PER_PERSON", "7"))
	require.Equal(t, 7, s.SignUp.PerPerson)

	for _, name := range []string{"ISSUER", "CLIENT_ID", "CLIENT_SECRET"} {
		s, fault = read(with(name, ""))
		require.Nil(t, s.SignUp)
		require.Contains(t, fault, "TOLLBOOK_SIGN_UP_"+name+" is not set, and TOLLBOOK_SIGN_UP_")
		require.Contains(t, fault, "Sign-up needs issuer, client id and client secret")
		require.NotContains(t, fault, "very-secret")
	}
	_, fault = read(map[string]string{"TOLLBOOK_SIGN_UP_DOMAINS": "example.com"})
	for _, name := range []string{"ISSUER", "CLIENT_ID", "CLIENT_SECRET"} {
		require.Contains(t, fault, "TOLLBOOK_SIGN_UP_"+name+" is not set, and TOLLBOOK_SIGN_UP_DOMAINS is")
	}
	for name, bad := range map[string]string{
		"ISSUER": "http://login.example.com", "DOMAINS": "not a domain!", "UPSTREAMS": "ftp://files", "PER_PERSON": "none", "PER_DAY": "0", "CLIENT_ID": strings.Repeat("x", 600),
	} {
		_, fault = read(with(name, bad))
		require.Contains(t, fault, "TOLLBOOK_SIGN_UP_"+name, bad)
		require.NotContains(t, fault, "very-secret")
	}
}

func TestMailIsConfiguredOrRefused(t *testing.T) {
	t.Parallel()
	read := func(url, private string) (settings, string) {
		s, err := readSettings(func(name string) (string, bool) {
			switch {
			case name == "TOLLBOOK_SMTP_URL" && url != "":
				return url, true
			case name == "TOLLBOOK_WEBHOOK_ALLOW_PRIVATE" && private != "":
				return private, true
			}
			return "", false
		}, []string{"web"})
		return s, err.Error() // the rest is not configured
	}
	s, fault := read("", "")
	require.Nil(t, s.SMTP, "no mail leaves unless a server is named")
	require.False(t, s.PrivateHooks)
	require.NotContains(t, fault, "SMTP")
	s, fault = read("smtps://user:p4ssword@mail.example.com?from=Books%20%3Cbooks@example.com%3E", "true")
	require.NotContains(t, fault, "SMTP")
	require.True(t, s.PrivateHooks)
	require.Equal(t, []any{"mail.example.com", 465, "p4ssword", "books@example.com"}, []any{s.SMTP.Host, s.SMTP.Port, s.SMTP.Password.Reveal(), s.SMTP.From.Address})
	require.NotContains(t, fmt.Sprintf("%v %+v", s.SMTP, *s.SMTP), "p4ssword")
	for _, bad := range []string{"mail.example.com", "smtp://user:p4ssword@mail.example.com", "smtp://user:p4ssword@mail.example.com?from=x@y.test&starttls=none", "http://p4ssword@mail"} {
		_, fault = read(bad, "")
		require.Contains(t, fault, "TOLLBOOK_SMTP_URL should be like smtps://user:password@mail.example.com:465?from=tollbook@example.com", bad)
		require.NotContains(t, fault, "p4ssword")
	}
	_, fault = read("", "perhaps")
	require.Contains(t, fault, "TOLLBOOK_WEBHOOK_ALLOW_PRIVATE should be true where companies' own systems are in a private network, or false")
}
