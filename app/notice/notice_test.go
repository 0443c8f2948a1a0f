package notice_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/id"
	"tollbook/app/notice"
)

func at(second int) time.Time { return time.Date(2026, 11, 26, 12, 0, second, 0, time.UTC) }

func steps(round int, states ...notice.State) []notice.Step {
	var list []notice.Step
	for i, s := range states {
		list = append(list, notice.Step{Round: round, State: s, At: at(i)})
	}
	return list
}

func TestWhatAWorkerDoesFollowsFromTheSteps(t *testing.T) {
	t.Parallel()
	soon, later := at(10), at(10).Add(2*notice.AttemptWithin)
	for _, c := range []struct {
		name  string
		steps []notice.Step
		round int
		now   time.Time
		want  notice.Verdict
	}{
		{"the first attempt", nil, 1, soon, notice.Verdict{Attempt: true, Place: 1}},
		{"a job of a round that nobody asked for", nil, 2, soon, notice.Verdict{Place: 1}},
		{"another is at it", steps(1, notice.Attempted), 1, soon, notice.Verdict{Wait: true, Tries: 1, Place: 2}},
		{"another died at it", steps(1, notice.Attempted), 1, later, notice.Verdict{Attempt: true, Interrupted: true, Tries: 1, Place: 2}},
		{"it failed once", steps(1, notice.Attempted, notice.Failed), 1, soon, notice.Verdict{Attempt: true, Tries: 1, Place: 3}},
		{"it was taken", steps(1, notice.Attempted, notice.Accepted), 1, later, notice.Verdict{Tries: 1, Place: 3}},
		{"it never will be", steps(1, notice.Attempted, notice.Refused), 1, later, notice.Verdict{Tries: 1, Place: 3}},
		{"nobody should have it", steps(1, notice.Dropped), 1, later, notice.Verdict{Place: 2}},
		{"sent again: the old job", append(steps(1, notice.Attempted, notice.Accepted), steps(2, notice.Queued)...), 1, later, notice.Verdict{Tries: 1, Place: 4}},
		{"sent again: the new one", append(steps(1, notice.Attempted, notice.Accepted), steps(2, notice.Queued)...), 2, later, notice.Verdict{Attempt: true, Place: 4}},
	} {
		require.Equal(t, c.want, notice.Judge(c.steps, c.round, c.now), c.name)
	}
}

// TestAttemptsAreBoundedAndEnd plays any sequence of outcomes and deaths.
func TestAttemptsAreBoundedAndEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var list []notice.Step
		now, attempts, accepted := at(0), 0, 0
		for turn := 0; ; turn++ {
			require.Less(r, turn, 4*notice.MaxTries, "it comes to an end")
			now = now.Add(3 * notice.AttemptWithin)
			v := notice.Judge(list, 1, now)
			require.False(r, v.Wait, "nobody else is at it")
			if !v.Attempt {
				break
			}
			if v.Interrupted {
				list = append(list, notice.Step{Round: 1, State: notice.Interrupted, At: now})
			}
			if v.Tries >= notice.MaxTries {
				list = append(list, notice.Step{Round: 1, State: notice.GivenUp, At: now})
				continue
			}
			attempts++
			list = append(list, notice.Step{Round: 1, State: notice.Attempted, At: now})
			if rapid.Bool().Draw(r, "dies") {
				continue
			}
			out := notice.Outcome{Accepted: rapid.IntRange(0, 9).Draw(r, "taken") == 0, Permanent: rapid.IntRange(0, 9).Draw(r, "never") == 0}
			state := out.State(v.Tries + 1)
			list = append(list, notice.Step{Round: 1, State: state, At: now})
			if state == notice.Accepted {
				accepted++
			}
		}
		require.LessOrEqual(r, attempts, notice.MaxTries)
		require.LessOrEqual(r, accepted, 1)
	})
}

func TestEqualMessagesAreOneAndOthersAreNot(t *testing.T) {
	t.Parallel()
	due := notice.Due{Purpose: notice.Asked, Change: id.NewChange(at(0)), Revision: 1, Step: 1, To: id.NewMember(at(0))}
	content, digest, err := due.Content()
	require.NoError(t, err)
	require.Equal(t, digest, sha256.Sum256(content))
	back, err := notice.ParseDue(content)
	require.NoError(t, err)
	again, second, err := back.Content()
	require.NoError(t, err)
	require.Equal(t, string(content), string(again))
	require.Equal(t, digest, second)
	for name, change := range map[string]func(*notice.Due){
		"purpose": func(d *notice.Due) { d.Purpose = notice.Reminded }, "change": func(d *notice.Due) { d.Change = id.NewChange(at(1)) },
		"revision": func(d *notice.Due) { d.Revision = 2 }, "step": func(d *notice.Due) { d.Step = 2 },
		"to": func(d *notice.Due) { d.To = id.NewMember(at(1)) }, "record": func(d *notice.Due) { d.Record = id.NewRecord(at(1)) },
	} {
		other := due
		change(&other)
		_, differs, err := other.Content()
		require.NoError(t, err)
		require.NotEqual(t, digest, differs, name)
	}
	_, err = notice.ParseDue([]byte(`{"v":2}`))
	require.Error(t, err)
	_, err = notice.ParseDue([]byte(`{`))
	require.Error(t, err)
}

func TestWhatConcernsSigningInAndDelegationsCannotBeMuted(t *testing.T) {
	t.Parallel()
	for _, p := range []notice.Purpose{notice.Told, notice.Delegated, notice.Undelegated} {
		require.Empty(t, p.Topic(), p)
	}
	used := map[notice.Topic]bool{}
	for _, p := range []notice.Purpose{notice.Asked, notice.Reminded, notice.Questioned, notice.Commented, notice.Applied, notice.Rejected, notice.Withdrawn, notice.Expired} {
		require.Contains(t, notice.Topics(), p.Topic(), p)
		used[p.Topic()] = true
	}
	require.Len(t, used, len(notice.Topics()))
	topics, err := notice.ParseTopics([]string{"outcomes", "asked", "asked"})
	require.NoError(t, err)
	require.Equal(t, "asked outcomes", notice.JoinTopics(topics))
}

func TestAnAnswerIsOneLineWithoutTheAddress(t *testing.T) {
	t.Parallel()
	require.Equal(t, "550 5.1.1 <the address> user unknown  Bcc: x", notice.Clean("550 5.1.1 <Ben@One.test> user unknown\r\nBcc: x\x00\x1b", "ben@one.test"))
	require.Equal(t, "no mailbox … here", notice.Clean("no mailbox BEN here", "ben@one.test"))
	require.Len(t, notice.Clean(strings.Repeat("é", 1000), ""), notice.MaxAnswer)
	require.Equal(t, "x", notice.Clean("x\xff", ""))
}

func FuzzClean(f *testing.F) {
	f.Add("550 ben@one.test", "ben@one.test")
	f.Add("\xff\xfe", "é@x")
	f.Fuzz(func(t *testing.T, answer, address string) {
		clean := notice.Clean(answer, address)
		if len(clean) > notice.MaxAnswer || strings.ContainsAny(clean, "\r\n\x00") {
			t.Fatalf("%q", clean)
		}
	})
}

// TestASignatureIsThatOfStandardWebhooks checks with the definition: HMAC-SHA256 with the
// decoded secret over "id.timestamp.body".
func TestASignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	// The example of the specification's reference libraries.
	got, err := notice.Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)

	secret := notice.NewSecret()
	require.NotEqual(t, secret, notice.NewSecret())
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	require.Len(t, key, 32)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "dlv_1.%d.{}", at(0).Unix())
	got, err = notice.Sign(secret, "dlv_1", at(0), []byte("{}"))
	require.NoError(t, err)
	require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), got)
	for _, bad := range []string{"", "whsec_", "whsec_!"} {
		_, err = notice.Sign(bad, "x", at(0), nil)
		require.Error(t, err)
	}
}

func TestSlackTextCannotBeBrokenOutOf(t *testing.T) {
	t.Parallel()
	telling := notice.Telling{Type: "change.proposed", Data: notice.Facts{Number: 7, AmountMoved: "12.00", URL: "https://t.test/x"}}
	body, err := telling.Body(notice.Slack, `<!channel> & "x"`)
	require.NoError(t, err)
	var form map[string]string
	require.NoError(t, json.Unmarshal(body, &form))
	require.Equal(t, `Change 7 (&lt;!channel&gt; &amp; "x", moves $12.00) was proposed. <https://t.test/x|Open it in Tollbook>`, form["text"])
	require.Len(t, form, 1)
	other := telling
	other.Channel = id.NewChannel(at(0))
	require.NotEqual(t, telling.Digest(body), other.Digest(body), "two channels are told the same")
}
