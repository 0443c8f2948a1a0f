package postgres

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeBinaries makes a directory that passes for PostgreSQL of a version.
func fakeBinaries(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return dir
}

func TestFindBinaries(t *testing.T) {
	t.Run("the variable decides", func(t *testing.T) {
		dir := fakeBinaries(t, "17.2 (Debian 17.2-1)")
		t.Setenv(BinVariable, dir)
		got, version, err := FindBinaries()
		require.NoError(t, err)
		require.Equal(t, dir, got)
		require.Equal(t, 17, version)
	})
	t.Run("the variable may not name an old one", func(t *testing.T) {
		t.Setenv(BinVariable, fakeBinaries(t, "14.9"))
		_, _, err := FindBinaries()
		require.ErrorContains(t, err, BinVariable)
		require.ErrorContains(t, err, "is PostgreSQL 14; 15 or newer is needed")
	})
	t.Run("a wrong variable stops the start", func(t *testing.T) {
		t.Setenv(BinVariable, t.TempDir())
		_, err := Start(t.Context(), Config{Dir: t.TempDir(), Install: true})
		require.ErrorContains(t, err, BinVariable+": postgres: there is no program initdb in ")
	})
	t.Run("the path comes before the usual places", func(t *testing.T) {
		dir := fakeBinaries(t, "99.1")
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		got, version, err := FindBinaries()
		require.NoError(t, err)
		require.Equal(t, dir, got)
		require.Equal(t, 99, version)
	})
}

func TestNewestIsTheHighestUsable(t *testing.T) {
	t.Parallel()
	high, low, old := fakeBinaries(t, "18beta1"), fakeBinaries(t, "15.3"), fakeBinaries(t, "9.6.1")
	dir, version := newest([]string{low, t.TempDir(), high, old})
	require.Equal(t, high, dir)
	require.Equal(t, 18, version)
	dir, _ = newest([]string{old})
	require.Empty(t, dir)
}

func TestMissingNamesOneCommand(t *testing.T) {
	t.Parallel()
	err := missing([]way{{command: "first"}, {command: "second"}})
	require.ErrorIs(t, err, ErrNoBinaries)
	require.EqualError(t, err, "postgres: PostgreSQL 15 or newer was not found: install it with\n  first\nor set TOLLBOOK_PG_BIN to its bin directory")
	require.ErrorContains(t, missing(nil), "install it with your system's packages")
}

func TestFinishNPMMakesTheLinks(t *testing.T) {
	t.Parallel()
	native := filepath.Join(t.TempDir(), "native")
	require.NoError(t, os.MkdirAll(filepath.Join(native, "lib"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(native, "bin"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(native, "lib", "libx.so.1.2"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(native, "bin", "postgres"), nil, 0o600))
	list := `[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so"}]`
	require.NoError(t, os.WriteFile(filepath.Join(native, "pg-symlinks.json"), []byte(list), 0o600))

	require.NoError(t, finishNPM(native))
	require.NoError(t, finishNPM(native), "again is harmless")
	link, err := os.Readlink(filepath.Join(native, "lib", "libx.so"))
	require.NoError(t, err)
	require.Equal(t, "libx.so.1.2", link)
	require.True(t, isExecutable(filepath.Join(native, "bin", "postgres")))

	list = `[{"source":"native/lib/libx.so.1.2","target":"../../out"}]`
	require.NoError(t, os.WriteFile(filepath.Join(native, "pg-symlinks.json"), []byte(list), 0o600))
	require.ErrorContains(t, finishNPM(native), "leaves the package")
}

func TestReachableBinaries(t *testing.T) {
	t.Parallel()
	dir := fakeBinaries(t, "17.0")
	place, err := serverOwner(filepath.Join(dir, "data"))
	require.NoError(t, err)
	got, err := reachableBinaries(dir, place, io.Discard)
	if os.Geteuid() != 0 {
		require.NoError(t, err)
		require.Equal(t, dir, got)
		return
	}
	require.ErrorContains(t, err, "cannot enter "+dir)
}
