package web

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/secret"
)

// A command line's sign-in, seen from the command line: forms in, JSON out, as OAuth 2
// has it (RFC 6749, 7636, 8252 and 8628). Secrets travel in bodies and in the
// Authorization header, never in an address.

const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
)

var errGrantType = fault.New(fault.KindInvalid, "unsupported_grant_type", "This grant type is not one of those that are answered here.")

// loginAnswer is what a command line keeps.
type loginAnswer struct {
	AccessToken  string     `json:"access_token,omitempty"`
	TokenType    string     `json:"token_type,omitempty"`
	ExpiresIn    int64      `json:"expires_in,omitempty"` // seconds
	RefreshToken string     `json:"refresh_token,omitempty"`
	LoginEndsAt  time.Time  `json:"login_ends_at"`
	Person       string     `json:"person"`
	CostCenter   string     `json:"cost_center"`
	CenterName   string     `json:"cost_center_name"`
	Before       string     `json:"before,omitempty"`
	MayCharge    []nodeName `json:"may_charge,omitempty"`
}

type nodeName struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

func (w *Web) answerLogin(i app.Issued) loginAnswer {
	a := loginAnswer{LoginEndsAt: i.LoginEndsAt, Person: i.Person, CostCenter: i.CostCenter, CenterName: i.CenterName, Before: i.WasCharging, RefreshToken: i.Refresh.Reveal()}
	if !i.Secret.IsZero() {
		a.AccessToken, a.TokenType, a.ExpiresIn = i.Secret.Reveal(), "Bearer", int64(i.ExpiresAt.Sub(w.cfg.Now())/time.Second)
	}
	for _, c := range i.MayCharge {
		a.MayCharge = append(a.MayCharge, nodeName{Code: c.Code, Name: c.Name})
	}
	return a
}

// machine is a route for a command line: no session, no page.
func machine(path string, serve func(c echo.Context) (any, error), w *Web) Route {
	return Route{Method: http.MethodPost, Path: path, serve: func(c echo.Context) error {
		answer, err := serve(c)
		if err != nil {
			return w.refuseMachine(c, err)
		}
		return c.JSON(http.StatusOK, answer)
	}}
}

func (w *Web) refuseMachine(c echo.Context, err error) error {
	f := fault.From(err)
	status := statusOf(f.Kind)
	if f.Kind == fault.KindInvalid {
		status = http.StatusBadRequest // as OAuth has it
	}
	if status >= http.StatusInternalServerError {
		w.cfg.Log.LogAttrs(c.Request().Context(), slog.LevelError, "login failed", slog.String("path", c.Path()), slog.Any("error", err))
	}
	return c.JSON(status, map[string]string{"error": f.Code, "error_description": f.Message})
}

func (w *Web) giveToken(c echo.Context) (any, error) {
	ctx := c.Request().Context()
	var issued app.Issued
	var err error
	switch c.FormValue("grant_type") {
	case grantCode:
		issued, err = w.areas.Logins.Redeem(ctx, secret.NewText(c.FormValue("code")), c.FormValue("code_verifier"))
	case grantDevice:
		issued, err = w.areas.Logins.Poll(ctx, secret.NewText(c.FormValue("device_code")))
	case grantRefresh:
		issued, err = w.areas.Logins.Refresh(ctx, secret.NewText(c.FormValue("refresh_token")))
	default:
		err = errGrantType
	}
	return w.answerLogin(issued), err
}

// deviceAnswer is RFC 8628's.
type deviceAnswer struct {
	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	VerificationURI string `json:"verification_uri"`
	CompleteURI     string `json:"verification_uri_complete"`
	ExpiresIn       int64  `json:"expires_in"`
	Interval        int64  `json:"interval"`
}

func (w *Web) beginDevice(c echo.Context) (any, error) {
	if !w.doors.allow(c.RealIP()) {
		return nil, errLimited
	}
	ctx := c.Request().Context()
	tenant, _, err := w.areas.Tenants.BySlug(ctx, c.FormValue("tenant"))
	if err != nil {
		return nil, err
	}
	ask, err := w.areas.Logins.AskDevice(ctx, tenant, c.FormValue("client"), c.FormValue("cost_center"))
	if err != nil {
		return nil, err
	}
	page := w.cfg.PublicURL.JoinPath("device")
	complete := *page
	complete.RawQuery = "code=" + ask.UserCode
	return deviceAnswer{
		DeviceCode: ask.Device.Reveal(), UserCode: ask.UserCode, VerificationURI: page.String(), CompleteURI: complete.String(),
		ExpiresIn: int64(ask.Life / time.Second), Interval: int64(app.AskInterval / time.Second),
	}, nil
}

// bearer is the refresh secret a command line presents about its own login.
func bearer(c echo.Context) secret.Text {
	scheme, token, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return secret.Text{}
	}
	return secret.NewText(strings.TrimSpace(token))
}

func (w *Web) loginStatus(c echo.Context) (any, error) {
	issued, err := w.areas.Logins.Status(c.Request().Context(), bearer(c))
	return w.answerLogin(issued), err
}

func (w *Web) switchLogin(c echo.Context) (any, error) {
	issued, err := w.areas.Logins.Switch(c.Request().Context(), bearer(c), strings.TrimSpace(c.FormValue("cost_center")))
	return w.answerLogin(issued), err
}

func (w *Web) leaveLogin(c echo.Context) (any, error) {
	return map[string]bool{"ended": true}, w.areas.Logins.End(c.Request().Context(), bearer(c))
}
