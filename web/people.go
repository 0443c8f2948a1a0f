package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/hierarchy"
	"tollbook/web/ui"
)

// trouble is what was wrong with a form, and where.
type trouble struct{ Alert, Field string }

// at says whether a field is the one at fault.
func (t trouble) at(field string) bool { return t.Field == field }

// roleOptions lists the roles a person can have.
func roleOptions(first string, selected app.Role) []option {
	list := []option{{Label: first}}
	for _, r := range app.Roles() {
		if r != app.RoleServiceAccount {
			list = append(list, option{Value: string(r), Label: ui.Words(string(r)), Selected: r == selected})
		}
	}
	return list
}

// nodeOptions lists the nodes a budget owner can have.
func (w *Web) nodeOptions(v *visit, first, selected string) ([]option, error) {
	nodes, err := w.areas.Nodes.List(v.Request().Context(), v.who, time.Time{})
	if err != nil {
		return nil, err
	}
	list := []option{{Label: first}}
	for _, n := range nodes {
		if n.Code != hierarchy.SuspenseCode {
			list = append(list, option{Value: n.Code, Label: n.Code + " " + n.Name, Selected: n.Code == selected})
		}
	}
	return list, nil
}

// issuerOptions lists the issuers people sign in with; the only one is chosen already.
func (w *Web) issuerOptions(v *visit, selected string) ([]option, error) {
	issuers, err := w.areas.SignIns.Issuers(v.Request().Context(), v.who.Tenant)
	if err != nil {
		return nil, err
	}
	var list []option
	if len(issuers) != 1 {
		list = append(list, option{Label: "Choose"})
	}
	for _, i := range issuers {
		list = append(list, option{Value: i.ID.String(), Label: i.Name, Selected: i.ID.String() == selected})
	}
	return list, nil
}

// roleWords is a role with its subtree.
func roleWords(role app.Role, node string) string {
	if node == "" {
		return ui.Words(string(role))
	}
	return ui.Words(string(role)) + " of " + node
}

func scopeWords(roles []app.Role) string {
	if len(roles) == 0 {
		return "All of the member's"
	}
	words := make([]string, 0, len(roles))
	for _, r := range roles {
		words = append(words, ui.Words(string(r)))
	}
	return strings.Join(words, ", ")
}

// memberStepWords says what happened to a member.
func memberStepWords(s *app.Step) string {
	switch s.What {
	case "role_given":
		if s.Label != "" {
			return "Given " + roleWords(s.Role, s.NodeCode) + ", from the group " + s.Label
		}
		return "Given " + roleWords(s.Role, s.NodeCode)
	case "role_taken":
		return roleWords(s.Role, s.NodeCode) + " taken away"
	case app.MemberSuspended:
		return "Suspended"
	case app.MemberActive:
		return "Resumed"
	case "linked":
		return "Account linked"
	case "token_made":
		return "API token “" + s.Label + "” made"
	case "token_ended":
		return "API token “" + s.Label + "” revoked"
	}
	return ui.Words(s.What)
}

func changeNumber(number int64) string { return fmt.Sprintf("Change %d", number) }

// memberRoles lists a member's roles, each once.
func memberRoles(m *app.MemberView) []app.Role {
	var list []app.Role
	for i := range m.Grants {
		if !slices.Contains(list, m.Grants[i].Role) {
			list = append(list, m.Grants[i].Role)
		}
	}
	return list
}

// stateAction is the path that changes a member's state.
func stateAction(state string) string {
	if state == app.MemberActive {
		return "/suspend"
	}
	return "/resume"
}

// afterDash is what follows the first dash, or all of it.
func afterDash(text string) string {
	if _, after, ok := strings.Cut(text, "-"); ok {
		return after
	}
	return text
}

// deciderWords says which rule let a change through, or who did.
func deciderWords(decider string) string {
	switch decider {
	case approval.RuleGroupMapping:
		return "the group mapping that somebody proposed"
	case approval.RuleInvitation:
		return "the invitation that somebody proposed"
	case approval.RuleSignUp:
		return "the operator’s leave to found a company"
	}
	return makerWords(decider)
}

// withQuery adds one parameter to a path, unless it is empty.
func withQuery(path, name, value string) string {
	if value == "" {
		return path
	}
	return path + "?" + url.Values{name: {value}}.Encode()
}

// grantWords lists roles with their subtrees, and which come from a group.
func grantWords(grants []app.GrantView) string {
	words := make([]string, 0, len(grants))
	for _, g := range grants {
		word := roleWords(g.Role, g.NodeCode)
		if g.Group != "" {
			word += " (by group)"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}
