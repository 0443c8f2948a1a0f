package attribution

import (
	"slices"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// Rule names what decided, as rows and screens show it.
type Rule string

// The rules that exist without configuration.
const (
	RuleKey             Rule = "key"                 // the key's cost center
	RuleProject         Rule = "project"             // a declared project the key may charge
	RuleProjectUnknown  Rule = "key:project_unknown" // declared, but no node has that code
	RuleProjectNotYours Rule = "key:project_outside" // declared, but outside the key's reach
	RuleSuspense        Rule = "suspense"            // the key's cost center does not exist at that time
)

// Facts is what is known of a request before it is sent.
type Facts struct {
	CostCenter id.Node   // the key's
	Projects   []id.Node // nodes beyond the cost center's subtree that the key names
	Project    string    // declared code, empty if none
}

// Answer is where a request goes and by which rule.
type Answer struct {
	Shares []usage.Share
	Rule   Rule
	Code   string // the code shown to the caller: the node that is charged
}

// Decide places one request on a tree.
func Decide(tree *hierarchy.Tree, facts Facts) (Answer, error) {
	node, rule := facts.CostCenter, RuleKey
	if facts.Project != "" {
		project, known := tree.Code(facts.Project)
		switch {
		case !known:
			rule = RuleProjectUnknown
		case !reaches(tree, facts, project.Node):
			rule = RuleProjectNotYours
		default:
			node, rule = project.Node, RuleProject
		}
	}
	if _, exists := tree.Node(node); !exists {
		suspense, ok := tree.Code(hierarchy.SuspenseCode)
		if ok {
			node, rule = suspense.Node, RuleSuspense
		}
	}
	placement, err := tree.Place(node)
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Shares: []usage.Share{{Placement: placement.ID, PPM: usage.Whole}}, Rule: rule, Code: placement.Path[len(placement.Path)-1],
	}, nil
}

func reaches(tree *hierarchy.Tree, facts Facts, project id.Node) bool {
	return tree.Within(project, facts.CostCenter) || slices.Contains(facts.Projects, project)
}
