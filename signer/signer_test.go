package signer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/signer"
)

// growing is a log in memory, by tlog alone.
type growing struct {
	stored []tlog.Hash
	size   int64
	tenant id.Tenant
}

func (g *growing) add(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		hashes, err := tlog.StoredHashes(g.size, []byte(word), g.read())
		require.NoError(t, err)
		g.stored, g.size = append(g.stored, hashes...), g.size+1
	}
}

func (g *growing) read() tlog.HashReaderFunc {
	return func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, g.stored[i])
		}
		return out, nil
	}
}

func (g *growing) ask(t *testing.T, after int64) auditlog.HeadAsk {
	t.Helper()
	ask := auditlog.HeadAsk{Tenant: g.tenant, Size: g.size, After: after}
	var err error
	ask.Root, err = tlog.TreeHash(g.size, g.read())
	require.NoError(t, err)
	if after > 0 && after < g.size {
		ask.Edge, ask.Leaves, err = auditlog.Growth(g.size, after, g.nodes)
		require.NoError(t, err)
	}
	return ask
}

func (g *growing) nodes(places []auditlog.Node) ([]auditlog.Hash, error) {
	var indexes []int64
	for _, p := range places {
		indexes = append(indexes, tlog.StoredHashIndex(p.Level, p.Position))
	}
	return g.read()(indexes)
}

func words(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(prefix, i))
	}
	return list
}

func seed(b byte) []byte { return bytes.Repeat([]byte{b}, auditlog.SeedBytes) }

func keeper(t *testing.T, dir string, seeds ...[]byte) *signer.Keeper {
	t.Helper()
	authority, err := auditlog.NewAuthority(seeds...)
	require.NoError(t, err)
	k, err := signer.OpenKeeper(dir, authority, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// overSocket serves a keeper on a local socket, and returns who asks it there.
func overSocket(t *testing.T, k *signer.Keeper) *signer.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: k.Handler(secret.Text{})}}
	server.Start()
	t.Cleanup(server.Close)
	client, err := signer.NewClient("unix:"+path, secret.Text{})
	require.NoError(t, err)
	return client
}

func opened(t *testing.T, signed auditlog.Signed) auditlog.Checkpoint {
	t.Helper()
	var keys []string
	for _, key := range signed.Keys {
		keys = append(keys, key.Verifier)
	}
	verifiers, err := auditlog.Verifiers(keys)
	require.NoError(t, err)
	head, err := auditlog.OpenCheckpoint(signed.Message, verifiers)
	require.NoError(t, err)
	return head
}

func TestASignerSignsOnlyWhatGrewFromWhatItSigned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keeper(t, dir, seed(1))
	client := overSocket(t, k)
	require.True(t, client.Apart())
	g := &growing{tenant: id.NewTenant(time.Now())}
	g.add(t, words("a", 7)...)
	signed, err := client.SignHead(t.Context(), g.ask(t, 0))
	require.NoError(t, err, "a first head is trusted, being the first")
	require.EqualValues(t, 7, opened(t, signed).Size)
	again, err := client.SignHead(t.Context(), g.ask(t, 0))
	require.NoError(t, err, "who asked may have died with the answer")
	require.Equal(t, signed, again)

	fork := &growing{tenant: g.tenant}
	fork.add(t, words("b", 7)...)
	_, err = client.SignHead(t.Context(), fork.ask(t, 0))
	require.ErrorIs(t, err, auditlog.ErrForked, "another log of the same size")
	fork.add(t, words("b", 4)...)
	var stale *auditlog.StaleError
	_, err = client.SignHead(t.Context(), fork.ask(t, 0))
	require.ErrorAs(t, err, &stale)
	require.EqualValues(t, 7, stale.Size, "it says after which head to ask")
	_, err = client.SignHead(t.Context(), fork.ask(t, 7))
	require.ErrorIs(t, err, auditlog.ErrForked, "the proof leads elsewhere")

	g.add(t, words("c", 5)...)
	ask := g.ask(t, 7)
	for name, bad := range map[string]func(*auditlog.HeadAsk){
		"a record dropped": func(a *auditlog.HeadAsk) { a.Leaves = a.Leaves[1:] },
		"a record added":   func(a *auditlog.HeadAsk) { a.Leaves = append(a.Leaves, a.Root) },
		"two swapped":      func(a *auditlog.HeadAsk) { a.Leaves[0], a.Leaves[1] = a.Leaves[1], a.Leaves[0] },
		"another root":     func(a *auditlog.HeadAsk) { a.Root[3]++ },
		"no record":        func(a *auditlog.HeadAsk) { a.Leaves = nil },
		"another edge":     func(a *auditlog.HeadAsk) { a.Edge[1][0]++ },
		"less of an edge":  func(a *auditlog.HeadAsk) { a.Edge = a.Edge[:2] },
		"no edge":          func(a *auditlog.HeadAsk) { a.Edge = nil },
		"another size":     func(a *auditlog.HeadAsk) { a.Size++ },
	} {
		other := ask
		other.Edge, other.Leaves = slices.Clone(ask.Edge), slices.Clone(ask.Leaves)
		bad(&other)
		_, err = client.SignHead(t.Context(), other)
		require.ErrorIs(t, err, auditlog.ErrForked, name)
	}
	_, err = client.SignHead(t.Context(), ask)
	require.NoError(t, err)
	_, err = client.SignHead(t.Context(), auditlog.HeadAsk{Tenant: g.tenant, Size: 3, Root: ask.Root})
	require.ErrorAs(t, err, &stale, "a log does not shrink")
	require.EqualValues(t, 12, stale.Size)

	require.NoError(t, k.Close())
	k = keeper(t, dir, seed(1)) // after a restart it knows what it signed
	_, err = k.SignHead(t.Context(), fork.ask(t, 0))
	require.ErrorAs(t, err, &stale)
	require.Equal(t, signer.Counts{Logs: 1, Stale: 1}, k.Counts())
}

// TestASignerSignsNoMoreRecordsThanThereAre asks for a head of eight records over a log of
// five: a proof of growth from four leads to the same root for both sizes.
func TestASignerSignsNoMoreRecordsThanThereAre(t *testing.T) {
	t.Parallel()
	client := overSocket(t, keeper(t, t.TempDir(), seed(1)))
	g := &growing{tenant: id.NewTenant(time.Now())}
	g.add(t, words("a", 4)...)
	_, err := client.SignHead(t.Context(), g.ask(t, 0))
	require.NoError(t, err)
	four, err := tlog.TreeHash(4, g.read())
	require.NoError(t, err)
	g.add(t, "the fifth")
	ask := g.ask(t, 4)
	proof, err := tlog.ProveTree(5, 4, g.read())
	require.NoError(t, err)
	for size := int64(6); size <= 8; size++ {
		require.NoError(t, auditlog.CheckGrowth(proof, size, ask.Root, 4, four), "which is why a proof alone does not do")
		other := ask
		other.Size = size
		_, err = client.SignHead(t.Context(), other)
		require.ErrorIs(t, err, auditlog.ErrForked, "%d", size)
	}
	_, err = client.SignHead(t.Context(), ask)
	require.NoError(t, err)
}

// TestAHeadTakesAsManyRecordsAsOneMayFollowAnotherBy sends the most that fits.
func TestAHeadTakesAsManyRecordsAsOneMayFollowAnotherBy(t *testing.T) {
	t.Parallel()
	client := overSocket(t, keeper(t, t.TempDir(), seed(1)))
	g := &growing{tenant: id.NewTenant(time.Now())}
	g.add(t, "a")
	_, err := client.SignHead(t.Context(), g.ask(t, 0))
	require.NoError(t, err)
	g.add(t, words("b", auditlog.MaxGrowth)...)
	_, err = client.SignHead(t.Context(), g.ask(t, 1))
	require.NoError(t, err)
	g.add(t, words("c", auditlog.MaxGrowth+1)...)
	_, err = client.SignHead(t.Context(), g.ask(t, 1+auditlog.MaxGrowth))
	require.ErrorContains(t, errors.Unwrap(err), "400")
}

func TestWhatWasSignedIsKeptOrNothingIsSigned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keeper(t, dir, seed(1))
	authority, err := auditlog.NewAuthority(seed(2))
	require.NoError(t, err)
	_, err = signer.OpenKeeper(dir, authority, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "another process signs from this directory")

	g := &growing{tenant: id.NewTenant(time.Now())}
	g.add(t, words("a", 3)...)
	_, err = k.SignHead(t.Context(), g.ask(t, 0))
	require.NoError(t, err)
	path := filepath.Join(dir, g.tenant.String()+".json")
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	g.add(t, "more")
	for _, text := range []string{"", "{", string(kept[:len(kept)/2]), strings.Replace(string(kept), `"size":3`, `"size":0`, 1)} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err = k.SignHead(t.Context(), g.ask(t, 3))
		require.Equal(t, "signer_state", fault.From(err).Code, "%q is no beginning", text)
	}
	require.NoError(t, os.WriteFile(path, kept, 0o600))
	require.NoError(t, os.Mkdir(path+".new", 0o700)) // the disk takes nothing
	_, err = k.SignHead(t.Context(), g.ask(t, 3))
	require.Error(t, err)
	require.NoError(t, os.Remove(path+".new"))
	_, err = k.SignHead(t.Context(), g.ask(t, 3))
	require.NoError(t, err)
	require.EqualValues(t, 5, k.Counts().Failures)
}

func TestASignerSignsDecisionsAndNothingElseUnderTheirName(t *testing.T) {
	t.Parallel()
	k := keeper(t, t.TempDir(), seed(2), seed(1))
	client := overSocket(t, k)
	tenant := id.NewTenant(time.Now())
	text := auditlog.DecisionHead(tenant) + "dcn_1\n"
	signed, err := client.SignDecision(t.Context(), tenant, text)
	require.NoError(t, err)
	require.Len(t, signed.Keys, 1, "the newest key alone")
	require.True(t, strings.HasPrefix(string(signed.Message), text))
	_, err = auditlog.Verifiers([]string{signed.Keys[0].Verifier})
	require.NoError(t, err)
	for _, other := range []string{"", "anything\n", auditlog.DecisionHead(id.NewTenant(time.Now())) + "dcn_1\n", auditlog.Checkpoint{Origin: auditlog.Origin(tenant), Size: 1}.Text(), text + strings.Repeat("x", 5000) + "\n"} {
		_, err = client.SignDecision(t.Context(), tenant, other)
		require.Error(t, err)
	}
	require.EqualValues(t, 1, k.Counts().Decisions)
}

// TestAPortIsGuardedByAToken speaks to the port as anybody on the machine can.
func TestAPortIsGuardedByAToken(t *testing.T) {
	t.Parallel()
	k := keeper(t, t.TempDir(), seed(1))
	token := secret.NewText("a-token-of-some-length-000")
	server := httptest.NewServer(k.Handler(token))
	t.Cleanup(server.Close)
	g := &growing{tenant: id.NewTenant(time.Now())}
	g.add(t, "a")
	client, err := signer.NewClient(server.URL, token)
	require.NoError(t, err)
	_, err = client.SignHead(t.Context(), g.ask(t, 0))
	require.NoError(t, err)
	other, err := signer.NewClient(server.URL, secret.NewText("another-token-of-length-00"))
	require.NoError(t, err)
	_, err = other.SignHead(t.Context(), g.ask(t, 0))
	require.Equal(t, fault.KindUnavailable, fault.KindOf(err))
	require.ErrorContains(t, errors.Unwrap(err), "401")

	post := func(path, auth, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", auth)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NotContains(t, string(text), token.Reveal())
		return response.StatusCode
	}
	bearer := "Bearer " + token.Reveal()
	body, err := json.Marshal(map[string]any{"tenant": g.tenant.String(), "size": -1})
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, post("/v1/head", "", string(body)))
	require.Equal(t, http.StatusBadRequest, post("/v1/head", bearer, string(body)), "no size")
	require.Equal(t, http.StatusBadRequest, post("/v1/head", bearer, `{"tenant":"x"}`))
	require.Equal(t, http.StatusBadRequest, post("/v1/decision", bearer, `{`))
	require.Equal(t, http.StatusBadRequest, post("/v1/head", bearer, `{"tenant":"`+strings.Repeat("x", 70<<10)+`"}`), "more than a body's bound")
	require.Equal(t, http.StatusNotFound, post("/v1/seed", bearer, ""))
	response, err := http.Get(server.URL + "/healthz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "who watches needs no token")
}

func TestAnAddressIsLocalOrEncrypted(t *testing.T) {
	t.Parallel()
	token := secret.NewText("t")
	for _, good := range []string{"http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://signer.example.com", "unix:/run/s.sock"} {
		_, err := signer.NewClient(good, token)
		require.NoError(t, err, good)
	}
	for _, bad := range []string{"", "unix:s.sock", "http://signer.example.com", "http://10.0.0.1", "ftp://127.0.0.1", "https://u@host", "https://host/path", "https://host?x"} {
		_, err := signer.NewClient(bad, token)
		require.Equal(t, "signer_address", fault.From(err).Code, bad)
	}
	_, err := signer.NewClient("http://127.0.0.1:1", secret.Text{})
	require.Error(t, err, "a port without a token")
	client, err := signer.NewClient("unix:/nothing/here.sock", secret.Text{})
	require.NoError(t, err)
	_, err = client.SignDecision(t.Context(), id.NewTenant(time.Now()), "x")
	require.Equal(t, "signer_away", fault.From(err).Code)
}

// TestOneSeedFollowsAnother signs with both for a while; who knows only the first key
// comes to trust the second one by what the first signed, and by nothing else.
func TestOneSeedFollowsAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := &growing{tenant: id.NewTenant(time.Now())}
	g.add(t, words("a", 3)...)
	sign := func(after int64, seeds ...[]byte) auditlog.Signed {
		k := keeper(t, dir, seeds...)
		signed, err := k.SignHead(t.Context(), g.ask(t, after))
		require.NoError(t, err)
		require.NoError(t, k.Close())
		return signed
	}
	alone := sign(0, seed(1))
	g.add(t, "b")
	both := sign(3, seed(2), seed(1))
	g.add(t, "c")
	after := sign(4, seed(2))
	g.add(t, "d")
	broken := sign(5, seed(3))

	first, second := alone.Keys[0].Verifier, after.Keys[0].Verifier
	require.Equal(t, []string{second, first}, auditlog.SignedBy(both.Message, []string{second, first}))
	told := slices.Concat(both.Keys, broken.Keys)
	require.Equal(t, []string{first, second}, auditlog.Trust([]string{first}, told))
	require.Equal(t, []string{second}, auditlog.Trust([]string{second}, told), "a later key vouches for no earlier one")
	require.Equal(t, []string{broken.Keys[0].Verifier}, auditlog.Trust([]string{broken.Keys[0].Verifier}, told))
	forged := both.Keys[0]
	forged.Verifier = broken.Keys[0].Verifier
	require.Equal(t, []string{first}, auditlog.Trust([]string{first}, []auditlog.PublicKey{forged}), "the endorsement is another key's")
	verifier, err := note.NewVerifier(second)
	require.NoError(t, err)
	_, err = note.Open(both.Message, note.VerifierList(verifier))
	require.NoError(t, err)
	for _, seeds := range [][][]byte{{}, {seed(1), seed(1)}, {seed(1), seed(2), seed(3)}, {seed(1)[:5]}} {
		_, err := auditlog.NewAuthority(seeds...)
		require.Error(t, err)
	}
}
