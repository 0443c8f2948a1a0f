//go:build soak

package e2e_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// fromEnvironment is how long or often to go on; make soak takes the defaults.
func fromEnvironment[T any](t *testing.T, name string, standard T, parse func(string) (T, error)) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	value, err := parse(text)
	require.NoError(t, err, name)
	return value
}

func pause(most time.Duration) <-chan time.Time { return time.After(rand.N(most)) }

// victims draws who is killed this round: mostly one, sometimes several at once.
func (s *site) victims() []string {
	names := []string{"postgres"}
	for name := range s.parts {
		names = append(names, name)
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	n := 1
	if rand.IntN(4) == 0 {
		n = 1 + rand.IntN(len(names))
	}
	return names[:n]
}

func late(name string) int {
	if name == "jobs" {
		return 1
	}
	return 0
}

func (s *site) kill(t *testing.T, name string) {
	t.Helper()
	if name == "postgres" {
		s.killDatabase(t)
		return
	}
	s.parts[name].kill()
}

func (s *site) revive(t *testing.T, name string) {
	t.Helper()
	if name == "postgres" {
		s.startDatabase(t)
		return
	}
	s.start(t, name)
	for rand.IntN(6) == 0 { // and again, in the middle of its start
		<-pause(300 * time.Millisecond)
		s.parts[name].kill()
		s.start(t, name)
	}
}

// round loads, kills at a moment nobody chose, starts again, and compares.
func (s *site) round(t *testing.T, number int) {
	t.Helper()
	c := s.traffic(uuid.NewString(), "gateway-1", "gateway-2")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	loading := make(chan struct{})
	go func() { defer close(loading); c.run(ctx, 12) }()
	want := 50 + rand.IntN(150)
	require.Eventually(t, func() bool { return c.done() >= want }, time.Minute, time.Millisecond, "the load must run")
	dead := s.victims()
	for _, name := range dead {
		s.kill(t, name)
		<-pause(50 * time.Millisecond)
	}
	<-pause(time.Second)
	// A gateway may start before its database; workers end without one, and whoever
	// watches over them starts them again.
	slices.SortStableFunc(dead, func(a, b string) int { return cmp.Compare(late(a), late(b)) })
	for _, name := range dead {
		s.revive(t, name)
	}
	for name := range s.parts {
		s.ready(t, name)
	}
	more := c.done() + 50
	require.Eventually(t, func() bool { return c.done() >= more }, time.Minute, time.Millisecond, "it serves again")
	cancel()
	<-loading
	t.Logf("round %d, killed %v", number, dead)
	c.settled(t)
}

// TestSoakKills kills gateways, workers and PostgreSQL under load, hundreds of times,
// and compares the ledger with the provider's books after each.
func TestSoakKills(t *testing.T) {
	rounds := fromEnvironment(t, "TOLLBOOK_SOAK_ROUNDS", 300, strconv.Atoi)
	s := newSite(t, map[string]string{"gateway-1": "gateway", "gateway-2": "gateway", "jobs": "jobs"})
	for n := range rounds {
		s.round(t, n)
	}
	s.consistent(t)
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, s.ledger.QueryRow(`select count(*) from audit_pending`).Scan(&waiting))
		return waiting == 0
	}, 5*time.Minute, time.Second, "every record has its place in the audit log")
	var gaps int
	require.NoError(t, s.ledger.QueryRow(`select count(*) from audit_record r where not exists
		(select from audit_leaf l where l.tenant_id = r.tenant_id and l.record_id = r.record_id)`).Scan(&gaps))
	require.Zero(t, gaps)
	open := map[string]int{}
	rows, err := s.ledger.Query(`select state, count(*) from usage_event group by 1`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var state string
		var n int
		require.NoError(t, rows.Scan(&state, &n))
		open[state] = n
	}
	require.NoError(t, rows.Err())
	t.Logf("after %d rounds: %v", rounds, open)
	for _, name := range []string{"gateway-1", "gateway-2"} {
		require.Equal(t, "0", s.metric(t, name, "journal_broken"), "a kill breaks no journal")
	}
}

// TestSoakOutage takes PostgreSQL away for ten minutes under load: no request fails.
func TestSoakOutage(t *testing.T) {
	away := fromEnvironment(t, "TOLLBOOK_SOAK_OUTAGE", 10*time.Minute, time.ParseDuration)
	s := newSite(t, map[string]string{"gateway-1": "gateway", "gateway-2": "gateway", "jobs": "jobs"})
	c := s.traffic(uuid.NewString(), "gateway-1", "gateway-2")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	loading := make(chan struct{})
	go func() { defer close(loading); c.run(ctx, 8) }()
	require.Eventually(t, func() bool { return c.done() >= 100 }, time.Minute, time.Millisecond)
	s.killDatabase(t)
	for end := time.After(away); ; {
		select {
		case <-time.After(away / 10):
			t.Logf("%d whole, %s waiting since %s s", c.done(), s.metric(t, "gateway-1", "journal_pending"), s.metric(t, "gateway-1", "journal_oldest_pending_seconds"))
			continue
		case <-end:
		}
		break
	}
	s.startDatabase(t)
	more := c.done() + 100
	require.Eventually(t, func() bool { return c.done() >= more }, time.Minute, time.Millisecond)
	cancel()
	<-loading
	require.Empty(t, c.failed, "no client saw that the database was away")
	for _, name := range []string{"gateway-1", "gateway-2"} {
		require.Eventually(t, func() bool { return s.metric(t, name, "journal_pending") == "0" }, 20*time.Minute, time.Second, name)
	}
	c.settled(t)
	s.consistent(t)
}
