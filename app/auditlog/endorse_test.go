package auditlog_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
	"tollbook/app/id"
)

// endorsed are keys of one log, and what each signed of another one as the next.
func endorsed(t *testing.T, tenant id.Tenant, newer, older byte) (newest auditlog.PublicKey) {
	t.Helper()
	authority, err := auditlog.NewAuthority(bytes.Repeat([]byte{newer}, auditlog.SeedBytes), bytes.Repeat([]byte{older}, auditlog.SeedBytes))
	require.NoError(t, err)
	signed, err := authority.SignHead(tenant, 1, leaf(0))
	require.NoError(t, err)
	return signed.Keys[0]
}

// TestAKeyIsNotNamedByItselfOrByALaterOne has a key that nobody named name itself, and two
// of them name one another: both are breaks.
func TestAKeyIsNotNamedByItselfOrByALaterOne(t *testing.T) {
	t.Parallel()
	tenant := id.NewTenant(time.Now())
	first := auditlog.PublicKey{Verifier: endorsed(t, tenant, 1, 9).Verifier}
	third := auditlog.PublicKey{Verifier: endorsed(t, tenant, 3, 2).Verifier}
	signer, _, err := auditlog.NewSigner(bytes.Repeat([]byte{3}, auditlog.SeedBytes), tenant)
	require.NoError(t, err)
	third.Endorsed, err = note.Sign(&note.Note{Text: "tollbook key succession v1\n" + auditlog.Origin(tenant) + "\n" + third.Verifier + "\n"}, signer)
	require.NoError(t, err)
	second := endorsed(t, tenant, 2, 3)

	for name, story := range map[string][]auditlog.PublicKey{"itself": {first, third}, "a later one": {first, second, third}} {
		bundle := fstest.MapFS{}
		put := func(name string, text []byte) { bundle[name] = &fstest.MapFile{Data: text} }
		head, err := auditlog.Checkpoint{Origin: auditlog.Origin(tenant), Size: 1, Root: leaf(0)}.Sign(signer)
		require.NoError(t, err)
		manifest, err := json.Marshal(auditlog.BundleManifest{Format: auditlog.BundleFormat, Origin: auditlog.Origin(tenant), Size: 1})
		require.NoError(t, err)
		text, err := json.Marshal(story)
		require.NoError(t, err)
		put(auditlog.FileManifest, manifest)
		put(auditlog.FileKeyStory, text)
		put(auditlog.FileKeys, []byte(third.Verifier+"\n"))
		put(auditlog.FileCheckpoint, head)
		put(auditlog.FileRecords, nil)
		put(auditlog.FileLeaves, nil)
		put(auditlog.FileOutside, []byte(leaf(0).String()+"\n"))
		checked, err := auditlog.Check(bundle, nil)
		require.NoError(t, err)
		require.Len(t, checked.Keys, len(story))
		require.True(t, checked.Keys[0].First)
		for _, key := range checked.Keys[1:] {
			require.True(t, key.Broken(), name)
		}
	}
}
