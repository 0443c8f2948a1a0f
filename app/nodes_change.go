package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/db"
)

// nodePayload is what a change of the hierarchy says: the operations, or their digest where
// they are too many for one record, and the nodes they name.
type nodePayload struct {
	Operations []hierarchy.Operation `json:"operations,omitempty"`
	Document   string                `json:"operations_sha256,omitempty"`
	Steps      map[string]int        `json:"steps,omitempty"` // of the document, by what they do
	// Nodes are the nodes that were there and are named, by the code they were named by: a
	// code that has become another node's must not lead there.
	Nodes map[string]string `json:"nodes,omitempty"`
	// TakesEffect is "when_decided" where the maker named no instant.
	TakesEffect string `json:"takes_effect,omitempty"`
}

// whenDecided is the effective date of a change without one.
const whenDecided = "when_decided"

// maxPayload bounds the operations, in bytes, that a change says itself: its record holds
// them too, and is read by people.
const maxPayload = 200 << 10

// Bounds of an effective date.
const maxYearsAhead = 5

var (
	errTreeMoved   = fault.New(fault.KindConflict, "tree_moved", "The hierarchy changed since this was made. Look at it and propose it again.")
	errNodesSame   = fault.Invalid("operations", "nodes_same", "Nothing would change: the hierarchy says the same.")
	errFarAhead    = fault.Invalid("effective_from", "effective_far", "A change of nodes takes effect within %d years.", maxYearsAhead)
	errRetiresPast = fault.New(fault.KindConflict, "retire_backdated",
		"Nodes retire, merge and split from now on, or later: what was charged to them before stays theirs. Leave the date out, and move single requests by re-tagging them.")
	errNodeDocument = fault.New(fault.KindConflict, "digest_changed", "The operations are not what was proposed; propose it again.")
)

// nodesDated says when a change takes effect. An instant that is over has to lie in months
// that are open: what was charged since then is moved by adjustments.
func nodesDated(tx *db.Tx, from time.Time) (time.Time, error) {
	from = from.UTC().Truncate(time.Microsecond)
	switch {
	case from.IsZero():
		return tx.Now, nil
	case from.After(tx.Now.AddDate(maxYearsAhead, 0, 0)):
		return time.Time{}, errFarAhead
	case from.Before(tx.Now):
		return from, (&governed{dated: true}).dates(tx, from)
	}
	return from, nil
}

// draft makes a proposal of what a maker sent.
func (n *Nodes) draft(tx *db.Tx, who Actor, payload []byte, from time.Time) (draft, error) {
	operations, err := hierarchy.ParseOperations(payload)
	if err != nil {
		return draft{}, err
	}
	at, err := nodesDated(tx, from)
	if err != nil {
		return draft{}, err
	}
	versions, err := tx.NodeVersions()
	if err != nil {
		return draft{}, err
	}
	step := nodeStep{at: at, operations: operations, scope: n.access.Scope(who, "node", "propose")}
	if err := step.take(tx, versions); err != nil {
		return draft{}, err
	}
	if len(step.outcome.Add)+len(step.outcome.Close) == 0 {
		return draft{}, errNodesSame
	}
	said, document, err := step.payload()
	if err != nil {
		return draft{}, err
	}
	if document != nil {
		if err := tx.AddNodeOperations(document); err != nil {
			return draft{}, err
		}
	}
	if from.IsZero() {
		said.TakesEffect = whenDecided
	}
	return draft{payload: said, effective: at}, nil
}

// nodeStep is operations on the hierarchy at one instant, and what they come to.
type nodeStep struct {
	at         time.Time
	operations []hierarchy.Operation
	scope      []id.Node // the maker's; nil for all
	change     id.Change
	outcome    hierarchy.Outcome
	keys       []db.KeyOnNode // that charge a node which retires
}

// take works out what the operations do, and refuses what the database alone knows:
// owners who are no members, and keys that would be left behind.
func (s *nodeStep) take(tx *db.Tx, versions []hierarchy.Version) error {
	if err := knownOwners(tx, s.operations); err != nil {
		return err
	}
	var err error
	s.outcome, err = hierarchy.Apply(versions, hierarchy.Request{Operations: s.operations, At: s.at, RecordedAt: tx.Now, Change: s.change, Scope: s.scope})
	if err != nil || len(s.outcome.Leaving) == 0 {
		return err
	}
	if s.at.Before(tx.Now) {
		return errRetiresPast
	}
	leaving := make([]id.Node, 0, len(s.outcome.Leaving))
	for _, l := range s.outcome.Leaving {
		leaving = append(leaving, l.Node)
	}
	if s.keys, err = tx.KeysOnNodes(s.at, leaving); err != nil {
		return err
	}
	for _, k := range s.keys {
		l := s.leaving(k.NodeID)
		field := fmt.Sprintf("operations[%d].keys_to", l.Operation)
		if l.KeysTo.IsZero() {
			return fault.Invalid(field, "keys_live", "Virtual keys charge %s then, %q among them. Say which node they charge from then on, or end them first.", l.Code, k.Label)
		}
		if k.EffectiveTo != nil {
			return fault.Invalid(field, "keys_planned", "What virtual key %q charges changes on %s by a decision that stands. Let %s retire then or later.",
				k.Label, k.EffectiveTo.UTC().Format(time.DateOnly), l.Code)
		}
	}
	return nil
}

func (s *nodeStep) leaving(node id.Node) hierarchy.Leaving {
	i := slices.IndexFunc(s.outcome.Leaving, func(l hierarchy.Leaving) bool { return l.Node == node })
	return s.outcome.Leaving[i]
}

// successor follows a node that retires to the one its keys charge in the end.
func (s *nodeStep) successor(node id.Node) id.Node {
	for range len(s.outcome.Leaving) {
		i := slices.IndexFunc(s.outcome.Leaving, func(l hierarchy.Leaving) bool { return l.Node == node })
		if i < 0 {
			break
		}
		node = s.outcome.Leaving[i].KeysTo
	}
	return node
}

// payload is what a change says, and the document that its digest stands for, if it does.
func (s *nodeStep) payload() (nodePayload, []byte, error) {
	said := nodePayload{Operations: s.outcome.Operations, Nodes: map[string]string{}}
	for code, node := range s.outcome.Named {
		said.Nodes[code] = node.String()
	}
	document, err := json.Marshal(said)
	if err != nil || len(document) <= maxPayload {
		return said, nil, err
	}
	digest := sha256.Sum256(document)
	short := nodePayload{Document: hex.EncodeToString(digest[:]), Steps: map[string]int{}}
	for i := range s.operations {
		short.Steps[string(s.operations[i].Op)]++
	}
	return short, document, nil
}

// knownOwners refuses owners who are no members here.
func knownOwners(tx *db.Tx, operations []hierarchy.Operation) error {
	at := map[id.Member]string{}
	note := func(owner *string, field string) {
		if owner == nil || *owner == "" {
			return
		}
		if member, err := id.ParseMember(*owner); err == nil && at[member] == "" {
			at[member] = field
		}
	}
	for i := range operations {
		field := fmt.Sprintf("operations[%d].", i)
		note(operations[i].Owner, field+"owner")
		for j := range operations[i].Nodes {
			note(operations[i].Nodes[j].Owner, fmt.Sprintf("%snodes[%d].owner", field, j))
		}
	}
	absent, err := tx.AbsentMembers(slices.Collect(maps.Keys(at)))
	if err != nil || len(absent) == 0 {
		return err
	}
	return fault.Invalid(at[absent[0]], "owner_absent", "No member has the id %s.", absent[0])
}

// proposed reads what a change says.
func proposed(tx *db.Tx, c *approval.Change) (nodePayload, error) {
	var said nodePayload
	if err := json.Unmarshal(c.Payload, &said); err != nil {
		return said, fmt.Errorf("read change of nodes: %w", err)
	}
	if said.Document == "" {
		return said, nil
	}
	named, err := hex.DecodeString(said.Document)
	if err != nil || len(named) != sha256.Size {
		return said, errNodeDocument
	}
	document, err := tx.NodeOperations([sha256.Size]byte(named))
	if err != nil {
		return said, err
	}
	if digest := sha256.Sum256(document); !bytes.Equal(digest[:], named) {
		return said, errNodeDocument
	}
	whole := nodePayload{}
	if err := json.Unmarshal(document, &whole); err != nil {
		return said, fmt.Errorf("read change of nodes: %w", err)
	}
	whole.TakesEffect = said.TakesEffect
	return whole, nil
}

// apply makes an approved change of the hierarchy. What its operations replace must still
// be what the maker saw.
func (n *Nodes) apply(tx *db.Tx, c approval.Change) error {
	said, err := proposed(tx, &c)
	if err != nil {
		return err
	}
	at := c.EffectiveFrom
	if said.TakesEffect == whenDecided {
		at = tx.Now
	} else if err := (&governed{dated: true}).dates(tx, at); err != nil {
		return err
	}
	versions, err := tx.NodeVersions()
	if err != nil {
		return err
	}
	step := nodeStep{at: at, operations: said.Operations, change: c.ID}
	if err := step.take(tx, versions); err != nil {
		return moved(tx, versions, &c, at, said.Nodes, err)
	}
	for code, node := range step.outcome.Named {
		if said.Nodes[code] != node.String() {
			return moved(tx, versions, &c, at, said.Nodes, fault.New(fault.KindConflict, "tree_moved", "Code "+code+" is another node's now."))
		}
	}
	if err := write(tx, versions, &step.outcome, at); err != nil {
		return err
	}
	for _, k := range step.keys {
		if err := step.reassign(tx, k); err != nil {
			return err
		}
	}
	if at.Before(tx.Now) { // what was charged since then lies where it did
		return tx.Enqueue(job.MoveCharges{Tenant: tx.Tenant.String(), Change: c.ID.String()})
	}
	return nil
}

// reassign lets a key charge what takes the place of its node.
func (s *nodeStep) reassign(tx *db.Tx, k db.KeyOnNode) error {
	from := s.at
	if k.EffectiveFrom.After(from) {
		from = k.EffectiveFrom.UTC()
	}
	closed, err := tx.CloseVersion("key_assignment", k.VersionID, from)
	if err != nil {
		return err
	}
	if !closed {
		return errTreeMoved
	}
	var projects []id.Node
	for text := range strings.SplitSeq(k.Projects, ",") {
		if project, err := id.ParseNode(text); err == nil {
			projects = append(projects, project)
		}
	}
	return tx.AssignKey(id.NewVersion(tx.Now), k.KeyID, s.successor(k.NodeID), projects, from, s.change)
}

// maxMovedNodes bounds how many nodes a conflict names.
const maxMovedNodes = 5

// moved makes a conflict of what hinders an approved change: the tree is not what it was
// when the change was proposed. It says what changed of the nodes that the change names,
// and by which change.
func moved(tx *db.Tx, versions []hierarchy.Version, c *approval.Change, at time.Time, named map[string]string, why error) error {
	hinders := fault.From(why)
	if hinders.Kind != fault.KindInvalid && hinders.Kind != fault.KindConflict {
		return why
	}
	before, err := hierarchy.Build(versions, at, c.ProposedAt)
	if err != nil {
		return err
	}
	now, err := hierarchy.Build(versions, at, time.Time{})
	if err != nil {
		return err
	}
	about := map[string]bool{}
	for _, node := range named {
		about[node] = true
	}
	var changed []string
	for _, d := range hierarchy.Diff(before, now) {
		switch {
		case len(changed) == maxMovedNodes:
		case d.Before == nil:
			changed = append(changed, d.After.Code+" is new")
		case !about[d.Node.String()] && (d.After == nil || d.Before.Code == d.After.Code):
		case d.After == nil:
			changed = append(changed, d.Before.Code+" retired")
		default:
			row, err := tx.Change(d.After.Change)
			if err != nil {
				return err
			}
			changed = append(changed, fmt.Sprintf("%s: %s by change %d", d.Before.Code, strings.ReplaceAll(strings.Join(d.Fields, ", "), "_", " "), row.Number))
		}
	}
	text := "The hierarchy changed since this was proposed: " + hinders.Message
	if len(changed) > 0 {
		text += " Since then: " + strings.Join(changed, "; ") + "."
	}
	return fault.New(fault.KindConflict, "tree_moved", text).Because(why)
}

// NodesAsk is the proposal of operations on the hierarchy; a zero instant is when it is
// decided.
func NodesAsk(operations []hierarchy.Operation, from time.Time, reason string) (Ask, error) {
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(nodePayload{Operations: operations})
	return Ask{Kind: changeNode, Payload: payload.Bytes(), EffectiveFrom: from, Reason: reason}, err
}
