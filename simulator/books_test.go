package simulator

import (
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// history makes n facts, a minute apart, newest last.
func history(n int) iter.Seq[Fact] {
	return func(yield func(Fact) bool) {
		for i := range n {
			more := yield(Fact{
				RequestID: fmt.Sprintf("req_history_%07d", i), MessageID: fmt.Sprintf("msg_%d", i), SessionID: fmt.Sprintf("s%d", i%100),
				OccurredAt: noon().AddDate(0, 0, -100).Add(time.Duration(i) * time.Minute), Model: "claude-opus-5", KeyHint: "apikey_1",
				Tokens: Tokens{Input: 1000, Output: 100}, Complete: true,
			})
			if !more {
				return
			}
		}
	}
}

// copyBooks is what a kill leaves: the file as it is now, without Close.
func copyBooks(t *testing.T, dir string) (string, []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "books.jsonl"))
	require.NoError(t, err)
	to := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(to, "books.jsonl"), raw, 0o600))

	return to, raw
}

func TestBooksSurviveAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sim := open(t, Config{Dir: dir})
	for range 5 {
		require.Equal(t, 200, ask(t, sim, body("claude-opus-5-5", "hi", ""), nil).Code)
	}
	lost := ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-sim-fault": "bench"}).Header().Get("request-id") // never booked
	before := booksOf(t, sim, "")
	copied, raw := copyBooks(t, dir)
	again := open(t, Config{Dir: copied})
	require.Equal(t, before, booksOf(t, again, ""))
	seen := map[string]bool{lost: true}
	for _, row := range before {
		seen[row.RequestID], seen[row.MessageID] = true, true
	}
	ask(t, again, body("claude-opus-5-5", "hi", ""), nil)
	rows := booksOf(t, again, "")
	require.Len(t, rows, 6)
	require.False(t, seen[rows[5].RequestID] || seen[rows[5].MessageID], "an id was issued twice")
	require.Len(t, seen, 11)

	// A line torn at any byte costs that line and nothing else.
	second := len(raw) - 200
	for cut := len(raw) - 1; cut > second; cut -= 7 {
		torn := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(torn, "books.jsonl"), raw[:cut], 0o600))
		reopened := open(t, Config{Dir: torn})
		require.Equal(t, before[:4], booksOf(t, reopened, ""), "cut at %d", cut)
		ask(t, reopened, body("claude-opus-5-5", "hi", ""), nil)
		require.NoError(t, reopened.Close())
		require.Len(t, booksOf(t, open(t, Config{Dir: torn}), ""), 5)
	}
}

func TestDamagedBooksAreNotOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := `{"fact":{"request_id":"req_1","occurred_at":"2026-11-23T12:00:00Z"}}` + "\n"
	path := filepath.Join(dir, "books.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(good+"\x00\x00\n"+good), 0o600))
	_, err := Open(Config{Dir: dir})
	require.ErrorContains(t, err, "line 2 is damaged")
	require.NoError(t, os.WriteFile(path, []byte(good+"\x00\x00\n"), 0o600)) // a power cut: the last line only
	require.Len(t, booksOf(t, open(t, Config{Dir: dir}), ""), 1)
}

func TestBooksHaveOneOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, Config{Dir: dir})
	_, err := Open(Config{Dir: dir})
	require.ErrorContains(t, err, "in use by another simulator")
}

func TestImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sim := open(t, Config{Dir: dir})
	n, err := sim.Import(history(5000))
	require.NoError(t, err)
	require.Equal(t, 5000, n)
	n, err = sim.Import(history(5010))
	require.NoError(t, err)
	require.Equal(t, 10, n)
	n, err = sim.Import(func(yield func(Fact) bool) {
		for range 2 {
			yield(Fact{RequestID: "req_twice", OccurredAt: noon()})
		}
	})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	// 1000 x 5 + 100 x 25 = 7500 millionths
	row := booksOf(t, sim, "request_id=req_history_0000007")[0]
	require.Equal(t, "0.007500000000", row.Amount)
	require.Equal(t, []string{"standard", "standard", "global"}, []string{row.Speed, row.ServiceTier, row.InferenceGeo})
	require.Equal(t, 200, row.HTTPStatus)
	require.Len(t, booksOf(t, sim, "session=s7&limit=1000"), 51)

	require.NoError(t, sim.Close())
	again := open(t, Config{Dir: dir})
	n, err = again.Import(history(5010))
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	for want, f := range map[string]Fact{
		"request id":  {OccurredAt: noon()},
		"no time":     {RequestID: "r"},
		"token count": {RequestID: "r", OccurredAt: noon(), Tokens: Tokens{Input: -1}},
		"plain short": {RequestID: "r\n", OccurredAt: noon()},
		"web search":  {RequestID: "r", OccurredAt: noon(), WebSearchRequests: -1},
	} {
		_, err := sim.Import(func(yield func(Fact) bool) { yield(f) })
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, booksOf(t, sim, ""))
}

// Paging walks every row once, in order of time, whatever the order of arrival.
func TestPaging(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	ask(t, sim, body("claude-opus-5-5", "hi", ""), nil) // newer than what is imported next
	_, err := sim.Import(history(250))
	require.NoError(t, err)
	type page struct {
		Data []bookRow
		Next *string
	}
	for _, query := range []string{"limit=100", "limit=1", "limit=251", "limit=1000", "limit=17&session=s7"} {
		var rows []bookRow
		for after := ""; ; {
			p := decode[page](t, call(t, sim, http.MethodGet, "/books?"+query+"&after="+after, "", nil).Body.Bytes())
			rows = append(rows, p.Data...)
			if p.Next == nil {
				break
			}
			after = *p.Next
		}
		want := 251
		if query == "limit=17&session=s7" {
			want = 3
		}
		require.Len(t, rows, want, query)
		for i := 1; i < len(rows); i++ {
			before, err := time.Parse(time.RFC3339Nano, rows[i-1].OccurredAt)
			require.NoError(t, err)
			now, err := time.Parse(time.RFC3339Nano, rows[i].OccurredAt)
			require.NoError(t, err)
			require.True(t, before.Before(now))
		}
	}
	start := noon().AddDate(0, 0, -100)
	span := fmt.Sprintf("from=%s&to=%s", start.Add(10*time.Minute).Format(time.RFC3339), start.Add(13*time.Minute).Format(time.RFC3339))
	rows := booksOf(t, sim, span)
	require.Len(t, rows, 3)
	require.Equal(t, "req_history_0000010", rows[0].RequestID)
	require.Empty(t, booksOf(t, sim, "request_id=req_history_0000001&from=2026-11-01"))
	for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "from=yesterday", "to=1", "after=x"} {
		require.Equal(t, 400, call(t, sim, http.MethodGet, "/books?"+bad, "", nil).Code, bad)
	}
}

func TestTotals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sim := open(t, Config{Dir: dir})
	_, err := sim.Import(history(2880)) // from noon to noon, over three days
	require.NoError(t, err)
	type answer struct {
		Data     []dayRow
		Requests int64
		Amount   string
	}
	get := func(query string) answer {
		rec := call(t, sim, http.MethodGet, "/books/totals?"+query, "", nil)
		require.Equal(t, 200, rec.Code, rec.Body.String())

		return decode[answer](t, rec.Body.Bytes())
	}
	all := get("")
	require.Len(t, all.Data, 3)
	require.EqualValues(t, 2880, all.Requests)
	require.Equal(t, "21.600000000000", all.Amount) // 2880 x 0.0075
	require.Equal(t, "2026-08-15", all.Data[0].Day)
	require.Equal(t, "5.400000000000", all.Data[0].Amount)
	require.EqualValues(t, 720_000, all.Data[0].Tokens.Input)
	part := get("from=2026-08-15T18:00:00Z&to=2026-08-16T06:00:00Z")
	require.EqualValues(t, 720, part.Requests)
	require.Equal(t, "5.400000000000", part.Amount)
	require.EqualValues(t, 1440, get("from=2026-08-16&to=2026-08-17").Requests)
	require.EqualValues(t, 1, get("from=2026-08-16T06:00:00Z&to=2026-08-16T06:01:00Z").Requests)
	require.Zero(t, get("from=2027-01-01").Requests)
	before := all
	require.NoError(t, sim.Close())
	sim = open(t, Config{Dir: dir})
	require.Equal(t, before, get(""))
}

func TestClosedBooks(t *testing.T) {
	t.Parallel()
	sim := open(t, Config{})
	ask(t, sim, body("claude-opus-5-5", "hi", ""), nil)
	require.NoError(t, sim.Close())
	require.NoError(t, sim.Close())
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(t, sim, body("claude-opus-5-5", "hi", ""), nil) })
	_, err := sim.Import(history(1))
	require.ErrorIs(t, err, errClosed)
}

func BenchmarkImport150k(b *testing.B) {
	for b.Loop() {
		sim, err := Open(Config{Dir: b.TempDir()})
		require.NoError(b, err)
		_, err = sim.Import(history(150_000))
		require.NoError(b, err)
		require.NoError(b, sim.Close())
	}
}

func BenchmarkReopen150k(b *testing.B) {
	dir := b.TempDir()
	sim, err := Open(Config{Dir: dir})
	require.NoError(b, err)
	_, err = sim.Import(history(150_000))
	require.NoError(b, err)
	require.NoError(b, sim.Close())
	for b.Loop() {
		sim, err := Open(Config{Dir: dir})
		require.NoError(b, err)
		require.NoError(b, sim.Close())
	}
}
