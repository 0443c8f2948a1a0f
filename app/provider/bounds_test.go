package provider_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/fault"
	"tollbook/app/provider"
)

// TestAReportHasABoundInBytes: pages that are mostly blank, each as large as one may be.
func TestAReportHasABoundInBytes(t *testing.T) {
	t.Parallel()
	r := provider.Begin(provider.Organization, provider.Keys, monday())
	for n := range provider.MaxBytes / provider.MaxPageBytes {
		page := fmt.Sprintf(`{"data":[{"id":"apikey_%d","name":"x"}],"has_more":true,"last_id":"apikey_%d"}`, n, n)
		page += strings.Repeat(" ", provider.MaxPageBytes-len(page))
		require.NoError(t, r.Room([]byte(page)))
		require.NoError(t, r.Read([]byte(page)))
	}
	last := []byte(`{"data":[],"has_more":false}`)
	require.Equal(t, "bytes_many", fault.From(r.Room(last)).Code)
	require.Equal(t, "bytes_many", fault.From(r.Read(last)).Code)
}

// TestWhoFailsIsAskedMoreSeldom, and at least once a day.
func TestWhoFailsIsAskedMoreSeldom(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		0: 15 * time.Minute, 4: 15 * time.Minute, 5: 30 * time.Minute, 8: 30 * time.Minute, 9: time.Hour, 28: 16 * time.Hour, 29: 24 * time.Hour, 1 << 40: 24 * time.Hour,
	} {
		require.Equal(t, want, provider.RetryAfter(failures), failures)
	}
	terms := provider.Terms{FirstDay: monday(), Lag: 24 * time.Hour, Repull: 30}
	tried := provider.Pulled{Tried: monday().Add(30 * time.Hour), Failures: 9}
	require.False(t, terms.Due(monday(), tried, tried.Tried.Add(59*time.Minute)))
	require.True(t, terms.Due(monday(), tried, tried.Tried.Add(time.Hour)))
}
