package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/plan"
	"tollbook/app/secret"
	"tollbook/db"
)

// Plans is the area of what was approved to be spent.
type Plans struct {
	db      *db.DB
	access  *Access
	changes *Changes
	ring    *secret.Keyring
}

// NewPlans makes the area.
func NewPlans(d *db.DB, access *Access, changes *Changes, ring *secret.Keyring) *Plans {
	p := &Plans{db: d, access: access, changes: changes, ring: ring}
	p.govern()
	return p
}

// maxPlanVersions bounds what is read of a tenant's plans: a reforecast a month for
// twenty years.
const maxPlanVersions = 240

// PlanQuery asks for a year's plan: a version of it, or the one that was in force at an
// instant (zero: now) as known at another (zero: now). Without a year it is this month's.
type PlanQuery struct {
	Year    plan.Year
	Version int
	AsOf    time.Time
	Known   time.Time
}

// PlanVersion is one version with the change that made it.
type PlanVersion struct {
	plan.Version
	ChangeNumber int64
	Maker        string
	Reason       string
	Digest       string
	Total        plan.Amount // of what the reader may see
}

// PlanNode is one node of the tree with its own amounts and, rolled up, its own and its
// descendants'.
type PlanNode struct {
	NodeView
	Own    plan.Row
	Rolled plan.Row
}

// PlanLevel sums the own amounts of one kind of node: the levels sum to the total.
type PlanLevel struct {
	Kind hierarchy.Kind
	Row  plan.Row
}

// PlanView is a year's plan as a page shows it.
type PlanView struct {
	Year     plan.Year
	Shown    *PlanVersion // nil: no plan is in force
	InForce  int          // the version in force, zero for none
	Nodes    []PlanNode
	Gone     plan.Row // of nodes that are in the tree no more
	Levels   []PlanLevel
	Total    plan.Row
	Versions []PlanVersion // of this year, newest first
	Years    []plan.Year   // that have a plan, newest first
	Locked   [plan.Months]bool
}

// ErrPlanVersion reports a version the year does not have.
var ErrPlanVersion = fault.New(fault.KindNotFound, "plan_version_absent", "That year has no such version of its plan.")

// View shows a year's plan.
func (p *Plans) View(ctx context.Context, who Actor, q PlanQuery) (PlanView, error) {
	if err := p.access.Check(who, "plan", "read"); err != nil {
		return PlanView{}, err
	}
	scope := p.access.Scope(who, "plan", "read")
	view := PlanView{Year: q.Year}
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if q.AsOf.IsZero() {
			q.AsOf = tx.Now
		}
		rows, err := tx.Plans(maxPlanVersions)
		if err != nil {
			return err
		}
		if q.Year.IsZero() {
			q.Year = yearOf(rows, period.MonthOf(tx.Now))
			view.Year = q.Year
		}
		tree, err := treeKnown(tx, q.AsOf, q.Known)
		if err != nil {
			return err
		}
		if err := view.history(tx, rows, tree, scope); err != nil {
			return err
		}
		if err := view.choose(q); err != nil {
			return err
		}
		grid := plan.Grid{}
		if view.Shown != nil {
			if grid, err = tx.PlanGrid(view.Shown.Version); err != nil {
				return err
			}
		}
		view.fill(tree, scope, grid)
		view.Locked, err = lockedMonths(tx, q.Year)
		return err
	})
	return view, err
}

// yearOf is the year that is planned for a month, or the calendar year it is in.
func yearOf(rows []db.PlanRow, month period.Month) plan.Year {
	for i := range rows {
		year := rows[i].Plan().Year
		if _, holds := year.Place(month); holds {
			return year
		}
	}
	return plan.CalendarYear(month)
}

// history lists the year's versions and the years there are.
func (v *PlanView) history(tx *db.Tx, rows []db.PlanRow, tree *hierarchy.Tree, scope []id.Node) error {
	seen := map[plan.Year]bool{}
	for i := range rows {
		version := rows[i].Plan()
		if !seen[version.Year] {
			seen[version.Year] = true
			v.Years = append(v.Years, version.Year)
		}
		if version.Year != v.Year {
			continue
		}
		grid, err := tx.PlanGrid(version)
		if err != nil {
			return err
		}
		v.Versions = append(v.Versions, PlanVersion{
			Version: version, ChangeNumber: rows[i].Number, Maker: rows[i].Maker, Reason: rows[i].Reason, Digest: hex.EncodeToString(rows[i].Digest),
			Total: within(grid, tree, scope).Total().Total(),
		})
	}
	return nil
}

// within keeps what lies in the subtrees of a scope; nil is everything.
func within(grid plan.Grid, tree *hierarchy.Tree, scope []id.Node) plan.Grid {
	if scope == nil {
		return grid
	}
	seen := plan.Grid{}
	for node, row := range grid {
		if visible(tree, node, scope) {
			seen[node] = row
		}
	}
	return seen
}

// choose finds the version in force and the one to show.
func (v *PlanView) choose(q PlanQuery) error {
	versions := make([]plan.Version, 0, len(v.Versions))
	for _, one := range v.Versions {
		versions = append(versions, one.Version)
	}
	inForce, _ := plan.InForce(versions, q.Year.First(), q.AsOf, q.Known)
	v.InForce = inForce.Number
	want := inForce.Number
	if q.Version != 0 {
		want = q.Version
	}
	for i := range v.Versions {
		if v.Versions[i].Number == want {
			v.Shown = &v.Versions[i]
		}
	}
	if q.Version != 0 && v.Shown == nil {
		return ErrPlanVersion
	}
	return nil
}

// fill lays the plan on the tree.
func (v *PlanView) fill(tree *hierarchy.Tree, scope []id.Node, grid plan.Grid) {
	grid = within(grid, tree, scope)
	rolled := grid.Rolled(tree.Above)
	levels := map[hierarchy.Kind]plan.Row{}
	for _, n := range tree.All() {
		if !plannable(tree, n, scope) {
			continue
		}
		parent, _ := tree.Node(n.Parent)
		one := NodeView{Version: n, ParentCode: parent.Code, Path: tree.Path(n.Node), Depth: tree.Depth(n.Node)}
		v.Nodes = append(v.Nodes, PlanNode{NodeView: one, Own: grid[n.Node], Rolled: rolled[n.Node]})
		levels[n.Kind] = levels[n.Kind].Plus(grid[n.Node])
	}
	for node, row := range grid {
		if _, there := tree.Node(node); !there {
			v.Gone = v.Gone.Plus(row)
		}
	}
	for _, kind := range []hierarchy.Kind{hierarchy.KindBusinessUnit, hierarchy.KindCostCenter, hierarchy.KindProject} {
		if row, planned := levels[kind]; planned {
			v.Levels = append(v.Levels, PlanLevel{Kind: kind, Row: row})
		}
	}
	v.Total = grid.Total()
}

// plannable tells whether somebody may plan a node: all but suspense, which nobody wants.
func plannable(tree *hierarchy.Tree, n hierarchy.Version, scope []id.Node) bool {
	return n.Code != hierarchy.SuspenseCode && (scope == nil || visible(tree, n.Node, scope))
}

func lockedMonths(tx *db.Tx, year plan.Year) ([plan.Months]bool, error) {
	var locked [plan.Months]bool
	for i, m := range year.Each() {
		state, err := tx.PeriodState(m)
		if err != nil {
			return locked, err
		}
		locked[i] = state.Shut()
	}
	return locked, nil
}

// PlanEffect is what a line does, with the node's name.
type PlanEffect struct {
	plan.Effect
	Name string
}

// PlanDraft is what a file would do, before anything is written.
type PlanDraft struct {
	Year     plan.Year
	Base     int    // the version it would follow, zero for none
	Next     string // the name it would have
	Problems []plan.Problem
	Effects  []PlanEffect
	Before   plan.Row // all nodes, whether in the file or not
	After    plan.Row

	grid plan.Grid
}

// Moves counts the lines that change something.
func (d *PlanDraft) Moves() int {
	n := 0
	for i := range d.Effects {
		if d.Effects[i].Before != d.Effects[i].After {
			n++
		}
	}
	return n
}

// DryRun tells what a file would do to a year's latest version, line by line, and every
// error in it; nothing is written.
func (p *Plans) DryRun(ctx context.Context, who Actor, year plan.Year, file []byte) (PlanDraft, error) {
	if err := p.changes.allowed(who, changePlan); err != nil {
		return PlanDraft{}, err
	}
	var draft PlanDraft
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		draft, err = p.draft(tx, who, year, file)
		return err
	})
	return draft, err
}

func (p *Plans) draft(tx *db.Tx, who Actor, year plan.Year, file []byte) (PlanDraft, error) {
	draft := PlanDraft{Year: year}
	rows, err := tx.Plans(maxPlanVersions)
	if err != nil {
		return draft, err
	}
	base, found := plan.Latest(planVersions(rows), year)
	next, grid := plan.Version{}, plan.Grid{}
	if found {
		next.Ordinal = base.Ordinal + 1
		if grid, err = tx.PlanGrid(base); err != nil {
			return draft, err
		}
	}
	draft.Base, draft.Next = base.Number, next.Name()
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return draft, err
	}
	scope := p.access.Scope(who, "plan", "propose")
	nodes, names := map[string]id.Node{}, map[id.Node]string{}
	for _, n := range tree.All() {
		if plannable(tree, n, scope) {
			nodes[n.Code], names[n.Node] = n.Node, n.Name
		}
	}
	lines, problems := plan.Read(year, file, nodes)
	if len(problems) == 0 {
		locked, err := lockedMonths(tx, year)
		if err != nil {
			return draft, err
		}
		problems = plan.Locked(year, grid, lines, locked)
	}
	if draft.Problems = problems; len(problems) > 0 {
		return draft, nil
	}
	var effects []plan.Effect
	draft.grid, effects = plan.Apply(grid, lines)
	for _, e := range effects {
		draft.Effects = append(draft.Effects, PlanEffect{Effect: e, Name: names[e.Node]})
	}
	draft.Before, draft.After = within(grid, tree, scope).Total(), within(draft.grid, tree, scope).Total()
	return draft, nil
}

func planVersions(rows []db.PlanRow) []plan.Version {
	list := make([]plan.Version, 0, len(rows))
	for i := range rows {
		list = append(list, rows[i].Plan())
	}
	return list
}

// PlanAsk is a plan to be approved.
type PlanAsk struct {
	Year          plan.Year
	File          []byte
	Base          int       // the version its dry run was made on
	EffectiveFrom time.Time // zero: at once
	Reason        string
}

var (
	errPlanMoved = fault.New(fault.KindConflict, "plan_moved", "Another version of this plan was approved since. Look at the effect on that one.")
	errPlanSame  = fault.Invalid("file", "plan_same", "No amount would change: the latest version says the same.")
	errPlansMany = fault.New(fault.KindConflict, "plans_many", "There are too many versions of plans.")
)

// payload is what a change of a plan says: a digest stands for the amounts.
type planPayload struct {
	Year        string `json:"year"`
	Version     int    `json:"version"`
	Ordinal     int    `json:"ordinal"`
	BaseVersion int    `json:"base_version"`
	Document    string `json:"document_sha256"`
	Nodes       int    `json:"nodes"`
	TotalUSD    string `json:"total_usd"`
}

// Propose makes a version of a plan: the year's original or its next reforecast. Until
// there are policies it is approved at once, and the record names its maker. The same
// idempotency key makes one version.
func (p *Plans) Propose(ctx context.Context, who Actor, ask PlanAsk, once string) (plan.Version, error) {
	if err := p.changes.allowed(who, changePlan); err != nil {
		return plan.Version{}, err
	}
	if err := planDate(ask.Year, ask.EffectiveFrom); err != nil {
		return plan.Version{}, err
	}
	var made plan.Version
	err := p.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		digest := sha256.Sum256(ask.File)
		request := map[string]any{"year": ask.Year.String(), "file": hex.EncodeToString(digest[:]), "base": ask.Base, "from": ask.EffectiveFrom, "reason": ask.Reason}
		number, err := doOnce(tx, p.ring, who, once, "plan.propose", request, func() (int, error) {
			version, err := p.propose(tx, who, ask)
			return version.Number, err
		})
		if err != nil {
			return err
		}
		rows, err := tx.Plans(maxPlanVersions)
		for _, v := range planVersions(rows) {
			if v.Number == number {
				made = v
			}
		}
		return err
	})
	return made, err
}

func (p *Plans) propose(tx *db.Tx, who Actor, ask PlanAsk) (plan.Version, error) {
	if err := tx.LockPlans(); err != nil {
		return plan.Version{}, err
	}
	draft, err := p.checked(tx, who, ask.Year, ask.File, ask.Base)
	if err != nil {
		return plan.Version{}, err
	}
	version, err := p.next(tx, ask.Year)
	if err != nil {
		return plan.Version{}, err
	}
	digest := sha256.Sum256(draft.grid.Document(ask.Year))
	total := draft.grid.Total().Total()
	proposed := proposal{kind: changePlan, effective: ask.EffectiveFrom, reason: ask.Reason, payload: planPayload{
		Year: ask.Year.String(), Version: version.Number, Ordinal: version.Ordinal, BaseVersion: draft.Base,
		Document: hex.EncodeToString(digest[:]), Nodes: len(draft.grid), TotalUSD: total.Cents.String(),
	}}
	_, err = p.changes.change(tx, who, proposed, func(c approval.Change) error {
		version.EffectiveFrom, version.Change = c.EffectiveFrom, c.ID
		return tx.AddPlan(version, draft.grid)
	})
	return version, err
}
