package main

import (
	"testing"

	"github.com/stretchr/testify/require"
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
