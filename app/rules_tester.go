package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/db"
)

// RuleQuestion is what to ask the rules about: a request there was, or facts.
type RuleQuestion struct {
	Request string // our id of it, or the upstream's; empty: the facts below
	Version int64  // of the rules; 0: the one the request was asked under, or the one in force at its time

	Key      string // a virtual key's id or label; empty: a key that no rule knows
	Verified bool
	Domain   string
	Project  string
	Model    string
	Tags     map[string]string
	At       time.Time // zero: now
	// Rules are asked instead of a version: those that somebody is about to propose.
	Rules *attribution.Rules
}

// RuleAnswer is which rule decides, and why the others did not.
type RuleAnswer struct {
	Facts     attribution.Facts
	Known     bool  // the facts name a key, so that it is known what it charges
	Version   int64 // of the rules that were asked; 0: there were none, or they are not applied
	Explained []attribution.Explained
	Basis     attribution.Basis
	Charges   []RuleCharge // empty where no key is known and no rule fires
	// Request is what was asked about, with what decided at its time; nil for facts.
	Request *RuledRequest
}

// RuledRequest is a request as it was charged.
type RuledRequest struct {
	ID      id.Event
	Basis   attribution.Basis
	Version int64
	Change  id.Change
	Charges []RuleCharge
}

// Test asks the rules about a request or about facts.
func (r *Rules) Test(ctx context.Context, who Actor, q RuleQuestion) (RuleAnswer, error) {
	if err := r.access.Check(who, "rule", "read"); err != nil {
		return RuleAnswer{}, err
	}
	var answer RuleAnswer
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		if q.Request != "" {
			err = r.ofRequest(tx, who, &q, &answer)
		} else {
			err = r.ofFacts(tx, &q, &answer)
		}
		if err != nil {
			return err
		}
		return r.ask(tx, &q, &answer)
	})
	return answer, err
}

var errRequestAbsent = fault.Invalid("request", "request_absent", "There is no such request: give its id (evt_…) or the provider's (req_…).")

// ofRequest takes the facts that a request's row has.
func (r *Rules) ofRequest(tx *db.Tx, who Actor, q *RuleQuestion, answer *RuleAnswer) error {
	if err := r.access.Check(who, "usage", "read"); err != nil {
		return err
	}
	filter := db.UsageFilter{Within: r.access.Scope(who, "usage", "read"), Limit: 1}
	if event, err := id.ParseEvent(q.Request); err == nil && !event.IsZero() {
		filter.Event = event
	} else {
		filter.RequestID = usage.Clip(q.Request, 100)
	}
	rows, err := tx.Usage(filter)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errRequestAbsent
	}
	row := &rows[0]
	story, err := tx.UsageStory(row.EventID)
	if err != nil {
		return err
	}
	f := &answer.Facts
	f.Credential = attribution.Credential{Key: row.KeyID, Label: row.KeyLabel, Verified: row.DeveloperVerified}
	if row.DeveloperVerified {
		f.Domain = domainOf(r.labels.Open(row.DeveloperID, row.LabelSealed))
	}
	f.Project, f.Model, f.At = deref(story.DeclaredProject), row.ModelRequested, row.OccurredAt.UTC()
	if row.Tags != nil {
		if err := json.Unmarshal([]byte(*row.Tags), &f.Tags); err != nil {
			return fmt.Errorf("read tags of %s: %w", row.EventID, err)
		}
	}
	was := &RuledRequest{ID: row.EventID, Basis: attribution.Basis(row.AttributionRule), Change: row.AttributionChangeID}
	if row.RuleVersion != nil {
		was.Version = *row.RuleVersion
	}
	places, err := placements(tx)
	if err != nil {
		return err
	}
	placedRow := db.PlacedRow{Placement: row.PlacementID, Charge: row.ChargePico}
	if row.Split != nil {
		placedRow.Split = []byte(*row.Split)
	}
	parts, err := partsOf(&placedRow)
	if err != nil {
		return err
	}
	for _, p := range parts {
		at := places[p.Placement]
		was.Charges = append(was.Charges, RuleCharge{Node: at.node, Code: at.code, Path: at.path, PPM: p.PPM})
	}
	answer.Request = was
	return nil
}

// ofFacts takes the facts that somebody wrote down.
func (r *Rules) ofFacts(tx *db.Tx, q *RuleQuestion, answer *RuleAnswer) error {
	if q.At.IsZero() {
		q.At = tx.Now
	}
	answer.Facts.Credential = attribution.Credential{Verified: q.Verified, Domain: strings.ToLower(q.Domain)}
	answer.Facts.Request = attribution.Request{Project: q.Project, Model: q.Model, Tags: q.Tags, At: q.At.UTC()}
	if q.Key == "" {
		return nil
	}
	rows, err := tx.KeyCenters()
	if err != nil {
		return err
	}
	for i := range rows {
		if rows[i].KeyID.String() == q.Key || rows[i].Label == q.Key {
			answer.Facts.Key, answer.Facts.Label = rows[i].KeyID, rows[i].Label
			return nil
		}
	}
	return fault.Invalid("key", "key_absent", "There is no virtual key with the id or label %.60q.", q.Key)
}

// ask explains rules on what is in the answer already, and says what decides.
func (r *Rules) ask(tx *db.Tx, q *RuleQuestion, answer *RuleAnswer) error {
	f := &answer.Facts
	tree, err := treeAt(tx, f.At)
	if err != nil {
		return err
	}
	now, err := r.asked(tx, q, answer)
	if err != nil {
		return err
	}
	answer.Version, answer.Explained = now.version, now.rules.Explain(f)
	p := &replayer{centers: map[id.Key]*keyCenter{}}
	if err := p.readCenters(tx, f.At); err != nil {
		return err
	}
	if center := p.centers[f.Key]; center != nil {
		answer.Known, f.CostCenter, f.Projects = true, center.center, center.projects
	}
	program, err := now.rules.Compile(tree, now.version, now.change)
	if err != nil {
		return err
	}
	placed, fired := program.For(&f.Credential).First(&f.Request)
	if !fired && !answer.Known {
		answer.Basis = attribution.RuleKey
		return nil
	}
	if !fired {
		if placed, err = attribution.Decide(tree, *f); err != nil {
			return err
		}
	}
	answer.Basis = placed.Rule
	return answer.charge(tree, placed.Shares)
}

// asked is the version of the rules to ask.
func (r *Rules) asked(tx *db.Tx, q *RuleQuestion, answer *RuleAnswer) (standing, error) {
	if q.Rules != nil {
		return standing{rules: *q.Rules}, settle(tx, q.Rules, tx.Now)
	}
	version := q.Version
	if version == 0 && answer.Request != nil {
		version = answer.Request.Version
	}
	var row db.RuleVersionRow
	var found bool
	var err error
	if version > 0 {
		row, found, err = tx.RuleVersion(version)
		if err == nil && !found {
			err = ErrRuleVersion
		}
	} else {
		row, found, err = tx.RulesAt(answer.Facts.At, time.Time{})
		found = found && answer.Request == nil // no rules were asked about it at its time
	}
	if err != nil || !found {
		return standing{}, err
	}
	return readRules(&row)
}

// charge names the nodes of shares.
func (a *RuleAnswer) charge(tree *hierarchy.Tree, shares []usage.Share) error {
	at := map[id.Placement]hierarchy.Version{}
	for _, v := range tree.All() {
		p, err := tree.Place(v.Node)
		if err != nil {
			return err
		}
		at[p.ID] = v
	}
	for _, s := range shares {
		v := at[s.Placement]
		a.Charges = append(a.Charges, RuleCharge{Node: v.Node, Code: v.Code, Path: tree.Path(v.Node), PPM: s.PPM})
	}
	return nil
}
