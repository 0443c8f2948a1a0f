package main

import (
	"net/url"
	"strings"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/secret"
)

// signUpVariables are what lets people found companies. The first three turn it on.
func signUpVariables() []string {
	return []string{
		"TOLLBOOK_SIGN_UP_ISSUER", "TOLLBOOK_SIGN_UP_CLIENT_ID", "TOLLBOOK_SIGN_UP_CLIENT_SECRET", "TOLLBOOK_SIGN_UP_NAME", "TOLLBOOK_SIGN_UP_DOMAINS",
		"TOLLBOOK_SIGN_UP_UPSTREAMS", "TOLLBOOK_SIGN_UP_PER_PERSON", "TOLLBOOK_SIGN_UP_PER_DAY",
	}
}

// signUp reads who may found a company; nothing set is nobody. A part of it is a refusal:
// a door that was meant to be open, or meant to be bounded, must not look right.
func (e *environment) signUp() *app.SignUpRules {
	values, set := map[string]string{}, ""
	for _, name := range signUpVariables() {
		if values[name] = strings.TrimSpace(e.text(name)); values[name] != "" && set == "" {
			set = name
		}
	}
	if set == "" {
		return nil
	}
	before := len(e.faults)
	for _, need := range []struct{ name, should string }{
		{"TOLLBOOK_SIGN_UP_ISSUER", "the OpenID Connect issuer that vouches for people who have no company yet, like https://login.example.com"},
		{"TOLLBOOK_SIGN_UP_CLIENT_ID", "what that issuer registered Tollbook as"},
		{"TOLLBOOK_SIGN_UP_CLIENT_SECRET", "the secret of that client"},
	} {
		if values[need.name] == "" {
			e.fail(need.name, "is not set, and "+set+" is; it should be "+need.should+". Sign-up needs issuer, client id and client secret")
		}
	}
	rules := &app.SignUpRules{
		Issuer: app.Issuer{
			Name: values["TOLLBOOK_SIGN_UP_NAME"], URL: values["TOLLBOOK_SIGN_UP_ISSUER"], ClientID: values["TOLLBOOK_SIGN_UP_CLIENT_ID"],
			Secret: secret.NewText(values["TOLLBOOK_SIGN_UP_CLIENT_SECRET"]),
		},
		Domains:   words(strings.ToLower(values["TOLLBOOK_SIGN_UP_DOMAINS"])),
		Upstreams: words(values["TOLLBOOK_SIGN_UP_UPSTREAMS"]),
		PerPerson: app.SignUpPerPerson, PerDay: app.SignUpPerDay,
	}
	e.count("TOLLBOOK_SIGN_UP_PER_PERSON", &rules.PerPerson, 1)
	e.count("TOLLBOOK_SIGN_UP_PER_DAY", &rules.PerDay, 1)
	if len(rules.Upstreams) == 0 {
		rules.Upstreams = []string{app.ProviderURL}
	}
	if rules.Issuer.Name == "" {
		rules.Issuer.Name = rules.Issuer.URL
		if u, err := url.Parse(rules.Issuer.URL); err == nil && u.Host != "" {
			rules.Issuer.Name = u.Host
		}
	}
	if len(e.faults) > before {
		return nil // what is missing says more than what is wrong with the rest
	}
	if err := rules.Validate(); err != nil {
		f := fault.From(err)
		e.fail(signUpVariable(f.Field), "cannot be used: "+f.Message)
		return nil
	}
	return rules
}

// signUpVariable names the variable behind a part of the rules.
func signUpVariable(field string) string {
	switch field {
	case "client_id":
		return "TOLLBOOK_SIGN_UP_CLIENT_ID"
	case "client_secret":
		return "TOLLBOOK_SIGN_UP_CLIENT_SECRET"
	case "name":
		return "TOLLBOOK_SIGN_UP_NAME"
	case "allowed_domains":
		return "TOLLBOOK_SIGN_UP_DOMAINS"
	case "upstreams":
		return "TOLLBOOK_SIGN_UP_UPSTREAMS"
	case "per_person":
		return "TOLLBOOK_SIGN_UP_PER_PERSON"
	case "per_day":
		return "TOLLBOOK_SIGN_UP_PER_DAY"
	}
	return "TOLLBOOK_SIGN_UP_ISSUER"
}

// words are separated by commas or blanks.
func words(text string) []string { return strings.Fields(strings.ReplaceAll(text, ",", " ")) }
