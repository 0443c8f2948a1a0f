package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/secret"
	"tollbook/db"
)

// fetched is what a program gets at an address with a token.
func (w *world) fetched(t *testing.T, token, path string) (int, http.Header, []byte) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer := httptest.NewRecorder()
	w.web.Handler().ServeHTTP(answer, r)
	return answer.Code, answer.Header(), answer.Body.Bytes()
}

// tiles reads a log over HTTP as tlog's own client does, with nothing of ours.
type tiles struct {
	t     *testing.T
	w     *world
	token string
	base  string
	asked map[string]http.Header
}

func (r *tiles) Height() int { return 8 }

func (r *tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range list {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1) // C2SP leaves out the height
		status, header, data := r.w.fetched(r.t, r.token, r.base+"/"+path)
		if status != http.StatusOK {
			return nil, fmt.Errorf("%s: %d", path, status)
		}
		r.asked[path] = header
		out = append(out, data)
	}
	return out, nil
}

func (r *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// TestALogIsReadAsTiles reads a log of some hundred records with tlog's own tile reader,
// which checks each hash against the signed head, and proves every record of it.
func TestALogIsReadAsTiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.clone.InTenant(t.Context(), w.one.tenant, func(tx *db.Tx) error {
		for i := range 600 {
			if err := tx.AppendAudit(auditlog.Record{Action: "moon.landed", Actor: "system", Detail: map[string]any{"n": i}}); err != nil {
				return err
			}
		}
		return nil
	}))
	w.placed(t)
	origin := auditlog.Origin(w.one.tenant)
	reader := &tiles{t: t, w: w, token: w.one.tokens[app.RoleAuditor], base: "/log/tiles/" + origin, asked: map[string]http.Header{}}
	status, header, checkpoint := w.fetched(t, reader.token, reader.base+"/checkpoint")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	view, err := w.areas.Log.Read(t.Context(), w.who(t, w.one, app.RoleAuditor), app.LogQuery{Limit: 1})
	require.NoError(t, err)
	verifier, err := note.NewVerifier(view.State.Keys[0])
	require.NoError(t, err)
	opened, err := note.Open(checkpoint, note.VerifierList(verifier))
	require.NoError(t, err)
	lines := strings.Split(opened.Text, "\n")
	require.Equal(t, origin, lines[0])
	var size int64
	_, err = fmt.Sscan(lines[1], &size)
	require.NoError(t, err)
	require.Greater(t, size, int64(512), "two tiles are full")
	root, err := base64.StdEncoding.DecodeString(lines[2])
	require.NoError(t, err)
	tree := tlog.Tree{N: size, Hash: tlog.Hash(root)}
	hashes := tlog.TileHashReader(tree, reader)
	records := reader.entries(t, size)
	require.Equal(t, [32]byte(root), plainRoot(records), "the standard's own definition, over the records as they were served")
	for _, at := range []int64{0, 255, 256, 511, size - 1} {
		proof, err := tlog.ProveRecord(size, at, hashes)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckRecord(proof, size, tree.Hash, at, tlog.RecordHash(records[at])))
	}
	proof, err := tlog.ProveTree(size, 300, hashes)
	require.NoError(t, err)
	require.NoError(t, tlog.CheckTree(proof, size, tree.Hash, 300, tlog.Hash(plainRoot(records[:300]))))
	for path, header := range reader.asked {
		require.Equal(t, strings.Contains(path, ".p/"), header.Get("Cache-Control") == "no-store", path)
		require.True(t, strings.Contains(path, ".p/") || strings.Contains(header.Get("Cache-Control"), "private, max-age=31536000, immutable"), path)
	}

	for _, path := range []string{
		"/tile/0/003", "/tile/0/002", "/tile/0/002.p/255", "/tile/9/000", "/tile/1/001", "/tile/0/0", "/tile/-1/000", "/tile/data/000", "/tile/entries/003", "/tile/8/0/000", "/", "/tile", "/x", "/tile/0/x999/x999/x999/x999/999",
	} {
		status, _, _ = w.fetched(t, reader.token, reader.base+path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	status, entries, _ := w.fetched(t, reader.token, reader.base+"/tile/entries/000")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "no-store", entries.Get("Cache-Control"), "what happened stays with nobody")
	status, _, _ = w.fetched(t, reader.token, "/log/tiles/"+auditlog.Origin(w.two.tenant)+"/checkpoint")
	require.Equal(t, http.StatusNotFound, status, "another company's log is not there")
	status, _, _ = w.fetched(t, w.one.tokens[app.RoleDeveloper], reader.base+"/checkpoint")
	require.Equal(t, http.StatusForbidden, status)
	status, _, _ = w.fetched(t, "tbt_nothing", reader.base+"/checkpoint")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, http.StatusOK, w.see(t, w.one, app.RoleAuditor, reader.base+"/tile/0/000").status, "a session reads them, too")
	require.Equal(t, http.StatusForbidden, w.see(t, w.one, app.RoleDeveloper, reader.base+"/checkpoint").status)
}

// entries are the records as the entries' tiles hold them.
func (r *tiles) entries(t *testing.T, size int64) (records [][]byte) {
	t.Helper()
	for n := int64(0); n*256 < size; n++ {
		path := fmt.Sprintf("%s/tile/entries/%03d", r.base, n)
		if rest := size - n*256; rest < 256 {
			path += fmt.Sprintf(".p/%d", rest)
		}
		status, _, data := r.w.fetched(t, r.token, path)
		require.Equal(t, http.StatusOK, status, path)
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			records, data = append(records, data[2:2+length]), data[2+length:]
		}
	}
	require.Len(t, records, int(size))
	return records
}

// plainRoot is RFC 6962's definition, word for word, and shares nothing with the code.
func plainRoot(records [][]byte) [32]byte {
	if len(records) == 1 {
		return sha256.Sum256(append([]byte{0}, records[0]...))
	}
	k := 1
	for 2*k < len(records) {
		k *= 2
	}
	left, right := plainRoot(records[:k]), plainRoot(records[k:])
	return sha256.Sum256(bytes.Join([][]byte{{1}, left[:], right[:]}, nil))
}

// TestKeysOfTheLogAreToldWithTheirRight replaces the seed with an overlap and without.
func TestKeysOfTheLogAreToldWithTheirRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	empty := w.see(t, w.fresh(t), app.RoleAuditor, "/log/keys")
	require.Contains(t, empty.body, "No key has signed this log yet")
	wholesome(t, empty)
	seed := func() string { return secret.NewMaster().Reveal() }
	one, two, three := seed(), seed(), seed()
	// The world's packet is sealed by a key of its own: the first of all.
	w.superuser(t, `update audit_key set recorded_at = recorded_at - interval '11 hours' where tenant_id = $1`, w.one.tenant.UUID())
	for i, seeds := range []string{one, two + "," + one, two, three} {
		signer, err := app.SeedSigner(secret.NewText(seeds))
		require.NoError(t, err)
		w.areas.Log.SignBy(signer)
		require.NoError(t, w.clone.InTenant(t.Context(), w.one.tenant, func(tx *db.Tx) error {
			return tx.AppendAudit(auditlog.Record{Action: "moon.landed", Actor: "system", Detail: map[string]any{"n": i}})
		}))
		w.placed(t)
		// The world's clock stands still: an hour lies between one key and the next.
		w.superuser(t, `update audit_key set recorded_at = recorded_at - make_interval(hours => $2) where tenant_id = $1 and recorded_at >= $3`, w.one.tenant.UUID(), 10-i, now())
	}
	page := w.see(t, w.one, app.RoleAuditor, "/log/keys")
	require.Equal(t, http.StatusOK, page.status)
	for _, words := range []string{"the first one: trusted as you got it", "named by key ", "no key before it named it", "still in use", "4 keys", "How a key is replaced", "the operator can re-sign the unwitnessed tail"} {
		require.Contains(t, page.body, words)
	}
	wholesome(t, page)
	require.Equal(t, http.StatusForbidden, w.see(t, w.one, app.RoleDeveloper, "/log/keys").status)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/log").body, `data-live="/log/live"`)
}
