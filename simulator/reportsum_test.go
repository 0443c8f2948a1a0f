package simulator

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// random books n requests of every kind, over the day before noon.
func random(t *testing.T, sim *Simulator, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	one := func(words ...string) string { return words[rng.IntN(len(words))] }
	few := func() Tokens {
		return Tokens{rng.Int64N(250_000), rng.Int64N(9000), rng.Int64N(9000), rng.Int64N(9000), rng.Int64N(90_000)}
	}
	_, err := sim.Import(func(yield func(Fact) bool) {
		for i := range n {
			f := Fact{
				RequestID: fmt.Sprint("r", i), OccurredAt: noon().Add(-time.Duration(rng.Int64N(int64(24 * time.Hour)))), Model: one("claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-4-6"),
				KeyHint: one("k1", "k2", ""), WorkspaceID: one("", "wrkspc_2"), Speed: one("standard", "fast"), ServiceTier: one("standard", "batch"),
				InferenceGeo: one("global", "us"), Tokens: few(), WebSearchRequests: rng.Int64N(3), Refused: rng.IntN(9) == 0, Status: []int{200, 200, 200, 529}[rng.IntN(4)],
				CreditRedeemed: rng.IntN(9) == 0,
			}
			if rng.IntN(5) == 0 {
				f.Iterations = []Iteration{{Kind: "advisor_message", Model: "claude-fable-5-2", Tokens: few()}, {Kind: "message", Model: "claude-opus-5", Tokens: few(), Free: true}}
			}
			if !yield(f) {
				return
			}
		}
	})
	require.NoError(t, err)
}

// integer reads a decimal of cents or dollars as an integer of its last place.
func integer(t *testing.T, amount string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(strings.ReplaceAll(amount, ".", ""), 10)
	require.True(t, ok, amount)

	return n
}

// However a report is cut, its list amounts add up to the books to the last
// pico-dollar, and its counts do.
func TestReportsAddUpToTheBooks(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{DiscountBps: 777})
	random(t, sim, 400)
	books := decode[struct{ Amount string }](t, call(t, sim, http.MethodGet, "/books/totals", "", nil).Body.Bytes())
	want := integer(t, books.Amount)
	require.Positive(t, want.Sign())
	const span = "?starting_at=2026-11-22T12:00:00Z&ending_at=2026-11-23T12:00:00Z&limit=1000"
	var tokens, requests int64
	for i, query := range []string{
		"", "&time_bucket_width=1d", "&time_bucket_width=1h&group_by[]=model&group_by[]=api_key_id", "&time_bucket_width=1m",
		"&group_by[]=api_key_id&group_by[]=model&group_by[]=service_tier&group_by[]=speed&group_by[]=inference_geo",
		"&group_by[]=workspace_id&group_by[]=context_window&group_by[]=actor",
	} {
		for _, types := range []string{"", "&group_by[]=cost_type", "&group_by[]=cost_type&group_by[]=token_type"} {
			sum := new(big.Int)
			for _, row := range reportOf(t, sim, costReportPath+span+query+types).Data {
				sum.Add(sum, integer(t, row.Cost.ListAmount))
			}
			require.Equal(t, want.String(), sum.String(), query+types)
		}
		var sumTokens, sumRequests int64
		for _, row := range reportOf(t, sim, usageReportPath+span+query).Data {
			sumTokens += row.Usage.Total
			sumRequests += row.Usage.Requests
		}
		if i == 0 {
			tokens, requests = sumTokens, sumRequests
			require.Positive(t, requests)
		}
		require.Equal(t, []int64{tokens, requests}, []int64{sumTokens, sumRequests}, query)
	}
	for _, query := range []string{"", "&group_by[]=workspace_id", "&group_by[]=description", "&group_by[]=description&group_by[]=workspace_id"} {
		sum := new(big.Int)
		for _, bucket := range legacyOf(t, sim, legacyCostPath+"?starting_at=2026-11-22&ending_at=2026-11-24"+query).Data {
			for _, r := range bucket.Results {
				sum.Add(sum, integer(t, r["amount"].(string)))
			}
		}
		require.Equal(t, want.String(), sum.String(), query)
	}
}

// Whatever is planted is refused or leaves reports that can be read.
func FuzzPlant(f *testing.F) {
	for _, seed := range []string{
		`{"class":"tokens","request_id":"r0","token_class":"output","delta":-50}`, `{"class":"price","day":"2026-11-23","bps":100000}`,
		`{"class":"extra","occurred_at":"2026-11-23T05:00:00Z","model":"claude-x","tokens":{"input":100000000}}`, `{"class":"missing","day":"2026-11-23"}`,
		`{"class":"credit","occurred_at":"2026-11-23T05:00:00Z","amount_pico":100000000000000000}`, `{"class":"fee"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		sim, err := Open(Config{Dir: t.TempDir(), Now: noon})
		require.NoError(t, err)
		_, err = sim.Import(func(yield func(Fact) bool) {
			yield(Fact{RequestID: "r0", Model: "claude-opus-5-5", OccurredAt: noon().Add(-time.Hour), Tokens: Tokens{Input: 1000, Output: 100}})
		})
		require.NoError(t, err)
		for range 3 { // plants stack
			rec := httptest.NewRecorder()
			sim.Handler().ServeHTTP(rec, newCall(t, http.MethodPost, "/books/plant", string(raw), nil))
			require.Contains(t, []int{200, 400}, rec.Code)
		}
		for _, path := range []string{
			usageReportPath + "?starting_at=2026-11-23", costReportPath + "?starting_at=2026-11-23&group_by[]=cost_type&group_by[]=token_type",
			legacyCostPath + "?starting_at=2026-11-23&group_by[]=description", legacyUsagePath + "?starting_at=2026-11-23",
		} {
			rec := call(t, sim, http.MethodGet, path, "", admin())
			require.Equal(t, 200, rec.Code, rec.Body.String())
			require.True(t, json.Valid(rec.Body.Bytes()))
		}
		require.NoError(t, sim.Close())
	})
}
