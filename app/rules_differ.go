package app

import (
	"slices"

	"tollbook/app/attribution"
)

// What a change does to one rule.
const (
	RuleAdded   = "added"
	RuleChanged = "changed"
	RuleMoved   = "moved" // only its place among the others
	RuleEnded   = "ended"
)

// RuleDifference is what becomes of one rule.
type RuleDifference struct {
	Code          string
	What          string
	Before, After *attribution.Rule // nil where there is none
}

// diffRules compares two sets: ended ones first, then in the order of the later set.
func diffRules(before, after *attribution.Rules) []RuleDifference {
	var list []RuleDifference
	var kept []string // codes in both, as before
	for i := range before.Rules {
		old := &before.Rules[i]
		if now, _ := after.Find(old.Code); now == nil {
			list = append(list, RuleDifference{Code: old.Code, What: RuleEnded, Before: old})
		} else {
			kept = append(kept, old.Code)
		}
	}
	var order []string
	for i := range after.Rules {
		if slices.Contains(kept, after.Rules[i].Code) {
			order = append(order, after.Rules[i].Code)
		}
	}
	stayed := longestCommon(kept, order)
	for i := range after.Rules {
		now := &after.Rules[i]
		old, _ := before.Find(now.Code)
		switch {
		case old == nil:
			list = append(list, RuleDifference{Code: now.Code, What: RuleAdded, After: now})
		case !sameRule(old, now):
			list = append(list, RuleDifference{Code: now.Code, What: RuleChanged, Before: old, After: now})
		case !stayed[now.Code]:
			list = append(list, RuleDifference{Code: now.Code, What: RuleMoved, Before: old, After: now})
		}
	}
	return list
}

func sameRule(a, b *attribution.Rule) bool {
	return a.Name == b.Name && slices.Equal(a.To, b.To) && slices.EqualFunc(a.When, b.When, func(x, y attribution.Condition) bool {
		return x.Field == y.Field && x.Tag == y.Tag && slices.Equal(x.Is, y.Is)
	})
}

// longestCommon marks what may stay where it is while the rest is moved around it.
func longestCommon(a, b []string) map[string]bool {
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i, x := range slices.Backward(a) {
		for j, y := range slices.Backward(b) {
			if x == y {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	stayed := map[string]bool{}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			stayed[a[i]] = true
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return stayed
}
