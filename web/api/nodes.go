package api

import (
	"slices"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
)

// Page is one page of a list.
type Page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor" doc:"Send it as cursor to get the next page; null on the last."`
}

func page[T any](rows []T, next string) Page[T] {
	if rows == nil {
		rows = []T{}
	}
	return Page[T]{Data: rows, NextCursor: textOrNil(next)}
}

// Node is one node of the hierarchy.
type Node struct {
	ID             string   `json:"id"`
	Code           string   `json:"code"`
	Name           string   `json:"name"`
	Kind           string   `json:"kind" enum:"business_unit,cost_center,project"`
	ParentCode     *string  `json:"parent_code"`
	Path           string   `json:"path" doc:"Codes from the root down, joined by ' / '."`
	Owner          *string  `json:"owner"`
	Entity         *string  `json:"entity"`
	GLAccount      *string  `json:"gl_account"`
	Capitalization string   `json:"capitalization" enum:"capitalize,expense"`
	EffectiveFrom  Instant  `json:"effective_from"`
	EffectiveTo    *Instant `json:"effective_to"`
	// Evidence and Dimensions came later.
	Evidence   *Evidence                    `json:"evidence" doc:"Why its cost is treated as it is; null where nothing was said."`
	Dimensions map[string]map[string]string `json:"dimensions" doc:"Its codes in ERP systems, by system (netsuite, oracle, sap, workday) and dimension."`
}

// Evidence is what a treatment rests on. Days are UTC, YYYY-MM-DD.
type Evidence struct {
	Standard              *string `json:"standard" enum:"asu_2025_06,asc_350_40,ias_38"`
	AuthorizedOn          *string `json:"authorized_on" format:"date"`
	AuthorizationDocument *string `json:"authorization_document"`
	FundingCommitment     *string `json:"funding_commitment"`
	Uncertain             bool    `json:"uncertain" doc:"Whether significant development uncertainty remains."`
	StartedOn             *string `json:"started_on" format:"date"`
	ReadyForUseOn         *string `json:"ready_for_use_on" format:"date"`
	InServiceOn           *string `json:"in_service_on" format:"date"`
	Category              *string `json:"category" enum:"new_function,maintenance,research,training"`
	CapitalizableBps      int64   `json:"capitalizable_bps" doc:"The share of the cost, in hundredths of a percent."`
}

func evidenceOf(e hierarchy.Evidence) *Evidence {
	if e == (hierarchy.Evidence{}) {
		return nil
	}
	return &Evidence{
		Standard: textOrNil(string(e.Standard)), AuthorizedOn: textOrNil(e.AuthorizedOn), AuthorizationDocument: textOrNil(e.AuthorizationDocument),
		FundingCommitment: textOrNil(e.FundingCommitment), Uncertain: e.Uncertain, StartedOn: textOrNil(e.StartedOn), ReadyForUseOn: textOrNil(e.ReadyForUseOn),
		InServiceOn: textOrNil(e.InServiceOn), Category: textOrNil(string(e.Category)), CapitalizableBps: e.CapitalizableBps,
	}
}

// NodesQuery narrows the hierarchy.
type NodesQuery struct {
	AsOf    Instant `query:"as_of" doc:"The hierarchy as it was, or will be, at that instant. Default: now."`
	KnownAt Instant `query:"known_at" doc:"As of, as it was known at that instant. Default: now."`
	Limit   Limit   `query:"limit"`
	Cursor  string  `query:"cursor"`
}

func (a *API) listNodes(c *call, q NodesQuery) (Page[Node], error) {
	all, err := a.areas.Nodes.Tree(c.Request().Context(), c.who, app.TreeQuery{AsOf: q.AsOf.Time, Known: q.KnownAt.Time})
	if err != nil {
		return Page[Node]{}, err
	}
	if q.Cursor != "" {
		after, err := id.ParseNode(q.Cursor)
		at := slices.IndexFunc(all, func(n app.NodeView) bool { return n.Node == after })
		if err != nil || at < 0 {
			return Page[Node]{}, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
		all = all[at+1:]
	}
	next := ""
	if limit := q.Limit.rows(); len(all) > limit {
		all = all[:limit]
		next = all[limit-1].Node.String()
	}
	rows := make([]Node, 0, len(all))
	for _, n := range all {
		rows = append(rows, Node{
			ID: n.Node.String(), Code: n.Code, Name: n.Name, Kind: string(n.Kind), ParentCode: textOrNil(n.ParentCode), Path: n.Path,
			Owner: textOrNil(n.Owner.String()), Entity: textOrNil(n.Entity), GLAccount: textOrNil(n.GLAccount),
			Capitalization: string(n.Capitalization), EffectiveFrom: Instant{n.EffectiveFrom}, EffectiveTo: instantOrNil(n.EffectiveTo),
			Evidence: evidenceOf(n.Evidence), Dimensions: n.Dimensions.Codes(),
		})
	}
	return page(rows, next), nil
}

// NodesPayload describes the payload of a change of kind node. It is read by the
// hierarchy itself (hierarchy.ParseOperations); a test holds the two to each other.
type NodesPayload struct {
	Operations []NodeOperation `json:"operations" doc:"Taken in order, all at the change's instant. A problem's field is the member at fault, such as operations[3].parent_code."`
}

// NodeOperation is one step. What is not said stays; an empty string takes away.
type NodeOperation struct {
	Op             string                       `json:"op" enum:"create,rename,recode,move,merge,split,retire,owner,entity,gl_account,kind,capitalization,dimensions"`
	Code           string                       `json:"code" doc:"The node's, when the step's turn comes; of create, the new one's."`
	NewCode        string                       `json:"new_code,omitempty" doc:"Of recode."`
	Name           string                       `json:"name,omitempty" doc:"Of create and rename."`
	Kind           string                       `json:"kind,omitempty" enum:"business_unit,cost_center,project" doc:"Of create and kind."`
	ParentCode     *string                      `json:"parent_code,omitempty" doc:"Of move, and of create where it is not at the top; empty for the top."`
	Owner          *string                      `json:"owner,omitempty" doc:"A member's id. Of owner and create."`
	Entity         *string                      `json:"entity,omitempty" doc:"Of entity and create."`
	GLAccount      *string                      `json:"gl_account,omitempty" doc:"Of gl_account and create."`
	Capitalization string                       `json:"capitalization,omitempty" enum:"capitalize,expense" doc:"Of capitalization and create. Who capitalizes says under what standard, and what category of work it is."`
	Evidence       *Evidence                    `json:"evidence,omitempty" doc:"Of capitalization and create; the whole of it."`
	Dimensions     map[string]map[string]string `json:"dimensions,omitempty" doc:"Of dimensions and create; all of them, by system and dimension."`
	Into           string                       `json:"into,omitempty" doc:"Of merge: the node that takes its place, and its virtual keys."`
	Children       string                       `json:"children,omitempty" enum:"into,stay,retire" doc:"Of merge (into, stay) and retire (stay, retire); they stay where the node stood."`
	Nodes          []NodePart                   `json:"nodes,omitempty" doc:"Of split: two or more. What they do not say they have from the node."`
	ChildrenTo     map[string]string            `json:"children_to,omitempty" doc:"Of split: below which of the new nodes each child goes."`
	KeysTo         string                       `json:"keys_to,omitempty" doc:"Of retire and split: what its virtual keys charge from then on."`
	Was            *string                      `json:"was,omitempty" doc:"What it replaces: a name, a parent's code. Where it is something else, the answer is a conflict. The payload that is answered says it."`
}

// NodePart is one of the nodes that a node is split into.
type NodePart struct {
	Code           string    `json:"code"`
	Name           string    `json:"name"`
	Owner          *string   `json:"owner,omitempty"`
	Entity         *string   `json:"entity,omitempty"`
	GLAccount      *string   `json:"gl_account,omitempty"`
	Capitalization string    `json:"capitalization,omitempty" enum:"capitalize,expense"`
	Evidence       *Evidence `json:"evidence,omitempty"`
}
