package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// SetIssuer makes an issuer the tenant's only one, as one change. Setting one that is
// in use already changes nothing.
func (s *SignIns) SetIssuer(ctx context.Context, who Actor, want Issuer, reason string) error {
	if err := s.changes.allowed(who, changeIssuer); err != nil {
		return err
	}
	return s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := foundedMay(tx, who, want); err != nil {
			return err
		}
		rows, err := tx.Issuers()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(rows, func(r db.IssuerRow) bool { return s.same(&r, want) }) {
			return nil
		}
		row := s.issuerRow(tx, want)
		p := proposal{kind: changeIssuer, payload: issuerPayload(&row), reason: reason}
		_, err = s.changes.change(tx, who, p, func(c approval.Change) error {
			// Read again: a change that committed meanwhile may have set another.
			inUse, err := tx.Issuers()
			if err != nil {
				return err
			}
			for _, old := range inUse {
				if err := s.retire(tx, old.IssuerID, c); err != nil {
					return err
				}
			}
			return tx.AddIssuer(row, c.ID)
		})
		return err
	})
}

// same says whether an issuer is set exactly so already.
func (s *SignIns) same(r *db.IssuerRow, want Issuer) bool {
	if r.URL != want.URL || r.ClientID != want.ClientID || r.Domains != strings.Join(want.Domains, " ") {
		return false
	}
	plain, err := s.ring.Open(purposeClient, r.IssuerID.String(), r.ClientSecretSealed)
	return err == nil && string(plain) == want.Secret.Reveal()
}

// retire ends an issuer with its group mappings.
func (s *SignIns) retire(tx *db.Tx, issuer id.Issuer, c approval.Change) error {
	mappings, err := tx.Mappings(issuer, maxMappings)
	if err != nil {
		return err
	}
	for i := range mappings {
		if err := s.members.endMapping(tx, mappings[i].VersionID, c); err != nil {
			return err
		}
	}
	return tx.RetireIssuer(issuer)
}

// Issuers lists the ways to sign in to a tenant.
func (s *SignIns) Issuers(ctx context.Context, tenant id.Tenant) ([]Issuer, error) {
	var list []Issuer
	err := s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		rows, err := tx.Issuers()
		if err != nil {
			return err
		}
		origin, founded, err := tx.Founding()
		if err != nil {
			return err
		}
		for _, r := range rows {
			plain, err := s.ring.Open(purposeClient, r.IssuerID.String(), r.ClientSecretSealed)
			if err != nil {
				return fmt.Errorf("open client secret: %w", err)
			}
			one := Issuer{ID: r.IssuerID, Name: r.Name, URL: r.URL, ClientID: r.ClientID, Secret: secret.NewText(string(plain)), Domains: strings.Fields(r.Domains)}
			if founded && r.IssuerID != origin.IssuerID {
				one.Callback = CallbackOf(tenant)
			}
			if founded && r.IssuerID == origin.IssuerID && s.vouching.same(&one) {
				one.Secret = s.vouching.Secret // as it is now: it may have been replaced since
			}
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

// CallbackOf is what the address ends with where the answers of issuers arrive that a
// founded company set up itself.
func CallbackOf(tenant id.Tenant) string { return tenant.String() }

func (s *SignIns) issuerRow(tx *db.Tx, want Issuer) db.IssuerRow {
	row := db.IssuerRow{IssuerID: id.NewIssuer(tx.Now), Name: want.Name, URL: want.URL, ClientID: want.ClientID, Domains: strings.Join(want.Domains, " ")}
	row.ClientSecretSealed = s.ring.Seal(purposeClient, row.IssuerID.String(), []byte(want.Secret.Reveal()))
	return row
}

func issuerPayload(row *db.IssuerRow) map[string]any {
	return map[string]any{"issuer": row.IssuerID.String(), "url": row.URL, "client_id": row.ClientID, "domains": row.Domains}
}

const (
	maxIssuers     = 20
	maxDomains     = 50
	maxClientBytes = 500
)

var domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// issuerURL says whether an issuer may have a URL: https, or plain http on loopback.
func issuerURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxIdentityBytes || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	return u.Scheme == "https" || (u.Scheme == "http" && loopback)
}

func (want *Issuer) validate() error {
	switch {
	case !issuerURL(want.URL):
		return fault.Invalid("url", "issuer_url", "An issuer is an https URL such as https://login.example.com, exactly as its tokens name it.")
	case strings.TrimSpace(want.Name) == "" || usage.Clip(want.Name, maxNameBytes) != want.Name:
		return fault.Invalid("name", "issuer_name", "An issuer needs a name of 1 to %d bytes: people read it on the button.", maxNameBytes)
	case strings.TrimSpace(want.ClientID) == "" || usage.Clip(want.ClientID, maxClientBytes) != want.ClientID:
		return fault.Invalid("client_id", "issuer_client", "The client id is what the issuer registered Tollbook as, 1 to %d bytes.", maxClientBytes)
	case want.Secret.IsZero() || len(want.Secret.Reveal()) > maxClientBytes:
		return fault.Invalid("client_secret", "issuer_secret", "The client secret has 1 to %d bytes.", maxClientBytes)
	case len(want.Domains) > maxDomains:
		return fault.Invalid("domains", "issuer_domains", "An issuer has at most %d e-mail domains.", maxDomains)
	}
	for _, d := range want.Domains {
		if !domainForm.MatchString(d) || len(d) > maxEmailBytes {
			return fault.Invalid("domains", "issuer_domains", "%.60q is no e-mail domain such as example.com.", d)
		}
	}
	return nil
}

// AddIssuer makes one more way to sign in to a tenant, as one change.
func (s *SignIns) AddIssuer(ctx context.Context, who Actor, want Issuer, reason string) (id.Issuer, error) {
	if err := s.changes.allowed(who, changeIssuer); err != nil {
		return id.Issuer{}, err
	}
	for i, d := range want.Domains {
		want.Domains[i] = strings.ToLower(strings.TrimPrefix(d, "@"))
	}
	if err := want.validate(); err != nil {
		return id.Issuer{}, err
	}
	var made id.Issuer
	err := s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := lockPeople(tx, who); err != nil {
			return err
		}
		if err := foundedMay(tx, who, want); err != nil {
			return err
		}
		rows, err := tx.Issuers()
		if err != nil {
			return err
		}
		switch {
		case len(rows) >= maxIssuers:
			return fault.Invalid("url", "issuers_many", "A company has at most %d issuers.", maxIssuers)
		case slices.ContainsFunc(rows, func(r db.IssuerRow) bool { return r.URL == want.URL && r.ClientID == want.ClientID }):
			return fault.Invalid("url", "issuer_known", "That issuer is set up already with this client. Retire it first.")
		}
		row := s.issuerRow(tx, want)
		made = row.IssuerID
		_, err = s.changes.change(tx, who, proposal{kind: changeIssuer, payload: issuerPayload(&row), reason: reason}, func(c approval.Change) error {
			return tx.AddIssuer(row, c.ID)
		})
		return err
	})
	return made, err
}

// foundedMay refuses an issuer that a company which a person founded may not have: nobody
// vouched that a domain is theirs, and an address is looked for in others' companies by
// its domain; and this process asks whatever address an issuer has. The command line may.
func foundedMay(tx *db.Tx, who Actor, want Issuer) error {
	_, founded, err := tx.Founding()
	switch {
	case err != nil || !founded || who.Kind == ActorCommand:
		return err
	case len(want.Domains) > 0:
		return fault.Invalid("domains", "issuer_domains_unvouched", "A company that signed itself up claims no e-mail domain: people find it by its short name. Whoever runs this installation can vouch for a domain.")
	case !strings.HasPrefix(want.URL, "https://"):
		return fault.Invalid("url", "issuer_url", "An issuer is an https URL such as https://login.example.com, exactly as its tokens name it.")
	}
	return nil
}

// same tells whether an issuer is this one, with this client.
func (want *Issuer) same(other *Issuer) bool {
	return want != nil && want.URL == other.URL && want.ClientID == other.ClientID
}

var (
	errIssuerAbsent = fault.New(fault.KindNotFound, "issuer_absent", "There is no such issuer.")
	errLastIssuer   = fault.New(fault.KindConflict, "last_issuer", "It is the only way to sign in. Set up another one first.")
)

// IssuerList is Issuers for who looks after them.
func (s *SignIns) IssuerList(ctx context.Context, who Actor) ([]Issuer, error) {
	if err := s.members.access.Check(who, "issuer", "read"); err != nil {
		return nil, err
	}
	return s.Issuers(ctx, who.Tenant)
}

// Own is the issuer that the actor's session came from, or the one that is set up for
// their identity where the session's is not known: who can be asked to confirm them.
func (s *SignIns) Own(ctx context.Context, who Actor) (Issuer, error) {
	if who.Kind != ActorPerson {
		return Issuer{}, ErrNoPerson
	}
	var from id.Issuer
	err := s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.LiveSession(who.Session, sessionIdle)
		if err == nil && !found {
			err = ErrSession
		}
		from = row.IssuerID
		return err
	})
	if err != nil {
		return Issuer{}, err
	}
	issuers, err := s.Issuers(ctx, who.Tenant)
	if err != nil {
		return Issuer{}, err
	}
	for _, one := range issuers {
		if one.URL == who.issuer && (from.IsZero() || one.ID == from) {
			return one, nil
		}
	}
	return Issuer{}, ErrDecisionIssuer
}

// Company is a tenant as somebody about to sign in sees it.
type Company struct{ Slug, Name string }

const maxCompanies = 20

// ByEmail lists the companies where addresses of an address's domain sign in.
func (s *SignIns) ByEmail(ctx context.Context, email string) ([]Company, error) {
	at := strings.LastIndexByte(email, '@')
	domain := strings.ToLower(strings.TrimSpace(email[at+1:]))
	if at < 1 || len(email) > maxEmailBytes || !domainForm.MatchString(domain) {
		return nil, fault.Invalid("tenant", "email_syntax", "%.60q is no e-mail address.", email)
	}
	rows, err := s.db.TenantsByDomain(ctx, domain, maxCompanies)
	list := make([]Company, 0, len(rows))
	for _, r := range rows {
		list = append(list, Company{Slug: r.Slug, Name: r.Name})
	}
	return list, err
}
