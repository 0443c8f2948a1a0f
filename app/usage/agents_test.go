package usage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/usage"
)

// drawn prints a tree with a dot a level.
func drawn(tree []usage.Agent) string {
	var lines []string
	for _, a := range tree {
		lines = append(lines, strings.Repeat(".", a.Depth)+a.ID)
	}
	return strings.Join(lines, " ")
}

func TestAgentsAreATree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, calls, want string }{
		{"none but the main one", "", ""},
		{"children by their first call", ", b, a, b", " .b .a"},
		{"a grandchild", ", a, x<a, b, y<a", " .a ..x ..y .b"},
		{"a child that is heard before its parent", ", x<a, a", " .a ..x"},
		{"the first word on a parent holds", ", a, b, x<a, x<b", " .a ..x .b"},
		{"a parent that never called", ", x<gone", " .x"},
		{"below itself", ", x<x", " .x"},
		{"a ring, each below the other", ", x<y, y<x", " .x .y"},
		{"below a ring", ", x<y, y<x, z<y", " .x .y ..z"},
	} {
		var calls []usage.AgentCall
		for text := range strings.SplitSeq(c.calls, ", ") {
			agent, parent, _ := strings.Cut(text, "<")
			calls = append(calls, usage.AgentCall{Agent: agent, Parent: parent})
		}
		require.Equal(t, c.want, drawn(usage.Agents(calls)), c.name)
	}
}

// TestEveryAgentHasOnePlace draws any declarations there can be.
func TestEveryAgentHasOnePlace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"})
		calls := rapid.SliceOf(rapid.Custom(func(r *rapid.T) usage.AgentCall {
			return usage.AgentCall{Agent: name.Draw(r, "agent"), Parent: name.Draw(r, "parent")}
		})).Draw(r, "calls")
		seen := map[string]int{"": 0}
		for _, c := range calls {
			seen[c.Agent] = 0
		}
		depth := -1
		for _, a := range usage.Agents(calls) {
			seen[a.ID]++
			if a.Depth > depth+1 {
				r.Fatalf("%q is two levels below the one before", a.ID)
			}
			depth = a.Depth
		}
		for agent, n := range seen {
			if n != 1 {
				r.Fatal(fmt.Sprintf("%q has %d places", agent, n))
			}
		}
	})
}
