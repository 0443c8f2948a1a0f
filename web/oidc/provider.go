package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/markbates/goth"
	"golang.org/x/oauth2"
)

// Client is our registration at one issuer.
type Client struct {
	Name        string // of the issuer, for goth
	Issuer      string
	ID          string
	Secret      string
	RedirectURL string
	LoginHint   string // whom the person says to be; the issuer decides
}

// Provider signs one person in at one issuer.
type Provider struct {
	ctx      context.Context //nolint:containedctx // goth's interfaces carry none, and a provider lives for one request
	name     string
	issuer   string
	hint     string
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
	relogin  bool // the issuer takes prompt=login
}

var (
	_ goth.Provider = (*Provider)(nil)
	_ goth.Session  = (*Session)(nil)
)

// Provider makes the provider of one sign-in; it must not outlive ctx.
func (d *Discovery) Provider(ctx context.Context, c Client) (*Provider, error) {
	found, err := d.find(ctx, c.Issuer)
	if err != nil {
		return nil, err
	}
	var says struct {
		Prompts []string `json:"prompt_values_supported"`
	}
	if err := found.Claims(&says); err != nil {
		return nil, fmt.Errorf("read what %s supports: %w", c.Issuer, err)
	}
	return &Provider{
		relogin: len(says.Prompts) == 0 || slices.Contains(says.Prompts, "login"),
		ctx:     oidc.ClientContext(ctx, d.client), name: c.Name, issuer: c.Issuer, hint: c.LoginHint,
		config: oauth2.Config{
			ClientID: c.ID, ClientSecret: c.Secret, RedirectURL: c.RedirectURL, Endpoint: found.Endpoint(),
			Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
		},
		verifier: found.Verifier(&oidc.Config{ClientID: c.ID, SupportedSigningAlgs: []string{oidc.RS256}, Now: d.now}),
	}, nil
}

// Name implements goth.Provider.
func (p *Provider) Name() string { return p.name }

// SetName implements goth.Provider.
func (p *Provider) SetName(name string) { p.name = name }

// Debug implements goth.Provider; there is nothing to turn on.
func (*Provider) Debug(bool) {}

// RefreshTokenAvailable implements goth.Provider: a sign-in is fresh or it is not one.
func (*Provider) RefreshTokenAvailable() bool { return false }

var errNoRefresh = errors.New("tokens are not refreshed: sign in again")

// RefreshToken implements goth.Provider.
func (*Provider) RefreshToken(string) (*oauth2.Token, error) { return nil, errNoRefresh }

// Session is an attempt between leaving for the issuer and coming back.
type Session struct {
	AuthURL  string `json:"auth_url"`
	Verifier string `json:"verifier"`
	Nonce    string `json:"nonce"`
	Browser  string `json:"browser"` // digest of what binds the attempt to one browser
	IDToken  string `json:"-"`
}

// BeginAuth implements goth.Provider.
func (p *Provider) BeginAuth(state string) (goth.Session, error) { return p.Begin(state) }

// Begin makes an attempt with a fresh verifier and nonce.
func (p *Provider) Begin(state string) (*Session, error) {
	s := &Session{Verifier: oauth2.GenerateVerifier(), Nonce: rand.Text()}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(s.Verifier), oidc.Nonce(s.Nonce)}
	if p.hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", p.hint))
	}
	s.AuthURL = p.config.AuthCodeURL(state, options...)
	return s, nil
}

// BeginFresh makes an attempt for which the issuer is to see the person now, whatever
// sessions it has, and to put a nonce that stands for something into its token.
func (p *Provider) BeginFresh(state, nonce string) *Session {
	s := &Session{Verifier: oauth2.GenerateVerifier(), Nonce: nonce}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(s.Verifier), oidc.Nonce(s.Nonce), oauth2.SetAuthURLParam("max_age", "0")}
	if p.relogin {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	s.AuthURL = p.config.AuthCodeURL(state, options...)
	return s
}

// UnmarshalSession implements goth.Provider.
func (*Provider) UnmarshalSession(text string) (goth.Session, error) {
	return ReadSession([]byte(text))
}

// ReadSession reads what Marshal wrote.
func ReadSession(document []byte) (*Session, error) {
	s := &Session{}
	if err := json.Unmarshal(document, s); err != nil {
		return nil, fmt.Errorf("read sign-in ticket: %w", err)
	}
	return s, nil
}

// GetAuthURL implements goth.Session.
func (s *Session) GetAuthURL() (string, error) {
	if s.AuthURL == "" {
		return "", errors.New(goth.NoAuthUrlErrorMessage)
	}
	return s.AuthURL, nil
}

// Marshal implements goth.Session.
func (s *Session) Marshal() string {
	document, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(document)
}

var (
	errProvider = errors.New("the session belongs to another kind of provider")
	errIssuer   = errors.New("the answer names another issuer")
	errNoToken  = errors.New("the issuer sent no id_token")
	errNonce    = errors.New("the id_token's nonce is not this sign-in's")
)

// Authorize implements goth.Session: it exchanges the code.
func (s *Session) Authorize(provider goth.Provider, answer goth.Params) (string, error) {
	p, ok := provider.(*Provider)
	if !ok {
		return "", errProvider
	}
	// RFC 9207: an answer that says which issuer it is from must say the right one.
	if from := answer.Get("iss"); from != "" && from != p.issuer {
		return "", errIssuer
	}
	token, err := p.config.Exchange(p.ctx, answer.Get("code"), oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return "", fmt.Errorf("exchange code: %w", err)
	}
	if s.IDToken, ok = token.Extra("id_token").(string); !ok || s.IDToken == "" {
		return "", errNoToken
	}
	return token.AccessToken, nil
}

// FetchUser implements goth.Provider: who the verified ID token says it is.
func (p *Provider) FetchUser(session goth.Session) (goth.User, error) {
	s, ok := session.(*Session)
	if !ok {
		return goth.User{}, errProvider
	}
	if s.IDToken == "" {
		return goth.User{}, errNoToken
	}
	token, err := p.verifier.Verify(p.ctx, s.IDToken) // signature, issuer, audience, expiry
	if err != nil {
		return goth.User{}, fmt.Errorf("verify id_token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(s.Nonce)) != 1 {
		return goth.User{}, errNonce
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return goth.User{}, fmt.Errorf("read claims: %w", err)
	}
	user := goth.User{Provider: p.name, UserID: token.Subject, RawData: claims, IDToken: s.IDToken, ExpiresAt: token.Expiry}
	user.Name, _ = claims["name"].(string)
	user.Email, _ = claims["email"].(string)
	return user, nil
}
