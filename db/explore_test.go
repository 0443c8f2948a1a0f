package db_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/money"
	"tollbook/db/dbtest"
)

// TestTheDatabaseSplitsAsTheLedgerDoes compares split_share with money.Split.
func TestTheDatabaseSplitsAsTheLedgerDoes(t *testing.T) {
	t.Parallel()
	admin := dbtest.New(t).Admin(t)
	rapid.Check(t, func(r *rapid.T) {
		total := rapid.Int64Range(0, 1<<50).Draw(r, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1_000_000), 1, 6).Draw(r, "weights")
		weights[0]++ // at least one above zero
		want, err := money.Split(total, weights)
		if err != nil {
			r.Fatal(err)
		}
		var parts []map[string]int64
		for _, w := range weights {
			parts = append(parts, map[string]int64{"ppm": w})
		}
		document, err := json.Marshal(parts)
		if err != nil {
			r.Fatal(err)
		}
		for i := range weights {
			var got int64
			if err := admin.QueryRow(`select split_share($1, $2::jsonb, $3)`, total, document, i+1).Scan(&got); err != nil {
				r.Fatal(err)
			}
			if got != want[i] {
				r.Fatalf("part %d of %d by %v: %d, the ledger says %d", i+1, total, weights, got, want[i])
			}
		}
	})
	var none *int64
	require.NoError(t, admin.QueryRow(`select split_share(5, '[{"ppm": 1}]', 2)`).Scan(&none))
	require.Nil(t, none)
}
