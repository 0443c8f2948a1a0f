package hierarchy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
)

// book is a tree that changes step by step, as a scenario tells.
type book struct {
	t        require.TestingT
	versions []hierarchy.Version
	now      time.Time
}

// began is a small company as of 1 November.
func began(t require.TestingT) *book {
	b := &book{t: t, now: at(1)}
	b.must(at(1), `{"op":"create","code":"SUSPENSE","name":"Suspense","kind":"cost_center"}`,
		`{"op":"create","code":"BU-1","name":"Unit 1","kind":"business_unit","entity":"US01"}`,
		`{"op":"create","code":"CC-1","name":"Center 1","kind":"cost_center","parent_code":"BU-1"}`,
		`{"op":"create","code":"CC-2","name":"Center 2","kind":"cost_center","parent_code":"BU-1"}`,
		`{"op":"create","code":"P-1","name":"Project 1","kind":"project","parent_code":"CC-1"}`)
	return b
}

func (b *book) try(from time.Time, operations ...string) (hierarchy.Outcome, error) {
	ops, err := hierarchy.ParseOperations([]byte(`{"operations":[` + strings.Join(operations, ",") + `]}`))
	if err != nil {
		return hierarchy.Outcome{}, err
	}
	b.now = b.now.Add(time.Minute)
	return hierarchy.Apply(b.versions, hierarchy.Request{Operations: ops, At: from, RecordedAt: b.now, Change: id.NewChange(b.now)})
}

func (b *book) must(from time.Time, operations ...string) hierarchy.Outcome {
	out, err := b.try(from, operations...)
	require.NoError(b.t, err)
	b.versions = out.After(b.versions)
	return out
}

// refuses expects a fault: its code and field.
func (b *book) refuses(want string, from time.Time, operations ...string) {
	_, err := b.try(from, operations...)
	require.Error(b.t, err, want)
	f := fault.From(err)
	require.Equal(b.t, want, f.Code+" "+f.Field, f.Message)
}

// paths is the tree at an instant, in one line.
func (b *book) paths(asOf time.Time) string {
	tree, err := hierarchy.Build(b.versions, asOf, time.Time{})
	require.NoError(b.t, err)
	var list []string
	for _, v := range tree.All() {
		if v.Code != hierarchy.SuspenseCode {
			list = append(list, strings.ReplaceAll(tree.Path(v.Node), " / ", "/"))
		}
	}
	return strings.Join(list, " ")
}

func (b *book) node(code string, asOf time.Time) hierarchy.Version {
	tree, err := hierarchy.Build(b.versions, asOf, time.Time{})
	require.NoError(b.t, err)
	v, ok := tree.Code(code)
	require.True(b.t, ok, code)
	return v
}

func TestANodeMovesFromItsInstantOn(t *testing.T) {
	t.Parallel()
	b := began(t)
	out := b.must(at(10), `{"op":"move","code":"P-1","parent_code":"CC-2"}`)
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-1/P-1 BU-1/CC-2", b.paths(at(9)))
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-2 BU-1/CC-2/P-1", b.paths(at(10)))
	require.Equal(t, "CC-1", *out.Operations[0].Was)
	require.Len(t, out.Close, 1)
	require.Len(t, out.Add, 1)
	require.Len(t, out.Touches, 3, "the node, where it was and where it goes")
	b.must(at(12), `{"op":"move","code":"P-1","parent_code":""}`)
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-2 P-1", b.paths(at(12)))
}

// TestWhatIsPlannedStands renames a node today although it moves next month, and the other
// way round.
func TestWhatIsPlannedStands(t *testing.T) {
	t.Parallel()
	b := began(t)
	b.must(at(20), `{"op":"move","code":"P-1","parent_code":"CC-2"}`, `{"op":"gl_account","code":"P-1","gl_account":"6100"}`)
	b.must(at(5), `{"op":"rename","code":"P-1","name":"Renamed"}`, `{"op":"gl_account","code":"P-1","gl_account":"5000"}`)
	require.Equal(t, "Project 1 ", b.node("P-1", at(4)).Name+" "+b.node("P-1", at(4)).GLAccount)
	require.Equal(t, "Renamed 5000", b.node("P-1", at(5)).Name+" "+b.node("P-1", at(5)).GLAccount)
	require.Equal(t, "Renamed 6100", b.node("P-1", at(20)).Name+" "+b.node("P-1", at(20)).GLAccount, "the name is carried on, the planned account stands")
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-2 BU-1/CC-2/P-1", b.paths(at(20)), "and so does the move")
	// A third change between the two.
	b.must(at(10), `{"op":"entity","code":"P-1","entity":"DE01"}`)
	require.Equal(t, " Renamed", b.node("P-1", at(9)).Entity+" "+b.node("P-1", at(9)).Name)
	require.Equal(t, "DE01 Renamed 5000", b.node("P-1", at(15)).Entity+" "+b.node("P-1", at(15)).Name+" "+b.node("P-1", at(15)).GLAccount)
	require.Equal(t, "DE01 Renamed 6100", b.node("P-1", at(25)).Entity+" "+b.node("P-1", at(25)).Name+" "+b.node("P-1", at(25)).GLAccount)
	b.refuses("later_change operations[0].code", at(6), `{"op":"retire","code":"P-1"}`)
	b.must(at(20), `{"op":"retire","code":"P-1"}`)
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-1/P-1 BU-1/CC-2", b.paths(at(15)))
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-2", b.paths(at(20)))
	// It retires earlier after all: what was recorded as closed is corrected.
	b.must(at(12), `{"op":"retire","code":"P-1"}`)
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-2", b.paths(at(13)))
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-1/P-1 BU-1/CC-2", b.paths(at(11)))
}

func TestMergingSplittingAndRetiring(t *testing.T) {
	t.Parallel()
	b := began(t)
	b.refuses("children_live operations[0].children", at(2), `{"op":"retire","code":"CC-1"}`)
	b.refuses("merge_below operations[0].into", at(2), `{"op":"merge","code":"CC-1","into":"P-1"}`)
	b.refuses("suspense_stays operations[0].code", at(2), `{"op":"merge","code":"SUSPENSE","into":"CC-1"}`)

	merged := began(t)
	out := merged.must(at(2), `{"op":"merge","code":"CC-1","into":"CC-2"}`)
	require.Equal(t, "BU-1 BU-1/CC-2 BU-1/CC-2/P-1", merged.paths(at(2)))
	require.Equal(t, merged.node("CC-2", at(2)).Node, out.Leaving[0].KeysTo)
	require.Equal(t, "P-1", *out.Operations[0].Was)
	stayed := began(t)
	stayed.must(at(2), `{"op":"merge","code":"CC-1","into":"CC-2","children":"stay"}`)
	require.Equal(t, "BU-1 BU-1/CC-2 BU-1/P-1", stayed.paths(at(2)))

	retired := began(t)
	out = retired.must(at(2), `{"op":"retire","code":"CC-1","children":"retire","keys_to":"CC-2"}`)
	require.Equal(t, "BU-1 BU-1/CC-2", retired.paths(at(2)))
	require.Len(t, out.Leaving, 2)
	b.refuses("keys_to_gone operations[0].keys_to", at(2), `{"op":"retire","code":"CC-1","children":"retire","keys_to":"P-1"}`)

	split := `{"op":"split","code":"CC-1","nodes":[{"code":"CC-1","name":"Left"},{"code":"CC-1B","name":"Right","gl_account":"6200"}],%s"keys_to":"CC-1B"}`
	b.refuses("child_unassigned operations[0].children_to", at(2), fmt.Sprintf(split, ""))
	b.refuses("part_absent operations[0].children_to", at(2), fmt.Sprintf(split, `"children_to":{"P-1":"CC-2"},`))
	old := b.node("CC-1", at(1)).Node
	out = b.must(at(2), fmt.Sprintf(split, `"children_to":{"P-1":"CC-1B"},`))
	require.Equal(t, "BU-1 BU-1/CC-1 BU-1/CC-1B BU-1/CC-1B/P-1 BU-1/CC-2", b.paths(at(2)))
	require.NotEqual(t, old, b.node("CC-1", at(2)).Node, "the code is the same, the node is another")
	require.Equal(t, b.node("CC-1B", at(2)).Node, out.Leaving[0].KeysTo)
	require.Equal(t, hierarchy.KindCostCenter, b.node("CC-1B", at(2)).Kind)
}

func TestOperationsAreRefusedWhereTheyStand(t *testing.T) {
	t.Parallel()
	b := began(t)
	b.must(at(20), `{"op":"create","code":"CC-9","name":"Nine","kind":"cost_center"}`, `{"op":"move","code":"CC-2","parent_code":"CC-1"}`)
	fine := `{"op":"rename","code":"BU-1","name":"One"}`
	for want, op := range map[string]string{
		"op_unknown operations[1].op":                              `{"op":"delete","code":"CC-1"}`,
		"operation_syntax operations[1]":                           `{"op":"move","code":"CC-1","parent":"CC-2"}`,
		"operation_syntax operations[1].parent_code":               `{"op":"move","code":"CC-1","parent_code":7}`,
		"member_missing operations[1].name":                        `{"op":"rename","code":"CC-1"}`,
		"member_unwanted operations[1].entity":                     `{"op":"rename","code":"CC-1","name":"x","entity":"US01"}`,
		"code_syntax operations[1].code":                           `{"op":"rename","code":"C C","name":"x"}`,
		"code_syntax operations[1].new_code":                       `{"op":"recode","code":"CC-1","new_code":"C C"}`,
		"code_reserved operations[1].new_code":                     `{"op":"recode","code":"CC-1","new_code":"import"}`,
		"code_reserved operations[1].code":                         `{"op":"create","code":"change","name":"x","kind":"project"}`,
		"name_length operations[1].name":                           `{"op":"rename","code":"CC-1","name":"a\u0000b"}`,
		"node_absent operations[1].code":                           `{"op":"rename","code":"CC-7","name":"x"}`,
		"code_taken operations[1].new_code":                        `{"op":"recode","code":"CC-1","new_code":"CC-2"}`,
		"code_taken operations[1].code":                            `{"op":"create","code":"CC-9","name":"taken later","kind":"project"}`,
		"parent_absent operations[1].parent_code":                  `{"op":"move","code":"CC-1","parent_code":"CC-9"}`,
		"tree_cycle operations[1].parent_code":                     `{"op":"move","code":"CC-1","parent_code":"CC-2"}`, // from the 20th on
		"kind_unknown operations[1].kind":                          `{"op":"kind","code":"CC-1","kind":"team"}`,
		"owner_absent operations[1].owner":                         `{"op":"owner","code":"CC-1","owner":"somebody"}`,
		"entity_length operations[1].gl_account":                   `{"op":"gl_account","code":"CC-1","gl_account":"` + strings.Repeat("1", 41) + `"}`,
		"evidence_missing operations[1].evidence.standard":         `{"op":"capitalization","code":"P-1","capitalization":"capitalize"}`,
		"evidence_missing operations[1].evidence.category":         `{"op":"capitalization","code":"P-1","capitalization":"capitalize","evidence":{"standard":"ias_38"}}`,
		"evidence_day operations[1].evidence.authorized_on":        `{"op":"capitalization","code":"P-1","capitalization":"expense","evidence":{"authorized_on":"2026-02-30"}}`,
		"evidence_order operations[1].evidence.in_service_on":      `{"op":"capitalization","code":"P-1","capitalization":"expense","evidence":{"started_on":"2026-02-03","in_service_on":"2026-02-02"}}`,
		"evidence_share operations[1].evidence.capitalizable_bps":  `{"op":"capitalization","code":"P-1","capitalization":"expense","evidence":{"capitalizable_bps":10001}}`,
		"dimension_system operations[1].dimensions.quickbooks":     `{"op":"dimensions","code":"P-1","dimensions":{"quickbooks":{"class":"1"}}}`,
		"dimension_value operations[1].dimensions.sap.cost center": `{"op":"dimensions","code":"P-1","dimensions":{"sap":{"cost center":""}}}`,
		"children_unknown operations[1].children":                  `{"op":"retire","code":"CC-1","children":"into"}`,
		"parts_count operations[1].nodes":                          `{"op":"split","code":"P-1","nodes":[{"code":"P-2","name":"Two"}]}`,
		"code_taken operations[1].nodes[1].code":                   `{"op":"split","code":"P-1","nodes":[{"code":"P-2","name":"Two"},{"code":"CC-2","name":"x"}]}`,
		"later_change operations[1].code":                          `{"op":"merge","code":"CC-2","into":"CC-1"}`,
		"tree_moved operations[1]":                                 `{"op":"move","code":"P-1","parent_code":"CC-2","was":"BU-1"}`,
	} {
		b.refuses(want, at(2), fine, op)
	}
	b.refuses("operations_count operations", at(2))
	for _, document := range []string{``, `[]`, `{"operations":[],"x":1}`, `{"operations":null}{}`} {
		_, err := hierarchy.ParseOperations([]byte(document))
		require.Error(t, err, document)
	}
	i, member, ok := hierarchy.OperationOf("operations[12].nodes[1].code")
	require.True(t, ok)
	require.Equal(t, "12 nodes[1].code", fmt.Sprint(i, " ", member))
}

// TestAScopeIsAWall lets a maker touch one subtree: what lies outside looks absent.
func TestAScopeIsAWall(t *testing.T) {
	t.Parallel()
	b := began(t)
	scope := []id.Node{b.node("CC-1", at(2)).Node}
	for operation, want := range map[string]string{
		`{"op":"create","code":"P-2","name":"x","kind":"project","parent_code":"CC-1"}`: "",
		`{"op":"rename","code":"P-1","name":"x"}`:                                       "",
		`{"op":"move","code":"P-1","parent_code":"CC-2"}`:                               "parent_absent",
		`{"op":"move","code":"P-1","parent_code":""}`:                                   "parent_absent",
		`{"op":"move","code":"CC-2","parent_code":"CC-1"}`:                              "node_absent",
		`{"op":"move","code":"CC-7","parent_code":"CC-1"}`:                              "node_absent",
		`{"op":"create","code":"P-2","name":"x","kind":"project"}`:                      "parent_absent",
		`{"op":"merge","code":"P-1","into":"CC-2"}`:                                     "node_absent",
		`{"op":"retire","code":"P-1","keys_to":"BU-1"}`:                                 "node_absent",
	} {
		ops, err := hierarchy.ParseOperations([]byte(`{"operations":[` + operation + `]}`))
		require.NoError(t, err)
		_, err = hierarchy.Apply(b.versions, hierarchy.Request{Operations: ops, At: at(2), RecordedAt: at(2), Scope: scope})
		if want == "" {
			require.NoError(t, err, operation)
			continue
		}
		require.Equal(t, want, fault.From(err).Code, operation)
	}
}

func TestDifferencesTimelineAndReplay(t *testing.T) {
	t.Parallel()
	b := began(t)
	before, err := hierarchy.Build(b.versions, at(10), time.Time{})
	require.NoError(t, err)
	known := b.now
	out := b.must(at(10), `{"op":"move","code":"P-1","parent_code":"CC-2"}`, `{"op":"rename","code":"P-1","name":"Renamed"}`, `{"op":"recode","code":"CC-2","new_code":"CC-20"}`,
		`{"op":"merge","code":"CC-1","into":"CC-20"}`, `{"op":"create","code":"CC-3","name":"Three","kind":"cost_center"}`)
	after, err := hierarchy.Build(b.versions, at(10), time.Time{})
	require.NoError(t, err)
	var list []string
	for _, d := range hierarchy.Diff(before, after) {
		switch {
		case d.Before == nil:
			list = append(list, "+"+d.After.Code)
		case d.After == nil:
			list = append(list, "-"+d.Before.Code)
		default:
			list = append(list, d.After.Code+":"+strings.Join(d.Fields, ","))
		}
	}
	require.Equal(t, "CC-20:code P-1:name,parent_code +CC-3 -CC-1", strings.Join(list, " "))

	moments := hierarchy.Timeline(b.versions, b.node("P-1", at(11)).Node, time.Time{})
	require.Len(t, moments, 2)
	require.Equal(t, at(10), moments[0].To)
	require.Equal(t, []string{"name", "parent_code"}, moments[1].Fields)
	gone, _ := before.Code("CC-1")
	moments = hierarchy.Timeline(b.versions, gone.Node, time.Time{})
	require.Len(t, moments, 2)
	require.False(t, moments[1].There)
	require.Equal(t, out.Add[0].Change, moments[1].Version.Change, "a retirement names its change")
	require.Len(t, hierarchy.Timeline(b.versions, gone.Node, known), 1, "before it was recorded nobody knew")
	require.Empty(t, hierarchy.Timeline(b.versions, gone.Node, at(1).Add(-time.Hour)))

	replayed, err := hierarchy.Replay(before, after, out.Leaving)
	require.NoError(t, err)
	project, center := replayed[b.node("P-1", at(11)).Node], replayed[gone.Node]
	require.Equal(t, "BU-1 CC-1 P-1 > BU-1 CC-20 P-1", strings.Join(project.Before.Path, " ")+" > "+strings.Join(project.After.Path, " "))
	require.True(t, project.Moved() && !project.Gone)
	require.Equal(t, "BU-1 CC-20", strings.Join(center.After.Path, " "))
	require.True(t, center.Gone && center.Moved())
	two := replayed[b.node("CC-20", at(11)).Node]
	require.False(t, two.Moved(), "a new code moves nothing")
	lost, err := hierarchy.Replay(before, after, nil)
	require.NoError(t, err)
	nowhere := lost[gone.Node]
	require.Equal(t, hierarchy.SuspenseCode, strings.Join(nowhere.After.Path, " "))
}

// draw makes any operation on codes that may or may not be there.
func draw(t *rapid.T) string {
	code := func(label string) string {
		return rapid.SampledFrom([]string{"A", "B", "C", "D", "E", "F"}).Draw(t, label)
	}
	text := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return string(raw)
	}
	c := code("code")
	switch rapid.IntRange(0, 8).Draw(t, "op") {
	case 0, 1:
		return text(map[string]any{"op": "create", "code": c, "name": c, "kind": "project", "parent_code": rapid.SampledFrom([]string{"", "A", "B", "C"}).Draw(t, "parent")})
	case 2, 3:
		return text(map[string]any{"op": "move", "code": c, "parent_code": rapid.SampledFrom([]string{"", "A", "B", "C", "D"}).Draw(t, "parent")})
	case 4:
		return text(map[string]any{"op": "recode", "code": c, "new_code": code("new")})
	case 5:
		return text(map[string]any{"op": "merge", "code": c, "into": code("into"), "children": rapid.SampledFrom([]string{"into", "stay"}).Draw(t, "children")})
	case 6:
		return text(map[string]any{"op": "retire", "code": c, "children": rapid.SampledFrom([]string{"stay", "retire"}).Draw(t, "children")})
	case 7:
		return text(map[string]any{"op": "split", "code": c, "nodes": []any{map[string]any{"code": code("one"), "name": "x"}, map[string]any{"code": code("two"), "name": "y"}}})
	default:
		return text(map[string]any{"op": "rename", "code": c, "name": rapid.SampledFrom([]string{"n", "m", "o"}).Draw(t, "name")})
	}
}

// TestAnySequenceOfChangesKeepsTheTreeWellFormed makes changes effective at any instants,
// in any order, and asks at every instant, as known at every instant.
func TestAnySequenceOfChangesKeepsTheTreeWellFormed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &book{t: t, now: at(1)}
		b.must(at(1), `{"op":"create","code":"SUSPENSE","name":"s","kind":"cost_center"}`)
		type answer struct{ asOf, known time.Time }
		said := map[answer]string{}
		show := func(asOf, known time.Time) string {
			tree, err := hierarchy.Build(b.versions, asOf, known) // refuses a code twice, a cycle and an absent parent
			require.NoError(t, err)
			var list []string
			for _, v := range tree.All() {
				list = append(list, tree.Path(v.Node)+" "+v.Name)
			}
			return strings.Join(list, "\n")
		}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			from := at(rapid.IntRange(2, 9).Draw(t, "from"))
			var ops []string
			for range rapid.IntRange(1, 3).Draw(t, "ops") {
				ops = append(ops, draw(t))
			}
			before, clock := slices.Clone(b.versions), b.now
			out, err := b.try(from, ops...)
			require.Equal(t, before, b.versions, "what is there is never edited")
			if err != nil {
				require.NotEqual(t, fault.KindInternal, fault.KindOf(err))
				b.now = clock
				continue
			}
			if rapid.IntRange(0, 4).Draw(t, "clock") == 0 {
				b.now = b.now.Add(-time.Hour) // a process whose clock is behind
			}
			closed := map[id.Version]bool{}
			for _, c := range out.Close {
				require.False(t, closed[c.Version], "an end is closed once")
				closed[c.Version] = true
				require.True(t, slices.ContainsFunc(before, func(v hierarchy.Version) bool {
					return v.ID == c.Version && v.EffectiveTo.IsZero() && !c.Ends.Before(v.EffectiveFrom) && !c.Ends.Before(from)
				}))
			}
			for _, v := range out.Add {
				require.False(t, v.EffectiveFrom.Before(from), "the past stays as it was")
			}
			b.versions = out.After(b.versions)
			for key, text := range said {
				require.Equal(t, text, show(key.asOf, key.known), "as of %s, known at %s", key.asOf, key.known)
			}
			if len(out.Add)+len(out.Close) == 0 {
				continue // nothing was recorded, so a process whose clock is behind may record something before
			}
			for day := 1; day < 11; day++ {
				now := show(at(day), time.Time{})
				require.Equal(t, now, show(at(day), out.RecordedAt), "what is known at its recording is known now")
				said[answer{at(day), out.RecordedAt}] = now
			}
		}
	})
}
