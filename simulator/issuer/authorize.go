package issuer

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// grant is what a code stands for.
type grant struct {
	person    Person
	redirect  string
	challenge string // PKCE, S256
	nonce     string
	scope     string
	signedIn  time.Time
}

// parameters of an authorization request that travel through the page's form.
func carried() []string {
	return []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"prompt", "max_age", "response_mode",
	}
}

// serveAuthorize shows who can sign in and, once somebody is chosen, sends a code.
// A wrong client or redirect URI is a page: an error must not be sent to a stranger.
func (i *Issuer) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormSize)
	if err := r.ParseForm(); err != nil {
		i.showFault(w, "The request could not be read.")

		return
	}
	form := r.Form
	for _, name := range append(carried(), "login_hint", "person") {
		if len(form[name]) > 1 || len(form.Get(name)) > maxParam {
			i.showFault(w, "The parameter "+name+" is repeated or too long.")

			return
		}
	}
	if form.Get("client_id") != i.cfg.ClientID {
		i.showFault(w, "The client_id is not registered here.")

		return
	}
	redirect := form.Get("redirect_uri")
	if !i.redirectAllowed(redirect) {
		i.showFault(w, "The redirect_uri is not registered for this client.")

		return
	}
	if code, reason := checkAuthorize(form); code != "" {
		i.sendBack(w, r, redirect, url.Values{"error": {code}, "error_description": {reason}, "state": form["state"]})

		return
	}
	who, chosen := i.person(form.Get("login_hint"))
	if asksAgain(form) { // a hint says who somebody is to be, not that they are there
		chosen = false
	}
	if r.Method == http.MethodPost {
		who, chosen = i.person(r.PostForm.Get("person"))
	}
	switch {
	case chosen:
		i.sendCode(w, r, who)
	case form.Get("prompt") == "none":
		i.sendBack(w, r, redirect, url.Values{"error": {"login_required"}, "error_description": {"nobody is signed in"}, "state": form["state"]})
	default:
		i.showPeople(w, form, who)
	}
}

// asksAgain tells whether the person has to act now, whatever is known of them.
func asksAgain(form url.Values) bool {
	return form.Get("max_age") == "0" || hasScope(form.Get("prompt"), "login") || hasScope(form.Get("prompt"), "select_account")
}

// checkAuthorize returns the OAuth error of a request whose client is known.
func checkAuthorize(form url.Values) (code, reason string) {
	challenge := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	switch {
	case form.Get("response_type") != "code":
		return "unsupported_response_type", "response_type must be code"
	case form.Get("response_mode") != "" && form.Get("response_mode") != "query":
		return "invalid_request", "response_mode must be query"
	case !hasScope(form.Get("scope"), "openid"):
		return "invalid_scope", "scope must contain openid"
	case form.Get("code_challenge_method") != "S256" || !challenge.MatchString(form.Get("code_challenge")):
		return "invalid_request", "PKCE is required: code_challenge with code_challenge_method S256"
	case hasScope(form.Get("prompt"), "none") && form.Get("prompt") != "none":
		return "invalid_request", "prompt none stands alone"
	}
	if age := form.Get("max_age"); age != "" {
		if n, err := strconv.Atoi(age); err != nil || n < 0 {
			return "invalid_request", "max_age must be a number of seconds"
		}
	}

	return "", ""
}

func hasScope(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}

	return false
}

// showPeople asks who is signing in, whom a hint names first.
func (i *Issuer) showPeople(w http.ResponseWriter, form url.Values, hinted Person) {
	p := page{Title: "Who is signing in?", Intro: "Choose a person. There are no passwords here: this provider exists for demos and tests.", People: i.cfg.People}
	if asksAgain(form) {
		p.Title, p.Intro = "Sign in again", "The application asks for a fresh sign-in. Choose yourself: there are no passwords here, because this provider exists for demos and tests."
	}
	if at := slices.IndexFunc(p.People, func(one Person) bool { return one.Subject == hinted.Subject }); at > 0 {
		p.People = slices.Concat(p.People[at:at+1], p.People[:at], p.People[at+1:])
	}
	if len(p.People) == 0 {
		p.Message = "Nobody is registered here."
	}
	if form.Get("login_hint") != "" && hinted.Subject == "" {
		p.Message = "Nobody here is known as " + form.Get("login_hint") + "."
	}
	for _, name := range carried() {
		if value := form.Get(name); value != "" {
			p.Fields = append(p.Fields, field{name, value})
		}
	}
	i.show(w, http.StatusOK, p, form.Get("redirect_uri"))
}

func (i *Issuer) sendCode(w http.ResponseWriter, r *http.Request, who Person) {
	now := i.cfg.Now()
	code := i.codes.put(grant{
		person: who, redirect: r.Form.Get("redirect_uri"), challenge: r.Form.Get("code_challenge"), nonce: r.Form.Get("nonce"),
		scope: r.Form.Get("scope"), signedIn: now,
	}, now)
	i.sendBack(w, r, r.Form.Get("redirect_uri"), url.Values{"code": {code}, "state": r.Form["state"], "iss": {i.cfg.URL}})
}

// sendBack redirects to the client with added parameters (RFC 9207 adds iss).
func (i *Issuer) sendBack(w http.ResponseWriter, r *http.Request, redirect string, added url.Values) {
	u, err := url.Parse(redirect)
	if err != nil {
		i.showFault(w, "The redirect_uri is not a URL.")

		return
	}
	query := u.Query()
	for name, values := range added {
		for _, value := range values {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}
