package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// OwnSession is a session as its person sees it.
type OwnSession struct {
	ID        id.Session
	Issuer    string // its name
	StartedAt time.Time
	SeenAt    time.Time // within a minute
	EndsAt    time.Time // at the latest
	Current   bool      // the one that looks
	Live      bool
}

const maxSessions = 100

// Sessions lists the latest sessions of the actor's person, newest first.
func (s *SignIns) Sessions(ctx context.Context, who Actor) ([]OwnSession, error) {
	if who.Kind != ActorPerson {
		return nil, ErrNotAllowed
	}
	var list []OwnSession
	err := s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Sessions(who.Person, maxSessions)
		if err != nil {
			return err
		}
		list = make([]OwnSession, 0, len(rows))
		for _, r := range rows {
			idle := r.SeenAt.Add(sessionIdle)
			v := OwnSession{
				ID: r.SessionID, Issuer: r.Issuer, StartedAt: r.RecordedAt.UTC(), SeenAt: r.SeenAt.UTC(), EndsAt: r.ExpiresAt.UTC(), Current: r.SessionID == who.Session,
				Live: r.RevokedAt == nil && tx.Now.Before(r.ExpiresAt) && tx.Now.Before(idle),
			}
			if r.RevokedAt != nil {
				v.EndsAt = r.RevokedAt.UTC()
			}
			list = append(list, v)
		}
		return nil
	})
	return list, err
}

var errSessionAbsent = fault.New(fault.KindNotFound, "session_absent", "There is no such session of yours.")

// EndSession ends one of the sessions of the actor's person.
func (s *SignIns) EndSession(ctx context.Context, who Actor, session id.Session) error {
	if who.Kind != ActorPerson {
		return ErrNotAllowed
	}
	return s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Sessions(who.Person, maxSessions)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(rows, func(r db.SessionListRow) bool { return r.SessionID == session }) {
			return errSessionAbsent
		}
		if err := tx.RevokeSession(session); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "session.ended", Actor: who.ID(), Subject: session.String()})
	})
}

// EndOthers ends every session of the actor's person but this one.
func (s *SignIns) EndOthers(ctx context.Context, who Actor) error {
	if who.Kind != ActorPerson {
		return ErrNotAllowed
	}
	return s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		accounts, err := tx.Accounts(who.Person)
		if err != nil {
			return err
		}
		var ended int64
		for _, a := range accounts {
			n, err := tx.RevokeSessions(a.MemberID, who.Session)
			if err != nil {
				return err
			}
			ended += n
		}
		return tx.AppendAudit(auditlog.Record{Action: "sessions.ended", Actor: who.ID(), Subject: who.Person.String(), Detail: map[string]any{"sessions": ended}})
	})
}

// Replace ends the session a browser had when a new one was opened in it: a cookie from
// before a sign-in is worth nothing after it.
func (s *SignIns) Replace(ctx context.Context, old secret.Text) error {
	who, err := s.BySession(ctx, old)
	if errors.Is(err, ErrSession) {
		return nil // there was none
	}
	if err != nil && !errors.Is(err, ErrTenantSuspended) && !errors.Is(err, ErrTenantOffboarded) { // a company that is closed keeps nobody from another
		return err
	}
	return s.End(ctx, who)
}

// Elsewhere lists the other companies where the actor's identity is a member.
func (s *SignIns) Elsewhere(ctx context.Context, who Actor) ([]Company, error) {
	if who.Kind != ActorPerson || who.issuer == "" {
		return nil, nil
	}
	rows, err := s.db.Elsewhere(ctx, who.issuer, who.subject, maxCompanies)
	if err != nil {
		return nil, err
	}
	var list []Company
	for _, r := range rows {
		if r.ID != who.Tenant {
			list = append(list, Company{Slug: r.Slug, Name: r.Name})
		}
	}
	return list, nil
}

// ErrSwitch reports a company that wants a sign-in of its own.
var ErrSwitch = fault.New(fault.KindUnauthenticated, "switch_sign_in", "That company wants you to sign in there.")

// ErrNowhere reports a company where the actor's identity is no member.
var ErrNowhere = fault.New(fault.KindNotFound, "tenant_absent", "There is no such company, or it is not yours to see.")

// Switch opens a session in another company for the same identity, without another
// sign-in, where that company uses the same issuer with the same client: then it would
// have asked the same question. The session ends when the first one would have; that
// one ends now. Both companies have a record.
func (s *SignIns) Switch(ctx context.Context, who Actor, slug string) (secret.Text, error) {
	rows, err := s.db.Elsewhere(ctx, who.issuer, who.subject, maxCompanies)
	if err != nil {
		return secret.Text{}, err
	}
	at := slices.IndexFunc(rows, func(r db.ElsewhereRow) bool { return r.Slug == slug && r.ID != who.Tenant })
	if who.Kind != ActorPerson || at < 0 {
		return secret.Text{}, ErrNowhere
	}
	from, err := s.leaving(ctx, who)
	if err != nil {
		return secret.Text{}, err
	}
	var cookie secret.Text
	err = s.db.InTenant(ctx, rows[at].ID, func(tx *db.Tx) error {
		if err := tx.LockPeople(); err != nil {
			return err
		}
		issuers, err := tx.Issuers()
		if err != nil {
			return err
		}
		same := slices.IndexFunc(issuers, func(r db.IssuerRow) bool { return r.URL == from.issuer.URL && r.ClientID == from.issuer.ClientID })
		if same < 0 {
			return ErrSwitch
		}
		row, err := tx.MemberByIdentity(who.issuer, who.subject)
		if err != nil || row.SuspendedAt != nil || row.Kind != memberPerson {
			return ErrNowhere
		}
		if err := shut(tx); err != nil {
			return err
		}
		claims := from.claims
		claims.IssuerID, claims.Invitation = issuers[same].IssuerID, id.Invitation{}
		cookie, err = s.open(tx, row, claims, from.expires, "sign_in.switched")
		return err
	})
	if err != nil {
		return secret.Text{}, err
	}
	return cookie, s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.RevokeSession(who.Session); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "session.left", Actor: who.ID(), Subject: who.Session.String()})
	})
}

// leaving is what a session takes along to another company.
type leaving struct {
	claims  Claims
	issuer  db.IssuerRow
	expires time.Time
}

func (s *SignIns) leaving(ctx context.Context, who Actor) (leaving, error) {
	var from leaving
	err := s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.LiveSession(who.Session, sessionIdle)
		if err != nil || !found {
			return cmp.Or[error](err, ErrSession)
		}
		from.expires = row.ExpiresAt
		issuers, err := tx.Issuers()
		if err != nil {
			return err
		}
		at := slices.IndexFunc(issuers, func(r db.IssuerRow) bool { return r.IssuerID == row.IssuerID })
		if at < 0 {
			return ErrSwitch // signed in before issuers were kept, or by one that is retired
		}
		from.issuer = issuers[at]
		sealed, err := tx.SessionClaims(who.Session)
		if err != nil {
			return err
		}
		plain, err := s.ring.Open(purposeClaims, who.Session.String(), sealed)
		if err != nil {
			return fmt.Errorf("open claims: %w", err)
		}
		if err := json.Unmarshal(plain, &from.claims); err != nil {
			return fmt.Errorf("read claims: %w", err)
		}
		return nil
	})
	return from, err
}
