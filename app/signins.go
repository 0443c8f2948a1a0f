package app

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tollbook/app/approval"
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
}

// NewSignIns makes the area.
func NewSignIns(d *db.DB, changes *Changes, members *Members, ring *secret.Keyring) *SignIns {
	return &SignIns{db: d, changes: changes, members: members, ring: ring, states: ring.Hasher("sign-in"), cookies: ring.Hasher("session")}
}

// Issuer is one way to sign in to a tenant.
type Issuer struct {
	ID       id.Issuer
	Name     string
	URL      string
	ClientID string
	Secret   secret.Text
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

// SetIssuer makes an issuer the tenant's only one, as one change. Setting what is
// set already changes nothing.
func (s *SignIns) SetIssuer(ctx context.Context, who Actor, want Issuer, reason string) error {
	if err := s.changes.allowed(who, changeIssuer); err != nil {
		return err
	}
	return s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Issuers()
		if err != nil {
			return err
		}
		if len(rows) == 1 && rows[0].URL == want.URL && rows[0].ClientID == want.ClientID {
			plain, err := s.ring.Open(purposeClient, rows[0].IssuerID.String(), rows[0].ClientSecretSealed)
			if err == nil && string(plain) == want.Secret.Reveal() {
				return nil
			}
		}
		row := db.IssuerRow{IssuerID: id.NewIssuer(tx.Now), Name: want.Name, URL: want.URL, ClientID: want.ClientID}
		row.ClientSecretSealed = s.ring.Seal(purposeClient, row.IssuerID.String(), []byte(want.Secret.Reveal()))
		p := proposal{kind: changeIssuer, payload: map[string]any{"issuer": row.IssuerID.String(), "url": want.URL, "client_id": want.ClientID}, reason: reason}
		_, err = s.changes.change(tx, who, p, func(c approval.Change) error {
			// Read again: a change that committed meanwhile may have set another.
			inUse, err := tx.Issuers()
			if err != nil {
				return err
			}
			for _, old := range inUse {
				if err := tx.RetireIssuer(old.IssuerID); err != nil {
					return err
				}
			}
			return tx.AddIssuer(row, c.ID)
		})
		return err
	})
}

// Issuers lists the ways to sign in to a tenant.
func (s *SignIns) Issuers(ctx context.Context, tenant id.Tenant) ([]Issuer, error) {
	var list []Issuer
	err := s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		rows, err := tx.Issuers()
		if err != nil {
			return err
		}
		for _, r := range rows {
			plain, err := s.ring.Open(purposeClient, r.IssuerID.String(), r.ClientSecretSealed)
			if err != nil {
				return fmt.Errorf("open client secret: %w", err)
			}
			list = append(list, Issuer{ID: r.IssuerID, Name: r.Name, URL: r.URL, ClientID: r.ClientID, Secret: secret.NewText(string(plain))})
		}
		return nil
	})
	return list, err
}

// Begin stores an attempt to sign in and returns the state that comes back from the
// issuer. The ticket (verifier, nonce) is sealed.
func (s *SignIns) Begin(ctx context.Context, tenant id.Tenant, issuer id.Issuer, makeTicket func(state string) ([]byte, error), returnTo string) error {
	return s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		signIn := id.NewSignIn(tx.Now)
		state := signIn.String() + "." + tenant.String() + "." + secret.Mint("").Reveal()
		ticket, err := makeTicket(state)
		if err != nil {
			return err
		}
		return tx.AddSignIn(signIn, issuer, s.states.Current(state), s.ring.Seal(purposeTicket, signIn.String(), ticket), returnTo, tx.Now.Add(signInLife))
	})
}

// ErrSignIn reports an attempt that is unknown, used or too old.
var ErrSignIn = fault.New(fault.KindUnauthenticated, "sign_in_expired", "This sign-in has expired or was used already. Start again.")

// Attempt is one attempt to sign in, taken.
type Attempt struct {
	Tenant   id.Tenant
	Issuer   Issuer
	Ticket   []byte
	ReturnTo string
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
			taken.Issuer, taken.ReturnTo = issuer, row.ReturnTo
			return taken, nil
		}
	}
	return Attempt{}, ErrSignIn
}

// Claims is what a verified ID token said.
type Claims struct {
	Issuer, Subject string
	SignedInAt      time.Time // auth_time, or the token's issue
	Raw             string    // the ID token itself, kept sealed with the session
}

// ErrNotMember reports somebody the issuer knows and the tenant does not.
var ErrNotMember = fault.New(fault.KindForbidden, "not_member", "Your issuer knows you, but you are not a member here. Ask a tenant owner to invite you.")

// Accept opens a session for a verified identity and returns the cookie's value.
// An unknown or suspended identity or a service account is refused, and the refusal is
// recorded.
func (s *SignIns) Accept(ctx context.Context, tenant id.Tenant, claims Claims) (secret.Text, error) {
	var cookie secret.Text
	var refused error
	err := s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		row, err := tx.MemberByIdentity(claims.Issuer, claims.Subject)
		if fault.KindOf(err) == fault.KindNotFound || (err == nil && (row.SuspendedAt != nil || row.Kind != memberPerson)) {
			// Committed: a refusal is recorded too. A service account never has a session,
			// because only a person in a session decides.
			refused = ErrNotMember
			return tx.AppendAudit(auditlog.Record{Action: "sign_in.refused", Actor: "system", Subject: row.MemberID.String(), Detail: map[string]any{"issuer": claims.Issuer}})
		}
		if err != nil {
			return err
		}
		session := id.NewSession(tx.Now)
		cookie = secret.NewText(tenant.String() + "." + session.String() + "." + secret.Mint("").Reveal())
		raw, err := json.Marshal(claims)
		if err != nil {
			return fmt.Errorf("encode claims: %w", err)
		}
		if err := tx.AddSession(session, row.MemberID, s.cookies.Current(cookie.Reveal()), s.ring.Seal(purposeClaims, session.String(), raw),
			claims.SignedInAt, tx.Now.Add(sessionLife)); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "sign_in.accepted", Actor: row.MemberID.String(), Subject: session.String(), Detail: map[string]any{"issuer": claims.Issuer}})
	})
	if err != nil {
		return secret.Text{}, err
	}
	return cookie, refused
}

// ErrSession reports a session that is unknown, expired, idle too long or revoked.
var ErrSession = fault.New(fault.KindUnauthenticated, "session_expired", "Please sign in.")

// BySession is the actor behind a session cookie.
func (s *SignIns) BySession(ctx context.Context, cookie secret.Text) (Actor, error) {
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
		if tx.Now.Sub(row.SeenAt) > seeEvery {
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
