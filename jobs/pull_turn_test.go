package jobs_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/provider"
)

// TestASlowCompanyHoldsUpNoOther: its provider does not answer at all, for any of its days, and
// is asked for one of them at a time. The other company's days are pulled meanwhile.
func TestASlowCompanyHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	h := build(t)
	let := make(chan struct{})
	var waiting, most atomic.Int64
	slow := newVendor(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/organizations/analytics/") {
				n := waiting.Add(1)
				defer waiting.Add(-1)
				most.Store(max(most.Load(), n))
				<-let
			}
			next.ServeHTTP(w, r)
		})
	})
	quick := newVendor(t, nil)
	for n := 1; n <= 6; n++ {
		slow.traffic(t, ago(n), 20, 1)
		quick.traffic(t, ago(n), 20, 1)
	}
	h.from(t, h.one, slow.url, ago(0))
	h.from(t, h.two, quick.url, ago(0))
	for n := 1; n <= 6; n++ {
		h.ask(t, h.one, ago(n))
	}
	h.work(t, false)
	require.Eventually(t, func() bool { return waiting.Load() > 0 }, 60*time.Second, 20*time.Millisecond)
	h.ask(t, h.two, ago(1), ago(2))
	for n := 1; n <= 2; n++ {
		h.pulled(t, h.two, provider.Cost, ago(n), 0)
	}
	require.EqualValues(t, 1, waiting.Load())
	close(let)
	for n := 1; n <= 6; n++ {
		h.pulled(t, h.one, provider.Cost, ago(n), 0)
		agree(t, slow, h.figures(t, h.one, ago(n)), ago(n))
	}
	require.EqualValues(t, 1, most.Load())
}
