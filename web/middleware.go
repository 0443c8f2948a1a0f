package web

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"tollbook/app/fault"
)

// policy lets a page use what we serve and nothing else; there is no inline script or
// style, so there is no exception for any.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (w *Web) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-store") // what may be kept says so itself
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		if w.secure() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}

// secure tells whether people reach us over TLS.
func (w *Web) secure() bool { return w.cfg.PublicURL.Scheme == "https" }

// guardPanic answers a broken invariant of ours as an internal failure.
func (w *Web) guardPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if r == http.ErrAbortHandler { //nolint:errorlint,err113 // a sentinel panic value, by identity
					panic(r)
				}
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

var errCrossOrigin = fault.New(fault.KindForbidden, "cross_origin", "This form was sent from another site. Open the page here and send it again.")

const (
	maxForm = 64 << 10
	// maxPlanForm holds the file of a plan or of a hierarchy as a form sends it: each comma takes three bytes.
	maxPlanForm = 8 << 20
	// maxRulesForm holds a company's rules as a form sends them: most of JSON takes three bytes.
	maxRulesForm = 1 << 20
	// maxEditForm holds what the API takes of a change, as a form sends it.
	maxEditForm = 3 << 20
	// maxExportForm holds a mapping, ids or figures of a general ledger.
	maxExportForm = 8 << 20
)

// formLimit bounds the body of a page's form.
func formLimit(path string) int64 {
	switch path {
	case "/plan", "/plan/check", "/nodes/import", invoicesPath + "/check":
		return maxPlanForm
	case "/rules/edit":
		return maxRulesForm
	case "/settings/branding":
		return maxBrandingForm
	case "/changes/:id/files":
		return maxFileForm
	case "/exports/mapping/:system", "/exports/mapping/:system/propose", "/exports/:id/acknowledge", "/exports/tie-out":
		return maxExportForm
	case invoicesPath:
		return maxFileForm + maxPlanForm
	case "/changes/:id/edit", "/changes/policies/edit":
		return maxEditForm
	}
	return maxForm
}

// sameOrigin refuses forms sent from other sites and bounds their size. The API needs
// neither: nothing a browser adds by itself counts there.
func (w *Web) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	guard := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if err := guard.Check(c.Request()); err != nil {
			return errCrossOrigin.Because(err)
		}
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, formLimit(c.Path()))
		return next(c)
	}
}

// zipped compresses, except what may hold a secret (a fresh key) or is compressed.
func zipped() echo.MiddlewareFunc {
	return middleware.GzipWithConfig(middleware.GzipConfig{
		Level: gzip.BestSpeed, MinLength: 1024,
		Skipper: func(c echo.Context) bool {
			return c.Request().Method == http.MethodPost || streams(c.Path()) || c.Path() == logoPath || strings.HasSuffix(c.Request().URL.Path, ".woff2")
		},
	})
}
