package hierarchy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// Kind is what a node stands for in the organization.
type Kind string

// The kinds of nodes.
const (
	KindBusinessUnit Kind = "business_unit"
	KindCostCenter   Kind = "cost_center"
	KindProject      Kind = "project"
)

// Kinds lists the kinds of nodes.
func Kinds() []Kind { return []Kind{KindBusinessUnit, KindCostCenter, KindProject} }

// Capitalization says whether spend is capitalized or expensed.
type Capitalization string

// The two treatments.
const (
	Capitalize Capitalization = "capitalize"
	Expense    Capitalization = "expense"
)

// SuspenseCode is the code of the node that takes what no rule could place.
const SuspenseCode = "SUSPENSE"

// Version is one node as it was for a span of time.
type Version struct {
	ID             id.Version
	Node           id.Node
	Code           string
	Name           string
	Kind           Kind
	Parent         id.Node // zero for a root
	Owner          id.Member
	Entity         string // code of the legal entity
	GLAccount      string
	Capitalization Capitalization
	Evidence       Evidence
	Dimensions     Dimensions
	Retired        bool // the node is not there for this span, whatever earlier records say
	EffectiveFrom  time.Time
	EffectiveTo    time.Time // zero while open
	RecordedAt     time.Time
	ClosedAt       time.Time // when EffectiveTo was recorded; zero while open
	Change         id.Change
}

// until is the version's end as it was known at an instant.
func (v Version) until(known time.Time) time.Time {
	if v.ClosedAt.IsZero() || after(v.ClosedAt, known) {
		return time.Time{}
	}
	return v.EffectiveTo
}

// after tells whether something was recorded only after an instant. Everything that
// is recorded is known at the zero instant: two processes' clocks differ, and what one
// has committed the other must not overlook because its own clock is behind.
func after(recorded, known time.Time) bool { return !known.IsZero() && recorded.After(known) }

func (v Version) covers(at, known time.Time) bool {
	if after(v.RecordedAt, known) || at.Before(v.EffectiveFrom) {
		return false
	}
	end := v.until(known)
	return end.IsZero() || at.Before(end)
}

const (
	maxNameBytes    = 200
	maxAccountBytes = 40 // of an entity or a GL account
)

var codeForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// reserved are codes whose page would be another's: below /nodes these are tools.
func reserved(code string) bool { return code == "change" || code == "import" }

// Validate checks one version by itself.
func (v Version) Validate() error {
	switch {
	case !codeForm.MatchString(v.Code):
		return fault.Invalid("code", "code_syntax", "A code is 1 to 40 letters, digits, dots, dashes or underscores; %.60q is not.", v.Code)
	case strings.TrimSpace(v.Name) == "" || len(v.Name) > maxNameBytes:
		return fault.Invalid("name", "name_length", "A name has 1 to %d bytes.", maxNameBytes)
	case !slices.Contains(Kinds(), v.Kind):
		return fault.Invalid("kind", "kind_unknown", "A kind is business_unit, cost_center or project, not %.40q.", string(v.Kind))
	case v.Capitalization != Capitalize && v.Capitalization != Expense:
		return fault.Invalid("capitalization", "capitalization_unknown", "Capitalization is capitalize or expense, not %.40q.", string(v.Capitalization))
	case len(v.Entity) > maxAccountBytes || len(v.GLAccount) > maxAccountBytes:
		return fault.Invalid("entity", "entity_length", "Entity and GL account have at most %d bytes.", maxAccountBytes)
	case v.EffectiveFrom.IsZero():
		return fault.Invalid("effective_from", "effective_missing", "A version needs the instant it takes effect.")
	}
	return nil
}

// maxDepth bounds a tree: deeper is a mistake, and every path is walked.
const maxDepth = 32

// Tree is every node as of one instant, as known at one instant; read-only.
type Tree struct {
	AsOf  time.Time
	nodes map[id.Node]Version
	codes map[string]id.Node
	order []id.Node // parents before children, siblings by code
}

// Build makes the tree as of an instant, from every version recorded by another (zero:
// from all there are). It refuses a tree that could not be charged: two nodes of one code, an absent parent, a cycle.
func Build(versions []Version, asOf, known time.Time) (*Tree, error) {
	t := &Tree{AsOf: asOf, nodes: map[id.Node]Version{}, codes: map[string]id.Node{}}
	for _, v := range versions {
		if !v.covers(asOf, known) {
			continue
		}
		if current, ok := t.nodes[v.Node]; !ok || v.corrects(current) {
			t.nodes[v.Node] = v
		}
	}
	maps.DeleteFunc(t.nodes, func(_ id.Node, v Version) bool { return v.Retired })
	if f := t.assemble(); f != nil {
		return nil, f.fault
	}
	return t, nil
}

// corrects tells which of two versions that cover one instant wins: the later recorded.
func (v Version) corrects(other Version) bool {
	if !v.RecordedAt.Equal(other.RecordedAt) {
		return v.RecordedAt.After(other.RecordedAt)
	}
	return v.ID.UUID() > other.ID.UUID()
}

// flaw is why nodes make no tree, and at which node.
type flaw struct {
	node  id.Node
	fault *fault.Fault
}

// assemble indexes the nodes and refuses what could not be charged.
func (t *Tree) assemble() *flaw {
	for node, v := range t.nodes {
		if other, taken := t.codes[v.Code]; taken && other != node {
			return &flaw{node, fault.Invalid("code", "code_taken", "Code %s is taken on %s.", v.Code, t.AsOf.Format(time.DateOnly))}
		}
		t.codes[v.Code] = node
	}
	for node, v := range t.nodes {
		if !t.rooted(node) {
			return &flaw{node, fault.Invalid("parent_code", "tree_cycle", "%s would be below itself, or more than %d levels deep.", v.Code, maxDepth)}
		}
		if _, ok := t.nodes[v.Parent]; !ok && !v.Parent.IsZero() {
			return &flaw{node, fault.Invalid("parent_code", "parent_absent", "The parent of %s does not exist on %s.", v.Code, t.AsOf.Format(time.DateOnly))}
		}
	}
	t.sort()
	return nil
}

// rooted tells whether the way up from a node ends, soon enough.
func (t *Tree) rooted(node id.Node) bool {
	for range maxDepth {
		if node.IsZero() {
			return true
		}
		node = t.nodes[node].Parent
	}
	return node.IsZero()
}

func (t *Tree) sort() {
	children := map[id.Node][]id.Node{}
	for node, v := range t.nodes {
		children[v.Parent] = append(children[v.Parent], node)
	}
	for _, list := range children {
		slices.SortFunc(list, func(a, b id.Node) int { return strings.Compare(t.nodes[a].Code, t.nodes[b].Code) })
	}
	var walk func(parent id.Node)
	walk = func(parent id.Node) {
		for _, node := range children[parent] {
			t.order = append(t.order, node)
			walk(node)
		}
	}
	walk(id.Node{})
}

// ancestors lists the nodes from the root down to the node itself.
func (t *Tree) ancestors(node id.Node) ([]id.Node, error) {
	var chain []id.Node
	for at := node; !at.IsZero(); at = t.nodes[at].Parent {
		if len(chain) == maxDepth {
			return nil, fault.Invalid("parent_code", "tree_cycle", "%s would be below itself, or more than %d levels deep.", t.nodes[node].Code, maxDepth)
		}
		chain = append(chain, at)
	}
	slices.Reverse(chain)
	return chain, nil
}

// Node finds a node.
func (t *Tree) Node(node id.Node) (Version, bool) { v, ok := t.nodes[node]; return v, ok }

// Code finds a node by finance's code.
func (t *Tree) Code(code string) (Version, bool) { return t.Node(t.codes[code]) }

// All lists the nodes, parents before children, siblings by code.
func (t *Tree) All() []Version {
	list := make([]Version, 0, len(t.order))
	for _, node := range t.order {
		list = append(list, t.nodes[node])
	}
	return list
}

// Path is the codes from the root down to the node, joined by " / ".
func (t *Tree) Path(node id.Node) string { return strings.Join(t.PathCodes(node), PathSeparator) }

// PathSeparator stands between the codes of a path.
const PathSeparator = " / "

// PathCodes is the codes from the root down to the node.
func (t *Tree) PathCodes(node id.Node) []string {
	chain, _ := t.ancestors(node) // Build refused cycles
	codes := make([]string, 0, len(chain))
	for _, n := range chain {
		codes = append(codes, t.nodes[n].Code)
	}
	return codes
}

// Above lists the node and its ancestors from the root down; nothing for a node that is
// not in the tree.
func (t *Tree) Above(node id.Node) []id.Node {
	if _, there := t.nodes[node]; !there {
		return nil
	}
	chain, _ := t.ancestors(node)
	return chain
}

// Depth is 0 for a root.
func (t *Tree) Depth(node id.Node) int {
	chain, _ := t.ancestors(node)
	return len(chain) - 1
}

// Within tells whether a node is the subtree's root or below it.
func (t *Tree) Within(node, root id.Node) bool {
	chain, _ := t.ancestors(node)
	return slices.Contains(chain, root)
}

// Placement is where a charge lands: a node, its ancestors, its entity and its
// capitalization, as they were. Equal tuples have equal ids.
type Placement struct {
	ID             id.Placement
	Node           id.Node
	Ancestors      []id.Node // from the root down, the node last
	Path           []string  // their codes
	Entity         string
	Capitalization Capitalization
}

// Place interns the placement of a node. Entity and the treatment come from the
// nearest node up the path that states an entity; capitalization is the node's.
func (t *Tree) Place(node id.Node) (Placement, error) {
	v, ok := t.nodes[node]
	if !ok {
		return Placement{}, fault.New(fault.KindNotFound, "node_absent", "That node does not exist at that time.")
	}
	chain, err := t.ancestors(node)
	if err != nil {
		return Placement{}, err
	}
	p := Placement{Node: node, Ancestors: chain, Path: t.PathCodes(node), Capitalization: v.Capitalization}
	parts := [][]byte{[]byte(v.Capitalization)}
	for _, n := range chain {
		if e := t.nodes[n].Entity; e != "" {
			p.Entity = e
		}
		raw := n.Bytes()
		parts = append(parts, raw[:], []byte(t.nodes[n].Code))
	}
	p.ID = id.DerivePlacement(append(parts, []byte(p.Entity))...)
	return p, nil
}

// Instants lists, in order, every instant at or after from at which the tree may
// change: where a placement has to be interned ahead of time.
func Instants(versions []Version, from time.Time) []time.Time {
	instants := []time.Time{from}
	for _, v := range versions {
		for _, at := range []time.Time{v.EffectiveFrom, v.EffectiveTo} {
			if at.After(from) {
				instants = append(instants, at)
			}
		}
	}
	slices.SortFunc(instants, time.Time.Compare)
	return slices.CompactFunc(instants, time.Time.Equal)
}
