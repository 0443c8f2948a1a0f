package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the program under test, built once for this test binary.
var binary string //nolint:gochecknoglobals // TestMain has no other way to hand it to tests

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tollbook-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tollbook")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "..")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	defer stopShared()
	beginMonths()
	defer stopMonths()
	return m.Run()
}

// card is demo.json.
type card struct {
	WebURL       string            `json:"web_url"`
	GatewayURL   string            `json:"gateway_url"`
	DatabaseURL  string            `json:"database_url"`
	SimulatorURL string            `json:"simulator_url"`
	VirtualKeys  map[string]string `json:"virtual_keys"`
	APITokens    map[string]string `json:"api_tokens"`
	SignIn       map[string]string `json:"sign_in"`
}

// process is a running tollbook command.
type process struct {
	cmd    *exec.Cmd
	output *lockedBuffer
	ended  chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(args []string, environment ...string) (*process, error) {
	return startIn(append(os.Environ(), environment...), args...)
}

func startIn(environment []string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), output: &lockedBuffer{}, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.Env = environment
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	return p, nil
}

// kill ends the process as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) interrupt() {
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	<-p.ended
}

// ready waits until GET url is 200, or the process ends.
func (p *process) ready(ctx context.Context, address string) error {
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended:\n%s", p.output)
		case <-ctx.Done():
			return fmt.Errorf("not ready in time:\n%s", p.output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

const startLimit = 4 * time.Minute

// installation is a demo that can be stopped and started again.
type installation struct {
	*process
	card    card
	dir     string
	address string
	args    []string
}

func openDemo(dir string, args ...string) (*installation, error) {
	address, err := freePort()
	if err != nil {
		return nil, err
	}
	in := &installation{dir: dir, address: address, args: append([]string{"demo", "--listen", address, "--data", dir}, args...)}
	return in, in.again()
}

// again starts the demo on the data it left.
func (in *installation) again() error {
	var err error
	if in.process, err = start(in.args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := in.ready(ctx, "http://"+in.address+"/readyz"); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(in.dir, "demo.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(content, &in.card)
}

// shared is the one seeded demo that tests read and add to; crash tests use their own.
var shared struct { //nolint:gochecknoglobals // a demo takes long to seed; tests share one
	sync.Once
	in  *installation
	dir string
	err error
}

func demo(t *testing.T) *installation {
	t.Helper()
	shared.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "tollbook-demo-"); shared.err != nil {
			return
		}
		if shared.err = os.Chmod(shared.dir, 0o755); shared.err != nil {
			return
		}
		shared.in, shared.err = openDemo(shared.dir)
	})
	require.NoError(t, shared.err)
	return shared.in
}

func stopShared() {
	if shared.in != nil && shared.in.process != nil {
		shared.in.interrupt()
	}
	_ = os.RemoveAll(shared.dir)
}

// usageRow is one row of GET /api/v1/usage.
type usageRow struct {
	ID         string `json:"id"`
	RequestID  string `json:"request_id"`
	SessionID  string `json:"session_id"`
	State      string `json:"state"`
	HTTPStatus int    `json:"http_status"`
	Amount     string `json:"amount"`
	Node       *struct {
		Code string `json:"code"`
		Path string `json:"path"`
	} `json:"node"`
	Key struct {
		ID    string `json:"id"`
		Label string `json:"label"`
	} `json:"key"`
	Tokens      map[string]int64 `json:"tokens"`
	Attribution struct {
		Rule string `json:"rule"`
	} `json:"attribution"`
}

func (in *installation) get(t *testing.T, token, path string, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, in.card.WebURL+path, nil)
	require.NoError(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	if into != nil {
		require.NoError(t, json.Unmarshal(body, into), string(body))
	}
	return res.StatusCode
}

// usage reads every row a filter gives, over all pages.
func (in *installation) usage(t *testing.T, query url.Values) []usageRow {
	t.Helper()
	var rows []usageRow
	query.Set("limit", "500")
	for {
		var page struct {
			Data       []usageRow `json:"data"`
			NextCursor *string    `json:"next_cursor"`
		}
		require.Equal(t, http.StatusOK, in.get(t, in.card.APITokens["finance_admin"], "/api/v1/usage?"+query.Encode(), &page))
		rows = append(rows, page.Data...)
		if page.NextCursor == nil {
			return rows
		}
		query.Set("cursor", *page.NextCursor)
	}
}

// booked is one line of the simulator's books.
type booked struct {
	RequestID  string           `json:"request_id"`
	SessionID  string           `json:"session_id"`
	HTTPStatus int              `json:"http_status"`
	Amount     string           `json:"amount"`
	Tokens     map[string]int64 `json:"tokens"`
	Complete   bool             `json:"complete"`
}

func books(t *testing.T, simulator string, query url.Values) []booked {
	t.Helper()
	var all []booked
	query.Set("limit", "1000")
	for {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, simulator+"/books?"+query.Encode(), nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		var page struct {
			Data []booked `json:"data"`
			Next *string  `json:"next"`
		}
		err = json.NewDecoder(res.Body).Decode(&page)
		_ = res.Body.Close()
		require.NoError(t, err)
		all = append(all, page.Data...)
		if page.Next == nil {
			return all
		}
		query.Set("after", *page.Next)
	}
}

// sameBooks waits until the ledger's rows for a session equal the simulator's, to the
// last pico-dollar.
func (in *installation) sameBooks(t *testing.T, session string, want int) []usageRow {
	t.Helper()
	var rows []usageRow
	require.Eventually(t, func() bool {
		rows = in.usage(t, url.Values{"session": {session}})
		return len(rows) >= want
	}, 10*time.Second, 50*time.Millisecond, "rows appear within two seconds of the response's end")
	provider := map[string]booked{}
	for _, b := range books(t, in.card.SimulatorURL, url.Values{"session": {session}}) {
		provider[b.RequestID] = b
	}
	require.Len(t, rows, len(provider), "one row for each request the provider saw")
	for _, row := range rows {
		b, ok := provider[row.RequestID]
		require.True(t, ok, "the provider never saw %s", row.RequestID)
		require.Equal(t, b.Amount, row.Amount, row.RequestID)
		require.Equal(t, b.Tokens, row.Tokens, row.RequestID)
		require.Equal(t, b.HTTPStatus, row.HTTPStatus)
	}
	return rows
}

func without(environment []string, names ...string) []string {
	var kept []string
next:
	for _, line := range environment {
		for _, name := range names {
			if strings.HasPrefix(line, name+"=") {
				continue next
			}
		}
		kept = append(kept, line)
	}
	return kept
}
