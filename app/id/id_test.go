package id_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
)

func TestEventIDCarriesItsMillisecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 10, 4, 5, 678_900_000, time.UTC)
	e := id.NewEvent(at)
	require.Equal(t, at.Truncate(time.Millisecond), e.Time())
	back, err := id.ParseEvent(e.String())
	require.NoError(t, err)
	require.Equal(t, e, back)
	require.Equal(t, "evt_", e.String()[:4])
}

func TestAnIDIsNotReadAsAnother(t *testing.T) {
	t.Parallel()
	_, err := id.ParseNode(id.NewEvent(time.Now()).String())
	require.Error(t, err)
}

func TestDeriveSeparatesItsParts(t *testing.T) {
	t.Parallel()
	a := id.DerivePlacement([]byte("ab"), []byte("c"))
	require.Equal(t, a, id.DerivePlacement([]byte("ab"), []byte("c")))
	require.NotEqual(t, a, id.DerivePlacement([]byte("a"), []byte("bc")))
}
