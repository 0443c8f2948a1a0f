package app

import (
	"context"
	"time"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// SetUpStep is a step of a company's first set-up.
type SetUpStep string

// The steps, in their order. Those up to the priced request make the set-up; the others
// may come whenever they are wanted.
const (
	StepProfile    SetUpStep = "profile"
	StepUpstream   SetUpStep = "upstream"
	StepCostCenter SetUpStep = "cost_center"
	StepKey        SetUpStep = "key"
	StepConnect    SetUpStep = "connect"
	StepPriced     SetUpStep = "priced"
	StepColleague  SetUpStep = "colleague"
	StepPlan       SetUpStep = "plan"
)

// SetUpSteps lists the steps that make the set-up.
func SetUpSteps() []SetUpStep {
	return []SetUpStep{StepProfile, StepUpstream, StepCostCenter, StepKey, StepConnect, StepPriced}
}

// SetUpExtras lists the steps that may come later.
func SetUpExtras() []SetUpStep { return []SetUpStep{StepColleague, StepPlan} }

// SetUp is how far a company's first set-up has come. All of it is read from what the
// company has; no step is remembered as such.
type SetUp struct {
	Slug     string
	Profile  Profile
	Upstream *UpstreamView // nil: none
	// Center is the first cost center, Centers how many there are beside suspense.
	Center  NodeView
	Centers int
	// Key is the first virtual key that is accepted and that somebody holds; Keys how many.
	Key  KeyView
	Keys int
	// Latest is the newest request, First the first with a final price; zero: none yet.
	Latest, First id.Event
	People        int // members who are persons and not suspended, of the first ones
	Invitations   int // open ones, of the latest
	Planned       bool
}

// Done tells whether a step is.
func (s *SetUp) Done(step SetUpStep) bool {
	switch step {
	case StepProfile:
		return s.Profile.Name != "" // a company has one from its first instant: it is there to be looked at
	case StepUpstream:
		return s.Upstream != nil && (s.Finished() || (s.Upstream.Tested != nil && s.Upstream.Tested.Outcome == UpstreamWorks))
	case StepCostCenter:
		return s.Centers > 0
	case StepKey:
		return s.Keys > 0 || s.Finished() // it may be revoked by now
	case StepConnect:
		return !s.Latest.IsZero()
	case StepPriced:
		return s.Finished()
	case StepColleague:
		return s.People > 1 || s.Invitations > 0
	case StepPlan:
		return s.Planned
	}
	return false
}

// Finished tells whether the set-up came to its end: a request with its final price.
func (s *SetUp) Finished() bool { return !s.First.IsZero() }

// Progress counts the steps that are done.
func (s *SetUp) Progress() (done, of int) {
	for _, step := range SetUpSteps() {
		if s.Done(step) {
			done++
		}
	}
	return done, len(SetUpSteps())
}

// Next is the first step that is not done; empty: none.
func (s *SetUp) Next() SetUpStep {
	for _, step := range SetUpSteps() {
		if !s.Done(step) {
			return step
		}
	}
	return ""
}

// Right is what a role must allow to take a step; both empty: everybody may.
func (step SetUpStep) Right() (object, action string) {
	switch step {
	case StepProfile:
		return "setting", "propose"
	case StepUpstream:
		return "upstream", "propose"
	case StepCostCenter:
		return "node", "propose"
	case StepKey:
		return "key", "propose"
	case StepColleague:
		return "member", "propose"
	case StepPlan:
		return "plan", "propose"
	case StepConnect, StepPriced:
	}
	return "", ""
}

// Takers lists the roles that may take a step over the whole company; nil: all of them.
func (a *Access) Takers(step SetUpStep) []Role {
	object, action := step.Right()
	if object == "" {
		return nil
	}
	var list []Role
	for _, role := range Roles() {
		if role == RoleServiceAccount || role == RoleBudgetOwner { // a program, and a part of the company
			continue
		}
		if a.may(id.Tenant{}, []Grant{{Role: role}}, object, action) {
			list = append(list, role)
		}
	}
	return list
}

const (
	setUpKeys    = 200 // virtual keys looked at in search of one that is accepted
	setUpMembers = 50  // accounts looked at in search of a second person
)

// SetUp is how far the set-up of the actor's company has come.
func (s *Settings) SetUp(ctx context.Context, who Actor) (SetUp, error) {
	if err := s.changes.access.Check(who, "setting", "read"); err != nil {
		return SetUp{}, err
	}
	var out SetUp
	err := s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		out = SetUp{}
		row, err := tx.TenantRow()
		if err != nil {
			return err
		}
		out.Slug, out.Profile = row.Slug, profileOf(&row)
		if out.First, _, err = tx.FirstPriced(); err != nil {
			return err
		}
		newest, err := tx.Usage(db.UsageFilter{Limit: 1})
		if err != nil {
			return err
		}
		if len(newest) > 0 {
			out.Latest = newest[0].EventID
		}
		if err := s.setUpUpstream(tx, &out); err != nil {
			return err
		}
		if err := setUpCharging(tx, &out); err != nil {
			return err
		}
		return setUpPeople(tx, &out)
	})
	return out, err
}

// Finished tells whether the set-up of the actor's company came to its end, at the price
// of one question.
func (s *Settings) Finished(ctx context.Context, who Actor) (bool, error) {
	var found bool
	err := s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		_, found, err = tx.FirstPriced()
		return err
	})
	return found, err
}

func (s *Settings) setUpUpstream(tx *db.Tx, out *SetUp) error {
	upstreams, err := tx.Upstreams(maxSettingSteps)
	if err != nil {
		return err
	}
	tests, err := tx.UpstreamTests(1)
	if err != nil {
		return err
	}
	hands, err := s.members.hands(tx, settingMakers(nil, upstreams, tests, nil))
	if err != nil {
		return err
	}
	out.Upstream = upstreamView(tx.Now, upstreams, tests, hands)
	return nil
}

func setUpCharging(tx *db.Tx, out *SetUp) error {
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return err
	}
	for _, v := range tree.All() {
		if v.Kind != hierarchy.KindCostCenter || v.Code == hierarchy.SuspenseCode {
			continue
		}
		if out.Centers++; out.Centers == 1 {
			out.Center = NodeView{Version: v, Path: tree.Path(v.Node)}
		}
	}
	rows, err := tx.Keys(id.Key{}, setUpKeys)
	if err != nil {
		return err
	}
	for _, r := range rows { // newest first: the first one made stays last
		if k := keyView(r, tree); k.State(tx.Now) == KeyActive && !k.SignIn {
			out.Key = k
			out.Keys++
		}
	}
	return nil
}

func setUpPeople(tx *db.Tx, out *SetUp) error {
	members, err := tx.MembersAt(tx.Now, setUpMembers)
	if err != nil {
		return err
	}
	for i := range members {
		if members[i].Kind == memberPerson && members[i].SuspendedAt == nil {
			out.People++
		}
	}
	open, err := tx.OpenInvitations(setUpMembers)
	if err != nil {
		return err
	}
	plans, err := tx.Plans(1)
	if err != nil {
		return err
	}
	out.Invitations, out.Planned = len(open), len(plans) > 0
	return nil
}
