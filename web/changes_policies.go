package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/web/ui"
)

// policyNames are the names behind what policies name by an id.
type policyNames struct {
	members map[id.Member]string
	nodes   map[id.Node]string // codes
}

func (n policyNames) member(m id.Member) string {
	if name := n.members[m]; name != "" {
		return name
	}
	return "member " + ui.ShortID(m.String())
}

func (n policyNames) node(node id.Node) string {
	if code := n.nodes[node]; code != "" {
		return code
	}
	return "node " + ui.ShortID(node.String())
}

// policyNames reads the names that policies may hold.
func (w *Web) policyNames(v *visit, members []app.Hand) (policyNames, []app.NodeView, error) {
	names := policyNames{members: map[id.Member]string{}, nodes: map[id.Node]string{}}
	for _, h := range members {
		names.members[h.Member] = h.Name
	}
	nodes, err := w.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
	for _, n := range nodes {
		names.nodes[n.Node] = n.Code
	}
	return names, nodes, err
}

// policyLines say what a policy asks, in sentences: for what, each step, and how long.
func policyLines(p *approval.Policy, names policyNames) []string {
	lines := []string{"For " + policyScope(p, names)}
	member := func(w approval.Approver) string { return names.member(w.Member) }
	for i, s := range p.Steps {
		count := "one of them decides"
		if s.Quorum > 1 {
			count = strconv.Itoa(s.Quorum) + " of them decide"
		}
		lines = append(lines, fmt.Sprintf("%s, “%s”: %s; %s", order(i, p.Parallel), s.Name, approverWords(s.Who, member), count))
	}
	if len(p.Steps) == 0 {
		lines = append(lines, "Nobody is asked: it is applied as it is proposed")
	}
	days := "Expires after " + ui.Plural(int64(p.ExpireDays), "day")
	if p.RemindDays > 0 {
		days += "; whoever is asked is reminded every " + ui.Plural(int64(p.RemindDays), "day")
	}
	if p.EscalateDays > 0 {
		days += "; after " + ui.Plural(int64(p.EscalateDays), "day") + " " + approverWords(p.EscalateTo, member) + " may decide as well"
	}
	lines = append(lines, days)
	if p.FreshSignIn {
		lines = append(lines, "Each decider signs in again for the decision")
	}
	return lines
}

// order is a step's place; steps that go side by side have none.
func order(i int, parallel bool) string {
	switch {
	case parallel:
		return "Side by side"
	case i == 0:
		return "First"
	}
	return "Then"
}

// policyScope says what changes a policy is for.
func policyScope(p *approval.Policy, names policyNames) string {
	words := "changes of every kind"
	if !slices.Contains(p.Kinds, approval.AnyKind) {
		kinds := make([]string, 0, len(p.Kinds))
		for _, k := range p.Kinds {
			kinds = append(kinds, lower(kindWords(k)))
		}
		words = "changes of " + strings.Join(kinds, ", ")
	}
	if cents, err := money.ParseCents(p.AtLeast); err == nil && p.AtLeast != "" {
		var least money.Sum
		least.AddCents(cents)
		words += " that move " + ui.Dollars(&least) + " a month or more"
	}
	if !p.Subtree.IsZero() {
		words += ", where all they touch lies at or below " + names.node(p.Subtree)
	}
	return words
}

// policiesDiff sets two lists of policies side by side, by their codes.
func policiesDiff(before, after approval.Policies, names policyNames) []fieldDiff {
	was := map[string]*approval.Policy{}
	for i := range before.List {
		was[before.List[i].Code] = &before.List[i]
	}
	var list []fieldDiff
	for i := range after.List {
		one := &after.List[i]
		d := fieldDiff{Name: one.Code, Is: policyLines(one, names)}
		if old := was[one.Code]; old != nil {
			d.Was = policyLines(old, names)
			delete(was, one.Code)
			if slices.Equal(d.Was, d.Is) {
				continue
			}
			d.Was, d.Is = linesBut(d.Was, d.Is), linesBut(d.Is, policyLines(old, names))
		}
		list = append(list, d)
	}
	for _, code := range slices.Sorted(maps.Keys(was)) {
		list = append(list, fieldDiff{Name: code, Was: policyLines(was[code], names)})
	}
	if moved := reordered(before, after); len(list) == 0 && moved {
		list = append(list, fieldDiff{Name: "order", Was: []string{codes(before)}, Is: []string{codes(after)}})
	}
	return list
}

// linesBut is the lines that others do not have.
func linesBut(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return slices.Contains(others, l) })
}

func reordered(before, after approval.Policies) bool { return codes(before) != codes(after) }

func codes(p approval.Policies) string {
	list := make([]string, 0, len(p.List))
	for i := range p.List {
		list = append(list, p.List[i].Code)
	}
	return strings.Join(list, ", ")
}

// policiesContent compares the policies a change proposes with those before it.
func (w *Web) policiesContent(v *visit, c *app.ChangeView) ([]fieldDiff, error) {
	book, err := w.areas.Approvals.Policies(v.Request().Context(), v.who, 0)
	if err != nil {
		return nil, err
	}
	before := book.Policies
	at := slices.IndexFunc(book.Versions, func(p app.PolicyVersion) bool { return p.Change == c.ID })
	if at >= 0 { // it made this version: what was before it is the one below
		before = approval.Policies{}
		if at+1 < len(book.Versions) {
			former, err := w.areas.Approvals.Policies(v.Request().Context(), v.who, book.Versions[at+1].Version)
			if err != nil {
				return nil, err
			}
			before = former.Policies
		}
	}
	var after approval.Policies
	if err := json.Unmarshal(c.Payload, &after); err != nil {
		return nil, err
	}
	names, _, err := w.policyNames(v, book.Members)
	if err != nil {
		return nil, err
	}
	return policiesDiff(before, after, names), nil
}

type policiesView struct {
	Frame    ui.Frame
	Book     app.PolicyBook
	Newest   bool
	Policies []policyText
	Floors   []floorText
	Versions []policyVersionRow
	May      bool
	Document string
}

type policyText struct {
	Code  string
	Scope string
	Lines []string
}

type floorText struct{ Kind, Words string }

type policyVersionRow struct {
	Version app.PolicyVersion
	By      link
	URL     string
	Shown   bool
	Coming  bool
}

func (w *Web) showPolicies(v *visit) error {
	version := 0
	if text := v.QueryParam("version"); text != "" {
		var err error
		if version, err = strconv.Atoi(text); err != nil || version < 1 {
			return fault.New(fault.KindNotFound, "policy_version_absent", "There is no such version of the policies.")
		}
	}
	book, err := w.areas.Approvals.Policies(v.Request().Context(), v.who, version)
	if err != nil {
		return err
	}
	names, _, err := w.policyNames(v, book.Members)
	if err != nil {
		return err
	}
	view := &policiesView{Frame: v.frame("Who decides"), Book: book, May: v.may("policy", "propose"), Newest: version == 0, Floors: floorTexts(book.Kinds), Document: laidOut(book.Document)}
	for i := range book.Policies.List {
		one := &book.Policies.List[i]
		lines := policyLines(one, names)
		view.Policies = append(view.Policies, policyText{one.Code, lines[0], lines[1:]})
	}
	now := w.cfg.Now()
	for _, p := range book.Versions {
		view.Versions = append(view.Versions, policyVersionRow{
			Version: p, By: v.hand(p.Made), URL: "/changes/policies?version=" + strconv.Itoa(p.Version), Shown: p.Version == book.Version, Coming: p.EffectiveFrom.After(now),
		})
	}
	return render(v, http.StatusOK, policiesPage(view))
}

// floorTexts say what is asked where no policy is for a change.
func floorTexts(kinds map[string]approval.Floor) []floorText {
	var list []floorText
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		words := "Nobody is asked: it is applied as it is proposed."
		switch kinds[kind] {
		case approval.FloorSecond:
			words = "A second person whose role may approve it; the only one who may decides alone, and the record says so."
		case approval.FloorPair:
			words = "Always two persons: nobody decides alone, even where nobody else may."
		case approval.FloorNone:
		}
		list = append(list, floorText{kindWords(kind), words})
	}
	return list
}
