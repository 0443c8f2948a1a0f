package auditlog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app/auditlog"
	"tollbook/app/id"
)

func TestRootEqualsTheLogsOwnTreeAtEverySize(t *testing.T) {
	t.Parallel()
	var leaves, stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = stored[at]
		}
		return out, nil
	})
	for n := range int64(100) {
		want, err := tlog.TreeHash(n, reader)
		require.NoError(t, err)
		if n > 0 {
			require.Equal(t, want, auditlog.Root(leaves), n)
		}
		record := []byte(fmt.Sprint("leaf ", n))
		hashes, err := tlog.StoredHashes(n, record, reader)
		require.NoError(t, err)
		stored = append(stored, hashes...)
		leaves = append(leaves, auditlog.Leaf(record))
	}
	require.Equal(t, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", auditlog.Root(nil).String())
}

func TestCanonicalIsSortedExactAndStable(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
	record := auditlog.Record{
		ID: id.NewRecord(at), Action: "change.applied", Actor: "system", RecordedAt: at,
		Detail: map[string]any{"z": int64(1) << 60, "a": "<&>é", "m": map[string]any{"y": true, "x": []string{"1"}}},
	}
	one, err := record.Canonical()
	require.NoError(t, err)
	two, err := record.Canonical()
	require.NoError(t, err)
	require.Equal(t, one, two)
	require.Contains(t, string(one), `"detail":{"a":"<&>é","m":{"x":["1"],"y":true},"z":1152921504606846976}`)
	record.Detail["f"] = 1.5
	_, err = record.Canonical()
	require.Error(t, err, "floats have no canonical form")
}

func TestCanonicalJSON(t *testing.T) {
	t.Parallel()
	got, err := auditlog.CanonicalJSON([]byte(` {"b": 9007199254740993, "a": [1, {"d":null,"c":"x"}]} `))
	require.NoError(t, err)
	require.Equal(t, `{"a":[1,{"c":"x","d":null}],"b":9007199254740993}`, string(got))
	for _, bad := range []string{"", "{", `{"a":1.5}`, `{} {}`, `{"a":1e400}`} {
		_, err := auditlog.CanonicalJSON([]byte(bad))
		require.Error(t, err, bad)
	}
}

func FuzzCanonicalJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x"],"b":{"c":null}}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		once, err := auditlog.CanonicalJSON(document)
		if err != nil {
			return
		}
		twice, err := auditlog.CanonicalJSON(once)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
	})
}

func TestARecordSaysByWhatItWasDone(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	r := auditlog.Record{ID: id.NewRecord(at), Tenant: id.NewTenant(at), Action: "change.applied", Actor: "mem_x", RecordedAt: at, Release: "1.2.3"}
	require.Nil(t, auditlog.ProvenanceOf(t.Context()))
	ctx := auditlog.WithProvenance(t.Context(), auditlog.Provenance{Via: "page", Session: "ses_x", Roles: []string{"controller"}, SignedInAt: at, Source: "ab"})
	r.Provenance = auditlog.ProvenanceOf(ctx)
	canonical, err := r.Canonical()
	require.NoError(t, err)
	require.Contains(t, string(canonical), `"provenance":{"roles":["controller"],"session":"ses_x","signed_in_at":"2026-11-26T09:00:00Z","source":"ab","via":"page"},"release":"1.2.3"`)
}
