package app

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// accessModel: role-based access with tenants as domains; any deny overrides. An
// actor's roles travel with the actor, read in the same transaction as its session
// or token, so that a suspension or a new role holds from the next request on
// (docs/adr/003).
const accessModel = `
[request_definition]
r = roles, dom, obj, act
[policy_definition]
p = role, dom, obj, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = holds(r.roles, p.role) && (p.dom == "*" || r.dom == p.dom) && r.obj == p.obj && r.act == p.act
`

//go:embed access.csv
var accessMatrix string

// Access decides what an actor may do.
type Access struct {
	enforcer *casbin.SyncedEnforcer
	duties   []Duty
	rights   []right
	denied   map[Role][]right
	answers  answers
}

// answers are what Casbin said: the matrix is fixed with the binary and names no tenant,
// so that the same roles have the same answer everywhere, and a page asks for dozens.
type answers struct {
	mu   sync.RWMutex
	kept map[question]bool
}

type question struct{ roles, object, action string }

// maxAnswers bounds what is kept: there are about as many questions as rows in the
// matrix for each set of roles somebody holds.
const maxAnswers = 8192

func (a *answers) recall(q question) (allowed, known bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	allowed, known = a.kept[q]
	return allowed, known
}

func (a *answers) keep(q question, allowed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil || len(a.kept) >= maxAnswers {
		a.kept = make(map[question]bool)
	}
	a.kept[q] = allowed
}

// NewAccess loads the role matrix.
func NewAccess() (*Access, error) {
	m, err := model.NewModelFromString(accessModel)
	if err != nil {
		return nil, fmt.Errorf("read access model: %w", err)
	}
	enforcer, err := casbin.NewSyncedEnforcer(m, matrixAdapter{})
	if err != nil {
		return nil, fmt.Errorf("load access matrix: %w", err)
	}
	enforcer.AddFunction("holds", func(args ...any) (any, error) {
		held, okHeld := args[0].(string)
		asked, okAsked := args[1].(string)
		return okHeld && okAsked && strings.Contains(held, ","+asked+","), nil
	})
	duties, err := parseDuties(dutyTable)
	if err != nil {
		return nil, err
	}
	return &Access{enforcer: enforcer, duties: duties, rights: matrixRights(), denied: denials()}, nil
}

// matrixAdapter loads the embedded matrix and refuses to store anything: policy
// changes only with a release, or later by an approved change.
type matrixAdapter struct{}

var errReadOnly = errors.New("the access matrix is read-only")

func (matrixAdapter) LoadPolicy(m model.Model) error {
	for line := range strings.Lines(accessMatrix) {
		if err := persist.LoadPolicyLine(strings.TrimSpace(line), m); err != nil {
			return err
		}
	}
	return nil
}

func (matrixAdapter) SavePolicy(model.Model) error                              { return errReadOnly }
func (matrixAdapter) AddPolicy(string, string, []string) error                  { return errReadOnly }
func (matrixAdapter) RemovePolicy(string, string, []string) error               { return errReadOnly }
func (matrixAdapter) RemoveFilteredPolicy(string, string, int, ...string) error { return errReadOnly }

// ErrNotAllowed is the answer to an actor without the right. "Not yours" and "not
// there" are told apart only where the actor may list the thing anyway.
var ErrNotAllowed = fault.New(fault.KindForbidden, "not_allowed", "Your role does not allow this. Ask a tenant owner who can.")

// ErrNoPerson is the answer to whatever wants to decide and is no person in a session:
// a token, a service account, the product itself, the command line.
var ErrNoPerson = fault.New(fault.KindForbidden, "tokens_never_decide", "Tokens and service accounts propose; only a person in a session decides.")

// Check allows or refuses.
func (a *Access) Check(who Actor, object, action string) error {
	if action == "approve" && who.Kind != ActorPerson {
		return ErrNoPerson
	}
	if who.Kind == ActorSystem || who.Kind == ActorCommand {
		return nil
	}
	if !a.may(who.Tenant, who.Grants, object, action) {
		return ErrNotAllowed
	}
	return nil
}

func (a *Access) may(tenant id.Tenant, grants []Grant, object, action string) bool {
	var roles strings.Builder
	roles.WriteByte(',')
	for _, g := range grants {
		roles.WriteString(string(g.Role) + ",")
	}
	q := question{roles: roles.String(), object: object, action: action}
	if allowed, known := a.answers.recall(q); known {
		return allowed
	}
	allowed, err := a.enforcer.Enforce(q.roles, tenant.String(), object, action)
	if err != nil {
		return false
	}
	a.answers.keep(q, allowed)
	return allowed
}

// denies says whether a role takes the right to approve away, whatever another role of the
// same account gives: nobody who holds it may stand in for somebody who has that right.
func (a *Access) denies(grants []Grant, object string) bool {
	for _, g := range grants {
		if slices.Contains(a.denied[g.Role], right{object, "approve"}) {
			return true
		}
	}
	return false
}

// Scope is what part of the tenant an allowed action reaches: nil for everything,
// else the subtrees of the grants that allow it.
func (a *Access) Scope(who Actor, object, action string) []id.Node {
	if who.Kind == ActorSystem || who.Kind == ActorCommand {
		return nil
	}
	nodes := []id.Node{}
	for _, g := range who.Grants {
		if !a.may(who.Tenant, []Grant{g}, object, action) {
			continue
		}
		if g.Node.IsZero() && g.Role != RoleBudgetOwner {
			return nil
		}
		if !g.Node.IsZero() {
			nodes = append(nodes, g.Node)
		}
	}
	return nodes
}
