package export_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/export"
)

func TestAFormulaIsGuardedAndTextIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"} {
		require.True(t, export.Formula(text), "%q", text)
		require.Equal(t, "'"+text, export.Guarded(text))
	}
	for _, text := range []string{"", "a=1", " =1", "'=1", "007", "é"} {
		require.False(t, export.Formula(text), "%q", text)
		require.Equal(t, text, export.Guarded(text))
	}
}
