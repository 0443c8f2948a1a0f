package api_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/hierarchy"
	"tollbook/web/api"
)

// members lists a type's members as JSON names them.
func members(t reflect.Type) []string {
	var list []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		list = append(list, name)
	}
	return list
}

// TestOperationsAreDescribedAsTheyAreRead compares what the description says of a change
// of nodes with what reads it.
func TestOperationsAreDescribedAsTheyAreRead(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, members(reflect.TypeFor[hierarchy.Operation]()), members(reflect.TypeFor[api.NodeOperation]()))
	require.ElementsMatch(t, members(reflect.TypeFor[hierarchy.Part]()), members(reflect.TypeFor[api.NodePart]()))
	require.ElementsMatch(t, members(reflect.TypeFor[hierarchy.Evidence]()), members(reflect.TypeFor[api.Evidence]()))
}
