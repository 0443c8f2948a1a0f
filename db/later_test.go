package db_test

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/db"
	"tollbook/db/dbtest"
)

// doorway passes connections at one path on to a server's socket.
func doorway(t *testing.T, at, server string) {
	t.Helper()
	l, err := net.Listen("unix", at)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", server)
			if err != nil {
				_ = in.Close()
				return
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}

// TestADatabaseMayComeLater opens before there is one; the role is checked on the
// first connection all the same.
func TestADatabaseMayComeLater(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	host, _, _ := strings.Cut(strings.TrimPrefix(clone.URL("tollbook_app"), "host="), " ")
	for _, role := range []string{"tollbook_app", "tollbook"} {
		dir := t.TempDir()
		at := func(role string) string { return strings.Replace(clone.URL(role), host, dir, 1) }
		cfg := db.Config{URL: at(role), SystemURL: at("tollbook_system")}
		_, err := db.Open(t.Context(), cfg)
		require.Error(t, err)
		cfg.Later = true
		opened, err := db.Open(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(opened.Close)
		require.Error(t, opened.Ping(t.Context()))
		require.ErrorIs(t, opened.InSystem(t.Context(), "to see it fail", func(*db.SystemTx) error { return nil }), db.ErrUnavailable)
		doorway(t, filepath.Join(dir, ".s.PGSQL.5432"), filepath.Join(host, ".s.PGSQL.5432"))
		if role == "tollbook" {
			require.ErrorContains(t, opened.Ping(t.Context()), "must own no table", "a superuser is not let in late either")
			require.ErrorContains(t, opened.Ping(t.Context()), "must own no table")
			continue
		}
		require.NoError(t, opened.Ping(t.Context()))
		require.NoError(t, opened.InSystem(t.Context(), "it is there now", func(*db.SystemTx) error { return nil }))
	}
}
