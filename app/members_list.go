package app

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// Hand is whose hand made a change, for the screen.
type Hand struct {
	Name   string
	Member id.Member // zero: no member did
}

// hands finds the names behind the makers of changes.
func (m *Members) hands(tx *db.Tx, makers []string) (map[string]Hand, error) {
	found := map[string]Hand{string(ActorSystem): {Name: "Tollbook"}, string(ActorCommand): {Name: "The command line"}}
	var members, tokens []string
	for _, maker := range makers {
		if _, known := found[maker]; known {
			continue
		}
		found[maker] = Hand{Name: maker}
		if member, err := id.ParseMember(maker); err == nil && strings.HasPrefix(maker, "mem_") {
			members = append(members, member.UUID())
		}
		if token, err := id.ParseToken(maker); err == nil && strings.HasPrefix(maker, "tok_") {
			tokens = append(tokens, token.UUID())
		}
	}
	rows, err := tx.NamesBehind(members, tokens)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		hand := Hand{Name: m.name(r.PersonID, r.NameSealed), Member: r.MemberID}
		if r.Label != "" {
			hand.Name += ", by the token " + r.Label
		}
		found[r.ID] = hand
	}
	return found, nil
}

// name opens a person's name; one that does not open stays opaque.
func (m *Members) name(person id.Person, sealed []byte) string {
	name, err := personName(m.ring, person, sealed)
	if err != nil || name == "" {
		return person.String()
	}
	return name
}

func (m *Members) email(person id.Person, sealed []byte) string {
	plain, err := m.ring.Open(purposeEmail, person.String(), sealed)
	if err != nil {
		return ""
	}
	return string(plain)
}

// GrantView is one role of a member and where it comes from.
type GrantView struct {
	Version  id.Version
	Role     Role
	NodeCode string // the subtree; empty: the whole company
	NodeName string
	Group    string // of the issuer it is mapped from; empty: given directly
	Since    time.Time
	By       Hand
	Change   id.Change
	Number   int64 // of the change
	Reason   string
}

// MemberView is one account of a person as lists show it.
type MemberView struct {
	ID              id.Member
	Person          id.Person
	Service         bool
	Issuer, Subject string
	Name, Email     string
	Grants          []GrantView
	RecordedAt      time.Time
	LastSignInAt    time.Time // zero: never
	SuspendedAt     time.Time // zero: may sign in
	Conflicts       []Duty    // of all accounts of the person together
}

// The states of a member.
const (
	MemberActive    = db.MemberActive
	MemberSuspended = db.MemberSuspended
)

// State is what the member is.
func (v *MemberView) State() string {
	if v.SuspendedAt.IsZero() {
		return MemberActive
	}
	return MemberSuspended
}

// MemberFilter says which members to show.
type MemberFilter struct {
	Text   string // in the name or address
	Role   Role
	State  string
	AsOf   time.Time // zero: now
	Offset int       // of the first one, in the order of names
	Limit  int       // 0: all that are kept
}

// MemberPage is a page of members by name.
type MemberPage struct {
	Rows  []MemberView
	Total int // that match
	Next  int // offset of the next page; zero on the last
	AsOf  time.Time
}

const (
	maxMembers = 10_000
	maxGrants  = 50_000
)

// List shows who is a member, with roles, last sign-in and state, by name.
func (m *Members) List(ctx context.Context, who Actor, f MemberFilter) (MemberPage, error) {
	if err := m.access.Check(who, "member", "read"); err != nil {
		return MemberPage{}, err
	}
	switch {
	case f.Role != "" && !slices.Contains(Roles(), f.Role):
		return MemberPage{}, fault.Invalid("role", "role_unknown", "There is no role %.40q.", string(f.Role))
	case f.State != "" && f.State != MemberActive && f.State != MemberSuspended:
		return MemberPage{}, fault.Invalid("state", "state_unknown", "A member is active or suspended; not %.40q.", f.State)
	}
	var page MemberPage
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		page = MemberPage{AsOf: f.AsOf}
		if page.AsOf.IsZero() {
			page.AsOf = tx.Now
		}
		all, err := m.membersAt(tx, page.AsOf)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(v MemberView) bool { return !f.shows(&v) })
		slices.SortStableFunc(all, func(a, b MemberView) int {
			return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID.String(), b.ID.String()))
		})
		page.Total = len(all)
		page.Rows = all[min(max(f.Offset, 0), len(all)):]
		if f.Limit > 0 && len(page.Rows) > f.Limit {
			page.Rows, page.Next = page.Rows[:f.Limit], max(f.Offset, 0)+f.Limit
		}
		return nil
	})
	return page, err
}

func (f *MemberFilter) shows(v *MemberView) bool {
	text := strings.ToLower(strings.TrimSpace(f.Text))
	return (text == "" || strings.Contains(strings.ToLower(v.Name+"\n"+v.Email), text)) && (f.State == "" || f.State == v.State()) &&
		(f.Role == "" || slices.ContainsFunc(v.Grants, func(g GrantView) bool { return g.Role == f.Role }))
}

// membersAt is every account as it was at an instant, with roles and their conflicts.
func (m *Members) membersAt(tx *db.Tx, at time.Time) ([]MemberView, error) {
	rows, err := tx.MembersAt(at, maxMembers)
	if err != nil {
		return nil, err
	}
	held, err := tx.GrantsAt(at, maxGrants)
	if err != nil {
		return nil, err
	}
	grants, err := m.grantViews(tx, at, held)
	if err != nil {
		return nil, err
	}
	list := make([]MemberView, 0, len(rows))
	roles := map[id.Person][]Role{}
	for i := range rows {
		v := m.memberView(&rows[i])
		v.Grants = grants[v.ID]
		list = append(list, v)
		for _, g := range v.Grants {
			if !slices.Contains(roles[v.Person], g.Role) {
				roles[v.Person] = append(roles[v.Person], g.Role)
			}
		}
	}
	for i := range list {
		if held := roles[list[i].Person]; len(held) > 1 {
			list[i].Conflicts = m.access.Conflicts(held)
		}
	}
	return list, nil
}

func (m *Members) memberView(r *db.MemberListRow) MemberView {
	return MemberView{
		ID: r.MemberID, Person: r.PersonID, Service: r.Kind == memberService, Issuer: r.Issuer, Subject: r.Subject, Name: m.name(r.PersonID, r.NameSealed),
		Email: m.email(r.PersonID, r.EmailSealed), RecordedAt: r.RecordedAt.UTC(), LastSignInAt: orZero(r.LastSignInAt), SuspendedAt: orZero(r.SuspendedAt),
	}
}

func (m *Members) grantViews(tx *db.Tx, at time.Time, rows []db.GrantRow) (map[id.Member][]GrantView, error) {
	tree, err := treeAt(tx, at)
	if err != nil {
		return nil, err
	}
	makers := make([]string, 0, len(rows))
	for i := range rows {
		makers = append(makers, rows[i].Maker)
	}
	hands, err := m.hands(tx, makers)
	if err != nil {
		return nil, err
	}
	out := map[id.Member][]GrantView{}
	for i := range rows {
		r := &rows[i]
		node := nodeWords(tree, r.NodeID)
		out[r.MemberID] = append(out[r.MemberID], GrantView{
			Version: r.VersionID, Role: Role(r.Role), NodeCode: node.Code, NodeName: node.Name, Group: r.GroupName, Since: r.EffectiveFrom.UTC(),
			By: hands[r.Maker], Change: r.ChangeID, Number: r.Number, Reason: r.Reason,
		})
	}
	return out, nil
}

// nodeWords is a node as it is called; one that is not in the tree keeps its id.
func nodeWords(tree *hierarchy.Tree, node id.Node) hierarchy.Version {
	if node.IsZero() {
		return hierarchy.Version{}
	}
	v, ok := tree.Node(node)
	if !ok {
		return hierarchy.Version{Code: node.String(), Name: "retired"}
	}
	return v
}

// Step is one step in what a member could do.
type Step struct {
	At       time.Time
	What     string // role_given, role_taken, suspended, active, linked, token_made, token_ended
	Role     Role
	NodeCode string
	Label    string // of a token, or the group of a mapping
	By       Hand
	Change   id.Change
	Number   int64
	Reason   string
}

// MemberStory is everything about one member.
type MemberStory struct {
	Member   MemberView
	Accounts []MemberView // the person's other accounts
	Steps    []Step       // newest first
	Tokens   []TokenView
	Known    []Known   // what a suspension of the person leaves as it is
	Live     int       // tokens of all accounts that a suspension would end
	ErasedBy id.Change // zero: nobody erased the person
}

const maxMemberSteps = 200

// others reads a person's accounts but one.
func (m *Members) others(tx *db.Tx, accounts []db.MemberRow, but id.Member) ([]MemberView, error) {
	var list []MemberView
	for _, a := range accounts {
		if a.MemberID == but {
			continue
		}
		row, err := tx.MemberNow(a.MemberID)
		if err != nil {
			return nil, err
		}
		view, err := m.withGrants(tx, &row)
		if err != nil {
			return nil, err
		}
		list = append(list, view)
	}
	return list, nil
}

// Story shows one member with history.
func (m *Members) Story(ctx context.Context, who Actor, member id.Member) (MemberStory, error) {
	if err := m.access.Check(who, "member", "read"); err != nil {
		return MemberStory{}, err
	}
	var story MemberStory
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		story = MemberStory{}
		row, err := tx.MemberNow(member)
		if err != nil {
			return err
		}
		if story.Member, err = m.withGrants(tx, &row); err != nil {
			return err
		}
		accounts, err := tx.Accounts(row.PersonID)
		if err != nil {
			return err
		}
		if story.Accounts, err = m.others(tx, accounts, member); err != nil {
			return err
		}
		held, err := tx.PersonRoles(row.PersonID)
		if err != nil {
			return err
		}
		story.Member.Conflicts = m.access.Conflicts(rolesOf(held))
		if story.Steps, err = m.steps(tx, member); err != nil {
			return err
		}
		if story.Known, err = known(tx, row.PersonID); err != nil {
			return err
		}
		if story.ErasedBy, err = tx.ErasedBy(row.PersonID); err != nil {
			return err
		}
		for _, a := range accounts {
			tokens, err := tx.Tokens(a.MemberID, maxTokens)
			if err != nil {
				return err
			}
			views, err := m.tokenViews(tx, tokens)
			if err != nil {
				return err
			}
			story.Live += len(slices.DeleteFunc(slices.Clone(views), func(t TokenView) bool { return t.State(tx.Now) != KeyActive }))
			if a.MemberID == member {
				story.Tokens = views
			}
		}
		return nil
	})
	return story, err
}

func (m *Members) withGrants(tx *db.Tx, row *db.MemberListRow) (MemberView, error) {
	view := m.memberView(row)
	held, err := tx.GrantsOf(row.MemberID)
	if err != nil {
		return view, err
	}
	grants, err := m.grantViews(tx, tx.Now, held)
	view.Grants = grants[row.MemberID]
	return view, err
}

func (m *Members) steps(tx *db.Tx, member id.Member) ([]Step, error) {
	rows, err := tx.Steps(member, maxMemberSteps)
	if err != nil {
		return nil, err
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return nil, err
	}
	makers := make([]string, 0, len(rows))
	for i := range rows {
		makers = append(makers, rows[i].Maker)
	}
	hands, err := m.hands(tx, makers)
	if err != nil {
		return nil, err
	}
	list := make([]Step, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		list = append(list, Step{
			At: r.At.UTC(), What: r.What, Role: Role(r.Role), NodeCode: nodeWords(tree, r.NodeID).Code, Label: r.Label, By: hands[r.Maker], Change: r.ChangeID,
			Number: r.Number, Reason: r.Reason,
		})
	}
	return list, nil
}
