package attribution

import (
	"slices"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/usage"
)

// Basis names what decided, as rows and screens show it: one of those below, or a
// tenant's rule as RuleBasis writes it.
type Basis string

// What decides without configuration.
const (
	RuleKey             Basis = "key"                 // the key's cost center
	RuleProject         Basis = "project"             // a declared project the key may charge
	RuleProjectUnknown  Basis = "key:project_unknown" // declared, but no node has that code
	RuleProjectNotYours Basis = "key:project_outside" // declared, but outside the key's reach
	RuleSuspense        Basis = "suspense"            // the key's cost center does not exist at that time
)

const (
	basisRule   = "rule:"
	basisAbsent = ":node_absent"
)

// RuleBasis is a tenant's rule as rows name it.
func RuleBasis(code string) Basis { return Basis(basisRule + code) }

// Facts is what is known of a credential and of a request before it is sent.
type Facts struct {
	Credential
	Request

	CostCenter id.Node   // the key's
	Projects   []id.Node // nodes beyond the cost center's subtree that the key names
}

// Answer is where a request goes and by which rule.
type Answer struct {
	Shares []usage.Share
	Rule   Basis
	Code   string // the codes shown to the caller: of the nodes that are charged
	// Version is the tenant's set of rules that was asked, 0 where it has none; Change is
	// what put the request there: the one that applied the rule that fired, else the one
	// that gave the key its cost center, and none where a person chose by signing in.
	Version int64
	Change  id.Change
}

// Decide places one request on a tree where no rule of the tenant fires.
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
