package web

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"tollbook/web/api"
)

// showProblem is what a problem's type leads to.
func (w *Web) showProblem(c echo.Context) error {
	code := c.Param("code")
	if !slices.Contains(api.Codes(), code) {
		return errPageAbsent
	}
	return render(c, http.StatusOK, problemPage(w.doorFrame(api.Title(code)), code))
}
