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
