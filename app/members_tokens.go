package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

const (
	tokenPrefix   = "tbt_"
	maxTokenLife  = 366 * 24 * time.Hour
	maxTokenLabel = 200
	maxTokens     = 1000 // in one list
	useEvery      = time.Minute
)

// NewToken is an API token to be made.
type NewToken struct {
	Member id.Member
	Label  string
	Roles  []Role // of the member's; none: all of them, whatever they are when it is used
	Life   time.Duration
}

// MadeToken is a fresh API token: the only time its secret is seen.
type MadeToken struct {
	ID        id.Token
	Label     string
	ExpiresAt time.Time
	Secret    secret.Text `json:"-"` // stored answers carry it apart, sealed
	Change    approval.Change
}

// AddToken makes an API token for a member as one change; its secret is seen once.
func (m *Members) AddToken(ctx context.Context, who Actor, member id.Member, label string, life time.Duration, reason string) (secret.Text, error) {
	made, err := m.MakeToken(ctx, who, NewToken{Member: member, Label: label, Life: life}, reason, "")
	return made.Secret, err
}

type rememberedToken struct {
	MadeToken
	Plain string
}

// MakeToken is AddToken with a scope, for a caller that may have to repeat itself.
func (m *Members) MakeToken(ctx context.Context, who Actor, want NewToken, reason, once string) (MadeToken, error) {
	if err := m.changes.allowed(who, changeToken); err != nil {
		return MadeToken{}, err
	}
	want.Label = strings.TrimSpace(want.Label)
	if want.Life <= 0 || want.Life > maxTokenLife {
		return MadeToken{}, fault.Invalid("expires_at", "token_life", "A token lives at most a year.")
	}
	if want.Label == "" || usage.Clip(want.Label, maxTokenLabel) != want.Label {
		return MadeToken{}, fault.Invalid("label", "label_length", "A token needs a label of 1 to %d bytes.", maxTokenLabel)
	}
	var made MadeToken
	err := m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		stored, err := doOnce(tx, m.ring, who, once, "token.create", map[string]any{"want": want, "reason": reason}, func() (rememberedToken, error) {
			fresh, err := m.makeToken(tx, who, want, reason)
			return rememberedToken{MadeToken: fresh, Plain: fresh.Secret.Reveal()}, err
		})
		made = stored.MadeToken
		made.Secret = secret.NewText(stored.Plain)
		return err
	})
	return made, err
}

func (m *Members) makeToken(tx *db.Tx, who Actor, want NewToken, reason string) (MadeToken, error) {
	if err := lockPeople(tx, who); err != nil { // so that its member is not suspended meanwhile
		return MadeToken{}, err
	}
	row, err := tx.Member(want.Member)
	if err != nil {
		return MadeToken{}, err
	}
	if row.SuspendedAt != nil {
		return MadeToken{}, fault.Invalid("member", "member_suspended", "A suspended member gets no token.")
	}
	if err := m.checkScope(tx, want); err != nil {
		return MadeToken{}, err
	}
	plain := secret.Mint(tokenPrefix)
	made := MadeToken{ID: id.NewToken(tx.Now), Label: want.Label, ExpiresAt: tx.Now.Add(want.Life), Secret: plain}
	payload := tokenPayload{Token: made.ID, Member: want.Member, Label: want.Label, Roles: want.Roles, ExpiresAt: made.ExpiresAt.Format(time.RFC3339Nano)}
	hash := m.tokens.Current(plain.Reveal())
	made.Change, err = m.changes.issue(tx, who, proposal{kind: changeToken, payload: payload, reason: reason},
		func(c approval.Change) error {
			return tx.KeepSealed(c.ID, m.ring.Seal(purposeAsked, c.ID.String(), hash[:]))
		},
		func(c approval.Change) error { return addToken(tx, payload, hash, c) })
	return made, err
}

// checkScope refuses to limit a token to a role its member has not.
func (m *Members) checkScope(tx *db.Tx, want NewToken) error {
	held, err := tx.Roles(want.Member)
	if err != nil {
		return err
	}
	for _, role := range want.Roles {
		if !slices.ContainsFunc(held, func(r db.RoleRow) bool { return r.Role == string(role) }) {
			return fault.Invalid("roles", "token_scope", "The member has not the role %.40q, so a token of theirs cannot.", string(role))
		}
	}
	return nil
}

func joinRoles(roles []Role) string {
	words := make([]string, 0, len(roles))
	for _, r := range roles {
		words = append(words, string(r))
	}
	return strings.Join(words, ",")
}

func splitRoles(text string) []Role {
	if text == "" {
		return nil
	}
	return rolesOf(strings.Split(text, ","))
}

func rolesOf(words []string) []Role {
	roles := make([]Role, 0, len(words))
	for _, word := range words {
		roles = append(roles, Role(word))
	}
	return roles
}

// ErrToken reports a token that is unknown, expired, revoked, or whose member is
// suspended.
var ErrToken = fault.New(fault.KindUnauthenticated, "token_unknown", "The token is missing, unknown, expired or revoked. Send Authorization: Bearer with a token made in Tollbook.")

// ByToken is the actor behind an API token.
func (m *Members) ByToken(ctx context.Context, token secret.Text) (Actor, error) {
	if !strings.HasPrefix(token.Reveal(), tokenPrefix) {
		return Actor{}, ErrToken
	}
	row, found, err := m.db.LiveToken(ctx, m.tokens.Accepted(token.Reveal()))
	if err != nil {
		return Actor{}, err
	}
	if !found {
		return Actor{}, ErrToken
	}
	who := Actor{Tenant: row.TenantID, Kind: ActorToken, Token: row.TokenID, Member: row.MemberID}
	err = m.db.InTenant(ctx, row.TenantID, func(tx *db.Tx) error {
		if err := m.load(tx, &who); err != nil {
			return err
		}
		if scope := splitRoles(row.Roles); scope != nil {
			who.Grants = slices.DeleteFunc(who.Grants, func(g Grant) bool { return !slices.Contains(scope, g.Role) })
		}
		return tx.UseToken(row.TokenID, useEvery)
	})
	if fault.KindOf(err) == fault.KindNotFound {
		return Actor{}, ErrToken
	}
	return who, err
}

// TokenView is an API token as lists show it.
type TokenView struct {
	ID         id.Token
	Member     id.Member
	Owner      string // the member's name
	Label      string
	Roles      []Role // it is limited to; none: all its member has
	RecordedAt time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time // within a minute
	RevokedAt  time.Time
	Suspended  bool // its member is
	Made       Hand
	Number     int64 // of the change that made it
}

// State is what the token is at an instant.
func (t *TokenView) State(now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return KeyRevoked
	case !now.Before(t.ExpiresAt):
		return KeyExpired
	}
	return KeyActive
}

// Tokens lists API tokens, of one member or all (zero), newest first.
func (m *Members) Tokens(ctx context.Context, who Actor, member id.Member) ([]TokenView, error) {
	if err := m.access.Check(who, "token", "read"); err != nil {
		return nil, err
	}
	var list []TokenView
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Tokens(member, maxTokens)
		if err != nil {
			return err
		}
		list, err = m.tokenViews(tx, rows)
		return err
	})
	return list, err
}

func (m *Members) tokenViews(tx *db.Tx, rows []db.TokenListRow) ([]TokenView, error) {
	makers := make([]string, 0, len(rows))
	for i := range rows {
		makers = append(makers, rows[i].Maker)
	}
	hands, err := m.hands(tx, makers)
	if err != nil {
		return nil, err
	}
	list := make([]TokenView, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		list = append(list, TokenView{
			ID: r.TokenID, Member: r.MemberID, Owner: m.name(r.PersonID, r.NameSealed), Label: r.Label, Roles: splitRoles(r.Roles), RecordedAt: r.RecordedAt.UTC(),
			ExpiresAt: r.ExpiresAt.UTC(), LastUsedAt: orZero(r.LastUsedAt), RevokedAt: orZero(r.RevokedAt), Suspended: r.Suspended, Made: hands[r.Maker], Number: r.Number,
		})
	}
	return list, nil
}

// Token shows one API token.
func (m *Members) Token(ctx context.Context, who Actor, token id.Token) (TokenView, error) {
	if err := m.access.Check(who, "token", "read"); err != nil {
		return TokenView{}, err
	}
	var view TokenView
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Token(token)
		if err != nil {
			return err
		}
		list, err := m.tokenViews(tx, []db.TokenListRow{row})
		if err == nil {
			view = list[0]
		}
		return err
	})
	return view, err
}

// RevokeToken ends an API token as one change; the next request with it is refused.
func (m *Members) RevokeToken(ctx context.Context, who Actor, token id.Token, reason string) error {
	if err := m.changes.allowed(who, changeTokenEnd); err != nil {
		return err
	}
	return m.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Token(token)
		if err != nil {
			return err
		}
		if row.RevokedAt != nil {
			return errTokenEnded
		}
		p := proposal{kind: changeTokenEnd, payload: map[string]any{"token": token.String(), "member": row.MemberID.String()}, reason: reason}
		_, err = m.changes.change(tx, who, p, func(c approval.Change) error {
			ended, err := tx.RevokeToken(token, c.ID)
			if err == nil && !ended {
				err = errTokenEnded
			}
			return err
		})
		return err
	})
}

var errTokenEnded = fault.New(fault.KindConflict, "token_revoked", "That token is revoked already.")
