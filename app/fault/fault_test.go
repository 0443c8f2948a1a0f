package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/fault"
)

func TestFromFindsTheFaultBehindSteps(t *testing.T) {
	t.Parallel()
	base := fault.New(fault.KindConflict, "code_taken", "That code is taken.")
	err := fmt.Errorf("create node: %w", base.Because(errors.New("duplicate key")))
	require.Equal(t, fault.KindConflict, fault.KindOf(err))
	require.ErrorIs(t, err, base)
	require.Equal(t, "That code is taken.", fault.From(err).Message)
	require.Contains(t, err.Error(), "duplicate key")
	require.NoError(t, errors.Unwrap(base), "Because must not change the shared fault")
}

func TestFromHidesWhatIsNoFault(t *testing.T) {
	t.Parallel()
	f := fault.From(errors.New("password=hunter2"))
	require.Equal(t, fault.KindInternal, f.Kind)
	require.NotContains(t, f.Message, "hunter2")
}
