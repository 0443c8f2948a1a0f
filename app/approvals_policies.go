package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// deciding lists the roles that may approve anything.
func (a *Approvals) deciding() []string {
	var roles []string
	for _, role := range Roles() {
		for _, object := range []string{"finance", "access", "owned"} {
			if a.access.may(id.Tenant{}, []Grant{{Role: role}}, object, "approve") {
				roles = append(roles, string(role))
				break
			}
		}
	}
	return roles
}

// draftPolicies makes a proposal of a company's whole list of policies.
func (a *Approvals) draftPolicies(tx *db.Tx, _ Actor, payload []byte, from time.Time) (draft, error) {
	policies, err := approval.ParsePolicies(payload, a.Kinds(), a.deciding())
	if err != nil {
		return draft{}, err
	}
	if !from.IsZero() && from.Before(tx.Now) {
		return draft{}, fault.Invalid("effective_from", "policies_backdated", "Policies take effect when they are approved, or later.")
	}
	_, version, err := inForcePolicies(tx)
	if err != nil {
		return draft{}, err
	}
	if policies.BaseVersion != nil && *policies.BaseVersion != version {
		return draft{}, errPoliciesMoved
	}
	return draft{payload: policies, effective: from}, a.people(tx, policies)
}

// errPoliciesMoved keeps a list that was made on another from dropping what was decided since.
var errPoliciesMoved = fault.New(fault.KindConflict, "policies_moved", "Other policies were approved since these were written. Look at those and propose yours again.")

// people refuses policies that name a member who is not there, or a node.
func (a *Approvals) people(tx *db.Tx, p approval.Policies) error {
	room, err := a.room(tx)
	if err != nil {
		return err
	}
	for _, one := range p.List {
		if _, ok := room.tree.Node(one.Subtree); !ok && !one.Subtree.IsZero() {
			return fault.Invalid("subtree", "node_absent", "Policy %s is for a node that does not exist.", one.Code)
		}
		who := slices.Clone(one.EscalateTo)
		for _, s := range one.Steps {
			who = append(who, s.Who...)
		}
		for _, w := range who {
			if !w.Member.IsZero() && room.account(w.Member) == nil {
				return fault.Invalid("who", "member_absent", "Policy %s names a member who is not here, or suspended.", one.Code)
			}
		}
	}
	return nil
}

func (a *Approvals) applyPolicies(tx *db.Tx, c approval.Change) error {
	from := c.EffectiveFrom
	if from.Before(tx.Now) { // it waited for its decision
		from = tx.Now
	}
	policies, err := approval.ParsePolicies(c.Payload, a.Kinds(), a.deciding())
	if err != nil {
		return err
	}
	if err := a.people(tx, policies); err != nil {
		return err
	}
	_, version, err := inForcePolicies(tx)
	if err != nil {
		return err
	}
	if policies.BaseVersion != nil && *policies.BaseVersion != version {
		return errPoliciesMoved
	}
	_, err = tx.AddPolicies(c.Payload, from, c.ID)
	return err
}

func (a *Approvals) policiesImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var next approval.Policies
	if err := json.Unmarshal(c.Payload, &next); err != nil {
		return approval.Impact{}, fmt.Errorf("read policies: %w", err)
	}
	now, _, err := inForcePolicies(tx)
	if err != nil {
		return approval.Impact{}, err
	}
	added, changed, ended := now.Differ(next)
	return approval.Impact{Sentence: fmt.Sprintf("Approval policies: %d added, %d changed, %d ended; %d in force afterwards. Changes that wait are not touched.", added, changed, ended, len(next.List))}, nil
}

// PolicyBook is a company's policies: those in force, what else may be named in them, and
// every version.
type PolicyBook struct {
	Version  int // 0 before the first
	Policies approval.Policies
	Document []byte
	Versions []PolicyVersion
	Kinds    map[string]approval.Floor
	Roles    []string
	Members  []Hand // those whose roles may approve something: who may be named
}

// PolicyVersion is one version of a company's policies.
type PolicyVersion struct {
	Version       int
	EffectiveFrom time.Time
	RecordedAt    time.Time
	Change        id.Change
	Number        int64
	Reason        string
	Made          Hand
}

// maxPolicyVersions bounds the versions that are shown.
const maxPolicyVersions = 200

// Policies shows a version of a company's policies; zero is the one in force.
func (a *Approvals) Policies(ctx context.Context, who Actor, version int) (PolicyBook, error) {
	if err := a.access.Check(who, "policy", "read"); err != nil {
		return PolicyBook{}, err
	}
	book := PolicyBook{Kinds: a.Kinds(), Roles: a.deciding(), Document: []byte(`{"policies":[]}`)}
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.PolicyVersions(maxPolicyVersions)
		if err != nil {
			return err
		}
		var makers []string
		for i := range rows {
			makers = append(makers, rows[i].Maker)
		}
		hands, err := a.members.hands(tx, makers)
		if err != nil {
			return err
		}
		for i := range rows {
			r := &rows[i]
			book.Versions = append(book.Versions, PolicyVersion{
				Version: r.Version, EffectiveFrom: r.EffectiveFrom.UTC(), RecordedAt: r.RecordedAt.UTC(), Change: r.ChangeID, Number: r.Number, Reason: r.Reason, Made: hands[r.Maker],
			})
			if book.Version == 0 && (r.Version == version || (version == 0 && !r.EffectiveFrom.After(tx.Now))) {
				book.Version, book.Document = r.Version, r.Document
			}
		}
		if version != 0 && book.Version == 0 {
			return fault.New(fault.KindNotFound, "policy_version_absent", "There is no such version of the policies.")
		}
		if book.Members, err = a.approvers(tx); err != nil {
			return err
		}
		return json.Unmarshal(book.Document, &book.Policies)
	})
	return book, err
}

// approvers lists the accounts whose roles may approve something, by name.
func (a *Approvals) approvers(tx *db.Tx) ([]Hand, error) {
	room, err := a.room(tx)
	if err != nil {
		return nil, err
	}
	var members []string
	for i := range room.accounts {
		one := &room.accounts[i]
		if room.may(one.grants, "finance") || room.may(one.grants, "access") || room.may(one.grants, "owned") {
			members = append(members, one.member.String())
		}
	}
	hands, err := a.members.hands(tx, members)
	if err != nil {
		return nil, err
	}
	list := make([]Hand, 0, len(members))
	for _, m := range members {
		list = append(list, hands[m])
	}
	slices.SortFunc(list, func(x, y Hand) int { return strings.Compare(x.Name+x.Member.String(), y.Name+y.Member.String()) })
	return list, nil
}
