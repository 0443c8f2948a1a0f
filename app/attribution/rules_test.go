package attribution_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/usage"
)

// garden is a tree with some cost centers, as of one instant.
type garden struct {
	tree  *hierarchy.Tree
	nodes map[string]id.Node
	codes []string
}

// monday is a Monday, 23:30 UTC.
func monday() time.Time { return time.Date(2026, 11, 2, 23, 30, 0, 0, time.UTC) }

func grow(t require.TestingT, codes ...string) *garden {
	g := &garden{nodes: map[string]id.Node{}, codes: codes}
	var versions []hierarchy.Version
	for _, code := range codes {
		g.nodes[code] = id.NewNode(monday())
		versions = append(versions, hierarchy.Version{
			Node: g.nodes[code], Code: code, Name: code, Kind: hierarchy.KindCostCenter, Capitalization: hierarchy.Expense,
			EffectiveFrom: monday().AddDate(0, -1, 0), RecordedAt: monday(),
		})
	}
	var err error
	g.tree, err = hierarchy.Build(versions, monday(), time.Time{})
	require.NoError(t, err)
	return g
}

func (g *garden) placement(t require.TestingT, code string) id.Placement {
	p, err := g.tree.Place(g.nodes[code])
	require.NoError(t, err)
	return p.ID
}

// parse reads rules and names their nodes by id.
func (g *garden) parse(t require.TestingT, rules ...string) attribution.Rules {
	parsed, err := attribution.Parse([]byte(`{"rules":[` + strings.Join(rules, ",") + `]}`))
	require.NoError(t, err)
	require.NoError(t, parsed.Resolve(g.tree))
	return parsed
}

func rule(code, to string, when ...string) string {
	return fmt.Sprintf(`{"code":%q,"name":"about %s","when":[%s],"to":[{"code":%q,"ppm":1000000}]}`, code, code, strings.Join(when, ","), to)
}

func TestTheFirstRuleWhoseConditionsHoldDecides(t *testing.T) {
	t.Parallel()
	g := grow(t, "CC-1", "CC-2", "CC-3", hierarchy.SuspenseCode)
	key := id.NewKey(monday())
	rules := g.parse(t,
		rule("by-key", "CC-2", `{"field":"key","is":["`+key.String()+`"]}`, `{"field":"model","is":["claude-haiku-*"]}`),
		rule("ci", "CC-3", `{"field":"key_label","is":["ci-*"]}`),
		rule("staff", "CC-2", `{"field":"verified","is":["yes"]}`, `{"field":"email_domain","is":["Acme.test"]}`, `{"field":"project","is":["apollo"]}`),
		rule("repo", "CC-3", `{"field":"repository","is":["github.com/acme/*"]}`),
		rule("tagged", "CC-2", `{"field":"tag","tag":"team","is":["perception","planning*"]}`),
		rule("night", "CC-3", `{"field":"hours","is":["22-6"]}`, `{"field":"weekdays","is":["mon","tue"]}`),
	)
	program, err := rules.Compile(g.tree, 7, id.NewChange(monday()))
	require.NoError(t, err)
	day := monday().Add(-12 * time.Hour)
	for _, c := range []struct {
		name  string
		facts attribution.Facts
		rule  string
		code  string
	}{
		{"nothing known", attribution.Facts{Request: attribution.Request{At: day}}, "key", "CC-1"},
		{"the key and the model", attribution.Facts{Credential: attribution.Credential{Key: key}, Request: attribution.Request{Model: "claude-haiku-5-5", At: day}}, "rule:by-key", "CC-2"},
		{"the key, another model", attribution.Facts{Credential: attribution.Credential{Key: key}, Request: attribution.Request{Model: "claude-opus-5-5", At: day}}, "key", "CC-1"},
		{"a label's beginning", attribution.Facts{Credential: attribution.Credential{Label: "ci-main"}, Request: attribution.Request{At: day}}, "rule:ci", "CC-3"},
		{"who signed in", attribution.Facts{Credential: attribution.Credential{Verified: true, Domain: "acme.test"}, Request: attribution.Request{Project: "apollo", At: day}}, "rule:staff", "CC-2"},
		{"who only declares", attribution.Facts{Credential: attribution.Credential{Domain: "acme.test"}, Request: attribution.Request{Project: "apollo", At: day}}, "key:project_unknown", "CC-1"},
		{"a repository", attribution.Facts{Request: attribution.Request{Tags: map[string]string{"repository": "github.com/acme/rocket"}, At: day}}, "rule:repo", "CC-3"},
		{"a tag", attribution.Facts{Request: attribution.Request{Tags: map[string]string{"team": "planning-2"}, At: day}}, "rule:tagged", "CC-2"},
		{"a tag's other value", attribution.Facts{Request: attribution.Request{Tags: map[string]string{"team": "perceptions"}, At: day}}, "key", "CC-1"},
		{"at night", attribution.Facts{Request: attribution.Request{At: monday()}}, "rule:night", "CC-3"},
		{"in Tuesday's small hours, told in another zone", attribution.Facts{Request: attribution.Request{At: monday().Add(6 * time.Hour).In(time.FixedZone("x", 9*3600))}}, "rule:night", "CC-3"},
		{"when the night is over", attribution.Facts{Request: attribution.Request{At: monday().Add(6*time.Hour + 30*time.Minute)}}, "key", "CC-1"},
		{"on Sunday's night", attribution.Facts{Request: attribution.Request{At: monday().Add(-24 * time.Hour)}}, "key", "CC-1"},
	} {
		c.facts.CostCenter = g.nodes["CC-1"]
		got, err := program.Place(g.tree, &c.facts)
		require.NoError(t, err, c.name)
		require.Equal(t, c.rule, string(got.Rule), c.name)
		require.Equal(t, c.code, got.Code, c.name)
		require.Equal(t, []usage.Share{{Placement: g.placement(t, c.code), PPM: usage.Whole}}, got.Shares, c.name)
		require.EqualValues(t, 7, got.Version, c.name)

		// What explains it says the same.
		fired := ""
		for _, e := range rules.Explain(&c.facts) {
			require.Equal(t, fired == "", e.Asked, c.name)
			if e.Fired {
				require.Nil(t, e.Failed)
				fired = string(attribution.RuleBasis(e.Rule.Code))
			} else if e.Asked {
				require.NotNil(t, e.Failed, c.name)
			}
		}
		if fired == "" {
			require.NotContains(t, c.rule, "rule:", c.name)
		} else {
			require.Equal(t, c.rule, fired, c.name)
		}
	}
}

func TestExplainingNamesTheFirstConditionThatFails(t *testing.T) {
	t.Parallel()
	g := grow(t, "CC-1", hierarchy.SuspenseCode)
	rules := g.parse(t, rule("a", "CC-1", `{"field":"model","is":["claude-*"]}`, `{"field":"tag","tag":"team","is":["x"]}`, `{"field":"hours","is":["0-1"]}`))
	explained := rules.Explain(&attribution.Facts{Request: attribution.Request{Model: "claude-opus-5-5", At: monday()}})
	require.Equal(t, attribution.FieldTag, explained[0].Failed.Field)
	require.True(t, explained[0].Missing)
	explained = rules.Explain(&attribution.Facts{Request: attribution.Request{Model: "claude-opus-5-5", Tags: map[string]string{"team": "x"}, At: monday()}})
	require.Equal(t, attribution.FieldHours, explained[0].Failed.Field)
	require.Equal(t, "23:30 UTC", explained[0].Found)
}

func TestANodeThatIsGoneIsSuspense(t *testing.T) {
	t.Parallel()
	whole := grow(t, "CC-1", "CC-2", "CC-3", hierarchy.SuspenseCode)
	split := `{"code":"s","name":"split","when":[],"to":[{"code":"CC-1","ppm":250000},{"code":"CC-2","ppm":350000},{"code":"CC-3","ppm":400000}]}`
	rules := whole.parse(t, split)
	var versions []hierarchy.Version
	for _, v := range whole.tree.All() {
		if v.Code == "CC-1" || v.Code == hierarchy.SuspenseCode {
			versions = append(versions, v)
		}
	}
	less, err := hierarchy.Build(versions, monday(), time.Time{})
	require.NoError(t, err)
	program, err := rules.Compile(less, 1, id.Change{})
	require.NoError(t, err)
	got, err := program.Place(less, &attribution.Facts{CostCenter: whole.nodes["CC-1"]})
	require.NoError(t, err)
	require.Equal(t, "rule:s:node_absent", string(got.Rule))
	require.Equal(t, "CC-1,SUSPENSE", got.Code)
	require.Equal(t, []int64{250_000, 750_000}, []int64{got.Shares[0].PPM, got.Shares[1].PPM})

	// Where there is not even suspense, the rule does not fire: the request still goes somewhere.
	bare, err := hierarchy.Build(versions[:1], monday(), time.Time{})
	require.NoError(t, err)
	program, err = rules.Compile(bare, 1, id.Change{})
	require.NoError(t, err)
	got, err = program.Place(bare, &attribution.Facts{CostCenter: whole.nodes["CC-1"]})
	require.NoError(t, err)
	require.Equal(t, attribution.RuleKey, got.Rule)
}

func TestRulesThatAreRefused(t *testing.T) {
	t.Parallel()
	one := func(when, to string) string {
		return `{"rules":[{"code":"a","name":"n","when":[` + when + `],"to":[` + to + `]}]}`
	}
	const whole = `{"code":"CC-1","ppm":1000000}`
	many := strings.TrimSuffix(strings.Repeat(rule("x", "CC-1")+",", attribution.MaxRules+1), ",")
	for text, code := range map[string]string{
		``:                              "rules_syntax",
		`{"rules":[]} {}`:               "rules_syntax",
		`{"rules":[],"more":1}`:         "rules_syntax",
		`{"rules":[{"code":"a","ppm":1`: "rules_syntax",
		`{"rules":[` + many + `]}`:      "rules_many",
		strings.Repeat(" ", 300<<10):    "rules_syntax",
		`{"rules":[` + rule("a b", "CC-1") + `]}`:                         "rule_code",
		`{"rules":[` + rule("a", "CC-1") + `,` + rule("a", "CC-2") + `]}`: "rule_code_twice",
		`{"rules":[{"code":"a","name":" ","to":[` + whole + `]}]}`:        "rule_name",
		one(``, ``):                             "rule_parts",
		one(``, `{"ppm":1000000}`):              "rule_node",
		one(``, `{"code":"CC-1","ppm":999999}`): "rule_whole",
		one(``, `{"code":"CC-1","ppm":0},{"code":"CC-2","ppm":1000000}`):                               "rule_share",
		one(``, `{"code":"CC-1","ppm":-5},{"code":"CC-2","ppm":1000005}`):                              "rule_share",
		one(``, `{"code":"CC-1","ppm":500000},{"code":"CC-1","ppm":500000}`):                           "rule_node_twice",
		one(strings.Repeat(`{"field":"model","is":["x"]},`, 20)+`{"field":"model","is":["x"]}`, whole): "rule_conditions",
		one(`{"field":"mood","is":["x"]}`, whole):                                                      "rule_field",
		one(`{"field":"tag","is":["x"]}`, whole):                                                       "rule_tag",
		one(`{"field":"model","tag":"x","is":["x"]}`, whole):                                           "rule_tag",
		one(`{"field":"model","is":[]}`, whole):                                                        "rule_values",
		one(`{"field":"model","is":[""]}`, whole):                                                      "rule_value",
		one(`{"field":"model","is":["a*b"]}`, whole):                                                   "rule_pattern",
		one(`{"field":"key","is":["ci"]}`, whole):                                                      "rule_key",
		one(`{"field":"verified","is":["maybe"]}`, whole):                                              "rule_verified",
		one(`{"field":"hours","is":["9-25"]}`, whole):                                                  "rule_hours",
		one(`{"field":"hours","is":["9-9"]}`, whole):                                                   "rule_hours",
		one(`{"field":"weekdays","is":["Mon"]}`, whole):                                                "rule_weekday",
	} {
		_, err := attribution.Parse([]byte(text))
		require.Equal(t, code, fault.From(err).Code, "%.200s", text)
	}
	g := grow(t, "CC-1")
	for to, code := range map[string]string{
		`{"code":"CC-9","ppm":1000000}`:                                                         "rule_node_absent",
		`{"node":"` + id.NewNode(monday()).String() + `","ppm":1000000}`:                        "rule_node_absent",
		`{"code":"CC-1","ppm":500000},{"node":"` + g.nodes["CC-1"].String() + `","ppm":500000}`: "rule_node_twice",
	} {
		parsed, err := attribution.Parse([]byte(one(``, to)))
		require.NoError(t, err)
		require.Equal(t, code, fault.From(parsed.Resolve(g.tree)).Code, to)
	}
}

func TestRulesThatCanDecideNothingAreNamed(t *testing.T) {
	t.Parallel()
	g := grow(t, "CC-1")
	rules := g.parse(t,
		rule("haiku", "CC-1", `{"field":"model","is":["claude-haiku-*"]}`),
		rule("one-haiku", "CC-1", `{"field":"model","is":["claude-haiku-5-5","claude-haiku-4*"]}`, `{"field":"project","is":["p"]}`),
		rule("more", "CC-1", `{"field":"model","is":["claude-haiku-5-5","claude-opus-5-5"]}`),
		rule("never", "CC-1", `{"field":"hours","is":["0-6"]}`, `{"field":"hours","is":["8-12"]}`),
		rule("neither", "CC-1", `{"field":"model","is":["a"]}`, `{"field":"model","is":["b*"]}`),
		rule("weekend", "CC-1", `{"field":"weekdays","is":["sat","sun"]}`),
		rule("sunday", "CC-1", `{"field":"weekdays","is":["sun"]}`),
		rule("rest", "CC-1"),
		rule("late", "CC-1", `{"field":"tag","tag":"x","is":["*"]}`),
	)
	require.Equal(t, []attribution.Warning{
		{Code: "one-haiku", By: "haiku"}, {Code: "never"}, {Code: "neither"}, {Code: "sunday", By: "weekend"}, {Code: "late", By: "rest"},
	}, rules.Warnings())
}

func keyNumber(t require.TestingT, n int) id.Key {
	key, err := id.ParseKey(fmt.Sprintf("key_%032x", n))
	require.NoError(t, err)
	return key
}

// drawRules makes rules, drawFacts facts that meet some of them.
func drawRules(t *rapid.T, g *garden) attribution.Rules {
	word := rapid.SampledFrom([]string{"a", "ab", "b", "a*", "*", "b*"})
	condition := rapid.Custom(func(t *rapid.T) attribution.Condition {
		c := attribution.Condition{Field: rapid.SampledFrom(attribution.Fields()).Draw(t, "field")}
		switch c.Field {
		case attribution.FieldHours:
			c.Is = rapid.SliceOfN(rapid.SampledFrom([]string{"0-24", "22-6", "9-17", "12-13"}), 1, 2).Draw(t, "hours")
		case attribution.FieldWeekdays:
			c.Is = rapid.SliceOfN(rapid.SampledFrom([]string{"mon", "tue", "sat", "sun"}), 1, 3).Draw(t, "days")
		case attribution.FieldVerified:
			c.Is = []string{rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "verified")}
		case attribution.FieldKey:
			c.Is = []string{keyNumber(t, rapid.IntRange(1, 3).Draw(t, "key")).String()}
		default:
			if c.Field == attribution.FieldTag {
				c.Tag = rapid.SampledFrom([]string{"team", "repository"}).Draw(t, "tag")
			}
			c.Is = rapid.SliceOfN(word, 1, 3).Draw(t, "is")
		}
		return c
	})
	n := rapid.IntRange(0, 12).Draw(t, "rules")
	var rules attribution.Rules
	for i := range n {
		r := attribution.Rule{Code: fmt.Sprintf("r%d", i), Name: "n", When: rapid.SliceOfN(condition, 0, 3).Draw(t, "when")}
		nodes := rapid.Permutation(g.codes).Draw(t, "nodes")[:rapid.IntRange(1, len(g.codes)).Draw(t, "parts")]
		left := int64(usage.Whole)
		for j, code := range nodes {
			ppm := left
			if rest := int64(len(nodes) - j - 1); rest > 0 {
				ppm = rapid.Int64Range(1, left-rest).Draw(t, "ppm")
			}
			left -= ppm
			r.To = append(r.To, attribution.Part{Node: g.nodes[code], PPM: ppm})
		}
		rules.Rules = append(rules.Rules, r)
	}
	require.NoError(t, rules.Check())
	return rules
}

func drawFacts(t *rapid.T, g *garden) attribution.Facts {
	word := rapid.SampledFrom([]string{"", "a", "ab", "b", "abc", "c"})
	return attribution.Facts{
		CostCenter: g.nodes[g.codes[0]],
		Credential: attribution.Credential{
			Key:   keyNumber(t, rapid.IntRange(1, 4).Draw(t, "key")),
			Label: word.Draw(t, "label"), Verified: rapid.Bool().Draw(t, "verified"), Domain: word.Draw(t, "domain"),
		},
		Request: attribution.Request{
			Project: word.Draw(t, "project"), Model: word.Draw(t, "model"), Tags: map[string]string{"team": word.Draw(t, "team"), "repository": word.Draw(t, "repository")},
			At: monday().Add(time.Duration(rapid.IntRange(0, 7*24*60).Draw(t, "minutes")) * time.Minute),
		},
	}
}

func TestEveryRequestGetsAWholeAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := grow(t, "CC-1", "CC-2", "CC-3", "CC-4", hierarchy.SuspenseCode)
		rules, facts := drawRules(t, g), drawFacts(t, g)
		gone := rapid.SampledFrom(append([]string{""}, g.codes...)).Draw(t, "gone") // retired since
		var left []hierarchy.Version
		for _, v := range g.tree.All() {
			if v.Code != gone || v.Code == hierarchy.SuspenseCode {
				left = append(left, v)
			}
		}
		tree, err := hierarchy.Build(left, monday(), time.Time{})
		require.NoError(t, err)
		program, err := rules.Compile(tree, 3, id.Change{})
		require.NoError(t, err)
		answer, err := program.Place(tree, &facts)
		require.NoError(t, err)
		var whole int64
		weights := make([]int64, 0, len(answer.Shares))
		seen := map[id.Placement]bool{}
		for _, s := range answer.Shares {
			require.Positive(t, s.PPM)
			require.False(t, seen[s.Placement], "a placement has one share")
			seen[s.Placement] = true
			whole += s.PPM
			weights = append(weights, s.PPM)
		}
		require.EqualValues(t, usage.Whole, whole)
		charge := money.Pico(rapid.Int64Range(0, 1<<50).Draw(t, "charge"))
		parts, err := money.Split(charge, weights)
		require.NoError(t, err)
		var sum money.Pico
		for _, p := range parts {
			sum += p
		}
		require.Equal(t, charge, sum)

		// What is stored decides as what was drawn.
		document, err := rules.Document()
		require.NoError(t, err)
		again, err := attribution.Parse(document)
		require.NoError(t, err)
		stored, err := again.Compile(tree, 3, id.Change{})
		require.NoError(t, err)
		same, err := stored.Place(tree, &facts)
		require.NoError(t, err)
		require.Equal(t, answer, same)
	})
}

// TestUnrelatedRulesMayStandInAnyOrder also holds that a rule that is said to decide
// nothing decides nothing.
func TestUnrelatedRulesMayStandInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := grow(t, "CC-1", "CC-2", hierarchy.SuspenseCode)
		rules, facts := drawRules(t, g), drawFacts(t, g)
		place := func(r attribution.Rules) attribution.Answer {
			program, err := r.Compile(g.tree, 1, id.Change{})
			require.NoError(t, err)
			answer, err := program.Place(g.tree, &facts)
			require.NoError(t, err)
			return answer
		}
		answer := place(rules)
		for i := range len(rules.Rules) - 1 {
			// Two rules are unrelated where together they would contradict themselves.
			pair := attribution.Rules{Rules: []attribution.Rule{{
				Code: "both", Name: "n", To: rules.Rules[i].To, When: slices.Concat(rules.Rules[i].When, rules.Rules[i+1].When),
			}}}
			if len(pair.Warnings()) == 0 {
				continue
			}
			swapped := attribution.Rules{Rules: slices.Clone(rules.Rules)}
			swapped.Rules[i], swapped.Rules[i+1] = swapped.Rules[i+1], swapped.Rules[i]
			require.Equal(t, answer, place(swapped))
		}
		for _, w := range rules.Warnings() {
			without := attribution.Rules{Rules: slices.DeleteFunc(slices.Clone(rules.Rules), func(r attribution.Rule) bool { return r.Code == w.Code })}
			require.Equal(t, answer, place(without), "rule %s decides nothing", w.Code)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"rules":[` + rule("a", "CC-1", `{"field":"hours","is":["22-6"]}`, `{"field":"tag","tag":"team","is":["x*"]}`) + `]}`))
	f.Add([]byte(`{"rules":[{"code":"s","name":"é","when":null,"to":[{"code":"A","ppm":1},{"code":"B","ppm":999999}]}]}`))
	f.Add([]byte(`{"rules":null}`))
	g := grow(f, "CC-1", hierarchy.SuspenseCode)
	f.Fuzz(func(t *testing.T, document []byte) {
		rules, err := attribution.Parse(document)
		if err != nil {
			require.Equal(t, fault.KindInvalid, fault.KindOf(err))
			return
		}
		stored, err := rules.Document()
		require.NoError(t, err)
		again, err := attribution.Parse(stored)
		if len(stored) > attribution.MaxDocumentBytes {
			return // escapes made it longer than what is taken
		}
		require.NoError(t, err)
		twice, err := again.Document()
		require.NoError(t, err)
		require.Equal(t, string(stored), string(twice))
		rules.Warnings()
		program, err := rules.Compile(g.tree, 1, id.Change{})
		require.NoError(t, err)
		_, err = program.Place(g.tree, &attribution.Facts{CostCenter: g.nodes["CC-1"]})
		require.NoError(t, err)
	})
}

//nolint:paralleltest // AllocsPerRun counts the whole process
func TestDecidingByTheKeyAloneAllocatesNothing(t *testing.T) {
	g := grow(t, "CC-1", "CC-2", hierarchy.SuspenseCode)
	asked := many(t, g, 500).For(&attribution.Credential{Label: "laptop"})
	request := attribution.Request{Model: "claude-opus-5-5", Tags: map[string]string{"team": "z"}, At: monday()}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, fired := asked.First(&request); fired {
			panic("none should")
		}
	}))
}

// many are rules on what requests say, none of which fires below.
func many(t require.TestingT, g *garden, n int) *attribution.Program {
	var list []string
	for i := range n {
		list = append(list, rule(fmt.Sprintf("r%d", i), "CC-2", fmt.Sprintf(`{"field":"tag","tag":"team","is":["t%d","u%d*"]}`, i, i), `{"field":"model","is":["claude-*"]}`))
	}
	rules := g.parse(t, list...)
	program, err := rules.Compile(g.tree, 1, id.Change{})
	require.NoError(t, err)
	return program
}

func BenchmarkDecide(b *testing.B) {
	g := grow(b, "CC-1", "CC-2", hierarchy.SuspenseCode)
	credential := attribution.Credential{Label: "laptop"}
	facts := attribution.Facts{CostCenter: g.nodes["CC-1"]}
	decided, err := attribution.Decide(g.tree, facts)
	require.NoError(b, err)
	request := attribution.Request{Model: "claude-opus-5-5", Tags: map[string]string{"team": "z"}, At: monday()}
	var sink attribution.Answer
	b.Run("before, once a snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sink = decided
		}
	})
	for _, n := range []int{0, 1, 10, 100, 500} {
		asked := many(b, g, n).For(&credential)
		b.Run(fmt.Sprintf("%d rules on tags", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var fired bool
				if sink, fired = asked.First(&request); !fired {
					sink = decided
				}
			}
		})
	}
	b.Run("a declared project", func(b *testing.B) {
		b.ReportAllocs()
		facts.Project = "CC-2"
		for b.Loop() {
			sink, _ = attribution.Decide(g.tree, facts)
		}
	})
	_ = sink
}
