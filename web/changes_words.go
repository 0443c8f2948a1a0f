package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/money"
	"tollbook/web/ui"
)

// kindWords is a kind of change in words, as a sentence begins with them.
func kindWords(kind string) string {
	kinds := changeKinds()
	if at := slices.IndexFunc(kinds, func(k changeKind) bool { return k.Kind == kind }); at >= 0 {
		return upper(kinds[at].Words)
	}
	return ui.Words(kind)
}

// changeTitle says what a change is about, in a few words.
func changeTitle(c *app.ChangeView) string {
	switch c.Kind {
	case "prices":
		return pricesTitle(c.Payload)
	case "retag":
		return retagTitle(c.Payload)
	case "node":
		steps := operationsOf(c.Payload)
		switch {
		case len(steps) == 1:
			return steps[0].words()
		case len(steps) > 1:
			return steps[0].words() + ", and " + ui.Count(int64(len(steps)-1)) + " more"
		}
	}
	return kindWords(c.Kind)
}

func pricesTitle(payload []byte) string {
	var said struct {
		Basis string `json:"basis"`
		Bps   *int64 `json:"discount_bps"`
	}
	_ = json.Unmarshal(payload, &said) // what says nothing is called by its kind
	switch {
	case said.Bps != nil:
		return fmt.Sprintf("Contract discount of %d.%02d%%", *said.Bps/100, *said.Bps%100)
	case said.Basis == "vendor":
		return "The vendor’s newer price list"
	case said.Basis == "file":
		return "A price book of the company’s own"
	}
	return kindWords("prices")
}

// fieldDiff is one thing that a change says, with what it was where that is known.
type fieldDiff struct {
	Name    string
	Was, Is []string // lines; both empty: only the name
}

// contentOf is what a change says in readable words: by name, the old line and the new.
// What no kind's words are for is laid out by its own names.
func contentOf(c *app.ChangeView) []fieldDiff {
	var list []fieldDiff
	switch c.Kind {
	case "node":
		for _, step := range operationsOf(c.Payload) {
			list = append(list, step.diff())
		}
	case "rules":
		list = rulesDiff(c.Payload)
	case "retag":
		list = retagDiff(c.Payload)
	case "offboarding":
		list = offboardingDiff(c.Payload)
	}
	if len(list) > 0 {
		return list
	}
	var values map[string]any
	if json.Unmarshal(c.Payload, &values) != nil {
		return nil
	}
	for _, f := range flat(nil, "", values) {
		list = append(list, fieldDiff{Name: strings.ReplaceAll(f.Name, "_", " "), Is: []string{f.Value}})
	}
	return list
}

// operation is one step of a change of the hierarchy.
type operation map[string]any

func operationsOf(payload []byte) []operation {
	var said struct {
		Operations []operation `json:"operations"`
	}
	if json.Unmarshal(payload, &said) != nil {
		return nil
	}
	return said.Operations
}

func (o operation) text(name string) string {
	text, _ := o[name].(string)
	return text
}

// words say a step in a line.
func (o operation) words() string {
	code := o.text("code")
	switch o.text("op") {
	case "create":
		return "Create " + code + " “" + o.text("name") + "”"
	case "rename":
		return "Rename " + code + " to “" + o.text("name") + "”"
	case "recode":
		return "Recode " + code + " to " + o.text("new_code")
	case "move":
		if o.text("parent_code") == "" {
			return "Move " + code + " to the top"
		}
		return "Move " + code + " to " + o.text("parent_code")
	case "merge":
		return "Merge " + code + " into " + o.text("into")
	case "split":
		return "Split " + code + " into " + strings.Join(o.parts(), ", ")
	case "retire":
		return "Retire " + code
	case "gl_account":
		return "Give " + code + " another GL account"
	}
	return "Change the " + strings.ReplaceAll(o.text("op"), "_", " ") + " of " + code
}

func (o operation) parts() []string {
	var codes []string
	nodes, _ := o["nodes"].([]any)
	for _, n := range nodes {
		if one, ok := n.(map[string]any); ok {
			codes = append(codes, operation(one).text("code"))
		}
	}
	return codes
}

// diff is a step with what it replaces, where its maker said what that is.
func (o operation) diff() fieldDiff {
	d := fieldDiff{Name: o.words()}
	if was, said := o["was"].(string); said && was != "" {
		d.Was = []string{was}
	}
	rest := map[string]any{}
	for name, value := range o {
		if !slices.Contains([]string{"op", "code", "was"}, name) {
			rest[name] = value
		}
	}
	said := flat(nil, "", rest)
	for _, f := range said {
		if len(said) == 1 && len(d.Was) == 1 { // one thing for another needs no name
			d.Is = append(d.Is, f.Value)
			continue
		}
		d.Is = append(d.Is, strings.ReplaceAll(f.Name, "_", " ")+" "+f.Value)
	}
	return d
}

// retagged is what a change of where requests are charged says.
type retagged struct {
	Requests []string
	Listed   string `json:"requests_sha256"`
	Count    int64
	Charge   string
	Periods  []string
	To       []retaggedTo
}

type retaggedTo struct {
	Code string `json:"code"`
	PPM  int64  `json:"ppm"`
}

func (r *retagged) to() string {
	list := make([]string, 0, len(r.To))
	for _, p := range r.To {
		if len(r.To) == 1 {
			return p.Code
		}
		list = append(list, shareOf(p.PPM)+" to "+p.Code)
	}
	return strings.Join(list, ", ")
}

func retaggedOf(payload []byte) (retagged, bool) {
	var said retagged
	return said, json.Unmarshal(payload, &said) == nil && said.Count > 0
}

func retagTitle(payload []byte) string {
	said, ok := retaggedOf(payload)
	if !ok {
		return kindWords("retag")
	}
	what := "Re-tag " + ui.Plural(said.Count, "request")
	if len(said.To) == 1 {
		return what + " to " + said.to()
	}
	return what + ": " + said.to()
}

func retagDiff(payload []byte) []fieldDiff {
	said, ok := retaggedOf(payload)
	if !ok {
		return nil
	}
	list := []fieldDiff{
		{Name: "Requests", Is: []string{ui.Plural(said.Count, "request") + " of " + strings.Join(said.Periods, ", ") + ", US dollars " + said.Charge}},
		{Name: "Charged to", Is: []string{said.to()}},
	}
	if said.Listed != "" {
		list = append(list, fieldDiff{Name: "Their list, sha-256", Is: []string{said.Listed}})
	}
	return list
}

// retagAgain is what an edit of such a change begins with.
func retagAgain(payload []byte) []byte {
	said, ok := retaggedOf(payload)
	if !ok {
		return nil
	}
	text, err := json.Marshal(map[string]any{"requests_sha256": said.Listed, "to": said.To})
	if err != nil {
		return nil
	}
	return text
}

// rulesDiff lists attribution rules in the order they are asked.
func rulesDiff(payload []byte) []fieldDiff {
	var said struct {
		Rules []struct {
			Code, Name string
			When       []struct {
				Field, Tag string
				Is         []string
			}
			To []struct {
				Code string
				PPM  int64 `json:"ppm"`
			}
		}
	}
	if json.Unmarshal(payload, &said) != nil {
		return nil
	}
	var list []fieldDiff
	for i, r := range said.Rules {
		var when, to []string
		for _, w := range r.When {
			when = append(when, strings.TrimSpace(strings.ReplaceAll(w.Field, "_", " ")+" "+w.Tag)+" is "+strings.Join(w.Is, " or "))
		}
		for _, p := range r.To {
			to = append(to, shareOf(p.PPM)+" to "+p.Code)
		}
		if len(when) == 0 {
			when = []string{"always"}
		}
		list = append(list, fieldDiff{Name: fmt.Sprintf("%d. %s", i+1, r.Name), Is: []string{strings.Join(when, " and ") + ": " + strings.Join(to, ", ")}})
	}
	return list
}

// changeStateTag is where a change stands: icon, word, tone.
func changeStateTag(c *app.ChangeView, now time.Time) figureTag {
	switch c.State {
	case approval.StateProposed:
		if c.Expired(now) {
			return figureTag{ui.ToneWarn, "×", "Time is over"}
		}
		return figureTag{ui.ToneNext, "…", "Waits for a decision"}
	case approval.StateApproved:
		return figureTag{ui.ToneOK, "✓", "Approved"}
	case approval.StateApplied:
		return figureTag{ui.ToneOK, "✓", "Applied"}
	case approval.StateExpired:
		return figureTag{ui.TonePlain, "○", "Expired"}
	case approval.StateRejected:
		if c.Basis == approval.BasisWithdrawn {
			return figureTag{ui.TonePlain, "↩", "Withdrawn"}
		}
		return figureTag{ui.ToneStop, "×", "Rejected"}
	}
	return figureTag{ui.TonePlain, "", ui.Words(string(c.State))}
}

// effectWords say when a change takes effect, and whether that lies back or ahead of
// when it was proposed.
func effectWords(c *app.ChangeView, zone string) string {
	at := ui.Minute(c.EffectiveFrom) + inZone(c.EffectiveFrom, zone)
	apart := c.EffectiveFrom.Sub(c.ProposedAt)
	switch {
	case apart < -time.Minute:
		return "from " + at + ": backdated, before it was proposed"
	case apart > time.Minute:
		return "from " + at + ", not before"
	case c.State == approval.StateApplied:
		return "since it was applied, " + ui.Minute(c.MovedAt)
	}
	return "as soon as it is approved"
}

// inZone is an instant as a company's clocks show it, where they are not UTC.
func inZone(at time.Time, zone string) string {
	place, err := time.LoadLocation(zone)
	if err != nil || zone == "UTC" || zone == "" {
		return ""
	}
	return " (" + at.In(place).Format("2 Jan 15:04") + " in " + strings.ReplaceAll(zone[strings.LastIndex(zone, "/")+1:], "_", " ") + ")"
}

// movesWords is what approving would move, for a button and a row; empty where no charge
// moves.
func movesWords(i *approval.Impact) string {
	if i.Month == "" || i.Moved.Sign() == 0 {
		return ""
	}
	if i.Exact {
		return ui.Dollars(&i.Moved)
	}
	return ui.Dollars(&i.Moved) + " a month"
}

// alongWords is what moves with the charges: plan, keys and rules.
func alongWords(i *approval.Impact) string {
	var words []string
	if i.PlanMovedCents != 0 {
		var plan money.Sum
		plan.AddCents(i.PlanMovedCents)
		words = append(words, "plan "+ui.Dollars(&plan)+" a year")
	}
	if i.Keys > 0 {
		words = append(words, ui.Plural(int64(i.Keys), "virtual key"))
	}
	if i.Rules > 0 {
		words = append(words, ui.Plural(int64(i.Rules), "attribution rule"))
	}
	return strings.Join(words, ", ")
}

// approverWords say who may decide a step.
func approverWords(list []approval.Approver, member func(approval.Approver) string) string {
	words := make([]string, 0, len(list))
	for _, w := range list {
		switch {
		case w.Anyone:
			words = append(words, "anybody whose role may approve it")
		case w.Owner:
			words = append(words, "an owner of a node it touches")
		case w.Role != "":
			words = append(words, article(w.Role)+" "+strings.ReplaceAll(w.Role, "_", " "))
		default:
			words = append(words, member(w))
		}
	}
	return strings.Join(words, " or ")
}

func article(word string) string {
	if word != "" && strings.ContainsRune("aeiou", rune(word[0])) {
		return "an"
	}
	return "a"
}

// voteWords say who approved, and for whom.
func voteWords(v *app.VoteView) string {
	words := v.Who.Name
	if v.For.Name != "" {
		words += " for " + v.For.Name
	}
	if v.Basis == approval.BasisSole {
		words += ", the only one who may"
	}
	if !v.Decision.IsZero() {
		words += ", confirmed by the issuer"
	}
	return words
}

// handNames lists names in their order, the last with a word before it.
func handNames(hands []app.Hand) string {
	names := make([]string, 0, len(hands))
	for _, h := range hands {
		if !slices.Contains(names, h.Name) {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return strings.Join(names, "")
}

// remarkWords are what a remark is, with the sign beside it.
func remarkWords(kind string) (icon, words string) {
	switch kind {
	case app.RemarkQuestion:
		return "?", "asks"
	case app.RemarkReminder:
		return "⏱", "reminded"
	case app.RemarkEscalation:
		return "↑", "asked others as well"
	}
	return "“", "comments"
}

// digestGroups prints a digest in readable groups.
func digestGroups(digest string) string {
	var groups []string
	for part := range slices.Chunk([]byte(digest), 16) {
		groups = append(groups, string(part))
	}
	return strings.Join(groups, " ")
}

// dueWords say how long there is to decide.
func dueWords(at, now time.Time) string {
	switch left := at.Sub(now); {
	case at.IsZero():
		return "does not expire"
	case left <= 0:
		return "time is over"
	case left < 24*time.Hour:
		return "expires today"
	default:
		return "expires " + at.UTC().Format("2 Jan")
	}
}

// decidedBy says who ended a change, or which rule.
func decidedBy(c *app.ChangeView) string {
	switch {
	case c.Basis == approval.BasisExpired:
		return "nobody, in time"
	case strings.HasPrefix(c.Decider, "policy:"):
		return passedBy(c.Decider)
	case c.Basis == approval.BasisWithdrawn:
		return c.Ended.Name + ", who took it back"
	case c.Basis == approval.BasisSole:
		return c.Ended.Name + ", the only one who may"
	}
	return c.Ended.Name
}

// passedBy says which rule let a change through: one of ours, or a company's policy that
// asks nobody.
func passedBy(rule string) string {
	switch rule {
	case approval.RuleNoPolicy, "policy:" + approval.RuleDefault:
		return "no policy asked anybody"
	case approval.RuleFirstSetUp:
		return "the first set-up of the company"
	case approval.RuleBreakGlass, approval.RuleGroupMapping, approval.RuleInvitation, approval.RuleSignUp:
		return deciderWords(rule)
	}
	return "policy “" + strings.TrimPrefix(rule, "policy:") + "”, which asks nobody"
}
