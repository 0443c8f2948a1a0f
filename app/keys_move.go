package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// govern tells the funnel of the changes of what a virtual key charges: from its making
// on, where a company's policy says so, and when it charges something else.
func (k *Keys) govern() {
	k.changes.govern(changeKey, governed{checks: "finance", lock: (*db.Tx).LockNodes, draft: askedInPlace, apply: k.applyKey, impact: k.keyImpact})
	k.changes.govern(changeKeySecret, governed{checks: "finance", lock: (*db.Tx).LockNodes, draft: askedInPlace, apply: k.applySecret, impact: k.secretImpact})
	k.changes.govern(changeKeyMove, governed{
		checks: "finance", floor: approval.FloorSecond, dated: true, revisable: true, lock: (*db.Tx).LockNodes, draft: k.draftMove, apply: k.applyMove, impact: k.moveImpact,
	})
}

// moveAsk is what a maker sends: what a key charges from then on.
type moveAsk struct {
	Key        id.Key   `json:"key"`
	CostCenter string   `json:"cost_center"`
	Projects   []string `json:"projects,omitempty"` // codes of projects outside the cost center
}

// movePayload is what a change of a key's cost center says: codes for people, ids for what
// they meant when it was proposed.
type movePayload struct {
	Key        id.Key    `json:"key"`
	Label      string    `json:"label"`
	From       id.Node   `json:"from"`
	Node       id.Node   `json:"node"`
	CostCenter string    `json:"cost_center"`
	Projects   []string  `json:"projects"`
	ProjectIDs []id.Node `json:"project_ids"`
}

// AskKeyMove is the proposal that a virtual key charges another cost center.
func AskKeyMove(key id.Key, costCenter string, projects []string, from time.Time, reason string) Ask {
	asked := ask(changeKeyMove, reason, moveAsk{Key: key, CostCenter: costCenter, Projects: projects})
	asked.EffectiveFrom = from
	return asked
}

// draftMove makes a proposal of a key's move. What was charged stays where it is: moving
// that is another change.
func (k *Keys) draftMove(tx *db.Tx, who Actor, payload []byte, from time.Time) (draft, error) {
	var asked moveAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if !from.IsZero() && from.Before(tx.Now) {
		return draft{}, fault.Invalid("effective_from", "move_backdated", "A key charges another cost center from now on, or later. What it charged before is moved by re-tagging those requests.")
	}
	row, _, err := k.locked(tx, who, asked.Key)
	if err != nil {
		return draft{}, err
	}
	if row.RevokedAt != nil {
		return draft{}, errKeyRevoked
	}
	tree, err := treeAt(tx, later(from, tx.Now))
	if err != nil {
		return draft{}, err
	}
	if len(asked.Projects) > maxKeyProjects {
		return draft{}, fault.Invalid("projects", "projects_many", "A key names at most %d projects.", maxKeyProjects)
	}
	node, projects, err := k.reach(tree, who, NewKey{CostCenter: asked.CostCenter, Projects: asked.Projects})
	if err != nil {
		return draft{}, err
	}
	if err := lasting(tx, node); err != nil {
		return draft{}, err
	}
	if node.Node == row.NodeID && strings.Join(nodeTexts(projects), ",") == row.Projects {
		return draft{}, fault.Invalid("cost_center", "move_same", "That is what the key charges already.")
	}
	return draft{effective: from, payload: movePayload{
		Key: row.ID, Label: row.Label, From: row.NodeID, Node: node.Node, CostCenter: node.Code, Projects: append([]string{}, asked.Projects...), ProjectIDs: append([]id.Node{}, projects...),
	}}, nil
}

func nodeTexts(nodes []id.Node) []string {
	list := make([]string, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, n.UUID())
	}
	return list
}

func (k *Keys) applyMove(tx *db.Tx, c approval.Change) error {
	var p movePayload
	if err := stored(c, &p); err != nil {
		return err
	}
	if err := tx.LockKey(p.Key); err != nil {
		return err
	}
	row, err := tx.Key(p.Key)
	switch {
	case err != nil:
		return err
	case row.RevokedAt != nil:
		return errKeyRevoked
	}
	from := later(c.EffectiveFrom, tx.Now)
	tree, err := treeAt(tx, from)
	if err != nil {
		return err
	}
	for _, n := range append([]id.Node{p.Node}, p.ProjectIDs...) {
		if _, ok := tree.Node(n); !ok {
			return errOvertaken("node_absent", "A node that the key would charge does not exist any more. Propose it again.")
		}
	}
	if _, retires, err := tx.NodeEnds(p.Node); err != nil || retires {
		if err != nil {
			return err
		}
		return errOvertaken("cost_center_ends", "The cost center that the key would charge retires. Choose one that stays.")
	}
	assignments, err := tx.KeyAssignments(p.Key)
	if err != nil {
		return err
	}
	for _, a := range assignments {
		switch {
		case !a.Open:
			continue
		case a.EffectiveFrom.After(from):
			return errOvertaken("move_planned", "The key charges another cost center from "+a.EffectiveFrom.UTC().Format(time.DateOnly)+" on already. Choose a later date.")
		}
		if closed, err := tx.CloseVersion("key_assignment", a.VersionID, from); err != nil || !closed {
			return fmt.Errorf("end a key's assignment: %w", err)
		}
	}
	return tx.AssignKey(id.NewVersion(tx.Now), p.Key, p.Node, p.ProjectIDs, from, c.ID)
}

// moveImpact is what the key charged its cost center in the last whole month.
func (k *Keys) moveImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p movePayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	month := period.MonthOf(tx.Now).Previous()
	charged, err := tx.KeyCharge(p.Key, p.From, month)
	if err != nil {
		return approval.Impact{}, err
	}
	moved, err := money.SumOfPico(charged)
	if err != nil {
		return approval.Impact{}, err
	}
	tree, err := treeAt(tx, later(c.EffectiveFrom, tx.Now))
	if err != nil {
		return approval.Impact{}, err
	}
	out := approval.Impact{Month: month.String(), Moved: moved, Keys: 1, Touches: []id.Node{p.From, p.Node}}
	from, _ := tree.Node(p.From)
	to, _ := tree.Node(p.Node)
	out.Sentence = fmt.Sprintf("The virtual key %q charges %s instead of %s. In %s it charged %s there.", p.Label, to.Code, from.Code, month, "$"+moved.Display().String())
	if p.From == p.Node {
		out.Moved, out.Sentence = money.Sum{}, fmt.Sprintf("The virtual key %q still charges %s; the projects it may name beside are %s.", p.Label, to.Code, orNone(p.Projects))
		return out, nil
	}
	out.Nodes = []approval.NodeImpact{
		{Node: p.From, Code: from.Code, Path: tree.Path(p.From), Swing: approval.Swing{Before: moved}},
		{Node: p.Node, Code: to.Code, Path: tree.Path(p.Node), Swing: approval.Swing{After: moved}},
	}
	slices.SortFunc(out.Nodes, func(a, b approval.NodeImpact) int { return strings.Compare(a.Path, b.Path) })
	for _, side := range []struct {
		capitalize bool
		before     bool
	}{{from.Capitalization == hierarchy.Capitalize, true}, {to.Capitalization == hierarchy.Capitalize, false}} {
		swing := &out.Expensed
		if side.capitalize {
			swing = &out.Capitalized
		}
		if side.before {
			swing.Before = moved
		} else {
			swing.After = moved
		}
	}
	return out, nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
