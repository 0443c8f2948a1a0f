package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// connectQuery is what the page waits for: all of it is in the URL.
type connectQuery struct {
	Key   string // a virtual key's id; empty: whoever looks
	Since string
}

func (q connectQuery) url(path string) string {
	values := url.Values{}
	if q.Key != "" {
		values.Set("key", q.Key)
	}
	if q.Since != "" {
		values.Set("since", q.Since)
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// snippet is text to put somewhere else, and where.
type snippet struct{ Label, Where, Text string }

// lost is a setting that a base URL of one's own turns off or changes unless it is said.
type lost struct{ Name, Value, Why string }

type connectView struct {
	Frame    ui.Frame
	Query    connectQuery
	Keys     []option // that may be waited for
	Key      string   // label of the one chosen
	MayMake  bool
	MayLogin bool
	Login    snippet
	Helper   snippet
	Shell    snippet
	User     snippet
	Fleet    snippet
	Tags     snippet
	Lost     []lost
	Arrival  arrival
}

// arrival is the first request of what is waited for, once it is there.
type arrival struct {
	Query   connectQuery
	Alert   string
	Nobody  bool // signed in with an address that no request can name
	Since   time.Time
	Request *app.Request
	Reload  string // the page as it is now, for a browser without scripts; without a fragment, which would not load it again
	Live    string // the part that is asked again
}

const (
	waitAtMost = 24 * time.Hour // how far back the first request is looked for
	waitKeys   = 200            // keys offered to wait for
)

// settingsLost lists what Claude Code does with Anthropic's own address and not with
// another, unless it is told to.
func settingsLost() []lost {
	return []lost{
		{"CLAUDE_CODE_GATEWAY_HINT_HEADERS", "1", "Says of each request whether it is the main conversation, a subagent or a background call. Nothing else tells them apart."},
		{"ANTHROPIC_DEFAULT_HAIKU_MODEL", "claude-haiku-5-5", "Background calls, such as a session's title, are made with the main model unless this names a smaller one."},
		{"CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1", "The list of models is asked for from here. Without it only the models built in are offered."},
		{"CLAUDE_CODE_SKIP_FAST_MODE_ORG_CHECK", "1", "Whether fast mode is available is asked at api.anthropic.com, which does not know a virtual key."},
		{"CLAUDE_CODE_SKIP_FAST_MODE_NETWORK_ERRORS", "1", "The same where that address cannot be reached: fast mode stays on."},
	}
}

func (w *Web) connectSnippets(v *connectView, gateway string) {
	const key = "tbk_…" // shown once, when it was made
	env := [][2]string{{"ANTHROPIC_BASE_URL", gateway}, {"ANTHROPIC_AUTH_TOKEN", key}}
	common := [][2]string{{"ANTHROPIC_BASE_URL", gateway}}
	for _, l := range settingsLost() {
		env, common = append(env, [2]string{l.Name, l.Value}), append(common, [2]string{l.Name, l.Value})
	}
	v.Lost = settingsLost()
	v.Login = snippet{"Once a day", "opens a browser; with --device it shows a code instead, for a machine that has none", "tollbook login --url " + gateway}
	v.Helper = snippet{"settings.json for who signs in", "~/.claude/settings.json; Claude Code asks the program named for a credential", settings(common, "tollbook login token")}
	v.Shell = snippet{"Shell profile", "~/.zshrc, ~/.bashrc or ~/.profile", exports(env)}
	v.User = snippet{"settings.json", "~/.claude/settings.json, for one person on one machine", settings(env, "")}
	v.Fleet = snippet{
		"managed-settings.json", "/etc/claude-code (Linux), /Library/Application Support/ClaudeCode (macOS), C:\\Program Files\\ClaudeCode (Windows)",
		settings(common, "/usr/local/bin/tollbook login token"),
	}
	v.Tags = snippet{"Shell profile or direnv", "beside the variables above", exports([][2]string{{
		"ANTHROPIC_CUSTOM_HEADERS", "x-tollbook-project: P-100\nx-tollbook-developer: " + exampleAddress + "\nx-tollbook-tags: {\"team\":\"platform\",\"ticket\":\"ENG-123\"}",
	}})}
}

const exampleAddress = "you@example.com"

// exports is what a shell takes.
func exports(pairs [][2]string) string {
	var out bytes.Buffer
	for _, p := range pairs {
		value := p[1]
		switch {
		case strings.ContainsAny(value, "\n'"):
			value = "$'" + shellQuoted(value) + "'"
		case strings.ContainsAny(value, " {}\"…$`\\"):
			value = "'" + value + "'"
		}
		out.WriteString("export " + p[0] + "=" + value + "\n")
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

func shellQuoted(text string) string {
	var out bytes.Buffer
	for _, r := range text {
		switch r {
		case '\n':
			out.WriteString(`\n`)
		case '\'', '\\':
			out.WriteString(`\` + string(r))
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// settings is Claude Code's settings file, its variables in the order given.
func settings(env [][2]string, helper string) string {
	var out bytes.Buffer
	out.WriteString("{\n")
	if helper != "" {
		out.WriteString("  \"apiKeyHelper\": " + quoted(helper) + ",\n")
	}
	out.WriteString("  \"env\": {\n")
	for i, p := range env {
		out.WriteString("    " + quoted(p[0]) + ": " + quoted(p[1]))
		if i < len(env)-1 {
			out.WriteString(",")
		}
		out.WriteString("\n")
	}
	// The check of a page's domain before it is fetched asks api.anthropic.com.
	out.WriteString("  },\n  \"skipWebFetchPreflight\": true\n}")
	return out.String()
}

// quoted is a string as JSON writes it.
func quoted(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // a string always encodes
	}
	return string(bytes.TrimSpace(out.Bytes()))
}

// showConnect tells how to point Claude Code here, and waits for the first request.
func (w *Web) showConnect(v *visit) error {
	q := connectQuery{Key: v.QueryParam("key"), Since: v.QueryParam("since")}
	view := &connectView{Frame: v.frame("Connect Claude Code"), MayMake: v.may("key", "propose"), MayLogin: v.may("login", "begin")}
	if q.Since == "" {
		q.Since = w.cfg.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	}
	status := http.StatusOK
	var err error
	view.Query = q
	if view.Arrival, err = w.arrived(v, q); err != nil {
		return err
	}
	if view.Arrival.Alert != "" {
		status = http.StatusUnprocessableEntity
	}
	if err := view.offerKeys(v); err != nil {
		return err
	}
	w.connectSnippets(view, w.gatewayURL(v))
	return render(v, status, connectPage(view))
}

func (c *connectView) offerKeys(v *visit) error {
	if !v.may("key", "read") {
		return nil
	}
	page, err := v.web.areas.Keys.List(v.Request().Context(), v.who, id.Key{}, waitKeys)
	if err != nil {
		return err
	}
	c.Keys = []option{{Label: "me (" + v.who.Name + ")"}}
	for i := range page.Rows {
		k := &page.Rows[i]
		if k.State(v.web.cfg.Now()) != app.KeyActive {
			continue
		}
		chosen := k.ID.String() == c.Query.Key
		if chosen {
			c.Key = k.Label
		}
		c.Keys = append(c.Keys, option{Value: k.ID.String(), Label: k.Label + " …" + k.Hint, Selected: chosen})
	}
	return nil
}

// showArrival is the part of the page that is asked again while it waits.
func (w *Web) showArrival(v *visit) error {
	arrival, err := w.arrived(v, connectQuery{Key: v.QueryParam("key"), Since: v.QueryParam("since")})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if arrival.Alert != "" {
		status = http.StatusUnprocessableEntity
	}
	return render(v, status, arrivalPart(&arrival))
}

// arrived looks for the first request since an instant: by a key, or by who looks.
func (w *Web) arrived(v *visit, q connectQuery) (arrival, error) {
	a := arrival{Query: q, Reload: q.url("/connect"), Live: q.url("/connect/first")}
	filter, err := w.awaited(v, q)
	a.Since = filter.From
	if err == nil && filter.Key.IsZero() && v.who.Developer.IsZero() {
		a.Nobody = true
		return a, nil
	}
	var page app.RequestPage
	if err == nil {
		page, err = w.areas.Reports.Requests(v.Request().Context(), v.who, filter)
	}
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		a.Alert = fault.From(err).Message
		return a, nil
	}
	if n := len(page.Rows); n > 0 {
		a.Request = &page.Rows[n-1] // the oldest of what came since
	}
	return a, err
}

func (w *Web) awaited(v *visit, q connectQuery) (app.RequestFilter, error) {
	filter := app.RequestFilter{Limit: app.MaxRows}
	at, err := api.ParseInstant("since", q.Since)
	if err != nil {
		return filter, err
	}
	filter.From = at.Time
	if earliest := w.cfg.Now().Add(-waitAtMost); filter.From.Before(earliest) {
		filter.From = earliest.UTC().Truncate(time.Second)
	}
	if q.Key == "" {
		filter.Developer = v.who.Developer.String()
		return filter, nil
	}
	if filter.Key, err = id.ParseKey(q.Key); err != nil {
		return filter, fault.Invalid("key", "id_syntax", "%.60q is no virtual key's id.", q.Key)
	}
	return filter, nil
}

// arrivedWords says what the first request came to.
func arrivedWords(r *app.Request) string {
	words := ": " + ui.Exact(r.Amount) + " charged to " + allocatedTo(r) + " by " + r.KeyLabel + ", "
	switch {
	case r.Developer == "":
		return words + "no developer named."
	case r.DeveloperVerified:
		return words + "developer " + r.Developer + ", verified."
	}
	return words + "developer " + r.Developer + ", declared."
}
