package approval_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
)

func kinds() map[string]approval.Floor {
	return map[string]approval.Floor{"node": approval.FloorSecond, "plan": approval.FloorNone, "issuer": approval.FloorPair}
}

func parse(document string) (approval.Policies, error) {
	return approval.ParsePolicies([]byte(document), kinds(), []string{"finance_admin", "controller", "budget_owner"})
}

const step = `{"name":"Finance","quorum":1,"who":[{"role":"finance_admin"}]}`

func TestPoliciesThatAreRefused(t *testing.T) {
	t.Parallel()
	for document, code := range map[string]string{
		`[]`: "policies_syntax", `{"policies":[],"x":1}`: "policies_syntax", `{"policies":[]} {}`: "policies_syntax",
		`{"policies":[{"code":"A","kinds":["node"],"steps":[` + step + `],"expire_days":9}]}`:                                                                  "policy_code",
		`{"policies":[{"code":"default","kinds":["node"],"steps":[` + step + `],"expire_days":9}]}`:                                                            "policy_code",
		`{"policies":[{"code":"a","kinds":[],"steps":[` + step + `],"expire_days":9}]}`:                                                                        "policy_kinds",
		`{"policies":[{"code":"a","kinds":["cat"],"steps":[` + step + `],"expire_days":9}]}`:                                                                   "kind_unknown",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[],"expire_days":9}]}`:                                                                              "policy_floor",
		`{"policies":[{"code":"a","kinds":["plan"],"steps":[],"expire_days":9,"fresh_sign_in":true}]}`:                                                         "policy_fresh",
		`{"policies":[{"code":"a","kinds":["*"],"steps":[],"expire_days":9}]}`:                                                                                 "policy_floor",
		`{"policies":[{"code":"a","kinds":["issuer"],"steps":[],"expire_days":9}]}`:                                                                            "policy_floor",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[` + step + `],"expire_days":0}]}`:                                                                  "policy_days",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[` + step + `],"expire_days":9,"remind_days":10}]}`:                                                 "policy_days",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[` + step + `],"expire_days":9,"escalate_days":2}]}`:                                                "policy_escalation",
		`{"policies":[{"code":"a","kinds":["node"],"at_least":"many","steps":[` + step + `],"expire_days":9}]}`:                                                "policy_amount",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[{"name":"x","quorum":0,"who":[{"role":"finance_admin"}]}],"expire_days":9}]}`:                      "policy_step",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[{"name":"x","quorum":1,"who":[]}],"expire_days":9}]}`:                                              "policy_who",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[{"name":"x","quorum":1,"who":[{}]}],"expire_days":9}]}`:                                            "policy_who",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[{"name":"x","quorum":1,"who":[{"anyone":true}]}],"expire_days":9}]}`:                               "policy_who",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[{"name":"x","quorum":1,"who":[{"role":"finance_admin","owner":true}]}],"expire_days":9}]}`:         "policy_who",
		`{"policies":[{"code":"a","kinds":["node"],"steps":[{"name":"x","quorum":1,"who":[{"role":"engineering_admin"}]}],"expire_days":9}]}`:                  "policy_role",
		`{"policies":[{"code":"a","kinds":["plan"],"steps":[],"expire_days":9},{"code":"a","kinds":["plan"],"steps":[],"expire_days":9}]}`:                     "policy_twice",
		`{"policies":[` + strings.Repeat(`{"code":"a","kinds":["plan"],"steps":[],"expire_days":9},`, 100) + `{"code":"b","kinds":["plan"],"expire_days":9}]}`: "policies_many",
	} {
		_, err := parse(document)
		require.Equal(t, code, fault.From(err).Code, document)
	}
}

func TestTheFirstPolicyThatFitsHolds(t *testing.T) {
	t.Parallel()
	root := id.NewNode(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))
	p, err := parse(`{"policies":[
		{"code":"large","kinds":["node"],"at_least":"1000.00","steps":[` + step + `,` + step + `],"expire_days":9},
		{"code":"there","kinds":["*"],"subtree":"` + root.String() + `","steps":[` + step + `],"expire_days":9},
		{"code":"free","kinds":["plan"],"steps":[],"expire_days":9}]}`)
	require.NoError(t, err)
	in, out := func(n id.Node) (bool, bool) { return n == root, n == root }, func(id.Node) (bool, bool) { return false, false }
	partly := func(n id.Node) (bool, bool) { return n == root, false }
	cents := func(c money.Cents) *approval.Impact {
		i := &approval.Impact{}
		i.Moved.AddCents(c)
		return i
	}
	for _, c := range []struct {
		kind   string
		cents  money.Cents
		within func(id.Node) (bool, bool)
		code   string
		steps  int
	}{
		{"node", 100_000, out, "large", 2},
		{"node", 99_999, out, "default", 1},
		{"node", 99_999, in, "there", 1},
		{"node", 99_999, partly, "there", 1},
		{"issuer", 0, out, "default", 1},
		{"plan", 0, out, "free", 0},
		{"plan", 0, in, "there", 1},
	} {
		got := p.Fits(c.kind, kinds()[c.kind], cents(c.cents), c.within)
		require.Equal(t, c.code, got.Code, c.kind)
		require.Len(t, got.Steps, c.steps, c.kind)
	}
	free, err := parse(`{"policies":[{"code":"free","kinds":["plan"],"subtree":"` + root.String() + `","steps":[],"expire_days":9},{"code":"asks","kinds":["plan"],"steps":[` + step + `],"expire_days":9}]}`)
	require.NoError(t, err)
	require.Equal(t, "free", free.Fits("plan", approval.FloorNone, cents(0), in).Code)
	require.Equal(t, "asks", free.Fits("plan", approval.FloorNone, cents(0), partly).Code, "nobody is asked only where all of it lies")
	require.Empty(t, approval.Policies{}.Fits("plan", approval.FloorNone, cents(0), out).Steps)
	added, changed, ended := p.Differ(approval.Policies{List: append([]approval.Policy{{Code: "new"}, {Code: "free", ExpireDays: 10}}, p.List[0])})
	require.Equal(t, [3]int{1, 1, 1}, [3]int{added, changed, ended})
}

func TestAnAttachmentIsDecidedAboutToo(t *testing.T) {
	t.Parallel()
	c := proposed(t)
	with, err := c.Revise(c.Payload, c.Reason, c.EffectiveFrom, [][32]byte{{1}})
	require.NoError(t, err)
	require.NotEqual(t, c.Digest, with.Digest)
	other := with
	other.Attachments = [][32]byte{{2}}
	_, err = other.Move(approval.StateApproved)
	require.ErrorIs(t, err, approval.ErrDigest)
	_, err = c.Revise(c.Payload, c.Reason, c.EffectiveFrom, nil)
	require.Equal(t, "change_same", fault.From(err).Code)
	done, err := c.Move(approval.StateRejected)
	require.NoError(t, err)
	_, err = done.Revise([]byte(`{"other":1}`), "x", c.EffectiveFrom, nil)
	require.Equal(t, "change_state", fault.From(err).Code)
}

func FuzzParsePolicies(f *testing.F) {
	f.Add([]byte(`{"policies":[{"code":"a","kinds":["node"],"steps":[` + step + `],"expire_days":9}]}`))
	f.Add([]byte(`{"policies":[{"code":"a","kinds":["plan"],"at_least":"10.00","steps":[],"expire_days":1}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		p, err := approval.ParsePolicies(document, kinds(), []string{"finance_admin"})
		if err != nil {
			return
		}
		again, err := json.Marshal(p)
		require.NoError(t, err)
		back, err := approval.ParsePolicies(again, kinds(), []string{"finance_admin"})
		require.NoError(t, err)
		for i := range back.List {
			require.Equal(t, p.List[i].Code, back.List[i].Code)
		}
	})
}
