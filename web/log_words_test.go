package web

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/approval"
)

// source is the code of the use cases, without their tests.
func source(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../app/*.go")
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	return all.String()
}

// TestEveryActionHasWords reads the code that writes records.
func TestEveryActionHasWords(t *testing.T) {
	t.Parallel()
	code := regexp.MustCompile(`once, "[a-z_.]+"`).ReplaceAllString(source(t), "") // names of what is done once, no actions
	var actions []string
	families := map[string]bool{}
	add := func(found [][]string) {
		for _, m := range found {
			if family, _, _ := strings.Cut(m[1], "."); !slices.Contains(actions, m[1]) {
				actions, families[family] = append(actions, m[1]), true
			}
		}
	}
	add(regexp.MustCompile(`(?:Action:\s*|record\(tx, |recordExport\(ctx, who, |noteMapping\(tx, )"([a-z_]+\.[a-z_]*[a-z])"`).FindAllStringSubmatch(code, -1))
	for family := range families { // those in constants and in arguments, by their family
		add(regexp.MustCompile(`"(`+family+`\.[a-z_]*[a-z])"`).FindAllStringSubmatch(code, -1))
	}
	for _, state := range []approval.State{approval.StateApplied, approval.StateRejected} { // what a decision leads to
		add([][]string{{"", "change." + string(state)}})
	}
	for _, step := range []string{"retry", "cancel", "delete"} {
		require.Contains(t, code, `JobStep = "`+step+`"`)
		add([][]string{{"", "operator.job_" + step}})
	}
	require.Greater(t, len(actions), 25)
	for _, action := range actions {
		require.NotEqual(t, action, actionWords(action), "say in logFamilies what %s means", action)
	}
	for _, family := range logFamilies() {
		for _, a := range family.Actions {
			require.Contains(t, actions, a.Code, "nothing writes it")
			require.True(t, strings.HasPrefix(a.Code, family.Prefix))
		}
	}
	require.Equal(t, "moon.landed", actionWords("moon.landed"))
}

// TestEveryKindOfChangeHasWords reads the funnel.
func TestEveryKindOfChangeHasWords(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../app/changes.go")
	require.NoError(t, err)
	var inCode, known []string
	for _, m := range regexp.MustCompile(`\n\tchange[A-Z]\w*\s+= "([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
		inCode = append(inCode, m[1])
	}
	for _, k := range changeKinds() {
		known = append(known, k.Kind)
	}
	require.Greater(t, len(inCode), 25)
	require.ElementsMatch(t, inCode, known)
}
