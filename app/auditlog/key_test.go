package auditlog_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/id"
)

func TestEachLogHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{7}, auditlog.SeedBytes)
	one, two := id.NewTenant(time.Now()), id.NewTenant(time.Now())
	signer, key, err := auditlog.NewSigner(seed, one)
	require.NoError(t, err)
	again, sameKey, err := auditlog.NewSigner(seed, one)
	require.NoError(t, err)
	require.Equal(t, key, sameKey)
	require.Equal(t, signer.KeyHash(), again.KeyHash())
	_, otherKey, err := auditlog.NewSigner(seed, two)
	require.NoError(t, err)
	require.NotEqual(t, key, otherKey)
	signed, err := auditlog.Checkpoint{Origin: auditlog.Origin(one), Size: 1, Root: leaf(0)}.Sign(signer)
	require.NoError(t, err)
	mine, err := auditlog.Verifiers([]string{key})
	require.NoError(t, err)
	_, err = auditlog.OpenCheckpoint(signed, mine)
	require.NoError(t, err)
	others, err := auditlog.Verifiers([]string{otherKey})
	require.NoError(t, err)
	_, err = auditlog.OpenCheckpoint(signed, others)
	require.Error(t, err)
	_, _, err = auditlog.NewSigner(seed[1:], one)
	require.Error(t, err)
}
