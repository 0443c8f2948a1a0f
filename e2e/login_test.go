package e2e_test

import (
	"bytes"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// person is somebody at a browser, by HTTP alone.
type person struct{ *http.Client }

// atBrowser signs somebody in through the local issuer.
func (in *installation) atBrowser(t *testing.T, role string) person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	p := person{&http.Client{Jar: jar, Timeout: time.Minute}}
	p.send(t, http.MethodGet, in.card.SignIn[role], nil)
	return p
}

// send opens a page, or sends a form, and gives the page it ends at.
func (p person) send(t *testing.T, method, address string, form url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := p.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, string(body))
	return string(body)
}

// hidden reads a form's hidden fields off a page.
func hidden(page string) url.Values {
	form := url.Values{}
	for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	return form
}

// laptop is a developer's machine: a home of its own, and the binary.
type laptop struct {
	home string
	env  []string
}

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	l := &laptop{home: t.TempDir()}
	// "true" is a browser that opens nothing: the person is scripted.
	l.env = append(without(os.Environ(), "HOME", "XDG_CONFIG_HOME", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "DISPLAY"),
		"HOME="+l.home, "XDG_CONFIG_HOME="+filepath.Join(l.home, ".config"), "BROWSER=true")
	return l
}

// run runs one command to its end.
func (l *laptop) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, append([]string{"login"}, args...)...)
	var out, said bytes.Buffer
	command.Env, command.Stdout, command.Stderr = l.env, &out, &said
	err = command.Run()
	return strings.TrimSpace(out.String()), said.String(), err
}

// waiting starts tollbook login and waits until it says what a person has to do.
func (l *laptop) waiting(t *testing.T, say *regexp.Regexp, args ...string) (*process, string) {
	t.Helper()
	p, err := startIn(l.env, append([]string{"login"}, args...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	var said []string
	require.Eventually(t, func() bool { said = say.FindStringSubmatch(p.output.String()); return said != nil }, time.Minute, 10*time.Millisecond)
	return p, said[1]
}

func (p *process) ends(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-p.ended:
	case <-ctx.Done():
		require.Fail(t, "it does not end", p.output.String())
	}
	require.True(t, p.cmd.ProcessState.Success(), p.output.String())
	return p.output.String()
}

// TestLogin runs the real command against the demo: a person allows it at a browser, the
// Go SDK asks with what it prints, and the developer on the rows is verified.
func TestLogin(t *testing.T) {
	in := demo(t)
	ada := in.atBrowser(t, "developer")
	l := newLaptop(t)
	_, said, err := l.run(t, "token")
	require.Error(t, err)
	require.Contains(t, said, "run tollbook login")

	process, address := l.waiting(t, regexp.MustCompile(`(http://\S+/login/meridian\?\S+)`), "--url", in.card.GatewayURL, "--cost-center", "CC-4200")
	page := ada.send(t, http.MethodGet, address, nil)
	require.Contains(t, page, "Let this command line work as you?")
	require.Regexp(t, `<option value="CC-4200" selected`, page)
	form := hidden(page)
	form.Set("cost_center", "CC-4200")
	form.Set("decision", "allow")
	require.Contains(t, ada.send(t, http.MethodPost, address, form), "Signed in", "the browser ends at the command line's own page")
	output := process.ends(t)
	require.Contains(t, output, "Signed in as Ada Okafor, charging CC-4200 Motion planning until ")
	require.NotContains(t, output, "tbk_")
	kept := filepath.Join(l.home, ".config", "tollbook", "login.json")
	at, err := os.Stat(kept)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), at.Mode().Perm())

	credential, _, err := l.run(t, "token")
	require.NoError(t, err)
	require.Regexp(t, `^tbk_[a-z0-9]{32}$`, credential)
	in.asks(t, credential, "CC-4200")

	out, _, err := l.run(t, "switch", "P-4100-07")
	require.NoError(t, err)
	require.Contains(t, out, "Charging P-4100-07 Lidar fusion from now on; it was CC-4200.")
	in.asks(t, credential, "P-4100-07")
	_, said, err = l.run(t, "switch", "CC-5100")
	require.Error(t, err)
	require.Contains(t, said, "No cost center that you may charge")
	out, _, err = l.run(t, "status")
	require.NoError(t, err)
	require.Contains(t, out, "Ada Okafor")
	require.Regexp(t, `(?m)^\* P-4100-07 `, out)
	require.Regexp(t, `(?m)^  CC-6300 `, out, "what everybody may charge")

	out, _, err = l.run(t, "logout")
	require.NoError(t, err)
	require.Equal(t, "Signed out.", out)
	require.NoFileExists(t, kept)
	require.Eventually(t, func() bool { return status(t, in.card.GatewayURL, credential, loginSession) == http.StatusUnauthorized }, 10*time.Second, 20*time.Millisecond,
		"what was given out ends too")
}

// asks sends a message as the SDK does, until it is charged to a cost center, and finds
// who sent it verified, whatever the request declares.
func (in *installation) asks(t *testing.T, credential, center string) {
	t.Helper()
	session := uuid.NewString()
	client := anthropic.NewClient(
		option.WithBaseURL(in.card.GatewayURL), option.WithAPIKey(credential), option.WithHeader("X-Claude-Code-Session-Id", session),
		option.WithHeader("X-Tollbook-Developer", "somebody.else@meridian.example"), option.WithMaxRetries(0),
	)
	sent := 0
	require.Eventually(t, func() bool {
		var res *http.Response
		_, err := client.Messages.New(t.Context(), anthropic.MessageNewParams{
			Model: "claude-haiku-5-5", MaxTokens: 100, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello"))},
		}, option.WithResponseInto(&res))
		if err != nil {
			return false // not known at the gateway yet: within a second it is
		}
		sent++
		return res.Header.Get("X-Tollbook-Cost-Center") == center
	}, 10*time.Second, 20*time.Millisecond)
	in.sameBooks(t, session, sent)
	var page struct {
		Data []struct {
			Node      struct{ Code string }
			Key       struct{ Label string }
			Developer struct {
				Value    string
				Verified bool
			}
		}
	}
	require.Equal(t, http.StatusOK, in.get(t, in.card.APITokens["finance_admin"], "/api/v1/usage?session="+session, &page))
	require.Equal(t, center, page.Data[0].Node.Code)
	require.Equal(t, "Signed-in developers, "+center, page.Data[0].Key.Label)
	for _, row := range page.Data {
		require.Equal(t, "ada.4100@meridian.example", row.Developer.Value)
		require.True(t, row.Developer.Verified)
	}
}

// TestLoginOfADevice is a machine without a browser: its code is typed in elsewhere.
func TestLoginOfADevice(t *testing.T) {
	in := demo(t)
	sofia := in.atBrowser(t, "engineering_admin")
	l, shown := newLaptop(t), regexp.MustCompile(`\n  ([B-Z]{4}-[B-Z]{4})\n`)
	process, code := l.waiting(t, shown, "--url", in.card.GatewayURL, "--device")
	form := hidden(sofia.send(t, http.MethodGet, in.card.WebURL+"/device?code="+strings.ToLower(code), nil))
	form.Set("cost_center", "CC-6300")
	form.Set("decision", "allow")
	require.Contains(t, sofia.send(t, http.MethodPost, in.card.WebURL+"/device", form), "Go back to your terminal")
	require.Contains(t, process.ends(t), "Signed in as Sofia Lindqvist, charging CC-6300")
	credential, _, err := l.run(t, "token")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return status(t, in.card.GatewayURL, credential, loginSession) == http.StatusOK }, 10*time.Second, 20*time.Millisecond)

	denied, code := newLaptop(t).waiting(t, shown, "--url", in.card.GatewayURL, "--device")
	sofia.send(t, http.MethodPost, in.card.WebURL+"/device", url.Values{"code": {code}, "decision": {"deny"}})
	<-denied.ended
	require.False(t, denied.cmd.ProcessState.Success())
	require.Contains(t, denied.output.String(), "not allowed")
}
