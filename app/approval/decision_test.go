package approval_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
)

func TestWhoMayDecideWhat(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	maker, checker := id.NewPerson(at), id.NewPerson(at)
	c := proposed(t)
	c.Maker = "mem_maker"
	for _, try := range []struct {
		name    string
		by      approval.Checker
		maker   approval.Maker
		verdict approval.Verdict
		state   approval.State
		basis   approval.Basis
		code    string
	}{
		{"a second person approves", approval.Checker{ID: "mem_b", Person: checker}, approval.Maker{maker}, approval.VerdictApprove, approval.StateApproved, approval.BasisSecond, ""},
		{"a second person rejects", approval.Checker{ID: "mem_b", Person: checker}, approval.Maker{maker}, approval.VerdictReject, approval.StateRejected, approval.BasisSecond, ""},
		{"the product's own", approval.Checker{ID: "mem_b", Person: checker}, nil, approval.VerdictApprove, approval.StateApproved, approval.BasisSecond, ""},
		{"the same account", approval.Checker{ID: "mem_maker", Person: checker, Others: 1}, nil, approval.VerdictApprove, "", "", "self_approval"},
		{"another account of the same person", approval.Checker{ID: "mem_b", Person: maker, Others: 1}, approval.Maker{maker}, approval.VerdictApprove, "", "", "self_approval"},
		{"the person behind the token", approval.Checker{ID: "mem_b", Person: maker, Others: 3}, approval.Maker{checker, maker}, approval.VerdictApprove, "", "", "self_approval"},
		{"nobody else could", approval.Checker{ID: "mem_maker", Person: maker}, approval.Maker{maker}, approval.VerdictApprove, approval.StateApproved, approval.BasisSole, ""},
		{"a maker takes it back", approval.Checker{ID: "mem_maker", Person: maker, Others: 1}, approval.Maker{maker}, approval.VerdictReject, approval.StateRejected, approval.BasisWithdrawn, ""},
		{"no person", approval.Checker{ID: "tok_x"}, approval.Maker{maker}, approval.VerdictApprove, "", "", "tokens_never_decide"},
		{"no verdict", approval.Checker{ID: "mem_b", Person: checker}, nil, "maybe", "", "", "verdict_unknown"},
	} {
		moved, basis, err := c.Decide(try.by, try.maker, try.verdict, c.Digest, "as agreed")
		if try.code != "" {
			require.Equal(t, try.code, fault.From(err).Code, try.name)
			continue
		}
		require.NoError(t, err, try.name)
		require.Equal(t, try.state, moved.State, try.name)
		require.Equal(t, try.basis, basis, try.name)
	}
}

func TestADecisionIsAboutOneContentAndSaysWhy(t *testing.T) {
	t.Parallel()
	by := approval.Checker{ID: "mem_b", Person: id.NewPerson(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))}
	c := proposed(t)
	_, _, err := c.Decide(by, nil, approval.VerdictApprove, [32]byte{1}, "why")
	require.ErrorIs(t, err, approval.ErrDigest)
	for _, reason := range []string{"", " ", strings.Repeat("x", 2001)} {
		_, _, err = c.Decide(by, nil, approval.VerdictApprove, c.Digest, reason)
		require.Equal(t, "reason_missing", fault.From(err).Code)
	}
	done, _, err := c.Decide(by, nil, approval.VerdictReject, c.Digest, "why")
	require.NoError(t, err)
	_, _, err = done.Decide(by, nil, approval.VerdictApprove, done.Digest, "second thoughts")
	require.Equal(t, "change_state", fault.From(err).Code)
}
