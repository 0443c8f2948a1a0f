package export_test

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/export"
)

func manifest() export.Manifest {
	return export.Manifest{
		Report: "chargeback", ReportVersion: 2, CodeVersion: "test", Tenant: "acme", Filters: []export.Pair{{Name: "period", Value: "2026-11"}},
		RunAt: time.Date(2026, 11, 23, 14, 2, 0, 0, time.UTC), Rows: 3, File: "chargeback.csv", ControlTotals: []export.Pair{{Name: "own_usd", Value: "1.000000000000"}},
	}
}

func TestAnArchiveHoldsAFileAndWhatItIs(t *testing.T) {
	t.Parallel()
	file := []byte("a,b\n1,2\n")
	m := manifest().Of(file)
	one, err := export.Archive(m, file)
	require.NoError(t, err)
	two, err := export.Archive(m, file)
	require.NoError(t, err)
	require.Equal(t, one, two)
	r, err := zip.NewReader(bytes.NewReader(one), int64(len(one)))
	require.NoError(t, err)
	require.Len(t, r.File, 2)
	parts := map[string][]byte{}
	for _, f := range r.File {
		opened, err := f.Open()
		require.NoError(t, err)
		parts[f.Name], err = io.ReadAll(opened)
		require.NoError(t, err)
	}
	require.Equal(t, file, parts["chargeback.csv"])
	read, err := export.Verify(parts["chargeback.csv"+export.Suffix], parts["chargeback.csv"])
	require.NoError(t, err)
	require.Equal(t, m, read)
}

func TestAnotherFileIsNotTheOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		file := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "file")
		document, err := manifest().Of(file).JSON()
		require.NoError(t, err)
		_, err = export.Verify(document, file)
		require.NoError(t, err)
		changed := bytes.Clone(file)
		changed[rapid.IntRange(0, len(file)-1).Draw(t, "at")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		_, err = export.Verify(document, changed)
		require.ErrorIs(t, err, export.ErrManifest)
	})
	_, err := export.Verify([]byte(`{"format":"another"}`), nil)
	require.ErrorIs(t, err, export.ErrManifest)
	_, err = export.Verify([]byte(`not json`), nil)
	require.ErrorIs(t, err, export.ErrManifest)
}
