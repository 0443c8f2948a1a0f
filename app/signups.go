package app

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
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

// SignUps is the area of companies that people found for themselves, where whoever runs
// the installation allows it (docs/adr/017).
type SignUps struct {
	db      *db.DB
	changes *Changes
	tenants *Tenants
	members *Members
	signIns *SignIns
	ring    *secret.Keyring
	states  *secret.Hasher
	tokens  *secret.Hasher
	rules   *SignUpRules
}

// NewSignUps makes the area; without rules nobody signs up. From then on companies that
// people founded know the issuer's client secret as the rules have it, and send their
// requests where the rules let them.
func NewSignUps(d *db.DB, changes *Changes, tenants *Tenants, members *Members, signIns *SignIns, ring *secret.Keyring, rules *SignUpRules) *SignUps {
	s := &SignUps{
		db: d, changes: changes, tenants: tenants, members: members, signIns: signIns, ring: ring,
		states: ring.Hasher("sign-up"), tokens: ring.Hasher("sign-up-token"), rules: rules,
	}
	if rules != nil {
		signIns.vouching, tenants.reach = &rules.Issuer, rules.Upstreams
	}
	return s
}

// SignUpRules is what whoever runs the installation allows.
type SignUpRules struct {
	// Issuer vouches for people who have no company yet. It has no domains: it leads nobody
	// to a company.
	Issuer Issuer
	// Domains are those of the e-mail addresses that may; empty: any the issuer verified.
	Domains []string
	// Upstreams are where requests of companies founded so may go.
	Upstreams []string
	// PerPerson and PerDay bound the companies that one identity founds, ever, and all of
	// them in a UTC day.
	PerPerson, PerDay int
}

// Bounds of sign-up rules, and what they are unless something else is said.
const (
	SignUpPerPerson = 3
	SignUpPerDay    = 50
	maxSignUpBound  = 1_000_000
	maxUpstreams    = 20
)

// Validate refuses rules that cannot be followed; the fault's field is the part at fault.
func (r *SignUpRules) Validate() error {
	if err := r.Issuer.validate(); err != nil {
		return err
	}
	if len(r.Domains) > maxDomains {
		return fault.Invalid("allowed_domains", "sign_up_domains", "There are at most %d e-mail domains.", maxDomains)
	}
	for _, d := range r.Domains {
		if !domainForm.MatchString(d) {
			return fault.Invalid("allowed_domains", "sign_up_domains", "%.60q is no e-mail domain such as example.com.", d)
		}
	}
	if len(r.Upstreams) == 0 || len(r.Upstreams) > maxUpstreams {
		return fault.Invalid("upstreams", "sign_up_upstreams", "There are 1 to %d addresses.", maxUpstreams)
	}
	for _, u := range r.Upstreams {
		if err := checkUpstream(u); err != nil {
			return fault.Invalid("upstreams", "sign_up_upstreams", "%.100q is no base URL such as %s.", u, ProviderURL)
		}
	}
	for field, bound := range map[string]int{"per_person": r.PerPerson, "per_day": r.PerDay} {
		if bound < 1 || bound > maxSignUpBound {
			return fault.Invalid(field, "sign_up_bound", "It is a whole number from 1 to %d.", maxSignUpBound)
		}
	}
	return nil
}

// Allowed tells whether people may sign up.
func (s *SignUps) Allowed() bool { return s != nil && s.rules != nil }

// Issuer is the issuer that vouches for people.
func (s *SignUps) Issuer() Issuer { return s.rules.Issuer }

// Domains are those of the addresses that may sign up; empty: any.
func (s *SignUps) Domains() []string { return slices.Clone(s.rules.Domains) }

const (
	signUpLife          = 30 * time.Minute // of the form, once the issuer has vouched
	signUpPrefix        = "sup_"
	purposeSignUp       = "sign-up-ticket"
	purposeSignUpClaims = "sign-up-claims"
)

// IsSignUp tells whether a state that came back from an issuer is a sign-up's.
func IsSignUp(state string) bool { return strings.HasPrefix(state, signUpPrefix) }

// ErrSignUp reports an attempt to sign up that is unknown, used or too old.
var ErrSignUp = fault.New(fault.KindUnauthenticated, "sign_up_expired", "This sign-up has expired or was used already. Start again.")

// ErrFounded reports a form that founded its company already: it was sent twice.
var ErrFounded = fault.New(fault.KindConflict, "sign_up_founded", "Your company is founded already. Sign in to it by its short name.")

// Begin stores an attempt to sign up. The ticket (verifier, nonce) is sealed.
func (s *SignUps) Begin(ctx context.Context, makeTicket func(state string) ([]byte, error)) error {
	signUp := id.NewSignUp(s.tenants.now())
	state := signUp.String() + "." + secret.Mint("").Reveal()
	ticket, err := makeTicket(state)
	if err != nil {
		return err
	}
	return s.db.AddSignUp(ctx, signUp, s.states.Current(state), s.ring.Seal(purposeSignUp, signUp.String(), ticket), signInLife)
}

// Take uses an attempt up by the state that came back. A wrong guess uses it up, too.
func (s *SignUps) Take(ctx context.Context, state string) (id.SignUp, []byte, error) {
	signUp, err := parseSignUp(state)
	if err != nil {
		return id.SignUp{}, nil, err
	}
	row, found, err := s.db.TakeSignUp(ctx, signUp)
	if err != nil {
		return id.SignUp{}, nil, err
	}
	hash := s.states.Current(state)
	if !found || subtle.ConstantTimeCompare(hash[:], row.StateHash) != 1 {
		return id.SignUp{}, nil, ErrSignUp
	}
	ticket, err := s.ring.Open(purposeSignUp, signUp.String(), row.TicketSealed)
	return signUp, ticket, err
}

func parseSignUp(text string) (id.SignUp, error) {
	before, _, ok := strings.Cut(text, ".")
	signUp, err := id.ParseSignUp(before)
	if !ok || err != nil || signUp.IsZero() || !IsSignUp(text) {
		return id.SignUp{}, ErrSignUp
	}
	return signUp, nil
}

// Vouched is whom the issuer vouched for: what a verified ID token said.
type Vouched struct {
	Subject, Name, Email string
	EmailVerified        bool // the token says so in as many words
	SignedInAt           time.Time
	Raw                  string // the ID token itself
}

var (
	errEmailUnverified = fault.New(fault.KindForbidden, "email_unverified", "Your identity provider does not say that your e-mail address is verified. Verify it there, then start again.")
	errEmailDomain     = fault.New(fault.KindForbidden, "email_domain", "Companies are founded here with addresses of other domains than yours. Ask whoever runs this installation.")
)

// Vouch keeps whom the issuer vouched for while they fill in the form, and returns what
// their browser shows for it. Somebody who may not found a company is told so at once.
func (s *SignUps) Vouch(ctx context.Context, signUp id.SignUp, who Vouched) (secret.Text, error) {
	who.Email = strings.TrimSpace(who.Email)
	at := strings.LastIndexByte(who.Email, '@')
	switch {
	case who.Subject == "" || usage.Clip(who.Subject, maxIdentityBytes) != who.Subject:
		return secret.Text{}, ErrSignUp
	case !who.EmailVerified || at < 1 || len(who.Email) > maxEmailBytes || !domainForm.MatchString(strings.ToLower(who.Email[at+1:])):
		return secret.Text{}, errEmailUnverified
	case len(s.rules.Domains) > 0 && !slices.Contains(s.rules.Domains, strings.ToLower(who.Email[at+1:])):
		return secret.Text{}, errEmailDomain
	}
	if err := s.room(ctx, who.Subject); err != nil {
		return secret.Text{}, err
	}
	raw, err := json.Marshal(who)
	if err != nil {
		return secret.Text{}, fmt.Errorf("encode claims: %w", err)
	}
	token := secret.NewText(signUp.String() + "." + secret.Mint("").Reveal())
	return token, s.db.VouchSignUp(ctx, signUp, s.ring.Seal(purposeSignUpClaims, signUp.String(), raw), s.tokens.Current(token.Reveal()), signUpLife)
}

// room refuses one company too many.
func (s *SignUps) room(ctx context.Context, subject string) error {
	today := s.tenants.now().UTC().Truncate(24 * time.Hour)
	own, all, err := s.db.Foundings(ctx, s.rules.Issuer.URL, subject, today)
	switch {
	case err != nil:
		return err
	case own >= s.rules.PerPerson:
		return fault.New(fault.KindLimited, "sign_up_person_limit",
			fmt.Sprintf("You have founded as many companies here as one person may (%d). Use one of them, or ask whoever runs this installation for another.", s.rules.PerPerson))
	case all >= s.rules.PerDay:
		return fault.New(fault.KindLimited, "sign_up_day_limit",
			fmt.Sprintf("As many companies as may be founded here in a day (%d) have been today. Come back after midnight UTC, or ask whoever runs this installation to make yours.", s.rules.PerDay))
	}
	return nil
}

// Founder is whom the issuer vouched for by what their browser shows.
func (s *SignUps) Founder(ctx context.Context, token secret.Text) (Vouched, error) {
	_, who, err := s.vouched(ctx, token)
	return who, err
}

func (s *SignUps) vouched(ctx context.Context, token secret.Text) (id.SignUp, Vouched, error) {
	signUp, err := parseSignUp(token.Reveal())
	if err != nil {
		return id.SignUp{}, Vouched{}, err
	}
	row, found, err := s.db.SignUp(ctx, signUp)
	if err != nil {
		return id.SignUp{}, Vouched{}, err
	}
	hash := s.tokens.Current(token.Reveal())
	if !found || subtle.ConstantTimeCompare(hash[:], row.TokenHash) != 1 {
		return id.SignUp{}, Vouched{}, ErrSignUp
	}
	if row.Founded {
		return id.SignUp{}, Vouched{}, ErrFounded
	}
	plain, err := s.ring.Open(purposeSignUpClaims, signUp.String(), row.ClaimsSealed)
	if err != nil {
		return id.SignUp{}, Vouched{}, err
	}
	var who Vouched
	if err := json.Unmarshal(plain, &who); err != nil {
		return id.SignUp{}, Vouched{}, fmt.Errorf("read claims: %w", err)
	}
	return signUp, who, nil
}

// NewCompany is a company to be founded.
type NewCompany struct{ Name, Slug, TimeZone string }

// reserved are slugs that mean something else in an address, or would pass for the
// installation's own voice.
func reserved(slug string) bool {
	return slices.Contains([]string{"admin", "anthropic", "api", "billing", "callback", "claude", "help", "operator", "security", "sign-in", "sign-up", "status", "support", "tollbook"}, slug)
}

func (want NewCompany) validate() error {
	if err := (Profile{Name: want.Name, TimeZone: want.TimeZone, FiscalMonth: time.January}).validate(); err != nil {
		return err
	}
	if err := checkSlug(want.Slug); err != nil {
		return fault.Invalid("slug", "slug_syntax", "A short name is 2 to 40 lower-case letters, digits or dashes and starts with a letter.")
	}
	if reserved(want.Slug) {
		return errShortTaken(want.Slug)
	}
	return nil
}

func errShortTaken(slug string) error {
	return fault.Invalid("slug", "slug_taken", "The short name %q is taken. Choose another.", slug)
}

// FounderRoles are what a founder is: enough to set the company up and to invite others,
// and nothing that approves (docs/adr/017).
func FounderRoles() []Role { return []Role{RoleTenantOwner, RoleEngineeringAdmin} }

// Found makes a company of the one the issuer vouched for, in one commit: the company as
// the operator would make it, the issuer so that they can sign in again, the founder as
// its first member, and a session of theirs. The token founds once.
func (s *SignUps) Found(ctx context.Context, token secret.Text, want NewCompany) (secret.Text, error) {
	signUp, who, err := s.vouched(ctx, token)
	if err != nil {
		return secret.Text{}, err
	}
	want.Name = strings.TrimSpace(want.Name)
	if err := want.validate(); err != nil {
		return secret.Text{}, err
	}
	tenant := id.NewTenant(s.tenants.now())
	var cookie secret.Text
	err = s.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.LockFoundings(); err != nil { // so that nobody founds between counting and founding
			return err
		}
		used, err := tx.UseSignUp(signUp)
		if err != nil {
			return err
		}
		if !used {
			return ErrFounded
		}
		if err := s.room(ctx, who.Subject); err != nil {
			return err
		}
		cookie, err = s.found(tx, who, want)
		return err
	})
	switch {
	case err == nil:
		return cookie, nil
	case fault.From(err).Code == "slug_taken":
		err = errShortTaken(want.Slug)
	}
	return secret.Text{}, err
}

func (s *SignUps) found(tx *db.Tx, who Vouched, want NewCompany) (secret.Text, error) {
	product := System(tx.Tenant)
	member, person := id.NewMember(tx.Now), id.NewPerson(tx.Now)
	issuer := s.signIns.issuerRow(tx, s.rules.Issuer)
	origin := map[string]any{"founder": member.String(), "issuer": issuer.IssuerID.String(), "issuer_url": issuer.URL}
	const reason = "signed up"
	err := s.tenants.found(tx, product, founding{slug: want.Slug, name: want.Name, from: tx.Now, payload: origin, reason: reason, rule: approval.RuleSignUp})
	if err != nil {
		return secret.Text{}, err
	}
	_, err = s.changes.change(tx, product, proposal{kind: changeIssuer, payload: issuerPayload(&issuer), reason: reason, rule: approval.RuleSignUp}, func(c approval.Change) error {
		return tx.AddIssuer(issuer, c.ID)
	})
	if err != nil {
		return secret.Text{}, err
	}
	payload := map[string]any{"member": member.String(), "person": person.String(), "kind": memberPerson, "roles": FounderRoles(), "issuer": issuer.IssuerID.String()}
	_, err = s.changes.change(tx, product, proposal{kind: changeMember, payload: payload, reason: reason, rule: approval.RuleSignUp}, func(c approval.Change) error {
		return s.admit(tx, who, db.FoundingRow{MemberID: member, IssuerID: issuer.IssuerID, Issuer: issuer.URL, Subject: who.Subject, ChangeID: c.ID}, person, c)
	})
	if err != nil {
		return secret.Text{}, err
	}
	if want.TimeZone != "UTC" {
		if err := s.show(tx, want, member); err != nil {
			return secret.Text{}, err
		}
	}
	row, err := tx.Member(member)
	if err != nil {
		return secret.Text{}, err
	}
	claims := Claims{Issuer: issuer.URL, Subject: who.Subject, IssuerID: issuer.IssuerID, Email: who.Email, SignedInAt: who.SignedInAt, Raw: who.Raw}
	return s.signIns.open(tx, row, claims, tx.Now.Add(sessionLife), "sign_in.accepted")
}

// admit makes the founder the first member.
func (s *SignUps) admit(tx *db.Tx, who Vouched, origin db.FoundingRow, person id.Person, c approval.Change) error {
	want := NewMember{Issuer: origin.Issuer, Subject: origin.Subject, Name: founderName(who), Email: who.Email}
	if err := s.members.addPerson(tx, person, want); err != nil {
		return err
	}
	if err := tx.AddMember(origin.MemberID, person, memberPerson, want.Issuer, want.Subject); err != nil {
		return err
	}
	for _, role := range FounderRoles() {
		if err := tx.GrantRole(db.NewGrant{Version: id.NewVersion(tx.Now), Member: origin.MemberID, Role: string(role), From: c.EffectiveFrom, Change: c.ID}); err != nil {
			return err
		}
	}
	return tx.AddFounding(&origin)
}

// founderName is what the issuer calls somebody, else how their address begins.
func founderName(who Vouched) string {
	name := strings.TrimSpace(usage.Clip(who.Name, maxNameBytes))
	if name == "" {
		name, _, _ = strings.Cut(who.Email, "@")
	}
	return name
}

// show gives the company the time zone its founder chose, as the founder's own change.
func (s *SignUps) show(tx *db.Tx, want NewCompany, member id.Member) error {
	founder := Actor{Tenant: tx.Tenant, Kind: ActorPerson, Member: member}
	for _, role := range FounderRoles() {
		founder.Grants = append(founder.Grants, Grant{Role: role})
	}
	payload := map[string]any{"name": want.Name, "time_zone": want.TimeZone, "fiscal_month": int(time.January)}
	_, err := s.changes.change(tx, founder, proposal{kind: changeProfile, payload: payload, reason: "signed up"}, func(c approval.Change) error {
		return tx.SetProfile(&db.ProfileRow{
			VersionID: id.NewVersion(tx.Now), Name: want.Name, TimeZone: want.TimeZone, FiscalMonth: int(time.January), EffectiveFrom: c.EffectiveFrom, ChangeID: c.ID,
		})
	})
	return err
}

// Suggest makes a short name of a company's name, one that nobody has now.
func (s *SignUps) Suggest(ctx context.Context, name string) (string, error) {
	base := shorten(name)
	if base == "" {
		return "", nil
	}
	const tries = 9
	for n := 1; n <= tries; n++ {
		slug := base
		if n > 1 {
			slug = strings.TrimRight(base[:min(len(base), maxSlugBytes-2)], "-") + fmt.Sprintf("-%d", n)
		}
		if reserved(slug) {
			continue
		}
		switch _, _, err := s.tenants.BySlug(ctx, slug); {
		case errors.Is(err, db.ErrTenantAbsent):
			return slug, nil
		case err != nil:
			return "", err
		}
	}
	return "", nil
}

const maxSlugBytes = 40

// shorten keeps of a name what a slug may hold; empty where that is too little.
func shorten(name string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case out.Len() >= maxSlugBytes:
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && out.Len() > 0:
			out.WriteRune(r)
		case out.Len() > 0 && !strings.HasSuffix(out.String(), "-"):
			out.WriteByte('-')
		}
	}
	slug := strings.TrimRight(out.String(), "-")
	if checkSlug(slug) != nil {
		return ""
	}
	return slug
}
