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

// waits is a proposed change held to the policy that holds without anybody's say.
func waits(t *testing.T, maker ...id.Person) *approval.Case {
	t.Helper()
	c := proposed(t)
	c.Maker = "mem_maker"
	return &approval.Case{Change: c, Policy: approval.Default(approval.FloorSecond), Floor: approval.FloorSecond, Maker: maker}
}

func (r ruling) on(c *approval.Case, by approval.Checker) (approval.Outcome, error) {
	return c.Decide(by, approval.Ruling{Verdict: approval.Verdict(r), Seen: c.Digest, Reason: "as agreed"})
}

type ruling approval.Verdict

const (
	approve = ruling(approval.VerdictApprove)
	reject  = ruling(approval.VerdictReject)
)

func TestWhoMayDecideWhat(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	maker, checker, absent := id.NewPerson(at), id.NewPerson(at), id.NewPerson(at)
	first := []int{0}
	for _, try := range []struct {
		name    string
		by      approval.Checker
		maker   approval.Maker
		verdict ruling
		floor   approval.Floor
		state   approval.State
		basis   approval.Basis
		code    string
	}{
		{"a second person approves", approval.Checker{ID: "mem_b", Person: checker, Steps: first}, approval.Maker{maker}, approve, approval.FloorSecond, approval.StateApproved, approval.BasisSecond, ""},
		{"a second person rejects", approval.Checker{ID: "mem_b", Person: checker, Steps: first}, approval.Maker{maker}, reject, approval.FloorSecond, approval.StateRejected, approval.BasisSecond, ""},
		{"the product's own", approval.Checker{ID: "mem_b", Person: checker, Steps: first}, nil, approve, approval.FloorSecond, approval.StateApproved, approval.BasisSecond, ""},
		{"the same account", approval.Checker{ID: "mem_maker", Person: checker, Others: 1, Steps: first}, nil, approve, approval.FloorSecond, "", "", "self_approval"},
		{"another account of the same person", approval.Checker{ID: "mem_b", Person: maker, Others: 1, Steps: first}, approval.Maker{maker}, approve, approval.FloorSecond, "", "", "self_approval"},
		{"the person behind the token", approval.Checker{ID: "mem_b", Person: maker, Others: 3, Steps: first}, approval.Maker{checker, maker}, approve, approval.FloorSecond, "", "", "self_approval"},
		{"for the maker", approval.Checker{ID: "mem_b", Person: checker, For: maker, Steps: first}, approval.Maker{maker}, approve, approval.FloorSecond, "", "", "self_approval"},
		{"for the maker, a rejection", approval.Checker{ID: "mem_b", Person: checker, For: maker, Steps: first}, approval.Maker{maker}, reject, approval.FloorSecond, "", "", "self_approval"},
		{"the maker for somebody", approval.Checker{ID: "mem_maker", Person: maker, For: absent, Steps: first}, approval.Maker{maker}, approve, approval.FloorSecond, "", "", "self_approval"},
		{"for somebody", approval.Checker{ID: "mem_b", Person: checker, For: absent, Steps: first}, approval.Maker{maker}, approve, approval.FloorSecond, approval.StateApproved, approval.BasisSecond, ""},
		{"nobody else could", approval.Checker{ID: "mem_maker", Person: maker, Steps: first}, approval.Maker{maker}, approve, approval.FloorSecond, approval.StateApproved, approval.BasisSole, ""},
		{"nobody else could, of a kind for two", approval.Checker{ID: "mem_maker", Person: maker, Steps: first}, approval.Maker{maker}, approve, approval.FloorPair, "", "", "pair_needed"},
		{"nobody could, a maker least of all", approval.Checker{ID: "mem_maker", Person: maker}, approval.Maker{maker}, approve, approval.FloorSecond, "", "", "not_asked"},
		{"a maker takes it back", approval.Checker{ID: "mem_maker", Person: maker, Others: 1}, approval.Maker{maker}, reject, approval.FloorSecond, approval.StateRejected, approval.BasisWithdrawn, ""},
		{"who is not asked", approval.Checker{ID: "mem_b", Person: checker}, approval.Maker{maker}, approve, approval.FloorSecond, "", "", "not_asked"},
		{"who is not asked, a rejection", approval.Checker{ID: "mem_b", Person: checker}, approval.Maker{maker}, reject, approval.FloorSecond, "", "", "not_asked"},
		{"no person", approval.Checker{ID: "tok_x", Steps: first}, approval.Maker{maker}, approve, approval.FloorSecond, "", "", "tokens_never_decide"},
		{"no verdict", approval.Checker{ID: "mem_b", Person: checker, Steps: first}, nil, "maybe", approval.FloorSecond, "", "", "verdict_unknown"},
	} {
		c := waits(t, try.maker...)
		c.Floor = try.floor
		out, err := try.verdict.on(c, try.by)
		if try.code != "" {
			require.Equal(t, try.code, fault.From(err).Code, try.name)
			continue
		}
		require.NoError(t, err, try.name)
		require.Equal(t, try.state, out.State, try.name)
		require.Equal(t, try.basis, out.Basis, try.name)
	}
}

func TestADecisionIsAboutOneContentAndSaysWhy(t *testing.T) {
	t.Parallel()
	by := approval.Checker{ID: "mem_b", Person: id.NewPerson(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)), Steps: []int{0}}
	c := waits(t)
	_, err := c.Decide(by, approval.Ruling{Verdict: approval.VerdictApprove, Seen: [32]byte{1}, Reason: "why"})
	require.ErrorIs(t, err, approval.ErrDigest)
	for _, reason := range []string{"", " ", strings.Repeat("x", 2001)} {
		_, err = c.Decide(by, approval.Ruling{Verdict: approval.VerdictApprove, Seen: c.Digest, Reason: reason})
		require.Equal(t, "reason_missing", fault.From(err).Code)
	}
	done, err := reject.on(c, by)
	require.NoError(t, err)
	c.Change = done.Change
	_, err = approve.on(c, by)
	require.Equal(t, "change_state", fault.From(err).Code)
}

// TestStepsAreTakenByDifferentPersons walks a policy of two steps, the second of two persons.
func TestStepsAreTakenByDifferentPersons(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	var p [5]id.Person
	for i := range p {
		p[i] = id.NewPerson(at)
	}
	c := waits(t, p[0])
	c.Policy.Steps = []approval.Step{{Name: "Owner", Quorum: 1, Who: []approval.Approver{{Owner: true}}}, {Name: "Finance", Quorum: 2, Who: []approval.Approver{{Role: "finance_admin"}}}}
	vote := func(by approval.Checker) (approval.Outcome, error) {
		out, err := approve.on(c, by)
		if err == nil {
			c.Votes = append(c.Votes, approval.Vote{Step: out.Step, Person: by.Person, For: by.For})
		}
		return out, err
	}
	_, err := vote(approval.Checker{ID: "f1", Person: p[1], Steps: []int{1}, Others: 3})
	require.ErrorIs(t, err, approval.ErrNotYet, "finance comes second")
	out, err := vote(approval.Checker{ID: "o", Person: p[2], Steps: []int{0, 1}, Others: 3})
	require.NoError(t, err)
	require.Equal(t, approval.StateProposed, out.State)
	require.Equal(t, []int{1}, c.Turn())
	_, err = vote(approval.Checker{ID: "o", Person: p[2], Steps: []int{0, 1}, Others: 3})
	require.ErrorIs(t, err, approval.ErrTwice, "one person is one step")
	_, err = vote(approval.Checker{ID: "f1", Person: p[1], For: p[2], Steps: []int{1}, Others: 3})
	require.ErrorIs(t, err, approval.ErrTwice, "not for who decided either")
	out, err = vote(approval.Checker{ID: "f1", Person: p[1], For: p[3], Steps: []int{1}, Others: 3})
	require.NoError(t, err)
	require.Equal(t, approval.StateProposed, out.State, "one of two")
	_, err = vote(approval.Checker{ID: "f2", Person: p[3], Steps: []int{1}, Others: 3})
	require.ErrorIs(t, err, approval.ErrTwice, "somebody decided for them")
	out, err = vote(approval.Checker{ID: "f3", Person: p[4], Steps: []int{1}, Others: 3})
	require.NoError(t, err)
	require.Equal(t, approval.StateApproved, out.State)
	require.Empty(t, c.Turn())
}

func TestStepsSideBySideAreTakenInAnyOrder(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	c := waits(t, id.NewPerson(at))
	c.Policy.Parallel = true
	c.Policy.Steps = []approval.Step{{Name: "a", Quorum: 1}, {Name: "b", Quorum: 1}}
	require.Equal(t, []int{0, 1}, c.Turn())
	out, err := approve.on(c, approval.Checker{ID: "b", Person: id.NewPerson(at), Steps: []int{1}})
	require.NoError(t, err)
	require.Equal(t, 1, out.Step)
	require.Equal(t, approval.StateProposed, out.State)
}
