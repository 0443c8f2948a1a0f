package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be a child, as the program itself can.
func TestMain(m *testing.M) {
	if role, ok := childRole(os.Args); ok {
		signal.Ignore(os.Interrupt)
		if err := beChild(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestASmallRunMeasuresEverythingAndLosesNothing runs every measure with a handful
// of requests: it looks at the shape of the outcome, never at a time.
func TestASmallRunMeasuresEverythingAndLosesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	o, err := readOptions([]string{"-requests", "40", "-rounds", "1", "-connections", "4", "-streams", "20", "-rate", "1000", "-trial", "50ms", "-tenants", "3", "-pin=false"})
	require.NoError(t, err)
	s, err := openStage(ctx, o, io.Discard)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	figures, err := s.measure(ctx)
	require.NoError(t, err)
	var table bytes.Buffer
	require.NoError(t, report(&table, s, figures))
	for _, f := range figures {
		require.NotEmpty(t, f.values[nameGateway], f.measure)
		require.Contains(t, table.String(), f.measure)
	}
	require.Positive(t, s.targets[nameGateway].sent+s.ours)
	require.Contains(t, table.String(), fmt.Sprintf("Rows in the ledger: %d =", s.targets[nameGateway].sent+s.ours))

	file := filepath.Join(t.TempDir(), "figures.json")
	require.NoError(t, s.writeJSON(file, figures))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var read struct {
		Rows    int64
		Figures []struct {
			Measure string
			Values  map[string][]float64
		}
	}
	require.NoError(t, json.Unmarshal(text, &read))
	require.Equal(t, s.proven, read.Rows)
	require.Len(t, read.Figures, len(figures))
	require.Equal(t, figures[0].values, read.Figures[0].Values)
}

func TestAMonthIsFilledAndViewed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	o, err := readOptions([]string{"-only", "month-view,pages,log", "-rows", "1500", "-views", "2", "-records", "2500", "-projects", "1", "-rounds", "1", "-pin=false"})
	require.NoError(t, err)
	s, err := openStage(ctx, o, io.Discard)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	figures, err := s.measure(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1500, s.proven)
	for _, f := range figures {
		require.Len(t, f.values[nameGateway], 1, f.measure)
	}
}

func TestTheMonthThatIsFilledIsOverAndLong(t *testing.T) {
	t.Parallel()
	for now, want := range map[string]string{"2026-11-25": "2026-10", "2026-10-31": "2026-08", "2026-03-01": "2026-01", "2026-01-01": "2025-12"} {
		at, err := time.Parse(time.DateOnly, now)
		require.NoError(t, err)
		require.Equal(t, want, longMonth(at).String(), now)
	}
}

func TestARunFailsWhenTheLedgerDoesNotHoldWhatWasSent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o, err := readOptions([]string{"-requests", "5", "-rounds", "1", "-pin=false", "-only", "plain-1kb"})
	require.NoError(t, err)
	s, err := openStage(ctx, o, io.Discard)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	s.targets[nameGateway].sent++ // one that never was
	_, err = s.measure(ctx)
	require.ErrorContains(t, err, "the ledger holds 10 requests, but 11 were sent")
}

func TestWorkloadsHaveTheirSizes(t *testing.T) {
	t.Parallel()
	all, err := makeWorkloads()
	require.NoError(t, err)
	require.Equal(t, 1<<10, len(all["plain-1kb"].body))
	require.Equal(t, 100<<10, len(all["plain-100kb"].body))
	require.True(t, json.Valid([]byte(all["plain-100kb"].body)))
	require.Greater(t, strings.Count(all["plain-100kb"].body, `"tool_result"`), 10)
	require.Equal(t, deltas, strings.Count(all["stream"].want, "event: content_block_delta"))
	require.Contains(t, streamEvents()[firstDelta], "content_block_delta")
}

func TestOptionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-requests", "0"}, {"-rounds", "100"}, {"-streams", "5001"}, {"-streams", "many"}, {"-trial", "1ms"}, {"-only", "everything"}, {"stray"}, {"-rate", "-1"}} {
		_, err := readOptions(args)
		require.Error(t, err, args)
	}
}

func TestTheHighestRateIsFoundFromBelowAndFromAbove(t *testing.T) {
	t.Parallel()
	for _, can := range []int{0, 4, 5, 180, 499, 500, 501, 3333, maxRate - 1, maxRate, maxRate + 1} {
		for _, from := range []int{lowestRate, searchFrom, 4000} {
			trials := 0
			found, err := highest(from, searchFactor, func(rate int) (bool, error) {
				trials++
				return rate <= can, nil
			})
			require.NoError(t, err)
			require.LessOrEqual(t, trials, 24, "from %d to %d", from, can)
			switch {
			case can < lowestRate:
				require.Zero(t, found)
			default:
				require.LessOrEqual(t, found, min(can, maxRate))
				require.GreaterOrEqual(t, found*21/20+1, min(can, maxRate), "from %d", from)
			}
		}
	}
	_, err := highest(1, 2, func(int) (bool, error) { return false, io.ErrUnexpectedEOF })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestALoadLosesPatienceButNoAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, plainAnswer)
	}))
	defer server.Close()
	at := &target{name: nameDirect, address: server.Listener.Addr().String(), doors: []door{{}}}
	w := workload{body: "{}", want: plainAnswer}
	// All are due within a hundredth of a second: no connection carries a million a second.
	got, err := at.openLoop(t.Context(), w, steady{rate: 1_000_000, connections: 1, timed: 10_000, patience: 30 * time.Millisecond})
	require.NoError(t, err)
	require.True(t, got.gaveUp)
	require.Positive(t, at.sent)
	require.Less(t, at.sent, int64(10_000))
	got, err = at.openLoop(t.Context(), w, steady{rate: 500, connections: 2, lead: 3, timed: 4})
	require.NoError(t, err)
	require.False(t, got.gaveUp)
	require.Len(t, got.whole, 4)
	require.EqualValues(t, 7, got.answered)
}

func TestMedianAndRatios(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 1.5, median([]float64{2, 1}), 0)
	require.Equal(t, []float64{2, 3}, ratios([]float64{2, 6, 9}, []float64{1, 2}))
	require.Empty(t, cell(nil, 2))
}

func TestStatusOfAProcess(t *testing.T) {
	t.Parallel()
	s, ok := parseStatus("42 (a) b) S 7 42 42 0 -1 4194304 100 0 0 0 10 20 3 4 20 0 1 0 493667 3133440 383 0")
	require.True(t, ok)
	require.Equal(t, status{pid: 42, parent: 7, cpu: 370 * time.Millisecond, resident: 383 * int64(os.Getpagesize())}, s)
	_, ok = parseStatus("garbage")
	require.False(t, ok)
	own, members, err := tree(os.Getpid())
	require.NoError(t, err)
	require.Contains(t, members, os.Getpid())
	require.Positive(t, own.resident)
}
