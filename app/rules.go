package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/db"
)

// Rules is the area of attribution rules: the versions there are, what others would do,
// and why a request is charged where it is.
type Rules struct {
	db      *db.DB
	access  *Access
	changes *Changes
	labels  *Labels
	// replayFor bounds a replay that somebody waits for, impactFor one within a proposal.
	replayFor, impactFor time.Duration
}

// Bounds of replaying a month: what is not read by then is said to be missing.
const (
	ReplayLimit = 20 * time.Second
	impactLimit = 10 * time.Second
)

// NewRules makes the area.
func NewRules(d *db.DB, access *Access, changes *Changes, ring *secret.Keyring) *Rules {
	r := &Rules{db: d, access: access, changes: changes, labels: NewLabels(ring), replayFor: ReplayLimit, impactFor: impactLimit}
	changes.govern(changeRules, governed{checks: "finance", floor: approval.FloorSecond, dated: true, revisable: true, lock: (*db.Tx).LockRules, draft: r.draft, apply: r.apply, impact: r.impact})
	return r
}

// rulesPayload is what a change of rules says: all rules as they will be, each node by
// its id, and the version they were made on.
type rulesPayload struct {
	BaseVersion int64              `json:"base_version"`
	Rules       []attribution.Rule `json:"rules"`
}

// rulesAsk is what a maker sends. The version it was made on is the latest unless said.
type rulesAsk struct {
	BaseVersion *int64          `json:"base_version"`
	Rules       json.RawMessage `json:"rules"`
}

var (
	errRulesAsk   = fault.Invalid("payload", "rules_payload", `The payload of a change of rules is {"rules":[…]}, all of them in order, and may say {"base_version":3} on which it was made.`)
	errSameRules  = fault.Invalid("rules", "rules_same", "Nothing would change: the latest rules say the same.")
	errRulesMoved = fault.New(fault.KindConflict, "rules_moved", "Other rules were applied since these were made. Make them again on the latest version.")
	errRulesPast  = fault.Invalid("effective_from", "rules_backdated",
		"Rules take effect today, UTC, or later: what is recorded stays where it was charged.")
)

// AskRules is the proposal of a whole set of rules, made on a version.
func AskRules(rules *attribution.Rules, base int64, from time.Time, reason string) (Ask, error) {
	document, err := rules.Document()
	if err != nil {
		return Ask{}, err
	}
	var inner struct {
		Rules json.RawMessage `json:"rules"`
	}
	if err := json.Unmarshal(document, &inner); err != nil {
		return Ask{}, fmt.Errorf("encode rules: %w", err)
	}
	payload, err := json.Marshal(rulesAsk{BaseVersion: &base, Rules: inner.Rules})
	return Ask{Kind: changeRules, Payload: payload, EffectiveFrom: from, Reason: reason}, err
}

// draft makes a proposal of what a maker sent.
func (r *Rules) draft(tx *db.Tx, _ Actor, payload []byte, from time.Time) (draft, error) {
	var ask rulesAsk
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ask); err != nil || len(ask.Rules) == 0 {
		return draft{}, errRulesAsk
	}
	rules, err := attribution.Parse(append(append([]byte(`{"rules":`), ask.Rules...), '}'))
	if err != nil {
		return draft{}, err
	}
	if err := tx.LockRules(); err != nil {
		return draft{}, err
	}
	latest, err := latestRules(tx)
	if err != nil {
		return draft{}, err
	}
	if ask.BaseVersion != nil && *ask.BaseVersion != latest.version {
		return draft{}, errRulesMoved
	}
	if from.IsZero() {
		from = tx.Now
	}
	if from.Before(tx.Now.Truncate(24 * time.Hour)) {
		return draft{}, errRulesPast
	}
	if err := settle(tx, &rules, from); err != nil {
		return draft{}, err
	}
	if latest.version > 0 && !from.Before(latest.from) && len(diffRules(&latest.rules, &rules)) == 0 {
		return draft{}, errSameRules
	}
	if latest.version == 0 && len(rules.Rules) == 0 {
		return draft{}, errSameRules
	}
	return draft{
		effective: from,
		payload:   rulesPayload{BaseVersion: latest.version, Rules: rules.Rules},
		store:     func(*db.Tx, approval.Change) error { return nil }, // the payload has all of it
	}, nil
}

// settle names every node and key of rules, as they are at an instant.
func settle(tx *db.Tx, rules *attribution.Rules, at time.Time) error {
	tree, err := treeAt(tx, at)
	if err != nil {
		return err
	}
	if err := rules.Resolve(tree); err != nil {
		return err
	}
	named := map[string]string{}
	for i := range rules.Rules {
		for j := range rules.Rules[i].When {
			if c := &rules.Rules[i].When[j]; c.Field == attribution.FieldKey {
				for _, text := range c.Is {
					if key, err := id.ParseKey(text); err == nil {
						named[key.UUID()] = fmt.Sprintf("rules[%d].when[%d]", i, j)
					}
				}
			}
		}
	}
	ids := make([]string, 0, len(named))
	for uuid := range named {
		ids = append(ids, uuid)
	}
	known, err := tx.KeyLabels(ids)
	if err != nil {
		return err
	}
	for _, k := range known {
		delete(named, k.ID.UUID())
	}
	for _, where := range named {
		return fault.Invalid(where, "rule_key_absent", "There is no virtual key of an id it names.")
	}
	return nil
}

// standing is a version of rules, read.
type standing struct {
	version int64
	from    time.Time
	change  id.Change
	rules   attribution.Rules
}

// latestRules is the version that was recorded last, whether or not it has begun.
func latestRules(tx *db.Tx) (standing, error) {
	rows, err := tx.RuleVersions(1)
	if err != nil || len(rows) == 0 {
		return standing{}, err
	}
	row, _, err := tx.RuleVersion(rows[0].Version)
	if err != nil {
		return standing{}, err
	}
	return readRules(&row)
}

func readRules(row *db.RuleVersionRow) (standing, error) {
	rules, err := attribution.Parse(row.Document)
	if err != nil {
		return standing{}, fmt.Errorf("read rules %d: %w", row.Version, err)
	}
	return standing{version: row.Version, from: row.EffectiveFrom.UTC(), change: row.ChangeID, rules: rules}, nil
}

// apply makes proposed rules the next version.
func (r *Rules) apply(tx *db.Tx, c approval.Change) error {
	payload, rules, err := proposedRules(&c)
	if err != nil {
		return err
	}
	latest, err := latestRules(tx)
	if err != nil {
		return err
	}
	if payload.BaseVersion != latest.version {
		return errRulesMoved
	}
	if err := settle(tx, &rules, c.EffectiveFrom); err != nil {
		return fault.New(fault.KindConflict, "rules_node_gone", fault.From(err).Message).Because(err)
	}
	document, err := rules.Document()
	if err != nil {
		return err
	}
	_, err = tx.AddRuleVersion(document, len(rules.Rules), c.EffectiveFrom, c.ID)
	return err
}

func proposedRules(c *approval.Change) (rulesPayload, attribution.Rules, error) {
	var payload rulesPayload
	if err := json.Unmarshal(c.Payload, &payload); err != nil {
		return payload, attribution.Rules{}, fmt.Errorf("read change of rules: %w", err)
	}
	rules := attribution.Rules{Rules: payload.Rules}
	return payload, rules, rules.Check()
}

// impact replays the last full month under proposed rules.
func (r *Rules) impact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	payload, rules, err := proposedRules(&c)
	if err != nil {
		return approval.Impact{}, err
	}
	base := standing{}
	if payload.BaseVersion > 0 {
		row, _, err := tx.RuleVersion(payload.BaseVersion)
		if err != nil {
			return approval.Impact{}, err
		}
		if base, err = readRules(&row); err != nil {
			return approval.Impact{}, err
		}
	}
	differences := diffRules(&base.rules, &rules)
	replay, err := r.replay(tx, replayAsk{rules: &rules, at: c.EffectiveFrom, month: period.MonthOf(tx.Now).Previous(), within: r.impactFor})
	if err != nil {
		return approval.Impact{}, err
	}
	impact := approval.Impact{
		Sentence: fmt.Sprintf("%s of %d; %s", countOf(len(differences), "rule changes", "rules change"), len(rules.Rules), replay.sentence()),
		Month:    replay.Month.String(), Moved: replay.Moved, Capitalized: replay.Capitalized, Expensed: replay.Expensed,
		Keys: replay.Keys, Rules: len(differences), Touches: touched(differences, &replay),
	}
	for i := range replay.Nodes {
		n := &replay.Nodes[i]
		if !n.Differs() {
			continue
		}
		if len(impact.Nodes) == maxImpactNodes {
			impact.Sentence += fmt.Sprintf(" Of the nodes whose charge differs, the first %d are listed.", maxImpactNodes)
			break
		}
		impact.Nodes = append(impact.Nodes, approval.NodeImpact{Node: n.Node, Code: n.Code, Path: n.Path, Swing: n.Swing})
	}
	if base.version > 0 && base.from.After(c.EffectiveFrom) {
		impact.Sentence += fmt.Sprintf(" Version %d, which was to begin %s, never does.", base.version, base.from.Format(time.DateOnly))
	}
	return impact, nil
}

// maxImpactNodes bounds the nodes that an impact lists: it is kept in one record of the log.
const maxImpactNodes = 1000

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// touched are the nodes that changed rules charge, and those whose charge would differ.
func touched(differences []RuleDifference, replay *Replay) []id.Node {
	var nodes []id.Node
	add := func(node id.Node) {
		if !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	for i := range differences {
		for _, rule := range []*attribution.Rule{differences[i].Before, differences[i].After} {
			if rule != nil {
				for _, p := range rule.To {
					add(p.Node)
				}
			}
		}
	}
	for i := range replay.Nodes {
		if replay.Nodes[i].Differs() {
			add(replay.Nodes[i].Node)
		}
	}
	return nodes
}

// RulesQuery asks for the rules in force at an instant as known at another, zero is now;
// or for a version.
type RulesQuery struct {
	Version     int64
	AsOf, Known time.Time
}

// RuleSet is a version of the rules with what is around it. Version is 0 where there
// are none yet.
type RuleSet struct {
	RuleVersion

	Rules    []RuleView
	Latest   int64 // the version that was recorded last: what another is made on
	InForce  bool  // at the instant asked for
	Month    period.Month
	Versions []RuleVersion // newest first
	Open     []ChangeView  // changes of rules that wait
	// Nodes are those that may be charged, as of now: parents before children.
	Nodes []NodeView
}

// RuleVersion is one applied set of rules.
type RuleVersion struct {
	Version       int64
	Digest        string
	Count         int
	EffectiveFrom time.Time
	RecordedAt    time.Time
	Change        id.Change
	Number        int64
	Reason        string
	// Until is when the next took its place; zero while it is the last. Never says that
	// it was replaced before it began.
	Until time.Time
	Never bool
}

// RuleView is one rule as readers see it.
type RuleView struct {
	attribution.Rule

	Place    int // 1 is asked first
	Charges  []RuleCharge
	Warning  *attribution.Warning
	Requests int64     // it placed in the month
	Charge   money.Sum // of those
}

// RuleCharge is a node that a rule charges.
type RuleCharge struct {
	Node       id.Node
	Code, Path string // empty where the node is not in the tree
	PPM        int64
}

// maxRuleVersions bounds the list of versions.
const maxRuleVersions = 200

// ErrRuleVersion reports a version that was never applied.
var ErrRuleVersion = fault.New(fault.KindNotFound, "rule_version_absent", "There is no such version of the rules.")

// Show tells the rules in force, or a version of them, with what each placed in the last
// full month.
func (r *Rules) Show(ctx context.Context, who Actor, q RulesQuery) (RuleSet, error) {
	if err := r.access.Check(who, "rule", "read"); err != nil {
		return RuleSet{}, err
	}
	var set RuleSet
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		at := q.AsOf
		if at.IsZero() {
			at = tx.Now
		}
		row, found, err := tx.RulesAt(at, q.Known)
		if err != nil {
			return err
		}
		inForce := row.Version
		if q.Version > 0 {
			if row, found, err = tx.RuleVersion(q.Version); err == nil && !found {
				err = ErrRuleVersion
			}
			if err != nil {
				return err
			}
		}
		set.InForce = row.Version == inForce
		if err := r.around(tx, who, &set); err != nil {
			return err
		}
		if !found {
			return nil
		}
		for i := range set.Versions {
			if set.Versions[i].Version == row.Version {
				set.RuleVersion = set.Versions[i]
			}
		}
		if set.Version == 0 { // older than the list goes
			set.RuleVersion = ruleVersion(&row)
		}
		return r.views(tx, &row, at, &set)
	})
	return set, err
}

// around fills in what is shown whichever version is.
func (r *Rules) around(tx *db.Tx, who Actor, set *RuleSet) error {
	rows, err := tx.RuleVersions(maxRuleVersions)
	if err != nil {
		return err
	}
	// Newest first: each holds until a later one begins, and never does where that began before.
	var next time.Time
	for i := range rows {
		v := ruleVersion(&rows[i])
		v.Until = next
		v.Never = !next.IsZero() && !v.EffectiveFrom.Before(next)
		if next.IsZero() || v.EffectiveFrom.Before(next) {
			next = v.EffectiveFrom
		}
		set.Versions = append(set.Versions, v)
	}
	if len(rows) > 0 {
		set.Latest = rows[0].Version
	}
	set.Month = period.MonthOf(tx.Now).Previous()
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return err
	}
	for _, v := range tree.All() {
		set.Nodes = append(set.Nodes, NodeView{Version: v, Path: tree.Path(v.Node), Depth: tree.Depth(v.Node)})
	}
	if readable := r.access.Check(who, "change", "read") == nil; !readable {
		return nil
	}
	open, err := tx.Changes(db.ChangeFilter{Kinds: []string{changeRules}, State: string(approval.StateProposed), Limit: MaxChanges})
	if err != nil {
		return err
	}
	for i := range open {
		view, err := changeView(&open[i])
		if err != nil {
			return err
		}
		set.Open = append(set.Open, view)
	}
	return nil
}

func ruleVersion(row *db.RuleVersionRow) RuleVersion {
	return RuleVersion{
		Version: row.Version, Digest: hex.EncodeToString(row.Digest), Count: row.Rules, EffectiveFrom: row.EffectiveFrom.UTC(), RecordedAt: row.RecordedAt.UTC(),
		Change: row.ChangeID, Number: row.Number, Reason: row.Reason,
	}
}

// views fills in the rules of a version.
func (r *Rules) views(tx *db.Tx, row *db.RuleVersionRow, at time.Time, set *RuleSet) error {
	now, err := readRules(row)
	if err != nil {
		return err
	}
	tree, err := treeAt(tx, at)
	if err != nil {
		return err
	}
	set.Rules = RuleViews(&now.rules, tree)
	sums, err := tx.RuleMonth(set.Month)
	if err != nil {
		return err
	}
	for _, sum := range sums {
		code, _, _ := strings.Cut(strings.TrimPrefix(sum.Rule, string(attribution.RuleBasis(""))), ":")
		charge, err := money.SumOfPico(sum.ChargePico)
		if err != nil {
			return err
		}
		for i := range set.Rules {
			if set.Rules[i].Code == code {
				set.Rules[i].Requests += sum.Requests
				set.Rules[i].Charge.AddSum(&charge)
			}
		}
	}
	return nil
}

// RuleViews names what rules charge, on a tree.
func RuleViews(rules *attribution.Rules, tree *hierarchy.Tree) []RuleView {
	list := make([]RuleView, 0, len(rules.Rules))
	for i := range rules.Rules {
		view := RuleView{Rule: rules.Rules[i], Place: i + 1}
		for _, p := range view.To {
			charge := RuleCharge{Node: p.Node, Code: p.Code, PPM: p.PPM}
			v, there := tree.Node(p.Node)
			if !there && p.Code != "" {
				v, there = tree.Code(p.Code)
			}
			if there {
				charge.Node, charge.Code, charge.Path = v.Node, v.Code, tree.Path(v.Node)
			}
			view.Charges = append(view.Charges, charge)
		}
		list = append(list, view)
	}
	for _, w := range rules.Warnings() {
		if _, i := rules.Find(w.Code); i >= 0 {
			list[i].Warning = &w
		}
	}
	return list
}
