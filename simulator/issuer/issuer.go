package issuer

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	codeLife    = 60 * time.Second
	tokenLife   = 10 * time.Minute // of ID and access tokens
	maxCodes    = 4096
	maxTokens   = 4096
	maxFormSize = 64 << 10
	maxParam    = 2048 // bytes of one request parameter
)

// Person is somebody who can sign in.
type Person struct {
	Subject string
	Name    string
	Email   string
	Groups  []string
}

// Config configures an Issuer.
type Config struct {
	URL          string // the issuer, e.g. http://127.0.0.1:8080/idp; no trailing slash
	Dir          string // the signing key is kept here, mode 0600
	ClientID     string
	ClientSecret string
	RedirectURIs []string // exact; none = any redirect URI on loopback
	People       []Person
	Now          func() time.Time // nil = time.Now
}

// Validate reports everything that is wrong at once.
func (c Config) Validate() error {
	var faults []error
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(c.URL, "/"):
		faults = append(faults, fmt.Errorf("issuer: URL %q must be absolute, without query and trailing slash", c.URL))
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		faults = append(faults, fmt.Errorf("issuer: URL %q must be https, or http on loopback", c.URL))
	}
	if c.Dir == "" {
		faults = append(faults, errors.New("issuer: Dir is required"))
	}
	if c.ClientID == "" || c.ClientSecret == "" {
		faults = append(faults, errors.New("issuer: ClientID and ClientSecret are required"))
	}
	subjects := map[string]bool{}
	for _, p := range c.People {
		if p.Subject == "" || subjects[p.Subject] {
			faults = append(faults, fmt.Errorf("issuer: subject %q is empty or used twice", p.Subject))
		}
		subjects[p.Subject] = true
	}

	return errors.Join(faults...)
}

// Issuer signs people in.
type Issuer struct {
	cfg    Config
	path   string // of cfg.URL: where the handler is mounted
	key    *rsa.PrivateKey
	keyID  string
	codes  *vault[grant]
	tokens *vault[Person]
	page   *template.Template
}

// New loads the signing key from cfg.Dir, or makes it.
func New(cfg Config) (*Issuer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	key, err := loadKey(cfg.Dir)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	page, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}

	return &Issuer{
		cfg: cfg, path: u.Path, key: key, keyID: keyID(&key.PublicKey), page: page,
		codes: newVault[grant](maxCodes, codeLife), tokens: newVault[Person](maxTokens, tokenLife),
	}, nil
}

// Handler serves the issuer; paths are relative to its mount (use http.StripPrefix
// with the path of Config.URL).
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.serveDiscovery)
	mux.HandleFunc("GET /jwks", i.serveKeys)
	mux.HandleFunc("GET /style.css", serveStyle)
	mux.HandleFunc("GET /authorize", i.serveAuthorize)
	mux.HandleFunc("POST /authorize", i.serveAuthorize)
	mux.HandleFunc("POST /token", i.serveToken)
	mux.HandleFunc("GET /userinfo", i.serveUserInfo)
	mux.HandleFunc("POST /userinfo", i.serveUserInfo)
	mux.HandleFunc("GET /{$}", i.serveHome)

	return mux
}

// person finds somebody by subject or, ignoring case, by e-mail.
func (i *Issuer) person(hint string) (Person, bool) {
	if hint == "" {
		return Person{}, false
	}
	at := slices.IndexFunc(i.cfg.People, func(p Person) bool {
		return p.Subject == hint || (p.Email != "" && strings.EqualFold(p.Email, hint))
	})
	if at < 0 {
		return Person{}, false
	}

	return i.cfg.People[at], true
}

// redirectAllowed: an exact list when there is one, else any URI on loopback.
func (i *Issuer) redirectAllowed(raw string) bool {
	if len(i.cfg.RedirectURIs) > 0 {
		return slices.Contains(i.cfg.RedirectURIs, raw)
	}
	u, err := url.Parse(raw)

	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Fragment == "" && u.User == nil && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)

	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
