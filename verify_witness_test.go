package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/secret"
	"tollbook/app/witness"
	"tollbook/simulator/notary"
)

// outside are witnesses as the configuration names them, and their keys as they give them.
type outside struct {
	set  map[string]string
	log  *notary.Log
	keys string
}

func openOutside(t *testing.T) *outside {
	t.Helper()
	program, err := exec.CommandContext(t.Context(), "scripts/versitygw").Output()
	require.NoError(t, err)
	store, err := notary.StartStore(context.WithoutCancel(t.Context()), strings.TrimSpace(string(program)), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(store.Stop)
	second, err := notary.NewLog("witness.test/w", time.Now)
	require.NoError(t, err)
	cosigns := httptest.NewServer(second)
	t.Cleanup(cosigns.Close)
	clock, err := notary.NewClock(time.Now)
	require.NoError(t, err)
	stamps := httptest.NewServer(clock)
	t.Cleanup(stamps.Close)
	return &outside{log: second, keys: "# of the witnesses\n" + second.Key() + "\n" + string(clock.Root()), set: map[string]string{
		"TOLLBOOK_S3_ENDPOINT": store.URL, "TOLLBOOK_S3_ACCESS_KEY": store.AccessKey, "TOLLBOOK_S3_SECRET_KEY": store.SecretKey, "TOLLBOOK_WITNESS_S3_BUCKET": store.Bucket,
		"TOLLBOOK_WITNESS_LOGS": second.Key() + " " + cosigns.URL, "TOLLBOOK_WITNESS_TSA": stamps.URL, "TOLLBOOK_WITNESS_TSA_ROOTS": string(clock.Root()),
	}}
}

func settingsOf(set map[string]string) (settings, string) {
	s, err := readSettings(func(name string) (string, bool) { value, ok := set[name]; return value, ok }, []string{"web"})
	return s, err.Error() // the rest is not configured
}

// audited is a company whose log is exported and checked.
type audited struct {
	*watched
	who app.Actor
	dir string
}

// grow writes records, signs them by seeds and shows them to every witness.
func (a *audited) grow(t *testing.T, seeds string, show bool) {
	t.Helper()
	signer, err := app.SeedSigner(secret.NewText(seeds))
	require.NoError(t, err)
	a.records.SignBy(signer)
	_, err = a.records.Verify(t.Context(), a.who.Tenant) // which leaves a record
	require.NoError(t, err)
	_, err = a.audit.Sequence(t.Context(), a.who.Tenant)
	require.NoError(t, err)
	require.NoError(t, a.records.Sign(t.Context(), a.who.Tenant))
	for _, name := range a.records.Witnesses() {
		if show {
			require.NoError(t, a.records.See(t.Context(), a.who.Tenant, name))
		}
	}
}

func (a *audited) export(t *testing.T, name string) string {
	t.Helper()
	var packed bytes.Buffer
	require.NoError(t, a.records.Export(t.Context(), a.who, app.LogExport{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}, &packed))
	archive, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	require.NoError(t, err)
	path := filepath.Join(a.dir, name)
	require.NoError(t, os.CopyFS(path, archive))
	return path
}

func (a *audited) keep(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func said(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), append([]string{"verify"}, args...), &out, io.Discard)
	return out.String(), err
}

func openAudited(t *testing.T, o *outside) *audited {
	t.Helper()
	read, fault := settingsOf(o.set)
	require.NotContains(t, fault, "WITNESS")
	require.NotContains(t, fault, "S3")
	require.Len(t, read.Witnesses, 3)
	a := &audited{watched: openHouse(t, func(s *settings) { s.Witnesses, s.WitnessWithin = read.Witnesses, read.WitnessWithin }), dir: t.TempDir()}
	a.tenant(t, "acme", "http://127.0.0.1:9", "sk-test")
	list, err := a.tenants.List(t.Context())
	require.NoError(t, err)
	a.who = app.Command(list[0].ID)
	return a
}

// TestVerifyChecksWhatWitnessesSaw exports a log that three witnesses saw, and checks it with
// their keys as they gave them, with a head that was kept, and changed on the way.
func TestVerifyChecksWhatWitnessesSaw(t *testing.T) {
	t.Parallel()
	o := openOutside(t)
	a := openAudited(t, o)
	seed := secret.NewMaster().Reveal()
	a.grow(t, seed, false)
	view, err := a.records.Read(t.Context(), a.who, app.LogQuery{Limit: 1})
	require.NoError(t, err)
	require.NoError(t, o.log.Watch(view.State.Keys[0]))
	a.grow(t, seed, true)
	a.grow(t, seed, true)
	path := a.export(t, "whole")
	logKeys, keys := a.keep(t, "log-keys", view.State.Keys[0]), a.keep(t, "witness-keys", o.keys)

	text, err := said(t, path, "--log-keys", logKeys)
	require.NoError(t, err)
	require.Contains(t, text, "witness.test/w: ")
	require.Contains(t, text, "NOT CHECKED: give its key with --witness-keys FILE")
	require.Contains(t, text, "by an authority nobody vouched for here")
	require.Contains(t, text, "s3://heads: ")
	require.Contains(t, text, "?versionId=")
	require.Contains(t, text, "the operator can re-sign the unwitnessed tail")
	text, err = said(t, path, "--log-keys", logKeys, "--witness-keys", keys)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(text, "by its key from --witness-keys"))
	require.Contains(t, text, "Unwitnessed  nothing: a witness saw the head of all of it")
	a.grow(t, seed, false)
	text, err = said(t, a.export(t, "tail"), "--witness-keys", keys)
	require.NoError(t, err)
	require.Contains(t, text, "Unwitnessed  records ")

	heads, err := os.ReadDir(filepath.Join(path, auditlog.DirectoryHeads))
	require.NoError(t, err)
	head, err := os.ReadFile(filepath.Join(path, auditlog.DirectoryHeads, heads[0].Name()))
	require.NoError(t, err)
	text, err = said(t, path, "--log-keys", logKeys, "--checkpoint", a.keep(t, "held", string(head)))
	require.NoError(t, err)
	require.Contains(t, text, "this log goes on from it")
	require.Contains(t, text, "a trusted key signed it")
	lines := strings.Split(string(head), "\n")
	lines[2] = auditlog.Root(nil).String()
	_, err = said(t, path, "--checkpoint", a.keep(t, "fork", strings.Join(lines, "\n")))
	require.ErrorContains(t, err, "the log was another one when the head held outside was signed")
	lines[1] = "1000"
	_, err = said(t, path, "--checkpoint", a.keep(t, "ahead", strings.Join(lines, "\n")))
	require.ErrorContains(t, err, "records from here on are missing")
	_, err = said(t, path, "--checkpoint", a.keep(t, "none", "x"))
	require.Error(t, err)

	var sights []witness.Sight
	index := filepath.Join(path, filepath.FromSlash(witness.FileIndex))
	raw, err := os.ReadFile(index)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &sights))
	require.Len(t, sights, 6)
	a.forgeSights(t, path, sights)
	require.NoError(t, os.WriteFile(index, raw, 0o600))
	for i, s := range sights {
		file := filepath.Join(path, filepath.FromSlash(s.File))
		good, err := os.ReadFile(file)
		require.NoError(t, err)
		other := sights[(i+3)%6] // the same witness' other sight
		swapped, err := os.ReadFile(filepath.Join(path, filepath.FromSlash(other.File)))
		require.NoError(t, err)
		require.Equal(t, s.Witness, other.Witness)
		require.NoError(t, os.WriteFile(file, swapped, 0o600))
		_, err = said(t, path, "--witness-keys", keys)
		require.ErrorContains(t, err, "is not for it", s.Witness)
		require.NoError(t, os.WriteFile(file, good, 0o600))
	}
	require.NoError(t, os.Remove(filepath.Join(path, filepath.FromSlash(sights[0].File))))
	_, err = said(t, path)
	require.ErrorContains(t, err, "is missing")
	for _, bad := range []string{"", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		_, err = said(t, path, "--witness-keys", a.keep(t, "bad", bad))
		require.ErrorContains(t, err, "--witness-keys")
	}
}

// forgeSights has whoever carries an export name what no witness saw: an object that only the
// export knows of covers nothing, and a name adds no line to the report.
func (a *audited) forgeSights(t *testing.T, path string, sights []witness.Sight) {
	t.Helper()
	index := filepath.Join(path, filepath.FromSlash(witness.FileIndex))
	write := func(s witness.Sight) {
		text, err := json.Marshal([]witness.Sight{s})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(index, text, 0o600))
	}
	forged := witness.Sight{Size: sights[0].Size, Witness: "s3://nobody", Kind: witness.Object, Object: "s3://nobody/x", File: auditlog.FileCheckpoint}
	write(forged)
	text, err := said(t, path)
	require.NoError(t, err)
	require.NotContains(t, text, "Unwitnessed  nothing", "anybody names an object")
	require.Contains(t, text, "if the object is there")
	forged.Witness = "w: seen\nUnwitnessed  nothing: a witness saw the head of all of it\nx"
	write(forged)
	_, err = said(t, path)
	require.ErrorContains(t, err, "no plain text")
}

// TestVerifyFollowsTheChainOfKeys changes the seed with an overlap, then without.
func TestVerifyFollowsTheChainOfKeys(t *testing.T) {
	t.Parallel()
	a := openAudited(t, openOutside(t))
	one, two, three := secret.NewMaster().Reveal(), secret.NewMaster().Reveal(), secret.NewMaster().Reveal()
	for _, seeds := range []string{one, two + "," + one, two} {
		a.grow(t, seeds, false)
	}
	view, err := a.records.Read(t.Context(), a.who, app.LogQuery{Limit: 1})
	require.NoError(t, err)
	first := a.keep(t, "first", view.State.Keys[0])
	text, err := said(t, a.export(t, "followed"), "--log-keys", first)
	require.NoError(t, err, "who knows the first key alone comes to the second")
	require.Contains(t, text, "; named by key ")
	require.NotContains(t, text, "BREAK")
	require.NotContains(t, text, "no key that is trusted")

	a.grow(t, three, false)
	broken := a.export(t, "broken")
	_, err = said(t, broken, "--log-keys", first)
	require.ErrorContains(t, err, "No key that is trusted here signed this checkpoint")
	view, err = a.records.Read(t.Context(), a.who, app.LogQuery{Limit: 1})
	require.NoError(t, err)
	text, err = said(t, broken, "--log-keys", a.keep(t, "third", view.State.Keys[2]))
	require.NoError(t, err)
	require.Contains(t, text, "BREAK: it follows other keys and none of them named it")
	require.Contains(t, text, "3 earlier heads are signed by no key that is trusted")
	text, err = said(t, broken)
	require.NoError(t, err)
	require.Contains(t, text, "BREAK")
}

func TestWitnessesAreConfiguredOrRefused(t *testing.T) {
	t.Parallel()
	o := openOutsideNames(t)
	s, fault := settingsOf(nil)
	require.Empty(t, s.Witnesses)
	require.NotContains(t, fault, "WITNESS")
	for _, c := range []struct{ name, value, words string }{
		{"TOLLBOOK_S3_ENDPOINT", "http://s3.example.com", "TOLLBOOK_S3_ENDPOINT should be an https address"},
		{"TOLLBOOK_S3_ENDPOINT", "", "TOLLBOOK_S3_ENDPOINT is not set"},
		{"TOLLBOOK_S3_ACCESS_KEY", "", "TOLLBOOK_S3_ACCESS_KEY is not set"},
		{"TOLLBOOK_S3_SECRET_KEY", "", "TOLLBOOK_S3_SECRET_KEY is not set"},
		{"TOLLBOOK_WITNESS_S3_RETAIN_YEARS", "0", "TOLLBOOK_WITNESS_S3_RETAIN_YEARS should be"},
		{"TOLLBOOK_WITNESS_S3_RETAIN_YEARS", "7y", "TOLLBOOK_WITNESS_S3_RETAIN_YEARS should be"},
		{"TOLLBOOK_WITNESS_LOGS", "w https://w.example", "TOLLBOOK_WITNESS_LOGS should be pairs"},
		{"TOLLBOOK_WITNESS_LOGS", o["TOLLBOOK_WITNESS_LOGS"] + ",", "TOLLBOOK_WITNESS_LOGS should be pairs"},
		{"TOLLBOOK_WITNESS_LOGS", strings.Fields(o["TOLLBOOK_WITNESS_LOGS"])[0] + " http://w.example", "TOLLBOOK_WITNESS_LOGS should be pairs"},
		{"TOLLBOOK_WITNESS_TSA", "tsa.example", "TOLLBOOK_WITNESS_TSA should be the address"},
		{"TOLLBOOK_WITNESS_TSA_ROOTS", "", "TOLLBOOK_WITNESS_TSA_ROOTS is not set"},
		{"TOLLBOOK_WITNESS_TSA_ROOTS", "x", "TOLLBOOK_WITNESS_TSA_ROOTS should hold the certificates"},
		{"TOLLBOOK_WITNESS_WITHIN", "1s", "TOLLBOOK_WITNESS_WITHIN should be"},
	} {
		set := maps.Clone(o)
		if set[c.name] = c.value; c.value == "" {
			delete(set, c.name)
		}
		_, fault := settingsOf(set)
		require.Contains(t, fault, c.words)
		require.NotContains(t, fault, "secret-of-the-store")
	}
	s, fault = settingsOf(o)
	require.NotContains(t, fault, "WITNESS")
	var names []string
	for _, w := range s.Witnesses {
		names = append(names, w.Name())
	}
	require.Equal(t, []string{"s3://heads", "w.example", "http://tsa.example/tsr"}, names)
}

// openOutsideNames configures witnesses that nobody asks.
func openOutsideNames(t *testing.T) map[string]string {
	t.Helper()
	second, err := notary.NewLog("w.example", time.Now)
	require.NoError(t, err)
	clock, err := notary.NewClock(time.Now)
	require.NoError(t, err)
	return map[string]string{
		"TOLLBOOK_S3_ENDPOINT": "https://s3.example.com", "TOLLBOOK_S3_ACCESS_KEY": "key", "TOLLBOOK_S3_SECRET_KEY": "secret-of-the-store", "TOLLBOOK_WITNESS_S3_BUCKET": "heads",
		"TOLLBOOK_WITNESS_LOGS": second.Key() + " https://w.example/", "TOLLBOOK_WITNESS_TSA": "http://tsa.example/tsr", "TOLLBOOK_WITNESS_TSA_ROOTS": string(clock.Root()),
	}
}
