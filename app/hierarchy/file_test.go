package hierarchy_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
)

func (b *book) tree(asOf time.Time) *hierarchy.Tree {
	tree, err := hierarchy.Build(b.versions, asOf, time.Time{})
	require.NoError(b.t, err)
	return tree
}

// export is the tree as a file.
func (b *book) export(asOf time.Time) string {
	tree := b.tree(asOf)
	var list []hierarchy.Listed
	for _, v := range tree.All() {
		parent, _ := tree.Node(v.Parent)
		list = append(list, hierarchy.Listed{Version: v, ParentCode: parent.Code, Path: tree.Path(v.Node)})
	}
	head, rows := hierarchy.Sheet(list)
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	require.NoError(b.t, w.WriteAll(append([][]string{head}, rows...)))
	return out.String()
}

// sync makes the tree what a file says, from an instant on.
func (b *book) sync(from time.Time, file string, o hierarchy.SyncOptions) hierarchy.Synced {
	read, problems := hierarchy.ReadFile([]byte(file))
	require.Empty(b.t, problems)
	synced := hierarchy.Sync(b.tree(from), &read, o)
	if len(synced.Operations) > 0 {
		b.now = b.now.Add(time.Minute)
		out, err := hierarchy.Apply(b.versions, hierarchy.Request{Operations: synced.Operations, At: from, RecordedAt: b.now, Change: id.NewChange(b.now)})
		if err != nil {
			problem, is := synced.Blame(err)
			require.True(b.t, is, err)
			synced.Problems = append(synced.Problems, problem)
			return synced
		}
		b.versions = out.After(b.versions)
	}
	return synced
}

func told(problems []hierarchy.Problem) string {
	var list []string
	for _, p := range problems {
		list = append(list, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Message))
	}
	return strings.Join(list, "\n")
}

func effects(s hierarchy.Synced) string {
	var list []string
	for _, e := range s.Effects {
		text := []string{fmt.Sprintf("%d %s %s", e.Line, e.Code, e.Kind)}
		for _, f := range e.Fields {
			text = append(text, fmt.Sprintf("%s:%s>%s", f.Field, f.Before, f.After))
		}
		list = append(list, strings.Join(text, " "))
	}
	return strings.Join(list, "\n")
}

func TestAFileIsRefusedByLineAndColumn(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 301)
	for file, want := range map[string]string{
		"":                                         "1:0 The file is empty.",
		"code,name\n":                              "2:0 The file names columns but no node.",
		"\xff":                                     "1:0 The file is not UTF-8. Save it as CSV UTF-8.",
		"name,kind\nA,project\n":                   `1:0 There is no column "code".`,
		"code;name\nA;B\n":                         "1:1 The columns are not separated by commas.",
		"code,nameless\nA,B\n":                     `1:2 "nameless" is no column of a hierarchy.`,
		"code,quickbooks.class\nA,B\n":             `1:2 "quickbooks.class" is no column of a hierarchy.`,
		"code,name,Name\nA,B,C\n":                  `1:3 Column "name" is there twice: it is column 2, too.`,
		"code,name\nA\n":                           "2:2 The line has 1 fields, the first one has 2.",
		"code,name\nA,B,C\n":                       "2:3 The line has 3 fields, the first one has 2.",
		"code,name\n,B\n":                          "2:1 The node's code is missing.",
		"code,name\nA A,B\n":                       "2:1 A code is 1 to 40 letters",
		"code,name\nA,B\nC,D\nA,E\n":               "4:1 A is in line 2, too.",
		"code,name\nA,=1+1\n":                      "2:2 The cell begins with =, as a formula does.",
		"code,name\nA,+1\nB,-1\nC,@x\n":            "2:2 The cell begins with +, as a formula does.",
		"code,name\n'=A,B\n":                       "2:1 A code is 1 to 40 letters",
		"code,name\nA,\"two\nlines\"\n":            "2:2 A cell has at most 300 bytes of text on one line.",
		"code,name\nA,a\x00b\n":                    "2:2 A cell has at most 300 bytes of text on one line.",
		"code,name\nA," + long + "\n":              "2:2 A cell has at most 300 bytes of text on one line.",
		"code,name\nA,\"open\n":                    `2:2 The line cannot be read as CSV: extraneous or missing " in quoted-field, at character 9.`,
		"code,name\nA,qu\"ote\n":                   "2:2 The line cannot be read as CSV",
		"code,name\nA,\"x\"y\n":                    "2:2 The line cannot be read as CSV",
		strings.Repeat("x", hierarchy.MaxFile+1):   "1:0 The file has more than 4194304 bytes.",
		"code," + strings.Repeat("a,", 200) + "\n": "1:121 A file has at most 120 columns.",
		"code\n" + manyLines(hierarchy.MaxNodes+1): "5002:0 A file has at most 5000 nodes.",
	} {
		read, problems := hierarchy.ReadFile([]byte(file))
		require.NotEmpty(t, problems, "%.60q", file)
		require.Truef(t, strings.HasPrefix(told(problems), want), "%.60q: %.200s", file, told(problems))
		require.Empty(t, read.Lines)
	}
	_, problems := hierarchy.ReadFile([]byte("code,name\n" + strings.Repeat("A A,=x\n", 500)))
	require.Len(t, problems, hierarchy.MaxProblems, "bounded")
	read, problems := hierarchy.ReadFile([]byte("\ufeffCode , NAME,SAP.Cost Center,Path\r\n\"A\",\"a, \"\"b\"\"\",'-7,somewhere\r\n"))
	require.Empty(t, problems)
	require.Equal(t, map[string]string{"name": `a, "b"`, "sap.Cost Center": "-7"}, read.Lines[0].Cells)
}

func manyLines(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "N-%d\n", i)
	}
	return text.String()
}

func TestATreeSurvivesItsFile(t *testing.T) {
	t.Parallel()
	b := began(t)
	b.must(at(2), `{"op":"rename","code":"CC-1","name":"=1+1, \"quoted\" ' é"}`, `{"op":"rename","code":"CC-2","name":"'=twice"}`, `{"op":"owner","code":"CC-1","owner":"`+id.NewMember(at(1)).String()+`"}`,
		`{"op":"dimensions","code":"P-1","dimensions":{"netsuite":{"department":"12","class":"-3"},"sap":{"WBS element":"P.1"}}}`,
		`{"op":"capitalization","code":"P-1","capitalization":"capitalize","evidence":{"standard":"ias_38","category":"new_function","authorized_on":"2026-03-01","authorization_document":"Board minutes","funding_commitment":"PO 7","uncertain":true,"started_on":"2026-03-02","ready_for_use_on":"2026-09-01","in_service_on":"2026-10-01","capitalizable_bps":7525}}`)
	file := b.export(at(3))
	require.Contains(t, file, `"'=1+1, ""quoted"" ' é"`)
	same := b.sync(at(3), file, hierarchy.SyncOptions{RetireMissing: true})
	require.Empty(t, same.Operations)
	require.Empty(t, same.Problems)
	require.Equal(t, map[hierarchy.EffectKind]int{hierarchy.EffectUnchanged: 5}, same.Drift())
	// And into an empty company, all of it.
	other := &book{t: t, now: at(1)}
	made := other.sync(at(3), file, hierarchy.SyncOptions{})
	require.Empty(t, made.Problems)
	require.Equal(t, map[hierarchy.EffectKind]int{hierarchy.EffectCreated: 5}, made.Drift())
	without := func(text string) string { // ids and dates of their own
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		require.NoError(t, err)
		var list []string
		for _, row := range rows {
			list = append(list, strings.Join(row[:len(row)-3], "|"))
		}
		return strings.Join(list, "\n")
	}
	require.Equal(t, without(file), without(other.export(at(3))))
}

func TestAFileIsAStateAndEveryLineSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	b := began(t)
	b.must(at(2), `{"op":"dimensions","code":"CC-1","dimensions":{"netsuite":{"department":"12","class":"3"},"sap":{"WBS":"P.1"}}}`)
	// Children before parents, a parent that goes below its own child, one more level.
	file := "code,name,kind,parent_code,netsuite.department,gl_account\nP-2,Project 2,project,CC-9,,\nCC-9,Nine,cost_center,P-1,,6100\nP-1,Project 1,project,BU-1,,\nCC-1,Center 1,cost_center,P-1,13,\nBU-1,Unit 1,business_unit,,,\n"
	done := b.sync(at(3), file, hierarchy.SyncOptions{})
	require.Empty(t, told(done.Problems))
	require.Equal(t, "2 P-2 created name:>Project 2 kind:>project parent_code:>CC-9 capitalization:>expense\n"+
		"3 CC-9 created name:>Nine kind:>cost_center parent_code:>P-1 gl_account:>6100 capitalization:>expense\n"+
		"4 P-1 moved parent_code:CC-1>BU-1\n"+
		"5 CC-1 moved parent_code:BU-1>P-1 netsuite.department:12>13 netsuite.class:3>\n"+
		"6 BU-1 unchanged\n0 CC-2 missing", effects(done))
	require.Equal(t, "BU-1 BU-1/CC-2 BU-1/P-1 BU-1/P-1/CC-1 BU-1/P-1/CC-9 BU-1/P-1/CC-9/P-2", b.paths(at(3)))
	require.Equal(t, `{"netsuite":{"department":"13"},"sap":{"WBS":"P.1"}}`, string(b.node("CC-1", at(3)).Dimensions))
	require.Equal(t, "US01", b.node("BU-1", at(3)).Entity, "what the file has no column for stays")
	done = b.sync(at(4), file, hierarchy.SyncOptions{RetireMissing: true, KeysTo: "P-1"})
	require.Equal(t, "retire CC-2 P-1", fmt.Sprint(done.Operations[0].Op, " ", done.Operations[0].Code, " ", done.Operations[0].KeysTo))
	require.Equal(t, "BU-1 BU-1/P-1 BU-1/P-1/CC-1 BU-1/P-1/CC-9 BU-1/P-1/CC-9/P-2", b.paths(at(4)))
}

func TestEveryErrorOfAFileIsTold(t *testing.T) {
	t.Parallel()
	b := began(t)
	bad := b.sync(at(2), "code,name,kind,parent_code,owner,capitalization,standard,category,uncertain,capitalizable_percent,started_on,sap.WBS\n"+
		"CC-1,,cost_center,BU-1,,,,,,,,\n"+ // 2: no name
		"CC-2,Two,team,BU-1,,,,,,,,\n"+ // 3: kind
		"P-1,One,project,NOWHERE,,,,,,,,\n"+ // 4: parent
		"A,A,project,B,,,,,,,,\nB,B,project,A,,,,,,,,\n"+ // 5, 6: a circle
		"D,D,project,D,,,,,,,,\n"+ // 7: its own parent
		"E,E,project,,somebody,,,,,,,\n"+ // 8: owner
		"F,F,project,,,capitalize,,,,,,\n"+ // 9: no standard
		"G,G,project,,,both,,,,,,\n"+ // 10
		"H,H,project,,,expense,,,perhaps,101,2026-02-30,\n"+ // 11: three, of which the first of the evidence by itself
		"BU-1,Unit 1,business_unit,P-1,,,,,,,,\n", // 12: below what has no parent
		hierarchy.SyncOptions{RetireMissing: true})
	require.Empty(t, bad.Operations)
	require.Equal(t, []string{
		"2:2 A node needs a name.", "3:3 A kind is", `4:4 No node has code "NOWHERE"`, "5:4 A would be below itself", "6:4 B would be below itself", "7:4 D would be below itself",
		"8:5 No member has", "9:7 To capitalize", "10:6 Capitalization is", "11:9 This is yes or no", "11:10 ", "11:11 ",
	}, beginnings(told(bad.Problems), []string{
		"2:2 A node needs a name.", "3:3 A kind is", `4:4 No node has code "NOWHERE"`, "5:4 A would be below itself", "6:4 B would be below itself", "7:4 D would be below itself",
		"8:5 No member has", "9:7 To capitalize", "10:6 Capitalization is", "11:9 This is yes or no", "11:10 ", "11:11 ",
	}), told(bad.Problems))
	gone := b.sync(at(2), "code,name,kind\nP-1,One,project\n", hierarchy.SyncOptions{RetireMissing: true})
	require.Equal(t, "2:0 CC-1 is not in the file, so it would retire.", told(gone.Problems))
	fresh := b.sync(at(2), "code,name\nP-9,Nine\n", hierarchy.SyncOptions{})
	require.Contains(t, told(fresh.Problems), `2:1 P-9 is new; for that the file needs a column "kind".`)
	// What only the tree's own future refuses is told where it is from, too.
	b.must(at(20), `{"op":"create","code":"CC-9","name":"Nine","kind":"cost_center"}`)
	later := b.sync(at(2), "code,name,kind\nBU-1,Unit 1,business_unit\nCC-9,Mine,project\n", hierarchy.SyncOptions{})
	require.Equal(t, "3:1 Code CC-9 is taken on 2026-11-20.", told(later.Problems))
	// Outside a maker's subtree nothing is there.
	scope := []id.Node{b.node("CC-1", at(2)).Node}
	read, _ := hierarchy.ReadFile([]byte("code,name,kind,parent_code\nP-1,One,project,CC-2\nP-2,Two,project,CC-7\nCC-1,Center 1,cost_center,BU-1\n"))
	walled := hierarchy.Sync(b.tree(at(2)), &read, hierarchy.SyncOptions{Scope: scope, RetireMissing: true})
	require.Equal(t, `2:4 No node has code "CC-2", in the file or at that time.`+"\n"+`3:4 No node has code "CC-7", in the file or at that time.`, told(walled.Problems))
	require.Len(t, walled.Effects, 3, "nothing of others is missing")
}

// beginnings keeps of each wanted beginning whether a line of a text has it.
func beginnings(text string, want []string) []string {
	var found []string
	for _, w := range want {
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(line, w) {
				found = append(found, w)
				break
			}
		}
	}
	return found
}

// FuzzReadFile reads any bytes: what is taken has bounds, says where it is from, and can be
// compared with a tree.
func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{
		"code,name,kind,parent_code\nA,a,project,\nB,b,project,A\n", "\ufeffcode\r\n\"A\"\r\n", "code,sap.x\nA,'=1\n", "code,name\nA,\"x\ny\"\n", "code;name\n", "code,code\n", "code,capitalizable_percent\nA,75.5%\n",
		"code,name,kind,parent_code\nA,a,project,B\nB,b,project,A\n", "code,uncertain,started_on\nA,yes,2026-01-01\n",
	} {
		f.Add([]byte(seed))
	}
	b := began(f)
	tree := b.tree(at(2))
	f.Fuzz(func(t *testing.T, file []byte) {
		read, problems := hierarchy.ReadFile(file)
		require.LessOrEqual(t, len(problems), hierarchy.MaxProblems)
		if len(problems) > 0 {
			require.Empty(t, read.Lines)
			return
		}
		require.LessOrEqual(t, len(read.Lines), hierarchy.MaxNodes)
		synced := hierarchy.Sync(tree, &read, hierarchy.SyncOptions{RetireMissing: true})
		require.LessOrEqual(t, len(synced.Problems), hierarchy.MaxProblems)
		for _, p := range synced.Problems {
			require.True(t, p.Line >= 0 && p.Column >= 0 && p.Column <= len(read.Head), p)
			require.NotEmpty(t, p.Message)
		}
		if len(synced.Operations) == 0 {
			return
		}
		out, err := hierarchy.Apply(b.versions, hierarchy.Request{Operations: synced.Operations, At: at(2), RecordedAt: at(3)})
		if err != nil {
			_, is := synced.Blame(err)
			require.True(t, is, err)
			return
		}
		_, err = hierarchy.Build(out.After(b.versions), at(2), time.Time{})
		require.NoError(t, err)
	})
}

// BenchmarkSync makes a tree of 5,000 nodes of a file: read, compared, applied and built.
func BenchmarkSync(b *testing.B) {
	var file strings.Builder
	file.WriteString("code,name,kind,parent_code,entity,gl_account,netsuite.department\n")
	for i := range hierarchy.MaxNodes {
		parent := ""
		if i > 0 {
			parent = fmt.Sprintf("N-%d", (i-1)/8)
		}
		fmt.Fprintf(&file, "N-%d,Node %d,cost_center,%s,US01,6100,%d\n", i, i, parent, i)
	}
	empty, err := hierarchy.Build(nil, at(2), time.Time{})
	require.NoError(b, err)
	for b.Loop() {
		read, problems := hierarchy.ReadFile([]byte(file.String()))
		require.Empty(b, problems)
		synced := hierarchy.Sync(empty, &read, hierarchy.SyncOptions{})
		require.Empty(b, synced.Problems)
		out, err := hierarchy.Apply(nil, hierarchy.Request{Operations: synced.Operations, At: at(2), RecordedAt: at(2)})
		require.NoError(b, err)
		_, err = hierarchy.Build(out.Add, at(2), time.Time{})
		require.NoError(b, err)
	}
}

// BenchmarkBuild makes the tree of 10,000 nodes, two versions each, as of an instant.
func BenchmarkBuild(b *testing.B) {
	nodes := make([]id.Node, 10_000)
	versions := make([]hierarchy.Version, 0, 2*len(nodes))
	for i := range nodes {
		nodes[i] = id.NewNode(at(1))
		var parent id.Node
		if i > 0 {
			parent = nodes[(i-1)/8]
		}
		old := version(nodes[i], parent, fmt.Sprintf("N-%d", i), at(1))
		old.EffectiveTo, old.ClosedAt = at(5), at(4)
		next := version(nodes[i], parent, fmt.Sprintf("N-%d", i), at(5))
		versions = append(versions, old, next)
	}
	for b.Loop() {
		_, err := hierarchy.Build(versions, at(6), time.Time{})
		require.NoError(b, err)
	}
}
