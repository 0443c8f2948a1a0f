package app_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
)

// BenchmarkDecide has twenty persons decide at once, each about changes of their own: what
// is measured is a decision whole, with policy, duties, the change applied, its record, and
// the place of each record in the log.
func BenchmarkDecide(b *testing.B) {
	const deciders = 20
	h := build(b)
	owner := h.person(b, h.one, app.RoleEngineeringAdmin, "maker")
	fin := h.person(b, h.one, app.RoleFinanceAdmin, "fin")
	var people []app.Actor
	for i := range deciders {
		people = append(people, h.person(b, h.one, app.RoleController, fmt.Sprintf("cfo-%d", i)))
	}
	adopted, err := h.approvals.Propose(b.Context(), fin, policy(`{"code":"keys","kinds":["key"],`+oneStep+`}`), "")
	require.NoError(b, err)
	_, err = h.approvals.Decide(b.Context(), people[0], adopted.ID, approval.VerdictApprove, adopted.Digest, "to test")
	require.NoError(b, err)
	_, err = h.audit.Sequence(b.Context(), h.one.tenant)
	require.NoError(b, err)

	waiting := make([]approval.Change, b.N)
	for i := range waiting {
		made, err := h.keys.Create(b.Context(), owner, app.NewKey{Label: fmt.Sprintf("k-%d", i), CostCenter: "CC-2"}, "to test")
		require.NoError(b, err)
		waiting[i] = made.Change
	}
	next := make(chan approval.Change, len(waiting))
	for _, c := range waiting {
		next <- c
	}
	close(next)
	b.ResetTimer()
	var all sync.WaitGroup
	for _, who := range people {
		all.Go(func() {
			for c := range next {
				if _, err := h.approvals.Decide(b.Context(), who, c.ID, approval.VerdictApprove, c.Digest, "as shown"); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	_, err = h.audit.Sequence(b.Context(), h.one.tenant)
	require.NoError(b, err)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}
