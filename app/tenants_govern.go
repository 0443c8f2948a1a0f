package app

import (
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// govern tells the funnel of the changes of where a company's requests go.
func (t *Tenants) govern() {
	t.changes.govern(changeUpstream, governed{checks: "finance", lock: (*db.Tx).LockUpstream, draft: t.draftUpstream, apply: t.applyUpstream, impact: t.upstreamImpact})
}

// upstreamAsk is what a maker sends of a provider; without an address the one in use stays.
type upstreamAsk struct {
	BaseURL    string `json:"base_url,omitempty"`
	Credential string `json:"credential"` // sealed before anything is kept
}

type upstreamDocument struct {
	BaseURL string `json:"base_url"`
}

// AskUpstream is the proposal of a provider's address and credential; without an address
// only the credential is replaced.
func AskUpstream(baseURL string, credential secret.Text, reason string) Ask {
	return ask(changeUpstream, reason, upstreamAsk{BaseURL: baseURL, Credential: credential.Reveal()})
}

func (t *Tenants) draftUpstream(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked upstreamAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	credential := secret.NewText(asked.Credential)
	current, sealed, err := tx.UpstreamURL()
	if err != nil {
		return draft{}, err
	}
	if asked.BaseURL == "" {
		if asked.BaseURL = current; current == "" {
			return draft{}, fault.Invalid("credential", "upstream_missing", "No provider is set up yet: name its address with the credential.")
		}
	}
	if err := checkUpstream(asked.BaseURL); err != nil {
		return draft{}, err
	}
	if err := checkCredential(credential); err != nil {
		return draft{}, err
	}
	if err := t.reaches(tx, who, asked.BaseURL); err != nil {
		return draft{}, err
	}
	if current == asked.BaseURL {
		if plain, err := t.ring.Open(purposeUpstream, who.Tenant.String(), sealed); err == nil && string(plain) == credential.Reveal() {
			return draft{}, fault.Invalid("credential", "upstream_same", "That is the credential in use.")
		}
	}
	fresh := t.ring.Seal(purposeUpstream, who.Tenant.String(), []byte(credential.Reveal()))
	return draft{
		payload: upstreamDocument{BaseURL: asked.BaseURL},
		store:   func(tx *db.Tx, c approval.Change) error { return tx.KeepSealed(c.ID, fresh) },
	}, nil
}

func (t *Tenants) applyUpstream(tx *db.Tx, c approval.Change) error {
	var p upstreamDocument
	if err := stored(c, &p); err != nil {
		return err
	}
	sealed, err := tx.KeptDocument(c.ID)
	if err != nil {
		return err
	}
	if _, err := t.ring.Open(purposeUpstream, tx.Tenant.String(), sealed); err != nil {
		return fmt.Errorf("open credential of %s: %w", c.ID, err)
	}
	return tx.SetUpstream(id.NewVersion(tx.Now), p.BaseURL, sealed, later(c.EffectiveFrom, tx.Now), c.ID)
}

func (t *Tenants) upstreamImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p upstreamDocument
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	current, _, err := tx.UpstreamURL()
	if current == p.BaseURL {
		return approval.Impact{Sentence: fmt.Sprintf("Requests still go to %s, with another credential.", p.BaseURL)}, err
	}
	return approval.Impact{Sentence: fmt.Sprintf("Requests go to %s instead of %s.", p.BaseURL, orNothing(current))}, err
}

func orNothing(text string) string {
	if text == "" {
		return "nowhere"
	}
	return text
}
