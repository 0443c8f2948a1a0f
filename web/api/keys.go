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
	Projects   []string `json:"projects" doc:"Codes of nodes outside the cost center's subtree it may charge."`
	Models     []string `json:"models" doc:"Names, or beginnings of names followed by *; empty for all."`
	PerMinute  *int64   `json:"requests_per_minute" doc:"The bound of billed requests at each gateway; null for none."`
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
		ID: k.ID.String(), Label: k.Label, Hint: k.Hint, CostCenter: k.CostCenter, Projects: append([]string{}, k.Projects...), Models: append([]string{}, k.Models...),
		PerMinute: countOrNil(k.RequestsPerMinute), State: k.State(a.cfg.Now()), RecordedAt: Instant{k.RecordedAt},
		ExpiresAt: instantOrNil(k.ExpiresAt), RevokedAt: instantOrNil(k.RevokedAt), RevokedWhy: textOrNil(k.Reason),
	}
}

func countOrNil(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// NewKey asks for a virtual key.
type NewKey struct {
	Label      string   `json:"label" doc:"1 to 200 bytes."`
	CostCenter string   `json:"cost_center" doc:"The code of the node the key charges."`
	Projects   []string `json:"projects,omitempty" doc:"Codes of nodes outside the cost center's subtree it may charge; at most 50."`
	ExpiresAt  *Instant `json:"expires_at,omitempty"`
	Models     []string `json:"models,omitempty" doc:"Names, or beginnings of names followed by *; at most 50. Leave out for all."`
	PerMinute  int64    `json:"requests_per_minute,omitempty" doc:"Bounds billed requests at each gateway. Leave out for no limit."`
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
	State      string   `json:"state" enum:"applied,proposed" doc:"Applied: gateways accept it within a second. Proposed: a policy has somebody decide; it works once the change is approved, and never if that is refused."`
}

// NoQuery is the query of an endpoint that takes none.
type NoQuery struct{}

const byAPI = "made through the API"

func (a *API) createKey(c *call, _ NoQuery, want NewKey) (MadeKey, error) {
	ask := app.NewKey{Label: want.Label, CostCenter: want.CostCenter, Projects: want.Projects, Models: want.Models, RequestsPerMinute: want.PerMinute}
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
		Secret: made.Secret.Reveal(), Change: made.Change.ID.String(), State: string(made.Change.State),
	}, nil
}

// Rotation gives a key another secret.
type Rotation struct {
	EarlierUntil *Instant `json:"earlier_until,omitempty" doc:"When the present secret ends; 24 hours from now unless given, at most 90 days."`
	Reason       string   `json:"reason,omitempty" doc:"Recorded with the change."`
}

// RotatedKey is a key's fresh secret.
type RotatedKey struct {
	ID     string `json:"id"`
	Label  string `json:"label"`
	Secret string `json:"secret" doc:"What Claude Code presents from now on. It is shown here and never again."`
	Change string `json:"change" doc:"The id of the change that made it."`
}

func (a *API) rotateKey(c *call, q KeyPath, want Rotation) (RotatedKey, error) {
	ask := app.Rotation{Key: q.ID}
	if want.EarlierUntil != nil {
		ask.EarlierUntil = want.EarlierUntil.Time
	}
	reason := want.Reason
	if reason == "" {
		reason = byAPI
	}
	made, err := a.areas.Keys.RotateOnce(c.Request().Context(), c.who, ask, reason, c.Request().Header.Get("Idempotency-Key"))
	if err != nil {
		return RotatedKey{}, err
	}
	return RotatedKey{ID: made.ID.String(), Label: made.Label, Secret: made.Secret.Reveal(), Change: made.Change.ID.String()}, nil
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
