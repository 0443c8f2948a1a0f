package app

import (
	"context"
	"time"

	"tollbook/app/attribution"
	"tollbook/app/id"
	"tollbook/db"
)

// RulePreview is what rules that somebody is writing come to.
type RulePreview struct {
	Rules       []RuleView
	Differences []RuleDifference // from the latest version
	Latest      int64
}

// Preview checks rules that somebody is writing as of an instant (zero: now), names their
// nodes, and compares them with the latest version.
func (r *Rules) Preview(ctx context.Context, who Actor, rules *attribution.Rules, from time.Time) (RulePreview, error) {
	if err := r.access.Check(who, "rule", "propose"); err != nil {
		return RulePreview{}, err
	}
	if err := rules.Check(); err != nil {
		return RulePreview{}, err
	}
	var preview RulePreview
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if from.IsZero() {
			from = tx.Now
		}
		if err := settle(tx, rules, from); err != nil {
			return err
		}
		tree, err := treeAt(tx, from)
		if err != nil {
			return err
		}
		latest, err := latestRules(tx)
		if err != nil {
			return err
		}
		preview = RulePreview{Rules: RuleViews(rules, tree), Differences: diffRules(&latest.rules, rules), Latest: latest.version}
		return nil
	})
	return preview, err
}

// written finds rules that are applied or proposed: by version or by change.
func written(tx *db.Tx, version int64, change id.Change) (attribution.Rules, time.Time, error) {
	if !change.IsZero() {
		row, err := tx.Change(change)
		if err == nil && row.Kind != changeRules {
			err = db.ErrChangeAbsent
		}
		if err != nil {
			return attribution.Rules{}, time.Time{}, err
		}
		view, err := changeView(&row)
		if err != nil {
			return attribution.Rules{}, time.Time{}, err
		}
		_, rules, err := proposedRules(&view.Change)
		return rules, view.EffectiveFrom, err
	}
	row, found, err := tx.RuleVersion(version)
	if err == nil && !found {
		err = ErrRuleVersion
	}
	if err != nil {
		return attribution.Rules{}, time.Time{}, err
	}
	now, err := readRules(&row)
	return now.rules, tx.Now, err
}
