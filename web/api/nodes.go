package api

import (
	"slices"

	"tollbook/app"
	"tollbook/app/fault"
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
}

// NodesQuery narrows the hierarchy.
type NodesQuery struct {
	AsOf   Instant `query:"as_of" doc:"The hierarchy as it was, or will be, at that instant. Default: now."`
	Limit  Limit   `query:"limit"`
	Cursor string  `query:"cursor"`
}

func (a *API) listNodes(c *call, q NodesQuery) (Page[Node], error) {
	all, err := a.areas.Nodes.List(c.Request().Context(), c.who, q.AsOf.Time)
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
		})
	}
	return page(rows, next), nil
}
