package web

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/web/api"
)

// statusOf is the one mapping from what went wrong to a page's status.
func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.KindInvalid:
		return http.StatusUnprocessableEntity
	case fault.KindUnauthenticated:
		return http.StatusUnauthorized
	case fault.KindForbidden:
		return http.StatusForbidden
	case fault.KindNotFound:
		return http.StatusNotFound
	case fault.KindConflict:
		return http.StatusConflict
	case fault.KindLimited:
		return http.StatusTooManyRequests
	case fault.KindUnavailable:
		return http.StatusServiceUnavailable
	case fault.KindInternal:
	}
	return http.StatusInternalServerError
}

var (
	errPageAbsent = fault.New(fault.KindNotFound, "page_absent", "There is no such page, or it is not yours to see.")
	errMethod     = fault.New(fault.KindInvalid, "method_refused", "This page does not take that method.")
)

// fail is where every failure ends that no page showed itself.
func (w *Web) fail(err error, c echo.Context) {
	if strings.HasPrefix(c.Request().URL.Path, api.Prefix) {
		w.api.Fail(c, err)
		return
	}
	w.failAt(c, err, nil)
}

func (w *Web) failAt(c echo.Context, err error, v *visit) {
	if c.Response().Committed {
		return
	}
	if refused, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch refused.Code {
		case http.StatusNotFound:
			err = errPageAbsent
		case http.StatusMethodNotAllowed:
			err = errMethod
		}
	}
	f := fault.From(err)
	read := c.Request().Method == http.MethodGet || c.Request().Method == http.MethodHead
	if errors.Is(err, app.ErrSession) && read {
		door := "/sign-in"
		if slug := c.Param("slug"); slug != "" {
			door += "/" + url.PathEscape(slug) // the address says which company
		}
		_ = c.Redirect(http.StatusSeeOther, door+"?return_to="+url.QueryEscape(localPath(c.Request().URL.RequestURI())))
		return
	}
	reference := ""
	if status := statusOf(f.Kind); status >= http.StatusInternalServerError {
		reference = uuid.NewString()
		w.cfg.Log.LogAttrs(c.Request().Context(), slog.LevelError, "page failed", slog.String("reference", reference),
			slog.String("method", c.Request().Method), slog.String("path", c.Path()), slog.Any("error", err))
	}
	frame := w.doorFrame(faultTitle(f))
	if v != nil {
		frame = v.frame(faultTitle(f))
		frame.Live, frame.Link = "", "" // there are no figures to fetch again, and nothing to show anybody
	}
	if err := render(c, statusOf(f.Kind), faultPage(frame, f, reference)); err != nil {
		w.cfg.Log.ErrorContext(c.Request().Context(), "failure page not shown", "error", err)
	}
}

func faultTitle(f *fault.Fault) string {
	if errors.Is(f, app.ErrTenantSuspended) {
		return "Suspended"
	}
	if errors.Is(f, app.ErrTenantOffboarded) {
		return "Offboarded"
	}
	switch f.Kind {
	case fault.KindForbidden:
		return "Not permitted"
	case fault.KindNotFound:
		return "Not found"
	case fault.KindUnauthenticated:
		return "Signed out"
	case fault.KindUnavailable:
		return "Not available now"
	case fault.KindLimited:
		return "Too many attempts"
	case fault.KindInternal:
		return "Something broke"
	case fault.KindConflict, fault.KindInvalid:
	}
	return "That did not work"
}
