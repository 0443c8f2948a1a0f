package backup_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/backup"
)

var asOf = time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant in all but name

const seal = "a key that seals manifests"

// written makes a zip of two tables and a segment.
func written(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.zip")
	w, err := backup.Create(path, backup.Manifest{Name: "a", AsOf: asOf, SchemaVersion: 35})
	require.NoError(t, err)
	require.NoFileExists(t, path, "it has its name when it is whole")
	for name, content := range map[string]string{"change": "one\ntwo\n", "tombstone": "three\n"} {
		require.NoError(t, w.Table(backup.Table{Schema: "public", Name: name, Columns: []string{"a"}}, func(to io.Writer) (int64, error) {
			_, err := io.WriteString(to, content)
			return int64(strings.Count(content, "\n")), err
		}))
	}
	require.NoError(t, w.Segment("replica", "0001", strings.NewReader("frames")))
	require.NoError(t, w.Finish([]byte(seal)))
	return path
}

func TestABackupIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	path := written(t)
	state, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), state.Mode())
	r, err := backup.Open(path, [][]byte{[]byte("an older key"), []byte(seal)})
	require.NoError(t, err)
	defer r.Close()
	require.EqualValues(t, 3, r.Manifest.Rows())
	require.Equal(t, []any{backup.Format, int64(35), asOf}, []any{r.Manifest.Format, r.Manifest.SchemaVersion, r.Manifest.AsOf})
	all := map[string]string{}
	read := func(f backup.File) {
		require.NoError(t, r.Read(f, func(from io.Reader) error {
			content, err := io.ReadAll(from)
			all[f.Path] = string(content)
			return err
		}))
	}
	for _, table := range r.Manifest.Tables {
		read(table.File)
	}
	read(r.Manifest.Journals[0].File)
	require.Equal(t, map[string]string{"tables/public.change.copy": "one\ntwo\n", "tables/public.tombstone.copy": "three\n", "journals/replica/0001": "frames"}, all)
	require.NoError(t, r.Read(r.Manifest.Tables[0].File, func(io.Reader) error { return nil }), "who reads nothing has it checked all the same")
	broken := errors.New("the reader's own trouble")
	require.ErrorIs(t, r.Read(r.Manifest.Tables[0].File, func(io.Reader) error { return broken }), broken)
	_, err = backup.Create(path, backup.Manifest{})
	require.ErrorContains(t, err, "never written over")
	_, err = backup.Open(path, [][]byte{[]byte("another key")})
	require.ErrorIs(t, err, backup.ErrUnsealed)
	_, err = backup.Open(path, nil)
	require.ErrorIs(t, err, backup.ErrUnsealed)
}

// rewritten copies a zip with some of its files changed; without content a file is left out.
func rewritten(t *testing.T, from string, bend func(name string, content []byte) []byte) string {
	t.Helper()
	archive, err := zip.OpenReader(from)
	require.NoError(t, err)
	defer archive.Close()
	var out bytes.Buffer
	into := zip.NewWriter(&out)
	for _, file := range archive.File {
		opened, err := file.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(opened)
		require.NoError(t, err)
		if content = bend(file.Name, content); content == nil {
			continue
		}
		to, err := into.Create(file.Name)
		require.NoError(t, err)
		_, err = to.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, into.Close())
	path := filepath.Join(t.TempDir(), "bent.zip")
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
	return path
}

func TestWhatWasChangedOfABackupIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	path := written(t)
	const table = "tables/public.change.copy"
	for name, bend := range map[string]func([]byte) []byte{
		"a byte":    func(b []byte) []byte { b = bytes.Clone(b); b[0] ^= 1; return b },
		"cut short": func(b []byte) []byte { return b[:len(b)-1] },
		"longer":    func(b []byte) []byte { return append(bytes.Clone(b), b...) },
	} {
		r, err := backup.Open(rewritten(t, path, func(file string, content []byte) []byte {
			if file == table {
				return bend(content)
			}
			return content
		}), [][]byte{[]byte(seal)})
		require.NoError(t, err, name)
		for i := range r.Manifest.Tables {
			if r.Manifest.Tables[i].Path != table {
				continue
			}
			err = r.Read(r.Manifest.Tables[i].File, func(from io.Reader) error { _, err := io.Copy(io.Discard, from); return err })
			require.ErrorContains(t, err, "is not what was backed up", name)
			err = r.Read(r.Manifest.Tables[i].File, func(io.Reader) error { return nil })
			require.ErrorContains(t, err, "is not what was backed up", name)
		}
		require.NoError(t, r.Close())
	}
	for _, gone := range []string{"manifest.json", "manifest.mac"} {
		_, err := backup.Open(rewritten(t, path, func(file string, content []byte) []byte {
			if file == gone {
				return nil
			}
			return content
		}), [][]byte{[]byte(seal)})
		require.ErrorContains(t, err, "has no "+gone)
	}
	_, err := backup.Open(rewritten(t, path, func(file string, content []byte) []byte {
		if file == "manifest.json" {
			return bytes.Replace(content, []byte(`"rows": 2`), []byte(`"rows": 1`), 1)
		}
		return content
	}), [][]byte{[]byte(seal)})
	require.Equal(t, "backup_unsealed", fault.From(err).Code)
	cut := filepath.Join(t.TempDir(), "cut.zip")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cut, content[:len(content)/2], 0o600))
	_, err = backup.Open(cut, [][]byte{[]byte(seal)})
	require.ErrorContains(t, err, "no whole backup")
}

func TestABackupThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := backup.Create(filepath.Join(dir, "a.zip"), backup.Manifest{AsOf: asOf})
	require.NoError(t, err)
	full := errors.New("the disk is full")
	require.ErrorIs(t, w.Table(backup.Table{Schema: "public", Name: "change"}, func(io.Writer) (int64, error) { return 0, full }), full)
	w.Abandon()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, backup.Plain(filepath.Join(dir, "heads"), []byte("a head\n")))
	require.ErrorContains(t, backup.Plain(filepath.Join(dir, "heads"), []byte("another\n")), "never written over")
}

func TestKeysOpenForWhomTheyWereWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := &backup.Keys{
		AsOf: asOf, SchemaVersion: 35, MasterKeys: []secret.Text{secret.NewText("new"), secret.NewText("old")}, LogKey: secret.NewText("seed"),
		Tables: []backup.KeyTable{{Table: backup.Table{Schema: "keys", Name: "person_key", Rows: 1}, Content: []byte("a row\n")}}, Erased: []backup.Erased{{Tenant: "ten_1", Kind: "person", ErasedAt: asOf}},
	}
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	byPhrase, byRecipient := filepath.Join(dir, "phrase.age"), filepath.Join(dir, "recipient.age")
	phrase := secret.NewText("correct horse battery staple")
	require.NoError(t, keys.Write(byPhrase, backup.Protection{Passphrase: phrase}))
	require.NoError(t, keys.Write(byRecipient, backup.Protection{Recipients: []string{identity.Recipient().String()}}))
	for path, opening := range map[string]backup.Opening{byPhrase: {Passphrase: phrase}, byRecipient: {Identities: secret.NewText(identity.String() + "\n")}} {
		read, err := backup.ReadKeys(path, opening)
		require.NoError(t, err)
		require.Equal(t, keys, read)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(content), "a row")
	}
	for name, c := range map[string]struct {
		path    string
		opening backup.Opening
	}{
		"another passphrase": {byPhrase, backup.Opening{Passphrase: secret.NewText("wrong")}}, "another recipient": {byRecipient, backup.Opening{Identities: secret.NewText(other.String())}},
		"no passphrase": {byPhrase, backup.Opening{}}, "no identity": {byRecipient, backup.Opening{Identities: secret.NewText("x")}}, "no file": {filepath.Join(dir, "none"), backup.Opening{Passphrase: phrase}},
	} {
		_, err := backup.ReadKeys(c.path, c.opening)
		require.Error(t, err, name)
	}
	content, err := os.ReadFile(byRecipient)
	require.NoError(t, err)
	content[len(content)-1] ^= 1
	require.NoError(t, os.WriteFile(byRecipient, content, 0o600))
	_, err = backup.ReadKeys(byRecipient, backup.Opening{Identities: secret.NewText(identity.String())})
	require.ErrorContains(t, err, "does not open")
	for name, bad := range map[string]backup.Protection{"nothing": {}, "both": {Passphrase: phrase, Recipients: []string{identity.Recipient().String()}}, "no recipient": {Recipients: []string{"age1x"}}} {
		require.Error(t, bad.Check(), name)
		require.Error(t, keys.Write(filepath.Join(dir, "bad.age"), bad), name)
	}
	require.NoFileExists(t, filepath.Join(dir, "bad.age"))
}
