package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/period"
	"tollbook/app/secret"
)

// TestVerifyChecksAnExportWithNothingButTheFile exports a company's log and checks it as
// an auditor does, as it came, unpacked, and with a byte changed on the way.
func TestVerifyChecksAnExportWithNothingButTheFile(t *testing.T) {
	t.Parallel()
	s := openHouse(t, func(s *settings) { s.LogKey = secret.NewMaster() })
	s.tenant(t, "acme", "http://127.0.0.1:9", "sk-test")
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	who := app.Command(list[0].ID)
	_, err = s.audit.Sequence(t.Context(), who.Tenant)
	require.NoError(t, err)
	dir := t.TempDir()
	path, keys := filepath.Join(dir, "log.zip"), filepath.Join(dir, "keys.txt")
	var packed bytes.Buffer
	ask := app.LogExport{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour), Usage: true}
	require.NoError(t, s.records.Export(t.Context(), who, ask, &packed))
	require.NoError(t, os.WriteFile(path, packed.Bytes(), 0o600))
	view, err := s.records.Read(t.Context(), who, app.LogQuery{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(keys, []byte(strings.Join(view.State.Keys, "\n")), 0o600))

	said := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"verify"}, args...), &out, io.Discard)
		return out.String(), err
	}
	text, err := said(path)
	require.NoError(t, err)
	require.Contains(t, text, "GOOD "+path)
	require.Contains(t, text, "it agrees with itself, which does not tell who made it")
	for _, args := range [][]string{{path, "--log-keys", keys}, {"--log-keys", keys, path}} {
		text, err = said(args...)
		require.NoError(t, err)
		require.Contains(t, text, "whoever holds the log's secret key signed these heads")
	}

	unpacked := filepath.Join(dir, "unpacked")
	archive, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(unpacked, archive))
	text, err = said(unpacked, "--log-keys", keys)
	require.NoError(t, err)
	require.Contains(t, text, "GOOD")

	file := filepath.Join(unpacked, "records.jsonl")
	records, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := bytes.Split(records, []byte("\n"))
	lines[1] = bytes.Replace(lines[1], []byte(`"v":2`), []byte(`"v":3`), 1)
	require.NoError(t, os.WriteFile(file, bytes.Join(lines, []byte("\n")), 0o600))
	text, err = said(unpacked, "--log-keys", keys)
	require.ErrorContains(t, err, "record 1 (rec_")
	require.ErrorContains(t, err, "its bytes are not those that the log holds")
	require.Contains(t, text, "BAD")

	require.NoError(t, os.WriteFile(keys, []byte("tollbook/other+00000000+AAAA\n"), 0o600))
	_, err = said(path, "--log-keys", keys)
	require.ErrorContains(t, err, "is no key of a log")
	for _, args := range [][]string{{}, {path, path}, {filepath.Join(dir, "nothing")}, {keys}, {path, "--log-keys", filepath.Join(dir, "nothing")}, {path, "--issuer-keys", filepath.Join(dir, "nothing")}} {
		_, err = said(args...)
		require.Error(t, err, args)
	}
}

// TestAPurgeIsNamedInWords is what an auditor files of what is not here any more.
func TestAPurgeIsNamedInWords(t *testing.T) {
	t.Parallel()
	text := report("x.zip", &auditlog.Checked{Purges: []*auditlog.PurgeUse{{
		Purge: auditlog.Purge{Class: "usage", Month: "2018-11", Number: 12, Rows: 9, Requests: 4, ChargePico: "56000000000", Digest: "ab12"}, Sequence: 80, Batches: 3,
	}}})
	require.Contains(t, text, "usage of 2018-11, by Change 12 (record 80): 9 rows, 4 requests of 56000000000 pico-dollars, 3 batches of them recorded here; digest ab12")
	require.NotContains(t, report("x.zip", &auditlog.Checked{}), "Purged")
}

// TestWhatAConfirmedDecisionProvesIsSaidInWords is what an auditor files.
func TestWhatAConfirmedDecisionProvesIsSaidInWords(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	one := confirmation.Confirmed{Sequence: 12, Number: 7, Member: "mem_1", For: "mem_2", Issuer: "https://idp.test", KeyID: "k1", AskedAt: at, AuthTime: at.Add(time.Minute)}
	said := func(keys confirmation.Agreement, own bool) string {
		one.Keys = keys
		return decided(&confirmation.Inspector{Decisions: []confirmation.Confirmed{one}, OwnKey: own})
	}
	for keys, words := range map[confirmation.Agreement]string{
		confirmation.Unasked: "whose keys are from the export itself", confirmation.Agrees: "--issuer-keys agree: this token is https://idp.test's",
		confirmation.Unknown: `do not hold key "k1" of https://idp.test: NOT CONFIRMED`, confirmation.Disagrees: "DISAGREE",
	} {
		require.Contains(t, said(keys, true), words)
		require.Contains(t, said(keys, true), "key for decisions is from the export itself")
		require.NotContains(t, said(keys, false), "key for decisions is from the export itself")
		require.Contains(t, said(keys, false), "the issuer confirmed this person, then, for this digest")
		require.Contains(t, said(keys, false), "record 12   change 7 by mem_1 for mem_2: asked 2026-11-26T09:00:00Z, signed in 2026-11-26T09:01:00Z")
	}
	require.Contains(t, decided(&confirmation.Inspector{}), "none that an issuer was asked to confirm")
	require.Empty(t, decided(nil))
}

func TestALogKeyIsAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	master := secret.NewMaster().Reveal()
	fault := func(key string) string {
		set := map[string]string{"TOLLBOOK_MASTER_KEY": master, "TOLLBOOK_LOG_KEY": key}
		_, err := readSettings(func(name string) (string, bool) { value, ok := set[name]; return value, ok }, []string{"web"})
		require.Error(t, err, "the database is not named")
		return err.Error()
	}
	require.NotContains(t, fault(""), "TOLLBOOK_LOG_KEY")
	require.NotContains(t, fault(secret.NewMaster().Reveal()), "TOLLBOOK_LOG_KEY")
	require.Contains(t, fault("short"), "TOLLBOOK_LOG_KEY cannot be used: It should be 32 random bytes in base64")
	require.Contains(t, fault(master), "TOLLBOOK_LOG_KEY is the master key")
}

// TestVerifyChecksAPacket builds one as a company does, and checks it as whoever was sent it does.
func TestVerifyChecksAPacket(t *testing.T) {
	t.Parallel()
	s := openHouse(t, func(s *settings) { s.LogKey = secret.NewMaster() })
	s.tenant(t, "acme", "http://127.0.0.1:9", "sk-test")
	list, err := s.tenants.List(t.Context())
	require.NoError(t, err)
	who := app.Command(list[0].ID)
	made, fresh, err := s.packets.Build(t.Context(), who, period.MonthOf(time.Now()).Previous(), "")
	require.NoError(t, err)
	require.True(t, fresh)
	down, err := s.packets.Download(t.Context(), who, made, "")
	require.NoError(t, err)
	dir := t.TempDir()
	path, keys := filepath.Join(dir, down.Name), filepath.Join(dir, "keys.txt")
	require.NoError(t, os.WriteFile(path, down.Content, 0o600))
	view, err := s.records.Read(t.Context(), who, app.LogQuery{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(keys, []byte(strings.Join(view.State.Keys, "\n")), 0o600))
	said := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"verify"}, args...), &out, io.Discard)
		return out.String(), err
	}
	text, err := said(path, "--log-keys", keys)
	require.NoError(t, err)
	require.Contains(t, text, "GOOD "+path)
	require.Contains(t, text, "from --log-keys")
	require.Contains(t, text, "DRAFT")
	_, err = said(path, "--checkpoint", keys)
	require.ErrorContains(t, err, "--log-keys alone")

	unpacked := filepath.Join(dir, "unpacked")
	archive, err := zip.NewReader(bytes.NewReader(down.Content), int64(len(down.Content)))
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(unpacked, archive))
	_, err = said(unpacked)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(unpacked, "VERIFY.txt"), []byte("trust me"), 0o600))
	text, err = said(unpacked, "--log-keys", keys)
	require.ErrorContains(t, err, "VERIFY.txt: its bytes are not those")
	require.Contains(t, text, "BAD")
}
