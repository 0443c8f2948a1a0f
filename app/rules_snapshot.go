package app

import (
	"fmt"
	"strings"
	"time"

	"tollbook/app/attribution"
	"tollbook/app/hierarchy"
	"tollbook/db"
)

// ruleInstants lists when another version of a tenant's rules takes effect after an
// instant: a snapshot built before is not what it should be from then on.
func ruleInstants(rows []db.RuleVersionRow, after time.Time) []time.Time {
	var list []time.Time
	for i := range rows {
		if rows[i].EffectiveFrom.After(after) {
			list = append(list, rows[i].EffectiveFrom)
		}
	}
	return list
}

// inForceAt makes ready the version of a tenant's rules that is in force at an instant:
// the latest that had begun. Nil where there is none.
func inForceAt(rows []db.RuleVersionRow, tree *hierarchy.Tree, at time.Time) (*attribution.Program, error) {
	var now *db.RuleVersionRow
	for i := range rows {
		if r := &rows[i]; !r.EffectiveFrom.After(at) && (now == nil || r.Version > now.Version) {
			now = r
		}
	}
	if now == nil {
		return nil, nil
	}
	return program(now, tree)
}

func program(row *db.RuleVersionRow, tree *hierarchy.Tree) (*attribution.Program, error) {
	rules, err := attribution.Parse(row.Document)
	if err != nil {
		return nil, fmt.Errorf("read rules %d: %w", row.Version, err)
	}
	return rules.Compile(tree, row.Version, row.ChangeID)
}

// credential is what rules may know of a key.
func credential(labels *Labels, k *db.SnapshotKey) attribution.Credential {
	c := attribution.Credential{Key: k.KeyID, Label: k.Label, Verified: !k.DeveloperID.IsZero()}
	if c.Verified {
		c.Domain = domainOf(labels.Open(k.DeveloperID, k.LabelSealed))
	}
	return c
}

// domainOf is the domain of an e-mail address in small letters; empty where there is none.
func domainOf(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(address[at+1:])
}
