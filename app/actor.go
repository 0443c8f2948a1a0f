package app

import (
	"time"

	"tollbook/app/id"
)

// Role is what a member may be.
type Role string

// The roles (DESIGN section 2).
const (
	RoleFinanceAdmin     Role = "finance_admin"
	RoleAnalyst          Role = "analyst"
	RoleController       Role = "controller"
	RoleBudgetOwner      Role = "budget_owner"
	RoleEngineeringAdmin Role = "engineering_admin"
	RoleDeveloper        Role = "developer"
	RoleAuditor          Role = "auditor"
	RoleTenantOwner      Role = "tenant_owner"
	RoleServiceAccount   Role = "service_account"
)

// Roles lists every role, in the order pages show them.
func Roles() []Role {
	return []Role{
		RoleFinanceAdmin, RoleAnalyst, RoleController, RoleBudgetOwner, RoleEngineeringAdmin,
		RoleDeveloper, RoleAuditor, RoleTenantOwner, RoleServiceAccount,
	}
}

// ActorKind is how somebody came in.
type ActorKind string

// The kinds of actors. Only a person in a session may decide.
const (
	ActorPerson  ActorKind = "person"
	ActorToken   ActorKind = "token"
	ActorSystem  ActorKind = "system"
	ActorCommand ActorKind = "command" // the installation's own command line
)

// Grant is one role, over a subtree or everything.
type Grant struct {
	Role Role
	Node id.Node // zero: the whole tenant
}

// Actor is who acts, with what this session or token may do.
type Actor struct {
	Tenant     id.Tenant
	Kind       ActorKind
	Member     id.Member
	Person     id.Person
	Name       string // for the screen; never stored in a record
	Session    id.Session
	Token      id.Token
	Grants     []Grant
	SignedInAt time.Time
	Developer  id.Developer // whose requests are the actor's own

	issuer, subject string // the identity; never in a record
}

// ID is the opaque id that records carry.
func (a Actor) ID() string {
	switch a.Kind {
	case ActorToken:
		return a.Token.String()
	case ActorPerson:
		return a.Member.String()
	case ActorSystem, ActorCommand:
	}
	return string(a.Kind)
}

// System is the product acting by itself inside one tenant.
func System(tenant id.Tenant) Actor { return Actor{Tenant: tenant, Kind: ActorSystem} }

// Command is the installation's operator at the command line.
func Command(tenant id.Tenant) Actor { return Actor{Tenant: tenant, Kind: ActorCommand} }
