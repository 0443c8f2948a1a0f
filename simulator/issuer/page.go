package issuer

import (
	"net/http"
	"net/url"
)

// pageTemplate is the only page: choosing who signs in, or what went wrong. No
// script and no inline style, because the page's policy allows neither.
const pageTemplate = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<link rel="stylesheet" href="{{.Path}}/style.css">
</head>
<body>
<main>
<p class="issuer">Demo identity provider</p>
<h1>{{.Title}}</h1>
{{with .Message}}<p role="alert">{{.}}</p>{{end}}
{{if .People}}<p>{{.Intro}}</p>
<form method="post" action="{{.Path}}/authorize">
{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">
{{end}}<ul>
{{range .People}}<li><button type="submit" name="person" value="{{.Subject}}"><span class="name">{{.Name}}</span>
<span class="email">{{.Email}}</span>{{range .Groups}} <span class="group">{{.}}</span>{{end}}</button></li>
{{end}}</ul>
</form>{{end}}
</main>
</body>
</html>
`

// style keeps to the product's look: paper, ink, rules, one accent.
const style = `:root{color-scheme:light dark;--paper:#fbfaf7;--ink:#1d1d1b;--soft:#5c5a55;--rule:#d8d4ca;--accent:#1f4e8c}
@media (prefers-color-scheme:dark){:root{--paper:#171716;--ink:#ecebe6;--soft:#a9a69d;--rule:#3a3936;--accent:#8ab4f0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:36rem;margin:0 auto;padding:2.5rem 1.25rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}
.issuer{margin:0;color:var(--soft);font-size:.875rem}
ul{list-style:none;margin:1.5rem 0 0;padding:0;border-top:1px solid var(--rule)}
li{border-bottom:1px solid var(--rule)}
button{display:block;width:100%;padding:.75rem .5rem;border:0;background:none;color:inherit;font:inherit;text-align:left;cursor:pointer}
button:hover .name{text-decoration:underline}
button:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
.name{color:var(--accent);font-weight:600}
.email{color:var(--soft)}
.group{display:inline-block;margin-left:.25rem;padding:0 .375rem;border:1px solid var(--rule);border-radius:2px;font-size:.8125rem}
[role=alert]{border-left:3px solid var(--accent);padding-left:.75rem}
`

type field struct{ Name, Value string }

type page struct {
	Title, Intro, Message, Path string
	Fields                      []field
	People                      []Person
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write([]byte(style)) // the client's loss
}

// show renders a page. redirect is where its form may lead in the end: Chromium
// applies form-action also to the redirect that follows a post.
func (i *Issuer) show(w http.ResponseWriter, status int, p page, redirect string) {
	action := "'self'"
	if u, err := url.Parse(redirect); err == nil && u.Host != "" {
		action += " " + u.Scheme + "://" + u.Host
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+action+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	p.Path = i.path
	_ = i.page.Execute(w, p) // the client's loss: the template was parsed at the start
}

func (i *Issuer) showFault(w http.ResponseWriter, message string) {
	i.show(w, http.StatusBadRequest, page{Title: "This sign-in request cannot be answered", Message: message}, "")
}

func (i *Issuer) serveHome(w http.ResponseWriter, _ *http.Request) {
	i.show(w, http.StatusOK, page{Title: "Sign-ins start in the application", Message: "Open Tollbook and choose Sign in."}, "")
}
