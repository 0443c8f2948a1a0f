package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/secret"
)

func TestTextNeverPrints(t *testing.T) {
	t.Parallel()
	s := secret.NewText("hunter2")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", s, "in", struct{ K secret.Text }{s})
	body, err := json.Marshal(map[string]any{"k": s, "in": struct{ K *secret.Text }{&s}})
	require.NoError(t, err)
	for _, out := range []string{
		fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s),
		fmt.Sprintf("%v %+v %#v", struct{ K secret.Text }{s}, struct{ K secret.Text }{s}, []secret.Text{s}), log.String(), string(body),
	} {
		require.NotContains(t, out, "hunter2")
		require.NotContains(t, out, "68756e74657232")
	}
}

func TestSealBindsPurposeSubjectAndBytes(t *testing.T) {
	t.Parallel()
	ring, err := secret.NewKeyring(secret.NewMaster())
	require.NoError(t, err)
	sealed := ring.Seal("name", "per_1", []byte("Ada"))
	plain, err := ring.Open("name", "per_1", sealed)
	require.NoError(t, err)
	require.Equal(t, "Ada", string(plain))
	_, err = ring.Open("name", "per_2", sealed)
	require.ErrorIs(t, err, secret.ErrSealed)
	_, err = ring.Open("mail", "per_1", sealed)
	require.ErrorIs(t, err, secret.ErrSealed)
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		_, err = ring.Open("name", "per_1", bad)
		require.Error(t, err, i)
	}
	for n := range sealed {
		_, err = ring.Open("name", "per_1", sealed[:n])
		require.Error(t, err)
	}
}

func TestTwoMasterKeysDuringRotation(t *testing.T) {
	t.Parallel()
	oldKey, newKey := secret.NewMaster(), secret.NewText("2:"+secret.NewMaster().Reveal())
	before, err := secret.NewKeyring(oldKey)
	require.NoError(t, err)
	during, err := secret.NewKeyring(newKey, oldKey)
	require.NoError(t, err)
	plain, err := during.Open("p", "s", before.Seal("p", "s", []byte("x")))
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
	require.Contains(t, during.Hasher("key").Accepted("tbk_1"), before.Hasher("key").Current("tbk_1"))
	require.NotEqual(t, during.Hasher("key").Current("tbk_1"), before.Hasher("key").Current("tbk_1"))
	_, err = secret.NewKeyring(oldKey, secret.NewMaster())
	require.Error(t, err, "two keys of one version")
	_, err = secret.NewKeyring(secret.NewText("short"))
	require.Error(t, err)
}

func TestMintIsRecognizableAndUnique(t *testing.T) {
	t.Parallel()
	a, b := secret.Mint("tbk_"), secret.Mint("tbk_")
	require.NotEqual(t, a.Reveal(), b.Reveal())
	require.Regexp(t, `^tbk_[a-z2-7]{32}$`, a.Reveal())
}

func TestWhatIsSealedApartOpensWithBothKeysAlone(t *testing.T) {
	t.Parallel()
	ring, err := secret.NewKeyring(secret.NewMaster())
	require.NoError(t, err)
	sealed := ring.SealApart("name", "per_1", []byte("Ada"))
	plain, err := ring.Open("name", "per_1", sealed)
	require.NoError(t, err)
	require.Equal(t, "Ada", string(plain))
	require.False(t, ring.Stale(sealed))
	other := ring.SealApart("name", "per_1", []byte("Ada"))
	for _, wrong := range [][]byte{sealed[33:], slices.Concat(other[:33], sealed[33:]), sealed[:33], sealed[:1], nil} {
		_, err = ring.Open("name", "per_1", wrong)
		require.ErrorIs(t, err, secret.ErrSealed)
	}
	_, err = ring.Open("name", "per_2", sealed)
	require.ErrorIs(t, err, secret.ErrSealed)
	newer, err := secret.NewKeyring(secret.NewText("2:"+secret.NewMaster().Reveal()), secret.NewMaster())
	require.NoError(t, err)
	require.True(t, newer.Stale(sealed))
	_, err = newer.Open("name", "per_1", sealed)
	require.ErrorIs(t, err, secret.ErrSealed, "the key of its own is not enough")
}
