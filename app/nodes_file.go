package app

import (
	"context"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// NodeSheet is the hierarchy as of an instant as the rows of a file, in the form an import
// takes.
type NodeSheet struct {
	Head []string
	Rows [][]string
	AsOf time.Time
}

// Export shows the hierarchy, as of an instant and as known at one, as rows of a file.
func (n *Nodes) Export(ctx context.Context, who Actor, q TreeQuery) (NodeSheet, error) {
	list, err := n.Tree(ctx, who, q)
	if err != nil {
		return NodeSheet{}, err
	}
	nodes := make([]hierarchy.Listed, 0, len(list))
	for i := range list {
		nodes = append(nodes, hierarchy.Listed{Version: list[i].Version, ParentCode: list[i].ParentCode, Path: list[i].Path})
	}
	sheet := NodeSheet{AsOf: q.AsOf}
	sheet.Head, sheet.Rows = hierarchy.Sheet(nodes)
	return sheet, nil
}

// NodeImport is a hierarchy as a file wants it.
type NodeImport struct {
	File []byte
	From time.Time // zero: when it is decided
	// RetireMissing lets every node of the actor's part retire that is not in the file;
	// KeysTo is the code of the node that their virtual keys charge from then on.
	RetireMissing bool
	KeysTo        string
}

// NodeImportPlan is what a file would do, before anything is proposed.
type NodeImportPlan struct {
	Problems []hierarchy.Problem
	Effects  []hierarchy.Effect // of every line, then of what is not in the file: the drift
	Drift    map[hierarchy.EffectKind]int
	// Operations are what a proposal would say; none where nothing differs, or with problems.
	Operations []hierarchy.Operation
	// Impact is what they would have done to the last full month; empty with no operations.
	Impact        approval.Impact
	EffectiveFrom time.Time
}

// Ask is the proposal of an import: one change, whose payload is its operations.
func (p *NodeImportPlan) Ask(from time.Time, reason string) (Ask, error) {
	if len(p.Problems) > 0 {
		return Ask{}, fault.Invalid("file", "nodes_file", "%s: %s Nothing was taken from the file.", p.Problems[0].Where(), p.Problems[0].Message)
	}
	if len(p.Operations) == 0 {
		return Ask{}, errNodesSame
	}
	return NodesAsk(p.Operations, from, reason)
}

// DryRun tells what a file would do to the hierarchy, line by line, and every error in it;
// nothing is written.
func (n *Nodes) DryRun(ctx context.Context, who Actor, want NodeImport) (NodeImportPlan, error) {
	if err := n.changes.allowed(who, changeNode); err != nil {
		return NodeImportPlan{}, err
	}
	file, problems := hierarchy.ReadFile(want.File)
	if len(problems) > 0 {
		return NodeImportPlan{Problems: problems}, nil
	}
	var planned NodeImportPlan
	// Not a reading transaction: what refuses a closed month holds it.
	err := n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		planned, err = n.dryRun(tx, n.access.Scope(who, "node", "propose"), &file, want)
		return err
	})
	return planned, err
}

func (n *Nodes) dryRun(tx *db.Tx, scope []id.Node, file *hierarchy.File, want NodeImport) (NodeImportPlan, error) {
	at, err := nodesDated(tx, want.From)
	if err != nil {
		return NodeImportPlan{}, err
	}
	versions, err := tx.NodeVersions()
	if err != nil {
		return NodeImportPlan{}, err
	}
	tree, err := hierarchy.Build(versions, at, time.Time{})
	if err != nil {
		return NodeImportPlan{}, err
	}
	synced := hierarchy.Sync(tree, file, hierarchy.SyncOptions{RetireMissing: want.RetireMissing, KeysTo: want.KeysTo, Scope: scope})
	planned := NodeImportPlan{Problems: synced.Problems, Effects: synced.Effects, Drift: synced.Drift(), EffectiveFrom: at}
	if len(synced.Operations) == 0 {
		return planned, nil
	}
	step := nodeStep{at: at, operations: synced.Operations, scope: scope}
	if err := step.take(tx, versions); err != nil {
		problem, is := synced.Blame(err)
		if !is {
			return NodeImportPlan{}, err
		}
		planned.Problems = append(planned.Problems, problem)
		return planned, nil
	}
	effect, err := step.effect(tx, versions)
	if err != nil {
		return NodeImportPlan{}, err
	}
	planned.Operations, planned.Impact = step.outcome.Operations, effect.Impact
	return planned, nil
}
