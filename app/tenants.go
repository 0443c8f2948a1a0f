package app

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/db"
)

// Tenants is the area of tenants and what each cannot do without: a price book, an
// upstream, a suspense node.
type Tenants struct {
	db      *db.DB
	changes *Changes
	nodes   *Nodes
	ring    *secret.Keyring
	now     func() time.Time
	// reach is where requests of companies that people founded may go.
	reach []string
}

// NewTenants makes the area.
func NewTenants(d *db.DB, changes *Changes, nodes *Nodes, ring *secret.Keyring, now func() time.Time) *Tenants {
	t := &Tenants{db: d, changes: changes, nodes: nodes, ring: ring, now: now, reach: []string{ProviderURL}}
	t.govern()
	return t
}

var slugForm = regexp.MustCompile(`^[a-z][a-z0-9-]{1,39}$`)

// founding is a tenant to be made.
type founding struct {
	slug, name string
	from       time.Time
	payload    map[string]any // of its first change, beside the slug
	reason     string
	rule       string // as in a proposal
}

// Create makes a tenant with the vendor's price list as price book 1 and a suspense
// node, both in force from the given instant. The slug is part of every developer's
// configuration and never changes.
func (t *Tenants) Create(ctx context.Context, slug, name string, from time.Time) (id.Tenant, error) {
	tenant := id.NewTenant(t.now())
	err := t.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		return t.found(tx, Command(tenant), founding{slug: slug, name: name, from: from, reason: "tenant created"})
	})
	if err != nil {
		return id.Tenant{}, err
	}
	return tenant, nil
}

// found makes the transaction's tenant, whoever asked for it.
func (t *Tenants) found(tx *db.Tx, who Actor, f founding) error {
	if err := checkSlug(f.slug); err != nil {
		return err
	}
	if f.name == "" || len(f.name) > maxNameBytes {
		return fault.Invalid("name", "name_length", "A name has 1 to %d bytes.", maxNameBytes)
	}
	if err := tx.AddTenant(f.slug, f.name); err != nil {
		if fault.KindOf(err) == fault.KindConflict {
			return errSlugTaken(f.slug)
		}
		return err
	}
	payload := map[string]any{"slug": f.slug}
	maps.Copy(payload, f.payload)
	p := proposal{kind: changeTenant, payload: payload, effective: f.from, reason: f.reason, rule: f.rule}
	if _, err := t.changes.change(tx, who, p, func(approval.Change) error { return nil }); err != nil {
		return err
	}
	if err := keepPseudonyms(tx, t.ring, secret.NewKey()); err != nil {
		return err
	}
	if err := t.applyPrices(tx, who, pricing.VendorList(), "the vendor's list as released"); err != nil {
		return err
	}
	suspense := NewNode{Code: hierarchy.SuspenseCode, Name: "Suspense", Kind: "cost_center", Capitalization: "expense"}
	return t.nodes.create(tx, who, []NewNode{suspense}, f.from, "takes what no rule can place")
}

func checkSlug(slug string) error {
	if !slugForm.MatchString(slug) {
		return fault.Invalid("slug", "slug_syntax", "A slug is 2 to 40 lower-case letters, digits or dashes and starts with a letter; %.60q is not.", slug)
	}
	return nil
}

func errSlugTaken(slug string) error {
	return fault.New(fault.KindConflict, "slug_taken", "A tenant with the slug "+slug+" exists already.")
}

func (t *Tenants) applyPrices(tx *db.Tx, who Actor, document []byte, reason string) error {
	book, err := pricing.Parse(document)
	if err != nil {
		return err
	}
	p := proposal{kind: changePrices, payload: firstPrices(book), reason: reason}
	_, err = t.changes.change(tx, who, p, func(c approval.Change) error {
		_, err := tx.AddPriceVersion(document, book.Digest(), c.ID)
		return err
	})
	return err
}

// BySlug finds a tenant by its name in URLs.
func (t *Tenants) BySlug(ctx context.Context, slug string) (id.Tenant, string, error) {
	if !slugForm.MatchString(slug) {
		return id.Tenant{}, "", db.ErrTenantAbsent
	}
	row, err := t.db.TenantBySlug(ctx, slug)
	return row.ID, row.Name, err
}

// TenantView is a tenant as the installation's operator lists it.
type TenantView struct {
	ID         id.Tenant
	Slug, Name string
	RecordedAt time.Time
	// SuspendedAt is since when it is closed; zero: active.
	SuspendedAt time.Time
	// OffboardedAt is when it was let go for good; zero: it was not.
	OffboardedAt time.Time
}

// List shows every tenant of the installation.
func (t *Tenants) List(ctx context.Context) ([]TenantView, error) {
	var list []TenantView
	err := t.db.InSystem(ctx, "the operator lists tenants", func(tx *db.SystemTx) error {
		rows, err := tx.Tenants()
		for _, r := range rows {
			list = append(list, TenantView{ID: r.ID, Slug: r.Slug, Name: r.Name, RecordedAt: r.RecordedAt, SuspendedAt: orZero(r.SuspendedAt), OffboardedAt: orZero(r.OffboardedAt)})
		}
		return err
	})
	return list, err
}

// Renew gives every tenant what a start has to see to: a pseudonym key, for tenants
// of a release that had none, sealed under the newest master key. Nearly always there
// is nothing to do, and one question tells.
func (t *Tenants) Renew(ctx context.Context) error {
	var rows []db.PseudonymKeyRow
	err := t.db.InSystem(ctx, "a start renews what the master key seals", func(tx *db.SystemTx) error {
		var err error
		rows, err = tx.PseudonymKeys()
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if len(row.KeySealed) > 0 && !t.ring.Stale(row.KeySealed) {
			continue
		}
		if err := t.db.InTenant(ctx, row.TenantID, func(tx *db.Tx) error {
			if err := keepPseudonyms(tx, t.ring, nil); err != nil {
				return err
			}
			return tx.AppendAudit(auditlog.Record{Action: "tenant.pseudonyms_sealed", Actor: string(ActorSystem), Subject: row.TenantID.String(), Detail: map[string]any{"made": len(row.KeySealed) == 0}})
		}); err != nil {
			return fmt.Errorf("renew tenant %s: %w", row.TenantID, err)
		}
	}
	return nil
}

// Name is the name and slug of the actor's tenant.
func (t *Tenants) Name(ctx context.Context, who Actor) (name, slug string, err error) {
	profile, slug, err := t.Profile(ctx, who)
	return profile.Name, slug, err
}

// Profile is what the actor's tenant is called and how it shows time and months.
func (t *Tenants) Profile(ctx context.Context, who Actor) (profile Profile, slug string, err error) {
	err = t.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.TenantRow()
		profile, slug = profileOf(&row), row.Slug
		return err
	})
	return profile, slug, err
}

const (
	purposeUpstream    = "upstream-credential"
	maxURLBytes        = 1000
	maxCredentialBytes = 500
)

// errUpstreamLoop refuses a virtual key as a provider's credential. A gateway takes
// nothing but virtual keys and sends upstream nothing but that credential: with any
// other, a request that comes back to a gateway, this one or another, ends there.
var errUpstreamLoop = fault.Invalid("credential", "upstream_loop", "This is a Tollbook key, and Tollbook is no provider: requests would go round in circles. Name the provider's own address and credential.")

// isVirtualKey tells whether a gateway would look at a credential; spaces around it
// do not survive the way there.
func isVirtualKey(credential string) bool {
	return strings.HasPrefix(strings.TrimSpace(credential), keyPrefix)
}

// checkCredential refuses what cannot be sent as a header, and a key of our own.
func checkCredential(credential secret.Text) error {
	text := credential.Reveal()
	if isVirtualKey(text) {
		return errUpstreamLoop
	}
	unsendable := func(r rune) bool { return r <= ' ' || r > '~' }
	if text == "" || len(text) > maxCredentialBytes || strings.ContainsFunc(text, unsendable) {
		return fault.Invalid("credential", "upstream_credential", "A credential is the provider's API key: 1 to %d characters without spaces.", maxCredentialBytes)
	}
	return nil
}

func checkUpstream(baseURL string) error {
	u, err := url.Parse(baseURL)
	if err != nil || len(baseURL) > maxURLBytes || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fault.Invalid("base_url", "upstream_url", "An upstream is a base URL such as %s, without user, query or fragment.", ProviderURL)
	}
	return nil
}

// SetUpstream sends the tenant's requests to a provider base URL with a credential,
// as one change. Setting what is set already changes nothing.
func (t *Tenants) SetUpstream(ctx context.Context, who Actor, baseURL string, credential secret.Text, reason string) error {
	if err := t.changes.allowed(who, changeUpstream); err != nil {
		return err
	}
	if err := checkUpstream(baseURL); err != nil {
		return err
	}
	if err := checkCredential(credential); err != nil {
		return err
	}
	return t.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := t.reaches(tx, who, baseURL); err != nil {
			return err
		}
		current, sealed, err := tx.UpstreamURL()
		if err != nil {
			return err
		}
		if current == baseURL {
			plain, err := t.ring.Open(purposeUpstream, who.Tenant.String(), sealed)
			if err == nil && string(plain) == credential.Reveal() {
				return nil
			}
		}
		return t.setUpstream(tx, who, baseURL, credential, reason)
	})
}

// ProviderURL is the provider's own address.
const ProviderURL = "https://api.anthropic.com"

// Reach lists the addresses that requests of the actor's company may go to; nil is any.
// A company that a person founded has a list: a gateway asks whatever address is set, and
// a stranger may not have it ask inside the installation's own network.
func (t *Tenants) Reach(ctx context.Context, who Actor) ([]string, error) {
	var list []string
	err := t.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		_, founded, err := tx.Founding()
		if founded {
			list = slices.Clone(t.reach)
		}
		return err
	})
	return list, err
}

// reaches refuses an address that a company may not have. The command line may set any.
func (t *Tenants) reaches(tx *db.Tx, who Actor, baseURL string) error {
	_, founded, err := tx.Founding()
	if err != nil || !founded || who.Kind == ActorCommand || slices.Contains(t.reach, baseURL) {
		return err
	}
	return fault.Invalid("base_url", "upstream_reach", "A company that signed itself up sends its requests to %s. Whoever runs this installation can set another address.", strings.Join(t.reach, " or "))
}

func (t *Tenants) setUpstream(tx *db.Tx, who Actor, baseURL string, credential secret.Text, reason string) error {
	p := proposal{kind: changeUpstream, payload: map[string]any{"base_url": baseURL}, reason: reason}
	_, err := t.changes.change(tx, who, p, func(c approval.Change) error {
		sealed := t.ring.Seal(purposeUpstream, who.Tenant.String(), []byte(credential.Reveal()))
		return tx.SetUpstream(id.NewVersion(tx.Now), baseURL, sealed, c.EffectiveFrom, c.ID)
	})
	return err
}
