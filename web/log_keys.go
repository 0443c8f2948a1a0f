package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

// signingKey is one key of the log, in words.
type signingKey struct {
	Key   *app.LogKey
	Short string // its hash, which tells keys of one name apart
	For   string
	Tone  ui.Tone
	Icon  string
	Word  string
	By    string // by which right it follows
}

type logKeysView struct {
	Frame ui.Frame
	State *logStateView
	Rows  []signingKey
}

func (w *Web) showLogKeys(v *visit) error {
	ctx := v.Request().Context()
	keys, err := w.areas.Log.Keys(ctx, v.who)
	if err != nil {
		return err
	}
	page, err := w.areas.Log.Read(ctx, v.who, app.LogQuery{Limit: 1})
	if err != nil {
		return err
	}
	view := &logKeysView{Frame: v.frame("Keys of the audit log"), State: logState(&page.State)}
	for i := range keys {
		view.Rows = append(view.Rows, signingKeyOf(&keys[i]))
	}
	return render(v, http.StatusOK, logKeysPage(view))
}

func signingKeyOf(k *app.LogKey) signingKey {
	row := signingKey{Key: k, Short: keyShort(k.Verifier), For: "heads", Tone: ui.ToneOK, Icon: "✓", Word: "signs"}
	if k.Decisions {
		row.For, row.Word = "decisions", "in use"
	}
	if !k.EndedAt.IsZero() {
		row.Tone, row.Icon, row.Word = ui.TonePlain, "–", "ended"
	}
	switch {
	case k.First:
		row.By = "the first one: trusted as you got it"
	case k.Broken():
		row.Tone, row.Icon, row.Word = ui.ToneStop, "×", "break"
		row.By = "no key before it named it: only a witness can vouch that this is the same log"
	default:
		row.By = "named by key " + keyShort(k.EndorsedBy)
	}
	return row
}

// keyShort is the part of a public key that tells those of one name apart.
func keyShort(verifier string) string {
	if parts := strings.SplitN(verifier, "+", 3); len(parts) == 3 {
		return parts[1]
	}
	return verifier
}

// tileKept is how long a full tile of hashes may be kept by who was given it: it never changes.
const tileKept = "private, max-age=31536000, immutable"

// tiled is for who is signed in, and for an API token: programs read tiles.
func (w *Web) tiled(path string) Route {
	page := w.signedIn(func(v *visit) error { return w.sendTile(v, v.who) })
	serve := func(c echo.Context) error {
		scheme, token, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return page(c)
		}
		who, err := w.areas.Members.ByToken(c.Request().Context(), secret.NewText(strings.TrimSpace(token)))
		if err == nil {
			err = w.sendTile(c, who)
		}
		if err != nil {
			w.api.Fail(c, err)
		}
		return nil
	}
	return Route{Method: http.MethodGet, Path: path, Object: "audit", Action: "read", SignedIn: true, serve: serve}
}

// sendTile sends the log's head, or a tile of it (C2SP tlog-tiles).
func (w *Web) sendTile(c echo.Context, who app.Actor) error {
	tile, err := w.areas.Log.Tile(c.Request().Context(), who, "tollbook/"+c.Param("tenant"), c.Param("*"))
	if err != nil {
		return err
	}
	// Hashes may stay with who asked; entries are what happened, and stay with nobody.
	if tile.Whole && !strings.HasPrefix(c.Param("*"), "tile/entries/") {
		c.Response().Header().Set(echo.HeaderCacheControl, tileKept)
	}
	if tile.Text {
		return c.Blob(http.StatusOK, echo.MIMETextPlainCharsetUTF8, tile.Bytes)
	}
	return c.Blob(http.StatusOK, echo.MIMEOctetStream, tile.Bytes)
}

// tilesURL is where a log's tiles begin.
func tilesURL(origin string) string { return "/log/tiles/" + origin }

func (v *visit) tilesURL() string { return tilesURL(auditlog.Origin(v.who.Tenant)) }

// logLive serves a stream that says when the log's page would be another.
func (w *Web) logLive(v *visit) error { return w.stream(v, w.logs, v.who.Tenant) }
