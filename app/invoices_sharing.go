package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tollbook/app/allocation"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/db"
)

// SharingAsk is who shall bear fixed and shared cost.
type SharingAsk struct {
	Rules allocation.Rules `json:"rules"`
}

// SharingVersion is a version of it.
type SharingVersion struct {
	Version       int
	Rules         allocation.Rules
	EffectiveFrom time.Time
	Change        id.Change
	Number        int64
	Maker         string
}

// SharedKinds lists the kinds of lines that a rule may be for.
func SharedKinds() []string {
	var kinds []string
	for _, k := range invoice.Kinds() {
		kinds = append(kinds, string(k))
	}
	return kinds
}

// AskSharing is the proposal of who bears fixed and shared cost from then on.
func AskSharing(rules allocation.Rules, reason string) Ask {
	return ask(changeSharing, reason, SharingAsk{Rules: rules})
}

const maxSharing = 200

// Sharing lists versions, the latest first.
func (v *Invoices) Sharing(ctx context.Context, who Actor) ([]SharingVersion, error) {
	if err := v.mayRead(who); err != nil {
		return nil, err
	}
	var list []SharingVersion
	err := v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Sharing(maxSharing)
		for i := range rows {
			one := SharingVersion{Version: rows[i].Version, EffectiveFrom: rows[i].EffectiveFrom.UTC(), Change: rows[i].ChangeID, Number: rows[i].Number, Maker: rows[i].Maker}
			if one.Rules, err = rulesOf(rows[i].Rules); err != nil {
				return err
			}
			list = append(list, one)
		}
		return err
	})
	return list, err
}

func rulesOf(document []byte) (allocation.Rules, error) {
	var rules allocation.Rules
	if err := json.Unmarshal(document, &rules); err != nil {
		return nil, fmt.Errorf("read sharing rules: %w", err)
	}
	return rules, nil
}

// standingRules are those in force now.
func standingRules(tx *db.Tx) (allocation.Rules, error) {
	rows, err := tx.Sharing(1)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rulesOf(rows[0].Rules)
}

// rulesAt are those that were in force at an instant.
func rulesAt(tx *db.Tx, at time.Time) (allocation.Rules, error) {
	rows, err := tx.SharingAt(at)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rulesOf(rows[0].Rules)
}

func (v *Invoices) draftSharing(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked SharingAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return draft{}, err
	}
	known := func(code string) bool { _, there := tree.Code(code); return there }
	if err := asked.Rules.Check(SharedKinds(), known); err != nil {
		return draft{}, err
	}
	now, err := standingRules(tx)
	if err != nil {
		return draft{}, err
	}
	if sharingWords(now) == sharingWords(asked.Rules) {
		return draft{}, fault.Invalid("rules", "sharing_same", "That is who bears it already: nothing would change.")
	}
	if asked.Rules == nil {
		asked.Rules = allocation.Rules{}
	}
	return draft{payload: asked}, nil
}

func (v *Invoices) applySharing(tx *db.Tx, c approval.Change) error {
	var asked SharingAsk
	if err := stored(c, &asked); err != nil {
		return err
	}
	document, err := json.Marshal(asked.Rules)
	if err != nil {
		return fmt.Errorf("encode sharing rules: %w", err)
	}
	return tx.AddSharing(document, c.ID)
}

func (v *Invoices) sharingImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var asked SharingAsk
	if err := stored(c, &asked); err != nil {
		return approval.Impact{}, err
	}
	now, err := standingRules(tx)
	return approval.Impact{Sentence: fmt.Sprintf("Invoices that are allocated from then on: %s. Until now: %s. Invoices that are booked stay as they are.", sharingWords(asked.Rules), sharingWords(now))}, err
}

// sharingWords say rules as a person would.
func sharingWords(rules allocation.Rules) string {
	if len(rules) == 0 {
		return "every kind of line by what each node was charged"
	}
	var said []string
	for i := range rules {
		said = append(said, RuleWords(&rules[i]))
	}
	return strings.Join(said, "; ") + "; all else by what each node was charged"
}

// RuleWords say one rule as a person would.
func RuleWords(r *allocation.Rule) string {
	var parts []string
	for _, p := range r.Parts {
		switch r.Method {
		case allocation.Percent:
			parts = append(parts, fmt.Sprintf("%s %d.%02d %%", p.Code, p.Weight/100, p.Weight%100))
		case allocation.Driver:
			parts = append(parts, fmt.Sprintf("%s %d", p.Code, p.Weight))
		case allocation.Even, allocation.Proportional:
			parts = append(parts, p.Code)
		}
	}
	among := strings.Join(parts, ", ")
	switch r.Method {
	case allocation.Even:
		return r.Kind + " evenly among " + among
	case allocation.Percent:
		return r.Kind + " as " + among
	case allocation.Driver:
		return r.Kind + " by " + r.Driver + ": " + among
	case allocation.Proportional:
	}
	if among == "" {
		return r.Kind + " by what each node was charged"
	}
	return r.Kind + " by what each was charged among " + among + " and below"
}
