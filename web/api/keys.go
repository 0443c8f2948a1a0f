package api

import (
	"time"

	"tollbook/app"
	"tollbook/app/id"
)

// Key is a virtual key; the key itself is in no list.
type Key struct {
	ID         string   `json:"id"`
	Label      string   `json:"label"`
	Hint       string   `json:"hint" doc:"The last four characters of the key."`
	CostCenter string   `json:"cost_center" doc:"A node's code."`
	State      string   `json:"state" enum:"active,expired,revoked"`
	RecordedAt Instant  `json:"recorded_at"`
	ExpiresAt  *Instant `json:"expires_at"`
	RevokedAt  *Instant `json:"revoked_at"`
	RevokedWhy *string  `json:"revoked_reason"`
}

// KeysQuery pages through keys.
type KeysQuery struct {
	Limit  Limit  `query:"limit"`
	Cursor id.Key `query:"cursor"`
}

func (a *API) listKeys(c *call, q KeysQuery) (Page[Key], error) {
	list, err := a.areas.Keys.List(c.Request().Context(), c.who, q.Cursor, q.Limit.rows())
	if err != nil {
		return Page[Key]{}, err
	}
	rows := make([]Key, 0, len(list.Rows))
	for _, k := range list.Rows {
		rows = append(rows, a.key(k))
	}
	return page(rows, list.Next.String()), nil
}

func (a *API) key(k app.KeyView) Key {
	return Key{
		ID: k.ID.String(), Label: k.Label, Hint: k.Hint, CostCenter: k.CostCenter, State: k.State(a.cfg.Now()), RecordedAt: Instant{k.RecordedAt},
		ExpiresAt: instantOrNil(k.ExpiresAt), RevokedAt: instantOrNil(k.RevokedAt), RevokedWhy: textOrNil(k.Reason),
	}
}

// NewKey asks for a virtual key.
type NewKey struct {
	Label      string   `json:"label" doc:"1 to 200 bytes."`
	CostCenter string   `json:"cost_center" doc:"The code of the node the key charges."`
	Projects   []string `json:"projects,omitempty" doc:"Codes of nodes outside the cost center's subtree it may charge; at most 50."`
	ExpiresAt  *Instant `json:"expires_at,omitempty"`
	Reason     string   `json:"reason,omitempty" doc:"Recorded with the change."`
}

// MadeKey is a fresh virtual key.
type MadeKey struct {
	ID         string   `json:"id"`
	Label      string   `json:"label"`
	CostCenter string   `json:"cost_center"`
	Projects   []string `json:"projects"`
	ExpiresAt  *Instant `json:"expires_at"`
	Secret     string   `json:"secret" doc:"What Claude Code presents. It is shown here and never again."`
	Change     string   `json:"change" doc:"The id of the change that made it."`
}

// NoQuery is the query of an endpoint that takes none.
type NoQuery struct{}

const byAPI = "made through the API"

func (a *API) createKey(c *call, _ NoQuery, want NewKey) (MadeKey, error) {
	ask := app.NewKey{Label: want.Label, CostCenter: want.CostCenter, Projects: want.Projects}
	if want.ExpiresAt != nil {
		ask.ExpiresAt = want.ExpiresAt.Time
	}
	reason := want.Reason
	if reason == "" {
		reason = byAPI
	}
	made, err := a.areas.Keys.CreateOnce(c.Request().Context(), c.who, ask, reason, c.Request().Header.Get("Idempotency-Key"))
	if err != nil {
		return MadeKey{}, err
	}
	projects := want.Projects
	if projects == nil {
		projects = []string{}
	}
	return MadeKey{
		ID: made.ID.String(), Label: made.Label, CostCenter: made.CostCenter, Projects: projects, ExpiresAt: instantOrNil(ask.ExpiresAt.Truncate(time.Microsecond)),
		Secret: made.Secret.Reveal(), Change: made.Change.ID.String(),
	}, nil
}

// KeyPath names a key in the path.
type KeyPath struct {
	ID id.Key `path:"id"`
}

// Revocation says why a key ends.
type Revocation struct {
	Reason string `json:"reason" doc:"Recorded with the change."`
}

func (a *API) revokeKey(c *call, q KeyPath, want Revocation) (Key, error) {
	ended, err := a.areas.Keys.RevokeOnce(c.Request().Context(), c.who, q.ID, want.Reason, c.Request().Header.Get("Idempotency-Key"))
	if err != nil {
		return Key{}, err
	}
	return a.key(ended), nil
}
