package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// Replay is what rules would have done with the charged requests that began in a month:
// what each node was charged itself and would have been. Nodes and keys' cost centers are
// those of the instant at which the rules take effect; what no rule placed and none would
// place stays where it was.
type Replay struct {
	Month period.Month
	// Read of Of requests were placed again: all, unless time ran out first.
	Read, Of      int64
	Complete      bool
	MovedRequests int64
	Moved         money.Sum // what lands on another node, counted once
	Total         money.Sum // of what was read
	Keys          int       // keys any of whose requests move
	Nodes         []ReplayNode
	Rules         []ReplayRule // in order: what each would have placed
	Capitalized   approval.Swing
	Expensed      approval.Swing
}

// ReplayNode is one node's own charge.
type ReplayNode struct {
	Node       id.Node
	Code, Path string
	approval.Swing
}

// Differs says whether the charge does.
func (n *ReplayNode) Differs() bool { return n.Before.Cmp(&n.After) != 0 }

// ReplayRule is what one rule would have placed.
type ReplayRule struct {
	Code     string
	Requests int64
	Charge   money.Sum
}

// sentence says it in short.
func (r *Replay) sentence() string {
	text := fmt.Sprintf("of %s %d of %d charged requests would have been placed elsewhere.", r.Month, r.MovedRequests, r.Read)
	if !r.Complete {
		text += fmt.Sprintf(" Only %d of %d requests could be looked at in the time there was: dollars are those of these.", r.Read, r.Of)
	}
	return text
}

// ReplayAsk is what to replay: rules in order and when they would take effect, zero is
// now; or else a version of them, or a change of them as it was proposed.
type ReplayAsk struct {
	Rules   *attribution.Rules
	From    time.Time
	Version int64
	Change  id.Change
	// Progress hears how far it is, every now and then; nil: nobody listens.
	Progress func(read, of int64)
}

// Replay tells what rules would have done with the last full month. It takes at most
// ReplayLimit and says what it did not come to; it holds one request at a time, and a line
// for each key, node and rule.
func (r *Rules) Replay(ctx context.Context, who Actor, ask ReplayAsk) (Replay, error) {
	if err := r.access.Check(who, "rule", "read"); err != nil {
		return Replay{}, err
	}
	if ask.Rules != nil {
		if err := ask.Rules.Check(); err != nil {
			return Replay{}, err
		}
	}
	var done Replay
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		at, rules := ask.From, ask.Rules
		if rules == nil {
			found, from, err := written(tx, ask.Version, ask.Change)
			if err != nil {
				return err
			}
			at, rules = from, &found
		}
		if at.IsZero() {
			at = tx.Now
		}
		if ask.Rules != nil {
			if err := settle(tx, rules, at); err != nil {
				return err
			}
		}
		var err error
		done, err = r.replay(tx, replayAsk{rules: rules, at: at, month: period.MonthOf(tx.Now).Previous(), within: r.replayFor, progress: ask.Progress})
		return err
	})
	return done, err
}

type replayAsk struct {
	rules    *attribution.Rules
	at       time.Time
	month    period.Month
	within   time.Duration
	progress func(read, of int64)
}

var errReplayLate = errors.New("a replay has no more time")

func (r *Rules) replay(tx *db.Tx, ask replayAsk) (Replay, error) {
	p, err := r.replayer(tx, ask)
	if err != nil {
		return Replay{}, err
	}
	rows, err := tx.MonthBy(ask.month, "day", nil)
	if err != nil {
		return Replay{}, err
	}
	for _, row := range rows {
		p.out.Of += row.Requests - row.Errors
	}
	late := time.Now().Add(ask.within)
	err = tx.EachPlaced(ask.month.Start(), ask.month.End(), p.tags, func(row *db.PlacedRow) error {
		if p.out.Read%replayStep == 0 {
			if ask.progress != nil {
				ask.progress(p.out.Read, p.out.Of)
			}
			if !time.Now().Before(late) {
				return errReplayLate
			}
		}
		p.out.Read++
		return p.place(row)
	})
	if err != nil && !errors.Is(err, errReplayLate) {
		return Replay{}, err
	}
	p.out.Complete = err == nil
	return p.finish(), nil
}

// replayStep is how many requests are placed between two looks at the clock.
const replayStep = 2048

// replayer places requests again and adds up.
type replayer struct {
	out     Replay
	tree    *hierarchy.Tree
	program *attribution.Program
	tags    bool                         // rules look at them
	known   map[string]map[string]string // tags that were read, by their text
	places  map[id.Placement]placed
	centers map[id.Key]*keyCenter
	domains map[id.Developer]string
	asked   map[askedKey]attribution.Asked
	sums    map[id.Placement]*tally
	rules   map[attribution.Basis]*ReplayRule
	moving  map[id.Key]bool
}

// keyCenter is what a key charges at the instant the rules take effect.
type keyCenter struct {
	label    string
	center   id.Node
	projects []id.Node
}

type askedKey struct {
	key       id.Key
	developer id.Developer // where signed in
}

// tally is a placement's charge before and after, added in machine words as long as they
// hold.
type tally struct {
	before, after           money.Pico
	wholeBefore, wholeAfter money.Sum
}

func (t *tally) add(before, after money.Pico) {
	const room = 1 << 61 // a charge is far below
	if t.before > room || t.after > room || t.before < -room || t.after < -room {
		t.flush()
	}
	t.before += before
	t.after += after
}

func (t *tally) flush() {
	t.wholeBefore.Add(t.before)
	t.wholeAfter.Add(t.after)
	t.before, t.after = 0, 0
}

func (r *Rules) replayer(tx *db.Tx, ask replayAsk) (*replayer, error) {
	p := &replayer{
		out: Replay{Month: ask.month}, centers: map[id.Key]*keyCenter{}, domains: map[id.Developer]string{}, asked: map[askedKey]attribution.Asked{}, known: map[string]map[string]string{},
		sums: map[id.Placement]*tally{}, rules: map[attribution.Basis]*ReplayRule{}, moving: map[id.Key]bool{},
	}
	var err error
	if p.tree, err = treeAt(tx, ask.at); err != nil {
		return nil, err
	}
	if p.program, err = ask.rules.Compile(p.tree, 1, id.Change{}); err != nil {
		return nil, err
	}
	if p.places, err = placements(tx); err != nil {
		return nil, err
	}
	for _, v := range p.tree.All() { // also what nobody has interned
		at, err := p.tree.Place(v.Node)
		if err != nil {
			return nil, err
		}
		p.places[at.ID] = placed{node: v.Node, ancestors: at.Ancestors, code: v.Code, path: strings.Join(at.Path, hierarchy.PathSeparator), treatment: at.Capitalization}
	}
	p.out.Rules = make([]ReplayRule, len(ask.rules.Rules))
	looksAt := map[attribution.Field]bool{}
	for i := range ask.rules.Rules {
		rule := &ask.rules.Rules[i]
		p.out.Rules[i].Code = rule.Code
		p.rules[attribution.RuleBasis(rule.Code)] = &p.out.Rules[i]
		for j := range rule.When {
			looksAt[rule.When[j].Field] = true
		}
	}
	p.tags = looksAt[attribution.FieldTag] || looksAt[attribution.FieldRepository]
	if err := p.readCenters(tx, ask.at); err != nil {
		return nil, err
	}
	if looksAt[attribution.FieldDomain] {
		rows, err := tx.VerifiedDevelopers()
		if err != nil {
			return nil, err
		}
		for _, d := range rows {
			p.domains[d.DeveloperID] = domainOf(r.labels.Open(d.DeveloperID, d.LabelSealed))
		}
	}
	return p, nil
}

func (p *replayer) readCenters(tx *db.Tx, at time.Time) error {
	rows, err := tx.KeyCenters()
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		if row.EffectiveFrom.After(at) && p.centers[row.KeyID] != nil {
			continue
		}
		center := &keyCenter{label: row.Label, center: row.NodeID}
		for text := range strings.SplitSeq(row.Projects, ",") {
			if node, err := id.ParseNode(text); err == nil && !node.IsZero() {
				center.projects = append(center.projects, node)
			}
		}
		p.centers[row.KeyID] = center
	}
	return nil
}

// place adds one request where it was and where it would be.
func (p *replayer) place(row *db.PlacedRow) error {
	request := attribution.Request{Project: row.Project, Model: row.Model, At: row.At}
	if len(row.Tags) > 0 {
		var err error
		if request.Tags, err = p.tagsOf(row.Tags); err != nil {
			return err
		}
	}
	center := p.centers[row.Key]
	answer, fired := p.askedFor(row, center).First(&request)
	switch {
	case fired:
		if use := p.rules[ruleOf(answer.Rule)]; use != nil {
			use.Requests++
			use.Charge.Add(money.Pico(row.Charge))
		}
	case strings.HasPrefix(row.Rule, string(attribution.RuleBasis(""))) && center != nil:
		facts := attribution.Facts{Request: request, CostCenter: center.center, Projects: center.projects}
		var err error
		if answer, err = attribution.Decide(p.tree, facts); err != nil {
			return err
		}
	default: // it stays
		return p.stay(row)
	}
	return p.move(row, answer.Shares)
}

// maxKnownTags bounds how many sets of tags are kept read.
const maxKnownTags = 10_000

// tagsOf reads a request's tags; most requests have tags that others have, too.
func (p *replayer) tagsOf(text []byte) (map[string]string, error) {
	if known, ok := p.known[string(text)]; ok {
		return known, nil
	}
	var tags map[string]string
	if err := json.Unmarshal(text, &tags); err != nil {
		return nil, fmt.Errorf("read tags of a request: %w", err)
	}
	if len(p.known) >= maxKnownTags {
		clear(p.known)
	}
	p.known[string(text)] = tags
	return tags, nil
}

// ruleOf is a rule's basis without what it adds of absent nodes.
func ruleOf(basis attribution.Basis) attribution.Basis {
	code, _, _ := strings.Cut(strings.TrimPrefix(string(basis), string(attribution.RuleBasis(""))), ":")
	return attribution.RuleBasis(code)
}

func (p *replayer) askedFor(row *db.PlacedRow, center *keyCenter) attribution.Asked {
	key := askedKey{key: row.Key}
	if row.Verified {
		key.developer = row.Developer
	}
	asked, known := p.asked[key]
	if !known {
		credential := attribution.Credential{Key: row.Key, Verified: row.Verified, Domain: p.domains[key.developer]}
		if center != nil {
			credential.Label = center.label
		}
		asked = p.program.For(&credential)
		p.asked[key] = asked
	}
	return asked
}

func (p *replayer) sum(at id.Placement) *tally {
	sum := p.sums[at]
	if sum == nil {
		sum = &tally{}
		p.sums[at] = sum
	}
	return sum
}

// stay adds a request that would be where it was.
func (p *replayer) stay(row *db.PlacedRow) error {
	if len(row.Split) == 0 { // nearly all
		p.sum(row.Placement).add(money.Pico(row.Charge), money.Pico(row.Charge))
		return nil
	}
	parts, err := partsOf(row)
	for _, part := range parts {
		p.sum(part.Placement).add(part.Amount, part.Amount)
	}
	return err
}

// partsOf is where a request was charged.
func partsOf(row *db.PlacedRow) ([]db.Part, error) {
	if len(row.Split) == 0 {
		return []db.Part{{Placement: row.Placement, PPM: usage.Whole, Amount: money.Pico(row.Charge)}}, nil
	}
	var parts []db.Part
	if err := json.Unmarshal(row.Split, &parts); err != nil {
		return nil, fmt.Errorf("read split of a request: %w", err)
	}
	return parts, nil
}

// move adds a request that was one way and would be another.
func (p *replayer) move(row *db.PlacedRow, shares []usage.Share) error {
	if len(row.Split) == 0 && len(shares) == 1 { // nearly all
		charge := money.Pico(row.Charge)
		p.sum(row.Placement).add(charge, 0)
		p.sum(shares[0].Placement).add(0, charge)
		if p.places[row.Placement].node != p.places[shares[0].Placement].node {
			p.out.Moved.Add(max(charge, -charge))
			p.out.MovedRequests++
			p.moving[row.Key] = true
		}
		return nil
	}
	parts, err := partsOf(row)
	if err != nil {
		return err
	}
	weights := make([]int64, len(shares))
	for i, s := range shares {
		weights[i] = s.PPM
	}
	amounts, err := money.Split(money.Pico(row.Charge), weights)
	if err != nil {
		return err
	}
	left := make(map[id.Node]money.Pico, len(parts)+len(shares))
	for _, part := range parts {
		p.sum(part.Placement).add(part.Amount, 0)
		left[p.places[part.Placement].node] += part.Amount
	}
	for i, s := range shares {
		p.sum(s.Placement).add(0, amounts[i])
		left[p.places[s.Placement].node] -= amounts[i]
	}
	moved := false
	for _, amount := range left {
		if amount > 0 {
			moved = true
			p.out.Moved.Add(amount)
		}
	}
	if moved {
		p.out.MovedRequests++
		p.moving[row.Key] = true
	}
	return nil
}

// finish adds up by node and treatment.
func (p *replayer) finish() Replay {
	nodes := map[id.Node]*ReplayNode{}
	for at, sum := range p.sums {
		sum.flush()
		place := p.places[at]
		n := nodes[place.node]
		if n == nil {
			n = &ReplayNode{Node: place.node, Code: place.code, Path: place.path}
			if v, there := p.tree.Node(place.node); there {
				n.Code, n.Path = v.Code, p.tree.Path(v.Node)
			}
			nodes[place.node] = n
		}
		swing := &p.out.Expensed
		if place.treatment == hierarchy.Capitalize {
			swing = &p.out.Capitalized
		}
		for _, s := range []*approval.Swing{&n.Swing, swing} {
			s.Before.AddSum(&sum.wholeBefore)
			s.After.AddSum(&sum.wholeAfter)
		}
		p.out.Total.AddSum(&sum.wholeBefore)
	}
	for _, n := range nodes {
		p.out.Nodes = append(p.out.Nodes, *n)
	}
	slices.SortFunc(p.out.Nodes, func(a, b ReplayNode) int { return strings.Compare(a.Path+"\x00"+a.Code, b.Path+"\x00"+b.Code) })
	p.out.Keys = len(p.moving)
	return p.out
}
