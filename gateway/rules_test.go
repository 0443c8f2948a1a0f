package gateway_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
	"tollbook/gateway"
)

// rule stores rules as an applied change does, and tells gateways.
func (h *house) rule(t *testing.T, slug string, from time.Time, rules func(node func(code string) id.Node) string) {
	t.Helper()
	var change id.Change
	require.NoError(t, h.clone.Admin(t).QueryRow(`select change_id from change where tenant_id = $1 limit 1`, h.tenant[slug]).Scan(&change))
	require.NoError(t, h.clone.InTenant(t.Context(), h.tenant[slug], func(tx *db.Tx) error {
		versions, err := tx.NodeVersions()
		require.NoError(t, err)
		tree, err := hierarchy.Build(versions, tx.Now, time.Time{})
		require.NoError(t, err)
		document := rules(func(code string) id.Node {
			v, ok := tree.Code(code)
			require.True(t, ok)
			return v.Node
		})
		_, err = tx.AddRuleVersion([]byte(document), 1, from, change)
		tx.Notify()
		return err
	}))
}

func TestRulesPlaceWhatMeetsTheirConditions(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	follow(t, h.snapshots)
	h.rule(t, "one", time.Now().Add(-time.Minute), func(node func(string) id.Node) string {
		return fmt.Sprintf(`{"rules":[{"code":"percept","name":"n","when":[{"field":"tag","tag":"team","is":["percept*"]},{"field":"model","is":["claude-opus-5-5"]}],
			"to":[{"node":%q,"ppm":333333},{"node":%q,"ppm":666667}]}]}`, node("CC-1"), node("P-1"))
	})
	require.Eventually(t, func() bool { return h.snapshots.Current().Tenants["one"].Rules == 1 }, 10*time.Second, time.Millisecond)
	tagged := func(r *http.Request) { r.Header.Set("X-Tollbook-Tags", `{"team":"perception"}`) }
	res := h.post(t, "one", question, tagged)
	require.Equal(t, "CC-1,P-1", res.Header.Get("X-Tollbook-Cost-Center"))
	require.Equal(t, "CC-1", h.post(t, "one", question).Header.Get("X-Tollbook-Cost-Center"))
	require.Equal(t, "CC-1", h.post(t, "two", question, tagged).Header.Get("X-Tollbook-Cost-Center"), "another company's rules are its own")
	rows := h.rows(t, "one", 2)
	split, plain := rows[1], rows[0]
	require.Equal(t, "rule:percept", split.Rule)
	require.EqualValues(t, 1, split.RuleVersion)
	require.False(t, split.Change.IsZero())
	require.Equal(t, "0.004666662000", split.Allocations[0].Amount.String())
	require.Equal(t, "0.009333338000", split.Allocations[1].Amount.String())
	require.Equal(t, "key", plain.Rule)
	require.EqualValues(t, 1, plain.RuleVersion)
	require.False(t, plain.Change.IsZero(), "what gave the key its cost center")
	require.Zero(t, h.rows(t, "two", 1)[0].RuleVersion)
}

// TestARuleOnTimeGoesByTheInstantOfTheRow: of a request that comes just before the hour
// and begins just after, the row's hour decides.
func TestARuleOnTimeGoesByTheInstantOfTheRow(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	hour := time.Now().UTC().Truncate(time.Hour)
	h.rule(t, "one", hour.Add(-time.Hour), func(node func(string) id.Node) string {
		next := hour.Add(time.Hour).Hour()
		return fmt.Sprintf(`{"rules":[{"code":"next","name":"n","when":[{"field":"hours","is":["%d-%d"]}],"to":[{"node":%q,"ppm":1000000}]}]}`, next, (next+1)%24, node("P-1"))
	})
	// The clock passes the hour at a certain look: before the request is attributed, between
	// that and its beginning, or after. Snapshots are loaded by another clock.
	var looks, last atomic.Int64
	clock := func() time.Time {
		if looks.Add(1) <= last.Load() {
			return hour.Add(time.Hour - time.Millisecond)
		}
		return hour.Add(time.Hour + time.Millisecond)
	}
	g := h.replica(t, clock, func(c *gateway.Config) { c.Now = clock })
	steps := []int64{0, 1, 2, 3, 4, 6, 8, 12, 20, 40, 1 << 40} // looks; others look, too
	for _, after := range steps {
		last.Store(looks.Load() + after)
		require.Equal(t, http.StatusOK, g.post(t, "one", question).StatusCode)
	}
	seen := map[string]bool{}
	for _, row := range h.rows(t, "one", len(steps)) {
		want := "key"
		if row.OccurredAt.Hour() == hour.Add(time.Hour).Hour() {
			want = "rule:next"
		}
		require.Equal(t, want, row.Rule, row.OccurredAt)
		seen[row.Rule] = true
	}
	require.Len(t, seen, 2, "the hour passed before some and after others")
}
