package app

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// SignIns is the area of issuers, attempts to sign in and sessions.
type SignIns struct {
	db      *db.DB
	changes *Changes
	members *Members
	ring    *secret.Keyring
	states  *secret.Hasher
	cookies *secret.Hasher
	// vouching is the issuer that lets people found companies; nil: there is none.
	vouching *Issuer
}

// NewSignIns makes the area.
func NewSignIns(d *db.DB, changes *Changes, members *Members, ring *secret.Keyring) *SignIns {
	s := &SignIns{db: d, changes: changes, members: members, ring: ring, states: ring.Hasher("sign-in"), cookies: ring.Hasher("session")}
	s.govern()
	return s
}

// Issuer is one way to sign in to a tenant.
type Issuer struct {
	ID       id.Issuer
	Name     string
	URL      string
	ClientID string
	Secret   secret.Text
	Domains  []string // of e-mail addresses that lead here
	// Callback is what the address of its answers ends with, where that is not everybody's:
	// in a company that a person founded, for an issuer that nobody vouched for. An answer
	// of another issuer that such a one asks for arrives elsewhere, and tells it nothing.
	Callback string
}

// Limits of attempts and sessions.
const (
	signInLife    = 10 * time.Minute
	sessionLife   = 8 * time.Hour
	sessionIdle   = time.Hour
	seeEvery      = time.Minute
	purposeClient = "issuer-secret"
	purposeTicket = "sign-in-ticket"
	purposeClaims = "session-claims"
)

// Begin stores an attempt to sign in and returns the state that comes back from the
// issuer. The ticket (verifier, nonce) is sealed.
func (s *SignIns) Begin(ctx context.Context, tenant id.Tenant, issuer id.Issuer, makeTicket func(state string) ([]byte, error), returnTo string) error {
	return s.BeginInvited(ctx, tenant, issuer, id.Invitation{}, makeTicket, returnTo)
}

// BeginInvited is Begin for somebody with an invitation.
func (s *SignIns) BeginInvited(ctx context.Context, tenant id.Tenant, issuer id.Issuer, invitation id.Invitation, makeTicket func(state string) ([]byte, error), returnTo string) error {
	return s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		signIn := id.NewSignIn(tx.Now)
		state := signIn.String() + "." + tenant.String() + "." + secret.Mint("").Reveal()
		ticket, err := makeTicket(state)
		if err != nil {
			return err
		}
		return tx.AddSignIn(signIn, issuer, invitation, s.states.Current(state), s.ring.Seal(purposeTicket, signIn.String(), ticket), returnTo, tx.Now.Add(signInLife))
	})
}

// ErrSignIn reports an attempt that is unknown, used or too old.
var ErrSignIn = fault.New(fault.KindUnauthenticated, "sign_in_expired", "This sign-in has expired or was used already. Start again.")

// Attempt is one attempt to sign in, taken.
type Attempt struct {
	Tenant     id.Tenant
	Issuer     Issuer
	Invitation id.Invitation
	Ticket     []byte
	ReturnTo   string
}

// Take uses an attempt up by the state that came back.
func (s *SignIns) Take(ctx context.Context, state string) (Attempt, error) {
	signInText, rest, ok := strings.Cut(state, ".")
	tenantText, _, okTenant := strings.Cut(rest, ".")
	signIn, errSignIn := id.ParseSignIn(signInText)
	tenant, errTenant := id.ParseTenant(tenantText)
	if !ok || !okTenant || errSignIn != nil || errTenant != nil || tenant.IsZero() {
		return Attempt{}, ErrSignIn
	}
	taken := Attempt{Tenant: tenant}
	var row db.SignInRow
	err := s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		var found bool
		var err error
		if row, found, err = tx.TakeSignIn(signIn); err == nil && !found {
			err = ErrSignIn
		}
		return err
	})
	if err != nil {
		return Attempt{}, err
	}
	hash := s.states.Current(state)
	if subtle.ConstantTimeCompare(hash[:], row.StateHash) != 1 {
		return Attempt{}, ErrSignIn
	}
	if taken.Ticket, err = s.ring.Open(purposeTicket, signIn.String(), row.TicketSealed); err != nil {
		return Attempt{}, err
	}
	issuers, err := s.Issuers(ctx, tenant)
	if err != nil {
		return Attempt{}, err
	}
	for _, issuer := range issuers {
		if issuer.ID == row.IssuerID {
			taken.Issuer, taken.Invitation, taken.ReturnTo = issuer, row.Invitation, row.ReturnTo
			return taken, nil
		}
	}
	return Attempt{}, ErrSignIn
}

// Claims is what a verified ID token said, and where.
type Claims struct {
	Issuer, Subject string
	IssuerID        id.Issuer     // the tenant's registration; zero: groups are not looked at
	Invitation      id.Invitation // that the attempt began with; zero: none
	Email           string
	EmailRefused    bool // the issuer says the address is not verified
	Groups          []string
	SignedInAt      time.Time // auth_time, or the token's issue
	Raw             string    // the ID token itself, kept sealed with the session
}

// ErrNotMember reports somebody the issuer knows and the tenant does not.
var ErrNotMember = fault.New(fault.KindForbidden, "not_member", "Your issuer knows you, but you are not a member here. Ask a tenant owner to invite you.")

// Accept opens a session for a verified identity and returns the cookie's value. An
// invited identity becomes a member by it, and groups become roles. An unknown or
// suspended identity or a service account is refused, and the refusal is recorded.
func (s *SignIns) Accept(ctx context.Context, tenant id.Tenant, claims Claims) (secret.Text, error) {
	var cookie secret.Text
	var refused error
	err := s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.LockPeople(); err != nil { // a suspension under way ends this session, too
			return err
		}
		closed := shut(tx)
		if closed != nil && fault.KindOf(closed) != fault.KindForbidden {
			return closed
		}
		row, err := tx.MemberByIdentity(claims.Issuer, claims.Subject)
		invited := fault.KindOf(err) == fault.KindNotFound && !claims.Invitation.IsZero()
		if invited && closed == nil {
			row, err = s.members.join(tx, claims)
		}
		switch {
		case errors.Is(err, ErrInvitation) || errors.Is(err, errInvitedOther):
			refused = err
		case fault.KindOf(err) == fault.KindNotFound || (err == nil && (row.SuspendedAt != nil || row.Kind != memberPerson)):
			// A service account never has a session, because only a person in a session decides.
			refused = ErrNotMember
		case err != nil:
			return err
		}
		if closed != nil && (refused == nil || invited) {
			refused = closed // told to who belongs there, and to nobody else
		}
		if refused != nil { // committed: a refusal is recorded too
			return tx.AppendAudit(auditlog.Record{Action: "sign_in.refused", Actor: "system", Subject: row.MemberID.String(), Detail: map[string]any{"issuer": claims.Issuer}})
		}
		cookie, err = s.open(tx, row, claims, tx.Now.Add(sessionLife), "sign_in.accepted")
		return err
	})
	if err != nil {
		return secret.Text{}, err
	}
	return cookie, refused
}

// open makes a session of a member's, after the groups in the claims have become roles.
func (s *SignIns) open(tx *db.Tx, row db.MemberRow, claims Claims, expires time.Time, action string) (secret.Text, error) {
	if !claims.IssuerID.IsZero() {
		if err := s.members.applyGroups(tx, row, claims); err != nil {
			return secret.Text{}, err
		}
	}
	session := id.NewSession(tx.Now)
	cookie := secret.NewText(tx.Tenant.String() + "." + session.String() + "." + secret.Mint("").Reveal())
	raw, err := json.Marshal(claims)
	if err != nil {
		return secret.Text{}, fmt.Errorf("encode claims: %w", err)
	}
	err = tx.AddSession(db.NewSession{
		ID: session, Member: row.MemberID, Issuer: claims.IssuerID, Token: s.cookies.Current(cookie.Reveal()), ClaimsSealed: s.ring.Seal(purposeClaims, session.String(), raw),
		SignedInAt: claims.SignedInAt, ExpiresAt: expires,
	})
	if err != nil {
		return secret.Text{}, err
	}
	return cookie, tx.AppendAudit(auditlog.Record{Action: action, Actor: row.MemberID.String(), Subject: session.String(), Detail: map[string]any{"issuer": claims.Issuer}})
}

// ErrSession reports a session that is unknown, expired, idle too long or revoked.
var ErrSession = fault.New(fault.KindUnauthenticated, "session_expired", "Please sign in.")

// BySession is the actor behind a session cookie.
func (s *SignIns) BySession(ctx context.Context, cookie secret.Text) (Actor, error) {
	return s.bySession(ctx, cookie, true)
}

// PeekSession is BySession for what a page does by itself: it does not count as use of
// the session, which ends when nobody uses it.
func (s *SignIns) PeekSession(ctx context.Context, cookie secret.Text) (Actor, error) {
	return s.bySession(ctx, cookie, false)
}

func (s *SignIns) bySession(ctx context.Context, cookie secret.Text, use bool) (Actor, error) {
	tenant, session, err := parseCookie(cookie)
	if err != nil {
		return Actor{}, err
	}
	who := Actor{Tenant: tenant, Kind: ActorPerson, Session: session}
	err = s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		row, found, err := tx.LiveSession(session, sessionIdle)
		if err != nil {
			return err
		}
		hash := s.cookies.Current(cookie.Reveal())
		if !found || subtle.ConstantTimeCompare(hash[:], row.TokenHash) != 1 {
			return ErrSession
		}
		who.Member, who.SignedInAt = row.MemberID, row.SignedInAt
		if use && tx.Now.Sub(row.SeenAt) > seeEvery {
			if err := tx.SeeSession(session); err != nil {
				return err
			}
		}
		return s.members.load(tx, &who)
	})
	if fault.KindOf(err) == fault.KindNotFound {
		return Actor{}, ErrSession
	}
	return who, err
}

// End revokes the actor's session.
func (s *SignIns) End(ctx context.Context, who Actor) error {
	return s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.RevokeSession(who.Session); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "session.ended", Actor: who.ID(), Subject: who.Session.String()})
	})
}

func parseCookie(cookie secret.Text) (id.Tenant, id.Session, error) {
	tenantText, rest, _ := strings.Cut(cookie.Reveal(), ".")
	sessionText, _, _ := strings.Cut(rest, ".")
	tenant, err := id.ParseTenant(tenantText)
	if err != nil || tenant.IsZero() {
		return id.Tenant{}, id.Session{}, ErrSession
	}
	session, err := id.ParseSession(sessionText)
	if err != nil {
		return id.Tenant{}, id.Session{}, ErrSession
	}
	return tenant, session, nil
}
