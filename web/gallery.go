package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// showGallery shows every component in every state, with made-up values.
func (w *Web) showGallery(c echo.Context) error {
	return render(c, http.StatusOK, galleryPage(w.gallery()))
}
