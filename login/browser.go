package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"
)

// browserWithin is how long somebody may take at the browser.
const browserWithin = 10 * time.Minute

// back is what the browser brings to the loopback address.
type back struct {
	code string
	err  error
}

// page is what the browser shows in the end. It names no secret and loads nothing.
const page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tollbook</title><body><h1>%s</h1><p>You can close this page and go back to your terminal.</p></body></html>"

// throughBrowser opens the installation's page in a browser and waits at a loopback
// address for the code it comes back with.
func (p place) throughBrowser(ctx context.Context, costCenter string, progress io.Writer) (answer, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return answer{}, fmt.Errorf("listen for the browser: %w", err)
	}
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	came := make(chan back, 1)
	server := &http.Server{Handler: callback(state, came), ReadHeaderTimeout: answerWithin}
	go func() { _ = server.Serve(l) }() // ends with Close
	defer func() { _ = server.Close() }()
	sum := sha256.Sum256([]byte(verifier))
	address := p.base.JoinPath("login", p.tenant)
	query := url.Values{"port": {portOf(l)}, "state": {state}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "client": {machine()}}
	if costCenter != "" {
		query.Set("cost_center", costCenter)
	}
	address.RawQuery = query.Encode()
	_, _ = fmt.Fprintf(progress, "Sign in here, if no browser opens by itself:\n\n  %s\n\n", address)
	open(ctx, address.String())
	limited, cancel := context.WithTimeout(ctx, browserWithin)
	defer cancel()
	select {
	case <-limited.Done():
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		return answer{}, errors.New("nobody signed in within ten minutes; run tollbook login again, or tollbook login --device where there is no browser")
	case b := <-came:
		if b.err != nil {
			return answer{}, b.err
		}
		return p.ask(ctx, "token", "", url.Values{"grant_type": {"authorization_code"}, "code": {b.code}, "code_verifier": {verifier}})
	}
}

func portOf(l net.Listener) string {
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return strconv.Itoa(address.Port)
}

// callback takes the browser back, once. What does not know the state is not from the
// page this process opened, and changes nothing.
func callback(state string, came chan<- back) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer") // the code is in the address
		h.Set("Cache-Control", "no-store")
		query := r.URL.Query()
		if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(state)) != 1 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, page, "This is not an address of this sign-in")
			return
		}
		b, title := back{code: query.Get("code")}, "Signed in"
		if b.code == "" {
			b.err, title = errors.New("it was not allowed in the browser"), "Not signed in"
		}
		_, _ = fmt.Fprintf(w, page, title)
		select {
		case came <- b:
		default: // it came before
		}
	})
	return mux
}

// machine is what this machine calls itself.
func machine() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// open starts a browser, if there is one; the address was printed. It holds no secret.
func open(ctx context.Context, address string) {
	var command *exec.Cmd
	switch {
	case os.Getenv("BROWSER") != "":
		command = exec.CommandContext(ctx, os.Getenv("BROWSER"), address)
	case runtime.GOOS == "darwin":
		command = exec.CommandContext(ctx, "open", address)
	case os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "":
		command = exec.CommandContext(ctx, "xdg-open", address)
	default:
		return
	}
	if command.Start() == nil {
		go func() { _ = command.Wait() }()
	}
}

// throughDevice shows a code for a browser elsewhere and waits for it to be allowed.
func (p place) throughDevice(ctx context.Context, costCenter string, progress io.Writer) (answer, error) {
	asked, err := p.ask(ctx, "device_authorization", "", url.Values{"tenant": {p.tenant}, "client": {machine()}, "cost_center": {costCenter}})
	if err != nil {
		return answer{}, err
	}
	_, _ = fmt.Fprintf(progress, "Open %s in a browser, on any machine, and enter this code:\n\n  %s\n\n", asked.VerificationURI, asked.UserCode)
	limited, cancel := context.WithTimeout(ctx, browserWithin)
	defer cancel()
	pause := time.Duration(min(max(asked.Interval, 1), 60)) * time.Second
	for {
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return answer{}, ctx.Err()
			}
			return answer{}, errors.New("nobody entered the code within ten minutes; run tollbook login --device again")
		case <-time.After(pause):
		}
		got, err := p.ask(limited, "token", "", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {asked.DeviceCode}})
		switch {
		case err == nil:
			return got, nil
		case refused(err, "slow_down"):
			pause += time.Second
		case refused(err, "authorization_pending"):
		case refused(err, "access_denied", "expired_token"), limited.Err() != nil:
			return answer{}, err
		default:
			if r, ok := errors.AsType[*refusal](err); ok && r.Status < http.StatusInternalServerError {
				return answer{}, err
			}
			// It may answer the next time.
		}
	}
}
