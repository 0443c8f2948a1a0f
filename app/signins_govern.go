package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// govern tells the funnel of the changes of issuers: whoever names an issuer says who
// everybody is, so that two persons are always needed (DESIGN 7).
func (s *SignIns) govern() {
	s.changes.govern(changeIssuer, governed{checks: "access", floor: approval.FloorPair, lock: (*db.Tx).LockPeople, draft: s.draftIssuer, apply: s.applyIssuer, impact: s.issuerImpact})
	s.changes.govern(changeIssuerEnd, governed{checks: "access", floor: approval.FloorPair, lock: (*db.Tx).LockPeople, draft: s.draftIssuerEnd, apply: s.applyIssuerEnd, impact: s.issuerEndImpact})
}

// issuerAsk is what a maker sends of an issuer.
type issuerAsk struct {
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	ClientID string   `json:"client_id"`
	Secret   string   `json:"client_secret"` // sealed before anything is kept
	Domains  []string `json:"domains,omitempty"`
}

// issuerDocument is what a change of an issuer says; its client secret is kept sealed beside.
type issuerDocument struct {
	Issuer   id.Issuer `json:"issuer"`
	Name     string    `json:"name"`
	URL      string    `json:"url"`
	ClientID string    `json:"client_id"`
	Domains  string    `json:"domains"`
}

// AskIssuer is the proposal of one more way to sign in.
func AskIssuer(want Issuer, reason string) Ask {
	return ask(changeIssuer, reason, issuerAsk{Name: want.Name, URL: want.URL, ClientID: want.ClientID, Secret: want.Secret.Reveal(), Domains: want.Domains})
}

func (s *SignIns) draftIssuer(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked issuerAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	want := Issuer{Name: asked.Name, URL: asked.URL, ClientID: asked.ClientID, Secret: secret.NewText(asked.Secret)}
	for _, d := range asked.Domains {
		want.Domains = append(want.Domains, strings.ToLower(strings.TrimPrefix(d, "@")))
	}
	if err := want.validate(); err != nil {
		return draft{}, err
	}
	if err := lockPeople(tx, who); err != nil {
		return draft{}, err
	}
	if err := foundedMay(tx, who, want); err != nil {
		return draft{}, err
	}
	if err := issuerFits(tx, want.URL, want.ClientID); err != nil {
		return draft{}, err
	}
	row := s.issuerRow(tx, want)
	return draft{
		payload: issuerDocument{Issuer: row.IssuerID, Name: row.Name, URL: row.URL, ClientID: row.ClientID, Domains: row.Domains},
		store:   func(tx *db.Tx, c approval.Change) error { return tx.KeepSealed(c.ID, row.ClientSecretSealed) },
	}, nil
}

// issuerFits refuses one issuer too many, and one that is there.
func issuerFits(tx *db.Tx, url, client string) error {
	rows, err := tx.Issuers()
	switch {
	case err != nil:
		return err
	case len(rows) >= maxIssuers:
		return fault.Invalid("url", "issuers_many", "A company has at most %d issuers.", maxIssuers)
	case slices.ContainsFunc(rows, func(r db.IssuerRow) bool { return r.URL == url && r.ClientID == client }):
		return fault.Invalid("url", "issuer_known", "That issuer is set up already with this client. Retire it first.")
	}
	return nil
}

func (s *SignIns) applyIssuer(tx *db.Tx, c approval.Change) error {
	var p issuerDocument
	if err := stored(c, &p); err != nil {
		return err
	}
	if err := issuerFits(tx, p.URL, p.ClientID); err != nil {
		return err
	}
	sealed, err := tx.KeptDocument(c.ID)
	if err != nil {
		return err
	}
	if _, err := s.ring.Open(purposeClient, p.Issuer.String(), sealed); err != nil {
		return fmt.Errorf("open client secret of %s: %w", c.ID, err)
	}
	return tx.AddIssuer(db.IssuerRow{IssuerID: p.Issuer, Name: p.Name, URL: p.URL, ClientID: p.ClientID, ClientSecretSealed: sealed, Domains: p.Domains}, c.ID)
}

func (s *SignIns) issuerImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var p issuerDocument
	err := stored(c, &p)
	sentence := fmt.Sprintf("Whoever %s vouches for can be a member here: it says who they are.", p.URL)
	if p.Domains != "" {
		sentence += " Addresses at " + p.Domains + " lead here."
	}
	return approval.Impact{Sentence: sentence}, err
}

type issuerEnd struct {
	Issuer id.Issuer `json:"issuer"`
}

// AskIssuerEnd is the proposal that a way to sign in ends, with its group mappings.
func AskIssuerEnd(issuer id.Issuer, reason string) Ask {
	return ask(changeIssuerEnd, reason, issuerEnd{issuer})
}

func (s *SignIns) draftIssuerEnd(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked issuerEnd
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if err := lockPeople(tx, who); err != nil {
		return draft{}, err
	}
	_, err := issuerToEnd(tx, asked.Issuer)
	return draft{payload: asked}, err
}

// issuerToEnd finds an issuer that can end: not the only way to sign in.
func issuerToEnd(tx *db.Tx, issuer id.Issuer) (db.IssuerRow, error) {
	rows, err := tx.Issuers()
	if err != nil {
		return db.IssuerRow{}, err
	}
	for i := range rows {
		if rows[i].IssuerID == issuer {
			if len(rows) == 1 {
				return rows[i], errLastIssuer
			}
			return rows[i], nil
		}
	}
	return db.IssuerRow{}, errIssuerAbsent
}

func (s *SignIns) applyIssuerEnd(tx *db.Tx, c approval.Change) error {
	var p issuerEnd
	if err := stored(c, &p); err != nil {
		return err
	}
	if _, err := issuerToEnd(tx, p.Issuer); err != nil {
		return err
	}
	keep, err := keepOwner(tx, onBehalf(tx, c))
	if err != nil {
		return err
	}
	if err := s.retire(tx, p.Issuer, c); err != nil {
		return err
	}
	return keep()
}

func (s *SignIns) issuerEndImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p issuerEnd
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	row, err := issuerToEnd(tx, p.Issuer)
	if err != nil {
		return approval.Impact{}, err
	}
	mappings, err := tx.Mappings(p.Issuer, maxMappings)
	return approval.Impact{Sentence: fmt.Sprintf("Nobody signs in with %s (%s) any more; group mappings that end with it: %d.", row.Name, row.URL, len(mappings))}, err
}
