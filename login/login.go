package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"
)

// Options say how to sign in.
type Options struct {
	URL        string // as ANTHROPIC_BASE_URL; empty: that, or the one signed in at last
	Device     bool   // show a code instead of opening a browser
	CostCenter string // to charge; empty: chosen at the browser
}

// When a credential is replaced, by how long it has left. Claude Code keeps what it was
// told for five minutes, so what it is told must be good for longer.
const (
	renewBefore = 15 * time.Minute
	goodEnough  = 6 * time.Minute
)

// endForm prints when a login ends, as pages print times.
const endForm = "15:04 UTC"

// SignIn makes a login and keeps it.
func SignIn(ctx context.Context, o Options, out, progress io.Writer) error {
	dir, err := folder()
	if err != nil {
		return err
	}
	p, err := whither(dir, o.URL)
	if err != nil {
		return err
	}
	way := p.throughBrowser
	if o.Device {
		way = p.throughDevice
	}
	got, err := way(ctx, o.CostCenter, progress)
	if err != nil {
		return err
	}
	if got.AccessToken == "" || got.RefreshToken == "" {
		return errors.New("the installation sent no credential; check --url")
	}
	k := kept{URL: p.base.String(), Tenant: p.tenant, Refresh: got.RefreshToken}
	k.take(got, time.Now())
	if err := locked(ctx, dir, func() error { return save(dir, k) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Signed in as %s, charging %s %s until %s.\nClaude Code asks with: \"apiKeyHelper\": \"tollbook login token\"\n",
		k.Person, k.CostCenter, k.CenterName, k.LoginEndsAt.UTC().Format(endForm))
	return err
}

// whither is the installation to sign in at: the one said, the environment's, or the last.
func whither(dir, said string) (place, error) {
	if said == "" {
		said = os.Getenv("ANTHROPIC_BASE_URL")
	}
	if said != "" {
		return readPlace(said)
	}
	before, err := load(dir)
	if err != nil {
		return place{}, errors.New("say where: tollbook login --url with the address that ANTHROPIC_BASE_URL has, like https://tollbook.example.com/gw/acme")
	}
	return before.place()
}

func (k *kept) place() (place, error) { return readPlace(k.URL + "/gw/" + k.Tenant) }

// take keeps what came.
func (k *kept) take(a answer, now time.Time) {
	k.Person, k.CostCenter, k.CenterName, k.LoginEndsAt = a.Person, a.CostCenter, a.CenterName, a.LoginEndsAt
	if a.AccessToken != "" {
		k.Credential, k.ExpiresAt = a.AccessToken, now.Add(time.Duration(a.ExpiresIn)*time.Second).UTC().Truncate(time.Second)
	}
}

// Token prints the credential, and gets another one in time. It is what Claude Code
// runs: standard output is the credential and nothing else.
func Token(ctx context.Context, out io.Writer) error {
	dir, err := folder()
	if err != nil {
		return err
	}
	return token(ctx, dir, out)
}

func token(ctx context.Context, dir string, out io.Writer) error {
	k, err := load(dir)
	if err != nil {
		return err
	}
	credential := k.Credential
	if left := time.Until(k.ExpiresAt); left < renewBefore && !k.last() {
		if credential, err = renew(ctx, dir); err != nil {
			if left <= 0 || refused(err, "login_expired", "charge_ended") {
				return err
			}
			credential = k.Credential // good still, and the next time may be luckier
		}
	} else if left <= 0 {
		return ErrSignedOut
	}
	_, err = fmt.Fprintln(out, credential)
	return err
}

// last tells whether the login ends with the credential it has.
func (k *kept) last() bool { return !k.ExpiresAt.Before(k.LoginEndsAt.Truncate(time.Second)) }

// renew gets the next credential, unless another process has just done so. What it says
// to present is the one before while that is good for long enough: gateways then know
// the next one well before it is used.
func renew(ctx context.Context, dir string) (string, error) {
	var credential string
	err := locked(ctx, dir, func() error {
		k, err := load(dir)
		if err != nil {
			return err
		}
		before, left := k.Credential, time.Until(k.ExpiresAt)
		credential = before
		if left >= renewBefore || k.last() {
			return nil
		}
		p, err := k.place()
		if err != nil {
			return err
		}
		got, err := p.ask(ctx, "token", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.Refresh}})
		if err != nil {
			return err
		}
		k.take(got, time.Now())
		if credential = k.Credential; left > goodEnough {
			credential = before
		}
		return save(dir, k)
	})
	return credential, err
}

// Switch charges another cost center from now on.
func Switch(ctx context.Context, costCenter string, out io.Writer) error {
	return change(ctx, func(p place, k *kept) error {
		got, err := p.ask(ctx, "switch", k.Refresh, url.Values{"cost_center": {costCenter}})
		if err != nil {
			return err
		}
		k.take(got, time.Now())
		_, err = fmt.Fprintf(out, "Charging %s %s from now on; it was %s.\n", k.CostCenter, k.CenterName, got.Before)
		return err
	})
}

// change asks something of the login there is and keeps what came of it.
func change(ctx context.Context, do func(p place, k *kept) error) error {
	dir, err := folder()
	if err != nil {
		return err
	}
	return locked(ctx, dir, func() error {
		k, err := load(dir)
		if err != nil {
			return err
		}
		p, err := k.place()
		if err != nil {
			return err
		}
		if err := do(p, &k); err != nil {
			return err
		}
		return save(dir, k)
	})
}

// Status tells who is signed in, what is charged and what else may be.
func Status(ctx context.Context, out io.Writer) error {
	return change(ctx, func(p place, k *kept) error {
		got, err := p.ask(ctx, "status", k.Refresh, nil)
		if err != nil {
			return err
		}
		k.take(got, time.Now())
		_, _ = fmt.Fprintf(out, "%s at %s (%s), until %s\n", k.Person, p.base.Host, p.tenant, k.LoginEndsAt.UTC().Format(endForm))
		for _, c := range got.MayCharge {
			mark := " "
			if c.Code == k.CostCenter {
				mark = "*"
			}
			_, _ = fmt.Fprintf(out, "%s %-16s %s\n", mark, c.Code, c.Name)
		}
		return nil
	})
}

// SignOut ends the login, here and at the installation. The file goes even where the
// installation does not answer; the login there then ends by itself.
func SignOut(ctx context.Context, out io.Writer) error {
	dir, err := folder()
	if err != nil {
		return err
	}
	return locked(ctx, dir, func() error {
		k, err := load(dir)
		if err != nil {
			return err
		}
		p, err := k.place()
		if err == nil {
			_, err = p.ask(ctx, "end", k.Refresh, nil)
		}
		if refused(err, "login_expired") {
			err = nil // it is over already
		}
		if gone := forget(dir); gone != nil {
			return gone
		}
		if err != nil {
			return fmt.Errorf("signed out here; the installation did not hear of it and ends the login at %s: %w", k.LoginEndsAt.UTC().Format(endForm), err)
		}
		_, err = fmt.Fprintln(out, "Signed out.")
		return err
	})
}
